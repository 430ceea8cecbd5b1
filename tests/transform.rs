//! What becomes of a child's bytes, held against naive twins: whatever the reads, the ring and the sink do,
//! the same bytes give the same records, and batches say in JSON what the records said.

use logpump::batch::{Body, Head, OpenBatch, Piece};
use logpump::lines::{Framer, Record, Taken};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    raw_bytes: usize,
    line: usize,
    begins: bool,
    ends: bool,
}

impl Line {
    fn of(record: Record<'_>) -> Line {
        Line {
            text: record.text.to_owned(),
            raw_bytes: record.raw_bytes as usize,
            line: record.line as usize,
            begins: record.begins,
            ends: record.ends,
        }
    }
}

// ---- Framing ---------------------------------------------------------------------------------

/// One character, or one maximal invalid sequence: its text and its raw length.
fn first_unit(raw: &[u8]) -> (String, usize) {
    let window = &raw[..raw.len().min(4)];
    let error = match std::str::from_utf8(window) {
        Ok(text) => {
            return (text.chars().next().unwrap().to_string(), text.chars().next().unwrap().len_utf8());
        }
        Err(error) => error,
    };
    if error.valid_up_to() > 0 {
        let text = std::str::from_utf8(&window[..error.valid_up_to()]).unwrap();
        return (text.chars().next().unwrap().to_string(), text.chars().next().unwrap().len_utf8());
    }
    ("\u{FFFD}".to_owned(), error.error_len().unwrap_or(window.len()))
}

/// Split at '\n', cut one '\r', replace, cut.
fn naive_lines(bytes: &[u8], message_bytes_max: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
        let content = match raw.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => raw,
        };
        let mut pieces = vec![(String::new(), 0)];
        let mut rest = content;
        while !rest.is_empty() {
            let (unit, raw_bytes) = first_unit(rest);
            if pieces.last().unwrap().0.len() + unit.len() > message_bytes_max {
                pieces.push((String::new(), 0));
            }
            let piece = pieces.last_mut().unwrap();
            piece.0.push_str(&unit);
            piece.1 += raw_bytes;
            rest = &rest[raw_bytes..];
        }
        let whole: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(whole, String::from_utf8_lossy(content));
        let last = pieces.len() - 1;
        for (index, (text, raw_bytes)) in pieces.into_iter().enumerate() {
            let end = if index == last { raw.len() - content.len() } else { 0 };
            lines.push(Line { text, raw_bytes: raw_bytes + end, line: start, begins: index == 0, ends: index == last });
        }
        start += raw.len();
    }
    lines
}

/// What a pipe's life looks like to the framer.
#[derive(Clone, Debug)]
struct World {
    ring_bytes: usize,
    message_bytes_max: usize,
    /// Sizes of the reads, over and over.
    reads: Vec<usize>,
    /// Whether the sink has room, over and over.
    room: Vec<bool>,
}

fn framed_lines(bytes: &[u8], world: &World) -> Vec<Line> {
    let mut framer = Framer::with_message_bytes_max(world.ring_bytes, world.message_bytes_max);
    let mut lines = Vec::new();
    let mut room = world.room.iter().cycle();
    let mut reads = world.reads.iter().cycle();
    let (mut released, mut filled) = (0, 0);
    let steps_max = 100 + 20 * bytes.len() * (1 + world.room.len());
    for step in 0.. {
        assert!(step < steps_max, "no end after {step} calls: {released} of {} bytes released", bytes.len());
        let vacant = world.ring_bytes - (filled - released);
        filled += (*reads.next().unwrap()).min(vacant).min(bytes.len() - filled);
        let at_end = filled == bytes.len();
        let mut refused = false;
        released += framer.frame(&bytes[released..filled], at_end, &mut |record| {
            assert!(!refused, "a record came after one was refused");
            if !*room.next().unwrap() {
                refused = true;
                return Taken::No;
            }
            lines.push(Line::of(record));
            Taken::Yes
        });
        assert!(released <= filled);
        assert_eq!(framer.released(), released as u64);
        let recorded: usize = lines.iter().map(|line| line.raw_bytes).sum();
        assert_eq!(recorded + framer.held_bytes(), released, "a byte is in the ring, or held, or in a record");
        assert!(framer.held_bytes() <= world.message_bytes_max + 8);
        if !refused {
            assert!(filled - released < world.ring_bytes, "a willing sink leaves room in the ring");
            if at_end {
                assert_eq!(recorded, bytes.len());
                break;
            }
        }
    }
    lines
}

