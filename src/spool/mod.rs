//! The disk queue: bodies that cannot be sent now, until they can, in this run or in one that adopts them.
//! Knows nothing of calls, streams' fates or rings.

pub mod entry;
pub mod wire;
