//! What goes next where fresh bodies and such that came back wait, which of them must wait for which, and what an ended
//! run's stream in trouble means for the others.

use super::adopted::adopted;
use super::*;
use crate::limits::{ADOPTED_STREAMS_MAX, BACKLOG_AHEAD_BODIES, SPOOL_RETRY};
use crate::ship::core::creation::Existence;
use crate::ship::core::stream::{Delivery, OnDisk};
use crate::spool::wire::Refusal;

/// An ended run's bodies have come back, and their stream is being created. Its place.
pub(super) fn back(desk: &mut Desk, names: &[&str], address: Address) -> usize {
    let entries = names.len() as u64;
    desk.hear(Event::Adopted { run: 1, entries, count: Count::new(2 * entries, 10 * entries), bytes: 1000 });
    for name in names {
        let entry = Entry { address: Arc::new(address.clone()), ..adopted("s", name, WALL_MS) };
        let id = EntryId { run: 1, segment: 0, index: desk.kept.len() as u32 };
        desk.kept.push(Kept { entry: Arc::new(entry.clone()), with_ship: true, done: false });
        desk.hear(Event::Loaded { id, entry: Box::new(entry) });
    }
    desk.act();
    desk.core.streams.iter().position(|stream| *stream.address == address).expect("it is known")
}

pub(super) fn other() -> Address {
    Address { group: "/other".into(), stream: "s".into(), ..Address::default() }
}

pub(super) fn elsewhere() -> Address {
    Address { region: "eu-west-9".into(), ..other() }
}

#[test]
fn a_backlog_takes_turns_with_fresh_bodies_and_never_has_more_than_half_the_window() {
    let mut desk = Desk::new(4, with_disk(8, 8, false));
    let place = back(&mut desk, &["b0", "b1", "b2", "b3", "b4", "b5"], other());
    for (nth, name) in ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"].into_iter().enumerate() {
        let fresh = Body { last_ms: WALL_MS, ..body(name, 1) };
        desk.core.books_mut(nth % 4).ledger.read += Count::new(1, u64::from(RAW_BYTES));
        let label = desk.core.next_label(nth % 4, false, false);
        desk.core.offer(nth % 4, Parcel::new(fresh, label, |json| json));
    }
    desk.core.stream_created(place, ok(), desk.now);
    assert_eq!(desk.act(), ["f0", "b0", "f1", "b1", "f2", "b2", "f3", "b3"], "each stream has its turn");
    assert_eq!(desk.answer("f0", ok()), ["f4"]);
    assert_eq!(desk.answer("f1", ok()), ["f5"], "half are the backlog's");
    assert_eq!(desk.answer("b0", ok()), ["b4"]);
    assert_eq!(desk.answer("b1", ok()), ["f6"]);
}

#[test]
fn where_order_is_strict_a_body_waits_for_older_ones_on_disk_and_for_no_younger_ones() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    let Some(Request::Store { ticket, .. }) = desk.asked.remove(1) else { panic!("e goes to the disk") };
    assert!(matches!(desk.asked[0], Request::Store { ticket: other, .. } if other != ticket));
    desk.spool_works();
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no space".into()) });
    desk.act();
    let load = desk.asked.pop_front();
    assert!(matches!(load, Some(Request::Load { .. })));
    desk.now += SPOOL_RETRY;
    desk.act();
    assert_eq!(desk.answer("a", ok()), ["b"]);
    desk.offer(0, ["f"]);
    desk.spool_works();
    assert_eq!(desk.on_disk(), ["d", "f"]);
    assert_eq!(desk.answer("b", ok()), ["c"]);
    assert_eq!(desk.answer("c", ok()), [""; 0], "d is older than e");
    desk.asked.extend(load);
    assert_eq!(desk.spool_works(), ["d"]);
    // The next to be loaded is f, and that takes its time.
    assert_eq!(desk.answer("d", ok()), ["e"]);
    assert_eq!(desk.answer("e", ok()), [""; 0]);
    assert_eq!(desk.spool_works_on(), ["f"]);
}

#[test]
fn an_ended_runs_stream_that_cannot_be_created_leaves_its_bodies_on_disk_and_is_no_outage() {
    for (answer, with_ship) in [(away(), false), (denied(), false), (Answer::Throttled, true)] {
        let mut desk = Desk::new(1, with_disk(2, 2, false));
        let place = back(&mut desk, &["x"], other());
        desk.core.stream_created(place, answer.clone(), desk.now);
        desk.act();
        assert_eq!((desk.kept[0].with_ship, desk.core.outage.since), (with_ship, None), "{answer:?}");
        // It counts while it is here.
        assert_eq!(desk.core.streams[place].disk.bytes > 0, with_ship, "{answer:?}");
    }
}

