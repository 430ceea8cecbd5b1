//! Bodies that the service calls invalid, for one event in them or for all: real bodies go in, and what is sent is read
//! as the service would.

mod desk;
mod disk;
mod random;
mod slow;

use super::*;
use desk::{Desk, invalid};

fn is_bad(event: &str) -> bool {
    event.starts_with("bad")
}

fn everything(_: &str) -> bool {
    true
}

#[test]
fn a_refused_body_is_halved_at_once_until_the_bad_event_stands_alone_and_a_success_proves_it() {
    let mut desk = Desk::new(1, options(4, 4));
    desk.offer(0, "a | b | bad | d");
    assert_eq!(desk.act(), ["a b bad d"]);
    desk.answer("a b bad d", invalid());
    assert_eq!(desk.act(), ["a b", "bad d"]);
    desk.answer("bad d", invalid());
    desk.answer("a b", ok());
    assert_eq!(desk.act(), ["bad", "d"]);
    desk.answer("bad", invalid());
    // Nothing has been taken since: it may be the stream's name, and the event is kept.
    assert!(desk.act().is_empty() && desk.ended(0, End::Invalid) == 0);
    desk.answer("d", ok());
    assert!(desk.act().is_empty() && desk.core.is_empty(desk.now));
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (3, 1));
    assert_eq!(desk.said(), ["1 invalid, bad"]);
    assert_eq!(desk.core.streams[0].books.ledger.retries, 4);
}

#[test]
fn compressed_bodies_are_halved_too() {
    let mut desk = Desk::new(1, options(2, 2));
    desk.gzip = true;
    desk.offer(0, "a | b | bad | d | e");
    desk.serve(is_bad);
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (4, 1));
}

#[test]
fn halves_take_the_places_of_the_whole_and_one_that_shares_a_millisecond_waits() {
    let mut desk = Desk::new(1, options(4, 4));
    desk.offer(0, "a b bad d");
    desk.offer_at(0, "later", 2_000, false);
    assert_eq!(desk.act(), ["a b bad d", "later"]);
    desk.answer("a b bad d", invalid());
    assert_eq!(desk.act(), ["a b"]);
    desk.answer("later", ok());
    assert!(desk.act().is_empty());
    desk.answer("a b", ok());
    assert_eq!(desk.act(), ["bad d"]);
    desk.answer("bad d", invalid());
    assert_eq!(desk.act(), ["bad"]);
    desk.answer("bad", away());
    assert!(desk.act().is_empty());
    desk.pass();
    assert_eq!(desk.act(), ["bad"]);
    desk.answer("bad", invalid());
    assert_eq!(desk.act(), ["d"]);
    desk.answer("d", ok());
    assert_eq!(desk.stored, [["later", "a", "b", "d"]]);
    assert_eq!(desk.ended(0, End::Invalid), 1);
}

#[test]
fn with_one_call_at_a_time_order_is_strict_around_a_bad_event() {
    let mut desk = Desk::new(1, options(1, 1));
    desk.offer(0, "a | b | bad | d | e | f");
    desk.offer_at(0, "g", 2_000, false);
    desk.serve(is_bad);
    assert_eq!(desk.stored, [["a", "b", "d", "e", "f", "g"]]);
    assert_eq!(desk.said(), ["1 invalid, bad"]);
}

/// Three lone events were refused: the stream is slow.
fn slow(text: &str, options: Options) -> Desk {
    let mut desk = Desk::new(1, options);
    desk.offer(0, text);
    desk.serve(everything);
    assert_eq!(desk.said(), ["all invalid of stream-0"]);
    desk
}

