//! A spool whose disk stands still.

use super::*;
use crate::limits::{SPOOL_ANSWER_WAIT, SPOOL_ANSWER_WAIT_AT_END, SPOOL_RETRY};
use crate::spool::wire::Refusal;

const SAID: &str = "the spool does not answer";

impl Desk {
    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.act()
    }

    fn times_said(&self, text: &str) -> usize {
        self.said.iter().filter(|said| said.contains(text)).count()
    }
}

#[test]
fn a_durable_body_that_is_not_stored_in_time_is_sent_without() {
    let mut desk = Desk::new(1, with_disk(4, 4, true));
    desk.offer(0, ["a", "b"]);
    assert_eq!(desk.core.next_due(desk.now), Some(desk.now + SPOOL_ANSWER_WAIT));
    assert_eq!(desk.pass(SPOOL_ANSWER_WAIT - Duration::from_millis(1)), [""; 0]);
    assert_eq!(desk.pass(Duration::from_millis(1)), ["a", "b"]);
    desk.offer(0, ["c"]);
    assert_eq!(
        (desk.sent.len(), desk.times_said(SAID), desk.times_said("a kill of logpump now may lose them")),
        (3, 1, 1)
    );
    desk.answer("a", ok());
    // It answers: what it stored in vain it forgets, what is under way is there after all or now, and what comes next is
    // stored first.
    assert_eq!(desk.spool_works_on(), [""; 0]);
    assert_eq!(
        (desk.on_disk(), desk.times_said("the spool takes bodies again")),
        (vec!["b".to_owned(), "c".into()], 1)
    );
    desk.offer(0, ["d"]);
    assert_eq!(desk.sent.len(), 2);
    desk.spool_works_on();
    assert_eq!((desk.sent.len(), desk.on_disk()), (3, vec!["b".to_owned(), "c".into(), "d".into()]));
    for name in ["b", "c", "d"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.on_disk()), (4, vec![]));
    desk.core.drain(desk.now);
    assert!(desk.core.is_empty(desk.now));
}

#[test]
fn what_waits_when_a_silence_ends_is_durable_then() {
    for window in [1, 4] {
        let mut desk = Desk::new(1, with_disk(window, window, true));
        desk.offer(0, ["a", "b", "c", "d", "e"]);
        desk.pass(SPOOL_ANSWER_WAIT);
        desk.offer(0, ["f", "g"]);
        assert_eq!((desk.sent.len(), desk.on_disk()), (window, vec![]));
        // Those that it was given are there after all, whether in a call or not; it is given the others then.
        desk.spool_works_on();
        assert_eq!(
            (desk.sent.len(), desk.on_disk()),
            (window, ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).into())
        );
        for left in (0..7).rev() {
            let next = desk.sent[0].1.clone();
            desk.answer(&next, ok());
            desk.spool_works_on();
            assert_eq!(desk.on_disk().len(), left);
        }
        assert_eq!(desk.delivered(0), 7);
    }
}

#[test]
fn what_was_taken_back_beyond_its_place_in_memory_leaves_it_and_others_follow() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    for _ in 0..WAITING_BODIES_PER_STREAM_MAX + 3 {
        desk.offer(0, ["x"]);
    }
    desk.pass(SPOOL_ANSWER_WAIT);
    assert!(!desk.core.accepts(0, false));
    desk.spool_works_on();
    assert_eq!(desk.core.streams[0].waiting.len(), WAITING_BODIES_PER_STREAM_MAX);
    assert!(desk.core.accepts(0, false), "what comes now is safer on disk than in its ring");
    desk.check_disk();
}

#[test]
fn what_a_disk_refused_is_durable_once_it_takes_bodies_again() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c"]);
    for _ in 0..3 {
        let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
        desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    }
    assert_eq!(desk.act(), ["a"]);
    assert_eq!((desk.on_disk(), desk.asked.len()), (vec![], 0));
    desk.pass(SPOOL_RETRY);
    // The one in a call is asked for, and when that is taken, the rest.
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        desk.answer(name, ok());
        desk.check_disk();
    }
    assert_eq!(desk.on_disk(), [""; 0]);
}

#[test]
fn what_is_stored_while_its_call_is_answered_is_stored_in_vain() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a"]);
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    assert_eq!(desk.act(), ["a"]);
    desk.pass(SPOOL_RETRY);
    assert_eq!(desk.asked.len(), 1);
    desk.answer("a", ok());
    desk.core.drain(desk.now);
    assert!(!desk.core.is_empty(desk.now), "it is not known yet where it lies, and would come again");
    desk.spool_works_on();
    assert_eq!((desk.on_disk(), desk.delivered(0)), (vec![], 1));
    assert!(desk.core.is_empty(desk.now));
    desk.check_disk();
}

