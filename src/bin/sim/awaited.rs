//! What is to happen when a stage of a line's way is occupied: by chance alone, some faults would hardly ever meet some
//! stages.

use std::time::Duration;

use crate::coverage::Stage;
use crate::faults::Fault;
use crate::happen::Happening;
use crate::world::{Run, World};

/// Not to be seen for so long: it happens all the same.
pub const AWAITED_MAX: Duration = Duration::from_secs(20);

pub struct Awaited {
    stage: Stage,
    until: Duration,
    what: Happening,
}

impl World<'_> {
    /// At `at`; or, if there is a stage, as soon as that is seen then, in `patience` at the latest.
    pub fn plan(&mut self, at: Duration, stage: Option<Stage>, patience: Duration, what: Happening) {
        let what = match stage {
            Some(stage) => Happening::Await { stage, patience, what: Box::new(what) },
            None => what,
        };
        self.queue.push(at, what);
    }

    pub fn begin_to_await(&mut self, stage: Stage, patience: Duration, what: Happening) {
        self.awaited.push(Awaited { stage, until: self.clock.now + patience, what });
    }

    /// Looked at every turn.
    pub fn strike_awaited(&mut self, run: &Run) {
        if self.awaited.is_empty() {
            return;
        }
        let (views, now) = (self.views(run), self.clock.now);
        let has_files = self.disk.has_files();
        let can = |what: &Happening| match what {
            Happening::Begins(phase) => has_files || !Fault::OF_FILES.contains(&phase.fault),
            _ => true,
        };
        let is_due = |it: &mut Awaited| now >= it.until || (it.stage.is_seen(&views, run.draining) && can(&it.what));
        for due in self.awaited.extract_if(.., is_due) {
            self.queue.push(now, due.what);
        }
    }
}
