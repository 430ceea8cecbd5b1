//! One fault as a script describes it: what it does, to which calls, when. Data only.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// As the script has it.
    pub text: String,
    pub name: &'static str,
    pub kind: Kind,
    /// Does so after the events were stored.
    pub stored: bool,
    pub operation: Operation,
    pub stream: Option<String>,
    pub when: When,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Refused with one of AWS's errors.
    Refuse {
        status: u16,
        kind: &'static str,
        message: &'static str,
    },
    /// A proxy's page, or nothing.
    Proxy {
        status: u16,
        html: bool,
    },
    /// Refused as invalid if a message holds this text.
    Invalid {
        text: String,
    },
    /// Refused if the body is larger as it arrived.
    TooLarge {
        bytes_max: u64,
    },
    Reject(Reject),
    Reset,
    Hang,
    Lost,
    BadJson,
    NoBody,
    Slow {
        bytes_per_s: u64,
    },
    Latency(Duration),
    Quota {
        calls_per_s: f64,
        burst: f64,
    },
    TlsHang,
}

/// How many events of an accepted call are not stored: so many of the first, or of the last.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reject {
    pub old: usize,
    pub expired: usize,
    pub new: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    Named(&'static str),
    Any,
}

/// Which of the calls that fit, and for how long. Times count from when the script was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct When {
    pub pick: Pick,
    /// The fault is over after so many hits.
    pub calls_max: Option<u64>,
    pub from: Duration,
    pub until: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pick {
    All,
    /// Each with this probability, drawn from a generator with this seed.
    Rate {
        rate: f64,
        seed: u64,
    },
    /// The n-th, the 2n-th and so on.
    Every(u64),
}

/// Where on a call's way a fault is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A connection was accepted.
    Connection,
    /// The head has arrived.
    Arrival,
    /// The body has arrived and its signature was checked; nothing was done yet.
    Call,
    /// It was done, with success.
    Answer,
}

impl Fault {
    pub fn stage(&self) -> Stage {
        match self.kind {
            _ if self.stored => Stage::Answer,
            Kind::TlsHang => Stage::Connection,
            Kind::Slow { .. } | Kind::Reset => Stage::Arrival,
            Kind::Lost | Kind::BadJson | Kind::NoBody => Stage::Answer,
            _ => Stage::Call,
        }
    }
}
