//! The parts of a line's way that are ours: newline scan, validation, framing, encoding; GB/s of pipe bytes on one core.
//! `cargo bench --bench lines`. "whole" is what a core that does nothing else carries.

use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use logpump::batch::{Head, OpenBatch};
use logpump::lines::join::{Joiner, Seen};
use logpump::lines::level::Level;
use logpump::lines::mask::Mask;
use logpump::lines::rules::{Edited, Editor, Rules};
use logpump::lines::{Framer, Taken};

fn main() {
    divan::main();
}

const LOADS: &[&str] = &["log_150", "log_20", "log_1k", "json_250", "utf8_150", "one_dirty_in_100", "dirty_150"];
/// As much as a ring hands out at full speed.
const OCCUPIED_BYTES: usize = 1 << 20;

/// A log-like line of so many bytes, newline included.
fn log_line(number: usize, bytes: usize) -> Vec<u8> {
    let mut line = format!("[2026-01-01T12:34:56.{:03}+0000] {{taskinstance.py:{}}} INFO - ", number % 1000, number);
    while line.len() < bytes - 1 {
        line.push_str("task finished, queue depth within bounds; ");
    }
    line.truncate(bytes - 1);
    line.push('\n');
    line.into_bytes()
}

fn line_of(load: &str, number: usize) -> Vec<u8> {
    match load {
        "log_150" => log_line(number, 150),
        "log_20" => log_line(number, 20),
        "log_1k" => log_line(number, 1024),
        "airflow_3_150" => {
            let mut line = format!("2026-01-01T12:34:56.{:06}Z [info     ] ", number % 1_000_000);
            while line.len() < 149 {
                line.push_str("task finished, queue depth within bounds; ");
            }
            line.truncate(149);
            line.push('\n');
            line.into_bytes()
        }
        "json_250" => {
            let mut line = format!(
                "{{\"time\":\"2026-01-01T12:34:56.{:03}Z\",\"level\":\"info\",\"logger\":\"app.worker\",\"task\":\"{number}\",\
                 \"message\":\"finished\",\"path\":\"/var/tmp/x\",\"attempt\":1,\"host\":\"ip-10-0-0-1\",\"trace\":",
                number % 1000
            );
            line.push_str(&format!("\"{number:064}\""));
            line.truncate(248);
            line.push_str("}\n");
            line.into_bytes()
        }
        "utf8_150" => {
            let mut line = format!("{number} ").into_bytes();
            while line.len() < 140 {
                line.extend_from_slice("Größe und Länge geprüft — ".as_bytes());
            }
            line.push(b'\n');
            line
        }
        "one_dirty_in_100" if number % 100 != 50 => log_line(number, 150),
        "one_dirty_in_100" | "dirty_150" => {
            let mut line = log_line(number, 150);
            line[75] = 0xFF;
            line
        }
        _ => unreachable!("no load is called {load}"),
    }
}

fn occupied(load: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0.. {
        let line = line_of(load, number);
        if bytes.len() + line.len() > OCCUPIED_BYTES {
            break;
        }
        bytes.extend_from_slice(&line);
    }
    bytes
}

#[divan::bench(args = ["log_150", "log_20"])]
fn part_newline_scan(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| memchr::memchr_iter(b'\n', black_box(&bytes)).sum::<usize>());
}

#[divan::bench(args = ["log_150", "utf8_150"])]
fn part_validate(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    bencher.counter(BytesCount::new(bytes.len())).bench(|| simdutf8::basic::from_utf8(black_box(&bytes)).is_ok());
}

#[divan::bench(args = LOADS)]
fn frame_only(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut framer = Framer::new(4 << 20);
        let mut text_bytes = 0;
        framer.frame(black_box(&bytes), false, &mut |record| {
            text_bytes += record.text.len();
            Taken::Yes
        });
        text_bytes
    });
}

