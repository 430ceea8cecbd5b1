//! What goes to the spool, and what is known to lie there. A body goes there when its stream has enough waiting in memory
//! (and its ring fills), at the end of the run, and, with `--durable`, before it is ever sent: `takes` decides.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::refused::Whole;
use super::silence::Silence;
use super::stream::{Delivery, Stream};
use super::{Action, Core};
use crate::ledger::{Count, Ledger};
use crate::spool::entry::{Entry, Sum};
use crate::spool::wire::{EntryId, Refusal, Request};

#[derive(Debug, Clone, Copy)]
pub struct DiskOptions {
    /// All that the spool may take.
    pub bytes_max: u64,
    /// Every body goes to the disk before it is sent.
    pub durable: bool,
}

/// The spool as the core sees it.
pub(super) struct Disk {
    pub options: Option<DiskOptions>,
    /// Asked to be stored, in this order.
    pub pending: VecDeque<Pending>,
    pub pending_bytes: usize,
    pub next_ticket: u64,
    pub used_bytes: u64,
    /// It refused, and is not asked before, unless something is freed.
    pub refused_until: Option<Instant>,
    pub refused_why: Option<Refusal>,
    /// How often it was asked again since it took something.
    pub refusals: u32,
    /// The stream whose waiting bodies go there first, so that all have their turn.
    pub relieved_next: usize,
    /// Entries that are on disk alone: those, and only those, a Load may bring.
    pub alone: u64,
    pub adopted_alone: Count,
    /// A Load is under way, for all streams but these.
    pub loading: Option<Vec<u64>>,
    /// Something was left on disk since that Load was asked for.
    pub left_meanwhile: bool,
    /// There was nothing for all streams but these.
    pub nothing_but: Option<Vec<u64>>,
    /// What ended runs left is known.
    pub searched: bool,
    /// How often bodies that are on disk alone were sent already, and whether an answer was lost. Few: they were in memory
    /// after that.
    pub tried: HashMap<EntryId, (u32, bool)>,
    pub dead: bool,
    pub silence: Silence,
    /// Of bodies in parts, at our end: what had none of its own.
    pub parts_left: HashMap<EntryId, Sum>,
    /// A body may wait in memory alone that is to be durable: the disk did not take it when it came.
    pub is_owed: bool,
}

pub(super) struct Pending {
    pub ticket: u64,
    pub stream: usize,
    pub what: What,
}

pub(super) enum What {
    Body(Delivery, Purpose),
    /// What a call has in its hands, in case that its answer never comes.
    Call(usize),
    /// We have it here, and nobody waits for the answer: it was taken back, or is in a call. What the spool counts of it,
    /// and its number if it is stored for safety.
    Here {
        sum: Sum,
        safe: Option<u64>,
    },
}

/// Why a body goes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent, and found again if we are killed.
    Safety,
    /// To be out of memory.
    Room,
}

impl Disk {
    pub fn new(options: Option<DiskOptions>) -> Disk {
        Disk {
            options,
            pending: VecDeque::new(),
            pending_bytes: 0,
            next_ticket: 0,
            used_bytes: 0,
            refused_until: None,
            refused_why: None,
            refusals: 0,
            relieved_next: 0,
            alone: 0,
            adopted_alone: Count::default(),
            loading: None,
            left_meanwhile: false,
            nothing_but: None,
            searched: false,
            tried: HashMap::new(),
            dead: false,
            silence: Silence::default(),
            parts_left: HashMap::new(),
            is_owed: false,
        }
    }

    /// Bodies of a stream that are to be on disk alone, and are not yet.
    pub fn pending_for_room(&self, stream: usize) -> u64 {
        let of = |pending: &&Pending| pending.stream == stream && matches!(pending.what, What::Body(_, Purpose::Room));
        self.pending.iter().filter(of).count() as u64
    }

    /// Something that it was asked to store is still wanted there.
    pub fn has_pending(&self) -> bool {
        self.pending.iter().any(|pending| !matches!(pending.what, What::Here { .. }))
    }

