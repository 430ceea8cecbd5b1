//! What is to run, from the command line or from a configuration file: one wish for each process, every setting decided
//! and with the place that it comes from.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::args::{JoinChoice, RunArguments};
use super::config::health::Told;
use super::config::{self, At, Complaint, Config, Given, Masked, Settings, Threshold};
use super::mwaa;
use super::names::{self, Parts};
use crate::child::{Stop, StopTarget};
use crate::limits::CONFIG_BYTES_MAX;
use crate::lines::mask::Mask;
use crate::lines::rules::{Rules, Why};
use crate::lines::signature::Signatures;
use crate::refusal::{EXIT_CONFIG, Refusal};
use crate::run::health::Condition;
use crate::ship::Treatment;

/// What `level = "always"` puts before each line.
const ALWAYS_PREFIX: &str = "[INFO] - ";

/// A process, and where each of its settings was found.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: Option<Sourced<String>>,
    pub argv: Vec<OsString>,
    pub env: Vec<(String, Sourced<String>)>,
    pub directory: Option<Sourced<PathBuf>>,
    pub log_group: Option<Sourced<String>>,
    pub log_stream: Sourced<String>,
    /// Its end stops all others.
    pub essential: Sourced<bool>,
    pub stop_signal: Option<Sourced<i32>>,
    pub kill_mode: Sourced<StopTarget>,
    pub grace: Sourced<Duration>,
    pub timeout: Option<Sourced<Duration>>,
    pub health: Vec<HealthWish>,
    pub level: Option<Sourced<Threshold>>,
    pub trim: Sourced<bool>,
    pub mask: Sourced<Masked>,
    pub join: Sourced<bool>,
    pub distinct_milliseconds: Sourced<bool>,
    /// What its counters are called.
    pub metrics: Option<Sourced<String>>,
    /// None of its lines is sent.
    pub unwanted: Option<Why>,
    /// Lines that hold this are not sent.
    pub noise: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

/// A condition, and where those of its keys were found that do not stand where it does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthWish {
    pub value: Condition,
    pub source: Source,
    pub keys: Vec<(String, Source)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Of the process itself, in the file.
    Process(At),
    /// `[defaults]`, in the file.
    Defaults(At),
    /// `logpump run` was given this option, or has a default for it.
    Option(&'static str),
    BuiltIn,
    /// One of the service's.
    Variable(&'static str),
    /// `logpump mwaa` says so.
    Preset,
}

impl Wish {
    pub fn stop(&self) -> Stop {
        Stop {
            signal: self.stop_signal.as_ref().map(|signal| signal.value),
            to: self.kill_mode.value,
            grace: self.grace.value,
        }
    }

    pub fn treatment(&self, masks: &mut Masks) -> Treatment {
        let level = self.level.as_ref().map(|level| level.value);
        let mask = match &self.mask.value {
            Masked::Nothing => None,
            Masked::Known(own) => Some(masks.of(own)),
        };
        Treatment {
            rules: Rules {
                level: level.and_then(|threshold| match threshold {
                    Threshold::From(level) => Some(level),
                    Threshold::Always => None,
                }),
                prefix: if level == Some(Threshold::Always) { ALWAYS_PREFIX.to_owned() } else { String::new() },
                trim: self.trim.value,
                mask,
                unwanted: self.unwanted,
                noise: self.noise,
                signatures: self.metrics.is_some().then(|| Arc::new(Signatures::new())),
            },
            joins: self.join.value,
            metrics: self.metrics.as_ref().map(|name| name.value.clone()),
            distinct_milliseconds: self.distinct_milliseconds.value,
        }
    }

    /// To stdout: where all are, and what has no other place, as in the service's local mode.
    pub fn is_copied(&self, are_all: bool) -> bool {
        are_all || self.unwanted == Some(Why::NoGroup)
    }

    /// Says what is to happen to its lines, which in a file nothing does: the keys that were set.
    pub fn treats_lines(&self) -> impl Iterator<Item = &'static str> {
        let set = [
            ("level", self.level.is_some()),
            ("trim", self.trim.value),
            ("mask", self.mask.value != Masked::Nothing),
            ("join", self.join.value),
            ("distinct_milliseconds", self.distinct_milliseconds.value),
            ("metrics", self.metrics.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key)
    }
}

/// Compiled once for all processes that want the same.
#[derive(Default)]
pub struct Masks(Vec<(Vec<String>, Arc<Mask>)>);

impl Masks {
    fn of(&mut self, own: &[String]) -> Arc<Mask> {
        if let Some((_, mask)) = self.0.iter().find(|(patterns, _)| patterns == own) {
            return mask.clone();
        }
        let mask = Arc::new(Mask::new(own).expect("the file's patterns were tried"));
        self.0.push((own.to_vec(), mask.clone()));
        mask
    }
}

/// What a message about this setting begins with.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Process(at) | Source::Defaults(at) => write!(f, "{at}"),
            Source::Option(option) => f.write_str(option),
            Source::BuiltIn => f.write_str("built in"),
            Source::Variable(name) => f.write_str(name),
            Source::Preset => f.write_str("the environment of MWAA"),
        }
    }
}

