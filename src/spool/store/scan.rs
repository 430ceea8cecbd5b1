//! Adopting runs, and finding out what is left of a segment that turned out to be damaged: every head is looked at once.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::time::Instant;

use super::load::{Step, read_window};
use super::segment::{Bits, JOURNAL_ENTRY_BYTES, Run, Segment, Waiting, journalled};
use super::{Found, Op, Outcome, SegmentId, Store};
use crate::limits::{SPOOL_PAYLOAD_BYTES_MAX, SPOOL_READS_MAX, SPOOL_RETRY, SPOOL_SCANS_MAX, SPOOL_SEGMENT_BYTES_MAX};
use crate::spool::entry::Sum;
use crate::spool::record::{FIXED_BYTES, File, HEAD_BYTES_MAX};
use crate::spool::recover::{self, Look, Next, Why};
use crate::spool::wire::{EntryId, Event, Refusal};

struct Scan {
    id: SegmentId,
    at: u64,
    /// Damage began here, and no record was found since.
    damaged_from: Option<(u64, Why)>,
    journal_read: bool,
    /// Indices of records.
    seen: Bits,
    next_index: u32,
    waiting: Waiting,
    damage: Vec<(Range<u64>, Why)>,
}

#[derive(Default)]
pub(super) struct Scans {
    queue: VecDeque<SegmentId>,
    current: Option<Scan>,
    /// Of each adopted run: what of it waits, and its bytes; and what is to be said after it was announced.
    sums: Vec<(Sum, u64)>,
    asides: Vec<Vec<Event>>,
}

impl Scans {
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.current.is_none()
    }
}

impl Store {
    pub(super) fn adopt(&mut self, found: Found) {
        let number = self.runs.len() as u32;
        let mut run = Run { id: found.id, unscanned: found.segments.len(), ..Run::default() };
        run.has_asides = found.aside_bytes + found.other_bytes > 0;
        run.adopted = found.segments.is_empty();
        self.used += found.aside_bytes + found.other_bytes;
        for (segment, length, journal_bytes) in found.segments {
            self.scan.queue.push_back(SegmentId { run: number, segment });
            let journal_entries = journal_bytes.div_ceil(JOURNAL_ENTRY_BYTES);
            let segment_found = Segment {
                length,
                synced: length,
                directory_synced: true,
                journal_entries,
                sealed: true,
                ..Segment::default()
            };
            self.used += segment_found.disk_bytes();
            run.segments.insert(segment, segment_found);
        }
        self.runs.push(run);
        self.scan.sums.resize(self.runs.len(), (Sum::default(), 0));
        self.scan.asides.resize(self.runs.len(), Vec::new());
    }

    /// Damage stands where a record was.
    pub(super) fn rescan(&mut self, id: SegmentId) {
        self.load.window = None;
        self.scan.queue.push_front(id);
    }

    pub(super) fn scan_step(&mut self) -> Step {
        let Some(mut scan) = self.scan.current.take() else {
            self.begin_scan();
            return Step::Again;
        };
        let Some(length) = self.segment(scan.id).map(|segment| segment.length) else { return Step::Again };
        let id = scan.id;
        if !scan.journal_read {
            self.scan.current = Some(scan);
            return Step::Op(Op::ReadJournal { segment: id });
        }
        if scan.at >= length {
            scan.end_damage();
            self.end_scan(scan);
            return Step::Again;
        }
        let at = scan.at;
        let window = self.load.window.as_ref().filter(|window| window.segment == id && window.at <= at);
        let bytes = window.and_then(|window| window.bytes.get((at - window.at) as usize..)).unwrap_or_default();
        if (bytes.len() as u64) < (length - at).min(HEAD_BYTES_MAX as u64) {
            self.scan.current = Some(scan);
            return Step::Op(read_window(id, at, length));
        }
        let is_done = |index| {
            let entry = EntryId { run: id.run, segment: id.segment, index };
            self.load.held.contains_key(&entry) || self.segment(id).is_some_and(|segment| segment.done.has(index))
        };
        scan.step(bytes, self.file(id), length, is_done);
        self.scan.current = Some(scan);
        Step::Again
    }

    fn begin_scan(&mut self) {
        let Some(id) = self.scan.queue.pop_front() else { return };
        let Some(segment) = self.segment_mut(id) else { return };
        segment.scans += 1;
        let first = !segment.scanned;
        let hopeless = segment.scans > SPOOL_SCANS_MAX
            || segment.length > SPOOL_SEGMENT_BYTES_MAX + 2 * SPOOL_PAYLOAD_BYTES_MAX as u64;
        let scan = Scan {
            id,
            at: if hopeless { segment.length } else { 0 },
            damaged_from: None,
            journal_read: !first || hopeless,
            seen: Bits::default(),
            next_index: 0,
            waiting: Waiting::default(),
            damage: if hopeless { vec![(0..segment.length, Why::Damaged)] } else { Vec::new() },
        };
        self.scan.current = Some(scan);
    }

    pub(super) fn journal_read(&mut self, id: SegmentId, result: io::Result<Outcome>, now: Instant) {
        let journal = match result {
            Ok(Outcome::Read(journal)) => journal,
            Ok(_) => Default::default(),
            Err(error) => {
                self.load.failures += 1;
                if self.load.failures < SPOOL_READS_MAX {
                    self.load.rest_until = Some(now + SPOOL_RETRY);
                    return;
                }
                let name = self.name(id);
                self.say(format!("cannot read the journal of the spool's {name}: {error}; its entries come again"));
                Default::default()
            }
        };
        self.load.failures = 0;
        let file = self.file(id);
        if let Some(segment) = self.segment_mut(id) {
            // Each record takes some bytes: a greater index is none.
            let indices_max = segment.length / FIXED_BYTES as u64 + 1;
            for index in journalled(file, &journal).filter(|index| u64::from(*index) < indices_max) {
                segment.done.add(index);
                segment.entries = segment.entries.max(index + 1);
            }
        }
        if let Some(scan) = &mut self.scan.current {
            scan.journal_read = true;
        }
    }

