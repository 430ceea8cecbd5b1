//! The writing half.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{faults, lines, load, refusal, run, text, verify, written};

#[test]
fn every_mode_writes_the_same_bytes_and_they_are_right() {
    for charset in ["ascii", "utf8", "json"] {
        let args = ["--count", "3000", "--size", "99", "--charset", charset, "--mode"];
        let [line, split, bulk] = ["line", "split", "bulk"].map(|mode| written(&[&args[..], &[mode]].concat()));
        assert_eq!(line.len(), 3000 * 99);
        assert!(line == split && line == bulk, "{charset}");
        let (code, found) =
            verify(&line, &["--writers", "w0", "--count", "3000", "--size", "99", "--charset", charset]);
        assert_eq!((code, faults(&found)), (Some(0), [0; 5]), "{found}");
    }
}

#[test]
fn lines_are_writer_sequence_and_payload() {
    let bytes = written(&["--writer", "web-1_a", "--count", "11", "--size", "30"]);
    for (sequence, line) in lines(&bytes).into_iter().enumerate() {
        assert_eq!(line.len(), 30);
        assert!(line.starts_with(format!("web-1_a {sequence} ").as_bytes()));
    }
}

#[test]
fn the_least_size_works_and_one_byte_less_is_wrong_usage() {
    // "w0 99 x\n"
    let bytes = written(&["--count", "100", "--size", "8"]);
    assert_eq!(verify(&bytes, &["--count", "100", "--size", "8"]).0, Some(0));
    let (code, line) = refusal(&["write", "--count", "100", "--size", "7"]);
    assert_eq!(code, Some(64));
    assert!(line.contains("--size 7: expected 8 to 16777216"), "{line}");
    assert_eq!(refusal(&["write", "--size", "16777217"]).0, Some(64));
}

#[test]
fn lines_larger_than_a_bulk_write_are_whole() {
    let args = ["--count", "5", "--size", "200001", "--charset", "json", "--mode"];
    let bulk = written(&[&args[..], &["bulk"]].concat());
    assert_eq!(bulk, written(&[&args[..], &["line"]].concat()));
    assert_eq!(verify(&bulk, &["--count", "5", "--charset", "json"]).0, Some(0));
}

#[test]
fn help_says_how_a_payload_is_formed() {
    let output = run(&["write", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("hash of writer and sequence"));
}

#[test]
fn a_closed_reader_ends_the_writer_with_its_reason_and_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let times = dir.path().join("times");
    let args = ["write", "--count", "10000000", "--times", times.to_str().unwrap()];
    let mut child = load(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("w0 0 "));
    assert_eq!(output.status.code(), Some(74));
    let line = text(&output.stderr);
    assert!(line.starts_with("logpump-load: cannot write to stdout after ") && line.contains("errno 32"), "{line}");
    assert!(saved(&times)["stopped_by"].as_str().unwrap().starts_with("errno 32"));
}

fn saved(times: &Path) -> Value {
    serde_json::from_slice(&fs::read(times).unwrap()).unwrap()
}

#[test]
fn the_times_file_counts_lines_bytes_and_writes() {
    let dir = tempfile::tempdir().unwrap();
    let times = dir.path().join("times");
    let path = times.to_str().unwrap();
    for (mode, writes) in [("line", 2000), ("split", 4000), ("bulk", 5)] {
        written(&["--count", "2000", "--mode", mode, "--times", path]);
        let saved = saved(&times);
        assert_eq!(saved["writes"], json!(writes), "300000 bytes in writes of 65536");
        assert_eq!((&saved["lines"], &saved["bytes"]), (&json!(2000), &json!(300_000)));
        assert_eq!((&saved["writer"], &saved["mode"]), (&json!("w0"), &json!(mode)));
        assert!(saved["write_ns"]["p50"].as_u64() <= saved["write_ns"]["max"].as_u64());
        assert!(saved["hdr_v2_base64"].is_string() && saved["stopped_by"].is_null());
    }
    written(&["--count", "10", "--times", path, "--no-times"]);
    assert_eq!((&saved(&times)["writes"], &saved(&times)["write_ns"]), (&json!(10), &Value::Null));
    assert_eq!(refusal(&["write", "--count", "1", "--times", "/nonexistent/times"]).0, Some(73));
}

#[test]
fn a_rate_is_not_exceeded_and_a_duration_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let times = dir.path().join("times");
    let path = times.to_str().unwrap();
    written(&["--count", "101", "--rate", "1000", "--times", path]);
    // The last line is due after 100 ms and may come 50 us early.
    let paced = saved(&times);
    assert!(paced["wall_ns"].as_u64().unwrap() >= 99_950_000, "{paced}");
    assert!(paced["pace"]["sleeps"].as_u64().unwrap() > 0, "{paced}");
    // Line 50 would be due at the end.
    written(&["--duration", "50ms", "--rate", "1000", "--times", path]);
    assert!((1..=50).contains(&saved(&times)["lines"].as_u64().unwrap()));
}

#[test]
fn hold_keeps_stdout_open_and_the_exit_code_is_the_one_asked_for() {
    let start = Instant::now();
    let output = run(&["write", "--count", "1", "--hold", "300ms", "--exit-code", "7"]);
    // The output ends when stdout is closed.
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 150));
}

fn wait_until_asleep(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") S ") {
        assert!(Instant::now() < deadline, "process {pid} never slept");
        std::thread::yield_now();
    }
}

#[test]
fn a_stdout_that_refuses_and_takes_parts_gets_every_byte_once() {
    let dir = tempfile::tempdir().unwrap();
    let times = dir.path().join("times");
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let args = ["write", "--count", "40000", "--mode", "bulk", "--times", times.to_str().unwrap()];
    let mut child = load(&args).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    // The first byte is there, and from then on only a refused write() makes the writer sleep.
    let mut bytes = vec![0];
    ours.read_exact(&mut bytes).unwrap();
    wait_until_asleep(child.id());
    ours.read_to_end(&mut bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(verify(&bytes, &["--count", "40000"]).0, Some(0));
    assert!(saved(&times)["would_block"].as_u64().unwrap() > 0);
}
