//! The way out: the oldest entry that waits, found by going from head to head through the files.
//!
//! Everything before `frontier` is done, or with ship, or it is of a stream in `behind` and not before its place there.
//! So within a stream entries come in order, and no record is kept in memory.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::segment::Place;
use super::{Op, Outcome, SegmentId, Store, SyncPolicy};
use crate::limits::{SPOOL_READS_MAX, SPOOL_READS_MAX_IN_BAD, SPOOL_RETRY, SPOOL_WINDOW_BYTES};
use crate::spool::entry::Sum;
use crate::spool::record::{self, Head};
use crate::spool::recover::{self, Look};
use crate::spool::wire::{EntryId, Event};

/// An entry that ship has in memory.
pub(super) struct Held {
    pub at: u64,
    pub key: u64,
    pub sum: Sum,
    /// What is on disk of it is damaged.
    pub unreadable: bool,
}

/// Bytes that were read.
pub(super) struct Window {
    pub segment: SegmentId,
    pub at: u64,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub segment: SegmentId,
    pub at: u64,
    pub bytes: usize,
}

pub(super) struct Load {
    /// Each with what it excepts.
    requests: VecDeque<Vec<u64>>,
    frontier: Place,
    /// Streams that were passed over: nothing of them waits before this place.
    behind: HashMap<u64, Place>,
    pub held: HashMap<EntryId, Held>,
    pub window: Option<Window>,
    /// The record that is being read as a whole.
    fetching: Option<(EntryId, Head, u64)>,
    pub rest_until: Option<Instant>,
    pub failures: u32,
    /// A part of this segment could not be read however often: for the rest there is less patience.
    pub bad: Option<SegmentId>,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            requests: VecDeque::new(),
            frontier: Place::FIRST,
            behind: HashMap::new(),
            held: HashMap::new(),
            window: None,
            fetching: None,
            rest_until: None,
            failures: 0,
            bad: None,
        }
    }
}

impl Load {
    pub fn queue(&mut self, except: Vec<u64>) {
        self.requests.push_back(except);
    }
}

/// What a step came to.
pub(super) enum Step {
    Op(Op),
    Again,
    Idle,
}

impl Store {
    pub(super) fn next_read(&mut self, now: Instant) -> Option<Op> {
        if self.ending {
            for _ in self.load.requests.drain(..) {
                self.events.push_back(Event::Nothing);
            }
            return None;
        }
        if self.load.rest_until.is_some_and(|until| now < until) {
            return None;
        }
        self.load.rest_until = None;
        // Every step goes forward in a file, answers a request or ends a scan.
        loop {
            let step = if self.scan.is_idle() { self.load_step() } else { self.scan_step() };
            match step {
                Step::Op(op) => return Some(op),
                Step::Again => {}
                Step::Idle => return None,
            }
        }
    }

    pub(super) fn put_back(&mut self, id: EntryId) {
        let Some(held) = self.load.held.remove(&id) else { return };
        let segment_id = SegmentId { run: id.run, segment: id.segment };
        if self.segment(segment_id).is_none() {
            self.lost(id.run, held.key, held.sum);
            return;
        }
        if held.unreadable {
            self.set_aside(segment_id, held.at, "an entry that cannot be read any more", (held.key, held.sum), 0);
            self.finish(id);
            return;
        }
        let Some(segment) = self.segment_mut(segment_id) else { return };
        segment.waiting.add(id.run, held.key, held.sum);
        if let Some(waiting) = self.scanned_already(id) {
            waiting.add(id.run, held.key, held.sum);
        }
        let place = Place::new(segment_id, held.at);
        if place < self.load.frontier {
            let behind = self.load.behind.entry(held.key).or_insert(place);
            *behind = place.min(*behind);
        }
    }

