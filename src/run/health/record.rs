//! What a condition has come to so far, and which of it is said. Pure: the time is an argument.

use std::time::Instant;

use crate::limits::HEALTH_SAID_EVERY;
use crate::report::health::{HealthReport, Standing};

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub standing: Standing,
    /// With the standing, what makes two findings the same to whoever reads messages.
    pub label: &'static str,
    pub weight: Weight,
    pub text: String,
    pub failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Info,
    Warn,
    Error,
}

impl Finding {
    pub fn new(standing: Standing, label: &'static str, weight: Weight, text: String) -> Finding {
        Finding { standing, label, weight, text, failed: false }
    }
}

pub struct Record {
    report: HealthReport,
    said: (Standing, &'static str),
    said_at: Option<Instant>,
}

impl Record {
    pub fn new(process: String, kind: &'static str, what: String) -> Record {
        let standing = Standing::Starting;
        let report = HealthReport {
            process,
            kind,
            what,
            standing,
            last: String::new(),
            checks: 0,
            failures: 0,
            checked_at_ms: None,
            changed_at_ms: None,
            stopped: false,
        };
        Record { report, said: (standing, ""), said_at: None }
    }

    /// True: it is to be said. Changes are, and no more of them than `HEALTH_SAID_EVERY` allows; the next finding after
    /// that time says what it has become.
    pub fn note(&mut self, finding: &Finding, now: Instant, wall_ms: i64) -> bool {
        let report = &mut self.report;
        report.checks += 1;
        report.failures += u64::from(finding.failed);
        report.checked_at_ms = Some(wall_ms);
        report.last.clone_from(&finding.text);
        if report.standing != finding.standing {
            report.standing = finding.standing;
            report.changed_at_ms = Some(wall_ms);
        }
        let what = (finding.standing, finding.label);
        let may = self.said_at.is_none_or(|said_at| now - said_at >= HEALTH_SAID_EVERY);
        let says = what != self.said && may;
        if says {
            (self.said, self.said_at) = (what, Some(now));
        }
        says
    }

    pub fn standing(&self) -> Standing {
        self.report.standing
    }

    pub fn process(&self) -> &str {
        &self.report.process
    }

    /// The check's address or command.
    pub fn what(&self) -> &str {
        &self.report.what
    }

    pub fn stopped(&mut self) {
        self.report.stopped = true;
    }

    pub fn report(&self) -> HealthReport {
        self.report.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record() -> Record {
        Record::new("web".into(), "udp", "127.0.0.1:1".into())
    }

    fn finding(standing: Standing, label: &'static str) -> Finding {
        let failed = standing == Standing::Unhealthy;
        Finding { failed, ..Finding::new(standing, label, Weight::Info, label.to_owned()) }
    }

    #[test]
    fn changes_are_said_and_nothing_twice() {
        let (mut record, start) = (record(), Instant::now());
        let mut said = |seconds: u64, standing, label| {
            record.note(&finding(standing, label), start + Duration::from_secs(seconds), 1000 * seconds as i64)
        };
        assert!(!said(0, Standing::Starting, ""));
        assert!(said(60, Standing::Healthy, "healthy"));
        assert!(!said(120, Standing::Healthy, "healthy"));
        assert!(said(180, Standing::Healthy, "yellow"));
        assert!(said(240, Standing::Unhealthy, "red"));
        let report = record.report();
        assert_eq!((report.checks, report.failures, report.standing), (5, 1, Standing::Unhealthy));
        assert_eq!((report.checked_at_ms, report.changed_at_ms), (Some(240_000), Some(240_000)));
        assert_eq!(report.last, "red");
    }

    #[test]
    fn one_that_comes_and_goes_is_said_now_and_then_and_what_it_is_in_the_end() {
        let (mut record, start) = (record(), Instant::now());
        let mut said = 0;
        for tenth in 0..1000 {
            let standing = if tenth % 2 == 0 { Standing::Unhealthy } else { Standing::Healthy };
            said += u32::from(record.note(&finding(standing, ""), start + Duration::from_millis(100 * tenth), 0));
        }
        assert!((8..=11).contains(&said), "{said} in 100 s");
        let end = start + Duration::from_secs(200);
        let last = record.said.0;
        let other = if last == Standing::Healthy { Standing::Unhealthy } else { Standing::Healthy };
        assert!(record.note(&finding(other, ""), end, 0));
    }
}
