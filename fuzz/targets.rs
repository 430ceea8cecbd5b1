//! What is fuzzed: any bytes are read as a story, the story is told to logpump's code and to a naive twin of it.
//! Both `cargo fuzz` and tests/fuzz.rs, which replays the corpora, run these functions; knows nothing of either.
//! Each returns how much it met, so that the replay can see that a corpus is worth something.

use std::ffi::OsStr;
use std::ops::Range;

use bytes::Bytes;
use logpump::cli::names::{self, Parts};
use logpump::lines::{Framer, Record, SkippedPiece, Taken};
use logpump::spool::entry::Entry;
use logpump::spool::record::{self, FIXED_BYTES, File, HEAD_BYTES_MAX, MAGIC};
use logpump::spool::recover::{self, Look, Next};

// ---- The framer ------------------------------------------------------------------------------

/// Text, raw bytes, line, begins, ends.
type Line = (String, u32, u64, bool, bool);

/// From so many bytes more than a message's on, a line is known to be over-long.
const LOOKAHEAD_BYTES: usize = 8;

struct Pipe {
    framer: Framer,
    ring_bytes: usize,
    message_bytes_max: usize,
    input: Vec<u8>,
    /// The first byte that is neither in a record nor passed over.
    cursor: usize,
    released: usize,
    met: usize,
}

/// The first byte is the ring, the second a message's limit. Then: a byte is a step, the next ones what it needs.
pub fn framer(story: &[u8]) -> usize {
    let [ring, message, steps @ ..] = story else { return 0 };
    let (ring_bytes, message_bytes_max) = (16 + usize::from(*ring), 4 + usize::from(*message));
    let framer = Framer::with_message_bytes_max(ring_bytes, message_bytes_max);
    let mut pipe = Pipe { framer, ring_bytes, message_bytes_max, input: Vec::new(), cursor: 0, released: 0, met: 0 };
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        let argument = usize::from(step >> 3);
        match step & 7 {
            0..=2 => pipe.put(steps.by_ref().take(1 + argument).copied()),
            3 => pipe.put(std::iter::repeat_n(*steps.next().unwrap_or(&b'x'), 1 + 8 * argument)),
            4 | 5 => pipe.frame(argument, false),
            6 => pipe.frame(usize::MAX, false),
            _ => pipe.skip(),
        }
        assert_eq!(pipe.framer.position(), pipe.cursor as u64);
        assert_eq!(pipe.framer.released(), pipe.released as u64);
        assert!(pipe.framer.held_bytes() <= message_bytes_max + LOOKAHEAD_BYTES);
    }
    pipe.frame(usize::MAX, true);
    assert_eq!((pipe.cursor, pipe.released, pipe.framer.held_bytes()), (pipe.input.len(), pipe.input.len(), 0));
    pipe.met
}

impl Pipe {
    /// What the ring has no room for never comes.
    fn put(&mut self, bytes: impl Iterator<Item = u8>) {
        let vacant = self.ring_bytes - (self.input.len() - self.released);
        self.input.extend(bytes.take(vacant));
    }

    fn line_start(&self) -> usize {
        let before = &self.input[..self.cursor];
        before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
    }

    /// The sink takes so many records and refuses the next.
    fn frame(&mut self, mut room: usize, at_end: bool) {
        let mut came: Vec<Line> = Vec::new();
        let mut refused = false;
        let sink = &mut |record: Record<'_>| {
            assert!(!refused, "a record came after one was refused");
            if room == 0 {
                refused = true;
                return Taken::No;
            }
            room -= 1;
            came.push((record.text.to_owned(), record.raw_bytes, record.line, record.begins, record.ends));
            Taken::Yes
        };
        self.released += self.framer.frame(&self.input[self.released..], at_end, sink);
        for line in came {
            assert_eq!(Some(&line), self.naive_record(at_end).as_ref());
            self.cursor += line.1 as usize;
            self.met += 1;
        }
        assert_eq!(refused, self.naive_record(at_end).is_some(), "what is left is what was refused");
        assert!(
            refused || self.input.len() - self.released < self.ring_bytes,
            "a willing sink leaves room in the ring"
        );
    }

    /// Split at '\n', cut one '\r', replace, cut: the record that begins where the last one ended.
    fn naive_record(&self, at_end: bool) -> Option<Line> {
        let pending = &self.input[self.cursor..];
        let newline = pending.iter().position(|byte| *byte == b'\n');
        let (content, raw_bytes) = match newline {
            Some(newline) => (pending[..newline].strip_suffix(b"\r").unwrap_or(&pending[..newline]), newline + 1),
            None => (pending, pending.len()),
        };
        let over_long = pending.len() >= self.message_bytes_max + LOOKAHEAD_BYTES;
        if newline.is_none() && !over_long && (!at_end || pending.is_empty()) {
            return None;
        }
        let (text, cut_at) = naive_cut(content, self.message_bytes_max);
        let ends = cut_at == content.len();
        let raw_bytes = if ends { raw_bytes } else { cut_at };
        let start = self.line_start();
        Some((text, raw_bytes as u32, start as u64, start == self.cursor, ends))
    }

    fn skip(&mut self) {
        let pending = &self.input[self.cursor..];
        let whole_lines = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let partial = &pending[whole_lines..];
        // The last two bytes stay, and what belongs to their character.
        let kept = (2..5).find(|kept| partial.iter().rev().nth(kept - 1).is_none_or(|byte| byte & 0xC0 != 0x80));
        let over_long = partial.len() >= self.message_bytes_max + LOOKAHEAD_BYTES;
        let part = if over_long { partial.len() - kept.unwrap_or(5) } else { 0 };
        let start = self.line_start();
        let newline = pending.iter().position(|byte| *byte == b'\n');
        let rest = newline.filter(|_| start < self.cursor).map_or(0, |newline| newline + 1);
        let newlines = pending.iter().filter(|byte| **byte == b'\n').count();
        let part_line = if whole_lines > 0 { self.cursor + whole_lines } else { start };
        let piece =
            |line: usize, bytes: usize| (bytes > 0).then_some(SkippedPiece { line: line as u64, bytes: bytes as u64 });

        let skipped = self.framer.skip(&self.input[self.released..]);
        let expected = ((newlines - usize::from(rest > 0)) as u64, (whole_lines - rest) as u64);
        assert_eq!((skipped.lines, skipped.line_bytes), expected);
        assert_eq!((skipped.rest, skipped.part), (piece(start, rest), piece(part_line, part)));
        self.cursor += whole_lines + part;
        self.released += skipped.released;
        self.met += newlines + usize::from(part > 0);
        assert!(self.input.len() - self.released < self.ring_bytes / 2, "it leaves half a ring");
    }
}

