//! How long an active pipe rests between two reads. Pure.
//! What costs is not the read but the wake-up: a write() that wakes nobody costs its writer a tenth of one that wakes a
//! sleeping reader. So nothing waits on an active pipe, and the rest follows its rate.
//! A writer of large blocks is the exception: it fills the pipe within the shortest rest and then waits for us. One
//! wake-up a block costs it less, so its pipe is armed, as if it were idle.

use std::time::Duration;

use crate::limits::{BULK_READ_BYTES_MIN, EMPTY_TICKS_BEFORE_ARMED, TICK_MAX, TICK_MIN};

/// The rest of one active pipe, aiming at a quarter of the pipe per read.
#[derive(Debug, Clone, Copy)]
pub struct Pacing {
    tick: Duration,
    empty_ticks: u32,
    bulk: bool,
}

/// What to do with the pipe after a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Rest(Duration),
    Arm,
}

impl Pacing {
    pub fn new() -> Pacing {
        Pacing { tick: TICK_MIN, empty_ticks: 0, bulk: false }
    }

    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The pipe's writer fills it faster than the shortest rest: it must be heard whatever else rests.
    pub fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// A read took `gathered` bytes out of a pipe of `pipe_bytes`, `elapsed` after the one before.
    pub fn after_read(&mut self, gathered: usize, pipe_bytes: usize, elapsed: Duration) -> Next {
        if gathered == 0 {
            self.empty_ticks += 1;
            if self.empty_ticks >= EMPTY_TICKS_BEFORE_ARMED {
                *self = Pacing::new();
                return Next::Arm;
            }
        } else {
            self.empty_ticks = 0;
        }
        let late = self.tick == TICK_MIN && gathered >= pipe_bytes / 2;
        self.bulk = late || (self.bulk && gathered >= BULK_READ_BYTES_MIN);
        if self.bulk {
            return Next::Arm;
        }
        let wanted = elapsed
            .as_nanos()
            .saturating_mul(pipe_bytes as u128 / 4)
            .checked_div(gathered as u128)
            .and_then(|nanos| u64::try_from(nanos).ok())
            .map_or(TICK_MAX, Duration::from_nanos);
        self.tick = wanted.min(self.tick * 2).clamp(TICK_MIN, TICK_MAX);
        Next::Rest(self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: usize = 256 * 1024;
    const MS: Duration = Duration::from_millis(1);

    fn rest(pacing: &mut Pacing, gathered: usize, elapsed: Duration) -> Duration {
        match pacing.after_read(gathered, PIPE, elapsed) {
            Next::Rest(rest) => rest,
            Next::Arm => panic!("armed"),
        }
    }

    #[test]
    fn the_rest_aims_at_a_quarter_of_the_pipe() {
        let mut pacing = Pacing { tick: MS, empty_ticks: 0, bulk: false };
        // 128 KiB in 1 ms: a quarter gathers in half the time.
        assert_eq!(rest(&mut pacing, PIPE / 2, MS), MS / 2);
    }

    #[test]
    fn the_rest_at_most_doubles_and_stays_between_its_bounds() {
        let mut pacing = Pacing::new();
        let rests: Vec<_> = (0..6).map(|_| rest(&mut pacing, 1, MS).as_micros()).collect();
        assert_eq!(rests, [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(rest(&mut pacing, PIPE, MS / 10), TICK_MIN);
    }

    #[test]
    fn a_pipe_that_fills_within_the_shortest_rest_is_armed_until_a_read_brings_little() {
        let mut pacing = Pacing { tick: MS, empty_ticks: 0, bulk: false };
        // A burst after a long rest: only the rest was too long.
        assert_eq!(rest(&mut pacing, PIPE, MS / 2), TICK_MIN);
        assert_eq!(pacing.after_read(PIPE, PIPE, MS / 4), Next::Arm);
        assert!(pacing.is_bulk());
        assert_eq!(pacing.after_read(16 * 1024, PIPE, MS / 10), Next::Arm);
        rest(&mut pacing, 16 * 1024 - 1, MS / 10);
        assert!(!pacing.is_bulk());
        rest(&mut pacing, 16 * 1024, MS / 10);
    }

    #[test]
    fn the_fourth_empty_read_in_a_row_arms_and_starts_over() {
        let mut pacing = Pacing::new();
        for _ in 0..3 {
            rest(&mut pacing, 0, MS);
        }
        rest(&mut pacing, 100, MS);
        for _ in 0..3 {
            rest(&mut pacing, 0, MS);
        }
        assert_eq!(pacing.after_read(0, PIPE, MS), Next::Arm);
        assert_eq!(pacing.tick(), TICK_MIN);
    }
}