fn some_bytes(parts_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => "[a-z ]{0,12}".prop_map(String::into_bytes),
        3 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        2 => prop::sample::select(vec!["é", "€", "😀", "\u{FFFD}", "\u{0}", "\""]).prop_map(|text| text.as_bytes().to_vec()),
        // Beginnings of characters, bytes that can begin none, surrogates, overlong forms.
        2 => prop::sample::select(vec![&b"\xF0\x9F\x98"[..], b"\xE2\x82", b"\xC3", b"\x80", b"\xFF", b"\xED\xA0\x80", b"\xC0\xAF", b"\xF4\x90"])
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(part, 0..parts_max).prop_map(|parts| parts.concat())
}

fn some_world() -> impl Strategy<Value = World> {
    let room = prop::collection::vec(any::<bool>(), 1..6).prop_map(|mut room| {
        room.push(true);
        room
    });
    (2..200_usize, 4..60_usize, prop::collection::vec(1..50_usize, 1..8), room)
        .prop_map(|(ring_bytes, message_bytes_max, reads, room)| World { ring_bytes, message_bytes_max, reads, room })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_reads_and_any_ring_and_any_refusals_give_the_naive_records(bytes in some_bytes(60), world in some_world()) {
        prop_assert_eq!(framed_lines(&bytes, &world), naive_lines(&bytes, world.message_bytes_max));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sizes at which whole blocks, lines longer than a block and lines longer than a message all occur.
    #[test]
    fn large_blocks_and_long_lines_give_the_naive_records(
        runs in prop::collection::vec((some_bytes(12), 1..600_usize), 1..6),
        world in (4096..200_000_usize, 20_000..90_000_usize, prop::collection::vec(1..100_000_usize, 1..4)),
    ) {
        let bytes: Vec<u8> = runs.iter().flat_map(|(bytes, times)| bytes.repeat(*times)).collect();
        let (ring_bytes, message_bytes_max, reads) = world;
        let world = World { ring_bytes, message_bytes_max, reads, room: vec![true, true, true, false, true] };
        prop_assert!(framed_lines(&bytes, &world) == naive_lines(&bytes, message_bytes_max));
    }
}

// ---- Packing and encoding --------------------------------------------------------------------

// CloudWatch's limits once more: a shared constant would hide a shared mistake.
const CALL_BYTES: usize = 1_048_576;
const CALL_EVENTS: usize = 10_000;
const CALL_SPAN_MS: i64 = 86_400_000;
const OUR_JSON_BYTES: usize = 2_097_152;

#[derive(Clone, Debug)]
struct Event {
    text: String,
    timestamp_ms: i64,
    whole: bool,
}

fn bodies_of(events: &[Event]) -> Vec<Body> {
    let head = Head::new("group", "stream \"1\"");
    let mut bodies: Vec<Body> = Vec::new();
    let mut batch = OpenBatch::new(&head);
    for (index, event) in events.iter().enumerate() {
        let record = Record {
            text: &event.text,
            raw_bytes: event.text.len() as u32 + 1,
            line: index as u64,
            begins: true,
            ends: event.whole,
        };
        let before = (batch.events(), batch.raw_bytes(), batch.lines(), batch.last_ms(), batch.allocated_bytes());
        if batch.push(&record, event.timestamp_ms).is_err() {
            let after = (batch.events(), batch.raw_bytes(), batch.lines(), batch.last_ms(), batch.allocated_bytes());
            assert_eq!(before, after, "a refused record changed the batch");
            let full = std::mem::replace(&mut batch, OpenBatch::with_buffer(&head, Vec::new()));
            bodies.push(full.close());
            batch.push(&record, event.timestamp_ms).expect("an empty batch takes any record");
        }
    }
    if !batch.is_empty() {
        bodies.push(batch.close());
    }
    bodies
}

/// As serde_json writes it.
fn naive_json(events: &[Event]) -> String {
    let events: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{{\"timestamp\":{},\"message\":{}}}",
                event.timestamp_ms,
                serde_json::to_string(&event.text).unwrap()
            )
        })
        .collect();
    format!(
        "{{\"logGroupName\":\"group\",\"logStreamName\":\"stream \\\"1\\\"\",\"logEvents\":[{}]}}",
        events.join(",")
    )
}

