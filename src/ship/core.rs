//! The ship core: which body is sent when, and what every answer means. A state machine without I/O, clock or chance of
//! its own: bodies, answers and the time come in, actions go out. The loop performs them; so may a simulation.
//!
//! A body is in exactly one place: waiting in its stream, or in a call. It leaves by being booked.
//! This file has the bodies and their calls; `creation` has the streams and their group, `room` says what may be held.

mod creation;
mod room;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::answer::{Answer, Rejected};
use super::backoff::{Pace, backoff};
use super::notice::Notice;
use super::parcel::{Books, Parcel};
use crate::ledger::{Count, End};
use crate::limits::ATTEMPTS_BEFORE_SAID;
use creation::{Existence, Group};
pub use room::Open;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
    pub seed: u64,
}

/// What the loop is to do. Each Send, CreateStream and CreateGroup is answered once.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Send { call: usize, stream: usize, payload: Bytes },
    CreateStream { stream: usize },
    CreateGroup,
    Say(Notice),
}

pub struct Core {
    options: Options,
    streams: Vec<Stream>,
    /// One place for each call that may be in flight.
    calls: Vec<Option<Call>>,
    /// Said or asked for at the next poll.
    outbox: VecDeque<Action>,
    random: fastrand::Rng,
    creations_in_flight: usize,
    group: Group,
    group_missing_said: bool,
    /// Since when no call has got through.
    outage_since: Option<Instant>,
    /// How many calls of any kind got through: whether one did since another was sent.
    successes: u64,
    /// The stream that is looked at first, so that all have their turn.
    turn: usize,
    held_bytes: usize,
    draining: bool,
    throttling_said: bool,
}

struct Stream {
    name: String,
    books: Books,
    /// Something will be sent to it.
    begun: bool,
    existence: Existence,
    /// By number.
    waiting: VecDeque<Delivery>,
    next_number: u64,
    in_flight: usize,
    held_bytes: usize,
    /// Nothing is sent before, because of trouble that only a person can mend.
    hold_until: Option<Instant>,
    troubles: u32,
    /// How often it was missing since it last took a body.
    vanished: u32,
    trouble_said: bool,
    rejection_said: bool,
}

/// A parcel, and how its delivery went so far.
struct Delivery {
    /// The order in which the stream's parcels were finished.
    number: u64,
    parcel: Parcel,
    attempts: u32,
    /// An answer was lost: the service may have the events already.
    maybe_stored: bool,
    /// The service, or the SDK, called it wrong.
    refused: bool,
}

struct Call {
    stream: usize,
    delivery: Delivery,
    /// `successes` when it was sent.
    sent_after: u64,
    state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallState {
    Flying,
    /// `away`: the service could not be reached, so the next success anywhere ends the rest.
    Resting {
        until: Instant,
        away: bool,
    },
}

impl Core {
    pub fn new(streams: Vec<String>, options: Options) -> Core {
        assert!(options.max_in_flight > 0 && options.stream_window > 0);
        let stream = |name| Stream {
            name,
            books: Books::default(),
            begun: false,
            existence: Existence::Unknown,
            waiting: VecDeque::new(),
            next_number: 0,
            in_flight: 0,
            held_bytes: 0,
            hold_until: None,
            troubles: 0,
            vanished: 0,
            trouble_said: false,
            rejection_said: false,
        };
        Core {
            options,
            streams: streams.into_iter().map(stream).collect(),
            calls: (0..options.max_in_flight).map(|_| None).collect(),
            outbox: VecDeque::new(),
            random: fastrand::Rng::with_seed(options.seed),
            creations_in_flight: 0,
            group: Group::AsFound,
            group_missing_said: false,
            outage_since: None,
            successes: 0,
            turn: 0,
            held_bytes: 0,
            draining: false,
            throttling_said: false,
        }
    }

    // ---- what comes in -----------------------------------------------------------------------

    pub fn books_mut(&mut self, stream: usize) -> &mut Books {
        &mut self.streams[stream].books
    }

    /// The stream has its first line: create it, while the batch fills.
    pub fn begin(&mut self, stream: usize) {
        self.streams[stream].begun = true;
    }

    pub fn offer(&mut self, stream: usize, parcel: Parcel) {
        let bytes = parcel.memory_bytes();
        self.held_bytes += bytes;
        let stream = &mut self.streams[stream];
        stream.held_bytes += bytes;
        stream.begun = true;
        let number = stream.next_number;
        stream.next_number += 1;
        stream.waiting.push_back(Delivery { number, parcel, attempts: 0, maybe_stored: false, refused: false });
    }

