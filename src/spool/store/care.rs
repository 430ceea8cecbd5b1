//! Journals of what is done, and the end of segments and runs. What fails is tried again; at the end once only.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::segment::{JOURNAL_ENTRY_BYTES, journal_entry};
use super::{Op, Outcome, Segment, SegmentId, Store};
use crate::ledger::counted;
use crate::limits::SPOOL_RETRY;
use crate::spool::wire::Event;

#[derive(Default)]
pub(super) struct Care {
    /// Done entries of these are not in their journals yet.
    pub unjournalled: BTreeSet<SegmentId>,
    /// All their entries are done.
    pub finished: BTreeSet<SegmentId>,
    /// Parts to be copied.
    pub copies: VecDeque<(SegmentId, u64, u64)>,
    /// Journals rest, and what cannot be deleted does, each after a failure: neither holds up the other.
    pub journals_rest_until: Option<Instant>,
    files_rest_until: Option<Instant>,
    journals_said: bool,
    files_said: bool,
}

impl Care {
    pub fn next_due(&self) -> Option<Instant> {
        [self.journals_rest_until, self.files_rest_until].into_iter().flatten().min()
    }
}

impl Store {
    pub(super) fn next_care(&mut self, now: Instant) -> Option<Op> {
        let may = |rest_until: &mut Option<Instant>| {
            rest_until.take_if(|until| self.ending || *until <= now);
            rest_until.is_none()
        };
        let (may_journal, may_delete) = (may(&mut self.care.journals_rest_until), may(&mut self.care.files_rest_until));
        while let Some((id, at, bytes)) = self.care.copies.pop_front() {
            if self.segment(id).is_some_and(|segment| !segment.keep) {
                return Some(Op::CopyAside { segment: id, at, bytes });
            }
        }
        let may_go =
            |id: &SegmentId| !self.is_busy(*id) && (may_delete || self.segment(*id).is_some_and(|it| !it.stays));
        if let Some(id) = self.care.finished.iter().copied().find(may_go) {
            let keep = self.segment(id)?.keep;
            return Some(if keep { Op::RenameAside(id) } else { Op::Delete(id) });
        }
        while let Some(id) = self.care.unjournalled.first().copied().filter(|_| may_journal) {
            // Else the whole file goes anyway, or is empty.
            let goes = |segment: &Segment| self.care.finished.contains(&id) && !segment.stays;
            if let Some(segment) = self.segment(id).filter(|segment| segment.length > 0 && !goes(segment)) {
                let file = self.file(id);
                let entries: Vec<u8> =
                    segment.unjournalled.iter().flat_map(|entry| journal_entry(file, entry.index)).collect();
                if !entries.is_empty() {
                    let (at, bytes) =
                        (segment.journal_end(), Bytes::from(entries).slice(segment.journal_begun as usize..));
                    return Some(Op::AppendJournal { segment: id, at, bytes });
                }
            }
            self.care.unjournalled.remove(&id);
        }
        if let Some(op) = self.next_check() {
            return Some(op);
        }
        let appending = !self.append.is_empty() || self.append.current.is_some();
        let run = (0..self.runs.len()).rev().find(|run| {
            let it = &self.runs[*run];
            let may_go = *run > 0 || (self.ending && !appending && self.is_idle());
            may_go && it.adopted && !it.removed && !it.has_asides && it.segments.is_empty()
        })?;
        Some(Op::RemoveRun { run: run as u32 })
    }

    fn is_idle(&self) -> bool {
        self.flying.iter().all(Option::is_none)
    }

