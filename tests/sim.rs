//! Some seeds of the fault simulation. `.ci/long seeds` runs very many.

use std::process::Command;

/// As many as fit into half a minute without optimization.
const SEEDS: &str = "60";

fn sim(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("cannot run sim");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn no_seed_finds_anything() {
    let (success, said) = sim(&["--seeds", SEEDS, "--first", "1000000"]);
    assert!(success, "{said}");
}

#[test]
fn a_seed_is_always_the_same() {
    let digest = || {
        let (success, said) = sim(&["--seeds", "3", "--first", "2000000"]);
        assert!(success, "{said}");
        let (_, digest) = said.split_once("digest ").expect("it says a digest");
        digest.split(':').next().map(str::to_owned)
    };
    assert_eq!(digest(), digest());
}
