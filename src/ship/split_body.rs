//! A finished body becomes two, between two of its events: so that an event that the service refuses can be singled out.
//! Works on the bytes that were sent, since nothing else is left of the lines. Pure.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use memchr::memmem;
use serde::Deserialize;

use crate::batch::Piece;
use crate::limits::{BODY_BYTES_MAX, ESCAPE_GROWTH_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use crate::spool::entry::Entry;

/// What stands between two events. It cannot stand in a message or a name: a quote in those is escaped, so before it
/// is a backslash and no brace.
const BOUNDARY: &[u8] = b"},{\"timestamp\":";
/// What stands before the first event, where it cannot stand in a name either.
const EVENTS: &[u8] = b"\"logEvents\":[";
const TAIL: &[u8] = b"]}";
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The largest body of ours: full of events, or with a single one that is all escapes.
const JSON_BYTES_MAX: usize = {
    let lone = ESCAPE_GROWTH_MAX * (MESSAGE_BYTES_MAX + 2 * NAME_BYTES_MAX) + 256;
    if lone > BODY_BYTES_MAX { lone } else { BODY_BYTES_MAX }
};

/// An event, as a person needs it to find out what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    pub timestamp: i64,
    pub message: String,
}

/// A payload in two, and what is known of its times only now.
#[derive(Debug, PartialEq, Eq)]
struct Halves {
    left: Bytes,
    right: Bytes,
    /// Of the left half's last event and of the right half's first.
    left_last_ms: i64,
    right_first_ms: i64,
}

impl Halves {
    /// Do both have events of one millisecond? Then the right one has to wait for the left one: a reader sorts by
    /// timestamp, and sees what is alike in the order in which it came.
    fn share_a_millisecond(&self) -> bool {
        self.left_last_ms == self.right_first_ms
    }
}

/// The body's first `count` events, and the rest. None: it has no such two parts, or is not one of ours.
pub fn split_entry(entry: &Entry, count: usize) -> Option<(Entry, Entry)> {
    let halves = split_payload(&entry.payload, entry.raw_lengths.len(), count)?;
    let (left_lengths, right_lengths) = entry.raw_lengths.split_at(count);
    let (left_pieces, right_pieces) = split_pieces(&entry.pieces, count);
    let right = Entry {
        address: entry.address.clone(),
        first_ms: halves.right_first_ms,
        serial: entry.serial || halves.share_a_millisecond(),
        raw_lengths: right_lengths.to_vec(),
        pieces: right_pieces,
        payload: halves.right.clone(),
        ..*entry
    };
    let left = Entry {
        address: entry.address.clone(),
        last_ms: halves.left_last_ms,
        raw_lengths: left_lengths.to_vec(),
        pieces: left_pieces,
        payload: halves.left,
        ..*entry
    };
    Some((left, right))
}

/// The pieces of the first `count` events, and the rest, whose indices begin anew.
fn split_pieces(pieces: &[Piece], count: usize) -> (Vec<Piece>, Vec<Piece>) {
    let (left, right) = pieces.split_at(pieces.partition_point(|piece| (piece.event as usize) < count));
    let shifted = right.iter().map(|piece| Piece { event: piece.event - count as u32, ..*piece });
    (left.to_vec(), shifted.collect())
}

/// A payload of `events` events, JSON or JSON compressed, after its first `count`. Both parts are as the whole was.
fn split_payload(payload: &Bytes, events: usize, count: usize) -> Option<Halves> {
    if count == 0 || count >= events {
        return None;
    }
    let gzip = payload.starts_with(GZIP_MAGIC);
    let json = if gzip { Bytes::from(inflate(payload)?) } else { payload.clone() };
    let head = memmem::find(&json, EVENTS)? + EVENTS.len();
    // An event begins behind its boundary's comma.
    let mut begins = vec![head];
    begins.extend(memmem::find_iter(&json[head..], BOUNDARY).map(|at| head + at + 2));
    if begins.len() != events || !json.ends_with(TAIL) {
        return None;
    }
    let halves = Halves {
        left_last_ms: timestamp(&json[begins[count - 1]..])?,
        right_first_ms: timestamp(&json[begins[count]..])?,
        left: Bytes::from([&json[..begins[count] - 1], TAIL].concat()),
        right: Bytes::from([&json[..head], &json[begins[count]..]].concat()),
    };
    Some(if gzip { Halves { left: deflate(&halves.left), right: deflate(&halves.right), ..halves } } else { halves })
}

/// A payload's first event.
pub fn first_event(payload: &Bytes) -> Option<Event> {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "logEvents")]
        events: Vec<Event>,
    }
    let json = if payload.starts_with(GZIP_MAGIC) { Bytes::from(inflate(payload)?) } else { payload.clone() };
    serde_json::from_slice::<Request>(&json).ok()?.events.into_iter().next()
}

/// Of an event's JSON.
fn timestamp(event: &[u8]) -> Option<i64> {
    let digits = event.strip_prefix(&BOUNDARY[2..])?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// None: it is broken, or larger than any body of ours.
fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    let mut decoder = GzDecoder::new(payload).take(JSON_BYTES_MAX as u64 + 1);
    decoder.read_to_end(&mut json).ok().filter(|bytes| *bytes <= JSON_BYTES_MAX)?;
    Some(json)
}

