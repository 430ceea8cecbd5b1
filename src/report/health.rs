//! What became of the health conditions of processes, for the report.

use serde_json::{Value, json};

/// What a condition says of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known yet.
    Starting,
    Healthy,
    Unhealthy,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Starting => "starting",
            Standing::Healthy => "healthy",
            Standing::Unhealthy => "unhealthy",
        }
    }
}

/// One condition of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// The process's name.
    pub process: String,
    /// `udp`, `exec` or `timeout`.
    pub kind: &'static str,
    /// What was asked: an address, a command, a time.
    pub what: String,
    pub standing: Standing,
    /// The last result, in words.
    pub last: String,
    pub checks: u64,
    /// How many of the checks failed.
    pub failures: u64,
    /// Epoch milliseconds of the last check.
    pub checked_at_ms: Option<i64>,
    /// Epoch milliseconds of the last change of its standing.
    pub changed_at_ms: Option<i64>,
    /// It stopped the process.
    pub stopped: bool,
}

impl HealthReport {
    pub fn to_json(&self) -> Value {
        json!({
            "process": self.process,
            "type": self.kind,
            "what": self.what,
            "state": self.standing.name(),
            "last": self.last,
            "checks": self.checks,
            "failures": self.failures,
            "checked_at_ms": self.checked_at_ms,
            "changed_at_ms": self.changed_at_ms,
            "stopped": self.stopped,
        })
    }
}
