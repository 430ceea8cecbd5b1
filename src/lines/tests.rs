//! The framer by hand. Its naive twin, with any reads and any sink, is in tests/transform.rs.

mod skip;

use super::{Framer, Record, Taken};
use crate::limits::MESSAGE_BYTES_MAX;

/// Text, raw bytes, line, begins, ends.
type Seen = (String, u32, u64, bool, bool);

fn seen(record: Record<'_>) -> Seen {
    (record.text.to_owned(), record.raw_bytes, record.line, record.begins, record.ends)
}

fn whole(text: &str, raw_bytes: u32, line: u64) -> Seen {
    (text.to_owned(), raw_bytes, line, true, true)
}

fn frame_into(seen_records: &mut Vec<Seen>, framer: &mut Framer, occupied: &[u8], at_end: bool) -> usize {
    framer.frame(occupied, at_end, &mut |record| {
        seen_records.push(seen(record));
        Taken::Yes
    })
}

/// All of it in one call, then the end; messages of at most eight bytes.
fn framed(bytes: &[u8]) -> Vec<Seen> {
    let mut records = Vec::new();
    let mut framer = Framer::with_message_bytes_max(1024, 8);
    assert_eq!(frame_into(&mut records, &mut framer, bytes, true), bytes.len());
    records
}

#[test]
fn a_newline_ends_a_line_and_one_carriage_return_before_it_is_cut() {
    assert_eq!(framed(b"a\nb\r\nc\r\r\n"), [whole("a", 2, 0), whole("b", 3, 2), whole("c\r", 4, 5)]);
}

#[test]
fn blank_lines_are_records_without_text() {
    assert_eq!(framed(b"\n\r\n \n"), [whole("", 1, 0), whole("", 2, 1), whole(" ", 2, 3)]);
}

#[test]
fn an_unterminated_line_waits_for_the_end_and_keeps_its_carriage_return() {
    let mut framer = Framer::new(1024);
    let mut records = Vec::new();
    assert_eq!(frame_into(&mut records, &mut framer, b"a\nrest\r", false), 2);
    assert_eq!(frame_into(&mut records, &mut framer, b"rest\r", false), 0);
    assert_eq!(framer.released(), 2);
    assert_eq!(frame_into(&mut records, &mut framer, b"rest\r", true), 5);
    assert_eq!(records, [whole("a", 2, 0), whole("rest\r", 5, 2)]);
    assert_eq!(frame_into(&mut records, &mut framer, b"", true), 0);
    assert_eq!(records.len(), 2);
}

#[test]
fn invalid_bytes_are_replaced_and_the_lines_around_them_stay() {
    let replaced = whole("\u{FFFD}x", 3, 3);
    assert_eq!(framed(b"ok\n\xFFx\nok\n"), [whole("ok", 3, 0), replaced, whole("ok", 3, 6)]);
}

#[test]
fn a_line_that_just_fits_is_one_record() {
    assert_eq!(framed(b"12345678\r\n"), [whole("12345678", 10, 0)]);
    assert_eq!(framed(b"12345678"), [whole("12345678", 8, 0)]);
    // Six raw bytes become twelve.
    let first = ("aa\u{FFFD}\u{FFFD}".to_owned(), 4, 0, true, false);
    assert_eq!(framed(b"aa\xFF\xFF\xFF\xFF\n"), [first, ("\u{FFFD}\u{FFFD}".to_owned(), 3, 0, false, true)]);
}

#[test]
fn an_overlong_line_becomes_pieces_that_add_up_to_it() {
    let pieces = [
        ("12345678".to_owned(), 8, 2, true, false),
        ("1234567".to_owned(), 7, 2, false, false),
        ("éx".to_owned(), 5, 2, false, true),
        whole("next", 5, 22),
    ];
    assert_eq!(framed("a\n123456781234567éx\r\nnext\n".as_bytes())[1..], pieces);
    // Without a newline the carriage return is text, and here it does not fit.
    let cut = [("12345678".to_owned(), 8, 0, true, false), ("\r".to_owned(), 1, 0, false, true)];
    assert_eq!(framed(b"12345678\r"), cut);
}

#[test]
fn a_refused_record_comes_again_and_nothing_after_it_came() {
    let mut framer = Framer::new(1024);
    let mut records = Vec::new();
    let mut room = 1;
    let released = framer.frame(b"one\ntwo\nthree\n", false, &mut |record| {
        if room == 0 {
            return Taken::No;
        }
        room -= 1;
        records.push(seen(record));
        Taken::Yes
    });
    assert_eq!(released, 4);
    assert_eq!(framer.frame(b"two\nthree\n", false, &mut |_| Taken::No), 0);
    assert_eq!(frame_into(&mut records, &mut framer, b"two\nthree\nfour\n", false), 15);
    assert_eq!(records, [whole("one", 4, 0), whole("two", 4, 4), whole("three", 6, 8), whole("four", 5, 14)]);
}

