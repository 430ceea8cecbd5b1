//! What may be held, and where: memory and the spool, from their options.

use std::path::PathBuf;

use bytesize::ByteSize;

use super::args::{RunArguments, SpoolSyncChoice, WhenFullChoice};
use crate::limits::{MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, SPOOL_BYTES_MAX, SPOOL_BYTES_MIN};
use crate::refusal::Refusal;
use crate::run::SpoolPlan;
use crate::ship::WhenFull;
use crate::spool::SyncPolicy;

const DEFAULT_DIRECTORY: &str = "logpump-spool";
const DEFAULT_SPOOL: ByteSize = ByteSize::gib(1);
const DEFAULT_MEMORY: ByteSize = ByteSize::mib(64);

pub fn memory_max(arguments: &RunArguments) -> Result<usize, Refusal> {
    let memory = arguments.memory_max.unwrap_or(DEFAULT_MEMORY);
    within("--memory-max", memory, MEMORY_BYTES_MIN as u64, MEMORY_BYTES_MAX as u64)?;
    Ok(memory.as_u64() as usize)
}

pub fn when_full(arguments: &RunArguments) -> WhenFull {
    match arguments.when_full {
        None | Some(WhenFullChoice::Drop) => WhenFull::Drop,
        Some(WhenFullChoice::Block) => WhenFull::Block,
    }
}

/// None: no spool is wanted.
pub fn spool(arguments: &RunArguments) -> Result<Option<SpoolPlan>, Refusal> {
    let max = arguments.spool_max.unwrap_or(DEFAULT_SPOOL);
    if max.as_u64() == 0 {
        if arguments.durable {
            return Err(Refusal::usage(
                "--durable stores every batch in the spool, and --spool-max 0 means no spool; leave one of them out",
            ));
        }
        return Ok(None);
    }
    within("--spool-max", max, SPOOL_BYTES_MIN, SPOOL_BYTES_MAX)
        .map_err(|refusal| Refusal { message: format!("{}; 0 means no spool", refusal.message), ..refusal })?;
    let directory = directory(arguments).unwrap_or_else(|| std::env::temp_dir().join(DEFAULT_DIRECTORY));
    let sync = match arguments.spool_sync {
        Some(SpoolSyncChoice::Never) => SyncPolicy::Never,
        None | Some(SpoolSyncChoice::Interval) => SyncPolicy::Interval,
        Some(SpoolSyncChoice::Always) => SyncPolicy::Always,
    };
    Ok(Some(SpoolPlan { directory, bytes_max: max.as_u64(), sync, durable: arguments.durable }))
}

/// The options of an outage that were given, whatever their value.
pub fn given(arguments: &RunArguments) -> impl Iterator<Item = &'static str> {
    let given = [
        ("--when-full", arguments.when_full.is_some()),
        ("--spool-dir", directory(arguments).is_some()),
        ("--spool-max", arguments.spool_max.is_some()),
        ("--spool-sync", arguments.spool_sync.is_some()),
        ("--durable", arguments.durable),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option)
}

fn directory(arguments: &RunArguments) -> Option<PathBuf> {
    arguments.spool_dir.clone().filter(|path| !path.as_os_str().is_empty())
}

fn within(option: &str, size: ByteSize, least: u64, most: u64) -> Result<(), Refusal> {
    if size.as_u64() < least || size.as_u64() > most {
        let show = |bytes| ByteSize::b(bytes).to_string();
        return Err(Refusal::usage(format!("{option}: {size} is not between {} and {}", show(least), show(most))));
    }
    Ok(())
}
