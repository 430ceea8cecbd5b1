//! What the disk takes: whose bodies, in which order, and when one that refused is asked again.

use std::time::Instant;

use super::super::notice::Notice;
use super::choose::is_behind_disk;
use super::disk::{Pending, Purpose, What};
use super::stream::{Delivery, Stream};
use super::{Action, Core};
use crate::ledger::End;
use crate::limits::{
    BODY_BYTES_TYPICAL, SPOOL_QUEUE_BYTES_MAX, SPOOL_RETRY, SPOOL_RETRY_MAX, WAITING_BODIES_PER_STREAM_MAX,
};
use crate::spool::wire::Refusal;

impl Core {
    /// It works, and has more to store than it should.
    pub(super) fn disk_is_behind(&self) -> bool {
        self.disk.is_on() && self.disk.pending_bytes >= SPOOL_QUEUE_BYTES_MAX
    }

    /// Would the spool take another body of this stream? Of a half of it every stream has its share to itself, and the
    /// rest anyone may fill: one that has much to say costs no other a line. One that refused is asked with one body.
    pub(super) fn disk_takes(&self, stream: usize) -> bool {
        self.disk.is_on()
            && self.disk.refused_until.is_none()
            && !self.disk.silence.is_said
            && (self.disk.refused_why.is_none() || self.disk.pending.is_empty())
            && self.disk.pending_bytes < SPOOL_QUEUE_BYTES_MAX
            && self.is_within_quota(stream)
    }

    fn is_within_quota(&self, stream: usize) -> bool {
        let bytes_max = self.disk.options.map_or(0, |options| options.bytes_max);
        let used = self.disk.used_bytes + (self.disk.pending_bytes + BODY_BYTES_TYPICAL) as u64;
        if used <= bytes_max / 2 || used > bytes_max {
            return used <= bytes_max;
        }
        let share = bytes_max / 2 / self.own_streams as u64;
        let own_left = |stream: &Stream| share.saturating_sub(stream.disk.bytes as u64);
        let own = own_left(&self.streams[stream]);
        let all: u64 = self.streams[..self.own_streams].iter().map(own_left).sum();
        own > 0 || used + all <= bytes_max
    }

    /// Why a stream that must drop lines has to.
    pub fn why_full(&self, stream: usize) -> End {
        match self.disk.refused_why {
            _ if !self.disk.is_on() => End::NoSpool,
            Some(Refusal::Full(_)) => End::SpoolFull,
            Some(Refusal::ReadOnly(_) | Refusal::Failed(_)) => End::NoSpool,
            None if !self.is_within_quota(stream) => End::SpoolFull,
            None => End::DiskSlow,
        }
    }

    /// May a finished body of this stream go to the disk? Not before others that wait for that, and a strict one not
    /// while another waits in memory for those that are there.
    pub(super) fn disk_takes_next(&self, stream: usize) -> bool {
        if !self.disk_takes(stream) {
            return false;
        }
        let own = &self.streams[stream];
        let is_strict = self.options.stream_window == 1 || own.waiting.iter().any(|other| other.parcel.entry.serial);
        let waits = is_strict && own.waiting.front().is_some_and(|other| is_behind_disk(own, other));
        !waits && own.next_for_disk().is_none()
    }

    /// What an offered body is to go to the disk for. None: it stays in memory.
    pub(super) fn disk_purpose(&self, stream: usize, delivery: &Delivery) -> Option<Purpose> {
        if self.spilling {
            return self.disk.is_on().then_some(Purpose::Room);
        }
        if !self.disk_takes_next(stream) {
            return None;
        }
        let own = &self.streams[stream];
        let is_behind = self.is_strict(delivery) && is_behind_disk(own, delivery);
        let is_full = own.waiting.len() >= WAITING_BODIES_PER_STREAM_MAX || self.is_short_of_memory(stream);
        if is_full || is_behind {
            Some(Purpose::Room)
        } else {
            // Not before one that came earlier and is owed the same.
            (self.is_durable() && !self.disk.is_owed).then_some(Purpose::Safety)
        }
    }