/// What is asked for: the processes in their order, and what holds for the whole run.
pub struct Wishes {
    pub processes: Vec<Wish>,
    /// The service is told of their health.
    pub plogs: Sourced<bool>,
}

pub fn wishes(arguments: &RunArguments) -> Result<Wishes, Refusal> {
    let by_option = if arguments.plogs { option(true, "--plogs") } else { built_in(false) };
    if let Some(preset) = &arguments.preset {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let processes = mwaa::wishes(preset, arguments, &variable)?;
        return Ok(Wishes { processes, plogs: Sourced { value: true, source: Source::Preset } });
    }
    match &arguments.config {
        Some(file) => {
            let config = load(file)?;
            let in_file = config.plogs.as_ref().map(|plogs| sourced(plogs, Source::Process));
            let process = |process| of_file(arguments, &config.defaults, process);
            Ok(Wishes {
                processes: config.processes.iter().map(process).collect(),
                plogs: in_file.filter(|_| !arguments.plogs).unwrap_or(by_option),
            })
        }
        None => {
            let commands = names::commands(&arguments.command)?;
            let processes = commands.into_iter().map(|argv| base(arguments, argv)).collect();
            Ok(Wishes { processes, plogs: by_option })
        }
    }
}

pub(super) fn base(arguments: &RunArguments, argv: Vec<OsString>) -> Wish {
    Wish {
        name: given(&arguments.name, "--name"),
        argv,
        env: Vec::new(),
        directory: None,
        log_group: given(&arguments.log_group, "--log-group"),
        log_stream: option(arguments.log_stream.clone(), "--log-stream"),
        // Several commands are equals: logpump ends when all have.
        essential: built_in(false),
        stop_signal: None,
        kill_mode: built_in(StopTarget::Group),
        grace: option(arguments.grace, "--grace"),
        timeout: None,
        health: Vec::new(),
        level: None,
        trim: built_in(false),
        mask: built_in(Masked::Nothing),
        join: option(arguments.join == JoinChoice::Traceback, "--join"),
        distinct_milliseconds: built_in(false),
        metrics: None,
        unwanted: None,
        noise: None,
    }
}

fn of_file(arguments: &RunArguments, defaults: &Settings, process: &config::Process) -> Wish {
    let own = &process.settings;
    let base = base(arguments, process.command.iter().map(OsString::from).collect());
    let mut env: Vec<_> = sourced_env(&defaults.env, Source::Defaults)
        .filter(|(name, _)| !own.env.contains_key(name))
        .chain(sourced_env(&own.env, Source::Process))
        .collect();
    env.sort_by(|(one, _), (other, _)| one.cmp(other));
    Wish {
        name: process.name.as_ref().map(|name| sourced(name, Source::Process)),
        argv: base.argv,
        env,
        directory: first(&own.directory, &defaults.directory),
        log_group: first(&own.log_group, &defaults.log_group).or(base.log_group),
        log_stream: first(&own.log_stream, &defaults.log_stream).unwrap_or(base.log_stream),
        essential: first(&own.essential, &defaults.essential).unwrap_or(built_in(true)),
        stop_signal: first(&own.stop_signal, &defaults.stop_signal),
        kill_mode: first(&own.kill_mode, &defaults.kill_mode).unwrap_or(base.kill_mode),
        grace: first(&own.grace, &defaults.grace).unwrap_or(base.grace),
        timeout: first(&own.timeout, &defaults.timeout),
        health: process.health.iter().map(of_health).collect(),
        level: first(&own.level, &defaults.level),
        trim: first(&own.trim, &defaults.trim).unwrap_or(base.trim),
        mask: first(&own.mask, &defaults.mask).unwrap_or(base.mask),
        join: first(&own.join, &defaults.join).unwrap_or(base.join),
        distinct_milliseconds: first(&own.distinct_milliseconds, &defaults.distinct_milliseconds)
            .unwrap_or(base.distinct_milliseconds),
        metrics: first(&own.metrics, &defaults.metrics),
        ..base
    }
}

