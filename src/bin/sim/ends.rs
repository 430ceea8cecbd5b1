//! How runs of logpump end, and what must be found then.

use std::time::Duration;

use logpump::ledger::{Count, End};
use logpump::ship::WhenFull;
use logpump::spool::SyncPolicy;
use logpump::spool::wire::Request;

use crate::check::{self, Ending};
use crate::child::Child;
use crate::faults::Fault;
use crate::plan::Profile;
use crate::truth::Event;
use crate::world::{Run, Summary, World};

/// How long logpump waits for its spool to end.
const SPOOL_END_WAIT: Duration = Duration::from_millis(500);
/// A delivery is noted on a healthy disk by then, or one that writes in parts, so that a crash does not double it.
const NOTED_AFTER: Duration = Duration::from_secs(4);

impl World<'_> {
    /// kill -9, or worse: all memory is gone. What the children have not written is written by those of the next run.
    pub fn crash(&mut self, mut run: Run, profiles: &[Profile], fault: Fault) -> Result<Vec<Profile>, String> {
        self.met(&[fault], &run);
        self.crashes += 1;
        let left = |(child, profile): (&Child, &Profile)| Profile { lines: child.unwritten_lines(), ..*profile };
        let profiles = run.children.iter().zip(profiles).map(left).collect();
        for (child, log) in run.children.iter().zip(&run.logs) {
            if !child.ended {
                self.watch.logs[*log].truth.cut(child.first_line + child.put_lines, child.partial());
            }
            check::check_gaps(&self.watch.logs[*log], run.number, false)?;
        }
        let ledgers = run.pump.ledgers();
        let all = ledgers.own.iter().chain([&ledgers.adopted]);
        self.called_invalid += all.map(|ledger| ledger.ended(End::Invalid).lines).sum::<u64>();
        for (log, ledger) in run.logs.iter().zip(&ledgers.own) {
            self.clock_steps[*log] += ledger.clock_steps;
        }
        if let Some(spool) = run.spool {
            spool.kill(&mut self.disk);
        }
        let mut noted_until = self.noted_until();
        if fault == Fault::PowerLost {
            self.disk.lose_power();
            noted_until = Duration::ZERO;
            self.watch.power_lost = true;
            self.watch.may_lose_spooled |= self.plan.spool.is_some_and(|spool| spool.sync != SyncPolicy::Always);
        }
        self.watch.not_noted(noted_until, run.tickets.into_values());
        self.clock.now += Duration::from_millis(self.random.u64(1..5000));
        Ok(profiles)
    }

    pub fn finish(&mut self, mut run: Run, gave_up: bool) -> Result<(), String> {
        self.end_spool(&mut run)?;
        let noted_until = self.noted_until();
        self.watch.not_noted(noted_until, std::mem::take(&mut run.tickets).into_values());
        let ledgers = run.pump.ledgers();
        let wrong_name = self.plan.phases.iter().any(|phase| phase.fault == Fault::WrongName);
        let ending = Ending {
            run: run.number,
            gave_up,
            may_drop: self.plan.when_full == WhenFull::Drop,
            may_lose: self.watch.may_give_reads_up,
            doubtful: 0,
            may_be_unreadable: self.watch.set_aside[0] != Count::default(),
            had_invalid: wrong_name || self.plan.poison,
        };
        for (stream, ledger) in ledgers.own.iter().enumerate() {
            let (child, index) = (&run.children[stream], run.logs[stream]);
            let log = &self.watch.logs[index];
            let lines = (child.put_lines + usize::from(!child.partial().is_empty())) as u64;
            let put = Count::new(lines, child.put_bytes);
            let poisoned = log.truth.poisoned(run.number);
            let doubtful = self.doubtful(1);
            check::check_invalid(&log.name, ledger, poisoned, doubtful)?;
            check::check_ledger(log, ledger, put, &self.watch.own[index], Ending { doubtful, ..ending })?;
            check::check_gaps(log, run.number, !gave_up)?;
            if ledger.clock_steps > 0 && !self.watch.clock_went_back {
                return Err(format!("{} followed a clock that was never set back", log.name));
            }
            self.clock_steps[index] += ledger.clock_steps;
        }
        let unreadable: u64 = ledgers.own.iter().map(|ledger| ledger.ended(End::Unreadable).bytes).sum();
        let told = self.watch.set_aside[0];
        let unsure = self.watch.unsure[0];
        if !(told.bytes - unsure.bytes..=told.bytes).contains(&unreadable) {
            return Err(format!("{unreadable} bytes are booked as unreadable, of {told:?}"));
        }
        let poisoned = self.watch.adopted_poisoned;
        check::check_invalid("adopted streams", &ledgers.adopted, poisoned, self.doubtful(self.watch.logs.len()))?;
        let all = ledgers.own.iter().chain([&ledgers.adopted]);
        self.called_invalid += all.map(|ledger| ledger.ended(End::Invalid).lines).sum::<u64>();
        check::check_adopted(&ledgers.adopted, &self.watch)
    }

    /// How many good lines may be called invalid in a run because names were wrong for a while: of each stream and time,
    /// three, and three with each call that had been taken before and was answered after that.
    fn doubtful(&self, streams: usize) -> u64 {
        let wrong_names = self.plan.phases.iter().filter(|phase| phase.fault == Fault::WrongName).count();
        let events = (3 * (self.plan.stream_window + 1) * wrong_names * streams) as u64;
        // Lines.
        let longest = self.watch.logs.iter().map(|log| log.truth.longest.max(1)).max().unwrap_or(1);
        events * longest
    }

    /// What was done before is noted on disk, unless that lost its power.
    fn noted_until(&self) -> Duration {
        let mut until = self.clock.now.saturating_sub(NOTED_AFTER);
        // Again, as they may overlap.
        for _ in &self.bad_disk {
            for (from, to) in &self.bad_disk {
                if *to > until {
                    until = until.min(from.saturating_sub(NOTED_AFTER));
                }
            }
        }
        until
    }

    fn end_spool(&mut self, run: &mut Run) -> Result<(), String> {
        run.over = true;
        let Some(spool) = &mut run.spool else { return Ok(()) };
        spool.send(Request::End);
        self.turn_spool(run);
        let until = self.clock.now + SPOOL_END_WAIT;
        while let Some(at) = self.queue.next_at().filter(|at| *at <= until) {
            if run.spool.as_ref().is_some_and(|spool| spool.is_over()) {
                return self.hear_spool(run).map(|_| ());
            }
            self.clock.now = self.clock.now.max(at);
            if let Some(happening) = self.queue.pop_due(at) {
                self.happen(run, happening)?;
            }
            self.hear_spool(run)?;
        }
        let over = run.spool.as_ref().is_some_and(|spool| spool.is_over());
        if let (false, Some(spool)) = (over, run.spool.take()) {
            // It is left behind.
            spool.kill(&mut self.disk);
        }
        Ok(())
    }

    /// All runs are over: what a reader finds.
    pub fn sum_up(&mut self) -> Result<Summary, String> {
        let mut summary = Summary { turns: self.turns, crashes: self.crashes, ..Summary::default() };
        let (mut lost_lines, mut last_lost) = (0, None);
        for (index, log) in self.watch.logs.iter().enumerate() {
            check::check_reader(log, self.clock_steps[index], self.watch.clock_went_back)?;
            let is_left = |event: &Event| event.end.is_none() && event.stored == 0 && !event.poisoned;
            let is_lost = |event: &Event| event.spooled && !event.spoiled && is_left(event);
            for (at, _) in log.truth.events.iter().enumerate().filter(|(_, event)| is_lost(event)) {
                // A line that is cut counts once.
                lost_lines += log.truth.count_of(at as u32).lines;
                last_lost = Some((at, &log.name));
            }
            summary.events += log.truth.events.len() as u64;
            summary.lines += log.truth.lines.len() as u64;
            summary.joined += (0..=self.watch.run).map(|run| log.joined_lines(run)).sum::<u64>();
            for event in &log.truth.events {
                let of = event.first_stored ^ (event.timestamp_ms as u64) << 20 ^ u64::from(event.stored) << 50;
                summary.digest = (summary.digest ^ of).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
            }
        }
        let excused = self.watch.may_lose_spooled || self.watch.may_give_reads_up;
        // Which lines were called invalid nobody knows, only how many.
        match last_lost.filter(|_| !excused && lost_lines > self.called_invalid) {
            Some((event, name)) => {
                Err(format!("event {event} of {name} was spooled, and is lost, as are {lost_lines} lines in all"))
            }
            None => Ok(summary),
        }
    }
}

/// What an end of a line that was adopted can be.
pub const OF_ADOPTED: [End; 4] = [End::Delivered, End::TooOld, End::Expired, End::TooNew];