#[test]
fn three_lone_refusals_without_a_success_are_no_bad_events_everything_is_kept_and_goes_when_it_is_mended() {
    let text: Vec<_> = (0..40).map(|index| index.to_string()).collect();
    for window in [1, 4] {
        let mut desk = slow(&text.join(" | "), options(window, window));
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            longest = longest.max(desk.pass());
            assert!(desk.serve(everything) <= 8, "it is tried slowly");
        }
        assert!(longest > ms(10_000) && longest <= crate::limits::BACKOFF_MAX, "{longest:?}");
        assert!(desk.said().is_empty(), "it is said once");
        assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (0, 0));
        desk.pass();
        desk.serve(|_| false);
        assert_eq!(desk.stored, std::slice::from_ref(&text), "each once, in order");
        assert_eq!(desk.ended(0, End::Delivered), 40);
        // What goes wrong after that is news.
        desk.offer_at(0, "x | y | z", 5_000, false);
        desk.serve(everything);
        assert_eq!(desk.said(), ["all invalid of stream-0"]);
    }
}

#[test]
fn bad_lines_in_a_row_do_not_stop_a_healthy_stream() {
    for (window, separator) in [(1, " "), (1, " | "), (4, " "), (4, " | ")] {
        let bad: Vec<_> = (0..20).map(|index| format!("bad-{index}")).collect();
        let mut good: Vec<_> = (0..300).map(|index| index.to_string()).collect();
        let mut desk = Desk::new(1, options(window, window));
        desk.offer(0, &[&bad[..], &good[..]].concat().join(separator));
        let began = desk.now;
        for _ in 0..100 {
            desk.serve(is_bad);
            if desk.core.is_empty(desk.now) {
                break;
            }
            if desk.stored[0].len() == good.len() && desk.core.accepts(0, false) {
                // Nothing was left to prove the rest bad, until the next line comes.
                desk.offer_at(0, "next", 9_000, false);
                good.push("next".into());
            } else {
                desk.pass();
            }
        }
        assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (good.len() as u64, 20));
        if separator == " " || window == 1 {
            assert_eq!(desk.stored, std::slice::from_ref(&good), "in order");
        }
        assert!(desk.now - began < ms(60_000), "{:?} for {window} {separator:?}", desk.now - began);
    }
}

#[test]
fn trouble_that_comes_back_after_a_single_success_costs_no_more_than_three_events() {
    let text: Vec<_> = (0..40).map(|index| index.to_string()).collect();
    let mut desk = slow(&text.join(" | "), options(4, 4));
    for _ in 0..10 {
        desk.pass();
        desk.serve(everything);
    }
    desk.pass();
    assert_eq!(desk.act(), ["0"]);
    desk.answer("0", ok());
    desk.serve(everything);
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (1, 3));
    assert!(desk.core.streams[0].refusals.slow);
}

#[test]
fn suspects_of_a_stream_are_nothing_to_another_and_a_success_there_proves_nothing() {
    let mut desk = Desk::new(2, options(4, 2));
    desk.offer(0, "x | y");
    desk.serve(everything);
    desk.offer(1, "good");
    desk.serve(is_bad);
    assert_eq!((desk.ended(0, End::Invalid), desk.core.streams[0].refusals.suspects.len()), (0, 2));
    assert!(desk.core.accepts(0, false) && !desk.core.is_empty(desk.now));
    desk.core.settle_unproven(|stream| stream == 1, desk.now);
    assert_eq!(desk.ended(0, End::Invalid), 0);
    desk.core.settle_unproven(|stream| stream == 0, desk.now);
    assert_eq!((desk.ended(0, End::Invalid), desk.core.is_empty(desk.now)), (2, true));
    desk.act();
    assert_eq!(desk.said(), ["2 invalid, x"]);
}

#[test]
fn what_was_never_proven_is_settled_only_when_nothing_is_left_to_prove_it_and_too_few_to_doubt() {
    let mut desk = Desk::new(1, options(2, 2));
    desk.offer(0, "x");
    desk.serve(everything);
    desk.offer_at(0, "y", 2_000, false);
    desk.core.settle_unproven(|_| true, desk.now);
    assert_eq!(desk.act(), ["y"]);
    desk.core.settle_unproven(|_| true, desk.now);
    assert_eq!(desk.ended(0, End::Invalid), 0);
    desk.answer("y", invalid());
    desk.offer_at(0, "z", 3_000, false);
    desk.serve(everything);
    // Three of them: kept, until it is mended or the time is over.
    desk.core.drain(desk.now);
    for _ in 0..20 {
        desk.serve(everything);
        desk.core.settle_unproven(|_| true, desk.now);
        assert!(desk.pass() <= crate::limits::BACKOFF_DRAIN_MAX);
    }
    assert_eq!((desk.ended(0, End::Invalid), desk.core.held(0).lines), (0, 3));
    desk.core.give_up(End::Shutdown);
    assert_eq!((desk.ended(0, End::Shutdown), desk.core.is_empty(desk.now)), (3, true));
}

