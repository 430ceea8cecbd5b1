//! The shipping thread: takes lines out of the rings and gets them to where they go. This file performs; what is to be
//! done is decided in `pump` and `core`, which have no I/O.
//!
//! ring -> `feed` (frame, date, pack, encode) -> `parcel` -> `core` (window, verdicts, retries) -> `cloudwatch`.
//! Without CloudWatch, `files` writes the rings' bytes as they are.

pub mod answer;
mod backoff;
mod call;
mod cloudwatch;
pub mod control;
pub mod core;
mod date;
mod dropping;
mod failed;
mod feed;
pub mod files;
mod gap;
pub mod hash;
pub mod inspect;
mod metrics;
pub mod notice;
pub mod parcel;
mod patience;
pub mod pump;
pub mod rate;
mod split;
mod split_body;
mod strays;
mod telling;
mod visits;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::clock;
use crate::fault::Fault;
use crate::ledger::End;
use crate::limits::SPOOL_END_WAIT;
use crate::report::tee::Tee;
use crate::spool::{self, wire::Request};
use crate::sys::bell::AsyncBell;
use crate::sys::open_files;
use call::{Done, Of, accepted, answered};
use cloudwatch::CloudWatch;
pub use cloudwatch::GroupSettings;
pub use cloudwatch::{Connection, Identity, Inspection, Target, Try};
use control::{Control, Phase};
use core::Action;
pub use core::DiskOptions;
pub use feed::Treatment;
use hash::Hashed;
use metrics::Metrics;
pub use pump::{Ledgers, Stream, WhenFull};
use pump::{Now, Pump};
use telling::{Teller, What};

#[derive(Debug, Clone)]
pub struct Options {
    pub linger: Duration,
    pub max_in_flight: usize,
    pub stream_window: usize,
    pub create_group: bool,
    /// Memory for bodies, open, waiting and in flight, and for what one visit of a ring makes.
    pub body_bytes_max: usize,
    /// Memory for partial lines that left their rings.
    pub assembly_bytes_max: usize,
    pub when_full: WhenFull,
    /// For a spool, if there is one.
    pub disk: Option<DiskOptions>,
    /// Where counters go, of streams that have a name for them.
    pub statsd: Option<SocketAddr>,
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
    /// `--spool-dir`, for messages.
    pub spool_path: Option<PathBuf>,
    pub control: Arc<Control>,
    pub tee: Option<Tee>,
}

/// What the shipping thread leaves behind.
pub struct Shipped {
    pub ledgers: Ledgers,
    /// It gave its rings up before they ended: what came then is not in its ledgers.
    pub failed: bool,
}

/// Ships until every ring has ended and every line has its end. Whatever fails, what is here is booked: the counts are
/// lost only with a second fault in doing that, for then this panics.
pub fn run(means: Means, options: &Options) -> Shipped {
    let Means { streams, sink, mut spool, spool_path, control, tee } = means;
    let teller = Teller::new(spool_path);
    let metrics = metrics(&streams, options);
    let mut pump = Pump::new(streams, pump_options(&sink, options, spool.is_some()), tee);
    let runtime = build_runtime();
    let shipped = catch_unwind(AssertUnwindSafe(|| {
        let ship =
            async { Shipping::new(&mut pump, sink, &mut spool, &control, (metrics, teller))?.turn_until_over().await };
        runtime.as_ref().map_err(copied)?.block_on(ship)
    }));
    let failed = failed::why(shipped);
    if let Some(why) = &failed {
        tracing::error!(
            "the shipping thread failed: {why}; what it held and what comes from here on is counted as dropped, and the \
             commands go on"
        );
        failed::abandon(&mut pump, spool, &control);
    }
    strays::kill();
    // A resolver that hangs must not hold up our end.
    runtime.into_iter().for_each(Runtime::shutdown_background);
    Shipped { ledgers: pump.ledgers(), failed: failed.is_some() }
}

