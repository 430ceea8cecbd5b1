//! Whether all segments are still there: others may remove them, as cleaners of temporary directories do, or move the
//! directory away, and then nobody finds them. One that is missed has all of them looked at; and so has the end, before anyone is told what the next run will find.

use std::collections::VecDeque;
use std::io;

use super::{Op, Outcome, SegmentId, Store};
use crate::ledger::{Count, counted};
use crate::spool::entry::Sum;
use crate::spool::wire::Event;

#[derive(Default)]
pub(super) struct Census {
    /// To be looked at.
    queue: VecDeque<SegmentId>,
    /// What is gone and was not said yet.
    segments: u64,
    count: Count,
    /// It began with all segments.
    is_whole: bool,
    /// The last one has begun.
    last: bool,
    directory_said: bool,
}

impl Store {
    pub(super) fn take_census(&mut self) {
        let all = |(run, it): (usize, &super::Run)| {
            let run = run as u32;
            it.segments.keys().map(move |segment| SegmentId { run, segment: *segment }).collect::<Vec<_>>()
        };
        self.census.is_whole = true;
        self.census.queue = self.runs.iter().enumerate().flat_map(all).collect();
    }

    /// Nothing may be written for long: one segment of each run shows whether its directory is where it should be.
    pub fn look_around(&mut self) {
        let first = |(run, it): (usize, &super::Run)| {
            let (segment, _) = it.segments.first_key_value()?;
            Some(SegmentId { run: run as u32, segment: *segment })
        };
        self.census.queue.extend(self.runs.iter().enumerate().filter_map(first));
    }

    pub(super) fn next_check(&mut self) -> Option<Op> {
        let settled = self.append.is_empty() && self.append.current.is_none();
        if self.ending && settled && !std::mem::replace(&mut self.census.last, true) {
            self.take_census();
        }
        while let Some(id) = self.census.queue.pop_front() {
            if self.segment(id).is_some() {
                return Some(Op::Check(id));
            }
        }
        self.census.is_whole = false;
        if self.census.last {
            self.lose_held();
        }
        self.say_gone();
        None
    }

    pub(super) fn checked(&mut self, id: SegmentId, result: io::Result<Outcome>) {
        // Of another error nothing is known: it may well be there.
        let is_gone = result.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_gone && !self.is_written_to(id) && self.segment(id).is_some() {
            if self.census.is_whole { self.forget(id) } else { self.gone(id) }
        }
    }

    /// A write that is under way will find out by itself, or the last census.
    pub(super) fn is_written_to(&self, id: SegmentId) -> bool {
        id.run == 0 && self.append.current == Some(id.segment) && self.append.is_writing()
    }

    /// It was found missing. Others may be missing, too.
    pub(super) fn gone(&mut self, id: SegmentId) {
        self.forget(id);
        self.take_census();
    }

    fn forget(&mut self, id: SegmentId) {
        if id.run == 0 {
            self.refuse_unsynced(id.segment, &io::ErrorKind::NotFound.into());
            if self.append.current == Some(id.segment) {
                (self.append.current, self.append.rotate) = (None, false);
            }
            self.sync.dirty.remove(&id.segment);
        }
        self.care.finished.remove(&id);
        self.care.unjournalled.remove(&id);
        let Some(segment) = self.runs[id.run as usize].segments.remove(&id.segment) else { return };
        self.used -= segment.disk_bytes();
        if segment.announced > 0 {
            self.events.push_back(Event::Freed { bytes: segment.announced });
        }
        self.census.segments += 1;
        if id.run == 0 && self.load.held.keys().any(|held| (held.run, held.segment) == (0, id.segment)) {
            self.events.push_back(Event::Missing { segment: id.segment });
        }
        for (key, sum) in segment.waiting.sums() {
            self.lost(id.run, key, sum);
        }
        if !segment.scanned {
            self.announce(id.run);
        }
    }

    /// What ship has in memory of segments that are gone is not on disk for the next run, either.
    fn lose_held(&mut self) {
        let is_gone = |id: &SegmentId| self.segment(*id).is_none();
        let of = |(id, _): (&crate::spool::wire::EntryId, &_)| SegmentId { run: id.run, segment: id.segment };
        let gone: Vec<_> = self.load.held.iter().filter(|held| is_gone(&of(*held))).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(held) = self.load.held.remove(&id) {
                self.census.count += held.sum.count;
                self.tell_of(id.run, Event::HeldGone { id, key: held.key, sum: held.sum });
            }
        }
    }

    pub(super) fn lost(&mut self, run: u32, key: u64, sum: Sum) {
        self.census.count += sum.count;
        self.tell_of(run, Event::Gone { run, key, sum });
    }

    pub(super) fn directory_was_gone(&mut self) {
        if !std::mem::replace(&mut self.census.directory_said, true) {
            self.say(
                "our directory was removed, or moved away, while we use it, and is made again; name one with --spool-dir \
                 that nobody cleans up"
                    .into(),
            );
        }
        self.take_census();
    }

    fn say_gone(&mut self) {
        let (segments, count) = (std::mem::take(&mut self.census.segments), std::mem::take(&mut self.census.count));
        if count != Count::default() {
            self.say(format!(
                "{} removed, or moved away, while in use, and with that {count} still to be sent: counted as \
                 dropped{{unreadable}}; name a directory with --spool-dir that nobody cleans up",
                counted(segments, "file of the spool was", "files of the spool were")
            ));
        }
    }
}
