//! `logpump doctor`: looks at everything that a run needs, as a run would use it, and says what it found: one screen, each
//! line ok, warn or fail with the remedy. Starts no command, ships no line, and leaves nothing behind.

mod files;
mod listens;
mod machine;
mod programs;
mod service;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::json;

use crate::child::Spec;
use crate::refusal::EXIT_UNAVAILABLE;
use crate::run::{EngineWish, SpoolPlan};
use crate::ship::Target;
use crate::spool::entry::Address;
use crate::sys::environment;
pub use files::Files;

/// What to look at.
pub struct Plan {
    /// How many commands a run would have.
    pub commands: usize,
    /// As `logpump mwaa`: what becomes of each process's lines. Err: they are not sent, and why.
    pub destined: Vec<Result<String, String>>,
    /// Variables and options that do nothing then.
    pub oddities: Vec<String>,
    /// Those that were named.
    pub specs: Vec<Spec>,
    /// Of the health conditions, the commands, one for each.
    pub checks: Vec<Spec>,
    /// Where those of type udp listen, each address once.
    pub listens: Vec<SocketAddr>,
    pub engine: EngineWish,
    pub target: Target,
    /// Where the commands' lines go, each group once, with its first stream.
    pub places: Vec<Address>,
    /// Where they go if it is into files.
    pub files: Option<Files>,
    pub create_group: bool,
    /// None: none is wanted.
    pub spool: Option<SpoolPlan>,
    /// --spool-dir was given, or --durable: a run without would not be what was asked for.
    pub insists_on_spool: bool,
    /// Variables that are nearly ones of ours, each with what to do about it.
    pub strays: Vec<(String, String)>,
    /// One real PutLogEvents.
    pub tries: bool,
    pub json: bool,
}

impl Plan {
    /// Nothing of AWS is wanted: lines go into files, or nowhere, as was asked for.
    fn is_local(&self) -> bool {
        self.places.is_empty() && self.files.as_ref().is_none_or(|files| files.asked_for)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    /// It works, and there is something that one should know.
    Warn,
    /// A run could not do what it is asked to.
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// One line of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub state: State,
    pub text: String,
    /// None: nothing is to be done.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Finding {
        Finding { name, state: State::Ok, text: text.into(), remedy: None }
    }

    fn warn(name: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { name, state: State::Warn, text: text.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { state: State::Fail, ..Finding::warn(name, text, remedy) }
    }
}

/// Looks, prints, and returns the exit code: 0, or 69 when a run could not work.
pub fn run(plan: &Plan) -> u8 {
    environment::forget_empty(&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"]);
    // First, while this process has one thread.
    let mut findings = machine::engine(plan);
    findings.extend([machine::kernel(), machine::pipes(plan.commands), machine::memlock(), machine::open_files(plan)]);
    findings.extend(plan.strays.iter().map(|(name, remedy)| {
        Finding::warn("variable", format!("{name} does nothing: logpump has no such variable"), remedy)
    }));
    findings.extend(preset(plan));
    findings.extend(programs::look(&plan.specs));
    findings.extend(programs::look(&plan.checks));
    findings.extend(listens::look(&plan.listens));
    findings.extend(plan.files.as_ref().map(files::look));
    if !plan.is_local() {
        findings.push(machine::spool(plan));
    }
    findings.extend(service::look(plan));
    let works = findings.iter().all(|finding| finding.state != State::Fail);
    let text = if plan.json { as_json(&findings, works) } else { as_text(&findings, works) };
    // Who closed stdout reads the exit code.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if works { 0 } else { EXIT_UNAVAILABLE }
}

/// What `logpump mwaa` makes of the environment.
fn preset(plan: &Plan) -> impl Iterator<Item = Finding> {
    const NAME: &str = "mwaa";
    let sent = |destined: &Result<String, String>| match destined {
        Ok(where_to) => Finding::ok(NAME, where_to),
        Err(why) => Finding::warn(NAME, why, "nothing, if that is what the environment is to say"),
    };
    let odd = |what: &String| Finding::warn(NAME, what, "leave it out");
    plan.destined.iter().map(sent).chain(plan.oddities.iter().map(odd))
}

fn as_text(findings: &[Finding], works: bool) -> String {
    let mut text = String::new();
    for Finding { name, state, text: found, remedy } in findings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<5} {name:<12} {found}", state.name());
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "{:<5} {:<12} -> {remedy}", "", "");
        }
    }
    text.push_str(if works { "logpump can work here\n" } else { "logpump cannot work here as it is asked to\n" });
    text
}

fn as_json(findings: &[Finding], works: bool) -> String {
    let finding = |Finding { name, state, text, remedy }: &Finding| json!({ "name": name, "state": state.name(), "text": text, "remedy": remedy });
    let all: Vec<_> = findings.iter().map(finding).collect();
    format!("{:#}\n", json!({ "version": env!("CARGO_PKG_VERSION"), "works": works, "findings": all }))
}
