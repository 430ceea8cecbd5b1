//! Health conditions of real processes: who is stopped and how, what is said and reported, and that a check that misbehaves
//! in whatever way is nobody else's trouble.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::config::{python, text, with};
use crate::program::{Ended, Logpump, Running};
use crate::stop::POLITE;
use crate::{on_both_engines, wait_for};

/// Ends well when it is told to stop.
const WELL: &str = "
import os, signal
signal.signal(signal.SIGTERM, lambda *_: (print('last word', flush=True), os._exit(0)))
print('ready', flush=True)
while True:
    signal.pause()
";
/// The same, once the file that it is given is there.
const WELL_AFTER: &str = "
import os, signal, sys, time
def told(*_):
    while not os.path.exists(sys.argv[1]): time.sleep(0.005)
    print('last word', flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, told)
print('ready', flush=True)
while True:
    signal.pause()
";
/// Waits until it is told.
const WAITS: &str = "command = [\"sh\", \"-c\", \"echo ready; while :; do sleep 0.01; done\"]";

fn process(name: &str, rest: &str) -> String {
    format!("[[process]]\nname = \"{name}\"\n{rest}\n")
}

fn exec(script: &str, rest: &str) -> String {
    format!(
        "[[process.health]]\ntype = \"exec\"\ncommand = [\"sh\", \"-c\", {script:?}]\ninterval = \"100ms\"\n{rest}\n"
    )
}

/// On the loopback net, of this process alone: nobody takes it between our choice and logpump's bind.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    // Below those that the kernel gives to whoever asks for none.
    SocketAddr::from(([127, 64 | high, middle, low], port))
}

fn udp(address: SocketAddr, rest: &str) -> String {
    format!("[[process.health]]\ntype = \"udp\"\nlisten = \"{address}\"\ninterval = \"100ms\"\n{rest}\n")
}

/// As the sidecar does.
fn send(address: SocketAddr, status: &str) {
    let script = "import socket, sys\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), \
                  (sys.argv[2], int(sys.argv[3])))";
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let sent = Command::new("python3").args(["-c", script, status, &ip, &port]).status().unwrap();
    assert!(sent.success());
}

fn wait_ready(running: &Running, name: &str) {
    wait_for(name, || running.file(name).starts_with(b"ready\n").then_some(()), || text(&running.file(name)));
}

/// What a file of ours holds, once it is there with a whole line.
fn wait_line(path: &Path) -> String {
    let line = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    wait_for(&path.display().to_string(), line, String::new).lines().next().unwrap().to_owned()
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A condition of the report, by its process and its number there.
fn health<'a>(ended: &'a Ended, process: &str, number: usize) -> &'a Value {
    let all = ended.report["health"].as_array().unwrap();
    let mut own = all.iter().filter(|condition| condition["process"] == process);
    own.nth(number).unwrap_or_else(|| panic!("{process} has no condition {number}: {all:#?}"))
}

#[test]
fn an_essential_one_that_is_red_is_stopped_with_the_others_each_with_its_grace_and_ends_with_its_code_or_70() {
    on_both_engines(|engine| {
        let (address, run) = (own_address(), Logpump::new(engine).into_files());
        let told = run.place("told");
        let polite = POLITE.replace("print('last word'", &format!("open({told:?}, 'w'); print('last word'"));
        let file = [
            // Were the others told only after its end, it would be killed before.
            process("red", &format!("{}\n{}", python(WELL_AFTER, &[told.to_str().unwrap()]), udp(address, ""))),
            process("polite", &python(&polite, &[])),
            process(
                "deaf",
                "command = [\"sh\", \"-c\", \"trap '' TERM; echo ready; while :; do sleep 0.01; done\"]\ngrace = \"300ms\"",
            ),
        ];
        let mut running = with(run, &file.concat()).start();
        ["red", "polite", "deaf"].iter().for_each(|name| wait_ready(&running, name));
        send(address, "healthy");
        running.wait_said(&format!("red is healthy: {address}: the status is healthy"));
        send(address, "red");
        let ended = running.end();
        assert_eq!(ended.code, Some(70), "{}", ended.said);
        let said = format!("red is unhealthy ({address}: the status is red): it is stopped, and the others with it");
        assert!(ended.said.contains(&said) && ended.said.contains("deaf ended: SIGKILL"), "{}", ended.said);
        assert_eq!(text(&ended.file("red")), "ready\nlast word\n");
        assert_eq!(text(&ended.file("polite")), "ready\nlast word\n");
        let red = health(&ended, "red", 0);
        assert_eq!((&red["state"], &red["stopped"], &red["failures"]), (&"unhealthy".into(), &true.into(), &1.into()));
        assert_eq!((&red["type"], &red["last"]), (&"udp".into(), &"the status is red".into()));
        assert!(red["checked_at_ms"].as_i64() > Some(1_700_000_000_000), "{red:#}");
    });
}

