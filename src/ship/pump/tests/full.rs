//! Rings that fill where nothing takes what is in them, and where CPU is short.

use super::*;
use crate::batch::Body;
use crate::limits::PATIENCE_MAX;

fn with(when_full: WhenFull, body_bytes_max: usize) -> Options {
    Options { when_full, ..options(body_bytes_max) }
}

fn later(now: Now, wait: Duration) -> Now {
    Now { mono: now.mono + wait, wall_ms: now.wall_ms + wait.as_millis() as i64 }
}

/// Nothing that is asked is answered, and the ring, of 1 MiB, has 3/4 and 10 bytes more that there is no room for.
fn crowded(when_full: WhenFull) -> (Pump, Filler, Now) {
    let (mut pump, mut fillers) =
        pump_with(1, MIB, Options { linger: 10 * PATIENCE_MAX, ..with(when_full, VISIT_BYTES_MAX + 2 * MIB) });
    let mut filler = fillers.remove(0);
    let start = now();
    let some = [&[b'x'; 999][..], b"\n"].concat().repeat(100);
    for _ in 0..100 {
        while pump.turn(start) {}
        if pump.view(0).unframed_bytes > 3 * MIB / 4 {
            while pump.poll(start.mono).is_some() {}
            return (pump, filler, start);
        }
        put(&mut filler, &some);
    }
    panic!("memory takes for ever: {:?}", pump.view(0));
}

fn dropped(pump: &mut Pump, end: End) -> u64 {
    pump.ledgers().own[0].ended(end).lines
}

fn said(pump: &mut Pump, now: Now) -> Vec<Notice> {
    let notice = |action| match action {
        Action::Say(notice) => Some(notice),
        _ => None,
    };
    act(pump, now).into_iter().filter_map(notice).collect()
}

#[test]
fn a_ring_that_nothing_takes_from_is_emptied_when_the_patience_is_over() {
    let (mut pump, mut filler, start) = crowded(WhenFull::Drop);
    let held = pump.view(0).unframed_bytes;
    assert_eq!(pump.may_sleep(start.mono), Some(Some(start.mono + PATIENCE_MAX)));
    assert!(!pump.turn(later(start, PATIENCE_MAX / 2)));
    assert_eq!((dropped(&mut pump, End::NoSpool), pump.view(0).unframed_bytes), (0, held));
    let over = later(start, PATIENCE_MAX);
    assert!(pump.turn(over));
    assert_eq!((dropped(&mut pump, End::NoSpool), pump.view(0).unframed_bytes), (held as u64 / 1000, 0));
    assert!(matches!(said(&mut pump, over)[..], [Notice::Dropping { reason: End::NoSpool }]));
    // What comes next goes the same way, and nothing is said of it.
    put(&mut filler, &b"a line\n".repeat(MIB / 8));
    let next = later(over, Duration::from_millis(1));
    pump.turn(next);
    assert_eq!(dropped(&mut pump, End::NoSpool), (held / 1000 + MIB / 8) as u64);
    assert!(said(&mut pump, next).is_empty());
}

#[test]
fn where_a_writer_is_to_wait_nothing_is_dropped_and_a_full_ring_wakes_nobody() {
    let (mut pump, _filler, start) = crowded(WhenFull::Block);
    let held = pump.view(0).unframed_bytes;
    for round in 0..10 {
        let now = later(start, PATIENCE_MAX * round);
        assert!(!pump.turn(now));
        assert!(pump.may_sleep(now.mono).is_some());
        pump.awake();
    }
    assert_eq!((pump.view(0).unframed_bytes, dropped(&mut pump, End::NoSpool)), (held, 0));
}

/// At each of these times the ring is filled, or gets a little; the lines that were dropped.
fn filled_at(seconds: &[(u64, bool)]) -> u64 {
    let (mut pump, mut fillers) = pump_with(1, MIB, with(WhenFull::Drop, 60 * MIB));
    let start = now();
    for (at, full) in seconds {
        let now = later(start, Duration::from_secs(*at));
        let lines = if *full { (MIB - pump.view(0).unframed_bytes) / 1000 } else { 10 };
        put(&mut fillers[0], &[&[b'x'; 999][..], b"\n"].concat().repeat(lines));
        pump.turn(now);
        act(&mut pump, now);
    }
    dropped(&mut pump, End::CpuShort)
}

