//! A condition that a command checks, with the words of Docker's HEALTHCHECK. Pure: the time is an argument.

use std::time::{Duration, Instant};

use super::record::{Finding, Weight};
use crate::report::health::Standing;

/// Source of the rules: Dockerfile reference, HEALTHCHECK.
#[derive(Debug)]
pub struct Exec {
    interval: Duration,
    start_period: Duration,
    retries: u32,
    started: Instant,
    due: Instant,
    standing: Standing,
    /// Those that count, since the last success.
    failures_in_row: u32,
}

impl Exec {
    pub fn new(interval: Duration, start_period: Duration, retries: u32, now: Instant) -> Exec {
        let standing = Standing::Starting;
        Exec { interval, start_period, retries, started: now, due: now + interval, standing, failures_in_row: 0 }
    }

    /// When the next check begins, if none runs.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The next check begins an interval after the end of this one.
    pub fn rest(&mut self, now: Instant) {
        self.due = now + self.interval;
    }

    /// A check that began then has ended now. Err: what was wrong.
    pub fn ended(&mut self, result: Result<(), String>, began: Instant, now: Instant) -> Finding {
        self.rest(now);
        match result {
            Ok(()) => {
                (self.standing, self.failures_in_row) = (Standing::Healthy, 0);
                Finding::new(self.standing, "passed", Weight::Info, "passed".to_owned())
            }
            Err(what) => {
                let is_starting = self.standing == Standing::Starting && began - self.started < self.start_period;
                if !is_starting {
                    self.failures_in_row = self.failures_in_row.saturating_add(1);
                }
                if self.failures_in_row >= self.retries {
                    self.standing = Standing::Unhealthy;
                }
                let times = match self.failures_in_row {
                    0 => "failed in its start period".to_owned(),
                    1 => "failed".to_owned(),
                    times => format!("failed {times} times in a row"),
                };
                // Only a change of the standing is worth a message.
                let label = if self.standing == Standing::Healthy { "passed" } else { "" };
                Finding {
                    failed: true,
                    ..Finding::new(self.standing, label, Weight::Error, format!("{times}: {what}"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn failed(exec: &mut Exec, at: Instant) -> Standing {
        let finding = exec.ended(Err("exit code 1".into()), at, at + S);
        assert!(finding.failed);
        finding.standing
    }

    fn passed(exec: &mut Exec, at: Instant) -> Standing {
        exec.ended(Ok(()), at, at + S).standing
    }

    #[test]
    fn so_many_failures_in_a_row_make_it_unhealthy_and_one_success_healthy_again() {
        let start = Instant::now();
        let mut exec = Exec::new(30 * S, Duration::ZERO, 3, start);
        assert_eq!(failed(&mut exec, start + 30 * S), Standing::Starting);
        assert_eq!(failed(&mut exec, start + 61 * S), Standing::Starting);
        assert_eq!(passed(&mut exec, start + 92 * S), Standing::Healthy);
        assert_eq!(failed(&mut exec, start + 123 * S), Standing::Healthy);
        assert_eq!(failed(&mut exec, start + 154 * S), Standing::Healthy);
        assert_eq!(failed(&mut exec, start + 185 * S), Standing::Unhealthy);
        assert_eq!(failed(&mut exec, start + 216 * S), Standing::Unhealthy);
        assert_eq!(passed(&mut exec, start + 247 * S), Standing::Healthy);
        assert_eq!(failed(&mut exec, start + 278 * S), Standing::Healthy);
    }

    #[test]
    fn failures_of_the_start_period_do_not_count_until_the_first_success() {
        let start = Instant::now();
        let mut exec = Exec::new(10 * S, 60 * S, 1, start);
        assert_eq!(failed(&mut exec, start + 10 * S), Standing::Starting);
        assert_eq!(failed(&mut exec, start + 59 * S), Standing::Starting);
        assert_eq!(failed(&mut exec, start + 60 * S), Standing::Unhealthy);

        let mut exec = Exec::new(10 * S, 60 * S, 1, start);
        assert_eq!(passed(&mut exec, start + 10 * S), Standing::Healthy);
        assert_eq!(failed(&mut exec, start + 20 * S), Standing::Unhealthy);
    }

    #[test]
    fn the_next_check_begins_an_interval_after_the_last_ones_end() {
        let start = Instant::now();
        let mut exec = Exec::new(10 * S, Duration::ZERO, 1, start);
        assert_eq!(exec.due(), start + 10 * S);
        exec.ended(Ok(()), start + 10 * S, start + 17 * S);
        assert_eq!(exec.due(), start + 27 * S);
    }

    #[test]
    fn a_failure_that_does_not_count_yet_changes_nothing_that_is_said() {
        let start = Instant::now();
        let mut exec = Exec::new(S, Duration::ZERO, 2, start);
        let first = exec.ended(Ok(()), start + S, start + S);
        let second = exec.ended(Err("exit code 1".into()), start + 2 * S, start + 2 * S);
        assert_eq!((first.standing, first.label), (second.standing, second.label));
        assert_eq!(second.text, "failed: exit code 1");
        let third = exec.ended(Err("exit code 2".into()), start + 3 * S, start + 3 * S);
        assert_eq!(third.text, "failed 2 times in a row: exit code 2");
    }
}
