//! CloudWatch: the written-down transform, on nasty bytes, held against a naive twin in Python, whose `errors="replace"` is
//! the rule for invalid UTF-8.

use std::process::Command;

use serde_json::{Value, json};

use crate::on_both_engines;
use crate::program::{Ended, Logpump, read_back, standin};

const TWIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/transform_twin.py");

/// One log event's message: see the docs. A constant of its own: a shared one would hide a shared mistake.
const MESSAGE_BYTES_MAX: usize = 1_048_550;

/// Pieces that lines are made of.
const PIECES: &[&[u8]] = &[
    b"plain words",
    b" ",
    b"\t",
    b"\"quoted\" and \\ back",
    "ä".as_bytes(),
    "€".as_bytes(),
    "😀".as_bytes(),
    "\u{2028}\u{feff}\u{85}\u{fffd}".as_bytes(),
    b"\0",
    b"\x01\x08\x0b\x0c\x1b[31m\x1f\x7f",
    b"\r",
    b"\r\r",
    // Not UTF-8: lone continuation, overlong, surrogate, beyond the last plane, never valid, cut short.
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xfe\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98x",
];

const ENDINGS: &[&[u8]] = &[b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n", b"\n\n", b"\n\r\n", b"\n \n"];

fn nasty(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        for _ in 0..random.usize(0..8) {
            bytes.extend_from_slice(random.choice(PIECES).unwrap());
        }
        bytes.extend_from_slice(random.choice(ENDINGS).unwrap());
    }
    for length in [MESSAGE_BYTES_MAX - 1, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, 2 * MESSAGE_BYTES_MAX] {
        bytes.resize(bytes.len() + length, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    // Characters, and what becomes one, across the cut at every offset.
    for piece in [&b"\xc3\xa4"[..], b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xff", b"\xf0\x9f\x98"] {
        for before in 0..4 {
            bytes.resize(bytes.len() + MESSAGE_BYTES_MAX - before, b'y');
            bytes.extend_from_slice(&piece.repeat(2));
            bytes.push(b'\n');
        }
    }
    // Grows three-fold before it is cut.
    let invalid: Vec<u8> = std::iter::repeat_with(|| random.u8(0x80..)).take(2_000_000).collect();
    bytes.extend_from_slice(&invalid);
    bytes.extend_from_slice(b"\nlast, unterminated \xe2\x82\r");
    bytes
}

fn twin(path: &str) -> Value {
    let output = Command::new("python3").args([TWIN, "expected", path]).output().expect("these tests need python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_same_messages(found: &[String], expected: &Value) {
    let expected = expected.as_array().unwrap();
    let at = found.iter().zip(expected).position(|(found, expected)| expected != found);
    let short = |text: &str| text.chars().take(200).collect::<String>();
    if let Some(at) = at {
        let (found, expected) = (&found[at], expected[at].as_str().unwrap());
        let lengths = (found.len(), expected.len());
        panic!("message {at}, of {} and {} bytes: {:?}\n{:?}", lengths.0, lengths.1, short(found), short(expected));
    }
    assert_eq!(found.len(), expected.len(), "messages");
}

fn assert_books(ended: &Ended, twin: &Value) {
    let count = |name: &str| (twin[name]["lines"].as_u64().unwrap(), twin[name]["bytes"].as_u64().unwrap());
    let found = ["/read", "/delivered", "/filtered/blank"].map(|pointer| ended.total(pointer));
    assert_eq!(found, ["read", "delivered", "blank"].map(count), "{:#}", ended.report);
    assert_eq!((&ended.report["total"]["rejected"], &ended.report["total"]["dropped"]), (&json!({}), &json!({})));
}

#[test]
fn events_are_what_the_naive_twin_makes_of_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("corpus");
    std::fs::write(&path, nasty(7)).unwrap();
    let path = path.to_str().unwrap();
    let expected = twin(path);
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify"]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
        // In writes of any size, the same every time.
        let ended = run.command(&["python3", TWIN, "write", path]).run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_same_messages(&read_back(&standin, "python3"), &expected["events"]);
        assert_books(&ended, &expected);
        assert_eq!(standin.stats()["errors"], json!({}));
    });
}

#[test]
fn an_unterminated_line_waits_for_its_end_and_is_delivered_then() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--flush-interval", "10ms"]).with_stdin();
        let mut run = run.shell("printf 'whole\\nfirst half, '; read line; printf 'second half'").start();
        crate::wait_for(
            "the whole line",
            || (standin.stats()["events"] == 1).then_some(()),
            || standin.stats().to_string(),
        );
        std::io::Write::write_all(&mut run.stdin.take().unwrap(), b"go on\n").unwrap();
        let ended = run.end();
        assert_eq!(read_back(&standin, "sh"), ["whole", "first half, second half"]);
        ended.assert_all_delivered(2, 29);
    });
}

#[test]
fn a_traceback_of_many_frames_is_one_event_for_one_command_as_for_nine() {
    let frame = "  File \"a.py\", line 1, in f\n    f()\n";
    let traceback = format!("[error] x\nTraceback (most recent call last):\n{}E: the end\n", frame.repeat(900));
    assert!(traceback.len() > 30_000);
    for commands in [1, 8, 9] {
        let standin = standin(&[]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--join", "traceback"]);
        let file = run.place("traceback");
        std::fs::write(&file, &traceback).unwrap();
        let run = run.command(&["cat", file.to_str().unwrap()]);
        let ended = (1..commands).fold(run, |run, _| run.command(&["true"])).run();
        assert_eq!(read_back(&standin, "cat"), [traceback.trim_end()], "{commands}: {}", ended.said);
        assert_eq!(ended.report["streams"][0]["joined"], 1802, "{commands}");
    }
}
