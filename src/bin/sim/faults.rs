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
    /// Seconds for a read or a write.
    DiskSlow,
    DiskFull,
    /// EIO.
    DiskFailed,
    /// What is begun comes to its end when the disk answers again.
    DiskStuck,
    ShortWrite,
    /// A part of a file cannot be read any more.
    BadPlace,
    /// A part of a file is not what was written.
    Damaged,
    /// A file is gone.
    Removed,
    /// kill -9 of logpump, and a restart.
    Killed,
    /// The same, and what was not made durable is gone.
    PowerLost,
    /// The children end.
    Drained,
    /// The time to deliver is over.
    GivenUp,
    /// A ring was full.
    RingFull,
}

impl Fault {
    pub const ALL: [Fault; 29] = [
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
        Fault::DiskSlow,
        Fault::DiskFull,
        Fault::DiskFailed,
        Fault::DiskStuck,
        Fault::ShortWrite,
        Fault::BadPlace,
        Fault::Damaged,
        Fault::Removed,
        Fault::Killed,
        Fault::PowerLost,
        Fault::Drained,
        Fault::GivenUp,
        Fault::RingFull,
    ];

    /// What lasts for a while and strikes a share of the disk's operations.
    pub const OF_DISKS: [Fault; 5] =
        [Fault::DiskSlow, Fault::DiskFull, Fault::DiskFailed, Fault::DiskStuck, Fault::ShortWrite];

    /// What happens to a share of the spool's files, at once and for ever.
    pub const OF_FILES: [Fault; 3] = [Fault::BadPlace, Fault::Damaged, Fault::Removed];

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