#[test]
fn one_socket_serves_several_processes_and_one_that_is_not_essential_is_stopped_alone() {
    let address = own_address();
    let threshold = "replacement_threshold = \"1ms\"";
    let file = [
        process("strict", &format!("essential = false\n{}\n{}", python(POLITE, &[]), udp(address, threshold))),
        process("lenient", &format!("{}\n{}", python(WELL, &[]), udp(address, ""))),
    ];
    let mut running = with(Logpump::new("auto").into_files(), &file.concat()).start();
    ["strict", "lenient"].iter().for_each(|name| wait_ready(&running, name));
    send(address, "yellow");
    running.wait_said("lenient is healthy");
    running.wait_said("strict ended: exit code 9");
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("none was healthy; at most 0 s may pass): it is stopped; SIGKILL"), "{}", ended.said);
    assert_eq!(health(&ended, "lenient", 0)["state"], "healthy");
    assert_eq!(text(&ended.file("lenient")), "ready\nlast word\n");
}

#[test]
fn a_command_that_fails_so_often_in_a_row_stops_its_process_and_what_it_wrote_is_said() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files();
        let (count, stdin, logs) = (run.place("count"), run.place("stdin"), run.place("logs"));
        // Not before the process knows what to do when it is stopped.
        let script = format!(
            "until grep -qs ready {2}/*; do sleep 0.01; done; \
             echo x >> {0}; cat > {1}; seq 1 100000; echo $OWN in $(pwd) >&2; exit 3",
            count.display(),
            stdin.display(),
            logs.display()
        );
        let own =
            format!("env.OWN = \"mine\"\ndirectory = \"/\"\n{}\n{}", python(POLITE, &[]), exec(&script, "retries = 4"));
        // stdin is the process's: a check that reads it gets nothing.
        let running = with(run.with_stdin(), &process("web", &own)).start();
        let ended = running.end();
        assert_eq!(ended.code, Some(9), "{}", ended.said);
        assert!(ended.said.contains("failed 4 times in a row: exit code 3; it wrote: "), "{}", ended.said);
        assert!(ended.said.contains(" | 100000 | mine in /): it is stopped"), "{}", ended.said);
        // 4 KiB, of which each end of a line is three characters.
        assert!(ended.said.lines().all(|line| line.len() < 7000), "{}", ended.said);
        assert_eq!(fs::read_to_string(ended.directory().join("count")).unwrap(), "x\n".repeat(4));
        assert_eq!(fs::read(ended.directory().join("stdin")).unwrap(), b"");
        let web = health(&ended, "web", 0);
        assert_eq!((&web["checks"], &web["failures"], &web["type"]), (&4.into(), &4.into(), &"exec".into()));
        assert_eq!(text(&ended.file("web")), "ready\nlast word\n");
    });
}

#[test]
fn secrets_that_a_check_wrote_are_masked_as_those_of_its_process() {
    let script = "echo plain; echo postgres://me:marked''-word@host/; exit 3";
    for (mask, shown) in [("mask = true", "plain | postgres://me:***@host/"), ("", "marked-word")] {
        let own = format!("{mask}\n{WAITS}\n{}", exec(script, "retries = 1"));
        let ended = with(Logpump::new("auto").into_files(), &process("web", &own)).start().end();
        assert!(ended.said.contains(shown), "{}", ended.said);
        let last = health(&ended, "web", 0)["last"].as_str().unwrap();
        assert!(last.contains(shown), "{last}");
        assert_eq!(ended.said.contains("marked-word"), mask.is_empty(), "{}", ended.said);
    }
}