#[test]
fn a_partial_line_leaves_the_ring_when_it_fills_half_of_it() {
    let mut framer = Framer::new(16);
    let mut records = Vec::new();
    assert_eq!(frame_into(&mut records, &mut framer, b"x\n1234567", false), 2);
    assert_eq!(framer.held_bytes(), 0);
    assert_eq!(frame_into(&mut records, &mut framer, b"12345678", false), 8);
    assert_eq!((framer.held_bytes(), framer.released()), (8, 10));
    assert_eq!(frame_into(&mut records, &mut framer, b"9\r\ny\n", false), 5);
    assert_eq!(framer.held_bytes(), 0);
    assert_eq!(records, [whole("x", 2, 0), whole("123456789", 11, 2), whole("y", 2, 13)]);
}

#[test]
fn a_line_of_three_megabytes_goes_through_a_ring_of_four_kibibytes() {
    let line = "é".repeat(1_500_000) + "\r\n";
    let mut framer = Framer::new(4096);
    let mut records: Vec<(usize, u32, bool, bool)> = Vec::new();
    for read in line.as_bytes().chunks(4096) {
        let released = framer.frame(read, false, &mut |record| {
            assert!(record.text.bytes().all(|byte| byte == 0xC3 || byte == 0xA9) && record.line == 0);
            records.push((record.text.len(), record.raw_bytes, record.begins, record.ends));
            Taken::Yes
        });
        assert_eq!(released, read.len());
        assert!(framer.held_bytes() <= MESSAGE_BYTES_MAX + 8);
    }
    let last = 3_000_000 - 2 * 1_048_550;
    let pieces = [
        (1_048_550, 1_048_550, true, false),
        (1_048_550, 1_048_550, false, false),
        (last, last as u32 + 2, false, true),
    ];
    assert_eq!(records, pieces);
    assert_eq!(framer.held_bytes(), 0);
}

#[test]
fn a_partial_line_for_which_there_is_no_memory_is_cut_and_no_byte_is_lost() {
    let line = "é".repeat(40_000) + "\r\nnext\n";
    let mut framer = Framer::new(4096);
    let mut records = Vec::new();
    for (nth, read) in line.as_bytes().chunks(4000).enumerate() {
        framer.limit_held(if nth < 10 { usize::MAX } else { 10_000 });
        assert_eq!(frame_into(&mut records, &mut framer, read, false), read.len());
        assert!(nth < 10 || framer.allocated_bytes() <= 10_000, "{} after read {nth}", framer.allocated_bytes());
    }
    let texts: String = records.iter().map(|(text, ..)| text.as_str()).collect();
    assert_eq!(texts, "é".repeat(40_000) + "next");
    assert_eq!(records.iter().map(|(_, raw_bytes, ..)| *raw_bytes as usize).sum::<usize>(), line.len());
    let pieces = records.len() - 1;
    assert!(pieces > 4, "{pieces}");
    for (nth, (_, _, line, begins, ends)) in records[..pieces].iter().enumerate() {
        assert_eq!((*line, *begins, *ends), (0, nth == 0, nth == pieces - 1));
    }
    assert_eq!(records[pieces], whole("next", 5, 80_002));
}

#[test]
#[should_panic(expected = "the caller released more than it was told")]
fn bytes_that_vanish_are_noticed() {
    let mut framer = Framer::new(1024);
    framer.frame(b"partial", false, &mut |_| Taken::Yes);
    framer.frame(b"part", false, &mut |_| Taken::Yes);
}

#[test]
fn a_blank_line_behind_an_invalid_one_is_not_overlooked_when_it_had_to_wait() {
    let bytes = b"\xFF\n\nx\n";
    let mut framer = Framer::new(1024);
    let mut records = Vec::new();
    let released = framer.frame(bytes, false, &mut |record| {
        if !records.is_empty() {
            return Taken::No;
        }
        records.push(seen(record));
        Taken::Yes
    });
    assert_eq!(released, 2);
    assert_eq!(frame_into(&mut records, &mut framer, &bytes[released..], false), 3);
    assert_eq!(records, [whole("\u{FFFD}", 2, 0), whole("", 1, 2), whole("x", 2, 3)]);
}
