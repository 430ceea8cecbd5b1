//! One entry as bytes: a head {magic, version, place, lengths, checks, address}, tables, payload.
//! Pure. A head is believed only at the place that it names, so that a copy of it elsewhere, as in a payload, is none.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Address, Entry, Sum};
use crate::batch::{Part, Piece};
use crate::ledger::Count;
use crate::limits::{BATCH_EVENTS_MAX, SPOOL_NAME_BYTES_MAX, SPOOL_PAYLOAD_BYTES_MAX};

/// 0xFF stands in no UTF-8 text, so in no payload that is not compressed.
pub const MAGIC: [u8; 8] = *b"\xFFlpspool";
pub const VERSION: u16 = 1;
/// The head without the address's strings.
pub const FIXED_BYTES: usize = 104;
/// The longest head.
pub const HEAD_BYTES_MAX: usize = FIXED_BYTES + 4 * SPOOL_NAME_BYTES_MAX;

const CHECK_AT: usize = 12;
const AFTER_CHECK: usize = 16;
const LENGTH_BYTES: usize = size_of::<u32>();
const PIECE_BYTES: usize = size_of::<u32>() + size_of::<u64>() + 1;
/// Kinds of pieces; the number beside them is a line's position, or how many lines were joined.
const GOES_ON: u8 = 0;
const ENDS: u8 = 1;
const JOINED: u8 = 2;
const SERIAL: u16 = 1;
const GZIP: u16 = 2;

/// Where a record stands: in which file of which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    pub run: u64,
    pub segment: u32,
}

/// What is known of a record without its tables and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub index: u32,
    pub address: Arc<Address>,
    pub sequence: u64,
    pub first_ms: i64,
    pub last_ms: i64,
    pub serial: bool,
    pub gzip: bool,
    pub count: Count,
    events: u32,
    pieces: u32,
    payload_bytes: u32,
    body_check: u32,
    head_bytes: usize,
}

impl Head {
    fn tables_bytes(&self) -> usize {
        self.events as usize * LENGTH_BYTES + self.pieces as usize * PIECE_BYTES
    }

    /// The entry's, as `Entry::sum` has it.
    pub fn sum(&self) -> Sum {
        let tables_bytes = self.events as usize * size_of::<u32>() + self.pieces as usize * size_of::<Piece>();
        let memory_bytes = u64::from(self.payload_bytes) + tables_bytes as u64;
        Sum { entries: 1, memory_bytes, count: self.count }
    }

    /// The whole record's.
    pub fn total_bytes(&self) -> u64 {
        (self.head_bytes + self.tables_bytes()) as u64 + u64::from(self.payload_bytes)
    }
}

/// The entry is larger than a record may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHead {
    /// It may be one: more bytes are needed to tell.
    Short,
    /// No magic here, or its check fails, or it belongs elsewhere.
    Wrong,
    /// Of another version than ours.
    Foreign(u16),
}

/// What `encode` will make of it.
pub fn encoded_bytes(entry: &Entry) -> Result<u64, TooLarge> {
    let Address { region, endpoint, group, stream } = &*entry.address;
    let names = [region, endpoint, group, stream];
    let fits = names.iter().all(|name| name.len() <= SPOOL_NAME_BYTES_MAX)
        && entry.raw_lengths.len() <= BATCH_EVENTS_MAX
        && entry.pieces.len() <= entry.raw_lengths.len()
        && entry.payload.len() <= SPOOL_PAYLOAD_BYTES_MAX;
    let names_bytes: usize = names.iter().map(|name| name.len()).sum();
    let tables_bytes = entry.raw_lengths.len() * LENGTH_BYTES + entry.pieces.len() * PIECE_BYTES;
    if fits { Ok((FIXED_BYTES + names_bytes + tables_bytes + entry.payload.len()) as u64) } else { Err(TooLarge) }
}

/// The record in two parts, of which the second is the payload itself, not a copy.
pub fn encode(entry: &Entry, file: File, at: u64, index: u32) -> [Bytes; 2] {
    let Address { region, endpoint, group, stream } = &*entry.address;
    let names = [region, endpoint, group, stream];
    let count = entry.count();
    let mut bytes = Vec::with_capacity(FIXED_BYTES + 1024 + entry.raw_lengths.len() * LENGTH_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let flags = if entry.serial { SERIAL } else { 0 } | if entry.gzip { GZIP } else { 0 };
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&file.run.to_le_bytes());
    bytes.extend_from_slice(&file.segment.to_le_bytes());
    bytes.extend_from_slice(&index.to_le_bytes());
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(&entry.sequence.to_le_bytes());
    bytes.extend_from_slice(&entry.first_ms.to_le_bytes());
    bytes.extend_from_slice(&entry.last_ms.to_le_bytes());
    bytes.extend_from_slice(&count.lines.to_le_bytes());
    bytes.extend_from_slice(&count.bytes.to_le_bytes());
    for length in [entry.payload.len(), entry.raw_lengths.len(), entry.pieces.len(), 0] {
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
    }
    for name in names {
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
    }
    assert_eq!(bytes.len(), FIXED_BYTES);
    for name in names {
        bytes.extend_from_slice(name.as_bytes());
    }
    let head_bytes = bytes.len();
    for length in &entry.raw_lengths {
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    for piece in &entry.pieces {
        let (number, kind) = match piece.part {
            Part::Cut { line, ends: false } => (line, GOES_ON),
            Part::Cut { line, ends: true } => (line, ENDS),
            Part::Joined { lines } => (u64::from(lines), JOINED),
        };
        bytes.extend_from_slice(&piece.event.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.push(kind);
    }
    let body_check = crc32c::crc32c_append(crc32c::crc32c(&bytes[head_bytes..]), &entry.payload);
    bytes[92..96].copy_from_slice(&body_check.to_le_bytes());
    let check = head_check(&bytes[..head_bytes]);
    bytes[CHECK_AT..AFTER_CHECK].copy_from_slice(&check.to_le_bytes());
    [Bytes::from(bytes), entry.payload.clone()]
}

/// Of everything but itself.
fn head_check(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..CHECK_AT]), &head[AFTER_CHECK..])
}

