//! Replays the corpora of the fuzz targets, so that what fuzzing once found is tried with every change.
//! Knows nothing of cargo fuzz: `.ci/long fuzz` looks for more.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// How much the target met in each file of its corpus.
fn replay(target: &str, run: fn(&[u8]) -> usize) -> Vec<usize> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let replay_file = |path: &Path| {
        // Seen only if it fails.
        println!("{}", path.display());
        run(&fs::read(path).unwrap())
    };
    paths.iter().map(|path| replay_file(path)).collect()
}

#[test]
fn the_framer_frames_and_passes_over_what_its_naive_twin_does() {
    assert!(replay("framer", targets::framer).iter().sum::<usize>() > 50);
}

#[test]
fn recovery_reads_what_can_be_read_and_calls_the_rest_damaged() {
    assert!(replay("recovery", targets::recovery).iter().sum::<usize>() > 5);
}

#[test]
fn a_template_is_filled_in_as_its_naive_twin_does_or_refused() {
    let named = replay("template", targets::template);
    assert!(named.contains(&0) && named.iter().sum::<usize>() > 5);
}
