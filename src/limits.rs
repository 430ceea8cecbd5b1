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
/// The ring of a pipe is a power of two in this range, and no smaller than a page. The lower end lets `CHILDREN_MAX` fit
/// the default of `--memory-max`; such a ring is slow, for a read brings little.
pub const RING_BYTES_MIN: usize = 16 * 1024;
pub const RING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A ring of at most so much (that is: of nine children or more, by default) is visited at an eighth, not a quarter, where
/// ship is awake anyway: else the rings of many children wake it one by one, each time for a look at all of them.
pub const RING_BYTES_EARLY_MAX: usize = 1024 * 1024;
/// All rings together take at most this part of `--memory-max`: one in so many bytes.
pub const RINGS_PART: usize = 4;
/// The same of all partial lines that outgrow half their ring, where rings are so small that a line can, and of all lines
/// that wait to be joined: a few at the same time may grow to a whole message, more are cut.
pub const ASSEMBLY_PART: usize = 16;
/// The searches for one's own pattern look at a byte of a line so many times at most, on average: else the line is masked whole.
/// Most patterns look at it twice.
pub const MASK_SEARCHED_PER_BYTE_MAX: usize = 16;
/// And at so many bytes of any line, however short it is.
pub const MASK_SEARCHED_BYTES_MIN: usize = 4096;
/// A traceback that is joined to one event is whole when no line came for so long: more than a child stands still that has
/// used up its CPU time (a period of the kernel's bandwidth control is 100 ms).
pub const JOIN_WAIT: Duration = Duration::from_millis(250);
/// It is not waited for any longer than this, whatever comes.
pub const JOIN_OPEN_MAX: Duration = Duration::from_secs(5);
/// Of the lines behind that of an exception, which may be the rest of its message, notes, or another's, so many are joined.
pub const JOIN_TAIL_LINES_MAX: u32 = 16;
/// Each stream may join so many bytes to an event, however little memory there is; else as many as a message holds.
pub const JOIN_BYTES_MIN: usize = 4096;
/// A text that was joined and takes more memory than this is freed once it is packed: what an idle stream keeps, others
/// cannot join. No more than each stream has in any case.
pub const JOIN_KEPT_BYTES_MAX: usize = JOIN_BYTES_MIN;
/// Pipe bytes of a joined event: more than its message only if white space was cut, and less than their count can hold.
pub const JOIN_RAW_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// With less room than this a ring counts as full. A child may have set its pipe to packets (O_DIRECT), of at most PIPE_BUF
/// bytes each, and the kernel throws away what of a packet does not fit into a read. Source: pipe(2).
pub const READ_BYTES_MIN: usize = 4096;
/// One mark for this many ring bytes: a mark dates the bytes of at most one read, and at most one is made a millisecond.
pub const RING_BYTES_PER_MARK: usize = 256;
/// What a mark takes of memory.
pub const MARK_BYTES: usize = 16;

const _: () = assert!(RING_BYTES_MIN.is_power_of_two() && RING_BYTES_MAX.is_power_of_two());
const _: () = assert!(READ_BYTES_MIN <= RING_BYTES_MIN / 4);

// ---- Pacing ----------------------------------------------------------------------------------

/// The shortest and the longest rest of an active pipe between two reads.
pub const TICK_MIN: Duration = Duration::from_micros(250);
pub const TICK_MAX: Duration = Duration::from_millis(4);
/// After so many reads that found nothing, a pipe is armed instead of read.
pub const EMPTY_TICKS_BEFORE_ARMED: u32 = 4;

/// A pipe that was at least half full after the shortest rest is armed, for its writer blocks more often than it is
/// woken for; it stays so while every read brings this much. A wake-up costs 5-10 us, copying this much 5 us.
pub const BULK_READ_BYTES_MIN: usize = 16 * 1024;

const _: () = assert!(BULK_READ_BYTES_MIN <= PIPE_BYTES / 2);

/// The most children of one logpump.
pub const CHILDREN_MAX: usize = 1024;

/// How long ship, when it has failed, waits for the intake to end the rings, which takes it a moment: what is in them can
/// then be booked to the line.
pub const RINGS_END_WAIT: Duration = Duration::from_millis(250);

