//! Starting and ending: exit codes, programs that do not start, what a child inherits, orphans, waiting.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::{Duration, Instant};

use logpump::child::{Event, Spec, Stop, Supervisor, Terminal};
use rustix::event::{EventfdFlags, eventfd};

use crate::Test;
use crate::observed::{Observed, command, script, state_of, until};

pub const TESTS: &[Test] = &[
    ("each_child_ends_with_its_own_code", each_child_ends_with_its_own_code),
    ("a_signal_death_is_told_as_such", a_signal_death_is_told_as_such),
    ("a_missing_program_is_127_and_says_where_it_was_sought", a_missing_program_is_127),
    ("what_cannot_be_executed_is_126_and_says_why", what_cannot_be_executed_is_126),
    ("a_nul_byte_in_an_argument_is_refused", a_nul_byte_in_an_argument_is_refused),
    ("stdout_and_stderr_are_one_and_stdin_is_ours", stdout_and_stderr_are_one_and_stdin_is_ours),
    ("a_child_gets_no_descriptor_of_ours", a_child_gets_no_descriptor_of_ours),
    ("a_child_gets_our_environment", a_child_gets_our_environment),
    ("a_child_has_no_signal_blocked_or_ignored", a_child_has_no_signal_blocked_or_ignored),
    ("under_nohup_a_child_still_ignores_sighup", under_nohup_a_child_still_ignores_sighup),
    ("a_child_leads_a_session_of_its_own", a_child_leads_a_session_of_its_own),
    ("ends_are_seen_without_a_pidfd", ends_are_seen_without_a_pidfd),
    ("a_parent_that_ignores_sigchld_costs_no_exit_code", a_parent_that_ignores_sigchld_costs_no_exit_code),
    ("an_orphan_is_reaped", an_orphan_is_reaped),
    ("two_hundred_orphans_at_once_are_reaped_and_change_no_exit_code", two_hundred_orphans_at_once_are_reaped),
    ("a_childs_end_is_not_stolen_from_its_owner", a_childs_end_is_not_stolen_from_its_owner),
    ("waiting_ends_by_wake_and_by_deadline", waiting_ends_by_wake_and_by_deadline),
    ("an_idle_supervisor_is_not_woken", an_idle_supervisor_is_not_woken),
];

fn each_child_ends_with_its_own_code() {
    let words = "-- sh -c exit -- sh -c false -- sh -c true".replace("exit", "exit_3");
    let words: Vec<String> = words.split(' ').map(|word| word.replace('_', " ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = Observed::start(command(&words)).finish();
    let mut ends = outcome.like("ended");
    ends.sort_unstable();
    assert_eq!(ends, ["ended 0 exit code 3", "ended 1 exit code 1", "ended 2 exit code 0"]);
}

fn a_signal_death_is_told_as_such() {
    let outcome = script(&[], "kill -KILL $$").finish();
    assert_eq!(outcome.like("ended"), ["ended 0 SIGKILL (exit code 137)"]);
    assert_eq!(outcome.code(), 137);
}

fn refusal(argv0: &str) -> (i32, String) {
    let outcome = Observed::start(command(&["--", argv0])).finish();
    (outcome.code(), outcome.like("refused")[0].to_owned())
}

fn a_missing_program_is_127() {
    let (code, message) = refusal("no-such-command-anywhere");
    assert_eq!(code, 127);
    let path = std::env::var("PATH").unwrap();
    assert!(message.contains(&format!("ENOENT; no such command in PATH ({path})")), "{message}");

    let (code, message) = refusal("/no/such/file");
    assert_eq!(code, 127);
    assert!(message.contains("ENOENT; no such file"), "{message}");

    let (code, message) = refusal("/etc/passwd/file");
    assert_eq!(code, 127);
    assert!(message.contains("ENOTDIR; no such file"), "{message}");

    let directory = tempfile::tempdir().unwrap();
    let job = executable(directory.path(), "#!/no/such/interpreter\n");
    let (code, message) = refusal(&job);
    assert_eq!(code, 127);
    assert!(message.contains("ENOENT"), "{message}");
    assert!(message.contains("names, /no/such/interpreter, does not"), "{message}");

    let (code, message) = refusal("");
    assert_eq!(code, 127);
    assert!(message.contains("the command is empty"), "{message}");
}

fn what_cannot_be_executed_is_126() {
    let directory = tempfile::tempdir().unwrap();
    let job = executable(directory.path(), "echo hello\n");
    let (code, message) = refusal(&job);
    assert_eq!(code, 126);
    assert!(message.contains("ENOEXEC"), "{message}");
    assert!(message.contains("nor a script with a #! line"), "{message}");

    fs::set_permissions(&job, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, message) = refusal(&job);
    assert_eq!(code, 126);
    assert!(message.contains("EACCES"), "{message}");
    assert!(message.contains("chmod +x"), "{message}");

    let (code, message) = refusal("/tmp");
    assert_eq!(code, 126);
    assert!(message.contains("EACCES; /tmp is a directory"), "{message}");
}

fn executable(directory: &std::path::Path, content: &str) -> String {
    let file = directory.join("job");
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.to_str().unwrap().to_owned()
}

/// On a thread of its own, since the mask is the thread's; no signal is sent.
fn with_supervisor(test: impl FnOnce(Supervisor) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        test(Supervisor::new().unwrap());
    });
    thread.join().unwrap();
}