/// While the check hangs, the child writes far more than pipe and ring hold.
#[test]
fn a_check_that_hangs_delays_no_read_and_dies_with_logpump() {
    on_both_engines(|engine| {
        let expected: String = (1..=900_000).map(|number| format!("{number}\n")).collect();
        let run = Logpump::new(engine).into_files();
        let (go, end, hangs) = (run.place("go"), run.place("end"), run.place("hangs"));
        let until = |path: &Path| format!("while ! test -e {}; do sleep 0.01; done", path.display());
        let child = format!("{}; seq 1 900000; {}", until(&go), until(&end));
        let check = format!("trap '' TERM; echo $$ > {}; sleep 1000 & wait; sleep 1000", hangs.display());
        let command = format!("command = [\"sh\", \"-c\", {child:?}]");
        let file = process("web", &format!("{command}\n{}", exec(&check, "timeout = \"1h\"")));
        let running = with(run, &file).start();
        let pid = wait_line(&hangs);
        fs::write(&go, b"").unwrap();
        let found = || running.file("web").len();
        wait_for("all lines", || (found() == expected.len()).then_some(()), || format!("{} bytes", found()));
        assert!(is_alive(&pid), "the check was to hang all the time");
        fs::write(&end, b"").unwrap();
        let ended = running.end();
        crate::assert_same_bytes(&ended.file("web"), expected.as_bytes());
        ended.assert_all_delivered(900_000, expected.len() as u64);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(
            (&health(&ended, "web", 0)["checks"], &ended.report["streams"][0]["dropped"]),
            (&0.into(), &serde_json::json!({}))
        );
        wait_for("the check's end", || (!is_alive(&pid)).then_some(()), || pid.clone());
    });
}

#[test]
fn a_check_that_hangs_is_killed_with_its_group_at_its_timeout_and_reporting_stops_nothing() {
    let run = Logpump::new("auto").into_files();
    let (well, group) = (run.place("well"), run.place("group"));
    let script = format!("test -e {0} && exit 0; sleep 1000 & echo $! > {1}; yes bad", well.display(), group.display());
    let own = format!("{WAITS}\n{}", exec(&script, "timeout = \"300ms\"\nretries = 2\naction = \"report\""));
    let mut running = with(run, &process("web", &own)).start();
    let grandchild = wait_line(&group);
    running.wait_said("web is unhealthy: sh -c ");
    wait_for("the grandchild's end", || (!is_alive(&grandchild)).then_some(()), || grandchild.clone());
    fs::write(&well, b"").unwrap();
    running.wait_said("web is healthy");
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(143), "{}", ended.said);
    assert!(
        ended.said.contains("it took longer than its timeout of 300ms and was killed; it wrote: "),
        "{}",
        ended.said
    );
    assert!(ended.said.contains("bad | bad"), "{}", ended.said);
    let web = health(&ended, "web", 0);
    assert_eq!((&web["state"], &web["stopped"], &web["last"]), (&"healthy".into(), &false.into(), &"passed".into()));
}

#[test]
fn what_a_check_leaves_behind_holds_nothing_up_and_is_killed() {
    let run = Logpump::new("auto").into_files();
    let left = run.place("left");
    let script = format!("sleep 1000 & echo $! >> {}; exit 0", left.display());
    let own = format!("{WAITS}\n{}", exec(&script, ""));
    let mut running = with(run, &process("web", &own)).start();
    running.wait_said("web is healthy");
    let several = || Some(fs::read_to_string(&left).ok()?).filter(|pids| pids.lines().count() >= 3);
    let pids = wait_for("three checks", several, String::new);
    // Of the last the check itself may still run.
    for pid in pids.lines().take(2) {
        wait_for("what it left to end", || (!is_alive(pid)).then_some(()), || pid.to_owned());
    }
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(143));
}

