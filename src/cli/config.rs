//! The configuration file: several processes, each with settings of its own. Reads it and finds all that is wrong in it
//! at once, each with its line and column. Knows nothing of options; what a setting means is `resolve`'s business.

pub mod health;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::child::StopTarget;
use crate::limits::{CHILDREN_MAX, DURATION_MAX};
use crate::lines::level::Level;
use crate::lines::mask::Mask;
use reader::{Entry, Reader};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Of the file, for the whole run.
    pub plogs: Option<Given<bool>>,
    pub defaults: Settings,
    pub processes: Vec<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub at: At,
    pub name: Option<Given<String>>,
    pub command: Vec<String>,
    pub health: Vec<health::Told>,
    pub settings: Settings,
}

/// What `[defaults]` and each `[[process]]` may say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub env: BTreeMap<String, Given<String>>,
    pub directory: Option<Given<PathBuf>>,
    pub log_group: Option<Given<String>>,
    pub log_stream: Option<Given<String>>,
    pub essential: Option<Given<bool>>,
    pub stop_signal: Option<Given<i32>>,
    pub kill_mode: Option<Given<StopTarget>>,
    pub grace: Option<Given<Duration>>,
    pub timeout: Option<Given<Duration>>,
    pub level: Option<Given<Threshold>>,
    pub trim: Option<Given<bool>>,
    pub mask: Option<Given<Masked>>,
    /// A traceback becomes one event.
    pub join: Option<Given<bool>>,
    pub distinct_milliseconds: Option<Given<bool>>,
    pub metrics: Option<Given<String>>,
}

/// Which lines pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// This level and those above it.
    From(Level),
    /// All, each behind a level of its own: what is installed or set up has none.
    Always,
}

impl Threshold {
    /// As the file has it.
    pub fn name(self) -> String {
        match self {
            Threshold::From(level) => format!("{level:?}").to_uppercase(),
            Threshold::Always => "always".to_owned(),
        }
    }
}

/// What is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Masked {
    Nothing,
    /// The built-in kinds, and these patterns.
    Known(Vec<String>),
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    pub value: T,
    pub at: At,
}

/// A place in the file, counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub line: usize,
    pub column: usize,
}

/// Something wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    pub at: At,
    pub what: String,
}

const TOP_KEYS: &str = "plogs, defaults, process";
const DEFAULT_KEYS: &str = "env, directory, log_group, log_stream, essential, stop_signal, kill_mode, grace, timeout, level, trim, \
                            mask, join, distinct_milliseconds, metrics";
const PROCESS_KEYS: &str = "name, command, health, env, directory, log_group, log_stream, essential, stop_signal, kill_mode, grace, timeout, \
                            level, trim, mask, join, distinct_milliseconds, metrics";

/// What could be read, and all complaints, in the file's order.
pub fn read(text: &str) -> (Config, Vec<Complaint>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text);
    for error in errors {
        reader.complain(error.span().unwrap_or(0..0), error.message().to_owned());
    }
    let mut config = Config::default();
    for (key, value) in document.get_ref() {
        let entry = Entry { key, value };
        match entry.name() {
            "defaults" => {
                for entry in reader.table(&entry) {
                    if !setting(&mut reader, &mut config.defaults, &entry) {
                        reader.unknown(&entry, "[defaults]", DEFAULT_KEYS);
                    }
                }
            }
            "plogs" => config.plogs = reader.flag(&entry),
            "process" => match value.get_ref() {
                DeValue::Array(tables) => {
                    config.processes = tables.iter().filter_map(|table| process(&mut reader, &entry, table)).collect();
                }
                _ => reader.complain(key.span(), "a process is written as [[process]], in double brackets".to_owned()),
            },
            _ => reader.unknown(&entry, "the file", TOP_KEYS),
        }
    }
    judge(&mut reader, &config);
    (config, reader.outcome())
}

type Value<'i> = toml::Spanned<DeValue<'i>>;

fn process(reader: &mut Reader<'_>, array: &Entry<'_, '_>, value: &Value<'_>) -> Option<Process> {
    let DeValue::Table(table) = value.get_ref() else {
        reader.complain(value.span(), "a process is written as [[process]], with a line for each key".to_owned());
        return None;
    };
    let mut process = Process {
        at: reader.at(value.span().start),
        name: None,
        command: Vec::new(),
        health: Vec::new(),
        settings: Settings::default(),
    };
    let mut has_command = false;
    for (key, value) in table {
        let entry = Entry { key, value };
        match entry.name() {
            "name" => process.name = reader.text(&entry),
            "command" => {
                has_command = true;
                process.command = reader.texts(&entry, "as in command = [\"airflow\", \"scheduler\"]");
            }
            "health" => process.health = health::conditions(reader, &entry),
            _ if setting(reader, &mut process.settings, &entry) => {}
            _ => reader.unknown(&entry, "[[process]]", PROCESS_KEYS),
        }
    }
    if !has_command {
        let at = if value.span().is_empty() { array.key.span() } else { value.span() };
        reader.complain(at, "this process has no command; add command = [\"PROGRAM\", \"ARGUMENT\"]".to_owned());
    }
    Some(process)
}

