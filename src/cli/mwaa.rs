//! `logpump mwaa`: the processes, groups, streams, levels and patience of an Amazon MWAA container, from the environment
//! that the service gives it. Pure: the environment is an argument. What it cannot do is refused, never left out.
//!
//! The names of variables, streams and defaults are those of the images `aws/amazon-mwaa-docker-images`, 2026.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use clap::ValueEnum;

use super::args::RunArguments;
use super::config::Threshold;
use super::config::health::{UDP_INTERVAL, UDP_LISTEN, UDP_START_PERIOD};
use super::processes::{Source, Sourced, Wish, base};
use crate::child::StopTarget;
use crate::limits::DURATION_MAX;
use crate::lines::level::Level;
use crate::lines::rules::Why;
use crate::refusal::{EXIT_CONFIG, Refusal};
use crate::run::health::{Action, Condition, Kind};

/// What an MWAA container is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Airflow's scheduler, DAG processor and triggerer
    Scheduler,
    /// A Celery worker
    Worker,
    /// The API server (Airflow 3) or the webserver (Airflow 2)
    Webserver,
    /// The scheduler's three and a worker
    Hybrid,
}

/// What `logpump mwaa` was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    pub role: Role,
    /// The database is asked, at its cost.
    pub database_check: bool,
}

/// How long the service waits for a process.
const PATIENCE: Duration = Duration::from_secs(90);
/// Once a minute, as the images ask; and Python starts slowly where others use the machine.
const DATABASE_INTERVAL: Duration = Duration::from_secs(60);
const DATABASE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for a hybrid container's worker.
const HYBRID_PATIENCE: Duration = Duration::from_secs(130);
/// Where the service's StatsD server listens.
pub const STATSD: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8125));
/// A message without meaning, which the images leave out.
const NOISE: &str = "The basic metric validator will be deprecated";

/// The environment, by name; a variable that is set to nothing is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One of the container's processes.
struct Part {
    /// In the variables' names.
    source: &'static str,
    /// In the stream's name.
    prefix: &'static str,
    /// In the counters' names.
    metrics: &'static str,
    command: &'static [&'static str],
}

const SCHEDULER: Part =
    Part { source: "SCHEDULER", prefix: "scheduler", metrics: "Scheduler", command: &["airflow", "scheduler"] };
const DAG_PROCESSOR: Part = Part {
    source: "DAGPROCESSOR",
    prefix: "dag-processor-manager",
    metrics: "DAGProcessorManager",
    command: &["airflow", "dag-processor"],
};
const TRIGGERER: Part =
    Part { source: "TRIGGERER", prefix: "triggerer", metrics: "Triggerer", command: &["airflow", "triggerer"] };
const WORKER: Part =
    Part { source: "WORKER", prefix: "worker", metrics: "Worker", command: &["airflow", "celery", "worker"] };
const WEBSERVER_2: Part =
    Part { source: "WEBSERVER", prefix: "webserver", metrics: "WebServer", command: &["airflow", "webserver"] };
const WEBSERVER_3: Part =
    Part { source: "WEBSERVER", prefix: "webserver", metrics: "WebServer", command: &["airflow", "api-server"] };

/// The wishes for `logpump run`. Err: what it cannot do, or what is wrong in a variable.
pub fn wishes(preset: Preset, arguments: &RunArguments, env: Environment<'_>) -> Result<Vec<Wish>, Refusal> {
    let Preset { role, database_check } = preset;
    refuse_what_is_missing(role, env)?;
    let parts: &[Part] = match role {
        Role::Scheduler => &[SCHEDULER, DAG_PROCESSOR, TRIGGERER],
        Role::Worker => &[WORKER],
        Role::Webserver if airflow_version(env)? == 2 => &[WEBSERVER_2],
        Role::Webserver => &[WEBSERVER_3],
        Role::Hybrid => &[SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER],
    };
    let mut wishes = parts.iter().map(|part| wish(role, part, arguments, env)).collect::<Result<Vec<_>, _>>()?;
    // The images ask about one process of a container: its worker, or else its first.
    if let Some(asked) = wishes.last_mut().filter(|_| role == Role::Hybrid) {
        asked.health = conditions(role, database_check, env)?;
    } else {
        wishes[0].health = conditions(role, database_check, env)?;
    }
    Ok(wishes)
}

