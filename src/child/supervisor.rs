//! Owns the children and the signals, on the main thread. It waits in poll(2) for a signal, an ended child, another
//! thread's descriptor or a deadline, and does what `stop`, `sweep` and `terminal` say. Idle, nothing wakes it.
//! Knows nothing of output: a child's descriptor is closed here as soon as the child has it.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait, waitpid};

use super::error::errno_name;
use super::member::Child;
use super::stop::{StopClock, StopState, Verdict};
use super::sweep::{REAPED_PER_SWEEP_MAX, Sweep};
use super::terminal::{Foreground, Terminal};
use super::{Event, ExitStatus, SpawnError, Spec, signal_name};
use crate::clock;
use crate::sys::signals::{self, Received, Set, SignalFd};
use crate::sys::spawn::{self, Group, Request};
/// Signals served before the children are looked at again. There are 64 signals, and only real-time ones queue.
const SIGNALS_PER_TURN_MAX: usize = 256;
/// States of one child taken in a row: a stop, a second stop after a continuation, the end.
const STATES_PER_TURN_MAX: usize = 4;
/// Rest when the kernel refuses to wait at all (ENOMEM), so that it is not asked in a tight loop.
const REST_WITHOUT_POLL: Duration = Duration::from_millis(10);

pub struct Supervisor {
    signals: SignalFd,
    /// For the children: all signals, but SIGHUP only if nobody (nohup) made us ignore it.
    default_signals: Set,
    children: Vec<Child>,
    foreground: Option<Foreground>,
    stop: StopClock,
    /// None when no orphan can fall to us.
    sweep: Option<Sweep>,
    events: VecDeque<Event>,
    /// The signalfd gives the reading thread's signals: this one's, for which they were blocked.
    _stays_on_its_thread: PhantomData<*const ()>,
}

/// What poll found.
#[derive(Default)]
struct Ready {
    signals: bool,
    woken: bool,
    children: Vec<usize>,
}

impl Supervisor {
    /// Blocks every signal but the faults in this thread, and opens the signalfd. Call it before any other thread starts,
    /// so that all of them inherit the mask: a thread without it would die of a signal that is meant to be passed on.
    pub fn new() -> io::Result<Supervisor> {
        // Ignored, as some parents leave it, the kernel would reap our children before we learn how they ended.
        signals::set_default(libc::SIGCHLD)?;
        // The faults as well: the kernel kills us for our own in any case, and what others send is the children's.
        let blocked = Set::full();
        signals::set_mask(&blocked)?;
        let ignored: &[i32] = if signals::is_ignored(libc::SIGHUP) { &[libc::SIGHUP] } else { &[] };
        let adopts =
            rustix::process::getpid().is_init() || rustix::process::child_subreaper().is_ok_and(|set| set.is_some());
        Ok(Supervisor {
            signals: SignalFd::new(&blocked)?,
            default_signals: Set::every_number().without(ignored),
            children: Vec::new(),
            foreground: None,
            stop: StopClock::default(),
            sweep: adopts.then(Sweep::default),
            events: VecDeque::new(),
            _stays_on_its_thread: PhantomData,
        })
    }

    /// Starts a child, whose stdout and stderr are both `output`; stdin is inherited. Returns its index, counted from 0.
    /// A child started during a stop gets no signal for having come late: look at `stopping` first.
    pub fn spawn(&mut self, spec: &Spec, output: OwnedFd, terminal: Terminal) -> Result<usize, SpawnError> {
        let (argv, environment, directory) = (spec.c_strings()?, spec.environment()?, spec.directory()?);
        let request = Request {
            argv: &argv,
            environment: environment.as_deref(),
            directory: directory.as_deref(),
            input: None,
            output: output.as_fd(),
            group: match terminal {
                Terminal::OwnSession => Group::OwnSession,
                Terminal::Foreground => Group::OurSession,
            },
            default_signals: &self.default_signals,
        };
        let pid = spawn::spawn(&request).map_err(|errno| SpawnError::of(spec, errno))?;
        self.children.push(Child::started(spec.name.clone(), pid, spec.stop));
        if terminal == Terminal::Foreground {
            self.foreground = Foreground::new(pid);
            let result = self.foreground.as_mut().map(Foreground::resume);
            self.warn(result);
        }
        Ok(self.children.len() - 1)
    }

    /// Begins a stop as a SIGTERM from outside would, unless one has begun. No event follows.
    pub fn stop(&mut self) {
        if self.stop.begin(clock::now()) {
            self.ask_all_to_stop(libc::SIGTERM);
        }
    }

    /// Stops one child, with its own grace; the others go on.
    pub fn stop_one(&mut self, child: usize) {
        self.ask_to_stop(child, libc::SIGTERM);
    }