fn deflate(json: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
    Bytes::from(encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes every byte"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::batch::{Head, OpenBatch};
    use crate::lines::Record;
    use crate::spool::entry::Address;

    /// A body of these messages, the first and the last of them pieces of longer lines.
    fn entry(names: (&str, &str), messages: &[(String, i64)], gzip: bool, serial: bool) -> Entry {
        let mut batch = OpenBatch::new(&Head::new(names.0, names.1));
        let mut at = 1_700_000_000_000;
        let last = messages.len() - 1;
        for (index, (text, step_ms)) in messages.iter().enumerate() {
            at += step_ms;
            let raw_bytes = text.len() as u32 + 1;
            let (begins, ends) = (index != 0, index != last);
            batch.push(&Record { text, raw_bytes, line: 7 * index as u64, begins, ends }, at).unwrap();
        }
        let body = batch.close();
        let payload = if gzip { deflate(&body.json) } else { Bytes::from(body.json) };
        Entry {
            address: Arc::new(Address { stream: names.1.to_owned(), ..Address::default() }),
            sequence: 5,
            first_ms: body.first_ms,
            last_ms: body.last_ms,
            serial,
            gzip,
            raw_lengths: body.raw_lengths,
            pieces: body.pieces,
            payload,
        }
    }

    fn json(entry: &Entry) -> Value {
        let json = if entry.gzip { inflate(&entry.payload).unwrap() } else { entry.payload.to_vec() };
        serde_json::from_slice(&json).unwrap()
    }

    /// Texts that look like what stands between events, and others.
    fn text() -> impl Strategy<Value = String> {
        let tricky = prop::sample::select(vec![
            "},{\"timestamp\":",
            "\"},{\"timestamp\":1,\"message\":\"",
            "\\",
            "\\\"",
            "]}",
            "\"logEvents\":[",
            "\u{1}",
            "ä\u{2028}",
            "x",
        ]);
        prop::collection::vec(tricky, 1..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn both_parts_are_bodies_and_together_they_are_the_whole(
            names in (text(), text()),
            messages in prop::collection::vec((text(), 0..3i64), 2..20),
            count in 0..25usize,
            (gzip, serial) in any::<(bool, bool)>(),
        ) {
            let whole = entry((&names.0, &names.1), &messages, gzip, serial);
            let split = split_entry(&whole, count);
            prop_assert_eq!(split.is_some(), count > 0 && count < messages.len());
            let Some((left, right)) = split else { return Ok(()) };

            let (whole_json, left_json, right_json) = (json(&whole), json(&left), json(&right));
            let events = |json: &Value| json["logEvents"].as_array().unwrap().clone();
            prop_assert_eq!(events(&left_json).len(), count);
            prop_assert_eq!([events(&left_json), events(&right_json)].concat(), events(&whole_json));
            for (part, json) in [(&left, &left_json), (&right, &right_json)] {
                for name in ["logGroupName", "logStreamName"] {
                    prop_assert_eq!(&json[name], &whole_json[name]);
                }
                let events = events(json);
                prop_assert_eq!(Some(part.first_ms), events[0]["timestamp"].as_i64());
                prop_assert_eq!(Some(part.last_ms), events[events.len() - 1]["timestamp"].as_i64());
                prop_assert_eq!(part.raw_lengths.len(), events.len());
                prop_assert_eq!((part.sequence, part.gzip), (5, gzip));
            }
            let shared = left.last_ms == right.first_ms;
            prop_assert_eq!((left.serial, right.serial), (serial, serial || shared));
            prop_assert_eq!(left.count() + right.count(), whole.count());
            let first = Piece::cut(0, 0, true);
            let last = Piece::cut((messages.len() - 1 - count) as u32, 7 * (messages.len() as u64 - 1), false);
            prop_assert_eq!((left.pieces, right.pieces), (vec![first], vec![last]));
            let event = first_event(&left.payload).unwrap();
            prop_assert_eq!((event.timestamp, event.message), (whole.first_ms, messages[0].0.clone()));
        }
    }

    #[test]
    fn what_is_no_body_of_ours_is_not_split() {
        let whole = entry(("g", "s"), &[("a".into(), 0), ("b".into(), 0)], false, false);
        assert!(split_payload(&whole.payload, 2, 1).is_some());
        // Not as many events as it should have.
        assert_eq!(split_payload(&whole.payload, 3, 1), None);
        assert_eq!(split_payload(&Bytes::from_static(b"{\"logEvents\":["), 2, 1), None);
        assert_eq!(split_payload(&Bytes::from_static(b"\x1f\x8bno gzip"), 2, 1), None);
        assert_eq!(first_event(&Bytes::from_static(b"{}")), None);
    }

    #[test]
    fn what_inflates_beyond_any_body_of_ours_is_left_alone() {
        let bomb = deflate(&vec![b' '; JSON_BYTES_MAX + 1]);
        assert!(bomb.len() < JSON_BYTES_MAX / 100);
        assert_eq!((inflate(&bomb), first_event(&bomb)), (None, None));
        assert!(inflate(&deflate(&vec![b' '; JSON_BYTES_MAX])).is_some());
    }
}
