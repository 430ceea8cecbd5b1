//! A panic planted in a part of logpump: the child finishes though nobody ships, its code is passed on, every line is
//! booked, and what is booked as delivered is there.

use std::io::Write;

use serde_json::Value;

use crate::program::{Ended, GROUP, Logpump, Running, counted, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// More than ring, pipe and bodies hold: unless somebody reads to the end, the second part is never written. It says
/// that it came to its end, so that a child that ended by SIGPIPE is not taken for one that finished.
const SCRIPT: &str = "seq 1 1000; read line; echo 1001; read line; seq 1002 3000000 || exit 99; : >\"$MARK\"; exit 3";
const LINES: u64 = 3_000_000;
const BYTES: u64 = 22_888_896;
const FIRST: (u64, u64) = (1001, 3898);

fn plant(run: Logpump, place: &str) -> Logpump {
    let trigger = run.place("panic");
    let mark = run.place("mark");
    run.env("LOGPUMP_TEST_PANIC", format!("{place}:{}", trigger.display())).env("MARK", mark).with_stdin()
}

/// The first part has been delivered: now the panic, and then the rest.
fn strike(mut run: Running) -> Ended {
    std::fs::write(run.place("panic"), "").unwrap();
    go_on(&mut run);
    let mark = run.place("mark");
    let finished = || mark.exists().then_some(());
    wait_for("the child to write all", finished, || "it did not".to_owned());
    let ended = run.end_without_report();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.said.contains("a fault of logpump's, please report it"), "{}", ended.said);
    ended
}

/// Starts a run whose first thousand lines are acknowledged: with one call at a time, the line after them has come in.
fn start_into(engine: &str, standin: &Standin, place: &str) -> Running {
    let run = Logpump::new(engine).into_cloudwatch(&standin.url);
    let run = run.args(&["--flush-interval", "10ms", "--max-in-flight", "1", "--drain-timeout", "100s"]);
    // Nothing is dropped, nor kept for later, but for the fault.
    let run = run.args(&["--spool-max", "0", "--when-full", "block"]);
    let mut run = plant(run, place).shell(SCRIPT).start();
    for events in [FIRST.0 - 1, FIRST.0] {
        let arrived = || (standin.stats()["events"] == events).then_some(());
        wait_for("the first lines", arrived, || standin.stats().to_string());
        if events < FIRST.0 {
            go_on(&mut run);
        }
    }
    run
}

fn go_on(run: &mut Running) {
    run.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
}

fn into_standin(engine: &str, standin: &Standin, place: &str) -> Ended {
    strike(start_into(engine, standin, place))
}

/// Everything was read, and is delivered or dropped for our own fault; and the identity holds.
fn assert_booked(ended: &Ended) -> u64 {
    assert_eq!(ended.report["ledger_ok"], true, "{:#}\n{}", ended.report, ended.said);
    let [delivered, dropped] = ["/delivered", "/dropped/internal"].map(|pointer| ended.total(pointer));
    assert_eq!((delivered.0 + dropped.0, delivered.1 + dropped.1), (LINES, BYTES), "{:#}", ended.report);
    assert_eq!(ended.total("/read"), (LINES, BYTES), "{:#}", ended.report);
    assert!(dropped.0 > 0, "{:#}", ended.report);
    delivered.0
}

#[test]
fn a_panic_of_ship_costs_the_lines_that_it_held_and_those_that_follow() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify"]);
        let ended = into_standin(engine, &standin, "ship");
        let delivered = assert_booked(&ended);
        assert!(delivered >= FIRST.0 - 1, "{:#}", ended.report);
        // Calls that were in flight may have been stored all the same.
        let found = read_back(&standin, "sh");
        assert!(found.len() as u64 >= delivered, "{} of {delivered}", found.len());
        assert!(found.iter().map(|text| text.parse::<u64>().unwrap()).eq(1..=found.len() as u64));
        assert!(ended.said.contains("the shipping thread failed"), "{}", ended.said);
    });
}

