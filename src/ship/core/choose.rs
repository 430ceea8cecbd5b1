//! Which body goes out next. Fresh bodies go straight out; what came back from the disk gets half the window while there
//! are fresh ones, and all but one place of it otherwise.

use std::time::Instant;

use super::stream::{Call, CallState, Delivery, Stream};
use super::{Action, Core};
use crate::limits::DURABLE_FLUSH_SHARE;
use crate::ship::core::creation::Existence;
use crate::ship::hash::Hashed;

impl Core {
    /// The one that has rested longest: at a low rate, the first places would keep the others from their turn.
    pub(super) fn resend(&mut self, now: Instant) -> Option<Action> {
        if !self.rate.may_send(now) {
            return None;
        }
        let rested = |(slot, call): (usize, &Option<Call>)| match call.as_ref()?.state {
            CallState::Resting { until, .. } => (until <= now).then_some((until, slot)),
            CallState::Flying => None,
        };
        let (_, slot) = self.calls.iter().enumerate().filter_map(rested).min()?;
        let call = self.calls[slot].take()?;
        Some(self.fly(slot, call.stream, call.delivery, now))
    }

    pub(super) fn send(&mut self, now: Instant) -> Option<Action> {
        if !self.rate.may_send(now) {
            return None;
        }
        let slot = self.calls.iter().position(Option::is_none)?;
        let may = |stream: &Stream| stream.hold_until.is_none_or(|until| until <= now);
        let fresh = self.turn_of(false, |core, stream| may(stream) && core.is_ready(stream, stream.waiting.front()));
        let old = self.turn_of(true, |core, stream| may(stream) && core.is_ready(stream, stream.backlog.front()));
        let (index, backlog) = match (fresh, old) {
            (Some(fresh), None) => (fresh, false),
            (Some(fresh), Some(old)) => {
                let backlog = self.backlog_turn && self.backlog_calls() < (self.calls.len() / 2).max(1);
                (if backlog { old } else { fresh }, backlog)
            }
            (None, Some(old)) if self.backlog_may_go() => (old, true),
            (None, _) => return None,
        };
        self.turns[usize::from(backlog)] = index + 1;
        self.backlog_turn = !backlog;
        let delivery = self.take(index, backlog)?;
        let stream = &mut self.streams[index];
        stream.hold_until = None;
        stream.in_flight += 1;
        Some(self.fly(slot, index, delivery, now))
    }

    /// Where nothing fresh waits. A fresh body that comes finds a free place.
    pub(super) fn backlog_may_go(&self) -> bool {
        self.draining || self.backlog_calls() < (self.calls.len() - 1).max(1)
    }

    /// What is to be durable is not on disk before its batch ends: so batches end sooner while hardly anything is under way
    /// and nothing stands in the way of a call more.
    pub fn hastens(&self) -> bool {
        let may = self.is_durable()
            && self.disk.is_on()
            && self.rate.limited_since().is_none()
            && self.outage.since.is_none();
        may && {
            let waiting = self.streams.iter().map(|stream| stream.waiting.len() + stream.backlog.len()).sum::<usize>();
            let under_way = self.calls.iter().flatten().count() + self.disk.pending.len() + waiting;
            under_way == 0 || under_way * DURABLE_FLUSH_SHARE < self.calls.len()
        }
    }

    /// One that waits for a place in the window: it may be hashed beside one that has got a place.
    pub fn waiting(&self) -> Option<Hashed> {
        let foremost = self.streams.iter().flat_map(|stream| [stream.waiting.front(), stream.backlog.front()]);
        let mut parcels = foremost.flatten().map(|delivery| &delivery.parcel);
        let parcel = parcels.find(|parcel| !parcel.hash.is_known())?;
        Some(Hashed { entry: parcel.entry.clone(), hash: parcel.hash.clone() })
    }

    fn take(&mut self, index: usize, backlog: bool) -> Option<Delivery> {
        let stream = &mut self.streams[index];
        match backlog {
            _ if stream.refusals.slow => self.take_slowly(index),
            true => stream.backlog.pop_front(),
            false => stream.waiting.pop_front(),
        }
    }

    /// All but a hold lets this body, one of the stream's foremost, go.
    pub(super) fn is_ready(&self, stream: &Stream, first: Option<&Delivery>) -> bool {
        let Some(first) = first else { return false };
        let window = if stream.refusals.slow { 1 } else { self.options.stream_window };
        if stream.existence != Existence::Exists || stream.in_flight >= window {
            return false;
        }
        // What must arrive in order waits for all that is older, wherever it is.
        let older_is_here = |other: Option<&Delivery>| other.is_some_and(|other| other.place() < first.place());
        let older_is_on_disk = !first.backlog && is_behind_disk(stream, first);
        let older_is_being_stored = stream.disk.storing.iter().any(|number| *number < first.number);
        !self.is_strict(first)
            || (stream.in_flight == 0
                && !older_is_on_disk
                && !older_is_being_stored
                && !older_is_here(stream.waiting.front())
                && !older_is_here(stream.backlog.front()))
    }

    /// What came back waits for what is in memory, and that for what is on disk still: as parts of bodies do that share a
    /// millisecond.
    pub(super) fn waits_for_disk(&self, stream: &Stream) -> bool {
        let (Some(fresh), Some(old)) = (stream.waiting.front(), stream.backlog.front()) else { return false };
        let is_between = is_behind_disk(stream, fresh) && fresh.place() < old.place();
        is_between && self.is_strict(fresh) && self.is_strict(old)
    }

    /// It must not overtake, nor be overtaken by, another body of its stream.
    pub(super) fn is_strict(&self, delivery: &Delivery) -> bool {
        delivery.parcel.entry.serial || self.options.stream_window == 1
    }

    fn turn_of(&self, backlog: bool, may_send: impl Fn(&Core, &Stream) -> bool) -> Option<usize> {
        let (first, count) = (self.turns[usize::from(backlog)], self.streams.len());
        (0..count).map(|offset| (first + offset) % count).find(|index| may_send(self, &self.streams[*index]))
    }

    fn backlog_calls(&self) -> usize {
        self.calls.iter().flatten().filter(|call| call.delivery.backlog).count()
    }

    fn fly(&mut self, slot: usize, stream: usize, mut delivery: Delivery, now: Instant) -> Action {
        self.rate.sent(now);
        self.called(stream, now);
        let ledger = &mut self.books_mut(stream).ledger;
        ledger.calls += 1;
        ledger.retries += u64::from(delivery.attempts > 0);
        if delivery.maybe_stored {
            ledger.duplicates += delivery.parcel.events() as u64;
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        let (entry, hash) = (delivery.parcel.entry.clone(), delivery.parcel.hash.clone());
        let (sent_after, state) = (self.successes, CallState::Flying);
        self.calls[slot] = Some(Call { stream, delivery, sent_after, sent_at: now, state });
        Action::Send { call: slot, stream, entry, hash }
    }
}

/// Bodies of its stream that are on disk alone are older than it.
pub(super) fn is_behind_disk(stream: &Stream, delivery: &Delivery) -> bool {
    stream.disk.alone > 0 && delivery.number > stream.disk.alone_from
}
