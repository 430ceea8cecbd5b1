//! What comes back from the spool: the backlog of this run, and what ended runs left.

use std::sync::Arc;
use std::time::Instant;

use super::super::parcel::Parcel;
use super::stream::{Delivery, Stream};
use super::{Action, Core};
use crate::ledger::End;
use crate::limits::{ADOPTED_STREAMS_MAX, BACKLOG_AHEAD_BODIES, EVENT_AGE_MS_MAX};
use crate::spool::entry::{Address, Entry, Sum};
use crate::spool::wire::{EntryId, Request};

impl Core {
    pub(super) fn load(&mut self, now: Instant) -> Option<Action> {
        if !self.may_load(now) {
            return None;
        }
        let except = self.troubled(now);
        if self.disk.nothing_but.as_ref() == Some(&except) {
            return None;
        }
        self.disk.nothing_but = None;
        self.disk.loading = Some(except.clone());
        Some(Action::Spool(Request::Load { except }))
    }

    /// At the memory's bound one body at a time comes back.
    fn may_load(&self, now: Instant) -> bool {
        // What waits of streams that stand still holds up no other, nor what it waits for itself.
        let goes_on = |(index, stream): &(usize, &Stream)| {
            !stream.is_troubled(now)
                && !stream.refusals.slow
                && !self.is_mute(*index, now)
                && !self.waits_for_disk(stream)
        };
        let of_those = self.streams.iter().enumerate().filter(goes_on);
        let ahead = of_those.map(|(_, stream)| stream.backlog.len()).sum::<usize>();
        let is_sent =
            || self.calls.iter().flatten().any(|call| call.delivery.backlog && !self.is_mute(call.stream, now));
        self.disk.is_on()
            && self.disk.loading.is_none()
            && self.disk.alone > 0
            && ahead < BACKLOG_AHEAD_BODIES
            && (self.held_bytes < self.bound() || (ahead == 0 && !is_sent()))
    }

    /// When there may be something to load, or to store, that there is not now: a stream's trouble is over, or the
    /// spool's.
    pub(super) fn next_load(&self, now: Instant) -> Option<Instant> {
        let free = if self.may_load(now) { Some(self.streams.iter()) } else { None };
        let troubled = free.into_iter().flatten().filter(|stream| stream.is_troubled(now));
        // A stream that is being created again has its answer to wake us, and a hold of it may be over meanwhile.
        let holds = troubled.filter_map(|stream| stream.hold_until.filter(|until| *until > now));
        holds.chain(self.disk.refused_until).min()
    }

