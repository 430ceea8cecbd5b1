//! Streams and groups that are not there.

use super::*;
use crate::limits::{BACKOFF_MAX, CREATIONS_IN_FLIGHT_MAX};

fn creating_group(max_in_flight: usize) -> Options {
    Options { create_group: true, ..options(max_in_flight, max_in_flight) }
}

/// Streams that have begun, and creations asked for.
fn begun(streams: usize, options: Options) -> Rig {
    let mut rig = Rig::new(streams, options);
    (0..streams).for_each(|stream| rig.core.begin(stream));
    let expected: Vec<_> = (0..streams).map(|stream| format!("create {stream}")).collect();
    assert_eq!(rig.act(), expected);
    rig
}

/// Lets the time pass until the core wants just this. How long that was.
fn pass_until(rig: &mut Rig, text: &str) -> Duration {
    let began = rig.now;
    for _ in 0..100 {
        let actions = rig.act();
        if actions == [text] {
            return rig.now - began;
        }
        assert!(actions.is_empty(), "{actions:?} before {text}");
        rig.pass();
    }
    panic!("{text} never comes");
}

/// The stream that is to be created, and nothing else is to be done.
fn only_creation(rig: &mut Rig) -> usize {
    let actions = rig.act();
    let stream = actions.first().and_then(|text| text.strip_prefix("create ")?.parse().ok());
    stream.filter(|_| actions.len() == 1).unwrap_or_else(|| panic!("{actions:?}"))
}

#[test]
fn a_stream_is_created_while_its_first_batch_fills_and_never_without_a_line() {
    let mut rig = Rig::new(2, options(2, 2));
    assert!(rig.act().is_empty());
    rig.core.begin(1);
    assert_eq!(rig.act(), ["create 1"]);
    rig.offer(1, ["b"]);
    assert!(rig.act().is_empty());
    rig.created(1, ok());
    assert_eq!(rig.act(), ["send b"]);
}

#[test]
fn a_body_whose_stream_is_missing_goes_again_once_the_stream_is_created() {
    let mut rig = Rig::ready(2, options(4, 4));
    rig.offer(0, ["a1", "a2"]);
    rig.offer(1, ["b1"]);
    rig.act();
    rig.answer("a2", not_found());
    rig.answer("a1", not_found());
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, ok());
    assert_eq!(rig.act(), ["send a1", "send a2"]);
    assert_eq!(rig.ledger(0).retries, 2);
}

#[test]
fn a_stream_that_is_created_and_yet_not_found_is_asked_for_ever_more_slowly() {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer(0, ["a"]);
    let mut elapsed = Duration::ZERO;
    for round in 1..=12 {
        elapsed += pass_until(&mut rig, "send a");
        rig.answer("a", not_found());
        if round == 10 {
            assert_eq!(rig.act(), ["say trouble of stream-0"]);
        }
        elapsed += pass_until(&mut rig, "create 0");
        rig.created(0, ok());
    }
    assert!(elapsed > ms(2_000) && elapsed < 12 * BACKOFF_MAX, "{elapsed:?}");
    assert_eq!(rig.act(), ["send a"]);
    rig.answer("a", ok());
    assert_eq!(rig.ended(0, End::Delivered), (1, 10));
}

#[test]
fn a_missing_group_is_said_once_asked_for_slowly_and_what_waits_for_it_is_kept() {
    let mut rig = begun(2, options(4, 4));
    rig.offer(0, ["a"]);
    rig.created(0, not_found());
    rig.created(1, not_found());
    assert_eq!(rig.act(), ["say group missing"]);
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        longest = longest.max(rig.pass());
        let stream = only_creation(&mut rig);
        rig.created(stream, not_found());
        assert!(rig.act().is_empty());
    }
    assert!(longest > ms(1_000) && longest <= BACKOFF_MAX, "{longest:?}");
    // Somebody creates it.
    rig.pass();
    let first = only_creation(&mut rig);
    rig.created(first, ok());
    let mut sent = rig.act();
    if first == 1 {
        pass_until(&mut rig, "create 0");
        rig.created(0, ok());
        sent = rig.act();
    }
    assert_eq!(sent, ["send a"]);
}

