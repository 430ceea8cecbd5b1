//! The streams and their group: what is created when, and what every answer to that means.

use std::time::Instant;

use super::super::answer::Answer;
use super::super::backoff::{Pace, backoff};
use super::super::notice::Notice;
use super::{Action, Core};
use crate::limits::{ATTEMPTS_BEFORE_SAID, CREATIONS_IN_FLIGHT_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Ours is not to ask.
    AsFound,
    BeingCreated,
    /// By us, and no stream of it yet: the service may take a moment to know it.
    Created,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    Unknown,
    /// A call is on its way, sent after so many successes.
    BeingCreated {
        sent_after: u64,
    },
    /// `away`: as for a call.
    Resting {
        until: Instant,
        away: bool,
    },
    Exists,
}

impl Core {
    /// A body's stream was not found. Whichever is missing, the stream or its group: creating the stream finds out.
    pub(super) fn vanished(&mut self, stream: usize, now: Instant) {
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
            if stream.vanished == ATTEMPTS_BEFORE_SAID {
                let (stream, detail) = (stream.name.clone(), "it is created, and missing again and again".to_owned());
                self.outbox.push_back(Action::Say(Notice::Trouble { stream, detail }));
            }
            let wait = backoff(Pace::Fast, stream.vanished, draining, &mut self.random);
            Existence::Resting { until: now + wait, away: false }
        };
    }

    /// The answer to a CreateStream.
    pub fn stream_created(&mut self, stream: usize, answer: Answer, now: Instant) {
        self.creations_in_flight -= 1;
        match answer {
            Answer::Accepted(_) => {
                self.streams[stream].existence = Existence::Exists;
                // Should the group go missing later, that is a new trouble.
                self.group_missing_said = false;
                if self.group == Group::Created {
                    self.group = Group::AsFound;
                }
                self.reached(stream, now);
            }
            Answer::NotFound(_) if self.options.create_group && self.group != Group::Created => {
                self.streams[stream].existence = Existence::Unknown;
                if std::mem::replace(&mut self.group, Group::BeingCreated) != Group::BeingCreated {
                    self.outbox.push_back(Action::CreateGroup);
                }
            }
            Answer::NotFound(_) if self.group == Group::Created && self.streams[stream].troubles == 0 => {
                self.retry_creation(stream, Pace::Fast, false, now);
            }
            Answer::NotFound(detail) => {
                if !std::mem::replace(&mut self.group_missing_said, true) {
                    self.outbox.push_back(Action::Say(Notice::GroupMissing { detail }));
                }
                self.retry_creation(stream, Pace::Slow, false, now);
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

    pub(super) fn create(&mut self, now: Instant) -> Option<Action> {
        if !self.may_create() {
            return None;
        }
        let stream = self.streams.iter().position(|stream| {
            stream.begun
                && match stream.existence {
                    Existence::Unknown => true,
                    Existence::Resting { until, .. } => until <= now,
                    Existence::BeingCreated { .. } | Existence::Exists => false,
                }
        })?;
        self.streams[stream].existence = Existence::BeingCreated { sent_after: self.successes };
        self.creations_in_flight += 1;
        Some(Action::CreateStream { stream })
    }

    /// When `create` will have something to do without an answer coming in.
    pub(super) fn next_creation(&self) -> Option<Instant> {
        let resting = self.streams.iter().filter_map(|stream| match stream.existence {
            Existence::Resting { until, .. } => Some(until),
            _ => None,
        });
        if self.may_create() { resting.min() } else { None }
    }

    fn may_create(&self) -> bool {
        self.creations_in_flight < CREATIONS_IN_FLIGHT_MAX && self.group != Group::BeingCreated
    }

    fn creation_failed(&mut self, stream: usize, answer: Answer, now: Instant) {
        match answer {
            Answer::Throttled => self.retry_creation(stream, Pace::Fast, false, now),
            Answer::Unavailable { detail, .. } => {
                let away = match self.streams[stream].existence {
                    Existence::BeingCreated { sent_after } => self.is_away(sent_after),
                    // It was its group's creation that failed, without which no call of ours can succeed.
                    _ => true,
                };
                if away {
                    self.outage(detail, now);
                }
                self.retry_creation(stream, Pace::Fast, away, now);
            }
            Answer::Denied(detail) | Answer::Invalid(detail) | Answer::NotFound(detail) => {
                self.say_trouble(stream, detail);
                self.retry_creation(stream, Pace::Slow, false, now);
            }
            Answer::Accepted(_) => unreachable!("a success is no failure"),
        }
    }

    fn retry_creation(&mut self, stream: usize, pace: Pace, away: bool, now: Instant) {
        let stream = &mut self.streams[stream];
        stream.troubles += 1;
        let wait = backoff(pace, stream.troubles, self.draining, &mut self.random);
        stream.existence = Existence::Resting { until: now + wait, away };
    }
}
