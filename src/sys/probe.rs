//! Does io_uring work here? Answered by using it, in a forked process with a time limit: a sandbox may refuse it, let
//! set-up pass and fail the operations, never answer, or kill. Must be called before this process has a second thread.

mod files;
mod refusal;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::uring::{Read, Uring};
use refusal::{Cause, Step};
pub use refusal::{KERNEL_MIN, Refusal};

/// For each of the two answers. A working kernel gives both within a millisecond.
const TIME_LIMIT: Duration = Duration::from_millis(500);
/// How long the killed process may take to end. One that the kernel holds is left behind.
const END_LIMIT: Duration = Duration::from_millis(100);
/// Without a pidfd its end is asked for so often, each time after a rest.
const END_TRIES_MAX: u32 = 100;
const END_REST: Duration = END_LIMIT.checked_div(END_TRIES_MAX).expect("it is not 0");

/// What is to be tried.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The size of the intake's ring.
    pub descriptors: usize,
    /// Also what the spool does with its files.
    pub files: bool,
}

/// Pipes can be read through io_uring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Works {
    /// And so can files be read and written; Ok also if that was not to be tried.
    pub files: Result<(), Refusal>,
}

/// An answer of the forked process: how far it came, and the errno (0: a wrong answer) of the step that failed.
type Answer = Result<(), (Step, i32)>;
const ANSWER_BYTES: usize = 5;

/// Proves what the intake does with pipes through a ring like the intake's, and what the spool does with files.
pub fn io_uring_works(wanted: Wanted) -> Result<Works, Refusal> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(Refusal::here(Step::Fork, Cause::Threads));
    }
    let fork_failed = |errno: Errno| Refusal::here(Step::Fork, Cause::Errno(errno.raw_os_error()));
    let (answers_in, answers_out) = pipe_with(PipeFlags::CLOEXEC).map_err(fork_failed)?;
    // SAFETY: this process has one thread (looked at above), so the child may run ordinary code.
    match unsafe { libc::fork() } {
        -1 => Err(fork_failed(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::AGAIN))),
        0 => {
            no_core_file();
            send(&answers_out, pipes(wanted.descriptors));
            if wanted.files {
                send(&answers_out, files::attempt());
            }
            // SAFETY: ends the forked child at once; nothing of the parent's (buffers, handlers) is run twice.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(answers_out);
            let pipes = receive(&answers_in);
            let files = if wanted.files && pipes == Some(Ok(())) { receive(&answers_in) } else { Some(Ok(())) };
            let signal = end(pid);
            told(pipes, Step::SetUp, signal)?;
            Ok(Works { files: told(files, Step::Files, signal) })
        }
    }
}

fn send(answers: &OwnedFd, answer: Answer) {
    let (step, errno) = match answer {
        Ok(()) => (0, 0),
        Err((step, errno)) => (step as u8 + 1, errno),
    };
    let mut message = [step, 0, 0, 0, 0];
    message[1..].copy_from_slice(&errno.to_ne_bytes());
    let _ = rustix::io::write(answers, &message);
}

/// None: there was none in time.
fn receive(answers: &OwnedFd) -> Option<Answer> {
    let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(TIME_LIMIT.subsec_nanos()) };
    let ready = poll(&mut [PollFd::new(answers, PollFlags::IN)], Some(&limit));
    let mut message = [0u8; ANSWER_BYTES];
    match ready {
        Ok(1..) => {
            let read = rustix::io::read(answers, &mut message).unwrap_or(0);
            let errno = i32::from_ne_bytes([message[1], message[2], message[3], message[4]]);
            match (read, message[0]) {
                (ANSWER_BYTES, 0) => Some(Ok(())),
                (ANSWER_BYTES, step) => Some(Err((Step::of(step - 1), errno))),
                // It ended before it had one.
                _ => Some(Err((Step::Fork, 0))),
            }
        }
        _ => None,
    }
}

/// What an answer means. `died_in`: what was tried if it died before it gave one.
fn told(answer: Option<Answer>, died_in: Step, signal: Option<i32>) -> Result<(), Refusal> {
    let refused = |step, cause| Err(Refusal::here(step, cause));
    match answer {
        Some(Ok(())) => Ok(()),
        None => refused(died_in, Cause::Silent(TIME_LIMIT)),
        Some(Err((Step::Fork, _))) => refused(died_in, Cause::Killed(signal)),
        Some(Err((step, 0))) => refused(step, Cause::Wrong),
        Some(Err((step, errno))) => refused(step, Cause::Errno(errno)),
    }
}

/// Kills the forked process, which has answered, died or hangs, and reaps it; the signal that it died of. Never waits for
/// long: the kernel may hold it. Nobody else reaps it: no other part of this process runs yet.
fn end(pid: libc::pid_t) -> Option<i32> {
    let ended = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // SAFETY: `pid` is our own child and not yet reaped, so it names no other process.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    if let Some(ended) = ended {
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(END_LIMIT.subsec_nanos()) };
        let _ = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit));
    }
    let mut status = 0;
    for _ in 0..END_TRIES_MAX {
        // SAFETY: as above; `status` is ours.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 => std::thread::sleep(END_REST),
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            // Where SIGCHLD is ignored the kernel reaps it, and its end is not told.
            -1 => return None,
            _ => return libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        }
    }
    None
}

/// What the intake does: arm a pipe, hear it, read it, find it empty, disarm it.
fn pipes(descriptors: usize) -> Answer {
    let of = |step: Step| move |error: io::Error| (step, error.raw_os_error().unwrap_or(0));
    let errno = |step: Step| move |errno: Errno| (step, errno.raw_os_error());
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(errno(Step::SetUp))?;
    let mut uring = Uring::new(descriptors).map_err(of(Step::SetUp))?;
    let mut fired = Vec::new();
    uring.arm(1, reader.as_fd()).map_err(of(Step::Poll))?;
    rustix::io::write(&writer, b"probe").map_err(errno(Step::Poll))?;
    // Less than the parent waits, or it could not hear which step it was.
    uring.wait(Some(TIME_LIMIT / 2), true, &mut fired).map_err(of(Step::Poll))?;
    if fired != [1] {
        return Err((Step::Poll, 0));
    }
    let mut buffer = [0u8; 16];
    let mut done = Vec::new();
    for expected in [Ok(5), Err(Errno::AGAIN)] {
        let read = Read { token: 1, fd: reader.as_fd(), buffer: &mut buffer };
        uring.read_all([read].into_iter(), &mut done).map_err(of(Step::Read))?;
        match done.pop().map(|done| done.result) {
            Some(result) if result == expected && &buffer[..5] == b"probe" => {}
            Some(Err(error)) => return Err((Step::Read, error.raw_os_error())),
            _ => return Err((Step::Read, 0)),
        }
    }
    uring.arm(2, reader.as_fd()).map_err(of(Step::Poll))?;
    uring.disarm(2).map_err(of(Step::Poll))
}

/// Also where core files go to a program, which the limit does not bind.
fn no_core_file() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit of our own; concerns this forked child alone.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    // SAFETY: takes numbers only; concerns this forked child alone.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}
