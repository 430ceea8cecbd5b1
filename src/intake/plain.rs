//! The last resort, when no engine works, our own code failed or no thread could be had: the pipes are read and what
//! comes is counted as dropped, so that no child waits or gets SIGPIPE. Needs no descriptor, no ring and no thread.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::slot::Found;
use super::{Command, Outcome, Slot, Source};
use crate::clock;
use crate::limits::{TICK_MAX, TICK_MIN};

pub struct Plain {
    slots: Vec<Slot>,
    /// Until the next look at the pipes: short while they bring something.
    rest: Duration,
}

impl Plain {
    pub fn new(sources: Vec<Source>) -> Plain {
        let now = clock::now();
        Plain::of(sources.into_iter().map(|source| Slot::new(source, now)).collect())
    }

    pub(super) fn of(mut slots: Vec<Slot>) -> Plain {
        slots.iter_mut().for_each(|slot| slot.filler.end());
        Plain { slots, rest: TICK_MIN }
    }

    /// Every pipe is closed.
    pub fn is_over(&self) -> bool {
        self.slots.iter().all(|slot| slot.reader.is_none())
    }

    /// Does what it is told, and looks at each pipe once. When to look again.
    pub fn turn(&mut self, now: Instant, commands: &Receiver<Command>) -> Instant {
        self.obey(commands);
        let mut rest = (2 * self.rest).min(TICK_MAX);
        for slot in self.slots.iter_mut().filter(|slot| slot.reader.is_some()) {
            let before = slot.discarded.bytes;
            match slot.discard() {
                Found::End => slot.end(),
                _ if slot.is_overdue(now) => slot.end(),
                Found::More => rest = Duration::ZERO,
                Found::Empty if slot.discarded.bytes > before => rest = rest.min(TICK_MIN),
                Found::Empty => {}
            }
        }
        self.rest = rest.max(TICK_MIN);
        now + rest
    }

    fn obey(&mut self, commands: &Receiver<Command>) {
        loop {
            match commands.try_recv() {
                Ok(Command::LeaderEnded { pipe, close_at }) => self.slots[pipe].close_at = Some(close_at),
                Ok(Command::Abandon) => {
                    for slot in self.slots.iter_mut().filter(|slot| slot.reader.is_some()) {
                        slot.discard();
                        slot.end();
                    }
                }
                // Nobody will tell us any more; the pipes still end.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    pub(super) fn turn_until_over(&mut self, commands: &Receiver<Command>) {
        while !self.is_over() {
            let now = clock::now();
            let again = self.turn(now, commands);
            // Not woken by a command: the next look is near.
            std::thread::sleep(again - now);
        }
    }

    pub fn into_outcome(self) -> Outcome {
        Outcome::of(&self.slots, None, true)
    }
}
