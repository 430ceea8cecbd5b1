//! `--help` and the environment twins: what a user who reads nothing else relies on.

use std::process::{Command, Output};

use crate::config::with;
use crate::program::Logpump;

/// The options of `logpump run`, written down by hand.
pub const OPTIONS: &[&str] = &[
    "--config",
    "--print-config",
    "--log-group",
    "--log-stream",
    "--name",
    "--region",
    "--endpoint-url",
    "--ca-bundle",
    "--create-group",
    "--retention-days",
    "--kms-key-id",
    "--tag",
    "--log-group-class",
    "--sink",
    "--dir",
    "--tee",
    "--join",
    "--flush-interval",
    "--max-in-flight",
    "--stream-window",
    "--gzip",
    "--memory-max",
    "--engine",
    "--when-full",
    "--spool-dir",
    "--spool-max",
    "--spool-sync",
    "--durable",
    "--grace",
    "--drain-timeout",
    "--eof-grace",
    "--statsd",
    "--plogs",
    "--report",
    "--log-level",
    "--log-format",
];

fn logpump(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logpump"));
    for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("LOGPUMP_")) {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn help() -> String {
    let output = logpump(&["run", "--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// Each option's own part of the help.
fn parts(help: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        // Six spaces before an option, more before what is said of it.
        if let Some(option) = line.strip_prefix("      --") {
            let name = option.split(' ').next().unwrap();
            parts.push((format!("--{name}"), String::new()));
        }
        if let Some((_, text)) = parts.last_mut() {
            text.push_str(line.trim());
            text.push('\n');
        }
    }
    parts
}

#[test]
fn the_help_names_every_option_with_its_environment_twin_and_groups_them() {
    let help = help();
    let parts = parts(&help);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, OPTIONS);
    for (name, text) in &parts {
        let twin = format!("LOGPUMP_{}", name[2..].to_uppercase().replace('-', "_"));
        assert!(text.contains(&format!("[env: {twin}")), "{name} has no twin {twin}:\n{text}");
        let explained = text.lines().skip(1).any(|line| !line.is_empty() && !line.starts_with('['));
        assert!(explained, "{name} is not explained:\n{text}");
    }
    for heading in ["Where to:", "Sending:", "Outages:", "Ending:", "Telling:"] {
        assert!(help.lines().any(|line| line == heading), "{heading}");
    }
}

#[test]
fn values_from_the_environment_count_and_the_command_line_goes_before_them() {
    let place = tempfile::tempdir().unwrap();
    let logs = place.path().join("logs");
    let run = || {
        let run = Logpump::new("auto").env("LOGPUMP_DIR", &logs).env("LOGPUMP_LOG_STREAM", "env-{name}");
        run.env("LOGPUMP_NAME", "given").env("LOGPUMP_TEE", "yes").env("LOGPUMP_LOG_LEVEL", "off")
    };
    let ended = run().command(&["echo", "hello"]).run();
    assert_eq!((ended.said.as_str(), &ended.stdout[..]), ("", &b"hello\n"[..]));
    assert_eq!(std::fs::read(logs.join("env-given")).unwrap(), b"hello\n");
    let ended = run().args(&["--name", "other"]).env("LOGPUMP_TEE", "false").command(&["echo", "hello"]).run();
    assert_eq!(ended.stdout, b"");
    assert_eq!(std::fs::read(logs.join("env-other")).unwrap(), b"hello\n");
}

#[test]
fn an_empty_variable_counts_as_none() {
    let mut run = Logpump::new("auto").into_files();
    for name in OPTIONS {
        run = run.env(&format!("LOGPUMP_{}", name[2..].to_uppercase().replace('-', "_")), "");
    }
    let ended = run.command(&["echo", "hello"]).run();
    assert_eq!((ended.code, ended.file("echo")), (Some(0), b"hello\n".to_vec()), "{}", ended.said);
}

#[test]
fn a_variable_that_is_nearly_one_of_ours_is_warned_of_and_reaches_the_command() {
    let run =
        || Logpump::new("auto").into_files().env("LOGPUMP_LOG_GROPU", "/g").env("LOGPUMP_SERVICE_HOST", "10.0.0.1");
    let run = || run().env("LOGPUMP_DRAINTIMEOUT", "");
    let ended = run().command(&["sh", "-c", "echo $LOGPUMP_LOG_GROPU"]).run();
    let said: Vec<_> = ended.said.lines().filter(|line| line.contains("no such variable")).collect();
    let expected =
        "WARN LOGPUMP_LOG_GROPU does nothing: logpump has no such variable; likely LOGPUMP_LOG_GROUP is meant; ";
    assert!(said.len() == 1 && said[0].contains(expected), "{}", ended.said);
    assert_eq!((ended.code, ended.file("sh")), (Some(0), b"/g\n".to_vec()), "{}", ended.said);
    // And where one looks first.
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_logpump"));
    let output = doctor.args(["doctor", "--sink", "null"]).env("LOGPUMP_LOG_GROPU", "/g").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("LOGPUMP_LOG_GROPU does nothing") && said.contains("likely LOGPUMP_LOG_GROUP"), "{said}");
}

#[test]
fn messages_as_json_are_json() {
    let ended = Logpump::new("auto").into_files().args(&["--log-format", "json"]).command(&["echo", "hello"]).run();
    let messages: Vec<serde_json::Value> =
        ended.said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let text = |message: &serde_json::Value| message["message"].as_str().unwrap().to_owned();
    assert!(
        messages.iter().any(|message| text(message).contains("1 line (6 bytes) read, 1 delivered")),
        "{messages:?}"
    );
}

#[test]
fn wrong_usage_is_64_with_one_line_and_starts_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("started");
    let command = ["--", "touch", mark.to_str().unwrap()];
    for options in [
        &["--bogus"][..],
        &["--engine", "kqueue"],
        &["--sink", "kafka"],
        &["--sink", "cloudwatch"],
        &["--log-group", "a b"],
        &["--log-group", "aws/reserved"],
        &["--log-group", "arn:aws:s3:::bucket"],
        &["--log-group", "arn:aws:logs:eu-west-1:123456789012:log-group:g", "--region", "us-east-1"],
        &["--log-group", "g", "--dir", "logs"],
        &["--log-group", "g", "--endpoint-url", "localhost:4580"],
        &["--log-group", "g", "--endpoint-url", "foo"],
        &["--log-group", "g", "--endpoint-url", "ftp://x"],
        &["--log-group", "g", "--endpoint-url", "http://["],
        &["--log-group", "g", "--endpoint-url", "http://h:x"],
        &["--log-group", "g", "--ca-bundle", "/nowhere.pem"],
        &["--log-group", "g", "--ca-bundle", "/dev/null"],
        &["--log-stream", "{pid}"],
        &["--flush-interval", "soon"],
        &["--flush-interval", "0s"],
        &["--flush-interval", "1000"],
        &["--grace", "-1s"],
        &["--grace", "2days"],
        &["--drain-timeout", ""],
        &["--max-in-flight", "0"],
        &["--max-in-flight", "many"],
        &["--stream-window", "0"],
        &["--log-level", "loud"],
        &["--log-format", "xml"],
        &["--tee=maybe"],
        &["--memory-max", "much"],
        &["--memory-max", "64MiX"],
        &["--memory-max", "-1"],
        &["--memory-max", "16777215"],
        &["--memory-max", "65GiB"],
        &["--when-full", "wait"],
        &["--spool-max", ""],
        &["--spool-max", "7MiB"],
        &["--spool-max", "1000TiB"],
        &["--spool-sync", "sometimes"],
        &["--durable", "--spool-max", "0"],
        &["--log-group", "g", "--durable", "--spool-max", "0B"],
    ] {
        let output = logpump(&[&["run"], options, &command].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{options:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{options:?}: {said}");
        assert!(said.starts_with("logpump: "), "{said}");
        assert!(!mark.exists(), "{options:?}");
    }
    for args in [&["run"][..], &["run", "--"], &["run", "--", "true", "--"], &["run", "true"], &["walk"], &[]] {
        let output = logpump(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(64), 1), "{args:?}: {said}");
    }
}

#[test]
fn a_hint_names_the_verb_that_was_used() {
    for (args, hints) in [
        (&["run", "true"][..], &["behind a --: logpump run [OPTIONS] -- true", "(logpump run --help lists"][..]),
        (&["doctor", "true"], &["behind a --: logpump doctor [OPTIONS] -- true", "(logpump doctor --help lists"]),
        (&["mwaa", "worker", "true"], &["'true' found (logpump mwaa --help lists"]),
        (&["mwaa", "--bogus"], &["(logpump mwaa --help lists"]),
        (&["check", "a", "b"], &["'b' found (logpump check --help lists"]),
        (&["check"], &["(logpump check --help lists"]),
    ] {
        let output = logpump(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(64), 1), "{args:?}: {said}");
        assert!(hints.iter().all(|hint| said.contains(hint)), "{args:?}: {said}");
    }
}

