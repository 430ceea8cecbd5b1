//! All streams, from their rings to what has to be sent: which feed is visited when, and what the core makes of it.
//! Without I/O and clock: the loop in `mod` performs what comes out of `poll`, and so does the simulator.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::Answer;
use super::core::{self, Action, Core, Open, View};
use super::dropping::DropsSaid;
pub use super::feed::Now;
use super::feed::{Feed, Finished, Treatment};
use super::hash::Hashed;
use super::notice::Notice;
use super::parcel::Parcel;
use super::patience::Patience;
use crate::batch::Head;
use crate::ledger::{End, Ledger};
use crate::limits::{CPU_SHORT_AFTER, DURABLE_FLUSH, TURN_BYTES_MAX};
use crate::lines::rules::Found;
use crate::report::tee::Tee;
use crate::ring::Drainer;
use crate::spool::entry::Address;
use crate::spool::wire::Event;

/// What happens when no stage has room for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted, and a marker says so in the stream.
    Drop,
    /// It stays in the pipe, and its writer waits.
    Block,
}

/// One child's output on its way out.
pub struct Stream {
    pub address: Arc<Address>,
    pub ring: Drainer,
    pub treatment: Treatment,
}

pub struct Options {
    pub gzip: bool,
    pub linger: Duration,
    pub when_full: WhenFull,
    /// For all partial lines that left their rings.
    pub assembly_bytes_max: usize,
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
    when_full: WhenFull,
    dropping_said: DropsSaid,
    /// Since when a ring has been full at every visit.
    full_since: Vec<Option<Instant>>,
    patience: Vec<Patience>,
    /// Who is looked at first, and has what little room there is: in turn.
    first: usize,
    /// Of bodies, uncompressed, in this turn.
    made_bytes: usize,
    made_bodies: usize,
    assembly_bytes_max: usize,
    /// Of all feeds.
    assembly_bytes: usize,
}