#[test]
fn giving_up_books_suspects_as_well() {
    let mut desk = Desk::new(1, options(2, 2));
    desk.offer(0, "x | y");
    desk.serve(everything);
    desk.core.give_up(End::Shutdown);
    desk.check();
    assert_eq!((desk.ended(0, End::Shutdown), desk.core.is_empty(desk.now)), (2, true));
}

#[test]
fn calls_that_were_in_flight_when_a_stream_became_slow_are_not_halved_and_one_that_is_taken_ends_it() {
    let mut desk = Desk::new(1, options(5, 5));
    desk.offer(0, "x | y | z | u | v");
    desk.offer_at(0, "k | l", 2_000, false);
    desk.act();
    desk.answer("x y z u v", invalid());
    assert_eq!(desk.act(), ["x y", "z u v"]);
    desk.answer("x y", invalid());
    desk.answer("z u v", invalid());
    assert_eq!(desk.act(), ["x", "y", "z", "u v"]);
    ["x", "y", "z"].into_iter().for_each(|text| desk.answer(text, invalid()));
    desk.answer("u v", invalid());
    assert!(desk.act().is_empty());
    desk.answer("k l", ok());
    // The proof came: those that were refused go again, and what is refused again is bad.
    assert_eq!(desk.act(), ["x", "y", "z", "u v"]);
    ["y", "z", "u v"].into_iter().for_each(|text| desk.answer(text, ok()));
    desk.answer("x", invalid());
    desk.act();
    assert_eq!(desk.said(), ["all invalid of stream-0", "1 invalid, x"]);
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (6, 1));
}

#[test]
fn a_stream_with_ever_more_bad_events_is_not_talked_of_for_ever() {
    let mut desk = Desk::new(1, options(2, 2));
    for round in 0..50 {
        desk.offer_at(0, "good | bad | good", 1_000 + 10 * round, false);
        desk.serve(is_bad);
    }
    assert_eq!(desk.said().len(), crate::limits::INVALID_SAID_MAX as usize);
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (100, 50));
}

#[test]
fn a_body_that_cannot_be_taken_apart_ends_as_a_whole() {
    let mut desk = Desk::new(1, options(2, 2));
    let strange = Body { raw_bytes: 20, ..body("no JSON", 2) };
    desk.core.books_mut(0).ledger.read += Count::new(2, 20);
    let label = desk.core.next_label(0, false, false);
    desk.core.offer(0, Parcel::new(strange, label, |json| json));
    let Some(Action::Send { call, .. }) = desk.core.poll(desk.now) else { panic!("it is sent") };
    desk.core.answered(call, invalid(), desk.now);
    desk.offer(0, "good");
    desk.serve(is_bad);
    assert!(matches!(&desk.notices[..], [Notice::Invalid { events: 2, event: None, .. }]));
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (1, 2));
}

#[test]
fn the_message_names_the_event_as_far_as_a_person_needs_it() {
    let mut desk = Desk::new(1, options(2, 2));
    desk.offer(0, &format!("good | bad\u{7}{} | good", "x".repeat(200)));
    desk.serve(is_bad);
    assert_eq!(
        desk.notices[0].to_string(),
        format!(
            "CloudWatch Logs refused 1 event of stream stream-0, each by itself: InvalidParameterException: so it is; the \
             first has timestamp 1001 and 204 bytes: \"bad\\u{{7}}{}\"...; counted as rejected{{invalid}} in the report, all \
             others are sent",
            "x".repeat(96)
        )
    );
}
