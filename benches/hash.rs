//! SHA-256 of bodies of the usual size, which a signature takes: by the library alone, and two side by side; GB/s on one
//! core. `cargo bench --bench hash`. How much two gain is the processor's business: one text waits for each round's result
//! (4 cycles), two wait for the unit that computes them (2 or 3 cycles a round).

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use logpump::sys::sha256;

fn main() {
    divan::main();
}

/// A full batch of 150-byte lines.
const BODY_BYTES: usize = 1_150_000;

fn bodies() -> [Vec<u8>; 2] {
    [7, 11].map(|factor| (0..BODY_BYTES).map(|index| (index * factor) as u8).collect())
}

#[divan::bench]
fn library(bencher: Bencher) {
    use sha2::Digest;
    let [first, second] = bodies();
    bencher
        .counter(BytesCount::new(2 * BODY_BYTES))
        .bench(|| [&first, &second].map(|body| sha2::Sha256::digest(black_box(body))));
}

#[divan::bench]
fn one_after_the_other(bencher: Bencher) {
    let [first, second] = bodies();
    bencher
        .counter(BytesCount::new(2 * BODY_BYTES))
        .bench(|| [&first, &second].map(|body| sha256::one(black_box(body))));
}

#[divan::bench]
fn two_side_by_side(bencher: Bencher) {
    let [first, second] = bodies();
    bencher.counter(BytesCount::new(2 * BODY_BYTES)).bench(|| sha256::two(black_box([&first, &second])));
}

/// The second is a tenth as long as the first.
#[divan::bench]
fn two_of_unequal_length(bencher: Bencher) {
    let [first, second] = bodies();
    let second = &second[..BODY_BYTES / 10];
    bencher.counter(BytesCount::new(BODY_BYTES + second.len())).bench(|| sha256::two(black_box([&first, second])));
}
