//! Processes that may run only so long.

use std::time::Instant;

use super::Plan;
use crate::child::Supervisor;
use crate::clock;

/// When each process's time is over; None: never, or it has ended, or it was told.
pub struct Timeouts(Vec<Option<Instant>>);

impl Timeouts {
    /// From now on.
    pub fn new(plan: &Plan) -> Timeouts {
        let now = clock::now();
        let at = plan.children.iter().map(|child| child.timeout.and_then(|timeout| now.checked_add(timeout)));
        Timeouts(at.collect())
    }

    pub fn ended(&mut self, child: usize) {
        self.0[child] = None;
    }

    /// Stops those whose time is over. When the next one's is.
    pub fn expire(&mut self, plan: &Plan, supervisor: &mut Supervisor) -> Option<Instant> {
        let now = clock::now();
        for (index, at) in self.0.iter_mut().enumerate() {
            if at.is_some_and(|at| at <= now) {
                *at = None;
                let child = &plan.children[index];
                let timeout = child.timeout.map(humantime::format_duration);
                let timeout = timeout.map_or_else(String::new, |timeout| timeout.to_string());
                tracing::warn!("{} has run for its timeout of {timeout}: it is stopped", child.spec.name);
                supervisor.stop_one(index);
            }
        }
        self.0.iter().flatten().min().copied()
    }
}
