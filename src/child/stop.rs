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
}

/// Who began a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Somebody outside; as the kernel names it.
    Process(u32),
    /// We ourselves: nobody outside knows of it yet, so the first signal from there is no second one.
    Ourselves,
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

#[derive(Default)]
pub(super) struct StopClock {
    begun: Option<(StopState, Asker)>,
    hastened: bool,
}

impl StopClock {
    /// A stop without a signal. False: one has begun already.
    pub fn begin(&mut self, now: Instant) -> bool {
        let begins = self.begun.is_none();
        if begins {
            self.begun = Some((StopState { since: now, signal: libc::SIGTERM }, Asker::Ourselves));
        }
        begins
    }

    pub fn state(&self) -> Option<StopState> {
        self.begun.map(|(state, _)| state)
    }

    /// SIGTERM or SIGINT arrived from process `sender`.
    pub fn signal(&mut self, signal: i32, sender: u32, now: Instant) -> Verdict {
        let Some((state, asker)) = &mut self.begun else {
            self.begun = Some((StopState { since: now, signal }, Asker::Process(sender)));
            return Verdict::Begin;
        };
        // The kernel (a terminal) and senders outside our namespace are all 0: no knowing whether two are one.
        let same = match *asker {
            Asker::Process(first) => signal == state.signal && sender == first && sender != 0,
            Asker::Ourselves => {
                *asker = Asker::Process(sender);
                return Verdict::Echo;
            }
        };
        if same && now.saturating_duration_since(state.since) < ECHO {
            return Verdict::Echo;
        }
        if self.hastened {
            return Verdict::KillAgain;
        }
        self.hastened = true;
        Verdict::Hasten
    }

    /// A second signal has ended every grace.
    pub fn is_hastened(&self) -> bool {
        self.hastened
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
    fn the_first_signal_begins_a_stop() {
        let start = Instant::now();
        let mut clock = StopClock::default();
        assert_eq!(clock.state(), None);
        assert_eq!(clock.signal(TERM, 7, start), Verdict::Begin);
        let state = clock.state().unwrap();
        assert_eq!((state.since, state.signal, clock.is_hastened()), (start, TERM, false));
    }

    #[test]
    fn the_first_signal_after_a_stop_of_our_own_hastens_nothing() {
        let start = Instant::now();
        let mut clock = StopClock::default();
        assert!(clock.begin(start));
        assert!(!clock.begin(start + ms(1)));
        assert_eq!(clock.signal(INT, 7, start + ms(20)), Verdict::Echo);
        assert_eq!(clock.signal(INT, 7, start + ms(40)), Verdict::Hasten);
    }

    #[test]
    fn a_second_stop_signal_of_either_kind_hastens_once() {
        let start = Instant::now();
        let mut clock = StopClock::default();
        assert_eq!(clock.signal(TERM, 7, start), Verdict::Begin);
        assert_eq!(clock.signal(INT, 7, start + ms(1)), Verdict::Hasten);
        assert!(clock.is_hastened());
        assert_eq!(clock.signal(TERM, 7, start + ms(50)), Verdict::KillAgain);
    }

    #[test]
    fn a_second_one_after_the_grace_is_still_told() {
        let start = Instant::now();
        let mut clock = StopClock::default();
        clock.signal(TERM, 7, start);
        assert_eq!(clock.signal(TERM, 7, start + ms(200)), Verdict::Hasten);
    }

    #[test]
    fn one_sender_saying_the_same_twice_at_once_has_said_it_once() {
        let start = Instant::now();
        let mut clock = StopClock::default();
        clock.signal(TERM, 7, start);
        assert_eq!(clock.signal(TERM, 7, start + ms(4)), Verdict::Echo);
        assert_eq!(clock.signal(TERM, 8, start + ms(4)), Verdict::Hasten);

        let mut clock = StopClock::default();
        clock.signal(TERM, 7, start);
        assert_eq!(clock.signal(TERM, 7, start + ms(5)), Verdict::Hasten);

        let mut clock = StopClock::default();
        clock.signal(INT, 0, start);
        assert_eq!(clock.signal(INT, 0, start), Verdict::Hasten);
    }
}
