//! The spool's store: a state machine without I/O or clock. Requests and completions come in, operations and events go
//! out. The thread performs the operations on a disk; so may a simulation.
//!
//! An entry is in the queue of stores, or in a segment: there it waits, is with ship, or is done. A segment whose
//! entries are all done is deleted. `append` and `sync` have the way in, `load` and `scan` the way out, `care` the
//! journals and what is deleted or set aside, `census` what others removed.

mod append;
mod care;
mod census;
mod load;
mod op;
mod scan;
mod segment;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use super::entry::Sum;
use super::record::File;
use super::wire::{EntryId, Event, Request};
use crate::limits::{SPOOL_SEGMENT_BYTES_MAX, SPOOL_SEGMENT_BYTES_MIN, SPOOL_SEGMENTS};
pub use op::{Completion, LANES, Lane, Op, Outcome};
pub use segment::SegmentId;
use segment::{JOURNAL_ENTRY_BYTES, Run, Segment};

/// When written bytes are made durable: against power loss, that is. A killed process loses none that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    Never,
    /// After `SPOOL_SYNC_BYTES` or `SPOOL_SYNC_INTERVAL`.
    Interval,
    /// Before an entry is called stored.
    Always,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Our run's id.
    pub run: u64,
    /// Of all files: ours, adopted ones, and what is set aside.
    pub bytes_max: u64,
    pub sync: SyncPolicy,
}

/// Another run's directory, locked by us: what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub id: u64,
    /// Number, bytes, and bytes of the journal.
    pub segments: Vec<(u32, u64, u64)>,
    /// Of files that were set aside.
    pub aside_bytes: u64,
    /// Of other files.
    pub other_bytes: u64,
}

pub struct Store {
    options: Options,
    segment_bytes_max: u64,
    /// Our own first, then adopted ones, oldest first.
    runs: Vec<Run>,
    used: u64,
    /// What is under way, of each lane.
    flying: [Option<Op>; LANES.len()],
    events: VecDeque<Event>,
    notices: VecDeque<String>,
    append: append::Append,
    sync: sync::Sync,
    load: load::Load,
    scan: scan::Scans,
    care: care::Care,
    census: census::Census,
    searched: bool,
    ending: bool,
    over: bool,
}

impl Store {
    /// `found`: oldest first.
    pub fn new(options: Options, found: Vec<Found>) -> Store {
        let segment_bytes_max =
            (options.bytes_max / SPOOL_SEGMENTS).clamp(SPOOL_SEGMENT_BYTES_MIN, SPOOL_SEGMENT_BYTES_MAX);
        let mut store = Store {
            options,
            segment_bytes_max,
            runs: vec![Run { id: options.run, adopted: true, ..Run::default() }],
            used: 0,
            flying: [const { None }; LANES.len()],
            events: VecDeque::new(),
            notices: VecDeque::new(),
            append: append::Append::default(),
            sync: sync::Sync::default(),
            load: load::Load::default(),
            scan: scan::Scans::default(),
            care: care::Care::default(),
            census: census::Census::default(),
            searched: false,
            ending: false,
            over: false,
        };
        found.into_iter().for_each(|found| store.adopt(found));
        store
    }

    /// For tests, which need many small ones.
    pub fn with_segment_bytes_max(mut self, segment_bytes_max: u64) -> Store {
        self.segment_bytes_max = segment_bytes_max;
        self
    }

    // ---- what comes in -----------------------------------------------------------------------

    pub fn request(&mut self, request: Request) {
        match request {
            Request::Store { ticket, entry, keep } => self.append.queue(ticket, entry, keep),
            Request::Load { except } => self.load.queue(except),
            Request::Done(id) => self.done(id),
            Request::Unwanted { id, key, sum } => self.unwanted(id, key, sum),
            Request::PutBack(id) => self.put_back(id),
            Request::End => self.ending = true,
        }
    }