#[test]
fn of_one_process_never_two_checks_run_at_a_time_and_each_has_its_turn() {
    let run = Logpump::new("auto").into_files();
    let (lock, overlap, count) = (run.place("lock"), run.place("overlap"), run.place("count"));
    let script = format!(
        "mkdir {0} || touch {1}; echo x >> {2}; sleep 0.15; rmdir {0}",
        lock.display(),
        overlap.display(),
        count.display()
    );
    let own = format!("{WAITS}\n{}", exec(&script, "").repeat(4));
    let running = with(run, &process("web", &own)).start();
    let several = || fs::read_to_string(&count).is_ok_and(|checks| checks.lines().count() >= 16).then_some(());
    wait_for("sixteen checks", several, String::new);
    assert!(!overlap.exists());
    running.signal(Signal::TERM);
    let ended = running.end();
    for number in 0..4 {
        assert!(health(&ended, "web", number)["checks"].as_u64() > Some(2), "{:#}", ended.report["health"]);
    }
}

#[test]
fn failures_of_the_start_period_stop_nothing() {
    let run = Logpump::new("auto").into_files();
    let (count, well) = (run.place("count"), run.place("well"));
    let script = format!("echo x >> {}; test -e {}", count.display(), well.display());
    let own = format!("{}\n{}", python(WELL, &[]), exec(&script, "retries = 1\nstart_period = \"1h\""));
    let mut running = with(run, &process("web", &own)).start();
    let several = || fs::read_to_string(&count).is_ok_and(|checks| checks.lines().count() >= 5).then_some(());
    wait_for("five checks", several, String::new);
    wait_ready(&running, "web");
    fs::write(&well, b"").unwrap();
    running.wait_said("web is healthy");
    // From the first success on they count.
    fs::remove_file(&well).unwrap();
    let ended = running.end();
    assert!(ended.said.contains("failed: exit code 1; it wrote nothing): it is stopped"), "{}", ended.said);
    assert_eq!(ended.code, Some(70));
}

#[test]
fn a_check_that_cannot_be_started_is_a_failure() {
    let missing =
        "[[process.health]]\ntype = \"exec\"\ncommand = [\"/nowhere/at/all\"]\ninterval = \"100ms\"\nretries = 2";
    let file = process("web", &format!("{}\n{missing}", python(POLITE, &[])));
    let ended = with(Logpump::new("auto").into_files(), &file).run();
    assert_eq!(ended.code.map(|code| code == 9 || code == 143), Some(true), "{}", ended.said);
    let said = "failed 2 times in a row: cannot start the check of web (/nowhere/at/all): ENOENT; ";
    assert!(ended.said.contains(said), "{}", ended.said);
}

#[test]
fn of_a_sidecar_that_is_silent_it_is_said_that_nothing_comes_and_not_that_all_is_well() {
    let address = own_address();
    let own = format!("{}\n{}", python(WELL, &[]), udp(address, "start_period = \"0s\""));
    let mut running = with(Logpump::new("auto").into_files(), &process("web", &own)).start();
    wait_ready(&running, "web");
    running.wait_said(&format!("no status comes from the sidecar of web ({address}); taken for healthy"));
    running.signal(Signal::TERM);
    let ended = running.end();
    assert!(!ended.said.contains("web is healthy"), "{}", ended.said);
    assert_eq!(health(&ended, "web", 0)["state"], "healthy");
}

#[test]
fn a_port_that_another_has_starts_nothing() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let run = Logpump::new("auto").into_files();
    let started = run.place("started");
    let file = process("web", &format!("command = [\"touch\", {started:?}]\n{}", udp(address, "")));
    let ended = with(run, &file).run_without_report();
    assert_eq!((ended.code, ended.said.lines().count()), (Some(71), 1), "{}", ended.said);
    assert!(ended.said.contains(&format!("cannot listen on {address} (UDP) for the health of web")), "{}", ended.said);
    assert!(!ended.directory().join("started").exists());
}

