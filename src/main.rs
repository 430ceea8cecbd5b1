//! The logpump program. See `logpump::cli` for what it takes and `logpump::run` for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    logpump::cli::main(std::env::args_os())
}