    /// Its segment is being scanned, and the scan has passed it: so it must be told what changes behind it.
    pub(super) fn scanned_already(&mut self, id: EntryId) -> Option<&mut Waiting> {
        let here = SegmentId { run: id.run, segment: id.segment };
        let scan = self.scan.current.as_mut().filter(|scan| scan.id == here && scan.seen.has(id.index))?;
        Some(&mut scan.waiting)
    }

    fn end_scan(&mut self, scan: Scan) {
        let id = scan.id;
        if id.run == 0 {
            let why = Refusal::Failed("what was written is not there any more".into());
            self.refuse_unanswered(id.segment, &why, |index| !scan.seen.has(index));
        }
        let Some(segment) = self.segment_mut(id) else { return };
        let first = !std::mem::replace(&mut segment.scanned, true);
        segment.entries = segment.entries.max(scan.next_index);
        let before = std::mem::replace(&mut segment.waiting, scan.waiting.clone());
        segment.damage = scan.damage.iter().map(|(range, _)| range.clone()).collect();
        let (entries, announced) = (segment.entries, segment.disk_bytes());
        if first {
            segment.announced = announced;
        }
        if scan.seen.len() == 0 && !scan.damage.is_empty() {
            segment.keep = true;
        }
        // What no record stands for any more has its end here, unless ship has it in memory.
        for index in (0..entries).filter(|index| !scan.seen.has(*index)) {
            let entry = EntryId { run: id.run, segment: id.segment, index };
            match self.load.held.get_mut(&entry) {
                Some(held) => held.unreadable = true,
                None => self.finish(entry),
            }
        }
        let mut lost = if first { Vec::new() } else { before.lost(&scan.waiting) };
        for (range, why) in scan.damage {
            // Which part held which entries is not known any more.
            let of = lost.pop().unwrap_or_default();
            self.set_aside(id, range.start, &why.text(), of, range.end - range.start);
        }
        for of in lost {
            self.set_aside(id, 0, "entries that are not there any more", of, 0);
        }
        self.note_finished(id);
        if first {
            let sums = &mut self.scan.sums[id.run as usize];
            sums.0 += scan.waiting.total();
            sums.1 += announced;
            self.announce(id.run);
        }
    }

    /// One segment more of it is known.
    pub(super) fn announce(&mut self, run: u32) {
        let it = &mut self.runs[run as usize];
        it.unscanned -= 1;
        if it.unscanned > 0 {
            return;
        }
        it.adopted = true;
        let (Sum { entries, count, .. }, bytes) = self.scan.sums[run as usize];
        let asides = std::mem::take(&mut self.scan.asides[run as usize]);
        if entries > 0 || !asides.is_empty() {
            self.events.push_back(Event::Adopted { run, entries, count, bytes });
        } else {
            // What nobody was told of is not given back either.
            it.segments.values_mut().for_each(|segment| segment.announced = 0);
        }
        self.events.extend(asides);
    }

    /// A segment of a run is gone before the run was announced.
    pub(super) fn is_not_announced(&mut self, run: u32, bytes: u64) {
        self.scan.sums[run as usize].1 -= bytes;
    }

    /// Says so, and has the bytes copied, unless the whole segment is kept.
    pub(super) fn set_aside(&mut self, id: SegmentId, at: u64, why: &str, (key, sum): (u64, Sum), bytes: u64) {
        let what = format!("{} at {at}: {why}", self.name(id));
        self.tell_of(id.run, Event::SetAside { run: id.run, key, what, sum, bytes });
        if bytes > 0 && self.segment(id).is_some_and(|segment| !segment.keep) {
            self.care.copies.push_back((id, at, bytes));
        }
    }

    /// After the run was announced.
    pub(super) fn tell_of(&mut self, run: u32, event: Event) {
        if self.runs[run as usize].adopted {
            self.events.push_back(event);
        } else {
            self.scan.asides[run as usize].push(event);
        }
    }

    pub(super) fn name(&self, id: SegmentId) -> String {
        format!("{:016x}/{:08}.seg", self.runs[id.run as usize].id, id.segment)
    }
}

impl Scan {
    /// Over one record, or over damage as far as it is seen. `bytes` have room for a whole head, or end with the file.
    fn step(&mut self, bytes: &[u8], file: File, length: u64, is_done: impl Fn(u32) -> bool) {
        let (at, run) = (self.at, self.id.run);
        if self.damaged_from.is_some() {
            match recover::resync(bytes, file, at, length) {
                Next::Record(to) => {
                    self.at = to;
                    self.end_damage();
                }
                Next::From(to) => self.at = to,
            }
            return;
        }
        match recover::look(bytes, file, at, length) {
            Look::Record(head) => {
                self.at += head.total_bytes();
                if head.index < self.next_index {
                    self.damage.push((at..self.at, Why::Damaged));
                    return;
                }
                self.next_index = head.index + 1;
                self.seen.add(head.index);
                if !is_done(head.index) {
                    self.waiting.add(run, head.address.key(), head.sum());
                }
            }
            Look::Damage(why) => {
                self.damaged_from = Some((at, why));
                self.at += 1;
            }
            Look::Short => unreachable!("there is room for a whole head"),
        }
    }

    fn end_damage(&mut self) {
        if let Some((from, why)) = self.damaged_from.take() {
            self.damage.push((from..self.at, why));
        }
    }
}
