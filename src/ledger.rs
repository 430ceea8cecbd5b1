//! The counts: what became of every line and every pipe byte of one stream.
//!
//! `read + adopted = delivered + filtered + rejected + dropped + spooled + in_memory`, in lines and in raw pipe bytes
//! (newline included). A line is counted as read when its end was seen. Bytes are booked piece by piece, a line once,
//! when all its pieces have ended. Knows nothing of who books.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::Serialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub lines: u64,
    pub bytes: u64,
}

impl Count {
    pub const fn new(lines: u64, bytes: u64) -> Count {
        Count { lines, bytes }
    }

    /// What is left of it, nothing at least.
    pub fn without(self, gone: Count) -> Count {
        Count::new(self.lines.saturating_sub(gone.lines), self.bytes.saturating_sub(gone.bytes))
    }
}

/// `1 line`, `2 lines`: what people read.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", counted(self.lines, "line", "lines"), counted(self.bytes, "byte", "bytes"))
    }
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count { lines: self.lines + other.lines, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        *self = *self + other;
    }
}

/// How a line, or a piece of one, can end. The order is from best to worst: a line in pieces ends as its worst piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Acknowledged by the service, or written to the file.
    Delivered,
    /// An empty line: an empty event would fail its whole batch.
    Blank,
    /// Below the stream's level.
    Level,
    /// It holds a text that is known to mean nothing.
    Noise,
    /// Its stream's lines are not wanted.
    Disabled,
    /// Its stream has no log group.
    NoGroup,
    /// Refused by the service: more than 14 days old.
    TooOld,
    /// Refused by the service: older than the group's retention.
    Expired,
    /// Refused by the service: more than 2 hours ahead of its clock.
    TooNew,
    /// Refused by the service, sent by itself: it calls this event invalid.
    Invalid,
    /// The stream's ring was emptied, for the spool was full.
    SpoolFull,
    /// The same: the spool's disk was too slow, or failed.
    DiskSlow,
    /// The same: there was no spool, and memory was full.
    NoSpool,
    /// The same: there was room, but too little CPU time to encode as fast as lines came.
    CpuShort,
    /// It was spooled, and cannot be read back: what is left of it is set aside.
    Unreadable,
    /// Still here when the time to deliver was over.
    Shutdown,
    /// There is nowhere to write to.
    NoSink,
    /// A part of logpump failed.
    Internal,
}

const ENDS: usize = End::Internal as usize + 1;

/// The kinds of end that the report groups reasons by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Delivered,
    Filtered,
    Rejected,
    Dropped,
}

impl End {
    pub const ALL: [End; ENDS] = [
        End::Delivered,
        End::Blank,
        End::Level,
        End::Noise,
        End::Disabled,
        End::NoGroup,
        End::TooOld,
        End::Expired,
        End::TooNew,
        End::Invalid,
        End::SpoolFull,
        End::DiskSlow,
        End::NoSpool,
        End::CpuShort,
        End::Unreadable,
        End::Shutdown,
        End::NoSink,
        End::Internal,
    ];

    pub fn kind(self) -> Kind {
        match self {
            End::Delivered => Kind::Delivered,
            End::Blank | End::Level | End::Noise | End::Disabled | End::NoGroup => Kind::Filtered,
            End::TooOld | End::Expired | End::TooNew | End::Invalid => Kind::Rejected,
            End::SpoolFull | End::DiskSlow | End::NoSpool | End::CpuShort | End::Unreadable => Kind::Dropped,
            End::Shutdown | End::NoSink | End::Internal => Kind::Dropped,
        }
    }

    /// The reason's name in the report.
    pub fn reason(self) -> &'static str {
        match self {
            End::Delivered => "delivered",
            End::Blank => "blank",
            End::Level => "level",
            End::Noise => "noise",
            End::Disabled => "disabled",
            End::NoGroup => "no_group",
            End::TooOld => "too_old",
            End::Expired => "expired",
            End::TooNew => "too_new",
            End::Invalid => "invalid",
            End::SpoolFull => "spool_full",
            End::DiskSlow => "disk_slow",
            End::NoSpool => "no_spool",
            End::CpuShort => "cpu_short",
            End::Unreadable => "unreadable",
            End::Shutdown => "shutdown",
            End::NoSink => "no_sink",
            End::Internal => "internal",
        }
    }
}