#[test]
fn a_body_of_an_ended_run_whose_answer_was_lost_may_be_a_duplicate() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    let place = back(&mut desk, &["x"], other());
    desk.core.stream_created(place, ok(), desk.now);
    assert_eq!(desk.act(), ["x"]);
    desk.answer("x", lost());
    desk.now = desk.core.next_due(desk.now).expect("it is tried again");
    assert_eq!(desk.act(), ["x"]);
    assert_eq!(desk.core.adopted_ledger().duplicates, 2);
}

#[test]
fn a_success_at_another_endpoint_is_no_end_of_an_outage_and_one_at_our_own_is() {
    for (address, ends) in [(elsewhere(), false), (other(), true)] {
        let mut desk = Desk::new(1, with_disk(2, 2, false));
        let place = back(&mut desk, &["x"], address);
        desk.offer(0, ["a"]);
        desk.answer("a", away());
        assert!(desk.core.outage.since.is_some());
        desk.core.stream_created(place, ok(), desk.now);
        desk.act();
        assert_eq!(desk.core.outage.since.is_none(), ends);
    }
}

#[test]
fn what_a_stream_in_trouble_has_on_disk_is_not_asked_for_and_the_end_waits_for_it_unless_an_ended_run_left_it() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.answer("a", denied());
    desk.spool_works();
    let own = desk.core.streams[0].address.key();
    assert_eq!(excepted_of(&desk), [own]);
    desk.spool_works();
    assert!(!desk.core.disk_is_empty(desk.now), "it is our own");

    let mut desk = Desk::new(1, with_disk(1, 1, false));
    let place = back(&mut desk, &["x"], other());
    desk.core.stream_created(place, denied(), desk.now);
    desk.act();
    assert_eq!(excepted_of(&desk), [other().key()]);
    assert!(!desk.core.disk_is_empty(desk.now), "it may be that there is more");
    desk.spool_works();
    assert!(desk.core.disk_is_empty(desk.now));
}

fn excepted_of(desk: &Desk) -> Vec<u64> {
    let [Request::Load { except }] = &desk.asked.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", desk.asked) };
    except.clone()
}

#[test]
fn what_cannot_be_read_any_more_is_booked_where_it_belongs() {
    let mut desk = Desk::new(2, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.spool_works();
    desk.hear(Event::Adopted { run: 1, entries: 1, count: Count::new(2, 10), bytes: 1000 });
    let key = desk.core.streams[0].address.key();
    let lost = |desk: &Desk, stream: usize| desk.core.streams[stream].books.ledger.ended(End::Unreadable);
    desk.hear(Event::SetAside {
        run: 1,
        key,
        what: "x".into(),
        sum: Sum { entries: 1, memory_bytes: 9, count: Count::new(2, 10) },
        bytes: 9,
    });
    assert_eq!((lost(&desk, 0), lost(&desk, 1)), (Count::default(), Count::default()));
    assert_eq!(desk.core.adopted_ledger().ended(End::Unreadable), Count::new(2, 10));
    desk.hear(Event::SetAside { run: 0, key, what: "x".into(), sum: sum(1), bytes: 9 });
    assert_eq!((lost(&desk, 0), lost(&desk, 1)), (Count::new(1, 10), Count::default()));
    assert_eq!(desk.core.spooled_of(0), Count::default());
}

#[test]
fn an_ended_run_counts_for_what_is_used_and_is_told_of_if_anything_waits() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    let before = desk.said.len();
    desk.hear(Event::Adopted { run: 1, entries: 0, count: Count::default(), bytes: 1000 });
    desk.act();
    assert_eq!((desk.core.disk.used_bytes, desk.said.len()), (1000, before));
    desk.hear(Event::Adopted { run: 2, entries: 1, count: Count::new(2, 10), bytes: 500 });
    desk.act();
    assert_eq!((desk.core.disk.used_bytes, desk.said.len()), (1500, before + 1));
    desk.hear(Event::Freed { bytes: 1000 });
    assert_eq!(desk.core.disk.used_bytes, 500);
}

#[test]
fn events_are_too_old_only_beyond_the_bound() {
    for (last_ms, begun) in [(WALL_MS - EVENT_AGE_MS_MAX, true), (WALL_MS - EVENT_AGE_MS_MAX - 1, false)] {
        let mut desk = Desk::new(1, with_disk(1, 1, false));
        desk.core.service_ms = Some(WALL_MS);
        desk.hear(Event::Adopted { run: 1, entries: 1, count: Count::new(2, 10), bytes: 1000 });
        desk.kept.push(Kept { entry: Arc::new(adopted("s", "x", last_ms)), with_ship: true, done: false });
        let id = EntryId { run: 1, segment: 0, index: 0 };
        desk.hear(Event::Loaded { id, entry: Box::new(adopted("s", "x", last_ms)) });
        assert_eq!(desk.core.streams[1].begun, begun);
    }
}

