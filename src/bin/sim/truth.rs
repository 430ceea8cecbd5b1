//! What really happened to one log stream's events: what was written, and what the service and logpump made of each.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use logpump::ledger::{Count, End};

use crate::text::{self, Piece};

/// One event that is expected in the stream, at most once but for counted duplicates.
#[derive(Debug, Clone)]
pub struct Event {
    pub raw_bytes: u32,
    pub text_bytes: u32,
    /// The service refuses any call that has it.
    pub poisoned: bool,
    /// The body that it was last sent in, by hash; 0 before.
    pub body: u64,
    /// That one was called invalid: a part of it may be sent instead.
    pub refused: bool,
    /// It was called invalid though no event in its body was: a wrong name.
    pub wronged: bool,
    pub timestamp_ms: i64,
    pub flying: bool,
    /// An answer for it was lost in this run of logpump.
    pub maybe_stored: bool,
    /// How often the service may have it beyond the first time.
    pub may_double: u32,
    /// What logpump was told of its end.
    pub end: Option<End>,
    /// How often the service stored it, and its place in the order of all that it stored.
    pub stored: u32,
    pub first_stored: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub events: u32,
    pub raw_bytes: u32,
    /// The run of logpump whose child wrote it.
    pub run: u32,
}

#[derive(Default)]
pub struct Truth {
    pub lines: Vec<Line>,
    pub events: Vec<Event>,
    by_text: HashMap<u64, u32, BuildHasherDefault<Given>>,
}

impl Truth {
    /// A whole line, with its newline.
    pub fn wrote(&mut self, raw: &[u8], run: u32, poisoned: bool) {
        let before = self.events.len();
        text::pieces(raw, &mut |Piece { hash, text_bytes, raw_bytes }| {
            let index = self.events.len() as u32;
            let text_bytes = text_bytes as u32;
            let twin = self.by_text.insert(hash, index);
            assert!(twin.is_none(), "the simulation wrote the same text twice, or two texts have one hash");
            self.events.push(Event {
                raw_bytes,
                text_bytes,
                poisoned,
                body: 0,
                refused: false,
                wronged: false,
                timestamp_ms: 0,
                flying: false,
                maybe_stored: false,
                may_double: 0,
                end: None,
                stored: 0,
                first_stored: 0,
            });
        });
        let events = (self.events.len() - before) as u32;
        self.lines.push(Line { events, raw_bytes: raw.len() as u32, run });
    }

    /// The child was killed when all but the first `lines` were unwritten, and of the next one only `partial` written.
    pub fn cut(&mut self, lines: usize, partial: &[u8]) {
        if lines == self.lines.len() {
            return;
        }
        let first: usize = self.lines[..lines].iter().map(|line| line.events as usize).sum();
        let mut end: usize = first;
        text::pieces(partial, &mut |piece| {
            let event = &mut self.events[end];
            if (event.raw_bytes, event.text_bytes) != (piece.raw_bytes, piece.text_bytes as u32) {
                (event.raw_bytes, event.text_bytes) = (piece.raw_bytes, piece.text_bytes as u32);
                self.by_text.insert(piece.hash, end as u32);
            }
            end += 1;
        });
        self.events.truncate(end);
        let line = Line { events: (end - first) as u32, raw_bytes: partial.len() as u32, ..self.lines[lines] };
        self.lines.truncate(lines);
        if !partial.is_empty() {
            self.lines.push(line);
        }
    }

    pub fn find(&self, message: &[u8]) -> Option<u32> {
        self.by_text.get(&text::hash(message)).copied()
    }

    /// What the ledger should say of the lines that a run's child wrote, by end: `left` for those that have none.
    pub fn ended(&self, run: u32, left: End) -> Vec<(End, Count)> {
        let mut counts: Vec<_> = End::ALL.iter().map(|end| (*end, Count::default())).collect();
        let mut events = self.events.iter();
        for line in &self.lines {
            let mut worst = End::Delivered;
            for event in events.by_ref().take(line.events as usize) {
                let end = event.end.unwrap_or(left);
                worst = worst.max(end);
                if line.run == run {
                    counts[end as usize].1 += Count::new(0, u64::from(event.raw_bytes));
                }
            }
            if line.run == run {
                match line.events {
                    0 => counts[End::Blank as usize].1 += Count::new(1, u64::from(line.raw_bytes)),
                    _ => counts[worst as usize].1 += Count::new(1, 0),
                }
            }
        }
        counts
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
