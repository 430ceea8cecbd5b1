//! A Python traceback becomes one event, with the line above it that has a level. Pure: it sees the lines one by one, and the
//! time is an argument. What is joined waits here until it is known to be whole; who packs it is another's business.

use std::time::{Duration, Instant};

use super::frame::Record;
use super::level::Level;
use crate::limits::{
    JOIN_BYTES_MIN, JOIN_KEPT_BYTES_MAX, JOIN_OPEN_MAX, JOIN_RAW_BYTES_MAX, JOIN_TAIL_LINES_MAX, JOIN_WAIT,
    MESSAGE_BYTES_MAX,
};

const TRACEBACK: &str = "Traceback (most recent call last):";
/// Behind its indentation.
const GROUP: &str = "+ Exception Group Traceback (most recent call last):";
/// What stands between two exceptions of a chain, with a blank line before and behind it.
const CHAINS: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];
/// So many blank lines in a row may stand inside a traceback.
const BLANKS_MAX: u64 = 2;

/// Where in an event the next line would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind a line with a level.
    Header,
    /// Among the indented lines of a traceback.
    Frames,
    /// The same in an exception group, where all is indented.
    Group,
    /// Behind the exception's line: the rest of its message and notes may follow, and then another exception.
    Told,
    /// Behind the line that says so.
    Chained,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate(Way);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It goes on with what waits.
    Join(Place),
    /// It may be joined to what waits once something follows it.
    Blank,
    /// It begins an event, and waits.
    Begin(Place),
    /// It is an event by itself.
    Alone,
}

impl Fate {
    pub fn joins(self) -> bool {
        matches!(self.0, Way::Join(_) | Way::Blank)
    }

    pub fn begins(self) -> bool {
        matches!(self.0, Way::Begin(_))
    }
}

/// What waits, as an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined<'a> {
    pub record: Record<'a>,
    pub lines: u32,
    /// When its first line was read.
    pub read_ms: i64,
}

/// Lines, and the pipe bytes that they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub lines: u64,
    pub bytes: u64,
}

/// When a line was read, and when it is seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub read_ms: i64,
    pub now: Instant,
}

/// The joining of one stream's lines.
pub struct Joiner {
    bytes_max: usize,
    /// Empty: nothing waits.
    text: String,
    place: Place,
    line: u64,
    raw_bytes: u32,
    lines: u32,
    /// Lines since the exception's.
    tail: u32,
    /// Blank lines behind it: they belong to it if something follows.
    blanks: Held,
    first_read_ms: i64,
    last_read_ms: i64,
    /// When its first and its last line were seen.
    began: Option<Instant>,
    seen: Option<Instant>,
    /// Nothing more is joined to it.
    sealed: bool,
}

impl Joiner {
    pub fn new() -> Joiner {
        Joiner {
            bytes_max: MESSAGE_BYTES_MAX,
            text: String::new(),
            place: Place::Header,
            line: 0,
            raw_bytes: 0,
            lines: 0,
            tail: 0,
            blanks: Held::default(),
            first_read_ms: 0,
            last_read_ms: 0,
            began: None,
            seen: None,
            sealed: false,
        }
    }

    /// From now on no event of several lines is longer than this: what does not fit begins another.
    pub fn limit(&mut self, bytes: usize) {
        self.bytes_max = bytes.clamp(JOIN_BYTES_MIN, MESSAGE_BYTES_MAX);
    }

    /// What becomes of `record`, of which `text` is to be sent. Changes nothing.
    pub fn fate(&self, record: &Record<'_>, text: &str, read_ms: i64) -> Fate {
        let whole = record.begins && record.ends;
        if !whole || text.len() > self.bytes_max {
            return Fate(Way::Alone);
        }
        let open = self.is_waiting() && !self.sealed && read_ms - self.last_read_ms < JOIN_WAIT.as_millis() as i64;
        if text.is_empty() {
            let may_follow = open
                && matches!(self.place, Place::Told | Place::Chained)
                && self.blanks.lines < BLANKS_MAX
                && self.fits(record, text);
            return Fate(if may_follow { Way::Blank } else { Way::Alone });
        }
        if let Some(place) = header(record.text) {
            return Fate(Way::Begin(place));
        }
        match self.after(record.text).filter(|_| open) {
            Some(place) if self.fits(record, text) => Fate(Way::Join(place)),
            // It goes on in another event.
            Some(place) => Fate(Way::Begin(place)),
            None => Fate(opening(record.text).map_or(Way::Alone, Way::Begin)),
        }
    }

