//! One pipe of the intake: where it stands, and what became of bytes that could not go into its ring.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use memchr::memchr_iter;
use rustix::io::Errno;

use super::pacing::Pacing;
use super::{Discarded, Source};
use crate::limits::READ_BYTES_MIN;
use crate::ring::Filler;
use crate::sys::uring::Read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Armed,
    Due(Instant),
    Stalled,
    Closed,
}

/// What a discard left in the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Empty,
    /// More, perhaps: it took as much as it may at once.
    More,
    /// Nothing, and nothing will follow.
    End,
}

pub struct Slot {
    pub name: String,
    /// None once closed.
    pub reader: Option<OwnedFd>,
    pub pipe_bytes: usize,
    pub filler: Filler,
    /// Where reads go once ship is gone and the ring is left as it is.
    pub spare: Vec<u8>,
    pub pacing: Pacing,
    pub state: State,
    pub last_read: Instant,
    /// Set when the child has ended: the pipe is closed then, even if others hold it.
    pub close_at: Option<Instant>,
    /// What may still be read after `close_at`: whoever holds the pipe may never stop writing.
    pub last_bytes: usize,
    pub discarded: Discarded,
    /// The last byte read was not a newline.
    pub within_line: bool,
    /// The first byte discarded went on with a line whose beginning is in the ring: that line counts there.
    pub discarding_within_line: bool,
}

impl Slot {
    pub fn new(source: Source, now: Instant) -> Slot {
        Slot {
            name: source.name,
            reader: Some(source.pipe.reader),
            pipe_bytes: source.pipe.bytes,
            filler: source.filler,
            spare: Vec::new(),
            pacing: Pacing::new(),
            state: State::Due(now),
            last_read: now,
            close_at: None,
            last_bytes: source.pipe.bytes,
            discarded: Discarded::default(),
            within_line: false,
            discarding_within_line: false,
        }
    }

    /// Pipes that are nearly due are read with those that are: they fall into step, and share the wake-up.
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Due(at) if at <= now + self.pacing.tick() / 4)
    }

    pub fn is_overdue(&self, now: Instant) -> bool {
        self.close_at.is_some_and(|close_at| close_at <= now)
    }

    /// There is nowhere to read to. Where ship is gone, there always is.
    pub fn is_full(&mut self) -> bool {
        self.filler.vacant().len() < READ_BYTES_MIN && !self.filler.is_abandoned()
    }

    /// The read of this pipe. Where it goes to is decided here: ship may be gone by the time it is done.
    pub fn read(&mut self, token: u32) -> Option<Read<'_>> {
        self.leave_ring_if_abandoned();
        self.filler.rewind();
        let buffer = if self.spare.is_empty() { self.filler.vacant() } else { &mut self.spare[..] };
        Some(Read { token, fd: self.reader.as_ref()?.as_fd(), buffer })
    }

    /// Not while a read is under way. Ship, if it only failed and still has its end, waits for the ring's end.
    pub fn leave_ring_if_abandoned(&mut self) {
        if self.spare.is_empty() && self.filler.is_abandoned() {
            self.spare.resize(self.pipe_bytes, 0);
            self.filler.end();
        }
    }

    pub fn take_in(&mut self, bytes: usize, wall_ms: i64) {
        if self.spare.is_empty() {
            self.within_line = bytes > 0 && self.filler.vacant()[bytes - 1] != b'\n';
            self.filler.publish(bytes, wall_ms);
        } else {
            let spare = std::mem::take(&mut self.spare);
            self.count_discarded(&spare[..bytes]);
            self.spare = spare;
        }
    }

    /// Takes what stands in the pipe out of it, counts it and lets it go. Bounded: a holder may go on writing.
    pub fn discard(&mut self) -> Found {
        let mut buffer = [0u8; 16 * 1024];
        let mut budget = 2 * self.pipe_bytes;
        while let (Some(reader), 1..) = (&self.reader, budget) {
            match rustix::io::read(reader, &mut buffer) {
                Ok(0) => return Found::End,
                Ok(count) => {
                    self.count_discarded(&buffer[..count]);
                    budget = budget.saturating_sub(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Found::Empty,
                // A pipe that cannot be read brings nothing more.
                Err(_) => return Found::End,
            }
        }
        if budget == 0 { Found::More } else { Found::End }
    }

    fn count_discarded(&mut self, bytes: &[u8]) {
        if self.discarded.bytes == 0 {
            self.discarding_within_line = self.within_line;
        }
        self.discarded.bytes += bytes.len() as u64;
        self.discarded.lines += memchr_iter(b'\n', bytes).count() as u64;
        self.within_line = bytes.last().is_some_and(|last| *last != b'\n');
    }

    /// Closes the pipe; nothing more goes into the ring.
    pub fn end(&mut self) {
        self.reader = None;
        self.state = State::Closed;
        if self.discarded.bytes > 0 {
            self.discarded.lines += u64::from(std::mem::take(&mut self.within_line));
            self.discarded.lines -= u64::from(std::mem::take(&mut self.discarding_within_line));
        }
        self.filler.end();
    }
}
