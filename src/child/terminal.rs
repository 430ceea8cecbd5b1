//! One child on a terminal: its process group is the foreground group, so that it can read what is typed and Ctrl-C
//! reaches it and not us; and Ctrl-Z stops us with it, so that the shell that started us gets its prompt back.
//! Knows nothing of how a stop or an end is noticed.
//!
//! A signal that the terminal makes goes to the foreground group. While that is the child's, none of them reaches us,
//! so nothing is delivered twice; while it is ours, they are passed on like any other.

use std::fs;
use std::io::IsTerminal;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::stdio::stdin;
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::error::errno_name;
use crate::sys::signals;

/// The longest chain of parents that is followed. Ours: deeper nesting of one job does not occur.
const PARENTS_MAX: usize = 64;

/// Where a child's process group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// In a session of its own, without a controlling terminal.
    OwnSession,
    /// In our session, and the foreground group of the terminal that is our stdin whenever that would be ours: at once,
    /// or, if a shell started us in the background, when `fg` gives us the terminal.
    Foreground,
}

impl Terminal {
    /// Foreground if there is exactly one child and stdin is our controlling terminal. In the background too: a session
    /// of its own would let the child read from the terminal what is typed for the shell, since the kernel stops only
    /// readers in the terminal's session.
    pub fn choose(children: usize) -> Terminal {
        let on_terminal = children == 1
            && std::io::stdin().is_terminal()
            && signals::own_group().is_some()
            && tcgetpgrp(stdin()).is_ok();
        if on_terminal { Terminal::Foreground } else { Terminal::OwnSession }
    }
}

/// The child on the terminal.
pub(super) struct Foreground {
    /// Names the child's group as well.
    child: Pid,
    own_group: Pid,
    /// We made the child's group the foreground group and have not taken that back.
    handed_over: bool,
    /// A child that looked at the terminal before it was handed over may stop itself after it; then it is continued,
    /// once per handing over, so that nothing can go round in circles.
    may_continue: bool,
}

impl Foreground {
    /// None if our own group cannot be named: then there is no giving back, and so no handing over.
    pub fn new(child: Pid) -> Option<Foreground> {
        Some(Foreground { child, own_group: signals::own_group()?, handed_over: false, may_continue: false })
    }

    pub fn child(&self) -> Pid {
        self.child
    }

    /// Hands the terminal over if it is ours, and continues the child. Called when the child has started, and whenever
    /// we have been continued: `fg` gives the terminal to us, `bg` does not.
    pub fn resume(&mut self) -> Result<(), String> {
        let ours = tcgetpgrp(stdin()) == Ok(self.own_group);
        let result = if ours { self.hand_over() } else { Ok(()) };
        let _ = signals::send_to_group(self.child, libc::SIGCONT);
        result.map_err(|errno| {
            format!(
                "cannot make the child's process group {} the terminal's foreground group: {}; \
                 it stops when it reads the terminal; likely the terminal is gone",
                self.child.as_raw_pid(),
                errno_name(errno)
            )
        })
    }

    fn hand_over(&mut self) -> Result<(), Errno> {
        // SIGTTOU is blocked in this thread (Supervisor::new), so a background group may do this.
        tcsetpgrp(stdin(), self.child)?;
        self.handed_over = true;
        self.may_continue = true;
        Ok(())
    }

    /// The terminal is ours again, unless the shell above us has taken it already.
    pub fn take_back(&mut self) {
        if !std::mem::take(&mut self.handed_over) {
            return;
        }
        let shell = rustix::process::getppid().and_then(signals::group_of);
        // A job-control shell as the child may have left one of its own groups in the foreground, or a dead one.
        if tcgetpgrp(stdin()).ok() != shell || shell == Some(self.own_group) {
            let _ = tcsetpgrp(stdin(), self.own_group);
        }
    }

    /// The child was stopped by `signal`. `stopping`: we are to end, so no time for job control.
    pub fn child_stopped(&mut self, signal: i32, stopping: bool) -> Result<(), String> {
        if !matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) {
            return Ok(()); // SIGSTOP: whoever sent it to the child knows how to continue it.
        }
        if stopping {
            let _ = signals::send_to_group(self.child, libc::SIGCONT);
            return Ok(());
        }
        let foreground = tcgetpgrp(stdin()).ok();
        if signal != libc::SIGTSTP {
            if foreground == Some(self.own_group) {
                return self.resume();
            }
            if foreground == Some(self.child) {
                if std::mem::take(&mut self.may_continue) {
                    let _ = signals::send_to_group(self.child, libc::SIGCONT);
                }
                return Ok(());
            }
        }
        if can_be_continued() {
            return self.suspend();
        }
        // No shell would ever continue us, nor the child: such a job cannot be stopped by its terminal.
        if signal == libc::SIGTSTP || std::mem::take(&mut self.may_continue) {
            let _ = signals::send_to_group(self.child, libc::SIGCONT);
        }
        Ok(())
    }

    /// Stops us as the terminal would have, our group with us; returns when we have been continued.
    fn suspend(&mut self) -> Result<(), String> {
        self.take_back();
        // The others of our job (a pipeline, a script around us) would have been stopped as well. Blocked for us.
        let _ = signals::send_to_own_group(libc::SIGTSTP);
        signals::stop_self();
        self.resume()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Whether a shell watches our group: somebody above us in our session, but in another group. Without one the group is
/// an orphaned one, for which the kernel disregards the terminal's stops; and whoever stopped itself would stay so.
fn can_be_continued() -> bool {
    let own = rustix::process::getpid();
    let (session, group) = (signals::session_of(own), signals::own_group());
    let mut parent = rustix::process::getppid();
    for _ in 0..PARENTS_MAX {
        let Some(pid) = parent else {
            return false;
        };
        if session.is_none() || signals::session_of(pid) != session {
            return false;
        }
        if signals::group_of(pid) != group {
            return true;
        }
        parent = parent_of(pid);
    }
    false
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(line.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_children_never_stand_on_the_terminal() {
        assert_eq!(Terminal::choose(0), Terminal::OwnSession);
        assert_eq!(Terminal::choose(2), Terminal::OwnSession);
    }

    #[test]
    fn a_process_names_its_parent() {
        let own = rustix::process::getpid();
        assert_eq!(parent_of(own), rustix::process::getppid());
    }
}
