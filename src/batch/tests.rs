//! Batches by hand. serde_json and a naive packer stand against them in tests/transform.rs.

use super::{Full, Head, OpenBatch, Part, Piece};
use crate::lines::Record;

fn line(text: &str) -> Record<'_> {
    Record { text, raw_bytes: text.len() as u32 + 1, line: 0, begins: true, ends: true }
}

fn open() -> OpenBatch {
    OpenBatch::new(&Head::new("g", "s"))
}

#[test]
fn a_body_is_the_json_of_one_call() {
    let mut batch = OpenBatch::new(&Head::new("a/group", "a \"stream\""));
    assert_eq!((batch.is_empty(), batch.first_ms(), batch.last_ms()), (true, None, None));
    assert_eq!(batch.push(&line("first \"line\""), 1_767_225_600_000), Ok(()));
    assert_eq!(batch.push(&line("tab\there"), 1_767_225_600_000), Ok(()));
    assert_eq!(batch.push(&line("later"), 1_767_225_600_012), Ok(()));
    assert_eq!((batch.events(), batch.lines(), batch.raw_bytes()), (3, 3, 13 + 9 + 6));
    assert_eq!((batch.first_ms(), batch.last_ms()), (Some(1_767_225_600_000), Some(1_767_225_600_012)));
    let body = batch.close();
    let json = concat!(
        r#"{"logGroupName":"a/group","logStreamName":"a \"stream\"","logEvents":["#,
        r#"{"timestamp":1767225600000,"message":"first \"line\""},"#,
        r#"{"timestamp":1767225600000,"message":"tab\there"},"#,
        r#"{"timestamp":1767225600012,"message":"later"}]}"#,
    );
    assert_eq!(String::from_utf8(body.json).unwrap(), json);
    assert_eq!(body.raw_lengths, [13, 9, 6]);
    assert_eq!(body.charged_bytes, 12 + 8 + 5 + 3 * 26);
    assert_eq!((body.first_ms, body.last_ms), (1_767_225_600_000, 1_767_225_600_012));
    assert_eq!((body.lines, body.raw_bytes, body.pieces.len()), (3, 28, 0));
}

