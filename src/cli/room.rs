//! What may be held, and where: memory and the spool, from their options.

use std::path::PathBuf;

use bytesize::ByteSize;

use super::args::{RunArguments, SpoolSyncChoice, WhenFullChoice};
use super::processes;
use crate::limits::{
    ASSEMBLY_PART, BODIES_BYTES_MIN, EVENT_OVERHEAD_BYTES, MARK_BYTES, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN,
    MESSAGE_BYTES_MAX, RING_BYTES_MAX, RING_BYTES_MIN, RING_BYTES_PER_MARK, RINGS_PART, SPOOL_BYTES_MAX,
    SPOOL_BYTES_MIN, TEE_CHUNK_BYTES_MAX, TEE_CHUNKS_MAX, VISIT_BYTES_MAX,
};
use crate::refusal::Refusal;
use crate::run::{Destination, SpoolPlan};
use crate::ship::WhenFull;
use crate::spool::SyncPolicy;

const DEFAULT_DIRECTORY: &str = "logpump-spool";
const DEFAULT_SPOOL: ByteSize = ByteSize::gib(1);
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(64);

/// How `--memory-max` is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Of each child.
    pub ring_bytes: usize,
    /// Of all streams, with what one visit of a ring makes.
    pub body_bytes_max: usize,
    /// Of all streams.
    pub assembly_bytes_max: usize,
}

pub fn memory(arguments: &RunArguments, processes: &[processes::Wish]) -> Result<Memory, Refusal> {
    let (children, joins) = (processes.len(), processes.iter().any(|process| process.join.value));
    let max = arguments.memory_max.unwrap_or(DEFAULT_MEMORY);
    within("--memory-max", max, MEMORY_BYTES_MIN as u64, MEMORY_BYTES_MAX as u64)?;
    let tee = processes.iter().any(|process| process.is_copied(arguments.tee));
    let tee_bytes = if tee { TEE_CHUNKS_MAX * TEE_CHUNK_BYTES_MAX } else { 0 };
    let wish = Wish { children, joins, tee_bytes, ring_bytes_min: RING_BYTES_MIN.max(rustix::param::page_size()) };
    divide(max.as_u64() as usize, wish).ok_or_else(|| {
        let least = ByteSize::b(least(wish) as u64);
        let tee = if tee { " and --tee" } else { "" };
        Refusal::usage(format!("--memory-max: {max} is too little for {children} commands{tee}; {least} is enough"))
    })
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    children: usize,
    /// Lines of any of them wait to be joined.
    joins: bool,
    tee_bytes: usize,
    /// The kernel maps whole pages.
    ring_bytes_min: usize,
}

/// The largest rings that leave enough for bodies. None: not even the smallest do.
fn divide(max: usize, wish: Wish) -> Option<Memory> {
    let mut ring_bytes = RING_BYTES_MAX;
    while ring_bytes >= wish.ring_bytes_min {
        let assembly_bytes_max = assembly_bytes(wish, ring_bytes).min(max / ASSEMBLY_PART);
        let rings_bytes = wish.children * ring_memory_bytes(ring_bytes);
        let rest = max.checked_sub(rings_bytes + wish.tee_bytes + assembly_bytes_max);
        let is_small = wish.children * ring_bytes <= max / RINGS_PART;
        match rest {
            Some(body_bytes_max) if is_small && body_bytes_max >= VISIT_BYTES_MAX + BODIES_BYTES_MIN => {
                return Some(Memory { ring_bytes, body_bytes_max, assembly_bytes_max });
            }
            _ => ring_bytes /= 2,
        }
    }
    None
}

/// In whole MiB.
fn least(wish: Wish) -> usize {
    const MIB: usize = 1024 * 1024;
    let rings = wish.children * wish.ring_bytes_min * RINGS_PART;
    let all = wish.children * ring_memory_bytes(wish.ring_bytes_min) + wish.tee_bytes;
    let all = all + VISIT_BYTES_MAX + BODIES_BYTES_MIN;
    let with_part = (all * ASSEMBLY_PART).div_ceil(ASSEMBLY_PART - 1);
    let all = with_part.min(all + assembly_bytes(wish, wish.ring_bytes_min));
    rings.max(all).max(MEMORY_BYTES_MIN).next_multiple_of(MIB)
}

/// What partial lines and joined ones may come to: with large rings the partial ones stay there.
fn assembly_bytes(wish: Wish, ring_bytes: usize) -> usize {
    let may_leave_ring = ring_bytes / 2 <= MESSAGE_BYTES_MAX;
    if may_leave_ring || wish.joins { wish.children * (MESSAGE_BYTES_MAX + EVENT_OVERHEAD_BYTES) } else { 0 }
}

