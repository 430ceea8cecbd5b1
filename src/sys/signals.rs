//! Signals as data: sets, a blocked mask, a signalfd to read them from, and sending, real-time signals included
//! (rustix names only the classic ones). Also the process ids that rustix cannot represent when they are 0.
//! Knows nothing of what a signal is to mean.

use std::ffi::c_int;
use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// A set of signals.
#[derive(Clone)]
pub struct Set(libc::sigset_t);

impl Set {
    pub fn empty() -> Set {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the type's size, which this call writes whole.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialized by the call above, which fails for no valid pointer.
        Set(unsafe { set.assume_init() })
    }

    /// All but the two that libc keeps for its own threads.
    pub fn full() -> Set {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the type's size, which this call writes whole.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: initialized by the call above, which fails for no valid pointer.
        Set(unsafe { set.assume_init() })
    }

    /// Those two as well. For posix_spawn, which otherwise leaves them ignored in the new program.
    pub fn every_number() -> Set {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the pointer is to memory of the type's size, one value of it.
        unsafe { set.as_mut_ptr().write_bytes(0xff, 1) };
        // SAFETY: a sigset_t is an array of integers, valid with any bits; all were written above.
        Set(unsafe { set.assume_init() })
    }

    pub fn without(mut self, signals: &[c_int]) -> Set {
        for &signal in signals {
            // SAFETY: `self` is an initialized set; a number that is no signal is refused with EINVAL.
            unsafe { libc::sigdelset(&mut self.0, signal) };
        }
        self
    }

    pub(super) fn as_ptr(&self) -> *const libc::sigset_t {
        &self.0
    }
}

/// From here on this thread, and every thread that it starts, has exactly `set` blocked.
pub fn set_mask(set: &Set) -> io::Result<()> {
    // SAFETY: the set is initialized, and no old mask is asked for. A mask cannot break memory safety.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
    match result {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the call only writes the old one, of which we own the memory.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all bits zero is a valid sigaction, and the call wrote over it or left it.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Gives `signal` its default action.
pub fn set_default(signal: c_int) -> io::Result<()> {
    // SAFETY: all bits zero is a valid sigaction: the default action, no flags, an empty mask.
    let action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    // SAFETY: the default action runs no code of ours; the old one is not asked for.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// One signal that was sent to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub signal: c_int,
    /// The sender's process id, 0 for the kernel and for senders outside our process id namespace.
    pub sender: u32,
}

/// Reads signals that are blocked in the reading thread. Never waits; poll it for readability.
pub struct SignalFd(OwnedFd);

const RECORD_BYTES: usize = size_of::<libc::signalfd_siginfo>();
const SIGNAL_AT: usize = offset_of!(libc::signalfd_siginfo, ssi_signo);
const SENDER_AT: usize = offset_of!(libc::signalfd_siginfo, ssi_pid);

impl SignalFd {
    pub fn new(set: &Set) -> io::Result<SignalFd> {
        // SAFETY: the set is initialized; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor to us and nobody else knows it.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that is pending, if any.
    pub fn take(&self) -> io::Result<Option<Received>> {
        let mut record = [0u8; RECORD_BYTES];
        match rustix::io::read(&self.0, &mut record) {
            Ok(RECORD_BYTES) => {
                Ok(Some(Received { signal: u32_at(&record, SIGNAL_AT) as c_int, sender: u32_at(&record, SENDER_AT) }))
            }
            Ok(short) => Err(io::Error::other(format!("signalfd gave {short} bytes"))),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn u32_at(record: &[u8; RECORD_BYTES], at: usize) -> u32 {
    u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

/// To one process.
pub fn send(pid: Pid, signal: c_int) -> Result<(), Errno> {
    kill(pid.as_raw_pid(), signal)
}

/// To every member of a process group.
pub fn send_to_group(group: Pid, signal: c_int) -> Result<(), Errno> {
    assert!(group.as_raw_pid() > 1, "kill(-1) would reach every process");
    kill(-group.as_raw_pid(), signal)
}

/// To every member of our own process group, us included.
pub fn send_to_own_group(signal: c_int) -> Result<(), Errno> {
    kill(0, signal)
}

/// Stops this process, and returns when somebody has continued it.
pub fn stop_self() {
    // SAFETY: takes no memory. SIGSTOP to the calling thread: no other thread gets it first and lets us run on.
    unsafe { libc::raise(libc::SIGSTOP) };
}

fn kill(target: libc::pid_t, signal: c_int) -> Result<(), Errno> {
    // SAFETY: takes no memory; a wrong signal or target is refused.
    match unsafe { libc::kill(target, signal) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Our process group; None when its leader lives outside our process id namespace.
pub fn own_group() -> Option<Pid> {
    // SAFETY: takes no memory and cannot fail.
    pid_or_none(unsafe { libc::getpgrp() })
}

/// The process group of `pid`; None when it is gone or outside our process id namespace.
pub fn group_of(pid: Pid) -> Option<Pid> {
    // SAFETY: takes no memory; a process that is gone gives an error.
    pid_or_none(unsafe { libc::getpgid(pid.as_raw_pid()) })
}

/// The session of `pid`; None when it is gone or outside our process id namespace.
pub fn session_of(pid: Pid) -> Option<Pid> {
    // SAFETY: takes no memory; a process that is gone gives an error.
    pid_or_none(unsafe { libc::getsid(pid.as_raw_pid()) })
}

fn pid_or_none(raw: libc::pid_t) -> Option<Pid> {
    if raw > 0 { Pid::from_raw(raw) } else { None }
}

fn last_errno() -> Errno {
    let raw = io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(raw.unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read_with_its_number_and_sender() {
        // A thread of its own, since the mask is the thread's. The signal goes to this thread, so no other test sees it.
        std::thread::spawn(|| {
            let set = Set::full();
            set_mask(&set).unwrap();
            let signals = SignalFd::new(&set).unwrap();
            assert_eq!(signals.take().unwrap(), None);
            // SAFETY: takes no memory; blocked above, so it stays pending.
            unsafe { libc::raise(libc::SIGUSR1) };
            let received = signals.take().unwrap().unwrap();
            assert_eq!(received.signal, libc::SIGUSR1);
            assert_eq!(received.sender, std::process::id());
            assert_eq!(signals.take().unwrap(), None);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_set_without_a_signal_does_not_block_it() {
        let set = Set::full().without(&[libc::SIGSEGV]);
        // SAFETY: the set is initialized.
        assert_eq!(unsafe { libc::sigismember(set.as_ptr(), libc::SIGSEGV) }, 0);
        // SAFETY: the set is initialized.
        assert_eq!(unsafe { libc::sigismember(set.as_ptr(), libc::SIGTERM) }, 1);
    }

    #[test]
    fn rust_ignores_sigpipe_and_leaves_sighup_alone() {
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGWINCH));
    }
}
