//! Wires the threads and owns the order of start and stop. Touches no log byte.
//!
//! Start: signals blocked, rings and pipes made, children spawned, io_uring tried, and only then threads and AWS.
//! Stop: the last child ends; its pipe ends, or --eof-grace is over; what is left is delivered, or --drain-timeout is
//! over; the report is written; the child's code is ours.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::child::{Event, ExitStatus, Spec, StopOptions, Supervisor, Terminal, signal_name};
use crate::cli::{EXIT_OS_ERROR, EXIT_UNAVAILABLE, Refusal};
use crate::clock;
use crate::intake::{self, Command, Discarded, Kind, Source, pipe};
use crate::ledger::{Count, End, Ledger};
use crate::limits::{END_SLACK, PIPE_BYTES, RING_BYTES_MAX, RING_BYTES_MIN, RINGS_BYTES_MAX};
use crate::report::ledgers::{Report, StreamReport};
use crate::report::messages::{Format, Level, Messages};
use crate::report::tee::{self, Tee, TeeWriter};
use crate::ring::{Drainer, ring};
use crate::ship::control::{Control, Phase};
use crate::ship::files::{self, LogFile};
use crate::ship::{self, Sink, Target};
use crate::sys::bell::Bell;
use crate::sys::probe;

/// What to run and how: complete and checked.
pub struct Plan {
    pub children: Vec<Child>,
    pub destination: Destination,
    pub ship: ship::Options,
    pub engine: EngineWish,
    pub grace: Duration,
    pub drain_timeout: Duration,
    pub eof_grace: Duration,
    pub tee: bool,
    pub report: Option<PathBuf>,
    pub log_level: Level,
    pub log_format: Format,
}

pub struct Child {
    pub spec: Spec,
    /// Its log stream's, or file's, name.
    pub stream: String,
}

