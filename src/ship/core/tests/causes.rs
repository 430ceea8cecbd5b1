//! What is said of outages and throttling, and at the end of what stood in the way.

use super::*;
use crate::limits::{OUTAGE_SAID_AFTER, THROTTLED_BEFORE_SAID, UNANSWERED_BEFORE_SAID};

/// What is said when the time is over.
fn at_the_end(rig: &mut Rig) -> Vec<String> {
    rig.core.name_causes(rig.now);
    rig.core.give_up(End::Shutdown);
    let mut said = Vec::new();
    while let Some(action) = rig.core.poll(rig.now) {
        said.push(rig.perform(action));
    }
    said
}

#[test]
fn one_lost_answer_is_no_outage_and_two_are() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", lost());
    assert_eq!(rig.act(), ["say answer lost"]);
    rig.pass();
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", lost());
    assert_eq!(rig.act(), ["say outage"]);
    rig.pass();
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", ok());
    assert_eq!(rig.act(), ["say reached"]);
    assert_eq!(at_the_end(&mut rig), [""; 0]);
}

#[test]
fn a_call_that_never_got_there_is_an_outage_at_once() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a"]);
    rig.act();
    rig.answer("a", away());
    assert_eq!(rig.act(), ["say outage"]);
    assert_eq!(at_the_end(&mut rig), [""; 0], "it was said already");
}

#[test]
fn a_short_outage_that_lasts_to_the_end_is_named_there() {
    for answer in [away(), lost()] {
        let mut rig = Rig::ready(1, options(1, 1));
        rig.offer(0, ["a"]);
        rig.act();
        rig.answer("a", ok());
        rig.offer(0, ["b"]);
        assert_eq!(rig.act(), ["send b"]);
        rig.now += OUTAGE_SAID_AFTER / 2;
        rig.answer("b", answer);
        assert_eq!(rig.act(), [""; 0], "it may pass");
        assert_eq!(at_the_end(&mut rig), ["say outage"]);
    }
}

#[test]
fn throttling_that_lasts_to_the_end_is_named_there_and_one_that_is_over_is_not() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.answer("a", Answer::Throttled);
    rig.answer("b", Answer::Throttled);
    rig.now += THROTTLED_BEFORE_SAID / 10;
    assert_eq!(at_the_end(&mut rig), ["say throttled"]);
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a"]);
    rig.act();
    rig.answer("a", Answer::Throttled);
    rig.pass();
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", ok());
    assert_eq!(at_the_end(&mut rig), [""; 0], "all is delivered");
}

#[test]
fn throttled_creations_are_named_as_that() {
    let mut rig = Rig::new(1, options(1, 1));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, Answer::Throttled);
    rig.core.name_causes(rig.now);
    let Some(Action::Say(notice)) = rig.core.poll(rig.now) else { panic!("nothing is said") };
    let said = notice.to_string();
    assert!(said.contains("throttled the creation of log streams") && said.contains("CreateLogStream quota"), "{said}");
}

#[test]
fn calls_that_nobody_answers_are_named_unless_they_have_only_just_gone() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.offer(0, ["a", "b"]);
    rig.act();
    rig.now += UNANSWERED_BEFORE_SAID - ms(1);
    rig.core.name_causes(rig.now);
    assert_eq!(rig.core.poll(rig.now), None);
    rig.now += ms(1501);
    rig.core.name_causes(rig.now);
    let expected = Notice::Unanswered { calls: 2, longest: ms(2500) };
    assert_eq!(rig.core.poll(rig.now), Some(Action::Say(expected.clone())));
    assert!(expected.to_string().contains("has not answered 2 calls, one of them for 2.5 s"), "{expected}");
    // Also of a creation.
    let mut rig = Rig::new(1, options(1, 1));
    rig.offer(0, ["a"]);
    assert_eq!(rig.act(), ["create 0"]);
    rig.now += UNANSWERED_BEFORE_SAID;
    rig.core.name_causes(rig.now);
    let said = rig.core.poll(rig.now);
    assert_eq!(said, Some(Action::Say(Notice::Unanswered { calls: 1, longest: UNANSWERED_BEFORE_SAID })));
}
