//! Every number that bounds something: its unit, why it is that, and where it comes from.
//! Knows nothing of the rest; relations between numbers are checked at compile time.

use std::time::Duration;

// ---- CloudWatch Logs -------------------------------------------------------------------------

/// The sum of a call's message bytes (UTF-8) and `EVENT_OVERHEAD_BYTES` an event.
/// Source: PutLogEvents API reference.
pub const BATCH_BYTES_MAX: usize = 1_048_576;
/// Charged per event on top of its message. Source: PutLogEvents API reference.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// Events in one call. Source: PutLogEvents API reference.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// The largest message of one event; longer lines are cut into consecutive events.
/// Source: CloudWatch Logs quotas (1 MB an event since April 2025), less the charge.
pub const MESSAGE_BYTES_MAX: usize = BATCH_BYTES_MAX - EVENT_OVERHEAD_BYTES;
/// The first and the last event of one call lie less than 24 hours apart.
/// Source: PutLogEvents API reference.
pub const BATCH_SPAN_MS_MAX: i64 = 24 * 60 * 60 * 1000 - 1;
/// The encoded size of a body that holds more than one event. Ours, not AWS's: JSON framing and escapes do not
/// count against `BATCH_BYTES_MAX`, and a control character grows six-fold. 10,000 events of one byte need 0.43 MB,
/// so only bodies full of escapes end early.
pub const BODY_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// The longest a JSON string grows: one control byte becomes `\u00XX`.
pub const ESCAPE_GROWTH_MAX: usize = 6;
/// Log group and log stream names. Source: CreateLogStream API reference.
pub const NAME_BYTES_MAX: usize = 512;

const _: () = assert!(MESSAGE_BYTES_MAX + EVENT_OVERHEAD_BYTES <= BATCH_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX < BODY_BYTES_MAX);

// ---- Pipes and rings -------------------------------------------------------------------------

/// The size that we ask for each child's pipe. 1 MiB is 5-15 % faster for lines at full speed and slower for bulk;
/// the kernel's default of 64 KiB fills before a paced reader comes back.
pub const PIPE_BYTES: usize = 256 * 1024;
/// The ring of a pipe is a power of two in this range; all rings together stay below `RINGS_BYTES_MAX`
/// as long as the lower end allows it.
pub const RING_BYTES_MIN: usize = 256 * 1024;
pub const RING_BYTES_MAX: usize = 4 * 1024 * 1024;
pub const RINGS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One mark for this many ring bytes: a mark dates the bytes of at most one read, and at most one is made a millisecond.
pub const RING_BYTES_PER_MARK: usize = 256;

const _: () = assert!(RING_BYTES_MIN.is_power_of_two() && RING_BYTES_MAX.is_power_of_two());
const _: () = assert!(RING_BYTES_MIN >= PIPE_BYTES);

// ---- Pacing ----------------------------------------------------------------------------------

/// The shortest and the longest rest of an active pipe between two reads.
pub const TICK_MIN: Duration = Duration::from_micros(250);
pub const TICK_MAX: Duration = Duration::from_millis(4);
/// After so many reads that found nothing, a pipe is armed instead of read.
pub const EMPTY_TICKS_BEFORE_ARMED: u32 = 4;

/// The most children of one logpump.
pub const CHILDREN_MAX: usize = 1024;

// ---- Calls -----------------------------------------------------------------------------------

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One whole call: connect, send, answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