#[test]
fn lines_that_share_an_event_are_listed_and_counted() {
    let mut batch = OpenBatch::new(&Head::new("g", "s"));
    let record = |text| Record { text, raw_bytes: 6, line: 0, begins: true, ends: true };
    batch.push(&record("one"), 1).unwrap();
    batch.push_joined(&record("a\nb\nc"), 3, 1).unwrap();
    batch.push_joined(&record("alone"), 1, 1).unwrap();
    let body = batch.close();
    assert_eq!((body.lines, body.raw_lengths.len(), body.raw_bytes), (5, 3, 18));
    assert_eq!(body.pieces, [Piece { event: 1, part: Part::Joined { lines: 3 } }]);
    assert!(String::from_utf8(body.json).unwrap().contains(r#""message":"a\nb\nc""#));
}

#[test]
fn pieces_are_listed_and_are_no_whole_lines() {
    let mut batch = open();
    let end = Record { text: "end", raw_bytes: 4, line: 70, begins: false, ends: true };
    let begin = Record { text: "begin", raw_bytes: 5, line: 90, begins: true, ends: false };
    assert_eq!(batch.push(&end, 1), Ok(()));
    assert_eq!(batch.push(&line("whole"), 1), Ok(()));
    assert_eq!(batch.push(&begin, 1), Ok(()));
    let body = batch.close();
    assert_eq!((body.lines, body.raw_bytes), (1, 15));
    let pieces = [Piece::cut(0, 70, true), Piece::cut(2, 90, false)];
    assert_eq!(body.pieces, pieces);
}

#[test]
fn a_batch_takes_what_cloudwatch_takes_to_the_byte() {
    let mut batch = open();
    // 524,288 charged bytes each: together exactly 1,048,576.
    let half = "x".repeat(524_262);
    assert_eq!(batch.push(&line(&half), 1), Ok(()));
    assert_eq!(batch.push(&line(&(half.clone() + "x")), 1), Err(Full));
    assert_eq!(batch.push(&line(&half), 1), Ok(()));
    assert_eq!(batch.push(&line("x"), 1), Err(Full));
    assert_eq!(batch.close().charged_bytes, 1_048_576);
}

#[test]
fn events_of_one_batch_lie_less_than_a_day_apart() {
    let mut batch = open();
    assert_eq!(batch.push(&line("x"), 1_000), Ok(()));
    assert_eq!(batch.push(&line("y"), 1_000 + 86_400_000), Err(Full));
    assert_eq!(batch.push(&line("y"), 999 + 86_400_000), Ok(()));
    assert_eq!(batch.push(&line("z"), i64::MAX), Err(Full));
}

#[test]
fn a_lone_event_may_grow_six_fold_and_its_buffer_is_not_kept() {
    let mut batch = open();
    let text = "\u{1}".repeat(1_048_550);
    assert_eq!(batch.push(&line(&text), 1), Ok(()));
    assert_eq!(batch.push(&line("x"), 1), Err(Full));
    let body = batch.close();
    assert!(body.json.len() > 6 * 1_048_550);
    let batch = OpenBatch::with_buffer(&Head::new("g", "s"), body.json);
    assert!(batch.allocated_bytes() < 2_200_000, "{} bytes", batch.allocated_bytes());
}

#[test]
fn a_body_full_of_escapes_ends_at_two_mebibytes() {
    let mut batch = open();
    let text = "\u{1}".repeat(100_000);
    for _ in 0..3 {
        assert_eq!(batch.push(&line(&text), 1), Ok(()));
    }
    assert_eq!(batch.push(&line(&text), 1), Err(Full));
    // The worst case would not fit, but this text does.
    assert_eq!(batch.push(&line(&"x".repeat(200_000)), 1), Ok(()));
    assert!(batch.close().json.len() <= 2_097_152);
}

#[test]
fn an_event_fits_to_the_byte_if_the_longest_timestamp_would() {
    let batch = |more: usize| {
        let mut batch = open();
        assert_eq!(batch.push(&line(&"\u{1}".repeat(300_000)), 1), Ok(()));
        batch.push(&line(&"x".repeat(more)), 1).map(|()| batch.close().json.len())
    };
    // {"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1,"message":"..."}
    let before = 53 + 26 + 6 * 300_000 + 2;
    // A comma, the longest timestamp and 2 bytes of slack are 48; the ends of the event and of the body, 2 each.
    let room = 2_097_152 - before - 48 - 2 - 2;
    // With this timestamp it is 27.
    assert_eq!(batch(room), Ok(2_097_152 - 48 + 27));
    assert_eq!(batch(room + 1), Err(Full));
}

#[test]
fn a_new_batch_is_small_and_a_used_buffer_is_used_again() {
    assert!(open().allocated_bytes() <= 8192);
    let buffer = Vec::with_capacity(1 << 20);
    let place = buffer.as_ptr();
    let mut batch = OpenBatch::with_buffer(&Head::new("g", "s"), buffer);
    assert_eq!(batch.push(&line("x"), 1), Ok(()));
    assert_eq!(batch.close().json.as_ptr(), place);
}

#[test]
fn the_buffer_of_the_largest_body_is_kept_and_tables_are_counted_with_it() {
    let buffer = Vec::with_capacity(2_097_152 + 4096);
    let mut batch = OpenBatch::with_buffer(&Head::new("g", "s"), buffer);
    assert_eq!(batch.allocated_bytes(), 2_097_152 + 4096);
    let piece = Record { text: "x", raw_bytes: 1, line: 0, begins: false, ends: false };
    for _ in 0..128 {
        assert_eq!(batch.push(&piece, 1), Ok(()));
    }
    // 4 bytes of length and 16 of piece for each; a table that grows has room for twice as many at most.
    let tables_bytes = batch.allocated_bytes() - (2_097_152 + 4096);
    assert!((128 * 20..=2 * 128 * 20).contains(&tables_bytes), "{tables_bytes} bytes");
}

#[test]
#[should_panic(expected = "an event of 4 ms follows one of 5 ms")]
fn time_does_not_go_back_inside_a_batch() {
    let mut batch = open();
    assert_eq!(batch.push(&line("x"), 5), Ok(()));
    let _ = batch.push(&line("y"), 4);
}

#[test]
#[should_panic(expected = "a blank line reached a batch")]
fn a_blank_line_is_not_for_a_batch() {
    let _ = open().push(&line(""), 1);
}

#[test]
fn a_marker_is_an_event_that_stands_for_no_line_and_no_byte() {
    let mut batch = open();
    let begin = Record { text: "begin", raw_bytes: 5, line: 90, begins: true, ends: false };
    assert_eq!(batch.push_marker("logpump: \"x\"", 7), Ok(()));
    assert_eq!(batch.push(&begin, 7), Ok(()));
    assert_eq!((batch.events(), batch.lines(), batch.raw_bytes()), (2, 0, 5));
    let body = batch.close();
    assert!(String::from_utf8(body.json).unwrap().contains(r#"[{"timestamp":7,"message":"logpump: \"x\""},"#));
    assert_eq!((&body.raw_lengths[..], body.pieces[0].event), (&[0, 5][..], 1));
    assert_eq!(body.charged_bytes, 12 + 5 + 2 * 26);
}
