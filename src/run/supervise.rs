//! The main thread between start and end: what happens to the processes, and what follows for the others and for us.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::code::{Code, Way};
use super::health::{Failure, Health, Timeouts};
use super::{Plan, Pump};
use crate::child::{Event, ExitStatus, Supervisor, signal_name};
use crate::clock;
use crate::limits::{END_SLACK, SPILL_TIME};
use crate::report::health::HealthReport;
use crate::sys::bell::Bell;

/// What runs beside the processes.
pub struct Means<'a> {
    pub pump: &'a mut Pump,
    pub health: Health,
}

/// What it came to.
pub struct Supervised {
    pub code: u8,
    /// When logpump must have ended.
    pub end_by: Instant,
    pub health: Vec<HealthReport>,
}

/// Until the children have ended and every line has its end, or its time is over.
pub fn supervise(plan: &Plan, supervisor: &mut Supervisor, bell: &Arc<Bell>, means: Means<'_>) -> Supervised {
    let Means { pump, health } = means;
    let mut processes = Processes {
        plan,
        code: Code::new(plan.children.iter().any(|child| child.essential)),
        unhealthy: vec![false; plan.children.len()],
        timeouts: Timeouts::new(plan),
        health,
    };
    if supervisor.stopping().is_some() {
        processes.leave_all();
    }
    let end_by = watch(plan, supervisor, bell, pump, &mut processes);
    let Processes { code, timeouts, health, .. } = processes;
    let mut reports = health.finish();
    reports.extend(timeouts.reports());
    Supervised { code: code.get(), end_by, health: reports }
}

/// The processes that run, and what is asked of them.
struct Processes<'a> {
    plan: &'a Plan,
    code: Code,
    /// We stopped it for its health or its timeout.
    unhealthy: Vec<bool>,
    timeouts: Timeouts,
    health: Health,
}

impl Processes<'_> {
    fn ended(&mut self, child: usize, status: ExitStatus, supervisor: &mut Supervisor) {
        let process = &self.plan.children[child];
        say_end(&process.spec.name, status);
        let is_stopping = supervisor.stopping().is_some();
        let way = match (self.unhealthy[child], is_stopping) {
            (true, _) => Way::Unhealthy,
            (false, true) => Way::Stopped,
            (false, false) => Way::Own,
        };
        self.code.ended(process.essential, status.code(), way);
        self.leave(child);
        if process.essential && supervisor.running() > 0 && !is_stopping {
            tracing::info!("{} is essential: the others are stopped; SIGKILL after their grace", process.spec.name);
            self.stop_all(supervisor);
        }
    }

    /// Stops those that are to be stopped by now.
    fn judge(&mut self, supervisor: &mut Supervisor) {
        while let Some(failure) = self.timeouts.expired(clock::now()).or_else(|| self.health.failure()) {
            // What fails while it is stopped fails for that.
            if supervisor.stopping().is_none() && !self.unhealthy[failure.child] {
                self.failed(failure, supervisor);
            }
        }
    }

    /// An essential one takes the others with it, all at the same time: its end would, only later.
    fn failed(&mut self, Failure { child, text }: Failure, supervisor: &mut Supervisor) {
        let process = &self.plan.children[child];
        self.unhealthy[child] = true;
        self.leave(child);
        if process.essential {
            let has_others = self.plan.children.len() > 1;
            let (others, whose) = if has_others { (", and the others with it", "their") } else { ("", "its") };
            tracing::error!("{} {text}: it is stopped{others}; SIGKILL after {whose} grace", process.spec.name);
            self.stop_all(supervisor);
        } else {
            tracing::error!("{} {text}: it is stopped; SIGKILL after its grace", process.spec.name);
            supervisor.stop_one(child);
        }
    }

    fn stop_all(&mut self, supervisor: &mut Supervisor) {
        supervisor.stop();
        self.leave_all();
    }

    fn leave(&mut self, child: usize) {
        self.timeouts.leave(child);
        self.health.leave(child);
    }

    fn leave_all(&mut self) {
        self.timeouts.leave_all();
        self.health.leave_all();
    }
}