pub enum Destination {
    CloudWatch(Target),
    Directory(PathBuf),
    /// No directory can be written, for this reason; nobody asked for one.
    Nowhere(String),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineWish {
    Auto,
    Uring,
    Epoll,
}

/// Runs to the end. Ok: the exit code.
pub fn run(plan: Plan) -> Result<u8, Refusal> {
    let started = clock::now();
    let system = |what: &str, error: io::Error| Refusal { code: EXIT_OS_ERROR, message: format!("{what}: {error}") };
    if plan.engine == EngineWish::Uring {
        // Insisting: said before the child starts.
        probe::io_uring_works()
            .map_err(|refusal| Refusal { code: EXIT_UNAVAILABLE, message: format!("--engine uring: {refusal}") })?;
    }
    let mut supervisor =
        Supervisor::new(StopOptions { grace: plan.grace }).map_err(|error| system("cannot watch signals", error))?;
    let bells = Bells::new().map_err(|error| system("cannot make an eventfd", error))?;
    let spawned = spawn(&plan, &mut supervisor, &bells)?;
    let engine = choose_engine(plan.engine);
    let messages = Messages::start(plan.log_level, plan.log_format);
    spawned.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let pump =
        Pump::start(&plan, spawned, engine.kind, &bells).map_err(|error| system("cannot start a thread", error))?;
    tracing::info!("{}", greeting(&plan, &engine));
    let (pump, code) = supervise(&plan, &mut supervisor, &bells, pump);
    let report = pump.finish(&plan, &engine, started, &messages);
    tell(&plan, &report);
    Ok(code)
}

/// Who wakes whom.
struct Bells {
    intake: Arc<Bell>,
    ship: Arc<Bell>,
    main: Arc<Bell>,
}

impl Bells {
    fn new() -> io::Result<Bells> {
        Ok(Bells { intake: Bell::new()?, ship: Bell::new()?, main: Bell::new()? })
    }
}

struct Spawned {
    sources: Vec<Source>,
    rings: Vec<Drainer>,
    warnings: Vec<String>,
}

/// Every ring and pipe first: once a child runs, nothing of ours may fail it.
fn spawn(plan: &Plan, supervisor: &mut Supervisor, bells: &Bells) -> Result<Spawned, Refusal> {
    let system = |what: &str, error: io::Error| Refusal {
        code: EXIT_OS_ERROR,
        message: format!("{what}: {error}; likely a limit of memory or of open files (ulimit -n)"),
    };
    let mut spawned = Spawned { sources: Vec::new(), rings: Vec::new(), warnings: Vec::new() };
    let mut outputs = Vec::new();
    let ring_bytes = ring_bytes(plan.children.len());
    for child in &plan.children {
        let (pipe, output, warning) =
            pipe::open(PIPE_BYTES).map_err(|error| system("cannot make a pipe", error.into()))?;
        let (filler, drainer) =
            ring(ring_bytes, &bells.intake, &bells.ship).map_err(|error| system("cannot map a ring", error))?;
        spawned.sources.push(Source { name: child.spec.name.clone(), pipe, filler });
        spawned.rings.push(drainer);
        spawned.warnings.extend(warning.filter(|_| spawned.warnings.is_empty()));
        outputs.push(output);
    }
    let terminal = Terminal::choose(plan.children.len());
    for (child, output) in plan.children.iter().zip(outputs) {
        supervisor.spawn(&child.spec, output, terminal).map_err(|error| {
            // Those that run already would be left without us.
            supervisor.abandon();
            Refusal { code: error.exit_code(), message: error.to_string() }
        })?;
    }
    Ok(spawned)
}

fn ring_bytes(children: usize) -> usize {
    let share = RINGS_BYTES_MAX / children.max(1);
    let power = if share.is_power_of_two() { share } else { share.next_power_of_two() / 2 };
    power.clamp(RING_BYTES_MIN, RING_BYTES_MAX)
}

struct Engine {
    kind: Kind,
    reason: String,
}

/// After the children were spawned and before any thread exists.
fn choose_engine(wish: EngineWish) -> Engine {
    match wish {
        EngineWish::Epoll => Engine { kind: Kind::Epoll, reason: "asked for".into() },
        EngineWish::Uring => Engine { kind: Kind::Uring, reason: "asked for".into() },
        EngineWish::Auto => match probe::io_uring_works() {
            Ok(()) => Engine { kind: Kind::Uring, reason: "io_uring works here".into() },
            Err(refusal) => {
                let reason = format!("{refusal}; using epoll (silence with --engine epoll)");
                Engine { kind: Kind::Epoll, reason }
            }
        },
    }
}

fn greeting(plan: &Plan, engine: &Engine) -> String {
    let to = match &plan.destination {
        Destination::CloudWatch(target) => format!("log group {}", target.group),
        Destination::Directory(path) => format!("files in {}", path.display()),
        Destination::Nowhere(reason) => format!("nowhere, and are counted as dropped: {reason}"),
        Destination::Null => "nowhere (--sink null)".into(),
    };
    let streams = match &plan.children[..] {
        [child] => format!("stream {}", child.stream),
        [first, rest @ ..] => format!("stream {} and {} more", first.stream, rest.len()),
        [] => unreachable!("a plan has a child"),
    };
    format!("lines go to {to}, {streams}; engine {}: {}", engine.kind, engine.reason)
}

type Shipped = io::Result<Vec<Ledger>>;

/// The threads beside this one.
struct Pump {
    intake: JoinHandle<io::Result<Vec<Discarded>>>,
    remote: intake::Remote,
    ship: JoinHandle<Shipped>,
    control: Arc<Control>,
    tee: Option<TeeWriter>,
}

impl Pump {
    fn start(plan: &Plan, spawned: Spawned, kind: Kind, bells: &Bells) -> io::Result<Pump> {
        let (tee, tee_writer) = if plan.tee {
            let (tee, writer) = tee::start()?;
            (Some(tee), Some(writer))
        } else {
            (None, None)
        };
        let control = Control::new(&bells.ship);
        let ship = start_ship(plan, spawned.rings, &control, tee, bells)?;
        let (remote, commands) = intake::remote(&bells.intake);
        let (sources, bell) = (spawned.sources, bells.intake.clone());
        let intake = std::thread::Builder::new()
            .name("pump-intake".into())
            .spawn(move || intake::run(kind, sources, &bell, commands))?;
        Ok(Pump { intake, remote, ship, control, tee: tee_writer })
    }

