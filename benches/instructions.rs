//! What `perf/instructions` counts instructions of: one part of a line's way, over and over. Not a bench by itself.
//!
//! `instructions PART ROUNDS` prepares its lines, does PART with all of them ROUNDS times and prints how many lines there are.
//! What a line costs is the difference between two runs with different ROUNDS: preparing falls out of it.

use std::hint::black_box;
use std::process::ExitCode;

use logpump::batch::{Head, OpenBatch};
use logpump::lines::{Framer, Record, Taken};

const LINES: usize = 6_000;
const RING_BYTES: usize = 4 << 20;
/// The milliseconds of 1.5 million lines a second.
const LINES_PER_MS: i64 = 1_500;
const PARTS: &[&str] = &["frame", "frame-dirty", "encode", "encode-json", "pack", "whole"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [part, rounds] = arguments.as_slice() else {
        println!("perf/instructions counts the instructions of: {}", PARTS.join(", "));
        return ExitCode::SUCCESS;
    };
    let Ok(rounds) = rounds.parse::<u32>() else {
        eprintln!("instructions: {rounds}: not a number of rounds");
        return ExitCode::from(64);
    };
    match part.as_str() {
        "frame" => frame(&lines_of(text), rounds),
        "frame-dirty" => frame(&lines_of(dirty), rounds),
        "encode" => encode(&lines_of(text), rounds),
        "encode-json" => encode(&lines_of(json), rounds),
        // Next to no text: what is left is the limits, the date and the ends of an event.
        "pack" => encode(&lines_of(|_| b"x".to_vec()), rounds),
        "whole" => whole(&lines_of(text), rounds),
        _ => {
            eprintln!("instructions: {part}: expected one of {}", PARTS.join(", "));
            return ExitCode::from(64);
        }
    }
    println!("{LINES}");
    ExitCode::SUCCESS
}

fn lines_of(line: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..LINES).flat_map(|number| [line(number), b"\n".to_vec()].concat()).collect()
}

/// 149 bytes.
fn text(number: usize) -> Vec<u8> {
    let mut line = format!("[2026-01-01T12:34:56.{:03}+0000] {{taskinstance.py:{number:04}}} INFO - ", number % 1000);
    while line.len() < 149 {
        line.push_str("task finished, queue depth within bounds; ");
    }
    line.truncate(149);
    line.into_bytes()
}

/// One byte of it is not UTF-8.
fn dirty(number: usize) -> Vec<u8> {
    let mut line = text(number);
    line[75] = 0xFF;
    line
}

/// Ten pairs of quotes, in some 190 bytes.
fn json(number: usize) -> Vec<u8> {
    format!(
        "{{\"time\":\"2026-01-01T12:34:56.{:03}Z\",\"level\":\"info\",\"logger\":\"app.worker\",\"task\":\"{number:06}\",\
         \"message\":\"the task has finished, and the queue's depth is within its bounds\",\"attempt\":1,\"host\":\"a\"}}",
        number % 1000
    )
    .into_bytes()
}

fn frame(bytes: &[u8], rounds: u32) {
    for _ in 0..rounds {
        let mut framer = Framer::new(RING_BYTES);
        framer.frame(black_box(bytes), false, &mut |record| {
            black_box(record.text);
            Taken::Yes
        });
    }
}

/// Into bodies; a full one is closed, and its buffer used again.
struct Bodies {
    head: Head,
    open: OpenBatch,
    pushed: i64,
}

impl Bodies {
    fn new() -> Bodies {
        let head = Head::new("a-log-group", "a-log-stream");
        let open = OpenBatch::new(&head);
        Bodies { head, open, pushed: 0 }
    }

    fn push(&mut self, record: &Record<'_>) {
        self.pushed += 1;
        let timestamp_ms = 1_767_225_600_000 + self.pushed / LINES_PER_MS;
        if self.open.push(record, timestamp_ms).is_err() {
            let full = std::mem::replace(&mut self.open, OpenBatch::with_buffer(&self.head, Vec::new())).close();
            self.open = OpenBatch::with_buffer(&self.head, black_box(full).json);
            assert_eq!(self.open.push(record, timestamp_ms), Ok(()));
        }
    }
}

fn encode(bytes: &[u8], rounds: u32) {
    let texts = bytes.split(|byte| *byte == b'\n').filter(|text| !text.is_empty());
    let texts: Vec<&str> = texts.map(|text| str::from_utf8(text).expect("lines of text")).collect();
    let mut bodies = Bodies::new();
    for _ in 0..rounds {
        for text in black_box(&texts) {
            let raw_bytes = text.len() as u32 + 1;
            bodies.push(&Record { text, raw_bytes, line: 0, begins: true, ends: true });
        }
    }
}

fn whole(bytes: &[u8], rounds: u32) {
    let mut bodies = Bodies::new();
    for _ in 0..rounds {
        Framer::new(RING_BYTES).frame(black_box(bytes), false, &mut |record| {
            bodies.push(&record);
            Taken::Yes
        });
    }
}
