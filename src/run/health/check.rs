//! One running check: a process in a group of its own, what it writes, its end. Nothing here waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::{Errno, read};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions, pidfd_open, waitid, waitpid};

use super::in_one_line;
use crate::child::{ExitStatus, SpawnError, Spec};
use crate::intake::pipe;
use crate::limits::{HEALTH_LOOK, HEALTH_READ_BYTES, HEALTH_REST, HEALTH_TAIL_BYTES};
use crate::lines::mask::{KeyBlock, Mask};
use crate::sys::signals;

pub struct Check {
    pid: Pid,
    /// None: the kernel has none, and it is looked at now and then.
    pidfd: Option<OwnedFd>,
    /// What it writes; None once that has ended.
    output: Option<OwnedFd>,
    tail: Tail,
    pub began: Instant,
    kill_at: Instant,
    /// It writes a flood: its output is not read before.
    read_at: Instant,
    pub killed: bool,
}

/// How a check's leader ended. None: somebody else took that.
pub type Ended = Option<ExitStatus>;

impl Check {
    /// Err: why it cannot be started.
    pub fn start(spec: &Spec, timeout: Duration, now: Instant) -> Result<Check, String> {
        let (pipe, output, _) =
            pipe::open(HEALTH_READ_BYTES).map_err(|error| format!("cannot make a pipe for it: {error}"))?;
        let refused = |error: SpawnError| error.of_what(&format!("the check of {}", spec.name));
        let pid = spec.start_aside(output.as_fd()).map_err(refused)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        let (output, tail) = (Some(pipe.reader), Tail::default());
        Ok(Check { pid, pidfd, output, tail, began: now, kill_at: now + timeout, read_at: now, killed: false })
    }

    /// What to wait for beside `due`.
    pub fn watched(&self, now: Instant) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let output = self.output.as_ref().filter(|_| self.read_at <= now);
        self.pidfd.iter().chain(output).map(|fd| (fd.as_fd(), PollFlags::IN))
    }

    /// When to look at it again, whatever happens.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let kill = (!self.killed).then_some(self.kill_at);
        let look = self.pidfd.is_none().then(|| now + HEALTH_LOOK);
        let rested = (self.output.is_some() && self.read_at > now).then_some(self.read_at);
        [kill, look, rested].into_iter().flatten().min()
    }

    pub fn is_over_time(&self, now: Instant) -> bool {
        !self.killed && self.kill_at <= now
    }

    /// All of its group.
    pub fn kill(&mut self) {
        self.killed = true;
        // Not reaped yet, so the number is nobody else's.
        let _ = signals::send_to_group(self.pid, libc::SIGKILL);
    }

    /// Takes what it wrote, as much as is read at a time.
    pub fn drain(&mut self, now: Instant) {
        if self.read_at > now {
            return;
        }
        let Some(output) = &self.output else { return };
        let mut buffer = [0; HEALTH_TAIL_BYTES];
        for _ in 0..HEALTH_READ_BYTES / HEALTH_TAIL_BYTES {
            match read(output, &mut buffer) {
                Ok(0) => {
                    self.output = None;
                    return;
                }
                Ok(length) => self.tail.push(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.output = None;
                    return;
                }
            }
        }
        self.read_at = now + HEALTH_REST;
    }

    /// Its end, once it has come. Whatever it left behind in its group is killed: it would be one more each time, and may
    /// hold the output, which nobody reads any more.
    pub fn ended(&mut self, now: Instant) -> Option<Ended> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), look) {
            Ok(None) | Err(Errno::INTR) => return None,
            Ok(Some(_)) => {}
            // Taken for an orphan.
            Err(_) => return Some(None),
        }
        let _ = signals::send_to_group(self.pid, libc::SIGKILL);
        self.read_at = now;
        self.drain(now);
        let status = waitpid(Some(self.pid), WaitOptions::NOHANG).ok().flatten();
        Some(status.and_then(|(_, status)| ExitStatus::of(status)))
    }

    /// What it wrote last, as the end of a sentence, masked as its process's lines are.
    pub fn said(&self, mask: Option<&Mask>) -> String {
        let text = String::from_utf8_lossy(self.tail.bytes()).into_owned();
        let text = match mask {
            Some(mask) => masked(&text, self.tail.is_cut, mask),
            None => text,
        };
        let text = text.trim();
        if text.is_empty() {
            return "; it wrote nothing".to_owned();
        }
        format!("; it wrote: {}", in_one_line(text))
    }
}

/// Line by line. Of a line whose beginning is not kept nobody knows what it is: it is masked whole.
fn masked(text: &str, is_cut: bool, mask: &Mask) -> String {
    let (mut block, mut stars) = (KeyBlock::default(), String::new());
    let line = |(nth, line): (usize, &str)| {
        if nth == 0 && is_cut {
            return "***".to_owned();
        }
        mask.apply(line, &mut block, &mut stars).map_or_else(|| line.to_owned(), |_| stars.clone())
    };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// The last bytes of many.
#[derive(Default)]
struct Tail {
    kept: Vec<u8>,
    /// There was more before.
    is_cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.is_cut |= self.kept.len() > HEALTH_TAIL_BYTES;
        if self.kept.len() > 2 * HEALTH_TAIL_BYTES {
            self.kept.drain(..self.kept.len() - HEALTH_TAIL_BYTES);
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.kept[self.kept.len().saturating_sub(HEALTH_TAIL_BYTES)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_the_end_is_kept_and_memory_is_bounded() {
        let mut tail = Tail::default();
        for piece in 0..1000_u32 {
            tail.push(&[b'a' + (piece % 26) as u8; 700]);
            assert!(tail.kept.len() <= 2 * HEALTH_TAIL_BYTES);
        }
        assert_eq!(tail.bytes().len(), HEALTH_TAIL_BYTES);
        assert_eq!(tail.bytes().last(), Some(&(b'a' + (999 % 26) as u8)));
        let mut short = Tail::default();
        short.push(b"one");
        assert_eq!((short.bytes(), short.is_cut, tail.is_cut), (&b"one"[..], false, true));
    }

    #[test]
    fn secrets_become_stars_and_so_does_a_line_without_its_beginning() {
        let mask = Mask::new(&["pass(?P<secret>[0-9]+)".to_owned()]).unwrap();
        let text = "tail=0123456789abcdef\nhost pass123\npostgres://me:word@host/\nplain";
        assert_eq!(masked(text, true, &mask), "***\nhost pass***\npostgres://me:***@host/\nplain");
        assert!(masked(text, false, &mask).starts_with("tail=0123456789abcdef\nhost pass***\n"));
    }
}