fn of_health(told: &Told) -> HealthWish {
    let keys = told.keys.iter().map(|(key, at)| (key.clone(), Source::Process(*at))).collect();
    HealthWish { value: told.value.clone(), source: Source::Process(told.at), keys }
}

fn sourced_env(
    env: &std::collections::BTreeMap<String, Given<String>>,
    source: fn(At) -> Source,
) -> impl Iterator<Item = (String, Sourced<String>)> {
    env.iter().map(move |(name, value)| (name.clone(), sourced(value, source)))
}

fn first<T: Clone>(own: &Option<Given<T>>, default: &Option<Given<T>>) -> Option<Sourced<T>> {
    let own = own.as_ref().map(|given| sourced(given, Source::Process));
    own.or_else(|| default.as_ref().map(|given| sourced(given, Source::Defaults)))
}

fn sourced<T: Clone>(given: &Given<T>, source: fn(At) -> Source) -> Sourced<T> {
    Sourced { value: given.value.clone(), source: source(given.at) }
}

fn built_in<T>(value: T) -> Sourced<T> {
    Sourced { value, source: Source::BuiltIn }
}

fn option<T>(value: T, option: &'static str) -> Sourced<T> {
    Sourced { value, source: Source::Option(option) }
}

/// An option from an environment variable that is set to nothing counts as not given.
fn given(value: &Option<String>, name: &'static str) -> Option<Sourced<String>> {
    value.clone().filter(|text| !text.is_empty()).map(|text| option(text, name))
}

// ---- the file --------------------------------------------------------------------------------

/// Reads the file and judges all that can be judged without starting anything.
pub fn load(file: &Path) -> Result<Config, Refusal> {
    let refused = |what: String| Refusal { code: EXIT_CONFIG, message: format!("{}: {what}", file.display()) };
    let mut bytes = Vec::new();
    let opened = fs::File::open(file);
    // Also what has no length, such as a device.
    let read = opened.and_then(|opened| opened.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| refused(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(refused(format!("a configuration file has at most {CONFIG_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| refused(format!("is not valid UTF-8: byte {} is wrong", error.utf8_error().valid_up_to())))?;
    let (config, mut found) = config::read(&text);
    found.extend(complaints(&config));
    found.sort();
    if !found.is_empty() {
        let line = |Complaint { at, what }: &Complaint| format!("{}:{}:{}: {what}", file.display(), at.line, at.column);
        let lines: Vec<_> = found.iter().map(line).collect();
        return Err(Refusal { code: EXIT_CONFIG, message: lines.join("\nlogpump: ") });
    }
    Ok(config)
}

/// Names that AWS or the system would not take.
fn complaints(config: &Config) -> Vec<Complaint> {
    let parts = Parts { hostname: "", start: "" };
    let mut found = Vec::new();
    let mut judge = |settings: &Settings, name: &str| {
        let group = settings.log_group.as_ref();
        let group = group.and_then(|group| Some((group.at, names::group(&group.value).err()?)));
        let stream = settings.log_stream.as_ref();
        let stream = stream.and_then(|stream| Some((stream.at, names::stream(&stream.value, name, &parts).err()?)));
        let directory = settings.directory.as_ref().filter(|directory| !directory.value.is_dir());
        let directory = directory.map(|given| (given.at, format!("{} is no directory here", given.value.display())));
        found.extend([group, stream, directory].into_iter().flatten().map(|(at, what)| Complaint { at, what }));
    };
    judge(&config.defaults, "x");
    for process in &config.processes {
        judge(&process.settings, process.name.as_ref().map_or("x", |name| &name.value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Config, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        load(file.path())
    }

    #[test]
    fn names_that_aws_would_refuse_and_missing_directories_are_said_with_their_places() {
        let refusal = load_text(
            "[defaults]\nlog_group = \"my group\"\n[[process]]\ncommand = [\"a\"]\nlog_stream = \"{nam}\"\ndirectory = \"/nowhere\"\n",
        )
        .unwrap_err();
        assert_eq!(refusal.code, 78);
        let lines: Vec<_> = refusal.message.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for (line, expected) in
            lines.iter().zip([":2:13: a log group's name", ":5:14: {nam} is not known", ":6:13: /nowhere"])
        {
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn a_file_that_is_no_text_or_no_file_is_refused() {
        assert_eq!(load(Path::new("/nowhere/at/all")).unwrap_err().code, 78);
        assert!(load(Path::new("/")).unwrap_err().message.contains("cannot be read"));
        assert!(load(Path::new("/dev/zero")).unwrap_err().message.contains("at most 1048576 bytes"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"name = \"\xff\"").unwrap();
        assert!(load(file.path()).unwrap_err().message.contains("byte 8 is wrong"));
    }
}
