//! The kernel's ring, reduced to what the intake needs: wait until a pipe is readable, and read many pipes at once
//! without waiting. No read outlives the call that submitted it, so no buffer is ever lent to the kernel for longer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

/// Submission entries: how many reads go down in one call. More pipes than this take several calls.
const SUBMISSIONS_MIN: u32 = 8;
const SUBMISSIONS_MAX: u32 = 64;
/// How often a refused io_uring_enter is tried again before the engine counts as broken.
const ENTER_RETRIES_MAX: u32 = 1000;

const KIND_READ: u64 = 1 << 32;
const KIND_POLL: u64 = 2 << 32;
const KIND_CANCEL: u64 = 3 << 32;
const KIND_MASK: u64 = 0xffff_ffff << 32;

/// One read without waiting: an empty pipe answers EAGAIN.
pub struct Read<'a> {
    pub token: u32,
    pub fd: BorrowedFd<'a>,
    pub buffer: &'a mut [u8],
}

/// What became of a read. `Ok(0)` is the end of the file.
pub struct ReadDone {
    pub token: u32,
    pub result: Result<usize, rustix::io::Errno>,
}

pub struct Uring {
    ring: IoUring,
    /// Polls that the kernel holds.
    armed: usize,
    /// Tokens whose poll fired while a read was being reaped.
    fired: Vec<u32>,
    /// Reads were queued and never submitted: the ring must not be entered again, or they would be.
    broken: bool,
}

impl Uring {
    /// A ring for so many descriptors, to be used by the calling thread alone.
    pub fn new(descriptors: usize) -> io::Result<Uring> {
        let submissions = (descriptors as u32).next_power_of_two().clamp(SUBMISSIONS_MIN, SUBMISSIONS_MAX);
        let completions = (descriptors as u32 + submissions).next_power_of_two();
        let ring = IoUring::builder()
            .setup_cqsize(completions)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .dontfork()
            .build(submissions)?;
        Ok(Uring { ring, armed: 0, fired: Vec::with_capacity(descriptors), broken: false })
    }

    /// Asks for `token` to be reported by `wait` once, when `fd` is readable or hung up.
    pub fn arm(&mut self, token: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        let entry = opcode::PollAdd::new(Fd(fd.as_raw_fd()), libc::POLLIN as u32)
            .build()
            .user_data(KIND_POLL | u64::from(token));
        self.push(&entry)?;
        // Submitted while `fd` is borrowed: from here on the kernel holds the file itself.
        self.enter(0, None)?;
        self.armed += 1;
        Ok(())
    }

    /// Takes back an `arm`: when this returns, the kernel has let go of the file. The token may still be reported once.
    pub fn disarm(&mut self, token: u32) -> io::Result<()> {
        let entry = opcode::PollRemove::new(KIND_POLL | u64::from(token)).build().user_data(KIND_CANCEL);
        self.push(&entry)?;
        let mut removed = false;
        while !removed {
            self.enter(1, None)?;
            for entry in self.ring.completion() {
                match entry.user_data() & KIND_MASK {
                    KIND_POLL => {
                        self.armed -= 1;
                        self.fired.push(entry.user_data() as u32);
                    }
                    _ => removed = true,
                }
            }
        }
        Ok(())
    }

