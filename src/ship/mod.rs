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
pub mod notice;
mod parcel;
pub mod pump;
mod split;
mod visits;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock;
use crate::ledger::Ledger;
use crate::report::tee::Tee;
use crate::sys::bell::AsyncBell;
use answer::{Answer, Rejected};
use cloudwatch::CloudWatch;
pub use cloudwatch::Target;
use control::{Control, Phase};
use core::Action;
pub use pump::Stream;
use pump::{Now, Pump};

#[derive(Debug, Clone)]
pub struct Options {
    pub linger: Duration,
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
}

/// What happens when no stage has room for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted, and a marker says so in the stream.
    Drop,
    /// It stays in the pipe, and its writer waits.
    Block,
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
        let shipping = Shipping::new(streams, sink, options, control, tee)?;
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
    Group { answer: Answer },
}

struct Shipping {
    names: Vec<Arc<str>>,
    pump: Pump,
    /// None: the null sink.
    cloudwatch: Option<CloudWatch>,
    calls: JoinSet<Done>,
    bell: AsyncBell,
    control: Arc<Control>,
}

impl Shipping {
    fn new(
        streams: Vec<Stream>,
        sink: Sink,
        options: &Options,
        control: Arc<Control>,
        tee: Option<Tee>,
    ) -> io::Result<Shipping> {
        let (group, gzip, cloudwatch) = match sink {
            Sink::CloudWatch(target) => (target.group.clone(), target.gzip, Some(CloudWatch::new(target))),
            Sink::Null => ("null".to_owned(), false, None),
        };
        let names = streams.iter().map(|stream| Arc::from(&stream.name[..])).collect();
        let core = core::Options {
            max_in_flight: options.max_in_flight,
            stream_window: options.stream_window,
            create_group: options.create_group,
            seed: clock::wall().as_nanos() as u64 ^ u64::from(std::process::id()) << 32,
        };
        Ok(Shipping {
            names,
            pump: Pump::new(streams, pump::Options { group, gzip, linger: options.linger, core }, tee),
            cloudwatch,
            calls: JoinSet::new(),
            bell: AsyncBell::new(control.bell().clone())?,
            control,
        })
    }

    async fn turn_until_over(mut self) -> Vec<Ledger> {
        loop {
            let now = Now { mono: clock::now(), wall_ms: clock::wall_ms() };
            match self.control.phase() {
                Phase::GiveUp => {
                    self.give_up(now);
                    return self.pump.ledgers();
                }
                Phase::Drain => self.pump.drain(now.mono),
                Phase::Run => {}
            }
            let visited = self.pump.turn(now);
            let performed = self.perform(now.mono);
            if self.pump.is_over() {
                return self.pump.ledgers();
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

    /// Does what the pump wants done.
    fn perform(&mut self, now: Instant) -> bool {
        let mut performed = false;
        while let Some(action) = self.pump.poll(now) {
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
                (Action::Send { call, .. }, None) => self.pump.answered(call, accepted(), now),
                (Action::CreateStream { stream }, None) => self.pump.stream_created(stream, accepted(), now),
                (Action::CreateGroup, None) => self.pump.group_created(accepted(), now),
            }
        }
        performed
    }

    fn take_answer(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = clock::now();
        match done {
            Ok(Done::Put { call, answer }) => self.pump.answered(call, answer, now),
            Ok(Done::Stream { stream, answer }) => self.pump.stream_created(stream, answer, now),
            Ok(Done::Group { answer }) => self.pump.group_created(answer, now),
            // A call never cancels itself, so it panicked: so do we, and `run` takes over.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Until there is something to do: a ring's wake-up, an answer, a time.
    async fn sleep(&mut self) {
        if let Some(due) = self.pump.may_sleep() {
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
        self.pump.give_up(now);
    }
}

fn accepted() -> Answer {
    Answer::Accepted(Rejected::default())
}
