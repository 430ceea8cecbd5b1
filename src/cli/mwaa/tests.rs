//! What each variable of the service comes to, by hand: without a process, and without an environment of our own.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::cli::args::{Arguments, Verb};
use crate::cli::room;
use crate::limits::{TEE_CHUNK_BYTES_MAX, TEE_CHUNKS_MAX};

fn arguments() -> RunArguments {
    let matches = Arguments::command().get_matches_from(["logpump", "run", "--", "x"]);
    match Arguments::from_arg_matches(&matches).unwrap().verb {
        Verb::Run(arguments) => *arguments,
        _ => unreachable!("it says run"),
    }
}

fn asked(role: Role, variables: &[(&str, &str)]) -> Result<Vec<Wish>, Refusal> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    wishes(&preset_of(role), &arguments(), &env)
}

fn preset_of(role: Role) -> Preset {
    Preset { role, database_check: false, patience_max: None, idle: Vec::new() }
}

const ARN: &str = "arn:aws:logs:eu-west-1:123456789012:log-group:airflow-env-Scheduler:*";

fn commands(wishes: &[Wish]) -> Vec<String> {
    let command = |wish: &Wish| wish.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    wishes.iter().map(command).collect()
}

#[test]
fn each_role_runs_what_the_service_runs() {
    let version = |version| [("AIRFLOW_VERSION", version)];
    for (role, variables, expected) in [
        (Role::Scheduler, &[][..], &["airflow scheduler", "airflow dag-processor", "airflow triggerer"][..]),
        (Role::Worker, &[], &["airflow celery worker"]),
        (Role::Webserver, &version("2.10.5"), &["airflow webserver"]),
        (Role::Webserver, &version("3.0.6"), &["airflow api-server"]),
        (
            Role::Hybrid,
            &[],
            &["airflow scheduler", "airflow dag-processor", "airflow triggerer", "airflow celery worker"],
        ),
    ] {
        assert_eq!(commands(&asked(role, variables).unwrap()), expected, "{role:?}");
    }
}

#[test]
fn a_group_is_wanted_not_wanted_or_not_there() {
    let of = |enabled: &str, arn: &str| {
        let variables = [
            ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", arn),
            ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOGS_ENABLED", enabled),
        ];
        let variables: Vec<_> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let wishes = asked(Role::Scheduler, &variables).unwrap();
        // The others have no group of their own.
        assert_eq!(wishes[1].unwanted, Some(Why::NoGroup));
        (wishes[0].unwanted, wishes[0].log_group.as_ref().map(|group| group.value.clone()))
    };
    assert_eq!(of("true", ARN), (None, Some(ARN.to_owned())));
    assert_eq!(of("True", ARN).0, None);
    assert_eq!(of("false", ARN), (Some(Why::Disabled), Some(ARN.to_owned())));
    assert_eq!(of("", ARN).0, Some(Why::Disabled));
    assert_eq!(of("true", ""), (Some(Why::NoGroup), None));
}

#[test]
fn memory_is_set_aside_for_the_copy_of_what_has_no_group() {
    let memory = |variables: &[(&str, &str)]| {
        room::memory(&arguments(), &asked(Role::Worker, variables).unwrap()).unwrap().body_bytes_max
    };
    let group = [("MWAA__LOGGING__AIRFLOW_WORKER_LOG_GROUP_ARN", ARN)];
    assert_eq!(memory(&group), memory(&[]) + TEE_CHUNKS_MAX * TEE_CHUNK_BYTES_MAX);
}

#[test]
fn levels_patience_names_and_variables_are_the_services() {
    let variables = [
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_LEVEL", "WARNING"),
        ("MWAA__LOGGING__AIRFLOW_TRIGGERER_LOG_LEVEL", "DEBUG"),
    ];
    let wishes = asked(Role::Scheduler, &variables).unwrap();
    let levels: Vec<_> = wishes.iter().map(|wish| wish.level.as_ref().unwrap().value).collect();
    assert_eq!(levels, [Level::Warning, Level::Info, Level::Debug].map(Threshold::From));
    for wish in &wishes {
        assert_eq!(wish.env[0].0, "AIRFLOW_CONSOLE_LOG_LEVEL");
        assert_eq!((wish.env[0].1.value.as_str(), wish.grace.value), ("WARNING", PATIENCE));
        assert_eq!((wish.env[1].0.as_str(), wish.essential.value), ("PYTHONUNBUFFERED", true));
    }
    let streams: Vec<_> = wishes.iter().map(|wish| wish.log_stream.value.as_str()).collect();
    let usual = "{name}_{hostname}_{start}.log";
    assert_eq!(streams, [usual, "{name}.log", usual]);
    let names: Vec<_> = wishes.iter().map(|wish| wish.name.as_ref().unwrap().value.as_str()).collect();
    assert_eq!(names, ["scheduler", "dag-processor-manager", "triggerer"]);
    let metrics: Vec<_> = wishes.iter().map(|wish| wish.metrics.as_ref().unwrap().value.as_str()).collect();
    assert_eq!(metrics, ["Scheduler", "DAGProcessorManager", "Triggerer"]);
}