#[test]
fn a_panic_of_ship_at_any_turn_breaks_no_identity() {
    let standin = standin(&["--no-verify"]);
    for turn in 1..=12 {
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).env("LOGPUMP_TEST_PANIC", format!("ship:{turn}"));
        let ended = run.shell("seq 1 200000; printf unfinished; exit 3").run();
        assert_eq!((ended.code, ended.total("/read")), (Some(3), (200_001, 1_288_905)), "{:#}", ended.report);
    }
}

#[test]
fn a_panic_of_ship_into_files_costs_the_same() {
    on_both_engines(|engine| {
        let mut run = plant(Logpump::new(engine).into_files(), "ship").shell(SCRIPT).start();
        go_on(&mut run);
        wait_for("the first lines", || (run.file("sh").len() as u64 == FIRST.1).then_some(()), String::new);
        let ended = strike(run);
        let delivered = assert_booked(&ended);
        let found = ended.file("sh");
        assert_eq!((ended.total("/delivered").1, delivered >= FIRST.0), (found.len() as u64, true));
    });
}

#[test]
fn a_second_fault_costs_the_counts_and_that_is_in_the_report() {
    let standin = standin(&["--no-verify"]);
    let ended = into_standin("auto", &standin, "give_up:1,ship");
    assert_eq!(ended.report["ledger_ok"], false, "{:#}", ended.report);
    assert_eq!((ended.total("/read").1, ended.total("/dropped/internal").1), (BYTES, BYTES), "{:#}", ended.report);
    assert!(ended.said.contains("the thread pump-ship panicked"), "{}", ended.said);
}

#[test]
fn a_panic_of_the_spool_costs_what_found_no_room_elsewhere() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_cloudwatch("http://127.0.0.1:9").args(&["--drain-timeout", "300ms"]);
        let trigger = run.place("panic");
        let run = run.env("LOGPUMP_TEST_PANIC", format!("spool:{}", trigger.display())).with_stdin();
        let mut run = run.shell("seq 1 1000000; read line; seq 1000001 3000000 || exit 99; exit 3").start();
        // Lines are in it by then.
        let spool = run.place("spool");
        let stored = || walk(&spool).then_some(());
        wait_for("a spool", stored, || format!("{}", spool.display()));
        std::fs::write(&trigger, "").unwrap();
        go_on(&mut run);
        let ended = run.end();
        assert_eq!((ended.code, ended.total("/read")), (Some(3), (LINES, BYTES)), "{}", ended.said);
        assert!(ended.said.contains("a fault of logpump's, please report it"), "{}", ended.said);
        assert_eq!(ended.total("/delivered"), (0, 0), "{:#}", ended.report);
    });
}

/// Is there a file with something in it?
fn walk(directory: &std::path::Path) -> bool {
    std::fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| {
        let found = entry.metadata();
        found.is_ok_and(|found| if found.is_dir() { walk(&entry.path()) } else { found.len() > 0 })
    })
}

#[test]
fn what_was_spooled_when_ship_panics_is_sent_by_the_next_run() {
    let standin = standin(&["--no-verify"]);
    let run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:9");
    let trigger = run.place("panic");
    let run = run.env("LOGPUMP_TEST_PANIC", format!("ship:{}", trigger.display())).with_stdin();
    let place = tempfile::tempdir().unwrap();
    let kept = place.path().join("spool");
    let mut run = run.env("LOGPUMP_SPOOL_DIR", &kept).shell("seq 1 1000000; read line; exit 3").start();
    wait_for("a spool", || walk(&kept).then_some(()), || format!("{}", kept.display()));
    std::fs::write(&trigger, "").unwrap();
    drop(run.stdin.take());
    let ended = run.end();
    assert_eq!((ended.code, ended.total("/read").0), (Some(3), 1_000_000), "{}", ended.said);
    let spooled = ended.total("/spooled").0;
    let next = Logpump::new("auto").into_cloudwatch(&standin.url).env("LOGPUMP_SPOOL_DIR", &kept);
    let mut next = next.args(&["--drain-timeout", "1s"]).with_stdin().shell("read line").start();
    if spooled > 0 {
        next.wait_said("an ended run left");
    }
    drop(next.stdin.take());
    let next = next.end();
    // They are for the endpoint that they were meant for, which is not there.
    assert_eq!(next.total("/adopted").0, spooled, "{:#}\n{:#}", ended.report, next.report);
}