/// Framing, and one of the rules over every line: what it costs is the difference to `none`, by the item (a line).
#[divan::bench(args = ["none", "level", "trim", "mask", "filtered", "none_airflow_3", "level_airflow_3"])]
fn frame_and_edit(bencher: Bencher, rule: &str) {
    let bytes = occupied(if rule.ends_with("airflow_3") { "airflow_3_150" } else { "log_150" });
    let rules = match rule {
        "level" | "level_airflow_3" => Rules { level: Some(Level::Info), ..Rules::default() },
        "filtered" => Rules { level: Some(Level::Error), ..Rules::default() },
        "trim" => Rules { trim: true, ..Rules::default() },
        "mask" => Rules { mask: Some(Arc::new(Mask::new(&[]).unwrap())), ..Rules::default() },
        _ => Rules::default(),
    };
    let mut editor = Editor::new(rules);
    bencher.counter(ItemsCount::new(memchr::memchr_iter(b'\n', &bytes).count())).bench_local(|| {
        let mut framer = Framer::new(4 << 20);
        let mut text_bytes = 0;
        framer.frame(black_box(&bytes), false, &mut |record| {
            text_bytes += match editor.edit(&record) {
                Edited::Keep(text) => text.len(),
                Edited::Filtered(_) => 1,
            };
            editor.taken(&record);
            Taken::Yes
        });
        text_bytes
    });
}

/// Framing, and looking for tracebacks where there are none, so that each line waits for the next: against `frame_and_edit none`.
#[divan::bench]
fn frame_and_join(bencher: Bencher) {
    let bytes = occupied("log_150");
    let mut joiner = Joiner::new();
    let seen = Seen { read_ms: 0, now: std::time::Instant::now() };
    bencher.counter(ItemsCount::new(memchr::memchr_iter(b'\n', &bytes).count())).bench_local(|| {
        let mut text_bytes = 0;
        Framer::new(4 << 20).frame(black_box(&bytes), false, &mut |record| {
            let fate = joiner.fate(&record, record.text, seen.read_ms);
            text_bytes += joiner.waiting().map_or(0, |joined| joined.record.text.len());
            joiner.clear();
            joiner.begin(fate, &record, record.text, seen);
            Taken::Yes
        });
        text_bytes
    });
}

/// What a ring costs whose lines are dropped.
#[divan::bench(args = LOADS)]
fn skip_only(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| Framer::new(4 << 20).skip(black_box(&bytes)).lines);
}

/// Frame and encode into bodies; a full one is closed and its buffer used again.
#[divan::bench(args = LOADS)]
fn whole(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    let head = Head::new("a-log-group", "a-log-stream");
    let mut buffer = Vec::new();
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| frame_and_encode(&bytes, &head, &mut buffer));
}

/// The same with a new buffer for every body: page faults and growth included.
#[divan::bench(args = ["log_150"])]
fn whole_fresh_buffers(bencher: Bencher, load: &str) {
    let bytes = occupied(load);
    let head = Head::new("a-log-group", "a-log-stream");
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| frame_and_encode(&bytes, &head, &mut Vec::new()));
}

fn frame_and_encode(bytes: &[u8], head: &Head, buffer: &mut Vec<u8>) -> u64 {
    let mut framer = Framer::new(4 << 20);
    let mut batch = OpenBatch::with_buffer(head, std::mem::take(buffer));
    let mut lines = 0;
    framer.frame(black_box(bytes), false, &mut |record| {
        // The milliseconds of 1.5 million lines a second.
        lines += 1;
        let timestamp_ms = 1_767_225_600_000 + lines / 1500;
        if batch.push(&record, timestamp_ms).is_err() {
            let next = OpenBatch::with_buffer(head, std::mem::take(buffer));
            *buffer = std::mem::replace(&mut batch, next).close().json;
            assert_eq!(batch.push(&record, timestamp_ms), Ok(()));
        }
        Taken::Yes
    });
    let body = batch.close();
    *buffer = body.json;
    black_box(body.raw_bytes)
}
