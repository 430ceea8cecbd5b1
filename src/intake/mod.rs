//! The intake thread: moves bytes from the children's pipes into their rings, and does nothing else. It never looks at
//! a byte, never waits for ship, and neither allocates nor logs per read.
//!
//! A pipe is armed (idle: the kernel tells us of its first byte), due (active: it rests until its tick, then ONE read
//! takes what gathered), stalled (its ring is full: ship wakes us) or closed.

mod engine;
mod epoll;
mod pacing;
pub mod pipe;
mod plain;
mod slot;

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

use rustix::io::Errno;

use crate::clock;
use crate::fault::Fault;
use crate::ring::Filler;
use crate::sys::bell::Bell;
use crate::sys::open_files;
use crate::sys::uring::ReadDone;
use engine::Engine;
pub use engine::Kind;
use pacing::Next;
use pipe::Pipe;
pub use plain::Plain;
use slot::{Slot, State};

/// One child's output, on its way in.
pub struct Source {
    pub name: String,
    pub pipe: Pipe,
    pub filler: Filler,
}

/// What others may ask of the intake.
pub enum Command {
    /// The child behind this pipe has ended. Its grandchildren may hold the pipe until `close_at`.
    LeaderEnded { pipe: usize, close_at: Instant },
    /// Take no more into the rings: count what stands in the pipes, close them, end.
    Abandon,
}

/// The way to the intake thread.
pub struct Remote {
    commands: Sender<Command>,
    bell: Arc<Bell>,
}

impl Remote {
    /// An intake that has ended needs no command.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
        self.bell.ring();
    }
}

/// The remote, and the end of it that `run` takes.
pub fn remote(bell: &Arc<Bell>) -> (Remote, Receiver<Command>) {
    let (commands, receiver) = channel();
    (Remote { commands, bell: bell.clone() }, receiver)
}

/// What a pipe held that could not go into its ring any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discarded {
    pub lines: u64,
    pub bytes: u64,
}

/// What the intake leaves behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Per source.
    pub discarded: Vec<Discarded>,
    /// Per source: bytes that went into its ring.
    pub filled: Vec<u64>,
    /// The engine that it ended with, and why, if it is not the one asked for.
    pub engine: Option<(Kind, String)>,
    /// The rings were given up before the pipes ended: what came after is in `discarded`.
    pub failed: bool,
}

impl Outcome {
    fn of(slots: &[Slot], engine: Option<(Kind, String)>, failed: bool) -> Outcome {
        Outcome {
            discarded: slots.iter().map(|slot| slot.discarded).collect(),
            filled: slots.iter().map(|slot| slot.filler.filled()).collect(),
            engine,
            failed,
        }
    }
}

/// Runs until every pipe is closed. Whatever fails, the pipes are read to their end: no child waits or gets SIGPIPE for
/// a fault of ours.
pub fn run(kind: Kind, sources: Vec<Source>, bell: &Arc<Bell>, commands: &Receiver<Command>) -> Outcome {
    let now = clock::now();
    let mut slots: Vec<_> = sources.into_iter().map(|source| Slot::new(source, now)).collect();
    let mut engine = None;
    let pumped = catch_unwind(AssertUnwindSafe(|| pump(kind, &mut engine, &mut slots, bell, commands)));
    if !matches!(pumped, Ok(Ok(()))) {
        let why = match pumped {
            Ok(Err(error)) => open_files::explained(&error),
            _ => "a fault of logpump's; please report it".to_owned(),
        };
        tracing::error!("the intake failed: {why}; from here on lines are counted as dropped");
        let mut plain = Plain::of(slots);
        plain.turn_until_over(commands);
        return Outcome { engine, ..plain.into_outcome() };
    }
    Outcome::of(&slots, engine, false)
}

