//! Performs the store's operations, those of each lane one after the other: through io_uring, or with a thread a lane.
//! Completions come back through a channel; the bell rings after each.

mod uring;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::pwritev;

use super::directory::{Directory, journal_name, segment_name};
use super::store::{Completion, LANES, Lane, Op, Outcome, SegmentId};
use crate::sys::bell::Bell;
pub use uring::Uring;

/// Copied at a time when something is set aside.
const COPY_BYTES: usize = 256 * 1024;

/// By run: our own first.
pub type Directories = Arc<Vec<Directory>>;

/// Where completions go.
#[derive(Clone)]
pub struct Completions {
    pub sender: Sender<Completion>,
    pub bell: Arc<Bell>,
}

impl Completions {
    fn tell(&self, lane: Lane, result: io::Result<Outcome>) {
        // Nobody listens any more: the spool has ended.
        let _ = self.sender.send(Completion { lane, result });
        self.bell.ring();
    }
}

pub enum Disk {
    /// Must be used inside a tokio-uring runtime.
    Uring(Uring),
    Std(Std),
}

impl Disk {
    pub fn submit(&mut self, op: Op) {
        match self {
            Disk::Uring(disk) => disk.submit(op),
            Disk::Std(disk) => disk.submit(op),
        }
    }
}

/// A thread a lane, made when it is first needed.
pub struct Std {
    directories: Directories,
    completions: Completions,
    lanes: [Option<(Sender<Op>, JoinHandle<()>)>; LANES.len()],
}

impl Std {
    pub fn new(directories: Directories, completions: Completions) -> Std {
        Std { directories, completions, lanes: [const { None }; LANES.len()] }
    }

    fn submit(&mut self, op: Op) {
        let lane = op.lane();
        if self.lanes[lane as usize].is_none() {
            self.lanes[lane as usize] = self.start(lane);
        }
        match &self.lanes[lane as usize] {
            Some((sender, _)) => {
                if sender.send(op).is_err() {
                    self.completions.tell(lane, Err(io::Error::other("the thread of its lane is gone")));
                }
            }
            // No thread to be had: slower, but it works.
            None => self.completions.tell(lane, perform(&self.directories, &mut None, op)),
        }
    }

    fn start(&self, lane: Lane) -> Option<(Sender<Op>, JoinHandle<()>)> {
        let (sender, ops) = channel::<Op>();
        let (directories, completions) = (self.directories.clone(), self.completions.clone());
        let name = match lane {
            Lane::Append => "spool-append",
            Lane::Sync => "spool-sync",
            Lane::Read => "spool-read",
            Lane::Care => "spool-care",
        };
        let work = move || {
            let mut current = None;
            for op in ops {
                completions.tell(op.lane(), perform(&directories, &mut current, op));
            }
        };
        Builder::new().name(name.into()).spawn(work).ok().map(|thread| (sender, thread))
    }
}

