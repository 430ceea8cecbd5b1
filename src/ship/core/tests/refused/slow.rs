//! A stream of which everything is called invalid: what is tried, when, and how much is kept meanwhile.

use super::*;
use crate::limits::{SLOW_WAITING_MAX, VISIT_BYTES_MAX, WAITING_BODIES_PER_STREAM_MAX};

/// Bodies of one event each, one of which is another's last.
fn offer_each(desk: &mut Desk, at_ms: i64, texts: &[&str]) {
    for (nth, text) in texts.iter().enumerate() {
        desk.offer_at(0, text, at_ms + 1_000 * nth as i64, false);
    }
}

/// Three lone events were refused; a body of several flies, or has come back too.
fn slow_with(text: &str, lone: [&str; 3]) -> Desk {
    let mut desk = Desk::new(1, options(4, 4));
    offer_each(&mut desk, 1_000, &[text, lone[0], lone[1], lone[2]]);
    desk.act();
    lone.into_iter().for_each(|text| desk.answer(text, invalid()));
    desk.act();
    assert_eq!(desk.said(), ["all invalid of stream-0"]);
    desk
}

/// What is tried, one call at a time, each refused, until it waits.
fn tries(desk: &mut Desk) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let texts = desk.act();
        let [text] = &texts[..] else { return all };
        all.push(text.clone());
        assert!(all.len() <= 100, "it never waits: {all:?}");
        desk.answer(text, invalid());
    }
}

#[test]
fn the_first_try_is_the_whole_first_body_and_the_others_take_single_events_out_of_it() {
    let mut desk = slow_with("a | b | c", ["x", "y", "z"]);
    desk.answer("a b c", invalid());
    desk.pass();
    assert_eq!(tries(&mut desk), ["a b c", "a", "b", "c", "x", "y", "z", "x"]);
}

#[test]
fn single_events_are_taken_out_of_one_body_after_the_other() {
    let mut desk = slow_with("a | b | c", ["x", "y", "z"]);
    desk.answer("a b c", invalid());
    desk.offer_at(0, "k | l | m", 9_000, false);
    desk.offer_at(0, "n | o | p", 9_500, false);
    desk.pass();
    assert_eq!(tries(&mut desk), ["a b c", "k", "n", "l", "o", "a", "m", "p"]);
}

#[test]
fn where_only_single_events_are_left_the_first_is_tried_once_a_round_and_the_others_in_turn() {
    let mut desk = slow("x | y | z", options(4, 4));
    desk.pass();
    assert_eq!(tries(&mut desk), ["x", "y", "z", "y", "z", "y", "z", "y"]);
}

#[test]
fn a_call_that_was_in_flight_and_is_refused_after_the_wait_is_no_try_and_another_wait_begins() {
    let mut desk = slow_with("a | b", ["x", "y", "z"]);
    desk.now += ms(60_000);
    assert!(desk.act().is_empty(), "one call at a time");
    desk.answer("a b", invalid());
    assert!(desk.act().is_empty());
    desk.pass();
    assert_eq!(desk.act(), ["a b"]);
}

#[test]
fn what_was_tried_does_not_keep_a_slow_stream_from_taking_more_and_what_was_not_does() {
    let mut desk = slow("x | y | z", options(4, 4));
    for nth in 0..WAITING_BODIES_PER_STREAM_MAX as i64 {
        assert!(desk.core.accepts(0, false), "{nth}");
        desk.offer_at(0, "new", 2_000 + nth, false);
    }
    assert!(!desk.core.accepts(0, false) && !desk.core.accepts(0, true));
    desk.pass();
    tries(&mut desk);
    assert!(desk.core.accepts(0, false), "they were tried");
}

#[test]
fn a_slow_stream_that_has_nothing_else_to_try_waits() {
    for (text, next) in [("x", None), ("x | y", Some("x"))] {
        let mut desk = Desk::new(1, options(1, 1));
        desk.offer(0, text);
        let sent = desk.act().concat();
        desk.core.streams[0].refusals.slow = true;
        desk.answer(&sent, invalid());
        assert_eq!(desk.act().first().map(String::as_str), next, "{text}");
    }
}

#[test]
fn a_slow_stream_keeps_no_more_bodies_than_its_bound() {
    let mut desk = slow("x | y | z", options(1, 1));
    let mut at_ms = 2_000;
    let mut rounds = 0;
    while desk.core.streams[0].waiting.len() < SLOW_WAITING_MAX {
        if desk.core.accepts(0, false) {
            at_ms += 1;
            desk.offer_at(0, "new", at_ms, false);
        } else {
            desk.pass();
            tries(&mut desk);
        }
        rounds += 1;
        assert!(rounds < 4 * SLOW_WAITING_MAX, "{} bodies wait", desk.core.streams[0].waiting.len());
    }
    for _ in 0..2 {
        assert!(!desk.core.accepts(0, false));
        desk.pass();
        tries(&mut desk);
    }
}

#[test]
fn a_slow_stream_keeps_no_more_bytes_than_its_share() {
    let mut desk = Desk::new(1, Options { body_bytes_max: VISIT_BYTES_MAX + 200_000, ..options(1, 1) });
    desk.offer(0, "x | y | z");
    desk.serve(everything);
    let mut at_ms = 2_000;
    for _ in 0..200 {
        if desk.core.accepts(0, false) {
            at_ms += 1;
            desk.offer_at(0, &"n".repeat(10_000), at_ms, false);
        } else {
            desk.pass();
            tries(&mut desk);
        }
    }
    let held = desk.core.streams[0].held_bytes;
    let share = desk.core.share();
    assert!(held >= share && held < share + 20_000, "{held} of {share}");
}
