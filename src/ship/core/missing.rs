//! A segment of the spool is gone, of which we have bodies in memory: they are not on disk any more. With `--durable`, those
//! that wait are stored again; the others are in a call, or came back to be sent soon.

use super::disk::Purpose;
use super::stream::Delivery;
use super::{Action, Core};
use crate::spool::wire::{EntryId, Request};

impl Core {
    /// Of our own run. What is not here any more was told by itself.
    pub(super) fn missing(&mut self, segment: u32) {
        for call in self.calls.iter_mut().flatten() {
            if let Some(id) = forget(&mut call.delivery, segment) {
                self.streams[call.stream].disk.bytes -= call.delivery.parcel.memory_bytes();
                self.outbox.push_back(Action::Spool(Request::Done(id)));
            }
        }
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            let suspects = stream.refusals.suspects.iter_mut().map(|suspect| &mut suspect.delivery);
            let mut fresh = Vec::new();
            for delivery in stream.waiting.iter_mut().chain(&mut stream.backlog).chain(suspects) {
                let Some(id) = forget(delivery, segment) else { continue };
                stream.disk.bytes -= delivery.parcel.memory_bytes();
                self.outbox.push_back(Action::Spool(Request::Done(id)));
                if !delivery.backlog {
                    fresh.push(delivery.number);
                }
            }
            for number in fresh {
                self.store_again(index, number);
            }
        }
    }

    fn store_again(&mut self, index: usize, number: u64) {
        if self.spilling || !self.is_durable() || !self.disk_takes(index) {
            return;
        }
        let waiting = &mut self.streams[index].waiting;
        let is_it = |other: &Delivery| other.number == number && other.entry.is_none() && !other.trial.is_part;
        let found = waiting.iter().position(is_it);
        if let Some(delivery) = found.and_then(|at| waiting.remove(at)) {
            self.store(index, delivery, Purpose::Safety);
        }
    }
}

fn forget(delivery: &mut Delivery, segment: u32) -> Option<EntryId> {
    delivery.entry.take_if(|id| id.run == 0 && id.segment == segment)
}