/// The run's lock goes with the last thread that has its directory: so all of them are over before the spool is.
impl Drop for Std {
    fn drop(&mut self) {
        for (sender, thread) in self.lanes.iter_mut().filter_map(Option::take) {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// The segment that is written to stays open. No other: a deleted file takes room for as long as it is open.
type Current = Option<(SegmentId, File)>;

fn directory(directories: &Directories, segment: SegmentId) -> &Directory {
    &directories[segment.run as usize]
}

fn open(directories: &Directories, segment: SegmentId, flags: OFlags) -> io::Result<File> {
    directory(directories, segment).open(segment_name(segment.segment), flags)
}

fn current<'a>(directories: &Directories, current: &'a mut Current, segment: SegmentId) -> io::Result<&'a File> {
    if current.as_ref().is_none_or(|(open, _)| *open != segment) {
        *current = Some((segment, open(directories, segment, OFlags::WRONLY)?));
    }
    Ok(&current.as_ref().expect("it was just opened").1)
}

fn perform(directories: &Directories, appending: &mut Current, op: Op) -> io::Result<Outcome> {
    match op {
        Op::Append { segment, at, parts } => {
            directory(directories, segment).check(segment.segment)?;
            let file = current(directories, appending, segment)?;
            let slices: Vec<IoSlice> = parts.iter().map(|part| IoSlice::new(part)).collect();
            again(|| Ok(pwritev(file, &slices, at)?)).map(Outcome::Written)
        }
        Op::Sync { segment, directory: too } => {
            again(|| open(directories, segment, OFlags::RDONLY)?.sync_data())?;
            if too {
                again(|| directory(directories, segment).sync())?;
            }
            Ok(Outcome::Finished)
        }
        Op::Read { segment, at, bytes } => {
            let file = open(directories, segment, OFlags::RDONLY)?;
            let mut read = vec![0; bytes];
            let mut filled = 0;
            while filled < bytes {
                match again(|| file.read_at(&mut read[filled..], at + filled as u64))? {
                    0 => break,
                    count => filled += count,
                }
            }
            read.truncate(filled);
            Ok(Outcome::Read(Bytes::from(read)))
        }
        Op::Create(_) | Op::Truncate { .. } => on_names(directories, appending, op),
        op => on_names(directories, &mut None, op),
    }
}

fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Operations that io_uring is not used for: on names, and on few bytes.
fn on_names(directories: &Directories, appending: &mut Current, op: Op) -> io::Result<Outcome> {
    match op {
        Op::Create(segment) => {
            let (file, again) = directory(directories, segment).create(segment.segment)?;
            *appending = Some((segment, file));
            return Ok(if again { Outcome::FinishedAgain } else { Outcome::Finished });
        }
        Op::Truncate { segment, length } => again(|| current(directories, appending, segment)?.set_len(length))?,
        Op::ReadJournal { segment } => return journal(directory(directories, segment), segment.segment),
        Op::AppendJournal { segment, at, bytes } => {
            let name = journal_name(segment.segment);
            let file = directory(directories, segment).open(name, OFlags::WRONLY | OFlags::CREATE)?;
            return again(|| file.write_at(&bytes, at)).map(Outcome::Written);
        }
        Op::CopyAside { segment, at, bytes } => {
            let name = format!("{:08}.{at}.aside", segment.segment);
            let directory = directory(directories, segment);
            let from = open(directories, segment, OFlags::RDONLY)?;
            let to = directory.open(&name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
            copy(&from, &to, at, bytes).inspect_err(|_| drop(directory.unlink(&name)))?;
        }
        Op::RenameAside(segment) => {
            let (directory, name) = (directory(directories, segment), segment_name(segment.segment));
            directory.rename(&name, &format!("{name}.aside"))?;
            let _ = directory.unlink(&journal_name(segment.segment));
        }
        Op::Delete(segment) => {
            let directory = directory(directories, segment);
            if let Err(error) = directory.unlink(&segment_name(segment.segment)) {
                return empty(directory, segment.segment, error);
            }
            let _ = directory.unlink(&journal_name(segment.segment));
        }
        Op::Check(segment) => directory(directories, segment).check(segment.segment)?,
        Op::RemoveRun { run } => directories[run as usize].remove()?,
        Op::Append { .. } | Op::Sync { .. } | Op::Read { .. } => unreachable!("each engine has its own"),
    }
    Ok(Outcome::Finished)
}

/// In a directory that is read-only by itself, as after `chattr +i`, files can still be cut; where nothing can be written,
/// not even that.
fn empty(directory: &Directory, segment: u32, error: io::Error) -> io::Result<Outcome> {
    if error.kind() == ErrorKind::NotFound {
        return Err(error);
    }
    match directory.open(segment_name(segment), OFlags::WRONLY).and_then(|file| file.set_len(0)) {
        Ok(()) => Ok(Outcome::Emptied(error)),
        Err(_) => Err(error),
    }
}

fn journal(directory: &Directory, segment: u32) -> io::Result<Outcome> {
    let file = match directory.open(journal_name(segment), OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Read(Bytes::new())),
        Err(error) => return Err(error),
    };
    let mut read = Vec::new();
    io::Read::read_to_end(&mut &file, &mut read)?;
    Ok(Outcome::Read(Bytes::from(read)))
}

fn copy(from: &File, to: &File, at: u64, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    while copied < bytes {
        let wanted = (bytes - copied).min(COPY_BYTES as u64) as usize;
        let count = again(|| from.read_at(&mut buffer[..wanted], at + copied))?;
        if count == 0 {
            break;
        }
        to.write_all_at(&buffer[..count], copied)?;
        copied += count as u64;
    }
    Ok(())
}
