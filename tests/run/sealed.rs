//! What passes between logpump and others beside lines: no port, no descriptor, no signal state, no privilege.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::program::{Logpump, Running, read_back, standin};
use crate::spoolless::{is_root, open_place, through};
use crate::{on_both_engines, wait_for};

/// The sockets of a process, by their inodes.
fn sockets(run: &Running) -> BTreeSet<String> {
    let fds = fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().flatten();
    let links = fds.filter_map(|fd| fs::read_link(fd.path()).ok()?.into_os_string().into_string().ok());
    links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

#[test]
fn nothing_of_it_listens_and_its_only_connections_are_its_calls() {
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--flush-interval", "10ms"]).with_stdin();
    let mut run = run.shell("echo one; read line").start();
    let sent = || (standin.stats()["events"] == 1).then_some(());
    wait_for("the first line", sent, || standin.stats().to_string());

    let sockets = sockets(&run);
    assert!(!sockets.is_empty(), "the connection to the stand-in is one");
    let mut known = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        for row in fs::read_to_string(format!("/proc/{}/net/{table}", run.pid())).unwrap_or_default().lines().skip(1) {
            let fields: Vec<_> = row.split_whitespace().collect();
            if sockets.contains(fields[9]) {
                known.insert(fields[9].to_owned());
                // Peers of connections have a port; who listens, or waits for datagrams, has none.
                assert!(!fields[2].ends_with(":0000"), "{table}: {row}");
                assert_ne!(fields[3], "0A", "it listens: {table}: {row}");
            }
        }
    }
    for row in fs::read_to_string(format!("/proc/{}/net/unix", run.pid())).unwrap().lines().skip(1) {
        let fields: Vec<_> = row.split_whitespace().collect();
        if sockets.contains(fields[6]) {
            known.insert(fields[6].to_owned());
            // A pair without a name, by which a library wakes itself.
            assert!(fields[3] == "00000000" && fields.len() == 7, "{row}");
        }
    }
    assert_eq!(known, sockets, "of the others nothing is known");
    run.stdin = None;
    run.end().assert_all_delivered(1, 4);
}

/// What a shell has, and how signals find what it starts: its open descriptors, the masks of one that touches neither.
const LOOK: &str = "ls /proc/$$/fd; cat /proc/self/status";

fn facts(lines: impl Iterator<Item = String>) -> Vec<String> {
    lines
        .filter(|line| line.parse::<u32>().is_ok() || line.starts_with("Sig"))
        .filter(|line| !line.contains("SigQ"))
        .collect()
}

/// The second command is started when the first one's pipe, the rings and the bells are there. What whoever started
/// logpump had left open is not closed by it: so has the test's own child.
#[test]
fn a_command_has_no_descriptor_of_logpumps_and_default_signals() {
    let own = Command::new("sh").args(["-c", LOOK]).stdin(Stdio::null()).output().unwrap();
    let mut expected = facts(String::from_utf8(own.stdout).unwrap().lines().map(str::to_owned));
    expected.retain(|fact| !fact.starts_with("Sig"));
    expected.extend(["SigPnd", "SigBlk", "SigIgn", "SigCgt"].map(|name| format!("{name}:\t0000000000000000")));
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url);
        let ended = run.command(&["sh", "-c", "read line"]).shell(LOOK).run();
        assert_eq!(ended.code, Some(1), "{}", ended.said);
        assert_eq!(facts(read_back(&standin, "sh-2").into_iter()), expected);
    });
}

#[test]
fn it_runs_without_capabilities_and_privileges_and_cannot_gain_any() {
    if !is_root() {
        return;
    }
    for engine in ["auto", "epoll"] {
        let place = open_place();
        let standin = standin(&[]);
        let run = Logpump::without_report(engine).into_cloudwatch(&standin.url);
        let look = "grep -E '^(Cap...|NoNewPrivs)' /proc/$PPID/status; id -u";
        let less =
            "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --clear-groups --reuid=65534 --regid=65534";
        let less: Vec<_> = less.split(' ').collect();
        let (ended, report) = through(&less, None, place.path(), run.shell(look));
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(report["total"]["delivered"]["lines"], 7, "{report:#}\n{}", ended.said);
        let capabilities = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000"));
        let expected: Vec<_> = capabilities.into_iter().chain(["NoNewPrivs:\t1".into(), "65534".into()]).collect();
        assert_eq!(read_back(&standin, "sh"), expected);
    }
}

/// The directories and files of the spool, whatever the umask.
#[test]
fn only_its_owner_may_look_into_the_spool() {
    let run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:1").args(&["--drain-timeout", "1s"]);
    let ended = run.shell("seq 1 100").behind_shell("umask 0; exec \"$@\"").run();
    assert_eq!(ended.total("/spooled").0, 100, "{:#}\n{}", ended.report, ended.said);
    let mut modes = Vec::new();
    let mut left = vec![ended.directory().join("spool")];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        modes.push((metadata.is_dir(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(modes.len() >= 4, "{modes:?}");
    assert!(modes.iter().all(|mode| matches!(mode, (true, 0o700) | (false, 0o600))), "{modes:?}");
}
