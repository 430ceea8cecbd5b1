//! `logpump mwaa`: as the entrypoint of an MWAA container, with an `airflow` of our own on PATH.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Ended, Logpump, read_back, standin};
use crate::wait_for;

/// Says what it was started as, in both of Airflow's forms, and waits for its end.
const AIRFLOW: &str = r#"#!/usr/bin/env python3
import os, signal, sys
def told(*_):
    print('[2025-01-01 00:00:00 +0000] {a.py:1} ERROR - told to stop', flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, told)
own = ' '.join(sys.argv[1:])
console, unbuffered = os.environ['AIRFLOW_CONSOLE_LOG_LEVEL'], os.environ['PYTHONUNBUFFERED']
print(f'2026-05-06T01:00:14.610844Z [info     ] {own} begins, console {console}, unbuffered {unbuffered}   ')
print(f'[2025-01-01 00:00:00 +0000] {{module.py:123}} WARNING - {own} warns')
print('2026-05-06T01:00:14.610844Z [error    ] psycopg2.OperationalError: no connection')
print(f'Traceback of {own}')
print('2026-05-06T01:00:14.610844Z [error    ] The basic metric validator will be deprecated')
open(os.environ['READY'] + '/' + own.replace(' ', '-'), 'w').close()
while True:
    signal.pause()
"#;

fn mwaa(role: &str, url: &str, variables: &[(&str, &str)]) -> Logpump {
    container(AIRFLOW, role, url, variables)
}