#[test]
fn a_hybrids_worker_has_more_patience_and_the_console_of_all_is_info() {
    let name = "MWAA__HYBRID_CONTAINER__SIGTERM_PATIENCE_INTERVAL";
    let graces = |variables: &[(&str, &str)]| -> Vec<u64> {
        asked(Role::Hybrid, variables).unwrap().iter().map(|wish| wish.grace.value.as_secs()).collect()
    };
    assert_eq!(graces(&[]), [90, 90, 90, 130]);
    assert_eq!(graces(&[(name, "20")]), [90, 90, 90, 20]);
    assert!(asked(Role::Hybrid, &[(name, "soon")]).unwrap_err().message.contains("seconds, from 0 to 3600"));
    let level = [("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_LEVEL", "ERROR")];
    assert_eq!(asked(Role::Hybrid, &level).unwrap()[0].env[0].1.value, "INFO");
    let worker = &asked(Role::Worker, &[]).unwrap()[0];
    assert_eq!((worker.grace.value, worker.kill_mode.value), (PATIENCE, StopTarget::Leader));
}

#[test]
fn a_grace_that_was_given_is_the_most_and_one_that_changes_nothing_is_told() {
    let capped = |role, seconds| {
        let preset = Preset { patience_max: Some(Duration::from_secs(seconds)), ..preset_of(role) };
        let wishes = wishes(&preset, &arguments(), &|_: &str| None).unwrap();
        let graces: Vec<_> = wishes.iter().map(|wish| (wish.grace.value.as_secs(), wish.grace.source)).collect();
        (graces, oddities(&preset, &wishes))
    };
    let given = Source::Option("--grace");
    assert_eq!(capped(Role::Worker, 20), (vec![(20, given)], vec![]));
    let service = (90, Source::Preset);
    assert_eq!(capped(Role::Hybrid, 100), (vec![service, service, service, (100, given)], vec![]));
    assert_eq!(capped(Role::Worker, 90), (vec![service], vec![]));
    let (graces, told) = capped(Role::Worker, 120);
    assert_eq!(graces, [service]);
    assert!(told[0].starts_with("--grace 2m does nothing: "), "{told:?}");
}

#[test]
fn of_each_process_that_is_not_sent_it_is_told_why() {
    let group = ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", ARN);
    let processor = ("MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOG_GROUP_ARN", ARN);
    let enabled = ("MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOGS_ENABLED", "true");
    let wishes = asked(Role::Scheduler, &[group, processor, enabled]).unwrap();
    let disabled = |fate| format!("scheduler: lines {fate}: MWAA__LOGGING__AIRFLOW_SCHEDULER_LOGS_ENABLED is not true");
    assert_eq!(notes(&wishes[..2], false), [disabled("are read and discarded")]);
    let no_group = "triggerer: lines go to stdout only: MWAA__LOGGING__AIRFLOW_TRIGGERER_LOG_GROUP_ARN is not set";
    assert_eq!(notes(&wishes, true), [disabled("go to stdout only"), no_group.to_owned()]);
    // Each role's processes have their variables.
    for role in [Role::Worker, Role::Webserver, Role::Hybrid] {
        let wishes = asked(role, &[("AIRFLOW_VERSION", "2.10.5")]).unwrap();
        assert_eq!(notes(&wishes, true).len(), wishes.len());
    }
}

#[test]
fn a_group_that_is_no_arn_is_refused_with_its_variables_name() {
    let name = "MWAA__LOGGING__AIRFLOW_WORKER_LOG_GROUP_ARN";
    for wrong in ["airflow-env-Worker", "arn:aws:s3:::bucket", "arn:aws:logs:eu-west-1:1:log-group:a b"] {
        let refused = asked(Role::Worker, &[(name, wrong)]).unwrap_err();
        assert_eq!(refused.code, 78);
        assert!(refused.message.starts_with(&format!("{name}: ")), "{}", refused.message);
    }
}

#[test]
fn what_it_cannot_do_is_refused_with_what_to_do_instead() {
    for (role, name, value, complaint) in [
        (Role::Worker, "MWAA__CORE__TASK_MONITORING_ENABLED", "true", "task monitor"),
        (Role::Hybrid, "MWAA__CORE__TASK_MONITORING_ENABLED", "True", "task monitor"),
        (Role::Webserver, "AIRFLOW_VERSION", "4.0", "versions 2 and 3"),
        (Role::Webserver, "UNRELATED", "1", "AIRFLOW_VERSION is not set"),
        (Role::Scheduler, "MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_LEVEL", "LOUD", "known are DEBUG"),
    ] {
        let refused = asked(role, &[(name, value)]).unwrap_err();
        assert_eq!(refused.code, 78);
        assert!(refused.message.contains(complaint), "{}", refused.message);
    }
    assert!(asked(Role::Scheduler, &[("MWAA__CORE__TASK_MONITORING_ENABLED", "true")]).is_ok());
}