/// Without a socket for them there are none, and it is said.
fn metrics(streams: &[Stream], options: &Options) -> Metrics {
    let names = streams.iter().map(|stream| stream.treatment.metrics.clone());
    let started = options.statsd.map(|to| Metrics::start(to, names));
    started
        .and_then(|started| started.inspect_err(|error| tracing::warn!("--statsd: no socket: {error}")).ok())
        .unwrap_or_else(Metrics::none)
}

fn build_runtime() -> io::Result<Runtime> {
    let build = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("pump-sdk")
            .max_blocking_threads(crate::limits::SDK_THREADS_MAX)
            .build()
    };
    // For want of descriptors it may panic instead, which has been said.
    catch_unwind(build).unwrap_or_else(|_| Err(open_files::suspected("tokio cannot start")))
}

fn pump_options(sink: &Sink, options: &Options, has_spool: bool) -> pump::Options {
    let core = core::Options {
        max_in_flight: options.max_in_flight,
        stream_window: options.stream_window,
        create_group: options.create_group,
        body_bytes_max: options.body_bytes_max,
        disk: options.disk.filter(|_| has_spool),
        seed: clock::wall().as_nanos() as u64 ^ u64::from(std::process::id()) << 32,
    };
    let gzip = matches!(sink, Sink::CloudWatch(target) if target.gzip);
    let (linger, when_full, assembly_bytes_max) = (options.linger, options.when_full, options.assembly_bytes_max);
    pump::Options { gzip, linger, when_full, assembly_bytes_max, core }
}

fn copied(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

struct Shipping<'a> {
    pump: &'a mut Pump,
    /// None: the null sink.
    cloudwatch: Option<CloudWatch>,
    spool: &'a mut Option<spool::Handle>,
    calls: JoinSet<Done>,
    bell: AsyncBell,
    control: &'a Control,
    metrics: Metrics,
    teller: Teller,
    fault: Fault,
    call_fault: Fault,
    /// Not a panic: the service is told a hash that is not the body's.
    hash_fault: Fault,
}

