//! Any sequence of requests, completions, faults, kills, losses of power and restarts, against a twin that keeps a
//! list: every entry that is not done comes back once, in its stream's order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Store {
        stream: u8,
        payload_bytes: usize,
        keep: bool,
    },
    Load {
        except: u8,
    },
    Done(usize),
    PutBack(usize),
    /// Whichever operation it falls on.
    Complete {
        which: usize,
        fault: u8,
    },
    Pass {
        ms: u64,
    },
    Settle,
    Kill {
        chance: u64,
    },
    LosePower {
        chance: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3u8, 0..900usize, any::<bool>())
            .prop_map(|(stream, payload_bytes, keep)| Step::Store { stream, payload_bytes, keep }),
        8 => (0..8u8).prop_map(|except| Step::Load { except }),
        6 => any::<usize>().prop_map(Step::Done),
        3 => any::<usize>().prop_map(Step::PutBack),
        40 => (any::<usize>(), any::<u8>()).prop_map(|(which, fault)| Step::Complete { which, fault }),
        2 => (0..3000u64).prop_map(|ms| Step::Pass { ms }),
        3 => Just(Step::Settle),
        1 => any::<u64>().prop_map(|chance| Step::Kill { chance }),
        1 => any::<u64>().prop_map(|chance| Step::LosePower { chance }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not answered yet.
    Asked,
    Waiting,
    Held(EntryId),
    /// Done or refused. Not `certain`: a crash may bring it back.
    Gone {
        certain: bool,
    },
    /// A crash came in between: it may come back.
    Maybe,
}

struct World {
    rig: Rig,
    /// By sequence: stream, whether ship keeps it, state.
    twin: BTreeMap<u64, (u8, bool, State)>,
    tickets: BTreeMap<u64, u64>,
    /// What the load under way excepts.
    loading: Option<u8>,
    /// Two failures of reading in a row never happen here: they would set entries aside.
    read_failed: bool,
    truncated: bool,
    adopted: u64,
}

impl World {
    fn new(sync: SyncPolicy) -> World {
        World {
            rig: Rig::new(sync),
            twin: BTreeMap::new(),
            tickets: BTreeMap::new(),
            loading: None,
            read_failed: false,
            truncated: false,
            adopted: 0,
        }
    }

    fn held(&self, which: usize) -> Option<(u64, EntryId)> {
        let held = |(sequence, (_, _, state)): (&u64, &(u8, bool, State))| match state {
            State::Held(id) => Some((*sequence, *id)),
            _ => None,
        };
        let all: Vec<_> = self.twin.iter().filter_map(held).collect();
        (!all.is_empty()).then(|| all[which % all.len()])
    }

