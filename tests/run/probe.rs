//! Where io_uring is refused: by real seccomp filters, by limits, and by a kernel that never answers. Each time epoll takes
//! over, one line says why and what to do, and no line of the command's is lost.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{Ended, Logpump, read_back, standin};

const LINES: u64 = 20_000;
const BYTES: u64 = 108_894;

/// What a filter does with one system call; everything else is allowed.
#[derive(Debug, Clone, Copy)]
struct Rule {
    call: libc::c_long,
    action: u32,
}

fn errno(call: libc::c_long, errno: i32) -> Rule {
    Rule { call, action: libc::SECCOMP_RET_ERRNO | errno as u32 }
}

fn kill(call: libc::c_long) -> Rule {
    Rule { call, action: libc::SECCOMP_RET_KILL_PROCESS }
}

/// In the process that becomes logpump: classic BPF over seccomp_data, whose first word is the call's number.
fn install(rules: &[Rule]) -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for rule in rules {
        let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        program.push(libc::sock_filter { code: equal, jt: 0, jf: 1, k: rule.call as u32 });
        program.push(statement(libc::BPF_RET | libc::BPF_K, rule.action));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let asks = rules.iter().any(|rule| rule.action == libc::SECCOMP_RET_USER_NOTIF);
    let flags = if asks { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: `filter` names `program`, which outlives the call; the kernel copies it.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && match libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &filter) {
                -1 => false,
                // Whoever asks waits for as long as somebody has this: logpump itself, which knows nothing of it.
                listener if asks => libc::fcntl(listener as i32, libc::F_DUPFD, 100) != -1,
                _ => true,
            }
    };
    if set { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn under(mut run: Logpump, rules: &[Rule]) -> Logpump {
    let rules = rules.to_vec();
    // SAFETY: between fork and exec; `install` makes a short vector, which this process's one thread may.
    unsafe { run.command.pre_exec(move || install(&rules)) };
    run
}

/// `auto` delivers every line, on this engine; what it said.
fn delivers(run: impl Fn(Logpump) -> Logpump, engine: &str) -> Ended {
    let standin = standin(&[]);
    // Not `Logpump::new("auto")`, which the whole suite's engine overrides: this is about the choice.
    let run = run(Logpump::choosing().into_cloudwatch(&standin.url)).args(&["--drain-timeout", "100s"]);
    let ended = run.shell(&format!("seq 1 {LINES}; exit 5")).run();
    assert_eq!((ended.code, &ended.report["engine"]), (Some(5), &engine.into()), "{}", ended.said);
    ended.assert_all_delivered(LINES, BYTES);
    let expected: Vec<_> = (1..=LINES).map(|line| line.to_string()).collect();
    assert_eq!(read_back(&standin, "sh"), expected);
    ended
}

fn line_with<'a>(said: &'a str, text: &str) -> &'a str {
    let mut lines = said.lines().filter(|line| line.contains(text));
    let line = lines.next().unwrap_or_else(|| panic!("{text:?} was not said:\n{said}"));
    assert_eq!(lines.next(), None, "{text:?} was said twice:\n{said}");
    line
}

/// `--engine uring` ends with 69 and this, before its command starts.
fn insists_in_vain(run: impl Fn(Logpump) -> Logpump, fault: &str) {
    let run = run(Logpump::without_report("uring")).arg("--sink").arg("null");
    let mark = run.place("started");
    let ended = run.arg("--").arg("touch").arg(&mark).run_without_report();
    assert_eq!((ended.code, ended.said.lines().count()), (Some(69), 1), "{}", ended.said);
    assert!(ended.said.starts_with("logpump: --engine uring: ") && ended.said.contains(fault), "{}", ended.said);
    assert!(!mark.exists());
}

fn falls_back(run: impl Fn(Logpump) -> Logpump, fault: &str, remedy: &str) {
    let ended = delivers(&run, "epoll");
    let line = line_with(&ended.said, "engine epoll: ");
    assert!(line.contains(fault) && line.contains(remedy), "{line}");
    assert!(line.ends_with("using epoll (silence with --engine epoll)"), "{line}");
    let reason = ended.report["engine_reason"].as_str().unwrap();
    assert!(reason.contains(fault), "{reason}");
    insists_in_vain(run, fault);
}

/// Where this machine itself refuses io_uring, nothing here tells anything.
fn has_io_uring() -> bool {
    let ended = Logpump::without_report("uring").arg("--sink").arg("null").command(&["true"]).run_without_report();
    if ended.code != Some(0) {
        eprintln!("not run: io_uring is refused on this machine: {}", ended.said);
    }
    ended.code == Some(0)
}

const ALLOW: &str = "allow io_uring_setup and io_uring_enter in the container's seccomp profile";

