//! What the ship core has to tell its user: said once per trouble, with the remedy.

use std::fmt;
use std::time::Duration;

use crate::ledger::End;

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
    Rejected {
        stream: String,
    },
    /// Entries of an ended run's spool are ours now.
    Adopted {
        entries: u64,
        lines: u64,
    },
    SpoolRefuses {
        why: String,
    },
    SpoolTakes,
    SpoolDied,
    Dropping {
        reason: End,
    },
    SetAside {
        what: String,
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
            Notice::SpoolRefuses { why } => write!(
                f,
                "the spool takes nothing more: {why}; lines stay in memory while there is room, then --when-full decides:                  free some disk space, or raise --spool-max"
            ),
            Notice::SpoolTakes => write!(f, "the spool takes bodies again"),
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
        }
    }
}