/// What the images' Python entrypoint does and logpump does not: then it is to stay, with logpump before its commands.
fn refuse_what_is_missing(role: Role, env: Environment<'_>) -> Result<(), Refusal> {
    const NAME: &str = "MWAA__CORE__TASK_MONITORING_ENABLED";
    if matches!(role, Role::Worker | Role::Hybrid) && is_on(NAME, env) {
        return Err(refusal(format!(
            "{NAME}=true: the Celery task monitor is not a part of logpump; keep the Python entrypoint and put logpump run \
             before its command instead (docs/MWAA.md says how)"
        )));
    }
    Ok(())
}

fn is_on(name: &str, env: Environment<'_>) -> bool {
    env(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn airflow_version(env: Environment<'_>) -> Result<u32, Refusal> {
    let Some(version) = env("AIRFLOW_VERSION") else {
        return Err(refusal(
            "AIRFLOW_VERSION is not set: it decides between airflow webserver and airflow api-server; set it, such as \
             AIRFLOW_VERSION=3.0.6"
                .to_owned(),
        ));
    };
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(major @ (2 | 3)) => Ok(major),
        _ => Err(refusal(format!("AIRFLOW_VERSION={version}: known are versions 2 and 3"))),
    }
}

fn wish(role: Role, part: &Part, arguments: &RunArguments, env: Environment<'_>) -> Result<Wish, Refusal> {
    let variable = |what: &str| format!("MWAA__LOGGING__AIRFLOW_{}_{what}", part.source);
    let group = env(&variable("LOG_GROUP_ARN"));
    let enabled = is_on(&variable("LOGS_ENABLED"), env);
    let level = level(env, &variable("LOG_LEVEL"))?;
    let mut wish = base(arguments, part.command.iter().map(OsString::from).collect());
    wish.name = Some(preset(part.prefix.to_owned()));
    wish.env = vec![("AIRFLOW_CONSOLE_LOG_LEVEL".to_owned(), preset(console_level(role, env)?))];
    if env("PYTHONUNBUFFERED").is_none() {
        wish.env.push(("PYTHONUNBUFFERED".to_owned(), preset("1".to_owned())));
    }
    wish.unwanted = match &group {
        None => Some(Why::NoGroup),
        Some(_) if !enabled => Some(Why::Disabled),
        Some(_) => None,
    };
    wish.log_group = group.map(preset);
    // The service's own readers know this stream by its fixed name.
    wish.log_stream = preset(match part.source {
        "DAGPROCESSOR" => "{name}.log".to_owned(),
        _ => "{name}_{hostname}_{start}.log".to_owned(),
    });
    wish.essential = preset(true);
    if part.source == "WORKER" {
        // Celery's warm shutdown: https://github.com/apache/airflow/issues/18068
        wish.kill_mode = preset(StopTarget::Leader);
    }
    wish.grace = preset(patience(role, part, env)?);
    wish.level = Some(preset(Threshold::From(level)));
    wish.trim = preset(true);
    wish.noise = Some(NOISE);
    wish.metrics = Some(preset(part.metrics.to_owned()));
    Ok(wish)
}

/// What Airflow itself is to print: the component's own level, and INFO where several share a container's setting.
fn console_level(role: Role, env: Environment<'_>) -> Result<String, Refusal> {
    let own = match role {
        Role::Scheduler => "SCHEDULER",
        Role::Worker => "WORKER",
        Role::Webserver => "WEBSERVER",
        Role::Hybrid => return Ok("INFO".to_owned()),
    };
    Ok(format!("{:?}", level(env, &format!("MWAA__LOGGING__AIRFLOW_{own}_LOG_LEVEL"))?).to_uppercase())
}

fn level(env: Environment<'_>, name: &str) -> Result<Level, Refusal> {
    let Some(text) = env(name) else { return Ok(Level::Info) };
    Level::named(text.as_bytes())
        .ok_or_else(|| refusal(format!("{name}={text}: known are DEBUG, INFO, WARNING, ERROR and CRITICAL")))
}

fn patience(role: Role, part: &Part, env: Environment<'_>) -> Result<Duration, Refusal> {
    const NAME: &str = "MWAA__HYBRID_CONTAINER__SIGTERM_PATIENCE_INTERVAL";
    if role != Role::Hybrid || part.source != "WORKER" {
        return Ok(PATIENCE);
    }
    let Some(text) = env(NAME) else { return Ok(HYBRID_PATIENCE) };
    let seconds = text.parse().ok().filter(|seconds| (0..=3600).contains(seconds));
    let seconds: u64 = seconds.ok_or_else(|| refusal(format!("{NAME}={text}: seconds, from 0 to 3600")))?;
    Ok(Duration::from_secs(seconds))
}

/// Of the one process that the images ask about.
fn conditions(role: Role, database_check: bool, env: Environment<'_>) -> Result<Vec<Sourced<Condition>>, Refusal> {
    let mut conditions = Vec::new();
    let sidecar = "MWAA__HEALTH_MONITORING__ENABLE_SIDECAR_HEALTH_MONITORING";
    if role != Role::Webserver && is_on(sidecar, env) {
        let replacement_threshold = match role {
            Role::Worker | Role::Hybrid => replacement_threshold(env)?,
            Role::Scheduler | Role::Webserver => Duration::ZERO,
        };
        conditions.push(Condition {
            action: Action::Stop,
            interval: UDP_INTERVAL,
            start_period: UDP_START_PERIOD,
            kind: Kind::Udp { listen: SocketAddr::from((UDP_LISTEN.0, sidecar_port(env)?)), replacement_threshold },
        });
    }
    if database_check {
        conditions.push(Condition {
            action: Action::Report,
            interval: DATABASE_INTERVAL,
            start_period: Duration::ZERO,
            kind: Kind::Exec {
                argv: ["airflow", "db", "check"].map(OsString::from).into(),
                timeout: DATABASE_TIMEOUT,
                retries: 1,
                is_database: true,
            },
        });
    }
    Ok(conditions.into_iter().map(preset).collect())
}

fn sidecar_port(env: Environment<'_>) -> Result<u16, Refusal> {
    const NAME: &str = "MWAA__HEALTH_MONITORING__SIDECAR_HEALTH_PORT";
    let Some(text) = env(NAME) else { return Ok(UDP_LISTEN.1) };
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| refusal(format!("{NAME}={text}: a port, from 1 to 65535")))
}

