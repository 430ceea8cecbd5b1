//! What the ship core has to tell its user: said once per trouble, with the remedy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::split_body::Event;
use crate::ledger::End;
use crate::limits::EXCERPT_CHARACTERS_MAX;
use crate::spool::entry::Address;
use crate::spool::wire::Refusal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Outage {
        detail: String,
    },
    Reached {
        after: Duration,
    },
    GroupMissing {
        group: String,
        detail: String,
    },
    Throttled {
        lasts: Duration,
    },
    Trouble {
        stream: String,
        detail: String,
    },
    /// Where an ended run's lines are to go, nobody answers.
    AdoptedAway {
        address: Arc<Address>,
        detail: String,
    },
    Rejected {
        stream: String,
    },
    /// Entries of an ended run's spool are ours now.
    Adopted {
        entries: u64,
        lines: u64,
    },
    SpoolRefuses {
        why: Refusal,
    },
    SpoolTakes,
    /// `durable`: every body was to be stored before it is sent.
    SpoolSilent {
        durable: bool,
    },
    SpoolAbsent {
        why: String,
    },
    SpoolDied,
    Dropping {
        reason: End,
    },
    SetAside {
        what: String,
    },
    /// Events that the service refused, each by itself, and the first of them. `last_said`: of further ones nothing is.
    Invalid {
        stream: String,
        events: usize,
        event: Option<Event>,
        detail: String,
        last_said: bool,
    },
    AllInvalid {
        stream: String,
        detail: String,
    },
}

impl Notice {
    /// Good news is no warning.
    pub fn is_news(&self) -> bool {
        matches!(self, Notice::Reached { .. } | Notice::Adopted { .. } | Notice::SpoolTakes)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Outage { detail } => {
                write!(f, "CloudWatch Logs cannot be reached: {detail}; lines are kept and sent again until it answers")
            }
            Notice::Reached { after } => {
                write!(f, "CloudWatch Logs answers again after {:.1} s", after.as_secs_f64())
            }
            Notice::GroupMissing { group, detail } => write!(
                f,
                "the log group does not exist: {group} ({detail}); lines are kept: create it, or start with --create-group"
            ),
            Notice::Throttled { lasts } => write!(
                f,
                "CloudWatch Logs has throttled calls for {:.0} s; lines are kept and sent as fast as it takes them: ask for \
                 a higher PutLogEvents quota in this region, or write less",
                lasts.as_secs_f64()
            ),
            Notice::Trouble { stream, detail } => write!(
                f,
                "stream {stream} cannot be sent: {detail}; lines are kept and tried again slowly: mend the credentials, the \
                 IAM rights (logs:CreateLogStream, logs:PutLogEvents), the region or the names"
            ),
            Notice::AdoptedAway { address, detail } => {
                let Address { region, endpoint, stream, .. } = &**address;
                let place = if endpoint.is_empty() { format!("region {region}") } else { endpoint.clone() };
                write!(
                    f,
                    "what an ended run left for stream {stream} cannot be sent to {place}, where it was meant for: {detail}; \
                     it is kept in the spool and tried again slowly"
                )
            }
            Notice::Rejected { stream } => write!(
                f,
                "CloudWatch Logs rejected events of stream {stream} for their age (older than 14 days or the group's \
                 retention, or more than 2 hours ahead): counted as rejected in the report; check this machine's clock"
            ),
            Notice::Adopted { entries, lines } => {
                write!(
                    f,
                    "an ended run left {entries} bodies ({lines} lines) in the spool directory: they are sent now"
                )
            }
            Notice::SpoolRefuses { why } => {
                let (why, remedy) = match why {
                    Refusal::Full(why) => (why, "free some disk space, or raise --spool-max"),
                    Refusal::ReadOnly(why) => (
                        why,
                        "make --spool-dir and its file system writable again (chattr -i, chmod u+w, mount -o remount,rw)",
                    ),
                    Refusal::Failed(why) => (why, "look at the disk of --spool-dir"),
                };
                write!(
                    f,
                    "the spool takes nothing more: {why}; lines stay in memory while there is room, then --when-full \
                     decides: {remedy}"
                )
            }
            Notice::SpoolTakes => write!(f, "the spool takes bodies again"),
            Notice::SpoolSilent { durable: true } => write!(
                f,
                "the spool does not answer: lines are sent without being stored first, so that a kill of logpump now may \
                 lose them; look at the disk of --spool-dir"
            ),
            Notice::SpoolSilent { durable: false } => write!(
                f,
                "the spool does not answer: lines stay in memory while there is room, then --when-full decides; look at the \
                 disk of --spool-dir"
            ),
            Notice::SpoolAbsent { why } => {
                write!(f, "--spool-dir: {why}; there is no spool: lines are kept in memory, then --when-full decides")
            }
            Notice::SpoolDied => write!(
                f,
                "the spool has failed, a fault of logpump's; please report it; lines stay in memory while there is room, \
                 then --when-full decides; what is on disk waits for the next run"
            ),
            Notice::Dropping { reason } => write!(
                f,
                "lines are dropped and counted ({}), so that no command waits: a marker stands in the stream for each gap; \
                 --when-full block makes the command wait instead",
                reason.reason()
            ),
            Notice::SetAside { what } => write!(f, "the spool has bytes that cannot be read, and keeps them: {what}"),
            Notice::Invalid { stream, events, event, detail, last_said } => {
                write!(f, "CloudWatch Logs refused {events} event(s) of stream {stream}, each by itself: {detail}; ")?;
                match event {
                    Some(event) => describe(f, event)?,
                    None => write!(f, "the event cannot be read")?,
                }
                write!(f, "; counted as rejected{{invalid}} in the report, all others are sent")?;
                if *last_said { write!(f, "; further ones of this stream are only counted") } else { Ok(()) }
            }
            Notice::AllInvalid { stream, detail } => write!(
                f,
                "stream {stream} cannot be sent: CloudWatch Logs refuses one event after the other: {detail}; lines are kept \
                 and tried again slowly: check the names of the log group and the log stream, the region and the endpoint"
            ),
        }
    }
}

fn describe(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    let Event { timestamp, message } = event;
    let excerpt: String = message.chars().take(EXCERPT_CHARACTERS_MAX).collect();
    let more = if excerpt.len() < message.len() { "..." } else { "" };
    write!(f, "the first has timestamp {timestamp} and {} bytes: {excerpt:?}{more}", message.len())
}
