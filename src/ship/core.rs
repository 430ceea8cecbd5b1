//! The ship core: which body is sent when, and what every answer means. A state machine without I/O, clock or chance of
//! its own: bodies, answers and the time come in, actions go out. The loop performs them; so may a simulation.
//!
//! A body is in exactly one place: waiting in its stream, or in a call. It leaves by being booked.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::answer::{Answer, Rejected};
use super::backoff::{Pace, backoff};
use super::notice::Notice;
use super::parcel::{Books, Parcel};
use crate::ledger::{Count, End};
use crate::limits::{BODY_BYTES_TYPICAL, CREATIONS_IN_FLIGHT_MAX, WAITING_BODIES_MAX, WAITING_BODIES_PER_STREAM_MAX};

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
    /// The stream that is looked at first, so that all have their turn.
    turn: usize,
    held_bytes: usize,
    draining: bool,
}

struct Stream {
    name: String,
    books: Books,
    /// Something will be sent to it.
    begun: bool,
    existence: Existence,
    /// By number: the order in which they were finished.
    waiting: VecDeque<(u64, Parcel)>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Ours is not to ask.
    AsFound,
    BeingCreated,
    /// By us; the service may take a moment to know it.
    Created,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existence {
    Unknown,
    /// A call is on its way, for the stream or for its group.
    BeingCreated,
    RetryAt(Instant),
    Exists,
}

struct Call {
    stream: usize,
    number: u64,
    parcel: Parcel,
    attempts: u32,
    /// An answer was lost: the service may have the events already.
    maybe_stored: bool,
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
            turn: 0,
            held_bytes: 0,
            draining: false,
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

    /// May another body of this stream be finished? Every stream may hold its share, whatever the others do.
    pub fn accepts(&self, stream: usize) -> bool {
        let bound = (self.options.max_in_flight + WAITING_BODIES_MAX) * BODY_BYTES_TYPICAL;
        let share = bound / self.streams.len();
        let stream = &self.streams[stream];
        stream.waiting.len() < WAITING_BODIES_PER_STREAM_MAX && (self.held_bytes < bound || stream.held_bytes < share)
    }

    pub fn offer(&mut self, stream: usize, parcel: Parcel) {
        let bytes = parcel.memory_bytes();
        self.held_bytes += bytes;
        let stream = &mut self.streams[stream];
        stream.held_bytes += bytes;
        stream.begun = true;
        stream.waiting.push_back((stream.next_number, parcel));
        stream.next_number += 1;
    }

    /// The answer to a Send.
    pub fn answered(&mut self, call: usize, answer: Answer, now: Instant) {
        let flown = self.calls[call].take().expect("an answer belongs to a call in flight");
        assert_eq!(flown.state, CallState::Flying, "a resting call was answered");
        match answer {
            Answer::Accepted(rejected) => self.accepted(flown, rejected, now),
            Answer::Throttled => self.rest(call, flown, false, now),
            Answer::Unavailable { detail, lost } => {
                if self.outage_since.is_none() {
                    self.outage_since = Some(now);
                    self.outbox.push_back(Action::Say(Notice::Outage { detail }));
                }
                let maybe_stored = flown.maybe_stored || lost;
                self.rest(call, Call { maybe_stored, ..flown }, true, now);
            }
            Answer::NotFound(_) => {
                let stream = flown.stream;
                self.put_back(flown);
                self.vanished(stream, now);
            }
            Answer::Denied(detail) | Answer::Invalid(detail) => {
                let stream = flown.stream;
                self.put_back(flown);
                self.hold(stream, now);
                self.say_trouble(stream, detail);
            }
        }
    }

    /// Whichever is missing, the stream or its group: creating the stream finds out.
    fn vanished(&mut self, stream: usize, now: Instant) {
        let draining = self.draining;
        let stream = &mut self.streams[stream];
        if stream.existence != Existence::Exists {
            return;
        }
        stream.vanished += 1;
        stream.existence = if stream.vanished == 1 {
            Existence::Unknown
        } else {
            // It was created, and yet it is not there: do not ask in a circle.
            let wait = backoff(Pace::Fast, stream.vanished, draining, &mut self.random);
            Existence::RetryAt(now + wait)
        };
    }

