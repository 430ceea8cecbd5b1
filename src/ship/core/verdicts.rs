//! What the answer to a call means for its body, its stream and all others.

use std::time::{Duration, Instant};

use super::super::answer::{Answer, Rejected};
use super::super::backoff::{Pace, backoff};
use super::super::notice::Notice;
use super::creation::Existence;
use super::stream::{Call, CallState, Delivery};
use super::{Action, Core};
use crate::ledger::End;
use crate::limits::{ADOPTED_QUICK, ADOPTED_TRIES, EVENT_AHEAD_MS_MAX, RENEWAL_INTERVAL, THROTTLED_BEFORE_SAID};

impl Core {
    /// The answer to a Send.
    pub fn answered(&mut self, call: usize, answer: Answer, now: Instant) {
        let mut flown = self.calls[call].take().expect("an answer belongs to a call in flight");
        assert_eq!(flown.state, CallState::Flying, "a resting call was answered");
        self.heard(flown.stream, &answer);
        if self.spilling && !matches!(answer, Answer::Accepted(_)) {
            // It is on its way to the disk, and is not sent again: it stays where it is known to be.
            flown.state = CallState::Resting { until: now, away: false };
            self.calls[call] = Some(flown);
            return;
        }
        match answer {
            Answer::Accepted(rejected) => self.accepted(flown, rejected, now),
            Answer::Throttled => self.throttled(call, flown, now),
            Answer::Unavailable { detail, lost } if flown.stream >= self.own_streams => {
                flown.delivery.maybe_stored |= lost;
                let passing = now - flown.sent_at < ADOPTED_QUICK && flown.delivery.attempts < ADOPTED_TRIES;
                if passing {
                    self.rest(call, flown, false, now);
                } else {
                    let stream = flown.stream;
                    self.put_back(flown);
                    self.adopted_is_away(stream, detail, now);
                }
            }
            Answer::Unavailable { detail, lost } => {
                flown.delivery.maybe_stored |= lost;
                let away = self.is_away(flown.sent_after);
                if away {
                    self.outage(detail, lost, now);
                }
                self.rest(call, flown, away, now);
            }
            Answer::NotFound(_) => {
                let stream = flown.stream;
                self.put_back(flown);
                self.vanished(stream, now);
            }
            Answer::Denied(detail) => {
                let stream = flown.stream;
                flown.delivery.refused = true;
                self.put_back(flown);
                if self.hold(stream, now) {
                    self.renew_credentials(now);
                }
                self.say_trouble(stream, detail);
            }
            Answer::Invalid(detail) => self.invalid(flown, detail, now),
        }
    }

    pub(super) fn accepted(&mut self, call: Call, rejected: Rejected, now: Instant) {
        let index = call.stream;
        let stream = &mut self.streams[index];
        stream.in_flight -= 1;
        stream.vanished = 0;
        self.taken = true;
        if rejected.too_new_start.is_none() {
            // So much is proved of the time there: else the service would have refused its last event.
            let at_least = call.delivery.parcel.entry.last_ms - EVENT_AHEAD_MS_MAX;
            self.service_ms = Some(self.service_ms.map_or(at_least, |before| before.max(at_least)));
        }
        if !rejected.none() && !std::mem::replace(&mut self.streams[index].rejection_said, true) {
            let stream = self.told_name(index);
            self.outbox.push_back(Action::Say(Notice::Rejected { stream }));
        }
        self.end(index, call.delivery, |event| verdict(rejected, event));
        self.proved(index);
        self.reached(index, now);
    }

    /// A body has its end, event by event.
    pub(super) fn end(&mut self, stream: usize, mut delivery: Delivery, end_of: impl Fn(usize) -> End) {
        self.free_bytes(stream, delivery.parcel.memory_bytes());
        self.forget_on_disk(stream, &mut delivery);
        delivery.parcel.settle_each(end_of, self.books_mut(stream));
    }

    /// Did no call get through since one was sent, `successes` being this? Else its failure is its own.
    pub(super) fn is_away(&self, sent_after: u64) -> bool {
        self.successes == sent_after
    }

