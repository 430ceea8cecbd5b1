//! How children end, and what logpump makes of it: exit codes, the report, grandchildren that hold the pipe.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::program::{Logpump, Running, counted, standin};
use crate::{on_both_engines, wait_for};

/// Waits until a file of `into_files` holds exactly this.
fn wait_for_file(run: &Running, name: &str, wanted: &[u8]) {
    let text = || String::from_utf8_lossy(&run.file(name)).into_owned();
    wait_for("a file to fill", || (run.file(name) == wanted).then_some(()), text);
}

#[test]
fn a_child_killed_by_a_signal_ends_with_128_and_the_number() {
    on_both_engines(|engine| {
        for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
            let ended = Logpump::new(engine).into_files().shell(&format!("echo last; kill -{signal} $$")).run();
            assert_eq!(ended.code, Some(code), "{}", ended.said);
            assert_eq!(ended.file("sh"), b"last\n");
        }
    });
}

#[test]
fn a_child_that_closes_its_output_and_runs_on_is_waited_for() {
    on_both_engines(|engine| {
        let script = "echo last; exec >&- 2>&-; read line; exit 7";
        let run = Logpump::new(engine).into_files().with_stdin().shell(script).start();
        wait_for_file(&run, "sh", b"last\n");
        let closed = || {
            let child = run.child_pid()?;
            (!fs::exists(format!("/proc/{child}/fd/1")).unwrap()).then_some(())
        };
        wait_for("the child to close its output", closed, || format!("child {:?}", run.child_pid()));
        let mut run = run;
        run.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        let ended = run.end();
        assert_eq!(ended.code, Some(7), "{}", ended.said);
        ended.assert_all_delivered(1, 5);
    });
}

#[test]
fn what_grandchildren_write_after_their_leader_is_kept() {
    // The leader is gone when `kill -0` no longer finds it.
    let script =
        "for n in 1 2 3; do (while kill -0 $$ 2>/dev/null; do sleep 0.01; done; echo after $n) & done; echo before";
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().args(&["--eof-grace", "100s"]).shell(script).run();
        assert_eq!(ended.code, Some(0));
        let found = String::from_utf8(ended.file("sh")).unwrap();
        let mut lines: Vec<_> = found.lines().collect();
        lines.sort();
        assert_eq!(lines, ["after 1", "after 2", "after 3", "before"], "{}", ended.said);
        assert!(!ended.said.contains("holds its output open"), "{}", ended.said);
    });
}

#[test]
fn a_grandchild_that_holds_the_pipe_longer_is_cut_off_and_that_is_said() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().args(&["--eof-grace", "300ms"]);
        let fifo = run.place("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // It waits for a writer until we are such a one.
        let ended = run.env("FIFO", &fifo).shell("cat \"$FIFO\" & printf 'before\\npartial'; exit 3").run();
        let release = File::options().write(true).open(&fifo).unwrap();
        drop(release);
        assert_eq!(ended.code, Some(3));
        assert!(
            ended.said.contains("another process holds its output open: closed after --eof-grace"),
            "{}",
            ended.said
        );
        assert_eq!(ended.file("sh"), b"before\npartial");
        ended.assert_all_delivered(2, 14);
    });
}

#[test]
fn of_several_commands_the_first_code_that_is_not_0_counts() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().with_stdin().args(&["--name", "app"]);
        let mut run = run.command(&["true"]).shell("exit 3").shell("read line; exit 5").start();
        run.wait_said("app-2 ended: ");
        run.stdin.take().unwrap().write_all(b"now you\n").unwrap();
        let ended = run.end();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains("app-3 ended: "), "{}", ended.said);
    });
}

#[test]
fn a_command_that_is_not_found_is_127_and_one_that_cannot_run_126() {
    for (argv, code) in
        [("/nowhere/to/be/found", 127), ("not-a-command-of-anyone", 127), ("/", 126), ("/etc/hostname", 126)]
    {
        let ended = Logpump::new("auto").into_files().command(&[argv]).run_without_report();
        assert_eq!(ended.code, Some(code), "{argv}: {}", ended.said);
        assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
        assert!(ended.said.contains(argv), "{}", ended.said);
    }
}

#[test]
fn children_that_run_already_end_when_a_later_one_cannot_start() {
    let run = Logpump::new("auto").into_files().with_stdin();
    let mut run = run.shell("while read line; do :; done").command(&["/nowhere/to/be/found"]).start();
    let mut stdin = run.stdin.take().unwrap();
    let ended = run.end_without_report();
    assert_eq!(ended.code, Some(127), "{}", ended.said);
    // Nobody reads any more.
    let broken = || stdin.write_all(b"still there?\n").is_err().then_some(());
    wait_for("the first child's end", broken, || "it still reads".into());
}

/// Writes a line, then notes in a file that it has, until it is stopped.
const NOTING: &str = "while :; do echo line || exit 99; echo line >>\"$NOTES\"; done";
/// It may be stopped before its first line, but not every time.
const STARTS_MAX: usize = 30;