#[test]
fn what_is_stored_though_it_is_here_is_not_waited_for_without_end() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a"]);
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    desk.act();
    desk.pass(SPOOL_RETRY);
    desk.answer("a", ok());
    desk.core.drain(desk.now);
    assert!(!desk.core.is_empty(desk.now));
    desk.pass(SPOOL_ANSWER_WAIT_AT_END);
    assert!(desk.core.is_empty(desk.now));
}

#[test]
fn nothing_is_stored_behind_a_strict_body_that_is_on_disk_alone() {
    for is_strict in [false, true] {
        let mut desk = Desk::new(1, with_disk(1, 4, true));
        desk.offer(0, ["a"]);
        desk.spool_works_on();
        desk.offer(0, ["b"]);
        let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
        desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
        desk.core.streams[0].disk.leave_alone(2, is_strict);
        desk.pass(SPOOL_RETRY);
        assert_eq!(desk.asked.len(), usize::from(!is_strict));
    }
}

#[test]
fn a_disk_that_refused_is_asked_again_with_one_body_of_whichever_call() {
    let mut desk = Desk::new(1, with_disk(3, 3, true));
    desk.offer(0, ["a", "b", "c", "d"]);
    while let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() {
        desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    }
    desk.act();
    desk.pass(SPOOL_RETRY);
    assert_eq!((desk.sent.len(), desk.asked.len()), (3, 1));
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["a", "b", "c", "d"]);
}

#[test]
fn of_a_strict_stream_nothing_is_stored_behind_what_came_later() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c"]);
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    desk.spool_works_on();
    desk.pass(SPOOL_RETRY);
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["b", "c"], "after a kill, \"a\" would come after them");
}

#[test]
fn nothing_is_stored_behind_what_must_not_overtake_it() {
    for serial in [false, true] {
        let mut desk = Desk::new(1, with_disk(1, 4, true));
        desk.offer(0, ["a"]);
        desk.spool_works_on();
        desk.offer(0, ["b"]);
        desk.offer_one(0, "c", serial);
        let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
        desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
        desk.spool_works_on();
        desk.pass(SPOOL_RETRY);
        desk.spool_works_on();
        let expected: &[_] = if serial { &["a", "c"] } else { &["a", "c", "b"] };
        assert_eq!(desk.on_disk(), expected, "serial: {serial}");
    }
}

#[test]
fn at_the_end_what_was_taken_back_lies_there_once() {
    let mut desk = Desk::new(1, with_disk(1, 4, true));
    desk.offer(0, ["a", "b"]);
    assert_eq!(desk.pass(SPOOL_ANSWER_WAIT), ["a"]);
    desk.core.spill();
    desk.act();
    desk.spool_works_on();
    let mut on_disk = desk.on_disk();
    on_disk.sort();
    assert_eq!(on_disk, ["a", "b"]);
}

#[test]
fn what_is_there_after_all_is_not_behind_what_was_refused() {
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c"]);
    assert_eq!(desk.pass(SPOOL_ANSWER_WAIT), ["a"]);
    desk.spool_works();
    let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
    desk.hear(Event::Refused { ticket, why: Refusal::Full("no".into()) });
    desk.spool_works();
    assert_eq!(desk.on_disk(), ["a"]);
    desk.pass(SPOOL_RETRY);
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["a", "b", "c"]);
}

#[test]
fn a_disk_that_is_slow_and_answers_is_waited_for() {
    let mut desk = Desk::new(1, with_disk(4, 4, true));
    desk.offer(0, ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert_eq!(desk.pass(SPOOL_ANSWER_WAIT - Duration::from_millis(1)), [""; 0]);
        assert_eq!(desk.spool_works(), [name]);
    }
    assert_eq!(desk.times_said(SAID), 0);
}

#[test]
fn at_the_end_the_patience_with_it_is_shorter_and_it_does_not_hold_up_the_end() {
    let mut desk = Desk::new(1, with_disk(4, 4, true));
    desk.offer(0, ["a"]);
    desk.core.drain(desk.now);
    assert_eq!(desk.pass(SPOOL_ANSWER_WAIT_AT_END), ["a"]);
    assert!(!desk.core.is_empty(desk.now));
    desk.answer("a", ok());
    assert!(desk.core.is_empty(desk.now), "it waits for a body that is stored in vain");
    desk.core.spill();
    assert!(desk.core.is_spilled());
}