fn a_nul_byte_in_an_argument_is_refused() {
    with_supervisor(|mut supervisor| {
        let spec = Spec {
            name: "web".to_owned(),
            argv: ["echo", "a", "b\0c"].map(OsString::from).to_vec(),
            env: Vec::new(),
            directory: None,
            stop: Stop::after(Duration::from_secs(3600)),
        };
        let output = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
        let error = supervisor.spawn(&spec, output, Terminal::OwnSession).unwrap_err();
        assert_eq!(error.exit_code(), 126);
        assert_eq!(
            error.to_string(),
            "cannot start child web (echo): argument 2 contains a NUL byte, which no argument can; remove it"
        );
        assert_eq!(supervisor.running(), 0);
    });
}

fn stdout_and_stderr_are_one_and_stdin_is_ours() {
    let mut observed = script(&[], "echo out; echo err >&2; echo out again; cat");
    observed.write("from stdin\n");
    let outcome = observed.finish();
    let order: Vec<&str> = ["out", "err", "out again", "from stdin"].to_vec();
    let lines: Vec<&str> = outcome.lines.iter().map(String::as_str).collect();
    assert_eq!(lines.iter().filter(|line| order.contains(line)).collect::<Vec<_>>(), order.iter().collect::<Vec<_>>());
}

fn a_child_gets_no_descriptor_of_ours() {
    let words = ["--", "ls", "/proc/self/fd", "--", "ls", "/proc/self/fd"];
    let outcome = Observed::start(command(&words)).finish();
    // What the supervisor itself inherited passes through; the one more is the directory that ls reads.
    let inherited = outcome.like("inherited")[0].strip_prefix("inherited ").unwrap();
    let inherited = inherited.split(' ').count();
    let listed = outcome.lines.iter().filter(|line| line.parse::<u32>().is_ok()).count();
    assert_eq!(listed, 2 * (inherited + 1), "{:#?}", outcome.lines);
}

fn a_child_gets_our_environment() {
    let mut command = command(&["--", "sh", "-c", "echo \"$GREETING\""]);
    command.env("GREETING", "hello, environment");
    let outcome = Observed::start(command).finish();
    assert_eq!(outcome.like("environment"), ["hello, environment"]);
}

const MASKS: &str = "grep -E 'Sig(Blk|Ign)' /proc/self/status";

fn a_child_has_no_signal_blocked_or_ignored() {
    let outcome = script(&[], MASKS).finish();
    assert_eq!(outcome.like("SigBlk"), ["SigBlk:\t0000000000000000"]);
    // Unless the tests themselves run under nohup.
    if !logpump::sys::signals::is_ignored(libc::SIGHUP) {
        assert_eq!(outcome.like("SigIgn"), ["SigIgn:\t0000000000000000"]);
    }
}

fn under_nohup_a_child_still_ignores_sighup() {
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(std::env::current_exe().unwrap());
    nohup.args(["--supervise", "--", "sh", "-c", MASKS]);
    let outcome = Observed::start(nohup).finish();
    assert_eq!(outcome.like("SigBlk"), ["SigBlk:\t0000000000000000"]);
    assert_eq!(outcome.like("SigIgn"), ["SigIgn:\t0000000000000001"]);
}

fn a_child_leads_a_session_of_its_own() {
    // Fields 1, 5 and 6 of /proc/PID/stat: process, group, session. The shell's name holds no space.
    let outcome =
        script(&[], "read -r pid _ _ _ group session _ </proc/$$/stat; echo own $pid $group $session").finish();
    let own: Vec<&str> = outcome.like("own")[0].split(' ').skip(1).collect();
    assert_eq!([own[0], own[0]], own[1..]);
}

