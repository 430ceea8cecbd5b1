//! Where a stream's bodies stand, for whoever watches: the simulation, which has to know what a fault met.

use super::creation::Existence;
use super::{CallState, Core};

/// What one stream has where. Bodies, unless named otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Bytes in its ring, and in the assembly buffer of a partial line.
    pub unframed_bytes: usize,
    /// Bytes of memory of its open batch.
    pub open_bytes: usize,
    /// Lines were dropped, and their marker is not packed yet.
    pub has_gap: bool,
    /// Bytes of memory of its bodies.
    pub held_bytes: usize,
    pub waiting: usize,
    pub flying: usize,
    pub resting: usize,
    /// On their way to the disk.
    pub storing: usize,
    /// On disk alone, or in a moment.
    pub on_disk: u64,
    /// Back from the disk.
    pub backlog: usize,
    /// Its creation is asked for, or waits to be.
    pub creating: bool,
    /// A refusal that only a person can mend holds it.
    pub on_hold: bool,
}

impl Core {
    pub fn view(&self, index: usize) -> View {
        let in_state = |flying: bool| {
            let calls = self.calls.iter().flatten().filter(|call| call.stream == index);
            calls.filter(|call| (call.state == CallState::Flying) == flying).count()
        };
        let stream = &self.streams[index];
        View {
            held_bytes: stream.held_bytes,
            waiting: stream.waiting.len(),
            flying: in_state(true),
            resting: in_state(false),
            storing: self.pending().filter(|(owner, _)| *owner == index).count(),
            on_disk: stream.disk.alone,
            backlog: stream.backlog.len(),
            creating: stream.begun && stream.existence != Existence::Exists,
            on_hold: stream.hold_until.is_some(),
            ..View::default()
        }
    }

    /// Calls a second just after they were last throttled; none: they are not limited.
    pub fn rate_per_s(&self) -> Option<f64> {
        self.rate.base_per_s()
    }

    /// Streams of our own, and those of adopted runs.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}
