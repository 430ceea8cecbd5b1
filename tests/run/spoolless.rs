//! No place for a spool, or none any more: full, read-only, no directory, another's, limits on files and on descriptors. It
//! is said once with what to do, the run goes on in memory, and each line is delivered or counted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, Logpump, counted, read_back, standin};
use crate::service::{set, written};
use crate::spool::{OUTAGE, adopter, assert_gone, files};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

const SCRIPT: &str = "seq 1 2000; exit 5";
const LINES: u64 = 2000;
const NOBODY: u32 = 65_534;

pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not run: only root can mount, give files away and become another user");
    }
    root
}

/// All is delivered, and one message says what is wrong and what to do.
fn assert_said(standin: &Standin, ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(5), "{}", ended.said);
    assert_eq!(ended.said.matches("there is no spool: lines are kept in memory").count(), 1, "{}", ended.said);
    assert_eq!(ended.said.matches(what).count(), 1, "{what}: {}", ended.said);
    assert!(ended.said.contains("with --spool-dir"), "{}", ended.said);
    assert!(read_back(standin, "sh").iter().map(|line| line.parse::<u64>().unwrap()).eq(1..=LINES), "{}", ended.said);
}

#[test]
fn that_durable_does_nothing_without_a_spool_is_said() {
    let place = tempfile::NamedTempFile::new().unwrap();
    for (durable, times) in [(&["--durable"][..], 1), (&[], 0)] {
        let standin = standin(&[]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path()).args(durable);
        let ended = run.shell(SCRIPT).run();
        assert_said(&standin, &ended, "there is no spool");
        let said = "then --when-full decides; --durable does nothing: a kill costs what is in memory\n";
        assert_eq!(ended.said.matches(said).count(), times, "{}", ended.said);
    }
}

#[test]
fn a_spool_that_is_no_directory_is_said_once_and_the_run_goes_on() {
    on_both_engines(|engine| {
        let place = tempfile::tempdir().unwrap();
        let (file, link, elsewhere) =
            (place.path().join("file"), place.path().join("link"), place.path().join("there"));
        fs::write(&file, "precious").unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        for (spool, what) in [
            (&file, "is a symbolic link, or no directory"),
            (&link, "is a symbolic link, or no directory"),
            (&file.join("below"), "is a symbolic link, or no directory"),
        ] {
            let standin = standin(&[]);
            let run = Logpump::new(engine).into_cloudwatch(&standin.url).arg("--spool-dir").arg(spool);
            let ended = run.shell(SCRIPT).run();
            assert_said(&standin, &ended, what);
            ended.assert_all_delivered(LINES, 8893);
        }
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    });
}

/// Where other users may go, with what they may run: the build directory may be closed to them.
pub fn open_place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_logpump"), place.path().join("logpump")).unwrap();
    place
}

/// The same run through another program, as this user; its report lies elsewhere.
pub fn through(program: &[&str], user: Option<u32>, place: &Path, run: Logpump) -> (Ended, Value) {
    let report = place.join("report.json");
    let run = Logpump { command: run.command, engine: run.engine, place: run.place };
    let mut other = Command::new("env");
    other.args(program).arg(place.join("logpump")).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    if let Some(user) = user {
        other.uid(user).gid(user);
    }
    other.env("LOGPUMP_REPORT", &report).env("HOME", place).current_dir(place);
    other.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = Logpump { command: other, ..run }.run_without_report();
    let written = fs::read(&report).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    let _ = fs::remove_file(report);
    (ended, written)
}

