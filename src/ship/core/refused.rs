//! What the service calls invalid. One bad event fails its whole call, so the body is halved until the bad one stands
//! alone, and the others go on. But a wrong name gives the same answer for every event. So:
//!
//! - A lone event that is refused is a suspect: kept, beside the queues. Once another body of its stream is taken, the
//!   event is bad: booked, and said.
//! - Too many suspects with no success between: the stream is slow. Everything is kept, nothing more is halved, and it
//!   is tried again slowly: its first body each time, which goes through when somebody has mended it; and then, should
//!   the events be bad after all, some others, each from somewhere else. Once something is taken, the former
//!   suspects go again, for it may just have been mended: who is refused again is bad.
//!
//! Parts of a body stay in memory; if it lies on disk, it does so until the last of them has its end.

use std::sync::Arc;
use std::time::Instant;

use super::super::notice::Notice;
use super::super::split_body::first_event;
use super::choose::is_behind_disk;
use super::stream::{Call, Delivery, Stream};
use super::{Action, Core};
use crate::ledger::End;
use crate::limits::{
    INVALID_SAID_MAX, REFUSED_PIECES_MAX, SLOW_TRIES_MAX, SLOW_WAITING_MAX, SUSPECTS_MAX, WAITING_BODIES_PER_STREAM_MAX,
};
use crate::spool::wire::EntryId;

/// A body's own story.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trial {
    /// Of the body that it is a part of.
    pub first_event: u32,
    pub is_part: bool,
    /// While the stream was slow.
    tries: u32,
    /// The stream's successes when it was last refused, as a lone event.
    refused_after: Option<u64>,
}

/// A body on disk of which there are parts in memory.
#[derive(Debug)]
pub(super) struct Whole {
    pub entry: EntryId,
    /// As in memory.
    pub bytes: usize,
}

/// A stream's.
#[derive(Default)]
pub(super) struct Refusals {
    /// Fewer than `SUSPECTS_MAX`.
    pub suspects: Vec<Suspect>,
    /// It is hardly the events.
    pub slow: bool,
    /// While slow: how many were refused one after the other since the last wait, the first body first.
    tries: u32,
    /// Bodies taken.
    successes: u64,
    /// Since the last of them: events that were refused again, and booked.
    proven: usize,
    /// How often invalid events were said.
    said: u32,
}

pub(super) struct Suspect {
    pub delivery: Delivery,
    /// The service's words.
    detail: String,
}

impl Core {
    /// A body was called invalid.
    pub(super) fn invalid(&mut self, call: Call, detail: String, now: Instant) {
        let Call { stream: index, delivery, .. } = call;
        self.streams[index].in_flight -= 1;
        if self.streams[index].refusals.slow {
            self.refused_slowly(index, delivery, detail, now);
            return;
        }
        let count = delivery.parcel.events() / 2;
        let mut delivery = match self.split(index, delivery, count) {
            Ok((left, right)) => {
                self.streams[index].put_back(right);
                self.streams[index].put_back(left);
                return;
            }
            Err(lone) => lone,
        };
        let refusals = &mut self.streams[index].refusals;
        if refusals.is_proven(&delivery) {
            refusals.proven += 1;
            self.found_invalid(index, vec![Suspect { delivery, detail }]);
            return;
        }
        delivery.trial.refused_after = Some(refusals.successes);
        refusals.suspects.push(Suspect { delivery, detail: detail.clone() });
        if refusals.suspects.len() >= SUSPECTS_MAX {
            self.slow_down(index, detail, now);
        }
    }

    /// A body of this stream was taken: so it is not its name that is wrong, nor the like.
    pub(super) fn proved(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.refusals.successes += 1;
        stream.refusals.proven = 0;
        if std::mem::take(&mut stream.refusals.slow) {
            stream.hold_until = None;
        }
        let suspects = std::mem::take(&mut stream.refusals.suspects);
        self.found_invalid(index, suspects);
    }

    /// Our own streams that have suspects.
    pub fn suspected(&self) -> impl Iterator<Item = usize> {
        (0..self.own_streams).filter(|index| !self.streams[*index].refusals.suspects.is_empty())
    }

