//! The way to the service, looked at from a thread of its own runtime's: for `doctor`.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::cloudwatch::{Inspection, Inspector, Target, Try};
use super::parcel::{Label, Parcel};
use super::pump::compress;
use super::{build_runtime, strays};
use crate::batch::{Head, OpenBatch};
use crate::clock;
use crate::lines::Record;
use crate::spool::entry::Address;

/// One event for a real try, encoded as a run's lines are.
pub fn attempt(target: &Target, address: &Address, message: &str, create_group: bool) -> Try {
    let mut batch = OpenBatch::new(&Head::new(&address.group, &address.stream));
    let raw_bytes = message.len() as u32 + 1;
    let record = Record { text: message, raw_bytes, line: 0, begins: true, ends: true };
    assert_eq!(batch.push(&record, clock::wall_ms()), Ok(()), "an empty batch takes any record");
    let label = Label { address: Arc::new(address.clone()), sequence: 0, serial: false, gzip: target.gzip };
    let encode = |json: Vec<u8>| if target.gzip { compress(&json) } else { json };
    Try { entry: Parcel::new(batch.close(), label, encode).entry, create_group }
}

/// Err: it could not be looked at, and why. Bounded in every step; what a resolver or a credential process still does then
/// is left behind or killed.
pub fn inspect(target: &Target, address: &Address, attempt: Option<Try>) -> Result<Inspection, String> {
    let runtime = build_runtime().map_err(|error| error.to_string())?;
    let look = async { Ok(Inspector::load(target, address).await?.look(attempt).await) };
    let inspection = runtime.block_on(look);
    strays::kill();
    Runtime::shutdown_background(runtime);
    inspection
}
