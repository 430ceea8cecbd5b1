//! A file by hand, and every way to get one wrong.

use super::*;

/// A file that is right.
fn right(text: &str) -> Config {
    let (config, complaints) = read(text);
    assert_eq!(complaints, []);
    config
}

fn complaints(text: &str) -> Vec<String> {
    read(text).1.into_iter().map(|complaint| format!("{}: {}", complaint.at, complaint.what)).collect()
}

#[test]
fn a_file_says_what_runs_and_what_differs() {
    let config = right(
        r#"
[defaults]
log_group = "/app"
grace = "30s"
env = { MODE = "fast" }

[[process]]
name = "web"
command = ["gunicorn", "-w", "4"]
essential = false
stop_signal = "SIGINT"
kill_mode = "leader"
directory = "/srv"
env.PORT = "80"

[[process]]
command = ["worker"]
stop_signal = 12
log_stream = "{name}"
"#,
    );
    let at = |line, column| At { line, column };
    assert_eq!(config.defaults.log_group, Some(Given { value: "/app".into(), at: at(3, 13) }));
    assert_eq!(config.defaults.grace, Some(Given { value: Duration::from_secs(30), at: at(4, 9) }));
    assert_eq!(config.defaults.env["MODE"].value, "fast");
    let [web, worker] = &config.processes[..] else { panic!("two processes: {config:?}") };
    assert_eq!(
        (web.name.as_ref().unwrap().value.as_str(), &web.command[..]),
        ("web", &["gunicorn", "-w", "4"].map(String::from)[..])
    );
    let settings = &web.settings;
    assert_eq!(settings.essential.as_ref().map(|given| given.value), Some(false));
    assert_eq!(settings.stop_signal.as_ref().map(|given| given.value), Some(libc::SIGINT));
    assert_eq!(settings.kill_mode.as_ref().map(|given| given.value), Some(StopTarget::Leader));
    assert_eq!(settings.directory.as_ref().map(|given| given.value.clone()), Some("/srv".into()));
    assert_eq!(settings.env["PORT"], Given { value: "80".into(), at: at(14, 12) });
    assert_eq!((worker.name.as_ref(), worker.settings.stop_signal.as_ref().unwrap().value), (None, 12));
}

#[test]
fn all_that_is_wrong_is_said_at_once_each_with_its_place() {
    let found = complaints(
        r#"
colour = 1
[defaults]
name = "all"
grace = "soon"
[[process]]
comand = ["a"]
[[process]]
command = "sh -c x"
essential = "yes"
stop_signal = "SIGFOO"
kill_mode = "all"
[[process]]
command = []
env = 3
"#,
    );
    let expected = [
        ("line 2, column 1", "unknown key \"colour\" in the file; known are: plogs, defaults, process"),
        ("line 4, column 1", "unknown key \"name\" in [defaults]"),
        ("line 5, column 9", "grace: "),
        ("line 6, column 1", "this process has no command"),
        ("line 7, column 1", "unknown key \"comand\" in [[process]]; known are: name, command"),
        ("line 9, column 11", "command is not a list of texts, as in command = ["),
        ("line 10, column 13", "essential is neither true nor false"),
        ("line 11, column 15", "stop_signal: \"SIGFOO\" is no signal"),
        ("line 12, column 13", "kill_mode: \"all\" is not known"),
        ("line 14, column 11", "command is empty, or begins with nothing"),
        ("line 15, column 7", "env is not a table"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (place, what)) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("{place}: {what}")), "{found}\nbut expected {place}: {what}");
    }
}

#[test]
fn what_happens_to_lines_can_be_said() {
    let config = right(
        "[defaults]\nmask = true\n[[process]]\ncommand = [\"a\"]\nlevel = \"WARNING\"\nmask = [\"pin-[0-9]+\"]\n\
         join = \"traceback\"\ndistinct_milliseconds = true\ntrim = true\n[[process]]\ncommand = [\"b\"]\nlevel = \"always\"\nmask = false\n",
    );
    let settings: Vec<_> = config.processes.iter().map(|process| &process.settings).collect();
    let level = |index: usize| settings[index].level.as_ref().map(|given| given.value);
    assert_eq!((level(0), level(1)), (Some(Threshold::From(Level::Warning)), Some(Threshold::Always)));
    let mask = |settings: &Settings| settings.mask.clone().unwrap().value;
    assert_eq!(mask(settings[0]), Masked::Known(vec!["pin-[0-9]+".into()]));
    assert_eq!((mask(settings[1]), mask(&config.defaults)), (Masked::Nothing, Masked::Known(Vec::new())));
    let join = |settings: &Settings| settings.join.as_ref().map(|given| given.value);
    assert_eq!((join(settings[0]), join(settings[1])), (Some(true), None));
    let found =
        complaints("[[process]]\ncommand = [\"a\"]\nlevel = \"LOUD\"\nmask = [\"a(\"]\ntrim = 1\njoin = \"x\"\n");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[3].contains("join: \"x\" is nothing to join; write \"traceback\" or \"none\""), "{found:#?}");
    assert!(
        found[0].contains("level: \"LOUD\" is no level") && found[1].contains("mask: \"a(\" is no pattern"),
        "{found:#?}"
    );
}

