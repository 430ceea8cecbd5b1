//! What ended runs left, and streams in trouble.

use super::*;
use crate::limits::{ADOPTED_QUICK, ADOPTED_TRIES, ELSEWHERE_END_WAIT, EVENT_AHEAD_MS_MAX};
use crate::ship::answer::Rejected;

pub(super) fn adopted(stream: &str, name: &str, last_ms: i64) -> Entry {
    Entry {
        address: Arc::new(Address { group: "/other".into(), stream: stream.into(), ..Address::default() }),
        sequence: 7,
        first_ms: last_ms,
        last_ms,
        serial: false,
        gzip: false,
        raw_lengths: vec![5, 5],
        pieces: Vec::new(),
        payload: Bytes::copy_from_slice(name.as_bytes()),
    }
}

#[test]
fn what_an_ended_run_left_goes_where_it_was_meant_for_and_too_old_events_cost_no_call() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    // The service knows what time it is, and we know that it does.
    desk.offer(0, ["own"]);
    desk.answer("own", ok());
    desk.hear(Event::Adopted { run: 1, entries: 2, count: Count::new(4, 20), bytes: 1000 });
    desk.act();
    let load = |desk: &mut Desk| matches!(desk.asked.pop_front(), Some(Request::Load { .. }));
    assert!(load(&mut desk));
    let id = |index| EntryId { run: 1, segment: 0, index };
    // Not our own spool: `Done` is looked up there.
    desk.kept = (0..2).map(|_| Kept { entry: Arc::new(adopted("s", "x", 0)), with_ship: true, done: false }).collect();
    desk.hear(Event::Loaded {
        id: id(0),
        entry: Box::new(adopted("s", "old", WALL_MS - EVENT_AHEAD_MS_MAX - EVENT_AGE_MS_MAX - 1)),
    });
    desk.act();
    assert!(load(&mut desk) && desk.kept[0].done);
    desk.hear(Event::Loaded { id: id(1), entry: Box::new(adopted("s", "young", WALL_MS)) });
    desk.act();
    let place = desk.core.streams.iter().position(|stream| stream.address.group == "/other").unwrap();
    desk.core.stream_created(place, ok(), desk.now);
    assert_eq!(desk.act(), ["young"]);
    desk.answer("young", ok());
    let ledger = desk.core.adopted_ledger();
    assert_eq!((ledger.adopted.lines, ledger.spooled, desk.kept[1].done), (4, Count::default(), true));
    assert_eq!((ledger.ended(End::TooOld).lines, ledger.ended(End::Delivered).lines), (2, 2));
    assert!(desk.core.is_empty(desk.now));
}

#[test]
fn events_that_are_too_old_by_our_clock_alone_are_the_services_to_refuse() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    desk.hear(Event::Adopted { run: 1, entries: 1, count: Count::new(2, 10), bytes: 1000 });
    desk.act();
    desk.kept = vec![Kept { entry: Arc::new(adopted("s", "x", 0)), with_ship: true, done: false }];
    let id = EntryId { run: 1, segment: 0, index: 0 };
    // Our own clock may be years ahead, and its lines are refused for that.
    desk.offer(0, ["own"]);
    let too_new = Answer::Accepted(Rejected { too_new_start: Some(0), ..Rejected::default() });
    desk.answer("own", too_new);
    desk.hear(Event::Loaded { id, entry: Box::new(adopted("s", "old", WALL_MS - 100 * EVENT_AGE_MS_MAX)) });
    desk.act();
    desk.core.stream_created(1, ok(), desk.now);
    assert_eq!(desk.act(), ["old"]);
    desk.answer("old", ok());
    assert_eq!(desk.core.adopted_ledger().ended(End::Delivered).lines, 2);
}

#[test]
fn at_the_end_a_service_that_has_never_answered_is_not_waited_for() {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    desk.hear(Event::Adopted { run: 1, entries: 3, count: Count::new(6, 30), bytes: 1000 });
    desk.act();
    desk.kept = (0..3).map(|_| Kept { entry: Arc::new(adopted("s", "x", 0)), with_ship: true, done: false }).collect();
    let bring = |desk: &mut Desk, index: u32, stream: &str| {
        let mut entry = adopted(stream, "x", WALL_MS);
        entry.address = Arc::new(Address { endpoint: "http://old".into(), ..(*entry.address).clone() });
        desk.kept[index as usize].entry = Arc::new(entry.clone());
        assert!(matches!(desk.asked.pop_front(), Some(Request::Load { .. })));
        desk.hear(Event::Loaded { id: EntryId { run: 1, segment: 0, index }, entry: Box::new(entry) });
        desk.act();
    };
    bring(&mut desk, 0, "s");
    bring(&mut desk, 1, "s");
    // Its creation hangs. Another stream has not even been loaded.
    desk.core.drain(desk.now);
    desk.act();
    assert!(!desk.core.is_empty(desk.now));
    assert_eq!(desk.core.next_due(desk.now), Some(desk.now + ELSEWHERE_END_WAIT));
    desk.now += ELSEWHERE_END_WAIT;
    desk.act();
    bring(&mut desk, 2, "t");
    assert!(!desk.core.is_empty(desk.now));
    assert!(matches!(desk.asked.pop_front(), Some(Request::Load { except }) if except.len() == 2));
    desk.hear(Event::Nothing);
    assert!(desk.core.is_empty(desk.now));
    desk.core.give_up(End::Shutdown);
    let ledger = desk.core.adopted_ledger();
    assert_eq!((ledger.spooled, ledger.in_memory), (Count::new(6, 30), Count::default()));
}

