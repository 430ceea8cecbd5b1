//! The disk below the spool: files, and what of them is durable. Performs the store's operations, or fails to.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use logpump::spool::directory::{journal_name, segment_name};
use logpump::spool::record;
use logpump::spool::store::{Found, Op, Outcome, SegmentId};

use crate::edges::heads_before_an_edge;
use crate::faults::Fault;
use crate::plan::Phase;

/// A file system writes, and loses, this much at a time.
const BLOCK_BYTES: usize = 4096;
const EIO: i32 = 5;
/// Each takes minutes to be given up.
const BAD_FILES_MAX: usize = 4;

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// So much of it survives a power loss.
    durable: usize,
    /// And its name does.
    named: bool,
    /// What stood behind its end before it was cut, and may stand there again after a power loss.
    ghost: Vec<u8>,
    /// EIO, for ever.
    bad: Vec<Range<usize>>,
}

pub struct Disk {
    /// By run and name.
    files: BTreeMap<(u64, String), File>,
    /// Deleted, and not yet for good.
    unlinked: BTreeMap<(u64, String), File>,
    /// Removed by somebody else: who has one open may go on writing to it.
    orphans: BTreeMap<(u64, String), File>,
    bad: Vec<Phase>,
    /// The last write was short: the next is not.
    was_short: bool,
    random: Rng,
    /// The file system is full beyond, while it is.
    room_bytes: usize,
}

/// A file that something happened to.
pub struct Struck {
    pub run: u64,
    pub name: String,
    /// The entries that it may cost, by index; None: any.
    pub entries: Option<Vec<u32>>,
}

/// What an operation is to come to.
pub struct Fate {
    pub after: Duration,
    pub fault: Option<Fault>,
    /// A sync's: the length that becomes durable.
    length: usize,
}

impl Disk {
    pub fn new(seed: u64) -> Disk {
        Disk {
            files: BTreeMap::new(),
            unlinked: BTreeMap::new(),
            orphans: BTreeMap::new(),
            bad: Vec::new(),
            was_short: false,
            random: Rng::with_seed(seed ^ 0xD15C),
            room_bytes: usize::MAX,
        }
    }

    pub fn begin(&mut self, phase: Phase) {
        if phase.fault == Fault::DiskFull {
            self.room_bytes = self.used_bytes() + self.random.usize(0..200_000);
        }
        self.bad.push(phase);
    }

    pub fn end(&mut self, phase: Phase) {
        if phase.fault == Fault::DiskFull {
            self.room_bytes = usize::MAX;
        }
        self.bad.retain(|bad| bad.from != phase.from || bad.fault != phase.fault);
    }

    pub fn calm(&mut self) {
        self.bad.clear();
        self.room_bytes = usize::MAX;
    }

    pub fn has_segments(&self) -> bool {
        self.files.keys().any(|(_, name)| name.ends_with(".seg"))
    }

    pub fn has_files(&self) -> bool {
        self.files.values().any(|file| !file.bytes.is_empty())
    }

    fn used_bytes(&self) -> usize {
        self.files.values().map(|file| file.bytes.len()).sum()
    }

    /// The runs that left something, oldest first.
    pub fn found(&self) -> Vec<Found> {
        let mut runs: BTreeMap<u64, Found> = BTreeMap::new();
        for ((run, name), file) in &self.files {
            let found = runs.entry(*run).or_insert_with(|| Found { id: *run, ..Found::default() });
            let bytes = file.bytes.len() as u64;
            if let Some(segment) = name.strip_suffix(".seg") {
                let segment = segment.parse().expect("we named it");
                let journal = self.files.get(&(*run, journal_name(segment)));
                found.segments.push((segment, bytes, journal.map_or(0, |journal| journal.bytes.len() as u64)));
            } else if name.ends_with(".aside") {
                found.aside_bytes += bytes;
            }
        }
        runs.into_values().collect()
    }

    /// Journals without their segments are removed by whoever adopts a run.
    pub fn sweep(&mut self) {
        let segments: Vec<_> = self.files.keys().cloned().collect();
        self.files.retain(|(run, name), _| match name.strip_suffix(".done") {
            Some(number) => segments.contains(&(*run, format!("{number}.seg"))),
            None => true,
        });
    }

