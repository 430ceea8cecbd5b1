//! The documents say what the program is: their paths, links, options, numbers, report fields and examples are looked up
//! here, so that a change which makes one of them wrong is seen.
#![cfg(feature = "tools")]

#[path = "docs/architecture.rs"]
mod architecture;
#[path = "common/standin.rs"]
#[allow(dead_code)]
mod client;
#[path = "docs/examples.rs"]
mod examples;
#[path = "common/venv.rs"]
mod venv;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use logpump::ledger::{End, Kind};
use logpump::limits;
use logpump::lines::{Framer, Taken};
use serde_json::Value;

const DOCUMENTS: [&str; 11] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/ARCHITECTURE.md",
    "docs/CONFIG.md",
    "docs/LOSS.md",
    "docs/MWAA.md",
    "docs/OPERATIONS.md",
    "docs/PERFORMANCE.md",
    "docs/THREATS.md",
    "docs/TRANSFORM.md",
];

/// cargo's, docker's and other programs' that documents name, and our scripts'.
const OTHERS_OPTIONS: [&str; 18] = [
    "--bench",
    "--help",
    "--locked",
    "--release",
    "--no-default-features",
    "--target",
    "--bin",
    "--log-group-name",
    "--keep",
    "--from",
    "--security-opt",
    "--init",
    "--pids-limit",
    "--tmpfs",
    "--time",
    "--stop-timeout",
    "--reuid",
    "--build-arg",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between `open` and `close`, wherever it does.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inside, _)| inside)
}

/// Words in backticks, code blocks left out.
fn quoted(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    prose.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for name in DOCUMENTS {
        let text = document(name);
        let paths =
            quoted(&text).into_iter().filter(|word| ["src/", "tests/", "docs/"].iter().any(|at| word.starts_with(at)));
        missing.extend(paths.filter(|path| !root().join(path).exists()).map(|path| format!("{name}: {path}")));
        let from = root().join(name).parent().map(PathBuf::from).expect("a document is in a directory");
        let links = between(&text, "](", ")").filter(|link| !link.contains("://"));
        missing.extend(links.filter(|link| !from.join(link).exists()).map(|link| format!("{name}: {link}")));
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for name in DOCUMENTS {
        for word in quoted(&document(name)) {
            let Some((file, test)) = word.split_once("::").filter(|(file, _)| file.ends_with(".rs")) else { continue };
            let source = fs::read_to_string(root().join("tests/run").join(file)).unwrap_or_default();
            if !source.contains(&format!("#[test]\nfn {test}()")) {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_option_that_a_document_names_exists() {
    let helps = [
        (env!("CARGO_BIN_EXE_logpump"), "run"),
        (env!("CARGO_BIN_EXE_logpump"), "doctor"),
        (env!("CARGO_BIN_EXE_logpump"), "mwaa"),
        (env!("CARGO_BIN_EXE_cloudwatch-standin"), "--help"),
        (env!("CARGO_BIN_EXE_logpump-load"), "write"),
        (env!("CARGO_BIN_EXE_logpump-load"), "verify"),
        (env!("CARGO_BIN_EXE_sim"), "fleet"),
        (env!("CARGO_BIN_EXE_sim"), "--help"),
    ];
    let mut known: BTreeSet<String> = OTHERS_OPTIONS.map(str::to_owned).into();
    for (program, verb) in helps {
        let help = Command::new(program).args([verb, "--help"]).output().expect("cannot ask for help").stdout;
        known.extend(options(&String::from_utf8_lossy(&help)));
    }
    let named =
        DOCUMENTS.iter().flat_map(|name| options(&document(name)).into_iter().map(move |option| (name, option)));
    let unknown: Vec<_> = named.filter(|(_, option)| !known.contains(option)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '-');
    let is_option = |word: &&str| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c != '-'));
    words.filter(is_option).map(str::to_owned).collect()
}

#[test]
fn every_option_has_its_row_with_its_variable_and_its_default() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logpump"));
    for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("LOGPUMP_")) {
        command.env_remove(name);
    }
    let help = command.args(["run", "--help"]).output().expect("cannot ask for help").stdout;
    let help = String::from_utf8(help).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut expected = BTreeSet::new();
    for part in help.split("\n      --").skip(1) {
        let name = part.split([' ', '\n']).next().unwrap();
        let part = words(part);
        let tail = |open: &str, close| between(&part, open, close).next().map(str::to_owned);
        let variable = tail("[env: ", "]").map(|twin| twin.trim_end_matches('=').to_owned());
        let default = tail("[default: ", "]").filter(|default| !default.contains(' '));
        expected.insert((format!("--{name}"), variable.unwrap_or_default(), default));
    }
    let text = document("docs/OPERATIONS.md");
    let (_, table) = text.split_once("| option | variable | default |").expect("the table of options");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let found: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect();
            let default =
                expected.iter().find(|(name, ..)| *name == cells[1]).and_then(|(.., default)| default.clone());
            (cells[1].clone(), cells[2].clone(), default.map(|_| cells[3].clone()))
        })
        .collect();
    assert_eq!(found, expected, "left: docs/OPERATIONS.md, right: --help");
}

