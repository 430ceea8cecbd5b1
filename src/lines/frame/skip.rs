//! Passing over what stands in a full ring: lines are counted, and neither validated nor cut.
//! What goes are whole lines. A partial line stays as long as one message could hold it; of one that is longer, what is
//! there goes as a piece, as if it had been taken.

use memchr::{memchr, memchr_iter, memrchr};

use super::{Framer, LOOKAHEAD_BYTES};

/// So many last bytes of an over-long line are never passed over: with a '\r' cut, its last piece is not empty.
const KEPT_TAIL_BYTES: usize = 2;
/// With the rest of a character that they begin in.
const KEPT_TAIL_BYTES_MAX: usize = KEPT_TAIL_BYTES + 3;

const _: () = assert!(KEPT_TAIL_BYTES_MAX <= LOOKAHEAD_BYTES);

/// What was passed over. In the stream it stands in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many bytes of `occupied` may be released now. Some of them may be held, and not skipped.
    pub released: usize,
    /// The rest of a line of which pieces were taken, or skipped, before.
    pub rest: Option<SkippedPiece>,
    /// Whole lines, and their bytes: newlines, and what was held of the first, included.
    pub lines: u64,
    pub line_bytes: u64,
    /// What was there of a line that no message can hold, and that has not ended yet.
    pub part: Option<SkippedPiece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedPiece {
    /// Stream position of the line's first byte.
    pub line: u64,
    pub bytes: u64,
}

impl Framer {
    /// Passes over the lines of `occupied`, which is as `frame` would get it now. What it leaves of it is less than half
    /// a ring.
    pub fn skip(&mut self, occupied: &[u8]) -> Skipped {
        assert!(self.scanned <= occupied.len(), "the caller released more than it was told");
        let mut skipped = Skipped::default();
        if self.cut || !self.held.is_empty() {
            let Some(end) = self.current_line_end(occupied) else {
                self.skip_partial(occupied, &mut skipped);
                return skipped;
            };
            let bytes = (self.held.len() + end) as u64;
            if std::mem::take(&mut self.cut) {
                skipped.rest = Some(SkippedPiece { line: self.line, bytes });
            } else {
                (skipped.lines, skipped.line_bytes) = (1, bytes);
            }
            self.forget_held();
            self.pass(end, &mut skipped);
        }
        let rest = &occupied[skipped.released..];
        if let Some(last) = memrchr(b'\n', &rest[self.scanned..]) {
            let lines = &rest[..=self.scanned + last];
            skipped.lines += memchr_iter(b'\n', &lines[self.scanned..]).count() as u64;
            skipped.line_bytes += lines.len() as u64;
            self.pass(lines.len(), &mut skipped);
        }
        self.skip_partial(&occupied[skipped.released..], &mut skipped);
        skipped
    }

    /// Stream position of the first byte that is neither in a taken record nor skipped.
    pub fn position(&self) -> u64 {
        self.released - self.held.len() as u64
    }

    /// How many bytes of `occupied` the current line still has, if its end is there.
    fn current_line_end(&self, occupied: &[u8]) -> Option<usize> {
        if self.held.last() == Some(&b'\n') {
            return Some(0);
        }
        memchr(b'\n', &occupied[self.scanned..]).map(|newline| self.scanned + newline + 1)
    }

    /// `rest`, and what is held, is one line without its end.
    fn skip_partial(&mut self, rest: &[u8], skipped: &mut Skipped) {
        if !self.cut && self.held.is_empty() {
            self.line = self.released;
        }
        self.scanned = rest.len();
        let bytes = self.held.len() + rest.len();
        if bytes < self.held_bytes_max {
            if rest.len() >= self.partial_bytes_max {
                self.hold(rest);
                skipped.released += rest.len();
            }
            return;
        }
        let kept = kept_tail_bytes(&self.held, rest);
        skipped.part = Some(SkippedPiece { line: self.line, bytes: (bytes - kept) as u64 });
        self.cut = true;
        if kept <= rest.len() {
            self.forget_held();
            self.pass(rest.len() - kept, skipped);
        } else {
            self.held.drain(..bytes - kept);
        }
    }

    fn pass(&mut self, bytes: usize, skipped: &mut Skipped) {
        self.advance(bytes);
        skipped.released += bytes;
    }

    fn forget_held(&mut self) {
        self.held = Vec::new();
    }
}

/// So many last bytes of `held` and `rest` stay: they begin with a character, if they are text.
fn kept_tail_bytes(held: &[u8], rest: &[u8]) -> usize {
    let is_continuation = |from_end: &usize| {
        let byte = rest.iter().rev().chain(held.iter().rev()).nth(from_end - 1);
        byte.is_some_and(|byte| byte & 0xC0 == 0x80)
    };
    (KEPT_TAIL_BYTES..KEPT_TAIL_BYTES_MAX).find(|kept| !is_continuation(kept)).unwrap_or(KEPT_TAIL_BYTES_MAX)
}