/// The same way as `Logpump`, but for the verb, and with this program for `airflow`.
pub fn container(airflow: &str, role: &str, url: &str, variables: &[(&str, &str)]) -> Logpump {
    let mut run = Logpump::without_report("auto");
    let bin = run.place("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("airflow"), airflow).unwrap();
    fs::set_permissions(bin.join("airflow"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(run.command.get_program());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("MWAA__") || text.starts_with("AIRFLOW") || text.starts_with("PYTHONUNBUFFERED") {
            command.env_remove(&name);
        }
    }
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("READY", run.place.path()).env("AWS_ENDPOINT_URL", url);
    command.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
    command.args(["mwaa", role, "--report"]).arg(run.place("report.json"));
    command.envs(variables.iter().copied());
    run.command = command;
    run
}

/// Until all of them run, and then to the end.
fn stopped(run: Logpump, parts: &[&str]) -> Ended {
    let running = run.start();
    for part in parts {
        wait_for(part, || running.place(part).exists().then_some(()), String::new);
    }
    running.signal(Signal::TERM);
    running.end()
}

pub fn arn(group: &str) -> String {
    format!("arn:aws:logs:eu-central-1:123456789012:log-group:{group}:*")
}

#[test]
fn a_scheduler_container_sends_each_process_where_the_service_wants_it() {
    let metrics = UdpSocket::bind("127.0.0.1:0").unwrap();
    metrics.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let standin = standin(&[]);
    let group = arn("/run/tests");
    let run = mwaa(
        "scheduler",
        &standin.url,
        &[
            ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", &group),
            ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOGS_ENABLED", "true"),
            ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_LEVEL", "WARNING"),
            ("MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOG_GROUP_ARN", &group),
            ("MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOGS_ENABLED", "true"),
            ("MWAA__LOGGING__AIRFLOW_TRIGGERER_LOG_GROUP_ARN", &group),
            ("MWAA__LOGGING__AIRFLOW_TRIGGERER_LOGS_ENABLED", "false"),
            ("LOGPUMP_STATSD", &metrics.local_addr().unwrap().to_string()),
        ],
    );
    let ended = stopped(run, &["scheduler", "dag-processor", "triggerer"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let streams: Vec<_> = ended.report["streams"].as_array().unwrap().iter().collect();
    let name = streams[0]["stream"].as_str().unwrap();
    assert!(name.starts_with("scheduler_") && name.ends_with(".log"), "{name}");
    assert_eq!(
        read_back(&standin, name),
        [
            "[2025-01-01 00:00:00 +0000] {module.py:123} WARNING - scheduler warns",
            "2026-05-06T01:00:14.610844Z [error    ] psycopg2.OperationalError: no connection",
            "Traceback of scheduler",
            "[2025-01-01 00:00:00 +0000] {a.py:1} ERROR - told to stop",
        ]
    );
    let processor = read_back(&standin, "dag-processor-manager.log");
    let begins = "2026-05-06T01:00:14.610844Z [info     ] dag-processor begins, console WARNING, unbuffered 1";
    assert_eq!(processor[0], begins, "{processor:#?}");
    assert_eq!(streams[0]["filtered"]["level"]["lines"], 1, "{:#}", streams[0]);
    let triggerers =
        "triggerer: lines are read and discarded: MWAA__LOGGING__AIRFLOW_TRIGGERER_LOGS_ENABLED is not true";
    assert!(ended.said.contains(triggerers), "{}", ended.said);
    assert!(ended.said.contains(&format!("log group /run/tests, stream {name} and 1 more; ")), "{}", ended.said);
    assert_eq!(streams[0]["filtered"]["noise"]["lines"], 1);
    assert_eq!(
        (&streams[2]["filtered"]["disabled"]["lines"], &streams[2]["delivered"]["lines"]),
        (&6.into(), &0.into())
    );
    let mut heard = String::new();
    let mut buffer = [0; 512];
    while !heard.contains("airflow.mwaa.error_log.DAGProcessorManager.psycopg2:1|c")
        || !heard.contains("airflow.mwaa.error_log.Scheduler.psycopg2:1|c")
    {
        let length = metrics.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}; heard {heard}"));
        heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        heard.push('\n');
    }
}

#[test]
fn without_groups_lines_go_to_the_console_as_in_the_local_mode() {
    let ended = stopped(mwaa("worker", "http://127.0.0.1:1", &[]), &["celery-worker"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let why = "worker: lines go to stdout only: MWAA__LOGGING__AIRFLOW_WORKER_LOG_GROUP_ARN is not set";
    assert!(ended.said.contains(why) && ended.said.contains("INFO lines go to nowhere; "), "{}", ended.said);
    // The test has a --spool-dir, and there is nothing to spool.
    assert!(!ended.said.contains("does nothing"), "{}", ended.said);
    let stdout = String::from_utf8(ended.stdout.clone()).unwrap();
    assert!(stdout.contains("Traceback of celery worker\n"), "{stdout}");
    assert_eq!(ended.total("/filtered/no_group").0, 6, "{:#}", ended.report);
}

#[test]
fn a_process_without_a_group_has_stdout_and_the_others_their_groups_alone() {
    let standin = standin(&[]);
    let variables = [
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", &*arn("/run/tests")),
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOGS_ENABLED", "true"),
        ("MWAA__LOGGING__AIRFLOW_TRIGGERER_LOG_GROUP_ARN", &*arn("/run/tests")),
    ];
    let parts = ["scheduler", "dag-processor", "triggerer"];
    let ended = stopped(mwaa("scheduler", &standin.url, &variables), &parts);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for why in [
        "dag-processor-manager: lines go to stdout only: MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOG_GROUP_ARN is not set",
        "triggerer: lines are read and discarded: MWAA__LOGGING__AIRFLOW_TRIGGERER_LOGS_ENABLED is not true",
    ] {
        assert!(ended.said.contains(why), "{}", ended.said);
    }
    let stdout = String::from_utf8(ended.stdout.clone()).unwrap();
    assert!(stdout.contains("Traceback of dag-processor\n"), "{stdout}");
    assert!(!stdout.contains("scheduler") && !stdout.contains("triggerer"), "{stdout}");
    assert_eq!((ended.total("/filtered/no_group").0, ended.total("/filtered/disabled").0), (6, 6));
    assert!(ended.total("/delivered").0 > 0, "{:#}", ended.report);
}

/// It has a minute's interval, which no test waits for: that the sidecar is heard is seen by its port being taken.
#[test]
fn the_sidecars_port_is_listened_to_and_one_that_is_taken_is_said() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("MWAA__HEALTH_MONITORING__ENABLE_SIDECAR_HEALTH_MONITORING", "true"),
        ("MWAA__HEALTH_MONITORING__SIDECAR_HEALTH_PORT", &port),
    ];
    let ended = mwaa("worker", "http://127.0.0.1:1", &variables).run_without_report();
    assert_eq!((ended.code, ended.said.lines().count()), (Some(71), 1), "{}", ended.said);
    assert!(ended.said.contains(&format!("127.0.0.1:{port} (UDP) for the health of worker")), "{}", ended.said);
    drop(taken);
    let ended = stopped(mwaa("worker", "http://127.0.0.1:1", &variables), &["celery-worker"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let health = &ended.report["health"][0];
    assert_eq!((&health["process"], &health["what"]), (&"worker".into(), &format!("127.0.0.1:{port}").into()));
}

#[test]
fn options_that_the_service_decides_are_refused_and_their_variables_are_told() {
    for (written, complaint) in [
        (&["--name", "x"][..], "takes no --name"),
        (&["--log-group", "x"], "takes no --log-group"),
        (&["--log-stream", "x"], "takes no --log-stream"),
        (&["--config", "/nowhere"], "takes no --config"),
        (&["--", "true"], "takes no command behind a --"),
        (&["--colour"], "(logpump mwaa --help lists the options)"),
    ] {
        let mut run = mwaa("worker", "http://127.0.0.1:1", &[]);
        run.command.args(written);
        let ended = run.run_without_report();
        assert_eq!((ended.code, ended.said.lines().count()), (Some(64), 1), "{}", ended.said);
        assert!(ended.said.contains(complaint), "{}", ended.said);
    }
    let variables = [
        ("LOGPUMP_NAME", "x"),
        ("LOGPUMP_LOG_GROUP", "x"),
        ("LOGPUMP_LOG_STREAM", "x"),
        ("LOGPUMP_CONFIG", "/nowhere"),
        ("LOGPUMP_GRACE", "20s"),
    ];
    let ended = stopped(mwaa("worker", "http://127.0.0.1:1", &variables), &["celery-worker"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for (name, _) in &variables[..4] {
        assert!(ended.said.contains(&format!("WARN {name} does nothing: ")), "{}", ended.said);
    }
    let mut run = mwaa("worker", "http://127.0.0.1:1", &variables);
    run.command.arg("--print-config");
    let printed = String::from_utf8(run.run_without_report().stdout).unwrap();
    assert!(printed.contains("grace = \"20s\"  # --grace, environment\n"), "{printed}");
}

#[test]
fn what_it_cannot_do_starts_nothing() {
    let ended =
        mwaa("worker", "http://127.0.0.1:1", &[("MWAA__CORE__TASK_MONITORING_ENABLED", "true")]).run_without_report();
    assert_eq!((ended.code, ended.said.lines().count()), (Some(78), 1), "{}", ended.said);
    assert!(ended.said.contains("keep the Python entrypoint"), "{}", ended.said);
}
