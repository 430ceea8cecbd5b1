//! How long a writer may be made to wait before its lines are dropped. A shortage that is over in a moment costs no
//! line: ring and pipe are full, and the writer waits for it. But all such waits together are a small part of the
//! time: a writer meets one of `PATIENCE_MAX` at most, and over time `PATIENCE_SHARE` of it. Pure.

use std::time::{Duration, Instant};

use crate::limits::{PATIENCE_MAX, PATIENCE_SHARE};

#[derive(Debug, Clone, Copy)]
pub struct Patience {
    left: Duration,
    /// Until here `left` is worked out.
    at: Option<Instant>,
    /// The writer may have been waiting since `at`.
    waiting: bool,
}

impl Patience {
    pub fn new() -> Patience {
        Patience { left: PATIENCE_MAX, at: None, waiting: false }
    }

    /// Is there a shortage now? Until the next call it counts as lasting.
    pub fn look(&mut self, short: bool, now: Instant) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.left = if self.waiting {
            self.left.saturating_sub(passed)
        } else {
            (self.left + passed / PATIENCE_SHARE).min(PATIENCE_MAX)
        };
        (self.at, self.waiting) = (Some(now), short);
    }

    pub fn is_over(&self) -> bool {
        self.left.is_zero()
    }

    /// When it will be, if the shortage lasts.
    pub fn due(&self) -> Option<Instant> {
        self.at.filter(|_| self.waiting).map(|at| at + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn one_long_shortage_is_waited_for_up_to_the_bound() {
        let start = clock::now();
        let mut patience = Patience::new();
        patience.look(true, start);
        assert_eq!(patience.due(), Some(start + PATIENCE_MAX));
        patience.look(true, start + PATIENCE_MAX / 2);
        assert!(!patience.is_over());
        patience.look(true, start + PATIENCE_MAX);
        assert!(patience.is_over());
    }

    #[test]
    fn shortages_one_after_the_other_are_waited_for_a_small_part_of_the_time() {
        let mut now = clock::now();
        let mut patience = Patience::new();
        let mut waited = Duration::ZERO;
        let (short, total) = (PATIENCE_MAX / 100, PATIENCE_MAX * 1000);
        let end = now + total;
        while now < end {
            patience.look(true, now);
            // Either the shortage is over, or the patience: then dropping ends it.
            let wait = short.min(patience.due().unwrap() - now);
            (now, waited) = (now + wait, waited + wait);
            patience.look(false, now);
            now += short;
        }
        assert!(waited <= PATIENCE_MAX + total / PATIENCE_SHARE, "{waited:?} of {total:?}");
        assert!(waited >= total / PATIENCE_SHARE * 9 / 10, "{waited:?} of {total:?}");
    }
}
