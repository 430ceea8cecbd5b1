//! The ship core: which body is sent when, and what every answer means. A state machine without I/O, clock or chance of
//! its own: bodies, answers and the time come in, actions go out. The loop performs them; so does the simulation.
//!
//! A body is in exactly one place: with its stream (fresh, or back from the disk), in a call, on its way to the disk, or on
//! disk alone; what is here may have a copy on disk, or on its way there. It leaves by being booked.
//! This file has what comes in and goes out; `verdicts` says what an answer to a call means, `choose` which body goes
//! next, `disk` what goes to the spool, `takes` whether it may, `told` what the spool says and `backlog` what comes back;
//! `silence` has what is done while it says nothing, `missing` what is done about what is not there any more, `owed` what
//! is stored later than it should be; `elsewhere` services that only ended runs knew, `refused` what the service calls
//! invalid, `creation` the streams and their groups, `causes` what is said of outages and throttling, `room` what may be
//! held; `view` lets others watch.

mod backlog;
mod causes;
mod choose;
mod creation;
mod disk;
mod elsewhere;
mod missing;
mod owed;
mod refused;
mod room;
mod silence;
mod stream;
mod takes;
mod told;
mod verdicts;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::hash::BodyHash;
use super::notice::Notice;
use super::parcel::{Books, Label, Parcel};
use super::rate::Rate;
use crate::ledger::{Count, End};
use crate::spool::entry::{Address, Entry};
use crate::spool::wire::Request;
use causes::Outage;
use creation::{Existence, Group};
use disk::Disk;
pub use disk::DiskOptions;
use elsewhere::Services;
pub use room::Open;
use stream::{Call, CallState, Delivery, Stream};
pub use view::View;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
    /// For all bodies, open ones included, and what one visit of a ring makes.
    pub body_bytes_max: usize,
    /// None: there is no spool.
    pub disk: Option<DiskOptions>,
    pub seed: u64,
}

/// What the loop is to do. Each Send, CreateStream and CreateGroup is answered once.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Send {
        call: usize,
        stream: usize,
        entry: Arc<Entry>,
        hash: BodyHash,
    },
    CreateStream {
        stream: usize,
        address: Arc<Address>,
    },
    CreateGroup {
        group: usize,
        address: Arc<Address>,
    },
    Spool(Request),
    /// They may have been renewed where they come from: load them anew. Not answered.
    RenewCredentials,
    Say(Notice),
}

pub struct Core {
    options: Options,
    /// Our own, then those of adopted runs.
    streams: Vec<Stream>,
    own_streams: usize,
    /// The books of all adopted streams.
    adopted: Books,
    /// One place for each call that may be in flight.
    calls: Vec<Option<Call>>,
    /// Said or asked for at the next poll.
    outbox: VecDeque<Action>,
    random: fastrand::Rng,
    rate: Rate,
    /// Of CreateStream, which has a quota of its own.
    creation_rate: Rate,
    creations_in_flight: usize,
    groups: Vec<Group>,
    disk: Disk,
    outage: Outage,
    /// A body got through, once.
    taken: bool,
    /// It is at least that late where bodies were taken.
    service_ms: Option<i64>,
    services: Services,
    /// How many calls of any kind got through: whether one did since another was sent.
    successes: u64,
    /// The stream that is looked at first, so that all have their turn: for fresh bodies, and for what came back. One
    /// for both would begin with the same streams again whenever the other kind went.
    turns: [usize; 2],
    /// The next free place is the backlog's.
    backlog_turn: bool,
    held_bytes: usize,
    /// What our own streams leave of their shares of the limit: see `room`.
    shares_left: usize,
    draining: bool,
    /// Nothing is sent any more: what is here goes to the disk.
    spilling: bool,
    /// Of the limit that calls have now.
    throttling_said: bool,
    /// When credentials were last asked for anew.
    renewed: Option<Instant>,
}

impl Core {
    pub fn new(streams: Vec<Arc<Address>>, options: Options) -> Core {
        assert!(options.max_in_flight > 0 && options.stream_window > 0);
        let mut core = Core {
            options,
            streams: Vec::new(),
            own_streams: streams.len(),
            adopted: Books::default(),
            calls: (0..options.max_in_flight).map(|_| None).collect(),
            outbox: VecDeque::new(),
            random: fastrand::Rng::with_seed(options.seed),
            rate: Rate::new(!options.seed),
            creation_rate: Rate::new(options.seed.rotate_left(32)),
            creations_in_flight: 0,
            groups: Vec::new(),
            disk: Disk::new(options.disk),
            outage: Outage::default(),
            taken: false,
            service_ms: None,
            services: Services::new(),
            successes: 0,
            turns: [0; 2],
            backlog_turn: false,
            held_bytes: 0,
            shares_left: 0,
            draining: false,
            spilling: false,
            throttling_said: false,
            renewed: None,
        };
        for address in streams {
            let group = core.group_of(&address);
            core.streams.push(Stream::new(address, group));
        }
        core.hold_nothing();
        core
    }

    // ---- what comes in -----------------------------------------------------------------------

    pub fn books_mut(&mut self, stream: usize) -> &mut Books {
        if stream < self.own_streams { &mut self.streams[stream].books } else { &mut self.adopted }
    }

    /// The label of the stream's next parcel.
    pub fn next_label(&mut self, stream: usize, serial: bool, gzip: bool) -> Label {
        let stream = &mut self.streams[stream];
        let sequence = stream.next_number;
        stream.next_number += 1;
        Label { address: stream.address.clone(), sequence, serial, gzip }
    }