/// With its marks.
fn ring_memory_bytes(ring_bytes: usize) -> usize {
    ring_bytes + ring_bytes / RING_BYTES_PER_MARK * MARK_BYTES
}

pub fn when_full(arguments: &RunArguments, destination: &Destination) -> WhenFull {
    match (arguments.when_full, destination) {
        (Some(WhenFullChoice::Drop), _) => WhenFull::Drop,
        (Some(WhenFullChoice::Block), _) => WhenFull::Block,
        // A benchmark's lines are to be encoded, however fast they come.
        (None, Destination::Null) => WhenFull::Block,
        (None, _) => WhenFull::Drop,
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

/// The options of an outage that were given, whatever their value, and mean something to CloudWatch Logs only.
pub fn given(arguments: &RunArguments, destination: &Destination) -> impl Iterator<Item = &'static str> {
    let given = [
        ("--when-full", arguments.when_full.is_some() && !matches!(destination, Destination::Null)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * 1024;

    fn wish(children: usize) -> Wish {
        Wish { children, joins: false, tee_bytes: 0, ring_bytes_min: 16 * KIB }
    }

    #[test]
    fn rings_take_at_most_a_quarter_and_are_as_large_as_that_allows() {
        let ring_bytes = |max, children| divide(max, wish(children)).map(|memory| memory.ring_bytes);
        assert_eq!(
            [1, 4, 5, 8].map(|children| ring_bytes(64 * MIB, children)),
            [4, 4, 2, 2].map(|mib| Some(mib * MIB))
        );
        assert_eq!([64, 65, 1024].map(|n| ring_bytes(64 * MIB, n)), [256, 128, 16].map(|kib| Some(kib * KIB)));
        assert_eq!(
            [1, 2, 256, 257].map(|n| ring_bytes(16 * MIB, n)),
            [Some(4 * MIB), Some(2 * MIB), Some(16 * KIB), None]
        );
        assert_eq!(ring_bytes(1024 * MIB, 64), Some(4 * MIB));
    }

    #[test]
    fn bodies_get_what_rings_marks_and_the_copy_to_stdout_leave() {
        let alone = divide(64 * MIB, wish(1)).unwrap();
        assert_eq!(alone.body_bytes_max, 60 * MIB - 256 * KIB);
        // Smaller rings, where the copy needs the room.
        let with_copy = divide(16 * MIB, Wish { tee_bytes: 4 * MIB, ..wish(1) }).unwrap();
        let expected = Memory { ring_bytes: 512 * KIB, body_bytes_max: 10 * MIB + 480 * KIB, assembly_bytes_max: MIB };
        assert_eq!(with_copy, expected);
        // A few whole partial lines.
        assert_eq!(divide(64 * MIB, wish(16)).map(|memory| memory.assembly_bytes_max), Some(4 * MIB));
    }

    #[test]
    fn where_lines_are_joined_each_stream_has_room_for_a_message_however_large_its_ring_is() {
        let joins = |max, children| divide(max, Wish { joins: true, ..wish(children) }).unwrap();
        let expected = Memory {
            ring_bytes: 4 * MIB,
            body_bytes_max: 64 * MIB - (4 * MIB + 256 * KIB) - MIB,
            assembly_bytes_max: MIB,
        };
        assert_eq!(joins(64 * MIB, 1), expected);
        assert_eq!([2, 4, 5, 8, 16].map(|n| joins(64 * MIB, n).assembly_bytes_max), [2, 4, 4, 4, 4].map(|n| n * MIB));
        let least = joins(16 * MIB, 1);
        assert_eq!((least.ring_bytes, least.assembly_bytes_max), (4 * MIB, MIB));
        assert_eq!(divide(64 * MIB, wish(8)).map(|memory| memory.assembly_bytes_max), Some(0));
    }

    #[test]
    fn the_least_that_is_said_to_be_enough_is_enough_and_nearly_the_least() {
        for children in [1, 7, 256, 257, 1000, 1024] {
            for (tee_bytes, ring_bytes_min) in [(0, 16 * KIB), (4 * MIB, 16 * KIB), (0, 64 * KIB), (4 * MIB, 64 * KIB)]
            {
                for joins in [false, true] {
                    let wish = Wish { children, joins, tee_bytes, ring_bytes_min };
                    let least = least(wish);
                    assert!(divide(least, wish).is_some(), "{least} for {wish:?}");
                    assert!(least == MEMORY_BYTES_MIN || divide(least - MIB, wish).is_none(), "{least} for {wish:?}");
                }
            }
        }
    }
}
