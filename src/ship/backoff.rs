//! How long to wait before the next attempt: exponential, capped, with full jitter. Pure: chance is an argument.

use std::time::Duration;

use crate::limits::{BACKOFF_DRAIN_MAX, BACKOFF_FIRST, BACKOFF_MAX, BACKOFF_SLOW_FIRST};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The service is busy or away.
    Fast,
    /// A person has to mend something.
    Slow,
}

/// The wait before attempt number `attempt + 1`; `attempt` counts from 1.
pub fn backoff(pace: Pace, attempt: u32, draining: bool, random: &mut fastrand::Rng) -> Duration {
    let first = match pace {
        Pace::Fast => BACKOFF_FIRST,
        Pace::Slow => BACKOFF_SLOW_FIRST,
    };
    let cap = if draining { BACKOFF_DRAIN_MAX } else { BACKOFF_MAX };
    let doublings = attempt.saturating_sub(1).min(16);
    let longest = (first * (1 << doublings)).min(cap);
    Duration::from_micros(random.u64(0..=longest.as_micros() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(pace: Pace, attempt: u32, draining: bool) -> Duration {
        let mut random = fastrand::Rng::with_seed(1);
        (0..2000).map(|_| backoff(pace, attempt, draining, &mut random)).max().unwrap()
    }

    fn about(duration: Duration, expected_ms: u64) -> bool {
        let expected = Duration::from_millis(expected_ms);
        duration <= expected && duration > expected * 95 / 100
    }

    #[test]
    fn the_longest_wait_doubles_up_to_a_minute_and_up_to_a_second_in_the_drain() {
        for (attempt, expected_ms) in [(1, 100), (2, 200), (5, 1_600), (11, 60_000), (4_000_000_000, 60_000)] {
            assert!(about(longest(Pace::Fast, attempt, false), expected_ms), "attempt {attempt}");
        }
        assert!(about(longest(Pace::Slow, 1, false), 2_000));
        assert!(about(longest(Pace::Slow, 9, true), 1_000));
    }

    #[test]
    fn waits_are_spread_from_nothing_up() {
        let mut random = fastrand::Rng::with_seed(2);
        let short = (0..1000).filter(|_| backoff(Pace::Fast, 20, false, &mut random) < BACKOFF_MAX / 4).count();
        assert!((200..300).contains(&short), "{short} of 1000 waits in the first quarter");
    }
}