/// What an ended run left of a stream that is not ready yet comes back, each from its place; then the stream is ready.
fn sent_of_ended_runs(places: &[(u32, u32, u64)]) -> Vec<String> {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    let entries = places.len() as u64;
    desk.hear(Event::Adopted { run: 1, entries, count: Count::new(2 * entries, 10 * entries), bytes: 1000 });
    let kept = || Kept { entry: Arc::new(adopted("s", "x", 0)), with_ship: true, done: false };
    desk.kept = places.iter().map(|_| kept()).collect();
    for (run, index, sequence) in places {
        let entry = Entry { sequence: *sequence, ..adopted("s", &format!("{run} {index}"), WALL_MS) };
        let id = EntryId { run: *run, segment: 0, index: *index };
        desk.hear(Event::Loaded { id, entry: Box::new(entry) });
    }
    desk.act();
    let place = desk.core.streams.iter().position(|stream| stream.address.group == "/other").unwrap();
    desk.core.stream_created(place, ok(), desk.now);
    desk.act();
    let mut sent = Vec::new();
    for _ in places {
        let [(_, name)] = &desk.sent[..] else { panic!("one is sent after the other: {:?}", desk.sent) };
        sent.push(name.clone());
        desk.answer(&sent[sent.len() - 1], ok());
    }
    sent
}

#[test]
fn parts_of_a_body_that_lie_on_disk_as_bodies_of_one_number_go_out_in_their_order() {
    assert_eq!(sent_of_ended_runs(&[(1, 0, 7), (1, 1, 7), (1, 2, 7)]), ["1 0", "1 1", "1 2"]);
}

#[test]
fn what_several_ended_runs_left_of_a_stream_goes_out_run_by_run() {
    assert_eq!(sent_of_ended_runs(&[(1, 0, 50), (1, 1, 51), (2, 0, 0)]), ["1 0", "1 1", "2 0"]);
}

#[test]
fn a_stream_in_trouble_holds_up_no_other_and_its_backlog_waits_on_disk() {
    let mut desk = Desk::new(2, with_disk(2, 2, false));
    desk.offer(0, ["a1", "a2", "a3", "a4", "a5", "a6"]);
    desk.offer(1, ["b1", "b2", "b3", "b4"]);
    desk.spool_works_on();
    desk.answer("a1", denied());
    // Its other bodies are held, and what would come back of it is passed over.
    let mut rounds = 0;
    while desk.delivered(1) < 4 {
        rounds += 1;
        assert!(rounds < 50, "the other stream stands still: {:?}", desk.sent);
        desk.spool_works_on();
        let flying: Vec<_> = desk.sent.iter().map(|(_, name)| name.clone()).collect();
        for name in flying {
            desk.answer(&name, if name.starts_with('a') { denied() } else { ok() });
        }
    }
    assert_eq!(desk.delivered(0), 0);
    while !desk.core.is_empty(desk.now) {
        rounds += 1;
        assert!(rounds < 200, "it stands still: {:?} {:?}", desk.sent, desk.on_disk());
        desk.spool_works_on();
        let flying: Vec<_> = desk.sent.iter().map(|(_, name)| name.clone()).collect();
        for name in &flying {
            desk.answer(name, ok());
        }
        if flying.is_empty() && desk.asked.is_empty() && !desk.core.is_empty(desk.now) {
            desk.now = desk.core.next_due(desk.now).expect("something is due");
            desk.act();
        }
    }
    assert_eq!((desk.delivered(0), desk.on_disk().len()), (6, 0));
}

/// How often a body that an ended run left is sent before the end no longer waits for it; each call takes so long.
fn tries_before_it_is_left(call_takes: Duration) -> u32 {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    desk.hear(Event::Adopted { run: 1, entries: 1, count: Count::new(2, 10), bytes: 1000 });
    desk.kept = vec![Kept { entry: Arc::new(adopted("s", "x", WALL_MS)), with_ship: true, done: false }];
    let id = EntryId { run: 1, segment: 0, index: 0 };
    desk.hear(Event::Loaded { id, entry: Box::new(adopted("s", "x", WALL_MS)) });
    desk.core.drain(desk.now);
    desk.act();
    let place = desk.core.streams.iter().position(|stream| stream.address.group == "/other").unwrap();
    desk.core.stream_created(place, ok(), desk.now);
    desk.act();
    let mut tries = 0;
    while !desk.core.streams[place].is_troubled(desk.now) {
        if desk.sent.is_empty() {
            desk.now = desk.core.next_due(desk.now).expect("it is tried again");
            desk.act();
        }
        tries += 1;
        assert!(tries < 100);
        desk.now += call_takes;
        desk.answer("x", away());
    }
    tries
}

#[test]
fn a_failure_that_passes_is_no_trouble_of_an_adopted_stream_and_one_that_takes_long_is() {
    assert_eq!(tries_before_it_is_left(Duration::from_millis(5)), ADOPTED_TRIES);
    assert_eq!(tries_before_it_is_left(ADOPTED_QUICK), 1);
}

#[test]
fn what_is_found_at_the_very_end_counts_as_left_and_what_of_it_is_gone_costs_nothing_else() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.hear(Event::Adopted { run: 1, entries: 2, count: Count::new(4, 20), bytes: 1000 });
    desk.core.give_up(End::Shutdown);
    desk.core.spool_ended(Event::Adopted { run: 2, entries: 3, count: Count::new(6, 30), bytes: 1000 });
    let sum = Sum { entries: 1, memory_bytes: 9, count: Count::new(2, 10) };
    desk.core.spool_ended(Event::Gone { run: 2, key: 0, sum });
    desk.check();
    let ledger = desk.core.adopted_ledger();
    assert_eq!((ledger.adopted, ledger.spooled), (Count::new(10, 50), Count::new(8, 40)));
    assert_eq!(ledger.ended(End::Unreadable), Count::new(2, 10));
}
