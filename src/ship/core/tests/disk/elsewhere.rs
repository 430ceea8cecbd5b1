//! What ended runs left for another service than ours: whether the end waits for it.

use super::order::{back, elsewhere, other};
use super::*;
use crate::limits::ELSEWHERE_END_WAIT;

/// The creation of its stream is answered so, or not at all, and then comes the end.
fn is_mute(address: Address, answer: Option<Answer>) -> bool {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let place = back(&mut desk, &["x"], address);
    if let Some(answer) = answer {
        desk.core.stream_created(place, answer, desk.now);
        desk.act();
    }
    let over = desk.now + ELSEWHERE_END_WAIT;
    assert!(!desk.core.is_mute(place, over), "before the end nothing is mute");
    desk.core.drain(desk.now);
    assert!(!desk.core.is_mute(place, over - ms(1)) && !desk.core.is_mute(0, over));
    desk.core.is_mute(place, over)
}

#[test]
fn a_service_is_mute_that_has_never_answered_and_is_not_ours() {
    assert!(is_mute(elsewhere(), None));
    assert!(is_mute(elsewhere(), Some(away())), "nobody was there");
    for answer in [ok(), denied(), Answer::Throttled] {
        assert!(!is_mute(elsewhere(), Some(answer)));
    }
    assert!(!is_mute(other(), None), "that one is ours");
}

#[test]
fn an_answer_of_one_service_says_nothing_of_another() {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let heard = back(&mut desk, &["x"], elsewhere());
    desk.core.stream_created(heard, ok(), desk.now);
    let silent = back(&mut desk, &["y"], Address { region: "eu-west-8".into(), ..other() });
    desk.core.drain(desk.now);
    let over = desk.now + ELSEWHERE_END_WAIT;
    assert_eq!((desk.core.is_mute(heard, over), desk.core.is_mute(silent, over)), (false, true));
}

#[test]
fn it_is_said_once_that_what_an_ended_run_left_is_not_for_here() {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let place = back(&mut desk, &["x"], elsewhere());
    let before = desk.said.len();
    for _ in 0..2 {
        desk.core.say_away(place, "no right".into());
    }
    desk.act();
    assert_eq!(desk.said.len(), before + 1);
}

#[test]
fn a_missing_group_of_an_ended_run_alone_is_said_to_be_that() {
    let missing = || Answer::NotFound("no such group".into());
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let place = back(&mut desk, &["x"], other());
    desk.core.stream_created(place, missing(), desk.now);
    desk.act();
    let said = desk.said.concat();
    assert!(said.contains("an ended run left lines for log group /other, which does not exist in "), "{said}");
    assert!(!said.contains("the log group does not exist: "), "{said}");
    // One that our own lines go to as well is ours.
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let own = desk.core.streams[0].address.clone();
    let place = back(&mut desk, &["x"], Address { stream: "of-then".into(), ..(*own).clone() });
    desk.core.stream_created(place, missing(), desk.now);
    desk.act();
    let said = desk.said.concat();
    assert!(said.contains("the log group does not exist: "), "{said}");
}

#[test]
fn trouble_with_what_an_ended_run_left_is_not_told_as_this_runs_own() {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    let place = back(&mut desk, &["x"], other());
    desk.core.stream_created(place, denied(), desk.now);
    desk.act();
    let said = desk.said.concat();
    assert!(said.contains("what an ended run left for stream"), "{said}");
    assert!(said.contains("it is kept in the spool"), "{said}");
}
