//! Frames a pipe's bytes into lines, and cuts lines that are too long for one log event.
//! Knows nothing of levels, dates, batches or the ring: it sees bytes, and says how many it needs no longer.

mod skip;

use memchr::{memchr, memchr_iter, memrchr};

use super::text::{self, CHARACTER_BYTES_MAX};
use crate::limits::MESSAGE_BYTES_MAX;
pub use skip::{Skipped, SkippedPiece};

/// So much is validated and framed at a time: it stays in the first-level cache from the newline scan to the encoder.
const BLOCK_BYTES: usize = 32 * 1024;
/// A line is known to be over-long when so many more bytes than a message holds are there: the text cannot shrink
/// below its raw bytes, one of them may be a '\r' that is cut, and the last character may be unfinished.
const LOOKAHEAD_BYTES: usize = 8;
/// A dirty line's text that is larger than this is freed after the visit that needed it.
const KEPT_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(LOOKAHEAD_BYTES > CHARACTER_BYTES_MAX + 1);

/// One framed line, or one piece of a line longer than `MESSAGE_BYTES_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The message: valid UTF-8, without the newline and without one '\r' before it. Empty for a blank line.
    pub text: &'a str,
    /// The pipe bytes it stands for, newline and '\r' included. All pieces of a line add up to the line.
    pub raw_bytes: u32,
    /// Stream position of the line's first byte: its date and its identity.
    pub line: u64,
    /// With `ends`: a whole line.
    pub begins: bool,
    pub ends: bool,
}

/// What the sink did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// The sink has no room. The record stays and comes again at the next call.
    No,
}

/// What follows the bytes at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// They end with their newline.
    Newline,
    /// They end with the stream, without a newline.
    Stream,
    /// More of the line. They are enough to know that it is over-long.
    More,
}

/// How far a step came.
struct Step {
    released: usize,
    /// The sink refused, or the rest needs bytes that have not come yet.
    stop: bool,
}

impl Step {
    fn on(released: usize) -> Step {
        Step { released, stop: false }
    }

    fn stop(released: usize) -> Step {
        Step { released, stop: true }
    }
}

/// The framing of one stream.
///
/// A byte is in the ring, or held, or in a taken record, or skipped: stream position of the first held byte
/// `= released - held.len()`, and everything before it is in records or skipped.
pub struct Framer {
    message_bytes_max: usize,
    /// A partial line of so many bytes leaves the ring.
    partial_bytes_max: usize,
    /// At most `message_bytes_max`, so that a clean line inside a block never needs a cut.
    block_bytes: usize,
    /// Stream position of the first byte of the next call.
    released: u64,
    /// So many bytes from `released` on hold no newline: they are not scanned again.
    scanned: usize,
    /// Stream position of the current line. Kept while the line is held or cut.
    line: u64,
    /// A piece of the current line was taken, or skipped: the next one does not begin it.
    cut: bool,
    /// The rest of a line that left the ring, at most `message_bytes_max + LOOKAHEAD_BYTES`; a newline only at its end.
    held: Vec<u8>,
    /// So much of a partial line counts as over-long, once it has left the ring.
    held_bytes_max: usize,
    /// The text of a dirty line.
    scratch: String,
}

impl Framer {
    /// For a ring of `ring_bytes`: a partial line leaves it when it fills half of it.
    pub fn new(ring_bytes: usize) -> Framer {
        Framer::with_message_bytes_max(ring_bytes, MESSAGE_BYTES_MAX)
    }

    /// With a smaller limit, so that tests need no lines of a megabyte. At least four bytes: the longest character.
    pub fn with_message_bytes_max(ring_bytes: usize, message_bytes_max: usize) -> Framer {
        assert!(ring_bytes >= 2, "a ring of {ring_bytes} bytes has no half that a partial line could fill");
        assert!(
            message_bytes_max >= CHARACTER_BYTES_MAX,
            "messages of at most {message_bytes_max} bytes cannot hold every character"
        );
        Framer {
            message_bytes_max,
            partial_bytes_max: ring_bytes / 2,
            block_bytes: BLOCK_BYTES.min(message_bytes_max),
            released: 0,
            scanned: 0,
            line: 0,
            cut: false,
            held: Vec::new(),
            held_bytes_max: message_bytes_max + LOOKAHEAD_BYTES,
            scratch: String::new(),
        }
    }

