//! The way in: one record after the other, each whole or taken back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::care::is_read_only;
use super::load::Held;
use super::{JOURNAL_ENTRY_BYTES, Op, Outcome, Segment, SegmentId, Store, SyncPolicy, own};
use crate::limits::SPOOL_VANISHED_MAX;
use crate::spool::entry::{Entry, Sum};
use crate::spool::record;
use crate::spool::wire::{EntryId, Event, Refusal};

struct Storing {
    ticket: u64,
    entry: Arc<Entry>,
    keep: bool,
}

struct Writing {
    /// What is not written yet.
    parts: Vec<Bytes>,
    at: u64,
    total: u64,
    /// It failed: the segment is cut back to its length.
    failed: Option<io::Error>,
}

/// An event that may have to wait until its record is durable; later ones wait behind it.
pub(super) struct Answer {
    pub event: Event,
    /// This segment, up to here.
    pub after: Option<(u32, u64)>,
    /// What it is of, its stream, and what of it waits to be loaded.
    stored: Option<(EntryId, u64, Sum)>,
}

#[derive(Default)]
pub(super) struct Append {
    queue: VecDeque<Storing>,
    /// Of the front of the queue.
    writing: Option<Writing>,
    pub current: Option<u32>,
    next_segment: u32,
    /// The current segment is not to be used any more.
    pub rotate: bool,
    /// Segments that were removed since a record was last written.
    vanished: u32,
    answers: VecDeque<Answer>,
}

impl Append {
    pub fn queue(&mut self, ticket: u64, entry: Arc<Entry>, keep: bool) {
        self.queue.push_back(Storing { ticket, entry, keep });
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }
}

impl Store {
    pub(super) fn next_append(&mut self) -> Option<Op> {
        loop {
            if let Some(writing) = &self.append.writing {
                let current = self.append.current.expect("a record is written to a segment");
                let (segment, at, parts) = (own(current), writing.at, writing.parts.clone());
                return Some(match writing.failed {
                    None => Op::Append { segment, at, parts },
                    Some(_) => Op::Truncate { segment, length: self.segment(segment)?.length },
                });
            }
            let Some(storing) = self.append.queue.front() else {
                if self.ending {
                    self.seal_current();
                } else if self.used > self.options.bytes_max / 2 {
                    // Who asks how much is used may not ask for more.
                    self.seal_current_if_done();
                }
                return None;
            };
            match self.room_for(&storing.entry) {
                Err(why) => {
                    self.seal_current_if_done();
                    self.refuse(why);
                }
                Ok(total) => match self.current_for(total) {
                    None => return Some(Op::Create(own(self.append.next_segment))),
                    Some(current) => self.begin(current, total),
                },
            }
        }
    }

    fn room_for(&self, entry: &Entry) -> Result<u64, Refusal> {
        let total = record::encoded_bytes(entry)
            .map_err(|_| Refusal::Failed("the body is larger than a record of the spool may be".into()))?;
        if self.used + total + JOURNAL_ENTRY_BYTES > self.options.bytes_max {
            return Err(Refusal::Full(format!(
                "the spool has {} bytes of --spool-max {}",
                self.used, self.options.bytes_max
            )));
        }
        Ok(total)
    }

    /// The segment that takes so many bytes more.
    fn current_for(&mut self, total: u64) -> Option<u32> {
        let current = self.append.current?;
        let length = self.segment(own(current)).map_or(0, |segment| segment.length);
        if self.append.rotate || (length > 0 && length + total > self.segment_bytes_max) {
            self.seal_current();
        }
        self.append.current
    }

    /// What is full of what is done makes room, though nothing fits into it that would seal it.
    fn seal_current_if_done(&mut self) {
        let current = self.append.current.and_then(|current| self.segment(own(current)));
        if current.is_some_and(|segment| segment.entries > 0 && segment.done.len() >= segment.entries) {
            self.seal_current();
        }
    }

    pub(super) fn seal_current(&mut self) {
        self.append.rotate = false;
        if let Some(current) = self.append.current.take() {
            if let Some(segment) = self.segment_mut(own(current)) {
                segment.sealed = true;
            }
            self.note_finished(own(current));
        }
    }

    fn begin(&mut self, current: u32, total: u64) {
        let (id, storing) = (own(current), &self.append.queue[0]);
        let segment = self.segment(id).expect("the current segment is there");
        let parts = record::encode(&storing.entry, self.file(id), segment.length, segment.entries);
        self.append.writing = Some(Writing { parts: parts.to_vec(), at: segment.length, total, failed: None });
    }

