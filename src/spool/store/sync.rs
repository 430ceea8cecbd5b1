//! Making what was written durable, in groups, while more is written.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use super::{Op, Outcome, SegmentId, Store, SyncPolicy, own};
use crate::limits::{SPOOL_SYNC_BYTES, SPOOL_SYNC_INTERVAL};

#[derive(Default)]
pub(super) struct Sync {
    /// Our segments that have bytes which are not durable.
    pub dirty: BTreeSet<u32>,
    /// Written since the last sync began.
    bytes: u64,
    since: Option<Instant>,
    /// The length that the sync under way makes durable.
    until: u64,
    said: bool,
}

impl Store {
    /// The segment has grown.
    pub(super) fn dirtied(&mut self, segment: u32, now: Instant) {
        if self.options.sync != SyncPolicy::Never {
            self.sync.dirty.insert(segment);
            self.sync.since.get_or_insert(now);
            let dirty = self.sync.dirty.iter().filter_map(|segment| self.runs[0].segments.get(segment));
            self.sync.bytes = dirty.map(|segment| segment.length - segment.synced).sum();
        }
    }

    pub(super) fn sync_due(&self) -> Option<Instant> {
        self.sync.since.filter(|_| !self.sync.dirty.is_empty()).map(|since| since + SPOOL_SYNC_INTERVAL)
    }

    pub(super) fn next_sync(&mut self, now: Instant) -> Option<Op> {
        let first = *self.sync.dirty.first()?;
        let due = self.ending
            || self.options.sync == SyncPolicy::Always
            || self.sync.bytes >= SPOOL_SYNC_BYTES
            || self.sync_due().is_some_and(|due| due <= now);
        let Some(segment) = self.segment(own(first)).filter(|_| due) else {
            if due {
                self.sync.dirty.remove(&first);
            }
            return None;
        };
        let op = Op::Sync { segment: own(first), directory: !segment.directory_synced };
        self.sync.until = segment.length;
        self.sync.since = None;
        Some(op)
    }

    pub(super) fn synced(&mut self, id: SegmentId, result: io::Result<Outcome>, now: Instant) {
        let until = self.sync.until;
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.is_written_to(id) {
                // The write finds out by itself, or the sync after it. Who waits for this one is not stored.
                true => self.refuse_unsynced(id.segment, error),
                false => self.gone(id),
            },
            Err(error) => self.sync_failed(id, error),
            Ok(_) => {}
        }
        let Some(segment) = self.segment_mut(id) else {
            self.go_on_syncing(now);
            return;
        };
        segment.synced = until;
        segment.directory_synced |= result.is_ok();
        if segment.synced >= segment.length {
            self.sync.dirty.remove(&id.segment);
        }
        if result.is_ok() {
            self.sync.said = false;
        }
        self.go_on_syncing(now);
        self.answer();
    }

    fn go_on_syncing(&mut self, now: Instant) {
        if let Some(first) = self.sync.dirty.first().copied() {
            self.sync.since = None;
            self.dirtied(first, now);
        }
    }

    /// The kernel may have forgotten the pages that it could not write, so trying again would prove nothing.
    fn sync_failed(&mut self, id: SegmentId, error: &io::Error) {
        if self.append.current == Some(id.segment) {
            self.append.rotate = true;
        }
        if self.options.sync == SyncPolicy::Always {
            self.refuse_unsynced(id.segment, error);
        } else if !std::mem::replace(&mut self.sync.said, true) {
            self.say(format!(
                "cannot sync a segment of the spool: {error}; what was written is kept, a power loss may lose it"
            ));
        }
    }
}
