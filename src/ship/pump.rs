//! All streams, from their rings to what has to be sent: which feed is visited when, and what the core makes of it.
//! Without I/O and clock: the loop in `mod` performs what comes out of `poll`, and so does the simulator.

use std::io::Write;
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

/// One child's output on its way out.
pub struct Stream {
    /// The log stream's name.
    pub name: String,
    pub ring: Drainer,
}

pub struct Options {
    pub group: String,
    pub gzip: bool,
    pub linger: Duration,
    pub core: core::Options,
}

pub struct Pump {
    feeds: Vec<Feed>,
    core: Core,
    gzip: bool,
    tee: Option<Tee>,
    draining: bool,
}

impl Pump {
    pub fn new(streams: Vec<Stream>, options: Options, tee: Option<Tee>) -> Pump {
        let names = streams.iter().map(|stream| stream.name.clone()).collect();
        let core = Core::new(names, options.core);
        let feed = |stream: Stream| Feed::new(stream.ring, Head::new(&options.group, &stream.name), options.linger);
        Pump { feeds: streams.into_iter().map(feed).collect(), core, gzip: options.gzip, tee, draining: false }
    }

    /// Every ring has ended and every line has its end.
    pub fn is_over(&self) -> bool {
        self.feeds.iter().all(Feed::is_over) && self.core.is_empty()
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

    pub fn group_created(&mut self, answer: Answer, now: Instant) {
        self.core.group_created(answer, now);
    }

    /// Frames and encodes wherever there is something, and there is room for what comes of it.
    pub fn turn(&mut self, now: Now) -> bool {
        if self.feeds.iter().all(Feed::is_over) {
            self.drain(now.mono);
        }
        let mut visited = false;
        let mut all_bytes = self.open_bytes();
        for index in 0..self.feeds.len() {
            if !self.core.accepts(index) {
                continue;
            }
            let own_bytes = self.feeds[index].open_bytes();
            let mut finished = None;
            if self.core.has_room(index, Open { own_bytes, all_bytes }) && self.feeds[index].wants_visit(now.mono) {
                finished = self.visit(index, now);
                visited = true;
            }
            let feed = &mut self.feeds[index];
            let open = Open { own_bytes: feed.open_bytes(), all_bytes: all_bytes - own_bytes + feed.open_bytes() };
            if finished.is_none() && open.own_bytes > 0 && (self.core.must_go(open) || feed.is_due(now.mono)) {
                finished = feed.cut(now);
                visited = true;
            }
            all_bytes = all_bytes - own_bytes + feed.open_bytes();
            if feed.open_bytes() > 0 || finished.is_some() {
                self.core.begin(index);
            }
            if let Some(Finished { body, serial }) = finished {
                let gzip = self.gzip;
                let encode = |json: Vec<u8>| if gzip { compress(&json) } else { json };
                self.core.offer(index, Parcel::new(body, serial, encode));
            }
        }
        visited
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
    pub fn may_sleep(&self) -> Option<Option<Instant>> {
        let mut due = self.core.next_due();
        let all_bytes = self.open_bytes();
        for (index, feed) in self.feeds.iter().enumerate() {
            // A stream that may not finish another body, or take more in, is woken by an answer, not by its ring.
            if !self.core.accepts(index) {
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

    /// The time to deliver is over: everything that is left ends here.
    pub fn give_up(&mut self, now: Now) {
        self.core.give_up(End::Shutdown);
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            let books = self.core.books_mut(index);
            if let Some(Finished { body, serial }) = feed.abandon(End::Shutdown, now, books) {
                Parcel::new(body, serial, |json| json).settle(End::Shutdown, books);
            }
        }
    }

    pub fn ledgers(&mut self) -> Vec<Ledger> {
        let mut ledgers = Vec::with_capacity(self.feeds.len());
        for (index, feed) in self.feeds.iter().enumerate() {
            let held = feed.held() + self.core.held(index);
            let ledger = &mut self.core.books_mut(index).ledger;
            ledger.read.bytes = feed.read_bytes();
            ledger.in_memory = held;
            ledger.marks_omitted = feed.marks_omitted();
            ledgers.push(ledger.clone());
        }
        ledgers
    }
}

fn compress(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes every byte")
}
