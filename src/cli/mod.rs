//! The command line: arguments in, exit code out.

mod args;
mod checkup;
mod config;
mod decided;
mod describe;
mod endpoint;
mod group_settings;
mod idle;
mod mwaa;
pub mod names;
mod print;
mod processes;
mod resolve;
mod room;
mod variables;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use crate::ledger::counted;
use crate::refusal::{EXIT_CANT_CREATE, EXIT_USAGE, Refusal};
use args::{Arguments, DoctorArguments, MwaaArguments, RunArguments, Verb};
use resolve::Resolution;

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = arguments.into_iter().collect();
    let verb = verb(&words);
    let matches = match grammar().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => return ExitCode::from(explain(&error, &verb)),
    };
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(explain(&error, &verb)),
    };
    let outcome = match arguments.verb {
        Verb::Run(arguments) => run(*arguments, &matches),
        Verb::Mwaa(arguments) => as_mwaa(*arguments, &matches),
        Verb::Check { file } => check(&file),
        Verb::Doctor(arguments) => doctor(*arguments, &matches),
        Verb::Completions { shell } => say(&describe::completions(grammar(), shell)),
        Verb::Man => say(&describe::man(grammar())),
    };
    ExitCode::from(outcome.unwrap_or_else(|refusal| {
        eprintln!("logpump: {}", refusal.message);
        refusal.code
    }))
}

fn run(arguments: RunArguments, matches: &ArgMatches) -> Result<u8, Refusal> {
    let (_, matches) = matches.subcommand().expect("the grammar wants one");
    let options = print::Options::of(&run_grammar(), matches);
    match resolve::resolve(arguments, &options)? {
        Resolution::Plan(mut plan) => {
            plan.oddities.extend(variables::oddities(&variables::of_environment(&Arguments::command())));
            crate::run::run(*plan)
        }
        Resolution::Printed(text) => say(&text),
    }
}

fn as_mwaa(arguments: MwaaArguments, matches: &ArgMatches) -> Result<u8, Refusal> {
    let (_, of_verb) = matches.subcommand().expect("the grammar wants one");
    let MwaaArguments { role, database_check, run: given } = arguments;
    let preset = mwaa::given::preset(role, database_check, &given, of_verb)?;
    run(mwaa::given::arguments(preset, given), matches)
}

fn doctor(mut arguments: DoctorArguments, matches: &ArgMatches) -> Result<u8, Refusal> {
    let (_, of_verb) = matches.subcommand().expect("the grammar wants one");
    if let Some(role) = arguments.mwaa {
        let preset = mwaa::given::preset(role, false, &arguments.run, of_verb)?;
        arguments.run = mwaa::given::arguments(preset, arguments.run);
    }
    Ok(crate::doctor::run(&checkup::plan(arguments, &variables::of_environment(&Arguments::command()))?))
}

fn check(file: &Path) -> Result<u8, Refusal> {
    let config = processes::load(file)?;
    // What only shows when the processes are seen together, and with what the environment says of options.
    let words = ["logpump".into(), "run".into(), "--config".into(), file.as_os_str().to_owned()];
    let parsed = grammar().try_get_matches_from(words).and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed.map(|arguments| arguments.verb) {
        Ok(Verb::Run(arguments)) => resolve::judge(&arguments, file)?,
        Ok(_) => unreachable!("it was told to run"),
        // Of the options' variables, which run has.
        Err(error) => return Ok(explain(&error, "run")),
    }
    let processes = counted(config.processes.len() as u64, "process", "processes");
    say(&format!("{}: {processes}, nothing wrong\n", file.display()))
}

fn say(text: &str) -> Result<u8, Refusal> {
    let written = std::io::stdout().write_all(text.as_bytes());
    let refused = |error| Refusal { code: EXIT_CANT_CREATE, message: format!("cannot write to stdout: {error}") };
    written.map(|()| 0).map_err(refused)
}

