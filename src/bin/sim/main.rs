//! sim: simulations of logpump, seeded and on one thread, without real time or I/O. A failure can be replayed by its
//! seed. `seeds` has the fault simulation: whole runs of the real code against a service, a clock and a disk that fail.

mod check;
mod child;
mod clock;
mod coverage;
mod faults;
mod plan;
mod seeds;
mod service;
mod text;
mod truth;
mod world;

use std::process::ExitCode;

use clap::Parser;

/// Simulations of logpump
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    seeds: seeds::Options,
}

fn main() -> ExitCode {
    seeds::run(&Cli::parse().seeds)
}
