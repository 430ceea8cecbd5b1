//! The only reads of a clock. Everything that decides takes the time as an argument, so that it can be replayed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time, for rests, deadlines and back-off.
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time since the epoch; zero if the clock stands before 1970.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Wall-clock milliseconds since the epoch: the unit of a log event's timestamp.
pub fn wall_ms() -> i64 {
    wall().as_millis() as i64
}

/// CPU time of this process: all its threads, without its children.
pub fn process_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}
