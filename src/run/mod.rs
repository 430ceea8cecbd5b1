//! Wires the threads and owns the order of start and stop. Touches no log byte.
//!
//! Start: signals blocked, rings and pipes made, children spawned, io_uring tried, and only then threads and AWS.
//! Stop: the last child ends; its pipe ends, or --eof-grace is over; what is left is delivered, or --drain-timeout is
//! over; the report is written; the child's code is ours.

mod code;
mod engine;
pub mod health;
mod pump;
mod supervise;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::child::{SpawnError, Spec, Supervisor, Terminal};
use crate::clock;
use crate::intake::{Source, pipe};
use crate::ledger::Count;
use crate::limits::{PIPE_BYTES, REPORT_WAIT_MIN};
use crate::refusal::{EXIT_CANT_CREATE, EXIT_OS_ERROR, Refusal};
use crate::report::ledgers::Report;
use crate::report::messages::{Format, Level, Messages};
use crate::ring::ring;
use crate::ship::files::LogFile;
use crate::ship::{self, Target, Treatment};
use crate::spool::SyncPolicy;
use crate::sys::bell::Bell;
use crate::sys::{environment, probe};
use engine::Engine;
use health::{Condition, Health, Sockets};
use pump::{Pump, Streams, TellMain, wait_for};
use supervise::Means;

/// Of so many different places a panic is said.
const PLACES_SAID_MAX: usize = 16;

/// What to run and how: complete and checked.
pub struct Plan {
    pub children: Vec<Child>,
    pub destination: Destination,
    pub ship: ship::Options,
    /// None: none is wanted, or there is nothing to keep for later.
    pub spool: Option<SpoolPlan>,
    /// Of each child: a power of two, and a multiple of the page size.
    pub ring_bytes: usize,
    pub engine: EngineWish,
    pub drain_timeout: Duration,
    pub eof_grace: Duration,
    /// What health comes to is told on stdout, in the lines that the service Amazon MWAA reads.
    pub plogs: bool,
    pub report: Option<PathBuf>,
    pub log_level: Level,
    pub log_format: Format,
    /// What the user asked for and will not get, to be said once.
    pub oddities: Vec<String>,
    /// Of a process whose lines are not sent, what becomes of them and why.
    pub notes: Vec<String>,
}

pub struct Child {
    pub spec: Spec,
    /// Its log stream's, or file's, name.
    pub stream: String,
    /// Its log group, where lines go to CloudWatch Logs.
    pub group: Option<Group>,
    /// Its end stops all others, and its code is ours.
    pub essential: bool,
    /// It is stopped when it has run so long.
    pub timeout: Option<Duration>,
    /// What else must hold while it runs.
    pub health: Vec<Condition>,
    /// Its lines are copied to stdout.
    pub tee: bool,
    /// What its lines go through.
    pub treatment: Treatment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// None: as the SDK finds it.
    pub region: Option<String>,
}

/// Where lines are kept that cannot be sent yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolPlan {
    pub directory: PathBuf,
    pub bytes_max: u64,
    pub sync: SyncPolicy,
    /// Every batch is stored before it is sent.
    pub durable: bool,
}

pub enum Destination {
    CloudWatch(Target),
    Directory {
        path: PathBuf,
        asked_for: bool,
    },
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

impl Plan {
    /// Of any child.
    fn tee(&self) -> bool {
        self.children.iter().any(|child| child.tee)
    }

