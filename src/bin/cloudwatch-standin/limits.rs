//! CloudWatch Logs' limits as this server enforces them, each with its source.
//! Knows nothing of logpump: these are copies on purpose, because a shared constant would hide a shared mistake.

/// Charged per event on top of its message. Source: PutLogEvents API reference, "plus 26 bytes for each log event".
pub const EVENT_CHARGE_BYTES: u64 = 26;
/// Messages (UTF-8) and charges of one call. Source: PutLogEvents API reference, "maximum batch size is 1,048,576 bytes".
pub const UPLOAD_BYTES_MAX: u64 = 1_048_576;
/// One event with its charge. Source: PutLogEvents API reference, "each log event can be no larger than 1 MB"
/// (256 KB before April 2025). That the charge counts towards it is how AWS's refusals of the old limit read.
pub const EVENT_BYTES_MAX: u64 = 1_048_576;
/// Events of one call; the least is 1. Source: PutLogEvents API reference.
pub const EVENTS_MAX: usize = 10_000;
/// Valid events of one call may span so much and no more. Source: PutLogEvents API reference.
pub const SPAN_MS_MAX: i64 = 24 * HOUR_MS;
/// An event further in the future is rejected. Source: PutLogEvents API reference.
pub const FUTURE_MS_MAX: i64 = 2 * HOUR_MS;
/// An event further in the past is rejected. Source: PutLogEvents API reference.
pub const PAST_MS_MAX: i64 = 14 * DAY_MS;

pub const HOUR_MS: i64 = 60 * 60 * 1000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Characters of a log group's or stream's name, at least 1. Source: CreateLogGroup and CreateLogStream API reference.
pub const NAME_CHARS_MAX: usize = 512;
/// Source: CreateLogGroup API reference, "Maximum length of 256".
pub const KMS_KEY_CHARS_MAX: usize = 256;
/// Tags of one group; characters of a tag's key (at least 1) and value. Source: CreateLogGroup API reference.
pub const TAGS_MAX: usize = 50;
pub const TAG_KEY_CHARS_MAX: usize = 128;
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Source: CreateLogGroup API reference, `logGroupClass`.
pub const GROUP_CLASSES: [&str; 3] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"];
/// Days of retention that can be asked for. Source: PutRetentionPolicy API reference.
pub const RETENTION_DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Entries of one page of DescribeLogGroups or DescribeLogStreams. Source: their API reference.
pub const DESCRIBE_MAX: usize = 50;
/// Events and message bytes of one page of GetLogEvents. Source: its API reference,
/// "as many log events as can fit in a response size of 1 MB (up to 10,000 log events)".
pub const PAGE_EVENTS_MAX: usize = 10_000;
pub const PAGE_BYTES_MAX: u64 = 1_048_576;

/// How far a request's date may lie from our clock. Source: Signature Version 4, "within five minutes".
pub const SKEW_S_MAX: i64 = 5 * 60;

/// A body before and after decompression. Ours, not AWS's: a full call of nothing but six-byte escapes and
/// 10,000 events' framing stays below 8 MiB.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A script of faults. Ours: hundreds of faults.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(
    UPLOAD_BYTES_MAX as usize * 6 + EVENTS_MAX * 64 < BODY_BYTES_MAX,
    "no legal call may be refused for its body's size"
);
const _: () = assert!(BODY_BYTES_MAX < u32::MAX as usize, "places in a body are u32");
