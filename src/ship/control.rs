//! How far along logpump's own end is: told by `run`, obeyed by the shipping thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys::bell::Bell;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    Run,
    /// The children have ended: deliver what is left.
    Drain,
    /// The time to deliver is over: what is left goes to the disk.
    Spill,
    /// The time for that is over, too. All rings have ended: book what is left.
    GiveUp,
}

pub struct Control {
    phase: AtomicU8,
    bell: Arc<Bell>,
}

impl Control {
    /// `bell` wakes the shipping thread.
    pub fn new(bell: &Arc<Bell>) -> Arc<Control> {
        Arc::new(Control { phase: AtomicU8::new(Phase::Run as u8), bell: bell.clone() })
    }

    pub fn set(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Release);
        self.bell.ring();
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Run,
            1 => Phase::Drain,
            2 => Phase::Spill,
            _ => Phase::GiveUp,
        }
    }

    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}
