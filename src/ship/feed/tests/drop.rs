//! Rings that are emptied: what goes, what stays, where the marker stands, and the books.

mod random;

use super::*;
use crate::limits::RING_BYTES_PER_MARK;

impl Rig {
    fn discard(&mut self, reason: End) -> (u64, u64) {
        let dropped = self.feed.discard(reason, self.now, &mut self.books, |_| {});
        self.check();
        (dropped.lines, dropped.bytes)
    }

    fn markers(&self) -> u64 {
        self.books.ledger.markers
    }
}

#[test]
fn one_marker_stands_where_the_lines_are_missing_dated_like_the_first_of_them() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\n");
    rig.work();
    rig.pass(Duration::from_millis(100));
    rig.put(b"two\nthr");
    rig.pass(Duration::from_millis(100));
    assert!(!rig.feed.has_gap());
    assert_eq!(rig.discard(End::SpoolFull), (1, 4));
    assert!(rig.feed.has_gap());
    rig.put(b"ee\nfour\n");
    assert_eq!(rig.discard(End::SpoolFull), (2, 11));
    rig.put(b"five\n");
    rig.pass(Duration::from_millis(100));
    let batch = only(rig.work_until_quiet());
    assert_eq!(batch.texts(), ["one", "logpump: dropped 3 lines (15 B) here: spool_full", "five"]);
    assert_eq!([0, 1, 2].map(|event| batch.events[event].timestamp_ms - WALL_MS), [0, 100, 200]);
    assert_eq!((rig.ended(End::Delivered), rig.ended(End::SpoolFull)), ((2, 9), (3, 15)));
    assert_eq!((rig.books.ledger.read.lines, rig.markers()), (5, 1));
}

#[test]
fn each_gap_has_its_marker_with_its_reasons() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"a\n");
    rig.discard(End::CpuShort);
    rig.put(b"b\n");
    rig.discard(End::NoSpool);
    rig.put(b"c\n");
    rig.visit();
    rig.put(b"d\n\n");
    rig.discard(End::DiskSlow);
    rig.put(b"e\n");
    let batch = only(rig.work_until_quiet());
    let first = "logpump: dropped 2 lines (4 B) here: cpu_short, no_spool";
    assert_eq!(batch.texts(), [first, "c", "logpump: dropped 2 lines (3 B) here: disk_slow", "e"]);
    assert_eq!([End::CpuShort, End::NoSpool, End::DiskSlow].map(|end| rig.ended(end)), [(1, 2), (1, 2), (2, 3)]);
    assert_eq!(rig.markers(), 2);
}

#[test]
fn a_ring_that_ends_with_a_gap_is_not_over_before_its_marker() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\ntwo\n");
    rig.discard(End::SpoolFull);
    rig.end_of_output();
    assert!(!rig.feed.is_over() && rig.feed.wants_visit(rig.now.mono));
    assert_eq!(only(rig.work()).texts(), ["logpump: dropped 2 lines (8 B) here: spool_full"]);
    assert!(rig.feed.is_over());
    assert_eq!((rig.ended(End::SpoolFull), rig.ended(End::Delivered), rig.markers()), ((2, 8), (0, 0), 1));
}

#[test]
fn a_marker_that_finds_the_last_batch_full_gets_one_of_its_own() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(&b"a\n".repeat(BATCH_EVENTS_MAX));
    assert!(rig.visit().is_none());
    rig.put(b"b\n");
    rig.discard(End::SpoolFull);
    rig.end_of_output();
    let batches = rig.work();
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [BATCH_EVENTS_MAX, 1]);
    assert!(rig.feed.is_over() && batches[1].events[0].text.contains("dropped 1 line (2 B)"));
}

#[test]
fn a_marker_waits_for_a_line_no_longer_than_a_line_for_its_batch() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\npart");
    rig.discard(End::SpoolFull);
    assert!(rig.work().is_empty());
    assert_eq!(rig.feed.due(), Some(rig.now.mono + LINGER));
    assert_eq!(only(rig.work_until_quiet()).texts(), ["logpump: dropped 1 line (4 B) here: spool_full"]);
    rig.put(b"ial\n");
    assert_eq!(only(rig.work_until_quiet()).texts(), ["partial"]);
}

#[test]
fn a_discard_does_not_put_off_what_is_due() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\n");
    rig.work();
    rig.pass(2 * LINGER);
    rig.put(b"two\n");
    rig.discard(End::SpoolFull);
    assert!(rig.feed.is_due(rig.now.mono));
    let finished = rig.feed.cut(rig.now).unwrap();
    // What is missing comes after this batch.
    assert_eq!(rig.settle(finished).texts(), ["one"]);
    assert!(rig.feed.wants_visit(rig.now.mono));
    assert_eq!(only(rig.work_until_quiet()).texts(), ["logpump: dropped 1 line (4 B) here: spool_full"]);
}

#[test]
fn giving_up_makes_no_marker() {
    let mut rig = Rig::new(RING_BYTES);
    rig.end = End::Shutdown;
    rig.put(b"one\n");
    rig.work();
    rig.put(b"two\n");
    rig.discard(End::SpoolFull);
    rig.end_of_output();
    let finished = rig.feed.abandon(End::Shutdown, rig.now, &mut rig.books).unwrap();
    assert_eq!(rig.settle(finished).texts(), ["one"]);
    assert!(rig.feed.is_over());
    assert_eq!((rig.ended(End::Shutdown), rig.ended(End::SpoolFull), rig.markers()), ((1, 4), (1, 4), 0));
}

