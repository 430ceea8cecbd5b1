//! A spool that does not answer, as when its disk stands still: what it was given is taken back, and sent without it. So a
//! disk that `--durable` asks to be there first holds up nothing for long. What it stores late all the same is there after
//! all (`owed`), or stored in vain.

use std::collections::HashSet;
use std::time::Instant;

use super::super::notice::Notice;
use super::disk::{Purpose, What};
use super::{Action, Core};
use crate::limits::{SPOOL_ANSWER_WAIT, SPOOL_ANSWER_WAIT_AT_END};
use crate::spool::entry::Sum;
use crate::spool::wire::{EntryId, Request};

#[derive(Default)]
pub(super) struct Silence {
    /// It was asked to store something, and has not answered anything since.
    since: Option<Instant>,
    pub is_said: bool,
    /// Stored after they were taken back, and perhaps on their way here.
    pub in_vain: HashSet<EntryId>,
}

impl Core {
    pub(super) fn watch_disk(&mut self, now: Instant) {
        if self.spilling || !self.disk.is_awaited() {
            self.disk.silence.since = None;
            return;
        }
        self.disk.silence.since.get_or_insert(now);
        if self.next_silence().is_some_and(|at| at <= now) {
            self.take_back();
        }
    }

    /// When our patience is over.
    pub(super) fn next_silence(&self) -> Option<Instant> {
        // Else what waits there cannot be sent now anyway, and would be stored a second time.
        let is_last = self.draining && self.is_durable();
        let wait = if is_last { SPOOL_ANSWER_WAIT_AT_END } else { SPOOL_ANSWER_WAIT };
        self.disk.silence.since.map(|since| since + wait)
    }

    pub(super) fn is_durable(&self) -> bool {
        self.disk.options.is_some_and(|options| options.durable)
    }

    fn take_back(&mut self) {
        self.disk.silence.since = None;
        self.disk.is_owed = self.is_durable();
        for at in 0..self.disk.pending.len() {
            let pending = &mut self.disk.pending[at];
            let stream = pending.stream;
            let What::Body(delivery, purpose) = &pending.what else { continue };
            let safe = (*purpose == Purpose::Safety).then_some(delivery.number);
            let here = What::Here { sum: delivery.parcel.entry.sum(), safe };
            if let What::Body(delivery, purpose) = std::mem::replace(&mut pending.what, here) {
                self.disk.pending_bytes -= delivery.parcel.memory_bytes();
                self.streams[stream].disk.was_not_stored(&delivery, purpose);
                self.streams[stream].put_back(delivery);
            }
        }
        if !std::mem::replace(&mut self.disk.silence.is_said, true) {
            let durable = self.is_durable();
            self.outbox.push_back(Action::Say(Notice::SpoolSilent { durable }));
        }
    }

    /// Whether its silence, which was said, ended with that: what it answered is to be said instead.
    pub(super) fn disk_answered(&mut self, now: Instant) -> bool {
        self.disk.silence.since = self.disk.silence.since.map(|_| now);
        std::mem::take(&mut self.disk.silence.is_said)
    }

    /// What was taken back is not wanted there any more. A Load that is under way may have found it.
    pub(super) fn stored_in_vain(&mut self, stream: usize, id: EntryId, sum: Sum) {
        if self.disk.loading.is_some() {
            self.disk.silence.in_vain.insert(id);
        }
        let key = self.streams[stream].address.key();
        self.outbox.push_back(Action::Spool(Request::Unwanted { id, key, sum }));
    }
}
