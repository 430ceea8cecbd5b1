//! The shipping thread: takes lines out of the rings and gets them to where they go. Its decisions are in `core`, which
//! has no I/O; this file performs them.
//!
//! ring -> `feed` (frame, date, pack, encode) -> `parcel` -> `core` (window, verdicts, retries) -> `cloudwatch`.
//! Without CloudWatch, `files` writes the rings' bytes as they are.

pub mod answer;
mod backoff;
mod cloudwatch;
pub mod control;
mod core;
mod date;
mod feed;
pub mod files;
mod notice;
mod parcel;
mod split;
mod visits;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinSet;

use crate::batch::Head;
use crate::clock;
use crate::ledger::{End, Ledger};
use crate::report::tee::Tee;
use crate::ring::Drainer;
use crate::sys::bell::AsyncBell;
use answer::{Answer, Rejected};
use cloudwatch::CloudWatch;
pub use cloudwatch::Target;
use control::{Control, Phase};
use core::{Action, Core, Open};
use feed::{Feed, Finished, Now};
use parcel::Parcel;

/// One child's output on its way out.
pub struct Stream {
    /// The log stream's name.
    pub name: String,
    pub ring: Drainer,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub linger: Duration,
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
}

/// Where bodies go.
pub enum Sink {
    CloudWatch(Target),
    /// Discards finished bodies: for benchmarks.
    Null,
}

/// Ships until every ring has ended and every line has its end. Per stream, its ledger.
pub fn run(
    streams: Vec<Stream>,
    sink: Sink,
    options: &Options,
    control: Arc<Control>,
    tee: Option<Tee>,
) -> io::Result<Vec<Ledger>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("pump-sdk")
        .max_blocking_threads(crate::limits::SDK_THREADS_MAX)
        .build()?;
    let ledgers = runtime.block_on(async {
        let pump = Pump::new(streams, sink, options, control, tee)?;
        Ok(pump.turn_until_over().await)
    });
    // A resolver that hangs must not hold up our end.
    runtime.shutdown_background();
    ledgers
}

/// A call's end.
enum Done {
    Put { call: usize, answer: Answer },
    Stream { stream: usize, answer: Answer },
    Group { answer: Answer },
}

struct Pump {
    names: Vec<Arc<str>>,
    feeds: Vec<Feed>,
    core: Core,
    /// None: the null sink.
    cloudwatch: Option<CloudWatch>,
    gzip: bool,
    calls: JoinSet<Done>,
    bell: AsyncBell,
    control: Arc<Control>,
    tee: Option<Tee>,
    draining: bool,
}

impl Pump {
    fn new(
        streams: Vec<Stream>,
        sink: Sink,
        options: &Options,
        control: Arc<Control>,
        tee: Option<Tee>,
    ) -> io::Result<Pump> {
        let (group, gzip, cloudwatch) = match sink {
            Sink::CloudWatch(target) => (target.group.clone(), target.gzip, Some(CloudWatch::new(target))),
            Sink::Null => ("null".to_owned(), false, None),
        };
        let names: Vec<_> = streams.iter().map(|stream| stream.name.clone()).collect();
        let core = Core::new(
            names.clone(),
            core::Options {
                max_in_flight: options.max_in_flight,
                stream_window: options.stream_window,
                create_group: options.create_group,
                seed: clock::wall().as_nanos() as u64 ^ u64::from(std::process::id()) << 32,
            },
        );
        let feed = |stream: Stream| Feed::new(stream.ring, Head::new(&group, &stream.name), options.linger);
        Ok(Pump {
            names: names.iter().map(|name| Arc::from(&name[..])).collect(),
            feeds: streams.into_iter().map(feed).collect(),
            core,
            cloudwatch,
            gzip,
            calls: JoinSet::new(),
            bell: AsyncBell::new(control.bell().clone())?,
            control,
            tee,
            draining: false,
        })
    }

