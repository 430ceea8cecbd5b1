//! The stop clock: what a SIGTERM or SIGINT means, and when patience ends. Pure: the time is an argument.
//! Knows nothing of processes; the supervisor does what it says.

use std::time::{Duration, Instant};

/// `timeout(1)` sends one stop twice, to its child and to its child's group, microseconds apart; taken for two stops,
/// the second would cost the children their grace. So a repetition by the same sender counts as the same stop for this
/// long. Ours: far above two adjacent system calls, far below any second thought.
const ECHO: Duration = Duration::from_millis(5);

/// A stop that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopState {
    /// When the first stop signal was served.
    pub since: Instant,
    /// Which it was.
    pub signal: i32,
    /// SIGKILL was sent, at the end of the grace or because a second stop signal came.
    pub killed: bool,
}

/// What a stop signal calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The first: pass it on.
    Begin,
    /// The second: SIGKILL now, and say so.
    Hasten,
    /// One more after SIGKILL: SIGKILL again, for what was born meanwhile.
    KillAgain,
    /// The first one once more.
    Echo,
}

pub(super) struct StopClock {
    grace: Duration,
    begun: Option<(StopState, u32)>,
    hastened: bool,
}

impl StopClock {
    pub fn new(grace: Duration) -> StopClock {
        StopClock { grace, begun: None, hastened: false }
    }

    pub fn state(&self) -> Option<StopState> {
        self.begun.map(|(state, _)| state)
    }

    /// SIGTERM or SIGINT arrived from process `sender`.
    pub fn signal(&mut self, signal: i32, sender: u32, now: Instant) -> Verdict {
        let Some((state, first_sender)) = &mut self.begun else {
            let state = StopState { since: now, signal, killed: false };
            self.begun = Some((state, sender));
            return Verdict::Begin;
        };
        // The kernel (a terminal) and senders outside our namespace are all 0: no knowing whether two are one.
        let same = signal == state.signal && sender == *first_sender && sender != 0;
        if same && now.saturating_duration_since(state.since) < ECHO {
            return Verdict::Echo;
        }
        state.killed = true;
        if self.hastened {
            return Verdict::KillAgain;
        }
        self.hastened = true;
        Verdict::Hasten
    }

    /// When SIGKILL is due; None when no stop has begun, when it was sent, and when the grace is beyond all clocks.
    pub fn due(&self) -> Option<Instant> {
        let (state, _) = self.begun.filter(|(state, _)| !state.killed)?;
        state.since.checked_add(self.grace)
    }

    /// True once, when the grace has passed: send SIGKILL.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        if let Some((state, _)) = &mut self.begun {
            state.killed = true;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: i32 = libc::SIGTERM;
    const INT: i32 = libc::SIGINT;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_grace_ends_once() {
        let start = Instant::now();
        let mut clock = StopClock::new(ms(100));
        assert_eq!(clock.due(), None);
        assert!(!clock.expire(start + ms(1000)));
        assert_eq!(clock.signal(TERM, 7, start), Verdict::Begin);
        assert_eq!(clock.due(), Some(start + ms(100)));
        assert!(!clock.expire(start + ms(99)));
        assert!(clock.expire(start + ms(100)));
        assert!(!clock.expire(start + ms(101)));
        assert_eq!(clock.due(), None);
        let state = clock.state().unwrap();
        assert_eq!((state.since, state.signal, state.killed), (start, TERM, true));
    }

    #[test]
    fn a_second_stop_signal_of_either_kind_hastens_once() {
        let start = Instant::now();
        let mut clock = StopClock::new(ms(100));
        assert_eq!(clock.signal(TERM, 7, start), Verdict::Begin);
        assert_eq!(clock.signal(INT, 7, start + ms(1)), Verdict::Hasten);
        assert_eq!(clock.due(), None);
        assert_eq!(clock.signal(TERM, 7, start + ms(50)), Verdict::KillAgain);
    }

    #[test]
    fn a_second_one_after_the_grace_is_still_told() {
        let start = Instant::now();
        let mut clock = StopClock::new(ms(100));
        clock.signal(TERM, 7, start);
        assert!(clock.expire(start + ms(100)));
        assert_eq!(clock.signal(TERM, 7, start + ms(200)), Verdict::Hasten);
    }

    #[test]
    fn one_sender_saying_the_same_twice_at_once_has_said_it_once() {
        let start = Instant::now();
        let mut clock = StopClock::new(ms(100));
        clock.signal(TERM, 7, start);
        assert_eq!(clock.signal(TERM, 7, start + ms(4)), Verdict::Echo);
        assert_eq!(clock.signal(TERM, 8, start + ms(4)), Verdict::Hasten);

        let mut clock = StopClock::new(ms(100));
        clock.signal(TERM, 7, start);
        assert_eq!(clock.signal(TERM, 7, start + ms(5)), Verdict::Hasten);

        let mut clock = StopClock::new(ms(100));
        clock.signal(INT, 0, start);
        assert_eq!(clock.signal(INT, 0, start), Verdict::Hasten);
    }

    #[test]
    fn an_endless_grace_never_ends() {
        let mut clock = StopClock::new(Duration::MAX);
        clock.signal(TERM, 7, Instant::now());
        assert_eq!(clock.due(), None);
        assert!(!clock.expire(Instant::now()));
    }
}
