//! What a seed stands for: how logpump is set up, what its children write, and what goes wrong when.

use std::time::Duration;

use fastrand::Rng;
use logpump::ship::WhenFull;
use logpump::spool::SyncPolicy;

use crate::awaited::AWAITED_MAX;
use crate::coverage::Stage;
use crate::faults::Fault;

/// What one visit of a ring makes, at most: beside it, bodies have what is left of their memory.
const VISIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A little less than the product's.
const READS_GIVEN_UP_AFTER: Duration = Duration::from_secs(55);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// Say what happens.
    pub trace: bool,
    pub streams: Vec<Profile>,
    pub ring_bytes: usize,
    pub linger: Duration,
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
    pub gzip: bool,
    pub body_bytes_max: usize,
    pub when_full: WhenFull,
    /// Every run of logpump has log streams of its own.
    pub fresh_names: bool,
    /// Of a call, on a good day.
    pub latency: Duration,
    pub retention_ms: Option<i64>,
    pub phases: Vec<Phase>,
    /// When this machine's wall clock is stepped, and by how many ms.
    pub clock_steps: Vec<(Duration, Option<Stage>, i64)>,
    /// With the power, or the process alone.
    pub kills: Vec<(Duration, Option<Stage>, Fault)>,
    pub spool: Option<SpoolPlan>,
    /// Some line makes every call invalid that it is in.
    pub poison: bool,
    /// Counted from the end of the last child.
    pub drain_timeout: Duration,
    /// For who gives up: the children are killed so long after the last fault; or earlier, when this is seen.
    pub stop_after: Duration,
    pub stop_when: Option<Stage>,
    /// All phases are over by then.
    pub calm_at: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct SpoolPlan {
    pub bytes_max: u64,
    pub segment_bytes_max: u64,
    pub sync: SyncPolicy,
    pub durable: bool,
}

/// What one child writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub lines: u32,
    pub line_bytes: usize,
    /// At most so many are read at a time.
    pub chunk_bytes: usize,
    pub pause: Duration,
    pub silence: Duration,
    /// The line that is over-long: when so many are left to write.
    pub over_long_at: u32,
    pub poison: bool,
    /// It writes tracebacks, and each is to be one event.
    pub joins: bool,
    /// No two events share a millisecond.
    pub distinct: bool,
}

/// A fault that strikes a share of the calls for a while.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    pub fault: Fault,
    pub from: Duration,
    pub to: Duration,
    /// It begins later, when this is seen.
    pub when: Option<Stage>,
    /// It strikes calls of one log stream alone.
    pub only: Option<usize>,
    pub share: f64,
}

impl Plan {
    pub fn new(seed: u64, lines: u32) -> Plan {
        let mut random = Rng::with_seed(seed);
        let horizon = Duration::from_millis(random.u64(2_000..60_000));
        let poison = random.u32(0..12) == 0;
        let when_full = *pick(&mut random, &[WhenFull::Drop, WhenFull::Block]);
        let mut streams = profiles(&mut random, lines, horizon, poison);
        if when_full == WhenFull::Drop {
            // Where such a line is cut when a part of it is dropped, nobody can know beforehand.
            streams.iter_mut().for_each(|profile| profile.over_long_at = u32::MAX);
        }
        let mut of_joins = Rng::with_seed(seed ^ 0x701);
        for profile in &mut streams {
            profile.joins = of_joins.u32(0..4) == 0;
            profile.distinct = of_joins.u32(0..8) == 0;
        }
        let mut phases: Vec<_> = (0..random.u32(0..9)).map(|_| phase(&mut random, &Fault::OF_CALLS, horizon)).collect();
        phases.extend((0..random.u32(0..4)).map(|_| phase(&mut random, &Fault::OF_DISKS, horizon)));
        phases.extend((0..random.u32(0..5)).map(|_| phase(&mut random, &Fault::OF_FILES, horizon)));
        let calm_at = phases.iter().map(|phase| phase.to).max().unwrap_or_default() + AWAITED_MAX;
        let clock_steps = match random.u32(0..2) {
            0 => (0..random.u32(1..6)).map(|_| step(&mut random, horizon)).collect(),
            _ => Vec::new(),
        };
        let spool = (random.u32(0..3) > 0).then(|| spool(&mut random));
        // Some long after the faults.
        let kills = (0..random.u32(1..4)).map(|_| {
            let until = *pick(&mut random, &[1.0, 1.0, 3.0]);
            (horizon.mul_f64(random.f64() * until), stage(&mut random), kill(&mut random))
        });
        let mut kills: Vec<_> = kills.collect();
        kills.sort_by_key(|(at, ..)| *at);
        let patient = random.bool();
        // Often none at all.
        let drain_ms = random.u64(0..8000).saturating_sub(3000);
        let drain_timeout = if patient { Duration::from_secs(3600) } else { Duration::from_millis(drain_ms) };
        Plan {
            seed,
            trace: false,
            streams,
            ring_bytes: 4096 << random.u32(1..7),
            linger: Duration::from_millis(*pick(&mut random, &[10, 50, 200, 1000])),
            max_in_flight: random.usize(1..9),
            stream_window: random.usize(1..9),
            create_group: random.bool(),
            gzip: random.u32(0..10) == 0,
            body_bytes_max: VISIT_BYTES_MAX + pick(&mut random, &[100_000, 4_000_000, 50_000_000]),
            when_full,
            fresh_names: random.bool(),
            latency: Duration::from_millis(*pick(&mut random, &[2, 25, 100, 400])),
            retention_ms: random.bool().then_some(DAY_MS),
            phases,
            clock_steps,
            kills,
            spool,
            poison,
            drain_timeout,
            stop_after: horizon.mul_f64(0.5 + random.f64() * 2.0),
            stop_when: stage(&mut random),
            calm_at,
        }
    }
}

