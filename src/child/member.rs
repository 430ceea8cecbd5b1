//! One child and its process group: which signals still may go there.
//! Knows nothing of why a signal is sent.

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Stop, StopTarget};
use crate::sys::signals;

pub(super) struct Child {
    pub name: String,
    /// Names the group as well.
    pub pid: Pid,
    pub stop: Stop,
    /// When it was asked to stop.
    asked_at: Option<Instant>,
    /// SIGKILL was sent because of a stop.
    pub killed: bool,
    /// None once it has ended, and when the kernel refused it (an old one, a sandbox): then SIGCHLD makes us look.
    pub pidfd: Option<OwnedFd>,
    state: State,
}

/// Running -> GroupMayLive -> Forgotten; the middle is left out when the group was seen empty at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not reaped, so `pid` is nobody else's.
    Running,
    /// Reaped, but others of its group may live. `pid` may have become a stranger's: ask before each signal.
    GroupMayLive,
    Forgotten,
}

impl Child {
    pub fn started(name: String, pid: Pid, stop: Stop) -> Child {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        Child { name, pid, stop, asked_at: None, killed: false, pidfd, state: State::Running }
    }

    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// It has ended, and its process id is no longer kept for us.
    pub fn reaped(&mut self) {
        assert!(self.is_running(), "a child ends once");
        self.pidfd = None;
        self.state = match signals::send_to_group(self.pid, 0) {
            Err(Errno::SRCH) => State::Forgotten,
            _ => State::GroupMayLive,
        };
    }

    /// When its grace is over. None: it was not asked to stop, it was killed, or that is beyond all clocks.
    pub fn kill_due(&self) -> Option<Instant> {
        self.asked_at.filter(|_| !self.killed)?.checked_add(self.stop.grace)
    }

    /// Asks it to stop, once: to some a second signal means to drop everything. A stopped process would take the signal only when continued; to a running one SIGCONT does
    /// nothing.
    pub fn ask_to_stop(&mut self, signal: i32, now: Instant) -> Result<(), Errno> {
        if self.asked_at.is_some() {
            return Ok(());
        }
        self.asked_at = Some(now);
        let signal = self.stop.signal.unwrap_or(signal);
        match self.stop.to {
            StopTarget::Leader if self.is_running() => {
                let sent = signals::send(self.pid, signal).and_then(|()| signals::send(self.pid, libc::SIGCONT));
                if sent == Err(Errno::SRCH) { Ok(()) } else { sent }
            }
            // Without its leader nobody else passes it on.
            StopTarget::Leader | StopTarget::Group => self.send(signal).and_then(|()| self.send(libc::SIGCONT)),
        }
    }

    /// To the group, or what is left of it. That nobody is left is no error.
    pub fn send(&mut self, signal: i32) -> Result<(), Errno> {
        let result = match self.state {
            State::Running => match signals::send_to_group(self.pid, signal) {
                // It has left its own group.
                Err(Errno::SRCH) => signals::send(self.pid, signal),
                result => result,
            },
            // A process id is not given out again while a group bears it. So if some process has it, then the group
            // has ended and the number is a stranger's.
            State::GroupMayLive if signals::send(self.pid, 0) != Err(Errno::SRCH) => Err(Errno::SRCH),
            State::GroupMayLive => signals::send_to_group(self.pid, signal),
            State::Forgotten => return Ok(()),
        };
        match result {
            Err(Errno::SRCH) => {
                if self.state == State::GroupMayLive {
                    self.state = State::Forgotten;
                }
                Ok(())
            }
            result => result,
        }
    }
}
