//! The thread that looks at the health of processes: starts checks, hears statuses, tells what they came to. It waits in
//! poll(2) alone.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::check::Check;
use super::exec::Exec;
use super::plog::{Origin, Topic};
use super::record::{Finding, Record, Weight};
use super::udp::{SILENT, Udp};
use super::{Action, Command, Condition, Failure, Kind, sooner};
use crate::child::{ExitStatus, Spec};
use crate::clock;
use crate::limits::{HEALTH_CHECKS_MAX, HEALTH_DATAGRAM_BYTES, HEALTH_DATAGRAMS_MAX, HEALTH_REST};
use crate::lines::mask::Mask;
use crate::report::health::{HealthReport, Standing};
use crate::report::tee::Lines;
use crate::run::Child;
use crate::sys::bell::Bell;

pub struct Watcher {
    watches: Vec<Watch>,
    sockets: Vec<Socket>,
    tell: Tell,
    lines: Option<(Lines, Origin)>,
}

/// To the supervisor.
pub struct Tell {
    pub failed: Sender<Failure>,
    pub main: Arc<Bell>,
}

/// One condition of one process.
struct Watch {
    child: usize,
    action: Action,
    record: Record,
    /// Nothing is asked any more.
    left: bool,
    state: State,
}

enum State {
    Udp {
        socket: usize,
        udp: Udp,
    },
    Exec {
        exec: Exec,
        spec: Box<Spec>,
        timeout: Duration,
        running: Option<Check>,
        database: Option<bool>,
        /// The process's, for what a check writes.
        mask: Option<Arc<Mask>>,
    },
}

struct Socket {
    socket: UdpSocket,
    /// A flood comes in: it is not read before.
    read_at: Instant,
}

impl Watch {
    fn due(&self) -> Instant {
        match &self.state {
            State::Udp { udp, .. } => udp.due(),
            State::Exec { exec, .. } => exec.due(),
        }
    }
}

impl Watcher {
    pub fn new(
        children: &[Child],
        sockets: Vec<(SocketAddr, UdpSocket)>,
        tell: Tell,
        lines: Option<Lines>,
        now: Instant,
    ) -> Watcher {
        let mut watches = Vec::new();
        for (child, of) in children.iter().enumerate() {
            for condition in &of.health {
                watches.push(Watch {
                    child,
                    action: condition.action,
                    record: Record::new(of.spec.name.clone(), condition.kind.name(), condition.kind.what()),
                    left: false,
                    state: state(condition, of, &sockets, now),
                });
            }
        }
        let sockets = sockets.into_iter().map(|(_, socket)| Socket { socket, read_at: now }).collect();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let lines = lines.map(|lines| (lines, Origin::of(&variable)));
        Watcher { watches, sockets, tell, lines }
    }

    pub fn run(mut self, commands: &Receiver<Command>, bell: &Bell) -> Vec<HealthReport> {
        loop {
            bell.clear();
            // Whoever could send is gone with us: as good as told to end.
            loop {
                match commands.try_recv() {
                    Ok(Command::Leave(child)) => self.leave(|watch| watch.child == child),
                    Ok(Command::LeaveAll) => self.leave(|_| true),
                    Ok(Command::End) | Err(TryRecvError::Disconnected) => {
                        self.leave(|_| true);
                        return self.watches.iter().map(|watch| watch.record.report()).collect();
                    }
                    Err(TryRecvError::Empty) => break,
                }
            }
            let now = clock::now();
            self.hear(now);
            self.look(now);
            let due = self.start_checks(now);
            self.wait(bell, due);
        }
    }

    fn leave(&mut self, which: impl Fn(&Watch) -> bool) {
        for watch in self.watches.iter_mut().filter(|watch| which(watch)) {
            watch.left = true;
            if let State::Exec { running: Some(check), .. } = &mut watch.state {
                check.kill();
            }
        }
    }

