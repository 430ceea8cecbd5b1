//! Packs records into batches by CloudWatch's limits and encodes them at once: a batch is its request body.
//! Knows nothing of where records come from, of the clock (timestamps are given) and of how bodies are sent.

mod escape;
#[cfg(test)]
mod tests;

use std::io::Write;

use self::escape::Escaper;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_SPAN_MS_MAX, BODY_BYTES_MAX, EVENT_OVERHEAD_BYTES, MESSAGE_BYTES_MAX,
};
use crate::lines::Record;

/// A new batch's buffer. It grows by doubling, so a stream with little to say stays small.
const FIRST_BUFFER_BYTES: usize = 4 * 1024;
/// What a returned buffer may keep. Only a lone event of escapes ever needs more.
const KEPT_BUFFER_BYTES_MAX: usize = BODY_BYTES_MAX + FIRST_BUFFER_BYTES;
/// The longest `,{"timestamp":T,"message":"`, copied as a whole because a copy of known length is a few instructions.
const PREFIX_BYTES_MAX: usize = 48;
const EVENT_END: &[u8] = b"\"}";
const TAIL: &[u8] = b"]}";

const _: () = assert!(",{\"timestamp\":-9223372036854775808,\"message\":\"".len() <= PREFIX_BYTES_MAX);

/// The JSON before the first event, shared by all bodies of a stream.
#[derive(Clone, Debug)]
pub struct Head {
    json: Vec<u8>,
}

impl Head {
    pub fn new(group: &str, stream: &str) -> Head {
        let mut json = Vec::new();
        json.extend_from_slice(b"{\"logGroupName\":\"");
        let mut escaper = Escaper::new();
        escaper.append(group, &mut json);
        json.extend_from_slice(b"\",\"logStreamName\":\"");
        escaper.append(stream, &mut json);
        json.extend_from_slice(b"\",\"logEvents\":[");
        Head { json }
    }
}

/// The record does not fit: close the batch and begin another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A batch being filled.
///
/// `charged_bytes <= BATCH_BYTES_MAX`, `events <= BATCH_EVENTS_MAX`, `last_ms - first_ms <= BATCH_SPAN_MS_MAX`,
/// and closed it has at most `BODY_BYTES_MAX` bytes or one event.
pub struct OpenBatch {
    json: Vec<u8>,
    raw_lengths: Vec<u32>,
    pieces: Vec<Piece>,
    /// `,{"timestamp":T,"message":"` with the last event's T: many events share a millisecond.
    prefix: [u8; PREFIX_BYTES_MAX],
    prefix_bytes: usize,
    escaper: Escaper,
    first_ms: i64,
    last_ms: i64,
    charged_bytes: usize,
    lines: u64,
    raw_bytes: u64,
}

impl OpenBatch {
    pub fn new(head: &Head) -> OpenBatch {
        OpenBatch::with_buffer(head, Vec::with_capacity(FIRST_BUFFER_BYTES.max(2 * head.json.len())))
    }

    /// In a finished body's buffer, whose content is forgotten. An oversized one is freed.
    pub fn with_buffer(head: &Head, buffer: Vec<u8>) -> OpenBatch {
        let mut json = buffer;
        json.clear();
        json.shrink_to(KEPT_BUFFER_BYTES_MAX);
        json.extend_from_slice(&head.json);
        OpenBatch {
            json,
            raw_lengths: Vec::new(),
            pieces: Vec::new(),
            prefix: [0; PREFIX_BYTES_MAX],
            prefix_bytes: 0,
            escaper: Escaper::new(),
            first_ms: 0,
            last_ms: 0,
            charged_bytes: 0,
            lines: 0,
            raw_bytes: 0,
        }
    }

    /// Appends an event. `Err(Full)`: it does not fit, and nothing changed. An empty batch takes any record.
    ///
    /// # Panics
    /// On what would fail the whole call, since it is our mistake: an empty or over-long message, and a
    /// timestamp before the last one.
    pub fn push(&mut self, record: &Record<'_>, timestamp_ms: i64) -> Result<(), Full> {
        let text = record.text;
        assert!(!text.is_empty(), "a blank line reached a batch: CloudWatch refuses the whole call");
        assert!(
            text.len() <= MESSAGE_BYTES_MAX,
            "a message of {} bytes reached a batch: CloudWatch takes {MESSAGE_BYTES_MAX}",
            text.len()
        );
        if self.is_empty() {
            self.first_ms = timestamp_ms;
            self.set_timestamp(timestamp_ms);
            // The first event has no comma before it.
            self.json.extend_from_slice(&self.prefix[1..self.prefix_bytes]);
        } else {
            assert!(
                timestamp_ms >= self.last_ms,
                "an event of {timestamp_ms} ms follows one of {} ms: CloudWatch refuses the whole call",
                self.last_ms
            );
            if !self.has_room(text, timestamp_ms) {
                return Err(Full);
            }
            if timestamp_ms != self.last_ms {
                self.set_timestamp(timestamp_ms);
            }
            // All of the array and then back: its length is known to the compiler, the prefix's is not.
            let end = self.json.len() + self.prefix_bytes;
            self.json.extend_from_slice(&self.prefix);
            self.json.truncate(end);
        }
        self.escaper.append(text, &mut self.json);
        self.json.extend_from_slice(EVENT_END);

        let whole = record.begins && record.ends;
        if !whole {
            self.pieces.push(Piece::cut(self.raw_lengths.len() as u32, record.line, record.ends));
        }
        self.raw_lengths.push(record.raw_bytes);
        self.charged_bytes += text.len() + EVENT_OVERHEAD_BYTES;
        self.lines += u64::from(whole);
        self.raw_bytes += u64::from(record.raw_bytes);
        Ok(())
    }

