//! Runs seeds, one after the other, and says which one failed, how, and how to see it again.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;

use crate::coverage::Coverage;
use crate::plan::Plan;
use crate::world::{self, Summary};

#[derive(Args)]
pub struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// This one only
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// How many lines are written in each
    #[arg(long, default_value_t = 11_000)]
    lines: u32,
    /// Say what happens: for a single seed
    #[arg(long, requires = "seed")]
    trace: bool,
}

static PANIC: Mutex<String> = Mutex::new(String::new());

pub fn run(options: &Options) -> ExitCode {
    panic::set_hook(Box::new(|info| {
        *PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = info.to_string().replace('\n', " ");
    }));
    let (first, count) = options.seed.map_or((options.first, options.seeds), |seed| (seed, 1));
    let began = Instant::now();
    let mut cover = Coverage::default();
    let mut sum = Summary::default();
    let mut uncrashed = 0;
    for seed in first..first + count {
        match one(seed, options, &mut cover) {
            Ok(summary) => {
                sum.turns += summary.turns;
                sum.events += summary.events;
                sum.lines += summary.lines;
                sum.joined += summary.joined;
                sum.crashes += summary.crashes;
                uncrashed += u64::from(summary.crashes == 0);
                sum.digest ^= summary.digest;
            }
            Err(what) => {
                println!("sim --seed {seed} --lines {}: {what}", options.lines);
                return ExitCode::FAILURE;
            }
        }
    }
    if options.seed.is_none() {
        cover.print(count);
        println!(
            "{} lines a seed, {} joined to others; {} crashes; {uncrashed} seeds had none",
            sum.lines / count,
            sum.joined / count,
            sum.crashes
        );
    }
    println!(
        "{count} seeds from {first} on, {} lines, {} turns, digest {:016x}: nothing found in {:.1} s",
        sum.lines,
        sum.turns,
        sum.digest,
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn one(seed: u64, options: &Options, cover: &mut Coverage) -> Result<Summary, String> {
    let plan = Plan { trace: options.trace, ..Plan::new(seed, options.lines) };
    if plan.trace {
        println!("{plan:#?}");
    }
    panic::catch_unwind(AssertUnwindSafe(|| world::simulate(&plan, cover)))
        .unwrap_or_else(|_| Err(std::mem::take(&mut *PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))))
}
