//! The shape of the project, kept by a test: who may use whom, where `unsafe` may stand, how long a file may be.
//! A failure says what stands where it should not, and what to do about it.

#[path = "layout/source.rs"]
mod source;

use source::{Source, code_of, modules_declared, modules_used, sources, without_tests};

/// The modules of the library, from the ground up: a row may use rows above it only, and itself.
const ROWS: &[(&str, &str)] = &[
    ("limits", "every number"),
    ("clock", "the only clock reads"),
    ("fault", "panics that tests plant"),
    ("ledger", "the counts and their identity"),
    ("sys", "the only unsafe: memory, io_uring, processes, signals"),
    ("refusal", "reasons not to start, with their exit codes"),
    ("ring", "the byte ring between intake and ship, and both wake-ups"),
    ("intake", "from the pipes into the rings"),
    ("lines", "framing and cutting: pure"),
    ("batch", "packing and encoding: pure"),
    ("report", "own messages, the copy to stdout, the report file"),
    ("spool", "the disk queue"),
    ("ship", "from the rings to where lines go"),
    ("child", "spawning, signals, stop order; knows nothing of logs"),
    ("run", "wires the threads, owns start and stop"),
    ("doctor", "looks whether a run would work, and says so"),
    ("cli", "arguments in, exit code out"),
];

/// Rows that use less than they might, because of what they must know nothing of.
const ONLY: &[(&str, &[&str])] = &[
    ("lines", &["limits"]),
    ("batch", &["limits", "lines"]),
    ("child", &["limits", "clock", "sys"]),
    ("sys", &["limits"]),
    ("ring", &["limits", "sys"]),
];

/// What decides and does not act: time and chance are arguments, so that it can be tested and replayed.
const PURE: &[&str] = &[
    "src/lines/",
    "src/batch/",
    "src/ship/core",
    "src/ship/answer.rs",
    "src/ship/backoff.rs",
    "src/ship/date.rs",
    "src/ship/gap.rs",
    "src/ship/parcel.rs",
    "src/ship/patience.rs",
    "src/ship/pump.rs",
    "src/ship/rate.rs",
    "src/ship/split.rs",
    "src/ship/split_body.rs",
    "src/ship/visits.rs",
    "src/intake/pacing.rs",
    "src/spool/entry.rs",
    "src/spool/record.rs",
    "src/spool/recover.rs",
    "src/spool/store",
    "src/spool/wire.rs",
    "src/child/stop.rs",
    "src/run/code.rs",
    "src/run/health/exec.rs",
    "src/run/health/plog.rs",
    "src/run/health/record.rs",
    "src/run/health/udp.rs",
];
const IMPURE: &[&str] = &[
    "crate::clock",
    "crate::sys",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "rustix",
    "tokio",
    "tracing",
    "println",
    "eprintln",
];

const FILE_LINES_MAX: usize = 450;

fn fail_on(faults: Vec<String>, remedy: &str) {
    assert!(faults.is_empty(), "{}\n{remedy}\n", faults.join("\n"));
}

/// The library's module that a file belongs to; none for its root and for programs.
fn module_of(source: &Source) -> Option<&str> {
    let path = source.path.strip_prefix("src/")?;
    let module = path.split_once('/').map_or_else(|| path.strip_suffix(".rs"), |(folder, _)| Some(folder))?;
    (!matches!(module, "lib" | "main" | "bin")).then_some(module)
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|(name, _)| *name == module)
}

#[test]
fn every_module_has_its_row() {
    let library = sources(&["src"]).into_iter().find(|source| source.path == "src/lib.rs").unwrap();
    let declared = modules_declared(&library.shipped);
    let rows = ROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        declared, rows,
        "left: the modules of src/lib.rs, right: ROWS in tests/layout.rs; give a new one its row"
    );
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        let Some(module) = module_of(&source) else { continue };
        let Some(row) = row_of(module) else { continue };
        for used in modules_used(&source.shipped) {
            let above = row_of(&used).is_some_and(|used| used <= row);
            if !above {
                faults.push(format!("{}: {module} uses {used}, which stands below it", source.path));
            }
            let only = ONLY.iter().find(|(name, _)| *name == module);
            if used != module && only.is_some_and(|(_, only)| !only.contains(&&used[..])) {
                faults.push(format!("{}: {module} uses {used}, of which it is to know nothing", source.path));
            }
        }
        // From a module's own file, `super` is the crate.
        let is_root = source.path.matches('/').count() == 1 || source.path.ends_with("/mod.rs");
        if is_root && source.path.matches('/').count() <= 2 {
            faults.extend(source.places(&source.shipped, "super::").into_iter().map(|place| {
                format!("{place}: super:: leads out of the module; write crate::, so that this test can see it")
            }));
        }
    }
    fail_on(faults, "Move what both need up, or hand it in as an argument. The order is ROWS in tests/layout.rs.");
}

