//! What logpump and its spool say to each other, seen on its way.

use std::time::Duration;

use logpump::ledger::End;
use logpump::ship::pump::Pump;
use logpump::spool::wire::{Event, Request};

use crate::happen::Happening;
use crate::world::{Run, World};

impl World<'_> {
    pub fn ask_spool(&mut self, run: &mut Run, request: Request) -> Result<(), String> {
        let Some(spool) = &mut run.spool else { return Err("there is no spool to ask".into()) };
        self.trace(|| match &request {
            Request::Store { ticket, entry, keep } => {
                format!("store {} of {}, ticket {ticket}, keep {keep}", entry.sequence, entry.address.stream)
            }
            request => format!("{request:?}"),
        });
        match &request {
            Request::Store { ticket, entry, .. } => drop(run.tickets.insert(*ticket, self.watch.known(entry)?)),
            Request::Done(id) | Request::Unwanted { id, .. } => {
                self.watch.done(spool.run(id.run), *id, self.clock.now);
            }
            _ => {}
        }
        if let Request::Unwanted { id, .. } = &request {
            self.watch.unwanted(spool.run(id.run), *id);
        }
        spool.send(request);
        let at = self.clock.now + Duration::from_micros(self.random.u64(0..200));
        self.queue.push(at, Happening::SpoolTurn { run: run.number });
        Ok(())
    }

    pub fn hear_spool(&mut self, run: &mut Run) -> Result<bool, String> {
        let Some(spool) = &mut run.spool else { return Ok(false) };
        let mut heard = false;
        while let Some(event) = spool.events.pop_front() {
            heard = true;
            let plan = self.plan;
            if plan.trace {
                match &event {
                    Event::Loaded { id, entry } => {
                        println!("loaded {id:?} {} of {}", entry.sequence, entry.address.stream)
                    }
                    event => println!("{event:?}"),
                }
            }
            match &event {
                Event::SetAside { run, what, sum, .. } => self.watch.set_aside(*run == 0, what, sum.count)?,
                Event::Gone { run, sum, .. } => self.watch.gone(*run == 0, sum.count)?,
                Event::HeldGone { id, sum, .. } => self.watch.held_gone(spool.run(id.run), *id, sum.count)?,
                Event::NotLost { sum, .. } => self.watch.not_lost(sum.count)?,
                _ => {}
            }
            if run.over {
                run.pump.spool_ended(event);
                continue;
            }
            let old = match &event {
                Event::Loaded { entry, .. } if self.watch.looks_old(entry, self.clock.wall_ms()) => Some(entry.clone()),
                _ => None,
            };
            let before = old.as_ref().map(|_| too_old(&mut run.pump));
            run.pump.spooled(event, self.clock.both());
            if let Some(entry) = old.filter(|_| before != Some(too_old(&mut run.pump))) {
                self.watch.too_old(&entry, self.clock.true_ms())?;
            }
        }
        Ok(heard)
    }
}

/// What is booked as too old.
fn too_old(pump: &mut Pump) -> u64 {
    let ledgers = pump.ledgers();
    ledgers.own.iter().chain([&ledgers.adopted]).map(|ledger| ledger.ended(End::TooOld).bytes).sum()
}