const SIDECAR: (&str, &str) = ("MWAA__HEALTH_MONITORING__ENABLE_SIDECAR_HEALTH_MONITORING", "true");
const PORT: &str = "MWAA__HEALTH_MONITORING__SIDECAR_HEALTH_PORT";
const THRESHOLD: &str = "AIRFLOW__MWAA__WORKER_REPLACEMENT_THRESHOLD_SECONDS";

/// Of each process that has a sidecar: its name, the port and the threshold's seconds.
fn sidecars(role: Role, variables: &[(&str, &str)]) -> Vec<(String, u16, u64)> {
    let mut found = Vec::new();
    for wish in asked(role, variables).unwrap() {
        for condition in &wish.health {
            let Condition { action, interval, start_period, kind } = &condition.value;
            let Kind::Udp { listen, replacement_threshold } = kind else { panic!("{kind:?}") };
            assert_eq!((action, interval.as_secs(), start_period.as_secs()), (&Action::Stop, 60, 300));
            assert!(listen.ip().is_loopback());
            let name = wish.name.as_ref().unwrap().value.clone();
            found.push((name, listen.port(), replacement_threshold.as_secs()));
        }
    }
    found
}

#[test]
fn the_sidecar_is_heard_about_the_scheduler_or_the_worker_and_the_threshold_is_the_workers() {
    let threshold = (THRESHOLD, "30.5");
    assert_eq!(sidecars(Role::Scheduler, &[SIDECAR, threshold]), [("scheduler".to_owned(), 8200, 0)]);
    assert_eq!(sidecars(Role::Worker, &[SIDECAR, threshold]), [("worker".to_owned(), 8200, 30)]);
    assert_eq!(sidecars(Role::Worker, &[SIDECAR, (PORT, "9000")]), [("worker".to_owned(), 9000, 0)]);
    assert_eq!(sidecars(Role::Hybrid, &[SIDECAR, threshold]), [("worker".to_owned(), 8200, 30)]);
    assert_eq!(sidecars(Role::Webserver, &[SIDECAR, ("AIRFLOW_VERSION", "3.0.6")]), []);
    assert_eq!(sidecars(Role::Worker, &[(SIDECAR.0, "false"), (PORT, "none"), threshold]), []);
}

#[test]
fn a_variable_that_was_set_is_the_source_and_else_the_preset() {
    let variables = [
        ("MWAA__LOGGING__AIRFLOW_WORKER_LOG_GROUP_ARN", ARN),
        ("MWAA__LOGGING__AIRFLOW_WORKER_LOG_LEVEL", "ERROR"),
        SIDECAR,
        (PORT, "9000"),
    ];
    let worker = &asked(Role::Worker, &variables).unwrap()[0];
    let level = Source::Variable("MWAA__LOGGING__AIRFLOW_WORKER_LOG_LEVEL");
    assert_eq!(worker.log_group.as_ref().unwrap().source, Source::Variable(variables[0].0));
    assert_eq!((worker.level.as_ref().unwrap().source, worker.env[0].1.source), (level, level));
    assert_eq!((worker.grace.source, worker.health[0].source), (Source::Preset, Source::Preset));
    assert_eq!(worker.health[0].keys, [("listen".to_owned(), Source::Variable(PORT))]);
    let keys = |role, variables: &[_]| asked(role, variables).unwrap().remove(0).health.remove(0).keys;
    assert_eq!(keys(Role::Scheduler, &[SIDECAR, (THRESHOLD, "30")]), [], "it has none");
    let patience = "MWAA__HYBRID_CONTAINER__SIGTERM_PATIENCE_INTERVAL";
    let hybrids = asked(Role::Hybrid, &[(patience, "20")]).unwrap();
    assert_eq!((hybrids[0].grace.source, hybrids[3].grace.source), (Source::Preset, Source::Variable(patience)));
    assert_eq!(asked(Role::Worker, &[]).unwrap()[0].level.as_ref().unwrap().source, Source::Preset);
}

#[test]
fn a_port_or_a_threshold_that_is_none_is_refused() {
    for (name, values) in [(PORT, ["0", "70000", "8200x"]), (THRESHOLD, ["abc", "-100", "nan"])] {
        for value in values {
            let refused = asked(Role::Worker, &[SIDECAR, (name, value)]).unwrap_err();
            assert_eq!(refused.code, 78);
            assert!(refused.message.contains(&format!("{name}={value}: ")), "{}", refused.message);
        }
    }
}

#[test]
fn the_database_is_asked_where_that_is_wished_and_stops_nothing() {
    let env = |_: &str| None;
    let preset = Preset { database_check: true, ..preset_of(Role::Scheduler) };
    let wishes = wishes(&preset, &arguments(), &env).unwrap();
    let conditions: Vec<_> = wishes.iter().map(|wish| wish.health.len()).collect();
    assert_eq!(conditions, [1, 0, 0]);
    let condition = &wishes[0].health[0].value;
    assert_eq!((condition.action, condition.interval.as_secs()), (Action::Report, 60));
    let Kind::Exec { argv, is_database, .. } = &condition.kind else { panic!("{condition:?}") };
    assert_eq!((&argv[..], *is_database), (&["airflow", "db", "check"].map(OsString::from)[..], true));
}
