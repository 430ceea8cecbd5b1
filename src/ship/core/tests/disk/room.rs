//! Memory and disk together: what is taken out of the rings when one of them, or both, take nothing.

use super::*;
use crate::limits::{SPOOL_RETRY, SPOOL_RETRY_MAX, VISIT_BYTES_MAX};
use crate::spool::wire::Refusal;

/// Little memory, a window of 1, and so much disk.
fn small(disk_bytes_max: u64) -> Options {
    let disk = Some(DiskOptions { bytes_max: disk_bytes_max, durable: false });
    Options { disk, body_bytes_max: VISIT_BYTES_MAX + 8 * MIB as usize, ..options(1, 1) }
}

fn offer_big(desk: &mut Desk, stream: usize, bytes: usize) {
    let big = Body { json: vec![b'x'; bytes], last_ms: WALL_MS, ..body("x", 1) };
    desk.core.books_mut(stream).ledger.read += Count::new(1, u64::from(RAW_BYTES));
    let label = desk.core.next_label(stream, false, false);
    desk.core.offer(stream, Parcel::new(big, label, |json| json));
    desk.act();
}

fn refuse(desk: &mut Desk) {
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("a body goes to the disk") };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no space".into()) });
}

fn said(desk: &Desk, what: &str) -> usize {
    desk.said.iter().filter(|said| said.contains(what)).count()
}

/// Offers bodies of 1 MiB until it is refused; how many were taken.
fn fill(desk: &mut Desk, stream: usize, most: usize) -> usize {
    desk.core.set_presses(stream, true);
    for taken in 0..most {
        if !desk.core.accepts(stream, true) || !desk.core.has_room(stream, Open::default()) {
            return taken;
        }
        let big = Body { json: vec![b'x'; MIB as usize], last_ms: WALL_MS, ..body("x", 1) };
        desk.core.books_mut(stream).ledger.read += Count::new(1, u64::from(RAW_BYTES));
        let label = desk.core.next_label(stream, false, false);
        desk.core.offer(stream, Parcel::new(big, label, |json| json));
        desk.act();
        desk.spool_works_on();
    }
    most
}

/// Bodies of a stream that are on disk.
fn stored(desk: &Desk, stream: usize) -> usize {
    let address = &desk.core.streams[stream].address;
    desk.kept.iter().filter(|kept| !kept.done && kept.entry.address == *address).count()
}

#[test]
fn a_noisy_stream_leaves_a_quiet_one_its_share_of_the_disk() {
    let mut desk = Desk::new(2, small(40 * MIB));
    let taken = fill(&mut desk, 0, 100);
    // A quarter is the other's.
    assert!((27..=30).contains(&stored(&desk, 0)), "{} of 40, and {taken} in all", stored(&desk, 0));
    assert_eq!(desk.core.why_full(0), End::SpoolFull);
    desk.offer(1, ["q1", "q2", "q3"]);
    assert!(desk.core.accepts(1, true));
    fill(&mut desk, 1, 100);
    assert!((8..=11).contains(&stored(&desk, 1)), "{}", stored(&desk, 1));
}

#[test]
fn a_stream_alone_fills_all_of_the_disk_and_of_memory() {
    let mut desk = Desk::new(1, small(40 * MIB));
    let taken = fill(&mut desk, 0, 100);
    assert!((38..=40).contains(&stored(&desk, 0)), "{} of 40", stored(&desk, 0));
    assert!((4..=8).contains(&(taken - stored(&desk, 0))), "{taken} in all");
}

#[test]
fn where_memory_is_short_bodies_go_to_the_disk_though_few_wait() {
    let disk = Some(DiskOptions { bytes_max: 1000 * MIB, durable: false });
    // Of memory for two bodies, and for very many streams.
    for (streams, body_bytes_max) in
        [(1, VISIT_BYTES_MAX + 4 * MIB as usize), (40, VISIT_BYTES_MAX + 32 * MIB as usize)]
    {
        let mut desk = Desk::new(streams, Options { disk, body_bytes_max, ..options(8, 8) });
        // No call is ever answered.
        for round in 0..10 {
            for stream in 0..streams {
                assert_eq!(fill(&mut desk, stream, 1), 1, "stream {stream} of {streams}, round {round}");
                assert!(desk.core.held_bytes < 2 * desk.core.bound());
            }
        }
    }
}

#[test]
fn an_idle_disk_takes_the_next_body_though_calls_that_hang_fill_all_memory() {
    const LARGE: usize = 5 * MIB as usize;
    let mut desk = Desk::new(1, Options { max_in_flight: 2, stream_window: 2, ..small(1000 * MIB) });
    offer_big(&mut desk, 0, LARGE);
    offer_big(&mut desk, 0, LARGE);
    desk.spool_works_on();
    desk.core.set_presses(0, true);
    for round in 0..10 {
        assert!(desk.core.accepts(0, true) && desk.core.has_room(0, Open::default()), "round {round}");
        offer_big(&mut desk, 0, LARGE);
        assert!(!desk.core.has_room(0, Open::default()), "one at a time");
        desk.spool_works_on();
    }
    assert_eq!((desk.on_disk().len(), desk.sent.len()), (11, 2));
}

