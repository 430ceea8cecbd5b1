//! More than fits: memory is full, and the spool, or there is none. What is dropped is counted and stands as a marker in its
//! place; whoever has little to say loses nothing; and with `--when-full block` nobody does.

use std::io::Write;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, Logpump, Running, counted, read_back, standin};
use crate::service::{LOAD, set, written};
use crate::spool::{OUTAGE, adopter, assert_gone, found_in_stream, stored_bytes};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// What `seq -f` makes of a number: 150 bytes a line.
const FORMAT: &str = "%010.0f...........................................................................................................................................";
const LINE_BYTES: u64 = 150;
const SPOOL_MAX: u64 = 8 * 1024 * 1024;
/// Three times what memory and spool hold.
const LINES: u64 = 500_000;

fn small(engine: &str, standin: &Standin) -> Logpump {
    let run = Logpump::new(engine).into_cloudwatch(&standin.url).env("FORMAT", FORMAT);
    run.args(&["--memory-max", "16MiB", "--flush-interval", "50ms", "--drain-timeout", "100s"])
}

fn small_spool(engine: &str, standin: &Standin) -> Logpump {
    small(engine, standin).args(&["--spool-max", &SPOOL_MAX.to_string()])
}

/// Reads a stream of lines 1, 2, 3... Where some are missing stands one marker that counts them, and nowhere else. Gives
/// what is there, what is missing, and the markers.
fn walked(standin: &Standin, stream: &str, lines: u64) -> (u64, u64, Vec<String>) {
    let (mut delivered, mut dropped, mut markers) = (0, 0, Vec::<String>::new());
    let mut after_marker = false;
    for message in read_back(standin, stream) {
        if let Some(rest) = message.strip_prefix("logpump: dropped ") {
            assert!(!after_marker, "two markers for one gap: {markers:?} {message}");
            dropped += rest.split(' ').next().unwrap().parse::<u64>().unwrap_or_else(|_| panic!("{message}"));
            markers.push(message);
            after_marker = true;
        } else {
            delivered += 1;
            assert_eq!(message[..10].parse::<u64>(), Ok(delivered + dropped), "{markers:?}");
            after_marker = false;
        }
    }
    assert_eq!(delivered + dropped, lines, "{markers:?}");
    (delivered, dropped, markers)
}

/// Delivered or dropped, for these reasons: to the line and to the byte.
fn assert_booked(ended: &Ended, ledger: &Value, reasons: &[&str]) {
    let state = format!("{ledger:#}\n{}", ended.said);
    let [read, delivered] = ["/read", "/delivered"].map(|end| counted(ledger, end));
    let mut dropped = (0, 0);
    for (reason, count) in ledger["dropped"].as_object().unwrap() {
        assert!(reasons.contains(&reason.as_str()), "{reason}: {state}");
        let (lines, bytes) = counted(count, "");
        dropped = (dropped.0 + lines, dropped.1 + bytes);
    }
    assert_eq!(read, (delivered.0 + dropped.0, delivered.1 + dropped.1), "{state}");
}

/// Waits until the child writes no more: its pipe is full, or it has gone to sleep.
fn wait_until_it_waits(run: &Running) {
    let (mut last, mut unchanged) = (None, 0);
    let waits = || {
        let now = written(run);
        unchanged = if now.is_some() && now == last { unchanged + 1 } else { 0 };
        last = now;
        // Longer than any patience with it.
        (unchanged == 1000).then_some(())
    };
    wait_for("the writer to wait", waits, || format!("{:?}", written(run)));
}

#[test]
fn with_drop_the_writer_ends_though_nothing_is_delivered_and_each_gap_has_its_marker() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let run = small_spool(engine, &standin).with_stdin();
        let script = format!("seq -f $FORMAT 1 {LINES}; read line; seq -f $FORMAT {} {}", LINES + 1, 2 * LINES);
        let mut run = run.shell(&format!("{script}; exit 6")).start();
        let spool = run.place("spool");
        // Two outages, each longer than there is room for.
        run.wait_said("lines are dropped and counted");
        wait_for(
            "the first writer",
            || (written(&run)? >= LINES * LINE_BYTES).then_some(()),
            || format!("{:?}", written(&run)),
        );
        set(&standin, "");
        // But for the segment that is being written to.
        let emptied = || (stored_bytes(&spool) <= SPOOL_MAX / 4).then_some(());
        wait_for("the spool to empty", emptied, || format!("{} bytes; {}", stored_bytes(&spool), standin.stats()));
        set(&standin, OUTAGE);
        run.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
        run.wait_said("ended: ");
        set(&standin, "");
        let ended = run.end();
        assert_eq!(
            (ended.code, ended.total("/read")),
            (Some(6), (2 * LINES, 2 * LINES * LINE_BYTES)),
            "{}",
            ended.said
        );
        assert_booked(&ended, &ended.report["total"], &["spool_full", "disk_slow"]);
        let (delivered, dropped, markers) = walked(&standin, "sh", 2 * LINES);
        assert_eq!(delivered, ended.total("/delivered").0, "{:#}", ended.report);
        assert!(dropped > LINES / 4, "{markers:?}");
        assert_eq!(ended.report["total"]["markers"], markers.len(), "{markers:?}");
        assert!(markers.iter().any(|marker| marker.ends_with(" here: spool_full")), "{markers:?}");
        assert_gone(&spool);
    });
}