    /// The answer to a Send.
    pub fn answered(&mut self, call: usize, answer: Answer, now: Instant) {
        let mut flown = self.calls[call].take().expect("an answer belongs to a call in flight");
        assert_eq!(flown.state, CallState::Flying, "a resting call was answered");
        match answer {
            Answer::Accepted(rejected) => self.accepted(flown, rejected, now),
            Answer::Throttled => self.rest(call, flown, false, now),
            Answer::Unavailable { detail, lost } => {
                flown.delivery.maybe_stored |= lost;
                let away = self.is_away(flown.sent_after);
                if away {
                    self.outage(detail, now);
                }
                self.rest(call, flown, away, now);
            }
            Answer::NotFound(_) => {
                let stream = flown.stream;
                self.put_back(flown);
                self.vanished(stream, now);
            }
            Answer::Denied(detail) | Answer::Invalid(detail) => {
                let stream = flown.stream;
                flown.delivery.refused = true;
                self.put_back(flown);
                self.hold(stream, now);
                self.say_trouble(stream, detail);
            }
        }
    }

    /// The last lines are in: every waiting body is tried at once, and from now on no wait is long.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        for call in self.calls.iter_mut().flatten() {
            if let CallState::Resting { until, .. } = &mut call.state {
                *until = now;
            }
        }
        for stream in &mut self.streams {
            stream.hold_until = None;
            if let Existence::Resting { until, .. } = &mut stream.existence {
                *until = now;
            }
        }
    }

    /// Nothing more will be sent: everything held ends like this.
    pub fn give_up(&mut self, end: End) {
        for call in &mut self.calls {
            if let Some(call) = call.take() {
                call.delivery.parcel.settle(end, &mut self.streams[call.stream].books);
            }
        }
        for stream in &mut self.streams {
            for delivery in stream.waiting.drain(..) {
                delivery.parcel.settle(end, &mut stream.books);
            }
            (stream.in_flight, stream.held_bytes) = (0, 0);
        }
        self.held_bytes = 0;
    }

    // ---- what goes out -----------------------------------------------------------------------

    /// The next thing to do now, until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.outbox.pop_front().or_else(|| self.resend(now)).or_else(|| self.create(now)).or_else(|| self.send(now))
    }

    /// When `poll`, which has just said that there is nothing, will have something without anything coming in.
    pub fn next_due(&self) -> Option<Instant> {
        let resting = self.calls.iter().flatten().filter_map(|call| match call.state {
            CallState::Resting { until, .. } => Some(until),
            CallState::Flying => None,
        });
        // Only what time alone sets free: a stream that also waits for an answer would have the loop spin.
        let free = self.calls.iter().any(Option::is_none);
        let held = self.streams.iter().filter(|stream| free && self.is_ready(stream));
        let held = held.filter_map(|stream| stream.hold_until);
        resting.chain(held).chain(self.next_creation()).min()
    }

    /// Holds nothing that still has to be delivered.
    pub fn is_empty(&self) -> bool {
        self.calls.iter().all(Option::is_none) && self.streams.iter().all(|stream| stream.waiting.is_empty())
    }

    /// Lines and bytes of a stream that are in bodies.
    pub fn held(&self, stream: usize) -> Count {
        let calls = self.calls.iter().flatten().filter(|call| call.stream == stream);
        let waiting = self.streams[stream].waiting.iter().map(|delivery| delivery.parcel.held());
        let lines = self.streams[stream].books.split.lines_in_memory();
        calls.map(|call| call.delivery.parcel.held()).chain(waiting).fold(Count::new(lines, 0), |sum, held| sum + held)
    }

    // ---- verdicts ----------------------------------------------------------------------------

    fn accepted(&mut self, call: Call, rejected: Rejected, now: Instant) {
        let parcel = call.delivery.parcel;
        let bytes = parcel.memory_bytes();
        self.held_bytes -= bytes;
        let stream = &mut self.streams[call.stream];
        stream.in_flight -= 1;
        stream.held_bytes -= bytes;
        stream.vanished = 0;
        if rejected.none() {
            parcel.settle(End::Delivered, &mut stream.books);
        } else {
            if !std::mem::replace(&mut stream.rejection_said, true) {
                self.outbox.push_back(Action::Say(Notice::Rejected { stream: stream.name.clone() }));
            }
            parcel.settle_each(|event| verdict(rejected, event), &mut stream.books);
        }
        self.reached(call.stream, now);
    }

    /// Did no call get through since one was sent, `successes` being this? Else its failure is its own.
    fn is_away(&self, sent_after: u64) -> bool {
        self.successes == sent_after
    }

    fn outage(&mut self, detail: String, now: Instant) {
        if self.outage_since.is_none() {
            self.outage_since = Some(now);
            self.outbox.push_back(Action::Say(Notice::Outage { detail }));
        }
    }

    /// A call got through: whatever rested because the service was away may go.
    fn reached(&mut self, stream: usize, now: Instant) {
        self.successes += 1;
        // While a body is refused again and again, the success of another is no end of the trouble.
        let flying = self.calls.iter().flatten().filter(|call| call.stream == stream).map(|call| &call.delivery);
        if !flying.chain(&self.streams[stream].waiting).any(|delivery| delivery.refused) {
            let stream = &mut self.streams[stream];
            (stream.troubles, stream.trouble_said) = (0, false);
        }
        let Some(since) = self.outage_since.take() else { return };
        self.outbox.push_back(Action::Say(Notice::Reached { after: now - since }));
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

    fn rest(&mut self, slot: usize, mut call: Call, away: bool, now: Instant) {
        let attempts = call.delivery.attempts;
        if !away && attempts >= ATTEMPTS_BEFORE_SAID && !std::mem::replace(&mut self.throttling_said, true) {
            self.outbox.push_back(Action::Say(Notice::Throttled { attempts }));
        }
        let wait = backoff(Pace::Fast, attempts, self.draining, &mut self.random);
        call.state = CallState::Resting { until: now + wait, away };
        self.calls[slot] = Some(call);
    }

    /// Back to its stream, in its old place.
    fn put_back(&mut self, call: Call) {
        let stream = &mut self.streams[call.stream];
        stream.in_flight -= 1;
        let place = stream.waiting.partition_point(|delivery| delivery.number < call.delivery.number);
        stream.waiting.insert(place, call.delivery);
    }

    fn hold(&mut self, stream: usize, now: Instant) {
        let stream = &mut self.streams[stream];
        if stream.hold_until.is_some_and(|until| until > now) {
            // Of the calls that flew together, the first refusal counts: a window full of them is one trouble.
            return;
        }
        stream.troubles += 1;
        let wait = backoff(Pace::Slow, stream.troubles, self.draining, &mut self.random);
        stream.hold_until = Some(now + wait);
    }

    fn say_trouble(&mut self, stream: usize, detail: String) {
        let stream = &mut self.streams[stream];
        if !std::mem::replace(&mut stream.trouble_said, true) {
            self.outbox.push_back(Action::Say(Notice::Trouble { stream: stream.name.clone(), detail }));
        }
    }

    // ---- choices -----------------------------------------------------------------------------

    fn resend(&mut self, now: Instant) -> Option<Action> {
        let due = |call: &Call| matches!(call.state, CallState::Resting { until, .. } if until <= now);
        let slot = self.calls.iter().position(|call| call.as_ref().is_some_and(due))?;
        let call = self.calls[slot].take()?;
        Some(self.fly(slot, call.stream, call.delivery))
    }

    fn send(&mut self, now: Instant) -> Option<Action> {
        let slot = self.calls.iter().position(Option::is_none)?;
        let count = self.streams.len();
        let may_send = |stream: &Stream| self.is_ready(stream) && stream.hold_until.is_none_or(|until| until <= now);
        let index =
            (0..count).map(|offset| (self.turn + offset) % count).find(|index| may_send(&self.streams[*index]))?;
        self.turn = index + 1;
        let stream = &mut self.streams[index];
        let delivery = stream.waiting.pop_front()?;
        stream.hold_until = None;
        stream.in_flight += 1;
        Some(self.fly(slot, index, delivery))
    }

    /// All but a hold lets its next body go.
    fn is_ready(&self, stream: &Stream) -> bool {
        let Some(first) = stream.waiting.front() else { return false };
        let window = if first.parcel.serial { 1 } else { self.options.stream_window };
        stream.existence == Existence::Exists && stream.in_flight < window
    }

    fn fly(&mut self, slot: usize, stream: usize, mut delivery: Delivery) -> Action {
        let ledger = &mut self.streams[stream].books.ledger;
        ledger.calls += 1;
        ledger.retries += u64::from(delivery.attempts > 0);
        if delivery.maybe_stored {
            ledger.duplicates += delivery.parcel.events() as u64;
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        let payload = delivery.parcel.payload.clone();
        self.calls[slot] = Some(Call { stream, delivery, sent_after: self.successes, state: CallState::Flying });
        Action::Send { call: slot, stream, payload }
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

#[cfg(test)]
mod tests;
