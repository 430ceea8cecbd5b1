//! A segment of the spool is gone, of which we have bodies in memory: they are not on disk any more. With `--durable`, they
//! are stored again (`owed`), but for those that had come back and are sent soon.

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
            for delivery in stream.waiting.iter_mut().chain(&mut stream.backlog).chain(suspects) {
                let Some(id) = forget(delivery, segment) else { continue };
                stream.disk.bytes -= delivery.parcel.memory_bytes();
                self.outbox.push_back(Action::Spool(Request::Done(id)));
            }
        }
        self.disk.is_owed = self.is_durable();
    }
}

fn forget(delivery: &mut Delivery, segment: u32) -> Option<EntryId> {
    delivery.entry.take_if(|id| id.run == 0 && id.segment == segment)
}
