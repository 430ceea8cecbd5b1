//! The operations that move bytes, on io_uring through tokio-uring; several lanes at a time on one thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use rustix::fs::OFlags;
use tokio_uring::fs::File;

use super::{Completions, Directories, directory, on_names, open};
use crate::spool::store::{Op, Outcome, SegmentId};

type Current = Rc<RefCell<Option<(SegmentId, Rc<File>)>>>;

pub struct Uring {
    directories: Directories,
    completions: Completions,
    /// The segment that is written to.
    current: Current,
}

impl Uring {
    pub fn new(directories: Directories, completions: Completions) -> Uring {
        Uring { directories, completions, current: Current::default() }
    }

    pub(super) fn submit(&mut self, op: Op) {
        let (directories, completions, current) =
            (self.directories.clone(), self.completions.clone(), self.current.clone());
        tokio_uring::spawn(async move {
            let lane = op.lane();
            completions.tell(lane, perform(&directories, &current, op).await);
        });
    }
}

async fn perform(directories: &Directories, current: &Current, op: Op) -> io::Result<Outcome> {
    match op {
        Op::Append { segment, at, parts } => {
            directory(directories, segment).check(segment.segment)?;
            let file = appending(directories, current, segment)?;
            let (written, _) = file.writev_at(parts, at).await;
            written.map(Outcome::Written)
        }
        Op::Sync { segment, directory: too } => {
            let file = File::from_std(open(directories, segment, OFlags::RDONLY)?);
            let synced = file.sync_data().await;
            file.close().await?;
            synced?;
            if too {
                // Once a segment, and there is no operation for it.
                directory(directories, segment).sync()?;
            }
            Ok(Outcome::Finished)
        }
        Op::Read { segment, at, bytes } => {
            let file = File::from_std(open(directories, segment, OFlags::RDONLY)?);
            let read = read(&file, at, bytes).await;
            file.close().await?;
            read.map(|read| Outcome::Read(Bytes::from(read)))
        }
        op => {
            if matches!(op, Op::Create(_)) {
                *current.borrow_mut() = None;
            }
            on_names(directories, &mut None, op)
        }
    }
}

fn appending(directories: &Directories, current: &Current, segment: SegmentId) -> io::Result<Rc<File>> {
    let mut current = current.borrow_mut();
    if let Some((open, file)) = &*current
        && *open == segment
    {
        return Ok(file.clone());
    }
    let file = Rc::new(File::from_std(open(directories, segment, OFlags::WRONLY)?));
    *current = Some((segment, file.clone()));
    Ok(file)
}

async fn read(file: &File, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(bytes);
    while read.len() < bytes {
        let chunk = Vec::with_capacity(bytes - read.len());
        let (count, chunk) = file.read_at(chunk, at + read.len() as u64).await;
        match count? {
            0 => break,
            _ if read.is_empty() => read = chunk,
            _ => read.extend_from_slice(&chunk),
        }
    }
    Ok(read)
}