    /// Takes a record whose fate it is to be joined.
    pub fn join(&mut self, fate: Fate, record: &Record<'_>, text: &str, seen: Seen) {
        assert!(self.is_waiting(), "a line is joined to nothing");
        match fate.0 {
            Way::Blank => {
                self.blanks.lines += 1;
                self.blanks.bytes += u64::from(record.raw_bytes);
            }
            Way::Join(place) => {
                let blanks = std::mem::take(&mut self.blanks);
                self.tail = if self.place == Place::Told && place == Place::Told { self.tail + 1 } else { 0 };
                self.reserve(blanks.lines as usize + 1 + text.len());
                (0..=blanks.lines).for_each(|_| self.text.push('\n'));
                self.text.push_str(text);
                self.lines += 1 + blanks.lines as u32;
                self.raw_bytes += record.raw_bytes + blanks.bytes as u32;
                self.place = place;
            }
            Way::Begin(_) | Way::Alone => panic!("it is not this line's fate to be joined"),
        }
        (self.last_read_ms, self.seen) = (seen.read_ms, Some(seen.now));
    }

    /// Takes a record whose fate it is to begin an event.
    pub fn begin(&mut self, fate: Fate, record: &Record<'_>, text: &str, seen: Seen) {
        assert!(!self.is_waiting() && !text.is_empty(), "another event waits, or the line is blank");
        let Way::Begin(place) = fate.0 else { panic!("it is not this line's fate to begin an event") };
        self.reserve(text.len());
        self.text.push_str(text);
        (self.line, self.raw_bytes, self.lines, self.tail, self.place) = (record.line, record.raw_bytes, 1, 0, place);
        (self.first_read_ms, self.last_read_ms) = (seen.read_ms, seen.read_ms);
        (self.began, self.seen, self.sealed) = (Some(seen.now), Some(seen.now), false);
    }

    pub fn is_waiting(&self) -> bool {
        self.lines > 0
    }

    /// What waits is not waited for any longer.
    pub fn is_over(&self, now: Instant, wall_ms: i64) -> bool {
        let silent = |since: Option<Instant>, bound: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= bound)
        };
        self.sealed
            || silent(self.seen, JOIN_WAIT)
            || silent(self.began, JOIN_OPEN_MAX)
            || wall_ms - self.last_read_ms >= JOIN_WAIT.as_millis() as i64
    }

    /// A line that is none of its own follows, or some are missing: nothing more is joined to what waits.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    pub fn waiting(&self) -> Option<Joined<'_>> {
        let record = Record { text: &self.text, raw_bytes: self.raw_bytes, line: self.line, begins: true, ends: true };
        self.is_waiting().then_some(Joined { record, lines: self.lines, read_ms: self.first_read_ms })
    }

    /// What waited is packed. Returns the blank lines behind it, which are no part of it.
    pub fn clear(&mut self) -> Held {
        self.text.clear();
        if self.text.capacity() > JOIN_KEPT_BYTES_MAX {
            self.text = String::new();
        }
        (self.lines, self.raw_bytes) = (0, 0);
        std::mem::take(&mut self.blanks)
    }

    /// Lines and bytes that wait.
    pub fn held(&self) -> Held {
        let Held { lines, bytes } = self.blanks;
        Held { lines: u64::from(self.lines) + lines, bytes: u64::from(self.raw_bytes) + bytes }
    }

    /// What they take of memory.
    pub fn allocated_bytes(&self) -> usize {
        self.text.capacity()
    }

    fn fits(&self, record: &Record<'_>, text: &str) -> bool {
        let text_bytes = self.text.len() + self.blanks.lines as usize + 1 + text.len();
        let raw_bytes = u64::from(self.raw_bytes) + self.blanks.bytes + u64::from(record.raw_bytes);
        text_bytes <= self.bytes_max && raw_bytes <= JOIN_RAW_BYTES_MAX
    }

    /// Doubling, but not past the bound.
    fn reserve(&mut self, more: usize) {
        let needed = self.text.len() + more;
        if needed > self.text.capacity() {
            let wanted = needed.max((2 * self.text.capacity()).min(self.bytes_max));
            self.text.reserve_exact(wanted - self.text.len());
        }
    }

    /// Where a line without a level, which is not blank, leaves what waits. None: it does not belong to it.
    fn after(&self, line: &str) -> Option<Place> {
        let indented = line.starts_with([' ', '\t']);
        match self.place {
            Place::Header | Place::Chained => opening(line),
            Place::Frames if indented => Some(Place::Frames),
            Place::Group if indented => Some(Place::Group),
            Place::Frames if opening(line).is_some() => None,
            Place::Frames => Some(Place::Told),
            Place::Group | Place::Told if CHAINS.contains(&line.trim_end()) => Some(Place::Chained),
            Place::Group => None,
            Place::Told if opening(line).is_some() || self.tail >= JOIN_TAIL_LINES_MAX => None,
            Place::Told => Some(Place::Told),
        }
    }
}

/// Where a line with a level leaves the event that begins with it.
fn header(line: &str) -> Option<Place> {
    Level::of_line(line.as_bytes())?;
    Some(if line.trim_end().ends_with(TRACEBACK) { Place::Frames } else { Place::Header })
}

/// The first line of a traceback.
fn opening(line: &str) -> Option<Place> {
    if line.trim_end() == TRACEBACK {
        Some(Place::Frames)
    } else {
        line.trim_start().starts_with(GROUP).then_some(Place::Group)
    }
}

impl Default for Joiner {
    fn default() -> Joiner {
        Joiner::new()
    }
}

#[cfg(test)]
mod tests;
