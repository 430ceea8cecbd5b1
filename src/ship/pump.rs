//! All streams, from their rings to what has to be sent: which feed is visited when, and what the core makes of it.
//! Without I/O and clock: the loop in `mod` performs what comes out of `poll`, and so does the simulator.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::Answer;
use super::core::{self, Action, Core, Open};
pub use super::feed::Now;
use super::feed::{Feed, Finished};
use super::parcel::Parcel;
use crate::batch::Head;
use crate::ledger::{End, Ledger};
use crate::report::tee::Tee;
use crate::ring::Drainer;
use crate::spool::entry::Address;
use crate::spool::wire::Event;

/// One child's output on its way out.
pub struct Stream {
    pub address: Arc<Address>,
    pub ring: Drainer,
}

pub struct Options {
    pub gzip: bool,
    pub linger: Duration,
    pub core: core::Options,
}

/// What became of everything.
pub struct Ledgers {
    /// Per stream.
    pub own: Vec<Ledger>,
    /// Of all that ended runs had left in the spool.
    pub adopted: Ledger,
}

pub struct Pump {
    feeds: Vec<Feed>,
    core: Core,
    gzip: bool,
    tee: Option<Tee>,
    draining: bool,
    spilling: bool,
}

impl Pump {
    pub fn new(streams: Vec<Stream>, options: Options, tee: Option<Tee>) -> Pump {
        let addresses = streams.iter().map(|stream| stream.address.clone()).collect();
        let core = Core::new(addresses, options.core);
        let feed = |stream: Stream| {
            Feed::new(stream.ring, Head::new(&stream.address.group, &stream.address.stream), options.linger)
        };
        Pump {
            feeds: streams.into_iter().map(feed).collect(),
            core,
            gzip: options.gzip,
            tee,
            draining: false,
            spilling: false,
        }
    }

    /// Every ring has ended and every line has its end.
    pub fn is_over(&self, now: Instant) -> bool {
        self.feeds.iter().all(Feed::is_over) && self.core.is_empty(now)
    }

