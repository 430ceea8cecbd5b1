//! One seed: the real pump with real rings and a real spool, between simulated children, a simulated service and a
//! simulated disk. This file has the runs of logpump and their loop; `happen` has what happens to them, `ends` their
//! ends.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use logpump::ledger::End;
use logpump::ring::ring;
use logpump::ship::core::{self, Action, View};
use logpump::ship::pump::{self, Pump};
use logpump::ship::{Stream, Treatment};
use logpump::spool::entry::Address;
use logpump::sys::bell::Bell;

use crate::awaited::{AWAITED_MAX, Awaited};
use crate::body::Body;
use crate::check;
use crate::child::Child;
use crate::clock::{Clock, Queue};
use crate::coverage::Coverage;
use crate::disk::Disk;
use crate::faults::Fault;
use crate::happen::Happening;
use crate::plan::{Plan, Profile};
use crate::service::Service;
use crate::spool::Spool;
use crate::watch::Watch;

const GROUP: &str = "/sim";
/// So many turns of the loop at the most, and so many of them at one instant.
const TURNS_MAX: u64 = 1_000_000;
const TURNS_AT_ONCE_MAX: u32 = 10_000;
/// What is done at one instant: more is a circle.
const ACTIONS_AT_ONCE_MAX: u32 = 10_000;
const PAST_DUES_MAX: u32 = 1;
/// Whoever cannot go on for so long, with all being well, is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(3600);
/// How long the last run, which has only to adopt, waits for its spool to look around.
const ADOPTION: Duration = Duration::from_secs(120);

/// One run of logpump, from its start to its end or its crash.
pub struct Run {
    pub number: u32,
    pub pump: Pump,
    pub spool: Option<Spool>,
    /// What the spool was asked to store.
    pub tickets: HashMap<u64, Rc<Body>>,
    pub children: Vec<Child>,
    /// The log stream of each.
    pub logs: Vec<usize>,
    pub intake_bell: Arc<Bell>,
    pub ship_bell: Arc<Bell>,
    pub draining: bool,
    pub spilling: bool,
    pub give_up: bool,
    /// Only its spool has still to end.
    pub over: bool,
    /// How often in a row it wanted to be woken in the past.
    past_dues: u32,
    pub killed: Option<Fault>,
    /// It never gives up: if it is not over, something is stuck.
    pub patient: bool,
}

pub enum Outcome {
    Over,
    GaveUp,
    Killed(Fault),
}

pub struct World<'a> {
    pub plan: &'a Plan,
    pub clock: Clock,
    pub queue: Queue<Happening>,
    pub awaited: Vec<Awaited>,
    /// From when to when the disk was slow, or failed, as a whole, and what that cost afterwards.
    pub bad_disk: Vec<(Duration, Duration)>,
    pub service: Service,
    pub disk: Disk,
    pub watch: Watch,
    pub random: Rng,
    pub cover: &'a mut Coverage,
    /// How often timestamps went back with the clock, by log stream.
    pub clock_steps: Vec<u64>,
    /// Lines that runs of logpump called invalid.
    pub called_invalid: u64,
    pub turns: u64,
    pub crashes: u64,
}

/// What a seed came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub turns: u64,
    pub events: u64,
    pub lines: u64,
    /// Of these, joined to others.
    pub joined: u64,
    pub crashes: u64,
    /// The same seed has the same.
    pub digest: u64,
}

pub fn simulate(plan: &Plan, cover: &mut Coverage) -> Result<Summary, String> {
    let mut world = World {
        plan,
        clock: Clock::new(),
        queue: Queue::new(),
        awaited: Vec::new(),
        bad_disk: Vec::new(),
        service: Service::new(plan),
        disk: Disk::new(plan.seed),
        watch: Watch::new(GROUP.to_owned()),
        random: Rng::with_seed(plan.seed ^ 0x3071D),
        cover,
        clock_steps: Vec::new(),
        called_invalid: 0,
        turns: 0,
        crashes: 0,
    };
    world.watch.may_give_reads_up = plan.may_give_reads_up();
    world.watch.is_strict = plan.stream_window == 1;
    for phase in &plan.phases {
        world.plan(phase.from, phase.when, AWAITED_MAX, Happening::Begins(*phase));
    }
    for (at, stage, by) in &plan.clock_steps {
        world.plan(*at, *stage, AWAITED_MAX, Happening::ClockStep(*by));
    }
    for (at, stage, fault) in &plan.kills {
        world.plan(*at, *stage, AWAITED_MAX, Happening::Kill(*fault));
    }
    world.live().map_err(|what| format!("{what} (at {:?}, turn {})", world.clock.now, world.turns))
}

