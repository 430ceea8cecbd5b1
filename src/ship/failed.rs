//! What becomes of lines when the shipping thread failed, of a fault of ours or for want of what the system refuses: all that it
//! held is booked.

use std::io;

use super::control::Control;
use super::pump::{Now, Pump};
use crate::clock;
use crate::fault::Fault;
use crate::ledger::End;
use crate::limits::{RINGS_END_WAIT, SPOOL_END_WAIT};
use crate::spool::{self, wire::Request};
use crate::sys::open_files;

/// Why a shipping loop ended, if not because all was done. A panic has said where it was.
pub fn why(shipped: std::thread::Result<io::Result<()>>) -> Option<String> {
    match shipped {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(open_files::explained(&error)),
        Err(_) => Some("it panicked, as has been said".to_owned()),
    }
}

/// After a failure: the intake counts what comes from now on, and what is here ends.
pub fn abandon(pump: &mut Pump, spool: Option<spool::Handle>, control: &Control) {
    pump.abandon_rings();
    if let Some(spool) = spool {
        hear_out(pump, spool);
    }
    wait_for_rings(control, || pump.rings_have_ended());
    Fault::planted("give_up").pass();
    pump.give_up(End::Internal, Now { mono: clock::now(), wall_ms: clock::wall_ms() });
}

/// What the spool has stored is the next run's, and not dropped.
fn hear_out(pump: &mut Pump, spool: spool::Handle) {
    spool.send(Request::End);
    spool.wait(clock::now() + SPOOL_END_WAIT);
    while let Some(event) = spool.try_next() {
        pump.spooled(event, Now { mono: clock::now(), wall_ms: clock::wall_ms() });
    }
}

/// Each end rings our bell. Should the intake not answer, what it still adds to a ring is booked at the very end.
pub fn wait_for_rings(control: &Control, have_ended: impl Fn() -> bool) {
    let until = clock::now() + RINGS_END_WAIT;
    loop {
        let left = until.saturating_duration_since(clock::now());
        if have_ended() || left.is_zero() {
            return;
        }
        control.bell().wait(Some(left));
    }
}
