//! Several processes with a configuration file: what each is started with, who stops whom and how, and what is printed.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::help::OPTIONS;
use crate::on_both_engines;
use crate::program::{Logpump, bare, read_back, standin};
use crate::stop::POLITE;

/// Tells every process of a group which signal reaches it, and ends when the file that it is given is there.
const TELLS: &str = "
import os, signal, sys, time
def told(number, _):
    print(sys.argv[1], signal.Signals(number).name, flush=True)
    os._exit(0)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, told)
print(sys.argv[1], 'ready', flush=True)
while not (len(sys.argv) > 2 and os.path.exists(sys.argv[2])):
    time.sleep(0.005)
";

/// A run of what this file says.
pub fn with(run: Logpump, file: &str) -> Logpump {
    let path = run.place("logpump.toml");
    fs::write(&path, file).unwrap();
    run.arg("--config").arg(path)
}

pub fn python(script: &str, args: &[&str]) -> String {
    let words: Vec<_> = ["python3", "-c", script].iter().chain(args).map(|word| format!("{word:?}")).collect();
    format!("command = [{}]", words.join(", "))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn each_process_has_its_own_variables_directory_group_and_stream() {
    on_both_engines(|engine| {
        let standin = standin(&["--group", "/other"]);
        let file = r#"
            [defaults]
            env = { SHARED = "all", OWN = "default" }
            essential = false
            [[process]]
            name = "first"
            command = ["sh", "-c", "echo $SHARED $OWN $GIVEN; pwd"]
            env.OWN = "mine"
            directory = "/"
            [[process]]
            command = ["sh", "-c", "echo $SHARED $OWN $GIVEN"]
            log_group = "/other"
            log_stream = "s-{name}"
        "#;
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).env("GIVEN", "given");
        let ended = with(run, file).run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(read_back(&standin, "first"), ["all mine given", "/"]);
        let other = standin.ok(
            "GetLogEvents",
            serde_json::json!({ "logGroupName": "/other", "logStreamName": "s-sh", "startFromHead": true }),
        );
        assert_eq!(other["events"][0]["message"], "all default given");
        let groups: Vec<_> =
            ["/streams/0/group", "/streams/1/group"].map(|at| ended.report.pointer(at).cloned()).into();
        assert_eq!(groups, [Some("/run/tests".into()), Some("/other".into())]);
    });
}

#[test]
fn an_essential_ones_end_stops_all_others_and_its_code_is_logpumps() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files();
        let go = run.place("go");
        let file = format!(
            "[[process]]\nname = \"polite\"\n{}\n[[process]]\nname = \"deaf\"\ncommand = [\"sh\", \"-c\", \"trap '' TERM; \
             while :; do sleep 0.01; done\"]\ngrace = \"300ms\"\n[[process]]\nname = \"gone\"\ncommand = [\"false\"]\n\
             essential = false\n[[process]]\nname = \"essential\"\ncommand = [\"sh\", \"-c\", \"while ! test -e {}; do \
             sleep 0.01; done; exit 3\"]\n",
            python(POLITE, &[]),
            go.display()
        );
        let mut running = with(run, &file).start();
        running.wait_said("gone ended: exit code 1");
        crate::wait_for("polite", || (running.file("polite") == b"ready\n").then_some(()), String::new);
        fs::write(&go, b"").unwrap();
        let ended = running.end();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains("essential is essential: the others are stopped"), "{}", ended.said);
        assert!(ended.said.contains("deaf ended: SIGKILL"), "{}", ended.said);
        assert_eq!(text(&ended.file("polite")), "ready\nlast word\n");
    });
}