    /// Ends the intake if it runs on, joins, and puts the counts together.
    fn finish(self, plan: &Plan, engine: &Engine, started: Instant, messages: &Messages) -> Report {
        self.remote.send(Command::Abandon);
        let discarded = joined("intake", self.intake.join()).unwrap_or_default();
        let ledgers = joined("ship", self.ship.join()).unwrap_or_default();
        let tee_dropped = self.tee.map_or((0, 0), |tee| tee.finish(clock::now() + END_SLACK));
        let group = match &plan.destination {
            Destination::CloudWatch(target) => Some(target.group.clone()),
            _ => None,
        };
        let stream = |(index, child): (usize, &Child)| {
            let mut ledger = ledgers.get(index).cloned().unwrap_or_default();
            if let Some(discarded) = discarded.get(index) {
                let count = Count::new(discarded.lines, discarded.bytes);
                ledger.read += count;
                ledger.book(End::Shutdown, count);
            }
            StreamReport { name: child.spec.name.clone(), group: group.clone(), stream: child.stream.clone(), ledger }
        };
        Report {
            engine: engine.kind.to_string(),
            engine_reason: engine.reason.clone(),
            uptime: clock::now() - started,
            streams: plan.children.iter().enumerate().map(stream).collect(),
            tee_dropped,
            messages_lost: messages.lost(),
        }
    }
}

fn start_ship(
    plan: &Plan,
    rings: Vec<Drainer>,
    control: &Arc<Control>,
    tee: Option<Tee>,
    bells: &Bells,
) -> io::Result<JoinHandle<Shipped>> {
    let control = control.clone();
    let main_bell = RingAtEnd(bells.main.clone());
    let thread = std::thread::Builder::new().name("pump-ship".into());
    let streams = rings.into_iter().zip(&plan.children).map(|(ring, child)| (ring, child.stream.clone()));
    let sink = match &plan.destination {
        Destination::CloudWatch(target) => Sink::CloudWatch(target.clone()),
        Destination::Null => Sink::Null,
        Destination::Directory(_) | Destination::Nowhere(_) => {
            let directory = match &plan.destination {
                Destination::Directory(directory) => Some(directory),
                _ => None,
            };
            let streams = streams
                .map(|(ring, stream)| {
                    let file = directory.map(|directory| LogFile::open(directory, &stream)).transpose()?;
                    Ok(files::Stream { ring, file })
                })
                .collect::<io::Result<Vec<_>>>()?;
            let linger = plan.ship.linger;
            return thread.spawn(move || {
                let _bell = main_bell;
                Ok(files::run(streams, linger, &control, tee.as_ref()))
            });
        }
    };
    let streams = streams.map(|(ring, name)| ship::Stream { name, ring }).collect();
    let options = plan.ship.clone();
    thread.spawn(move || {
        let _bell = main_bell;
        ship::run(streams, sink, &options, control, tee)
    })
}

/// Tells `main` that a thread has ended, however it did.
struct RingAtEnd(Arc<Bell>);

impl Drop for RingAtEnd {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// Until the shipping thread has ended, or its time is over. The exit code: the first that is not 0.
fn supervise(plan: &Plan, supervisor: &mut Supervisor, bells: &Bells, pump: Pump) -> (Pump, u8) {
    let mut code = 0;
    let mut deadline = None;
    loop {
        match supervisor.next(bells.main.as_fd(), deadline) {
            Event::Ended { child, status } => {
                say_end(&plan.children[child].spec.name, status);
                if code == 0 {
                    code = status.code();
                }
                let close_at = clock::now() + plan.eof_grace;
                pump.remote.send(Command::LeaderEnded { pipe: child, close_at });
                if supervisor.running() == 0 {
                    pump.control.set(Phase::Drain);
                    deadline = Some(close_at + plan.drain_timeout);
                }
            }
            Event::StopBegan { signal } => {
                tracing::info!("{}: stopping; SIGKILL after {} s", signal_name(signal), plan.grace.as_secs_f64())
            }
            Event::StopHastened => tracing::info!("a second stop signal: SIGKILL now"),
            Event::Warning(text) => tracing::warn!("{text}"),
            Event::Woken => {
                bells.main.clear();
                if pump.ship.is_finished() {
                    return (pump, code);
                }
            }
            Event::Deadline => {
                tracing::warn!("--drain-timeout is over; what is left is counted as dropped");
                give_up(&pump);
                return (pump, code);
            }
        }
    }
}

/// First the rings end, then ship books what is in them.
fn give_up(pump: &Pump) {
    pump.remote.send(Command::Abandon);
    let deadline = clock::now() + END_SLACK;
    while !pump.intake.is_finished() && clock::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    pump.control.set(Phase::GiveUp);
}

fn say_end(name: &str, status: ExitStatus) {
    match status {
        ExitStatus::Exited(0) => tracing::info!("{name} ended"),
        status => tracing::warn!("{name} ended: {status}"),
    }
}

fn joined<T>(name: &str, joined: std::thread::Result<io::Result<T>>) -> Option<T> {
    match joined {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::error!("the {name} thread failed: {error}");
            None
        }
        Err(_) => {
            tracing::error!("the {name} thread panicked: a fault of logpump's; please report it");
            None
        }
    }
}

fn tell(plan: &Plan, report: &Report) {
    for imbalance in report.imbalances() {
        tracing::error!("the ledger does not add up, a fault of logpump's: {imbalance}");
    }
    tracing::info!("{}", report.summary());
    if report.tee_dropped != (0, 0) {
        tracing::warn!(
            "--tee: stdout did not take {} lines ({} bytes) in time",
            report.tee_dropped.0,
            report.tee_dropped.1
        );
    }
    if let Some(path) = &plan.report
        && let Err(error) = report.write(path)
    {
        tracing::error!("--report: cannot write {}: {error}", path.display());
    }
}