/// Whole seconds, as the images take it: what is behind a point is cut off.
fn replacement_threshold(env: Environment<'_>) -> Result<Duration, Refusal> {
    const NAME: &str = "AIRFLOW__MWAA__WORKER_REPLACEMENT_THRESHOLD_SECONDS";
    let Some(text) = env(NAME) else { return Ok(Duration::ZERO) };
    let most = DURATION_MAX.as_secs() as f64;
    let seconds = text.trim().parse().ok().filter(|seconds: &f64| (0.0..=most).contains(seconds));
    let seconds = seconds.ok_or_else(|| refusal(format!("{NAME}={text}: seconds, from 0 (off) to {most}")))?;
    Ok(Duration::from_secs(seconds as u64))
}

fn preset<T>(value: T) -> Sourced<T> {
    Sourced { value, source: Source::Preset }
}

fn refusal(message: String) -> Refusal {
    Refusal { code: EXIT_CONFIG, message }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::args::{Arguments, Verb};

    fn arguments() -> RunArguments {
        let matches = Arguments::command().get_matches_from(["logpump", "run", "--", "x"]);
        match Arguments::from_arg_matches(&matches).unwrap().verb {
            Verb::Run(arguments) => *arguments,
            _ => unreachable!("it says run"),
        }
    }

    fn asked(role: Role, variables: &[(&str, &str)]) -> Result<Vec<Wish>, Refusal> {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        wishes(Preset { role, database_check: false }, &arguments(), &env)
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
        let preset = Preset { role: Role::Scheduler, database_check: true };
        let wishes = wishes(preset, &arguments(), &env).unwrap();
        let conditions: Vec<_> = wishes.iter().map(|wish| wish.health.len()).collect();
        assert_eq!(conditions, [1, 0, 0]);
        let condition = &wishes[0].health[0].value;
        assert_eq!((condition.action, condition.interval.as_secs()), (Action::Report, 60));
        let Kind::Exec { argv, is_database, .. } = &condition.kind else { panic!("{condition:?}") };
        assert_eq!((&argv[..], *is_database), (&["airflow", "db", "check"].map(OsString::from)[..], true));
    }
}
