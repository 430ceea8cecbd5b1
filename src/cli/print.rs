//! `--print-config`: what would be run, and where each setting comes from. The processes are printed as a configuration
//! file has them; the values of variables are not, since secrets are handed on in them.

use std::fmt::Write;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::config::Masked;
use super::decided::Decided;
use super::endpoint;
use super::processes::{HealthWish, Source, Sourced, Wish};
use crate::child::{StopTarget, signal_name};
use crate::run::health::{Action, Kind};

/// What the options of `logpump run` are, and who said so.
pub struct Options {
    /// Name, values and source; None: nobody gave it, and it has no fixed default.
    options: Vec<(String, Option<(String, &'static str)>)>,
}

impl Options {
    pub fn of(command: &clap::Command, matches: &ArgMatches) -> Options {
        let options = command.get_arguments().filter_map(|argument| {
            let name = argument.get_long().filter(|name| *name != "help")?;
            let id = argument.get_id().as_str();
            let values = matches.get_raw(id).filter(|values| values.len() > 0).map(|values| {
                let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                let value = values.join(" ");
                if id == "endpoint_url" && endpoint::holds_a_password(&value) { "...".to_owned() } else { value }
            });
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => "command line",
                Some(ValueSource::EnvVariable) => "environment",
                _ => "default",
            };
            Some((format!("--{name}"), values.filter(|value| !value.is_empty()).map(|value| (value, source))))
        });
        Options { options: options.collect() }
    }

    fn source(&self, option: &str) -> &'static str {
        let known = self.options.iter().find(|(name, ..)| name == option);
        known.and_then(|(_, given)| given.as_ref()).map_or("default", |(_, source)| source)
    }

    /// Every option: as it was given, as it was decided, or that it is not there.
    fn write(&self, decided: &[Decided], text: &mut String) {
        for (name, given) in &self.options {
            let decided = decided.iter().find(|decided| decided.option == name);
            let _ = match (given, decided) {
                (Some((value, source)), Some(now)) if now.option == "--sink" => {
                    writeln!(text, "#   {name} {value}  ({source}; now {}, {})", now.value, now.source)
                }
                (Some((value, source)), _) => writeln!(text, "#   {name} {value}  ({source})"),
                (None, Some(Decided { value, source, .. })) => writeln!(text, "#   {name} {value}  ({source})"),
                (None, None) => writeln!(text, "#   {name}  (not given)"),
            };
        }
    }
}

/// A process, with the names that were made for it.
pub struct Resolved<'a> {
    pub wish: &'a Wish,
    pub name: &'a str,
    pub stream: &'a str,
}

