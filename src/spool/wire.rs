//! What ship and the spool tell each other.

use std::sync::Arc;

use super::entry::{Entry, Sum};
use crate::ledger::Count;

/// Names an entry on disk. `run` 0 is our own; adopted runs count from 1. Ordered as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub run: u32,
    pub segment: u32,
    /// Its place among the segment's entries.
    pub index: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Answered by one Stored or Refused with this ticket, in the order of the requests. `keep`: ship has it in memory,
    /// so that no Load brings it until it is put back.
    Store { ticket: u64, entry: Arc<Entry>, keep: bool },
    /// Bring the oldest entry that is neither done nor with ship, of any stream but these (`Address::key`).
    /// Answered by one Loaded or Nothing.
    Load { except: Vec<u64> },
    /// It has its end: never bring it again, in no run.
    Done(EntryId),
    /// The same of an entry that was stored when ship had taken it back already, or delivered it: nothing of it is lost with
    /// it. `key` and `sum` as in `Event::Gone`.
    Unwanted { id: EntryId, key: u64, sum: Sum },
    /// Ship no longer has it in memory: it may be loaded again.
    PutBack(EntryId),
    /// Make everything durable, close and end. Answered by Ended.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Stored {
        ticket: u64,
        id: EntryId,
        /// What it takes of the disk.
        bytes: u64,
    },
    Refused {
        ticket: u64,
        why: Refusal,
    },
    Loaded {
        id: EntryId,
        entry: Box<Entry>,
    },
    /// There is nothing (more) to load but what was excepted.
    Nothing,
    /// The spool of another run is ours now: what of it is not done.
    Adopted {
        run: u32,
        entries: u64,
        count: Count,
        bytes: u64,
    },
    /// There is no directory, for this reason: nothing is stored, and nothing will be answered.
    Absent {
        why: String,
    },
    /// All that ended runs had left has been announced.
    Searched,
    /// An entry of an adopted run, or bytes of it, that cannot be read: left where they are, under another name.
    /// `sum` is what `Adopted` (or, for our own run, Stored) had announced of it.
    SetAside {
        run: u32,
        /// Whose it was (`Address::key`), in our own run.
        key: u64,
        what: String,
        sum: Sum,
        bytes: u64,
    },
    /// Somebody removed files of the spool: what of them was neither done nor with ship. `key` and `sum` as above.
    Gone {
        run: u32,
        key: u64,
        sum: Sum,
    },
    /// The same of a segment of our own, of which ship has entries in memory: they are not on disk any more. Each is to be
    /// answered by Done, unless it was put back before that was known.
    Missing {
        segment: u32,
    },
    /// At the end: the same of an entry that ship had in memory, whole or what is left of it: nor will the next run find it.
    HeldGone {
        id: EntryId,
        key: u64,
        sum: Sum,
    },
    /// Of our own run: this was told as lost before it was known to be unwanted.
    NotLost {
        key: u64,
        sum: Sum,
    },
    /// So many bytes of the disk are free again.
    Freed {
        bytes: u64,
    },
    Ended,
}

/// Why an entry was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `--spool-max`, or the file system, is full.
    Full(String),
    /// Nothing can be written there any more: of a directory, or a file system, that somebody closed.
    ReadOnly(String),
    /// The disk fails.
    Failed(String),
}