    fn load_step(&mut self) -> Step {
        let Some(except) = self.load.requests.front() else { return Step::Idle };
        let wanted = self.load.behind.iter().filter(|(key, _)| !except.contains(key)).map(|(_, place)| *place);
        let behind = wanted.min().filter(|place| *place < self.load.frontier);
        let place = behind.unwrap_or(self.load.frontier);
        let Some(place) = self.next_place(place) else {
            if behind.is_none() {
                self.load.requests.pop_front();
                self.events.push_back(Event::Nothing);
            }
            // Else: what was passed over is gone with its segment, up to the frontier.
            self.go_on(behind, self.load.frontier);
            return Step::Again;
        };
        if behind.is_some() && place >= self.load.frontier {
            self.go_on(behind, place);
            return Step::Again;
        }
        let (id, at) = (place.id(), place.at);
        let Some(segment) = self.segment(id) else { return Step::Idle };
        let length = segment.length;
        let window = self.load.window.as_ref().filter(|window| window.segment == id && window.at <= at);
        let bytes = window.and_then(|window| window.bytes.get((at - window.at) as usize..)).unwrap_or_default();
        match recover::look(bytes, self.file(id), at, length) {
            Look::Record(head) => self.offer(id, at, head, behind),
            Look::Damage(_) if !bytes.is_empty() => {
                self.rescan(id);
                Step::Again
            }
            Look::Damage(_) | Look::Short => Step::Op(read_window(id, at, length)),
        }
    }

    /// The next place where a record may be.
    fn next_place(&self, from: Place) -> Option<Place> {
        let mut place = from;
        loop {
            let run = place.id().run;
            let here = self.runs.get(run as usize).and_then(|it| it.segments.range(place.segment..).next());
            let Some((number, segment)) = here else {
                let next = match run as usize + 1 {
                    1 => return None,
                    next if next < self.runs.len() => next as u32,
                    _ => 0,
                };
                place = Place::new(SegmentId { run: next, segment: 0 }, 0);
                continue;
            };
            let id = SegmentId { run, segment: *number };
            // Nothing of it is wanted, and it may be on its way out already: a read would find no file.
            if self.care.finished.contains(&id) {
                place = Place::new(SegmentId { segment: number + 1, ..id }, 0);
                continue;
            }
            if *number > place.segment {
                place = Place::new(id, 0);
            }
            place.at = segment.damaged_until(place.at).unwrap_or(place.at);
            let readable = match self.options.sync {
                SyncPolicy::Always if id.run == 0 => segment.synced,
                _ => segment.length,
            };
            if place.at < readable {
                return Some(place);
            }
            place = Place::new(SegmentId { segment: number + 1, ..id }, 0);
        }
    }

    /// Nothing waits before `to`: of the streams that were looked for, or of any.
    fn go_on(&mut self, behind: Option<Place>, to: Place) {
        if behind.is_none() {
            self.load.frontier = self.load.frontier.max(to);
            return;
        }
        let Some(except) = self.load.requests.front() else { return };
        let frontier = self.load.frontier;
        self.load.behind.retain(|key, place| {
            if !except.contains(key) {
                *place = to.max(*place);
            }
            *place < frontier
        });
    }

