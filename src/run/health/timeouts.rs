//! Processes that may run only so long: the one condition that needs no thread.

use std::time::Instant;

use super::Failure;
use crate::clock;
use crate::report::health::{HealthReport, Standing};
use crate::run::Plan;

/// Of each process that has a timeout, when that is over and what came of it.
pub struct Timeouts(Vec<Timeout>);

struct Timeout {
    child: usize,
    /// None: it is over, or no longer waited for.
    at: Option<Instant>,
    report: HealthReport,
}

impl Timeouts {
    /// From now on.
    pub fn new(plan: &Plan) -> Timeouts {
        let now = clock::now();
        let timeout = |(child, of): (usize, &crate::run::Child)| {
            let timeout = of.timeout?;
            let report = HealthReport {
                process: of.spec.name.clone(),
                kind: "timeout",
                what: humantime::format_duration(timeout).to_string(),
                standing: Standing::Healthy,
                last: "in time".to_owned(),
                checks: 0,
                failures: 0,
                checked_at_ms: None,
                changed_at_ms: None,
                stopped: false,
            };
            Some(Timeout { child, at: now.checked_add(timeout), report })
        };
        Timeouts(plan.children.iter().enumerate().filter_map(timeout).collect())
    }

    /// It has ended, or is stopped.
    pub fn leave(&mut self, child: usize) {
        self.0.iter_mut().filter(|timeout| timeout.child == child).for_each(|timeout| timeout.at = None);
    }

    pub fn leave_all(&mut self) {
        self.0.iter_mut().for_each(|timeout| timeout.at = None);
    }

    /// The next that has run for too long.
    pub fn expired(&mut self, now: Instant) -> Option<Failure> {
        let timeout = self.0.iter_mut().find(|timeout| timeout.at.is_some_and(|at| at <= now))?;
        timeout.at = None;
        let text = format!("has run for its timeout of {}", timeout.report.what);
        let report = &mut timeout.report;
        (report.standing, report.stopped) = (Standing::Unhealthy, true);
        (report.checks, report.failures, report.last) = (1, 1, "its time is over".to_owned());
        (report.checked_at_ms, report.changed_at_ms) = (Some(clock::wall_ms()), Some(clock::wall_ms()));
        Some(Failure { child: timeout.child, text })
    }

    pub fn due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|timeout| timeout.at).min()
    }

    pub fn reports(self) -> Vec<HealthReport> {
        self.0.into_iter().map(|timeout| timeout.report).collect()
    }
}
