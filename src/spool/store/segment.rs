//! What is kept in memory of a run and of a segment: bits and sums, nothing per record.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::spool::entry::Sum;
use crate::spool::record;

/// Names a segment. Runs as in `EntryId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    pub run: u32,
    pub segment: u32,
}

/// A place among all entries, in the order in which they are loaded: adopted runs first, our own last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rank: u32,
    pub segment: u32,
    pub at: u64,
}

impl Place {
    pub const FIRST: Place = Place { rank: 0, segment: 0, at: 0 };

    pub fn new(id: SegmentId, at: u64) -> Place {
        Place { rank: id.run.wrapping_sub(1), segment: id.segment, at }
    }

    pub fn id(self) -> SegmentId {
        SegmentId { run: self.rank.wrapping_add(1), segment: self.segment }
    }
}

/// A growing set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    ones: u32,
}

impl Bits {
    pub fn has(&self, index: u32) -> bool {
        self.words.get(index as usize / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// False: it was in already.
    pub fn add(&mut self, index: u32) -> bool {
        if self.has(index) {
            return false;
        }
        let word = index as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
        self.ones += 1;
        true
    }

    pub fn len(&self) -> u32 {
        self.ones
    }
}

/// One entry of a segment's journal: an index, and a check that holds in this segment only.
pub const JOURNAL_ENTRY_BYTES: u64 = 8;

pub fn journal_entry(file: record::File, index: u32) -> [u8; JOURNAL_ENTRY_BYTES as usize] {
    let mut bytes = [0; JOURNAL_ENTRY_BYTES as usize];
    bytes[..4].copy_from_slice(&index.to_le_bytes());
    let salt = crc32c::crc32c_append(crc32c::crc32c(&file.run.to_le_bytes()), &file.segment.to_le_bytes());
    bytes[4..].copy_from_slice(&crc32c::crc32c_append(salt, &index.to_le_bytes()).to_le_bytes());
    bytes
}

/// The indices in a journal. Torn and damaged entries are passed over: what they name comes once more.
pub fn journalled(file: record::File, journal: &[u8]) -> impl Iterator<Item = u32> {
    journal.chunks_exact(JOURNAL_ENTRY_BYTES as usize).filter_map(move |entry| {
        let index = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        (journal_entry(file, index) == *entry).then_some(index)
    })
}

/// Sums by stream (`Address::key`). Of adopted runs, which may have had any number of streams, there is one sum for all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Waiting {
    of: BTreeMap<u64, Sum>,
}

/// The key of a sum for all streams.
const ALL_STREAMS: u64 = 0;

impl Waiting {
    pub fn add(&mut self, run: u32, key: u64, one: Sum) {
        *self.of.entry(if run == 0 { key } else { ALL_STREAMS }).or_default() += one;
    }

    pub fn take(&mut self, run: u32, key: u64, one: Sum) {
        let key = if run == 0 { key } else { ALL_STREAMS };
        let left = self.of.get(&key).map_or(Sum::default(), |sum| sum.without(one));
        if left == Sum::default() {
            self.of.remove(&key);
        } else {
            self.of.insert(key, left);
        }
    }

    pub fn total(&self) -> Sum {
        self.of.values().fold(Sum::default(), |all, sum| all + *sum)
    }

    pub fn sums(&self) -> Vec<(u64, Sum)> {
        self.of.iter().map(|(key, sum)| (*key, *sum)).collect()
    }

    /// What is here and not in `now`.
    pub fn lost(&self, now: &Waiting) -> Vec<(u64, Sum)> {
        let left = |key: &u64| now.of.get(key).copied().unwrap_or_default();
        let lost = self.of.iter().map(|(key, sum)| (*key, sum.without(left(key))));
        lost.filter(|(_, sum)| *sum != Sum::default()).collect()
    }
}

/// An entry that is done, which its journal does not say yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unjournalled {
    pub index: u32,
    /// What would come again with it.
    pub lines: u64,
}

#[derive(Debug, Default)]
pub struct Segment {
    /// Bytes that are whole records, or were found in the file.
    pub length: u64,
    /// Of these, known to be durable.
    pub synced: u64,
    pub directory_synced: bool,
    /// Indices below are taken.
    pub entries: u32,
    pub done: Bits,
    /// Done, and not yet in the journal.
    pub unjournalled: Vec<Unjournalled>,
    /// Entries in the journal, torn ones included.
    pub journal_entries: u64,
    /// Bytes of the next one that are there: a short write goes on behind them.
    pub journal_begun: u64,
    /// No more records come.
    pub sealed: bool,
    /// Its entries are counted: it may be loaded from.
    pub scanned: bool,
    pub scans: u32,
    /// Something of it could neither be read nor copied: it is renamed, not deleted.
    pub keep: bool,
    /// It could not be deleted or renamed. Perhaps later.
    pub stays: bool,
    /// Parts that are no records, in order.
    pub damage: Vec<Range<u64>>,
    /// What is neither done nor with ship.
    pub waiting: Waiting,
    /// What was announced of its bytes, to be given back.
    pub announced: u64,
}

impl Segment {
    pub fn is_finished(&self) -> bool {
        self.sealed && self.scanned && self.done.len() >= self.entries
    }

    /// Marks it as done. False: it was already, or there is no such entry.
    pub fn finish(&mut self, index: u32, lines: u64) -> bool {
        let news = index < self.entries && self.done.add(index);
        if news {
            self.unjournalled.push(Unjournalled { index, lines });
        }
        news
    }

    /// Lines that are done, and would come again if we ended now.
    pub fn unjournalled_lines(&self) -> u64 {
        if self.length > 0 { self.unjournalled.iter().map(|entry| entry.lines).sum() } else { 0 }
    }

    /// Where the next byte of the journal goes.
    pub fn journal_end(&self) -> u64 {
        self.journal_entries * JOURNAL_ENTRY_BYTES + self.journal_begun
    }

    pub fn disk_bytes(&self) -> u64 {
        self.length + self.journal_entries * JOURNAL_ENTRY_BYTES
    }

    /// The end of the damage that `at` lies in, and of what follows it without a record between.
    pub fn damaged_until(&self, at: u64) -> Option<u64> {
        let after = self.damage.partition_point(|range| range.end <= at);
        let mut until = None;
        for range in &self.damage[after..] {
            if range.start > until.unwrap_or(at) {
                break;
            }
            until = Some(range.end);
        }
        until
    }
}

#[derive(Debug, Default)]
pub struct Run {
    pub id: u64,
    pub segments: BTreeMap<u32, Segment>,
    /// Scans until it can be announced.
    pub unscanned: usize,
    /// It is announced, or there was nothing to announce.
    pub adopted: bool,
    /// Our lock and directory are gone, or will never go.
    pub removed: bool,
    /// It has files that are kept.
    pub has_asides: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_follows_damage_is_passed_over_with_it() {
        // At 8 a record was seen behind the first damage, and then could not be read.
        let segment = Segment { damage: vec![5..8, 8..20, 30..31], ..Segment::default() };
        let until = [4, 5, 8, 19, 20, 30, 31].map(|at| segment.damaged_until(at));
        assert_eq!(until, [None, Some(20), Some(20), Some(20), None, Some(31), None]);
    }
}
