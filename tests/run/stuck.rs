//! logpump's own outputs: stderr and `--tee`, on pipes that nobody reads, and on ones that somebody does.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::on_both_engines;
use crate::own_disk::{Frozen, OwnDisk};
use crate::program::{Logpump, read_back, standin};

const LOAD: &str = env!("CARGO_BIN_EXE_logpump-load");

/// The writing end of a pipe that is full, and the end that nobody reads from.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while rustix::io::write(&writer, &vec![b'x'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (writer, reader)
}

#[test]
fn a_stderr_that_nobody_reads_holds_nothing_up() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let (stderr, _unread) = full_pipe();
        let mut run = Logpump::new(engine).into_cloudwatch(&standin.url).shell("seq 1 20000; exit 3");
        run.command.stderr(Stdio::from(stderr));
        let ended = run.run();
        assert_eq!(ended.code, Some(3));
        ended.assert_all_delivered(20_000, 108_894);
        assert_eq!(read_back(&standin, "sh").len(), 20_000);
    });
}

#[test]
fn a_report_whose_disk_does_not_answer_is_left_unwritten() {
    let Some(disk) = OwnDisk::make() else { return };
    let report = disk.spool().join("report.json");
    let run = Logpump::without_report("auto").into_files().arg("--report").arg(&report).shell("read line; exit 3");
    let mut run = disk.mounted(run).with_stdin().start();
    run.wait_said("INFO lines go to");
    let Some(frozen) = Frozen::freeze(&disk.inside(&run)) else { return };
    drop(run.stdin.take());
    run.wait_said("report.json is not written in time; likely its disk does not answer");
    // The kernel lets nobody end who waits for a frozen file system.
    drop(frozen);
    assert_eq!(run.end_without_report().code, Some(3));
}

#[test]
fn a_tee_that_nobody_reads_holds_nothing_up_and_is_counted() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify"]);
        for to_files in [true, false] {
            let (stdout, _unread) = full_pipe();
            let run = Logpump::new(engine).arg("--tee");
            let run = if to_files { run.into_files() } else { run.into_cloudwatch(&standin.url) };
            let mut run = run.command(&[LOAD, "write", "--count", "100000", "--no-times", "--exit-code", "3"]);
            run.command.stdout(Stdio::from(stdout));
            let ended = run.run();
            assert_eq!(ended.code, Some(3), "{}", ended.said);
            ended.assert_all_delivered(100_000, 15_000_000);
            assert!(ended.report["tee_dropped"]["lines"].as_u64().unwrap() > 0, "{:#}", ended.report);
            assert!(ended.said.contains("stdout did not take"), "{}", ended.said);
        }
        assert_eq!(read_back(&standin, "logpump-load").len(), 100_000);
    });
}

#[test]
fn both_stuck_and_a_stop() {
    let standin = standin(&[]);
    let ((stdout, _unread), (stderr, _unread_too)) = (full_pipe(), full_pipe());
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--tee", "--flush-interval", "10ms"]);
    let mut run = run.command(&["python3", "-c", crate::stop::POLITE]);
    run.command.stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let run = run.start();
    let ready = || (standin.stats()["events"] == 1).then_some(());
    crate::wait_for("the first line", ready, || standin.stats().to_string());
    run.signal(rustix::process::Signal::TERM);
    let ended = run.end();
    assert_eq!((ended.code, read_back(&standin, "python3")), (Some(9), vec!["ready".into(), "last word".into()]));
}

#[test]
fn a_closed_stdout_and_stderr_are_no_trouble() {
    // sh closes them for the logpump that it becomes.
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--tee").shell("echo hello; exit 5");
    let run = run.behind_shell("exec \"$@\" >&- 2>&-");
    let ended = run.run();
    assert_eq!((ended.code, read_back(&standin, "sh")), (Some(5), vec!["hello".into()]));
    assert_eq!(ended.said, "");
}

/// Lines and bytes that a tee took are those that are found, and the report has the rest. The child goes on when a first
/// piece, which is no whole chunk, is on its way.
fn assert_tee_books(engine: &str, stdout: Stdio, found: impl FnOnce() -> Vec<u8>) {
    let run = Logpump::new(engine).into_files().with_stdin().arg("--tee");
    let mut run = run.shell("seq 1 1000; read line; seq 1001 200000");
    run.command.stdout(stdout);
    let mut run = run.start();
    let first = || (run.file("sh").len() == 3893).then_some(());
    crate::wait_for("the first piece", first, || format!("{} bytes", run.file("sh").len()));
    drop(run.stdin.take());
    let ended = run.end();
    let text = ended.file("sh");
    ended.assert_all_delivered(200_000, text.len() as u64);
    let found = found();
    assert!(text.starts_with(&found), "{} bytes that are not the first ones", found.len());
    let lines = found.iter().filter(|byte| **byte == b'\n').count() as u64;
    let (dropped_lines, dropped_bytes) = crate::program::counted(&ended.report, "/tee_dropped");
    let sum = (dropped_lines + lines, dropped_bytes + found.len() as u64);
    assert_eq!(sum, (200_000, text.len() as u64), "{} bytes were found\n{:#}", found.len(), ended.report);
}

#[test]
fn what_a_tee_did_not_take_is_counted_to_the_line() {
    on_both_engines(|engine| {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(reader);
        assert_tee_books(engine, writer.into(), Vec::new);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        assert_tee_books(engine, full.into(), Vec::new);
    });
}

#[test]
fn what_a_tee_that_gets_stuck_did_not_take_is_counted_to_the_line() {
    on_both_engines(|engine| {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        assert_tee_books(engine, writer.into(), || {
            let mut found = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut found).unwrap();
            assert!(!found.is_empty());
            found
        });
    });
}

/// Three children with lines of their own, `mode` as in `logpump-load write`: less than the tee's buffer in all.
fn teed(engine: &str, url: Option<&str>, mode: &str) -> Vec<u8> {
    let run = Logpump::new(engine).arg("--tee");
    let mut run = match url {
        Some(url) => run.into_cloudwatch(url),
        None => run.into_files(),
    };
    for writer in ["a", "b", "c"] {
        run = run.command(&[LOAD, "write", "--writer", writer, "--count", "6000", "--mode", mode, "--no-times"]);
    }
    let ended = run.run();
    ended.assert_all_delivered(18_000, 2_700_000);
    assert_eq!(ended.report["tee_dropped"]["lines"], 0, "{}", ended.said);
    ended.stdout
}

#[test]
fn the_tee_has_every_line_whole_and_each_childs_in_order() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify", "--count-only"]);
        for mode in ["line", "split", "bulk"] {
            for url in [None, Some(&standin.url[..])] {
                let copy = teed(engine, url, mode);
                let mut next = [0; 3];
                for (index, line) in copy.split_inclusive(|byte| *byte == b'\n').enumerate() {
                    let text = std::str::from_utf8(line).unwrap();
                    let words: Vec<_> = text.splitn(3, ' ').collect();
                    let writer = ["a", "b", "c"].iter().position(|writer| words[0] == *writer);
                    let (Some(writer), 150) = (writer, line.len()) else {
                        panic!("{mode} {url:?}: line {index} is torn: {text:?}")
                    };
                    assert_eq!(words[1].parse(), Ok(next[writer]), "{mode} {url:?}: line {index}");
                    next[writer] += 1;
                }
                assert_eq!(next, [6000; 3], "{mode} {url:?}");
            }
        }
    });
}
