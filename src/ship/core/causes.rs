//! What is said of trouble with the service: while it lasts, and at the end of what stood in the way of lines that were not
//! delivered, if nothing was said of it before.

use std::time::Instant;

use super::super::notice::Notice;
use super::creation::Existence;
use super::stream::CallState;
use super::{Action, Core};
use crate::limits::{OUTAGE_SAID_AFTER, RATE_QUIET, UNANSWERED_BEFORE_SAID};

/// No call gets through.
#[derive(Debug, Default)]
pub(super) struct Outage {
    pub since: Option<Instant>,
    pub is_said: bool,
    /// Calls that failed since, and why the last one did.
    failures: u32,
    detail: String,
    /// That an answer was lost; of further ones nothing is said, unless an outage comes of it.
    lost_said: bool,
}

impl Outage {
    /// A call got through. Since when none did, and whether that was said.
    pub fn end(&mut self) -> Option<(Instant, bool)> {
        let since = self.since.take()?;
        self.failures = 0;
        Some((since, std::mem::take(&mut self.is_said)))
    }
}

impl Core {
    /// Said at once if no body ever got through, and at the end; else only what lasts: a service may fail every other call.
    /// One lost answer alone is no outage.
    pub(super) fn outage(&mut self, detail: String, lost: bool, now: Instant) {
        let since = *self.outage.since.get_or_insert(now);
        self.outage.failures = self.outage.failures.saturating_add(1);
        self.outage.detail = detail;
        let matters = !self.taken || self.draining || now - since >= OUTAGE_SAID_AFTER;
        if !matters || self.outage.is_said {
            return;
        }
        if lost && self.outage.failures == 1 {
            if !std::mem::replace(&mut self.outage.lost_said, true) {
                let detail = self.outage.detail.clone();
                self.outbox.push_back(Action::Say(Notice::AnswerLost { detail }));
            }
        } else {
            self.say_outage();
        }
    }

    fn say_outage(&mut self) {
        self.outage.is_said = true;
        let detail = self.outage.detail.clone();
        self.outbox.push_back(Action::Say(Notice::Outage { detail }));
    }

    /// Before what is left ends here, or waits on disk for another run.
    pub fn name_causes(&mut self, now: Instant) {
        if self.is_empty(now) {
            return;
        }
        if self.outage.since.is_some() {
            if !self.outage.is_said {
                self.say_outage();
            }
            return;
        }
        let throttled = [(&self.rate, false), (&self.creation_rate, true)];
        let lately = throttled.into_iter().find_map(|(rate, creations)| {
            let since =
                rate.limited_since().filter(|_| rate.throttled_at().is_some_and(|at| now - at <= RATE_QUIET * 2))?;
            Some((now - since, creations))
        });
        if let Some((lasts, creations)) = lately {
            if !std::mem::replace(&mut self.throttling_said, true) {
                self.outbox.push_back(Action::Say(Notice::Throttled { lasts, creations }));
            }
            return;
        }
        let flying = self.calls.iter().flatten().filter(|call| call.state == CallState::Flying);
        let creations = self.streams.iter().filter_map(|stream| match stream.existence {
            Existence::BeingCreated { sent_at, .. } => Some(sent_at),
            _ => None,
        });
        let waits: Vec<_> = flying.map(|call| call.sent_at).chain(creations).map(|sent_at| now - sent_at).collect();
        if let Some(longest) = waits.iter().max().copied().filter(|longest| *longest >= UNANSWERED_BEFORE_SAID) {
            self.outbox.push_back(Action::Say(Notice::Unanswered { calls: waits.len(), longest }));
        }
    }
}