/// Reads numbers one after the other; the caller has looked at the length.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("so many were taken")
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// The head at the begin of `bytes`, which stand `at` in `file`.
pub fn head(bytes: &[u8], file: File, at: u64) -> Result<Head, NoHead> {
    let magic = bytes.len().min(MAGIC.len());
    if bytes[..magic] != MAGIC[..magic] {
        return Err(NoHead::Wrong);
    }
    if bytes.len() < FIXED_BYTES {
        return Err(NoHead::Short);
    }
    let mut fixed = Reader(&bytes[MAGIC.len()..FIXED_BYTES]);
    let (version, flags, check) = (fixed.u16(), fixed.u16(), fixed.u32());
    if version != VERSION {
        return Err(NoHead::Foreign(version));
    }
    let here = File { run: fixed.u64(), segment: fixed.u32() };
    let (index, here_at) = (fixed.u32(), fixed.u64());
    let (sequence, first_ms, last_ms) = (fixed.u64(), fixed.u64() as i64, fixed.u64() as i64);
    let count = Count::new(fixed.u64(), fixed.u64());
    let (payload_bytes, events, pieces, body_check) = (fixed.u32(), fixed.u32(), fixed.u32(), fixed.u32());
    let lengths = [(); 4].map(|()| usize::from(fixed.u16()));
    let believable = here == file
        && here_at == at
        // Each record before it takes its bytes, so nobody can make us keep bits for entries that cannot be.
        && u64::from(index) <= at / FIXED_BYTES as u64
        && payload_bytes as usize <= SPOOL_PAYLOAD_BYTES_MAX
        && events as usize <= BATCH_EVENTS_MAX
        && pieces <= events
        && lengths.iter().all(|length| *length <= SPOOL_NAME_BYTES_MAX);
    if !believable {
        return Err(NoHead::Wrong);
    }
    let head_bytes = FIXED_BYTES + lengths.iter().sum::<usize>();
    if bytes.len() < head_bytes {
        return Err(NoHead::Short);
    }
    if head_check(&bytes[..head_bytes]) != check {
        return Err(NoHead::Wrong);
    }
    let mut names = Reader(&bytes[FIXED_BYTES..head_bytes]);
    let [region, endpoint, group, stream] = lengths.map(|length| str::from_utf8(names.take(length)).map(str::to_owned));
    let (Ok(region), Ok(endpoint), Ok(group), Ok(stream)) = (region, endpoint, group, stream) else {
        return Err(NoHead::Wrong);
    };
    Ok(Head {
        index,
        address: Arc::new(Address { region, endpoint, group, stream }),
        sequence,
        first_ms,
        last_ms,
        serial: flags & SERIAL != 0,
        gzip: flags & GZIP != 0,
        count,
        events,
        pieces,
        payload_bytes,
        body_check,
        head_bytes,
    })
}

/// The whole record, of which `head` is known. None: it is damaged. The payload shares `record`'s memory.
pub fn entry(head: &Head, record: &Bytes) -> Option<Entry> {
    let body = record.get(head.head_bytes..usize::try_from(head.total_bytes()).ok()?)?;
    if crc32c::crc32c(body) != head.body_check {
        return None;
    }
    let mut tables = Reader(&body[..head.tables_bytes()]);
    let raw_lengths: Vec<u32> = (0..head.events).map(|_| tables.u32()).collect();
    let piece = |_| {
        let (event, number, kind) = (tables.u32(), tables.u64(), tables.take(1)[0]);
        let part = match kind {
            GOES_ON | ENDS => Part::Cut { line: number, ends: kind == ENDS },
            // Each of them has a byte at least.
            JOINED if number > 0 && number <= u64::from(*raw_lengths.get(event as usize)?) => {
                Part::Joined { lines: u32::try_from(number).ok()? }
            }
            _ => return None,
        };
        Some(Piece { event, part })
    };
    let pieces: Vec<Piece> = (0..head.pieces).map(piece).collect::<Option<_>>()?;
    let ordered = pieces.is_sorted_by(|one, next| one.event < next.event);
    let inside = pieces.last().is_none_or(|piece| piece.event < head.events);
    let events = raw_lengths.iter().filter(|length| **length > 0).count();
    if !ordered || !inside || events < pieces.len() {
        return None;
    }
    let payload = record.slice(head.head_bytes + head.tables_bytes()..head.head_bytes + body.len());
    let entry = Entry {
        address: head.address.clone(),
        sequence: head.sequence,
        first_ms: head.first_ms,
        last_ms: head.last_ms,
        serial: head.serial,
        gzip: head.gzip,
        raw_lengths,
        pieces,
        payload,
    };
    (entry.count() == head.count).then_some(entry)
}

#[cfg(test)]
mod tests;