#[test]
fn of_ended_runs_streams_few_are_remembered_and_those_with_something_to_do_all_are() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    let address = |nth: usize| Arc::new(Address { stream: format!("old-{nth}"), ..other() });
    for nth in 0..ADOPTED_STREAMS_MAX {
        assert_eq!(desk.core.adopted_stream(&address(nth)), 1 + nth, "there is room");
    }
    (1..=ADOPTED_STREAMS_MAX).for_each(|index| desk.core.streams[index].in_flight = 1);
    assert_eq!(desk.core.adopted_stream(&address(1_000_000)), 1 + ADOPTED_STREAMS_MAX);
    desk.core.streams[1 + ADOPTED_STREAMS_MAX].in_flight = 1;
    desk.core.streams[3].in_flight = 0;
    assert_eq!(desk.core.adopted_stream(&address(1_000_001)), 3);
    assert_eq!(*desk.core.streams[3].address, *address(1_000_001));
}

#[test]
fn a_stream_is_idle_if_nothing_of_it_waits_flies_or_is_being_created() {
    let mut core = Core::new(addresses(1), options(1, 1));
    let now = clock::now();
    assert!(core.streams[0].is_idle());
    core.streams[0].existence = Existence::Exists;
    assert!(core.streams[0].is_idle());
    core.streams[0].existence = Existence::BeingCreated { sent_after: 0, sent_at: clock::now() };
    assert!(!core.streams[0].is_idle());
    core.streams[0].existence = Existence::Resting { until: now, away: false };
    core.streams[0].in_flight = 1;
    assert!(!core.streams[0].is_idle());
    core.streams[0].in_flight = 0;
    for backlog in [false, true] {
        let parcel = Parcel::new(body("x", 1), label(0, false), |json| json);
        core.streams[0].put_back(Delivery { backlog, ..Delivery::fresh(parcel) });
        assert!(!core.streams[0].is_idle());
        core.streams[0].waiting.clear();
        core.streams[0].backlog.clear();
        assert!(core.streams[0].is_idle());
    }
}

#[test]
fn what_came_back_is_no_longer_on_disk_alone_and_all_that_is_left_is_younger() {
    let mut on_disk = OnDisk::default();
    [7, 3, 5].into_iter().for_each(|number| on_disk.leave_alone(number, false));
    assert_eq!((on_disk.alone, on_disk.alone_from), (3, 3));
    on_disk.came_back(3, 0);
    assert_eq!((on_disk.alone, on_disk.alone_from), (2, 4));
    on_disk.came_back(5, 0);
    on_disk.came_back(7, 0);
    assert_eq!(on_disk.alone, 0);
    on_disk.leave_alone(1, false);
    assert_eq!((on_disk.alone, on_disk.alone_from), (1, 1));
}

#[test]
fn a_backlog_that_waits_for_memory_does_not_hold_up_what_memory_waits_for() {
    // In a stream of this window, this body is on disk, and 4 is in memory, and 5 and 6 came back.
    for (window, on_disk, loads) in [(1, 3, true), (1, 7, false), (2, 3, false)] {
        let mut core = Core::new(addresses(1), with_disk(1, window, false));
        let delivery = |number| Delivery::fresh(Parcel::new(body("x", 1), label(number, false), |json| json));
        core.disk.alone = 1;
        core.streams[0].disk.leave_alone(on_disk, false);
        core.streams[0].put_back(delivery(4));
        for number in [5, 6] {
            core.streams[0].put_back(Delivery { backlog: true, ..delivery(number) });
        }
        assert_eq!(core.load(clock::now()).is_some(), loads, "window {window}, {on_disk} on disk");
    }
}

#[test]
fn where_order_is_strict_nothing_is_left_on_disk_behind_a_younger_one() {
    for segment_is_gone in [false, true] {
        let mut desk = Desk::new(1, with_disk(1, 1, true));
        desk.offer(0, ["a", "b", "c", "d", "e"]);
        desk.spool_works_on();
        assert_eq!(desk.core.streams[0].backlog.len(), BACKLOG_AHEAD_BODIES, "no more comes back now");
        desk.core.set_presses(0, true);
        if segment_is_gone {
            // b and c are stored again: the second finds too many in memory.
            desk.hear(Event::Missing { segment: 0 });
        }
        // It comes back, and is one too many: the youngest in memory is the one that must stay there.
        desk.answer("a", not_found());
        desk.spool_works_on();
        desk.core.stream_created(0, ok(), desk.now);
        desk.act();
        desk.spool_works_on();
        for name in ["a", "b", "c", "d", "e"] {
            desk.answer(name, ok());
            desk.spool_works_on();
        }
        assert_eq!((desk.delivered(0), desk.core.is_empty(desk.now)), (5, true));
    }
}