#[test]
fn a_refused_set_up_falls_back() {
    if !has_io_uring() {
        return;
    }
    for (number, fault) in [
        (libc::EPERM, "cannot create an io_uring: Operation not permitted"),
        (libc::EACCES, "cannot create an io_uring: Permission denied"),
        (libc::ENOSYS, "cannot create an io_uring: Function not implemented"),
        (libc::EINVAL, "cannot create an io_uring: Invalid argument"),
    ] {
        falls_back(|run| under(run, &[errno(libc::SYS_io_uring_setup, number)]), fault, ALLOW);
    }
}

#[test]
fn a_set_up_that_is_let_pass_and_operations_that_are_refused_fall_back() {
    if !has_io_uring() {
        return;
    }
    let fault = "an io_uring poll of a pipe failed: Operation not permitted";
    falls_back(|run| under(run, &[errno(libc::SYS_io_uring_enter, libc::EPERM)]), fault, ALLOW);
    let fault = "an io_uring poll of a pipe failed: Operation not supported";
    falls_back(|run| under(run, &[errno(libc::SYS_io_uring_enter, libc::EOPNOTSUPP)]), fault, ALLOW);
}

#[test]
fn a_call_that_never_returns_falls_back_within_its_limit() {
    if !has_io_uring() {
        return;
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        let asks = [Rule { call, action: libc::SECCOMP_RET_USER_NOTIF }];
        let fault = "cannot create an io_uring: no answer within 500ms";
        falls_back(|run| under(run, &asks), fault, "or a sandbox");
    }
}

#[test]
fn a_filter_that_kills_falls_back_and_leaves_no_core_file() {
    if !has_io_uring() {
        return;
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        let place = tempfile::tempdir().unwrap();
        let killed = |run: Logpump| {
            let mut run = under(run, &[kill(call)]);
            run.command.current_dir(place.path());
            run
        };
        falls_back(
            killed,
            "cannot create an io_uring: killed by SIGSYS",
            "kills instead of refusing; allow io_uring_setup",
        );
        assert_eq!(names(place.path()), [""; 0]);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn io_uring_register_is_not_needed() {
    if !has_io_uring() {
        return;
    }
    for rule in [errno(libc::SYS_io_uring_register, libc::EPERM), kill(libc::SYS_io_uring_register)] {
        delivers(|run| under(run, &[rule]), "uring");
    }
}

/// What only files need is missing: the spool goes without, the pipes do not.
#[test]
fn a_spool_without_io_uring_leaves_the_pipes_on_it() {
    if !has_io_uring() {
        return;
    }
    let ended = delivers(|run| under(run, &[errno(libc::SYS_memfd_create, libc::EPERM)]), "uring");
    let line = line_with(&ended.said, "the spool goes without io_uring");
    assert!(line.contains("fails with files: Operation not permitted"), "{line}");
    let died = delivers(|run| under(run, &[kill(libc::SYS_memfd_create)]), "uring");
    assert!(line_with(&died.said, "the spool goes without io_uring").contains("killed by SIGSYS"), "{}", died.said);
}

/// Of a user that nobody else is, since the kernel counts locked memory by user.
const ALONE: u32 = 64_712;

fn with_limits(limits: &[&str], url: &str, commands: usize) -> (Ended, serde_json::Value) {
    let place = crate::unprivileged::open_place();
    let report = place.path().join("report.json");
    let mut run = Logpump::on("auto").into_cloudwatch(url).arg("--report").arg(&report);
    for _ in 0..commands {
        run = run.shell("seq 1 1000");
    }
    let mut limited = Command::new("prlimit");
    limited.args(limits).arg(place.path().join("logpump")).args(run.command.get_args());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.env("LOGPUMP_SPOOL_DIR", place.path().join("spool"));
    limited.uid(ALONE).gid(ALONE).current_dir(place.path());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = Logpump { command: limited, ..run }.run_without_report();
    let report = std::fs::read(&report).unwrap_or_else(|error| panic!("{error}: {}", ended.said));
    (ended, serde_json::from_slice(&report).unwrap())
}

#[test]
fn limits_of_locked_memory_and_of_files_give_a_ring_or_say_what_is_short() {
    if !rustix::process::geteuid().is_root() || !has_io_uring() {
        eprintln!("not run: only root can become a user that has no other process");
        return;
    }
    let standin = standin(&[]);
    for (limits, commands, engine, expected) in [
        (&["--memlock=65536"][..], 1, "uring", "io_uring works here"),
        (&["--memlock=65536"], 64, "uring", "io_uring works here"),
        (&["--memlock=0"], 1, "epoll", "the limit of locked memory is 0 KiB"),
        (&["--nofile=64"], 1, "uring", "io_uring works here"),
    ] {
        let (ended, report) = with_limits(limits, &standin.url, commands);
        assert_eq!((ended.code, &report["engine"]), (Some(0), &engine.into()), "{limits:?}: {}", ended.said);
        assert!(ended.said.contains(expected), "{limits:?}: {}", ended.said);
        assert_eq!(report["total"]["delivered"]["lines"], 1000 * commands, "{limits:?}: {}", ended.said);
        assert_eq!(report["ledger_ok"], true);
    }
}