#[test]
fn each_is_told_in_its_own_way_to_stop_and_the_leader_alone_where_that_is_asked_for() {
    let run = Logpump::new("auto").into_files();
    let end = run.place("end");
    let leader = format!(
        "[[process]]\nname = \"leader\"\ncommand = [\"sh\", \"-c\", \"python3 -c \\\"$0\\\" child {0} & exec python3 -c \
         \\\"$1\\\" parent; wait\", {1:?}, {1:?}]\nkill_mode = \"leader\"\nstop_signal = \"INT\"\n",
        end.display(),
        TELLS
    );
    let group = format!("[[process]]\nname = \"group\"\n{}\n", python(TELLS, &["alone"]));
    let running = with(run, &format!("{leader}{group}")).start();
    crate::wait_for(
        "all three",
        || {
            (running.file("leader").len() == "child ready\nparent ready\n".len() && !running.file("group").is_empty())
                .then_some(())
        },
        || text(&running.file("leader")),
    );
    running.signal(Signal::TERM);
    // The child was told nothing, and is still there.
    crate::wait_for(
        "the parent",
        || text(&running.file("leader")).contains("parent SIGINT").then_some(()),
        String::new,
    );
    fs::write(&end, b"").unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(!text(&ended.file("leader")).contains("child SIG"), "{}", text(&ended.file("leader")));
    assert_eq!(text(&ended.file("group")), "alone ready\nalone SIGTERM\n");
}

#[test]
fn one_whose_time_is_over_is_stopped_with_its_grace_and_the_others_go_on() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files();
        let go = run.place("go");
        let file = format!(
            "[defaults]\nessential = false\n[[process]]\nname = \"deaf\"\ntimeout = \"200ms\"\ngrace = \"100ms\"\n\
             command = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 0.01; done\"]\n[[process]]\nname = \"other\"\n\
             command = [\"sh\", \"-c\", \"while ! test -e {}; do sleep 0.01; done; echo well\"]\n",
            go.display()
        );
        let mut running = with(run, &file).start();
        running.wait_said("deaf has run for its timeout of 200ms: it is stopped");
        running.wait_said("deaf ended: SIGKILL");
        fs::write(&go, b"").unwrap();
        let ended = running.end();
        assert_eq!((ended.code, text(&ended.file("other"))), (Some(137), "well\n".to_owned()), "{}", ended.said);
    });
}

#[test]
fn a_sigterm_from_outside_takes_no_grace_from_those_that_an_essential_end_has_stopped() {
    let slow = POLITE.replace("os._exit(9)", "import time; time.sleep(0.3); print('done', flush=True); os._exit(0)");
    let run = Logpump::new("auto").into_files();
    let go = run.place("go");
    let file = format!(
        "[[process]]\nname = \"slow\"\n{}\n[[process]]\nname = \"first\"\ncommand = [\"sh\", \"-c\", \"while ! test -e {}; \
         do sleep 0.01; done\"]\n",
        python(&slow, &[]),
        go.display()
    );
    let mut running = with(run, &file).start();
    crate::wait_for("slow", || (running.file("slow") == b"ready\n").then_some(()), String::new);
    fs::write(&go, b"").unwrap();
    running.wait_said("first is essential");
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(text(&ended.file("slow")), "ready\nlast word\ndone\n", "{}", ended.said);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn levels_masks_and_distinct_milliseconds_change_what_arrives_and_every_line_is_counted() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let lines = "2026-05-06T01:00:14.610844Z [info     ] fine\\n[error] boom for postgres://a:secret@db\\nTraceback\\n\
                     \\n[debug] no\\nmore of no\\n[2025-01-01 00:00:00 +0000] {m.py:1} WARNING - last  ";
        let file = format!(
            "[defaults]\ndistinct_milliseconds = true\nmask = [\"bo+m\"]\ntrim = true\nessential = false\n\
             [[process]]\nname = \"some\"\nlevel = \"WARNING\"\ncommand = [\"printf\", {lines:?}]\n\
             [[process]]\nname = \"all\"\nlevel = \"always\"\ncommand = [\"printf\", \"a  \\\\n \\\\nb\\\\n\"]\n",
            lines = lines.replace("\\\\n", "\\n")
        );
        let ended = with(Logpump::new(engine).into_cloudwatch(&standin.url), &file).run();
        let expected =
            ["[error] *** for postgres://a:***@db", "Traceback", "[2025-01-01 00:00:00 +0000] {m.py:1} WARNING - last"];
        assert_eq!(read_back(&standin, "some"), expected, "{}", ended.said);
        assert_eq!(read_back(&standin, "all"), ["[INFO] - a", "[INFO] - b"]);
        let some = &ended.report["streams"][0];
        assert_eq!(some["filtered"]["level"]["lines"], 3, "{some:#}");
        assert_eq!(
            (&some["filtered"]["blank"]["lines"], &some["masked"], &some["delivered"]["lines"]),
            (&1.into(), &2.into(), &3.into())
        );
        let events = standin.ok(
            "GetLogEvents",
            serde_json::json!({ "logGroupName": "/run/tests", "logStreamName": "some", "startFromHead": true }),
        );
        let at = |event: usize| events["events"][event]["timestamp"].as_i64().unwrap();
        assert_eq!((at(1), at(2)), (at(0) + 1, at(0) + 2), "{events:#}");
        assert_eq!(some["nudged"], 2);
    });
}