#[test]
fn a_spool_that_may_not_be_written_or_is_anothers_is_said_once_and_the_run_goes_on() {
    if !is_root() {
        return;
    }
    let place = open_place();
    let (closed, anothers) = (place.path().join("closed"), place.path().join("anothers"));
    for (path, owner, mode) in [(&closed, NOBODY, 0o555), (&anothers, NOBODY - 1, 0o777)] {
        fs::create_dir(path).unwrap();
        chown(path, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for (spool, what) in [
        (&closed, "cannot make a directory in"),
        (&closed.join("below"), "Permission denied"),
        (&anothers, "belongs to user 65533, and we are user 65534"),
    ] {
        let standin = standin(&[]);
        let run = Logpump::without_report("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(spool);
        let (ended, report) = through(&[], Some(NOBODY), place.path(), run.shell(SCRIPT));
        assert_said(&standin, &ended, what);
        assert_eq!(counted(&report["total"], "/delivered").0, LINES, "{report:#}");
    }
}

// ---- a full disk -----------------------------------------------------------------------------

/// `sh` mounts a small file system at $SPOOL, in a namespace of its own, and becomes logpump.
const MOUNTED: &str =
    "exec unshare --mount sh -c 'mount -t tmpfs -o size=4m tmpfs \"$SPOOL\" && exec \"$@\"' sh \"$@\"";

/// 150 bytes.
fn numbered_lines(lines: u64) -> String {
    format!("seq -f '%010.0f{}' 1 {lines}", ".".repeat(139))
}

#[test]
fn a_disk_that_is_full_costs_nothing_with_block_and_what_is_counted_with_drop() {
    const MANY: u64 = 300_000;
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let may_mount = Command::new("sh").args(["-c", MOUNTED, "sh", "true"]).env("SPOOL", place.path()).status().unwrap();
    if !may_mount.success() {
        eprintln!("not run: this machine lets nobody mount a file system");
        return;
    }
    for when_full in ["block", "drop"] {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path());
        let run = run.args(&["--memory-max", "16MiB", "--drain-timeout", "100s", "--when-full", when_full]);
        let run = run.shell(&numbered_lines(MANY)).env("SPOOL", place.path());
        let mut run = run.behind_shell(MOUNTED).start();
        run.wait_said("the spool takes nothing more");
        if when_full == "drop" {
            run.wait_said("INFO sh ended");
        } else {
            let (mut last, mut unchanged) = (None, 0);
            let waits = || {
                let now = written(&run);
                unchanged = if now == last { unchanged + 1 } else { 0 };
                last = now;
                (unchanged == 200).then_some(())
            };
            wait_for("the writer to wait", waits, || format!("{:?}", written(&run)));
        }
        set(&standin, "");
        let ended = run.end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(ended.said.contains("No space left on device"), "{}", ended.said);
        assert!(ended.said.contains("free some disk space, or raise --spool-max"), "{}", ended.said);
        let [read, delivered, dropped] = ["/read", "/delivered", "/dropped/spool_full"].map(|end| ended.total(end).0);
        assert_eq!((read, delivered + dropped), (MANY, MANY), "{:#}\n{}", ended.report, ended.said);
        assert_eq!(when_full == "drop", dropped > 0, "{:#}\n{}", ended.report, ended.said);
        let markers = ended.report["total"]["markers"].as_u64().unwrap();
        assert_eq!(standin.stats()["events"], delivered + markers, "{:#}", ended.report);
    }
}

// ---- limits ----------------------------------------------------------------------------------

#[test]
fn a_limit_on_files_is_no_more_than_a_full_spool() {
    const MANY: u64 = 300_000;
    let place = tempfile::tempdir().unwrap();
    // Less than a record; less than a segment; and as good as none.
    for limit in ["4096", "700000", "1500000", "3000000"] {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path());
        let run = run.args(&["--memory-max", "16MiB", "--spool-max", "16MiB", "--drain-timeout", "100s"]);
        let run = run.shell(&format!("{}; exit 5", numbered_lines(MANY)));
        let mut run = run.behind_shell(&format!("exec prlimit --fsize={limit} \"$@\"")).start();
        run.wait_said("ended: ");
        set(&standin, "");
        let ended = run.end();
        assert_eq!(ended.code, Some(5), "{limit}: {}", ended.said);
        let dropped = ended.report["total"]["dropped"].as_object().unwrap().values().map(|count| counted(count, "").0);
        let (read, delivered, dropped) = (ended.total("/read").0, ended.total("/delivered").0, dropped.sum::<u64>());
        assert_eq!((read, delivered + dropped), (MANY, MANY), "{limit}: {:#}\n{}", ended.report, ended.said);
        let markers = ended.report["total"]["markers"].as_u64().unwrap();
        assert_eq!(standin.stats()["events"], delivered + markers, "{limit}: {:#}", ended.report);
        assert_gone(place.path());
    }
}

#[test]
fn too_few_descriptors_cost_no_line_that_is_not_counted() {
    /// So many runs in a row at which nothing is missing any more.
    const ENOUGH: u32 = 3;
    // Where it is asked for, io_uring may still give way to epoll.
    for engine in ["auto", "epoll"] {
        let (mut well, mut started) = (0, 0);
        for most in 4..80 {
            let place = tempfile::tempdir().unwrap();
            let standin = standin(&[]);
            let run = Logpump::new(engine).into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path());
            let run = run.args(&["--drain-timeout", "500ms", "--flush-interval", "10ms"]).shell(SCRIPT);
            let ended = run.behind_shell(&format!("exec prlimit --nofile={most} \"$@\"")).start().end_without_report();
            let state = format!("{most}: {:#}\n{}", ended.report["total"], ended.said);
            if ended.code != Some(5) {
                // It did not start, and says why.
                assert_eq!((ended.code.is_some_and(|code| code > 0), started), (true, 0), "{state}");
                assert!(!ended.said.is_empty(), "{state}");
                continue;
            }
            started += 1;
            if ended.report.is_null() {
                assert!(ended.said.contains("report"), "{state}");
                continue;
            }
            assert_eq!(ended.report["ledger_ok"], true, "{state}");
            let dropped = ended.report["total"]["dropped"].as_object().unwrap();
            let dropped: u64 = dropped.values().map(|count| counted(count, "").0).sum();
            let [delivered, spooled] = ["/delivered", "/spooled"].map(|end| ended.total(end).0);
            assert_eq!((ended.total("/read").0, delivered + dropped + spooled), (LINES, LINES), "{state}");
            assert!(standin.stats()["events"].as_u64() >= Some(delivered), "{state}");
            if spooled > 0 {
                let next = adopter(engine, &standin.url, place.path()).command(&["true"]).run();
                assert_eq!(next.total("/adopted").0, spooled, "{state}\n{:#}\n{}", next.report, next.said);
            }
            assert_eq!(files(place.path(), ".seg").len(), 0, "{state}");
            let all_is_well = delivered == LINES && !ended.said.contains("spool");
            well = if all_is_well { well + 1 } else { 0 };
            if well == ENOUGH {
                eprintln!("{engine}: {started} runs started; {most} descriptors are more than enough");
                break;
            }
        }
        assert_eq!(well, ENOUGH, "no limit was enough");
    }
}
