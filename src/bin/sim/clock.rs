//! The simulated clocks, and what is to happen when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use logpump::ship::pump::Now;

/// The true time at which a simulation begins, in ms since the epoch: what the service's clock shows.
const TRUE_MS_AT_START: i64 = 1_800_000_000_000;

pub struct Clock {
    base: Instant,
    /// Since the simulation began.
    pub now: Duration,
    /// How far this machine's wall clock is off.
    pub off_ms: i64,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { base: Instant::now(), now: Duration::ZERO, off_ms: 0 }
    }

    pub fn mono(&self) -> Instant {
        self.base + self.now
    }

    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.base)
    }

    pub fn true_ms(&self) -> i64 {
        TRUE_MS_AT_START + self.now.as_millis() as i64
    }

    pub fn wall_ms(&self) -> i64 {
        self.true_ms() + self.off_ms
    }

    pub fn both(&self) -> Now {
        Now { mono: self.mono(), wall_ms: self.wall_ms() }
    }
}

/// What is to happen, by its time; of what happens at the same time, what was asked for first.
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Timed<E>>>,
    next: u64,
}

struct Timed<E> {
    at: Duration,
    order: u64,
    event: E,
}

impl<E> Queue<E> {
    pub fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), next: 0 }
    }

    pub fn push(&mut self, at: Duration, event: E) {
        self.heap.push(Reverse(Timed { at, order: self.next, event }));
        self.next += 1;
    }

    pub fn retain(&mut self, mut which: impl FnMut(&E) -> bool) {
        self.heap.retain(|Reverse(timed)| which(&timed.event));
    }

    pub fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(timed)| timed.at)
    }

    pub fn pop_due(&mut self, now: Duration) -> Option<E> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timed)| timed.event)
    }
}

impl<E> Ord for Timed<E> {
    fn cmp(&self, other: &Timed<E>) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E> PartialOrd for Timed<E> {
    fn partial_cmp(&self, other: &Timed<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Timed<E> {
    fn eq(&self, other: &Timed<E>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Timed<E> {}