// ---- Calls -----------------------------------------------------------------------------------

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One whole call: connect, send, answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of one answer. AWS's have a few hundred bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Each step of `doctor` beside connecting and the real try: loading settings and credentials, resolving a name, asking.
pub const INSPECT_STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Log groups that one `doctor` looks at: each may take such steps.
pub const DOCTOR_PLACES_MAX: usize = 8;
/// Lines of `doctor` for commands that would start: what it says is to fit a screen. Those that would not are all said.
pub const DOCTOR_COMMANDS_MAX: usize = 4;

/// At the end of a run, calls that were not answered for so long are named as what stood in the way; shorter ones are on
/// their way as any call is.
pub const UNANSWERED_BEFORE_SAID: Duration = Duration::from_secs(1);

/// With `--log-level debug`: calls of which a line is written, within a second. Of more, only their number is.
pub const CALLS_TOLD_PER_S_MAX: u32 = 100;

/// Bodies that a stream may have waiting for a place in the window: one to go next, one being finished.
pub const WAITING_BODIES_PER_STREAM_MAX: usize = 2;
/// Beyond the bodies in flight, so many bodies' worth of bytes may wait, over all streams.
pub const WAITING_BODIES_MAX: usize = 4;
/// What one body takes when we count how many may be held: a full batch of 150-byte lines is 1.15 MB of JSON.
pub const BODY_BYTES_TYPICAL: usize = BATCH_BYTES_MAX + BATCH_BYTES_MAX / 4;
/// What one visit of a ring makes at most: a body of one event that grows as far as JSON can; and room for another
/// stream's body, so that one that fills memory leaves some to others.
pub const VISIT_BYTES_MAX: usize = ESCAPE_GROWTH_MAX * MESSAGE_BYTES_MAX + BODY_BYTES_MAX;
/// After so many bytes of bodies, ship looks at what came in meanwhile: a full body takes a millisecond, or many where CPU
/// is short. Two, since two are hashed in little more time than one.
pub const TURN_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// The least that is left of `--memory-max` for bodies, open and finished, beside what one visit makes: about one and
/// the next.
pub const BODIES_BYTES_MIN: usize = 2 * BATCH_BYTES_MAX;
/// CreateLogStream calls at the same time: the quota is 50 a second for the whole account and region.
/// Source: CloudWatch Logs quotas.
pub const CREATIONS_IN_FLIGHT_MAX: usize = 8;

/// The first back-off of a call that was throttled or failed; it doubles with every attempt, and the wait is drawn
/// evenly between nothing and it ("full jitter").
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The same for what only a person can mend: a missing group, a missing right, a wrong name.
pub const BACKOFF_SLOW_FIRST: Duration = Duration::from_secs(2);
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// While the last lines are being delivered, nothing is gained by waiting long.
pub const BACKOFF_DRAIN_MAX: Duration = Duration::from_secs(1);

/// A stream that was missing again so often is worth a message: by then it has been so for about half a minute.
pub const ATTEMPTS_BEFORE_SAID: u32 = 10;

/// Lone events of a stream that the service called invalid, with no success between, from which on it is not the events
/// but something that only a person can mend: a name, an endpoint. Two bad lines in a row are likelier than three.
pub const SUSPECTS_MAX: usize = 3;
/// While that lasts, the tries take events out of a stream's bodies until it has so many. Each takes some hundred bytes
/// beside its events, and a call of its own later.
pub const REFUSED_PIECES_MAX: usize = 64;
/// Bodies, and parts of bodies, of a stream in that state; its share of the bytes bounds them too.
pub const SLOW_WAITING_MAX: usize = 1024;
/// Tries one after the other before each wait, while that lasts: they find a good event behind a row of bad ones.
pub const SLOW_TRIES_MAX: u32 = 8;
/// What is said of invalid events, once each time that some are found, so many times a stream.
pub const INVALID_SAID_MAX: u32 = 10;
/// A service fails a call now and then: what an ended run left is tried so often before its stream waits for better
/// times, and the end does not wait for it.
pub const ADOPTED_TRIES: u32 = 4;
/// Only while each failure comes sooner than this: a service that hangs would hold up the end for each try.
pub const ADOPTED_QUICK: Duration = Duration::from_secs(1);

/// Of an invalid event's message.
pub const EXCERPT_CHARACTERS_MAX: usize = 100;

