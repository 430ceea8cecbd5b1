//! One seed: the real pump with real rings between simulated children and a simulated service, event by event.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use logpump::ledger::{Count, End};
use logpump::ring::ring;
use logpump::ship::answer::Answer;
use logpump::ship::core::{self, Action, View};
use logpump::ship::pump::{self, Pump};
use logpump::ship::{Stream, WhenFull};
use logpump::spool::entry::Address;
use logpump::sys::bell::Bell;

use crate::check::Watch;
use crate::child::{Child, Wrote};
use crate::clock::{Clock, Queue};
use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::plan::{Phase, Plan, Profile};
use crate::service::{Body, Service};

const GROUP: &str = "/sim";
/// So many turns of the loop at the most, and so many of them at one instant.
const TURNS_MAX: u64 = 1_000_000;
const TURNS_AT_ONCE_MAX: u32 = 10_000;
/// What is done at one instant: more is a circle.
const ACTIONS_AT_ONCE_MAX: u32 = 10_000;
/// A child that could not write its lines by then, all being well for this long, is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(3600);

enum Happening {
    Write {
        run: u32,
        child: usize,
    },
    Arrive {
        run: u32,
        call: usize,
        body: Rc<Body>,
    },
    Answered {
        run: u32,
        call: usize,
        body: Rc<Body>,
        answer: Answer,
    },
    StreamCreated {
        run: u32,
        stream: usize,
        answer: Answer,
    },
    GroupCreated {
        run: u32,
        answer: Answer,
    },
    Begins(Phase),
    Ends(Phase),
    ClockStep(i64),
    Kill,
    /// SIGKILL for the children.
    Stop {
        run: u32,
    },
    GiveUp {
        run: u32,
    },
}

/// One run of logpump, from its start to its end or its crash.
struct Run {
    number: u32,
    pump: Pump,
    children: Vec<Child>,
    intake_bell: Arc<Bell>,
    ship_bell: Arc<Bell>,
    draining: bool,
    give_up: bool,
    killed: bool,
}

enum Outcome {
    Over,
    GaveUp,
    Killed,
}

pub struct World<'a> {
    plan: &'a Plan,
    clock: Clock,
    queue: Queue<Happening>,
    service: Service,
    watch: Watch,
    random: Rng,
    cover: &'a mut Coverage,
    /// How often timestamps went back with the clock, by stream.
    clock_steps: Vec<u64>,
    clock_went_back: bool,
    turns: u64,
}

/// What a seed came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub turns: u64,
    pub events: u64,
    pub lines: u64,
    /// The same seed has the same.
    pub digest: u64,
}

pub fn simulate(plan: &Plan, cover: &mut Coverage) -> Result<Summary, String> {
    let names: Vec<_> = (0..plan.streams.len()).map(|stream| format!("stream-{stream}")).collect();
    let count = names.len();
    let mut world = World {
        plan,
        clock: Clock::new(),
        queue: Queue::new(),
        service: Service::new(plan),
        watch: Watch::new(GROUP.to_owned(), names, plan.gzip),
        random: Rng::with_seed(plan.seed ^ 0x3071D),
        cover,
        clock_steps: vec![0; count],
        clock_went_back: false,
        turns: 0,
    };
    for phase in &plan.phases {
        world.queue.push(phase.from, Happening::Begins(*phase));
        world.queue.push(phase.to, Happening::Ends(*phase));
    }
    for (at, by) in &plan.clock_steps {
        world.queue.push(*at, Happening::ClockStep(*by));
    }
    for at in &plan.kills {
        world.queue.push(*at, Happening::Kill);
    }
    world.live().map_err(|what| format!("{what} (at {:?}, turn {})", world.clock.now, world.turns))
}

