//! Real children under `logpump::child`: starting, signals, stops, ends, orphans, terminals. Only outcomes are asserted,
//! no times; every wait has a deadline that prints what was seen so far.
//!
//! Signals go to a process, and a supervisor wants them on its main thread, blocked in all others. So each test runs
//! this program once more as a supervisor (`--supervise`, in child/supervise.rs) and looks at it from outside, and this
//! file brings its own small harness. `cargo test --test child -- WORDS` runs the tests whose names contain WORDS.

#[path = "child/ends.rs"]
mod ends;
#[path = "child/observed.rs"]
mod observed;
#[path = "child/signals.rs"]
mod signals;
#[path = "child/supervise.rs"]
mod supervise;
#[path = "child/terminals.rs"]
mod terminals;

use std::panic::catch_unwind;
use std::process::ExitCode;

pub type Test = (&'static str, fn());

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--supervise") {
        return supervise::main(&args[1..]);
    }
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let tests: Vec<Test> = [ends::TESTS, signals::TESTS, terminals::TESTS]
        .concat()
        .into_iter()
        .filter(|(name, _)| words.is_empty() || words.iter().any(|word| name.contains(*word)))
        .collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", tests.len());
    let mut failed = Vec::new();
    for (name, test) in &tests {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    println!("\n{} passed; {} failed {failed:?}\n", tests.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
