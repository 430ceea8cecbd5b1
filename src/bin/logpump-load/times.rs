//! What a writer measured about itself, as one JSON object. Knows nothing of lines.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// A write() that takes longer is recorded as this: ten minutes.
const WRITE_NS_MAX: u64 = 600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// USER_HZ, the unit of /proc/self/stat: 100 on every architecture that Rust's std supports. Source: proc(5).
const TICKS_PER_S: f64 = 100.0;

/// 1 ns to ten minutes at three significant digits: about 200 KiB, allocated once.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, WRITE_NS_MAX, SIGNIFICANT_DIGITS).expect("bounds are in order")
}

/// CPU time of this process since it began.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// From the process's CPU clock, in nanoseconds' resolution.
    all_s: f64,
    /// From /proc/self/stat, in steps of 10 ms.
    user_s: f64,
    system_s: f64,
}

impl Cpu {
    pub fn now() -> Cpu {
        let all = clock_gettime(ClockId::ProcessCPUTime);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let (user_ticks, system_ticks) = stat_ticks(&stat).unwrap_or_default();
        Cpu {
            all_s: all.tv_sec as f64 + all.tv_nsec as f64 / 1e9,
            user_s: user_ticks as f64 / TICKS_PER_S,
            system_s: system_ticks as f64 / TICKS_PER_S,
        }
    }
}

/// utime and stime: the 12th and 13th field after the command, which stands in brackets and may hold anything.
fn stat_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The `--times` file. Durations in the unit that their name says.
#[derive(Serialize)]
pub struct Times {
    pub writer: String,
    pub mode: String,
    pub line_bytes: usize,
    /// Whole lines handed to the kernel, and the bytes it accepted.
    pub lines: u64,
    pub bytes: u64,
    pub wall_ns: u64,
    pub cpu_s: f64,
    pub cpu_user_s: f64,
    pub cpu_system_s: f64,
    pub writes: u64,
    pub short_writes: u64,
    /// write() calls that a non-blocking stdout refused; each was followed by a poll().
    pub would_block: u64,
    /// Absent with `--no-times`, or when nothing was written.
    pub write_ns: Option<WriteNs>,
    /// hdrhistogram's V2 form (not deflated) in base64, to add up the histograms of several writers.
    pub hdr_v2_base64: Option<String>,
    pub pace: Option<Pace>,
    /// The errno and its text when a write error ended the run.
    pub stopped_by: Option<String>,
}

#[derive(Serialize)]
pub struct WriteNs {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
    pub mean: f64,
}

/// How well a `--rate` was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    pub lines_per_s: f64,
    pub sleeps: u64,
    pub late_ns_max: u64,
    /// By how much the schedule was put off because more than the catch-up bound was due at once.
    pub put_off_ns: u64,
}

impl Times {
    pub fn set_cpu(&mut self, since: Cpu) {
        let now = Cpu::now();
        self.cpu_s = now.all_s - since.all_s;
        self.cpu_user_s = now.user_s - since.user_s;
        self.cpu_system_s = now.system_s - since.system_s;
    }

    pub fn set_writes(&mut self, histogram: &Histogram<u64>) {
        if histogram.is_empty() {
            return;
        }
        self.write_ns = Some(WriteNs {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            p99_99: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            mean: histogram.mean(),
        });
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).expect("a Vec takes every byte");
        self.hdr_v2_base64 = Some(aws_smithy_types::base64::encode(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_a_command_with_brackets_and_spaces() {
        let stat = "42 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 123 45 0 0";
        assert_eq!(stat_ticks(stat), Some((123, 45)));
        assert_eq!(stat_ticks("42 (a) R 1"), None);
        assert_eq!(stat_ticks(""), None);
    }

    #[test]
    fn our_own_stat_has_the_fields() {
        assert!(stat_ticks(&std::fs::read_to_string("/proc/self/stat").unwrap()).is_some());
    }
}