/// When logpump must have ended.
fn watch(
    plan: &Plan,
    supervisor: &mut Supervisor,
    bell: &Arc<Bell>,
    pump: &mut Pump,
    processes: &mut Processes<'_>,
) -> Instant {
    let mut deadline = None;
    let mut spilling = false;
    loop {
        let tend_at = pump.tend(clock::now());
        processes.judge(supervisor);
        // A ship that failed ends before the pipes do: who holds one still has --eof-grace.
        if supervisor.running() == 0 && pump.has_shipped() && pump.has_taken_in() {
            return clock::now() + END_SLACK;
        }
        let due = [deadline, tend_at, processes.timeouts.due()].into_iter().flatten().min();
        match supervisor.next(bell.as_fd(), due) {
            Event::Ended { child, status } => {
                processes.ended(child, status, supervisor);
                let close_at = clock::now() + plan.eof_grace;
                pump.child_ended(child, close_at);
                if supervisor.running() == 0 {
                    pump.drain();
                    deadline = Some(drained_by(plan, pump, close_at));
                }
            }
            Event::StopBegan { signal } if supervisor.running() == 0 => tracing::info!(
                "{}: delivering what is left for at most --drain-timeout; a second stop signal ends that",
                signal_name(signal)
            ),
            Event::StopBegan { signal } => {
                processes.leave_all();
                let graces = plan.children.iter().map(|child| child.spec.stop.grace);
                let longest = graces.max().unwrap_or_default().as_secs_f64();
                tracing::info!("{}: stopping; SIGKILL after {longest} s", signal_name(signal));
            }
            Event::StopHastened if supervisor.running() == 0 && !spilling && pump.spill() => {
                tracing::warn!("a second stop signal: what is left goes to the spool{}", spool_of(plan));
                (spilling, deadline) = (true, Some(clock::now() + SPILL_TIME));
            }
            Event::StopHastened if supervisor.running() == 0 => {
                tracing::warn!("a second stop signal: what is left is counted as dropped");
                return give_up(pump);
            }
            Event::StopHastened => tracing::info!("a second stop signal: SIGKILL now"),
            Event::Warning(text) => tracing::warn!("{text}"),
            Event::Woken => {
                bell.clear();
                if !spilling {
                    deadline = deadline.map(|deadline: Instant| deadline.min(drained_by(plan, pump, deadline)));
                }
            }
            // Only the pipes, or a timeout, are to be looked at.
            Event::Deadline if deadline.is_none_or(|deadline| deadline > clock::now()) => {}
            Event::Deadline if !spilling && pump.spill() => {
                tracing::warn!(
                    "--drain-timeout is over; what is left goes to the spool{}, for the next run",
                    spool_of(plan)
                );
                (spilling, deadline) = (true, Some(clock::now() + SPILL_TIME));
            }
            Event::Deadline => {
                let over = if spilling {
                    format!("the spool{} is too slow", spool_of(plan))
                } else {
                    "--drain-timeout is over".into()
                };
                tracing::warn!("{over}; what is left is counted as dropped");
                return give_up(pump);
            }
        }
    }
}

/// Where it is.
fn spool_of(plan: &Plan) -> String {
    plan.spool.as_ref().map_or_else(String::new, |spool| format!(" in {}", spool.directory.display()))
}

/// When the time to deliver is over. Once every pipe has ended by itself there is no --eof-grace to wait for.
fn drained_by(plan: &Plan, pump: &Pump, pipes_closed_by: Instant) -> Instant {
    if pump.has_taken_in() { clock::now() + plan.drain_timeout } else { pipes_closed_by + plan.drain_timeout }
}

fn give_up(pump: &mut Pump) -> Instant {
    let end_by = clock::now() + END_SLACK;
    pump.give_up(end_by);
    end_by
}

fn say_end(name: &str, status: ExitStatus) {
    match status {
        ExitStatus::Exited(0) => tracing::info!("{name} ended"),
        status => tracing::warn!("{name} ended: {status}"),
    }
}
