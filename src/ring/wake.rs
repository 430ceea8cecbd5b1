//! Who wakes whom, and when: the two sleep protocols between a ring's ends, without the ring.
//! Each side stores what it did, fences, then loads what the other did. With a sequentially consistent fence between
//! the two on BOTH sides, at least one side sees the other: no wake-up is lost. `tests/model.rs` checks all interleavings.

use super::sync::{AtomicBool, AtomicU64, Ordering, fence};

/// Nobody sleeps on this ring.
const AWAKE: u64 = u64::MAX;

/// Ship sleeps until a ring is filled up to a position; intake sleeps on a full ring until there is room.
/// Positions are absolute, since the stream's first byte: relative ones would be met again by the same partial line.
pub struct Wake {
    wake_at: AtomicU64,
    stalled: AtomicBool,
}

impl Default for Wake {
    fn default() -> Wake {
        Wake { wake_at: AtomicU64::new(AWAKE), stalled: AtomicBool::new(false) }
    }
}

impl Wake {
    /// Intake, after it published up to `filled`: must ship be rung?
    pub fn published(&self, filled: u64) -> bool {
        fence(Ordering::SeqCst);
        let wake_at = self.wake_at.load(Ordering::Relaxed);
        // If it is another by now, ship is up and looks again: it must not find its new wish overwritten.
        wake_at <= filled && self.wake_at.compare_exchange(wake_at, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Ship, before it sleeps: be rung once the ring is filled up to `wake_at`. Look at the ring again after this.
    pub fn sleep_until(&self, wake_at: u64) {
        self.wake_at.store(wake_at, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Ship, after it slept: no ring is needed while it works.
    pub fn awake(&self) {
        self.wake_at.store(AWAKE, Ordering::Relaxed);
    }

    /// Intake, before it leaves a full ring alone. Look at the ring again after this.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Ship, after it released bytes, once there is room enough: must intake be rung?
    pub fn released(&self) -> bool {
        fence(Ordering::SeqCst);
        self.stalled.load(Ordering::Relaxed)
            && self.stalled.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Intake: is the ring still waiting for room?
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Intake saw the room itself.
    pub fn resume(&self) {
        self.stalled.store(false, Ordering::Relaxed);
    }
}
