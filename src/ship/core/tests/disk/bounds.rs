//! Bounds to the byte, and whose turn it is: of memory, of the disk and of what is on its way there.

use super::*;
use crate::limits::{BACKLOG_AHEAD_BODIES, BODY_BYTES_MAX, BODY_BYTES_TYPICAL, SPOOL_QUEUE_BYTES_MAX, SPOOL_RETRY};
use crate::limits::{VISIT_BYTES_MAX, WAITING_BODIES_MAX};
use crate::ship::core::stream::Delivery;
use crate::spool::wire::Refusal;

const BYTES: usize = MIB as usize;

fn open(own_bytes: usize, all_bytes: usize) -> Open {
    Open { own_bytes, all_bytes }
}

#[test]
fn below_the_bound_a_stream_has_room_whatever_it_holds_and_from_there_on_if_it_is_less_than_its_share() {
    let desk = Desk::new(2, Options { body_bytes_max: VISIT_BYTES_MAX + 8 * BYTES, ..options(8, 8) });
    let (bound, share) = (4 * BYTES, 2 * BYTES);
    assert_eq!((desk.core.bound(), desk.core.share()), (bound, share));
    for (own, all, has_room) in [
        (share, bound - 1, true),
        (share, bound, false),
        (share - 1, bound, true),
        (share - 1, 2 * bound + BODY_BYTES_MAX - 1, true),
        (share - 1, 2 * bound + BODY_BYTES_MAX, false),
    ] {
        assert_eq!(desk.core.has_room(0, open(own, all)), has_room, "{own} of {all}");
    }
}

#[test]
fn a_ring_that_presses_has_room_up_to_the_limit_where_others_keep_their_shares() {
    // Calls are few, so the bound is far below the limit of 60 MiB.
    let mut desk = Desk::new(2, Options { body_bytes_max: VISIT_BYTES_MAX + 60 * BYTES, ..options(1, 1) });
    let bound = (1 + WAITING_BODIES_MAX) * BODY_BYTES_TYPICAL;
    assert_eq!(desk.core.bound(), bound);
    desk.core.set_presses(0, true);
    // Half of it is shared out, and nobody has taken any of that.
    let most = 60 * BYTES - 30 * BYTES - BODY_BYTES_MAX;
    assert!(most > 15 * BYTES && most > bound);
    assert!(desk.core.has_room(0, open(most, most)));
    assert!(!desk.core.has_room(0, open(most + 1, most + 1)));
    desk.core.set_presses(0, false);
    assert!(!desk.core.has_room(0, open(most, most)), "its ring is as good a place");
}

#[test]
fn a_ring_that_presses_has_room_up_to_the_limit_where_the_disk_takes_it() {
    let disk = Some(DiskOptions { bytes_max: 1 << 40, durable: false });
    let mut desk = Desk::new(1, Options { disk, body_bytes_max: VISIT_BYTES_MAX + 8 * BYTES, ..options(8, 8) });
    desk.core.set_presses(0, true);
    let limit = 8 * BYTES;
    assert!(desk.core.has_room(0, open(limit, limit)), "the disk is idle");
    desk.core.spilling = true;
    desk.offer(0, ["a"]);
    let held = desk.core.held_bytes;
    assert!(desk.core.has_room(0, open(limit - held - 1, limit - held - 1)));
    assert!(!desk.core.has_room(0, open(limit - held, limit - held)));
}

#[test]
fn an_open_batch_must_go_at_the_bound_if_it_is_a_share_and_at_twice_the_bound_if_it_is_half_of_one() {
    let desk = Desk::new(2, Options { body_bytes_max: VISIT_BYTES_MAX + 8 * BYTES, ..options(8, 8) });
    let (bound, share) = (4 * BYTES, 2 * BYTES);
    for (own, all, must_go) in [
        (share, bound - 1, false),
        (share, bound, true),
        (share - 1, bound, false),
        (share / 2, 2 * bound - 1, false),
        (share / 2, 2 * bound, true),
        (share / 2 - 1, 2 * bound, false),
    ] {
        assert_eq!(desk.core.must_go(open(own, all)), must_go, "{own} of {all}");
    }
}

