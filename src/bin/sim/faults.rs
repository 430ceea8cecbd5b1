//! What goes wrong, by name.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too many calls.
    Throttled,
    /// No connection.
    Away,
    /// HTTP 500, 503.
    Failed,
    /// Stored, and the answer never came.
    AnswerLost,
    /// Never arrived, which nobody can tell from the other.
    RequestLost,
    /// Seconds for an answer.
    Slow,
    /// Credentials, rights.
    Denied,
    /// Whatever is asked is called invalid: a wrong name.
    WrongName,
    GroupMissing,
    StreamDeleted,
    /// An event that makes its whole call invalid.
    Poisoned,
    TooOld,
    Expired,
    TooNew,
    ClockForward,
    ClockBack,
    /// kill -9 of logpump, and a restart.
    Killed,
    /// The children end.
    Drained,
    /// The time to deliver is over.
    GivenUp,
    /// A ring was full.
    RingFull,
}

impl Fault {
    pub const ALL: [Fault; 20] = [
        Fault::Throttled,
        Fault::Away,
        Fault::Failed,
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::Slow,
        Fault::Denied,
        Fault::WrongName,
        Fault::GroupMissing,
        Fault::StreamDeleted,
        Fault::Poisoned,
        Fault::TooOld,
        Fault::Expired,
        Fault::TooNew,
        Fault::ClockForward,
        Fault::ClockBack,
        Fault::Killed,
        Fault::Drained,
        Fault::GivenUp,
        Fault::RingFull,
    ];

    /// What lasts for a while and strikes a share of the calls.
    pub const OF_CALLS: [Fault; 10] = [
        Fault::Throttled,
        Fault::Away,
        Fault::Failed,
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::Slow,
        Fault::Denied,
        Fault::WrongName,
        Fault::GroupMissing,
        Fault::StreamDeleted,
    ];
}