    /// It was asked to store something and has not answered, nor was that said.
    pub fn is_awaited(&self) -> bool {
        self.has_pending() || (!self.silence.is_said && !self.pending.is_empty())
    }

    pub(super) fn is_on(&self) -> bool {
        self.options.is_some() && !self.dead
    }
}

impl Core {
    // ---- to the disk -------------------------------------------------------------------------

    pub(super) fn store(&mut self, stream: usize, delivery: Delivery, purpose: Purpose) {
        self.disk.pending_bytes += delivery.parcel.memory_bytes();
        let is_strict = self.is_strict(&delivery);
        let on_disk = &mut self.streams[stream].disk;
        on_disk.bytes += delivery.parcel.memory_bytes();
        match purpose {
            Purpose::Room => on_disk.leave_alone(delivery.number, is_strict),
            Purpose::Safety => on_disk.storing.push_back(delivery.number),
        }
        let entry = delivery.parcel.entry.clone();
        self.ask_to_store(stream, entry, purpose == Purpose::Safety, What::Body(delivery, purpose));
    }

    pub(super) fn ask_to_store(&mut self, stream: usize, entry: Arc<Entry>, keep: bool, what: What) {
        let ticket = self.disk.next_ticket;
        self.disk.next_ticket += 1;
        self.disk.pending.push_back(Pending { ticket, stream, what });
        self.outbox.push_back(Action::Spool(Request::Store { ticket, entry, keep }));
    }

    /// The time to deliver is over: what is here goes to the disk.
    pub fn spill(&mut self) {
        if std::mem::replace(&mut self.spilling, true) || !self.disk.is_on() {
            return;
        }
        for slot in 0..self.calls.len() {
            let Some(call) = &self.calls[slot] else { continue };
            if call.delivery.entry.is_none() {
                let (stream, entry) = (call.stream, call.delivery.parcel.entry.clone());
                self.ask_to_store(stream, entry, true, What::Call(slot));
            }
        }
        for index in 0..self.streams.len() {
            self.streams[index].return_suspects();
            self.backlog_to_disk(index);
            let parts = std::mem::take(&mut self.streams[index].backlog);
            for delivery in parts.into_iter().chain(std::mem::take(&mut self.streams[index].waiting)) {
                if delivery.entry.is_some() {
                    self.leave_on_disk(index, delivery);
                } else {
                    self.store(index, delivery, Purpose::Room);
                }
            }
        }
    }

    /// Everything that the spool was asked to store is stored, or refused.
    pub fn is_spilled(&self) -> bool {
        !self.disk.is_awaited()
    }

    /// A stream cannot be sent to: what came back of it makes room for others.
    pub(super) fn backlog_to_disk(&mut self, index: usize) {
        for delivery in std::mem::take(&mut self.streams[index].backlog) {
            if delivery.entry.is_some() {
                self.leave_on_disk(index, delivery);
            } else {
                // A part of what lies there.
                self.streams[index].put_back(delivery);
            }
        }
    }

    /// It lies on disk, and need not be in memory as well; unless nothing comes back from there in this run.
    pub(super) fn leave_on_disk(&mut self, index: usize, delivery: Delivery) {
        if !self.disk.is_on() {
            self.streams[index].put_back(delivery);
            return;
        }
        let entry = delivery.entry.expect("it is on disk");
        self.free_bytes(index, delivery.parcel.memory_bytes());
        let is_strict = self.is_strict(&delivery);
        self.streams[index].disk.leave_alone(delivery.number, is_strict);
        if index >= self.own_streams {
            // Counted while it is here: it comes back to whichever place its stream has then.
            self.streams[index].disk.bytes -= delivery.parcel.memory_bytes();
        }
        self.left_on_disk(index, &delivery);
        self.remember_tries(entry, &delivery);
        self.outbox.push_back(Action::Spool(Request::PutBack(entry)));
    }

    pub(super) fn remember_tries(&mut self, entry: EntryId, delivery: &Delivery) {
        if delivery.attempts > 0 {
            self.disk.tried.insert(entry, (delivery.attempts, delivery.maybe_stored));
        }
    }

    // ---- ends --------------------------------------------------------------------------------