    /// Children whose end `next` has not yet given back.
    pub fn running(&self) -> usize {
        let running = |child: &&Child| child.is_running();
        let untold = |event: &&Event| matches!(event, Event::Ended { .. });
        self.children.iter().filter(running).count() + self.events.iter().filter(untold).count()
    }

    /// The stop that has begun, if one has.
    pub fn stopping(&self) -> Option<StopState> {
        self.stop.state()
    }

    /// Waits for the next thing to happen. `wake` readable gives `Woken`; the caller drains it. `deadline` passed gives
    /// `Deadline`, once nothing else is at hand, and again on each call until the caller moves it.
    pub fn next(&mut self, wake: BorrowedFd<'_>, deadline: Option<Instant>) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let ready = self.wait(wake, deadline);
            if ready.signals {
                self.serve_signals();
            }
            for index in ready.children {
                self.look_at(index);
            }
            let now = clock::now();
            self.serve_clocks(now);
            if ready.woken {
                self.events.push_back(Event::Woken);
            }
            if self.events.is_empty() && deadline.is_some_and(|deadline| deadline <= now) {
                return Event::Deadline;
            }
        }
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, deadline: Option<Instant>) -> Ready {
        let sweep_due = self.sweep.as_ref().and_then(Sweep::due);
        let due = [deadline, self.next_kill(), sweep_due].into_iter().flatten().min();
        let timeout = due.map(|due| {
            let rest = due.saturating_duration_since(clock::now());
            // Too far for the kernel's type is as good as tomorrow: the turn then finds nothing and waits again.
            Timespec::try_from(rest).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 })
        });

        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        let mut watched = Vec::with_capacity(self.children.len());
        for (index, child) in self.children.iter().enumerate() {
            if let Some(pidfd) = &child.pidfd {
                fds.push(PollFd::new(pidfd, PollFlags::IN));
                watched.push(index);
            }
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ready {
                signals: !fds[0].revents().is_empty(),
                woken: !fds[1].revents().is_empty(),
                children: watched
                    .into_iter()
                    .zip(&fds[2..])
                    .filter(|(_, fd)| !fd.revents().is_empty())
                    .map(|(index, _)| index)
                    .collect(),
            },
            Err(Errno::INTR) => Ready::default(),
            Err(errno) => self.cannot_wait(errno),
        }
    }

    /// EINVAL: more descriptors than RLIMIT_NOFILE, which somebody lowered. ENOMEM. Neither may cost a child its end:
    /// go on with SIGCHLD alone, and look at everything now.
    fn cannot_wait(&mut self, errno: Errno) -> Ready {
        if self.children.iter().any(|child| child.pidfd.is_some()) {
            self.events.push_back(Event::Warning(format!(
                "cannot poll the children: {}; going on with SIGCHLD alone",
                errno_name(errno)
            )));
            self.children.iter_mut().for_each(|child| child.pidfd = None);
        } else {
            std::thread::sleep(REST_WITHOUT_POLL);
        }
        Ready { signals: true, woken: true, children: (0..self.children.len()).collect() }
    }

    fn serve_signals(&mut self) {
        for _ in 0..SIGNALS_PER_TURN_MAX {
            match self.signals.take() {
                Ok(Some(received)) => self.serve_signal(received),
                Ok(None) => return,
                Err(error) => {
                    let warning = format!("cannot read signals: {error}");
                    self.events.push_back(Event::Warning(warning));
                    return;
                }
            }
        }
    }

    fn serve_signal(&mut self, Received { signal, sender }: Received) {
        match signal {
            libc::SIGCHLD => self.serve_child_signal(),
            libc::SIGTERM | libc::SIGINT => self.serve_stop_signal(signal, sender),
            // Blocked, it is queued even though Rust ignores it. From us: a write of ours found no reader.
            libc::SIGPIPE if sender == std::process::id() => {}
            libc::SIGTTIN | libc::SIGTTOU if self.foreground.is_some() => {}
            libc::SIGCONT if self.foreground.is_some() => {
                let result = self.foreground.as_mut().map(Foreground::resume);
                self.warn(result);
            }
            _ => self.send_to_running(signal),
        }
    }

    fn serve_child_signal(&mut self) {
        if let Some(sweep) = &mut self.sweep {
            sweep.child_signal(clock::now());
        }
        let foreground = self.foreground.as_ref().map(Foreground::child);
        for index in 0..self.children.len() {
            let child = &self.children[index];
            // A pidfd tells of the end only, not of a stop.
            if child.pidfd.is_none() || Some(child.pid) == foreground {
                self.look_at(index);
            }
        }
    }

    fn serve_stop_signal(&mut self, signal: i32, sender: u32) {
        match self.stop.signal(signal, sender, clock::now()) {
            Verdict::Begin => {
                self.ask_all_to_stop(signal);
                self.events.push_back(Event::StopBegan { signal });
            }
            Verdict::Hasten => {
                self.send_to_all(libc::SIGKILL);
                self.events.push_back(Event::StopHastened);
            }
            Verdict::KillAgain => {
                self.send_to_all(libc::SIGKILL);
                // There is nobody left to kill: it is meant for what is still waited for.
                if self.running() == 0 {
                    self.events.push_back(Event::StopHastened);
                }
            }
            Verdict::Echo => {}
        }
    }

    /// When the grace of one that has not been killed is over.
    fn next_kill(&self) -> Option<Instant> {
        self.children.iter().filter_map(|child| self.kill_due(child)).min()
    }

    fn kill_due(&self, child: &Child) -> Option<Instant> {
        child.kill_due().filter(|_| !self.stop.is_hastened())
    }

    fn serve_clocks(&mut self, now: Instant) {
        for index in 0..self.children.len() {
            if self.kill_due(&self.children[index]).is_some_and(|due| due <= now) {
                self.children[index].killed = true;
                self.send(index, libc::SIGKILL);
            }
        }
        if self.sweep.as_mut().is_some_and(|sweep| sweep.expire(now)) {
            self.sweep_orphans(now);
        }
    }

    fn sweep_orphans(&mut self, now: Instant) {
        for _ in 0..REAPED_PER_SWEEP_MAX {
            let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) else {
                return;
            };
            let known = |child: &Child| child.pid == pid && child.is_running();
            if let (Some(index), Some(status)) = (self.children.iter().position(known), ExitStatus::of(status)) {
                self.ended(index, status);
            }
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.child_signal(now);
        }
    }

    /// Takes what the child's state has become.
    fn look_at(&mut self, index: usize) {
        for _ in 0..STATES_PER_TURN_MAX {
            let child = &self.children[index];
            let (pid, is_running) = (child.pid, child.is_running());
            if !is_running {
                return;
            }
            let on_terminal = self.foreground.as_ref().is_some_and(|it| it.child() == pid);
            let stops = if on_terminal { WaitOptions::UNTRACED } else { WaitOptions::empty() };
            match waitpid(Some(pid), WaitOptions::NOHANG | stops) {
                Ok(None) | Err(Errno::INTR) => return,
                Ok(Some((_, status))) => self.state_became(index, status),
                Err(errno) => {
                    self.events.push_back(Event::Warning(format!(
                        "cannot tell how child {} ended: {}; likely something else in this process reaped it; \
                         taking it for exit code 70",
                        self.children[index].name,
                        errno_name(errno)
                    )));
                    self.ended(index, ExitStatus::Exited(70));
                }
            }
        }
    }

    fn state_became(&mut self, index: usize, status: WaitStatus) {
        if let Some(status) = ExitStatus::of(status) {
            self.ended(index, status);
        } else if let (Some(signal), Some(foreground)) = (status.stopping_signal(), &mut self.foreground) {
            let result = foreground.child_stopped(signal, self.stop.state().is_some());
            self.warn(Some(result));
        }
    }

    fn ended(&mut self, index: usize, status: ExitStatus) {
        let child = &mut self.children[index];
        child.reaped();
        if self.foreground.as_ref().is_some_and(|it| it.child() == child.pid) {
            self.foreground = None; // Gives the terminal back.
        }
        self.events.push_back(Event::Ended { child: index, status });
    }

    fn send_to_running(&mut self, signal: i32) {
        for index in 0..self.children.len() {
            if self.children[index].is_running() {
                self.send(index, signal);
            }
        }
    }

    /// Also what is left of the groups of children that have ended.
    fn ask_all_to_stop(&mut self, signal: i32) {
        for index in 0..self.children.len() {
            self.ask_to_stop(index, signal);
        }
    }

    fn ask_to_stop(&mut self, index: usize, signal: i32) {
        let asked = self.children[index].ask_to_stop(signal, clock::now());
        self.warn_of(index, self.children[index].stop.signal.unwrap_or(signal), asked);
    }

    /// Also to what is left of the groups of children that have ended.
    fn send_to_all(&mut self, signal: i32) {
        for index in 0..self.children.len() {
            self.send(index, signal);
        }
    }

    fn send(&mut self, index: usize, signal: i32) {
        let sent = self.children[index].send(signal);
        self.warn_of(index, signal, sent);
    }

    fn warn_of(&mut self, index: usize, signal: i32, sent: Result<(), Errno>) {
        if let Err(errno) = sent {
            self.events.push_back(Event::Warning(format!(
                "cannot send {} to child {}: {}; likely it runs as another user",
                signal_name(signal),
                self.children[index].name,
                errno_name(errno)
            )));
        }
    }

    fn warn(&mut self, result: Option<Result<(), String>>) {
        if let Some(Err(warning)) = result {
            self.events.push_back(Event::Warning(warning));
        }
    }
}
