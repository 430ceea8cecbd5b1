//! A user whose pipes exceed the kernel's soft limit: pipes cannot be enlarged, and new ones are small.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::on_both_engines;
use crate::program::Logpump;

const NOBODY: u32 = 65_534;

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

#[test]
fn pipes_that_cannot_be_enlarged_are_said_and_every_line_arrives() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can become a user without privileges, and this user's pipes are others' too");
        return;
    }
    // Where this user may go, and what it may run: the build directory may be closed to it.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = place.path().join("logpump");
    std::fs::copy(env!("CARGO_BIN_EXE_logpump"), &program).unwrap();
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
