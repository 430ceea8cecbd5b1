//! `logpump mwaa`: the processes, groups, streams, levels and patience of an Amazon MWAA container, from the environment
//! that the service gives it. Pure: the environment is an argument. What it cannot do is refused, never left out.
//!
//! The names of variables, streams and defaults are those of the images `aws/amazon-mwaa-docker-images`, 2026.

pub mod given;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use clap::ValueEnum;

use super::args::RunArguments;
use super::config::Threshold;
use super::config::health::{UDP_INTERVAL, UDP_LISTEN, UDP_START_PERIOD};
use super::names;
use super::processes::{HealthWish, Source, Sourced, Wish, base};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    pub role: Role,
    /// The database is asked, at its cost.
    pub database_check: bool,
    /// No process has longer between SIGTERM and SIGKILL: `--grace`, where it was given.
    pub patience_max: Option<Duration>,
    /// Variables that say what the service's say, and so do nothing.
    pub idle: Vec<&'static str>,
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
const GRACE: &str = "--grace";
const SIDECAR_PORT: &str = "MWAA__HEALTH_MONITORING__SIDECAR_HEALTH_PORT";
const REPLACEMENT_THRESHOLD: &str = "AIRFLOW__MWAA__WORKER_REPLACEMENT_THRESHOLD_SECONDS";
/// A message without meaning, which the images leave out.
const NOISE: &str = "The basic metric validator will be deprecated";

/// The environment, by name; a variable that is set to nothing is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One of the container's processes.
struct Part {
    source: &'static str,
    /// The variables about it.
    group: &'static str,
    enabled: &'static str,
    level: &'static str,
    /// In the stream's name.
    prefix: &'static str,
    /// In the counters' names.
    metrics: &'static str,
    command: &'static [&'static str],
}

macro_rules! part {
    ($source:literal, $prefix:literal, $metrics:literal, $($word:literal),+) => {
        Part {
            source: $source,
            group: concat!("MWAA__LOGGING__AIRFLOW_", $source, "_LOG_GROUP_ARN"),
            enabled: concat!("MWAA__LOGGING__AIRFLOW_", $source, "_LOGS_ENABLED"),
            level: concat!("MWAA__LOGGING__AIRFLOW_", $source, "_LOG_LEVEL"),
            prefix: $prefix,
            metrics: $metrics,
            command: &[$($word),+],
        }
    };
}

const SCHEDULER: Part = part!("SCHEDULER", "scheduler", "Scheduler", "airflow", "scheduler");
const DAG_PROCESSOR: Part =
    part!("DAGPROCESSOR", "dag-processor-manager", "DAGProcessorManager", "airflow", "dag-processor");
const TRIGGERER: Part = part!("TRIGGERER", "triggerer", "Triggerer", "airflow", "triggerer");
const WORKER: Part = part!("WORKER", "worker", "Worker", "airflow", "celery", "worker");
const WEBSERVER_2: Part = part!("WEBSERVER", "webserver", "WebServer", "airflow", "webserver");
const WEBSERVER_3: Part = part!("WEBSERVER", "webserver", "WebServer", "airflow", "api-server");

/// One for each source.
const PARTS: [&Part; 5] = [&SCHEDULER, &DAG_PROCESSOR, &TRIGGERER, &WORKER, &WEBSERVER_3];

/// The wishes for `logpump run`. Err: what it cannot do, or what is wrong in a variable.
pub fn wishes(preset: &Preset, arguments: &RunArguments, env: Environment<'_>) -> Result<Vec<Wish>, Refusal> {
    let Preset { role, database_check, patience_max, .. } = *preset;
    refuse_what_is_missing(role, env)?;
    let parts: &[Part] = match role {
        Role::Scheduler => &[SCHEDULER, DAG_PROCESSOR, TRIGGERER],
        Role::Worker => &[WORKER],
        Role::Webserver if airflow_version(env)? == 2 => &[WEBSERVER_2],
        Role::Webserver => &[WEBSERVER_3],
        Role::Hybrid => &[SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER],
    };
    let mut wishes = parts.iter().map(|part| wish(role, part, arguments, env)).collect::<Result<Vec<_>, _>>()?;
    for wish in &mut wishes {
        cap(&mut wish.grace, patience_max);
    }
    // The images ask about one process of a container: its worker, or else its first.
    if let Some(asked) = wishes.last_mut().filter(|_| role == Role::Hybrid) {
        asked.health = conditions(role, database_check, env)?;
    } else {
        wishes[0].health = conditions(role, database_check, env)?;
    }
    Ok(wishes)
}

/// What was given and does nothing.
pub fn oddities(preset: &Preset, wishes: &[Wish]) -> Vec<String> {
    let idle = preset.idle.iter().map(|variable| {
        format!("{variable} does nothing: under logpump mwaa the service's variables decide that (docs/MWAA.md)")
    });
    let useless = preset.patience_max.filter(|max| wishes.iter().all(|wish| wish.grace.value < *max));
    let useless = useless.map(|max| {
        let max = humantime::format_duration(max);
        format!("--grace {max} does nothing: each process of this role has less, which it can only lower")
    });
    idle.chain(useless).collect()
}

/// Of each process whose lines are not sent, what becomes of them and why.
pub fn notes(wishes: &[Wish], are_all_copied: bool) -> Vec<String> {
    wishes.iter().filter_map(|wish| note(wish, are_all_copied)).collect()
}

