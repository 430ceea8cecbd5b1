//! `cargo +nightly fuzz run recovery`: see ../targets.rs.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|story: &[u8]| {
    targets::recovery(story);
});
