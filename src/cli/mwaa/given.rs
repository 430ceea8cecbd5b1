//! What `logpump mwaa` makes of the options of `logpump run` that say what runs, and where its lines go: the service's
//! variables decide that, and an option must not seem to.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{GRACE, Preset, Role};
use crate::cli::args::RunArguments;
use crate::refusal::Refusal;

/// By the grammar's name, on the command line and in the environment.
const DECIDED: [(&str, &str, &str); 4] = [
    ("config", "--config", "LOGPUMP_CONFIG"),
    ("log_group", "--log-group", "LOGPUMP_LOG_GROUP"),
    ("log_stream", "--log-stream", "LOGPUMP_LOG_STREAM"),
    ("name", "--name", "LOGPUMP_NAME"),
];

/// Err: one of them is on the command line, or a command. A variable may be there for other containers, or other verbs.
pub fn preset(role: Role, database_check: bool, run: &RunArguments, matches: &ArgMatches) -> Result<Preset, Refusal> {
    if !run.command.is_empty() {
        return Err(Refusal::usage(
            "logpump mwaa takes no command behind a --: its ROLE says what runs; logpump run takes one",
        ));
    }
    let given = |id: &str| matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue);
    let written = DECIDED.iter().find(|(id, ..)| given(id) == Some(ValueSource::CommandLine));
    if let Some((_, option, _)) = written {
        return Err(Refusal::usage(format!(
            "logpump mwaa takes no {option}: the service's variables decide that (docs/MWAA.md); logpump run takes it"
        )));
    }
    Ok(Preset {
        role,
        database_check,
        patience_max: given(GRACE.trim_start_matches('-')).map(|_| run.grace),
        idle: DECIDED.iter().filter(|(id, ..)| given(id).is_some()).map(|(.., variable)| *variable).collect(),
    })
}

/// What `run` is told for this preset: of the variables that it would take itself, none.
pub fn arguments(preset: Preset, run: RunArguments) -> RunArguments {
    RunArguments { preset: Some(preset), config: None, log_group: None, name: None, ..run }
}