/// That of `logpump run`.
fn run_grammar() -> clap::Command {
    let all = Arguments::command();
    all.find_subcommand("run").expect("it is a verb").clone()
}
/// Of the options that `doctor` takes with `run`, those that it looks at.
const DOCTORS: &[&str] = &[
    "config",
    "log_group",
    "log_stream",
    "name",
    "region",
    "endpoint_url",
    "ca_bundle",
    "create_group",
    "retention_days",
    "kms_key_id",
    "tag",
    "log_group_class",
    "gzip",
    "engine",
    "spool_dir",
    "spool_max",
    "durable",
    "mwaa",
    "tries",
    "json",
];

const MWAA_GRACE: &str = "The most from SIGTERM to SIGKILL, where a role has longer: 90s, a hybrid container's worker 130s or as the service says \
                          (0s to 24h) [default: as the role has it]";

/// A variable that is set to nothing counts as not set: templates of containers leave many so.
fn grammar() -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let without_empty = |arg: Arg| if arg.get_env().is_some_and(is_empty) { arg.env(None) } else { arg };
    let of_doctor = move |arg: Arg| {
        // Its requirement cannot be taken back, so it is made anew.
        if arg.get_id() == "command" {
            let words = arg.get_value_parser().clone();
            return Arg::new("command").last(true).action(ArgAction::Append).value_parser(words).hide(true);
        }
        let is_shown = DOCTORS.contains(&arg.get_id().as_str());
        without_empty(arg).hide(!is_shown)
    };
    let of_mwaa = move |arg: Arg| {
        if arg.get_id() == "command" {
            let words = arg.get_value_parser().clone();
            return Arg::new("command").last(true).action(ArgAction::Append).value_parser(words).hide(true);
        }
        if arg.get_id() == "grace" {
            return without_empty(arg).help(MWAA_GRACE).hide_default_value(true);
        }
        let is_shown = !["config", "log_group", "log_stream", "name"].contains(&arg.get_id().as_str());
        without_empty(arg).hide(!is_shown)
    };
    Arguments::command()
        .mut_subcommand("mwaa", |mwaa| mwaa.mut_args(of_mwaa))
        .mut_subcommand("run", |run| run.mut_args(without_empty))
        .mut_subcommand("doctor", |doctor| doctor.mut_args(of_doctor))
}

/// The one that was asked for, if there is such a one.
fn verb(words: &[OsString]) -> String {
    let asked = words.get(1).and_then(|word| word.to_str());
    let known = asked.filter(|word| Arguments::command().find_subcommand(word).is_some());
    known.unwrap_or("run").to_owned()
}

/// Help and version are for stdout; a mistake is one clear line and exit 64.
fn explain(error: &clap::Error, verb: &str) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return 0;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprintln!(
            "logpump: no command given; try: logpump run -- COMMAND [ARGS]... (logpump run --help lists the options)"
        );
        return EXIT_USAGE;
    }
    let text = error.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    let line = line.trim_start_matches("error: ");
    eprintln!("logpump: {line}{} (logpump {verb} --help lists the options)", hint(error, verb));
    EXIT_USAGE
}

/// What clap does not say: where the command stands, and that the value came from a variable.
fn hint(error: &clap::Error, verb: &str) -> String {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return String::new() };
    let takes_command = ["run", "doctor"].contains(&verb);
    if takes_command && error.kind() == ErrorKind::UnknownArgument && !argument.starts_with('-') {
        return format!("; the command stands behind a --: logpump {verb} [OPTIONS] -- {argument}");
    }
    let option = argument.split_whitespace().next().unwrap_or_default().to_owned();
    let written = std::env::args().any(|word| word == option || word.starts_with(&format!("{option}=")));
    let variable = format!("LOGPUMP_{}", option.trim_start_matches('-').replace('-', "_").to_uppercase());
    if !written && std::env::var_os(&variable).is_some() {
        return format!("; the value is that of the variable {variable}");
    }
    String::new()
}
