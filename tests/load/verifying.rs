//! The verifying half: every planted fault is named, from every source.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::served::Served;
use crate::{faults, lines, refusal, run, text, verify, written};

#[test]
fn a_dropped_line_is_missing() {
    let bytes = written(&["--count", "1000"]);
    let mut kept = lines(&bytes);
    kept.remove(500);
    let (code, found) = verify(&kept.concat(), &[]);
    assert_eq!((code, faults(&found)), (Some(1), [1, 0, 0, 0, 0]));
    assert_eq!(found["writers"][0]["missing_first"], json!([{"start": 500, "end": 500}]));
    assert_eq!(found["count_inferred"], json!(true));
}

#[test]
fn a_line_that_comes_twice_is_doubled() {
    let bytes = written(&["--count", "1000"]);
    let mut twice = lines(&bytes);
    twice.insert(700, twice[699]);
    assert_eq!(faults(&verify(&twice.concat(), &[]).1), [0, 1, 0, 0, 0]);
}

#[test]
fn two_swapped_lines_are_out_of_order() {
    let bytes = written(&["--count", "1000"]);
    let mut swapped = lines(&bytes);
    swapped.swap(10, 20);
    // 11 to 19 and 10 itself come after 20.
    let (code, found) = verify(&swapped.concat(), &[]);
    assert_eq!((code, faults(&found)), (Some(1), [0, 0, 10, 0, 0]));
}

#[test]
fn one_changed_byte_is_an_altered_line() {
    let mut bytes = written(&["--count", "1000"]);
    bytes[300 * 150 + 148] ^= 1;
    let (code, found) = verify(&bytes, &[]);
    assert_eq!((code, faults(&found)), (Some(1), [0, 0, 0, 1, 0]));
    let example = found["writers"][0]["altered_examples"][0].as_str().unwrap();
    assert!(example.starts_with("w0 300 "), "{example}");
}

#[test]
fn a_cut_tail_is_one_altered_line_and_the_rest_missing() {
    let bytes = written(&["--count", "1000"]);
    let (code, found) = verify(&bytes[..990 * 150 + 75], &["--count", "1000"]);
    assert_eq!((code, faults(&found)), (Some(1), [9, 0, 0, 1, 0]));
    assert_eq!(found["writers"][0]["missing_first"], json!([{"start": 991, "end": 999}]));
}

#[test]
fn a_line_of_somebody_else_is_foreign_and_shown() {
    let bytes = [written(&["--count", "10"]), b"[logpump] dropped 3 lines\n".to_vec()].concat();
    let (code, found) = verify(&bytes, &[]);
    assert_eq!((code, faults(&found)), (Some(1), [0, 0, 0, 0, 1]));
    assert_eq!(found["foreign_examples"], json!(["[logpump] dropped 3 lines"]));
}

#[test]
fn the_size_and_the_charset_must_be_those_written() {
    let bytes = written(&["--count", "10"]);
    assert_eq!(faults(&verify(&bytes, &["--writers", "w0", "--size", "151"]).1)[3], 10);
    assert_eq!(faults(&verify(&bytes, &["--writers", "w0", "--charset", "json"]).1)[3], 10);
}

#[test]
fn the_table_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = written(&["--count", "100"]);
    let mut kept = lines(&bytes);
    kept.drain(50..60);
    let path = dir.path().join("lines");
    fs::write(&path, kept.concat()).unwrap();
    let output = run(&["verify", "--file", path.to_str().unwrap()]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("w0: first missing: 50-59\n"), "{table}");
    let last = "WRONG: 90 lines, 13500 bytes in 1 stream (writers and counts inferred from what was seen)\n";
    assert!(table.ends_with(last), "{table}");
}

#[test]
fn a_directory_is_one_stream_a_file_and_a_writer_lives_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    fs::create_dir(dir.path().join("deeper")).unwrap();
    fs::write(dir.path().join("a.log"), written(&["--writer", "a", "--count", "50"])).unwrap();
    fs::write(dir.path().join("deeper/b.log"), written(&["--writer", "b", "--count", "50", "--size", "60"])).unwrap();
    fs::write(dir.path().join(".lock"), b"hidden\n").unwrap();
    let args = ["verify", "--dir", path, "--writers", "a,b", "--count", "50", "--json"];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["writers"][1]["streams"], json!(["deeper/b.log"]));

    assert_eq!(run(&["verify", "--dir", path, "--stream", "deeper", "--writers", "b"]).status.code(), Some(0));
    assert_eq!(run(&["verify", "--dir", path, "--stream", "deeper", "--writers", "a"]).status.code(), Some(1));

    let whole = fs::read(dir.path().join("a.log")).unwrap();
    fs::write(dir.path().join("a.log"), &whole[..30 * 150]).unwrap();
    fs::write(dir.path().join("a2.log"), &whole[30 * 150..]).unwrap();
    let output = run(&["verify", "--dir", path, "--count", "50"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("a: in more than one stream: a.log, a2.log\n"));
}

#[test]
fn a_source_that_cannot_be_read_is_69() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    assert_eq!(refusal(&["verify", "--dir", "/nonexistent"]).0, Some(69));
    assert_eq!(refusal(&["verify", "--file", "/nonexistent"]).0, Some(69));
    let (code, line) = refusal(&["verify", "--log-group", "g", "--endpoint-url", &url]);
    assert_eq!(code, Some(69));
    assert!(line.contains("DescribeLogStreams on g"), "{line}");
}

#[test]
fn cloudwatch_streams_are_read_page_by_page() {
    let right = Served::new(&[("s/a", written(&["--writer", "a", "--count", "95", "--charset", "json"]))]);
    let more = written(&["--writer", "b", "--count", "100", "--charset", "json"]);
    let both =
        Served { streams: [right.streams.clone(), Served::new(&[("s/b", more), ("t", vec![])]).streams].concat() };
    let url = both.serve();
    let base = ["verify", "--endpoint-url", &url, "--charset", "json", "--log-group"];
    let ask = |args: &[&str]| run(&[&base[..], args].concat());

    let all = ask(&["g", "--json"]);
    assert_eq!(all.status.code(), Some(0), "{}{}", text(&all.stdout), text(&all.stderr));
    let found: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&found["streams"], &found["lines"]), (&json!(3), &json!(195)));

    let some = ask(&["g", "--log-stream-prefix", "s/a", "--writers", "a", "--count", "100"]);
    assert_eq!(some.status.code(), Some(1));
    assert!(text(&some.stdout).contains("a: first missing: 95-99\n"));

    let missing = ask(&["nowhere"]);
    assert_eq!(missing.status.code(), Some(69));
    assert!(text(&missing.stderr).contains("ResourceNotFoundException"), "{}", text(&missing.stderr));
}
