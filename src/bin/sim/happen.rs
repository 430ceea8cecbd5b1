//! What happens to a run from outside, in the order of its time.

use std::rc::Rc;
use std::time::Duration;

use logpump::ship::answer::Answer;
use logpump::spool::store::Lane;
use logpump::spool::wire::Event;

use crate::body::Body;
use crate::child::Wrote;
use crate::coverage::Stage;
use crate::faults::Fault;
use crate::plan::Phase;
use crate::spool::Later;
use crate::world::{Run, STUCK_AFTER, World};

/// What storing the last bodies may take.
const SPILL_TIME: Duration = Duration::from_secs(1);
/// What a slow disk still costs when it is well again, and one that failed.
const LATE_MAX: Duration = Duration::from_secs(8);
const RETRY_MAX: Duration = Duration::from_secs(1);

pub enum Happening {
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
        group: usize,
        answer: Answer,
    },
    SpoolTurn {
        run: u32,
    },
    SpoolDone {
        run: u32,
        lane: Lane,
    },
    Begins(Phase),
    Ends(Phase),
    ClockStep(i64),
    Kill(Fault),
    /// `what`, when this stage is seen.
    Await {
        stage: Stage,
        patience: Duration,
        what: Box<Happening>,
    },
    /// SIGKILL for the children.
    Stop {
        run: u32,
    },
    /// The time to deliver is over.
    Spill {
        run: u32,
    },
    GiveUp {
        run: u32,
    },
}

impl Happening {
    /// What belongs to a run of logpump, and ends with it.
    fn run(&self) -> Option<u32> {
        match self {
            Happening::Write { run, .. }
            | Happening::Answered { run, .. }
            | Happening::StreamCreated { run, .. }
            | Happening::GroupCreated { run, .. }
            | Happening::SpoolTurn { run }
            | Happening::SpoolDone { run, .. }
            | Happening::Stop { run }
            | Happening::Spill { run }
            | Happening::GiveUp { run } => Some(*run),
            Happening::Await { what, .. } => what.run(),
            Happening::Arrive { .. }
            | Happening::Begins(_)
            | Happening::Ends(_)
            | Happening::ClockStep(_)
            | Happening::Kill(_) => None,
        }
    }
}

impl Happening {
    pub fn is_fault(&self) -> bool {
        match self {
            Happening::Begins(_) | Happening::ClockStep(_) | Happening::Kill(_) => true,
            Happening::Await { what, .. } => what.is_fault(),
            _ => false,
        }
    }

    fn is_answer(&self) -> bool {
        matches!(self, Happening::Answered { .. } | Happening::StreamCreated { .. } | Happening::GroupCreated { .. })
    }
}

