//! Any bodies with bad events anywhere, any other trouble, spells in which everything is called invalid: good events are
//! delivered, bad ones rejected, each once, and in order as a reader sees it; or they are kept.

use proptest::prelude::*;

use super::*;
use crate::limits::SUSPECTS_MAX;

#[derive(Debug, Clone)]
enum Step {
    /// Of each event: is it bad, and does a millisecond pass before it?
    Offer {
        stream: usize,
        events: Vec<(bool, bool)>,
        serial: bool,
    },
    /// To whichever call: as the service judges, or as drawn.
    Answer {
        call: usize,
        answer: u8,
    },
    Due,
    Drain,
    Settle(usize),
    /// From now on everything is invalid, or no longer.
    Spell(bool),
}

fn step(spells: bool) -> impl Strategy<Value = Step> {
    let event = (prop::bool::weighted(0.15), any::<bool>());
    let offer = (0..2usize, prop::collection::vec(event, 1..12), prop::bool::weighted(0.1));
    prop_oneof![
        4 => offer.prop_map(|(stream, events, serial)| Step::Offer { stream, events, serial }),
        16 => (any::<usize>(), 0..30u8).prop_map(|(call, answer)| Step::Answer { call, answer }),
        4 => Just(Step::Due),
        1 => Just(Step::Drain),
        1 => (0..2usize).prop_map(Step::Settle),
        if spells { 1 } else { 0 } => any::<bool>().prop_map(Step::Spell),
    ]
}

struct World {
    desk: Desk,
    spell: bool,
    spells: u64,
    /// Of each stream: the events that were offered, with their milliseconds.
    offered: [Vec<(String, i64)>; 2],
    last_ms: i64,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Offer { stream, events, serial } => self.offer(stream, &events, serial),
            Step::Answer { call, answer } if !self.desk.flying.is_empty() => {
                let call = call % self.desk.flying.len();
                match answer {
                    0 => self.desk.answer_at(call, Answer::Throttled),
                    1 => self.desk.answer_at(call, away()),
                    2 => self.desk.answer_at(call, denied()),
                    3 => self.desk.answer_at(call, not_found()),
                    _ => self.judge(call),
                }
            }
            Step::Due if self.desk.core.next_due(self.desk.now).is_some() => drop(self.desk.pass()),
            Step::Drain => self.desk.core.drain(self.desk.now),
            // As if its feed were over. It may be too early: then it is not certain that the bad are few.
            Step::Settle(stream) if !self.spell => self.desk.core.settle_unproven(|over| over == stream, self.desk.now),
            Step::Spell(spell) => {
                self.spells += u64::from(spell && !self.spell);
                self.spell = spell;
            }
            Step::Answer { .. } | Step::Due | Step::Settle(_) => {}
        }
        self.desk.act();
    }

    fn offer(&mut self, stream: usize, events: &[(bool, bool)], serial: bool) {
        if !self.desk.core.accepts(stream, false) {
            return;
        }
        // A serial body shares the millisecond of the one before it.
        self.last_ms += i64::from(!serial);
        let mut at_ms = self.last_ms;
        let mut words = Vec::new();
        for (index, (bad, later)) in events.iter().enumerate() {
            if *later && index > 0 {
                at_ms += 1;
                words.push("|".to_owned());
            }
            let number = self.offered[stream].len();
            let message = if *bad { format!("bad-{number}") } else { format!("{number}") };
            self.offered[stream].push((message.clone(), at_ms));
            words.push(message);
        }
        self.desk.offer_at(stream, &words.join(" "), self.last_ms, serial);
        self.last_ms = at_ms;
    }

    fn judge(&mut self, call: usize) {
        let bad = self.spell || self.desk.flying[call].2.iter().any(|event| is_bad(event));
        self.desk.answer_at(call, if bad { invalid() } else { ok() });
    }

    /// From now on the service refuses only what is bad, and good lines go on coming where something is kept.
    fn finish(&mut self) {
        self.spell = false;
        for _ in 0..2_000 {
            self.desk.act();
            if !self.desk.flying.is_empty() {
                self.judge(0);
                continue;
            }
            if self.desk.core.is_empty(self.desk.now) {
                return;
            }
            for stream in 0..2 {
                let refusals = &self.desk.core.streams[stream].refusals;
                if refusals.slow || !refusals.suspects.is_empty() {
                    self.offer(stream, &[(false, false)], false);
                }
            }
            if self.desk.core.next_due(self.desk.now).is_some() {
                self.desk.pass();
            }
        }
        panic!("a healthy stream is stopped");
    }
}

fn run(steps: Vec<Step>, options: Options, gzip: bool) -> World {
    let mut desk = Desk::new(2, options);
    desk.gzip = gzip;
    let mut world = World { desk, spell: false, spells: 0, offered: Default::default(), last_ms: 0 };
    steps.into_iter().for_each(|step| world.step(step));
    world.finish();
    world
}

proptest! {
    #[test]
    fn good_events_are_delivered_once_and_in_order_and_bad_ones_rejected(
        steps in prop::collection::vec(step(false), 1..120),
        (max_in_flight, stream_window, seed, gzip) in (1..6usize, 1..5usize, any::<u64>(), prop::bool::weighted(0.1)),
    ) {
        let world = run(steps, Options { seed, ..options(max_in_flight, stream_window) }, gzip);
        for (stream, offered) in world.offered.iter().enumerate() {
            let good: Vec<_> = offered.iter().filter(|(event, _)| !is_bad(event)).cloned().collect();
            let at = |event: &String| offered.iter().find(|(other, _)| other == event).expect("it was offered").1;
            let mut seen: Vec<_> = world.desk.stored[stream].iter().map(|event| (event.clone(), at(event))).collect();
            if stream_window > 1 {
                // As a reader sees it: by timestamp, and what is alike as it came.
                seen.sort_by_key(|(_, at)| *at);
            }
            prop_assert_eq!(&seen, &good);
            let bad = (offered.len() - good.len()) as u64;
            prop_assert_eq!((world.desk.ended(stream, End::Delivered), world.desk.ended(stream, End::Invalid)), (good.len() as u64, bad));
        }
    }

    #[test]
    fn a_spell_in_which_everything_is_invalid_costs_a_handful_of_good_events_at_the_most(
        steps in prop::collection::vec(step(true), 1..120),
        (max_in_flight, stream_window, seed) in (1..6usize, 1..5usize, any::<u64>()),
    ) {
        let world = run(steps, Options { seed, ..options(max_in_flight, stream_window) }, false);
        // Too few to be seen as a spell, and then, of those that go again after one, those that meet the next.
        let lost_max = 2 * (SUSPECTS_MAX as u64 - 1) + SUSPECTS_MAX as u64;
        for (stream, offered) in world.offered.iter().enumerate() {
            let mut stored = world.desk.stored[stream].clone();
            stored.sort();
            let number = stored.len();
            stored.dedup();
            prop_assert_eq!(stored.len(), number, "nothing is stored twice");
            let good = offered.iter().filter(|(event, _)| !is_bad(event)).count() as u64;
            let delivered = world.desk.ended(stream, End::Delivered);
            prop_assert_eq!(delivered, number as u64);
            prop_assert_eq!(world.desk.ended(stream, End::Delivered) + world.desk.ended(stream, End::Invalid), offered.len() as u64);
            prop_assert!(delivered <= good && delivered + world.spells * lost_max >= good);
        }
    }
}