#[test]
fn what_decides_does_nothing_else() {
    let mut faults = Vec::new();
    let sources = sources(&["src"]);
    for pure in PURE {
        assert!(sources.iter().any(|source| source.path.starts_with(pure)), "PURE in tests/layout.rs: no file {pure}");
    }
    for source in sources.iter().filter(|source| PURE.iter().any(|pure| source.path.starts_with(pure))) {
        for impure in IMPURE {
            faults.extend(source.places(&source.shipped, impure).into_iter().map(|place| format!("{place}: {impure}")));
        }
    }
    fail_on(faults, "These files are pure: take the time and what is known as arguments, return what is to be done.");
}

#[test]
fn only_sys_is_unsafe() {
    let sources = sources(&["src"]);
    let outside = sources.iter().filter(|source| !source.path.starts_with("src/sys/"));
    let faults = outside.flat_map(|source| source.places(&source.code, "unsafe")).collect();
    fail_on(faults, "Only src/sys/ may hold `unsafe`: give it a safe function there, with a SAFETY sentence.");
}

#[test]
fn only_the_clock_reads_the_clock() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        // The programs beside logpump have clocks of their own.
        if source.path == "src/clock.rs" || source.path.starts_with("src/bin/") {
            continue;
        }
        for read in ["Instant::now", "SystemTime::now"] {
            faults.extend(source.places(&source.shipped, read));
        }
    }
    fail_on(faults, "Take the time as an argument; where the loop itself needs it: crate::clock.");
}

#[test]
fn the_programs_for_tests_share_nothing_with_the_library() {
    let mut faults = Vec::new();
    for source in sources(&["src/bin"]) {
        // The simulator drives the library's own decisions: that is what it is for.
        if source.path.starts_with("src/bin/sim/") {
            continue;
        }
        faults.extend(source.places(&source.code, "logpump::"));
        if source.text.contains("#[path") {
            faults.push(format!("{}: #[path]", source.path));
        }
    }
    fail_on(faults, "A limit or a routine shared with logpump would hide a mistake in it: write it a second time.");
}

#[test]
fn every_file_says_what_it_is_for_and_ends_soon() {
    let mut faults = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        if !source.text.starts_with("//!") {
            faults.push(format!(
                "{}: does not begin with //!: say what it is for and what it knows nothing of",
                source.path
            ));
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!(
                "{}: {lines} lines, {FILE_LINES_MAX} at most: divide it by what it is about",
                source.path
            ));
        }
    }
    fail_on(faults, "");
}

#[test]
fn tests_beside_the_code_do_not_sleep() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        if source.path.starts_with("src/bin/") {
            continue;
        }
        let all = source.places(&source.code, "thread::sleep");
        let shipped = source.places(&source.shipped, "thread::sleep");
        faults.extend(all.into_iter().filter(|place| !shipped.contains(place)));
    }
    fail_on(faults, "Wait for the event itself, with a deadline that says what has come so far.");
}

#[test]
fn what_is_in_comments_texts_and_characters_is_no_code() {
    let code = code_of(
        "let a = \"unsafe \\\" unsafe\"; // unsafe\nlet b = r#\"unsafe \" \"#; /* unsafe /* x */ */ let c = b'\\'';\n\
         fn d<'a>(bar: &'a str) { br\"x\"; c(b'\"', '\"', \"{\"); bar\"q\"; }",
    );
    let words: Vec<_> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "let a = ; let b = ; let c = ; fn d<'a>(bar: &'a str) { ; c( , , ); bar ; }");
    assert_eq!(code.lines().count(), 3);
}

#[test]
fn what_stands_behind_cfg_test_is_not_shipped() {
    let code = "use a;\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\nmod more { fn c() { d(); } }\nfn e() {}";
    let words: Vec<_> = without_tests(code).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words.join(" "), "use a; fn b() {} fn e() {}");
}

#[test]
fn modules_are_found_in_every_way_of_naming_them() {
    let used =
        modules_used("use crate::one; crate::two::f(); use crate::{three::{a, b}, four, five::c}; my_crate::six;");
    assert_eq!(used, ["five", "four", "one", "three", "two"].map(str::to_owned).into());
    assert_eq!(modules_declared("pub mod one; mod two { mod three {} }").len(), 3);
}
