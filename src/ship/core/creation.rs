//! The streams and their group: what is created when, and what every answer to that means.

use std::sync::Arc;
use std::time::Instant;

use super::super::answer::Answer;
use super::super::backoff::{Pace, backoff};
use super::super::notice::Notice;
use super::{Action, Core, Stream};
use crate::limits::{ATTEMPTS_BEFORE_SAID, CREATIONS_IN_FLIGHT_MAX};
use crate::spool::entry::Address;

pub(super) struct Group {
    /// Of any of its streams.
    pub address: Arc<Address>,
    pub state: GroupState,
    pub missing_said: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupState {
    /// Ours is not to ask.
    AsFound,
    BeingCreated,
    /// By us, and no stream of it yet: the service may take a moment to know it.
    Created,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    Unknown,
    /// A call is on its way, sent then and after so many successes.
    BeingCreated {
        sent_at: Instant,
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
    /// The group's place; it is made when it is first asked for.
    pub(super) fn group_of(&mut self, address: &Arc<Address>) -> usize {
        let same = |group: &Group| {
            let known = &group.address;
            (&known.region, &known.endpoint, &known.group) == (&address.region, &address.endpoint, &address.group)
        };
        if let Some(known) = self.groups.iter().position(same) {
            return known;
        }
        let fresh = Group { address: address.clone(), state: GroupState::AsFound, missing_said: false };
        // The place of one that no stream needs any more: adopted runs may have had any number.
        let is_unused = |group: &usize| {
            self.groups[*group].state != GroupState::BeingCreated
                && self.streams.iter().all(|stream| stream.group != *group)
        };
        match (0..self.groups.len()).find(is_unused) {
            Some(unused) => {
                self.groups[unused] = fresh;
                unused
            }
            None => {
                self.groups.push(fresh);
                self.groups.len() - 1
            }
        }
    }

    /// A body's stream was not found. Whichever is missing, the stream or its group: creating the stream finds out.
    pub(super) fn vanished(&mut self, stream: usize, now: Instant) {
        let draining = self.draining;
        let index = stream;
        let stream = &mut self.streams[index];
        if stream.existence != Existence::Exists {
            return;
        }
        stream.vanished += 1;
        if stream.vanished == 1 {
            stream.existence = Existence::Unknown;
            return;
        }
        // It was created, and yet it is not there: do not ask in a circle.
        let wait = backoff(Pace::Fast, stream.vanished, draining, &mut self.random);
        stream.existence = Existence::Resting { until: now + wait, away: false };
        if stream.vanished == ATTEMPTS_BEFORE_SAID {
            let (stream, detail) = (self.told_name(index), "it is created, and missing again and again".to_owned());
            self.outbox.push_back(Action::Say(Notice::Trouble { stream, detail }));
        }
    }

    /// The answer to a CreateStream.
    pub fn stream_created(&mut self, stream: usize, answer: Answer, now: Instant) {
        self.creations_in_flight -= 1;
        self.heard(stream, &answer);
        let group = self.streams[stream].group;
        let state = self.groups[group].state;
        match answer {
            Answer::Accepted(_) => {
                self.streams[stream].existence = Existence::Exists;
                // Should the group go missing later, that is a new trouble.
                self.groups[group].missing_said = false;
                if state == GroupState::Created {
                    self.groups[group].state = GroupState::AsFound;
                }
                self.reached(stream, now);
            }
            Answer::NotFound(_) if self.options.create_group && state != GroupState::Created => {
                self.streams[stream].existence = Existence::Unknown;
                if state != GroupState::BeingCreated {
                    self.groups[group].state = GroupState::BeingCreated;
                    let address = self.groups[group].address.clone();
                    self.outbox.push_back(Action::CreateGroup { group, address });
                }
            }
            Answer::NotFound(_) if state == GroupState::Created && self.streams[stream].troubles == 0 => {
                self.retry_creation(stream, Pace::Fast, false, now);
            }
            Answer::NotFound(detail) => {
                // Ours that is not known yet, after so long, may be gone again.
                self.groups[group].state = match state {
                    GroupState::Created => GroupState::AsFound,
                    state => state,
                };
                if !std::mem::replace(&mut self.groups[group].missing_said, true) {
                    self.say_group_missing(group, detail);
                }
                self.retry_creation(stream, Pace::Slow, false, now);
            }
            answer => self.creation_failed(stream, answer, now),
        }
    }

    fn say_group_missing(&mut self, group: usize, detail: String) {
        let is_own = self.streams[..self.own_streams].iter().any(|stream| stream.group == group);
        let address = self.groups[group].address.clone();
        let notice = if is_own {
            Notice::GroupMissing { group: address.group.clone(), detail }
        } else {
            Notice::AdoptedGroupMissing { address, detail }
        };
        self.outbox.push_back(Action::Say(notice));
    }

    /// The answer to a CreateGroup: the streams that wait for it try again.
    pub fn group_created(&mut self, group: usize, answer: Answer, now: Instant) {
        if let Answer::Accepted(_) = answer {
            self.groups[group].state = GroupState::Created;
            return;
        }
        self.groups[group].state = GroupState::AsFound;
        for index in 0..self.streams.len() {
            let stream = &self.streams[index];
            if stream.group == group && stream.begun && stream.existence == Existence::Unknown {
                self.creation_failed(index, answer.clone(), now);
            }
        }
    }

    pub(super) fn create(&mut self, now: Instant) -> Option<Action> {
        if self.creations_in_flight >= CREATIONS_IN_FLIGHT_MAX || !self.creation_rate.may_send(now) {
            return None;
        }
        // Who has waited longest: at a low rate, the first places would keep the others from their turn.
        let due = |index: usize| Some((self.creation_due(&self.streams[index], now)?, index));
        let (due, stream) = (0..self.streams.len()).filter_map(due).min()?;
        if due > now {
            return None;
        }
        self.creation_rate.sent(now);
        self.streams[stream].existence = Existence::BeingCreated { sent_at: now, sent_after: self.successes };
        self.creations_in_flight += 1;
        self.called(stream, now);
        Some(Action::CreateStream { stream, address: self.streams[stream].address.clone() })
    }

    /// When `create` will have something to do without an answer coming in.
    pub(super) fn next_creation(&self, now: Instant) -> Option<Instant> {
        if self.creations_in_flight >= CREATIONS_IN_FLIGHT_MAX {
            return None;
        }
        let due = self.streams.iter().filter_map(|stream| self.creation_due(stream, now)).min()?;
        Some(self.creation_rate.next_at().map_or(due, |allowed| due.max(allowed)))
    }

    /// When its creation may be asked for, but for the rate of these calls.
    fn creation_due(&self, stream: &Stream, now: Instant) -> Option<Instant> {
        if !stream.begun || self.groups[stream.group].state == GroupState::BeingCreated {
            return None;
        }
        match stream.existence {
            Existence::Unknown => Some(now),
            Existence::Resting { until, .. } => Some(until),
            Existence::BeingCreated { .. } | Existence::Exists => None,
        }
    }

    fn creation_failed(&mut self, stream: usize, answer: Answer, now: Instant) {
        match answer {
            Answer::Throttled => self.creation_throttled(stream, now),
            Answer::Unavailable { detail, .. } if stream >= self.own_streams => {
                self.say_away(stream, detail);
                self.retry_creation(stream, Pace::Slow, false, now);
            }
            Answer::Unavailable { detail, lost } => {
                let away = match self.streams[stream].existence {
                    Existence::BeingCreated { sent_after, .. } => self.is_away(sent_after),
                    // It was its group's creation that failed, without which no call of ours can succeed.
                    _ => true,
                };
                if away {
                    self.outage(detail, lost, now);
                }
                self.retry_creation(stream, Pace::Fast, away, now);
            }
            Answer::Denied(detail) => {
                self.say_trouble(stream, detail);
                self.retry_creation(stream, Pace::Slow, false, now);
                self.renew_credentials(now);
            }
            Answer::Invalid(detail) | Answer::NotFound(detail) => {
                self.say_trouble(stream, detail);
                self.retry_creation(stream, Pace::Slow, false, now);
            }
            Answer::Accepted(_) => unreachable!("a success is no failure"),
        }
    }

    /// It goes again in its turn, at the rate that is now allowed to all creations, and to them alone.
    fn creation_throttled(&mut self, index: usize, now: Instant) {
        let stream = &mut self.streams[index];
        let Existence::BeingCreated { sent_at, .. } = stream.existence else {
            // It was its group's: of these there are few.
            return self.retry_creation(index, Pace::Fast, false, now);
        };
        self.creation_rate.throttled(sent_at, now);
        stream.troubles = stream.troubles.max(1);
        stream.existence = Existence::Resting { until: now, away: false };
    }

    fn retry_creation(&mut self, index: usize, pace: Pace, away: bool, now: Instant) {
        let stream = &mut self.streams[index];
        stream.troubles += 1;
        let wait = backoff(pace, stream.troubles, self.draining, &mut self.random);
        stream.existence = Existence::Resting { until: now + wait, away };
        if pace == Pace::Slow {
            self.backlog_to_disk(index);
        }
    }
}
