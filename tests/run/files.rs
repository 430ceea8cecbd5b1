//! `--dir`: what a real child writes is in its file, byte for byte.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::program::Logpump;
use crate::{assert_same_bytes, on_both_engines};

const CHATTY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/chatty.py");

/// What the command writes when nothing stands between it and a file.
fn reference(argv: &[&str]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let status = Command::new(argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{argv:?}: {status}");
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// The same command under logpump and without it.
fn assert_same_as_without(engine: &str, file: &str, argv: &[&str]) {
    let expected = reference(argv);
    assert!(!expected.is_empty());
    let ended = Logpump::new(engine).into_files().command(argv).run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_same_bytes(&ended.file(file), &expected);
    ended.assert_all_delivered(lines(&expected), expected.len() as u64);
}

#[test]
fn a_python_program_that_logs() {
    on_both_engines(|engine| assert_same_as_without(engine, "python3", &["python3", CHATTY, "logging"]));
}

#[test]
fn unbuffered_print_which_writes_twice_a_line() {
    on_both_engines(|engine| assert_same_as_without(engine, "python3", &["python3", "-u", CHATTY, "print"]));
}

#[test]
fn stdout_and_stderr_in_the_order_of_the_child() {
    on_both_engines(|engine| assert_same_as_without(engine, "python3", &["python3", "-u", CHATTY, "both"]));
}

#[test]
fn forked_workers_that_share_the_pipe() {
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().command(&["python3", CHATTY, "workers"]).run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let found = String::from_utf8(ended.file("python3")).unwrap();
        for worker in 0..4 {
            let of_worker = format!("INFO [worker-{worker}] ");
            let numbers: Vec<usize> = found
                .lines()
                .filter_map(|line| line.strip_prefix(&of_worker)?.strip_suffix(" is done")?.strip_prefix("job "))
                .map(|number| number.parse().unwrap())
                .collect();
            assert!(numbers.iter().copied().eq(0..5000), "worker {worker}: {} lines", numbers.len());
        }
        assert_eq!(found.lines().count(), 20_000);
        ended.assert_all_delivered(20_000, found.len() as u64);
    });
}

#[test]
fn three_million_lines_of_seq() {
    on_both_engines(|engine| assert_same_as_without(engine, "seq", &["seq", "1", "3000000"]));
}

#[test]
fn binary_output_with_every_byte_value() {
    let mut bytes = vec![0; 20_000_000];
    fastrand::Rng::with_seed(20).fill(&mut bytes);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let path = file.path().to_str().unwrap();
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().command(&["head", "-c", "20M", path]).run();
        assert_same_bytes(&ended.file("head"), &bytes);
        ended.assert_all_delivered(lines(&bytes), bytes.len() as u64);
    });
}

#[test]
fn fifty_children_at_once() {
    on_both_engines(|engine| {
        let mut run = Logpump::new(engine).into_files().args(&["--name", "app"]);
        for child in 0..50 {
            run = run.shell(&format!("seq -f 'child {child} line %g' 1 2000"));
        }
        let ended = run.run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let mut bytes = 0;
        for child in 0..50 {
            let expected: String = (1..=2000).map(|line| format!("child {child} line {line}\n")).collect();
            bytes += expected.len() as u64;
            let name = if child == 0 { "app".to_owned() } else { format!("app-{}", child + 1) };
            assert_same_bytes(&ended.file(&name), expected.as_bytes());
        }
        ended.assert_all_delivered(100_000, bytes);
    });
}

#[test]
fn no_output_at_all() {
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().command(&["true"]).run();
        assert_eq!((ended.code, ended.file("true")), (Some(0), Vec::new()));
        ended.assert_all_delivered(0, 0);
    });
}

#[test]
fn an_unterminated_last_line() {
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().command(&["printf", "one\\ntwo \\n\\n\\r\\nlast"]).run();
        assert_same_bytes(&ended.file("printf"), b"one\ntwo \n\n\r\nlast");
        ended.assert_all_delivered(5, 16);
    });
}

#[test]
fn standard_input_is_inherited() {
    let sent: Vec<u8> = (0..100_000).flat_map(|line| format!("typed {line}\n").into_bytes()).collect();
    on_both_engines(|engine| {
        let mut run = Logpump::new(engine).into_files().with_stdin().command(&["cat"]).start();
        run.stdin.take().unwrap().write_all(&sent).unwrap();
        let ended = run.end();
        assert_same_bytes(&ended.file("cat"), &sent);
    });
}

#[test]
fn two_runs_into_one_file_follow_each_other() {
    let place = tempfile::tempdir().unwrap();
    for text in ["first", "second"] {
        let run = Logpump::new("auto").args(&["--log-stream", "same", "--dir"]).arg(place.path());
        assert_eq!(run.command(&["echo", text]).run().code, Some(0));
    }
    assert_eq!(std::fs::read(place.path().join("same")).unwrap(), b"first\nsecond\n");
}