    /// Each status is meant for all that wait for one there.
    fn hear(&mut self, now: Instant) {
        let mut buffer = [0; HEALTH_DATAGRAM_BYTES];
        for (index, socket) in self.sockets.iter_mut().enumerate().filter(|(_, socket)| socket.read_at <= now) {
            let mut heard = 0;
            while let Ok(length) = socket.socket.recv(&mut buffer) {
                for watch in &mut self.watches {
                    match &mut watch.state {
                        State::Udp { socket, udp } if *socket == index => udp.heard(&buffer[..length], now),
                        _ => {}
                    }
                }
                heard += 1;
                if heard == HEALTH_DATAGRAMS_MAX {
                    socket.read_at = now + HEALTH_REST;
                    break;
                }
            }
        }
    }

    /// At what is due, and at what runs.
    fn look(&mut self, now: Instant) {
        for index in 0..self.watches.len() {
            let watch = &mut self.watches[index];
            let finding = match &mut watch.state {
                State::Udp { udp, .. } => (!watch.left && udp.due() <= now).then(|| udp.look(now)),
                State::Exec { exec, timeout, running, mask, .. } => {
                    let result = running.as_mut().and_then(|check| result(check, *timeout, mask.as_deref(), now));
                    let began = running.as_ref().map(|check| check.began);
                    if result.as_ref().is_some_and(|result| result.is_over) {
                        *running = None;
                    }
                    match result.map(|result| result.came_to) {
                        Some(Came::To(result)) => Some(exec.ended(result, began.unwrap_or(now), now)),
                        Some(Came::ToNothing) => {
                            exec.rest(now);
                            None
                        }
                        Some(Came::TooLate) | None => None,
                    }
                }
            };
            if let Some(finding) = finding.filter(|_| !watch.left) {
                self.found(index, &finding, now);
            }
        }
    }

    /// When something is due next.
    fn start_checks(&mut self, now: Instant) -> Option<Instant> {
        let mut due = self.sockets.iter().map(|socket| socket.read_at).filter(|at| *at > now).min();
        // Whoever waits longest is first: else those in front, due again by then, would leave none to the others.
        let mut order: Vec<_> = (0..self.watches.len()).collect();
        order.sort_by_key(|index| self.watches[*index].due());
        for index in order {
            let is_busy =
                |watch: &Watch| matches!(&watch.state, State::Exec { running: Some(check), .. } if !check.killed);
            let child = self.watches[index].child;
            let may = self.watches.iter().filter(|watch| is_busy(watch)).count() < HEALTH_CHECKS_MAX
                && !self.watches.iter().any(|watch| watch.child == child && is_busy(watch));
            let watch = &mut self.watches[index];
            let failed = match &mut watch.state {
                State::Udp { udp, .. } => {
                    due = sooner(due, (!watch.left).then(|| udp.due()));
                    None
                }
                State::Exec { exec, spec, timeout, running, .. } => {
                    let failed = if watch.left || exec.due() > now {
                        None
                    } else if running.as_ref().is_some_and(|check| check.killed) {
                        // The kernel does not let go of it.
                        Some("the check before it was killed and has not ended".to_owned())
                    } else if may {
                        let check = Check::start(spec, *timeout, now);
                        check.map(|check| *running = Some(check)).err()
                    } else {
                        None
                    };
                    let failed = failed.map(|what| exec.ended(Err(what), now, now));
                    // One that waits for its turn is woken by an end.
                    let idle = (running.is_none() && exec.due() > now || running.as_ref().is_some_and(|it| it.killed))
                        .then(|| exec.due());
                    due = sooner(due, idle.filter(|_| !watch.left));
                    due = sooner(due, running.as_ref().and_then(|check| check.due(now)));
                    failed
                }
            };
            if let Some(finding) = failed {
                self.found(index, &finding, now);
            }
        }
        due
    }