#[test]
fn what_is_durable_waits_for_a_disk_that_is_behind_and_nothing_else_does() {
    for (durable, behind, accepted) in
        [(false, false, true), (false, true, true), (true, false, true), (true, true, false)]
    {
        let mut desk = Desk::new(1, with_disk(1, 1, durable));
        desk.core.disk.pending_bytes = if behind { SPOOL_QUEUE_BYTES_MAX } else { SPOOL_QUEUE_BYTES_MAX - 1 };
        for pressing in [false, true] {
            assert_eq!(desk.core.accepts(0, pressing), accepted, "{durable} {behind} {pressing}");
        }
        assert_eq!(desk.core.disk_takes_next(0), !behind);
    }
}

#[test]
fn of_half_the_disk_every_stream_has_its_share_and_the_rest_anyone_may_fill() {
    let mut desk =
        Desk::new(2, Options { disk: Some(DiskOptions { bytes_max: 40 * MIB, durable: false }), ..options(1, 1) });
    let mut why = |used: u64, bytes: [usize; 2], stream: usize| {
        desk.core.disk.used_bytes = used - BODY_BYTES_TYPICAL as u64;
        (0..2).for_each(|stream| desk.core.streams[stream].disk.bytes = bytes[stream]);
        desk.core.why_full(stream)
    };
    // The first has its quarter, and the other nothing.
    let one_full = [10 * BYTES, 0];
    assert_eq!(why(30 * MIB, one_full, 0), End::DiskSlow);
    assert_eq!(why(30 * MIB + 1, one_full, 0), End::SpoolFull);
    assert_eq!(why(40 * MIB, one_full, 1), End::DiskSlow);
    assert_eq!(why(40 * MIB + 1, one_full, 1), End::SpoolFull);
    let both_full = [10 * BYTES, 10 * BYTES];
    assert_eq!(why(40 * MIB, both_full, 0), End::DiskSlow);
    assert_eq!(why(40 * MIB + 1, both_full, 0), End::SpoolFull);
}

#[test]
fn where_order_is_strict_nothing_goes_to_the_disk_while_another_waits_for_those_there() {
    for (window, takes) in [(1, false), (2, true)] {
        let mut desk = Desk::new(1, with_disk(1, window, false));
        desk.offer(0, ["a", "b"]);
        // As if a had come back from a call and gone there.
        desk.core.streams[0].disk.leave_alone(0, false);
        assert_eq!(desk.core.disk_takes_next(0), takes, "a window of {window}");
    }
}

fn refuse_all(desk: &mut Desk) -> Vec<String> {
    let mut refused = Vec::new();
    while let Some(Request::Store { ticket, entry, .. }) = desk.asked.pop_front() {
        refused.push(entry.address.stream.clone());
        desk.hear(Event::Refused { ticket, why: Refusal::Full("no space".into()) });
    }
    refused
}

#[test]
fn a_disk_that_refused_is_asked_for_one_stream_after_the_other_and_only_where_that_helps() {
    let mut desk = Desk::new(2, with_disk(2, 1, false));
    desk.offer(0, ["a1", "a2", "a3", "a4", "a5"]);
    desk.offer(1, ["b1", "b2", "b3", "b4", "b5"]);
    refuse_all(&mut desk);
    desk.now += SPOOL_RETRY;
    desk.act();
    assert!(desk.asked.is_empty(), "there is memory, and no ring presses");
    (0..2).for_each(|stream| desk.core.set_presses(stream, true));
    let mut asked = Vec::new();
    for _ in 0..4 {
        desk.act();
        asked.extend(refuse_all(&mut desk));
        desk.act();
        desk.now = desk.core.next_due(desk.now).expect("it is asked again");
    }
    assert_eq!(asked, ["stream-0", "stream-1", "stream-0", "stream-1"]);
}