impl World<'_> {
    /// True: the shipping thread is woken.
    pub fn happen(&mut self, run: &mut Run, happening: Happening) -> Result<bool, String> {
        if happening.run().is_some_and(|number| number != run.number) {
            return Ok(false);
        }
        if run.over && happening.is_answer() {
            // Calls end with their run.
            return Ok(false);
        }
        let now = self.clock.mono();
        match happening {
            Happening::Write { child, .. } => self.write(run, child),
            Happening::Arrive { run: number, call, body } => self.arrive(run, number, call, body),
            Happening::Answered { call, body, answer, .. } => {
                self.trace(|| format!("answer {} {answer:?}", body.words()));
                self.watch.answered(&body, &answer);
                run.pump.answered(call, answer, now);
                return Ok(true);
            }
            Happening::StreamCreated { stream, answer, .. } => {
                run.pump.stream_created(stream, answer, now);
                return Ok(true);
            }
            Happening::GroupCreated { group, answer, .. } => {
                run.pump.group_created(group, answer, now);
                return Ok(true);
            }
            Happening::SpoolTurn { .. } => self.turn_spool(run),
            Happening::SpoolDone { lane, .. } => {
                let spool = run.spool.as_mut().expect("it is its own");
                spool.done(lane, &mut self.disk, &self.clock);
                self.turn_spool(run);
            }
            Happening::Begins(phase) => {
                let lasts = phase.to - phase.from;
                let phase = Phase { from: self.clock.now, to: self.clock.now + lasts, ..phase };
                self.trace(|| format!("begins {phase:?}"));
                self.queue.push(phase.to, Happening::Ends(phase));
                self.begin(run, phase);
            }
            Happening::Ends(phase) if Fault::OF_DISKS.contains(&phase.fault) => self.disk.end(phase),
            Happening::Ends(phase) => self.service.end(phase),
            Happening::ClockStep(by) => {
                self.trace(|| format!("clock step {by}"));
                self.clock.off_ms += by;
                self.watch.clock_went_back |= by < 0;
                self.met(&[if by < 0 { Fault::ClockBack } else { Fault::ClockForward }], run);
            }
            Happening::Kill(fault) => {
                self.trace(|| format!("{fault:?}"));
                run.killed = Some(fault);
                return Ok(true);
            }
            Happening::Await { stage, patience, what } => self.begin_to_await(stage, patience, *what),
            Happening::Stop { .. } if run.draining => {}
            Happening::Stop { .. } => return self.stop(run),
            Happening::Spill { .. } => return self.spill(run),
            Happening::GiveUp { .. } => {
                run.give_up = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn write(&mut self, run: &mut Run, child: usize) {
        if run.children[child].ended {
            return;
        }
        let truth = &mut self.watch.logs[run.logs[child]].truth;
        match run.children[child].turn(self.clock.wall_ms(), truth) {
            Wrote::Next(pause) => {
                let at = self.clock.now + pause;
                self.queue.push(at, Happening::Write { run: run.number, child });
            }
            Wrote::Stalled => self.met(&[Fault::RingFull], run),
            Wrote::Ended => self.drain_if_ended(run),
        }
    }

    fn arrive(&mut self, run: &Run, number: u32, call: usize, body: Rc<Body>) {
        let true_ms = self.clock.true_ms();
        let fate = self.service.put(&body, &mut self.watch.logs[body.log].truth, true_ms);
        if number == run.number {
            self.met(&fate.faults, run);
            let at = self.clock.now + fate.after;
            self.queue.push(at, Happening::Answered { run: number, call, body, answer: fate.answer });
        }
    }

    fn begin(&mut self, run: &Run, phase: Phase) {
        if Fault::OF_DISKS.contains(&phase.fault) {
            if phase.fault != Fault::ShortWrite {
                let late = if matches!(phase.fault, Fault::DiskSlow | Fault::DiskStuck) { LATE_MAX } else { RETRY_MAX };
                self.bad_disk.push((phase.from, phase.to + late));
            }
            return self.disk.begin(phase);
        }
        if Fault::OF_FILES.contains(&phase.fault) {
            let struck = self.disk.strike(phase);
            if !struck.is_empty() {
                self.watch.struck(struck);
                self.watch.files_removed |= phase.fault == Fault::Removed;
                self.met(&[phase.fault], run);
            }
            return;
        }
        if matches!(phase.fault, Fault::GroupMissing | Fault::StreamDeleted) {
            self.met(&[phase.fault], run);
        }
        self.service.begin(phase);
    }

    /// The spool's thread looks around.
    pub fn turn_spool(&mut self, run: &mut Run) {
        let Some(spool) = &mut run.spool else { return };
        let (mut later, mut met) = (Vec::new(), Vec::new());
        let told = spool.events.len();
        if spool.turn(&mut self.disk, &self.clock, &mut later, &mut met) {
            run.ship_bell.ring();
        }
        for place in spool.unread_journals.drain(..) {
            self.watch.journal_unread(place);
        }
        for event in spool.events.iter().skip(told) {
            let (ticket, id) = match event {
                Event::Stored { ticket, id, .. } => (ticket, Some(*id)),
                Event::Refused { ticket, .. } => (ticket, None),
                _ => continue,
            };
            let body = run.tickets.remove(ticket).expect("it was asked for");
            match id {
                Some(id) => self.watch.stored(&body, spool.run(0), id),
                None => self.watch.not_stored(&body, self.clock.now),
            }
        }
        for later in later {
            let (after, happening) = match later {
                Later::Turn(after) => (after, Happening::SpoolTurn { run: run.number }),
                Later::Done(lane, after) => (after, Happening::SpoolDone { run: run.number, lane }),
            };
            self.queue.push(self.clock.now + after, happening);
        }
        self.met(&met, run);
    }

    fn stop(&mut self, run: &mut Run) -> Result<bool, String> {
        if run.patient {
            let stuck = run.children.iter().position(|child| !child.ended).expect("else it would drain");
            let view = run.pump.view(stuck);
            return Err(format!("child {stuck} cannot write, after {STUCK_AFTER:?} without a fault: {view:?}"));
        }
        for (child, log) in run.children.iter_mut().zip(&run.logs) {
            if !child.ended {
                self.watch.logs[*log].truth.cut(child.first_line + child.put_lines, child.partial());
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
        self.met(&[Fault::Drained], run);
        run.draining = true;
        let (from, wait) = match run.patient {
            true => (self.clock.now.max(self.plan.calm_at), STUCK_AFTER),
            false => (self.clock.now, self.plan.drain_timeout),
        };
        self.queue.push(from + wait, Happening::Spill { run: run.number });
        if !run.patient && self.random.bool() {
            let stage = Some(Stage::ALL[self.random.usize(0..Stage::ALL.len())]);
            self.plan(self.clock.now, stage, wait, Happening::Spill { run: run.number });
        }
        if self.random.bool() {
            run.pump.drain(self.clock.mono());
            run.ship_bell.ring();
        }
    }

    fn spill(&mut self, run: &mut Run) -> Result<bool, String> {
        if run.spilling {
            return Ok(false);
        }
        if run.patient {
            return Err(format!("it is not over after {STUCK_AFTER:?} without a fault: {:?}", self.views(run)));
        }
        self.met(&[Fault::GivenUp], run);
        run.spilling = true;
        self.queue.push(self.clock.now + SPILL_TIME, Happening::GiveUp { run: run.number });
        Ok(true)
    }
}