    fn troubled(&self, now: Instant) -> Vec<u64> {
        let stands_still = |(index, stream): &(usize, &Stream)| stream.is_troubled(now) || self.is_mute(*index, now);
        let streams = self.streams.iter().enumerate().filter(stands_still);
        let mut keys: Vec<_> = streams.map(|(_, stream)| stream.address.key()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Nothing on disk has still to be delivered in this run: bodies of adopted streams in trouble wait for another.
    pub(super) fn disk_is_empty(&self, now: Instant) -> bool {
        let only_adopted = self.streams[..self.own_streams].iter().all(|stream| stream.disk.alone == 0);
        let tried = only_adopted && self.disk.nothing_but.as_ref() == Some(&self.troubled(now));
        !self.disk.is_on() || (self.disk.searched && !self.disk.is_awaited() && (self.disk.alone == 0 || tried))
    }

    pub(super) fn loaded(&mut self, id: EntryId, entry: Entry, now: Instant, wall_ms: i64) {
        self.disk.loading = None;
        if self.disk.silence.in_vain.remove(&id) {
            return;
        }
        self.disk.alone = self.disk.alone.saturating_sub(1);
        // By what the service has shown of its own clock: ours may be years ahead.
        let known_ms = self.service_ms.map(|service_ms| service_ms.min(wall_ms));
        let too_old = known_ms.is_some_and(|known_ms| entry.last_ms < known_ms - EVENT_AGE_MS_MAX);
        let (index, parcel) = match self.own_stream(id, &entry.address) {
            Some(own) => (own, Parcel::back(entry)),
            None => (self.adopted_stream(&entry.address), Parcel::adopted(entry)),
        };
        let mut delivery = Delivery::from_disk(parcel, id);
        (delivery.attempts, delivery.maybe_stored) = self.disk.tried.remove(&id).unwrap_or_default();
        self.hold_bytes(index, delivery.parcel.memory_bytes());
        let Stream { disk, books, .. } = &mut self.streams[index];
        if index < self.own_streams {
            disk.came_back(delivery.number, delivery.parcel.memory_bytes());
            disk.alone_count = disk.alone_count.without(delivery.parcel.held_on_disk());
            delivery.parcel.moved(false, books);
        } else {
            disk.bytes += delivery.parcel.memory_bytes();
            self.disk.adopted_alone = self.disk.adopted_alone.without(delivery.parcel.held_on_disk());
        }
        if too_old {
            // The service would refuse each event: the call can be spared.
            self.end(index, delivery, |_| End::TooOld);
        } else if self.spilling || self.is_mute(index, now) {
            self.leave_on_disk(index, delivery);
        } else {
            self.streams[index].begun = true;
            self.streams[index].put_back(delivery);
        }
    }

    pub(super) fn nothing_to_load(&mut self) {
        let except = self.disk.loading.take();
        self.disk.silence.in_vain.clear();
        if std::mem::take(&mut self.disk.left_meanwhile) {
            // Decided before that was there.
            return;
        }
        if except.as_ref().is_some_and(Vec::is_empty) {
            // What else was counted there cannot be read any more.
            self.disk.alone = 0;
            for index in 0..self.own_streams {
                self.streams[index].disk.lose_all(self.disk.pending_for_room(index));
            }
        }
        self.disk.nothing_but = except;
    }

    /// It was on disk alone, and is not there any more: nobody waits for it.
    pub(super) fn unreadable(&mut self, run: u32, key: u64, sum: Sum) {
        if run > 0 {
            let all = Sum { entries: self.disk.alone, memory_bytes: 0, count: self.disk.adopted_alone };
            let lost = sum.of(all);
            self.disk.alone -= lost.entries;
            self.disk.adopted_alone = self.disk.adopted_alone.without(lost.count);
            self.adopted.ledger.book(End::Unreadable, lost.count);
        } else if let Some(index) = self.own_stream_of(key) {
            let pending = self.disk.pending_for_room(index);
            let Stream { disk, books, .. } = &mut self.streams[index];
            let lost = disk.lose(sum, pending);
            books.ledger.book(End::Unreadable, lost.count);
            self.disk.alone = self.disk.alone.saturating_sub(lost.entries);
        }
    }

    /// The same of what was in memory until the end: of a body in parts, some may have had theirs.
    pub(super) fn held_is_gone(&mut self, id: EntryId, key: u64, whole: Sum) {
        let left = self.disk.parts_left.remove(&id).unwrap_or(whole);
        self.unreadable(id.run, key, left);
    }

    /// Of what was told as lost, this was in memory: either it was not booked, for there was not so much on disk alone,
    /// or in the place of something else.
    pub(super) fn not_lost(&mut self, key: u64, sum: Sum) {
        let Some(index) = self.own_stream_of(key) else { return };
        let Stream { disk, books, .. } = &mut self.streams[index];
        let found = disk.find(sum);
        disk.alone_count += books.ledger.unbook(End::Unreadable, found.count);
        self.disk.alone += found.entries;
        self.disk.nothing_but = None;
    }

    fn own_stream_of(&self, key: u64) -> Option<usize> {
        self.streams[..self.own_streams].iter().position(|own| own.address.key() == key)
    }

    fn own_stream(&self, id: EntryId, address: &Address) -> Option<usize> {
        let own = &self.streams[..self.own_streams];
        if id.run == 0 { own.iter().position(|stream| *stream.address == *address) } else { None }
    }

    /// The place of an adopted run's stream. Idle ones make room for others, so that few are in memory but those in trouble.
    pub(super) fn adopted_stream(&mut self, address: &Arc<Address>) -> usize {
        let adopted = self.own_streams..self.streams.len();
        if let Some(known) = adopted.clone().find(|index| self.streams[*index].address == *address) {
            return known;
        }
        let group = self.group_of(address);
        let fresh = Stream::new(address.clone(), group);
        let is_full = adopted.len() >= ADOPTED_STREAMS_MAX;
        // What holds one in trouble must not be forgotten: its bodies would be tried again at once.
        let is_unneeded = |stream: &Stream| stream.is_idle() && stream.troubles == 0;
        match adopted.into_iter().find(|index| is_full && is_unneeded(&self.streams[*index])) {
            Some(idle) => {
                self.streams[idle] = fresh;
                idle
            }
            None => {
                self.streams.push(fresh);
                self.streams.len() - 1
            }
        }
    }
}
