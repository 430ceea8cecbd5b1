//! Health conditions: what is asked of a process while it runs, and what follows. A thread of its own asks, `pump-health`;
//! a check that hangs delays nothing but itself. Knows nothing of lines. What stops a process is told to the supervisor,
//! which alone sends it signals.
//!
//! `exec`, `udp`, `record` and `plog` decide; `check` is one running command; `watcher` is the thread; `timeouts` is the
//! supervisor's own.

mod check;
mod exec;
mod plog;
mod record;
mod timeouts;
mod udp;
mod watcher;

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Child, Plan, TellMain, wait_for};
use crate::clock;
use crate::limits::{HEALTH_COMMAND_CHARS_SAID, HEALTH_END_WAIT};
use crate::refusal::{EXIT_OS_ERROR, Refusal};
use crate::report::health::HealthReport;
use crate::report::tee::Lines;
use crate::sys::bell::Bell;
pub use timeouts::Timeouts;
use watcher::Watcher;

/// What must hold of a process while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub action: Action,
    /// Between two looks.
    pub interval: Duration,
    /// From the process's start on, in which less is expected.
    pub start_period: Duration,
    pub kind: Kind,
}

/// What follows when it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process is stopped, with its grace.
    Stop,
    /// It is said.
    Report,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Somebody sends what it is, to this address.
    Udp { listen: SocketAddr, replacement_threshold: Duration },
    /// A command that ends with 0 says that it is well.
    Exec {
        argv: Vec<OsString>,
        timeout: Duration,
        retries: u32,
        /// Of the service's lines those about the database tell what it came to.
        is_database: bool,
    },
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Udp { .. } => "udp",
            Kind::Exec { .. } => "exec",
        }
    }

    /// The address, or the command.
    fn what(&self) -> String {
        match self {
            Kind::Udp { listen, .. } => listen.to_string(),
            Kind::Exec { argv, .. } => {
                let words = argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
                in_one_line(&words).chars().take(HEALTH_COMMAND_CHARS_SAID).collect()
            }
        }
    }
}

/// What others wrote, as a part of a message of ours.
fn in_one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(printable).collect::<String>().replace('\n', " | ")
}

/// A process of which a condition no longer holds, and which is to be stopped.
pub struct Failure {
    pub child: usize,
    /// `its status is red`
    pub text: String,
}

enum Command {
    /// This process has ended, or is stopped.
    Leave(usize),
    /// All are.
    LeaveAll,
    End,
}

/// Where statuses come in: one socket for each address, however many processes it is about.
pub struct Sockets(Vec<(SocketAddr, UdpSocket)>);

impl Sockets {
    /// Before the processes start: who asks to be told and cannot be is to know.
    pub fn open(children: &[Child]) -> Result<Sockets, Refusal> {
        let mut sockets: Vec<(SocketAddr, UdpSocket)> = Vec::new();
        for child in children {
            for condition in &child.health {
                let Kind::Udp { listen, .. } = condition.kind else { continue };
                if sockets.iter().any(|(address, _)| *address == listen) {
                    continue;
                }
                let socket = UdpSocket::bind(listen).and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                });
                let socket = socket.map_err(|error| Refusal {
                    code: EXIT_OS_ERROR,
                    message: format!(
                        "cannot listen on {listen} (UDP) for the health of {}: {error}; likely another program does; name \
                         another port",
                        child.spec.name
                    ),
                })?;
                sockets.push((listen, socket));
            }
        }
        Ok(Sockets(sockets))
    }
}

/// The supervisor's end.
pub struct Health {
    thread: Option<Thread>,
}

struct Thread {
    handle: JoinHandle<Vec<HealthReport>>,
    over: Arc<AtomicBool>,
    commands: Sender<Command>,
    bell: Arc<Bell>,
    failures: Receiver<Failure>,
}

impl Health {
    /// Without a condition there is no thread; and the processes run already, so one that cannot be had ends nothing.
    pub fn start(plan: &Plan, sockets: Sockets, main: &Arc<Bell>, lines: Option<Lines>) -> Health {
        if plan.children.iter().all(|child| child.health.is_empty()) {
            return Health { thread: None };
        }
        let thread = start(plan, sockets, main, lines);
        let thread = thread.inspect_err(|error| {
            tracing::error!("cannot start the thread pump-health: {error}; the health of no process is looked at");
        });
        Health { thread: thread.ok() }
    }

    /// The next process that is to be stopped.
    pub fn failure(&self) -> Option<Failure> {
        self.thread.as_ref()?.failures.try_recv().ok()
    }

    /// It has ended, or is being stopped: no more is asked of it.
    pub fn leave(&self, child: usize) {
        self.tell(Command::Leave(child));
    }

    pub fn leave_all(&self) {
        self.tell(Command::LeaveAll);
    }

    fn tell(&self, command: Command) {
        if let Some(thread) = &self.thread {
            // One that panicked hears nothing; `finish` says so.
            let _ = thread.commands.send(command);
            thread.bell.ring();
        }
    }

    /// What the conditions came to; kills the checks that still run.
    pub fn finish(self) -> Vec<HealthReport> {
        self.tell(Command::End);
        let Some(thread) = self.thread else { return Vec::new() };
        wait_for(&thread.over, clock::now() + HEALTH_END_WAIT);
        if !thread.over.load(Ordering::Acquire) {
            tracing::error!("the health thread hangs; what it knows is not in the report");
            return Vec::new();
        }
        thread.handle.join().unwrap_or_else(|_| {
            tracing::error!("the health thread panicked: a fault of logpump's; please report it");
            Vec::new()
        })
    }
}

fn start(plan: &Plan, sockets: Sockets, main: &Arc<Bell>, lines: Option<Lines>) -> io::Result<Thread> {
    let bell = Bell::new()?;
    let over = Arc::new(AtomicBool::new(false));
    let (commands, received) = channel();
    let (failed, failures) = channel();
    let tell = watcher::Tell { failed, main: main.clone() };
    let watcher = Watcher::new(&plan.children, sockets.0, tell, lines, clock::now());
    let at_end = TellMain { over: over.clone(), bell: main.clone() };
    let own_bell = bell.clone();
    let handle = Builder::new().name("pump-health".into()).spawn(move || {
        let _at_end = at_end;
        watcher.run(&received, &own_bell)
    })?;
    Ok(Thread { handle, over, commands, bell, failures })
}

/// The earlier of two times, of which there may be none.
fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}