    async fn turn_until_over(mut self) -> Vec<Ledger> {
        loop {
            let now = Now { mono: clock::now(), wall_ms: clock::wall_ms() };
            let over = self.feeds.iter().all(Feed::is_over);
            match self.control.phase() {
                Phase::GiveUp => {
                    self.give_up(now);
                    return self.ledgers();
                }
                phase => {
                    if (over || phase == Phase::Drain) && !std::mem::replace(&mut self.draining, true) {
                        self.core.drain(now.mono);
                    }
                }
            }
            let visited = self.visit_feeds(now);
            let performed = self.perform(now.mono);
            if over && self.core.is_empty() {
                return self.ledgers();
            }
            if visited || performed {
                // The calls in flight get their turn, and we see their answers.
                tokio::task::yield_now().await;
                while let Some(done) = self.calls.try_join_next() {
                    self.take_answer(done);
                }
            } else {
                self.sleep().await;
            }
        }
    }

    /// Frames and encodes wherever there is something, and there is room for what comes of it.
    fn visit_feeds(&mut self, now: Now) -> bool {
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

    /// Does what the core wants done.
    fn perform(&mut self, now: Instant) -> bool {
        let mut performed = false;
        while let Some(action) = self.core.poll(now) {
            performed = true;
            match (action, &self.cloudwatch) {
                (Action::Say(notice), _) if notice.is_news() => tracing::info!("{notice}"),
                (Action::Say(notice), _) => tracing::warn!("{notice}"),
                (Action::Send { call, stream, payload }, Some(cloudwatch)) => {
                    let (cloudwatch, name) = (cloudwatch.clone(), self.names[stream].clone());
                    self.calls.spawn(async move { Done::Put { call, answer: cloudwatch.put(&name, payload).await } });
                }
                (Action::CreateStream { stream }, Some(cloudwatch)) => {
                    let (cloudwatch, name) = (cloudwatch.clone(), self.names[stream].clone());
                    self.calls
                        .spawn(async move { Done::Stream { stream, answer: cloudwatch.create_stream(&name).await } });
                }
                (Action::CreateGroup, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    self.calls.spawn(async move { Done::Group { answer: cloudwatch.create_group().await } });
                }
                (Action::Send { call, .. }, None) => self.core.answered(call, accepted(), now),
                (Action::CreateStream { stream }, None) => self.core.stream_created(stream, accepted(), now),
                (Action::CreateGroup, None) => self.core.group_created(accepted(), now),
            }
        }
        performed
    }

    fn take_answer(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = clock::now();
        match done {
            Ok(Done::Put { call, answer }) => self.core.answered(call, answer, now),
            Ok(Done::Stream { stream, answer }) => self.core.stream_created(stream, answer, now),
            Ok(Done::Group { answer }) => self.core.group_created(answer, now),
            // A call never cancels itself, so it panicked: so do we, and `run` takes over.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Until there is something to do: a ring's wake-up, an answer, a time.
    async fn sleep(&mut self) {
        let mut due = self.core.next_due();
        let all_bytes = self.open_bytes();
        for (index, feed) in self.feeds.iter().enumerate() {
            // A stream that may not finish another body, or take more in, is woken by an answer, not by its ring.
            if !self.core.accepts(index) {
                continue;
            }
            let has_room = self.core.has_room(index, Open { own_bytes: feed.open_bytes(), all_bytes });
            if has_room && !feed.may_sleep() {
                self.feeds.iter().for_each(Feed::awake);
                return;
            }
            if has_room || feed.open_bytes() > 0 {
                due = [due, feed.due()].into_iter().flatten().min();
            }
        }
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.bell.wait() => {}
            Some(done) = self.calls.join_next(), if !self.calls.is_empty() => self.take_answer(done),
            () = timer => {}
        }
        self.feeds.iter().for_each(Feed::awake);
    }

    /// The time to deliver is over: everything that is left ends here.
    fn give_up(&mut self, now: Now) {
        while let Some(done) = self.calls.try_join_next() {
            self.take_answer(done);
        }
        self.calls.abort_all();
        self.core.give_up(End::Shutdown);
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            let books = self.core.books_mut(index);
            if let Some(Finished { body, serial }) = feed.abandon(End::Shutdown, now, books) {
                Parcel::new(body, serial, |json| json).settle(End::Shutdown, books);
            }
        }
    }

    fn ledgers(&mut self) -> Vec<Ledger> {
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

fn accepted() -> Answer {
    Answer::Accepted(Rejected::default())
}

fn compress(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes every byte")
}
