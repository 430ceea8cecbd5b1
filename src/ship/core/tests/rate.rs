//! Throttling: one rate for all calls, and no other wait beside it.

use super::*;
use crate::limits::{RATE_FREE_PER_S, RATE_MIN_PER_S, THROTTLED_BEFORE_SAID};

/// Between two calls of a throttled pump at most.
const GAP_MAX: Duration = Duration::from_millis((1500.0 / RATE_MIN_PER_S) as u64);

#[test]
fn what_was_throttled_goes_again_first_one_call_at_a_time_and_new_bodies_after_it() {
    let mut rig = Rig::ready(2, options(3, 3));
    rig.offer(0, ["a1", "a2", "a3"]);
    rig.offer(1, ["b1", "b2"]);
    assert_eq!(rig.act(), ["send a1", "send b1", "send a2"]);
    for name in ["b1", "a2", "a1"] {
        rig.answer(name, Answer::Throttled);
        rig.now += ms(1);
    }
    let mut sent = Vec::new();
    for _ in 0..5 {
        assert!(rig.pass() <= GAP_MAX);
        let actions = rig.act();
        assert_eq!(actions.len(), 1, "one call at a time: {actions:?}");
        let name = actions[0].strip_prefix("send ").unwrap().to_owned();
        rig.answer(&name, ok());
        sent.push(name);
    }
    assert_eq!(sent, ["b1", "a2", "a1", "b2", "a3"]);
    assert_eq!(rig.core.next_due(rig.now), None);
}

#[test]
fn a_limited_rate_lets_idle_time_pass_and_is_forgotten_in_the_end() {
    let mut rig = Rig::ready(1, options(4, 4));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", Answer::Throttled);
    rig.pass();
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", ok());
    // After a rest there is one call at once, not one for every moment of the rest.
    rig.now += ms(3_000);
    rig.offer(0, ["b", "c", "d"]);
    assert_eq!(rig.act(), ["send b"]);
    rig.answer("b", ok());
    rig.now += ms(60_000);
    assert_eq!(rig.act(), ["send c", "send d"]);
    assert!(rig.core.rate.limited_since().is_none(), "a minute without throttling is {RATE_FREE_PER_S} calls/s");
}

#[test]
fn creations_have_a_quota_of_their_own() {
    let mut rig = Rig::new(2, options(2, 2));
    rig.core.begin(0);
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, ok());
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", Answer::Throttled);
    rig.core.begin(1);
    assert_eq!(rig.act(), ["create 1"]);
}

#[test]
fn a_call_that_nobody_answered_waits_for_its_time_and_for_the_rate() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.answer("a", Answer::Throttled);
    rig.answer("b", away());
    assert!(rig.act().iter().all(|action| action.starts_with("say")));
    for _ in 0..2 {
        rig.pass();
        assert_eq!(rig.act().len(), 1);
    }
    assert_eq!(rig.flying(), ["a", "b"]);
}

#[test]
fn throttling_that_lasts_is_said_once() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    let mut said_after = Vec::new();
    let mut limited_at = None;
    for _ in 0..200 {
        let since = *limited_at.get_or_insert(rig.now);
        rig.answer("a", Answer::Throttled);
        let actions = rig.act();
        said_after.extend(actions.iter().map(|action| {
            assert_eq!(action, "say throttled");
            rig.now - since
        }));
        assert!(rig.pass() <= GAP_MAX);
        assert_eq!(rig.act(), ["send a"]);
    }
    let [after] = said_after[..] else { panic!("{said_after:?}") };
    assert!(after >= THROTTLED_BEFORE_SAID && after <= THROTTLED_BEFORE_SAID + GAP_MAX, "{after:?}");
}

#[test]
fn another_limit_that_lasts_is_said_again() {
    let mut rig = Rig::ready(1, options(1, 1));
    for said_in_all in 1..=2 {
        let (last, mut others) = (format!("last {said_in_all}"), 0);
        rig.offer(0, [last.as_str()]);
        rig.act();
        let mut said = 0;
        for _ in 0..100 {
            rig.answer(&last, Answer::Throttled);
            said += rig.act().len();
            rig.pass();
            rig.act();
        }
        assert_eq!(said, 1);
        rig.answer(&last, ok());
        // The limit grows until it is none.
        while rig.core.rate.limited_since().is_some() {
            assert!(others < 1_000, "it is limited for ever");
            let name = format!("{said_in_all} {others}");
            (others, rig.now) = (others + 1, rig.now + Duration::from_secs(100));
            rig.offer(0, [name.as_str()]);
            assert_eq!(rig.act(), [format!("send {name}")]);
            rig.answer(&name, ok());
        }
    }
}

#[test]
fn giving_up_leaves_no_wait_behind() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.answer("a", Answer::Throttled);
    rig.core.give_up(End::Shutdown);
    assert_eq!(rig.core.next_due(rig.now), None);
}