#[test]
fn an_endpoint_from_the_environment_that_is_no_url_starts_nothing_either() {
    for (variable, url, expected) in [
        ("AWS_ENDPOINT_URL", "http://[", "AWS_ENDPOINT_URL: \"http://[\" has no IPv6 address"),
        ("AWS_ENDPOINT_URL_LOGS", "foo", "AWS_ENDPOINT_URL_LOGS: \"foo\" does not begin with http:// or https://"),
        ("LOGPUMP_ENDPOINT_URL", "ftp://x", "--endpoint-url: \"ftp://x\" does not begin with http:// or https://"),
    ] {
        let run = Logpump::without_report("auto").args(&["--log-group", "g"]).env(variable, url);
        let mark = run.place("started");
        let ended = run.command(&["touch", mark.to_str().unwrap()]).run_without_report();
        assert_eq!((ended.code, ended.said.lines().count()), (Some(64), 1), "{}", ended.said);
        assert!(ended.said.contains(expected), "{}", ended.said);
        assert!(!mark.exists(), "{variable}");
    }
}

#[test]
fn a_size_that_is_wrong_is_told_what_a_size_is_or_its_range() {
    for (option, size, expected) in [
        ("--memory-max", "64MiX", "write bytes, or a number with a unit, such as 64MiB, 500MB or 1GiB"),
        ("--memory-max", "1MiB", "--memory-max: 1.0 MiB is not between 16.0 MiB and 64.0 GiB"),
        ("--spool-max", "5 MB", "--spool-max: 4.8 MiB is not between 8.0 MiB and 64.0 TiB; 0 means no spool"),
    ] {
        let said = String::from_utf8(logpump(&["run", option, size, "--", "true"]).stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn options_of_an_outage_that_mean_nothing_are_said_to() {
    let ended = Logpump::new("auto")
        .into_files()
        .args(&["--when-full", "block", "--spool-dir", "/nowhere", "--spool-max", "1GB", "--spool-sync", "always"])
        .arg("--durable")
        .command(&["true"])
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    // A file can be full, too.
    assert!(!ended.said.contains("--when-full does nothing"), "{}", ended.said);
    for option in ["--spool-dir", "--spool-max", "--spool-sync", "--durable"] {
        let expected = format!("{option} does nothing: no --log-group is given");
        assert_eq!(ended.said.matches(&expected).count(), 1, "{}", ended.said);
    }
}

#[test]
fn options_of_a_group_that_nothing_creates_or_names_are_said_to_do_nothing() {
    let groups = [
        ("--retention-days", "7"),
        ("--kms-key-id", "arn:aws:kms:eu-west-1:123456789012:key/k"),
        ("--tag", "team=data"),
        ("--log-group-class", "STANDARD"),
        ("--stream-window", "2"),
        ("--ca-bundle", "/nowhere.pem"),
    ];
    let mut run = Logpump::new("auto").into_files();
    for (option, value) in groups {
        run = run.args(&[option, value]);
    }
    let ended = run.command(&["true"]).run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for (option, _) in groups {
        let expected = format!("{option} does nothing: no --log-group is given");
        assert_eq!(ended.said.matches(&expected).count(), 1, "{option}: {}", ended.said);
    }
    let named = said_of(Logpump::new("auto").into_files().args(&["--name", "other"]), "");
    assert!(named.contains("--name does nothing: with --config each process has a name of its own"), "{named}");
}

#[test]
fn a_region_that_contradicts_the_arn_is_told_where_and_what_to_do() {
    let group = ["--log-group", "arn:aws:logs:eu-west-1:123456789012:log-group:g"];
    let ended = Logpump::without_report("auto").args(&group).env("LOGPUMP_REGION", "us-east-1");
    let ended = ended.command(&["true"]).run_without_report();
    let expected = "logpump: --log-group: the group's ARN lies in eu-west-1, yet --region (variable LOGPUMP_REGION) says \
                    us-east-1, where the group is not; leave --region out, or give the group by its name\n";
    assert_eq!((ended.code, ended.said.as_str()), (Some(64), expected));
}

/// What a run with this file says of what does nothing.
fn said_of(run: Logpump, settings: &str) -> String {
    let file = format!("[[process]]\nname = \"web\"\ncommand = [\"true\"]\n{settings}\n");
    let ended = with(run, &file).run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    // The suite itself sets the spool's directory.
    let said = ended.said.lines().filter(|line| line.contains(" nothing: ") && !line.contains("--spool-dir"));
    said.map(|line| format!("{line}\n")).collect()
}

#[test]
fn only_the_keys_that_were_set_are_said_to_do_nothing_in_files() {
    let into_files = |settings| said_of(Logpump::new("auto").into_files(), settings);
    assert!(into_files("trim = true").contains("trim does nothing: files have the commands' bytes as they are\n"));
    let said = into_files("mask = true\nlevel = \"INFO\"\ntrim = true");
    let expected =
        "level, mask and trim do nothing: files have the commands' bytes as they are; secrets are not masked\n";
    assert!(said.contains(expected), "{said}");
    assert_eq!(into_files(""), "");
    assert_eq!(said_of(Logpump::new("auto").args(&["--sink", "null"]), "mask = true"), "");
}

#[test]
fn metrics_and_statsd_do_nothing_one_without_the_other_and_that_is_said() {
    let server = &["--statsd", "127.0.0.1:9"];
    let nowhere = || Logpump::new("auto").args(&["--sink", "null"]);
    let alone = said_of(nowhere().args(server), "");
    assert!(alone.contains("--statsd does nothing: no process has metrics"), "{alone}");
    let alone = said_of(nowhere(), "metrics = \"web\"");
    assert!(alone.contains("metrics does nothing: no --statsd is given"), "{alone}");
    assert_eq!(said_of(nowhere().args(server), "metrics = \"web\""), "");
    // In files, once.
    let in_files = said_of(Logpump::new("auto").into_files(), "metrics = \"web\"");
    assert!(in_files.contains("metrics does nothing: files") && in_files.lines().count() == 1, "{in_files}");
}

#[test]
fn more_commands_than_memory_takes_start_none() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("started");
    let mut words = vec!["run", "--memory-max", "16MiB"];
    // Enough for pages of 4 KiB to 64 KiB.
    for _ in 0..300 {
        words.extend(["--", "touch", mark.to_str().unwrap()]);
    }
    let output = logpump(&words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(64), 1), "{said}");
    assert!(said.contains("--memory-max: 16.0 MiB is too little for 300 commands;"), "{said}");
    assert!(!mark.exists());
}

#[test]
fn a_spool_in_memory_is_warned_of() {
    let ended = Logpump::new("auto")
        .into_cloudwatch("http://127.0.0.1:1")
        .args(&["--spool-dir", "/dev/shm/logpump-warned-of", "--drain-timeout", "0s"])
        .command(&["true"])
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let is_memory = mounts.lines().any(|mount| mount.split(' ').skip(1).take(2).eq(["/dev/shm", "tmpfs"]));
    assert_eq!(ended.said.matches("lies in memory (tmpfs)").count(), usize::from(is_memory), "{}", ended.said);
    let _ = std::fs::remove_dir_all("/dev/shm/logpump-warned-of");
}

#[test]
fn the_manual_and_the_completions_know_every_option() {
    let manual = String::from_utf8(logpump(&["man"]).stdout).unwrap();
    assert!(manual.contains(".TH logpump 1") && manual.contains(".SH \"LOGPUMP RUN\""), "{manual}");
    let bash = String::from_utf8(logpump(&["completions", "bash"]).stdout).unwrap();
    for option in OPTIONS.iter().chain(&["--try", "--json"]) {
        assert!(manual.contains(&option.replace('-', "\\-")), "the manual does not know {option}");
        assert!(bash.contains(option), "the completions do not know {option}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let output = logpump(&["completions", shell]);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(["run", "doctor", "log-group"].iter().all(|word| script.contains(word)), "{shell}: {script}");
    }
    let unknown = logpump(&["completions", "csh"]);
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(64), 0));
}