/// Credentials are loaded anew at most so often, however many streams are refused: each time may take a process or a call.
pub const RENEWAL_INTERVAL: Duration = BACKOFF_SLOW_FIRST;

// ---- Spool, as ship uses it ------------------------------------------------------------------

/// Bodies that ship may have given to the spool and that are not stored yet; beyond it the disk counts as slow.
pub const SPOOL_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a writer may be made to wait, with its ring full, before its lines are dropped; and what part (one in so many)
/// of the time that no shortage lasts is added to what is left of it.
pub const PATIENCE_MAX: Duration = Duration::from_secs(1);
pub const PATIENCE_SHARE: u32 = 100;
/// A ring that was full at every visit for so long is emptied, though there is room for its lines: it fills faster
/// than one thread can encode.
pub const CPU_SHORT_AFTER: Duration = Duration::from_secs(10);
/// Lines that are dropped after so long without a drop for the same reason are another trouble, and said again: a log of a
/// day then has some hundred such messages at most, of each reason.
pub const DROPPING_OVER_AFTER: Duration = Duration::from_secs(300);
/// Bodies that came back from the disk and wait for a call: one to go next, one on its way.
pub const BACKLOG_AHEAD_BODIES: usize = 2;
/// Streams of adopted runs that are known at the same time; idle ones make room for others.
pub const ADOPTED_STREAMS_MAX: usize = 512;
/// The service refuses events that are older. Source: PutLogEvents API reference.
pub const EVENT_AGE_MS_MAX: i64 = 14 * 24 * 60 * 60 * 1000;
/// And those that are further ahead of its clock. Source: the same.
pub const EVENT_AHEAD_MS_MAX: i64 = 2 * 60 * 60 * 1000;
/// At the end a service that only ended runs knew has so long for its first answer, from the first call on.
pub const ELSEWHERE_END_WAIT: Duration = Duration::from_secs(1);

// ---- Call rate -------------------------------------------------------------------------------
// Of one pump, once the service has throttled it. Ours; chosen with `sim fleet`, which shows what becomes of a change.

/// What is left of the rate when a call is throttled.
pub const RATE_DECREASE: f64 = 0.75;
/// How much faster each second, in calls a second, soon after a decrease. More of it makes shares equal sooner and has
/// more calls throttled: at a share of 5 calls a second about every sixth.
pub const RATE_INCREASE_PER_S2: f64 = 1.0;
/// After so long without throttling the rate has grown twice as much as that, later with the cube of the time: from
/// any rate to 320 calls a second (8 in flight, 25 ms each) it is less than 15 s.
pub const RATE_QUIET: Duration = Duration::from_secs(3);
/// The lowest rate: with jitter, 1.5 s between two calls at most. 5,000 pumps at it use the whole default quota.
pub const RATE_MIN_PER_S: f64 = 1.0;
/// A limit that has grown to this is none: it is the default quota of a whole account and region.
/// Source: CloudWatch Logs quotas.
pub const RATE_FREE_PER_S: f64 = 5_000.0;
/// An outage that lasts so long is said; the first, if nothing ever got through, at once.
pub const OUTAGE_SAID_AFTER: Duration = Duration::from_secs(5);
/// Throttling that has lasted so long is worth a message.
pub const THROTTLED_BEFORE_SAID: Duration = Duration::from_secs(30);
/// What "the calls used lately" means: about the last second.
pub const RATE_USED_OVER: Duration = Duration::from_secs(1);

// ---- Timestamps ------------------------------------------------------------------------------

/// How far timestamps may run ahead of the wall clock so that no two batches of a stream share a millisecond.
/// The service refuses events more than 2 hours ahead.
pub const AHEAD_OF_CLOCK_MS_MAX: i64 = 1000;

// ---- Own output ------------------------------------------------------------------------------

/// `--tee` holds at most this many chunks of at most this many bytes: 4 MiB.
pub const TEE_CHUNKS_MAX: usize = 64;
pub const TEE_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// What a message repeats of an error of the service.
pub const ERROR_CHARACTERS_MAX: usize = 600;
/// logpump's own messages that may wait for a slow stderr; more are dropped and counted.
pub const OWN_MESSAGES_MAX: usize = 1024;
/// The SDK's clients, one per region and endpoint: adopted runs may have had others than we.
pub const SDK_CLIENTS_MAX: usize = 8;
/// The SDK's blocking calls (name resolution) at the same time.
pub const SDK_THREADS_MAX: usize = 4;
/// Processes of a `credential_process` that are killed at our end: a shell, a program, a few helpers.
pub const STRAYS_MAX: usize = 64;

