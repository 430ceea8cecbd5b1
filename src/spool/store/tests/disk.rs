//! A disk in memory that does what the store asks, whole, in part or not at all, and that can lose its power.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// So many bytes are written.
    Short(usize),
    Full,
    TooLarge,
    Io,
    /// No name can be taken away, and files can be cut.
    Closed,
    /// Nothing can be written.
    ReadOnly,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// These survive a loss of power.
    durable: usize,
}

#[derive(Debug, Clone, Default)]
struct Run {
    segments: BTreeMap<u32, File>,
    journals: BTreeMap<u32, Vec<u8>>,
    aside_bytes: u64,
}

#[derive(Debug, Default)]
pub struct Disk {
    runs: BTreeMap<u64, Run>,
    /// By the store's numbers.
    ids: Vec<u64>,
    /// With the length of its file when it was asked for.
    under_way: Vec<(Op, usize)>,
    next_run: u64,
}

impl Disk {
    pub fn found(&self) -> Vec<Found> {
        let found = |(id, run): (&u64, &Run)| Found {
            id: *id,
            segments: run
                .segments
                .iter()
                .map(|(number, file)| {
                    let journal = run.journals.get(number).map_or(0, Vec::len);
                    (*number, file.bytes.len() as u64, journal as u64)
                })
                .collect(),
            aside_bytes: run.aside_bytes,
            other_bytes: 0,
        };
        self.runs.iter().map(found).collect()
    }

    /// A new run, which has locked all others. What a killed process had written the kernel makes durable by itself.
    pub fn begin_run(&mut self, found: &[Found]) -> u64 {
        for file in self.runs.values_mut().flat_map(|run| run.segments.values_mut()) {
            file.durable = file.bytes.len();
        }
        self.next_run += 1;
        self.runs.insert(self.next_run, Run::default());
        self.ids = vec![self.next_run];
        self.ids.extend(found.iter().map(|found| found.id));
        self.next_run
    }

    pub fn submit(&mut self, op: Op) {
        let length = op.segment().and_then(|id| self.file(id)).map_or(0, |file| file.bytes.len());
        self.under_way.push((op, length));
    }

    pub fn lanes(&self) -> Vec<Lane> {
        self.under_way.iter().map(|(op, _)| op.lane()).collect()
    }

    /// The oldest operation, or a later one.
    pub fn complete(&mut self, which: usize, fault: Fault) -> Option<Completion> {
        if self.under_way.is_empty() {
            return None;
        }
        let (op, length) = self.under_way.remove(which % self.under_way.len());
        Some(Completion { lane: op.lane(), result: self.perform(op, length, fault) })
    }

    pub fn complete_lane(&mut self, lane: Lane, fault: Fault) -> Option<Completion> {
        let which = self.under_way.iter().position(|(op, _)| op.lane() == lane)?;
        self.complete(which, fault)
    }

    /// The process is gone: each operation under way was done, in part, or not at all.
    pub fn kill(&mut self, chance: u64) {
        let mut random = fastrand::Rng::with_seed(chance);
        for (op, length) in std::mem::take(&mut self.under_way) {
            if chance > 0 && random.bool() {
                let fault = if random.bool() { Fault::Short(random.usize(1..400)) } else { Fault::None };
                let _ = self.perform(op, length, fault);
            }
        }
    }

    /// The power is gone too: of what is not durable, nothing, a part, or zeros are left. Of journals, a part.
    pub fn lose_power(&mut self, chance: u64) {
        let mut random = fastrand::Rng::with_seed(chance);
        for run in self.runs.values_mut() {
            for file in run.segments.values_mut() {
                let kept = random.usize(file.durable..=file.bytes.len());
                if random.bool() {
                    file.bytes.truncate(kept);
                } else {
                    file.bytes[kept..].fill(0);
                }
                file.durable = file.bytes.len();
            }
            for journal in run.journals.values_mut() {
                journal.truncate(random.usize(0..=journal.len()));
            }
        }
    }

    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    pub fn aside_bytes(&self) -> u64 {
        self.runs.values().map(|run| run.aside_bytes).sum()
    }

    pub fn all_bytes(&self) -> u64 {
        let of = |run: &Run| {
            let segments = run.segments.values().map(|file| file.bytes.len()).sum::<usize>();
            let journals = run.journals.values().map(Vec::len).sum::<usize>();
            (segments + journals) as u64 + run.aside_bytes
        };
        self.runs.values().map(of).sum()
    }

    pub fn is_all_synced(&self) -> bool {
        self.runs.values().flat_map(|run| run.segments.values()).all(|file| file.durable == file.bytes.len())
    }