/// Logs what it caught with its chain of exceptions, then prints another, and leaves with a third that nobody caught.
const RAISES: &str = r#"
import logging, sys, traceback
logging.basicConfig(format="[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s", level=logging.INFO, stream=sys.stdout)
logging.info("before")
def fail(depth):
    if depth: fail(depth - 1)
    try:
        {}["inner"]
    except KeyError as error:
        raise ValueError("first line\nsecond line") from error
try:
    fail(3)
except ValueError:
    logging.exception("caught")
logging.info("between")
sys.stdout.flush()
sys.stderr.write("plain\n")
sys.stderr.flush()
try:
    fail(0)
except ValueError:
    traceback.print_exc()
logging.info("after")
sys.stdout.flush()
raise RuntimeError("the end")
"#;

#[test]
fn a_traceback_of_python_is_one_event_with_its_header_and_each_of_its_lines_is_counted() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("raises.py");
        fs::write(&script, RAISES).unwrap();
        let process = |name: &str, join: &str| {
            format!("[[process]]\nname = \"{name}\"\ncommand = [\"python3\", {script:?}]\nessential = false\n{join}\n")
        };
        let file =
            format!("[defaults]\njoin = \"traceback\"\n{}{}", process("one", ""), process("all", "join = \"none\""));
        let ended = with(Logpump::new(engine).into_cloudwatch(&standin.url), &file).run();
        let (one, all) = (read_back(&standin, "one"), read_back(&standin, "all"));
        assert!(all.iter().all(|event| !event.contains('\n')) && all.len() > 30, "{all:#?}");
        // The text is the same, but for the blank lines inside a chain, which are no events by themselves, and the times.
        let unstamped = |line: &str| line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned();
        let lines = one.iter().flat_map(|event| event.lines()).filter(|line| !line.is_empty());
        assert_eq!(
            lines.map(unstamped).collect::<Vec<_>>(),
            all.iter().map(|line| unstamped(line)).collect::<Vec<_>>()
        );
        let has = |event: usize, begin: &str, end: &str| {
            assert!(one[event].contains(begin) && one[event].ends_with(end), "{event}: {one:#?}\n{}", ended.said);
        };
        assert_eq!(one.len(), 6, "{one:#?}");
        has(0, "INFO - before", "before");
        has(1, "ERROR - caught\nTraceback (most recent call last):\n  File", "ValueError: first line\nsecond line");
        assert!(one[1].contains("KeyError: 'inner'\n\nThe above exception was the direct cause"), "{}", one[1]);
        has(2, "INFO - between", "between");
        has(3, "plain", "plain");
        has(4, "Traceback", "ValueError: first line\nsecond line");
        // What follows a line with a level goes with it, whoever wrote it.
        has(5, "INFO - after\nTraceback", "RuntimeError: the end");
        let streams = &ended.report["streams"];
        for stream in [&streams[0], &streams[1]] {
            let count = |of: &str| stream[of]["lines"].as_u64().unwrap();
            let blank = stream["filtered"]["blank"]["lines"].as_u64().unwrap_or(0);
            assert_eq!(count("read"), count("delivered") + blank, "{stream:#}");
        }
        assert_eq!(streams[0]["read"], streams[0]["delivered"], "{streams:#}");
        let inner = one.iter().map(|event| event.matches('\n').count() as u64).sum::<u64>();
        assert_eq!((&streams[0]["joined"], &streams[1]["joined"]), (&inner.into(), &0.into()));
    });
}

