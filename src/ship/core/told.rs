//! What the spool says: what is stored, what is not, what comes back, and that it is gone.

use std::time::Instant;

use super::super::notice::Notice;
use super::disk::{Pending, Purpose, What};
use super::{Action, Core};
use crate::ledger::Count;
use crate::limits::WAITING_BODIES_PER_STREAM_MAX;
use crate::spool::wire::{EntryId, Event, Request};

impl Core {
    pub fn spooled(&mut self, event: Event, now: Instant, wall_ms: i64) {
        match event {
            Event::Stored { ticket, id, bytes } => {
                let was_silent = self.disk_answered(now);
                self.disk_has_taken(was_silent);
                self.stored(ticket, id, bytes);
            }
            Event::Refused { ticket, why } => {
                let was_silent = self.disk_answered(now);
                self.refused_by_disk(ticket, why, was_silent, now);
            }
            Event::Loaded { id, entry } => self.loaded(id, *entry, now, wall_ms),
            Event::Nothing => self.nothing_to_load(),
            Event::Adopted { entries, count, bytes, .. } => {
                self.adopted(entries, count, bytes);
                if entries > 0 {
                    self.outbox.push_back(Action::Say(Notice::Adopted { entries, lines: count.lines }));
                }
            }
            Event::SetAside { run, key, what, sum, .. } => {
                self.outbox.push_back(Action::Say(Notice::SetAside { what }));
                self.unreadable(run, key, sum);
            }
            Event::Gone { run, key, sum } => self.unreadable(run, key, sum),
            Event::HeldGone { id, key, sum } => self.held_is_gone(id, key, sum),
            Event::Missing { segment } => self.missing(segment),
            Event::NotLost { key, sum } => self.not_lost(key, sum),
            Event::Freed { bytes } => {
                self.disk.used_bytes = self.disk.used_bytes.saturating_sub(bytes);
                self.disk.refused_until = None;
            }
            Event::Absent { why } => {
                let durable = self.is_durable();
                self.spool_is_gone(Notice::SpoolAbsent { why, durable });
            }
            Event::Searched => self.disk.searched = true,
            Event::Ended => {}
        }
    }

    /// The same after the end, when what is on disk alone was counted: some of that may not be there.
    pub fn spool_ended(&mut self, event: Event) {
        match event {
            Event::SetAside { run, key, sum, .. } | Event::Gone { run, key, sum } => self.unreadable(run, key, sum),
            Event::HeldGone { id, key, sum } => self.held_is_gone(id, key, sum),
            Event::NotLost { key, sum } => self.not_lost(key, sum),
            // Known at the last moment: it is on disk for the next run, but for what is told after this.
            Event::Adopted { entries, count, bytes, .. } => self.adopted(entries, count, bytes),
            _ => {}
        }
    }

    fn adopted(&mut self, entries: u64, count: Count, bytes: u64) {
        self.disk.alone += entries;
        self.disk.used_bytes += bytes;
        self.disk.nothing_but = None;
        self.disk.adopted_alone += count;
        self.adopted.ledger.adopted += count;
    }

    fn stored(&mut self, ticket: u64, id: EntryId, bytes: u64) {
        self.disk.used_bytes += bytes;
        let Pending { stream, what, .. } = self.take_first_pending(ticket);
        match what {
            What::Here { sum, safe } => {
                if !safe.is_some_and(|number| self.is_stored_here(stream, number, id)) {
                    self.stored_in_vain(stream, id, sum);
                }
            }
            What::Body(mut delivery, purpose) => {
                delivery.entry = Some(id);
                let whole = delivery.whole.take();
                self.release(stream, whole);
                if purpose == Purpose::Safety {
                    self.streams[stream].disk.storing.pop_front();
                }
                let own = &self.streams[stream];
                let full = own.waiting.len() >= WAITING_BODIES_PER_STREAM_MAX && own.may_leave(delivery.number);
                if purpose == Purpose::Room {
                    self.free_bytes(stream, delivery.parcel.memory_bytes());
                    self.left_on_disk(stream, &delivery);
                    self.remember_tries(id, &delivery);
                } else if full || self.spilling {
                    self.leave_on_disk(stream, delivery);
                } else {
                    self.streams[stream].put_back(delivery);
                }
            }
            What::Call(slot) => match &mut self.calls[slot] {
                Some(call) if call.delivery.entry.is_none() => {
                    call.delivery.entry = Some(id);
                    self.streams[stream].disk.bytes += call.delivery.parcel.memory_bytes();
                    let whole = call.delivery.whole.take();
                    self.release(stream, whole);
                }
                // It was answered meanwhile, or is there after all.
                _ => self.outbox.push_back(Action::Spool(Request::Done(id))),
            },
        }
    }

    /// The spool's thread is gone: what it was given is still ours, what it has waits for another run.
    pub fn spool_died(&mut self) {
        self.spool_is_gone(Notice::SpoolDied);
    }

    fn spool_is_gone(&mut self, notice: Notice) {
        if std::mem::replace(&mut self.disk.dead, true) || self.disk.options.is_none() {
            return;
        }
        self.outbox.push_back(Action::Say(notice));
        self.disk.loading = None;
        for (stream, delivery) in self.take_pending() {
            self.streams[stream].put_back(delivery);
        }
        // Nothing comes back from there any more, so nothing waits for it.
        self.streams.iter_mut().for_each(|stream| stream.disk.alone = 0);
        self.disk.alone = 0;
    }
}
