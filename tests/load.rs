//! The built `logpump-load`, from outside: what it writes is right when it reads it back, and every planted fault is named.
//! A small server of its own stands for CloudWatch Logs; nothing of logpump takes part.
#![cfg(feature = "tools")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[path = "load/served.rs"]
mod served;
#[path = "load/verifying.rs"]
mod verifying;
#[path = "load/writing.rs"]
mod writing;

fn load(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logpump-load"));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    load(args).output().unwrap()
}

/// The bytes that `write` puts out.
fn written(args: &[&str]) -> Vec<u8> {
    let output = run(&[&["write"], args].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code and the one line on stderr.
fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let output = run(args);
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    (output.status.code(), line)
}

/// The exit code and what `verify --json` says of these bytes.
fn verify(bytes: &[u8], args: &[&str]) -> (Option<i32>, Value) {
    let mut child = load(&[&["verify", "--file", "-", "--json"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

/// missing, doubled, out of order, altered of the first writer, then foreign.
fn faults(found: &Value) -> [u64; 5] {
    let of_writer = |name: &str| found["writers"][0][name].as_u64().unwrap();
    let foreign = found["foreign"].as_u64().unwrap();
    [of_writer("missing"), of_writer("doubled"), of_writer("out_of_order"), of_writer("altered"), foreign]
}

/// Lines with their newlines.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

#[test]
fn wrong_usage_is_one_clear_line() {
    for args in [
        &["write", "--writer", "a b"][..],
        &["write", "--rate", "fast"],
        &["write", "--bogus"],
        &["write", "--count", "4000000001"],
        &["verify"],
        &["verify", "--file", "-", "--dir", "/"],
        &["verify", "--file", "-", "--writers", "a,a"],
        &["verify", "--endpoint-url", "http://127.0.0.1:1"],
        &["nonsense"],
        &[],
    ] {
        assert_eq!(refusal(args).0, Some(64), "{args:?}");
    }
}
