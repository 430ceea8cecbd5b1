//! Which drops people were told of: each reason once, and again once it had been over for a while.

use std::time::Instant;

use crate::ledger::End;
use crate::limits::DROPPING_OVER_AFTER;

/// Reasons, and when lines were last dropped for each. Few: those that `must_drop` knows.
#[derive(Default)]
pub(super) struct DropsSaid {
    last: Vec<(End, Instant)>,
}

impl DropsSaid {
    /// Lines are dropped for this reason: is that to be said?
    pub fn is_news(&mut self, reason: End, now: Instant) -> bool {
        match self.last.iter_mut().find(|(said, _)| *said == reason) {
            Some((_, last)) => now - std::mem::replace(last, now) >= DROPPING_OVER_AFTER,
            None => {
                self.last.push((reason, now));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn each_reason_is_news_once_until_it_was_over_for_a_while() {
        let mut said = DropsSaid::default();
        let start = clock::now();
        assert!(said.is_news(End::CpuShort, start));
        assert!(said.is_news(End::SpoolFull, start));
        let mut now = start;
        for _ in 0..3 {
            now += DROPPING_OVER_AFTER / 2;
            assert!(!said.is_news(End::CpuShort, now), "it has gone on all the time");
        }
        assert!(said.is_news(End::SpoolFull, now));
        assert!(said.is_news(End::CpuShort, now + DROPPING_OVER_AFTER));
    }
}