#[test]
fn a_group_is_created_once_however_many_streams_miss_it() {
    let mut rig = begun(3, creating_group(4));
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.created(2, not_found());
    assert!(rig.act().is_empty());
    rig.group_created(ok());
    assert_eq!(rig.act(), ["create 0", "create 2"]);
    // Its answer was on its way since before the group was there.
    rig.created(1, not_found());
    rig.created(0, ok());
    rig.created(2, ok());
    assert!(rig.act().is_empty());
    assert!(rig.pass() <= ms(100));
    assert_eq!(rig.act(), ["create 1"]);
}

#[test]
fn a_group_that_is_created_and_not_known_yet_is_no_trouble_but_one_that_stays_unknown_is() {
    let mut rig = begun(1, creating_group(1));
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(ok());
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, not_found());
    assert!(rig.act().is_empty());
    assert!(rig.pass() <= ms(100));
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["say group missing"]);
}

#[test]
fn a_group_that_goes_missing_later_is_created_again() {
    let mut rig = begun(1, creating_group(1));
    rig.offer(0, ["a"]);
    for _ in 0..2 {
        rig.created(0, not_found());
        assert_eq!(rig.act(), ["create group"]);
        rig.group_created(ok());
        assert_eq!(rig.act(), ["create 0"]);
        rig.created(0, ok());
        assert_eq!(rig.act(), ["send a"]);
        rig.answer("a", not_found());
        pass_until(&mut rig, "create 0");
    }
}

#[test]
fn a_group_that_may_not_be_created_is_said_and_tried_again_slowly() {
    let mut rig = begun(2, creating_group(4));
    rig.offer(0, ["a"]);
    rig.created(0, not_found());
    rig.created(1, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(denied());
    assert_eq!(rig.act(), ["say trouble of stream-0", "say trouble of stream-1"]);
    assert!(rig.pass() <= ms(2_000));
    let stream = only_creation(&mut rig);
    rig.created(stream, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(denied());
    assert!(rig.act().is_empty(), "the same trouble is said once");
}

#[test]
fn a_service_that_is_away_when_a_stream_is_created_is_an_outage_and_ends_like_one() {
    let mut rig = begun(2, options(4, 4));
    rig.created(0, away());
    rig.created(1, Answer::Throttled);
    assert_eq!(rig.act(), ["say outage"]);
    rig.pass();
    let stream = only_creation(&mut rig);
    rig.created(stream, ok());
    assert_eq!(rig.act(), ["say reached"]);
    // The other goes when the rate lets it.
    pass_until(&mut rig, &format!("create {}", 1 - stream));
}

#[test]
fn a_group_that_cannot_be_created_because_nobody_answers_is_an_outage() {
    let mut rig = begun(2, creating_group(4));
    rig.created(0, not_found());
    rig.created(1, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(away());
    assert_eq!(rig.act(), ["say outage"]);
    assert!(rig.pass() <= ms(100));
}

#[test]
fn few_streams_are_created_at_a_time_and_one_that_is_due_meanwhile_wakes_nobody() {
    let streams = CREATIONS_IN_FLIGHT_MAX + 2;
    let mut rig = Rig::new(streams, options(4, 4));
    (0..streams).for_each(|stream| rig.core.begin(stream));
    assert_eq!(rig.act().len(), CREATIONS_IN_FLIGHT_MAX);
    rig.created(0, denied());
    assert_eq!(rig.act(), ["say trouble of stream-0", "create 8"]);
    // Stream 0 is due long since, yet every creation is under way; the rig demands that the core is not due.
    rig.now += BACKOFF_MAX;
    assert!(rig.act().is_empty());
    assert_eq!(rig.core.next_due(rig.now), None);
    rig.created(1, ok());
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(2, ok());
    assert_eq!(rig.act(), ["create 9"]);
}

#[test]
fn throttled_creations_slow_down_all_creations_and_no_body() {
    const STREAMS: usize = 40;
    let mut rig = Rig::new(STREAMS, options(4, 4));
    rig.core.begin(0);
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, ok());
    (1..STREAMS).for_each(|stream| rig.core.begin(stream));
    // A quota of 5 a second, for 100 s.
    let (mut asked, mut throttled, mut created, mut answered_at) = (0, 0, 1, rig.now);
    let mut allowed = 5.0;
    let until = rig.now + Duration::from_secs(100);
    for round in 0.. {
        if rig.now >= until || created == STREAMS {
            break;
        }
        assert!(round < 1000, "it asks in a circle");
        allowed = f64::min(5.0, allowed + 5.0 * (rig.now - answered_at).as_secs_f64());
        answered_at = rig.now;
        for action in rig.act() {
            let stream = action.strip_prefix("create ").expect("nothing else is to be done").parse().unwrap();
            asked += 1;
            if allowed >= 1.0 {
                (allowed, created) = (allowed - 1.0, created + 1);
                rig.created(stream, ok());
            } else {
                throttled += 1;
                rig.created(stream, Answer::Throttled);
            }
        }
        if created < STREAMS {
            rig.pass();
        }
    }
    assert_eq!((created, asked), (STREAMS, STREAMS - 1 + throttled));
    assert!(throttled <= STREAMS / 2, "{throttled} of {asked} were throttled");
    assert!(rig.core.creation_rate.limited_since().is_some());
    rig.offer(0, ["a", "b", "c", "d"]);
    assert_eq!(rig.act(), ["send a", "send b", "send c", "send d"], "bodies have a rate of their own");
}

#[test]
fn a_group_that_is_removed_again_before_its_first_stream_is_created_again() {
    let mut rig = begun(1, creating_group(2));
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(ok());
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, not_found());
    pass_until(&mut rig, "create 0");
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["say group missing"]);
    pass_until(&mut rig, "create 0");
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["create group"]);
}