#[test]
fn what_a_child_wrote_is_kept_when_a_later_one_cannot_start() {
    on_both_engines(|engine| {
        let lines_kept = || {
            let run = Logpump::new(engine).into_files();
            let notes = run.place("notes");
            let ended = run.env("NOTES", &notes).shell(NOTING).command(&["/nowhere/to/be/found"]).run();
            assert_eq!(ended.code, Some(127), "{}", ended.said);
            assert!(ended.said.contains("/nowhere/to/be/found"), "{}", ended.said);
            let (kept, noted) = (ended.file("sh"), fs::read(&notes).unwrap_or_default());
            // Stopped between the line and its note, or not.
            assert!(kept == noted || kept == [b"line\n", &noted[..]].concat(), "{} of {}", kept.len(), noted.len());
            ended.assert_all_delivered(kept.len() as u64 / 5, kept.len() as u64);
            kept.len() / 5
        };
        assert!((0..STARTS_MAX).any(|_| lines_kept() > 0), "stopped before its first line {STARTS_MAX} times");
    });
}

/// Whatever fails for want of descriptors, the child does not notice, and the report does not hide it.
fn run_with_descriptors(run: Logpump, most: u32) {
    let run = run.args(&["--drain-timeout", "1s"]).shell("seq 1 20000 || exit 99; exit 5");
    let ended = run.behind_shell(&format!("ulimit -n {most}; exec \"$@\"")).start().end_without_report();
    assert_eq!(ended.code, Some(5), "{most}: {}", ended.said);
    assert!(!ended.report.is_null(), "{most}: {}", ended.said);
    assert!(!ended.said.contains("a fault of logpump's"), "{most}: {}", ended.said);
    let limit = format!("the limit of open files is {most} (ulimit -n): raise it");
    let of_descriptors =
        ["Too many open files", "tokio cannot start"].map(|why| format!("the shipping thread failed: {why}"));
    let refused = |line: &&str| of_descriptors.iter().any(|why| line.contains(why));
    assert!(ended.said.lines().filter(refused).all(|line| line.contains(&limit)), "{most}: {}", ended.said);
    let all_read = ended.total("/read").1 == 108_894;
    assert!(all_read || ended.report["ledger_ok"] == false, "{most}: {:#}\n{}", ended.report, ended.said);
    let booked = ["/delivered", "/dropped/internal", "/dropped/shutdown"].map(|pointer| ended.total(pointer).1);
    assert_eq!(booked.iter().sum::<u64>(), ended.total("/read").1, "{most}: {:#}\n{}", ended.report, ended.said);
}

#[test]
fn with_hardly_a_descriptor_the_code_is_the_childs_and_the_report_says_what_failed() {
    let standin = standin(&[]);
    for engine in ["auto", "epoll"] {
        for _ in 0..10 {
            run_with_descriptors(Logpump::new(engine).into_files(), 14);
            run_with_descriptors(Logpump::new(engine).into_cloudwatch(&standin.url), 14);
        }
        // From where the first thread fails to where none does.
        for most in 11..=20 {
            run_with_descriptors(Logpump::new(engine).into_cloudwatch(&standin.url), most);
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_is_73_before_the_child_starts() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("started");
    for option in [["--dir", "/proc/nowhere"], ["--dir", "/dev/null"], ["--report", "/proc/nowhere/report.json"]] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_logpump"));
        let output = run.arg("run").args(option).arg("--").arg("touch").arg(&mark).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(73), "{option:?}: {said}");
        assert!(said.lines().count() == 1 && said.contains(option[1]) && !mark.exists(), "{said}");
    }
}

#[test]
fn the_report_is_complete() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().args(&["--name", "app"]);
        let ended = run.command(&["seq", "1", "10"]).command(&["echo", "hello"]).run();
        let report = &ended.report;
        assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&report["engine"], &report["ledger_ok"]), (&engine.into(), &true.into()));
        assert!(report["engine_reason"].is_string() && report["uptime_ms"].is_u64(), "{report:#}");
        let streams = report["streams"].as_array().unwrap();
        for ledger in streams.iter().chain([&report["total"]]) {
            for name in ["read", "adopted", "delivered", "spooled", "in_memory"] {
                assert!(ledger[name]["lines"].is_u64() && ledger[name]["bytes"].is_u64(), "{name}: {ledger:#}");
            }
            for name in ["filtered", "rejected", "dropped"] {
                assert_eq!(ledger[name], Value::Object(Default::default()), "{name}");
            }
            for name in ["markers", "duplicates", "calls", "retries"] {
                assert_eq!(ledger[name], 0, "{name}");
            }
        }
        let named = |stream: &Value| (stream["name"].clone(), stream["group"].clone(), stream["stream"].clone());
        assert_eq!(named(&streams[0]), ("app".into(), Value::Null, "app".into()));
        assert_eq!(named(&streams[1]), ("app-2".into(), Value::Null, "app-2".into()));
        assert_eq!(counted(&streams[0], "/delivered"), (10, 21));
        assert_eq!(counted(&streams[1], "/delivered"), (1, 6));
        ended.assert_all_delivered(11, 27);
    });
}
