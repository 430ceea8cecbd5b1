//! What the spool's files need of io_uring: a plain ring, as tokio-uring makes it, and the operations that move bytes.
//! Tried on a file in memory, so that no disk can hold the probe up.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode, squeue};
use rustix::fs::{MemfdFlags, memfd_create};

use super::Answer;
use super::refusal::Step;

/// As many as the spool's ring has.
const ENTRIES: u32 = 16;
const TRIED: &[u8] = b"probe";

pub fn attempt() -> Answer {
    let failed = |error: io::Error| (Step::Files, error.raw_os_error().unwrap_or(0));
    let file = memfd_create("probe", MemfdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let mut ring = IoUring::builder().dontfork().build(ENTRIES).map_err(failed)?;
    let fd = Fd(file.as_raw_fd());
    let slice = libc::iovec { iov_base: TRIED.as_ptr().cast_mut().cast(), iov_len: TRIED.len() };
    let mut buffer = [0u8; 16];
    perform(&mut ring, &opcode::Writev::new(fd, &slice, 1).build(), TRIED.len())?;
    perform(&mut ring, &opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build(), 0)?;
    let read = opcode::Read::new(fd, buffer.as_mut_ptr(), buffer.len() as u32).build();
    perform(&mut ring, &read, TRIED.len())?;
    if !buffer.starts_with(TRIED) {
        return Err((Step::Files, 0));
    }
    perform(&mut ring, &opcode::Close::new(Fd(file.into_raw_fd())).build(), 0)
}

/// Submits one operation and waits for it.
fn perform(ring: &mut IoUring, entry: &squeue::Entry, expected: usize) -> Answer {
    let failed = |errno: i32| Err((Step::Files, errno));
    // SAFETY: what the operation reads and writes lives in `attempt`, which returns only to end the process; if it has not
    // completed by then, nothing of this process uses that memory any more.
    if unsafe { ring.submission().push(entry) }.is_err() {
        return failed(0);
    }
    if let Err(error) = ring.submit_and_wait(1) {
        return failed(error.raw_os_error().unwrap_or(0));
    }
    match ring.completion().next().map(|entry| entry.result()) {
        Some(result) if usize::try_from(result) == Ok(expected) => Ok(()),
        Some(result) => failed((-result).max(0)),
        None => failed(0),
    }
}
