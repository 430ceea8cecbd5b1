//! The disk queue: bodies that cannot be sent now, until they can, in this run or in one that adopts them.
//! Knows nothing of calls, streams' fates or rings.

pub mod entry;
pub mod wire;

use wire::{Event, Request};

/// Placeholder until the thread is here.
pub struct Handle;
impl Handle {
    pub fn send(&self, _request: Request) {}
    pub fn try_next(&mut self) -> Option<Event> {
        None
    }
    pub fn is_dead(&self) -> bool {
        false
    }
}