    /// A call got through: whatever rested because the service was away may go.
    pub(super) fn reached(&mut self, stream: usize, now: Instant) {
        // While a body is refused again and again, the success of another is no end of the trouble.
        let flying = self.calls.iter().flatten().filter(|call| call.stream == stream).map(|call| &call.delivery);
        let refused = flying.chain(self.streams[stream].resting()).any(|delivery| delivery.refused);
        if !refused && !self.streams[stream].refusals.slow {
            let stream = &mut self.streams[stream];
            (stream.troubles, stream.trouble_said) = (0, false);
        }
        if self.is_elsewhere(stream) {
            return;
        }
        self.successes += 1;
        let Some((since, is_said)) = self.outage.end() else { return };
        if is_said {
            self.outbox.push_back(Action::Say(Notice::Reached { after: now - since }));
        }
        for call in self.calls.iter_mut().flatten() {
            if let CallState::Resting { until, away: true } = &mut call.state {
                *until = now;
            }
        }
        for stream in &mut self.streams {
            if let Existence::Resting { until, away: true } = &mut stream.existence {
                *until = now;
            }
        }
    }

    /// It goes again in its turn, at the rate that is now allowed: to back off as well would be to wait twice.
    pub(super) fn throttled(&mut self, slot: usize, mut call: Call, now: Instant) {
        self.rate.throttled(call.sent_at, now);
        let lasts = self.rate.limited_since().map_or(Duration::ZERO, |since| now - since);
        // What was said was of a limit that is over.
        self.throttling_said &= lasts >= THROTTLED_BEFORE_SAID;
        if lasts >= THROTTLED_BEFORE_SAID && !std::mem::replace(&mut self.throttling_said, true) {
            self.outbox.push_back(Action::Say(Notice::Throttled { lasts, creations: false }));
        }
        call.state = CallState::Resting { until: now, away: false };
        self.calls[slot] = Some(call);
    }

    pub(super) fn rest(&mut self, slot: usize, mut call: Call, away: bool, now: Instant) {
        let wait = backoff(Pace::Fast, call.delivery.attempts, self.draining, &mut self.random);
        call.state = CallState::Resting { until: now + wait, away };
        self.calls[slot] = Some(call);
    }

    /// Back to its stream, in its old place.
    pub(super) fn put_back(&mut self, call: Call) {
        let stream = &mut self.streams[call.stream];
        stream.in_flight -= 1;
        stream.put_back(call.delivery);
    }

    /// False: it is held already. Of the calls that flew together, the first refusal counts: a window full of them is
    /// one trouble.
    pub(super) fn hold(&mut self, index: usize, now: Instant) -> bool {
        let stream = &mut self.streams[index];
        if stream.hold_until.is_some_and(|until| until > now) {
            return false;
        }
        stream.troubles += 1;
        let wait = backoff(Pace::Slow, stream.troubles, self.draining, &mut self.random);
        stream.hold_until = Some(now + wait);
        self.backlog_to_disk(index);
        true
    }

    /// However many streams have that trouble.
    pub(super) fn renew_credentials(&mut self, now: Instant) {
        if self.renewed.is_none_or(|renewed| now >= renewed + RENEWAL_INTERVAL) {
            self.renewed = Some(now);
            self.outbox.push_back(Action::RenewCredentials);
        }
    }

    pub(super) fn say_trouble(&mut self, stream: usize, detail: String) {
        if stream >= self.own_streams {
            return self.say_away(stream, detail);
        }
        let stream = &mut self.streams[stream];
        if !std::mem::replace(&mut stream.trouble_said, true) {
            self.outbox.push_back(Action::Say(Notice::Trouble { stream: stream.name().to_owned(), detail }));
        }
    }
}

impl Core {
    /// Its name, and that it is not this run's own if so.
    pub(super) fn told_name(&self, stream: usize) -> String {
        let name = self.streams[stream].name();
        if stream < self.own_streams { name.to_owned() } else { format!("{name}, of which an ended run left lines,") }
    }
}

/// What the service says became of one event. It answers "expired" for events that are too old as well.
fn verdict(rejected: Rejected, event: usize) -> End {
    if rejected.too_old_end.is_some_and(|end| event < end) {
        End::TooOld
    } else if rejected.expired_end.is_some_and(|end| event < end) {
        End::Expired
    } else if rejected.too_new_start.is_some_and(|start| event >= start) {
        End::TooNew
    } else {
        End::Delivered
    }
}