/// False: the key is no setting.
fn setting(reader: &mut Reader<'_>, settings: &mut Settings, entry: &Entry<'_, '_>) -> bool {
    match entry.name() {
        "env" => {
            for entry in reader.table(entry) {
                let name = entry.name();
                if name.is_empty() || name.contains(['=', '\0']) {
                    let what = format!("{name:?} is no variable's name: it is empty, or contains = or a NUL byte");
                    reader.complain(entry.key.span(), what);
                } else if let Some(value) = reader.text(&entry) {
                    settings.env.insert(name.to_owned(), value);
                }
            }
        }
        "directory" => {
            settings.directory = reader.text(entry).map(|given| given.map(PathBuf::from));
        }
        "log_group" => settings.log_group = reader.text(entry),
        "log_stream" => settings.log_stream = reader.text(entry),
        "essential" => settings.essential = reader.flag(entry),
        "stop_signal" => settings.stop_signal = reader.parsed(entry, signal),
        "kill_mode" => settings.kill_mode = reader.parsed(entry, kill_mode),
        "grace" => settings.grace = reader.parsed(entry, duration),
        "timeout" => settings.timeout = reader.parsed(entry, timeout),
        "level" => settings.level = reader.parsed(entry, threshold),
        "trim" => settings.trim = reader.flag(entry),
        "join" => settings.join = reader.parsed(entry, join),
        "mask" => settings.mask = mask(reader, entry),
        "metrics" => settings.metrics = reader.text(entry),
        "distinct_milliseconds" => settings.distinct_milliseconds = reader.flag(entry),
        _ => return false,
    }
    true
}

fn signal(text: &str) -> Result<i32, String> {
    let number = text.parse().ok().or_else(|| crate::child::signal_number(text));
    let known = number.filter(|number| (1..=libc::SIGRTMAX()).contains(number));
    known.ok_or_else(|| format!("{text:?} is no signal; write a name such as \"SIGINT\", or a number from 1 to 64"))
}

fn kill_mode(text: &str) -> Result<StopTarget, String> {
    match text {
        "group" => Ok(StopTarget::Group),
        "leader" => Ok(StopTarget::Leader),
        _ => Err(format!("{text:?} is not known; write \"group\" (all its processes) or \"leader\" (itself alone)")),
    }
}

fn join(text: &str) -> Result<bool, String> {
    match text {
        "traceback" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("{text:?} is nothing to join; write \"traceback\" or \"none\"")),
    }
}

/// `true`, `false`, or a list of patterns.
fn mask(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Given<Masked>> {
    if !matches!(entry.value.get_ref(), DeValue::Array(_)) {
        let given = reader.flag(entry)?;
        return Some(given.map(|wanted| if wanted { Masked::Known(Vec::new()) } else { Masked::Nothing }));
    }
    let patterns = reader.texts(entry, "as in mask = [\"pin-[0-9]+\"]");
    if let Err(what) = Mask::new(&patterns) {
        reader.complain(entry.value.span(), format!("mask: {what}"));
    }
    Some(Given { value: Masked::Known(patterns), at: reader.at(entry.value.span().start) })
}

fn threshold(text: &str) -> Result<Threshold, String> {
    if text == "always" {
        return Ok(Threshold::Always);
    }
    let level = Level::named(text.as_bytes()).map(Threshold::From);
    level.ok_or_else(|| format!("{text:?} is no level; write DEBUG, INFO, WARNING, ERROR, CRITICAL, or always"))
}

/// Nothing is no time to run.
fn timeout(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|timeout| {
        if timeout.is_zero() {
            Err("0 s leave no time to run; leave it out for no timeout".to_owned())
        } else {
            Ok(timeout)
        }
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number with a unit, such as \"250ms\", \"2s\" or \"1m\""))?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is more than {}", humantime::format_duration(DURATION_MAX)));
    }
    Ok(duration)
}

/// What only shows when all is read.
fn judge(reader: &mut Reader<'_>, config: &Config) {
    if config.processes.is_empty() && reader.is_clean() {
        reader.complain(0..0, "there is no [[process]] in the file; each begins with that line".to_owned());
    }
    if config.processes.len() > CHILDREN_MAX {
        let what = format!("{} processes; at most {CHILDREN_MAX} run at once", config.processes.len());
        reader.complain_at(config.processes[CHILDREN_MAX].at, what);
    }
    let mut first: BTreeMap<&str, At> = BTreeMap::new();
    for name in config.processes.iter().filter_map(|process| process.name.as_ref()) {
        if let Some(other) = first.insert(&name.value, name.at) {
            let what = format!("a process in line {} has the name {:?} already", other.line, name.value);
            reader.complain_at(name.at, what);
        }
    }
}

impl<T> Given<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        Given { value: change(self.value), at: self.at }
    }
}

/// `line 3, column 7`
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