#[test]
fn what_came_back_of_a_stream_that_stands_still_keeps_no_other_from_coming_back() {
    for slow in [true, false] {
        let mut desk = Desk::new(2, with_disk(1, 1, false));
        desk.offer(1, ["a", "b", "c", "d"]);
        for number in 0..BACKLOG_AHEAD_BODIES as u64 {
            let body = Body { last_ms: WALL_MS, ..body("x", 1) };
            desk.core.books_mut(0).ledger.read += Count::new(1, u64::from(RAW_BYTES));
            let parcel = Parcel::new(body, label(number, false), |json| json);
            desk.core.hold_bytes(0, parcel.memory_bytes());
            desk.core.streams[0].put_back(Delivery { backlog: true, ..Delivery::fresh(parcel) });
        }
        let stream = &mut desk.core.streams[0];
        (stream.refusals.slow, stream.hold_until) = (slow, (!slow).then_some(desk.now + ms(60_000)));
        desk.spool_works();
        assert!(matches!(desk.asked.front(), Some(Request::Load { .. })), "slow: {slow}; {:?}", desk.asked);
    }
}

#[test]
fn what_lay_on_disk_and_is_gone_leaves_what_is_on_its_way_there() {
    let mut desk = Desk::new(2, with_disk(2, 1, false));
    desk.offer(0, ["a1", "a2", "a3", "a4"]);
    desk.offer(1, ["b1", "b2", "b3"]);
    desk.spool_works();
    let load = desk.asked.pop_front();
    assert!(matches!(load, Some(Request::Load { .. })), "{load:?}");
    desk.offer(0, ["a5", "a6"]);
    desk.offer(1, ["b4"]);
    desk.hear(Event::Nothing);
    let alone = [0, 1].map(|stream| desk.core.streams[stream].disk.alone);
    assert_eq!((alone, desk.core.disk.alone), ([2, 1], 0));
}

#[test]
fn the_disk_is_not_empty_before_ended_runs_were_looked_for_nor_while_something_is_on_its_way() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    assert!(desk.core.disk_is_empty(desk.now));
    desk.core.disk.searched = false;
    assert!(!desk.core.disk_is_empty(desk.now));
    desk.core.disk.searched = true;
    desk.offer(0, ["a"]);
    assert!(!desk.core.disk_is_empty(desk.now));
}

#[test]
fn of_what_is_durable_no_more_stays_in_memory_than_may_wait_there() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c", "d"]);
    (0..4).for_each(|_| drop(desk.spool_works()));
    let with_ship: Vec<_> = desk.kept.iter().map(|kept| kept.with_ship).collect();
    assert_eq!(with_ship, [true, true, true, false], "one flies, and two wait");
}

/// Four bodies wait, one fewer than there are; what `change` makes of it, and then the ring presses: who goes to the disk.
fn goes_to_the_disk(change: impl Fn(&mut crate::ship::core::Stream)) -> usize {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.core.disk.refused_until = Some(desk.now + SPOOL_RETRY);
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    assert_eq!((desk.asked.len(), desk.core.streams[0].waiting.len()), (0, 4));
    change(&mut desk.core.streams[0]);
    desk.core.disk.refused_until = None;
    desk.core.set_presses(0, true);
    desk.act();
    desk.asked.len()
}

#[test]
fn bodies_leave_memory_for_the_disk_in_their_order_whole_and_not_while_their_stream_is_slow() {
    assert_eq!(goes_to_the_disk(|_| ()), 2);
    assert_eq!(goes_to_the_disk(|stream| stream.refusals.slow = true), 0);
    assert_eq!(goes_to_the_disk(|stream| stream.waiting[2].trial.is_part = true), 0);
    // Younger ones are there already: these would come back after them.
    assert_eq!(goes_to_the_disk(|stream| stream.disk.leave_alone(10, false)), 0);
}