#[test]
fn a_panic_of_the_intake_costs_what_was_not_in_the_rings() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify"]);
        let ended = into_standin(engine, &standin, "intake");
        let delivered = assert_booked(&ended);
        assert_eq!(standin.stats()["events"], delivered);
        assert!(ended.said.contains("the intake failed"), "{}", ended.said);
    });
}

#[test]
fn a_panic_in_a_call_costs_that_call() {
    let standin = standin(&["--no-verify"]);
    let ended = into_standin("auto", &standin, "call");
    ended.assert_all_delivered(LINES, BYTES);
    assert_eq!(ended.report["ledger_ok"], true, "{:#}", ended.report);
    assert_eq!(standin.stats()["events"], LINES);
    // It might have come to the service: nobody knows.
    let total = &ended.report["total"];
    assert!(total["retries"] == 1 && total["duplicates"].as_u64() > Some(0), "{total:#}");
    assert!(!ended.said.contains("the shipping thread failed"), "{}", ended.said);
}

/// So the SDK signs the hash that it is given, and computes none: were ours passed over, the service would take the body.
#[test]
fn a_body_that_is_sent_with_a_wrong_hash_is_refused_and_taken_with_its_own() {
    for gzip in [&[][..], &["--gzip"]] {
        let standin = standin(&[]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).env("LOGPUMP_TEST_PANIC", "hash:1");
        let ended = run.args(gzip).args(&["--drain-timeout", "100s"]).shell("seq 1 1000; exit 3").run();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        ended.assert_all_delivered(1000, 3893);
        assert!(ended.said.contains("InvalidSignatureException"), "{}", ended.said);
        assert_eq!(ended.report["total"]["retries"], 1, "{:#}", ended.report);
        assert_eq!(standin.stats()["events"], 1000);
    }
}

/// Several writers have several bodies ready at once, of unequal lengths: each is signed with its own hash.
#[test]
fn bodies_that_are_hashed_together_are_each_taken_at_once() {
    for gzip in [&[][..], &["--gzip"]] {
        let standin = standin(&[]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(gzip);
        let run = run.args(&["--when-full", "block", "--spool-max", "0", "--drain-timeout", "100s"]);
        let run = run.shell("seq 1 50000").shell("seq 1000 70000").shell("seq 1 100000");
        let ended = run.run();
        assert_eq!(ended.total("/delivered").0, 50_000 + 69_001 + 100_000, "{:#}\n{}", ended.report, ended.said);
        assert_eq!(ended.report["total"]["retries"], 0, "{:#}\n{}", ended.report, ended.said);
    }
}

#[test]
fn of_two_children_each_keeps_its_code_and_its_counts() {
    let standin = standin(&["--no-verify"]);
    for place in ["ship", "intake"] {
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).env("LOGPUMP_TEST_PANIC", format!("{place}:2"));
        let run = run.args(&["--name", "app"]).shell("seq 1 1000000 || exit 99");
        let ended = run.shell("seq 1 2000000 || exit 99; exit 4").run();
        assert_eq!(ended.code, Some(4), "{}", ended.said);
        let read = |index: usize| counted(stream(&ended, index), "/read");
        assert_eq!((read(0), read(1)), ((1_000_000, 6_888_896), (2_000_000, 14_888_896)), "{:#}", ended.report);
    }
    assert!(standin.stats()["events"].is_u64(), "{GROUP} is still served");
}

fn stream(ended: &Ended, index: usize) -> &Value {
    &ended.report["streams"][index]
}