impl<'a> Shipping<'a> {
    fn new(
        pump: &'a mut Pump,
        sink: Sink,
        spool: &'a mut Option<spool::Handle>,
        control: &'a Control,
        (metrics, teller): (Metrics, Teller),
    ) -> io::Result<Shipping<'a>> {
        let cloudwatch = match sink {
            Sink::CloudWatch(target) => Some(CloudWatch::new(target)),
            Sink::Null => None,
        };
        Ok(Shipping {
            pump,
            cloudwatch,
            spool,
            calls: JoinSet::new(),
            bell: AsyncBell::new(control.bell().clone())?,
            control,
            metrics,
            teller,
            fault: Fault::planted("ship"),
            call_fault: Fault::planted("call"),
            hash_fault: Fault::planted("hash"),
        })
    }

    async fn turn_until_over(mut self) -> io::Result<()> {
        loop {
            self.fault.pass();
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
            if self.metrics.is_due(now.mono) {
                self.tell_metrics(now.mono);
            }
            let worked = self.pump.turn(now);
            let performed = self.perform(now.mono);
            self.teller.rate(self.pump.rate_per_s());
            if self.pump.is_over(now.mono) {
                // What has not to be delivered in this run stays on disk.
                self.give_up(now);
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
        self.tell_metrics(clock::now());
        // What the last answers mean for the spool.
        self.perform(clock::now());
        if let Some(spool) = self.spool.take() {
            spool.send(Request::End);
            let until = clock::now() + SPOOL_END_WAIT;
            spool.wait(until);
            while let Some(event) = spool.try_next() {
                self.pump.spool_ended(event);
            }
            spool.join(until);
        }
        Ok(())
    }

    fn tell_metrics(&mut self, now: Instant) {
        for stream in 0..self.pump.streams() {
            let (found, ledger) = self.pump.counts(stream);
            self.metrics.tell(stream, found, ledger, now);
        }
    }

    fn hear_spool(&mut self, now: Now) -> bool {
        let Some(spool) = &*self.spool else { return false };
        let mut heard = false;
        // Before the events: what a dead one has said is all that it will say.
        let is_dead = spool.is_dead();
        while let Some(event) = spool.try_next() {
            self.teller.heard(&event);
            self.pump.spooled(event, now);
            heard = true;
        }
        if is_dead {
            *self.spool = None;
            self.pump.spool_died();
        }
        heard || is_dead
    }

    /// Does what the pump wants done.
    fn perform(&mut self, now: Instant) -> bool {
        let mut performed = false;
        let mut sends = Vec::new();
        while let Some(action) = self.pump.poll(now) {
            performed = true;
            match (action, &self.cloudwatch) {
                (Action::Say(notice), _) => self.teller.say(&notice),
                (Action::Spool(request), _) => {
                    if let Some(spool) = &*self.spool {
                        spool.send(request);
                    }
                }
                (Action::Send { call, entry, hash, .. }, Some(_)) => sends.push((call, Hashed { entry, hash })),
                (Action::CreateStream { stream, address }, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    let told = self.teller.call(now, || What::Stream(address.clone()));
                    let create = async move { cloudwatch.create_stream(&address).await };
                    let of = Of::Stream(stream);
                    self.calls.spawn(async move { Done { of, answer: answered(create).await, told } });
                }
                (Action::CreateGroup { group, address }, Some(cloudwatch)) => {
                    let cloudwatch = cloudwatch.clone();
                    let told = self.teller.call(now, || What::Group(address.clone()));
                    let create = async move { cloudwatch.create_group(&address).await };
                    let of = Of::Group(group);
                    self.calls.spawn(async move { Done { of, answer: answered(create).await, told } });
                }
                (Action::RenewCredentials, cloudwatch) => {
                    self.teller.credentials_are_renewed();
                    cloudwatch.iter().for_each(CloudWatch::renew);
                }
                (Action::Send { call, .. }, None) => self.pump.answered(call, accepted(), now),
                (Action::CreateStream { stream, .. }, None) => self.pump.stream_created(stream, accepted(), now),
                (Action::CreateGroup { group, .. }, None) => self.pump.group_created(group, accepted(), now),
            }
        }
        self.send(sends, now);
        performed
    }

    /// Two bodies that go out at once are hashed together, when the first of their calls begins; a lone one is not held
    /// back for another.
    fn send(&mut self, sends: Vec<(usize, Hashed)>, now: Instant) {
        let Some(cloudwatch) = &self.cloudwatch else { return };
        let partners = hash::partners(sends.iter().map(|(_, body)| body), || self.pump.waiting());
        for ((call, body), partner) in sends.into_iter().zip(partners) {
            let cloudwatch = cloudwatch.clone();
            let (fails, is_wrong) = (self.call_fault.strikes(), self.hash_fault.strikes());
            let told = self.teller.call(now, || What::Put(body.entry.clone()));
            // The SDK's part is large, and would be moved each time that something is put around it.
            let put = Box::pin(async move {
                assert!(!fails, "planted by a test");
                let mut digest = body.digest(partner);
                digest[0] ^= u8::from(is_wrong);
                cloudwatch.put(&body.entry, digest).await
            });
            self.calls.spawn(async move { Done { of: Of::Put(call), answer: answered(put).await, told } });
        }
    }

    fn take_answer(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = clock::now();
        match done {
            Ok(Done { of, answer, told }) => {
                self.teller.answered(told, &answer, now);
                match of {
                    Of::Put(call) => self.pump.answered(call, answer, now),
                    Of::Stream(stream) => self.pump.stream_created(stream, answer, now),
                    Of::Group(group) => self.pump.group_created(group, answer, now),
                }
            }
            // A call never cancels itself, and its panics are answers: this fault is ours, and `run` takes over.
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