fn charged_bytes(events: &[Event]) -> usize {
    events.iter().map(|event| event.text.len() + 26).sum()
}

fn check_bodies(events: &[Event], bodies: &[Body]) {
    let mut rest = events;
    for (index, body) in bodies.iter().enumerate() {
        let (here, after) = rest.split_at(body.raw_lengths.len());
        let json = naive_json(here);
        assert!(json.as_bytes() == body.json, "body {index} differs from serde_json's");
        let parsed: serde_json::Value = serde_json::from_slice(&body.json).unwrap();
        for (event, parsed) in here.iter().zip(parsed["logEvents"].as_array().unwrap()) {
            assert_eq!(parsed["message"], event.text.as_str());
            assert_eq!(parsed["timestamp"], event.timestamp_ms);
        }
        assert_eq!(body.charged_bytes, charged_bytes(here));
        assert!(body.charged_bytes <= CALL_BYTES);
        assert!(here.len() <= CALL_EVENTS);
        assert_eq!((body.first_ms, body.last_ms), (here[0].timestamp_ms, here[here.len() - 1].timestamp_ms));
        assert!(body.last_ms - body.first_ms < CALL_SPAN_MS);
        assert!(json.len() <= OUR_JSON_BYTES || here.len() == 1);
        assert_eq!(body.raw_bytes, body.raw_lengths.iter().map(|bytes| u64::from(*bytes)).sum::<u64>());
        assert_eq!(body.raw_bytes, here.iter().map(|event| event.text.len() as u64 + 1).sum::<u64>());
        assert_eq!(body.lines, here.iter().filter(|event| event.whole).count() as u64);
        let base = (events.len() - rest.len()) as u64;
        let pieces: Vec<Piece> = (0_u32..)
            .zip(here)
            .filter(|(_, event)| !event.whole)
            .map(|(event, _)| Piece::cut(event, base + u64::from(event), false))
            .collect();
        assert_eq!(body.pieces, pieces);

        // The naive packer: one event more would have broken a limit (48 bytes of our own limit are slack).
        if let Some(next) = after.first() {
            let more = &rest[..here.len() + 1];
            assert!(
                charged_bytes(more) > CALL_BYTES
                    || more.len() > CALL_EVENTS
                    || next.timestamp_ms - here[0].timestamp_ms >= CALL_SPAN_MS
                    || naive_json(more).len() + 48 > OUR_JSON_BYTES,
                "body {index} ended with room for another event"
            );
        }
        rest = after;
    }
    assert!(rest.is_empty(), "{} events are in no body", rest.len());
}

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => "[ -~]{1,200}",
        4 => any::<String>().prop_filter("a blank line is no event", |text| !text.is_empty()),
        2 => "[\u{0}-\u{1f}\"\\\\]{1,60}",
        1 => (1..1_048_551_usize, prop::sample::select(vec!["a", "\u{1}", "\"", "€"]))
            .prop_map(|(bytes, text)| text.repeat((bytes / text.len()).max(1))),
    ]
}

fn some_events(count_max: usize) -> impl Strategy<Value = Vec<Event>> {
    let step_ms = prop_oneof![20 => Just(0_i64), 5 => 1..100_i64, 1 => 0..40_000_000_i64];
    let event = (some_text(), step_ms, prop::bool::weighted(0.9));
    (prop::collection::vec(event, 1..count_max), -5..2_000_000_000_000_i64).prop_map(|(events, first_ms)| {
        let mut timestamp_ms = first_ms;
        let mut timed = |(text, step_ms, whole)| {
            timestamp_ms += step_ms;
            Event { text, timestamp_ms, whole }
        };
        events.into_iter().map(&mut timed).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bodies_say_what_the_records_said_and_end_only_when_they_must(events in some_events(120)) {
        check_bodies(&events, &bodies_of(&events));
    }
}

#[test]
fn ten_thousand_events_end_a_body() {
    let events = vec![Event { text: "x".to_owned(), timestamp_ms: 7, whole: true }; 20_001];
    let bodies = bodies_of(&events);
    check_bodies(&events, &bodies);
    assert_eq!(bodies.iter().map(|body| body.raw_lengths.len()).collect::<Vec<_>>(), [10_000, 10_000, 1]);
}
