//! What the disk does not have any more, or never will give back.

use super::*;
use crate::ship::core::stream::OnDisk;
use crate::spool::wire::Refusal;

#[test]
fn what_came_back_from_a_spool_that_died_then_stays_in_memory_also_when_its_stream_is_in_trouble() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    desk.spool_works_on();
    for name in ["a", "b", "c"] {
        desk.answer(name, ok());
        desk.spool_works_on();
    }
    assert_eq!((desk.sent[0].1.as_str(), desk.core.streams[0].backlog.len()), ("d", 1));
    desk.core.spool_died();
    desk.answer("d", denied());
    assert_eq!((desk.core.disk.alone, desk.core.streams[0].disk.alone), (0, 0), "left on a disk that is dead");
    desk.offer(0, ["f"]);
    desk.now = desk.core.next_due(desk.now).expect("a hold ends");
    desk.act();
    for name in ["d", "e", "f"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.core.is_empty(desk.now)), (6, true));
}

#[test]
fn nobody_waits_for_what_is_not_on_disk_any_more() {
    for is_gone in [false, true] {
        let mut desk = Desk::new(1, with_disk(1, 1, false));
        desk.offer(0, ["a", "b", "c", "d", "e", "f"]);
        let key = desk.core.streams[0].address.key();
        // "d" and "e" are on disk, and "f" is on its way there, which asks for more than there is to lose.
        (0..2).for_each(|_| drop(desk.spool_works()));
        assert_eq!((desk.core.disk.alone, desk.core.streams[0].disk.alone), (2, 3));
        desk.kept.iter_mut().for_each(|kept| kept.done = true);
        desk.hear(match is_gone {
            true => Event::Gone { run: 0, key, sum: sum(3) },
            false => Event::SetAside { run: 0, key, what: "x".into(), sum: sum(3), bytes: 9 },
        });
        assert_eq!((desk.core.disk.alone, desk.core.streams[0].disk.alone), (0, 1));
        // It compares what is counted with what is there.
        desk.act();
        desk.spool_works_on();
        for name in ["a", "b", "c", "f"] {
            desk.answer(name, ok());
            desk.spool_works_on();
        }
        desk.core.drain(desk.now);
        assert!(desk.core.is_empty(desk.now), "it waits for what is gone");
        let ledger = &desk.core.streams[0].books.ledger;
        assert_eq!((desk.delivered(0), ledger.ended(End::Unreadable)), (4, Count::new(2, 20)));
        assert_eq!(desk.core.streams[0].disk.bytes, 0);
    }
}

#[test]
fn what_waits_in_memory_is_stored_again_when_its_segment_is_gone() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c"]);
    desk.spool_works_on();
    assert_eq!((desk.on_disk(), desk.core.streams[0].waiting.len()), (vec!["a".to_owned(), "b".into(), "c".into()], 2));
    // Another segment, and another run's.
    desk.hear(Event::Missing { segment: 1 });
    assert!(desk.act().is_empty() && desk.asked.is_empty());
    desk.hear(Event::Missing { segment: 0 });
    desk.act();
    // All three were called done, and are asked for anew.
    assert_eq!((desk.on_disk().len(), desk.asked.len()), (0, 3));
    assert!(desk.answer("a", ok()).is_empty(), "what follows is on its way to the disk, and not sent before");
    assert_eq!(desk.spool_works_on(), ["b"]);
    assert_eq!(desk.on_disk(), ["b", "c"]);
    for name in ["b", "c"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.on_disk().len(), desk.core.is_empty(desk.now)), (3, 0, true));
}

#[test]
fn without_durable_what_is_in_memory_stays_there_when_its_segment_is_gone() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    desk.spool_works_on();
    desk.answer("a", ok());
    desk.spool_works_on();
    desk.answer("b", ok());
    desk.spool_works_on();
    // "d" and "e" came back.
    assert_eq!(desk.core.streams[0].backlog.len(), 2);
    desk.hear(Event::Missing { segment: 0 });
    desk.act();
    assert_eq!((desk.on_disk().len(), desk.core.streams[0].disk.bytes, desk.asked.len()), (0, 0, 0));
    for name in ["c", "d", "e"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.core.is_empty(desk.now)), (5, true));
}

#[test]
fn a_strict_stream_goes_on_without_what_is_gone() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    desk.spool_works();
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("{:?}", desk.asked) };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("full".into()) });
    for name in ["a", "b"] {
        desk.answer(name, ok());
    }
    assert_eq!(desk.answer("c", ok()), [""; 0], "what waits in memory overtakes what is on disk");
    desk.kept.iter_mut().for_each(|kept| kept.done = true);
    let key = desk.core.streams[0].address.key();
    desk.hear(Event::Gone { run: 0, key, sum: sum(1) });
    assert_eq!(desk.act(), ["e"]);
}