    fn set(&mut self, sequence: u64, state: State) {
        self.twin.get_mut(&sequence).unwrap().2 = state;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Store { stream, payload_bytes, keep } => {
                let sequence = self.twin.len() as u64;
                let ticket = self.rig.request_store(entry(stream, sequence, payload_bytes), keep);
                self.tickets.insert(ticket, sequence);
                self.twin.insert(sequence, (stream, keep, State::Asked));
            }
            Step::Load { except } if self.loading.is_none() => {
                self.loading = Some(except);
                let except = (0..3).filter(|stream| except & (1 << stream) != 0).map(|stream| address(stream).key());
                self.rig.store.request(Request::Load { except: except.collect() });
            }
            Step::Load { .. } => {}
            Step::Done(which) => {
                if let Some((sequence, id)) = self.held(which) {
                    self.set(sequence, State::Gone { certain: false });
                    self.rig.store.request(Request::Done(id));
                }
            }
            Step::PutBack(which) => {
                if let Some((sequence, id)) = self.held(which) {
                    self.set(sequence, State::Waiting);
                    self.rig.store.request(Request::PutBack(id));
                }
            }
            Step::Complete { which, fault } => self.complete(which, fault),
            Step::Pass { ms } => self.rig.now += Duration::from_millis(ms),
            Step::Settle => self.settle(),
            Step::Kill { chance } => self.crash(chance | 1, None),
            Step::LosePower { chance } => self.crash(chance | 1, Some(chance)),
        }
        self.rig.submit();
        self.hear();
    }

    fn complete(&mut self, which: usize, fault: u8) {
        let lanes = self.rig.disk.lanes();
        if lanes.is_empty() {
            return;
        }
        let reads = lanes[which % lanes.len()] == Lane::Read;
        let fault = match fault {
            0..20 => Fault::Short(usize::from(fault) * 20 + 1),
            20..30 if !reads => Fault::Full,
            20..40 if !(reads && self.read_failed) => Fault::Io,
            40..45 if lanes[which % lanes.len()] == Lane::Append => Fault::TooLarge,
            _ => Fault::None,
        };
        if reads {
            self.read_failed = fault == Fault::Io;
        } else {
            self.truncated |= !matches!(fault, Fault::None | Fault::Short(_));
        }
        let completion = self.rig.disk.complete(which, fault).unwrap();
        self.rig.store.completed(completion, self.rig.now);
    }

    fn settle(&mut self) {
        self.rig.settle();
        self.hear();
        for (_, _, state) in self.twin.values_mut() {
            assert_ne!(*state, State::Asked, "a store was not answered");
            if let State::Gone { certain } = state {
                *certain = true;
            }
        }
        assert_eq!(self.loading, None, "a load was not answered");
        if !self.truncated {
            assert_eq!(self.rig.store.used_bytes(), self.rig.disk.all_bytes());
        }
    }

    fn crash(&mut self, chance: u64, power: Option<u64>) {
        self.rig.disk.kill(chance);
        let durable = power.is_none() || self.rig.sync == SyncPolicy::Always;
        if let Some(chance) = power {
            self.rig.disk.lose_power(chance);
        }
        for (_, _, state) in self.twin.values_mut() {
            *state = match state {
                State::Waiting | State::Held(_) if durable => State::Waiting,
                State::Gone { certain: true } if power.is_none() => State::Gone { certain: true },
                _ => State::Maybe,
            };
        }
        self.tickets.clear();
        self.loading = None;
        self.truncated = true;
        self.adopted = 0;
        let disk = std::mem::take(&mut self.rig.disk);
        let now = self.rig.now;
        self.rig = Rig::on(disk, self.rig.sync, 1 << 30);
        self.rig.now = now;
    }

    fn hear(&mut self) {
        for event in self.rig.events() {
            match event {
                Event::Stored { ticket, id, .. } => {
                    let sequence = self.tickets[&ticket];
                    let keep = self.twin[&sequence].1;
                    self.set(sequence, if keep { State::Held(id) } else { State::Waiting });
                }
                Event::Refused { ticket, .. } => self.set(self.tickets[&ticket], State::Gone { certain: false }),
                Event::Loaded { id, entry } => self.loaded(id, &entry),
                Event::Searched => {}
                Event::Absent { why } => panic!("{why}"),
                Event::Nothing => {
                    let except = self.loading.take().expect("a load was asked for");
                    let waits = self
                        .twin
                        .iter()
                        .find(|(_, (stream, _, state))| *state == State::Waiting && except & (1 << stream) == 0);
                    assert_eq!(waits, None, "there is something to load");
                }
                Event::Adopted { entries, .. } => self.adopted += entries,
                Event::SetAside { sum: Sum { count, .. }, .. } => {
                    // Only a loss of power leaves records that are whole but for their content.
                    assert!(count == Count::default() || count == COUNT, "{count:?}");
                }
                Event::Freed { .. } => {}
                Event::Ended => panic!("nobody asked it to end"),
                Event::Gone { .. } | Event::HeldGone { .. } | Event::Missing { .. } | Event::NotLost { .. } => {
                    panic!("nobody removed a file")
                }
            }
        }
    }

    fn loaded(&mut self, id: EntryId, loaded: &Entry) {
        let except = self.loading.take().expect("a load was asked for");
        let sequence = loaded.sequence;
        let (stream, _, state) = self.twin[&sequence];
        assert_eq!(*loaded, entry(stream, sequence, loaded.payload.len()));
        assert!(except & (1 << stream) == 0, "{sequence} was excepted");
        assert!(
            matches!(state, State::Waiting | State::Maybe | State::Asked),
            "{sequence} came while it was {state:?}"
        );
        let older =
            self.twin.range(..sequence).find(|(_, (other, _, state))| *other == stream && *state == State::Waiting);
        assert_eq!(older, None, "an older one of its stream waits when {sequence} comes");
        self.set(sequence, State::Held(id));
    }

    /// All that is not done comes, and then nothing is left.
    fn finish(&mut self, kill: bool) {
        if kill {
            self.crash(1, None);
        }
        self.settle();
        if kill {
            let count = |wanted| self.twin.values().filter(|(_, _, state)| *state == wanted).count() as u64;
            let (waiting, maybe) = (count(State::Waiting), count(State::Maybe));
            assert!((waiting..=waiting + maybe).contains(&self.adopted), "{waiting} {} {maybe}", self.adopted);
        }
        for _ in 0..=2 * self.twin.len() + 2 {
            self.step(Step::Done(0));
            self.step(Step::Load { except: 0 });
            self.settle();
        }
        assert!(self.twin.values().all(|(_, _, state)| matches!(state, State::Gone { .. } | State::Maybe)));
        self.rig.ask(Request::End);
        assert!(self.rig.disk.all_bytes() == self.rig.disk.aside_bytes(), "something is left");
    }
}

proptest! {
    #[test]
    fn whatever_happens_what_is_not_done_comes_once_and_in_order(
        steps in prop::collection::vec(step(), 1..200),
        sync in prop_oneof![Just(SyncPolicy::Never), Just(SyncPolicy::Interval), Just(SyncPolicy::Always)],
        kill in any::<bool>(),
    ) {
        let mut world = World::new(sync);
        for step in steps {
            world.step(step);
        }
        world.finish(kill);
    }
}