impl World<'_> {
    fn live(&mut self) -> Result<Summary, String> {
        let mut profiles = self.plan.streams.clone();
        // Bounded: a plan has some kills.
        for number in 0.. {
            let mut run = self.start(number, &profiles);
            let outcome = self.turn_until_over(&mut run)?;
            match outcome {
                Outcome::Killed => profiles = self.crash(run, &profiles),
                Outcome::Over | Outcome::GaveUp => {
                    self.finish(run, matches!(outcome, Outcome::GaveUp))?;
                    break;
                }
            }
        }
        let mut summary = Summary { turns: self.turns, ..Summary::default() };
        for stream in 0..self.clock_steps.len() {
            self.watch.check_reader(stream, self.clock_steps[stream], self.clock_went_back)?;
            let truth = &self.watch.truths[stream];
            summary.events += truth.events.len() as u64;
            summary.lines += truth.lines.len() as u64;
            for event in &truth.events {
                let of = event.first_stored ^ (event.timestamp_ms as u64) << 20 ^ u64::from(event.stored) << 50;
                summary.digest = (summary.digest ^ of).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
            }
        }
        Ok(summary)
    }

    fn start(&mut self, number: u32, profiles: &[Profile]) -> Run {
        let bell = || Bell::new().expect("an eventfd");
        let (intake_bell, ship_bell) = (bell(), bell());
        let (mut children, mut streams) = (Vec::new(), Vec::new());
        for (index, profile) in profiles.iter().enumerate() {
            let (filler, drainer) = ring(self.plan.ring_bytes, &intake_bell, &ship_bell).expect("memory for a ring");
            let first_line = self.watch.truths[index].lines.len();
            children.push(Child::new(*profile, number, filler, self.random.u64(..), first_line));
            let stream = format!("stream-{index}");
            let address = Address { group: GROUP.to_owned(), stream, ..Address::default() };
            streams.push(Stream { address: Arc::new(address), ring: drainer });
            let at = self.clock.now + Duration::from_micros(self.random.u64(0..5000));
            self.queue.push(at, Happening::Write { run: number, child: index });
        }
        let core = core::Options {
            max_in_flight: self.plan.max_in_flight,
            stream_window: self.plan.stream_window,
            create_group: self.plan.create_group,
            body_bytes_max: usize::MAX,
            disk: None,
            seed: self.random.u64(..),
        };
        let options =
            pump::Options { gzip: self.plan.gzip, linger: self.plan.linger, when_full: WhenFull::Block, core };
        let stop_at = if self.is_patient() { STUCK_AFTER } else { self.plan.stop_after };
        self.queue.push(self.clock.now.max(self.plan.calm_at) + stop_at, Happening::Stop { run: number });
        Run {
            number,
            pump: Pump::new(streams, options, None),
            children,
            intake_bell,
            ship_bell,
            draining: false,
            give_up: false,
            killed: false,
        }
    }

    fn is_patient(&self) -> bool {
        self.plan.drain_timeout >= STUCK_AFTER
    }

    /// As the shipping thread's loop does it.
    fn turn_until_over(&mut self, run: &mut Run) -> Result<Outcome, String> {
        let mut at_once = (self.clock.now, 0);
        loop {
            self.turns += 1;
            at_once = if at_once.0 == self.clock.now { (at_once.0, at_once.1 + 1) } else { (self.clock.now, 0) };
            if self.turns > TURNS_MAX || at_once.1 > TURNS_AT_ONCE_MAX {
                return Err(format!("it turns and turns: {:?}", self.views(run)));
            }
            while let Some(happening) = self.queue.pop_due(self.clock.now) {
                self.happen(run, happening)?;
            }
            if run.killed {
                return Ok(Outcome::Killed);
            }
            if run.give_up {
                run.pump.give_up(End::Shutdown, self.clock.both());
                return Ok(Outcome::GaveUp);
            }
            let visited = run.pump.turn(self.clock.both());
            let performed = self.perform(run)?;
            self.look(run)?;
            if run.pump.is_over(self.clock.mono()) {
                return Ok(Outcome::Over);
            }
            if visited || performed {
                // It takes its time.
                self.clock.now += Duration::from_micros(self.random.u64(0..100));
            } else {
                self.sleep(run)?;
            }
        }
    }

    fn perform(&mut self, run: &mut Run) -> Result<bool, String> {
        let number = run.number;
        let mut actions = 0;
        while let Some(action) = run.pump.poll(self.clock.mono()) {
            actions += 1;
            if actions > ACTIONS_AT_ONCE_MAX {
                return Err(format!("it asks in a circle, just now for {action:?}"));
            }
            match action {
                Action::Send { call, stream, entry } => {
                    let body = self.watch.sent(stream, &entry.payload)?;
                    let at = self.clock.now + self.service.way();
                    self.queue.push(at, Happening::Arrive { run: number, call, body });
                }
                Action::CreateStream { stream, .. } => {
                    let fate = self.service.create_stream(stream);
                    self.met(&fate.faults, &[run.pump.view(stream)], run.draining);
                    let happening = Happening::StreamCreated { run: number, stream, answer: fate.answer };
                    self.queue.push(self.clock.now + fate.after, happening);
                }
                Action::CreateGroup { .. } => {
                    let fate = self.service.create_group();
                    self.met(&fate.faults, &self.views(run), run.draining);
                    let happening = Happening::GroupCreated { run: number, answer: fate.answer };
                    self.queue.push(self.clock.now + fate.after, happening);
                }
                Action::Spool(request) => return Err(format!("there is no spool, and yet: {request:?}")),
                Action::Say(notice) => drop(notice.to_string()),
                Action::RenewCredentials => {}
            }
        }
        Ok(actions > 0)
    }

    /// Until a ring's wake-up, an answer or the time that was asked for.
    fn sleep(&mut self, run: &mut Run) -> Result<(), String> {
        let Some(due) = run.pump.may_sleep(self.clock.mono()) else { return Ok(run.pump.awake()) };
        if due.is_some_and(|due| due <= self.clock.mono()) {
            return Err(format!(
                "it wants to be woken {:?} ago: {:?}",
                self.clock.mono() - due.unwrap(),
                self.views(run)
            ));
        }
        let due = due.map(|due| self.clock.at(due));
        let mut woken = run.ship_bell.clear();
        while !woken {
            let next = self.queue.next_at();
            let Some(at) = [due, next].into_iter().flatten().min() else {
                return Err(format!("it sleeps for ever: {:?}", self.views(run)));
            };
            self.clock.now = self.clock.now.max(at);
            match self.queue.pop_due(at) {
                Some(happening) => woken = self.happen(run, happening)?,
                None => break,
            }
            woken |= run.ship_bell.clear();
        }
        run.pump.awake();
        Ok(())
    }

    /// True: the shipping thread is woken.
    fn happen(&mut self, run: &mut Run, happening: Happening) -> Result<bool, String> {
        let now = self.clock.mono();
        match happening {
            Happening::Write { run: number, child } if number == run.number => self.write(run, child),
            Happening::Arrive { run: number, call, body } => {
                let true_ms = self.clock.true_ms();
                let fate = self.service.put(&body, &mut self.watch.truths[body.stream], true_ms);
                if number == run.number {
                    self.met(&fate.faults, &[run.pump.view(body.stream)], run.draining);
                    let happening = Happening::Answered { run: number, call, body, answer: fate.answer };
                    self.queue.push(self.clock.now + fate.after, happening);
                }
            }
            Happening::Answered { run: number, call, body, answer } if number == run.number => {
                self.watch.answered(&body, &answer);
                run.pump.answered(call, answer, now);
                return Ok(true);
            }
            Happening::StreamCreated { run: number, stream, answer } if number == run.number => {
                run.pump.stream_created(stream, answer, now);
                return Ok(true);
            }
            Happening::GroupCreated { run: number, answer } if number == run.number => {
                run.pump.group_created(0, answer, now);
                return Ok(true);
            }
            Happening::Begins(phase) => {
                if matches!(phase.fault, Fault::GroupMissing | Fault::StreamDeleted) {
                    self.met(&[phase.fault], &self.views(run), run.draining);
                }
                self.service.begin(phase);
            }
            Happening::Ends(phase) => self.service.end(phase),
            Happening::ClockStep(by) => {
                self.clock.off_ms += by;
                self.clock_went_back |= by < 0;
                let fault = if by < 0 { Fault::ClockBack } else { Fault::ClockForward };
                self.met(&[fault], &self.views(run), run.draining);
            }
            Happening::Kill => {
                self.met(&[Fault::Killed], &self.views(run), run.draining);
                run.killed = true;
                return Ok(true);
            }
            Happening::Stop { run: number } if number == run.number && !run.draining => return self.stop(run),
            Happening::GiveUp { run: number } if number == run.number => {
                if self.is_patient() {
                    return Err(format!("it is not over after {STUCK_AFTER:?} without a fault: {:?}", self.views(run)));
                }
                self.met(&[Fault::GivenUp], &self.views(run), run.draining);
                run.give_up = true;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    fn write(&mut self, run: &mut Run, child: usize) {
        if run.children[child].ended {
            return;
        }
        match run.children[child].turn(self.clock.wall_ms(), &mut self.watch.truths[child]) {
            Wrote::Next(pause) => {
                let at = self.clock.now + pause;
                self.queue.push(at, Happening::Write { run: run.number, child });
            }
            Wrote::Stalled => self.met(&[Fault::RingFull], &[run.pump.view(child)], run.draining),
            Wrote::Ended => self.drain_if_ended(run),
        }
    }

    fn stop(&mut self, run: &mut Run) -> Result<bool, String> {
        if self.is_patient() {
            return Err(format!("a child cannot write, after {STUCK_AFTER:?} without a fault: {:?}", self.views(run)));
        }
        for (child, truth) in run.children.iter_mut().zip(&mut self.watch.truths) {
            if !child.ended {
                truth.cut(child.first_line + child.put_lines, child.partial());
                child.end();
            }
        }
        self.drain_if_ended(run);
        Ok(true)
    }

    /// All children have ended: what is left is to be delivered.
    fn drain_if_ended(&mut self, run: &mut Run) {
        if run.draining || !run.children.iter().all(|child| child.ended) {
            return;
        }
        run.draining = true;
        self.met(&[Fault::Drained], &self.views(run), false);
        let from = if self.is_patient() { self.clock.now.max(self.plan.calm_at) } else { self.clock.now };
        self.queue.push(from + self.plan.drain_timeout, Happening::GiveUp { run: run.number });
        if self.random.bool() {
            run.pump.drain(self.clock.mono());
            run.ship_bell.ring();
        }
    }

    /// After every turn: who was woken, and what holds at any time.
    fn look(&mut self, run: &mut Run) -> Result<(), String> {
        if run.intake_bell.clear() {
            for (index, child) in run.children.iter_mut().enumerate() {
                if child.waits && !child.is_stalled() {
                    child.waits = false;
                    self.queue.push(self.clock.now, Happening::Write { run: run.number, child: index });
                }
            }
        }
        if self.random.u32(0..200) == 0 {
            for (stream, ledger) in run.pump.ledgers().own.iter().enumerate() {
                if let Some(imbalance) = ledger.imbalance() {
                    return Err(format!("under way, the books of stream {stream}: {imbalance}"));
                }
            }
            let held: usize = self.views(run).iter().map(|view| view.held_bytes + view.open_bytes).sum();
            if held > self.memory_max() {
                return Err(format!("{held} bytes are held in bodies"));
            }
        }
        Ok(())
    }

    /// As docs/ARCHITECTURE.md has it.
    fn memory_max(&self) -> usize {
        2 * (self.plan.max_in_flight + 4) * 1280 * 1024 + 8 * 1024 * 1024
    }

    fn views(&self, run: &Run) -> Vec<View> {
        (0..run.children.len()).map(|stream| run.pump.view(stream)).collect()
    }

    fn met(&mut self, faults: &[Fault], views: &[View], draining: bool) {
        faults.iter().for_each(|fault| self.cover.met(*fault, views, draining));
    }

    /// kill -9: all memory is gone. What the children have not written is written by those of the next run.
    fn crash(&mut self, mut run: Run, profiles: &[Profile]) -> Vec<Profile> {
        let left = |(child, profile): (&Child, &Profile)| Profile { lines: child.unwritten_lines(), ..*profile };
        let profiles = run.children.iter().zip(profiles).map(left).collect();
        for (child, truth) in run.children.iter().zip(&mut self.watch.truths) {
            if !child.ended {
                truth.cut(child.first_line + child.put_lines, child.partial());
            }
        }
        let ledgers = run.pump.ledgers().own;
        ledgers.iter().zip(&mut self.clock_steps).for_each(|(ledger, steps)| *steps += ledger.clock_steps);
        self.watch.killed();
        self.clock.now += Duration::from_millis(self.random.u64(1..5000));
        profiles
    }

    fn finish(&mut self, mut run: Run, gave_up: bool) -> Result<(), String> {
        for (stream, ledger) in run.pump.ledgers().own.iter().enumerate() {
            let child = &run.children[stream];
            let lines = (child.put_lines + usize::from(!child.partial().is_empty())) as u64;
            let put = Count::new(lines, child.put_bytes);
            self.watch.check_ledger(stream, run.number, ledger, put, gave_up)?;
            if ledger.clock_steps > 0 && !self.clock_went_back {
                return Err(format!("stream {stream} followed a clock that was never set back"));
            }
            self.clock_steps[stream] += ledger.clock_steps;
        }
        Ok(())
    }
}