// ---- Embedded sink ---------------------------------------------------------------------------

/// One write(2) to a file.
pub const FILE_WRITE_BYTES_MAX: usize = 1024 * 1024;
/// How long to wait before a failed write is tried again.
pub const FILE_RETRY: Duration = Duration::from_secs(1);

// ---- Options ---------------------------------------------------------------------------------

/// Of a file of certificates: all public authorities take a quarter of a megabyte.
pub const CERTIFICATES_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a log group that is created may be like. Source: PutRetentionPolicy and CreateLogGroup API references.
pub const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
pub const TAGS_MAX: usize = 50;
pub const TAG_KEY_CHARACTERS_MAX: usize = 128;
pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;
pub const KMS_KEY_BYTES_MAX: usize = 256;

/// How often counters are told to StatsD, at most. Ours: its own servers sum up over 10 s.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(1);

/// Of a configuration file: more processes than may run fit, and a wrong path to something huge is not read.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Of variables that nothing reads, those that are named, each with a line; the others are counted. Ours: a screen.
pub const STRAY_VARIABLES_SAID_MAX: usize = 8;

pub const FLUSH_INTERVAL_MIN: Duration = Duration::from_millis(10);
pub const FLUSH_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
/// Of --grace, --drain-timeout and --eof-grace.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// `--memory-max`. The lower end is enough for one child with the largest ring, and for lines of it that are joined.
pub const MEMORY_BYTES_MIN: usize = 16 * 1024 * 1024;
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024 * 1024;
const _: () = assert!(
    RING_BYTES_MAX + RING_BYTES_MAX / 16 + MEMORY_BYTES_MIN / ASSEMBLY_PART + VISIT_BYTES_MAX + BODIES_BYTES_MIN
        <= MEMORY_BYTES_MIN
);
/// `--spool-max`, if it is not 0. The lower end holds a few batches; the upper one is beyond any node's disk.
pub const SPOOL_BYTES_MIN: u64 = 8 * 1024 * 1024;
pub const SPOOL_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024 * 1024;
/// What our own end may take beside the waits that the user set: joining threads, the last messages, the report.
pub const END_SLACK: Duration = Duration::from_millis(800);
/// The report has so much of it at the least, also when the threads have taken it all.
pub const REPORT_WAIT_MIN: Duration = Duration::from_millis(200);

const _: () = assert!(RINGS_END_WAIT.as_millis() < END_SLACK.as_millis());
// ---- Health ----------------------------------------------------------------------------------

/// Health conditions of one process. The service's images have four.
pub const HEALTH_CONDITIONS_MAX: usize = 8;
/// Checks that run at the same time, over all processes; more wait for their turn. Each is a process or several: more of
/// them at once would be a load of their own.
pub const HEALTH_CHECKS_MAX: usize = 16;
/// The shortest rest between two checks of one condition: what is started more often is no check but work.
pub const HEALTH_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Failures in a row that may be asked for.
pub const HEALTH_RETRIES_MAX: u32 = 1000;
/// Of what a check wrote the end is kept. Docker keeps as much of the beginning.
pub const HEALTH_TAIL_BYTES: usize = 4096;
/// Of a check's command, in messages.
pub const HEALTH_COMMAND_CHARS_SAID: usize = 200;
/// A status is one word. Source: the buffer that the images of Amazon MWAA receive it in.
pub const HEALTH_DATAGRAM_BYTES: usize = 1024;
/// After so much of a check's output, or so many datagrams, their source rests: a flood of either costs little CPU.
pub const HEALTH_READ_BYTES: usize = 64 * 1024;
pub const HEALTH_DATAGRAMS_MAX: usize = 64;
pub const HEALTH_REST: Duration = Duration::from_millis(10);
/// Where the kernel has no pidfd, a running check is looked at so often.
pub const HEALTH_LOOK: Duration = Duration::from_millis(100);
/// A change of a condition is said at once, the next not sooner than this: one that comes and goes fills no log.
pub const HEALTH_SAID_EVERY: Duration = Duration::from_secs(10);
/// What the end of logpump may wait for the thread: it kills what runs, and waits for nothing itself.
pub const HEALTH_END_WAIT: Duration = Duration::from_millis(200);

