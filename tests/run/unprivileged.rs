//! What only another user can have: pipes beyond the kernel's soft limit, so that they cannot be enlarged and new ones
//! are small; and so few processes that threads cannot be started.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::on_both_engines;
use crate::program::{Ended, Logpump, counted, standin};

const NOBODY: u32 = 65_534;
/// Nobody else's, since the limit counts all processes of a user.
const FEW: u32 = 64_711;

/// Holds pipes until the user may not enlarge another one, says so, and keeps them until its stdin ends.
const HOLDER: &str = r#"
import fcntl, os, sys
held = []
while True:
    held.append(os.pipe())
    try:
        fcntl.fcntl(held[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
    except PermissionError:
        break
while fcntl.fcntl(held[-1][0], fcntl.F_GETPIPE_SZ) > 8192:
    held.append(os.pipe())
print("held", flush=True)
sys.stdin.read()
"#;

/// Where other users may go, with what they may run: the build directory may be closed to them.
pub fn open_place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_logpump"), place.path().join("logpump")).unwrap();
    place
}

#[test]
fn pipes_that_cannot_be_enlarged_are_said_and_every_line_arrives() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can become a user without privileges, and this user's pipes are others' too");
        return;
    }
    let place = open_place();
    let program = place.path().join("logpump");
    let mut holder = Command::new("python3")
        .args(["-c", HOLDER])
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    on_both_engines(|engine| {
        let report = place.path().join(format!("{engine}.json"));
        let mut run = Logpump::new(engine);
        run.command = Command::new(&program);
        run.command.uid(NOBODY).gid(NOBODY).env("HOME", place.path());
        run.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run.command.args(["run", "--engine", engine, "--log-stream", engine, "--report"]).arg(&report);
        let run = run.arg("--dir").arg(place.path().join("logs"));
        let ended = run.shell("id -u; seq 1 1000000").run_without_report();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(ended.said.matches("cannot enlarge a child's pipe").count(), 1, "{}", ended.said);
        assert!(ended.said.contains("/proc/sys/fs/pipe-user-pages-soft"), "{}", ended.said);
        let found = std::fs::read_to_string(place.path().join("logs").join(engine)).unwrap();
        assert!(
            found.lines().map(|line| line.parse::<u32>().unwrap()).eq(std::iter::once(NOBODY).chain(1..=1_000_000))
        );
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        assert_eq!((&report["ledger_ok"], &report["total"]["delivered"]["lines"]), (&true.into(), &1_000_001.into()));
        assert_eq!(report["engine"], engine);
    });
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// One process, whatever the shell; more than ring and pipe hold.
const BUILTINS: &str =
    "n=0; while [ $n -lt 400000 ]; do echo \"line $n of many\"; n=$((n + 1)); done || exit 99; exit 5";
const LINES: u64 = 400_000;
const BYTES: u64 = 7_888_890;

/// A run of a user that may have so many processes and threads; its report, if it wrote one.
fn with_processes(most: u32, engine: &str, url: Option<&str>) -> (Ended, Value) {
    let place = open_place();
    let report = place.path().join("report.json");
    let mut run =
        Logpump::without_report(engine).arg("--report").arg(&report).args(&["--tee", "--drain-timeout", "100s"]);
    run = match url {
        Some(url) => run.into_cloudwatch(url),
        None => run.arg("--log-stream").arg("{name}").arg("--dir").arg(place.path().join("logs")),
    };
    let run = run.shell(BUILTINS);
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nproc={most}")).arg(place.path().join("logpump")).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    // Its thread is one more.
    limited.env("LOGPUMP_SPOOL_MAX", "0");
    limited.uid(FEW).gid(FEW).current_dir(place.path());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = Logpump { command: limited, ..run }.run_without_report();
    let report = std::fs::read(report).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    (ended, report)
}

#[test]
fn threads_that_cannot_be_started_cost_lines_and_not_the_child() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can become a user that has no other process");
        return;
    }
    let (ended, report) = with_processes(1, "epoll", None);
    assert!(report.is_null() && ended.code == Some(71), "{:?}: {}", ended.code, ended.said);
    let standin = standin(&["--no-verify"]);
    for url in [None, Some(&standin.url[..])] {
        // logpump and its child; then each thread finds room: messages, tee, ship, intake, the SDK's.
        for most in 2..=7 {
            let (ended, report) = with_processes(most, "auto", url);
            assert_eq!(ended.code, Some(5), "{most}: {}", ended.said);
            let total = &report["total"];
            let counts = ["/read", "/delivered", "/dropped/internal"].map(|pointer| counted(total, pointer));
            assert_eq!(counts[0], (LINES, BYTES), "{most}: {report:#}\n{}", ended.said);
            assert_eq!(counts[1].0 + counts[2].0, LINES, "{most}: {report:#}\n{}", ended.said);
            assert_eq!(report["ledger_ok"], true, "{most}: {report:#}\n{}", ended.said);
            let all_started = !ended.said.contains("cannot start");
            assert_eq!((all_started, counts[2].0 == 0), (most >= 6, most >= 6), "{most}: {}", ended.said);
        }
    }
}