#[test]
fn a_group_that_could_not_be_created_is_no_failure_of_a_stream_that_has_not_begun() {
    let mut rig = Rig::new(2, creating_group(2));
    rig.core.begin(0);
    rig.act();
    rig.created(0, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.group_created(denied());
    rig.act();
    rig.core.begin(1);
    assert_eq!(rig.act(), ["create 1"]);
}

#[test]
fn a_stream_whose_rest_is_over_waits_for_its_group_without_being_due() {
    let mut rig = begun(2, creating_group(2));
    rig.created(0, away());
    rig.act();
    rig.created(1, not_found());
    assert_eq!(rig.act(), ["create group"]);
    rig.now += BACKOFF_MAX;
    // Were it due, the loop would spin: `act` looks.
    assert!(rig.act().is_empty());
    rig.group_created(ok());
    assert_eq!(rig.act(), ["create 0", "create 1"]);
}

#[test]
fn a_creation_that_fails_while_calls_get_through_is_no_outage() {
    let mut rig = Rig::ready(1, options(2, 2));
    rig.core = Core::new(addresses(2), options(2, 2));
    (0..2).for_each(|stream| rig.core.begin(stream));
    assert_eq!(rig.act(), ["create 0", "create 1"]);
    rig.created(0, ok());
    rig.created(1, away());
    assert_eq!((rig.act(), rig.core.outage.since), (vec![], None));
}

#[test]
fn the_place_of_a_group_that_no_stream_needs_is_used_again_unless_it_is_being_created() {
    let mut core = Core::new(addresses(1), options(1, 1));
    let group_of =
        |core: &mut Core, group: &str| core.group_of(&Arc::new(Address { group: group.into(), ..Address::default() }));
    assert_eq!((group_of(&mut core, "/g"), group_of(&mut core, "x"), group_of(&mut core, "y")), (0, 1, 1));
    core.groups[1].state = crate::ship::core::creation::GroupState::BeingCreated;
    assert_eq!((group_of(&mut core, "z"), group_of(&mut core, "y"), core.groups.len()), (2, 1, 3));
}