    /// A body that is also on disk has its end.
    pub(super) fn forget_on_disk(&mut self, stream: usize, delivery: &mut Delivery) {
        if let Some(entry) = delivery.entry {
            self.streams[stream].disk.bytes -= delivery.parcel.memory_bytes();
            self.outbox.push_back(Action::Spool(Request::Done(entry)));
        }
        self.release(stream, delivery.whole.take());
    }

    /// A part needs the body on disk no more: it has its end, or a place there of its own. With the last one, that body is
    /// done.
    pub(super) fn release(&mut self, stream: usize, whole: Option<Arc<Whole>>) {
        if let Some(whole) = whole.and_then(Arc::into_inner) {
            self.streams[stream].disk.bytes -= whole.bytes;
            self.outbox.push_back(Action::Spool(Request::Done(whole.entry)));
        }
    }

    /// At our end: does the next run find it?
    pub(super) fn stays_on_disk(&self, delivery: &Delivery) -> bool {
        delivery.entry.is_some() || delivery.whole.is_some()
    }

    /// Counts what is on disk alone.
    pub(super) fn left_on_disk(&mut self, stream: usize, delivery: &Delivery) {
        if let Some(whole) = &delivery.whole {
            *self.disk.parts_left.entry(whole.entry).or_default() += delivery.parcel.entry.sum();
        }
        if stream < self.own_streams {
            let Stream { disk, books, .. } = &mut self.streams[stream];
            disk.alone_count += delivery.parcel.held_on_disk();
            disk.alone_bytes += delivery.parcel.memory_bytes();
            delivery.parcel.moved(true, books);
        } else {
            self.disk.adopted_alone += delivery.parcel.held_on_disk();
        }
        self.disk.alone += 1;
        self.disk.nothing_but = None;
        self.disk.left_meanwhile = self.disk.loading.is_some();
    }

    /// Lines with pieces on disk: `SplitLines::leave`.
    pub(super) fn leave_split_lines(&mut self) {
        for Stream { disk, books, .. } in &mut self.streams[..self.own_streams] {
            let nothing_on_disk = disk.alone_count == Count::default();
            books.split.leave(nothing_on_disk, |end| books.ledger.book(end, Count::new(1, 0)));
        }
    }

    /// What one of our own streams has on disk alone.
    pub fn spooled_of(&self, stream: usize) -> Count {
        self.streams[stream].disk.alone_count
    }

    /// The counts of all adopted streams.
    pub fn adopted_ledger(&self) -> Ledger {
        let mut ledger = self.adopted.ledger.clone();
        (ledger.spooled, ledger.in_memory) = (self.disk.adopted_alone, self.held_adopted());
        ledger
    }

    pub(super) fn take_pending(&mut self) -> Vec<(usize, Delivery)> {
        self.disk.pending_bytes = 0;
        let pending = std::mem::take(&mut self.disk.pending).into_iter();
        let body = |pending: Pending| match pending.what {
            What::Body(delivery, purpose) => Some((pending.stream, delivery, purpose)),
            What::Call(_) | What::Here { .. } => None,
        };
        let mut bodies = Vec::new();
        for (stream, delivery, purpose) in pending.filter_map(body) {
            self.streams[stream].disk.was_not_stored(&delivery, purpose);
            bodies.push((stream, delivery));
        }
        bodies
    }

    /// Bodies that the spool was given and has not taken yet.
    pub(super) fn pending(&self) -> impl Iterator<Item = (usize, &Delivery)> {
        self.disk.pending.iter().filter_map(|pending| match &pending.what {
            What::Body(delivery, _) => Some((pending.stream, delivery)),
            What::Call(_) | What::Here { .. } => None,
        })
    }

    pub(super) fn take_first_pending(&mut self, ticket: u64) -> Pending {
        let pending = self.disk.pending.pop_front().expect("the spool answers what it was asked");
        assert_eq!(pending.ticket, ticket, "the spool answers in order");
        if let What::Body(delivery, _) = &pending.what {
            self.disk.pending_bytes -= delivery.parcel.memory_bytes();
        }
        pending
    }
}