    // ---- operations --------------------------------------------------------------------------

    /// An operation begins.
    pub fn submit(&mut self, op: &Op, runs: &[u64], now: Duration) -> Fate {
        let random = &mut self.random;
        let phase = self.bad.iter().find(|bad| random.f64() < bad.share);
        let (fault, until) = phase.map_or((None, now), |phase| (Some(phase.fault), phase.to));
        let micros = match op {
            Op::Sync { .. } => 500..8_000,
            _ => 20..500,
        };
        let mut after = Duration::from_micros(self.random.u64(micros));
        if fault == Some(Fault::DiskSlow) {
            after += Duration::from_millis(self.random.u64(0..5_000));
        }
        if fault == Some(Fault::DiskStuck) {
            after += until.saturating_sub(now);
        }
        let length =
            op.segment().and_then(|segment| self.files.get(&name(segment, runs))).map_or(0, |it| it.bytes.len());
        Fate { after, fault: fault.filter(|fault| self.can(op, *fault)), length }
    }

    fn can(&self, op: &Op, fault: Fault) -> bool {
        let writes = matches!(op, Op::Append { .. } | Op::AppendJournal { .. });
        match fault {
            Fault::ShortWrite => writes,
            Fault::DiskFull => writes || matches!(op, Op::Create(_) | Op::CopyAside { .. }),
            _ => true,
        }
    }

    /// It comes to its end.
    pub fn perform(&mut self, op: &Op, fate: &Fate, runs: &[u64]) -> io::Result<Outcome> {
        match fate.fault {
            Some(Fault::DiskFailed) => return Err(self.failed(op, runs)),
            Some(Fault::DiskFull) if self.used_bytes() + size(op) > self.room_bytes => {
                let fits = self.room_bytes.saturating_sub(self.used_bytes());
                return match self.write(op, fits, runs) {
                    Some(written) if written > 0 => Ok(Outcome::Written(written)),
                    _ => Err(ErrorKind::StorageFull.into()),
                };
            }
            Some(Fault::ShortWrite) if !std::mem::replace(&mut self.was_short, true) => {
                let some = self.random.usize(0..size(op));
                return Ok(Outcome::Written(self.write(op, some, runs).unwrap_or(0)));
            }
            _ => {}
        }
        if let Some(written) = self.write(op, usize::MAX, runs) {
            self.was_short = false;
            return Ok(Outcome::Written(written));
        }
        self.other(op, fate, runs)
    }

    /// EIO; of what was to be written, some may be there, or all.
    fn failed(&mut self, op: &Op, runs: &[u64]) -> io::Error {
        if let size @ 1.. = size(op)
            && self.random.bool()
        {
            let some = if self.random.bool() { size } else { self.random.usize(0..=size) };
            self.write(op, some, runs);
        }
        io::Error::from_raw_os_error(EIO)
    }

    /// The first `most` bytes of what is to be written.
    fn write(&mut self, op: &Op, most: usize, runs: &[u64]) -> Option<usize> {
        let (key, at, parts) = match op {
            Op::Append { segment, at, parts } => (name(*segment, runs), *at, &parts[..]),
            Op::AppendJournal { segment, at, bytes } => {
                let key = (runs[segment.run as usize], journal_name(segment.segment));
                (key, *at, std::slice::from_ref(bytes))
            }
            _ => return None,
        };
        let is_journal = key.1.ends_with(".done");
        let file = match is_journal {
            true => self.files.entry(key).or_default(),
            // One that somebody removed takes the bytes, and that it is gone is seen then.
            false => self.files.get_mut(&key)?,
        };
        let mut at = at as usize;
        if is_journal {
            // Behind one that a power loss has torn.
            file.bytes.resize(file.bytes.len().max(at), 0);
        }
        assert!(at <= file.bytes.len(), "the spool leaves a hole in a file: {at} of {}", file.bytes.len());
        let mut rest = most;
        for part in parts {
            let part = &part[..part.len().min(rest)];
            let over = part.len().min(file.bytes.len() - at);
            file.bytes[at..at + over].copy_from_slice(&part[..over]);
            file.bytes.extend_from_slice(&part[over..]);
            file.durable = file.durable.min(at);
            at += part.len();
            rest -= part.len();
        }
        Some(most - rest)
    }

