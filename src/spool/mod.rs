//! The disk queue: bodies that cannot be sent now, until they can, in this run or in one that adopts them.
//! Knows nothing of calls, streams' fates or rings.
//!
//! `store` decides, `disk` performs, this file has the thread between them. Records are `record`'s, what is left of
//! damaged ones `recover`'s, and whose directory is whose `directory`'s.

pub mod directory;
mod disk;
pub mod entry;
pub mod examine;
pub mod record;
pub mod recover;
pub mod store;
#[cfg(test)]
mod tests;
mod vanishing;
pub mod wire;

use std::io;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::fault::Fault;
use crate::limits::SPOOL_LOOK_INTERVAL;
use crate::report::hang::Watch;
use crate::sys::bell::{AsyncBell, Bell};
use directory::{Directory, Root};
use disk::{Completions, Disk, Std, Uring};
pub use store::SyncPolicy;
use store::{Completion, Op, SegmentId, Store};
use vanishing::vanishing;
use wire::{Event, Request};

/// Submissions at the same time: one of each lane, and closes.
const URING_ENTRIES: u32 = 16;

#[derive(Debug, Clone)]
pub struct Options {
    /// `--spool-dir`. Each run has its own directory in it.
    pub directory: PathBuf,
    /// `--spool-max`.
    pub bytes_max: u64,
    /// `--spool-sync`.
    pub sync: SyncPolicy,
    /// io_uring works here: the caller has tried it. Never true otherwise.
    pub uring: bool,
    /// `run_id`; the directory may get a higher one.
    pub run: u64,
}

/// A run's id: later runs have greater ones, and two of the same millisecond hardly the same.
pub fn run_id(wall_ms: i64, chance: u32) -> u64 {
    const CHANCE_BITS: u32 = 20;
    (wall_ms.unsigned_abs() << CHANCE_BITS) | u64::from(chance & ((1 << CHANCE_BITS) - 1))
}

/// Ship's end.
pub struct Handle {
    requests: Sender<Request>,
    events: Receiver<Event>,
    bell: Arc<Bell>,
    over: Arc<AtomicBool>,
    /// It ended as it was asked to, or never had a directory.
    ended: Arc<AtomicBool>,
    present: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Never waits. What is sent to a dead spool is lost: look at `is_dead`.
    pub fn send(&self, request: Request) {
        let _ = self.requests.send(request);
        self.bell.ring();
    }