    /// The intake waits on a pipe per child, and its bell.
    fn wanted(&self) -> probe::Wanted {
        probe::Wanted { descriptors: self.children.len() + 1, files: self.spool.is_some() }
    }
}

/// Runs to the end. Ok: the exit code.
pub fn run(mut plan: Plan) -> Result<u8, Refusal> {
    let started = clock::now();
    quiet_panics();
    // Insisting: said before the child starts.
    let insisted = (plan.engine == EngineWish::Uring).then(|| engine::insist(&plan)).transpose()?;
    let files = open_files(&mut plan)?;
    let sockets = Sockets::open(&plan.children)?;
    let mut supervisor = Supervisor::new().map_err(|error| refused("cannot watch signals", error))?;
    let bells = Bells::new().map_err(|error| refused("cannot make an eventfd", error))?;
    let spawned = spawn(&plan, files, &mut supervisor, &bells)?;
    // After the spawn: the children see what they were given.
    environment::forget_empty(&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"]);
    let engine = insisted.unwrap_or_else(|| engine::choose(&plan));
    let messages = Messages::start(plan.log_level, plan.log_format);
    let mut pump = Pump::start(&plan, spawned.streams, &engine, &bells);
    let health = Health::start(&plan, sockets, &bells.main, pump.take_lines());
    spawned.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    greet(&plan, &engine);
    if let Some(error) = &spawned.failed {
        tracing::error!("{error}; the commands that run already are stopped");
        supervisor.stop();
    }
    let supervised = supervise::supervise(&plan, &mut supervisor, &bells.main, Means { pump: &mut pump, health });
    let end_by = supervised.end_by;
    let outcome = pump.finish(&plan, end_by);
    let (kind, reason) = outcome.engine.unwrap_or((engine.kind, engine.reason));
    let code = spawned.failed.map_or(supervised.code, |error| error.exit_code());
    let report = Report {
        engine: kind.to_string(),
        engine_reason: reason,
        uptime: clock::now() - started,
        cpu: clock::process_cpu(),
        streams: outcome.streams,
        health: supervised.health,
        failed: outcome.failed,
        tee_dropped: outcome.tee_dropped,
        messages_lost: messages.lost(),
    };
    tell(&report);
    if let (Some(spool), true) = (&plan.spool, report.total().spooled != Count::default()) {
        let place = spool.directory.display();
        tracing::info!(
            "--spool-dir {place}: what is spooled waits there for the next run that is given this directory"
        );
    }
    if let Some(path) = plan.report {
        write_report(report, path, end_by);
    }
    Ok(code)
}

fn refused(what: &str, error: impl std::fmt::Display) -> Refusal {
    let message = format!("{what}: {error}; likely a limit of memory, processes (ulimit -u) or open files (ulimit -n)");
    Refusal { code: EXIT_OS_ERROR, message }
}

/// Rust would write a panic's message to stderr itself, and wait for it if nobody reads. A place that fails again and
/// again, with every call perhaps, says so once.
fn quiet_panics() {
    let said = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| (place.file().to_owned(), place.line()));
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < PLACES_SAID_MAX && !said.contains(&place) {
            // Our own files are named from the project's root on.
            if place.as_ref().is_some_and(|(file, _)| file.starts_with("src/")) {
                tracing::error!("a fault of logpump's, please report it: {panic}");
            } else {
                tracing::error!(
                    "a library that logpump uses gave up: {panic}; likely a low limit of open files (ulimit -n), or no \
                     CA certificates are installed; if it is neither, please report it"
                );
            }
            said.push(place);
        }
    }));
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

/// The embedded sink's files, before the child starts: a directory that was asked for must work.
fn open_files(plan: &mut Plan) -> Result<Vec<Option<LogFile>>, Refusal> {
    let directory = match &plan.destination {
        Destination::Directory { path, .. } => Some(path.as_path()),
        _ => None,
    };
    match (pump::open_files(directory, &plan.children), &plan.destination) {
        (Ok(files), _) => Ok(files),
        (Err((file, error)), _) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => Err(Refusal::usage(format!(
            "--log-stream: {file} is too long for a file's name; shorten the template, or name a --log-group"
        ))),
        (Err((file, error)), Destination::Directory { path, asked_for: true }) => {
            let message = format!("cannot write {} in {}: {error}", file, path.display());
            Err(Refusal { code: EXIT_CANT_CREATE, message })
        }
        (Err((file, error)), _) => {
            plan.destination = Destination::Nowhere(format!("cannot write {file}: {error}"));
            Ok(plan.children.iter().map(|_| None).collect())
        }
    }
}

struct Spawned {
    streams: Streams,
    warnings: Vec<String>,
    /// A command that could not be started after others had been: those are to be stopped.
    failed: Option<SpawnError>,
}

