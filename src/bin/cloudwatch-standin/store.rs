//! Groups, streams and their events, in memory. Knows nothing of JSON or HTTP, and trusts that names were checked.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::fail::Failure;
use crate::put::parse::Put;

#[derive(Default)]
pub struct Store {
    pub groups: BTreeMap<String, Group>,
    /// Message bytes and places of all kept events.
    pub kept_bytes: u64,
    kept_bytes_max: Option<u64>,
}

pub struct Group {
    pub region: String,
    pub created_ms: i64,
    pub class: String,
    pub kms_key: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub retention_days: Option<i64>,
    pub streams: BTreeMap<String, Stream>,
}

#[derive(Default)]
pub struct Stream {
    pub created_ms: i64,
    pub counts: Counts,
    batches: Vec<Batch>,
    /// In order of their keys when `sorted`.
    events: Vec<Kept>,
    unsorted: bool,
}

/// What a stream was sent and accepted, kept or not.
#[derive(Default, Clone, Serialize)]
pub struct Counts {
    pub calls: u64,
    pub events: u64,
    pub message_bytes: u64,
    pub first_timestamp_ms: Option<i64>,
    pub last_timestamp_ms: Option<i64>,
    pub last_ingestion_ms: Option<i64>,
}

struct Batch {
    ingestion_ms: i64,
    /// All messages of the batch, one behind the other.
    text: String,
}

/// An event's place in order: by time, ties as they arrived. The place of its message as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub timestamp_ms: i64,
    pub batch: u32,
    pub start: u32,
}

impl Key {
    /// Lies before every event.
    pub const FIRST: Key = Key { timestamp_ms: 0, batch: 0, start: 0 };

    /// The least key behind this one: a message is never empty.
    pub fn behind(self) -> Key {
        Key { start: self.start + 1, ..self }
    }
}

#[derive(Clone, Copy)]
pub struct Kept {
    pub key: Key,
    pub message_bytes: u32,
}

/// One event as it is read back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadEvent<'a> {
    pub ingestion_time: i64,
    pub message: &'a str,
    pub timestamp: i64,
}

impl Store {
    /// `None` keeps no events.
    pub fn new(kept_bytes_max: Option<u64>) -> Store {
        Store { kept_bytes_max, ..Store::default() }
    }

    pub fn keeps_events(&self) -> bool {
        self.kept_bytes_max.is_some()
    }

    pub fn group(&self, name: &str) -> Result<&Group, Failure> {
        self.groups.get(name).ok_or_else(Failure::no_group)
    }

    pub fn group_mut(&mut self, name: &str) -> Result<&mut Group, Failure> {
        self.groups.get_mut(name).ok_or_else(Failure::no_group)
    }

    pub fn stream_mut(&mut self, group: &str, stream: &str) -> Result<&mut Stream, Failure> {
        let streams = &mut self.group_mut(group)?.streams;
        streams.get_mut(stream).ok_or_else(Failure::no_stream)
    }

    pub fn delete_group(&mut self, name: &str) -> Result<(), Failure> {
        let group = self.groups.remove(name).ok_or_else(Failure::no_group)?;
        self.kept_bytes -= group.streams.values().map(Stream::kept_bytes).sum::<u64>();
        Ok(())
    }

    pub fn delete_stream(&mut self, group: &str, stream: &str) -> Result<(), Failure> {
        let streams = &mut self.group_mut(group)?.streams;
        let removed = streams.remove(stream).ok_or_else(Failure::no_stream)?;
        self.kept_bytes -= removed.kept_bytes();
        Ok(())
    }