    /// Loads it, or passes over it.
    fn offer(&mut self, segment_id: SegmentId, at: u64, head: Head, behind: Option<Place>) -> Step {
        let id = EntryId { run: segment_id.run, segment: segment_id.segment, index: head.index };
        let after = Place::new(segment_id, at + head.total_bytes());
        let Some(segment) = self.segment(segment_id) else { return Step::Idle };
        let excepted = self.load.requests.front().is_some_and(|except| except.contains(&head.address.key()));
        if segment.done.has(id.index) || self.load.held.contains_key(&id) || excepted {
            if excepted && behind.is_none() {
                self.load.behind.entry(head.address.key()).or_insert(Place::new(segment_id, at));
            }
            self.go_on(behind, after);
            return Step::Again;
        }
        let window = self.load.window.as_ref().expect("the head was in it");
        let (begin, total) = ((at - window.at) as usize, head.total_bytes() as usize);
        if window.bytes.len() < begin + total {
            self.load.fetching = Some((id, head, at));
            return Step::Op(Op::Read { segment: segment_id, at, bytes: total });
        }
        let record = window.bytes.slice(begin..begin + total);
        match record::entry(&head, &record) {
            None => self.spoiled(id, &head, at),
            Some(mut entry) => {
                if begin > 0 || window.bytes.len() > total {
                    // Not to hold the whole window in memory with it.
                    entry.payload = Bytes::copy_from_slice(&entry.payload);
                } else {
                    self.load.window = None;
                }
                let (key, sum) = (head.address.key(), head.sum());
                self.load.held.insert(id, Held { at, key, sum, unreadable: false });
                if let Some(segment) = self.segment_mut(segment_id) {
                    segment.waiting.take(id.run, key, sum);
                }
                self.go_on(behind, after);
                self.load.requests.pop_front();
                self.events.push_back(Event::Loaded { id, entry: Box::new(entry) });
            }
        }
        Step::Again
    }

    /// The head is good and the rest is not.
    fn spoiled(&mut self, id: EntryId, head: &Head, at: u64) {
        let segment_id = SegmentId { run: id.run, segment: id.segment };
        if let Some(segment) = self.segment_mut(segment_id) {
            segment.waiting.take(id.run, head.address.key(), head.sum());
        }
        let of = (head.address.key(), head.sum());
        self.set_aside(segment_id, at, "a damaged entry", of, head.total_bytes());
        self.finish(id);
    }

    pub(super) fn read(&mut self, asked: Asked, result: io::Result<Outcome>, now: Instant) {
        let Asked { segment, at, bytes } = asked;
        let mut read = match result {
            Ok(Outcome::Read(read)) => {
                self.load.failures = 0;
                read
            }
            Ok(_) => Bytes::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It does not come back.
                (self.load.failures, self.load.fetching) = (0, None);
                if self.is_written_to(segment) {
                    // The write finds out by itself, and needs its segment until then.
                    self.load.rest_until = Some(now + SPOOL_RETRY);
                } else {
                    self.gone(segment);
                }
                return;
            }
            Err(error) => {
                self.load.failures += 1;
                if self.load.failures < self.reads_max(segment) {
                    self.load.rest_until = Some(now + SPOOL_RETRY);
                    self.load.fetching = None;
                    return;
                }
                // What comes next in it has few tries, and other segments as many: a bad one holds up the others for
                // minutes and not hours, and a disk that fails for a while does not cost everything at once.
                (self.load.failures, self.load.bad) = (0, Some(segment));
                self.say_unreadable(segment, at, &error);
                if let Some((id, head, at)) = self.load.fetching.take() {
                    self.keep_whole(segment);
                    self.spoiled(id, &head, at);
                    return;
                }
                Bytes::new()
            }
        };
        self.load.fetching = None;
        if read.len() < bytes {
            // What is not there is no record: so a scan comes to its end.
            let mut padded = read.to_vec();
            padded.resize(bytes, 0);
            read = Bytes::from(padded);
        }
        self.load.window = Some(Window { segment, at, bytes: read });
    }

    pub(super) fn reads_max(&self, segment: SegmentId) -> u32 {
        if self.load.bad == Some(segment) { SPOOL_READS_MAX_IN_BAD } else { SPOOL_READS_MAX }
    }

    fn say_unreadable(&mut self, segment: SegmentId, at: u64, error: &io::Error) {
        let name = self.name(segment);
        self.say(format!("cannot read the spool's {name} at {at}: {error}; what is there is set aside"));
    }
}

pub(super) fn read_window(segment: SegmentId, at: u64, length: u64) -> Op {
    let bytes = (length - at).min(SPOOL_WINDOW_BYTES as u64) as usize;
    Op::Read { segment, at, bytes }
}