#[test]
fn where_no_disk_takes_them_bodies_wait_in_memory_up_to_its_bound() {
    let mut desk = Desk::new(1, Options { disk: None, ..small(0) });
    // A ring that does not press is as good a place.
    for accepted in [true, true, true, false] {
        assert_eq!(desk.core.accepts(0, false), accepted);
        if accepted {
            offer_big(&mut desk, 0, 9);
        }
    }
    let taken = fill(&mut desk, 0, 100);
    assert!((6..=8).contains(&taken), "{taken} of 8 MiB");
    assert_eq!(desk.core.why_full(0), End::NoSpool);
}

#[test]
fn a_noisy_stream_leaves_a_quiet_one_its_share_of_memory() {
    let mut desk = Desk::new(4, Options { disk: None, ..small(0) });
    let taken = fill(&mut desk, 0, 100);
    assert!((3..=5).contains(&taken), "{taken} of 8 MiB");
    for stream in 1..4 {
        // Also one whose ring hardly fills.
        desk.core.set_presses(stream, false);
        assert!(desk.core.accepts(stream, false) && desk.core.has_room(stream, Open::default()), "stream {stream}");
        offer_big(&mut desk, stream, MIB as usize);
    }
}

#[test]
fn what_the_disk_refuses_waits_in_memory_and_goes_there_when_it_takes_again() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.core.set_presses(0, true);
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    refuse(&mut desk);
    desk.act();
    refuse(&mut desk);
    desk.act();
    desk.offer(0, ["f"]);
    assert_eq!((desk.core.why_full(0), desk.asked.len(), said(&desk, "no space")), (End::SpoolFull, 0, 1));
    // It is asked with one body, less and less often.
    let mut wait = SPOOL_RETRY;
    for round in 0..6 {
        wait = (2 * wait).min(SPOOL_RETRY_MAX);
        desk.now = desk.core.next_due(desk.now).expect("it is asked again");
        desk.act();
        assert_eq!(desk.asked.len(), 1, "round {round}");
        refuse(&mut desk);
        desk.act();
        assert_eq!(desk.core.next_due(desk.now), Some(desk.now + wait));
    }
    // And once it has taken that, with all that should not wait in memory.
    desk.now += wait;
    desk.act();
    assert_eq!((desk.asked.len(), said(&desk, "takes bodies again")), (1, 0));
    desk.spool_works();
    assert_eq!((desk.asked.len(), said(&desk, "takes bodies again")), (3, 1), "two bodies, and a load");
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["d", "e", "f"]);
    for (name, next) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")] {
        desk.spool_works_on();
        assert_eq!(desk.answer(name, ok()), [next], "older ones first, wherever they are");
    }
    desk.answer("f", ok());
    assert_eq!((desk.delivered(0), said(&desk, "no space")), (6, 1));
}

#[test]
fn what_waits_for_the_disk_goes_there_before_what_is_finished_later() {
    let mut desk = Desk::new(1, with_disk(1, 8, false));
    desk.core.set_presses(0, true);
    desk.offer(0, ["a", "b", "c", "d"]);
    refuse(&mut desk);
    desk.offer(0, ["e"]);
    desk.now += SPOOL_RETRY;
    // Before the disk was asked again.
    desk.core.ask_disk_again(desk.now);
    desk.offer(0, ["f"]);
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["d", "e", "f"]);
}

#[test]
fn a_strict_stream_waits_for_what_is_still_being_stored() {
    let mut desk = Desk::new(2, with_disk(2, 1, true));
    desk.offer(0, ["a"]);
    assert_eq!(desk.asked.len(), 1);
    // Meanwhile the disk takes no more.
    desk.core.disk.refused_until = Some(desk.now + SPOOL_RETRY);
    desk.offer(0, ["b"]);
    assert_eq!(desk.sent, []);
    assert_eq!(desk.spool_works(), ["a"]);
    assert_eq!(desk.answer("a", ok()), ["b"]);
}

#[test]
fn at_the_end_a_disk_that_takes_no_more_is_not_waited_for() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c"]);
    desk.core.spill();
    desk.act();
    refuse(&mut desk);
    assert!(!desk.core.is_refused_by_disk(), "the others are not answered yet");
    refuse(&mut desk);
    refuse(&mut desk);
    assert!(desk.core.is_spilled() && desk.core.is_refused_by_disk());
}
