//! The only place with `unsafe`: what the kernel shares with us. Each file wraps one thing so that its callers need none.
//! Knows nothing of lines, logs or policy.

pub mod bell;
pub mod environment;
pub mod mirror;
pub mod new_file;
pub mod open_files;
pub mod probe;
pub mod sha256;
pub mod signals;
pub mod spawn;
pub mod task;
pub mod time_sync;
pub mod uring;
