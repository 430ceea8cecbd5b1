//! Which body is sent when, and what happens to those that are not taken.

use super::*;
use crate::limits::{BACKOFF_DRAIN_MAX, BACKOFF_MAX, OUTAGE_SAID_AFTER};

#[test]
fn the_window_and_the_streams_window_bound_the_calls_and_streams_take_turns() {
    let mut rig = Rig::ready(3, options(5, 2));
    rig.offer(0, ["a1", "a2", "a3"]);
    rig.offer(1, ["b1", "b2", "b3"]);
    assert_eq!(rig.act(), ["send a1", "send b1", "send a2", "send b2"]);
    rig.offer(2, ["c1", "c2"]);
    assert_eq!(rig.act(), ["send c1"]);
    rig.answer("a1", ok());
    // The turn is with the stream after the last one.
    assert_eq!(rig.act(), ["send a3"]);
    rig.answer("b2", ok());
    rig.answer("b1", ok());
    assert_eq!(rig.act(), ["send b3", "send c2"]);
}

#[test]
fn with_one_call_at_a_time_no_stream_goes_twice_before_another_went_once() {
    let mut rig = Rig::ready(3, options(1, 1));
    for (stream, names) in [(0, ["a1", "a2"]), (1, ["b1", "b2"]), (2, ["c1", "c2"])] {
        rig.offer(stream, names);
    }
    for name in ["a1", "b1", "c1", "a2", "b2", "c2"] {
        assert_eq!(rig.act(), [format!("send {name}")]);
        rig.answer(name, ok());
    }
}

#[test]
fn a_body_that_was_not_taken_is_sent_again_unchanged_until_it_is() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    // The rig demands the same bytes in the same place every time.
    for answer in [Answer::Throttled, away(), lost(), Answer::Throttled] {
        rig.answer("a", answer);
        rig.act();
        rig.pass();
        assert_eq!(rig.act(), ["send a"]);
    }
    rig.answer("a", ok());
    assert_eq!(rig.act(), ["say reached"]);
    assert_eq!(rig.ended(0, End::Delivered), (1, 10));
    assert_eq!((rig.ledger(0).calls, rig.ledger(0).retries), (5, 4));
}

/// The waits of a call that is never taken.
fn waits(rig: &mut Rig, attempts: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..attempts {
        rig.answer("a", away());
        assert!(rig.act().iter().all(|action| action == "say outage"));
        waits.push(rig.pass());
        assert_eq!(rig.act(), ["send a"]);
    }
    waits
}

#[test]
fn waits_are_drawn_below_a_bound_that_doubles_up_to_a_minute_and_is_a_second_in_the_drain() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    let run = waits(&mut rig, 60);
    for (wait, bound_ms) in run.iter().zip([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200]) {
        assert!(*wait <= ms(bound_ms), "{run:?}");
    }
    assert!(run.iter().all(|wait| *wait <= BACKOFF_MAX));
    assert!(run[10..].iter().any(|wait| *wait > BACKOFF_MAX / 2), "{run:?}");
    assert!(run[10..].iter().any(|wait| *wait < BACKOFF_MAX / 2), "{run:?}");
    rig.core.drain(rig.now);
    assert!(waits(&mut rig, 40).iter().all(|wait| *wait <= BACKOFF_DRAIN_MAX));
}

#[test]
fn entering_the_drain_makes_all_that_rests_due_at_once() {
    let mut rig = Rig::ready(3, options(4, 4));
    rig.offer(0, ["a"]);
    rig.offer(1, ["b"]);
    rig.offer(2, ["c"]);
    assert_eq!(rig.act(), ["send a", "send b", "send c"]);
    rig.answer("a", away());
    rig.answer("b", denied());
    rig.answer("c", not_found());
    assert_eq!(rig.act(), ["say outage", "say trouble of stream-1", "create 2"]);
    rig.created(2, denied());
    assert_eq!(rig.act(), ["say trouble of stream-2"]);
    rig.core.drain(rig.now);
    assert_eq!(rig.act(), ["send a", "create 2", "send b"]);
}

#[test]
fn a_success_anywhere_ends_the_rests_of_those_that_found_nobody_and_no_others() {
    let mut rig = Rig::ready(4, options(4, 4));
    for (stream, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        rig.offer(stream, [name]);
    }
    rig.act();
    rig.answer("a", away());
    rig.answer("b", lost());
    assert_eq!(rig.act(), ["say outage"]);
    rig.answer("d", ok());
    assert_eq!(rig.act(), ["say reached", "send a", "send b"]);
    // This one failed although another got through meanwhile: it rests out its time.
    rig.answer("c", away());
    rig.answer("a", ok());
    assert!(rig.act().is_empty());
}

#[test]
fn an_outage_is_said_once_however_many_calls_find_nobody() {
    let mut rig = Rig::ready(1, options(3, 3));
    rig.offer(0, ["a", "b", "c"]);
    rig.act();
    let mut said = Vec::new();
    for _ in 0..10 {
        rig.flying().iter().for_each(|name| rig.answer(name, away()));
        said.extend(rig.act().into_iter().filter(|text| text.starts_with("say")));
        rig.pass();
        said.extend(rig.act().into_iter().filter(|text| text.starts_with("say")));
    }
    assert_eq!(said, ["say outage"]);
}

