//! The last resort, when no engine works or our own code failed: the pipes are read and what comes is counted as
//! dropped, so that no child waits or gets SIGPIPE. Needs no descriptor and no ring.

use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::{Command, Slot, State};
use crate::clock;
use crate::limits::TICK_MAX;

pub fn count_until_closed(slots: &mut [Slot], commands: &Receiver<Command>) {
    slots.iter_mut().for_each(|slot| slot.filler.end());
    while slots.iter().any(|slot| slot.reader.is_some()) {
        let now = clock::now();
        for slot in slots.iter_mut().filter(|slot| slot.reader.is_some()) {
            if slot.discard() || slot.is_overdue(now) {
                slot.end();
            }
        }
        match commands.recv_timeout(TICK_MAX) {
            Ok(Command::LeaderEnded { pipe, close_at }) => slots[pipe].close_at = Some(close_at),
            Ok(Command::Abandon) => {
                for slot in slots.iter_mut().filter(|slot| slot.reader.is_some()) {
                    slot.discard();
                    slot.end();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody will tell us any more; the pipes still end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK_MAX),
        }
    }
    debug_assert!(slots.iter().all(|slot| slot.state == State::Closed));
}