    /// The answer to the operation under way in its lane.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        let op = self.flying[completion.lane as usize].take().expect("a completion belongs to an operation under way");
        let result = completion.result;
        match op {
            Op::Create(segment) => self.created(segment, result),
            Op::Append { .. } => self.appended(result, now),
            Op::Truncate { .. } => self.truncated(result),
            Op::Sync { segment, .. } => self.synced(segment, result, now),
            Op::Read { segment, at, bytes } => self.read(load::Asked { segment, at, bytes }, result, now),
            Op::ReadJournal { segment } => self.journal_read(segment, result, now),
            Op::AppendJournal { segment, at, bytes } => self.journalled(segment, at, bytes.len(), result, now),
            Op::CopyAside { segment, bytes, .. } => self.copied_aside(segment, bytes, result),
            Op::RenameAside(segment) => self.renamed_aside(segment, result, now),
            Op::Delete(segment) => self.deleted(segment, result, now),
            Op::Check(segment) => self.checked(segment, result),
            Op::RemoveRun { run } => self.run_removed(run, result),
        }
    }

    // ---- what goes out -----------------------------------------------------------------------

    /// What is to be done now. Call until None after every request, completion and `next_due`.
    pub fn next_op(&mut self, now: Instant) -> Option<Op> {
        for lane in LANES {
            if self.flying[lane as usize].is_some() {
                continue;
            }
            let op = match lane {
                Lane::Append => self.next_append(),
                Lane::Sync => self.next_sync(now),
                Lane::Read => self.next_read(now),
                Lane::Care => self.next_care(now),
            };
            if let Some(op) = op {
                assert_eq!(op.lane(), lane);
                self.flying[lane as usize] = Some(op.clone());
                return Some(op);
            }
        }
        if self.ending && !self.over && self.flying.iter().all(Option::is_none) {
            self.over = true;
            self.say_doubled();
            self.events.push_back(Event::Ended);
        }
        None
    }

    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        let last_adopted = event.is_none() && self.runs.iter().all(|run| run.adopted);
        event.or_else(|| (last_adopted && !std::mem::replace(&mut self.searched, true)).then_some(Event::Searched))
    }

    /// For people: a failure of the disk that no event tells.
    pub fn next_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// When `next_op` has something to do again by itself.
    pub fn next_due(&self) -> Option<Instant> {
        let idle = |lane: Lane| self.flying[lane as usize].is_none();
        let sync = self.sync_due().filter(|_| idle(Lane::Sync));
        let read = self.load.rest_until.filter(|_| idle(Lane::Read));
        let care = self.care.next_due().filter(|_| idle(Lane::Care));
        [sync, read, care].into_iter().flatten().min()
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    /// No segment is on disk.
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.segments.is_empty())
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.used
    }

    // ---- for all parts -----------------------------------------------------------------------

    fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.runs[id.run as usize].segments.get(&id.segment)
    }

    fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.runs[id.run as usize].segments.get_mut(&id.segment)
    }

    fn file(&self, id: SegmentId) -> File {
        File { run: self.runs[id.run as usize].id, segment: id.segment }
    }

    fn is_busy(&self, id: SegmentId) -> bool {
        self.flying.iter().flatten().any(|op| op.segment() == Some(id))
    }

    /// It will never be loaded again.
    fn finish(&mut self, id: EntryId) {
        self.finish_delivered(id, 0);
    }

    /// The same; coming again, these lines would be there twice.
    fn finish_delivered(&mut self, id: EntryId, lines: u64) {
        let segment_id = SegmentId { run: id.run, segment: id.segment };
        if self.segment_mut(segment_id).is_some_and(|segment| segment.finish(id.index, lines)) {
            self.care.unjournalled.insert(segment_id);
            self.note_finished(segment_id);
        }
    }

    fn note_finished(&mut self, id: SegmentId) {
        if self.segment(id).is_some_and(Segment::is_finished) {
            self.care.finished.insert(id);
        }
    }

    fn done(&mut self, id: EntryId) {
        let lines = self.load.held.remove(&id).map_or(0, |held| held.sum.count.lines);
        self.finish_delivered(id, lines);
    }

    /// Done, though it may still count as what waits here.
    fn unwanted(&mut self, id: EntryId, key: u64, sum: Sum) {
        if self.load.held.contains_key(&id) {
            return self.done(id);
        }
        let segment = self.segment_mut(SegmentId { run: id.run, segment: id.segment });
        let Some(segment) = segment.filter(|segment| !segment.done.has(id.index)) else {
            self.events.push_back(Event::NotLost { key, sum });
            return;
        };
        segment.waiting.take(id.run, key, sum);
        if let Some(waiting) = self.scanned_already(id) {
            waiting.take(id.run, key, sum);
        }
        self.finish_delivered(id, sum.count.lines);
    }

    fn say(&mut self, text: String) {
        self.notices.push_back(text);
    }
}

/// Of our own run.
fn own(segment: u32) -> SegmentId {
    SegmentId { run: 0, segment }
}
