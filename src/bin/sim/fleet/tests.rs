//! A smaller fleet, held to the same figures. What breaks the pumps' manners is found here: without jitter, or without
//! the decrease, these fail.

use super::figures::{Figures, PEAK_MAX};
use super::world::{SECOND_US, Scenario, World};

/// Each pump's share is 5 calls a second, as with 1,000 pumps and the default quota.
const FLEET: Scenario = Scenario {
    name: "a small fleet",
    pumps: 100,
    quota_per_s: 500,
    creations_per_s: None,
    // What else would get them out of step: the jitter is to be theirs.
    latency_us: 25_000..=25_000,
    outage_us: 0,
    work: 150,
    fresh_per_s: 0.0,
    fresh_spread: 0.0,
    room: 1000,
    seed: 1,
};

fn figures_of(scenario: &Scenario) -> Figures {
    Figures::of(scenario, &World::new(scenario.clone()).run())
}

#[test]
fn after_a_restart_all_get_their_share_and_the_quota_is_used_up() {
    for seed in 1..=3 {
        let figures = figures_of(&Scenario { seed, ..FLEET });
        assert_eq!(figures.missed(), [""; 0], "seed {seed}: {figures:?}");
    }
}

#[test]
fn after_an_outage_all_catch_up_while_their_children_write_on() {
    let outage = Scenario { outage_us: 600 * SECOND_US, work: 0, fresh_per_s: 0.5, ..FLEET };
    for scenario in [outage.clone(), Scenario { fresh_spread: 0.8, seed: 2, ..outage }] {
        let mut figures = figures_of(&scenario);
        // One pump's window is a seventh of what this fleet sends in 100 ms, and pumps come back one by one: that two do
        // so in the same moment is a burst here, and none among 1,000.
        assert!(figures.peak <= 2.5, "{scenario:?}: {figures:?}");
        figures.peak = figures.peak.min(PEAK_MAX);
        assert_eq!(figures.missed(), [""; 0], "{scenario:?}: {figures:?}");
    }
}

#[test]
fn a_run_is_repeatable_by_its_seed() {
    let scenario = Scenario { pumps: 20, quota_per_s: 100, work: 50, seed: 5, ..FLEET };
    let run = |seed| World::new(Scenario { seed, ..scenario.clone() }).run().calls;
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn what_comes_in_beyond_the_room_is_counted_as_dropped() {
    let scenario = Scenario { pumps: 20, quota_per_s: 100, work: 50, room: 40, ..FLEET };
    let figures = figures_of(&scenario);
    assert_eq!((figures.dropped, figures.held_max, figures.backlog), (20 * 10, 40, 20 * 40));
    assert!(figures.missed().contains(&"200 bodies dropped".to_owned()));
}