/// The counts of one stream, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub read: Count,
    pub adopted: Count,
    pub spooled: Count,
    /// Held when the counts were taken, counted where it lies, not as a difference.
    pub in_memory: Count,
    ends: [Count; ENDS],
    /// Outside the identity: lines of logpump's own in the stream, and delivered events that the service may have twice.
    pub markers: u64,
    pub duplicates: u64,
    pub calls: u64,
    pub retries: u64,
    /// Reads without a date of their own, because ship was far behind.
    pub marks_omitted: u64,
    /// Secrets that were masked.
    pub masked: u64,
    /// Lines that share the event of a line before them.
    pub joined: u64,
    /// Events whose timestamp was moved forward, so that no two share one.
    pub nudged: u64,
    /// Times that the wall clock went back so far that timestamps had to go back with it.
    pub clock_steps: u64,
}

impl Ledger {
    pub fn book(&mut self, end: End, count: Count) {
        self.ends[end as usize] += count;
    }

    /// It has no end yet, after all. Returns what is to be counted elsewhere: no more than was booked.
    pub fn unbook(&mut self, end: End, count: Count) -> Count {
        let booked = self.ends[end as usize];
        self.ends[end as usize] = booked.without(count);
        booked.without(self.ends[end as usize])
    }

    pub fn ended(&self, end: End) -> Count {
        self.ends[end as usize]
    }

    fn out(&self) -> Count {
        self.ends.iter().fold(self.spooled + self.in_memory, |sum, count| sum + *count)
    }

    /// None if every line and byte is accounted for, else what is not.
    pub fn imbalance(&self) -> Option<String> {
        let (came, went) = (self.read + self.adopted, self.out());
        (came != went).then(|| format!("{came} came in, {went} are accounted for"))
    }

    pub fn add(&mut self, other: &Ledger) {
        self.read += other.read;
        self.adopted += other.adopted;
        self.spooled += other.spooled;
        self.in_memory += other.in_memory;
        for (sum, count) in self.ends.iter_mut().zip(&other.ends) {
            *sum += *count;
        }
        self.markers += other.markers;
        self.duplicates += other.duplicates;
        self.calls += other.calls;
        self.retries += other.retries;
        self.marks_omitted += other.marks_omitted;
        self.masked += other.masked;
        self.joined += other.joined;
        self.nudged += other.nudged;
        self.clock_steps += other.clock_steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_said_in_the_singular() {
        assert_eq!(Count::new(1, 1).to_string(), "1 line (1 byte)");
        assert_eq!(Count::new(0, 2).to_string(), "0 lines (2 bytes)");
        assert_eq!(counted(1, "body", "bodies"), "1 body");
    }

    #[test]
    fn the_identity_holds_when_every_line_has_one_end_and_names_what_is_missing() {
        let mut ledger = Ledger { read: Count::new(10, 100), ..Ledger::default() };
        ledger.book(End::Delivered, Count::new(6, 60));
        ledger.book(End::Blank, Count::new(1, 1));
        ledger.book(End::Shutdown, Count::new(2, 30));
        ledger.in_memory = Count::new(1, 9);
        assert_eq!(ledger.imbalance(), None);
        ledger.in_memory = Count::new(1, 8);
        assert_eq!(ledger.imbalance().unwrap(), "10 lines (100 bytes) came in, 10 lines (99 bytes) are accounted for");
    }

    #[test]
    fn ledgers_add_up() {
        let mut one = Ledger { read: Count::new(1, 5), retries: 2, ..Ledger::default() };
        one.book(End::TooOld, Count::new(1, 5));
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!((sum.read, sum.ended(End::TooOld), sum.retries), (Count::new(2, 10), Count::new(2, 10), 4));
    }
}