#[test]
fn a_ring_that_is_full_whenever_it_is_visited_for_ten_seconds_is_emptied() {
    assert_eq!(filled_at(&[(0, true), (5, true), (9, true)]), 0);
    assert_eq!(filled_at(&[(0, true), (5, true), (10, true)]), MIB as u64 / 1000);
    // Once it was not.
    assert_eq!(filled_at(&[(0, true), (5, false), (10, true)]), 0);
}

#[test]
fn partial_lines_are_counted_also_where_rings_are_emptied() {
    const RING: usize = 64 * 1024;
    let assembly_bytes_max = MIB;
    let (mut pump, mut fillers) = pump_with(2, RING, Options { assembly_bytes_max, ..options(60 * MIB) });
    let now = now();
    for _ in 0..2 {
        for filler in &mut fillers {
            put(filler, &[b'x'; RING / 2]);
        }
        pump.turn(now);
    }
    let sum = |pump: &Pump| pump.feeds.iter().map(Feed::assembly_bytes).sum::<usize>();
    assert!(pump.feeds.iter().all(|feed| feed.assembly_bytes() > 0));
    put(&mut fillers[0], b"the end\nand more");
    pump.discard(0, End::NoSpool, now);
    assert_eq!(pump.assembly_bytes, sum(&pump));
    pump.discard(1, End::NoSpool, now);
    assert_eq!(pump.assembly_bytes, sum(&pump));
}

#[test]
fn two_finished_bodies_wait_and_the_third_stays_in_a_ring_that_has_room_for_it() {
    let (mut pump, mut fillers) = pump(1, MIB, 0);
    let start = now();
    for round in 0..3 {
        put(&mut fillers[0], b"a line\n");
        for wait in [0, 1] {
            pump.turn(later(start, Duration::from_secs(round + wait)));
        }
    }
    // The stream is not there yet.
    assert_eq!((pump.view(0).waiting, pump.view(0).open_bytes, pump.view(0).unframed_bytes), (2, 0, 7));
}

/// It has a body of so many bytes.
fn hold(pump: &mut Pump, stream: usize, bytes: usize) {
    let label = pump.core.next_label(stream, false, false);
    let body = Body {
        json: vec![b'x'; bytes],
        raw_lengths: Vec::new(),
        pieces: Vec::new(),
        first_ms: 0,
        last_ms: 0,
        charged_bytes: 0,
        lines: 0,
        raw_bytes: 0,
    };
    pump.core.offer(stream, Parcel::new(body, label, |json| json));
}

#[test]
fn of_a_stream_that_has_no_room_only_what_is_open_is_due() {
    for (text, open) in [("half a line", false), ("a line\n", true)] {
        // The bound is 2 MiB, each stream's share half of it.
        let (mut pump, mut fillers) = pump_with(2, MIB, with(WhenFull::Block, VISIT_BYTES_MAX + 4 * MIB));
        let start = now();
        hold(&mut pump, 0, MIB + MIB / 4);
        put(&mut fillers[0], text.as_bytes());
        pump.turn(start);
        hold(&mut pump, 1, MIB + MIB / 4);
        act(&mut pump, start);
        let due = later(start, Duration::from_secs(1));
        assert_eq!(pump.view(0).open_bytes > 0, open, "{text}");
        assert_eq!(pump.may_sleep(start.mono), Some(open.then_some(due.mono)), "{text}");
        pump.awake();
        put(&mut fillers[0], b" and more");
        assert_eq!(pump.turn(due), open);
        let unframed = if open { 9 } else { text.len() + 9 };
        assert_eq!((pump.view(0).open_bytes, pump.view(0).unframed_bytes), (0, unframed));
    }
}