    /// Counts and keeps the `valid` events of a checked call. Returns their message bytes.
    pub fn accept(&mut self, put: &Put, valid: Range<usize>, now_ms: i64) -> Result<u64, Failure> {
        let events = &put.events[valid.clone()];
        let message_bytes = events.iter().map(|event| u64::from(event.message_bytes)).sum();
        let keep_bytes = self.bytes_to_keep(events.len(), message_bytes)?;
        let keeps_events = self.keeps_events();
        let stream = self.stream_mut(&put.group, &put.stream)?;
        if keeps_events && !events.is_empty() {
            stream.keep(put, valid, now_ms);
        }
        let counts = &mut stream.counts;
        counts.calls += 1;
        counts.events += events.len() as u64;
        counts.message_bytes += message_bytes;
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let earliest = counts.first_timestamp_ms.map_or(first.timestamp_ms, |t| t.min(first.timestamp_ms));
            let latest = counts.last_timestamp_ms.map_or(last.timestamp_ms, |t| t.max(last.timestamp_ms));
            counts.first_timestamp_ms = Some(earliest);
            counts.last_timestamp_ms = Some(latest);
            counts.last_ingestion_ms = Some(now_ms);
        }
        self.kept_bytes += keep_bytes;
        Ok(message_bytes)
    }

    /// What keeping so much will take; a failure if that is more than there is room for.
    fn bytes_to_keep(&self, events: usize, message_bytes: u64) -> Result<u64, Failure> {
        let Some(max) = self.kept_bytes_max else {
            return Ok(0);
        };
        let bytes = kept_bytes(events, message_bytes);
        if self.kept_bytes + bytes <= max {
            return Ok(bytes);
        }
        let kept = self.kept_bytes;
        // AWS's ServiceUnavailableException has status 500. Source: PutLogEvents API reference, errors.
        Err(Failure::new(
            500,
            "ServiceUnavailableException",
            format!(
                "This stand-in keeps at most {max} bytes of events, holds {kept} and cannot take {bytes} more: \
                 delete streams, or raise --keep-max, or use --count-only"
            ),
        ))
    }
}

impl Stream {
    pub fn new(created_ms: i64) -> Stream {
        Stream { created_ms, ..Stream::default() }
    }

    fn kept_bytes(&self) -> u64 {
        let text = self.batches.iter().map(|batch| batch.text.len() as u64).sum();
        kept_bytes(self.events.len(), text)
    }

    fn keep(&mut self, put: &Put, valid: Range<usize>, ingestion_ms: i64) {
        let events = &put.events[valid];
        let batch = u32::try_from(self.batches.len()).expect("2^32 batches do not fit in memory");
        let bytes: usize = events.iter().map(|event| event.message_bytes as usize).sum();
        let mut text = String::with_capacity(bytes);
        let last_ms = self.events.last().map_or(0, |kept| kept.key.timestamp_ms);
        self.unsorted |= events[0].timestamp_ms < last_ms;
        for event in events {
            let start = text.len() as u32;
            put.append_message(event, &mut text);
            let key = Key { timestamp_ms: event.timestamp_ms, batch, start };
            self.events.push(Kept { key, message_bytes: event.message_bytes });
        }
        assert_eq!(text.len(), bytes, "a message is as long as it was counted");
        self.batches.push(Batch { ingestion_ms, text });
    }

    /// All events, by time, ties as they arrived.
    pub fn sort(&mut self) {
        if self.unsorted {
            self.events.sort_unstable_by_key(|kept| kept.key);
            self.unsorted = false;
        }
    }

    /// Call `sort` first.
    pub fn events(&self) -> &[Kept] {
        assert!(!self.unsorted, "read before sorting");
        &self.events
    }

    pub fn read(&self, kept: &Kept) -> ReadEvent<'_> {
        let batch = &self.batches[kept.key.batch as usize];
        let start = kept.key.start as usize;
        ReadEvent {
            ingestion_time: batch.ingestion_ms,
            message: &batch.text[start..start + kept.message_bytes as usize],
            timestamp: kept.key.timestamp_ms,
        }
    }
}

fn kept_bytes(events: usize, message_bytes: u64) -> u64 {
    message_bytes + (events * size_of::<Kept>()) as u64
}
