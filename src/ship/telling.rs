//! What ship says in logpump's own messages: notices, with the spool's path where they are about it, and with
//! `--log-level debug` each call. Never a line's text, and of what a service answers only what the verdict kept.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;

use super::answer::Answer;
use super::notice::Notice;
use crate::limits::CALLS_TOLD_PER_S_MAX;
use crate::spool::entry::{Address, Entry};
use crate::spool::wire::Event;

pub struct Teller {
    /// `--spool-dir`.
    spool: Option<PathBuf>,
    debug: bool,
    allowance: Allowance,
    /// The rate that was told last.
    rate_per_s: Option<f64>,
}

/// A call on its way of which its end is to tell.
pub struct Told {
    began: Instant,
    what: What,
}

pub enum What {
    Put(Arc<Entry>),
    Stream(Arc<Address>),
    Group(Arc<Address>),
}

impl Teller {
    pub fn new(spool: Option<PathBuf>) -> Teller {
        // A level that changes later would be missed; it does not.
        let debug = tracing::enabled!(Level::DEBUG);
        Teller { spool, debug, allowance: Allowance::default(), rate_per_s: None }
    }

    pub fn say(&self, notice: &Notice) {
        let path = self.spool.as_ref().filter(|_| notice.is_of_spool());
        let place = path.map_or_else(String::new, |path| format!("--spool-dir {}: ", path.display()));
        if notice.is_news() {
            tracing::info!("{place}{notice}");
        } else {
            tracing::warn!("{place}{notice}");
        }
    }

    /// None: nobody wants to know.
    pub fn call(&self, now: Instant, what: impl FnOnce() -> What) -> Option<Told> {
        self.debug.then(|| Told { began: now, what: what() })
    }

    pub fn answered(&mut self, told: Option<Told>, answer: &Answer, now: Instant) {
        let Some(Told { began, what }) = told else { return };
        let (may, passed_over) = self.allowance.take(now);
        if passed_over > 0 {
            tracing::debug!(calls = passed_over, "more calls in a second than are told one by one");
        }
        if !may {
            return;
        }
        let (status, ms) = (Status(answer), (now - began).as_secs_f64() * 1000.0);
        let ms = format_args!("{ms:.1}");
        match what {
            What::Put(entry) => {
                let Address { group, stream, .. } = &*entry.address;
                let (events, bytes) = (entry.raw_lengths.len(), entry.payload.len());
                tracing::debug!(%ms, events, bytes, gzip = entry.gzip, %stream, %group, %status, "PutLogEvents");
            }
            What::Stream(address) => {
                let Address { group, stream, region, .. } = &*address;
                tracing::debug!(%ms, %stream, %group, %region, %status, "CreateLogStream");
            }
            What::Group(address) => {
                let Address { group, region, .. } = &*address;
                tracing::debug!(%ms, %group, %region, %status, "CreateLogGroup");
            }
        }
    }

    pub fn rate(&mut self, rate_per_s: Option<f64>) {
        if self.debug && rate_per_s != self.rate_per_s {
            match rate_per_s {
                Some(per_s) => {
                    tracing::debug!(calls_per_s = %format_args!("{per_s:.1}"), "throttled: calls are limited")
                }
                None => tracing::debug!("calls are not limited any more"),
            }
            self.rate_per_s = rate_per_s;
        }
    }

    pub fn credentials_are_renewed(&self) {
        tracing::debug!("credentials and endpoints are loaded anew with the next call");
    }

    pub fn heard(&self, event: &Event) {
        match event {
            Event::Adopted { run, entries, count, bytes } => {
                tracing::debug!(run, bodies = entries, lines = count.lines, bytes, "a run's spool is adopted");
            }
            Event::Searched => tracing::debug!("all that ended runs left in the spool is known"),
            _ => {}
        }
    }
}

/// What an answer comes to. A refusal's text is left out but for its code: it might repeat what was sent.
struct Status<'a>(&'a Answer);

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |detail: &str| detail.split(": ").next().unwrap_or_default().to_owned();
        match self.0 {
            Answer::Accepted(rejected) if rejected.none() => f.write_str("accepted"),
            Answer::Accepted(_) => f.write_str("accepted, with rejected events"),
            Answer::Throttled => f.write_str("throttled"),
            Answer::Unavailable { detail, lost: true } => write!(f, "no answer: {detail}"),
            Answer::Unavailable { detail, lost: false } => write!(f, "not reached: {detail}"),
            Answer::NotFound(_) => f.write_str("not found"),
            Answer::Denied(detail) => write!(f, "denied: {}", code(detail)),
            Answer::Invalid(detail) => write!(f, "invalid: {}", code(detail)),
        }
    }
}

/// So many a second.
#[derive(Default)]
struct Allowance {
    since: Option<Instant>,
    taken: u32,
    passed_over: u32,
}

impl Allowance {
    /// Whether one more is allowed, and how many were not in a second that is over.
    fn take(&mut self, now: Instant) -> (bool, u32) {
        let mut passed_over = 0;
        if self.since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            passed_over = std::mem::take(&mut self.passed_over);
            (self.since, self.taken) = (Some(now), 0);
        }
        self.taken = self.taken.saturating_add(1);
        let may = self.taken <= CALLS_TOLD_PER_S_MAX;
        self.passed_over += u32::from(!may);
        (may, passed_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::ship::answer::Rejected;

    #[test]
    fn so_many_calls_a_second_are_told_and_of_more_their_number() {
        let mut allowance = Allowance::default();
        let start = clock::now();
        let told = (0..250).filter(|_| allowance.take(start).0).count();
        assert_eq!(told, CALLS_TOLD_PER_S_MAX as usize);
        assert_eq!(allowance.take(start + Duration::from_millis(999)), (false, 0));
        assert_eq!(allowance.take(start + Duration::from_secs(1)), (true, 151));
        assert_eq!(allowance.take(start + Duration::from_secs(1)), (true, 0));
    }

    #[test]
    fn a_refusals_text_is_not_repeated() {
        let status = |answer: Answer| Status(&answer).to_string();
        let refusal = "HTTP 400 InvalidParameterException: the message \"secret\" is wrong";
        assert_eq!(status(Answer::Invalid(refusal.into())), "invalid: HTTP 400 InvalidParameterException");
        assert_eq!(status(Answer::Denied("AccessDeniedException: x".into())), "denied: AccessDeniedException");
        assert_eq!(status(Answer::Accepted(Rejected::default())), "accepted");
        let lost = Answer::Unavailable { detail: "HTTP 500 : ".into(), lost: true };
        assert_eq!(status(lost), "no answer: HTTP 500 : ");
    }
}
