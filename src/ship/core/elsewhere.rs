//! Services other than our own streams': what ended runs left may be meant for them. One that says nothing at all holds up
//! nothing of ours, not even the end: what is meant for it waits on disk, for another run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::super::answer::Answer;
use super::super::notice::Notice;
use super::{Action, Core};
use crate::limits::ELSEWHERE_END_WAIT;
use crate::spool::entry::Address;

/// By region and endpoint.
pub(super) type Services = HashMap<u64, Service>;

pub(super) struct Service {
    /// It was first called.
    called_at: Instant,
    /// It has answered something, once.
    has_answered: bool,
}

fn key(address: &Address) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&address.region, &address.endpoint).hash(&mut hasher);
    hasher.finish()
}

impl Core {
    /// Another service than our own streams'.
    pub(super) fn is_elsewhere(&self, stream: usize) -> bool {
        let (own, other) = (&self.streams[0].address, &self.streams[stream].address);
        (&own.region, &own.endpoint) != (&other.region, &other.endpoint)
    }

    pub(super) fn called(&mut self, stream: usize, now: Instant) {
        if stream >= self.own_streams && self.is_elsewhere(stream) {
            let first = Service { called_at: now, has_answered: false };
            self.services.entry(key(&self.streams[stream].address)).or_insert(first);
        }
    }

    pub(super) fn heard(&mut self, stream: usize, answer: &Answer) {
        if stream >= self.own_streams
            && !matches!(answer, Answer::Unavailable { .. })
            && let Some(service) = self.services.get_mut(&key(&self.streams[stream].address))
        {
            service.has_answered = true;
        }
    }

    /// At the end it is not waited for this stream: nobody has ever answered where it is.
    pub(super) fn is_mute(&self, stream: usize, now: Instant) -> bool {
        self.draining && self.mute_from(stream).is_some_and(|from| from <= now)
    }

    fn mute_from(&self, stream: usize) -> Option<Instant> {
        if stream < self.own_streams || self.services.is_empty() {
            return None;
        }
        let service = self.services.get(&key(&self.streams[stream].address))?;
        (!service.has_answered).then_some(service.called_at + ELSEWHERE_END_WAIT)
    }

    /// When a stream will be mute that is not yet.
    pub(super) fn next_mute(&self, now: Instant) -> Option<Instant> {
        if !self.draining {
            return None;
        }
        let adopted = self.own_streams..self.streams.len();
        adopted.filter_map(|stream| self.mute_from(stream)).filter(|from| *from > now).min()
    }

    /// What an ended run left may be for another region or endpoint: it holds up nothing of ours, and waits on disk.
    pub(super) fn adopted_is_away(&mut self, stream: usize, detail: String, now: Instant) {
        self.hold(stream, now);
        self.say_away(stream, detail);
    }

    pub(super) fn say_away(&mut self, stream: usize, detail: String) {
        let stream = &mut self.streams[stream];
        if !std::mem::replace(&mut stream.trouble_said, true) {
            let address = stream.address.clone();
            self.outbox.push_back(Action::Say(Notice::AdoptedAway { address, detail }));
        }
    }
}