impl Pump {
    pub fn new(streams: Vec<Stream>, options: Options, tee: Option<Tee>) -> Pump {
        let addresses = streams.iter().map(|stream| stream.address.clone()).collect();
        let core = Core::new(addresses, options.core);
        let full_since = vec![None; streams.len()];
        let patience = vec![Patience::new(); streams.len()];
        let feed = |stream: Stream| {
            let head = Head::new(&stream.address.group, &stream.address.stream);
            Feed::new(stream.ring, head, options.linger, stream.treatment)
        };
        Pump {
            feeds: streams.into_iter().map(feed).collect(),
            core,
            gzip: options.gzip,
            tee,
            draining: false,
            spilling: false,
            when_full: options.when_full,
            dropping_said: DropsSaid::default(),
            full_since,
            patience,
            first: 0,
            made_bytes: 0,
            made_bodies: 0,
            assembly_bytes_max: options.assembly_bytes_max,
            assembly_bytes: 0,
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

    /// What waits to be sent, and has no hash yet.
    pub fn waiting(&self) -> Option<Hashed> {
        self.core.waiting()
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

    /// What it said after it was asked to end.
    pub fn spool_ended(&mut self, event: Event) {
        self.core.spool_ended(event);
    }

    pub fn spool_died(&mut self) {
        self.core.spool_died();
    }

    /// Frames and encodes wherever there is something, and there is room for what comes of it; only so much that what the
    /// disk and the service have done meanwhile is soon known: else they would seem slow because we are. Two bodies are
    /// hashed in little more time than one: a stream that has finished one finishes another, if its ring holds it.
    pub fn turn(&mut self, now: Now) -> bool {
        if self.feeds.iter().all(Feed::is_over) {
            self.drain(now.mono);
        }
        // Nothing more can come to prove its suspects, or there is no room for it because of them.
        let stuck = |index: usize| self.feeds[index].is_over() || !self.has_place(index, self.open_bytes());
        let stuck: Vec<_> = self.core.suspected().map(|stream| (stream, stuck(stream))).collect();
        self.core.settle_unproven(|stream| stuck.contains(&(stream, true)), now.mono);
        let mut worked = false;
        // Of open batches.
        let mut all_bytes = self.open_bytes();
        let count = self.feeds.len();
        let first = self.first;
        (self.made_bytes, self.made_bodies) = (0, 0);
        let mut hastens = self.core.hastens();
        for index in (first..count).chain(0..first) {
            self.first = (index + 1) % count;
            for _ in 0..2 {
                let (made, open_bytes) = (self.made_bodies, self.feeds[index].open_bytes());
                if hastens {
                    self.feeds[index].hasten(DURABLE_FLUSH, now.mono);
                }
                worked |= self.work_on(index, all_bytes, now);
                all_bytes = all_bytes - open_bytes + self.feeds[index].open_bytes();
                hastens = hastens && (self.made_bodies == made || self.core.hastens());
                let is_alone = self.made_bodies > made && self.made_bodies % 2 == 1;
                if !is_alone || !self.feeds[index].has_another() {
                    break;
                }
            }
            if self.made_bytes >= TURN_BYTES_MAX {
                return true;
            }
        }
        self.first = (first + 1) % count.max(1);
        worked
    }

    fn work_on(&mut self, index: usize, all_bytes: usize, now: Now) -> bool {
        self.core.set_presses(index, self.feeds[index].is_pressing());
        if let Some(reason) = self.must_drop(index, all_bytes, now.mono) {
            self.discard(index, reason, now);
            return true;
        }
        // The cheap questions first: of many streams, most have nothing to do.
        let own_bytes = self.feeds[index].open_bytes();
        let wants_visit = self.feeds[index].wants_visit(now.mono);
        if !(wants_visit || own_bytes > 0) || !self.accepts(index) {
            return false;
        }
        let mut finished = None;
        let mut worked = false;
        if wants_visit && self.core.has_room(index, Open { own_bytes, all_bytes }) {
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

    /// A ring that fills and cannot be visited is emptied, so that its writer never waits: for this reason.
    fn must_drop(&mut self, index: usize, all_bytes: usize, now: Instant) -> Option<End> {
        if self.when_full == WhenFull::Block {
            return None;
        }
        let feed = &self.feeds[index];
        if !feed.is_full() {
            self.full_since[index] = None;
        }
        let is_short = feed.is_crowded() && !self.has_place(index, all_bytes);
        self.patience[index].look(is_short, now);
        if is_short {
            return self.patience[index].is_over().then(|| self.core.why_full(index));
        }
        // There is a place, and yet the ring is full whenever we come by: it fills faster than it can be encoded.
        let full_since = feed.is_full().then(|| *self.full_since[index].get_or_insert(now))?;
        (now - full_since >= CPU_SHORT_AFTER).then_some(End::CpuShort)
    }

    /// For another body of this stream, and for what fills it.
    fn has_place(&self, index: usize, all_bytes: usize) -> bool {
        let own_bytes = self.feeds[index].open_bytes();
        self.accepts(index) && self.core.has_room(index, Open { own_bytes, all_bytes })
    }

    fn discard(&mut self, index: usize, reason: End, now: Now) {
        let tee = &mut self.tee;
        let copy = |bytes: &[u8]| {
            if let Some(tee) = tee {
                tee.copy(index, bytes);
            }
        };
        let feed = &mut self.feeds[index];
        let others = self.assembly_bytes - feed.assembly_bytes();
        feed.limit_assembly(self.assembly_bytes_max.saturating_sub(others));
        feed.discard(reason, now, self.core.books_mut(index), copy);
        self.assembly_bytes = others + feed.assembly_bytes();
        if self.dropping_said.is_news(reason, now.mono) {
            self.core.say(Notice::Dropping { reason });
        }
    }

    /// Nothing will be done about its ring.
    fn is_blocked(&self, feed: &Feed) -> bool {
        self.when_full == WhenFull::Block && feed.is_pressing()
    }

    fn accepts(&self, index: usize) -> bool {
        self.core.accepts(index, self.feeds[index].is_pressing())
    }

    fn parcel(&mut self, index: usize, Finished { body, serial }: Finished) -> Parcel {
        let gzip = self.gzip;
        self.made_bytes += body.json.len();
        self.made_bodies += 1;
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
        let others = self.assembly_bytes - feed.assembly_bytes();
        feed.limit_assembly(self.assembly_bytes_max.saturating_sub(others));
        let finished = feed.visit(now, self.core.books_mut(index), copy);
        self.assembly_bytes = others + feed.assembly_bytes();
        if let Some(pattern) = feed.costly_pattern().map(str::to_owned) {
            self.core.say_costly(index, pattern);
        }
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
        let hastens = self.core.hastens();
        for (index, feed) in self.feeds.iter().enumerate() {
            let has_place = self.has_place(index, all_bytes);
            // Else an answer wakes us, or a ring that begins to press, or that nobody has patience for any more.
            let may_sleep = match has_place {
                true => feed.may_sleep(),
                false if feed.is_crowded() && self.when_full == WhenFull::Drop => {
                    // None: it has got crowded since it was last looked at.
                    due = [due, Some(self.patience[index].due()?)].into_iter().flatten().min();
                    true
                }
                false => feed.may_sleep_unvisited() || self.is_blocked(feed),
            };
            if !may_sleep {
                return None;
            }
            if has_place || (self.accepts(index) && feed.open_bytes() > 0) {
                let hastened = if hastens { feed.due_after(DURABLE_FLUSH) } else { None };
                due = [due, feed.due(), hastened].into_iter().flatten().min();
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

    /// A part of ours failed: the intake is to end the rings.
    pub fn abandon_rings(&self) {
        self.feeds.iter().for_each(Feed::abandon_ring);
    }

    pub fn rings_have_ended(&self) -> bool {
        self.feeds.iter().all(Feed::ring_has_ended)
    }

    pub fn is_spilled(&self) -> bool {
        let is_over = || self.feeds.iter().all(Feed::is_over);
        // A disk that is full is not waited for.
        self.core.is_spilled() && (is_over() || (self.rings_have_ended() && self.core.is_refused_by_disk()))
    }

    /// Everything that is left, and not on disk, ends here. All rings have ended.
    pub fn give_up(&mut self, end: End, now: Now) {
        for index in 0..self.feeds.len() {
            self.assembly_bytes -= self.feeds[index].assembly_bytes();
            let finished = self.feeds[index].abandon(end, now, self.core.books_mut(index));
            self.assembly_bytes += self.feeds[index].assembly_bytes();
            if let Some(finished) = finished {
                let parcel = self.parcel(index, finished);
                parcel.settle(end, self.core.books_mut(index));
            }
        }
        if end == End::Shutdown {
            self.core.name_causes(now.mono);
        }
        self.core.give_up(end);
    }

    /// Where the bytes of one of our own streams stand.
    pub fn view(&self, stream: usize) -> View {
        let feed = &self.feeds[stream];
        let (unframed_bytes, open_bytes) = (feed.unframed_bytes(), feed.open_bytes());
        View { unframed_bytes, open_bytes, has_gap: feed.has_gap(), ..self.core.view(stream) }
    }

    /// To which rate calls were limited last; none: they are not.
    pub fn rate_per_s(&self) -> Option<f64> {
        self.core.rate_per_s()
    }

    pub fn streams(&self) -> usize {
        self.feeds.len()
    }

    /// What was found in a stream's lines so far, and what became of them.
    pub fn counts(&mut self, stream: usize) -> (&Found, &Ledger) {
        (self.feeds[stream].found(), &self.core.books_mut(stream).ledger)
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
            ledger.masked = feed.found().masked;
            own.push(ledger.clone());
        }
        Ledgers { own, adopted: self.core.adopted_ledger() }
    }
}

pub(super) fn compress(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

#[cfg(test)]
mod tests;
