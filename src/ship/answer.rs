//! What a call to the service came to, in the words that the ship core decides by. Pure.

/// A call's end. Texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Accepted(Rejected),
    /// Too many calls: the same bytes again, later.
    Throttled,
    /// Refused, reset, timed out, 5xx: the same bytes again, later. `lost`: the service may have stored them.
    Unavailable {
        detail: String,
        lost: bool,
    },
    /// The stream, or its group, does not exist.
    NotFound(String),
    /// Credentials or rights, or whatever else only a person can mend and no event is to blame for. The data is kept.
    Denied(String),
    /// The service, or the SDK, calls the request itself wrong: one of its events may be, or a name.
    Invalid(String),
}

impl Answer {
    /// What a refusal says.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Answer::Accepted(_) => None,
            Answer::Throttled => Some("throttled"),
            Answer::Unavailable { detail, .. }
            | Answer::NotFound(detail)
            | Answer::Denied(detail)
            | Answer::Invalid(detail) => Some(detail),
        }
    }
}

/// The events of an accepted call that were not stored. Indices as in the answer's `rejectedLogEventsInfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Events before this index are too old (exclusive end).
    pub too_old_end: Option<usize>,
    /// Events before this index are older than the group's retention (exclusive end).
    pub expired_end: Option<usize>,
    /// Events from this index on are too far in the future (inclusive start).
    pub too_new_start: Option<usize>,
}

impl Rejected {
    pub fn none(&self) -> bool {
        *self == Rejected::default()
    }
}
