//! The threads beside the supervisor: starting them, ending them, and putting their counts together.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Bells, Child, Destination, Engine, Plan};
use crate::clock;
use crate::intake::{self, Command, Kind, Plain, Source};
use crate::ledger::{Count, End, Ledger};
use crate::report::hang::Watch;
use crate::report::ledgers::StreamReport;
use crate::report::tee::{self, Lines, Tee, TeeWriter};
use crate::ring::Drainer;
use crate::ship::control::{Control, Phase};
use crate::ship::files::{self, LogFile};
use crate::ship::{self, Ledgers, Shipped, Sink};
use crate::spool::{self, entry::Address};
use crate::sys::bell::Bell;
use crate::sys::open_files;

/// What the threads work on, one of each a child.
pub struct Streams {
    pub sources: Vec<Source>,
    pub rings: Vec<Drainer>,
    /// For the embedded sink.
    pub files: Vec<Option<LogFile>>,
}

pub struct Pump {
    intake: Intake,
    remote: intake::Remote,
    /// None: no thread could be had for it.
    ship: Option<JoinHandle<Shipped>>,
    shipped: Arc<AtomicBool>,
    taken_in: Arc<AtomicBool>,
    control: Arc<Control>,
    /// While this says so, there is a spool.
    has_spool: Option<Arc<AtomicBool>>,
    tee: Option<TeeWriter>,
    lines: Option<Lines>,
}

/// In the report, the name of all that ended runs had left in the spool.
const ADOPTED: &str = "(adopted)";

/// Who reads the pipes.
enum Intake {
    Thread(JoinHandle<intake::Outcome>),
    /// No thread could be had: `tend` does.
    Here {
        plain: Plain,
        commands: Receiver<Command>,
        due: Instant,
        reason: String,
    },
}

/// What came of it all.
pub struct Outcome {
    pub streams: Vec<StreamReport>,
    /// `--tee`: lines and bytes that stdout did not take in time.
    pub tee_dropped: (u64, u64),
    /// The engine that it ended with, and why, if not the one that it began with.
    pub engine: Option<(Kind, String)>,
    /// A thread of ours failed, and took its counts with it.
    pub failed: bool,
}

impl Pump {
    /// The children run already, so no thread that cannot be had may end them: what it would have done is left out, and
    /// its lines are counted as dropped.
    pub(super) fn start(plan: &Plan, streams: Streams, engine: &Engine, bells: &Bells) -> Pump {
        let start = || tee::start(plan.children.iter().map(|child| child.tee));
        let (mut tee, tee_writer) = (plan.tee() || plan.plogs).then(start).unzip();
        let lines = tee.as_mut().filter(|_| plan.plogs).map(Tee::lines);
        let tee = tee.filter(|_| plan.tee());
        let control = Control::new(&bells.ship);
        let shipped = Arc::new(AtomicBool::new(false));
        let tell_main = TellMain { over: shipped.clone(), bell: bells.main.clone() };
        let spool = start_spool(plan, engine, bells);
        let has_spool = spool.as_ref().map(spool::Handle::presence);
        let (rings, files) = (streams.rings, streams.files);
        let ship = start_ship(plan, ShipParts { rings, files, control: control.clone(), tee, spool, tell_main });
        let ship = ship.inspect_err(|error| say_no_thread("pump-ship", error)).ok();
        let (remote, commands) = intake::remote(&bells.intake);
        let taken_in = Arc::new(AtomicBool::new(false));
        let tell_main = TellMain { over: taken_in.clone(), bell: bells.main.clone() };
        let intake = start_intake(streams.sources, commands, engine.kind, &bells.intake, tell_main);
        Pump { intake, remote, ship, shipped, taken_in, control, has_spool, tee: tee_writer, lines }
    }

    /// For lines of our own on stdout, once.
    pub fn take_lines(&mut self) -> Option<Lines> {
        self.lines.take()
    }

    /// Reads the pipes, where no thread does. When to come again.
    pub fn tend(&mut self, now: Instant) -> Option<Instant> {
        let Intake::Here { plain, commands, due, .. } = &mut self.intake else { return None };
        if *due <= now {
            *due = plain.turn(now, commands);
        }
        if plain.is_over() {
            self.taken_in.store(true, Ordering::Release);
            return None;
        }
        Some(*due)
    }

    /// Does what was asked for last, where no thread does.
    fn tend_at_once(&mut self) {
        if let Intake::Here { due, .. } = &mut self.intake {
            *due = clock::now();
        }
        self.tend(clock::now());
    }

    /// The shipping thread has ended: every line has its end, or it failed.
    pub fn has_shipped(&self) -> bool {
        self.shipped.load(Ordering::Acquire)
    }

    /// The intake has ended: every pipe is closed.
    pub fn has_taken_in(&self) -> bool {
        self.taken_in.load(Ordering::Acquire)
    }