#[test]
fn the_seccomp_profile_is_an_allow_list_whose_last_rule_is_io_uring() {
    let profile: Value = serde_json::from_str(&document("perf/seccomp-io_uring.json")).unwrap();
    assert_eq!((&profile["defaultAction"], &profile["defaultErrnoRet"]), (&"SCMP_ACT_ERRNO".into(), &1.into()));
    let rules = profile["syscalls"].as_array().unwrap();
    let names =
        |rule: &Value| rule["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect();
    let allowed: Vec<Vec<String>> = rules.iter().map(names).collect();
    assert_eq!(allowed.last().unwrap(), &["io_uring_enter", "io_uring_register", "io_uring_setup"]);
    let others: BTreeSet<_> = allowed[..allowed.len() - 1].concat().into_iter().collect();
    let refused =
        ["io_uring_setup", "ptrace", "bpf", "mount", "unshare", "setns", "keyctl", "userfaultfd", "kexec_load"];
    assert!(refused.iter().all(|name| !others.contains(*name)), "{others:?}");
}

#[test]
fn the_readme_and_ci_run_the_same_tests() {
    let command = "cargo test --locked\n";
    assert!(document("README.md").contains(command));
    assert!(document(".ci/run").contains(&format!("step {command}")));
}

#[test]
fn every_number_of_the_architecture_is_that_of_the_code() {
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let mib = |bytes: usize| format!("{} MiB", bytes as f64 / 1_048_576.0);
    let ms = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let s = |time: std::time::Duration| format!("{} s", time.as_secs());
    let bytes = |bytes: usize| format!("{bytes} B");
    let expected = [
        ("SDK_THREADS_MAX", limits::SDK_THREADS_MAX.to_string()),
        ("TICK_MIN", format!("{} us", limits::TICK_MIN.as_micros())),
        ("TICK_MAX", ms(limits::TICK_MAX)),
        ("BULK_READ_BYTES_MIN", kib(limits::BULK_READ_BYTES_MIN)),
        ("EMPTY_TICKS_BEFORE_ARMED", limits::EMPTY_TICKS_BEFORE_ARMED.to_string()),
        ("AHEAD_OF_CLOCK_MS_MAX", format!("{} ms", limits::AHEAD_OF_CLOCK_MS_MAX)),
        ("CREATIONS_IN_FLIGHT_MAX", limits::CREATIONS_IN_FLIGHT_MAX.to_string()),
        ("BACKOFF_FIRST", ms(limits::BACKOFF_FIRST)),
        ("BACKOFF_MAX", s(limits::BACKOFF_MAX)),
        ("BACKOFF_SLOW_FIRST", s(limits::BACKOFF_SLOW_FIRST)),
        ("BACKOFF_DRAIN_MAX", s(limits::BACKOFF_DRAIN_MAX)),
        ("THROTTLED_BEFORE_SAID", s(limits::THROTTLED_BEFORE_SAID)),
        ("RATE_DECREASE", limits::RATE_DECREASE.to_string()),
        ("RATE_INCREASE_PER_S2", format!("{} call/s", limits::RATE_INCREASE_PER_S2)),
        ("RATE_QUIET", s(limits::RATE_QUIET)),
        ("RATE_FREE_PER_S", format!("{} calls/s", limits::RATE_FREE_PER_S)),
        ("RATE_MIN_PER_S", format!("{} call/s", limits::RATE_MIN_PER_S)),
        ("CHILDREN_MAX", limits::CHILDREN_MAX.to_string()),
        ("PIPE_BYTES", kib(limits::PIPE_BYTES)),
        ("RING_BYTES_MAX", mib(limits::RING_BYTES_MAX)),
        ("RING_BYTES_MIN", kib(limits::RING_BYTES_MIN)),
        ("RING_BYTES_PER_MARK", bytes(limits::RING_BYTES_PER_MARK)),
        ("MESSAGE_BYTES_MAX", bytes(limits::MESSAGE_BYTES_MAX)),
        ("BATCH_BYTES_MAX", mib(limits::BATCH_BYTES_MAX)),
        ("EVENT_OVERHEAD_BYTES", bytes(limits::EVENT_OVERHEAD_BYTES)),
        ("BATCH_EVENTS_MAX", limits::BATCH_EVENTS_MAX.to_string()),
        ("BODY_BYTES_MAX", mib(limits::BODY_BYTES_MAX)),
        ("WAITING_BODIES_PER_STREAM_MAX", limits::WAITING_BODIES_PER_STREAM_MAX.to_string()),
        ("WAITING_BODIES_MAX", limits::WAITING_BODIES_MAX.to_string()),
        ("BODY_BYTES_TYPICAL", mib(limits::BODY_BYTES_TYPICAL)),
        ("VISIT_BYTES_MAX", mib((limits::VISIT_BYTES_MAX).next_multiple_of(1 << 20))),
        ("ASSEMBLY_PART", limits::ASSEMBLY_PART.to_string()),
        ("TURN_BYTES_MAX", mib(limits::TURN_BYTES_MAX)),
        ("SPOOL_RETRY", s(limits::SPOOL_RETRY)),
        ("SPOOL_RETRY_MAX", s(limits::SPOOL_RETRY_MAX)),
        ("SPOOL_QUEUE_BYTES_MAX", mib(limits::SPOOL_QUEUE_BYTES_MAX)),
        ("BACKLOG_AHEAD_BODIES", limits::BACKLOG_AHEAD_BODIES.to_string()),
        ("SPOOL_SEGMENTS", limits::SPOOL_SEGMENTS.to_string()),
        ("PATIENCE_MAX", s(limits::PATIENCE_MAX)),
        ("PATIENCE_SHARE", limits::PATIENCE_SHARE.to_string()),
        ("CPU_SHORT_AFTER", s(limits::CPU_SHORT_AFTER)),
        ("ADOPTED_STREAMS_MAX", limits::ADOPTED_STREAMS_MAX.to_string()),
        ("SDK_CLIENTS_MAX", limits::SDK_CLIENTS_MAX.to_string()),
        ("JOIN_WAIT", format!("{} ms", limits::JOIN_WAIT.as_millis())),
        ("JOIN_OPEN_MAX", s(limits::JOIN_OPEN_MAX)),
        ("JOIN_BYTES_MIN", format!("{} B", limits::JOIN_BYTES_MIN)),
        ("CALL_TIMEOUT", s(limits::CALL_TIMEOUT)),
        ("CONNECT_TIMEOUT", s(limits::CONNECT_TIMEOUT)),
        ("ANSWER_BYTES_MAX", kib(limits::ANSWER_BYTES_MAX)),
        ("TEE_CHUNKS_MAX", limits::TEE_CHUNKS_MAX.to_string()),
        ("TEE_CHUNK_BYTES_MAX", kib(limits::TEE_CHUNK_BYTES_MAX)),
        ("OWN_MESSAGES_MAX", limits::OWN_MESSAGES_MAX.to_string()),
        ("HEALTH_CONDITIONS_MAX", limits::HEALTH_CONDITIONS_MAX.to_string()),
        ("HEALTH_CHECKS_MAX", limits::HEALTH_CHECKS_MAX.to_string()),
        ("HEALTH_TAIL_BYTES", kib(limits::HEALTH_TAIL_BYTES)),
    ];
    // However its lines are broken.
    let text = document("docs/ARCHITECTURE.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, number) in &expected {
        assert!(text.contains(&format!("`{name}` {number}")), "docs/ARCHITECTURE.md does not say: `{name}` {number}");
    }
    let constant = |word: &String| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let named: BTreeSet<_> = quoted(&text).into_iter().filter(constant).collect();
    assert_eq!(named, expected.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn every_end_of_a_line_is_in_the_loss_table() {
    let text = document("docs/LOSS.md");
    for end in End::ALL {
        let row = match end.kind() {
            Kind::Delivered => "| `delivered` |".to_owned(),
            Kind::Filtered => format!("| `filtered` `{}` |", end.reason()),
            Kind::Rejected => format!("| `rejected` `{}` |", end.reason()),
            Kind::Dropped => format!("| `dropped` `{}` |", end.reason()),
        };
        assert!(text.contains(&row), "docs/LOSS.md has no row {row}");
    }
    let ends = text
        .lines()
        .filter(|line| ["| `filtered` `", "| `rejected` `", "| `dropped` `"].iter().any(|at| line.starts_with(at)));
    assert_eq!(ends.count(), End::ALL.len() - 1, "docs/LOSS.md has a row for an end that does not exist");
}

#[test]
fn every_field_of_the_report_is_explained_and_every_explained_field_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    let status = Command::new(env!("CARGO_BIN_EXE_logpump"))
        .args(["run", "--sink", "null", "--report"])
        .arg(&path)
        .args(["--", "true"])
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("cannot run logpump").success());
    let report: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let members = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let there = &(&members(&report) | &members(&report["streams"][0])) | &members(&report["total"]);

    let text = document("docs/LOSS.md");
    let (_, table) = text.split_once("| field | meaning |").expect("the table of fields");
    let first_cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let explained: BTreeSet<String> = first_cells.flat_map(quoted).collect();
    assert_eq!(explained, there);
}

#[test]
fn the_examples_of_the_transform_come_out_as_written() {
    let text = document("docs/TRANSFORM.md");
    let (_, table) =
        text.split_once("| the command writes | messages |\n| --- | --- |\n").expect("the table of examples");
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.split('`').skip(1).step_by(2).map(unescaped).collect();
        let (written, expected) = cells.split_first().expect("a row has cells");
        assert_eq!(messages(written), *expected, "{row}");
    }
}

fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    Framer::new(4096).frame(bytes, true, &mut |record| {
        if !record.text.is_empty() {
            messages.push(record.text.as_bytes().to_vec());
        }
        Taken::Yes
    });
    messages
}

/// `\n`, `\r`, `\t`, `\0`, `\xNN` and `\u{N}` as Rust writes them.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let used = match after.chars().next() {
            Some('x') => {
                bytes.push(u8::from_str_radix(&after[1..3], 16).expect("two hex digits"));
                3
            }
            Some('u') => {
                let (digits, _) = after[2..].split_once('}').expect("a closing brace");
                let code = u32::from_str_radix(digits, 16).expect("hex digits");
                let character = char::from_u32(code).expect("a character");
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                digits.len() + 3
            }
            Some('n') => push(&mut bytes, b'\n'),
            Some('r') => push(&mut bytes, b'\r'),
            Some('t') => push(&mut bytes, b'\t'),
            Some('0') => push(&mut bytes, 0),
            other => panic!("an escape \\{other:?} in {text}"),
        };
        rest = &after[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn push(bytes: &mut Vec<u8>, byte: u8) -> usize {
    bytes.push(byte);
    1
}

#[test]
fn the_python_example_of_the_readme_works_with_the_endpoint_as_an_argument_and_as_a_variable() {
    const ARGUMENT: &str = "endpoint_url=\"http://127.0.0.1:4580\", ";
    let text = document("README.md");
    let program = between(&text, "```python\n", "```").next().expect("an example in Python");
    assert!(program.contains(ARGUMENT) && text.contains("`AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://127.0.0.1:4580`"));
    let standin = client::Standin::start(&["--group", "/my/app"]);
    let with_argument = program.replace("http://127.0.0.1:4580", &standin.url);
    let with_variable = program.replace(ARGUMENT, "").replace("\"s\"", "\"t\"");
    for (program, variable) in [(with_argument, ""), (with_variable, &standin.url[..])] {
        let output = Command::new(venv::python_with(&["boto3==1.44.5"]))
            .args(["-c", &program])
            .env("NO_PROXY", "127.0.0.1")
            .env("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", variable)
            .env_remove("AWS_PROFILE")
            .output()
            .expect("cannot run Python");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("'message': 'hello'"), "{out}{err}");
    }
    assert_eq!(standin.stats()["events"], 2);
}