    /// Reads all, and returns when each has its result in `done`.
    pub fn read_all<'a>(&mut self, reads: impl Iterator<Item = Read<'a>>, done: &mut Vec<ReadDone>) -> io::Result<()> {
        let mut reads = reads.peekable();
        while reads.peek().is_some() {
            // Until they are reaped: should anything fail or panic in between, what is queued is never submitted.
            self.ensure_whole()?;
            self.broken = true;
            let mut in_flight = 0;
            while !self.ring.submission().is_full() {
                let Some(read) = reads.next() else { break };
                let entry = opcode::Read::new(
                    Fd(read.fd.as_raw_fd()),
                    read.buffer.as_mut_ptr(),
                    u32::try_from(read.buffer.len()).unwrap_or(u32::MAX),
                )
                .offset(u64::MAX)
                .rw_flags(libc::RWF_NOWAIT)
                .build()
                .user_data(KIND_READ | u64::from(read.token));
                self.push(&entry)?;
                in_flight += 1;
            }
            self.broken = false;
            let reaped = self.reap_reads(in_flight, done);
            self.broken = reaped.is_err();
            reaped?;
        }
        Ok(())
    }

    /// Submits and waits until `in_flight` reads are reaped: the buffers' borrow ends with the call.
    fn reap_reads(&mut self, mut in_flight: usize, done: &mut Vec<ReadDone>) -> io::Result<()> {
        let mut want = 0;
        while in_flight > 0 {
            if let Err(error) = self.enter(want, None) {
                let unsubmitted = self.ring.submission().len();
                if unsubmitted == in_flight {
                    return Err(error);
                }
                // The kernel took some reads and will not let us see them end: their buffers may be written at any
                // time. No state of ours could be trusted after this, and a word on stderr might wait for ever.
                std::process::abort();
            }
            for entry in self.ring.completion() {
                let token = entry.user_data() as u32;
                match entry.user_data() & KIND_MASK {
                    KIND_READ => {
                        in_flight -= 1;
                        let result = usize::try_from(entry.result())
                            .map_err(|_| rustix::io::Errno::from_raw_os_error(-entry.result()));
                        done.push(ReadDone { token, result });
                    }
                    KIND_POLL => {
                        self.armed -= 1;
                        self.fired.push(token);
                    }
                    _ => {}
                }
            }
            want = 1;
        }
        Ok(())
    }

    /// Sleeps until an armed descriptor fires (`early`), or through the whole `timeout` whatever fires meanwhile, and
    /// appends the tokens that fired.
    pub fn wait(&mut self, timeout: Option<Duration>, early: bool, fired: &mut Vec<u32>) -> io::Result<()> {
        assert!(early || timeout.is_some(), "a wait that nothing ends");
        if self.fired.is_empty() || !early {
            // More than can complete: only the timeout ends such a wait, and no armed pipe's writer has to wake us.
            let want = if early { 1 } else { self.armed + 1 };
            self.enter(want, timeout)?;
        }
        fired.append(&mut self.fired);
        for entry in self.ring.completion() {
            if entry.user_data() & KIND_MASK == KIND_POLL {
                self.armed -= 1;
                fired.push(entry.user_data() as u32);
            }
        }
        Ok(())
    }

    fn ensure_whole(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("io_uring failed before")) } else { Ok(()) }
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.enter(0, None)?;
        }
        // SAFETY: polls and cancels carry no memory. A read's buffer is borrowed for longer than `read_all` runs, and
        // `read_all` does not return before the read was reaped; one that was never submitted never will be (`broken`).
        unsafe { self.ring.submission().push(entry) }.map_err(|_| io::Error::other("the submission queue stays full"))
    }

    /// One io_uring_enter: submits what is queued and waits for `want` completions or `timeout`.
    fn enter(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        self.ensure_whole()?;
        for _ in 0..ENTER_RETRIES_MAX {
            let entered = match timeout {
                None => self.ring.submit_and_wait(want),
                Some(timeout) => {
                    let timespec = Timespec::from(timeout);
                    let arguments = SubmitArgs::new().timespec(&timespec);
                    self.ring.submitter().submit_with_args(want, &arguments)
                }
            };
            match entered {
                Ok(_) => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ETIME) => return Ok(()),
                    // Completions that wait to be taken: the caller takes them and comes back.
                    Some(libc::EBUSY) if !self.ring.completion().is_empty() => return Ok(()),
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                    _ => return Err(error),
                },
            }
        }
        Err(io::Error::other("io_uring_enter was refused over and over"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::os::fd::AsFd;

    #[test]
    fn an_empty_pipe_answers_at_once_and_a_filled_one_with_its_bytes() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut uring = Uring::new(2).unwrap();
        let mut buffer = [0u8; 64];
        let mut done = Vec::new();
        for (sent, expected) in [(&b""[..], Err(Errno::AGAIN)), (&b"hello"[..], Ok(5))] {
            if !sent.is_empty() {
                rustix::io::write(&writer, sent).unwrap();
            }
            let read = Read { token: 7, fd: reader.as_fd(), buffer: &mut buffer };
            uring.read_all([read].into_iter(), &mut done).unwrap();
            let answer = done.pop().unwrap();
            assert_eq!((answer.token, answer.result), (7, expected));
        }
        assert_eq!(&buffer[..5], b"hello");
    }

    #[test]
    fn more_pipes_than_submission_entries_are_all_read() {
        let pipes: Vec<_> = (0..200).map(|_| pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()).collect();
        let mut uring = Uring::new(pipes.len()).unwrap();
        let mut buffers = vec![[0u8; 8]; pipes.len()];
        for (index, (_, writer)) in pipes.iter().enumerate() {
            rustix::io::write(writer, &vec![b'x'; index % 8 + 1]).unwrap();
        }
        let mut done = Vec::new();
        let reads = pipes.iter().zip(&mut buffers).enumerate().map(|(index, (pipe, buffer))| Read {
            token: index as u32,
            fd: pipe.0.as_fd(),
            buffer,
        });
        uring.read_all(reads, &mut done).unwrap();
        done.sort_by_key(|answer| answer.token);
        let lengths: Vec<_> = done.iter().map(|answer| answer.result.unwrap()).collect();
        assert_eq!(lengths, (0..200).map(|index| index % 8 + 1).collect::<Vec<_>>());
    }

    #[test]
    fn an_armed_pipe_fires_once_for_bytes_and_once_for_the_end() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut uring = Uring::new(1).unwrap();
        let mut fired = Vec::new();
        uring.arm(3, reader.as_fd()).unwrap();
        uring.wait(Some(Duration::ZERO), false, &mut fired).unwrap();
        assert!(fired.is_empty());
        rustix::io::write(&writer, b"x").unwrap();
        uring.wait(None, true, &mut fired).unwrap();
        assert_eq!(fired, [3]);
        drop(writer);
        uring.arm(3, reader.as_fd()).unwrap();
        uring.wait(None, true, &mut fired).unwrap();
        assert_eq!(fired, [3, 3]);
    }

    #[test]
    fn a_disarmed_pipe_is_let_go_so_that_its_writer_sees_it_closed() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut uring = Uring::new(1).unwrap();
        uring.arm(0, reader.as_fd()).unwrap();
        uring.disarm(0).unwrap();
        drop(reader);
        assert_eq!(rustix::io::write(&writer, b"x"), Err(Errno::PIPE));
    }
}