    pub(super) fn created(&mut self, id: SegmentId, result: io::Result<Outcome>) {
        self.append.next_segment += 1;
        match result {
            Ok(outcome) => {
                if matches!(outcome, Outcome::FinishedAgain) {
                    self.directory_was_gone();
                }
                let segment = Segment { scanned: true, ..Segment::default() };
                self.runs[0].segments.insert(id.segment, segment);
                self.append.current = Some(id.segment);
            }
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    self.take_census();
                }
                self.refuse(refusal("cannot make a segment", &error));
            }
        }
    }

    pub(super) fn appended(&mut self, result: io::Result<Outcome>, now: Instant) {
        let writing = self.append.writing.as_mut().expect("a record is being written");
        match result {
            Ok(Outcome::Written(count)) if count > 0 => {
                advance(&mut writing.parts, count);
                writing.at += count as u64;
                if writing.parts.is_empty() {
                    self.commit(now);
                }
            }
            Ok(_) => writing.failed = Some(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.segment_vanished(&error),
            Err(error) => writing.failed = Some(error),
        }
    }

    /// The record is written to its end.
    fn commit(&mut self, now: Instant) {
        let (writing, storing) = (self.append.writing.take(), self.append.queue.pop_front());
        let (Some(Writing { total, .. }), Some(Storing { ticket, entry, keep })) = (writing, storing) else { return };
        self.append.vanished = 0;
        let current = self.append.current.expect("a record is written to a segment");
        let bytes = total + JOURNAL_ENTRY_BYTES;
        let segment = self.segment_mut(own(current)).expect("the current segment is there");
        let (at, sum) = (segment.length, entry.sum());
        let id = EntryId { run: 0, segment: current, index: segment.entries };
        segment.length += total;
        segment.entries += 1;
        segment.announced += bytes;
        let key = entry.address.key();
        if !keep {
            segment.waiting.add(0, key, sum);
        }
        let end = segment.length;
        self.used += total;
        if keep {
            self.load.held.insert(id, Held { at, key, sum, unreadable: false });
        }
        self.dirtied(current, now);
        let after = (self.options.sync == SyncPolicy::Always).then_some((current, end));
        self.append.answers.push_back(Answer {
            event: Event::Stored { ticket, id, bytes },
            after,
            stored: Some((id, key, if keep { Sum::default() } else { sum })),
        });
        self.answer();
    }

    /// The segment that is written to was removed: the record goes into another, if that does not vanish as well.
    fn segment_vanished(&mut self, error: &io::Error) {
        self.append.writing = None;
        self.gone(own(self.append.current.expect("a record is written to a segment")));
        self.append.vanished += 1;
        if self.append.vanished >= SPOOL_VANISHED_MAX {
            self.append.vanished = 0;
            self.refuse(refusal("somebody removes each segment", error));
        }
    }

    /// A record that could not be written was taken back.
    pub(super) fn truncated(&mut self, result: io::Result<Outcome>) {
        let Some(Writing { failed: Some(error), .. }) = self.append.writing.take() else { return };
        let current = self.append.current.expect("a record is written to a segment");
        let segment = self.segment_mut(own(current)).expect("the current segment is there");
        let may_grow = segment.length > 0;
        if result.is_err() {
            // Its bytes stay behind the last record: nothing may follow them, and if they are whole they are not to
            // come back, for ship is told that they are not there. Alone in their file, they go with it now.
            let index = segment.entries;
            segment.entries += 1;
            self.finish(EntryId { run: 0, segment: current, index });
            self.seal_current();
        }
        if error.kind() == ErrorKind::FileTooLarge && may_grow {
            // A limit on files, as ulimit -f: the record goes into another.
            self.append.rotate = self.append.current.is_some();
            return;
        }
        self.refuse(refusal("cannot write", &error));
    }

    fn refuse(&mut self, why: Refusal) {
        if let Some(Storing { ticket, .. }) = self.append.queue.pop_front() {
            self.append.answers.push_back(Answer { event: Event::Refused { ticket, why }, after: None, stored: None });
            self.answer();
        }
    }

    /// Gives the answers that need not wait any longer.
    pub(super) fn answer(&mut self) {
        while let Some(front) = self.append.answers.front() {
            let durable = |(segment, end): (u32, u64)| self.segment(own(segment)).is_none_or(|it| it.synced >= end);
            if !front.after.is_none_or(durable) {
                break;
            }
            let answer = self.append.answers.pop_front().expect("it was just looked at");
            self.events.push_back(answer.event);
        }
    }

    /// What was written to this segment may not be durable: who waits for that is refused.
    pub(super) fn refuse_unsynced(&mut self, current: u32, error: &io::Error) {
        self.refuse_unanswered(current, &refusal("cannot sync", error), |_| true);
    }

    /// Ship was not told of these entries of the segment, by index, and keeps them.
    pub(super) fn refuse_unanswered(&mut self, current: u32, why: &Refusal, which: impl Fn(u32) -> bool) {
        let mut gone = Vec::new();
        for answer in &mut self.append.answers {
            if let (Some((segment, _)), Event::Stored { ticket, id, bytes }) = (answer.after, &answer.event)
                && segment == current
                && which(id.index)
            {
                gone.extend(answer.stored.map(|(id, key, waiting)| (id, key, waiting, *bytes)));
                answer.event = Event::Refused { ticket: *ticket, why: why.clone() };
                answer.after = None;
            }
        }
        for (id, key, waiting, bytes) in gone {
            if let Some(segment) = self.segment_mut(own(current)) {
                segment.announced -= bytes;
                segment.waiting.take(0, key, waiting);
            }
            if let Some(scanned) = self.scanned_already(id) {
                scanned.take(0, key, waiting);
            }
            // Ship sends it all the same, and its bytes may stay.
            let lines = self.load.held.remove(&id).map_or(waiting.count.lines, |held| held.sum.count.lines);
            self.finish_delivered(id, lines);
        }
        self.answer();
    }
}

fn advance(parts: &mut Vec<Bytes>, mut count: usize) {
    for part in parts.iter_mut() {
        let taken = count.min(part.len());
        part.advance(taken);
        count -= taken;
    }
    assert_eq!(count, 0, "the disk wrote more than it was given");
    parts.retain(|part| !part.is_empty());
}

fn refusal(what: &str, error: &io::Error) -> Refusal {
    let text = format!("{what}: {error}");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge | ErrorKind::WriteZero => {
            Refusal::Full(text)
        }
        _ if is_read_only(error) => Refusal::ReadOnly(text),
        _ => Refusal::Failed(text),
    }
}
