//! What the spool keeps: one finished body, the address it is meant for, and what the ledger must know about it.

use std::hash::{DefaultHasher, Hash, Hasher};

use std::ops::{Add, AddAssign};
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::Piece;
use crate::ledger::Count;

/// Where a body is to go. An empty region or endpoint: whatever the sending run's own is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Address {
    pub region: String,
    pub endpoint: String,
    pub group: String,
    pub stream: String,
}

impl Address {
    /// Tells streams apart, within one process.
    pub fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A finished body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub address: Arc<Address>,
    /// The order in which the stream's bodies were finished.
    pub sequence: u64,
    pub first_ms: i64,
    pub last_ms: i64,
    /// May be sent only when no earlier body of its stream is on its way.
    pub serial: bool,
    /// The payload is compressed.
    pub gzip: bool,
    /// The pipe bytes that each event stands for; 0 for a marker of our own.
    pub raw_lengths: Vec<u32>,
    /// The events that are not exactly one line, in order.
    pub pieces: Vec<Piece>,
    /// The request body, as it was or will be sent.
    pub payload: Bytes,
}

impl Entry {
    /// Lines that end in it (whole ones, and last pieces), and the pipe bytes that it stands for.
    pub fn count(&self) -> Count {
        let last_pieces = self.pieces.iter().filter_map(Piece::cut_line).filter(|(_, ends)| *ends).count() as u64;
        let bytes = self.raw_lengths.iter().map(|length| u64::from(*length)).sum();
        Count::new(self.whole_lines() + last_pieces, bytes)
    }

    /// Lines that are in one event, each or several together.
    pub fn whole_lines(&self) -> u64 {
        let events = self.raw_lengths.iter().filter(|length| **length > 0).count();
        (events - self.pieces.len()) as u64 + self.pieces.iter().map(Piece::whole_lines).sum::<u64>()
    }

    pub fn memory_bytes(&self) -> usize {
        self.payload.len() + size_of_val(&self.raw_lengths[..]) + size_of_val(&self.pieces[..])
    }

    pub fn sum(&self) -> Sum {
        Sum { entries: 1, memory_bytes: self.memory_bytes() as u64, count: self.count() }
    }
}

/// What some entries are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub entries: u64,
    /// As in memory, wherever they are.
    pub memory_bytes: u64,
    pub count: Count,
}

impl Sum {
    /// What is left of it, nothing at least.
    pub fn without(self, gone: Sum) -> Sum {
        Sum {
            entries: self.entries.saturating_sub(gone.entries),
            memory_bytes: self.memory_bytes.saturating_sub(gone.memory_bytes),
            count: self.count.without(gone.count),
        }
    }

    /// As much of it as `all` has.
    pub fn of(self, all: Sum) -> Sum {
        self.without(self.without(all))
    }
}

impl Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum {
            entries: self.entries + other.entries,
            memory_bytes: self.memory_bytes + other.memory_bytes,
            count: self.count + other.count,
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        *self = *self + other;
    }
}