impl World<'_> {
    fn live(&mut self) -> Result<Summary, String> {
        let mut profiles = self.plan.streams.clone();
        let patient = self.plan.drain_timeout >= STUCK_AFTER;
        // Bounded: a plan has some kills.
        let mut number = 0;
        loop {
            let mut run = self.start(number, &profiles, patient);
            number += 1;
            match self.turn_until_over(&mut run)? {
                Outcome::Killed(fault) => profiles = self.crash(run, &profiles, fault)?,
                // At the last moment.
                Outcome::Over if self.crashes == 0 => profiles = self.crash(run, &profiles, Fault::Killed)?,
                Outcome::Over => break self.finish(run, false)?,
                Outcome::GaveUp => break self.finish(run, true)?,
            }
        }
        // What is on disk is somebody's to deliver, unless it cannot be: of runs that have nothing else to do, and whose
        // last has nothing in its way.
        profiles.iter_mut().for_each(|profile| profile.lines = 0);
        let mut is_calm = false;
        // Bounded, as above.
        while self.disk.has_segments() {
            let mut run = self.start(number, &profiles, true);
            number += 1;
            match self.turn_until_over(&mut run)? {
                Outcome::Killed(fault) => drop(self.crash(run, &profiles, fault)?),
                Outcome::Over | Outcome::GaveUp => {
                    self.finish(run, false)?;
                    if is_calm && self.disk.has_segments() {
                        return Err("segments are left, and nothing was in their way".into());
                    }
                    self.calm();
                    is_calm = true;
                }
            }
        }
        self.sum_up()
    }

    /// From now on nothing goes wrong.
    fn calm(&mut self) {
        self.awaited.clear();
        self.queue.retain(|happening| !happening.is_fault());
        self.service.calm();
        self.disk.calm();
    }

    fn start(&mut self, number: u32, profiles: &[Profile], patient: bool) -> Run {
        let bell = || Bell::new().expect("an eventfd");
        let (intake_bell, ship_bell) = (bell(), bell());
        let (mut children, mut streams, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        self.watch.begin_run(number);
        for (index, profile) in profiles.iter().enumerate() {
            let (filler, drainer) = ring(self.plan.ring_bytes, &intake_bell, &ship_bell).expect("memory for a ring");
            let name = if self.plan.fresh_names { format!("s-{number}-{index}") } else { format!("s-{index}") };
            let log = self.watch.log(&name);
            logs.push(log);
            self.clock_steps.resize(self.watch.logs.len(), 0);
            let first_line = self.watch.logs[log].truth.lines.len();
            children.push(Child::new(*profile, number, filler, self.random.u64(..), first_line));
            let address = Address { group: GROUP.to_owned(), stream: name, ..Address::default() };
            let (joins, distinct_milliseconds) = (profile.joins, profile.distinct);
            let treatment = Treatment { joins, distinct_milliseconds, ..Treatment::default() };
            streams.push(Stream { address: Arc::new(address), ring: drainer, treatment });
            let wait = Duration::from_micros(self.random.u64(0..5000));
            let wait = if profiles.iter().all(|profile| profile.lines == 0) { ADOPTION } else { wait };
            self.queue.push(self.clock.now + wait, Happening::Write { run: number, child: index });
        }
        let (disk, trace) = (&mut self.disk, self.plan.trace);
        let spool = self.plan.spool.map(|plan| Spool::start(&plan, u64::from(number) + 1, disk, trace));
        self.queue.push(self.clock.now, Happening::SpoolTurn { run: number });
        let stop_at = if patient { STUCK_AFTER } else { self.plan.stop_after };
        self.queue.push(self.clock.now.max(self.plan.calm_at) + stop_at, Happening::Stop { run: number });
        if let (Some(stage), false) = (self.plan.stop_when, patient) {
            self.plan(self.clock.now + self.plan.stop_after, Some(stage), stop_at, Happening::Stop { run: number });
        }
        Run {
            number,
            pump: Pump::new(streams, self.pump_options(), None),
            spool,
            tickets: HashMap::new(),
            children,
            logs,
            intake_bell,
            ship_bell,
            draining: false,
            spilling: false,
            give_up: false,
            over: false,
            past_dues: 0,
            killed: None,
            patient,
        }
    }

    fn pump_options(&mut self) -> pump::Options {
        let disk =
            |plan: crate::plan::SpoolPlan| core::DiskOptions { bytes_max: plan.bytes_max, durable: plan.durable };
        let core = core::Options {
            max_in_flight: self.plan.max_in_flight,
            stream_window: self.plan.stream_window,
            create_group: self.plan.create_group,
            body_bytes_max: self.plan.body_bytes_max,
            disk: self.plan.spool.map(disk),
            seed: self.random.u64(..),
        };
        let (gzip, linger, when_full) = (self.plan.gzip, self.plan.linger, self.plan.when_full);
        // What the children write is checked line by line: none is to be cut for want of memory.
        pump::Options { gzip, linger, when_full, assembly_bytes_max: usize::MAX, core }
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
            self.strike_awaited(run);
            while let Some(happening) = self.queue.pop_due(self.clock.now) {
                self.happen(run, happening)?;
            }
            if let Some(fault) = run.killed {
                return Ok(Outcome::Killed(fault));
            }
            if run.give_up || (run.spilling && run.pump.is_spilled()) {
                run.pump.give_up(End::Shutdown, self.clock.both());
                self.perform(run)?;
                return Ok(Outcome::GaveUp);
            }
            if run.spilling {
                run.pump.spill();
            }
            let heard = self.hear_spool(run)?;
            let worked = run.pump.turn(self.clock.both());
            let performed = self.perform(run)?;
            self.look(run)?;
            if run.pump.is_over(self.clock.mono()) {
                // What has not to be delivered in this run stays on disk.
                run.pump.give_up(End::Shutdown, self.clock.both());
                self.perform(run)?;
                return Ok(Outcome::Over);
            }
            if heard || worked || performed {
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
                Action::Send { call, stream, entry, .. } => {
                    let body = self.watch.sent(&entry, stream < run.logs.len())?;
                    let own = stream < run.logs.len();
                    self.trace(|| format!("send {} own {own} serial {}", body.words(), entry.serial));
                    let at = self.clock.now + self.service.way();
                    self.queue.push(at, Happening::Arrive { run: number, call, body });
                }
                Action::CreateStream { stream, address } => {
                    let log = self.watch.log(&address.stream);
                    let fate = self.service.create_stream(log);
                    self.met(&fate.faults, run);
                    let happening = Happening::StreamCreated { run: number, stream, answer: fate.answer };
                    self.queue.push(self.clock.now + fate.after, happening);
                }
                Action::CreateGroup { group, .. } => {
                    let fate = self.service.create_group();
                    self.met(&fate.faults, run);
                    let happening = Happening::GroupCreated { run: number, group, answer: fate.answer };
                    self.queue.push(self.clock.now + fate.after, happening);
                }
                Action::Spool(request) => self.ask_spool(run, request)?,
                Action::Say(notice) => self.trace(|| notice.to_string()),
                Action::RenewCredentials => {}
            }
        }
        Ok(actions > 0)
    }

    /// For `--trace`.
    pub fn trace(&self, what: impl FnOnce() -> String) {
        if self.plan.trace {
            println!("{:12.6} run {} {}", self.clock.now.as_secs_f64(), self.watch.run, what());
        }
    }

    /// Until a ring's wake-up, an answer or the time that was asked for.
    fn sleep(&mut self, run: &mut Run) -> Result<(), String> {
        let Some(due) = run.pump.may_sleep(self.clock.mono()) else {
            run.pump.awake();
            return Ok(());
        };
        if let Some(due) = due.filter(|due| *due <= self.clock.mono()) {
            // Once: what the last poll found out may be the next turn's work.
            run.past_dues += 1;
            if run.past_dues > PAST_DUES_MAX {
                let ago = self.clock.mono() - due;
                return Err(format!("it wants to be woken {ago:?} ago, again: {:?}", self.views(run)));
            }
            run.pump.awake();
            return Ok(());
        }
        run.past_dues = 0;
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
            let ledgers = run.pump.ledgers();
            for (log, ledger) in run.logs.iter().zip(&ledgers.own) {
                check::check_identity(&self.watch.logs[*log].name, ledger)?;
            }
            check::check_identity("adopted streams", &ledgers.adopted)?;
            let held: usize = self.views(run).iter().map(|view| view.held_bytes + view.open_bytes).sum();
            // As docs/ARCHITECTURE.md has it.
            if held > self.plan.body_bytes_max {
                return Err(format!("{held} bytes are held in bodies"));
            }
        }
        Ok(())
    }

    pub fn views(&self, run: &Run) -> Vec<View> {
        (0..run.children.len()).map(|stream| run.pump.view(stream)).collect()
    }

    pub fn met(&mut self, faults: &[Fault], run: &Run) {
        if !faults.is_empty() {
            let views = self.views(run);
            faults.iter().for_each(|fault| self.cover.met(*fault, &views, run.draining));
        }
    }
}
