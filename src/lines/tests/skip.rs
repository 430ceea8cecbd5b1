//! Lines passed over: by hand, and any bytes in any chunks between any calls against a naive twin.

use super::*;
use crate::lines::{Skipped, SkippedPiece};
use proptest::prelude::*;

const MESSAGE: usize = 8;
/// From so many bytes on a line is known to be over-long.
const OVER_LONG: usize = MESSAGE + 8;

fn piece(line: u64, bytes: u64) -> Option<SkippedPiece> {
    Some(SkippedPiece { line, bytes })
}

#[test]
fn whole_lines_are_passed_over_and_a_partial_one_stays() {
    let mut framer = Framer::new(1024);
    let skipped = framer.skip(b"a\nbc\r\n\npart");
    assert_eq!(skipped, Skipped { released: 7, lines: 3, line_bytes: 7, ..Skipped::default() });
    assert_eq!(framer.skip(b"part"), Skipped::default());
    let mut records = Vec::new();
    assert_eq!(frame_into(&mut records, &mut framer, b"partial\n", false), 8);
    assert_eq!(records, [whole("partial", 8, 7)]);
}

#[test]
fn the_rest_of_a_cut_line_is_passed_over_as_its_last_piece() {
    let mut framer = Framer::with_message_bytes_max(1024, MESSAGE);
    let mut records = Vec::new();
    assert_eq!(frame_into(&mut records, &mut framer, b"0123456789abcdefgh", false), 8);
    let skipped = framer.skip(b"89abcdefgh\nx\n");
    assert_eq!(skipped, Skipped { released: 13, rest: piece(0, 11), lines: 1, line_bytes: 2, part: None });
    frame_into(&mut records, &mut framer, b"y\n", false);
    assert_eq!(records, [("01234567".to_owned(), 8, 0, true, false), whole("y", 2, 21)]);
}

#[test]
fn of_a_line_that_no_message_can_hold_what_is_there_is_passed_over_but_for_its_last_character() {
    let mut framer = Framer::with_message_bytes_max(1024, MESSAGE);
    let skipped = framer.skip("x\n0123456789abcde€".as_bytes());
    assert_eq!(skipped, Skipped { released: 17, lines: 1, line_bytes: 2, part: piece(2, 15), ..Skipped::default() });
    assert_eq!(framer.position(), 17);
    let mut records = Vec::new();
    frame_into(&mut records, &mut framer, "€\r\n".as_bytes(), false);
    assert_eq!(records, [("€".to_owned(), 5, 2, false, true)]);
}

#[test]
fn a_line_in_the_assembly_buffer_goes_with_its_end_and_stays_without() {
    let mut framer = Framer::with_message_bytes_max(16, 1024);
    assert_eq!(framer.skip(b"x\n0123456789").released, 12);
    assert_eq!((framer.held_bytes(), framer.position()), (10, 2));
    // Still no end, and too little to hold.
    assert_eq!(framer.skip(b"ab"), Skipped::default());
    let skipped = framer.skip(b"ab\ny\nz");
    assert_eq!(skipped, Skipped { released: 5, lines: 2, line_bytes: 15, ..Skipped::default() });
    assert_eq!((framer.held_bytes(), framer.position()), (0, 17));
}

#[test]
fn a_full_assembly_buffer_keeps_the_end_of_what_it_holds() {
    let mut framer = Framer::with_message_bytes_max(16, MESSAGE);
    let none = &mut |_: Record<'_>| Taken::No;
    assert_eq!(framer.frame(b"0123456789", false, none), 10);
    assert_eq!(framer.frame(b"abcde\xE2\x82\xAC", false, none), 6);
    let skipped = framer.skip(b"\x82\xAC");
    // The '€' begins in the buffer.
    assert_eq!(skipped, Skipped { part: piece(0, 15), ..Skipped::default() });
    let mut records = Vec::new();
    frame_into(&mut records, &mut framer, b"\x82\xAC!\n", false);
    assert_eq!(records, [("€!".to_owned(), 5, 0, false, true)]);
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>),
    /// The sink takes so many records, and refuses the next.
    Frame(usize),
    Skip,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let symbol = prop_oneof![
        8 => prop::sample::select(&["a", "bc", "def", "\n", "\r\n", "\r", "é", "€", "😀"][..]).prop_map(|s| s.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => (0..40usize).prop_map(|length| b"x".repeat(length)),
    ];
    prop::collection::vec(symbol, 0..8).prop_map(|symbols| symbols.concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => bytes().prop_map(Step::Put), 2 => (0..6usize).prop_map(Step::Frame), 2 => Just(Step::Skip)]
}