    pub(super) fn journalled(
        &mut self,
        id: SegmentId,
        at: u64,
        asked: usize,
        result: io::Result<Outcome>,
        now: Instant,
    ) {
        let Some(segment) = self.segment_mut(id) else { return };
        assert_eq!(at, segment.journal_end());
        let error = match result {
            Ok(Outcome::Written(written)) => {
                let written = written.min(asked) as u64;
                let there = segment.journal_begun + written;
                let whole = there / JOURNAL_ENTRY_BYTES;
                segment.unjournalled.drain(..whole as usize);
                segment.journal_entries += whole;
                segment.journal_begun = there % JOURNAL_ENTRY_BYTES;
                self.used += whole * JOURNAL_ENTRY_BYTES;
                (written == 0).then(|| io::ErrorKind::WriteZero.into())
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            if error.kind() == io::ErrorKind::NotFound {
                // The directory is gone.
                self.care.journals_rest_until = Some(now + SPOOL_RETRY);
                self.take_census();
            } else {
                self.care.journals_rest_until = Some(now + SPOOL_RETRY);
                if !std::mem::replace(&mut self.care.journals_said, true) {
                    let name = self.name(id);
                    self.say(format!(
                        "cannot write the journal of the spool's {name}: {error}; what was delivered of it would be sent \
                         again by the next run{}",
                        remedy(&error)
                    ));
                }
            }
            if self.ending {
                self.care.unjournalled.remove(&id);
            }
        } else {
            self.care.journals_said = false;
        }
    }

    /// A part of it cannot be copied or read: the file is kept as a whole.
    pub(super) fn keep_whole(&mut self, id: SegmentId) {
        if let Some(segment) = self.segment_mut(id) {
            segment.keep = true;
        }
    }

    pub(super) fn copied_aside(&mut self, id: SegmentId, bytes: u64, result: io::Result<Outcome>) {
        match result {
            Ok(_) => {
                self.used += bytes;
                self.runs[id.run as usize].has_asides = true;
            }
            Err(_) => self.keep_whole(id),
        }
    }

    pub(super) fn renamed_aside(&mut self, id: SegmentId, result: io::Result<Outcome>, now: Instant) {
        if let Some(segment) = self.ended(id, "rename", result, now) {
            self.used += segment.length;
            self.runs[id.run as usize].has_asides = true;
        }
    }

    pub(super) fn deleted(&mut self, id: SegmentId, result: io::Result<Outcome>, now: Instant) {
        let result = match result {
            Ok(Outcome::Emptied(error)) => {
                self.emptied(id);
                Err(error)
            }
            result => result,
        };
        let Some(Segment { announced, .. }) = self.ended(id, "delete", result, now) else { return };
        self.free(id.run, announced);
    }

    /// Its name stays, and nothing comes again with it.
    fn emptied(&mut self, id: SegmentId) {
        let Some(segment) = self.segment_mut(id) else { return };
        let (length, announced) = (std::mem::take(&mut segment.length), std::mem::take(&mut segment.announced));
        segment.synced = 0;
        self.used -= length;
        self.free(id.run, announced);
    }

    fn free(&mut self, run: u32, announced: u64) {
        if !self.runs[run as usize].adopted {
            self.is_not_announced(run, announced);
        } else if announced > 0 {
            self.events.push_back(Event::Freed { bytes: announced });
        }
    }

    /// Forgets a segment that is no more.
    fn ended(&mut self, id: SegmentId, verb: &str, result: io::Result<Outcome>, now: Instant) -> Option<Segment> {
        if let Err(error) = result.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Outcome::Finished),
            _ => Err(error),
        }) {
            self.care.files_rest_until = Some(now + SPOOL_RETRY);
            let segment = self.segment_mut(id)?;
            segment.stays = true;
            let is_empty = segment.length == 0;
            // It was left out, for it was to go.
            self.care.unjournalled.insert(id);
            if !std::mem::replace(&mut self.care.files_said, true) {
                let instead = if is_empty { "it is emptied" } else { "what is done is noted in its journal" };
                let (name, remedy) = (self.name(id), remedy(&error));
                self.say(format!(
                    "cannot {verb} the spool's {name}: {error}; {instead}, and it is tried again{remedy}"
                ));
            }
            if self.ending {
                self.care.finished.remove(&id);
            }
            return None;
        }
        self.care.files_said = false;
        self.care.finished.remove(&id);
        if id.run == 0 {
            self.sync.dirty.remove(&id.segment);
        }
        let segment = self.runs[id.run as usize].segments.remove(&id.segment)?;
        self.used -= segment.disk_bytes();
        Some(segment)
    }

    /// At the very end.
    pub(super) fn say_doubled(&mut self) {
        let segments = self.runs.iter().flat_map(|run| run.segments.values());
        let lines: u64 = segments.map(Segment::unjournalled_lines).sum();
        if lines > 0 {
            self.say(format!(
                "up to {} delivered could not be noted as that on the spool's disk: the next run may send them \
                 again, and does not count them as duplicates",
                counted(lines, "line that was", "lines that were")
            ));
        }
    }

    pub(super) fn run_removed(&mut self, run: u32, result: io::Result<Outcome>) {
        let it = &mut self.runs[run as usize];
        it.removed = true;
        let id = it.id;
        if let Err(error) = result {
            self.say(format!("cannot remove the spool's empty directory {id:016x}: {error}"));
        }
    }
}

/// What a person can do about it.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    if is_read_only(error) { "; make it writable again (chattr -i, chmod u+w, mount -o remount,rw)" } else { "" }
}

/// The directory, its file or its file system does not let anyone write, or not us.
pub(super) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