    /// A stream's mask has a pattern that takes too long.
    pub fn say_costly(&mut self, stream: usize, pattern: String) {
        self.say(Notice::MaskCostly { stream: self.streams[stream].name().to_owned(), pattern });
    }

    /// Something to tell, that was decided elsewhere.
    pub fn say(&mut self, notice: Notice) {
        self.outbox.push_back(Action::Say(notice));
    }

    /// The stream has its first line: create it, while the batch fills.
    pub fn begin(&mut self, stream: usize) {
        self.streams[stream].begun = true;
    }

    pub fn offer(&mut self, stream: usize, parcel: Parcel) {
        self.hold_bytes(stream, parcel.memory_bytes());
        self.streams[stream].begun = true;
        let delivery = Delivery::fresh(parcel);
        match self.disk_purpose(stream, &delivery) {
            Some(purpose) => self.store(stream, delivery, purpose),
            None => {
                self.disk.is_owed |= self.is_durable();
                self.streams[stream].waiting.push_back(delivery);
            }
        }
    }

    /// The last lines are in: every waiting body is tried at once, and from now on no wait is long.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        for call in self.calls.iter_mut().flatten() {
            if let CallState::Resting { until, .. } = &mut call.state {
                *until = now;
            }
        }
        for stream in &mut self.streams {
            stream.hold_until = None;
            if let Existence::Resting { until, .. } = &mut stream.existence {
                *until = now;
            }
        }
    }

    /// Nothing more will be sent: everything held ends like this, unless it is on disk.
    pub fn give_up(&mut self, end: End) {
        let mut held: Vec<(usize, Delivery)> = self.take_pending();
        held.extend(self.calls.iter_mut().filter_map(Option::take).map(|call| (call.stream, call.delivery)));
        for (index, stream) in self.streams.iter_mut().enumerate() {
            stream.return_suspects();
            held.extend(stream.waiting.drain(..).chain(stream.backlog.drain(..)).map(|delivery| (index, delivery)));
            stream.in_flight = 0;
        }
        self.hold_nothing();
        for (stream, delivery) in held {
            if self.stays_on_disk(&delivery) {
                self.left_on_disk(stream, &delivery);
            } else {
                delivery.parcel.settle(end, self.books_mut(stream));
            }
        }
        self.leave_split_lines();
    }

    // ---- what goes out -----------------------------------------------------------------------

    /// The next thing to do now, until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.watch_disk(now);
        if let Some(action) = self.outbox.pop_front() {
            return Some(action);
        }
        if self.spilling {
            return None;
        }
        self.ask_disk_again(now);
        self.relieve_memory();
        self.store_owed();
        if let Some(action) = self.outbox.pop_front() {
            return Some(action);
        }
        self.resend(now).or_else(|| self.create(now)).or_else(|| self.send(now)).or_else(|| self.load(now))
    }

    /// When `poll`, which has just said that there is nothing, will have something without anything coming in.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.spilling {
            return None;
        }
        let resting = self.calls.iter().flatten().filter_map(|call| match call.state {
            CallState::Resting { until, .. } => Some(until),
            CallState::Flying => None,
        });
        // Only what time alone sets free: a stream that also waits for an answer would have the loop spin.
        let free = self.calls.iter().any(Option::is_none);
        let backlog_may = self.backlog_may_go();
        let is_ready = |stream: &&Stream| {
            free && (self.is_ready(stream, stream.waiting.front())
                || (backlog_may && self.is_ready(stream, stream.backlog.front())))
        };
        // A limited rate holds back what nothing else does, too.
        let allowed = self.rate.next_at();
        let held = self.streams.iter().filter(is_ready).filter_map(|stream| stream.hold_until.or(allowed));
        let sends = resting.chain(held).map(|at| allowed.map_or(at, |allowed| at.max(allowed)));
        sends
            .chain(self.next_creation(now))
            .chain(self.next_load(now))
            .chain(self.next_silence())
            .chain(self.next_mute(now))
            .min()
    }

    /// Holds nothing that still has to be delivered.
    pub fn is_empty(&self, now: Instant) -> bool {
        let is_here =
            |(index, stream): (usize, &Stream)| stream.resting().next().is_some() && !self.is_mute(index, now);
        self.calls.iter().flatten().all(|call| self.is_mute(call.stream, now))
            && !self.streams.iter().enumerate().any(is_here)
            && self.disk_is_empty(now)
    }

    /// Lines and bytes of one of our own streams that are in bodies in memory.
    pub fn held(&self, stream: usize) -> Count {
        let lines = self.streams[stream].books.split.lines_in_memory();
        self.held_parcels(|owner| owner == stream) + Count::new(lines, 0)
    }

    /// The same for all adopted streams.
    fn held_adopted(&self) -> Count {
        self.held_parcels(|owner| owner >= self.own_streams)
    }

    fn held_parcels(&self, of: impl Fn(usize) -> bool) -> Count {
        let calls = self.calls.iter().flatten().filter(|call| of(call.stream)).map(|call| &call.delivery);
        let streams = self.streams.iter().enumerate().filter(|(index, _)| of(*index));
        let resting = streams.flat_map(|(_, stream)| stream.resting());
        let pending = self.pending().filter(|(stream, _)| of(*stream)).map(|(_, delivery)| delivery);
        calls.chain(resting).chain(pending).fold(Count::default(), |sum, delivery| sum + delivery.parcel.held())
    }
}

#[cfg(test)]
mod tests;
