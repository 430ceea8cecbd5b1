//! What goes next where fresh bodies and such that came back wait, which of them must wait for which, and what an ended
//! run's stream in trouble means for the others.

use super::adopted::adopted;
use super::*;

/// An ended run's bodies have come back, and their stream is being created. Its place.
fn back(desk: &mut Desk, names: &[&str], address: Address) -> usize {
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

fn other() -> Address {
    Address { group: "/other".into(), stream: "s".into(), ..Address::default() }
}

fn elsewhere() -> Address {
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
        assert_eq!((desk.kept[0].with_ship, desk.core.outage_since), (with_ship, None), "{answer:?}");
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
        assert!(desk.core.outage_since.is_some());
        desk.core.stream_created(place, ok(), desk.now);
        desk.act();
        assert_eq!(desk.core.outage_since.is_none(), ends);
    }
}
