//! What the ship core has to tell its user: said once per trouble, with the remedy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::split_body::Event;
use crate::ledger::{End, counted};
use crate::limits::EXCERPT_CHARACTERS_MAX;
use crate::spool::entry::Address;
use crate::spool::wire::Refusal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Outage {
        detail: String,
    },
    /// Once, and not yet an outage.
    AnswerLost {
        detail: String,
    },
    Reached {
        after: Duration,
    },
    GroupMissing {
        group: String,
        detail: String,
    },
    /// `creations`: of log streams.
    Throttled {
        lasts: Duration,
        creations: bool,
    },
    /// At the end: so many calls were on their way, one of them for so long.
    Unanswered {
        calls: usize,
        longest: Duration,
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
    /// The same of its group.
    AdoptedGroupMissing {
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
    /// `durable` as above.
    SpoolAbsent {
        why: String,
        durable: bool,
    },
    SpoolDied,
    Dropping {
        reason: End,
    },
    /// A pattern of one's own takes too long with some lines.
    MaskCostly {
        stream: String,
        pattern: String,
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

    /// It is to be said with the spool's path.
    pub fn is_of_spool(&self) -> bool {
        matches!(
            self,
            Notice::Adopted { .. }
                | Notice::AdoptedAway { .. }
                | Notice::AdoptedGroupMissing { .. }
                | Notice::SpoolRefuses { .. }
                | Notice::SpoolTakes
                | Notice::SpoolSilent { .. }
                | Notice::SpoolAbsent { .. }
                | Notice::SpoolDied
                | Notice::SetAside { .. }
        )
    }
}

/// Where an ended run's lines were to go.
fn place_of(address: &Address) -> String {
    let Address { region, endpoint, .. } = address;
    if endpoint.is_empty() { format!("region {region}") } else { endpoint.clone() }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Outage { detail } => {
                write!(f, "CloudWatch Logs cannot be reached: {detail}; lines are kept and sent again until it answers")
            }
            Notice::AnswerLost { detail } => write!(
                f,
                "the answer to a call to CloudWatch Logs was lost: {detail}; the call is made again, and lines that were \
                 stored all the same may be there twice"
            ),
            Notice::Reached { after } => {
                write!(f, "CloudWatch Logs answers again after {:.1} s", after.as_secs_f64())
            }
            Notice::GroupMissing { group, detail } => write!(
                f,
                "the log group does not exist: {group} ({detail}); lines are kept: create it, or start with --create-group"
            ),
            Notice::Throttled { lasts, creations } => {
                let quota = if *creations { "CreateLogStream" } else { "PutLogEvents" };
                let calls = if *creations { "the creation of log streams" } else { "calls" };
                write!(
                    f,
                    "CloudWatch Logs has throttled {calls} for {:.*} s; lines are kept and sent as fast as it takes them: \
                     ask for a higher {quota} quota in this region, or write less",
                    if lasts.as_secs() < 10 { 1 } else { 0 },
                    lasts.as_secs_f64()
                )
            }
            Notice::Unanswered { calls, longest } => write!(
                f,
                "CloudWatch Logs has not answered {}, one of them for {:.1} s: what they carried, and what \
                 waited for them, is not delivered; see the way to it (proxies, firewalls, VPC endpoints)",
                counted(*calls as u64, "call", "calls"),
                longest.as_secs_f64()
            ),
            Notice::Trouble { stream, detail } => write!(
                f,
                "stream {stream} cannot be sent: {detail}; lines are kept and tried again slowly: mend the credentials, the \
                 IAM rights (logs:CreateLogStream, logs:PutLogEvents), the region or the names"
            ),
            Notice::AdoptedAway { address, detail } => {
                let Address { group, stream, .. } = &**address;
                write!(
                    f,
                    "what an ended run left for stream {stream} of log group {group} cannot be sent to {}, where it was meant \
                     for: {detail}; it is kept in the spool and tried again slowly",
                    place_of(address)
                )
            }
            Notice::AdoptedGroupMissing { address, detail } => write!(
                f,
                "an ended run left lines for log group {}, which does not exist in {} ({detail}); this run's own lines do not \
                 go there: they are kept in the spool and tried again slowly; create the group, or remove what was left",
                address.group,
                place_of(address)
            ),
            Notice::Rejected { stream } => write!(
                f,
                "CloudWatch Logs rejected events of stream {stream} for their age (older than 14 days or the group's \
                 retention, or more than 2 hours ahead): counted as rejected in the report; check this machine's clock"
            ),
            Notice::Adopted { entries, lines } => {
                let (bodies, lines) = (counted(*entries, "body", "bodies"), counted(*lines, "line", "lines"));
                write!(f, "an ended run left {bodies} ({lines}) here: what it left is sent now")
            }
            Notice::SpoolRefuses { why } => {
                let (why, remedy) = match why {
                    Refusal::Full(why) => (why, "free some disk space, or raise --spool-max"),
                    Refusal::ReadOnly(why) => {
                        (why, "make it and its file system writable again (chattr -i, chmod u+w, mount -o remount,rw)")
                    }
                    Refusal::Failed(why) => (why, "look at its disk"),
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
                 lose them; look at its disk"
            ),
            Notice::SpoolSilent { durable: false } => write!(
                f,
                "the spool does not answer: lines stay in memory while there is room, then --when-full decides; look at its \
                 disk"
            ),
            Notice::SpoolAbsent { why, durable } => {
                write!(f, "{why}; there is no spool: lines are kept in memory, then --when-full decides")?;
                if *durable {
                    write!(f, "; --durable does nothing: a kill costs what is in memory")?;
                }
                Ok(())
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
            Notice::MaskCostly { stream, pattern } => write!(
                f,
                "stream {stream}: the pattern {pattern:?} of mask takes too long with some lines, which are sent as *** and counted \
                 as masked; let what it looks for have a bounded length, as with {{1,64}} in place of + or *"
            ),
            Notice::SetAside { what } => write!(f, "the spool has bytes that cannot be read, and keeps them: {what}"),
            Notice::Invalid { stream, events, event, detail, last_said } => {
                let events = counted(*events as u64, "event", "events");
                write!(f, "CloudWatch Logs refused {events} of stream {stream}, each by itself: {detail}; ")?;
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
    write!(
        f,
        "the first has timestamp {timestamp} and {}: {excerpt:?}{more}",
        counted(message.len() as u64, "byte", "bytes")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_spool_is_said_with_its_path() {
        let address =
            Arc::new(Address { region: "r".into(), group: "g".into(), stream: "s".into(), ..Address::default() });
        let (detail, why) = (String::from("d"), String::from("w"));
        for notice in [
            Notice::AdoptedAway { address: address.clone(), detail: detail.clone() },
            Notice::AdoptedGroupMissing { address, detail },
            Notice::Adopted { entries: 1, lines: 1 },
            Notice::SpoolRefuses { why: Refusal::Full(why.clone()) },
            Notice::SpoolTakes,
            Notice::SpoolSilent { durable: true },
            Notice::SpoolSilent { durable: false },
            Notice::SpoolAbsent { why: why.clone(), durable: true },
            Notice::SpoolDied,
            Notice::SetAside { what: why },
        ] {
            assert!(notice.is_of_spool(), "{notice}");
        }
        assert!(!Notice::Outage { detail: String::new() }.is_of_spool());
    }

    #[test]
    fn a_disk_that_fails_is_not_told_to_be_full() {
        let said = |why| Notice::SpoolRefuses { why }.to_string();
        for why in [Refusal::Failed("cannot write: EIO".into()), Refusal::ReadOnly("cannot write: EROFS".into())] {
            let failed = said(why);
            assert!(!failed.contains("disk space") && !failed.contains("--spool-max"), "{failed}");
        }
        assert!(said(Refusal::Full("cannot write: no space".into())).contains("free some disk space"));
    }
}