    /// Frames `occupied`, which begins where the last call's returned count ended: bytes not released come again.
    /// `at_end`: no more bytes will ever follow, so an unterminated rest becomes a record too.
    /// Returns how many bytes of `occupied` may be released now.
    pub fn frame(&mut self, occupied: &[u8], at_end: bool, sink: &mut impl FnMut(Record<'_>) -> Taken) -> usize {
        assert!(
            self.scanned <= occupied.len(),
            "{} bytes come where {} were seen before: the caller released more than it was told",
            occupied.len(),
            self.scanned
        );
        let mut released = 0;
        // Bounded: a step that does not stop takes a record or moves bytes out of `occupied`.
        loop {
            let rest = &occupied[released..];
            let step = if self.held.is_empty() {
                self.frame_ring(rest, at_end, sink)
            } else {
                self.frame_held(rest, at_end, sink)
            };
            released += step.released;
            if step.stop {
                break;
            }
        }
        if self.scratch.capacity() > KEPT_BYTES_MAX {
            self.scratch = String::new();
        }
        released
    }

    /// Bytes held outside the ring (the assembly buffer), not yet in any record.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// What the assembly buffer takes of memory.
    pub fn allocated_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// From now on the assembly buffer takes no more than this, but always what left the ring at once: a line that needs
    /// more is cut as if it were over-long.
    pub fn limit_held(&mut self, bytes: usize) {
        let least = self.partial_bytes_max.max(LOOKAHEAD_BYTES + CHARACTER_BYTES_MAX);
        self.held_bytes_max = bytes.max(least).min(self.message_bytes_max + LOOKAHEAD_BYTES);
    }

    /// Stream position up to which bytes were released: the sum of all returned counts.
    pub fn released(&self) -> u64 {
        self.released
    }

    /// `rest` begins with a line, or with what is left of one that was cut.
    fn frame_ring(&mut self, rest: &[u8], at_end: bool, sink: &mut impl FnMut(Record<'_>) -> Taken) -> Step {
        if rest.is_empty() {
            return Step::stop(0);
        }
        if !self.cut {
            self.line = self.released;
            let window = &rest[..rest.len().min(self.block_bytes)];
            let unseen = self.scanned.min(window.len());
            if let Some(last) = memrchr(b'\n', &window[unseen..]) {
                return self.frame_block(&window[..=unseen + last], sink);
            }
            self.scanned = self.scanned.max(window.len());
        }

        let (raw, end) = match memchr(b'\n', &rest[self.scanned..]) {
            Some(newline) => {
                self.scanned += newline;
                (&rest[..=self.scanned], End::Newline)
            }
            None => {
                self.scanned = rest.len();
                if at_end {
                    (rest, End::Stream)
                } else if rest.len() >= self.message_bytes_max + LOOKAHEAD_BYTES {
                    (rest, End::More)
                } else if rest.len() >= self.partial_bytes_max {
                    self.hold(rest);
                    return Step::on(rest.len());
                } else {
                    return Step::stop(0);
                }
            }
        };
        match self.offer(raw, end, sink) {
            Some(taken) => {
                self.advance(taken);
                Step::on(taken)
            }
            None => Step::stop(0),
        }
    }

    /// Whole lines: `block` ends with a newline, begins with a line's first byte and is no longer than a message.
    fn frame_block(&mut self, block: &[u8], sink: &mut impl FnMut(Record<'_>) -> Taken) -> Step {
        let Ok(text) = simdutf8::basic::from_utf8(block) else {
            return self.frame_dirty_block(block, sink);
        };
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            let carriage_return = newline > start && block[newline - 1] == b'\r';
            let record = Record {
                text: &text[start..newline - usize::from(carriage_return)],
                raw_bytes: (newline + 1 - start) as u32,
                line: self.released + start as u64,
                begins: true,
                ends: true,
            };
            if sink(record) == Taken::No {
                self.advance(start);
                self.scanned = newline - start;
                return Step::stop(start);
            }
            start = newline + 1;
        }
        self.advance(block.len());
        Step::on(block.len())
    }

    /// As `frame_block`, line by line: some byte of the block is not UTF-8.
    #[cold]
    fn frame_dirty_block(&mut self, block: &[u8], sink: &mut impl FnMut(Record<'_>) -> Taken) -> Step {
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            self.line = self.released + start as u64;
            // More than once only where replacements made the line too long.
            while start <= newline {
                let Some(taken) = self.offer(&block[start..=newline], End::Newline, sink) else {
                    self.advance(start);
                    self.scanned = newline - start;
                    return Step::stop(start);
                };
                start += taken;
            }
        }
        self.advance(block.len());
        Step::on(block.len())
    }

    /// The current line's beginning is held: `rest` goes on with it.
    fn frame_held(&mut self, rest: &[u8], at_end: bool, sink: &mut impl FnMut(Record<'_>) -> Taken) -> Step {
        let held_bytes_max = self.held_bytes_max;
        let mut moved = 0;
        if self.held.last() != Some(&b'\n') {
            let window = &rest[..rest.len().min(held_bytes_max.saturating_sub(self.held.len()))];
            moved = memchr(b'\n', window).map_or(window.len(), |newline| newline + 1);
            self.hold(&window[..moved]);
        }
        let end = if self.held.last() == Some(&b'\n') {
            End::Newline
        } else if at_end && moved == rest.len() {
            End::Stream
        } else if self.held.len() >= held_bytes_max {
            End::More
        } else {
            return Step::stop(moved);
        };

        let mut held = std::mem::take(&mut self.held);
        let taken = self.offer(&held, end, sink);
        held.drain(..taken.unwrap_or(0));
        // Freed after the line, or many streams would keep one each.
        if !held.is_empty() {
            held.shrink_to(self.held_bytes_max);
            self.held = held;
        }
        Step { released: moved, stop: taken.is_none() }
    }

    /// Offers the record that `raw` begins with: all of it, or as much as a message holds.
    /// Returns how many raw bytes the sink took, or None if it had no room.
    fn offer(&mut self, raw: &[u8], end: End, sink: &mut impl FnMut(Record<'_>) -> Taken) -> Option<usize> {
        let content = match end {
            End::Newline => {
                let line = &raw[..raw.len() - 1];
                line.strip_suffix(b"\r").unwrap_or(line)
            }
            End::Stream | End::More => raw,
        };
        let text_bytes_max = match end {
            // Of what may go on, the last character may still change, and a '\r' become a part of its newline.
            End::More => self.message_bytes_max.min(raw.len() - LOOKAHEAD_BYTES),
            End::Newline | End::Stream => self.message_bytes_max,
        };
        let cut = text::cut(content, text_bytes_max, &mut self.scratch);
        let ends = cut.raw_bytes == content.len();
        assert!(!ends || end != End::More, "a line was offered as over-long, but all of it fits one message");
        let raw_bytes = if ends { raw.len() } else { cut.raw_bytes };
        let record = Record { text: cut.text, raw_bytes: raw_bytes as u32, line: self.line, begins: !self.cut, ends };
        if sink(record) == Taken::No {
            return None;
        }
        self.cut = !ends;
        Some(raw_bytes)
    }

    /// Moves the ring's next bytes to the assembly buffer.
    fn hold(&mut self, bytes: &[u8]) {
        let held_bytes_max = self.message_bytes_max + LOOKAHEAD_BYTES;
        let needed = self.held.len() + bytes.len();
        assert!(needed <= held_bytes_max, "{needed} bytes of one line are to be held: more than {held_bytes_max}");
        if needed > self.held.capacity() {
            // Doubling, but not past the bound: Vec would round a megabyte up to two.
            let wanted = needed.max((2 * self.held.capacity()).min(self.held_bytes_max));
            self.held.reserve_exact(wanted - self.held.len());
        }
        self.held.extend_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// The ring may release so many bytes more.
    fn advance(&mut self, bytes: usize) {
        self.released += bytes as u64;
        self.scanned = self.scanned.saturating_sub(bytes);
    }
}