impl Plan {
    /// A place that cannot be read for a minute counts as lost.
    pub fn may_give_reads_up(&self) -> bool {
        let failing = self.phases.iter().filter(|phase| phase.fault == Fault::DiskFailed);
        failing.map(|phase| phase.to - phase.from).sum::<Duration>() > READS_GIVEN_UP_AFTER
    }
}

fn pick<'a, T>(random: &mut Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(0..from.len())]
}

/// Often one child is much louder than the others.
fn profiles(random: &mut Rng, lines: u32, horizon: Duration, poison: bool) -> Vec<Profile> {
    let count = random.u32(1..5);
    let noisy = random.bool();
    let mut left = lines;
    let mut profiles = Vec::new();
    for index in 0..count {
        let share = if noisy && index > 0 { lines / 50 } else { lines / count };
        let lines = if index + 1 == count { left } else { share.min(left) };
        left -= lines;
        let over_long_at = if random.u32(0..20) == 0 { random.u32(0..=lines) } else { u32::MAX };
        let chunk_bytes = 1 << if over_long_at <= lines { random.u32(13..17) } else { random.u32(6..17) };
        let line_bytes = *pick(random, &[10, 80, 150]);
        let writes = lines * (line_bytes as u32 / 2 + 20) / (chunk_bytes as u32 / 2) + 1;
        let writes = if over_long_at <= lines { writes + 100 } else { writes };
        // A loud one is through long before the others.
        let haste = *pick(random, &[1, 1, 10, 1000]);
        profiles.push(Profile {
            lines,
            line_bytes,
            chunk_bytes,
            pause: 2 * horizon / writes / haste,
            silence: Duration::from_secs(3) / haste,
            over_long_at,
            poison,
            joins: false,
            distinct: false,
        });
    }
    profiles
}

fn phase(random: &mut Rng, faults: &[Fault], horizon: Duration) -> Phase {
    let fault = *pick(random, faults);
    let from = horizon.mul_f64((random.f64() * 1.2 - 0.2).max(0.0));
    let lasts = horizon.mul_f64(random.f64().powi(2) * 1.5) + Duration::from_millis(100);
    let share = match fault {
        // A wrong name is wrong for all.
        Fault::WrongName | Fault::Denied => 1.0,
        _ => *pick(random, &[0.05, 0.3, 0.7, 1.0]),
    };
    let when = match Fault::OF_FILES.contains(&fault) {
        true => Some(*pick(random, &Stage::ALL)),
        false => stage(random),
    };
    let only = match fault {
        Fault::WrongName | Fault::Denied => random.bool().then(|| random.usize(0..4)),
        _ => None,
    };
    Phase { fault, from, to: from + lasts, when, only, share }
}

/// When to strike: at any time, or at a certain one.
fn stage(random: &mut Rng) -> Option<Stage> {
    random.bool().then(|| *pick(random, &Stage::ALL))
}

fn kill(random: &mut Rng) -> Fault {
    *pick(random, &[Fault::Killed, Fault::PowerLost])
}

fn step(random: &mut Rng, horizon: Duration) -> (Duration, Option<Stage>, i64) {
    (horizon.mul_f64(random.f64()), stage(random), clock_step(random))
}

fn spool(random: &mut Rng) -> SpoolPlan {
    const MIB: u64 = 1024 * 1024;
    SpoolPlan {
        bytes_max: *pick(random, &[5 * MIB / 2, 3 * MIB, 4 * MIB, 64 * MIB, 64 * MIB]),
        segment_bytes_max: *pick(random, &[10_000, 100_000, 1_000_000]),
        sync: *pick(random, &[SyncPolicy::Never, SyncPolicy::Interval, SyncPolicy::Always]),
        durable: random.bool(),
    }
}

fn clock_step(random: &mut Rng) -> i64 {
    let most = *pick(random, &[900, 5_000, 3 * DAY_MS / 24, DAY_MS + DAY_MS / 24, 15 * DAY_MS, 400 * DAY_MS]);
    let by = random.i64(most / 2..=most);
    if random.bool() { by } else { -by }
}