    fn other(&mut self, op: &Op, fate: &Fate, runs: &[u64]) -> io::Result<Outcome> {
        let missing = || io::Error::from(ErrorKind::NotFound);
        let key = op.segment().map(|segment| name(segment, runs)).unwrap_or_default();
        let journal = |segment: &SegmentId| (runs[segment.run as usize], journal_name(segment.segment));
        match op {
            Op::Create(_) if self.files.contains_key(&key) => return Err(ErrorKind::AlreadyExists.into()),
            Op::Create(_) => drop(self.files.insert(key, File::default())),
            Op::Truncate { length, .. } => {
                let file = self.files.get_mut(&key).or(self.orphans.get_mut(&key)).ok_or_else(missing)?;
                file.ghost = file.bytes.split_off(file.bytes.len().min(*length as usize));
                file.durable = file.durable.min(file.bytes.len());
            }
            Op::Sync { directory, .. } => {
                let file = self.files.get_mut(&key).ok_or_else(missing)?;
                file.durable = file.durable.max(fate.length.min(file.bytes.len()));
                file.ghost.clear();
                if *directory {
                    let run = key.0;
                    self.files.iter_mut().filter(|(key, _)| key.0 == run).for_each(|(_, file)| file.named = true);
                    self.unlinked.retain(|key, _| key.0 != run);
                }
            }
            Op::Read { at, bytes, .. } => {
                let file = self.files.get(&key).ok_or_else(missing)?;
                let from = file.bytes.len().min(*at as usize);
                let to = file.bytes.len().min(from + bytes);
                file.readable(from..to)?;
                return Ok(Outcome::Read(Bytes::copy_from_slice(&file.bytes[from..to])));
            }
            Op::ReadJournal { segment } => {
                let file = self.files.get(&journal(segment));
                file.map_or(Ok(()), |file| file.readable(0..file.bytes.len()))?;
                let bytes = file.map_or(Bytes::new(), |file| Bytes::copy_from_slice(&file.bytes));
                return Ok(Outcome::Read(bytes));
            }
            Op::CopyAside { segment, at, bytes } => {
                let file = self.files.get(&key).ok_or_else(missing)?;
                let (from, to) = (*at as usize, file.bytes.len().min((*at + *bytes) as usize));
                file.readable(from..to)?;
                let copy = File { bytes: file.bytes[from..to].to_vec(), ..File::default() };
                self.files.insert((key.0, format!("{:08}.{at}.aside", segment.segment)), copy);
            }
            Op::RenameAside(segment) => {
                let file = self.files.remove(&key).ok_or_else(missing)?;
                self.files.insert((key.0, format!("{}.aside", key.1)), file);
                self.unlink(journal(segment));
            }
            Op::Delete(segment) => {
                if !self.unlink(key) {
                    return Err(missing());
                }
                self.unlink(journal(segment));
            }
            Op::Check(_) if self.files.contains_key(&key) => {}
            Op::RemoveRun { run } => {
                let run = runs[*run as usize];
                if self.files.keys().any(|key| key.0 == run) {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
            }
            Op::Append { .. } | Op::AppendJournal { .. } | Op::Check(_) => return Err(missing()),
        }
        Ok(Outcome::Finished)
    }

    fn unlink(&mut self, key: (u64, String)) -> bool {
        let Some(file) = self.files.remove(&key) else { return false };
        self.unlinked.insert(key, file);
        true
    }

    // ---- what somebody, or something, does to files ------------------------------------------

    /// A share of them is struck.
    pub fn strike(&mut self, phase: Phase) -> Vec<Struck> {
        let is_ours = |name: &str| name.ends_with(".seg") || name.ends_with(".done");
        let mut struck: Vec<_> = self.files.keys().filter(|(_, name)| is_ours(name)).cloned().collect();
        struck.retain(|_| self.random.f64() < phase.share);
        if phase.fault == Fault::BadPlace {
            struck.truncate(BAD_FILES_MAX);
        }
        let strike = |key: (u64, String)| {
            let entries = match phase.fault {
                Fault::Removed => {
                    self.orphans.extend(self.files.remove_entry(&key));
                    None
                }
                fault => self.spoil(&key, fault),
            };
            Struck { run: key.0, name: key.1, entries }
        };
        struck.into_iter().map(strike).collect()
    }

    /// The entries that it may cost, by index. None: any.
    fn spoil(&mut self, key: &(u64, String), fault: Fault) -> Option<Vec<u32>> {
        let (file, random) = (self.files.get_mut(key)?, &mut self.random);
        let length = file.bytes.len();
        if length == 0 {
            return None;
        }
        if let (Fault::Damaged, true, Some(name)) = (fault, random.bool(), segment_file(key))
            && let Some(heads) = heads_before_an_edge(&file.bytes, name)
        {
            let indices = heads.iter().filter_map(|at| record::head(&file.bytes[*at..], name, *at as u64).ok());
            let entries = indices.map(|head| head.index).collect();
            heads.into_iter().for_each(|at| file.bytes[at] = 0);
            return Some(entries);
        }
        let from = random.usize(0..length) / BLOCK_BYTES * BLOCK_BYTES;
        let to = length.min(from + BLOCK_BYTES * random.usize(1..4));
        if fault == Fault::BadPlace {
            // It is read with what stands around it.
            file.bad.push(from..to);
            return None;
        }
        let hit = if random.bool() { from..to } else { Range { start: from, end: from + 1 } };
        let entries = entries_at(key, &file.bytes, &hit);
        for byte in &mut file.bytes[hit] {
            *byte = if *byte == 0 { 0xFF } else { 0 };
        }
        entries
    }

    // ---- crashes -----------------------------------------------------------------------------

    /// The process is killed while this was under way.
    pub fn killed(&mut self, op: &Op, fate: &Fate, runs: &[u64]) {
        match self.random.u32(0..3) {
            0 => {}
            1 => drop(self.perform(op, fate, runs)),
            _ => {
                let some = self.random.usize(0..=size(op));
                self.write(op, some, runs);
            }
        }
    }

    /// What was not made durable may be there, in part or not at all; names that were not may be gone, or back.
    pub fn lose_power(&mut self) {
        let random = &mut self.random;
        for (key, file) in std::mem::take(&mut self.unlinked) {
            if file.named && random.bool() {
                self.files.entry(key).or_insert(file);
            }
        }
        self.files.retain(|_, file| file.named || random.bool());
        for file in self.files.values_mut() {
            if !file.ghost.is_empty() && random.bool() {
                let ghost = std::mem::take(&mut file.ghost);
                file.bytes.extend(ghost);
            }
            let length = random.usize(file.durable..=file.bytes.len());
            file.bytes.truncate(length);
            let mut at = file.durable;
            while at < length {
                let end = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
                if random.u32(0..4) == 0 {
                    file.bytes[at..end.min(length)].fill(0);
                }
                at = end;
            }
            (file.durable, file.named) = (length, true);
            file.ghost.clear();
        }
    }
}

/// None: there is more than entries.
fn entries_at(key: &(u64, String), bytes: &[u8], hit: &Range<usize>) -> Option<Vec<u32>> {
    let file = segment_file(key)?;
    let (mut entries, mut at) = (Vec::new(), 0);
    while at < hit.end {
        let head = record::head(&bytes[at..], file, at as u64).ok()?;
        let end = at + head.total_bytes() as usize;
        if hit.start < end {
            entries.push(head.index);
        }
        at = end;
    }
    Some(entries)
}

fn segment_file((run, name): &(u64, String)) -> Option<record::File> {
    Some(record::File { run: *run, segment: name.strip_suffix(".seg")?.parse().ok()? })
}

impl File {
    fn readable(&self, range: Range<usize>) -> io::Result<()> {
        let is_bad = self.bad.iter().any(|bad| bad.start < range.end && range.start < bad.end);
        if is_bad { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

fn name(segment: SegmentId, runs: &[u64]) -> (u64, String) {
    (runs[segment.run as usize], segment_name(segment.segment))
}

fn size(op: &Op) -> usize {
    match op {
        Op::Append { parts, .. } => parts.iter().map(Bytes::len).sum(),
        Op::AppendJournal { bytes, .. } => bytes.len(),
        Op::CopyAside { bytes, .. } => *bytes as usize,
        _ => 0,
    }
}