#[test]
fn a_call_that_fails_while_others_get_through_rests_on_its_own_and_is_no_outage() {
    let mut rig = Rig::ready(2, options(2, 1));
    rig.offer(0, ["bad"]);
    for round in 0..20 {
        rig.offer(1, [&format!("good-{round}")]);
        rig.act();
        rig.answer(&format!("good-{round}"), ok());
        if rig.flying() == ["bad"] {
            rig.answer("bad", away());
        }
        // Neither said, nor sent again before its time because others succeed.
        assert!(rig.act().is_empty());
        rig.now += ms(5);
    }
    assert!((2..12).contains(&rig.ledger(0).calls), "{} calls in 100 ms", rig.ledger(0).calls);
}

#[test]
fn a_refused_body_returns_to_its_place_its_stream_is_held_and_the_others_go_on() {
    let mut rig = Rig::ready(2, options(2, 2));
    rig.offer(0, ["a1", "a2", "a3"]);
    assert_eq!(rig.act(), ["send a1", "send a2"]);
    rig.answer("a2", denied());
    rig.answer("a1", denied());
    rig.offer(1, ["b1"]);
    assert_eq!(rig.act(), ["say trouble of stream-0", "send b1"]);
    assert!(rig.pass() <= ms(2_000));
    assert_eq!(rig.act(), ["send a1"]);
    rig.answer("b1", ok());
    assert_eq!(rig.act(), ["send a2"]);
    rig.answer("a2", denied());
    assert!(rig.act().is_empty(), "the same trouble is said once");
    rig.answer("a1", ok());
    rig.pass();
    assert_eq!(rig.act(), ["send a2", "send a3"]);
    rig.answer("a3", ok());
    rig.answer("a2", denied());
    assert!(rig.act().is_empty(), "while a body is refused, the success of others ends no trouble");
    rig.pass();
    assert_eq!(rig.act(), ["send a2"]);
    rig.answer("a2", ok());
    rig.offer(0, ["a4"]);
    assert_eq!(rig.act(), ["send a4"]);
    rig.answer("a4", denied());
    assert_eq!(rig.act(), ["say trouble of stream-0"], "trouble after it has ended is news");
}

#[test]
fn a_window_full_of_refusals_is_one_trouble() {
    let mut rig = Rig::ready(1, options(8, 8));
    (0..8).for_each(|index| rig.offer(0, [&format!("a{index}")]));
    for bound_ms in [2_000, 4_000, 8_000] {
        rig.act();
        rig.flying().iter().for_each(|name| rig.answer(name, denied()));
        rig.act();
        let wait = rig.pass();
        assert!(wait <= ms(bound_ms), "{wait:?}, though at most {bound_ms} ms");
    }
}

#[test]
fn a_hold_that_is_over_while_no_call_is_free_wakes_nobody() {
    let mut rig = Rig::ready(2, options(1, 1));
    rig.offer(0, ["a"]);
    rig.act();
    rig.answer("a", denied());
    rig.offer(1, ["b"]);
    assert_eq!(rig.act(), ["say trouble of stream-0", "send b"]);
    rig.now += BACKOFF_MAX;
    // The rig's `act` demands that nothing is due in the past.
    assert!(rig.act().is_empty());
    assert_eq!(rig.core.next_due(rig.now), None);
    rig.answer("b", ok());
    assert_eq!(rig.act(), ["send a"]);
}

#[test]
fn a_serial_body_goes_when_all_before_it_are_delivered() {
    let mut rig = Rig::ready(1, options(8, 8));
    rig.offer(0, ["a1", "a2"]);
    rig.offer_body(0, "serial", body("serial", 1), true);
    rig.offer(0, ["a3"]);
    assert_eq!(rig.act(), ["send a1", "send a2"]);
    rig.answer("a2", ok());
    assert!(rig.act().is_empty());
    rig.answer("a1", away());
    rig.pass();
    assert_eq!(rig.act(), ["send a1"]);
    rig.answer("a1", ok());
    // What comes after it is dated after it, and need not wait.
    assert_eq!(rig.act(), ["send serial", "send a3"]);
}

#[test]
fn credentials_are_asked_for_anew_once_a_hold_and_not_for_every_stream() {
    let mut rig = Rig::ready(3, options(6, 2));
    for (stream, names) in [(0, ["a1", "a2"]), (1, ["b1", "b2"]), (2, ["c1", "c2"])] {
        rig.offer(stream, names);
    }
    for round in 1..4 {
        rig.act();
        rig.flying().iter().for_each(|name| rig.answer(name, denied()));
        rig.act();
        assert_eq!(rig.renewals, round);
        rig.now += BACKOFF_MAX;
    }
    rig.act();
    rig.flying().iter().for_each(|name| rig.answer(name, Answer::Throttled));
    rig.act();
    assert_eq!(rig.renewals, 3);
}

#[test]
fn an_outage_that_is_over_soon_is_not_said_once_bodies_have_got_through() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.answer("a", ok());
    assert_eq!(rig.act(), ["send b"]);
    let began = rig.now;
    let mut said = Vec::new();
    while said.is_empty() {
        rig.answer("b", away());
        said = rig.act();
        assert_eq!(said.is_empty(), rig.now - began < OUTAGE_SAID_AFTER, "{said:?} after {:?}", rig.now - began);
        rig.pass();
        rig.act();
    }
    assert_eq!(said, ["say outage"]);
    rig.answer("b", ok());
    assert_eq!(rig.act(), ["say reached"]);
}

#[test]
fn a_refusal_at_the_very_end_of_a_hold_begins_another() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.answer("a", denied());
    rig.act();
    rig.pass();
    rig.answer("b", denied());
    assert!(rig.act().is_empty());
}