/// The longest text of at most so many bytes, and how many raw bytes it stands for.
fn naive_cut(raw: &[u8], text_bytes_max: usize) -> (String, usize) {
    let (mut text, mut at) = (String::new(), 0);
    while at < raw.len() {
        // The shortest beginning that is a character, else the longest that is one replacement.
        let rest = &raw[at..raw.len().min(at + 4)];
        let character = (1..=rest.len()).find_map(|end| Some((str::from_utf8(&rest[..end]).ok()?.to_owned(), end)));
        let (unit, bytes) = character.unwrap_or_else(|| {
            let is_one = |end: &usize| String::from_utf8_lossy(&rest[..*end]) == "\u{FFFD}";
            ("\u{FFFD}".to_owned(), (1..=rest.len()).rev().find(is_one).expect("one byte is one"))
        });
        if text.len() + unit.len() > text_bytes_max {
            break;
        }
        text.push_str(&unit);
        at += bytes;
    }
    (text, at)
}

// ---- Recovery of the spool -------------------------------------------------------------------

/// Whose file the bytes are taken for.
pub const FILE: File = File { run: 1, segment: 2 };

/// Bit 0 of the first byte: every head is given the place and the checks that it ought to have, as no chance ever
/// does. Its other bits: how much more than a head is looked at together. The rest is the segment.
pub fn recovery(story: &[u8]) -> usize {
    let [first, segment @ ..] = story else { return 0 };
    let mut segment = segment.to_vec();
    if first & 1 == 1 {
        sign_heads(&mut segment);
    }
    let found = recover::scan(&segment, FILE);
    let (entries, places, damaged) = naive_scan(&segment);
    assert_eq!(found.entries, entries.iter().map(|(_, index, entry)| (*index, entry.clone())).collect::<Vec<_>>());
    let mut seen_damaged = vec![false; segment.len()];
    for byte in found.damage.iter().cloned().flatten() {
        let seen = std::mem::replace(&mut seen_damaged[byte as usize], true);
        assert!(!seen, "byte {byte} is damaged twice");
    }
    assert_eq!(seen_damaged, damaged);
    let window = longest_head_bytes(&segment) + usize::from(first >> 1);
    assert_eq!(places_by_windows(&segment, window), places);
    for (at, index, entry) in &entries {
        let again = Bytes::from(record::encode(entry, FILE, *at, *index).concat());
        assert_eq!(record::encoded_bytes(entry), Ok(again.len() as u64));
        let head = record::head(&again, FILE, *at).expect("what was read can be written and read");
        assert_eq!(record::entry(&head, &again).as_ref(), Some(entry));
    }
    entries.len()
}

type Places = Vec<Range<u64>>;

/// From byte to byte: the entries with their places and indices, where records stand, and which bytes are in no entry.
fn naive_scan(segment: &[u8]) -> (Vec<(u64, u32, Entry)>, Places, Vec<bool>) {
    let (mut entries, mut places, mut damaged) = (Vec::new(), Vec::new(), vec![true; segment.len()]);
    let mut at = 0;
    while at < segment.len() {
        let Ok(head) = record::head(&segment[at..], FILE, at as u64) else {
            at += 1;
            continue;
        };
        let end = at as u64 + head.total_bytes();
        if end > segment.len() as u64 {
            at += 1;
            continue;
        }
        places.push(at as u64..end);
        if let Some(entry) = record::entry(&head, &Bytes::copy_from_slice(&segment[at..end as usize])) {
            entries.push((at as u64, head.index, entry));
            damaged[at..end as usize].fill(false);
        }
        at = end as usize;
    }
    (entries, places, damaged)
}

