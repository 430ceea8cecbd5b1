//! Lines that were dropped between two that were not, and the marker that says so in their place. Pure.

use crate::ledger::{Count, End, counted};

/// Discards without a line packed between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub count: Count,
    /// In the order in which they came up, each once.
    reasons: Vec<End>,
    /// When the first of it was read.
    pub since_ms: i64,
}

impl Gap {
    pub fn new(since_ms: i64) -> Gap {
        Gap { count: Count::default(), reasons: Vec::new(), since_ms }
    }

    pub fn add(&mut self, reason: End, count: Count) {
        self.count += count;
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// The marker's message.
    pub fn text(&self) -> String {
        let lines = match self.count.lines {
            0 => "part of a line".to_owned(),
            lines => counted(lines, "line", "lines"),
        };
        let reasons: Vec<_> = self.reasons.iter().map(|reason| reason.reason()).collect();
        format!("logpump: dropped {lines} ({}) here: {}", rounded(self.count.bytes), reasons.join(", "))
    }
}

/// In units of ten, to three digits or so.
fn rounded(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000, "KB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    match bytes / unit {
        whole @ 0..10 => format!("{whole}.{} {name}", bytes % unit * 10 / unit),
        whole => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: u64, bytes: u64) -> String {
        let mut gap = Gap::new(0);
        gap.add(End::SpoolFull, Count::new(lines, bytes));
        gap.text()
    }

    #[test]
    fn a_marker_says_how_many_lines_how_much_and_why() {
        assert_eq!(text(1234, 180_999), "logpump: dropped 1234 lines (180 KB) here: spool_full");
        assert_eq!(text(1, 999), "logpump: dropped 1 line (999 B) here: spool_full");
        assert_eq!(text(2, 1_000), "logpump: dropped 2 lines (1.0 KB) here: spool_full");
        assert_eq!(text(2, 9_999_999), "logpump: dropped 2 lines (9.9 MB) here: spool_full");
        assert_eq!(text(2, 12_000_000_000), "logpump: dropped 2 lines (12 GB) here: spool_full");
        assert_eq!(text(0, 65_536), "logpump: dropped part of a line (65 KB) here: spool_full");
    }

    #[test]
    fn each_reason_is_named_once_in_the_order_in_which_they_came_up() {
        let mut gap = Gap::new(0);
        for reason in [End::SpoolFull, End::CpuShort, End::SpoolFull, End::DiskSlow] {
            gap.add(reason, Count::new(1, 1));
        }
        assert_eq!(gap.text(), "logpump: dropped 4 lines (4 B) here: spool_full, cpu_short, disk_slow");
    }
}