    /// The only segment's bytes, to be damaged.
    pub fn segment_bytes(&mut self) -> &mut Vec<u8> {
        let mut segments = self.runs.values_mut().flat_map(|run| run.segments.values_mut());
        let bytes = &mut segments.next().expect("there is a segment").bytes;
        assert!(segments.next().is_none(), "there is more than one segment");
        bytes
    }

    /// The only journal.
    pub fn journal(&mut self) -> &mut Vec<u8> {
        self.runs.values_mut().flat_map(|run| run.journals.values_mut()).next().expect("there is a journal")
    }

    pub fn remove_segment(&mut self, id: SegmentId) {
        self.run(id).segments.remove(&id.segment);
    }

    fn run(&mut self, id: SegmentId) -> &mut Run {
        self.runs.get_mut(&self.ids[id.run as usize]).expect("the run is there")
    }

    fn file(&mut self, id: SegmentId) -> Option<&mut File> {
        self.run(id).segments.get_mut(&id.segment)
    }

    fn closed(&mut self, op: Op) -> io::Result<Outcome> {
        let Op::Delete(id) = op else { return Err(ErrorKind::PermissionDenied.into()) };
        *self.file(id).expect("the segment is there") = File::default();
        Ok(Outcome::Emptied(ErrorKind::PermissionDenied.into()))
    }

    fn perform(&mut self, op: Op, length: usize, fault: Fault) -> io::Result<Outcome> {
        let short = match fault {
            Fault::None => usize::MAX,
            Fault::Short(count) => count,
            Fault::Full => return Err(ErrorKind::StorageFull.into()),
            Fault::TooLarge => return Err(ErrorKind::FileTooLarge.into()),
            Fault::Io => return Err(io::Error::from_raw_os_error(5)),
            Fault::Closed => return self.closed(op),
            Fault::ReadOnly => return Err(ErrorKind::ReadOnlyFilesystem.into()),
        };
        let missing = || io::Error::from(ErrorKind::NotFound);
        match op {
            Op::Create(id) => {
                assert!(self.run(id).segments.insert(id.segment, File::default()).is_none());
            }
            Op::Append { segment, at, parts } => {
                let all = parts.concat();
                let count = all.len().min(short);
                write(&mut self.file(segment).ok_or_else(missing)?.bytes, at, &all[..count]);
                return Ok(Outcome::Written(count));
            }
            Op::Truncate { segment, length } => {
                let file = self.file(segment).ok_or_else(missing)?;
                file.bytes.truncate(length as usize);
                file.durable = file.durable.min(length as usize);
                // What a sync under way had before is not what comes there now.
                let under_way = self.under_way.iter_mut().filter(|(op, _)| op.segment() == Some(segment));
                under_way.for_each(|(_, synced)| *synced = (*synced).min(length as usize));
            }
            Op::Sync { segment, .. } => {
                let file = self.file(segment).ok_or_else(missing)?;
                file.durable = file.durable.max(length);
            }
            Op::Read { segment, at, bytes } => {
                let file = &self.file(segment).ok_or_else(missing)?.bytes;
                let begin = file.len().min(at as usize);
                let end = file.len().min(begin + bytes);
                return Ok(Outcome::Read(Bytes::copy_from_slice(&file[begin..end])));
            }
            Op::ReadJournal { segment } => {
                let journal = self.run(segment).journals.get(&segment.segment).cloned();
                return Ok(Outcome::Read(Bytes::from(journal.unwrap_or_default())));
            }
            Op::AppendJournal { segment, at, bytes } => {
                let count = bytes.len().min(short);
                let journal = self.run(segment).journals.entry(segment.segment).or_default();
                write(journal, at, &bytes[..count]);
                return Ok(Outcome::Written(count));
            }
            Op::CopyAside { segment, bytes, .. } => {
                assert!(bytes > 0, "nothing is copied");
                self.run(segment).aside_bytes += bytes;
            }
            Op::RenameAside(id) => {
                let file = self.run(id).segments.remove(&id.segment).ok_or_else(missing)?;
                self.run(id).aside_bytes += file.bytes.len() as u64;
                self.run(id).journals.remove(&id.segment);
            }
            Op::Delete(id) => {
                self.run(id).segments.remove(&id.segment).ok_or_else(missing)?;
                self.run(id).journals.remove(&id.segment);
            }
            Op::Check(id) => drop(self.file(id).ok_or_else(missing)?),
            Op::RemoveRun { run } => {
                let gone = self.runs.remove(&self.ids[run as usize]).expect("the run is there");
                assert!(gone.segments.is_empty() && gone.aside_bytes == 0, "a run was removed that is not empty");
            }
        }
        Ok(Outcome::Finished)
    }
}

fn write(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = at as usize + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at as usize..end].copy_from_slice(bytes);
}
