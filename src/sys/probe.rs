//! Does io_uring work here? Answered by using it, in a forked process with a time limit: a sandbox may refuse it, let
//! set-up pass and fail the reads, never answer, or kill. Must be called before this process has a second thread.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::uring::{Read, Uring};

/// A working kernel answers in well under 5 ms.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// Why io_uring cannot be used, with the likely cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    step: Step,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Fork,
    SetUp,
    Poll,
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Errno(i32),
    Killed(i32),
    Silent,
    Wrong,
    Threads,
}

/// Proves a poll and a read of a real pipe through a ring like the intake's.
/// A ring for `descriptors`.
pub fn io_uring_works(descriptors: usize) -> Result<(), Refusal> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(Refusal { step: Step::Fork, cause: Cause::Threads });
    }
    let fork_failed = |error: Errno| Refusal { step: Step::Fork, cause: Cause::Errno(error.raw_os_error()) };
    let (verdict_in, verdict_out) = pipe_with(PipeFlags::CLOEXEC).map_err(fork_failed)?;
    // SAFETY: this process has one thread (looked at above), so the child may run ordinary code.
    match unsafe { libc::fork() } {
        -1 => Err(fork_failed(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::AGAIN))),
        0 => {
            no_core_file();
            let (step, errno) = match attempt(descriptors) {
                Ok(()) => (0, 0),
                Err((step, errno)) => (step as u8 + 1, errno),
            };
            let mut message = [step, 0, 0, 0, 0];
            message[1..].copy_from_slice(&errno.to_ne_bytes());
            let _ = rustix::io::write(&verdict_out, &message);
            // SAFETY: ends the forked child at once; nothing of the parent's (buffers, handlers) is run twice.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(verdict_out);
            read_verdict(pid, &verdict_in)
        }
    }
}

fn read_verdict(pid: libc::pid_t, verdict: &OwnedFd) -> Result<(), Refusal> {
    let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(TIME_LIMIT.subsec_nanos()) };
    let answered = poll(&mut [PollFd::new(verdict, PollFlags::IN)], Some(&limit));
    let mut message = [0u8; 5];
    let read = match answered {
        Ok(1..) => rustix::io::read(verdict, &mut message).unwrap_or(0),
        _ => 0,
    };
    // SAFETY: `pid` is our own child and not yet reaped, so it names no other process. It has answered, died or hangs.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let mut status = 0;
    // SAFETY: as above; `status` is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    let refused = |step, cause| Err(Refusal { step, cause });
    let errno = i32::from_ne_bytes([message[1], message[2], message[3], message[4]]);
    let cause = if errno == 0 { Cause::Wrong } else { Cause::Errno(errno) };
    match (read, message[0]) {
        (5, 0) => Ok(()),
        (5, 2) => refused(Step::SetUp, cause),
        (5, 3) => refused(Step::Poll, cause),
        (5, _) => refused(Step::Read, cause),
        _ if !matches!(answered, Ok(1..)) => refused(Step::Read, Cause::Silent),
        _ => refused(Step::SetUp, Cause::Killed(libc::WTERMSIG(status))),
    }
}

/// What the intake does: arm a pipe, hear it, read it. Err: at which step, with which errno (0: a wrong answer).
fn attempt(descriptors: usize) -> Result<(), (Step, i32)> {
    let errno = |step: Step| move |error: io::Error| (step, error.raw_os_error().unwrap_or(0));
    let (reader, writer) =
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|error| (Step::SetUp, error.raw_os_error()))?;
    let mut uring = Uring::new(descriptors).map_err(errno(Step::SetUp))?;
    let mut fired = Vec::new();
    uring.arm(1, reader.as_fd()).map_err(errno(Step::Poll))?;
    rustix::io::write(&writer, b"probe").map_err(|error| (Step::Poll, error.raw_os_error()))?;
    uring.wait(Some(TIME_LIMIT), true, &mut fired).map_err(errno(Step::Poll))?;
    if fired != [1] {
        return Err((Step::Poll, 0));
    }
    let mut buffer = [0u8; 16];
    let mut done = Vec::new();
    let read = Read { token: 1, fd: reader.as_fd(), buffer: &mut buffer };
    uring.read_all([read].into_iter(), &mut done).map_err(errno(Step::Read))?;
    match done[0].result {
        Ok(5) if &buffer[..5] == b"probe" => Ok(()),
        Ok(_) => Err((Step::Read, 0)),
        Err(error) => Err((Step::Read, error.raw_os_error())),
    }
}

fn no_core_file() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit of our own; concerns this forked child alone.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Fork => "cannot fork to try io_uring",
            Step::SetUp => "cannot create an io_uring",
            Step::Poll => "an io_uring poll of a pipe failed",
            Step::Read => "an io_uring read of a pipe failed",
        };
        match self.cause {
            Cause::Errno(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                write!(f, "{step}: {error}{}", likely_cause(errno))
            }
            Cause::Killed(signal) => write!(
                f,
                "{step}: killed by signal {signal}; likely a sandbox or seccomp profile that kills instead of refusing"
            ),
            Cause::Silent => write!(f, "{step}: no answer within {TIME_LIMIT:?}; likely a sandbox"),
            Cause::Threads => write!(f, "{step}: this process has other threads already; a fault of logpump's"),
            Cause::Wrong => write!(f, "{step}: the answer was wrong; likely a sandbox or a kernel older than 6.1"),
        }
    }
}

fn likely_cause(errno: i32) -> &'static str {
    match errno {
        libc::EPERM | libc::EACCES => {
            "; likely the container's seccomp profile, or the sysctl kernel.io_uring_disabled"
        }
        libc::ENOSYS => "; likely a seccomp profile, or a kernel without io_uring",
        libc::EINVAL | libc::EOPNOTSUPP => "; likely a kernel older than 6.1",
        libc::ENOMEM => "; likely a low locked-memory limit (ulimit -l)",
        libc::EMFILE | libc::ENFILE => "; likely a low limit of open files (ulimit -n)",
        _ => "",
    }
}