#[test]
fn a_timeout_is_in_the_report_and_ending_well_at_it_is_no_success() {
    let file = [
        process("late", &format!("timeout = \"1s\"\n{}", python(WELL, &[]))),
        process("other", &format!("timeout = \"1h\"\n{}", python(WELL, &[]))),
    ];
    let ended = with(Logpump::new("auto").into_files(), &file.concat()).run();
    assert!(matches!(ended.code, Some(70 | 143)), "{:?} {}", ended.code, ended.said);
    assert!(
        ended.said.contains("late has run for its timeout of 1s: it is stopped, and the others with it"),
        "{}",
        ended.said
    );
    let late = health(&ended, "late", 0);
    assert_eq!(
        (&late["type"], &late["state"], &late["stopped"]),
        (&"timeout".into(), &"unhealthy".into(), &true.into())
    );
    assert_eq!(health(&ended, "other", 0)["state"], "healthy");
}

#[test]
fn the_service_is_told_on_stdout_in_whole_lines() {
    let address = own_address();
    let run = Logpump::new("auto").into_files();
    let database = exec("exit 1", "action = \"report\"\nplog = \"database\"");
    // Half a line stands there when logpump writes its own.
    let half = WELL.replace("print('ready', flush=True)", "print('ready\\nhal', end='', flush=True)");
    let file = format!(
        "plogs = true\n{}",
        process("worker", &format!("{}\n{}{database}", python(&half, &[]), udp(address, "")))
    );
    let mut running = with(run.arg("--tee").env("AIRFLOW_ENV_NAME", "env-1"), &file).start();
    wait_ready(&running, "worker");
    running.wait_said("worker is unhealthy: sh -c exit 1: failed 3 times in a row");
    send(address, "red");
    let ended = running.end();
    assert_eq!(ended.code, Some(70), "{}", ended.said);
    let stdout = text(&ended.stdout);
    let (own, childs): (Vec<_>, Vec<_>) = stdout.lines().partition(|line| line.starts_with('{'));
    assert_eq!(childs, ["ready", "hallast word"], "{stdout}");
    let own: Vec<Value> = own.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = own.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages[0], "[worker] connection with RDS Meta DB is CONNECTION_BECAME_UNHEALTHY.");
    assert_eq!(messages[1], "[worker] connection with RDS Meta DB is CONNECTION_UNHEALTHY.");
    assert_eq!(messages.last(), Some(&"[worker] Restarting process..."));
    assert!(
        own.iter().all(|line| line["signature"] == "mwaa_plog_v1" && line["environmentName"] == "env-1"),
        "{stdout}"
    );
    assert_eq!(ended.report["tee_dropped"]["lines"], 0);
}

#[test]
fn what_is_printed_of_conditions_is_a_file_that_says_the_same() {
    let conditions = [
        udp("127.0.0.1:8201".parse().unwrap(), "action = \"report\""),
        exec("a | b", "plog = \"database\"\nretries = 7"),
    ]
    .concat();
    let file = format!("plogs = true\n{}", process("web", &format!("{WAITS}\ntimeout = \"2h\"\n{conditions}")));
    let print = |file: &str| {
        let ended = with(Logpump::new("auto").into_files().arg("--print-config"), file).run_without_report();
        assert_eq!((ended.code, ended.said.as_str()), (Some(0), ""));
        // Without the places that the settings come from.
        let settings = text(&ended.stdout);
        let settings = settings.lines().filter(|line| !line.starts_with('#'));
        settings.map(|line| line.split("  # ").next().unwrap().to_owned() + "\n").collect::<String>()
    };
    let printed = print(&file);
    for expected in [
        "plogs = true\n",
        "timeout = \"2h\"\n",
        "[[process.health]]\ntype = \"udp\"\nlisten = \"127.0.0.1:8201\"\nreplacement_threshold = \"0s\"\n",
        "command = [\"sh\", \"-c\", \"a | b\"]\ntimeout = \"30s\"\nretries = 7\nplog = \"database\"\ninterval = \"100ms\"\n",
        "start_period = \"5m\"\naction = \"report\"\n",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
    }
    assert_eq!(print(&printed), printed);
}
