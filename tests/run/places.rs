//! Odd places for logpump's own files: links, its own stdout, pipes that nobody reads.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::on_both_engines;
use crate::program::{Ended, Logpump};

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn assert_report(bytes: &[u8]) {
    let report: Value = serde_json::from_slice(bytes).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(bytes));
    });
    assert_eq!((&report["ledger_ok"], &report["total"]["delivered"]["lines"]), (&true.into(), &1.into()));
}

#[test]
fn a_report_through_a_link_is_written_where_the_link_leads() {
    for there_already in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let (link, target) = (place.path().join("link"), place.path().join("target"));
        symlink("target", &link).unwrap();
        if there_already {
            fs::write(&target, "an older and longer report\n".repeat(1000)).unwrap();
        }
        let run = Logpump::without_report("auto").into_files().arg("--report").arg(&link);
        let ended = run.shell("echo hello; exit 3").run_without_report();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert_eq!(fs::read_link(&link).expect("it is a link still"), Path::new("target"));
        assert_report(&fs::read(&target).unwrap());
        let names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.count(), 2, "something is left beside the report");
    }
}

/// As /dev/stdout leads there; but a link of our own, since the machine's might be lost by a fault of logpump's.
fn link_to_stdout(place: &Path) -> std::path::PathBuf {
    let link = place.join("stdout");
    symlink("/proc/self/fd/1", &link).unwrap();
    link
}

fn assert_link_to_stdout(link: &Path) {
    assert_eq!(fs::read_link(link).expect("it is a link still"), Path::new("/proc/self/fd/1"));
}

#[test]
fn a_report_to_a_stdout_that_is_a_file_stands_between_what_is_in_it_and_what_follows() {
    for appending in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let (link, path) = (link_to_stdout(place.path()), place.path().join("output"));
        let mut output = File::options().create(true).append(appending).write(true).open(&path).unwrap();
        output.write_all(b"before\n").unwrap();
        let mut run = Logpump::without_report("auto").into_files().arg("--report").arg(&link);
        run.command.stdout(output.try_clone().unwrap());
        let ended = run.shell("echo hello; exit 3").run_without_report();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert_link_to_stdout(&link);
        // As a shell's next command does.
        output.write_all(b"after\n").unwrap();
        let written = fs::read(&path).unwrap();
        let report = written.strip_prefix(b"before\n").and_then(|rest| rest.strip_suffix(b"after\n"));
        assert_report(report.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&written))));
    }
}

#[test]
fn a_report_to_a_stdout_that_is_a_pipe_is_read_there() {
    let place = tempfile::tempdir().unwrap();
    let link = link_to_stdout(place.path());
    let run = Logpump::without_report("auto").into_files().arg("--report").arg(&link);
    let ended = run.shell("echo hello; exit 3").run_without_report();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert_link_to_stdout(&link);
    assert_report(&ended.stdout);
}

fn reports_to(fifo: &Path) -> Ended {
    let run = Logpump::without_report("auto").into_files().arg("--report").arg(fifo);
    let ended = run.shell("echo hello; exit 3").run_without_report();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    ended
}

#[test]
fn a_report_to_a_fifo_that_nobody_reads_holds_nothing_up() {
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("fifo");
    make_fifo(&fifo);
    let ended = reports_to(&fifo);
    assert!(ended.said.contains("--report: cannot write"), "{}", ended.said);
    // Open, so that opening it waits for nobody, and full.
    let mut held = File::options().read(true).write(true).open(&fifo).unwrap();
    let bytes = rustix::pipe::fcntl_getpipe_size(&held).unwrap();
    held.write_all(&vec![b'x'; bytes]).unwrap();
    let ended = reports_to(&fifo);
    assert!(ended.said.contains("--report: cannot write"), "{}", ended.said);
    // Empty again.
    held.read_exact(&mut vec![0; bytes]).unwrap();
    reports_to(&fifo);
    let mut report = vec![0; bytes];
    let count = held.read(&mut report).unwrap();
    assert_report(&report[..count]);
}

/// --eof-grace and --drain-timeout, what our own end may take beside them, and for a busy machine.
const BOUND: Duration = Duration::from_secs(1 + 1 + 2 + 3);

#[test]
fn a_log_file_that_takes_no_more_holds_up_the_end_no_longer_than_the_drain_may_take() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().args(&["--eof-grace", "1s", "--drain-timeout", "1s"]);
        let (logs, mark) = (run.place("logs"), run.place("the child ended"));
        fs::create_dir(&logs).unwrap();
        make_fifo(&logs.join("sh"));
        let mut held = File::options().read(true).write(true).open(logs.join("sh")).unwrap();
        let run = run.env("MARK", &mark);
        let ended = run.shell("seq 1 100000; : >\"$MARK\"; exit 4").run();
        let took = fs::metadata(&mark).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(took <= BOUND, "ended {took:?} after its child; it said:\n{}", ended.said);
        assert_eq!((ended.code, ended.total("/read")), (Some(4), (100_000, 588_895)), "{}", ended.said);
        let ((_, delivered), (_, dropped)) = (ended.total("/delivered"), ended.total("/dropped/shutdown"));
        assert_eq!(delivered + dropped, 588_895, "{:#}", ended.report);
        // What counts as delivered is there.
        let mut found = vec![0; 1 << 20];
        let count = held.read(&mut found).unwrap();
        let expected: String = (1..=100_000).map(|line| format!("{line}\n")).collect();
        assert_eq!(count as u64, delivered, "{:#}", ended.report);
        crate::assert_same_bytes(&found[..count], &expected.as_bytes()[..count]);
    });
}