    /// The answer to a CreateStream.
    pub fn stream_created(&mut self, stream: usize, answer: Answer, now: Instant) {
        self.creations_in_flight -= 1;
        match answer {
            Answer::Accepted(_) => {
                self.streams[stream].existence = Existence::Exists;
                self.reached(stream, now);
            }
            Answer::NotFound(_) if self.options.create_group && self.group != Group::Created => {
                self.streams[stream].existence = Existence::Unknown;
                if std::mem::replace(&mut self.group, Group::BeingCreated) != Group::BeingCreated {
                    self.outbox.push_back(Action::CreateGroup);
                }
            }
            Answer::NotFound(detail) => {
                if !std::mem::replace(&mut self.group_missing_said, true) {
                    self.outbox.push_back(Action::Say(Notice::GroupMissing { detail }));
                }
                self.retry_creation(stream, Pace::Slow, now);
            }
            answer => self.creation_failed(stream, answer, now),
        }
    }

    /// The answer to a CreateGroup: the streams that wait for it try again.
    pub fn group_created(&mut self, answer: Answer, now: Instant) {
        if let Answer::Accepted(_) = answer {
            self.group = Group::Created;
            return;
        }
        self.group = Group::AsFound;
        for stream in 0..self.streams.len() {
            if self.streams[stream].begun && self.streams[stream].existence == Existence::Unknown {
                self.creation_failed(stream, answer.clone(), now);
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
            if let Existence::RetryAt(at) = &mut stream.existence {
                *at = now;
            }
        }
    }

    /// Nothing more will be sent: everything held ends like this.
    pub fn give_up(&mut self, end: End) {
        for call in &mut self.calls {
            if let Some(call) = call.take() {
                call.parcel.settle(end, &mut self.streams[call.stream].books);
            }
        }
        for stream in &mut self.streams {
            for (_, parcel) in stream.waiting.drain(..) {
                parcel.settle(end, &mut stream.books);
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

    /// When `poll` will have something to do without anything coming in.
    pub fn next_due(&self) -> Option<Instant> {
        let resting = self.calls.iter().flatten().filter_map(|call| match call.state {
            CallState::Resting { until, .. } => Some(until),
            CallState::Flying => None,
        });
        let held = self.streams.iter().filter_map(|stream| match stream.existence {
            Existence::RetryAt(at) => Some(at),
            _ => stream.hold_until.filter(|_| !stream.waiting.is_empty()),
        });
        resting.chain(held).min()
    }

    /// Holds nothing that still has to be delivered.
    pub fn is_empty(&self) -> bool {
        self.calls.iter().all(Option::is_none) && self.streams.iter().all(|stream| stream.waiting.is_empty())
    }

    /// Lines and bytes of a stream that are in bodies.
    pub fn held(&self, stream: usize) -> Count {
        let calls = self.calls.iter().flatten().filter(|call| call.stream == stream);
        let waiting = self.streams[stream].waiting.iter().map(|(_, parcel)| parcel.held());
        let lines = self.streams[stream].books.split.lines_in_memory();
        calls.map(|call| call.parcel.held()).chain(waiting).fold(Count::new(lines, 0), |sum, held| sum + held)
    }

    // ---- verdicts ----------------------------------------------------------------------------

    fn accepted(&mut self, call: Call, rejected: Rejected, now: Instant) {
        let bytes = call.parcel.memory_bytes();
        self.held_bytes -= bytes;
        let stream = &mut self.streams[call.stream];
        stream.in_flight -= 1;
        stream.held_bytes -= bytes;
        stream.vanished = 0;
        if call.maybe_stored {
            stream.books.ledger.duplicates += call.parcel.events() as u64;
        }
        if rejected.none() {
            call.parcel.settle(End::Delivered, &mut stream.books);
        } else {
            if !std::mem::replace(&mut stream.rejection_said, true) {
                self.outbox.push_back(Action::Say(Notice::Rejected { stream: stream.name.clone() }));
            }
            call.parcel.settle_each(|event| verdict(rejected, event), &mut stream.books);
        }
        self.reached(call.stream, now);
    }

    /// A call got through: whatever rested because the service was away may go.
    fn reached(&mut self, stream: usize, now: Instant) {
        let stream = &mut self.streams[stream];
        (stream.troubles, stream.trouble_said) = (0, false);
        let Some(since) = self.outage_since.take() else { return };
        self.outbox.push_back(Action::Say(Notice::Reached { after: now - since }));
        for call in self.calls.iter_mut().flatten() {
            if let CallState::Resting { until, away: true } = &mut call.state {
                *until = now;
            }
        }
        for stream in &mut self.streams {
            if let Existence::RetryAt(at) = &mut stream.existence {
                *at = now;
            }
        }
    }

    fn rest(&mut self, slot: usize, mut call: Call, away: bool, now: Instant) {
        let wait = backoff(Pace::Fast, call.attempts, self.draining, &mut self.random);
        call.state = CallState::Resting { until: now + wait, away };
        self.calls[slot] = Some(call);
    }

    /// Back to its stream, in its old place.
    fn put_back(&mut self, call: Call) {
        let stream = &mut self.streams[call.stream];
        stream.in_flight -= 1;
        let place = stream.waiting.partition_point(|(number, _)| *number < call.number);
        stream.waiting.insert(place, (call.number, call.parcel));
    }

    fn hold(&mut self, stream: usize, now: Instant) {
        let stream = &mut self.streams[stream];
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

    fn creation_failed(&mut self, stream: usize, answer: Answer, now: Instant) {
        match answer {
            Answer::Throttled => self.retry_creation(stream, Pace::Fast, now),
            Answer::Unavailable { detail, .. } => {
                if self.outage_since.is_none() {
                    self.outage_since = Some(now);
                    self.outbox.push_back(Action::Say(Notice::Outage { detail }));
                }
                self.retry_creation(stream, Pace::Fast, now);
            }
            Answer::Denied(detail) | Answer::Invalid(detail) | Answer::NotFound(detail) => {
                self.say_trouble(stream, detail);
                self.retry_creation(stream, Pace::Slow, now);
            }
            Answer::Accepted(_) => unreachable!("a success is no failure"),
        }
    }

    fn retry_creation(&mut self, stream: usize, pace: Pace, now: Instant) {
        let stream = &mut self.streams[stream];
        stream.troubles += 1;
        let wait = backoff(pace, stream.troubles, self.draining, &mut self.random);
        stream.existence = Existence::RetryAt(now + wait);
    }

    // ---- choices -----------------------------------------------------------------------------

    fn resend(&mut self, now: Instant) -> Option<Action> {
        let due = |call: &Call| matches!(call.state, CallState::Resting { until, .. } if until <= now);
        let slot = self.calls.iter().position(|call| call.as_ref().is_some_and(due))?;
        let call = self.calls[slot].as_mut()?;
        call.state = CallState::Flying;
        call.attempts += 1;
        let ledger = &mut self.streams[call.stream].books.ledger;
        ledger.calls += 1;
        ledger.retries += 1;
        Some(Action::Send { call: slot, stream: call.stream, payload: call.parcel.payload.clone() })
    }

    fn create(&mut self, now: Instant) -> Option<Action> {
        if self.creations_in_flight >= CREATIONS_IN_FLIGHT_MAX || self.group == Group::BeingCreated {
            return None;
        }
        let stream = self.streams.iter().position(|stream| {
            stream.begun
                && match stream.existence {
                    Existence::Unknown => true,
                    Existence::RetryAt(at) => at <= now,
                    Existence::BeingCreated | Existence::Exists => false,
                }
        })?;
        self.streams[stream].existence = Existence::BeingCreated;
        self.creations_in_flight += 1;
        Some(Action::CreateStream { stream })
    }

    fn send(&mut self, now: Instant) -> Option<Action> {
        let slot = self.calls.iter().position(Option::is_none)?;
        let count = self.streams.len();
        let index = (0..count)
            .map(|offset| (self.turn + offset) % count)
            .find(|index| self.may_send(&self.streams[*index], now))?;
        self.turn = index + 1;
        let stream = &mut self.streams[index];
        let (number, parcel) = stream.waiting.pop_front()?;
        stream.hold_until = None;
        stream.in_flight += 1;
        stream.books.ledger.calls += 1;
        let payload = parcel.payload.clone();
        let state = CallState::Flying;
        self.calls[slot] = Some(Call { stream: index, number, parcel, attempts: 1, maybe_stored: false, state });
        Some(Action::Send { call: slot, stream: index, payload })
    }

    fn may_send(&self, stream: &Stream, now: Instant) -> bool {
        let Some((_, first)) = stream.waiting.front() else { return false };
        let window = if first.serial { 1 } else { self.options.stream_window };
        stream.existence == Existence::Exists
            && stream.in_flight < window
            && stream.hold_until.is_none_or(|until| until <= now)
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