/// Every ring and pipe first: once a child runs, nothing of ours may fail it.
fn spawn(
    plan: &Plan,
    files: Vec<Option<LogFile>>,
    supervisor: &mut Supervisor,
    bells: &Bells,
) -> Result<Spawned, Refusal> {
    let mut streams = Streams { sources: Vec::new(), rings: Vec::new(), files };
    let mut warnings = Vec::new();
    let mut outputs = Vec::new();
    for child in &plan.children {
        let (pipe, output, warning) = pipe::open(PIPE_BYTES).map_err(|error| refused("cannot make a pipe", error))?;
        let (filler, drainer) =
            ring(plan.ring_bytes, &bells.intake, &bells.ship).map_err(|error| refused("cannot map a ring", error))?;
        streams.sources.push(Source { name: child.spec.name.clone(), pipe, filler });
        streams.rings.push(drainer);
        if warnings.is_empty() {
            warnings.extend(warning);
        }
        outputs.push(output);
    }
    let terminal = Terminal::choose(plan.children.len());
    for (child, output) in plan.children.iter().zip(outputs) {
        if let Err(error) = supervisor.spawn(&child.spec, output, terminal) {
            if supervisor.running() == 0 {
                return Err(Refusal { code: error.exit_code(), message: error.to_string() });
            }
            return Ok(Spawned { streams, warnings, failed: Some(error) });
        }
    }
    Ok(Spawned { streams, warnings, failed: None })
}

/// Where the lines go, and what is odd about it.
fn greet(plan: &Plan, engine: &Engine) {
    let into_files = matches!(plan.destination, Destination::Directory { .. });
    let is_sent = |child: &&Child| into_files || child.treatment.rules.unwanted.is_none();
    let sent: Vec<_> = plan.children.iter().filter(is_sent).collect();
    let to = match &plan.destination {
        Destination::CloudWatch(_) => groups(&sent),
        Destination::Directory { path, .. } => format!("files in {}", path.display()),
        Destination::Nowhere(_) | Destination::Null => "nowhere".into(),
    };
    if let Destination::Nowhere(reason) = &plan.destination {
        tracing::warn!("every line will be dropped and counted: {reason}");
    }
    plan.oddities.iter().for_each(|oddity| tracing::warn!("{oddity}"));
    plan.notes.iter().for_each(|note| tracing::info!("{note}"));
    let streams = match &sent[..] {
        [] => String::new(),
        [child] => format!(", stream {}", child.stream),
        [first, rest @ ..] => format!(", stream {} and {} more", first.stream, rest.len()),
    };
    tracing::info!("lines go to {to}{streams}; engine {}: {}", engine.kind, engine.reason);
    if let Err(refusal) = &engine.files {
        let place = plan.spool.as_ref().map_or_else(String::new, |spool| spool.directory.display().to_string());
        tracing::info!("--spool-dir {place}: the spool goes without io_uring: {refusal}");
    }
}

fn groups(children: &[&Child]) -> String {
    let mut names: Vec<_> = children.iter().filter_map(|child| Some(&child.group.as_ref()?.name)).collect();
    names.dedup();
    match names[..] {
        [group] => format!("log group {group}"),
        [first, ref rest @ ..] => format!("log group {first} and {} more", rest.len()),
        [] => "no log group".into(),
    }
}

fn tell(report: &Report) {
    for imbalance in report.imbalances() {
        tracing::error!("the ledger does not add up, a fault of logpump's: {imbalance}");
    }
    if report.failed || report.has_losses() {
        tracing::warn!("{}", report.summary());
    } else {
        tracing::info!("{}", report.summary());
    }
    if report.tee_dropped != (0, 0) {
        tracing::warn!(
            "stdout did not take {} meant for it: nobody reads it, it is closed or it is too slow",
            Count::new(report.tee_dropped.0, report.tee_dropped.1)
        );
    }
}

/// In a thread that is left behind if it hangs: our end is bounded.
fn write_report(report: Report, path: PathBuf, end_by: Instant) {
    let end_by = end_by.max(clock::now() + REPORT_WAIT_MIN);
    let (sender, written) = channel();
    let shown = path.display().to_string();
    let ours = Arc::new((report, path));
    let theirs = ours.clone();
    let write = move || drop(sender.send(theirs.0.write(&theirs.1)));
    let started = Builder::new().name("pump-report".into()).spawn(write);
    let result = match started {
        Ok(_) => written.recv_timeout(end_by.saturating_duration_since(clock::now())),
        // No thread to be had.
        Err(_) => Ok(ours.0.write(&ours.1)),
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("--report: cannot write {shown}: {error}"),
        Err(_) => tracing::error!("--report: {shown} is not written in time; likely its disk does not answer"),
    }
}
