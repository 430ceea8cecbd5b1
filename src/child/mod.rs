//! Children: what to run, starting it, passing signals on, the order of a stop, and how each one ended.
//! Knows nothing of logs: a child's output is a descriptor that somebody else reads. It writes no message either;
//! what happened comes back as `Event`s.
//!
//! `supervisor` owns the children and the signals. Beside it stand the decisions, without I/O: `stop` (when SIGTERM
//! becomes SIGKILL) and `sweep` (when orphans are reaped); and what asks the system: `member` (one child and its group),
//! `terminal` (the foreground group, job control), `error` and `program` (why a program did not start),
//! `look` (whether one would).

mod error;
mod look;
mod member;
mod program;
mod stop;
mod supervisor;
mod sweep;
mod terminal;

use std::borrow::Cow;
use std::ffi::{CString, OsString};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitStatus};

use crate::sys::signals::Set;
use crate::sys::spawn::{self, Group, Request};
pub use error::SpawnError;
pub use look::{Startable, look};
pub use stop::StopState;
pub use supervisor::Supervisor;
pub use terminal::Terminal;

/// What to run, and how it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The child's name in messages.
    pub name: String,
    /// The program, searched along our PATH as a shell would, and its arguments.
    pub argv: Vec<OsString>,
    /// Beside our own environment, or in place of what stands there.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts; ours if None.
    pub directory: Option<PathBuf>,
    pub stop: Stop,
}

impl Spec {
    /// Starts it beside the supervisor, in a session of its own, and reading from nowhere: whoever calls this waits for it
    /// and kills it. stdout and stderr are both `output`.
    pub fn start_aside(&self, output: BorrowedFd<'_>) -> Result<Pid, SpawnError> {
        let (argv, environment, directory) = (self.c_strings()?, self.environment()?, self.directory()?);
        // A pipe that has ended: there may be no /dev/null.
        let (nothing, _) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| SpawnError::of(self, errno))?;
        let request = Request {
            argv: &argv,
            environment: environment.as_deref(),
            directory: directory.as_deref(),
            input: Some(nothing.as_fd()),
            output,
            group: Group::OwnSession,
            default_signals: &Set::every_number(),
        };
        spawn::spawn(&request).map_err(|errno| SpawnError::of(self, errno))
    }

    fn c_strings(&self) -> Result<Vec<CString>, SpawnError> {
        if self.argv.is_empty() {
            return Err(SpawnError::no_command(self));
        }
        let c_string = |(index, arg): (usize, &OsString)| {
            CString::new(arg.as_bytes()).map_err(|_| SpawnError::nul_byte(self, index))
        };
        self.argv.iter().enumerate().map(c_string).collect()
    }

    /// The child's whole environment, or None for ours as it is.
    fn environment(&self) -> Result<Option<Vec<CString>>, SpawnError> {
        if self.env.is_empty() {
            return Ok(None);
        }
        let inherited = std::env::vars_os().filter(|(name, _)| self.env.iter().all(|(own, _)| own != name));
        let c_string = |(name, value): (OsString, OsString)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            CString::new(entry.into_vec()).map_err(|_| SpawnError::nul_byte_in_variable(self, &name))
        };
        inherited.chain(self.env.iter().cloned()).map(c_string).collect::<Result<_, _>>().map(Some)
    }

    fn directory(&self) -> Result<Option<CString>, SpawnError> {
        let c_string = |path: &PathBuf| CString::new(path.as_os_str().as_bytes());
        self.directory.as_ref().map(c_string).transpose().map_err(|_| SpawnError::nul_byte_in_directory(self))
    }
}

/// How a child is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What it is sent; None: the SIGTERM or SIGINT that began the stop.
    pub signal: Option<i32>,
    /// Who of its process group is sent that. SIGKILL goes to all of it.
    pub to: StopTarget,
    /// From there until SIGKILL.
    pub grace: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopTarget {
    /// All processes of its group.
    Group,
    /// The child alone: it stops what it started in its own way, as Celery's warm shutdown does.
    Leader,
}

impl Stop {
    /// What everybody expects.
    pub fn after(grace: Duration) -> Stop {
        Stop { signal: None, to: StopTarget::Group, grace }
    }
}

/// What `Supervisor::next` waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The child itself has ended and is reaped; others of its process group may live on.
    Ended { child: usize, status: ExitStatus },
    /// The first SIGTERM or SIGINT came, and was passed on; the grace runs.
    StopBegan { signal: i32 },
    /// A second one came: the grace is over, every group was sent SIGKILL. Comes once, and for each one more when
    /// all children have ended.
    StopHastened,
    /// The other thread's descriptor is readable. It is for the caller to drain.
    Woken,
    /// The caller's deadline has passed.
    Deadline,
    /// A rare fact that an operator should know. Nothing is to be done about it in the program.
    Warning(String),
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    Exited(u8),
    Signaled(i32),
}

impl ExitStatus {
    /// None for a process that has not ended.
    pub fn of(status: WaitStatus) -> Option<ExitStatus> {
        if let Some(code) = status.exit_status() {
            // The kernel keeps the lowest eight bits.
            return Some(ExitStatus::Exited(code as u8));
        }
        status.terminating_signal().map(ExitStatus::Signaled)
    }

    /// As shells give it: the child's own, or 128 + n for signal n.
    pub fn code(self) -> u8 {
        match self {
            ExitStatus::Exited(code) => code,
            ExitStatus::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// `exit code 3`, `SIGKILL (exit code 137)`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Exited(code) => write!(f, "exit code {code}"),
            ExitStatus::Signaled(signal) => {
                write!(f, "{} (exit code {})", signal_name(signal), self.code())
            }
        }
    }
}

/// `SIGTERM`, `SIGRTMIN+2`; `signal 77` for what has no name.
pub fn signal_name(signal: i32) -> Cow<'static, str> {
    Cow::Borrowed(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ if signal >= libc::SIGRTMIN() && signal <= libc::SIGRTMAX() => {
            return Cow::Owned(format!("SIGRTMIN+{}", signal - libc::SIGRTMIN()));
        }
        _ => return Cow::Owned(format!("signal {signal}")),
    })
}

/// The number of a signal's name, with or without SIG; `SIGRTMIN+2` as well.
pub fn signal_number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    (1..=libc::SIGRTMAX()).find(|number| signal_name(*number) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_death_is_128_and_the_signal() {
        assert_eq!(ExitStatus::Exited(3).code(), 3);
        assert_eq!(ExitStatus::Signaled(libc::SIGTERM).code(), 143);
        assert_eq!(ExitStatus::Signaled(64).code(), 192);
    }

    #[test]
    fn a_status_reads_as_a_phrase() {
        assert_eq!(ExitStatus::Exited(3).to_string(), "exit code 3");
        assert_eq!(ExitStatus::Signaled(9).to_string(), "SIGKILL (exit code 137)");
    }

    #[test]
    fn real_time_signals_have_names() {
        assert_eq!(signal_name(libc::SIGRTMIN() + 2), "SIGRTMIN+2");
        assert_eq!(signal_name(77), "signal 77");
        assert_eq!(signal_number("SIGRTMIN+2"), Some(libc::SIGRTMIN() + 2));
        assert_eq!(
            (signal_number("term"), signal_number("SIGINT"), signal_number("SIGFOO")),
            (Some(15), Some(2), None)
        );
    }
}