struct World {
    framer: Framer,
    ring_bytes: usize,
    input: Vec<u8>,
    /// The first byte that is neither in a record nor passed over.
    cursor: usize,
    released: usize,
    lines_seen: u64,
}

impl World {
    fn line_start(&self, at: usize) -> usize {
        self.input[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
    }

    fn frame(&mut self, mut records: usize, at_end: bool) {
        let occupied = self.input[self.released..].to_vec();
        let mut taken = Vec::new();
        let released = self.framer.frame(&occupied, at_end, &mut |record| {
            if records == 0 {
                return Taken::No;
            }
            records -= 1;
            taken.push(seen(record));
            Taken::Yes
        });
        self.released += released;
        for (text, raw_bytes, line, begins, ends) in taken {
            let raw = &self.input[self.cursor..self.cursor + raw_bytes as usize];
            let ended = raw.ends_with(b"\n");
            assert_eq!(ends, ended || (at_end && self.cursor + raw.len() == self.input.len()));
            let content = raw.strip_suffix(b"\n").map_or(raw, |line| line.strip_suffix(b"\r").unwrap_or(line));
            assert!(!content.is_empty() || (begins && ended), "only a whole line is blank");
            assert_eq!(text, String::from_utf8_lossy(content));
            let start = self.line_start(self.cursor);
            assert_eq!((line, begins), (start as u64, start == self.cursor));
            self.cursor += raw.len();
            self.lines_seen += u64::from(ends);
        }
    }

    fn skip(&mut self) {
        let pending = &self.input[self.cursor..];
        let whole_lines = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let partial = &pending[whole_lines..];
        let kept = (2..5).find(|kept| partial.iter().rev().nth(kept - 1).is_none_or(|byte| byte & 0xC0 != 0x80));
        let part = if partial.len() < OVER_LONG { 0 } else { partial.len() - kept.unwrap_or(5) };
        let start = self.line_start(self.cursor);
        let rest = if start < self.cursor { pending.iter().position(|byte| *byte == b'\n') } else { None };
        let rest = rest.map_or(0, |newline| newline + 1);
        let newlines = pending.iter().filter(|byte| **byte == b'\n').count() as u64;
        let lines = newlines - u64::from(rest > 0);
        let part_line = self.line_start(self.cursor + whole_lines);

        let skipped = self.framer.skip(&self.input[self.released..]);
        assert_eq!((skipped.lines, skipped.line_bytes), (lines, (whole_lines - rest) as u64));
        assert_eq!(skipped.rest, piece(start as u64, rest as u64).filter(|_| rest > 0));
        assert_eq!(skipped.part, piece(part_line as u64, part as u64).filter(|_| part > 0));
        self.cursor += whole_lines + part;
        self.released += skipped.released;
        self.lines_seen += newlines;
        assert!(self.input.len() - self.released < self.ring_bytes / 2, "it leaves half a ring");
    }
}

proptest! {
    #[test]
    fn what_is_framed_and_what_is_passed_over_is_what_came(
        steps in prop::collection::vec(step(), 1..80),
        ring_bytes in prop::sample::select(&[16usize, 32, 128, 4096][..]),
    ) {
        let framer = Framer::with_message_bytes_max(ring_bytes, MESSAGE);
        let mut world = World { framer, ring_bytes, input: Vec::new(), cursor: 0, released: 0, lines_seen: 0 };
        for step in steps {
            match step {
                Step::Put(bytes) => {
                    let vacant = ring_bytes - (world.input.len() - world.released);
                    world.input.extend_from_slice(&bytes[..bytes.len().min(vacant)]);
                }
                Step::Frame(records) => world.frame(records, false),
                Step::Skip => world.skip(),
            }
            prop_assert_eq!(world.framer.position(), world.cursor as u64);
            prop_assert_eq!(world.framer.released(), world.released as u64);
        }
        world.frame(usize::MAX, true);
        prop_assert_eq!((world.cursor, world.framer.held_bytes()), (world.input.len(), 0));
        let newlines = world.input.iter().filter(|byte| **byte == b'\n').count() as u64;
        let unterminated = world.input.last().is_some_and(|last| *last != b'\n');
        prop_assert_eq!(world.lines_seen, newlines + u64::from(unterminated));
    }
}