    /// Where no more lines come, nothing is left that could prove suspects bad; but there are too few of them to doubt it.
    pub fn settle_unproven(&mut self, is_over: impl Fn(usize) -> bool, now: Instant) {
        for index in 0..self.streams.len() {
            let stream = &self.streams[index];
            if stream.refusals.suspects.is_empty() || stream.in_flight > 0 || stream.has_queued() {
                continue;
            }
            let stored = self.pending().all(|(owner, _)| owner != index);
            let over = if index < self.own_streams {
                is_over(index) && stored && stream.disk.alone == 0
            } else {
                self.draining && self.disk_is_empty(now)
            };
            if over {
                let suspects = std::mem::take(&mut self.streams[index].refusals.suspects);
                self.found_invalid(index, suspects);
            }
        }
    }

    /// The next try of a slow stream.
    pub(super) fn take_slowly(&mut self, index: usize) -> Option<Delivery> {
        let is_first_try = self.streams[index].refusals.tries == 0;
        let queued = self.streams[index].queued();
        let (backlog, at) = if is_first_try { queued.first().copied()? } else { self.another(index, &queued)? };
        let delivery = self.streams[index].queue(backlog).remove(at)?;
        if is_first_try || queued.len() > REFUSED_PIECES_MAX {
            return Some(delivery);
        }
        // A single event is the likeliest to be good.
        match self.split(index, delivery, 1) {
            Ok((event, mut rest)) => {
                // The next try is somewhere else: bad lines come in rows.
                rest.trial.tries += 1;
                self.streams[index].put_back(rest);
                Some(event)
            }
            Err(delivery) => Some(delivery),
        }
    }

    /// Where the next try is to be found, the first body's having failed: where there were the fewest so far. A body
    /// that shares a millisecond with the one before it (each does, if order is strict) must not overtake it: it is
    /// eligible when all before it are lone events that were refused.
    fn another(&self, index: usize, queued: &[(bool, usize)]) -> Option<(bool, usize)> {
        let stream = &self.streams[index];
        let at = |place: &(bool, usize)| stream.queued_at(*place);
        let all_refused = queued.iter().take_while(|place| at(place).trial.refused_after.is_some()).count();
        let is_eligible = |nth: usize, delivery: &Delivery| {
            !self.is_strict(delivery) || (nth <= all_refused && (delivery.backlog || !is_behind_disk(stream, delivery)))
        };
        // A first body of several events may itself be taken apart.
        let others = queued.iter().enumerate().skip(usize::from(all_refused > 0));
        let eligible = others.filter(|(nth, place)| is_eligible(*nth, at(place))).map(|(_, place)| place);
        let tried = |delivery: &Delivery| (delivery.trial.refused_after.is_some(), delivery.trial.tries);
        eligible.min_by_key(|place| tried(at(place))).or(queued.first()).copied()
    }

    /// May another body of a slow stream be finished? What was refused already does not count against it: the good lines
    /// behind many bad ones must come to their turn.
    pub(super) fn accepts_slowly(&self, index: usize) -> bool {
        let stream = &self.streams[index];
        let untried = stream.waiting.iter().filter(|delivery| delivery.trial.tries == 0).count();
        untried < WAITING_BODIES_PER_STREAM_MAX
            && stream.waiting.len() < SLOW_WAITING_MAX
            && stream.held_bytes < self.share()
    }

    fn slow_down(&mut self, index: usize, detail: String, now: Instant) {
        let stream = &mut self.streams[index];
        (stream.refusals.slow, stream.refusals.tries) = (true, 0);
        stream.refusals.suspects.iter_mut().for_each(|suspect| suspect.delivery.trial.tries += 1);
        stream.return_suspects();
        self.say_slow(index, detail);
        self.hold(index, now);
    }

    fn refused_slowly(&mut self, index: usize, mut delivery: Delivery, detail: String, now: Instant) {
        let stream = &mut self.streams[index];
        delivery.trial.tries = delivery.trial.tries.saturating_add(1);
        if delivery.parcel.events() == 1 {
            delivery.trial.refused_after = Some(stream.refusals.successes);
        }
        let has_other = stream.has_queued() || delivery.parcel.events() > 1;
        stream.put_back(delivery);
        // Calls that were in flight when it became slow are none of its tries.
        let was_try = stream.in_flight == 0 && stream.hold_until.is_none();
        stream.refusals.tries += u32::from(was_try);
        if !was_try || !has_other || stream.refusals.tries >= SLOW_TRIES_MAX {
            stream.refusals.tries = 0;
            self.hold(index, now);
        }
        self.say_slow(index, detail);
    }

