//! One logpump of the fleet: the real ship core, and what its children have written, counted in bodies.

use std::sync::Arc;
use std::time::Instant;

use logpump::batch::Body;
use logpump::ship::answer::{Answer, Rejected};
use logpump::ship::core::{Action, Core, Options};
use logpump::ship::parcel::Parcel;
use logpump::spool::entry::Address;

/// As `--max-in-flight` and `--stream-window` are by default.
const WINDOW: usize = 8;

pub struct Pump {
    core: Core,
    /// Bodies that the core has not taken yet: in the open batch, the ring, the spool.
    stock: u64,
    in_core: u64,
    room: u64,
    pub dropped: u64,
    pub held_max: u64,
}

/// What goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Put(usize),
    CreateStream,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Done,
    Throttled,
    /// Nobody answered.
    Refused,
}

impl Pump {
    pub fn new(address: Arc<Address>, seed: u64, room: u64) -> Pump {
        let options = Options {
            max_in_flight: WINDOW,
            stream_window: WINDOW,
            create_group: false,
            body_bytes_max: usize::MAX,
            disk: None,
            seed,
        };
        let core = Core::new(vec![address], options);
        Pump { core, stock: 0, in_core: 0, room, dropped: 0, held_max: 0 }
    }

    pub fn write(&mut self, bodies: u64) {
        let taken = bodies.min(self.room - self.held());
        self.stock += taken;
        self.dropped += bodies - taken;
        self.held_max = self.held_max.max(self.held());
    }

    pub fn held(&self) -> u64 {
        self.stock + self.in_core
    }

    /// The next call that goes out now.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        loop {
            while self.stock > 0 && self.core.accepts(0, false) {
                let label = self.core.next_label(0, false, false);
                self.core.offer(0, Parcel::new(body(), label, |json| json));
                self.stock -= 1;
                self.in_core += 1;
            }
            match self.core.poll(now)? {
                Action::Send { call, .. } => return Some(Call::Put(call)),
                Action::CreateStream { .. } => return Some(Call::CreateStream),
                Action::Say(_) => {}
                action => unreachable!("the group exists: {action:?}"),
            }
        }
    }

    pub fn answered(&mut self, call: Call, verdict: Verdict, now: Instant) {
        let answer = match verdict {
            Verdict::Done => Answer::Accepted(Rejected::default()),
            Verdict::Throttled => Answer::Throttled,
            Verdict::Refused => Answer::Unavailable { detail: "refused".to_owned(), lost: false },
        };
        match call {
            Call::CreateStream => self.core.stream_created(0, answer, now),
            Call::Put(call) => {
                self.in_core -= u64::from(verdict == Verdict::Done);
                self.core.answered(call, answer, now);
            }
        }
    }

    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.core.next_due(now)
    }
}

/// One line of one byte: what a body holds is no matter here.
fn body() -> Body {
    Body {
        json: Vec::new(),
        raw_lengths: vec![1],
        pieces: Vec::new(),
        first_ms: 0,
        last_ms: 0,
        charged_bytes: 0,
        lines: 1,
        raw_bytes: 1,
    }
}