const _: () = assert!(HEALTH_END_WAIT.as_millis() < END_SLACK.as_millis());

// ---- Spool -----------------------------------------------------------------------------------

/// What storing the last bodies may take after --drain-timeout.
pub const SPILL_TIME: Duration = Duration::from_secs(1);
/// The spool's own end: closing its files.
pub const SPOOL_END_WAIT: Duration = Duration::from_millis(500);

/// A segment is this part of --spool-max, inside the two bounds: disk is given back a segment at a time, so a spool
/// has room for dozens; and a file is made and synced for each, so they are not small.
pub const SPOOL_SEGMENTS: u64 = 64;
pub const SPOOL_SEGMENT_BYTES_MIN: u64 = 1024 * 1024;
pub const SPOOL_SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The largest record that is written, or believed when read: a lone event of escapes needs six times its message.
pub const SPOOL_PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of one string of an address: names have at most `NAME_BYTES_MAX`, an endpoint is a URL.
pub const SPOOL_NAME_BYTES_MAX: usize = 4096;
/// Read at a time when looking for records. More than a record's head has, so that one look suffices.
pub const SPOOL_WINDOW_BYTES: usize = 64 * 1024;
/// Group commit: fdatasync costs the same for 64 KiB and for 1 MiB (measured, 1.8 ms).
pub const SPOOL_SYNC_BYTES: u64 = 1024 * 1024;
pub const SPOOL_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long a read, a deletion or a journal's write rests after it failed; and a spool that refused a body is not asked
/// before, unless room was made. Each time that it refuses the next, it is asked half as often, down to the other.
pub const SPOOL_RETRY: Duration = Duration::from_secs(1);
pub const SPOOL_RETRY_MAX: Duration = Duration::from_secs(10);
/// A spool that has not answered for so long is not waited for any more: what it was given is taken back, and sent. Long
/// enough for a busy disk, and short enough for who reads the lines; at the end there may be --drain-timeout only.
pub const SPOOL_ANSWER_WAIT: Duration = Duration::from_secs(5);
pub const SPOOL_ANSWER_WAIT_AT_END: Duration = Duration::from_secs(1);
/// A part of a file that failed to be read so often, with rests of `SPOOL_RETRY`, counts as damaged: a disk that fails for
/// less than a minute costs nothing.
pub const SPOOL_READS_MAX: u32 = 60;
/// The same in a segment of which a part has failed so often already: 16 MiB have hundreds of parts.
pub const SPOOL_READS_MAX_IN_BAD: u32 = 3;
/// A segment in which damage is found again and again is given up after so many scans.
pub const SPOOL_SCANS_MAX: u32 = 8;
/// So many segments in a row that were removed as soon as they were made are a reason to refuse a body.
pub const SPOOL_VANISHED_MAX: u32 = 3;
/// With `--durable`, a batch that has been open for so long ends, if less than this part of --max-in-flight is under way:
/// what is in no body yet is what a kill costs. At most 20 calls a second of a stream that would have made one, so only
/// while they are in nobody's way: with 25 ms a call, two of eight are enough for 80.
pub const DURABLE_FLUSH: Duration = Duration::from_millis(50);
pub const DURABLE_FLUSH_SHARE: usize = 4;
/// How often it is looked whether the spool's directory is still where it should be, while it holds something and nothing
/// is written: a stat a run.
pub const SPOOL_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A directory is tried under so many names before it is said that it cannot be made.
pub const SPOOL_DIRECTORY_TRIES_MAX: u32 = 8;

const _: () = assert!(SPOOL_END_WAIT.as_millis() < END_SLACK.as_millis());
const _: () = assert!(SPOOL_PAYLOAD_BYTES_MAX > ESCAPE_GROWTH_MAX * MESSAGE_BYTES_MAX);
const _: () = assert!(SPOOL_NAME_BYTES_MAX <= u16::MAX as usize && SPOOL_NAME_BYTES_MAX >= NAME_BYTES_MAX);
const _: () = assert!(SPOOL_WINDOW_BYTES > 8 * SPOOL_NAME_BYTES_MAX);