#[test]
fn what_is_no_toml_is_said_with_its_place() {
    let found = complaints("[[process]]\ncommand = [\"a\"\nname = \"x\"\n");
    assert!(found[0].starts_with("line 3, column 1: "), "{found:?}");
    assert_eq!(complaints(""), ["line 1, column 1: there is no [[process]] in the file; each begins with that line"]);
}

#[test]
fn two_processes_of_one_name_are_refused() {
    let process = "[[process]]\nname = \"a\"\ncommand = [\"true\"]\n";
    assert_eq!(complaints(&process.repeat(2)), ["line 5, column 8: a process in line 2 has the name \"a\" already"]);
}

#[test]
fn a_variable_has_a_name_that_the_system_takes() {
    let found = complaints("[[process]]\ncommand = [\"a\"]\nenv = { \"A=B\" = \"1\", \"\" = \"2\", C = 3 }\n");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[2].contains("C is not a text"), "{found:#?}");
}

#[test]
fn what_must_hold_of_a_process_can_be_said_in_both_of_tomls_ways() {
    use crate::run::health::{Action, Condition, Kind};

    let config = right(
        r#"
plogs = true
[[process]]
command = ["a"]
timeout = "1h"
[[process.health]]
type = "udp"
[[process.health]]
type = "exec"
command = ["pg_isready", "-q"]
interval = "1m"
timeout = "5s"
retries = 1
start_period = "2m"
action = "report"
plog = "database"
[[process]]
command = ["b"]
health = [{ type = "udp", listen = "[::1]:99", replacement_threshold = "10m", interval = "1s", start_period = "0s" }]
[[process]]
command = ["c"]
health = [{ type = "exec", command = ["true"] }]
"#,
    );
    let of = |process: usize, condition: usize| config.processes[process].health[condition].clone();
    let s = Duration::from_secs;
    let udp =
        |listen: &str, threshold| Kind::Udp { listen: listen.parse().unwrap(), replacement_threshold: s(threshold) };
    let exec = |argv: &[&str], timeout, retries, is_database| Kind::Exec {
        argv: argv.iter().map(std::ffi::OsString::from).collect(),
        timeout: s(timeout),
        retries,
        is_database,
    };
    let (stop, report) = (Action::Stop, Action::Report);
    for (found, (action, interval, start_period, kind)) in [
        (of(0, 0), (stop, s(60), s(300), udp("127.0.0.1:8200", 0))),
        (of(0, 1), (report, s(60), s(120), exec(&["pg_isready", "-q"], 5, 1, true))),
        (of(1, 0), (stop, s(1), s(0), udp("[::1]:99", 600))),
        (of(2, 0), (stop, s(30), s(0), exec(&["true"], 30, 3, false))),
    ] {
        assert_eq!(found.value, Condition { action, interval, start_period, kind });
    }
    assert_eq!((of(0, 0).at, of(0, 1).at), (At { line: 6, column: 1 }, At { line: 8, column: 1 }));
    assert_eq!(config.plogs, Some(Given { value: true, at: At { line: 2, column: 9 } }));
}

#[test]
fn all_that_is_wrong_with_conditions_is_said_at_once() {
    let found = complaints(
        r#"
[[process]]
command = ["a"]
[[process.health]]
listen = "127.0.0.1:1"
[[process.health]]
type = "tcp"
[[process.health]]
type = "udp"
listen = "0.0.0.0:8200"
retries = 3
action = "kill"
[[process.health]]
type = "exec"
listen = "127.0.0.1:1"
interval = "10ms"
timeout = "0s"
retries = 0
[[process]]
command = ["b"]
health = "udp"
[[process]]
command = ["c"]
health = [{ type = "exec", command = [], plog = "x" }, 3]
[defaults]
health = []
"#,
    );
    let expected = [
        ("line 4, column 1", "this condition has no type"),
        ("line 7, column 8", "type: \"tcp\" is not known"),
        ("line 10, column 10", "listen: \"0.0.0.0:8200\" is not of this machine alone"),
        ("line 11, column 1", "unknown key \"retries\" in health of type udp; known are: type, listen"),
        ("line 12, column 10", "action: \"kill\" is not known"),
        ("line 13, column 1", "this condition has no command"),
        ("line 15, column 1", "unknown key \"listen\" in health of type exec; known are: type, command"),
        ("line 16, column 12", "interval: \"10ms\" is less than 100ms"),
        ("line 17, column 11", "timeout: 0 s"),
        ("line 18, column 11", "retries: \"0\" is no number from 1"),
        ("line 21, column 10", "health is a list"),
        ("line 24, column 38", "command is empty"),
        ("line 24, column 49", "plog: \"x\" is not known"),
        ("line 24, column 56", "health is not a table"),
        ("line 26, column 1", "unknown key \"health\" in [defaults]"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (place, what)) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("{place}: {what}")), "{found}\nbut expected {place}: {what}");
    }
    let many = format!("[[process]]\ncommand = [\"a\"]\n{}", "[[process.health]]\ntype = \"udp\"\n".repeat(9));
    assert_eq!(complaints(&many), ["line 19, column 1: 9 conditions; a process has at most 8"]);
}