    /// The children have ended: deliver what is left. (All rings having ended says the same.)
    pub fn drain(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.draining, true) {
            self.core.drain(now);
        }
    }

    /// What is to be done outside, until there is nothing.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.core.poll(now)
    }

    pub fn answered(&mut self, call: usize, answer: Answer, now: Instant) {
        self.core.answered(call, answer, now);
    }

    pub fn stream_created(&mut self, stream: usize, answer: Answer, now: Instant) {
        self.core.stream_created(stream, answer, now);
    }

    pub fn group_created(&mut self, group: usize, answer: Answer, now: Instant) {
        self.core.group_created(group, answer, now);
    }

    pub fn spooled(&mut self, event: Event, now: Now) {
        self.core.spooled(event, now.mono, now.wall_ms);
    }

    pub fn spool_died(&mut self) {
        self.core.spool_died();
    }

    /// Frames and encodes wherever there is something, and there is room for what comes of it.
    pub fn turn(&mut self, now: Now) -> bool {
        if self.feeds.iter().all(Feed::is_over) {
            self.drain(now.mono);
        }
        let mut worked = false;
        let mut all_bytes = self.open_bytes();
        for index in 0..self.feeds.len() {
            let before = self.feeds[index].open_bytes();
            worked |= self.work_on(index, all_bytes, now);
            all_bytes = all_bytes - before + self.feeds[index].open_bytes();
        }
        worked
    }

    fn work_on(&mut self, index: usize, all_bytes: usize, now: Now) -> bool {
        if !self.accepts(index) {
            return false;
        }
        let mut finished = None;
        let mut worked = false;
        let own_bytes = self.feeds[index].open_bytes();
        if self.core.has_room(index, Open { own_bytes, all_bytes }) && self.feeds[index].wants_visit(now.mono) {
            finished = self.visit(index, now);
            worked = true;
        }
        let feed = &mut self.feeds[index];
        let open = Open { own_bytes: feed.open_bytes(), all_bytes: all_bytes - own_bytes + feed.open_bytes() };
        let must_go = self.spilling || self.core.must_go(open) || feed.is_due(now.mono);
        if finished.is_none() && open.own_bytes > 0 && must_go {
            finished = feed.cut(now);
            worked = true;
        }
        if feed.open_bytes() > 0 || finished.is_some() {
            self.core.begin(index);
        }
        if let Some(finished) = finished {
            let parcel = self.parcel(index, finished);
            self.core.offer(index, parcel);
        }
        worked
    }

    fn accepts(&self, index: usize) -> bool {
        self.core.accepts(index, self.feeds[index].is_pressing())
    }

    fn parcel(&mut self, index: usize, Finished { body, serial }: Finished) -> Parcel {
        let gzip = self.gzip;
        let label = self.core.next_label(index, serial, gzip);
        Parcel::new(body, label, |json: Vec<u8>| if gzip { compress(&json) } else { json })
    }

    fn visit(&mut self, index: usize, now: Now) -> Option<Finished> {
        let (feed, tee) = (&mut self.feeds[index], &mut self.tee);
        let copy = |bytes: &[u8]| {
            if let Some(tee) = tee {
                tee.copy(index, bytes);
            }
        };
        let finished = feed.visit(now, self.core.books_mut(index), copy);
        if let (true, Some(tee)) = (feed.is_over(), &mut self.tee) {
            tee.end(index);
        }
        finished
    }

    fn open_bytes(&self) -> usize {
        self.feeds.iter().map(Feed::open_bytes).sum()
    }

    /// Arms the rings' wake-ups. None: there is something to do already; else when there will be without a wake-up or an
    /// answer. `awake` undoes it.
    pub fn may_sleep(&self, now: Instant) -> Option<Option<Instant>> {
        let mut due = self.core.next_due(now);
        let all_bytes = self.open_bytes();
        for (index, feed) in self.feeds.iter().enumerate() {
            if !self.accepts(index) {
                // An answer wakes us, or a ring that begins to press.
                if !feed.may_sleep_until_pressing() {
                    return None;
                }
                continue;
            }
            let has_room = self.core.has_room(index, Open { own_bytes: feed.open_bytes(), all_bytes });
            if has_room && !feed.may_sleep() {
                return None;
            }
            if has_room || feed.open_bytes() > 0 {
                due = [due, feed.due()].into_iter().flatten().min();
            }
        }
        Some(due)
    }

    pub fn awake(&self) {
        self.feeds.iter().for_each(Feed::awake);
    }

    /// The time to deliver is over: what is here, and what the rings still bring, goes to the disk.
    pub fn spill(&mut self) {
        self.spilling = true;
        self.core.spill();
    }

    pub fn is_spilled(&self) -> bool {
        self.feeds.iter().all(Feed::is_over) && self.core.is_spilled()
    }

    /// Everything that is left, and not on disk, ends here. All rings have ended.
    pub fn give_up(&mut self, end: End, now: Now) {
        for index in 0..self.feeds.len() {
            let finished = self.feeds[index].abandon(end, now, self.core.books_mut(index));
            if let Some(finished) = finished {
                let parcel = self.parcel(index, finished);
                parcel.settle(end, self.core.books_mut(index));
            }
        }
        self.core.give_up(end);
    }

    pub fn ledgers(&mut self) -> Ledgers {
        let mut own = Vec::with_capacity(self.feeds.len());
        for (index, feed) in self.feeds.iter().enumerate() {
            let held = feed.held() + self.core.held(index);
            let spooled = self.core.spooled_of(index);
            let ledger = &mut self.core.books_mut(index).ledger;
            ledger.read.bytes = feed.read_bytes();
            (ledger.in_memory, ledger.spooled) = (held, spooled);
            ledger.marks_omitted = feed.marks_omitted();
            own.push(ledger.clone());
        }
        Ledgers { own, adopted: self.core.adopted_ledger() }
    }
}

fn compress(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes every byte")
}
