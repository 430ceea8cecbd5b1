//! When to reap orphans, the processes that fall to us as PID 1 or child subreaper. Pure: the time is an argument.
//!
//! A process that a library of ours started (a credential_process, say) is our child too, and its owner wants to wait
//! for it. Nothing tells the two apart, so orphans are swept late: when no child has ended for a while, or when the
//! first unserved one has lain for long enough.

use std::time::{Duration, Instant};

/// No sweep while children end closer together than this: their owners are at work.
const QUIET: Duration = Duration::from_secs(1);
/// But no ended child waits longer than this for the quiet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Children reaped in one sweep; more stay for the next, so that signals are never kept waiting.
pub(super) const REAPED_PER_SWEEP_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Sweep {
    /// The first and the last SIGCHLD since the last sweep.
    unserved: Option<(Instant, Instant)>,
}

impl Sweep {
    /// SIGCHLD came: some child has ended, stopped or continued.
    pub fn child_signal(&mut self, now: Instant) {
        let first = self.unserved.map_or(now, |(first, _)| first);
        self.unserved = Some((first, now));
    }

    pub fn due(&self) -> Option<Instant> {
        self.unserved.map(|(first, last)| (last + QUIET).min(first + PATIENCE))
    }

    /// True once per due time: sweep now.
    pub fn expire(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.unserved = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_swept_when_nothing_ended() {
        let mut sweep = Sweep::default();
        assert_eq!(sweep.due(), None);
        assert!(!sweep.expire(Instant::now() + ms(3_600_000)));
    }

    #[test]
    fn a_sweep_comes_a_second_after_the_last_end() {
        let start = Instant::now();
        let mut sweep = Sweep::default();
        sweep.child_signal(start);
        sweep.child_signal(start + ms(900));
        assert_eq!(sweep.due(), Some(start + ms(1900)));
        assert!(!sweep.expire(start + ms(1899)));
        assert!(sweep.expire(start + ms(1900)));
        assert!(!sweep.expire(start + ms(1901)));
    }

    #[test]
    fn ends_without_a_pause_are_swept_after_five_seconds() {
        let start = Instant::now();
        let mut sweep = Sweep::default();
        for at in (0..=4800).step_by(400) {
            sweep.child_signal(start + ms(at));
        }
        assert_eq!(sweep.due(), Some(start + ms(5000)));
    }
}