    fn found(&mut self, index: usize, finding: &Finding, now: Instant) {
        let watch = &mut self.watches[index];
        let is_said = watch.record.note(finding, now, clock::wall_ms());
        let (process, what) = (watch.record.process(), watch.record.what());
        if let (State::Exec { database: Some(was_healthy), .. }, Some((lines, origin))) =
            (&mut watch.state, &self.lines)
        {
            let healthy = !finding.failed;
            let changed = std::mem::replace(was_healthy, healthy) != healthy;
            lines.send(&origin.line(Topic::Database { healthy, changed }, process, clock::wall().as_secs()));
        }
        if watch.record.standing() == Standing::Unhealthy && watch.action == Action::Stop {
            if let Some((lines, origin)) = &self.lines {
                lines.send(&origin.line(Topic::Restart, process, clock::wall().as_secs()));
            }
            let text = format!("is unhealthy ({what}: {})", finding.text);
            let _ = self.tell.failed.send(Failure { child: watch.child, text });
            self.tell.main.ring();
            watch.record.stopped();
            let child = watch.child;
            self.leave(|watch| watch.child == child);
            return;
        }
        if is_said {
            let standing = watch.record.standing().name();
            let said = match finding.label {
                // Not that it is healthy: nobody knows.
                SILENT => format!("no status comes from the sidecar of {process} ({what}); taken for healthy"),
                _ => format!("{process} is {standing}: {what}: {}", finding.text),
            };
            match finding.weight {
                Weight::Info => tracing::info!("{said}"),
                Weight::Warn => tracing::warn!("{said}"),
                Weight::Error => tracing::error!("{said}"),
            }
        } else {
            tracing::debug!("the health of {process}: {what}: {}", finding.text);
        }
    }

    fn wait(&self, bell: &Bell, due: Option<Instant>) {
        let now = clock::now();
        let rest = due.map(|due| due.saturating_duration_since(now));
        let timeout = rest.map(|rest| Timespec::try_from(rest).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 }));
        let mut fds = vec![PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)];
        for socket in self.sockets.iter().filter(|socket| socket.read_at <= now) {
            fds.push(PollFd::from_borrowed_fd(socket.socket.as_fd(), PollFlags::IN));
        }
        for watch in &self.watches {
            if let State::Exec { running: Some(check), .. } = &watch.state {
                fds.extend(check.watched(now).map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
            }
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            // No memory, or a signal that is none of ours: not asked again in a tight loop.
            bell.wait(Some(HEALTH_REST));
        }
    }
}

fn state(condition: &Condition, of: &Child, sockets: &[(SocketAddr, UdpSocket)], now: Instant) -> State {
    let Condition { interval, start_period, .. } = *condition;
    let spec = &of.spec;
    match &condition.kind {
        Kind::Udp { listen, replacement_threshold } => {
            let socket =
                sockets.iter().position(|(address, _)| address == listen).expect("each address has its socket");
            State::Udp { socket, udp: Udp::new(interval, start_period, *replacement_threshold, now) }
        }
        Kind::Exec { argv, timeout, retries, is_database } => State::Exec {
            exec: Exec::new(interval, start_period, *retries, now),
            spec: Box::new(Spec { argv: argv.clone(), ..spec.clone() }),
            timeout: *timeout,
            running: None,
            database: is_database.then_some(true),
            mask: of.treatment.rules.mask.clone(),
        },
    }
}

/// What has become of a running check.
struct Outcome {
    came_to: Came,
    is_over: bool,
}

enum Came {
    To(Result<(), String>),
    /// It is not known how it ended.
    ToNothing,
    /// It had been killed, and that was its result.
    TooLate,
}

fn result(check: &mut Check, timeout: Duration, mask: Option<&Mask>, now: Instant) -> Option<Outcome> {
    check.drain(now);
    let was_killed = check.killed;
    if let Some(ended) = check.ended(now) {
        let came_to = match ended {
            _ if was_killed => Came::TooLate,
            Some(ExitStatus::Exited(0)) => Came::To(Ok(())),
            Some(status) => Came::To(Err(format!("{status}{}", check.said(mask)))),
            None => Came::ToNothing,
        };
        return Some(Outcome { came_to, is_over: true });
    }
    check.is_over_time(now).then(|| {
        check.kill();
        let limit = humantime::format_duration(timeout);
        let what = format!("it took longer than its timeout of {limit} and was killed{}", check.said(mask));
        Outcome { came_to: Came::To(Err(what)), is_over: false }
    })
}
