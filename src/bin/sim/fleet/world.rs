//! The fleet, its service and the time: a heap of events, taken in order. Every random choice comes from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logpump::spool::entry::Address;

use super::pump::{Call, Pump, Verdict};

pub const SECOND_US: u64 = 1_000_000;
pub const BIN_US: u64 = 10_000;
/// A pump that holds no more, while its children write, is no longer behind: what it holds is fresh.
const FRESH_BODIES: u64 = 2;
/// A fleet that is not done by then never will be.
const TIME_MAX_US: u64 = 3_600 * SECOND_US;

#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub pumps: usize,
    /// Calls a second that the service takes, of all pumps together.
    pub quota_per_s: u64,
    /// CreateLogStream calls, likewise. None: the streams exist.
    pub creations_per_s: Option<u64>,
    /// A call and its answer together take between these: half of it the way there, half the way back.
    pub latency_us: RangeInclusive<u64>,
    /// Nobody answers before.
    pub outage_us: u64,
    /// Bodies that every pump has from the start.
    pub work: u64,
    /// Bodies a second that a pump's children write, all the time.
    pub fresh_per_s: f64,
    /// Each pump's differs by up to this part of it, up or down.
    pub fresh_spread: f64,
    /// Bodies that a pump may hold.
    pub room: u64,
    pub seed: u64,
}

/// What was seen since the service answers; times count from then.
#[derive(Default)]
pub struct Seen {
    /// PutLogEvents calls that reached the service, and those that it took, in every `BIN_US`.
    pub calls: Vec<u32>,
    pub stored: Vec<u32>,
    /// Bodies held by all pumps at that moment, and what their children write a second.
    pub backlog: u64,
    pub fresh_per_s: f64,
    pub pumps: Vec<PumpSeen>,
}

#[derive(Default, Clone)]
pub struct PumpSeen {
    /// When it had caught up.
    pub drained_us: Option<u64>,
    /// When its calls were stored.
    pub stored_us: Vec<u64>,
    pub dropped: u64,
    pub held_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Written { pump: usize },
    Woken { pump: usize },
    Arrived { pump: usize, call: Call, answer_at_us: u64 },
    Answered { pump: usize, call: Call, verdict: Verdict },
}

pub struct World {
    scenario: Scenario,
    base: Instant,
    now_us: u64,
    random: fastrand::Rng,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    pushed: u64,
    pumps: Vec<Pump>,
    /// Per pump: when it wants to be woken; other events of that kind are stale.
    wakes_us: Vec<Option<u64>>,
    fresh_gaps_us: Vec<u64>,
    quota: Bucket,
    creations: Option<Bucket>,
    behind: usize,
    seen: Seen,
}

