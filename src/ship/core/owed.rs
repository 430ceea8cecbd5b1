//! Bodies that are to be durable and are in memory alone, for the disk refused them, did not answer, or lost them: they are
//! stored as soon as it takes bodies again, those in calls first, then each stream's oldest.

use super::Core;
use super::disk::{Purpose, What};
use super::stream::{Delivery, Stream};
use crate::spool::wire::EntryId;

impl Core {
    pub(super) fn store_owed(&mut self) {
        if !self.disk.is_owed || self.spilling || !self.disk.is_on() {
            return;
        }
        self.store_owed_calls();
        for index in 0..self.own_streams {
            while let Some(at) = self.first_owed(index).filter(|_| self.disk_takes(index)) {
                let delivery = self.streams[index].waiting.remove(at).expect("it was found there");
                self.store(index, delivery, Purpose::Safety);
            }
        }
        let waiting = self.streams[..self.own_streams].iter().flat_map(|stream| &stream.waiting);
        let in_calls = self.calls.iter().flatten().map(|call| &call.delivery);
        self.disk.is_owed = waiting.chain(in_calls).any(is_in_memory_alone);
    }

    /// In an outage they rest there for long.
    fn store_owed_calls(&mut self) {
        for slot in 0..self.calls.len() {
            let Some(call) = &self.calls[slot] else { continue };
            let (stream, delivery) = (call.stream, &call.delivery);
            let is_owed = is_in_memory_alone(delivery)
                && !self.is_asked(stream, delivery.number)
                && self.may_follow(stream, delivery);
            if is_owed && self.disk_takes(stream) {
                let entry = delivery.parcel.entry.clone();
                let here = What::Here { sum: entry.sum(), safe: Some(delivery.number) };
                self.ask_to_store(stream, entry, true, here);
            }
        }
    }

    /// It may be on its way there still.
    fn is_asked(&self, stream: usize, number: u64) -> bool {
        let is_it = |what: &What| matches!(what, What::Here { safe, .. } if *safe == Some(number));
        self.disk.pending.iter().any(|pending| pending.stream == stream && is_it(&pending.what))
    }

    /// Its place among those that wait. A part is sent soon, and its body may be there as a whole.
    fn first_owed(&self, index: usize) -> Option<usize> {
        let stream = &self.streams[index];
        let is_owed = |other: &Delivery| {
            is_in_memory_alone(other) && !self.is_asked(index, other.number) && self.may_follow(index, other)
        };
        stream.waiting.iter().position(is_owed)
    }

    /// After a kill, bodies come back as they lie there: one that must not be overtaken goes there in its order, and so does
    /// one that such a one was to follow.
    fn may_follow(&self, index: usize, owed: &Delivery) -> bool {
        let stream = &self.streams[index];
        let pending = self.pending().filter(|(owner, _)| *owner == index).map(|(_, delivery)| delivery);
        let is_younger = |other: &&Delivery| other.number > owed.number;
        let mut younger = stream.waiting.iter().filter(|other| other.entry.is_some()).chain(pending).filter(is_younger);
        if self.is_strict(owed) {
            stream.may_leave(owed.number) && younger.next().is_none()
        } else {
            let none_alone = stream.disk.alone == 0 || owed.number >= stream.disk.strict_alone_until;
            none_alone && !younger.any(|other| self.is_strict(other))
        }
    }

    /// One that is to come before it will be stored behind it.
    fn is_behind_older(&self, index: usize, number: u64) -> bool {
        let own = &self.streams[index];
        let pending = self.pending().filter(|(owner, _)| *owner == index).map(|(_, other)| other);
        let mut to_be_stored = own.waiting.iter().filter(|other| is_in_memory_alone(other)).chain(pending);
        let is_strict = own.waiting.iter().any(|other| other.number == number && self.is_strict(other));
        is_strict && to_be_stored.any(|other| other.number < number)
    }

    /// Stored, while it was here: then that is where it lies, if it is still here as it was, and nothing that is to come
    /// before it will lie behind it.
    pub(super) fn is_stored_here(&mut self, stream: usize, number: u64, id: EntryId) -> bool {
        if self.is_behind_older(stream, number) {
            return false;
        }
        let is_it = |other: &&mut Delivery| other.number == number && is_in_memory_alone(other);
        let calls = self.calls.iter_mut().flatten().filter(|call| call.stream == stream);
        let Stream { waiting, disk, .. } = &mut self.streams[stream];
        let found = waiting.iter_mut().chain(calls.map(|call| &mut call.delivery)).find(is_it);
        if let Some(delivery) = found {
            delivery.entry = Some(id);
            disk.bytes += delivery.parcel.memory_bytes();
            return true;
        }
        false
    }
}

fn is_in_memory_alone(delivery: &Delivery) -> bool {
    delivery.entry.is_none() && delivery.whole.is_none() && !delivery.backlog && !delivery.trial.is_part
}
