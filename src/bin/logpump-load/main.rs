//! logpump-load: writes lines that can be checked, and checks them when they are read back.
//! Imports nothing of the logpump library: a shared mistake would hide itself.

mod check;
mod findings;
mod line;
mod pacer;
mod seen;
mod source;
mod times;
mod verify;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Load generator and verifier for log shippers
#[derive(Parser)]
#[command(version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Write(write::WriteArgs),
    Verify(verify::VerifyArgs),
}

/// Why it ends early: an exit code of sysexits.h and one clear line.
#[derive(Debug)]
struct Failure {
    exit_code: u8,
    text: String,
}

impl Failure {
    fn new(exit_code: u8, text: String) -> Failure {
        Failure { exit_code, text }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ended = match cli.command {
        Command::Write(args) => write::run(&args),
        Command::Verify(args) => verify::run(args),
    };
    ended.map_or_else(|failure| fail(&failure), ExitCode::from)
}

/// --help and --version are no errors; of the rest, clap's first paragraph says it all.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    fail(&Failure::new(64, format!("{line} (see --help)")))
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("logpump-load: {}", failure.text);
    ExitCode::from(failure.exit_code)
}
