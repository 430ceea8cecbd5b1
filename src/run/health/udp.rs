//! A condition that somebody else reports in datagrams, as the sidecar of Amazon MWAA does: one word each. Pure: the time
//! is an argument.

use std::time::{Duration, Instant};

use super::record::{Finding, Weight};
use crate::report::health::Standing;

/// What is found where nothing is heard.
pub const SILENT: &str = "silent";
/// Of a word that is not known so many characters are repeated.
const WORD_CHARACTERS_MAX: usize = 40;

#[derive(Debug)]
pub struct Udp {
    interval: Duration,
    start_period: Duration,
    /// Zero: yellow and blue are healthy however long they last.
    replacement_threshold: Duration,
    started: Instant,
    due: Instant,
    /// Or the start, which counts as healthy.
    last_healthy: Instant,
    /// One came at some time.
    is_heard: bool,
    /// The last since the last look.
    latest: Option<Status>,
    /// One came since the last look, whatever came after it.
    red: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    Healthy,
    Blue,
    Yellow,
    Red,
    Other(String),
}

impl Status {
    fn of(datagram: &[u8]) -> Status {
        let word = String::from_utf8_lossy(datagram.trim_ascii()).to_lowercase();
        match &word[..] {
            "healthy" => Status::Healthy,
            "blue" => Status::Blue,
            "yellow" => Status::Yellow,
            "red" => Status::Red,
            _ => Status::Other(word.chars().take(WORD_CHARACTERS_MAX).collect()),
        }
    }
}

impl Udp {
    pub fn new(interval: Duration, start_period: Duration, replacement_threshold: Duration, now: Instant) -> Udp {
        Udp {
            interval,
            start_period,
            replacement_threshold,
            started: now,
            due: now + interval,
            last_healthy: now,
            is_heard: false,
            latest: None,
            red: false,
        }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    pub fn heard(&mut self, datagram: &[u8], now: Instant) {
        let status = Status::of(datagram);
        match status {
            Status::Healthy => self.last_healthy = now,
            Status::Red => self.red = true,
            _ => {}
        }
        (self.latest, self.is_heard) = (Some(status), true);
    }

    /// What it comes to, once an interval.
    pub fn look(&mut self, now: Instant) -> Finding {
        self.due = now + self.interval;
        let latest = self.latest.take();
        if std::mem::take(&mut self.red) {
            return unhealthy("red", "the status is red".to_owned());
        }
        let healthy = |label, weight, text: String| Finding::new(Standing::Healthy, label, weight, text);
        match latest {
            Some(Status::Healthy) => healthy("healthy", Weight::Info, "the status is healthy".to_owned()),
            Some(Status::Blue) => self.impaired("blue", now),
            Some(Status::Yellow) => self.impaired("yellow", now),
            Some(Status::Red) => unhealthy("red", "the status is red".to_owned()),
            Some(Status::Other(word)) => {
                healthy("other", Weight::Warn, format!("the status is {word:?}, which is not known; taken for healthy"))
            }
            None if now - self.started > self.start_period => {
                healthy(SILENT, Weight::Error, "no status comes; taken for healthy".to_owned())
            }
            None if self.is_heard => healthy("quiet", Weight::Info, "no status came this time".to_owned()),
            None => Finding::new(Standing::Starting, "", Weight::Info, "no status has come yet".to_owned()),
        }
    }

    fn impaired(&self, label: &'static str, now: Instant) -> Finding {
        let without = now - self.last_healthy;
        if self.replacement_threshold.is_zero() || without < self.replacement_threshold {
            return Finding::new(Standing::Healthy, label, Weight::Warn, format!("the status is {label}"));
        }
        let (without, most) = (without.as_secs(), self.replacement_threshold.as_secs());
        unhealthy(
            label,
            format!("the status is {label}, and for {without} s none was healthy; at most {most} s may pass"),
        )
    }
}

fn unhealthy(label: &'static str, text: String) -> Finding {
    Finding { failed: true, ..Finding::new(Standing::Unhealthy, label, Weight::Error, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// As the images have it.
    fn condition(threshold: u32, start: Instant) -> Udp {
        Udp::new(60 * S, 300 * S, threshold * S, start)
    }

    fn look(udp: &mut Udp, at: Instant, words: &[&str]) -> (Standing, &'static str) {
        words.iter().for_each(|word| udp.heard(word.as_bytes(), at));
        let finding = udp.look(at);
        assert_eq!(finding.failed, finding.standing == Standing::Unhealthy);
        (finding.standing, finding.label)
    }

    #[test]
    fn red_is_unhealthy_whatever_comes_after_it_and_the_others_are_healthy() {
        let start = Instant::now();
        for (words, expected) in [
            (&["healthy"][..], (Standing::Healthy, "healthy")),
            (&["blue"], (Standing::Healthy, "blue")),
            (&["healthy", " Yellow\n"], (Standing::Healthy, "yellow")),
            (&["RED"], (Standing::Unhealthy, "red")),
            (&["red", "healthy"], (Standing::Unhealthy, "red")),
            (&["", "purple"], (Standing::Healthy, "other")),
        ] {
            assert_eq!(look(&mut condition(0, start), start + 60 * S, words), expected, "{words:?}");
        }
    }

    #[test]
    fn without_a_threshold_yellow_may_last_and_with_one_it_may_last_so_long() {
        let start = Instant::now();
        let mut udp = condition(0, start);
        assert_eq!(look(&mut udp, start + 86_400 * S, &["yellow"]).0, Standing::Healthy);

        let mut udp = condition(180, start);
        assert_eq!(look(&mut udp, start + 60 * S, &["healthy"]).0, Standing::Healthy);
        assert_eq!(look(&mut udp, start + 180 * S, &["blue"]).0, Standing::Healthy);
        assert_eq!(look(&mut udp, start + 239 * S, &["yellow"]).0, Standing::Healthy);
        // A healthy one among them begins it anew.
        assert_eq!(look(&mut udp, start + 240 * S, &["healthy", "yellow"]).0, Standing::Healthy);
        assert_eq!(look(&mut udp, start + 420 * S, &["yellow"]), (Standing::Unhealthy, "yellow"));
        // Without any from the start on it counts from there.
        assert_eq!(look(&mut condition(180, start), start + 180 * S, &["blue"]).0, Standing::Unhealthy);
    }

    #[test]
    fn silence_is_healthy_and_an_error_only_once_the_start_is_over() {
        let start = Instant::now();
        let mut udp = condition(60, start);
        assert_eq!(look(&mut udp, start + 300 * S, &[]), (Standing::Starting, ""));
        assert_eq!(look(&mut udp, start + 360 * S, &[]), (Standing::Healthy, "silent"));
        assert_eq!(udp.look(start + 420 * S).weight, Weight::Error);
        let mut soon = condition(60, start);
        assert_eq!(look(&mut soon, start + 60 * S, &["healthy"]), (Standing::Healthy, "healthy"));
        assert_eq!(look(&mut soon, start + 120 * S, &[]), (Standing::Healthy, "quiet"));
        assert_eq!(look(&mut udp, start + 480 * S, &["healthy"]), (Standing::Healthy, "healthy"));
        assert_eq!(look(&mut udp, start + 540 * S, &[]), (Standing::Healthy, "silent"));
    }

    #[test]
    fn what_is_no_word_is_repeated_only_in_part() {
        let start = Instant::now();
        let mut udp = condition(0, start);
        udp.heard(&[b'x'; 1024], start);
        assert!(udp.look(start).text.len() < 120);
        udp.heard(b"\xff\x1b[31m", start);
        assert!(!udp.look(start).text.contains('\x1b'));
    }
}