    pub fn try_next(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Says whether there is a spool: not any more after `Event::Absent`, nor once its thread has
    /// panicked.
    pub fn presence(&self) -> Arc<AtomicBool> {
        self.present.clone()
    }

    /// The thread is over, and not because it was asked to end: no answer comes any more but those on their way.
    pub fn is_dead(&self) -> bool {
        self.has_ended() && !self.ended.load(Ordering::Acquire)
    }

    /// The thread is over.
    pub fn has_ended(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Until the thread is over, or until then.
    pub fn wait(&self, end_by: Instant) {
        while !self.has_ended() && clock::now() < end_by {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Waits for the thread until `end_by`, and no longer. False: it hangs or it panicked. A thread that hangs, as in a
    /// write to a disk that does not answer, is left behind: our end is bounded.
    pub fn join(mut self, end_by: Instant) -> bool {
        let watch = Watch::begin("pump-spool");
        self.wait(end_by);
        if !self.has_ended() {
            tracing::error!("the thread pump-spool does not end: {}", watch.why());
            return false;
        }
        let joined = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        if !joined {
            tracing::error!("the thread pump-spool panicked: a fault of logpump's; please report it");
        }
        joined && self.ended.load(Ordering::Acquire)
    }
}

/// Also when ship fails: what is stored stays for the next run.
impl Drop for Handle {
    fn drop(&mut self) {
        self.send(Request::End);
    }
}

/// Starts the thread, which makes and locks this run's directory; if it cannot, it says so with `Event::Absent` and ends.
/// `ship_bell` is rung after every event, and when the thread is over.
pub fn start(options: Options, ship_bell: Arc<Bell>) -> io::Result<Handle> {
    let bell = Bell::new()?;
    let (request_sender, requests) = channel();
    let (event_sender, events) = channel();
    let [over, ended] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let present = Arc::new(AtomicBool::new(true));
    let at_end = AtEnd { over: over.clone(), present: present.clone(), bell: ship_bell.clone() };
    let (spool_bell, spool_ended, spool_present) = (bell.clone(), ended.clone(), present.clone());
    let thread = Builder::new().name("pump-spool".into()).spawn(move || {
        let _at_end = at_end;
        let opened = Root::open(&options.directory).and_then(|root| Ok((root.create(options.run)?, root)));
        match opened {
            Ok((own, root)) => {
                let (sender, completions) = channel();
                let ends = Ends { requests, events: event_sender, ship_bell, completions };
                run(&options, own, &root, ends, Completions { sender, bell: spool_bell });
            }
            Err(error) => {
                spool_present.store(false, Ordering::Release);
                let _ = event_sender.send(Event::Absent { why: error.to_string() });
            }
        }
        spool_ended.store(true, Ordering::Release);
    })?;
    Ok(Handle { requests: request_sender, events, bell, over, ended, present, thread: Some(thread) })
}

struct Ends {
    requests: Receiver<Request>,
    events: Sender<Event>,
    ship_bell: Arc<Bell>,
    completions: Receiver<Completion>,
}

/// With the directory of this run: adopts those of ended ones, and goes on until it is asked to end.
fn run(options: &Options, own: Directory, root: &Root, ends: Ends, tell: Completions) {
    if let Some(warning) = vanishing(&options.directory) {
        tracing::warn!("{warning}");
    }
    let (adopted, notices) = root.adopt();
    let place = options.directory.display();
    notices.iter().for_each(|notice| tracing::warn!("--spool-dir {place}: {notice}"));
    let options_of_store = store::Options { run: own.run, bytes_max: options.bytes_max, sync: options.sync };
    let (directories, found): (Vec<_>, Vec<_>) = adopted.into_iter().unzip();
    let directories = Arc::new(std::iter::once(own).chain(directories).collect());
    let spool = Spool {
        store: Store::new(options_of_store, found),
        requests: ends.requests,
        completions: ends.completions,
        events: ends.events,
        ship_bell: ends.ship_bell,
        fault: Fault::planted("spool"),
        directory: options.directory.clone(),
        look_at: clock::now(),
    };
    spool.run(options.uring, directories, tell);
}

/// With `--log-level debug`: what becomes of segments, of which there are few.
fn tell(op: &Op) {
    let Some(SegmentId { run, segment }) = op.segment() else { return };
    match op {
        Op::Create(_) => tracing::debug!(run, segment, "a segment of the spool is opened; the one before is sealed"),
        Op::Delete(_) => tracing::debug!(run, segment, "a segment of the spool is done, and deleted"),
        Op::RenameAside(_) => tracing::debug!(run, segment, "a segment of the spool is set aside"),
        _ => {}
    }
}

/// Tells ship that the thread is over, also when it panics; then there is no spool any more.
struct AtEnd {
    over: Arc<AtomicBool>,
    present: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.present.store(false, Ordering::Release);
        }
        self.over.store(true, Ordering::Release);
        self.bell.ring();
    }
}

struct Spool {
    store: Store,
    requests: Receiver<Request>,
    completions: Receiver<Completion>,
    events: Sender<Event>,
    ship_bell: Arc<Bell>,
    fault: Fault,
    directory: PathBuf,
    /// When it is looked at whether all is still there.
    look_at: Instant,
}

impl Spool {
    fn run(mut self, uring: bool, directories: disk::Directories, tell: Completions) {
        let bell = tell.bell.clone();
        let build = || tokio_uring::Runtime::new(tokio_uring::builder().entries(URING_ENTRIES));
        // For want of descriptors it may panic instead, which has been said.
        let build = || catch_unwind(build).unwrap_or_else(|_| Err(io::Error::other("tokio cannot start")));
        let runtime = uring.then(build).transpose();
        match runtime {
            Ok(Some(runtime)) => {
                runtime.block_on(async {
                    let waited = AsyncBell::new(bell).expect("a runtime takes an eventfd");
                    let mut disk = Disk::Uring(Uring::new(directories, tell));
                    while self.turn(&mut disk) {
                        match self.rest() {
                            Some(rest) => drop(tokio::time::timeout(rest, waited.wait()).await),
                            None => waited.wait().await,
                        }
                    }
                });
                return;
            }
            Ok(None) => {}
            Err(error) => {
                let place = self.directory.display();
                tracing::warn!("--spool-dir {place}: the spool goes without io_uring, which was refused: {error}");
            }
        }
        let mut disk = Disk::Std(Std::new(directories, tell));
        while self.turn(&mut disk) {
            bell.wait(self.rest());
        }
    }

    fn rest(&self) -> Option<Duration> {
        let look = (!self.store.is_empty()).then_some(self.look_at);
        let due = self.store.next_due().into_iter().chain(look).min();
        due.map(|due| due.saturating_duration_since(clock::now()))
    }

    /// False: it is over.
    fn turn(&mut self, disk: &mut Disk) -> bool {
        self.fault.pass();
        let now = clock::now();
        while let Ok(completion) = self.completions.try_recv() {
            self.store.completed(completion, now);
        }
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.store.request(request),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    // Ship is gone: what is here stays for the next run.
                    self.store.request(Request::End);
                    break;
                }
            }
        }
        if now >= self.look_at {
            self.look_at = now + SPOOL_LOOK_INTERVAL;
            self.store.look_around();
        }
        while let Some(op) = self.store.next_op(now) {
            tell(&op);
            disk.submit(op);
        }
        let mut told = false;
        while let Some(event) = self.store.next_event() {
            let _ = self.events.send(event);
            told = true;
        }
        if told {
            self.ship_bell.ring();
        }
        while let Some(notice) = self.store.next_notice() {
            tracing::warn!("--spool-dir {}: {notice}", self.directory.display());
        }
        !self.store.is_over()
    }
}
