//! What the store asks of a disk, and what it hears back.

use std::io;

use bytes::Bytes;

use super::segment::SegmentId;

/// Operations of different lanes may be under way at the same time; of each lane there is at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    Append,
    Sync,
    Read,
    /// Journals, deletions, what is set aside; whether all is there.
    Care,
}

pub const LANES: [Lane; 4] = [Lane::Append, Lane::Sync, Lane::Read, Lane::Care];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A new segment of our own run, for its owner only; an error if it exists.
    Create(SegmentId),
    /// Any first part of `parts` may be written. Answered by Written; by an error of NotFound if the segment's name is
    /// not there any more.
    Append {
        segment: SegmentId,
        at: u64,
        parts: Vec<Bytes>,
    },
    Truncate {
        segment: SegmentId,
        length: u64,
    },
    /// fdatasync; with `directory`, of its run's directory too.
    Sync {
        segment: SegmentId,
        directory: bool,
    },
    /// Answered by Read, with fewer bytes only at the end of the file.
    Read {
        segment: SegmentId,
        at: u64,
        bytes: usize,
    },
    /// The whole journal; empty if there is none.
    ReadJournal {
        segment: SegmentId,
    },
    /// As Append; makes the journal if there is none.
    AppendJournal {
        segment: SegmentId,
        at: u64,
        bytes: Bytes,
    },
    /// Copies this part into a file of its own.
    CopyAside {
        segment: SegmentId,
        at: u64,
        bytes: u64,
    },
    /// Gives the segment a name under which nobody takes it for one, and deletes its journal.
    RenameAside(SegmentId),
    /// The segment first, then its journal: the other way round, its entries would come once more after a crash. Where names
    /// cannot be taken away, its bytes: answered by Emptied.
    Delete(SegmentId),
    /// An error of NotFound: it is not there any more.
    Check(SegmentId),
    /// The run's directory and lock. An error if anything else is in it.
    RemoveRun {
        run: u32,
    },
}

impl Op {
    pub fn lane(&self) -> Lane {
        match self {
            Op::Create(_) | Op::Append { .. } | Op::Truncate { .. } => Lane::Append,
            Op::Sync { .. } => Lane::Sync,
            Op::Read { .. } | Op::ReadJournal { .. } => Lane::Read,
            Op::AppendJournal { .. }
            | Op::CopyAside { .. }
            | Op::RenameAside(_)
            | Op::Delete(_)
            | Op::Check(_)
            | Op::RemoveRun { .. } => Lane::Care,
        }
    }

    pub fn segment(&self) -> Option<SegmentId> {
        match self {
            Op::Create(segment) | Op::RenameAside(segment) | Op::Delete(segment) | Op::Check(segment) => Some(*segment),
            Op::Append { segment, .. }
            | Op::Truncate { segment, .. }
            | Op::Sync { segment, .. }
            | Op::Read { segment, .. }
            | Op::ReadJournal { segment }
            | Op::AppendJournal { segment, .. }
            | Op::CopyAside { segment, .. } => Some(*segment),
            Op::RemoveRun { .. } => None,
        }
    }
}

#[derive(Debug)]
pub enum Outcome {
    Finished,
    /// The same, of Create: its directory was missing, and was made again.
    FinishedAgain,
    /// Of Delete: the file is still there, for this reason, and there is nothing in it.
    Emptied(io::Error),
    Written(usize),
    Read(Bytes),
}

/// The answer to the lane's operation.
#[derive(Debug)]
pub struct Completion {
    pub lane: Lane,
    pub result: io::Result<Outcome>,
}