    /// The child has ended; others may hold its pipe until `close_at`.
    pub fn child_ended(&self, child: usize, close_at: Instant) {
        self.remote.send(Command::LeaderEnded { pipe: child, close_at });
    }

    /// All children have ended: deliver what is left.
    pub fn drain(&self) {
        self.control.set(Phase::Drain);
    }

    /// The time to deliver is over: what is left goes to the spool. False: there is none.
    pub fn spill(&self) -> bool {
        let has_spool = self.has_spool.as_ref().is_some_and(|is_there| is_there.load(Ordering::Acquire));
        if has_spool {
            self.control.set(Phase::Spill);
        }
        has_spool
    }

    /// The time for that is over, too. First the rings end, then ship books what is in them.
    pub fn give_up(&mut self, end_by: Instant) {
        self.remote.send(Command::Abandon);
        self.tend_at_once();
        wait_for(&self.taken_in, end_by);
        self.control.set(Phase::GiveUp);
    }

    /// Ends the intake if it still runs, joins the threads and puts the counts together, whatever they do, by `end_by`.
    pub fn finish(mut self, plan: &Plan, end_by: Instant) -> Outcome {
        self.remote.send(Command::Abandon);
        self.tend_at_once();
        let intake = match self.intake {
            Intake::Thread(thread) => joined("pump-intake", thread, &self.taken_in, end_by),
            Intake::Here { plain, reason, .. } => {
                Some(intake::Outcome { engine: Some((Kind::Epoll, reason)), ..plain.into_outcome() })
            }
        };
        // Without a thread there is nothing to lose: its rings were given up before the first read.
        let unshipped = || {
            let ledgers = Ledgers { own: vec![Ledger::default(); plan.children.len()], adopted: Ledger::default() };
            Shipped { ledgers, failed: true }
        };
        let shipped = match self.ship {
            Some(thread) => joined("pump-ship", thread, &self.shipped, end_by),
            None => Some(unshipped()),
        };
        let intake_failed = intake.as_ref().is_none_or(|intake| intake.failed);
        let ship_failed = shipped.as_ref().is_none_or(|shipped| shipped.failed);
        let failed = intake.is_none() || shipped.is_none();
        let intake = intake.unwrap_or_default();
        let tee_dropped = self.tee.map_or((0, 0), |tee| tee.finish(end_by));
        let stream = |(index, child): (usize, &Child)| {
            let ledger = shipped.as_ref().map(|shipped| shipped.ledgers.own[index].clone());
            let mut ledger = ledger.unwrap_or_default();
            if ship_failed {
                // What went into the ring when ship took nothing out any more, or all if its counts are gone. Of that is
                // known only how many bytes they were.
                let filled = intake.filled.get(index).copied().unwrap_or_default();
                let rest = Count::new(0, filled.saturating_sub(ledger.read.bytes));
                book(&mut ledger, End::Internal, rest);
            }
            if let Some(discarded) = intake.discarded.get(index) {
                let end = if intake_failed || ship_failed { End::Internal } else { End::Shutdown };
                book(&mut ledger, end, Count::new(discarded.lines, discarded.bytes));
            }
            let group = child.group.as_ref().map(|group| group.name.clone());
            StreamReport { name: child.spec.name.clone(), group, stream: child.stream.clone(), ledger }
        };
        let mut streams: Vec<_> = plan.children.iter().enumerate().map(stream).collect();
        let adopted = shipped.as_ref().map(|shipped| &shipped.ledgers.adopted);
        if let Some(ledger) = adopted.filter(|ledger| ledger.adopted != Count::default()).cloned() {
            streams.push(StreamReport { name: ADOPTED.into(), group: None, stream: String::new(), ledger });
        }
        Outcome { streams, tee_dropped, engine: intake.engine, failed }
    }
}

fn book(ledger: &mut Ledger, end: End, count: Count) {
    ledger.read += count;
    ledger.book(end, count);
}

/// None: none is wanted, or there is no thread for it. Its directory is looked at in the thread: a disk may not answer.
fn start_spool(plan: &Plan, engine: &Engine, bells: &Bells) -> Option<spool::Handle> {
    let wanted = plan.spool.as_ref()?;
    let options = spool::Options {
        directory: wanted.directory.clone(),
        bytes_max: wanted.bytes_max,
        sync: wanted.sync,
        uring: engine.takes_files(),
        run: spool::run_id(clock::wall_ms(), std::process::id()),
    };
    let started = spool::start(options, bells.ship.clone());
    started.inspect_err(|error| say_no_thread("pump-spool", error)).ok()
}