/// A window of so many bytes holds every head whole. The store's holds the longest that may be, as no input here is.
fn longest_head_bytes(segment: &[u8]) -> usize {
    let claimed = |head: &[u8]| {
        let bytes = if head.starts_with(&MAGIC) { head_bytes(head) } else { 0 };
        if bytes <= HEAD_BYTES_MAX { bytes } else { 0 }
    };
    segment.windows(FIXED_BYTES).map(claimed).max().unwrap_or_default().max(FIXED_BYTES)
}

/// What a head says of itself.
fn head_bytes(head: &[u8]) -> usize {
    FIXED_BYTES + [96, 98, 100, 102].map(|at| u16_at(head, at)).iter().sum::<usize>()
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u16_at(bytes, at) + (u16_at(bytes, at + 2) << 16)
}

/// As the store goes through a segment: of what it looks at, no more is in memory than `window` bytes.
fn places_by_windows(segment: &[u8], window: usize) -> Places {
    let length = segment.len() as u64;
    let (mut places, mut at, mut is_damaged) = (Vec::new(), 0, false);
    while at < length {
        let rest = &segment[at as usize..];
        let bytes = &rest[..rest.len().min(window)];
        if is_damaged {
            let next = recover::resync(bytes, FILE, at, length);
            is_damaged = matches!(next, Next::From(_));
            let (Next::Record(to) | Next::From(to)) = next;
            assert!(to > at || (to == at && !is_damaged), "it stays at {at}");
            at = to;
            continue;
        }
        match recover::look(bytes, FILE, at, length) {
            Look::Record(head) => {
                places.push(at..at + head.total_bytes());
                at += head.total_bytes();
            }
            Look::Damage(_) => (at, is_damaged) = (at + 1, true),
            Look::Short => panic!("{} bytes are too few for a head", bytes.len()),
        }
    }
    places
}

/// From the last to the first, so that a record in a payload does not spoil the check of the one around it.
fn sign_heads(segment: &mut [u8]) {
    for at in (0..segment.len().saturating_sub(FIXED_BYTES - 1)).rev() {
        let head = &mut segment[at..];
        if !head.starts_with(&MAGIC) {
            continue;
        }
        head[16..24].copy_from_slice(&FILE.run.to_le_bytes());
        head[24..28].copy_from_slice(&FILE.segment.to_le_bytes());
        head[32..40].copy_from_slice(&(at as u64).to_le_bytes());
        let head_bytes = head_bytes(head);
        let total_bytes = head_bytes + u32_at(head, 80) + 4 * u32_at(head, 84) + 13 * u32_at(head, 88);
        if total_bytes <= head.len() {
            let check = crc32c::crc32c(&head[head_bytes..total_bytes]);
            head[92..96].copy_from_slice(&check.to_le_bytes());
        }
        if head_bytes <= head.len() {
            let check = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &head[16..head_bytes]);
            head[12..16].copy_from_slice(&check.to_le_bytes());
        }
    }
}

// ---- The template of log streams' names ------------------------------------------------------

/// Line by line: the template, the host's name, the start, and a command for each child.
pub fn template(story: &[u8]) -> usize {
    const CHILDREN_MAX: usize = 8;
    let story = String::from_utf8_lossy(story);
    let mut lines = story.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (template, hostname, start) = (next(), next(), next());
    let programs: Vec<_> = lines.take(CHILDREN_MAX).map(OsStr::new).collect();
    let children = names::children(programs.iter().map(|program| (*program, None)));
    let mut distinct = children.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((distinct.len(), children.len()), (programs.len(), programs.len()));

    let filled = |child: &String| naive_fill(template, &[("name", child), ("hostname", hostname), ("start", start)]);
    let mut streams = 0;
    for child in &children {
        let expected = filled(child).filter(|name| (1..=512).contains(&name.len()));
        let named = names::stream(template, child, &Parts { hostname, start });
        streams += usize::from(named.is_ok());
        assert_eq!(named.as_ref().ok(), expected.as_ref(), "{named:?}");
    }
    streams
}

/// None: a brace is not closed, or what it holds is not known.
fn naive_fill(template: &str, known: &[(&str, &str)]) -> Option<String> {
    let mut parts = template.split('{');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = known.iter().find_map(|(key, value)| {
            let rest = part.strip_prefix(key)?.strip_prefix('}')?;
            Some((value, rest))
        })?;
        name.push_str(value);
        name.push_str(rest);
    }
    Some(
        name.chars()
            .map(|character| if character.is_control() || ":*".contains(character) { '_' } else { character })
            .collect(),
    )
}