#[test]
fn a_pattern_that_takes_too_long_is_said_once_and_the_line_is_masked_whole() {
    let standin = standin(&[]);
    let line = "x".repeat(2000);
    let file = format!(
        "[[process]]\nname = \"some\"\nmask = [\"x.*z|x\"]\ncommand = [\"printf\", \"%s\\\\n\", \"a\", {line:?}, \"b\", {line:?}]\n"
    );
    let ended = with(Logpump::new("auto").into_cloudwatch(&standin.url), &file).run();
    assert_eq!(read_back(&standin, "some"), ["a", "***", "b", "***"], "{}", ended.said);
    assert_eq!(ended.said.matches("takes too long").count(), 1, "{}", ended.said);
    assert!(ended.said.contains(r#"the pattern "x.*z|x" of mask"#), "{}", ended.said);
    assert_eq!(ended.report["streams"][0]["masked"], 2);
}

#[test]
fn a_wrong_file_starts_nothing_and_all_that_is_wrong_in_it_is_said() {
    let run = Logpump::new("auto").into_files();
    let path = run.place("logpump.toml");
    let ended = with(run, "[[process]]\nname = 3\ncomand = [\"touch\"]\n").run_without_report();
    assert_eq!(ended.code, Some(78), "{}", ended.said);
    let lines: Vec<_> = ended.said.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.said);
    for (line, place) in
        lines.iter().zip(["1:1: this process has no command", "2:8: name is not a text", "3:1: unknown key"])
    {
        assert!(line.starts_with(&format!("logpump: {}:{place}", path.display())), "{line}");
    }
}

fn logpump(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_logpump")).args(args).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn two_processes_never_share_a_stream_or_a_file_however_it_is_written() {
    let process = |name: &str, more: &str| format!("[[process]]\nname = \"{name}\"\ncommand = [\"true\"]\n{more}\n");
    let arn = "log_group = \"arn:aws:logs:eu-central-1:123456789012:log-group:/run/tests:*\"\nlog_stream = \"s\"";
    let file = format!("{}{}", process("a", "log_stream = \"s\""), process("b", arn));
    let ended = with(Logpump::new("auto").into_cloudwatch("http://127.0.0.1:1"), &file).run_without_report();
    assert!(ended.code == Some(64) && ended.said.contains("would share the stream s"), "{}", ended.said);
    let file = format!("{}{}", process("a", "log_stream = \"x/y\""), process("b", "log_stream = \"x_y\""));
    let ended = with(Logpump::new("auto").into_files(), &file).run_without_report();
    assert!(ended.code == Some(64) && ended.said.contains("would share the file x_y"), "{}", ended.said);
}

#[test]
fn check_says_what_is_wrong_without_starting_anything() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("x.toml");
    fs::write(&path, "[[process]]\ncommand = [\"touch\", \"started\"]\n[[process]]\ncommand = [\"b\"]\n").unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(logpump(&["check", path]), (Some(0), format!("{path}: 2 processes, nothing wrong\n"), String::new()));
    fs::write(path, "[[process]]\ncommand = [\"b\"]\nlog_group = \"a b\"\ngrace = \"2d\"\n").unwrap();
    let (code, stdout, stderr) = logpump(&["check", path]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(78), "", 2), "{stderr}");
    assert!(stderr.contains(&format!("{path}:3:13: a log group's name")), "{stderr}");
    assert!(stderr.contains(&format!("{path}:4:9: grace: \"2d\" is more than 1day")), "{stderr}");
}

#[test]
fn check_says_what_run_would_say_of_processes_that_do_not_go_together() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("x.toml");
    let process = |more: &str| format!("[[process]]\ncommand = [\"touch\", \"started\"]\n{more}\n");
    let looked = |file: &str, variables: &[(&str, &str)]| {
        fs::write(&path, file).unwrap();
        let mut check = bare(place.path());
        check.envs(variables.iter().copied()).arg("check").arg(&path);
        let check = check.output().unwrap();
        let run = Logpump::without_report("auto").arg("--config").arg(&path).run_without_report();
        let said = text(&check.stderr);
        let run = run.said.strip_prefix("logpump: ").unwrap_or_default().to_owned();
        (check.status.code(), said.replace(&format!("logpump: {}: ", path.display()), ""), run)
    };
    for (file, expected) in [
        (
            process("log_group = \"/g\"") + &process("name = \"other\""),
            "process other has no log group, and others have one",
        ),
        (process("log_stream = \"s\"") + &process("log_stream = \"s\""), "several commands would share the stream s"),
        (process("log_stream = \"x/y\"") + &process("log_stream = \"x_y\""), "would share the file x_y"),
    ] {
        let (code, said, run) = looked(&file, &[]);
        assert_eq!((code, said.as_str()), (Some(78), run.as_str()));
        assert!(said.contains(expected), "{said}");
    }
    // The environment may say what the file does not.
    let some = process("log_group = \"/g\"") + &process("");
    assert_eq!(looked(&some, &[("LOGPUMP_LOG_GROUP", "/all")]).0, Some(0));
    assert_eq!(looked(&some, &[("LOGPUMP_SINK", "null")]).0, Some(0));
    assert_eq!(looked(&some, &[("LOGPUMP_GRACE", "soon")]).0, Some(64));
    assert!(!place.path().join("started").exists() && !place.path().join("logpump-logs").exists());
}