#[test]
fn a_spool_is_filled_to_its_end_before_a_line_is_dropped() {
    let standin = standin(&["--no-verify", "--fault", OUTAGE]);
    let mut run = small_spool("auto", &standin).shell(&format!("seq -f $FORMAT 1 {LINES}")).start();
    run.wait_said("lines are dropped and counted");
    let stored = stored_bytes(&run.place("spool"));
    // But for a body that does not fit any more.
    assert!(stored > SPOOL_MAX * 3 / 4 && stored <= SPOOL_MAX, "{stored} of {SPOOL_MAX}");
    set(&standin, "");
    let ended = run.end();
    assert_booked(&ended, &ended.report["total"], &["spool_full", "disk_slow"]);
    walked(&standin, "sh", LINES);
}

#[test]
fn with_block_the_writer_waits_and_nothing_is_lost() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let run = small_spool(engine, &standin).args(&["--when-full", "block"]);
        let run = run.shell(&format!("seq -f $FORMAT 1 {LINES}; exit 6")).start();
        wait_until_it_waits(&run);
        let held = written(&run).unwrap();
        assert!(held < LINES * LINE_BYTES, "{held} bytes: it does not wait");
        set(&standin, "");
        let ended = run.end();
        assert_eq!(ended.code, Some(6), "{}", ended.said);
        ended.assert_all_delivered(LINES, LINES * LINE_BYTES);
        assert_eq!(walked(&standin, "sh", LINES), (LINES, 0, Vec::new()));
    });
}

#[test]
fn a_child_with_much_to_say_costs_another_none_of_its_lines() {
    const QUIET: u64 = 4000;
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let run = small_spool(engine, &standin);
        let run = run.shell(&format!("seq -f $FORMAT 1 {LINES}; seq -f $FORMAT {} {}", LINES + 1, 2 * LINES));
        let quiet = QUIET.to_string();
        let run = run.command(&[LOAD, "write", "--writer", "quiet", "--count", &quiet, "--rate", "1000", "--no-times"]);
        let mut run = run.start();
        run.wait_said("lines are dropped and counted");
        run.wait_said("INFO logpump-load ended");
        run.wait_said("INFO sh ended");
        set(&standin, "");
        let ended = run.end();
        let [noisy, other] = [0, 1].map(|index| &ended.report["streams"][index]);
        assert_booked(&ended, noisy, &["spool_full", "disk_slow"]);
        assert!(walked(&standin, "sh", 2 * LINES).1 > 0);
        assert_eq!(counted(other, "/delivered"), (QUIET, QUIET * 150), "{:#}\n{}", ended.report, ended.said);
        assert!(found_in_stream(&standin, "logpump-load").into_iter().eq(0..QUIET));
    });
}

#[test]
fn without_a_spool_the_reason_is_that_there_is_none() {
    let standin = standin(&["--no-verify", "--fault", OUTAGE]);
    let mut run =
        small("auto", &standin).args(&["--spool-max", "0"]).shell(&format!("seq -f $FORMAT 1 {LINES}")).start();
    run.wait_said("lines are dropped and counted (no_spool)");
    run.wait_said("INFO sh ended");
    set(&standin, "");
    let ended = run.end();
    assert_booked(&ended, &ended.report["total"], &["no_spool"]);
    let (_, dropped, markers) = walked(&standin, "sh", LINES);
    assert!(dropped > 0 && markers.iter().all(|marker| marker.ends_with(" here: no_spool")), "{markers:?}");
}

#[test]
fn a_stop_in_the_midst_of_it_leaves_the_rest_to_the_next_run() {
    let standin = standin(&["--no-verify", "--fault", OUTAGE]);
    let place = tempfile::tempdir().unwrap();
    let run =
        Logpump::new("auto").into_cloudwatch(&standin.url).env("FORMAT", FORMAT).arg("--spool-dir").arg(place.path());
    let run = run.args(&["--memory-max", "16MiB", "--spool-max", &SPOOL_MAX.to_string(), "--drain-timeout", "200ms"]);
    let mut run = run.shell("i=0; while :; do seq -f $FORMAT 1 100000; done").start();
    run.wait_said("lines are dropped and counted");
    run.signal(Signal::TERM);
    let ended = run.end();
    let total = &ended.report["total"];
    let [read, spooled] = ["/read", "/spooled"].map(|end| ended.total(end));
    let dropped: u64 = total["dropped"].as_object().unwrap().values().map(|count| counted(count, "").0).sum();
    assert_eq!((ended.code, read.0), (Some(143), spooled.0 + dropped), "{total:#}\n{}", ended.said);
    set(&standin, "");
    let next = adopter("auto", &standin.url, place.path()).command(&["true"]).run();
    let found = ["/adopted", "/delivered"].map(|end| next.total(end));
    assert_eq!(found, [spooled; 2], "{:#}\n{}", next.report, next.said);
    let markers = total["markers"].as_u64().unwrap();
    // A marker may be in what the spool did not take.
    let events = standin.stats()["events"].as_u64().unwrap();
    assert!((spooled.0..=spooled.0 + markers).contains(&events), "{events}: {total:#}");
    assert_gone(place.path());
}