/// As a configuration file, with comments.
pub fn text(
    options: &Options,
    decided: &[Decided],
    file: Option<&Path>,
    plogs: &Sourced<bool>,
    resolved: &[Resolved<'_>],
) -> String {
    let mut text = String::from("# The options of logpump run.\n");
    options.write(decided, &mut text);
    let file = file.map_or_else(String::new, |file| file.display().to_string());
    let place = |source: Source| match source {
        Source::Process(at) => format!("{file}:{}", at.line),
        Source::Defaults(at) => format!("{file}:{}, [defaults]", at.line),
        Source::Option(option) => format!("{option}, {}", options.source(option)),
        Source::BuiltIn => "default".to_owned(),
        Source::Variable(name) => name.to_owned(),
        Source::Preset => "mwaa".to_owned(),
    };
    let _ = writeln!(text, "\nplogs = {}  # {}", plogs.value, place(plogs.source));
    for Resolved { wish, name, stream } in resolved {
        text.push_str("\n[[process]]\n");
        let mut line = |key: &str, value: &str, source: &str| {
            let _ = writeln!(text, "{key} = {value}  # {source}");
        };
        let at = |source: &Source| place(*source);
        let name_from = wish.name.as_ref().map_or("the command's base name".to_owned(), |name| at(&name.source));
        line("name", &quoted(name), &name_from);
        let argv: Vec<_> = wish.argv.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        let command_from = match &wish.name {
            Some(name) if name.source == Source::Preset => "mwaa",
            _ if file.is_empty() => "command line",
            _ => &file,
        };
        line("command", &format!("[{}]", argv.join(", ")), command_from);
        for (name, value) in &wish.env {
            line(&format!("# env.{}", quoted(name)), "...", &at(&value.source));
        }
        if let Some(directory) = &wish.directory {
            line("directory", &quoted(&directory.value.to_string_lossy()), &at(&directory.source));
        }
        if let Some(group) = &wish.log_group {
            line("log_group", &quoted(&group.value), &at(&group.source));
        }
        let template = &wish.log_stream;
        line("log_stream", &quoted(&template.value), &format!("{}; now {}", at(&template.source), quoted(stream)));
        line("essential", &wish.essential.value.to_string(), &at(&wish.essential.source));
        if let Some(signal) = &wish.stop_signal {
            // Two of them have no name.
            let name = Some(signal_name(signal.value)).filter(|name| name.starts_with("SIG"));
            let text = name.map_or_else(|| signal.value.to_string(), |name| quoted(&name));
            line("stop_signal", &text, &at(&signal.source));
        }
        let mode = match wish.kill_mode.value {
            StopTarget::Group => "group",
            StopTarget::Leader => "leader",
        };
        line("kill_mode", &quoted(mode), &at(&wish.kill_mode.source));
        if let Some(level) = &wish.level {
            line("level", &quoted(&level.value.name()), &at(&level.source));
        }
        line("trim", &wish.trim.value.to_string(), &at(&wish.trim.source));
        let mask = match &wish.mask.value {
            Masked::Nothing => "false".to_owned(),
            Masked::Known(own) if own.is_empty() => "true".to_owned(),
            Masked::Known(own) => {
                let own: Vec<_> = own.iter().map(|pattern| quoted(pattern)).collect();
                format!("[{}]", own.join(", "))
            }
        };
        line("mask", &mask, &at(&wish.mask.source));
        line("join", &quoted(if wish.join.value { "traceback" } else { "none" }), &at(&wish.join.source));
        let distinct = &wish.distinct_milliseconds;
        line("distinct_milliseconds", &distinct.value.to_string(), &at(&distinct.source));
        if let Some(metrics) = &wish.metrics {
            line("metrics", &quoted(&metrics.value), &at(&metrics.source));
        }
        let grace = humantime::format_duration(wish.grace.value).to_string();
        line("grace", &quoted(&grace), &at(&wish.grace.source));
        if let Some(timeout) = &wish.timeout {
            let text = humantime::format_duration(timeout.value).to_string();
            line("timeout", &quoted(&text), &at(&timeout.source));
        }
        for condition in &wish.health {
            text.push_str(&health(condition, &at));
        }
    }
    text
}

/// A condition, with all that is left out in the file.
fn health(wish: &HealthWish, at: &dyn Fn(&Source) -> String) -> String {
    let HealthWish { value: condition, source, keys } = wish;
    let mut text = format!("\n[[process.health]]  # {}\n", at(source));
    let unsaid = if *source == Source::Preset { Source::Preset } else { Source::BuiltIn };
    let mut line = |key: &str, value: &str| {
        let source = keys.iter().find(|(name, _)| name == key).map_or(&unsaid, |(_, source)| source);
        let _ = writeln!(text, "{key} = {value}  # {}", at(source));
    };
    let time = |time| quoted(&humantime::format_duration(time).to_string());
    match &condition.kind {
        Kind::Udp { listen, replacement_threshold } => {
            line("type", "\"udp\"");
            line("listen", &quoted(&listen.to_string()));
            line("replacement_threshold", &time(*replacement_threshold));
        }
        Kind::Exec { argv, timeout, retries, is_database } => {
            line("type", "\"exec\"");
            let argv: Vec<_> = argv.iter().map(|word| quoted(&word.to_string_lossy())).collect();
            line("command", &format!("[{}]", argv.join(", ")));
            line("timeout", &time(*timeout));
            line("retries", &retries.to_string());
            if *is_database {
                line("plog", "\"database\"");
            }
        }
    }
    line("interval", &time(condition.interval));
    line("start_period", &time(condition.start_period));
    line("action", if condition.action == Action::Stop { "\"stop\"" } else { "\"report\"" });
    text
}

/// A TOML text: JSON's escapes are TOML's.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f")
}
