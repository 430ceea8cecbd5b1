//! sim: simulations of logpump, seeded and on one thread, without real time or I/O. A failure can be replayed by its
//! seed. `seeds` has the fault simulation: whole runs of the real code against a service, a clock and a disk that fail;
//! `fleet` has many pumps that share one account's quota.

mod awaited;
mod body;
mod check;
mod child;
mod clock;
mod coverage;
mod disk;
mod edges;
mod ends;
mod faults;
mod fleet;
mod happen;
mod kept;
mod on_disk;
mod plan;
mod seeds;
mod service;
mod spool;
mod text;
mod told;
mod tracebacks;
mod truth;
mod watch;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Simulations of logpump
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    seeds: seeds::Options,
}

#[derive(Subcommand)]
enum Mode {
    Fleet(fleet::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.mode {
        Some(Mode::Fleet(options)) => fleet::run(&options),
        None => seeds::run(&cli.seeds),
    }
}
