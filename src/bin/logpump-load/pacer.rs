//! When a line is due at a given rate, and what becomes of the schedule after a stall.
//! Pure: the clock is an argument; knows nothing of lines or writes.

use std::time::{Duration, Instant};

use crate::times::Pace;

/// A line that is due within this is written at once: a shorter sleep would mostly oversleep, as Linux's timer slack is
/// 50 us too.
const EARLY_MAX: Duration = Duration::from_micros(50);
/// The most that is made up for after a stall. Beyond it the schedule is put off, or one stall would be followed
/// by an unbounded burst that says nothing about the rate asked for.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);

pub struct Pacer {
    start: Instant,
    pub pace: Pace,
}

impl Pacer {
    pub fn new(start: Instant, lines_per_s: f64) -> Pacer {
        Pacer { start, pace: Pace { lines_per_s, ..Pace::default() } }
    }

    pub fn due(&self, sequence: u64) -> Instant {
        let since_start = Duration::from_secs_f64(sequence as f64 / self.pace.lines_per_s);
        self.start + since_start + Duration::from_nanos(self.pace.put_off_ns)
    }

    /// How long to sleep before this line, if at all. Puts the schedule off when more than `CATCH_UP_MAX` is due.
    pub fn ahead(&mut self, sequence: u64, now: Instant) -> Option<Duration> {
        let due = self.due(sequence);
        let late = now.saturating_duration_since(due);
        self.pace.late_ns_max = self.pace.late_ns_max.max(late.as_nanos() as u64);
        self.pace.put_off_ns += late.saturating_sub(CATCH_UP_MAX).as_nanos() as u64;
        let ahead = due.saturating_duration_since(now);
        if ahead <= EARLY_MAX {
            return None;
        }
        self.pace.sleeps += 1;
        Some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_line_ahead_of_its_time_sleeps_and_one_nearly_due_does_not() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start, 1000.0);
        assert_eq!(pacer.ahead(0, start), None);
        assert_eq!(pacer.ahead(5, start + ms(2)), Some(ms(3)));
        assert_eq!(pacer.ahead(5, start + ms(5) - Duration::from_micros(50)), None);
        assert_eq!(pacer.pace, Pace { lines_per_s: 1000.0, sleeps: 1, late_ns_max: 0, put_off_ns: 0 });
    }

    #[test]
    fn a_late_writer_catches_up_a_tenth_of_a_second_and_no_more() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start, 1000.0);
        assert_eq!(pacer.ahead(0, start + ms(80)), None);
        assert_eq!(pacer.pace.put_off_ns, 0);
        assert_eq!(pacer.due(80), start + ms(80));
        // 10 s behind: 9.9 s are given up, 100 ms are made up for.
        assert_eq!(pacer.ahead(0, start + ms(10_000)), None);
        assert_eq!(pacer.pace.put_off_ns, 9_900_000_000);
        assert_eq!(pacer.due(100), start + ms(10_000));
        assert_eq!(pacer.ahead(101, start + ms(10_000)), Some(ms(1)));
        assert_eq!(pacer.pace.late_ns_max, 10_000_000_000);
    }
}
