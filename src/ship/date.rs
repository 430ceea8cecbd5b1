//! The timestamps of one stream's events. Pure.
//!
//! They never go back, and two batches never share a millisecond: a reader sorts by timestamp, so parallel calls on one
//! stream cannot reorder what it sees. A batch whose lines would have to run more than `AHEAD_OF_CLOCK_MS_MAX` ahead of
//! the clock shares its predecessor's millisecond instead and is sent after it (`serial`). A clock that went back
//! further than that is followed.

use crate::limits::AHEAD_OF_CLOCK_MS_MAX;

#[derive(Debug)]
pub struct Dater {
    /// The last timestamp given; none before the first.
    last_ms: Option<i64>,
    /// No timestamp of the open batch may be below.
    floor_ms: i64,
    serial: bool,
    /// No two events share a millisecond, as far as `AHEAD_OF_CLOCK_MS_MAX` allows.
    distinct: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dated {
    At {
        timestamp_ms: i64,
        /// It was moved forward, so that it is no other's.
        nudged: bool,
    },
    /// The clock went back: the open batch must be closed (`batch_closed`) before this line can be dated.
    ClockWentBack,
}

impl Dater {
    pub fn new(distinct: bool) -> Dater {
        Dater { last_ms: None, floor_ms: i64::MIN, serial: false, distinct }
    }

    /// The timestamp of a line that was read at `read_ms`, when the wall clock shows `wall_ms`.
    pub fn date(&self, read_ms: i64, wall_ms: i64) -> Dated {
        match self.last_ms {
            Some(last_ms) if last_ms > wall_ms + AHEAD_OF_CLOCK_MS_MAX => Dated::ClockWentBack,
            // What was read before the clock went back would still lie ahead of it: it counts as read now.
            last_ms => {
                let timestamp_ms = read_ms.min(wall_ms).max(self.floor_ms).max(last_ms.unwrap_or(i64::MIN));
                let is_tie = self.distinct && last_ms == Some(timestamp_ms);
                let nudged = is_tie && timestamp_ms < wall_ms + AHEAD_OF_CLOCK_MS_MAX;
                Dated::At { timestamp_ms: timestamp_ms + i64::from(nudged), nudged }
            }
        }
    }

    /// An event with this timestamp went into the open batch.
    pub fn gave(&mut self, timestamp_ms: i64) {
        self.last_ms = Some(timestamp_ms);
    }

    /// The open batch is closed. True: it must be sent after all earlier ones of its stream.
    pub fn batch_closed(&mut self, wall_ms: i64) -> bool {
        let serial = self.serial;
        if let Some(last_ms) = self.last_ms {
            self.serial = last_ms + 1 > wall_ms + AHEAD_OF_CLOCK_MS_MAX;
            self.floor_ms = if self.serial { last_ms } else { last_ms + 1 };
        }
        serial
    }

    /// Follow a clock that went back: the next batch may lie before the last, and is sent after it.
    pub fn follow_clock(&mut self) {
        self.last_ms = None;
        self.floor_ms = i64::MIN;
        self.serial = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(dater: &mut Dater, read_ms: i64, wall_ms: i64) -> i64 {
        match dater.date(read_ms, wall_ms) {
            Dated::At { timestamp_ms, .. } => {
                dater.gave(timestamp_ms);
                timestamp_ms
            }
            Dated::ClockWentBack => panic!("the clock went back"),
        }
    }

    #[test]
    fn timestamps_follow_the_reads_and_never_go_back() {
        let mut dater = Dater::new(false);
        let given: Vec<_> = [100, 105, 103, 110].map(|read_ms| give(&mut dater, read_ms, 110)).into();
        assert_eq!(given, [100, 105, 105, 110]);
    }

    #[test]
    fn distinct_timestamps_rise_with_each_line_up_to_a_second_ahead_of_the_clock_and_share_that() {
        let mut dater = Dater::new(true);
        let given: Vec<_> = [100, 100, 100, 103].map(|read_ms| give(&mut dater, read_ms, 103)).into();
        assert_eq!(given, [100, 101, 102, 103]);
        let mut nudged = 0;
        for _ in 0..2000 {
            if let Dated::At { nudged: true, .. } = dater.date(103, 103) {
                nudged += 1;
            }
            assert!(give(&mut dater, 103, 103) <= 1103);
        }
        assert_eq!(nudged, 1000);
        dater.batch_closed(103);
        assert_eq!(give(&mut dater, 5000, 5000), 5000);
    }

    #[test]
    fn the_next_batch_begins_a_millisecond_after_the_last() {
        let mut dater = Dater::new(false);
        give(&mut dater, 100, 100);
        assert!(!dater.batch_closed(100));
        assert_eq!(give(&mut dater, 100, 100), 101);
        assert!(!dater.batch_closed(100));
        assert_eq!(give(&mut dater, 500, 500), 500);
    }

    #[test]
    fn a_second_ahead_of_the_clock_batches_share_a_millisecond_and_go_one_by_one() {
        let mut dater = Dater::new(false);
        let mut serial = Vec::new();
        for _ in 0..1003 {
            assert!(give(&mut dater, 5000, 5000) <= 6000);
            serial.push(dater.batch_closed(5000));
        }
        assert_eq!(serial.iter().position(|serial| *serial), Some(1001));
        assert_eq!(give(&mut dater, 5000, 5000), 6000);
        // The clock catches up: parallel again.
        assert!(dater.batch_closed(7000));
        assert_eq!(give(&mut dater, 7000, 7000), 7000);
        assert!(!dater.batch_closed(7000));
    }

    #[test]
    fn a_clock_that_went_back_is_followed_by_a_batch_that_waits_for_the_others() {
        let mut dater = Dater::new(false);
        give(&mut dater, 9000, 9000);
        assert_eq!(give(&mut dater, 8500, 8500), 9000);
        assert_eq!(dater.date(3000, 3000), Dated::ClockWentBack);
        assert!(!dater.batch_closed(3000));
        dater.follow_clock();
        assert_eq!(give(&mut dater, 3000, 3000), 3000);
        assert!(dater.batch_closed(3000));
    }

    #[test]
    fn lines_that_were_read_before_the_clock_went_back_share_a_batch_after_it() {
        let mut dater = Dater::new(false);
        give(&mut dater, 9000, 9000);
        assert_eq!(dater.date(9001, 3000), Dated::ClockWentBack);
        dater.batch_closed(3000);
        dater.follow_clock();
        assert_eq!([9001, 9002, 9003].map(|read_ms| give(&mut dater, read_ms, 3000)), [3000; 3]);
    }
}