impl World {
    pub fn new(scenario: Scenario) -> World {
        let mut random = fastrand::Rng::with_seed(scenario.seed);
        // One for all: what it says is no matter here, and it is shared.
        let name = |name: &str| name.to_owned();
        let (region, endpoint, group, stream) = (name("us-east-1"), String::new(), name("group"), name("stream"));
        let address = Arc::new(Address { region, endpoint, group, stream });
        let pumps: Vec<_> =
            (0..scenario.pumps).map(|_| Pump::new(address.clone(), random.u64(..), scenario.room)).collect();
        let mut world = World {
            base: Instant::now(),
            now_us: 0,
            heap: BinaryHeap::new(),
            pushed: 0,
            wakes_us: vec![None; pumps.len()],
            fresh_gaps_us: pumps.iter().map(|_| fresh_gap_us(&scenario, &mut random)).collect(),
            quota: Bucket::new(scenario.quota_per_s),
            creations: scenario.creations_per_s.map(Bucket::new),
            behind: pumps.len(),
            seen: Seen { pumps: vec![PumpSeen::default(); pumps.len()], ..Seen::default() },
            random,
            pumps,
            scenario,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for pump in 0..self.pumps.len() {
            let gap_us = self.fresh_gaps_us[pump];
            if gap_us < TIME_MAX_US {
                self.seen.fresh_per_s += SECOND_US as f64 / gap_us as f64;
                let first_us = self.random.u64(0..gap_us);
                self.push(first_us, Event::Written { pump });
            }
            self.pumps[pump].write(self.scenario.work);
            self.push(0, Event::Woken { pump });
            self.wakes_us[pump] = Some(0);
        }
    }

    /// Until every pump has caught up.
    pub fn run(mut self) -> Seen {
        let mut answers = false;
        while self.behind > 0 {
            let Reverse((at_us, _, event)) = self.heap.pop().expect("a pump that is behind waits for something");
            assert!(at_us < TIME_MAX_US, "{} pumps are still behind", self.behind);
            if at_us >= self.scenario.outage_us && !std::mem::replace(&mut answers, true) {
                self.seen.backlog = self.pumps.iter().map(Pump::held).sum();
            }
            self.now_us = at_us;
            self.happen(event);
        }
        for (seen, pump) in self.seen.pumps.iter_mut().zip(&self.pumps) {
            (seen.dropped, seen.held_max) = (pump.dropped, pump.held_max);
        }
        self.seen
    }

    fn happen(&mut self, event: Event) {
        let now = self.base + Duration::from_micros(self.now_us);
        let pump = match event {
            Event::Written { pump } => {
                self.pumps[pump].write(1);
                self.push(self.now_us + self.fresh_gaps_us[pump], event);
                pump
            }
            // It was told another time since.
            Event::Woken { pump } if self.wakes_us[pump] != Some(self.now_us) => return,
            Event::Woken { pump } => pump,
            Event::Arrived { pump, call, answer_at_us } => {
                let verdict = self.serve(pump, call);
                return self.push(answer_at_us, Event::Answered { pump, call, verdict });
            }
            Event::Answered { pump, call, verdict } => {
                self.pumps[pump].answered(call, verdict, now);
                self.look_whether_drained(pump);
                pump
            }
        };
        while let Some(call) = self.pumps[pump].next_call(now) {
            let latency_us = self.random.u64(self.scenario.latency_us.clone());
            let answer_at_us = self.now_us + latency_us;
            self.push(self.now_us + latency_us / 2, Event::Arrived { pump, call, answer_at_us });
        }
        self.plan_wake(pump, now);
    }

    fn plan_wake(&mut self, pump: usize, now: Instant) {
        // The core counts in nanoseconds, we in microseconds: never before its time.
        let due_us = self.pumps[pump].next_due(now).map(|due| (due - self.base).as_nanos().div_ceil(1000) as u64);
        if let Some(due_us) = due_us.filter(|_| due_us != self.wakes_us[pump]) {
            assert!(due_us > self.now_us, "the core wants to be woken at once, and has nothing to do");
            self.push(due_us, Event::Woken { pump });
        }
        self.wakes_us[pump] = due_us;
    }

    /// A call has reached the service, or nobody.
    fn serve(&mut self, pump: usize, call: Call) -> Verdict {
        let outcome = |taken: bool| if taken { Verdict::Done } else { Verdict::Throttled };
        if call == Call::CreateStream {
            return outcome(self.creations.as_mut().is_none_or(|creations| creations.take(self.now_us)));
        }
        let Some(since_us) = self.now_us.checked_sub(self.scenario.outage_us) else { return Verdict::Refused };
        let taken = self.quota.take(self.now_us);
        let seen = &mut self.seen;
        let bin = (since_us / BIN_US) as usize;
        seen.calls.resize(seen.calls.len().max(bin + 1), 0);
        seen.stored.resize(seen.calls.len(), 0);
        seen.calls[bin] += 1;
        seen.stored[bin] += u32::from(taken);
        if taken {
            seen.pumps[pump].stored_us.push(since_us);
        }
        outcome(taken)
    }

    fn look_whether_drained(&mut self, pump: usize) {
        let fresh = if self.scenario.fresh_per_s > 0.0 { FRESH_BODIES } else { 0 };
        let seen = &mut self.seen.pumps[pump];
        let Some(since_us) = self.now_us.checked_sub(self.scenario.outage_us) else { return };
        if seen.drained_us.is_none() && self.pumps[pump].held() <= fresh {
            seen.drained_us = Some(since_us);
            self.behind -= 1;
        }
    }

    fn push(&mut self, at_us: u64, event: Event) {
        self.pushed += 1;
        self.heap.push(Reverse((at_us, self.pushed, event)));
    }
}

fn fresh_gap_us(scenario: &Scenario, random: &mut fastrand::Rng) -> u64 {
    let differs = 1.0 + scenario.fresh_spread * (2.0 * random.f64() - 1.0);
    // Saturates: without fresh bodies it is never.
    (SECOND_US as f64 / (scenario.fresh_per_s * differs)) as u64
}

/// The service's quota: so many calls a second, of which it saves up a tenth.
struct Bucket {
    per_s: u64,
    /// In millionths of a call.
    tokens: u64,
    at_us: u64,
}

impl Bucket {
    fn new(per_s: u64) -> Bucket {
        Bucket { per_s, tokens: per_s * SECOND_US / 10, at_us: 0 }
    }

    fn take(&mut self, now_us: u64) -> bool {
        let gained = (now_us - self.at_us) * self.per_s;
        self.tokens = (self.tokens + gained).min(self.per_s * SECOND_US / 10);
        self.at_us = now_us;
        let taken = self.tokens >= SECOND_US;
        self.tokens -= u64::from(taken) * SECOND_US;
        taken
    }
}
