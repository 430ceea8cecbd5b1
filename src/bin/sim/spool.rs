//! The spool's thread: the real store between what ship asks and the simulated disk.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use logpump::spool::store::{Completion, LANES, Lane, Op, Options, Outcome, Store};
use logpump::spool::wire::{Event, Request};

use crate::clock::Clock;
use crate::disk::{Disk, Fate};
use crate::faults::Fault;
use crate::plan::SpoolPlan;

pub struct Spool {
    store: Store,
    /// Of the runs by their number: our own first.
    runs: Vec<u64>,
    /// Sent by ship, and not seen yet.
    requests: VecDeque<Request>,
    /// Said, and not heard yet by ship.
    pub events: VecDeque<Event>,
    flying: [Option<(Op, Fate)>; LANES.len()],
    /// When it was last asked to be woken.
    due: Option<Duration>,
    /// Journals that it gave up to read, by run and segment.
    pub unread_journals: Vec<(u64, u32)>,
    /// Say what the disk does.
    trace: bool,
}

/// What is to happen later.
pub enum Later {
    Turn(Duration),
    Done(Lane, Duration),
}

impl Spool {
    /// With all that ended runs have left.
    pub fn start(plan: &SpoolPlan, run: u64, disk: &mut Disk, trace: bool) -> Spool {
        disk.sweep();
        let found = disk.found();
        let runs = std::iter::once(run).chain(found.iter().map(|found| found.id)).collect();
        let options = Options { run, bytes_max: plan.bytes_max, sync: plan.sync };
        let store = Store::new(options, found).with_segment_bytes_max(plan.segment_bytes_max);
        Spool {
            store,
            runs,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            flying: [const { None }; LANES.len()],
            due: None,
            unread_journals: Vec::new(),
            trace,
        }
    }

    /// By its number for ship: 0 is our own.
    pub fn run(&self, number: u32) -> u64 {
        self.runs[number as usize]
    }

    pub fn send(&mut self, request: Request) {
        self.requests.push_back(request);
    }

    pub fn is_over(&self) -> bool {
        self.store.is_over()
    }

    /// The thread looks around. True: ship is told something.
    pub fn turn(&mut self, disk: &mut Disk, clock: &Clock, later: &mut Vec<Later>, met: &mut Vec<Fault>) -> bool {
        self.requests.drain(..).for_each(|request| self.store.request(request));
        while let Some(op) = self.store.next_op(clock.mono()) {
            let fate = disk.submit(&op, &self.runs, clock.now);
            met.extend(fate.fault);
            later.push(Later::Done(op.lane(), fate.after));
            let lane = op.lane() as usize;
            assert!(self.flying[lane].is_none(), "two operations of a lane at the same time");
            self.flying[lane] = Some((op, fate));
        }
        let before = self.events.len();
        while let Some(event) = self.store.next_event() {
            self.events.push_back(event);
        }
        while let Some(notice) = self.store.next_notice() {
            self.unread_journals.extend(unread_journal(&notice));
        }
        let due = self.store.next_due().map(|due| clock.at(due));
        if due != self.due {
            self.due = due;
            later.extend(due.map(|due| Later::Turn(due.saturating_sub(clock.now))));
        }
        self.events.len() > before
    }

    pub fn done(&mut self, lane: Lane, disk: &mut Disk, clock: &Clock) {
        let (op, fate) = self.flying[lane as usize].take().expect("it was under way");
        let result = disk.perform(&op, &fate, &self.runs);
        if self.trace {
            println!("{:12.6} {}", clock.now.as_secs_f64(), words(&op, &result));
        }
        self.store.completed(Completion { lane, result }, clock.mono());
    }

    /// kill -9.
    pub fn kill(self, disk: &mut Disk) {
        for (op, fate) in self.flying.into_iter().flatten() {
            disk.killed(&op, &fate, &self.runs);
        }
    }
}

fn unread_journal(notice: &str) -> Option<(u64, u32)> {
    let name = notice.strip_prefix("cannot read the journal of the spool's ")?.split(".seg").next()?;
    let (run, segment) = name.split_once('/')?;
    Some((u64::from_str_radix(run, 16).ok()?, segment.parse().ok()?))
}

/// For `--trace`: without the bytes.
fn words(op: &Op, result: &io::Result<Outcome>) -> String {
    let of = match op {
        Op::Append { segment, at, parts } => {
            format!("Append {segment:?} at {at}, {} bytes", parts.iter().map(Bytes::len).sum::<usize>())
        }
        Op::AppendJournal { segment, at, bytes } => format!("AppendJournal {segment:?} at {at}, {} bytes", bytes.len()),
        op => format!("{op:?}"),
    };
    match result {
        Ok(Outcome::Read(bytes)) => format!("disk: {of}: {} bytes", bytes.len()),
        result => format!("disk: {of}: {result:?}"),
    }
}
