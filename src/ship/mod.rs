//! The shipping thread: takes lines out of the rings and gets them to where they go. This file performs; what is to be
//! done is decided in `pump` and `core`, which have no I/O.
//!
//! ring -> `feed` (frame, date, pack, encode) -> `parcel` -> `core` (window, verdicts, retries) -> `cloudwatch`.
//! Without CloudWatch, `files` writes the rings' bytes as they are.

pub mod answer;
mod backoff;
mod cloudwatch;
pub mod control;
pub mod core;
mod date;
mod feed;
pub mod files;
mod gap;
pub mod notice;
pub mod parcel;
pub mod pump;
pub mod rate;
mod split;
mod visits;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock;
use crate::ledger::End;
use crate::report::tee::Tee;
use crate::spool::{self, wire::Request};
use crate::sys::bell::AsyncBell;
use answer::{Answer, Rejected};
use cloudwatch::CloudWatch;
pub use cloudwatch::Target;
use control::{Control, Phase};
use core::Action;
pub use core::DiskOptions;
pub use pump::{Ledgers, Stream, WhenFull};
use pump::{Now, Pump};

#[derive(Debug, Clone)]
pub struct Options {
    pub linger: Duration,
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
    pub when_full: WhenFull,
    /// For a spool, if there is one.
    pub disk: Option<DiskOptions>,
}

/// Where bodies go.
pub enum Sink {
    CloudWatch(Target),
    /// Discards finished bodies: for benchmarks.
    Null,
}

/// What the thread works with.
pub struct Means {
    pub streams: Vec<Stream>,
    pub sink: Sink,
    pub spool: Option<spool::Handle>,
    pub control: Arc<Control>,
    pub tee: Option<Tee>,
}

/// Ships until every ring has ended and every line has its end.
pub fn run(means: Means, options: &Options) -> io::Result<Ledgers> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("pump-sdk")
        .max_blocking_threads(crate::limits::SDK_THREADS_MAX)
        .build()?;
    let ledgers = runtime.block_on(async {
        let shipping = Shipping::new(means, options)?;
        Ok(shipping.turn_until_over().await)
    });
    // A resolver that hangs must not hold up our end.
    runtime.shutdown_background();
    ledgers
}

/// A call's end.
enum Done {
    Put { call: usize, answer: Answer },
    Stream { stream: usize, answer: Answer },
    Group { group: usize, answer: Answer },
}

struct Shipping {
    pump: Pump,
    /// None: the null sink.
    cloudwatch: Option<CloudWatch>,
    spool: Option<spool::Handle>,
    calls: JoinSet<Done>,
    bell: AsyncBell,
    control: Arc<Control>,
}

impl Shipping {
    fn new(means: Means, options: &Options) -> io::Result<Shipping> {
        let (gzip, cloudwatch) = match means.sink {
            Sink::CloudWatch(target) => (target.gzip, Some(CloudWatch::new(target))),
            Sink::Null => (false, None),
        };
        let core = core::Options {
            max_in_flight: options.max_in_flight,
            stream_window: options.stream_window,
            create_group: options.create_group,
            disk: options.disk.filter(|_| means.spool.is_some()),
            seed: clock::wall().as_nanos() as u64 ^ u64::from(std::process::id()) << 32,
        };
        Ok(Shipping {
            pump: Pump::new(
                means.streams,
                pump::Options { gzip, linger: options.linger, when_full: options.when_full, core },
                means.tee,
            ),
            cloudwatch,
            spool: means.spool,
            calls: JoinSet::new(),
            bell: AsyncBell::new(means.control.bell().clone())?,
            control: means.control,
        })
    }

    async fn turn_until_over(mut self) -> Ledgers {
        loop {
            let now = Now { mono: clock::now(), wall_ms: clock::wall_ms() };
            let phase = self.control.phase();
            match phase {
                Phase::GiveUp => {
                    self.give_up(now);
                    break;
                }
                Phase::Spill => self.pump.spill(),
                Phase::Drain => self.pump.drain(now.mono),
                Phase::Run => {}
            }
            let heard = self.hear_spool(now);
            let worked = self.pump.turn(now);
            let performed = self.perform(now.mono);
            if self.pump.is_over(now.mono) {
                break;
            }
            if phase == Phase::Spill && self.pump.is_spilled() {
                self.give_up(now);
                break;
            }
            if heard || worked || performed {
                // The calls in flight get their turn, and we see their answers.
                tokio::task::yield_now().await;
                while let Some(done) = self.calls.try_join_next() {
                    self.take_answer(done);
                }
            } else {
                self.sleep(now.mono).await;
            }
        }
        // What the last answers mean for the spool.
        self.perform(clock::now());
        if let Some(spool) = &self.spool {
            spool.send(Request::End);
        }
        self.pump.ledgers()
    }

    fn hear_spool(&mut self, now: Now) -> bool {
        let Some(spool) = &mut self.spool else { return false };
        let mut heard = false;
        // Before the events: what a dead one has said is all that it will say.
        let is_dead = spool.is_dead();
        while let Some(event) = spool.try_next() {
            self.pump.spooled(event, now);
            heard = true;
        }
        if is_dead {
            self.spool = None;
            self.pump.spool_died();
        }
        heard || is_dead
    }

    /// Does what the pump wants done.
    fn perform(&mut self, now: Instant) -> bool {
        let mut performed = false;
        while let Some(action) = self.pump.poll(now) {
            performed = true;
            match (action, &self.cloudwatch) {
                (Action::Say(notice), _) if notice.is_news() => tracing::info!("{notice}"),
                (Action::Say(notice), _) => tracing::warn!("{notice}"),
                (Action::Spool(request), _) => {
                    if let Some(spool) = &self.spool {
                        spool.send(request);
                    }
                }
                (Action::Send { call, entry, .. }, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    self.calls.spawn(async move { Done::Put { call, answer: cloudwatch.put(&entry).await } });
                }
                (Action::CreateStream { stream, address }, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    self.calls.spawn(async move {
                        Done::Stream { stream, answer: cloudwatch.create_stream(&address).await }
                    });
                }
                (Action::CreateGroup { group, address }, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    self.calls
                        .spawn(async move { Done::Group { group, answer: cloudwatch.create_group(&address).await } });
                }
                (Action::Send { call, .. }, None) => self.pump.answered(call, accepted(), now),
                (Action::CreateStream { stream, .. }, None) => self.pump.stream_created(stream, accepted(), now),
                (Action::CreateGroup { group, .. }, None) => self.pump.group_created(group, accepted(), now),
            }
        }
        performed
    }

    fn take_answer(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = clock::now();
        match done {
            Ok(Done::Put { call, answer }) => self.pump.answered(call, answer, now),
            Ok(Done::Stream { stream, answer }) => self.pump.stream_created(stream, answer, now),
            Ok(Done::Group { group, answer }) => self.pump.group_created(group, answer, now),
            // A call never cancels itself, so it panicked: so do we, and `run` takes over.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Until there is something to do: a ring's wake-up, an answer, a time.
    async fn sleep(&mut self, now: Instant) {
        if let Some(due) = self.pump.may_sleep(now) {
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
        }
        self.pump.awake();
    }

    /// The time to deliver is over: answers that are here count, the rest ends.
    fn give_up(&mut self, now: Now) {
        while let Some(done) = self.calls.try_join_next() {
            self.take_answer(done);
        }
        self.calls.abort_all();
        self.pump.give_up(End::Shutdown, now);
    }
}

fn accepted() -> Answer {
    Answer::Accepted(Rejected::default())
}