fn ends_are_seen_without_a_pidfd() {
    let words = ["--no-pidfd", "--", "sh", "-c", "exit 3", "--", "sh", "-c", "kill -TERM $$"];
    let outcome = Observed::start(command(&words)).finish();
    assert_eq!(outcome.like("pidfds"), ["pidfds 0"]);
    let mut ends = outcome.like("ended");
    ends.sort_unstable();
    assert_eq!(ends, ["ended 0 exit code 3", "ended 1 SIGTERM (exit code 143)"]);
}

fn a_parent_that_ignores_sigchld_costs_no_exit_code() {
    // A shell passes an ignored signal on to what it executes.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' CHLD; exec \"$0\" --supervise -- sh -c 'exit 3'"]);
    shell.arg(std::env::current_exe().unwrap());
    let outcome = Observed::start(shell).finish();
    assert_eq!(outcome.like("ended"), ["ended 0 exit code 3"]);
    assert_eq!(outcome.like("warning"), [""; 0]);
}

fn an_orphan_is_reaped() {
    // The middle shell ends at once, so its background process falls to the supervisor, which never heard of it.
    let mut observed =
        script(&["--subreaper"], "sh -c 'sh -c \"echo orphan \\$\\$; exec sleep 0.1\" & exit'; exec cat");
    let line = observed.wait_for("orphan");
    let orphan = line.strip_prefix("orphan ").unwrap();
    until("the orphan is reaped", || state_of(orphan).is_none());
    observed.close_stdin();
    let outcome = observed.finish();
    assert_eq!(outcome.like("ended"), ["ended 0 exit code 0"]);
}

fn two_hundred_orphans_at_once_are_reaped() {
    // Each shell in the middle ends at once; the orphans end with a code of their own when the FIFO's writer is gone.
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("fifo");
    let make = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(make.success());
    let orphans =
        "n=0; while [ $n -lt 200 ]; do sh -c 'sh -c \"read x; exit 7\" <\"$FIFO\" & exit'; n=$((n + 1)); done";
    let mut command = command(&["--subreaper", "--", "sh", "-c", &format!("{orphans}; echo begun; cat; exit 3")]);
    command.env("FIFO", &fifo);
    let mut observed = Observed::start(command);
    observed.wait_for("begun");
    let pid = observed.pid().as_raw_pid();
    let children = || {
        let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        listed.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    until("all are orphans", || children().len() == 201);
    until("the orphans are reaped", || {
        // Who waits to open it for reading may now, and finds its end. Some may only come to that.
        drop(fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&fifo));
        children().len() == 1
    });
    observed.close_stdin();
    let outcome = observed.finish();
    assert_eq!(outcome.like("ended"), ["ended 0 exit code 3"]);
    assert_eq!(outcome.like("warning"), [""; 0]);
}

fn a_childs_end_is_not_stolen_from_its_owner() {
    let mut observed = script(&["--subreaper", "--foreign"], "exec cat");
    assert_eq!(observed.wait_for("foreign"), "foreign Ok(Some(7))");
    observed.finish();
}

fn waiting_ends_by_wake_and_by_deadline() {
    with_supervisor(|mut supervisor| {
        let wake = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(supervisor.next(wake.as_fd(), Some(soon)), Event::Deadline);
        assert!(Instant::now() >= soon);
        rustix::io::write(&wake, &1u64.to_ne_bytes()).unwrap();
        assert_eq!(supervisor.next(wake.as_fd(), None), Event::Woken);
        // Not drained, and the deadline passed: what another thread asks for comes first.
        assert_eq!(supervisor.next(wake.as_fd(), Some(soon)), Event::Woken);
        rustix::io::read(&wake, &mut [0u8; 8]).unwrap();
        assert_eq!(supervisor.next(wake.as_fd(), Some(soon)), Event::Deadline);
    });
}

fn an_idle_supervisor_is_not_woken() {
    let mut observed = script(&["--subreaper"], "echo ready; exec cat");
    observed.wait_for("ready");
    let status = format!("/proc/{}/status", observed.pid().as_raw_pid());
    let switches = || {
        let text = fs::read_to_string(&status).unwrap();
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.unwrap().to_owned()
    };
    until("it sleeps", || text_state(&status) == Some('S'));
    let before = switches();
    // The one wait of these tests that cannot be for an event: for there to be none.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(switches(), before);
    observed.finish();
}

fn text_state(status: &str) -> Option<char> {
    state_of(status.split('/').nth(2)?)
}