#[test]
fn what_is_gone_of_an_ended_run_is_not_waited_for() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.hear(Event::Adopted { run: 1, entries: 2, count: Count::new(2, 20), bytes: 100 });
    desk.core.drain(desk.now);
    assert!(!desk.core.is_empty(desk.now));
    desk.hear(Event::Gone { run: 1, key: 0, sum: sum(2) });
    assert_eq!((desk.core.disk.alone, desk.core.is_empty(desk.now)), (0, true));
}

#[test]
fn what_nothing_is_left_of_takes_no_room_either() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.spool_works();
    desk.kept.iter_mut().for_each(|kept| kept.done = true);
    let [Request::Load { except }] = &desk.asked.make_contiguous()[..] else { panic!("{:?}", desk.asked) };
    assert_eq!(except.len(), 0);
    desk.spool_works();
    assert_eq!((desk.core.disk.alone, desk.core.streams[0].disk.bytes), (0, 0));
}

#[test]
fn what_was_told_as_lost_in_the_place_of_another_comes_back_all_the_same() {
    let Sum { memory_bytes, count, .. } = sum(2);
    let bytes = memory_bytes as usize;
    let mut disk = OnDisk { bytes, alone_bytes: bytes, alone_count: count, ..OnDisk::default() };
    [3, 4].into_iter().for_each(|number| disk.leave_alone(number, false));
    // Neither of these two, but something that ship had taken back.
    assert_eq!(disk.lose(sum(1), 0), sum(1));
    [3, 4].into_iter().for_each(|number| disk.came_back(number, bytes / 2));
    assert_eq!((disk.alone, disk.alone_bytes, disk.bytes), (0, 0, bytes), "both are in memory, and on disk");
    assert_eq!(disk.find(sum(1)), sum(1));
    // Nor is there anything that comes for it.
    disk.lose_all(0);
    assert_eq!((disk.alone, disk.alone_bytes, disk.bytes), (0, 0, bytes));
}

#[test]
fn a_cut_line_whose_last_piece_is_gone_is_gone_and_no_other_line_in_its_place() {
    for gone in ["d", "e"] {
        let mut desk = Desk::new(1, with_disk(1, 1, false));
        desk.offer(0, ["a", "b", "c"]);
        // The begin of a line, and its end with a whole line.
        for (name, whole, pieces) in [("d", 0, [(500, false)]), ("e", 1, [(500, true)])] {
            let body = Body { last_ms: WALL_MS, ..body_with_pieces(name, whole, &pieces) };
            let books = desk.core.books_mut(0);
            for (line, ends) in pieces {
                let lines = u64::from(whole) + u64::from(ends);
                books.ledger.read += Count::new(lines, u64::from((whole + 1) * RAW_BYTES));
                books.split.began(line, ends);
            }
            let label = desk.core.next_label(0, false, false);
            desk.core.offer(0, Parcel::new(body, label, |json| json));
            desk.act();
        }
        (0..2).for_each(|_| drop(desk.spool_works()));
        assert_eq!((desk.core.spooled_of(0), desk.core.held(0)), (Count::new(2, 30), Count::new(3, 30)));
        let key = desk.core.streams[0].address.key();
        let at = desk.kept.iter().position(|kept| kept.entry.payload == gone).expect("it is on disk");
        desk.kept[at].done = true;
        let sum = desk.kept[at].entry.sum();
        desk.hear(Event::Gone { run: 0, key, sum });
        for name in ["a", "b", "c", "d", "e"].into_iter().filter(|name| *name != gone) {
            desk.spool_works_on();
            desk.answer(name, ok());
        }
        desk.core.give_up(End::Shutdown);
        desk.check();
        let ledger = &desk.core.streams[0].books.ledger;
        let (lines, lost) = if gone == "e" { (3, Count::new(2, 20)) } else { (4, Count::new(1, 10)) };
        assert_eq!((desk.delivered(0), ledger.ended(End::Unreadable)), (lines, lost), "without {gone}");
        assert_eq!((desk.core.spooled_of(0), desk.core.held(0)), (Count::default(), Count::default()));
    }
}

#[test]
fn what_is_left_on_disk_while_nothing_is_found_there_is_looked_for_again() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.spool_works();
    desk.offer(0, ["e"]);
    let load = desk.asked.pop_front();
    assert!(matches!(load, Some(Request::Load { .. })), "{load:?}");
    desk.kept[0].done = true;
    let key = desk.core.streams[0].address.key();
    desk.hear(Event::Gone { run: 0, key, sum: sum(1) });
    desk.spool_works();
    // Decided before "e" was there.
    desk.hear(Event::Nothing);
    desk.act();
    assert_eq!(desk.core.disk.alone, 1);
    assert!(matches!(desk.asked.front(), Some(Request::Load { .. })), "{:?}", desk.asked);
}
