//! What logpump is built from, held against deny.toml without anything that is to be installed first: licences, sources,
//! crates that are there twice. `cargo deny` looks deeper, and at known vulnerabilities; `.ci/long licenses` runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What stands in quotes in deny.toml, line by line, of the lines that begin so.
fn policy(beginning: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix(beginning));
    let quoted = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let found: Vec<_> = lines.map(quoted).collect();
    assert!(!found.is_empty(), "no line of deny.toml begins with {beginning}");
    found
}

struct Package {
    name: String,
    version: String,
    /// Where it comes from, unless that is the registry.
    elsewhere: Option<String>,
    license: String,
}

/// All that a build for this machine takes, tests included; ours left out.
fn packages() -> Vec<Package> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--all-features", "--edges", "normal,build,dev", "--no-dedupe"]);
    command.args(["--prefix", "none", "--format", "{p}|{l}"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cannot run cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<_> = text.lines().filter(|line| !line.starts_with("logpump ")).collect();
    assert!(lines.len() > 100, "{text}");
    lines.into_iter().map(package).collect()
}

/// `name v1.2.3|license`, with `(proc-macro)` behind the version, or where it comes from.
fn package(line: &str) -> Package {
    let (package, license) = line.split_once('|').expect("a package and its license");
    let mut words = package.split(' ').map(str::to_owned);
    let (name, version) = (words.next().unwrap(), words.next().unwrap());
    let elsewhere = words.find(|word| word != "(proc-macro)");
    Package { name, version, elsewhere, license: license.to_owned() }
}

/// An expression as SPDX has them: OR binds less than AND, a slash is an old OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let granted = any_of(&mut words, allowed);
    assert!(words.next().is_none(), "{expression} cannot be read");
    granted
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut granted = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        granted |= all_of(words, allowed);
    }
    granted
}

fn all_of(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut granted = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        granted &= one(words, allowed);
    }
    granted
}

fn one(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let word = words.next().expect("a license");
    if word == "(" {
        let granted = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return granted;
    }
    let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
    allowed.contains(word) && exception.is_none()
}

#[test]
fn every_license_is_one_of_those_that_are_allowed() {
    let policy = policy("allow = [");
    let allowed = policy[0].iter().map(String::as_str).collect();
    let packages = packages();
    let refused = packages.iter().filter(|package| !is_allowed(&package.license, &allowed));
    let refused: Vec<_> = refused.map(|package| format!("{}: {}", package.name, package.license)).collect();
    assert_eq!(refused, [""; 0]);
}

#[test]
fn every_crate_comes_from_the_registry() {
    let elsewhere: Vec<_> = packages().into_iter().filter_map(|package| package.elsewhere).collect();
    assert_eq!(elsewhere, [""; 0]);
}

/// What is there twice makes the binary larger, and is built twice: deny.toml says of each why it stays.
#[test]
fn a_crate_is_there_twice_for_a_reason_only() {
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in packages() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let doubled = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let named: BTreeSet<_> = doubled.map(|(name, _)| name.as_str()).collect();
    let excuses = policy("{ crate = ");
    let excused: BTreeSet<_> = excuses
        .iter()
        .map(|excuse| match &excuse[..] {
            [one, reason] if !reason.is_empty() => one.split('@').next().unwrap(),
            _ => panic!("a crate and a reason, not {excuse:?}"),
        })
        .collect();
    assert_eq!(named, excused, "left: what is there twice, right: deny.toml");
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for granted in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "GPL-3.0 OR ISC AND MIT", "(GPL-3.0 OR MIT) AND ISC"] {
        assert!(is_allowed(granted, &allowed), "{granted}");
    }
    for refused in
        ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH an-exception", "GPL-3.0 AND (MIT OR ISC)", "GPL-3.0 OR BSL-1.0"]
    {
        assert!(!is_allowed(refused, &allowed), "{refused}");
    }
}
