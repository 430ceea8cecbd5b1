//! logpump: runs its children and carries their output to CloudWatch Logs, so that a child never waits for logging.
//!
//! The way of a line, in the order of the modules it meets:
//! `child` spawns the writer; `intake` moves bytes from its pipe into its `ring`; `ship` takes them out, lets `lines`
//! frame them and `batch` encode them, and sends the bodies. `ledger` counts every end a line can have, `report` says
//! it, `run` wires it all; `doctor` looks whether it would work. `sys` holds the only `unsafe`; `limits` every number.

pub mod batch;
pub mod child;
pub mod cli;
pub mod clock;
pub mod doctor;
pub mod fault;
pub mod intake;
pub mod ledger;
pub mod limits;
pub mod lines;
pub mod refusal;
pub mod report;
pub mod ring;
pub mod run;
pub mod ship;
pub mod spool;
pub mod sys;