    /// Appends an event of our own, which stands for no line and no pipe byte: its raw length is 0. Otherwise as `push`.
    pub fn push_marker(&mut self, text: &str, timestamp_ms: i64) -> Result<(), Full> {
        // By the same way, so that a line's stays as short as it is.
        self.push(&Record { text, raw_bytes: 0, line: 0, begins: true, ends: true }, timestamp_ms)?;
        self.lines -= 1;
        Ok(())
    }

    /// Appends an event that is so many whole lines. Otherwise as `push`.
    pub fn push_joined(&mut self, record: &Record<'_>, lines: u32, timestamp_ms: i64) -> Result<(), Full> {
        assert!(lines > 0 && record.begins && record.ends, "only whole lines are joined");
        self.push(record, timestamp_ms)?;
        if lines > 1 {
            self.pieces.push(Piece { event: (self.raw_lengths.len() - 1) as u32, part: Part::Joined { lines } });
            self.lines += u64::from(lines - 1);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.raw_lengths.is_empty()
    }

    pub fn events(&self) -> usize {
        self.raw_lengths.len()
    }

    /// What it takes of memory, unused room included.
    pub fn allocated_bytes(&self) -> usize {
        self.json.capacity()
            + self.raw_lengths.capacity() * size_of::<u32>()
            + self.pieces.capacity() * size_of::<Piece>()
    }

    pub fn first_ms(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.first_ms)
    }

    pub fn last_ms(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.last_ms)
    }

    /// Whole lines, also those that share an event; the pieces of cut lines are not among them.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Pipe bytes that the events stand for.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// # Panics
    /// If it is empty: CloudWatch refuses a call without events.
    pub fn close(self) -> Body {
        assert!(!self.is_empty(), "a batch without events was closed: CloudWatch refuses such a call");
        let mut json = self.json;
        json.extend_from_slice(TAIL);
        Body {
            json,
            raw_lengths: self.raw_lengths,
            pieces: self.pieces,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            charged_bytes: self.charged_bytes,
            lines: self.lines,
            raw_bytes: self.raw_bytes,
        }
    }

    /// Whether a further event keeps every limit.
    fn has_room(&self, text: &str, timestamp_ms: i64) -> bool {
        if self.charged_bytes + text.len() + EVENT_OVERHEAD_BYTES > BATCH_BYTES_MAX
            || self.raw_lengths.len() >= BATCH_EVENTS_MAX
            || timestamp_ms.saturating_sub(self.first_ms) > BATCH_SPAN_MS_MAX
        {
            return false;
        }
        // The text's escaped length is worth counting only where it could matter.
        let fixed = self.json.len() + PREFIX_BYTES_MAX + EVENT_END.len() + TAIL.len();
        fixed + escape::bytes_max(text) <= BODY_BYTES_MAX || fixed + escape::bytes(text) <= BODY_BYTES_MAX
    }

    fn set_timestamp(&mut self, timestamp_ms: i64) {
        self.last_ms = timestamp_ms;
        let mut free = &mut self.prefix[..];
        let written = write!(free, ",{{\"timestamp\":{timestamp_ms},\"message\":\"");
        let free_bytes = free.len();
        assert!(written.is_ok(), "the prefix of timestamp {timestamp_ms} is longer than {PREFIX_BYTES_MAX} bytes");
        self.prefix_bytes = PREFIX_BYTES_MAX - free_bytes;
    }
}

/// A finished batch: what one PutLogEvents call carries, with what the ledger must know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The whole request body.
    pub json: Vec<u8>,
    /// The pipe bytes that each event stands for, newline included; 0 for a marker of our own.
    pub raw_lengths: Vec<u32>,
    /// The events that are not exactly one line, in order.
    pub pieces: Vec<Piece>,
    pub first_ms: i64,
    pub last_ms: i64,
    /// As CloudWatch counts: messages and `EVENT_OVERHEAD_BYTES` each.
    pub charged_bytes: usize,
    /// Whole lines.
    pub lines: u64,
    /// The sum of `raw_lengths`.
    pub raw_bytes: u64,
}

/// An event that is not exactly one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its index in the body.
    pub event: u32,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A piece of a longer line.
    Cut {
        /// Stream position of the line's first byte, the same for all its pieces.
        line: u64,
        ends: bool,
    },
    /// So many whole lines, two at least.
    Joined { lines: u32 },
}

impl Piece {
    pub const fn cut(event: u32, line: u64, ends: bool) -> Piece {
        Piece { event, part: Part::Cut { line, ends } }
    }

    /// Whole lines in it.
    pub fn whole_lines(&self) -> u64 {
        match self.part {
            Part::Cut { .. } => 0,
            Part::Joined { lines } => u64::from(lines),
        }
    }

    /// The line that it is a piece of, and whether that ends with it.
    pub fn cut_line(&self) -> Option<(u64, bool)> {
        match self.part {
            Part::Cut { line, ends } => Some((line, ends)),
            Part::Joined { .. } => None,
        }
    }

    /// Lines that end in it.
    pub fn lines_ended(&self) -> u64 {
        match self.part {
            Part::Cut { ends, .. } => u64::from(ends),
            Part::Joined { lines } => u64::from(lines),
        }
    }
}