#[test]
fn print_config_says_which_region_and_endpoint_are_used_and_no_password() {
    let run = |url: &str, more: &[&str]| {
        let run = Logpump::without_report("auto").env("AWS_REGION", "eu-west-3").env("AWS_ENDPOINT_URL", url);
        text(&run.args(&["--print-config"]).args(more).command(&["true"]).run_without_report().stdout)
    };
    let printed = run("http://127.0.0.1:2", &["--log-group", "g"]);
    for expected in [
        "#   --region eu-west-3  (environment, AWS_REGION)\n",
        "#   --endpoint-url http://127.0.0.1:2  (environment, AWS_ENDPOINT_URL)\n",
        "#   --sink auto  (default; now cloudwatch, decided by --log-group and --dir)\n",
        "#   --dir  (not given)\n",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
    }
    let printed = run("http://me:marked@h", &["--sink", "null", "--endpoint-url", "http://me:marked@h"]);
    assert!(printed.contains("--endpoint-url ...  (command line)") && !printed.contains("marked"), "{printed}");
}

#[test]
fn print_config_says_what_would_run_and_where_each_setting_comes_from() {
    let run = Logpump::new("auto").into_files();
    let file = "[defaults]\ngrace = \"5s\"\n[[process]]\nname = \"web\"\ncommand = [\"touch\", \"a b\"]\nenv.SECRET = \
                \"marked\"\nstop_signal = 2\n[[process.health]]\ntype = \"exec\"\ncommand = [\"true\"]\nretries = 7\n";
    let run = with(run, file).env("LOGPUMP_EOF_GRACE", "3s").arg("--print-config");
    let ended = run.run_without_report();
    assert_eq!((ended.code, ended.said.as_str()), (Some(0), ""));
    let printed = text(&ended.stdout);
    for expected in [
        "#   --eof-grace 3s  (environment)\n",
        "#   --drain-timeout 10s  (default)\n",
        "#   --log-stream {name}  (command line)\n",
        "[[process]]\nname = \"web\"  # ",
        "logpump.toml:4\n",
        "command = [\"touch\", \"a b\"]  # ",
        "stop_signal = \"SIGINT\"  # ",
        "grace = \"5s\"  # ",
        "logpump.toml:2, [defaults]\n",
        "kill_mode = \"group\"  # default\n",
        "logpump.toml:8\ntype = \"exec\"  # ",
        "logpump.toml:11\ninterval = \"30s\"  # default\n",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
    }
    assert!(!printed.contains("marked"), "{printed}");
    // Every option is there, whoever decided it.
    for expected in [
        "#   --memory-max 64.0 MiB  (default)\n",
        "#   --stream-window 8  (default, as --max-in-flight)\n",
        "#   --when-full drop  (default)\n",
        "#   --spool-sync interval  (default)\n",
        "#   --sink auto  (default; now dir, decided by --log-group and --dir)\n",
        "#   --log-group  (not given)\n",
        "#   --statsd  (not given)\n",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
    }
    for option in OPTIONS {
        assert_eq!(printed.matches(&format!("#   {option} ")).count(), 1, "{option}:\n{printed}");
    }
    // What was printed is a configuration file itself.
    let place = tempfile::tempdir().unwrap();
    let again = place.path().join("again.toml");
    fs::write(&again, &printed).unwrap();
    assert_eq!(logpump(&["check", again.to_str().unwrap()]).0, Some(0), "{printed}");
}