/// The sources go to the thread once it is there: with the closure of one that cannot be had they would be closed, and
/// the children get SIGPIPE.
fn start_intake(
    sources: Vec<Source>,
    commands: Receiver<Command>,
    kind: Kind,
    bell: &Arc<Bell>,
    tell_main: TellMain,
) -> Intake {
    let (hand_over, taken) = channel::<(Vec<Source>, Receiver<Command>)>();
    let bell = bell.clone();
    let thread = Builder::new().name("pump-intake".into()).spawn(move || {
        let _at_end = tell_main;
        let Ok((sources, commands)) = taken.recv() else { return intake::Outcome::default() };
        intake::run(kind, sources, &bell, &commands)
    });
    match thread {
        Ok(thread) => {
            // Its only other end is in the thread, which waits for this.
            let _ = hand_over.send((sources, commands));
            Intake::Thread(thread)
        }
        Err(error) => {
            say_no_thread("pump-intake", &error);
            let reason = format!("the pipes are only emptied: pump-intake cannot be started: {error}");
            Intake::Here { plain: Plain::new(sources), commands, due: clock::now(), reason }
        }
    }
}

fn say_no_thread(name: &str, error: &io::Error) {
    let likely = match error.raw_os_error() {
        Some(libc::EMFILE) => "",
        _ => "; likely a limit of processes (ulimit -u, pids.max) or memory",
    };
    let error = open_files::explained(error);
    tracing::error!(
        "cannot start the thread {name}: {error}; the commands go on, and their lines are counted as dropped{likely}"
    );
}

/// What the shipping thread works with.
struct ShipParts {
    rings: Vec<Drainer>,
    files: Vec<Option<LogFile>>,
    control: Arc<Control>,
    tee: Option<Tee>,
    spool: Option<spool::Handle>,
    tell_main: TellMain,
}

fn start_ship(plan: &Plan, parts: ShipParts) -> io::Result<JoinHandle<Shipped>> {
    let ShipParts { rings, files, control, tee, spool, tell_main } = parts;
    let thread = Builder::new().name("pump-ship".into());
    let options = plan.ship.clone();
    let sink = match &plan.destination {
        Destination::CloudWatch(target) => Sink::CloudWatch(target.clone()),
        Destination::Null => Sink::Null,
        Destination::Directory { .. } | Destination::Nowhere(_) => {
            let streams = rings.into_iter().zip(files).map(|(ring, file)| files::Stream { ring, file }).collect();
            return thread.spawn(move || {
                let _at_end = tell_main;
                files::run(streams, &options, &control, tee)
            });
        }
    };
    let endpoint = match &sink {
        Sink::CloudWatch(target) => target.endpoint_url.clone().unwrap_or_default(),
        Sink::Null => String::new(),
    };
    let address = |child: &Child| {
        let group = child.group.as_ref();
        Address {
            region: group.and_then(|group| group.region.clone()).unwrap_or_default(),
            endpoint: endpoint.clone(),
            group: group.map_or("null", |group| &group.name).to_owned(),
            stream: child.stream.clone(),
        }
    };
    let named = |(ring, child): (Drainer, &Child)| ship::Stream {
        address: Arc::new(address(child)),
        ring,
        treatment: child.treatment.clone(),
    };
    let streams = rings.into_iter().zip(&plan.children).map(named).collect();
    let spool_path = plan.spool.as_ref().map(|spool| spool.directory.clone());
    let means = ship::Means { streams, sink, spool, spool_path, control, tee };
    thread.spawn(move || {
        let _at_end = tell_main;
        ship::run(means, &options)
    })
}

/// Opens the embedded sink's files.
pub fn open_files(directory: Option<&Path>, children: &[Child]) -> Result<Vec<Option<LogFile>>, (String, io::Error)> {
    let open = |child: &Child| {
        directory
            .map(|directory| LogFile::open(directory, &child.stream))
            .transpose()
            .map_err(|error| (child.stream.clone(), error))
    };
    children.iter().map(open).collect()
}

/// Tells the supervisor that a thread is over, also when it panics.
pub struct TellMain {
    pub over: Arc<AtomicBool>,
    pub bell: Arc<Bell>,
}

impl Drop for TellMain {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.bell.ring();
    }
}

pub fn wait_for(over: &AtomicBool, end_by: Instant) {
    while !over.load(Ordering::Acquire) && clock::now() < end_by {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A thread's result. One that hangs, as in a write to a disk that does not answer, is left behind: our end is bounded.
fn joined<T>(name: &'static str, thread: JoinHandle<T>, over: &AtomicBool, end_by: Instant) -> Option<T> {
    let watch = Watch::begin(name);
    wait_for(over, end_by);
    if !over.load(Ordering::Acquire) {
        tracing::error!("the thread {name} does not end, and its counts are lost: {}", watch.why());
        return None;
    }
    let value = thread.join();
    if value.is_err() {
        tracing::error!("the thread {name} panicked: a fault of logpump's; please report it");
    }
    value.ok()
}
