//! What the core keeps of a stream, of a body on its way and of a call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::super::parcel::{Books, Parcel};
use super::creation::Existence;
use super::disk::Purpose;
use super::refused::{Refusals, Trial, Whole};
use crate::ledger::Count;
use crate::spool::entry::{Address, Sum};
use crate::spool::wire::EntryId;

pub(super) struct Stream {
    pub address: Arc<Address>,
    /// Its place among the groups.
    pub group: usize,
    pub books: Books,
    /// Something will be sent to it.
    pub begun: bool,
    pub existence: Existence,
    /// Fresh bodies, by place.
    pub waiting: VecDeque<Delivery>,
    /// Bodies that came back from the disk, by place.
    pub backlog: VecDeque<Delivery>,
    pub next_number: u64,
    pub in_flight: usize,
    pub held_bytes: usize,
    /// Its ring does: see `set_presses`.
    pub presses: bool,
    pub disk: OnDisk,
    /// Nothing is sent before, because of trouble that only a person can mend.
    pub hold_until: Option<Instant>,
    pub troubles: u32,
    /// How often it was missing since it last took a body.
    pub vanished: u32,
    pub trouble_said: bool,
    pub rejection_said: bool,
    pub refusals: Refusals,
}

/// A stream's bodies on disk that have no end yet.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    /// What they take, as in memory.
    pub bytes: usize,
    /// Those that are nowhere else, or will be in a moment.
    pub alone: u64,
    /// No number of these is lower.
    pub alone_from: u64,
    /// Every number of these is.
    pub alone_until: u64,
    /// And of those that nothing must overtake.
    pub strict_alone_until: u64,
    /// Numbers of bodies on their way there, to be sent afterwards, as they were asked for.
    pub storing: VecDeque<u64>,
    /// What these stand for, as far as they are on disk already; lines in pieces are counted by `SplitLines`.
    pub alone_count: Count,
    /// Their part of `bytes`, as far as they are on disk already.
    pub alone_bytes: usize,
    /// What was told as lost beyond that.
    pub told_too_much: Sum,
}

impl OnDisk {
    pub fn leave_alone(&mut self, number: u64, is_strict: bool) {
        let is_first = self.alone == 0;
        let strict_until = if is_strict { number + 1 } else { 0 };
        self.strict_alone_until = if is_first { strict_until } else { self.strict_alone_until.max(strict_until) };
        self.alone_from = if is_first { number } else { self.alone_from.min(number) };
        self.alone_until = if is_first { number + 1 } else { self.alone_until.max(number + 1) };
        self.alone += 1;
    }

    /// The disk was to have it, and has it not.
    pub fn was_not_stored(&mut self, delivery: &Delivery, purpose: Purpose) {
        self.bytes -= delivery.parcel.memory_bytes();
        match purpose {
            Purpose::Room => self.alone -= 1,
            Purpose::Safety => drop(self.storing.pop_front()),
        }
    }

    /// They come back in order, so the rest is younger. One that was told as lost is counted again: `find` has not heard
    /// yet.
    pub fn came_back(&mut self, number: u64, bytes: usize) {
        let known = bytes.min(self.alone_bytes);
        self.alone_bytes -= known;
        self.bytes += bytes - known;
        self.alone = self.alone.saturating_sub(1);
        self.alone_from = self.alone_from.max(number + 1);
    }

    /// What of it is on disk alone; of `alone`, so many are on their way there.
    fn alone_sum(&self, pending: u64) -> Sum {
        let (entries, memory_bytes) = (self.alone.saturating_sub(pending), self.alone_bytes as u64);
        Sum { entries, memory_bytes, count: self.alone_count }
    }

    /// So much of what is there alone is not there any more, or as much of that as there was. Returns it.
    pub fn lose(&mut self, told: Sum, pending: u64) -> Sum {
        let lost = told.of(self.alone_sum(pending));
        self.told_too_much += told.without(lost);
        self.alone -= lost.entries;
        self.alone_count = self.alone_count.without(lost.count);
        self.forget_bytes(lost.memory_bytes as usize);
        lost
    }

    /// Nothing is there alone any more, but what is on its way there.
    pub fn lose_all(&mut self, pending: u64) {
        self.alone = pending;
        self.forget_bytes(self.alone_bytes);
    }

