//! What the ship core has to tell its user: said once per trouble, with the remedy.

use std::fmt;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Outage { detail: String },
    Reached { after: Duration },
    GroupMissing { detail: String },
    Throttled { attempts: u32 },
    Trouble { stream: String, detail: String },
    Rejected { stream: String },
}

impl Notice {
    /// Good news is no warning.
    pub fn is_news(&self) -> bool {
        matches!(self, Notice::Reached { .. })
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
            Notice::GroupMissing { detail } => write!(
                f,
                "the log group does not exist ({detail}); lines are kept: create it, or start with --create-group"
            ),
            Notice::Throttled { attempts } => write!(
                f,
                "CloudWatch Logs throttles: a call was refused {attempts} times; lines are kept and sent again: ask for \
                 a higher PutLogEvents quota in this region, or write less"
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
        }
    }
}
