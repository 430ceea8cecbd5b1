//! Any sequence of bodies, answers and waits, against the rig's accounts: after every step each body is in one place,
//! each line in the books, each bound kept; and once the service answers well, all is delivered, or all is booked when we give up.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin(usize),
    Offer {
        stream: usize,
        events: u32,
        serial: bool,
    },
    /// Whichever call it falls on.
    Answer {
        call: usize,
        answer: u8,
    },
    Pass {
        ms: u64,
    },
    Due,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..3usize).prop_map(Step::Begin),
        6 => (0..3usize, 1..4u32, prop::bool::weighted(0.2))
            .prop_map(|(stream, events, serial)| Step::Offer { stream, events, serial }),
        12 => (any::<usize>(), 0..20u8).prop_map(|(call, answer)| Step::Answer { call, answer }),
        2 => (0..3_000u64).prop_map(|ms| Step::Pass { ms }),
        4 => Just(Step::Due),
        1 => Just(Step::Drain),
    ]
}

/// Good ones are more frequent.
fn drawn(answer: u8) -> Answer {
    match answer {
        0 | 1 => Answer::Throttled,
        2 | 3 => away(),
        4 => lost(),
        5 | 6 => not_found(),
        7 | 8 => denied(),
        9 => Answer::Accepted(Rejected { too_old_end: Some(1), expired_end: None, too_new_start: Some(2) }),
        _ => ok(),
    }
}

/// The rig, and the creations under way.
struct World {
    rig: Rig,
    creating: Vec<usize>,
    creating_group: bool,
    offered: [Count; 3],
}

impl World {
    fn act(&mut self) {
        for text in self.rig.act() {
            if text == "create group" {
                assert!(!std::mem::replace(&mut self.creating_group, true), "the group is created twice at a time");
            } else if let Some(stream) = text.strip_prefix("create ") {
                let stream = stream.parse().unwrap();
                assert!(!self.creating.contains(&stream), "a stream is created twice at a time");
                self.creating.push(stream);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Begin(stream) => self.rig.core.begin(stream),
            Step::Offer { stream, events, serial } => {
                let name = format!("body-{}", self.rig.fates.len());
                self.offered[stream] += Count::new(u64::from(events), u64::from(events * RAW_BYTES));
                self.rig.offer_body(stream, &name, body(&name, events), serial);
            }
            Step::Answer { call, answer } => self.answer(call, drawn(answer)),
            Step::Pass { ms: passed } => self.rig.now += ms(passed),
            Step::Due if self.rig.core.next_due(self.rig.now).is_some() => drop(self.rig.pass()),
            Step::Due => {}
            Step::Drain => self.rig.core.drain(self.rig.now),
        }
        self.act();
    }

    fn answer(&mut self, call: usize, answer: Answer) {
        let flying = self.rig.flying();
        let all = flying.len() + self.creating.len() + usize::from(self.creating_group);
        if all == 0 {
            return;
        }
        let call = call % all;
        if let Some(name) = flying.get(call) {
            self.rig.answer(name, answer);
        } else if call - flying.len() < self.creating.len() {
            let stream = self.creating.remove(call - flying.len());
            self.rig.created(stream, answer);
        } else {
            self.creating_group = false;
            self.rig.group_created(answer);
        }
    }

    /// From now on all goes well. Bounded: a body needs at most a creation, a group and a call.
    fn finish(&mut self) {
        for _ in 0..10 * (self.rig.fates.len() + 10) {
            self.act();
            if self.rig.core.is_empty(self.rig.now) {
                return;
            }
            if self.rig.flying().is_empty() && self.creating.is_empty() && !self.creating_group {
                self.rig.pass();
            } else {
                self.answer(0, ok());
            }
        }
        panic!("bodies are left: {:?}", self.rig.fates.iter().filter(|(_, fate)| !fate.over).count());
    }
}

proptest! {
    #[test]
    fn whatever_is_answered_no_body_is_lost_doubled_or_stuck(
        steps in prop::collection::vec(step(), 1..120),
        (max_in_flight, stream_window) in (1..5usize, 1..5usize),
        (create_group, seed, give_up) in (any::<bool>(), any::<u64>(), prop::bool::weighted(0.2)),
    ) {
        let rig = Rig::new(3, Options { create_group, seed, ..options(max_in_flight, stream_window) });
        let mut world = World { rig, creating: Vec::new(), creating_group: false, offered: [Count::default(); 3] };
        for step in steps {
            world.step(step);
        }
        if give_up {
            world.rig.core.give_up(End::Shutdown);
        } else {
            world.finish();
        }
        for (stream, offered) in world.offered.iter().enumerate() {
            let ends = [End::Delivered, End::TooOld, End::TooNew, End::Shutdown];
            let ledger = world.rig.ledger(stream);
            prop_assert!(give_up || ledger.ended(End::Shutdown) == Count::default());
            let booked = ends.iter().fold(Count::default(), |sum, end| sum + ledger.ended(*end));
            prop_assert_eq!(booked, *offered);
            prop_assert!(ledger.calls >= ledger.retries);
        }
    }
}