    fn say_slow(&mut self, index: usize, detail: String) {
        if !std::mem::replace(&mut self.streams[index].trouble_said, true) {
            let notice = Notice::AllInvalid { stream: self.told_name(index), detail };
            self.outbox.push_back(Action::Say(notice));
        }
    }

    /// These are bad: booked and said.
    fn found_invalid(&mut self, index: usize, suspects: Vec<Suspect>) {
        let Some(first) = suspects.first() else { return };
        let said = &mut self.streams[index].refusals.said;
        *said = said.saturating_add(1);
        if *said <= INVALID_SAID_MAX {
            let last_said = *said == INVALID_SAID_MAX;
            self.outbox.push_back(Action::Say(Notice::Invalid {
                stream: self.told_name(index),
                events: suspects.iter().map(|suspect| suspect.delivery.parcel.events()).sum(),
                event: first_event(&first.delivery.parcel.entry.payload),
                detail: first.detail.clone(),
                last_said,
            }));
        }
        for suspect in suspects {
            self.end(index, suspect.delivery, |_| End::Invalid);
        }
    }

    /// The first `count` events, and the rest, with the same story. `Err`: it cannot be taken apart.
    fn split(&mut self, index: usize, delivery: Delivery, count: usize) -> Result<(Delivery, Delivery), Delivery> {
        let Delivery { number, parcel, attempts, maybe_stored, refused, entry, backlog, whole, trial } = delivery;
        let bytes = parcel.memory_bytes();
        let (left, right) = match parcel.split(count) {
            Ok(parts) => parts,
            Err(parcel) => {
                return Err(Delivery { number, parcel, attempts, maybe_stored, refused, entry, backlog, whole, trial });
            }
        };
        self.free_bytes(index, bytes);
        self.hold_bytes(index, left.memory_bytes() + right.memory_bytes());
        let whole = entry.map(|entry| Arc::new(Whole { entry, bytes })).or(whole);
        let attempts = attempts.min(1);
        let part = |parcel, whole, trial| Delivery {
            number,
            parcel,
            attempts,
            maybe_stored,
            refused,
            entry: None,
            backlog,
            whole,
            trial,
        };
        let first_event = trial.first_event + count as u32;
        let trial = Trial { is_part: true, ..trial };
        Ok((part(left, whole.clone(), trial), part(right, whole, Trial { first_event, ..trial })))
    }
}

impl Refusals {
    /// It was refused before, and another body was taken since. Of very many without a further success, that proves
    /// nothing: the trouble may be back.
    fn is_proven(&self, delivery: &Delivery) -> bool {
        let again = delivery.trial.refused_after.is_some_and(|successes| successes < self.successes);
        again && self.proven < SUSPECTS_MAX
    }
}

impl Stream {
    /// Suspects are bodies like others again.
    pub(super) fn return_suspects(&mut self) {
        for suspect in std::mem::take(&mut self.refusals.suspects) {
            self.put_back(suspect.delivery);
        }
    }

    fn has_queued(&self) -> bool {
        !self.waiting.is_empty() || !self.backlog.is_empty()
    }

    /// Where the bodies of both queues are, in their order: whether in the backlog, and where there.
    fn queued(&self) -> Vec<(bool, usize)> {
        let backlog = (0..self.backlog.len()).map(|at| (true, at));
        let mut all: Vec<_> = backlog.chain((0..self.waiting.len()).map(|at| (false, at))).collect();
        all.sort_by_key(|place| self.queued_at(*place).place());
        all
    }

    fn queued_at(&self, (backlog, at): (bool, usize)) -> &Delivery {
        if backlog { &self.backlog[at] } else { &self.waiting[at] }
    }

    fn queue(&mut self, backlog: bool) -> &mut std::collections::VecDeque<Delivery> {
        if backlog { &mut self.backlog } else { &mut self.waiting }
    }
}
