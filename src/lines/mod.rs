//! From bytes to lines: pure, without I/O and without a clock.
//! Knows nothing of where the bytes come from (a ring's occupied slice) nor of what becomes of the lines.

mod frame;
pub mod join;
pub mod level;
pub mod mask;
pub mod rules;
pub mod signature;
#[cfg(test)]
mod tests;
mod text;

pub use frame::{Framer, Record, Skipped, SkippedPiece, Taken};
