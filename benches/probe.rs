//! How long it takes to try io_uring, as every start with `--engine auto` does: median, 99th percentile and maximum.
//! Not with divan, for the probe is to be called by a process with one thread.

use std::time::{Duration, Instant};

use logpump::sys::probe::{Wanted, io_uring_works};

const TRIES: usize = 500;

fn main() {
    for (what, wanted) in [
        ("1 command", Wanted { descriptors: 2, files: true }),
        ("64 commands", Wanted { descriptors: 65, files: true }),
        ("1024 commands", Wanted { descriptors: 1025, files: true }),
    ] {
        let mut times: Vec<Duration> = (0..TRIES).map(|_| timed(wanted)).collect();
        times.sort_unstable();
        let at = |part: f64| times[((TRIES - 1) as f64 * part) as usize];
        println!("{what:<14} median {:>9.1?}  99 % {:>9.1?}  max {:>9.1?}", at(0.5), at(0.99), at(1.0));
    }
}

fn timed(wanted: Wanted) -> Duration {
    let began = Instant::now();
    let works = io_uring_works(wanted);
    let took = began.elapsed();
    if let Err(refusal) = works.and_then(|works| works.files) {
        panic!("there is nothing to measure: {refusal}");
    }
    took
}