fn pump(
    kind: Kind,
    fell_back: &mut Option<(Kind, String)>,
    slots: &mut Vec<Slot>,
    bell: &Arc<Bell>,
    commands: &Receiver<Command>,
) -> io::Result<()> {
    let descriptors = slots.len() + 1;
    let engine = Engine::new(kind, descriptors).or_else(|error| {
        let reason = format!("the {kind} engine failed to start: {error}; using epoll");
        tracing::warn!("{reason}");
        *fell_back = Some((Kind::Epoll, reason));
        Engine::new(Kind::Epoll, descriptors)
    })?;
    let mut intake = Intake {
        engine,
        fell_back,
        slots,
        bell: bell.clone(),
        commands,
        fired: Vec::with_capacity(descriptors),
        done: Vec::with_capacity(descriptors),
    };
    intake.engine.arm(intake.bell_token(), bell.as_fd())?;
    intake.turn_until_closed()
}

struct Intake<'a> {
    engine: Engine,
    fell_back: &'a mut Option<(Kind, String)>,
    slots: &'a mut Vec<Slot>,
    bell: Arc<Bell>,
    commands: &'a Receiver<Command>,
    fired: Vec<u32>,
    done: Vec<ReadDone>,
}

impl Intake<'_> {
    /// Tokens below it are slots.
    fn bell_token(&self) -> u32 {
        self.slots.len() as u32
    }

    fn turn_until_closed(&mut self) -> io::Result<()> {
        let mut fault = Fault::planted("intake");
        while self.slots.iter().any(|slot| slot.state != State::Closed) {
            fault.pass();
            let turned = self.read_due().and_then(|()| self.sleep());
            if let Err(error) = turned {
                self.fall_back(&error)?;
            }
            self.obey();
        }
        Ok(())
    }

    /// One read of each pipe that is due, all in one call.
    fn read_due(&mut self) -> io::Result<()> {
        let now = clock::now();
        for slot in self.slots.iter_mut() {
            if slot.is_due(now) && slot.is_full() && slot.filler.stall() {
                slot.state = State::Stalled;
            }
        }
        let due = self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_due(now));
        let reads = due.filter_map(|(token, slot)| slot.read(token as u32));
        self.done.clear();
        let read = self.engine.read_all(reads, &mut self.done);
        // Also after a failure: what was read must not be lost.
        let now = clock::now();
        let wall_ms = clock::wall_ms();
        let done = std::mem::take(&mut self.done);
        let mut result = read;
        for answer in &done {
            result = result.and(self.take_in(answer.token, answer.result, now, wall_ms));
        }
        self.done = done;
        result
    }

    /// What a read brought, and when the pipe is looked at next.
    fn take_in(&mut self, token: u32, result: Result<usize, Errno>, now: Instant, wall_ms: i64) -> io::Result<()> {
        let slot = &mut self.slots[token as usize];
        let gathered = match result {
            Ok(0) => {
                self.close(token);
                return Ok(());
            }
            Ok(bytes) => {
                slot.take_in(bytes, wall_ms);
                bytes
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => {
                tracing::error!("reading the output of {} failed: {error}; its pipe is closed", slot.name);
                self.close(token);
                return Ok(());
            }
        };
        if slot.is_overdue(now) {
            slot.last_bytes = slot.last_bytes.saturating_sub(gathered);
            if gathered == 0 || slot.last_bytes == 0 {
                tracing::warn!(
                    "{} ended, yet another process holds its output open: closed after --eof-grace, and that process gets \
                     SIGPIPE when it writes; raise --eof-grace if its lines matter, or redirect its output",
                    slot.name
                );
                slot.discard();
                self.close(token);
                return Ok(());
            }
        }
        let elapsed = now - slot.last_read;
        slot.last_read = now;
        // No read brings more than the ring takes.
        let read_bytes_max = slot.pipe_bytes.min(slot.filler.capacity());
        slot.state = match slot.pacing.after_read(gathered, read_bytes_max, elapsed) {
            _ if slot.is_full() => State::Due(now),
            Next::Rest(rest) => State::Due(now + rest),
            Next::Arm => {
                // Do not arm an active pipe unless the pacing says so: an armed pipe makes every write() wake us.
                let reader = slot.reader.as_ref().expect("an open slot has its reader");
                self.engine.arm(token, reader.as_fd())?;
                State::Armed
            }
        };
        Ok(())
    }

    /// Sleeps until something is due or armed pipes or the bell call.
    fn sleep(&mut self) -> io::Result<()> {
        let now = clock::now();
        let mut tick = None::<Instant>;
        let mut deadline = None::<Instant>;
        for slot in self.slots.iter() {
            match slot.state {
                State::Due(at) => tick = Some(tick.map_or(at, |tick| tick.min(at))),
                State::Armed => deadline = [deadline, slot.close_at].into_iter().flatten().min(),
                State::Stalled | State::Closed => {}
            }
        }
        let mut fired = std::mem::take(&mut self.fired);
        fired.clear();
        let waited = match tick {
            // Also when there is no time to sleep: armed pipes must be heard however busy the others are.
            Some(tick) => {
                let bulk = |slot: &Slot| slot.state == State::Armed && slot.pacing.is_bulk();
                let early = self.slots.iter().any(bulk);
                self.engine.wait(Some(tick.saturating_duration_since(now)), early, &mut fired)
            }
            None if self.slots.iter().all(|slot| slot.state == State::Closed) => Ok(()),
            None => {
                let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now));
                self.engine.wait(timeout, true, &mut fired)
            }
        };
        for token in &fired {
            self.answer(*token)?;
        }
        self.fired = fired;
        waited
    }

    fn answer(&mut self, token: u32) -> io::Result<()> {
        let now = clock::now();
        if token == self.bell_token() {
            self.engine.fired(self.bell.as_fd())?;
            self.bell.clear();
            self.engine.arm(token, self.bell.as_fd())?;
            for slot in self.slots.iter_mut() {
                if slot.state == State::Stalled && !slot.filler.is_stalled() {
                    slot.state = State::Due(now);
                }
                slot.leave_ring_if_abandoned();
            }
            return Ok(());
        }
        let slot = &mut self.slots[token as usize];
        if let (State::Armed, Some(reader)) = (slot.state, &slot.reader) {
            self.engine.fired(reader.as_fd())?;
            slot.state = State::Due(now);
            slot.last_read = now;
        }
        Ok(())
    }

    fn obey(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::LeaderEnded { pipe, close_at }) => self.slots[pipe].close_at = Some(close_at),
                Ok(Command::Abandon) => {
                    for token in 0..self.bell_token() {
                        self.slots[token as usize].discard();
                        self.close(token);
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let now = clock::now();
        for token in 0..self.bell_token() {
            let slot = &mut self.slots[token as usize];
            if slot.state == State::Armed && slot.is_overdue(now) {
                // One last read; what it finds decides.
                let reader = slot.reader.as_ref().expect("an armed slot has its reader");
                if self.engine.disarm(token, reader.as_fd()).is_ok() {
                    slot.state = State::Due(now);
                }
            }
        }
    }

    fn close(&mut self, token: u32) {
        let slot = &mut self.slots[token as usize];
        if let (Some(reader), State::Armed) = (&slot.reader, slot.state) {
            let _ = self.engine.disarm(token, reader.as_fd());
        }
        slot.end();
    }

    /// A kernel that let us set io_uring up may refuse it later.
    fn fall_back(&mut self, error: &io::Error) -> io::Result<()> {
        if self.engine.kind() == Kind::Epoll {
            return Err(io::Error::new(error.kind(), format!("the epoll engine failed: {error}")));
        }
        let reason = format!("io_uring failed while running: {error}; going on with epoll");
        tracing::warn!("{reason}");
        *self.fell_back = Some((Kind::Epoll, reason));
        self.engine = Engine::new(Kind::Epoll, self.slots.len() + 1)?;
        self.engine.arm(self.bell_token(), self.bell.as_fd())?;
        let now = clock::now();
        for slot in self.slots.iter_mut() {
            if slot.state == State::Armed {
                slot.state = State::Due(now);
            }
        }
        // A ring at the bell may have gone down with the old engine.
        self.bell.ring();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