#[test]
fn what_was_taken_back_and_then_loaded_is_sent_once() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    // It takes what finds no place in memory, and is asked for it at once.
    desk.spool_works();
    let [.., Request::Load { .. }] = &desk.asked.make_contiguous()[..] else { panic!("{:?}", desk.asked) };
    let load = desk.asked.pop_back().unwrap();
    desk.offer(0, ["e"]);
    desk.pass(SPOOL_ANSWER_WAIT);
    assert_eq!((desk.times_said(SAID), desk.times_said("stay in memory")), (1, 1));
    let held = desk.kept.len();
    desk.spool_works();
    // The Load had been decided between the two.
    let Request::Load { .. } = load else { unreachable!() };
    let (id, entry) = (EntryId { run: 0, segment: 0, index: held as u32 }, desk.kept[held].entry.clone());
    assert!(desk.kept[held].done);
    desk.hear(Event::Loaded { id, entry: Box::new((*entry).clone()) });
    desk.act();
    let mut all = Vec::new();
    for _ in 0..5 {
        let next = desk.sent[0].1.clone();
        all.push(next.clone());
        desk.answer(&next, ok());
        desk.spool_works_on();
    }
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
    assert_eq!(desk.delivered(0), 5);
}

#[test]
fn what_was_taken_back_is_not_lost_with_its_file_whoever_else_lies_there() {
    for alone in [0, 1] {
        let mut desk = Desk::new(1, with_disk(1, 1, false));
        desk.offer(0, ["a", "b", "c", "d", "e"]);
        // "d" is stored, and so is "e", but that is heard too late.
        (0..alone).for_each(|_| drop(desk.spool_works()));
        desk.pass(SPOOL_ANSWER_WAIT);
        let key = desk.core.streams[0].address.key();
        let lost = |desk: &Desk| desk.core.streams[0].books.ledger.ended(End::Unreadable);
        desk.hear(Event::Gone { run: 0, key, sum: sum(alone + 1) });
        let unwanted = desk.core.disk.pending.len();
        assert!(unwanted > 0);
        assert_eq!(lost(&desk), sum(alone).count, "no more than lay there");
        desk.hear(Event::NotLost { key, sum: sum(1) });
        assert_eq!((lost(&desk), desk.core.spooled_of(0)), (sum(alone).count, Count::default()));
    }
    // And if something else was booked in its place, that is not lost either.
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.spool_works();
    let (key, count) = (desk.core.streams[0].address.key(), desk.core.spooled_of(0));
    assert_eq!(count, sum(1).count);
    let before = (desk.core.disk.alone, desk.core.streams[0].disk.alone, desk.core.streams[0].disk.bytes);
    desk.hear(Event::Gone { run: 0, key, sum: sum(1) });
    desk.hear(Event::NotLost { key, sum: sum(1) });
    let after = (desk.core.disk.alone, desk.core.streams[0].disk.alone, desk.core.streams[0].disk.bytes);
    assert_eq!(after, before);
    assert_eq!(
        (desk.core.spooled_of(0), desk.core.books_mut(0).ledger.ended(End::Unreadable)),
        (count, Count::default())
    );
}

#[test]
fn what_ends_a_silence_is_said_once() {
    const REFUSES: &str = "takes nothing more";
    const TAKES: &str = "takes bodies again";
    let mut desk = Desk::new(1, with_disk(4, 4, true));
    let said = |desk: &Desk| [SAID, REFUSES, TAKES].map(|text| desk.times_said(text));
    desk.offer(0, ["a", "b"]);
    desk.pass(SPOOL_ANSWER_WAIT);
    let refuse = |desk: &mut Desk| {
        let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() else { panic!("nothing is asked") };
        desk.hear(Event::Refused { ticket, why: Refusal::Failed("no".into()) });
        desk.act();
    };
    refuse(&mut desk);
    assert_eq!(said(&desk), [1, 1, 0], "it answers, but it takes nothing");
    refuse(&mut desk);
    assert_eq!(said(&desk), [1, 1, 0]);
    desk.pass(SPOOL_RETRY);
    desk.offer(0, ["c"]);
    desk.pass(SPOOL_ANSWER_WAIT);
    assert_eq!(said(&desk), [2, 1, 0]);
    desk.spool_works_on();
    assert_eq!(said(&desk), [2, 1, 1]);
}