    fn forget_bytes(&mut self, bytes: usize) {
        self.alone_bytes -= bytes;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Of what `lose` was told, this was not there alone. Returns what it took too much.
    pub fn find(&mut self, sum: Sum) -> Sum {
        let found = sum.without(self.told_too_much);
        self.told_too_much = self.told_too_much.without(sum);
        self.alone += found.entries;
        self.alone_bytes += found.memory_bytes as usize;
        self.bytes += found.memory_bytes as usize;
        found
    }
}

impl Stream {
    pub fn new(address: Arc<Address>, group: usize) -> Stream {
        Stream {
            address,
            group,
            books: Books::default(),
            begun: false,
            existence: Existence::Unknown,
            waiting: VecDeque::new(),
            backlog: VecDeque::new(),
            next_number: 0,
            in_flight: 0,
            held_bytes: 0,
            presses: false,
            disk: OnDisk::default(),
            hold_until: None,
            troubles: 0,
            vanished: 0,
            trouble_said: false,
            rejection_said: false,
            refusals: Refusals::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.address.stream
    }

    /// In memory, and in no call.
    pub fn resting(&self) -> impl Iterator<Item = &Delivery> {
        let suspects = self.refusals.suspects.iter().map(|suspect| &suspect.delivery);
        self.waiting.iter().chain(&self.backlog).chain(suspects)
    }

    /// It has trouble that only time, or a person, ends.
    pub fn is_troubled(&self, now: Instant) -> bool {
        self.hold_until.is_some_and(|until| until > now)
            || (self.troubles > 0 && matches!(self.existence, Existence::Resting { .. }))
    }

    /// Back to its old place.
    pub fn put_back(&mut self, delivery: Delivery) {
        let queue = if delivery.backlog { &mut self.backlog } else { &mut self.waiting };
        let place = queue.partition_point(|other| other.place() < delivery.place());
        queue.insert(place, delivery);
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.held_bytes == 0
            && self.waiting.is_empty()
            && self.backlog.is_empty()
            && self.refusals.suspects.is_empty()
            && !matches!(self.existence, Existence::BeingCreated { .. })
    }
}

/// Compared in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    run: u32,
    number: u64,
    at: Option<(u32, u32)>,
    first_event: u32,
}

/// A parcel, and how its delivery went so far.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The order in which the stream's parcels were finished.
    pub number: u64,
    pub parcel: Parcel,
    pub attempts: u32,
    /// An answer was lost: the service may have the events already.
    pub maybe_stored: bool,
    /// Credentials or rights stood in its way.
    pub refused: bool,
    /// Where it lies on disk.
    pub entry: Option<EntryId>,
    /// It came back from there.
    pub backlog: bool,
    /// The body on disk that it is a part of.
    pub whole: Option<Arc<Whole>>,
    pub trial: Trial,
}

impl Delivery {
    pub fn fresh(parcel: Parcel) -> Delivery {
        let number = parcel.entry.sequence;
        Delivery {
            number,
            parcel,
            attempts: 0,
            maybe_stored: false,
            refused: false,
            entry: None,
            backlog: false,
            whole: None,
            trial: Trial::default(),
        }
    }

    /// Its place among the stream's. What several ended runs left of a stream has each run's own numbers; and parts of a
    /// body that were stored as bodies have one number, and lie in their order.
    pub fn place(&self) -> Place {
        let entry = self.entry.or_else(|| self.whole.as_ref().map(|whole| whole.entry));
        let run = entry.map_or(0, |entry| entry.run);
        let at = entry.map(|entry| (entry.segment, entry.index));
        Place { run, number: self.number, at, first_event: self.trial.first_event }
    }

    pub fn from_disk(parcel: Parcel, entry: EntryId) -> Delivery {
        Delivery { entry: Some(entry), backlog: true, ..Delivery::fresh(parcel) }
    }
}

pub(super) struct Call {
    pub stream: usize,
    pub delivery: Delivery,
    /// `successes` when it was sent.
    pub sent_after: u64,
    pub sent_at: Instant,
    pub state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallState {
    Flying,
    /// `away`: the service could not be reached, so the next success anywhere ends the rest.
    Resting {
        until: Instant,
        away: bool,
    },
}