#[test]
fn a_line_whose_first_pieces_were_taken_loses_the_rest_and_is_dropped_once() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"0123456789abcdef0123456789");
    assert!(rig.work().is_empty());
    rig.put(b" the rest\nwhole\n");
    assert_eq!(rig.discard(End::SpoolFull), (2, 26));
    rig.put(b"next\n");
    let batch = only(rig.work_until_quiet());
    assert_eq!(batch.texts(), ["0123456789abcdef", "logpump: dropped 2 lines (26 B) here: spool_full", "next"]);
    assert_eq!((rig.ended(End::SpoolFull), rig.ended(End::Delivered)), ((2, 26), (1, 16 + 5)));
}

#[test]
fn an_endless_line_is_dropped_in_parts_and_is_one_line_once_it_ends() {
    let mut rig = Rig::new(64 * 1024);
    let part = "x".repeat(1000);
    rig.put(part.as_bytes());
    // Its last bytes stay: no piece of it will be without text.
    assert_eq!(rig.discard(End::SpoolFull), (1, 998));
    rig.put(part.as_bytes());
    assert_eq!(rig.discard(End::SpoolFull), (0, 1000));
    rig.put(b"yz\nnext\n");
    let batch = only(rig.work_until_quiet());
    assert_eq!(batch.texts(), ["logpump: dropped 1 line (1.9 KB) here: spool_full", "xxyz", "next"]);
    assert_eq!((rig.ended(End::SpoolFull), rig.ended(End::Delivered)), ((1, 1998), (1, 5 + 5)));
    assert_eq!(rig.books.ledger.read.lines, 2);
}

#[test]
fn the_copy_gets_every_byte_once_and_in_order() {
    let mut rig = Rig::new(4096);
    let mut copied = Vec::new();
    let mut written = Vec::new();
    for round in 0..20 {
        let bytes = format!("round {round}\n{}\npart of {round}", "y".repeat(round * 150 % 1000));
        rig.put(bytes.as_bytes());
        written.extend_from_slice(bytes.as_bytes());
        let copy = |bytes: &[u8]| copied.extend_from_slice(bytes);
        if round % 3 == 0 {
            drop(rig.feed.visit(rig.now, &mut rig.books, copy).map(|finished| finished.body));
        } else {
            rig.feed.discard(End::CpuShort, rig.now, &mut rig.books, copy);
        }
    }
    rig.end_of_output();
    for _ in 0..VISITS_MAX {
        if !rig.feed.is_over() {
            rig.feed.visit(rig.now, &mut rig.books, |bytes| copied.extend_from_slice(bytes));
        }
    }
    assert_eq!(String::from_utf8(copied), String::from_utf8(written));
}

#[test]
fn the_marks_of_dropped_lines_go_with_them() {
    let mut rig = Rig::new(RING_BYTES);
    // More than half of what the marks ring takes, each time.
    for _ in 0..3 {
        for _ in 0..RING_BYTES / RING_BYTES_PER_MARK * 3 / 4 {
            rig.put(b"x\n");
            rig.pass(Duration::from_millis(1));
        }
        rig.discard(End::CpuShort);
    }
    rig.put(b"now\n");
    let expected_ms = rig.now.wall_ms;
    let batch = only(rig.work_until_quiet());
    assert_eq!((batch.events[0].timestamp_ms, batch.events[1].timestamp_ms), (WALL_MS, expected_ms));
    assert_eq!(rig.feed.marks_omitted(), 0);
}

#[test]
fn a_partial_line_behind_what_is_dropped_keeps_the_date_of_its_first_byte() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\nt");
    rig.pass(Duration::from_millis(100));
    rig.put(b"wo");
    assert_eq!(rig.discard(End::SpoolFull), (1, 4));
    rig.put(b"\n");
    let batch = only(rig.work_until_quiet());
    assert_eq!((batch.texts()[1], batch.events[1].timestamp_ms), ("two", WALL_MS));
}

#[test]
fn a_ring_presses_from_a_half_on_and_is_crowded_from_three_quarters_on_while_somebody_may_write() {
    let mut rig = Rig::new(RING_BYTES);
    let state = |rig: &Rig| (rig.feed.is_pressing(), rig.feed.is_crowded(), rig.feed.may_sleep_unvisited());
    rig.put(&b"a\n".repeat(RING_BYTES / 4 - 1));
    assert_eq!(state(&rig), (false, false, true));
    rig.put(b"b\n");
    assert_eq!(state(&rig), (true, false, true));
    rig.put(&b"a\n".repeat(RING_BYTES / 8));
    assert_eq!(state(&rig), (true, true, false));
    assert_eq!(rig.discard(End::SpoolFull).0, RING_BYTES as u64 / 8 * 3);
    assert_eq!(state(&rig), (false, false, true));
    rig.put(&b"a\n".repeat(RING_BYTES / 2));
    rig.end_of_output();
    assert_eq!(state(&rig), (true, false, true));
}
