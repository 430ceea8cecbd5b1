//! `sim fleet`: many pumps that share one account's quota, each with the real ship core, after a restart and after an
//! outage. Nobody tells them of each other: all they know is which of their own calls were throttled.

mod figures;
mod plot;
mod pump;
#[cfg(test)]
mod tests;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use figures::Figures;
use plot::Plot;
use world::{SECOND_US, Scenario, World};

/// Many pumps that share one account's quota of calls
#[derive(clap::Args)]
pub struct Options {
    /// Pumps, each with one stream
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pumps: u32,
    /// Calls a second that the service takes
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    quota: u64,
    /// Bodies that each pump has to send after a restart [default: what 40 s of its share of the quota take]
    #[arg(long)]
    work: Option<u64>,
    /// Bodies a second that each pump's children write, during an outage and afterwards [default: a fifth of its share]
    #[arg(long)]
    fresh: Option<f64>,
    /// Seconds for which nobody answers
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3000))]
    outage: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw calls over time
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

/// CreateLogStream calls a second of an account and region. Source: CloudWatch Logs quotas.
const CREATIONS_PER_S: u64 = 50;
/// What a pump may hold, in seconds of its share: a share of 5 bodies of 1.25 MiB a second makes that 1.5 GiB.
const ROOM_S: f64 = 240.0;

pub fn run(options: &Options) -> ExitCode {
    println!("{} pumps share {} calls/s, 15 to 35 ms each, seed {}", options.pumps, options.quota, options.seed);
    println!();
    println!(
        "| | backlog | drained in | of the least | Jain | least Jain in 10 s | busiest 100 ms / mean | calls a body | most \
         held | dropped |"
    );
    println!("| --- {}|", "| ---: ".repeat(9));
    let mut plot = Plot::default();
    let mut missed = Vec::new();
    for scenario in scenarios(options) {
        let seen = World::new(scenario.clone()).run();
        let figures = Figures::of(&scenario, &seen);
        print_row(scenario.name, &figures);
        // What comes late because its stream was created late says nothing of the calls' rate.
        if scenario.creations_per_s.is_none() {
            plot.add(&scenario, &seen);
            missed.extend(figures.missed().into_iter().map(|missed| format!("{}: {missed}", scenario.name)));
        }
    }
    if let Some(path) = &options.svg
        && let Err(error) = std::fs::write(path, plot.svg())
    {
        eprintln!("sim: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    missed.iter().for_each(|missed| println!("\nMISSED: {missed}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_row(name: &str, figures: &Figures) {
    let Figures { backlog, drained_s, drained, jain, jain_10_s, peak, calls_per_body, held_max, dropped } = figures;
    println!(
        "| {name} | {backlog} | {drained_s:.1} s | {drained:.3} | {jain:.3} | {jain_10_s:.3} | {peak:.2} | \
         {calls_per_body:.2} | {held_max} | {dropped} |"
    );
}

fn scenarios(options: &Options) -> Vec<Scenario> {
    let share_per_s = options.quota as f64 / f64::from(options.pumps);
    let restart = Scenario {
        name: "restart",
        pumps: options.pumps as usize,
        quota_per_s: options.quota,
        creations_per_s: None,
        latency_us: 15_000..=35_000,
        outage_us: 0,
        work: options.work.unwrap_or((40.0 * share_per_s) as u64),
        fresh_per_s: 0.0,
        fresh_spread: 0.0,
        room: (ROOM_S * share_per_s) as u64,
        seed: options.seed,
    };
    let fresh_per_s = options.fresh.unwrap_or(share_per_s / 5.0);
    let outage_us = options.outage * SECOND_US;
    let equal = Scenario { name: "outage, equal backlogs", outage_us, work: 0, fresh_per_s, ..restart.clone() };
    let unequal = Scenario { name: "outage, unequal backlogs", fresh_spread: 0.8, ..equal.clone() };
    let new = Scenario { name: "restart, new streams", creations_per_s: Some(CREATIONS_PER_S), ..restart.clone() };
    vec![restart, equal, unequal, new]
}