    /// Bodies that wait in memory because no disk took them go there now, of each stream in turn.
    pub(super) fn relieve_memory(&mut self) {
        if !self.disk.is_on() || self.spilling {
            return;
        }
        let is_short = self.held_bytes >= self.bound();
        let count = self.own_streams;
        // Bounded: each body that goes makes room for one more round.
        let mut idle_rounds = 0;
        while idle_rounds < count && self.disk.pending_bytes < SPOOL_QUEUE_BYTES_MAX {
            let index = self.disk.relieved_next % count;
            self.disk.relieved_next = index + 1;
            let may = (is_short || self.streams[index].presses) && self.disk_takes(index);
            let stream = &self.streams[index];
            // What is there already only leaves.
            let at = stream.next_for_disk().filter(|at| may || stream.waiting[*at].entry.is_some());
            let Some(delivery) = at.and_then(|at| self.streams[index].waiting.remove(at)) else {
                idle_rounds += 1;
                continue;
            };
            idle_rounds = 0;
            if delivery.entry.is_some() {
                self.leave_on_disk(index, delivery);
            } else {
                self.store(index, delivery, Purpose::Room);
            }
        }
    }

    /// The time has come to ask a disk again that refused.
    pub(super) fn ask_disk_again(&mut self, now: Instant) {
        if self.disk.refused_until.is_some_and(|until| until <= now) {
            self.disk.refused_until = None;
        }
    }

    /// It has taken nothing since it refused, and has nothing left to answer: it will not take what comes now either.
    pub fn is_refused_by_disk(&self) -> bool {
        !self.disk.is_on() || (self.disk.refused_why.is_some() && !self.disk.has_pending())
    }

    /// `was_silent`, here and below: and that was said.
    pub(super) fn disk_has_taken(&mut self, was_silent: bool) {
        self.disk.refusals = 0;
        if self.disk.refused_why.take().is_some() || was_silent {
            self.outbox.push_back(Action::Say(Notice::SpoolTakes));
        }
    }

    pub(super) fn refused_by_disk(&mut self, ticket: u64, why: Refusal, was_silent: bool, now: Instant) {
        let Pending { stream, what, .. } = self.take_first_pending(ticket);
        if let What::Body(delivery, purpose) = what {
            self.streams[stream].disk.was_not_stored(&delivery, purpose);
            self.streams[stream].put_back(delivery);
        }
        self.disk.is_owed = self.is_durable();
        if self.disk.refused_why.is_none() || was_silent {
            self.outbox.push_back(Action::Say(Notice::SpoolRefuses { why: why.clone() }));
        }
        self.disk.refused_why = Some(why);
        if self.disk.refused_until.is_none() {
            // What was asked for before the first of these refusals is one question with it.
            let wait = SPOOL_RETRY.saturating_mul(1 << self.disk.refusals.min(8)).min(SPOOL_RETRY_MAX);
            self.disk.refusals += 1;
            self.disk.refused_until = Some(now + wait);
        }
    }
}

impl Stream {
    /// Which of the waiting bodies is more than should wait in memory. They go in their order, or not at all: what comes
    /// back first is the oldest.
    fn next_for_disk(&self) -> Option<usize> {
        let at = WAITING_BODIES_PER_STREAM_MAX;
        let delivery = self.waiting.get(at)?;
        // Nor a part of a body, whose others are here: it would come back after them.
        (self.may_leave(delivery.number) && !delivery.trial.is_part && !self.refusals.slow).then_some(at)
    }

    /// No younger one lies on disk, nor came back from there already.
    pub(super) fn may_leave(&self, number: u64) -> bool {
        (self.disk.alone == 0 || number >= self.disk.alone_until)
            && self.backlog.iter().all(|other| other.number < number)
    }
}