/// The same of one. None: they are sent.
pub fn note(wish: &Wish, are_all_copied: bool) -> Option<String> {
    let name = &wish.name.as_ref()?.value;
    let part = PARTS.iter().find(|part| part.prefix == name)?;
    let (variable, how) = match wish.unwanted? {
        Why::NoGroup => (part.group, "is not set"),
        Why::Disabled => (part.enabled, "is not true"),
        Why::Level | Why::Noise => return None,
    };
    let fate = if wish.is_copied(are_all_copied) { "go to stdout only" } else { "are read and discarded" };
    Some(format!("{name}: lines {fate}: {variable} {how}"))
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
    let group = group(part, env)?;
    let enabled = is_on(part.enabled, env);
    let level = level(env, part)?;
    let mut wish = base(arguments, part.command.iter().map(OsString::from).collect());
    wish.name = Some(preset(part.prefix.to_owned()));
    wish.env = vec![("AIRFLOW_CONSOLE_LOG_LEVEL".to_owned(), console_level(role, env)?)];
    if env("PYTHONUNBUFFERED").is_none() {
        wish.env.push(("PYTHONUNBUFFERED".to_owned(), preset("1".to_owned())));
    }
    wish.unwanted = match &group {
        None => Some(Why::NoGroup),
        Some(_) if !enabled => Some(Why::Disabled),
        Some(_) => None,
    };
    wish.log_group = group.map(|value| Sourced { value, source: Source::Variable(part.group) });
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
    wish.grace = patience(role, part, env)?;
    wish.level = Some(Sourced { value: Threshold::From(level.value), source: level.source });
    wish.trim = preset(true);
    wish.noise = Some(NOISE);
    wish.metrics = Some(preset(part.metrics.to_owned()));
    Ok(wish)
}

/// The region is in it too, so that a name alone is a mistake.
fn group(part: &Part, env: Environment<'_>) -> Result<Option<String>, Refusal> {
    let name = part.group;
    let Some(arn) = env(name) else { return Ok(None) };
    names::arn(&arn).map_err(|what| refusal(format!("{name}: {what}")))?;
    Ok(Some(arn))
}

/// Who wants less patience than the service's gets it, and `--print-config` says so.
fn cap(grace: &mut Sourced<Duration>, max: Option<Duration>) {
    if let Some(max) = max.filter(|max| *max < grace.value) {
        *grace = Sourced { value: max, source: Source::Option(GRACE) };
    }
}

/// What Airflow itself is to print: the component's own level, and INFO where several share a container's setting.
fn console_level(role: Role, env: Environment<'_>) -> Result<Sourced<String>, Refusal> {
    let own = match role {
        Role::Scheduler => SCHEDULER,
        Role::Worker => WORKER,
        Role::Webserver => WEBSERVER_3,
        Role::Hybrid => return Ok(preset("INFO".to_owned())),
    };
    let Sourced { value, source } = level(env, &own)?;
    Ok(Sourced { value: Threshold::From(value).name(), source })
}

fn level(env: Environment<'_>, part: &Part) -> Result<Sourced<Level>, Refusal> {
    let name = part.level;
    let Some(text) = env(name) else { return Ok(preset(Level::Info)) };
    let level = Level::named(text.as_bytes());
    level
        .map(|value| Sourced { value, source: Source::Variable(name) })
        .ok_or_else(|| refusal(format!("{name}={text}: known are DEBUG, INFO, WARNING, ERROR and CRITICAL")))
}

fn patience(role: Role, part: &Part, env: Environment<'_>) -> Result<Sourced<Duration>, Refusal> {
    const NAME: &str = "MWAA__HYBRID_CONTAINER__SIGTERM_PATIENCE_INTERVAL";
    if role != Role::Hybrid || part.source != "WORKER" {
        return Ok(preset(PATIENCE));
    }
    let Some(text) = env(NAME) else { return Ok(preset(HYBRID_PATIENCE)) };
    let seconds = text.parse().ok().filter(|seconds| (0..=3600).contains(seconds));
    let seconds: u64 = seconds.ok_or_else(|| refusal(format!("{NAME}={text}: seconds, from 0 to 3600")))?;
    Ok(Sourced { value: Duration::from_secs(seconds), source: Source::Variable(NAME) })
}

/// Of the one process that the images ask about.
fn conditions(role: Role, database_check: bool, env: Environment<'_>) -> Result<Vec<HealthWish>, Refusal> {
    let mut conditions = Vec::new();
    let sidecar = "MWAA__HEALTH_MONITORING__ENABLE_SIDECAR_HEALTH_MONITORING";
    let given = [("listen", SIDECAR_PORT), ("replacement_threshold", REPLACEMENT_THRESHOLD)];
    let is_theirs = |variable: &str| variable == SIDECAR_PORT || role != Role::Scheduler;
    let given = given.into_iter().filter(|(_, variable)| env(variable).is_some() && is_theirs(variable));
    let given = given.map(|(key, variable)| (key.to_owned(), Source::Variable(variable))).collect::<Vec<_>>();
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
    let wish = |value: Condition| {
        let keys = if let Kind::Udp { .. } = value.kind { given.clone() } else { Vec::new() };
        HealthWish { value, source: Source::Preset, keys }
    };
    Ok(conditions.into_iter().map(wish).collect())
}

fn sidecar_port(env: Environment<'_>) -> Result<u16, Refusal> {
    const NAME: &str = SIDECAR_PORT;
    let Some(text) = env(NAME) else { return Ok(UDP_LISTEN.1) };
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| refusal(format!("{NAME}={text}: a port, from 1 to 65535")))
}

/// Whole seconds, as the images take it: what is behind a point is cut off.
fn replacement_threshold(env: Environment<'_>) -> Result<Duration, Refusal> {
    const NAME: &str = REPLACEMENT_THRESHOLD;
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
