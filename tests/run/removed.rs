//! A spool that somebody removes while it is used, in part or as a whole: what is gone is counted as that, nothing is said
//! to be there that is not, and the rest goes its way.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::program::{Ended, Logpump, Running, read_back, standin};
use crate::service::{LOAD, set};
use crate::spool::{OUTAGE, adopter, assert_gone, files, stored_bytes, wait_for_stored};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// Of each of two writers: more than little memory holds.
const LINES: u64 = 40_000;

/// So much of it is on disk that some is not in memory as well: two bodies come back in advance, and memory keeps theirs.
const GONE_BYTES: u64 = 4_000_000;

fn start(engine: &str, standin: &Standin, drain_timeout: &str) -> Running {
    load(Logpump::new(engine).into_cloudwatch(&standin.url), drain_timeout)
}

fn start_in(engine: &str, standin: &Standin, drain_timeout: &str, spool: &Path) -> Running {
    load(Logpump::new(engine).into_cloudwatch(&standin.url).arg("--spool-dir").arg(spool), drain_timeout)
}

fn load(run: Logpump, drain_timeout: &str) -> Running {
    let (lines, rate) = (LINES.to_string(), (LINES / 3).to_string());
    let run = run.args(&["--memory-max", "16MiB"]);
    let run = run.args(&["--flush-interval", "10ms", "--drain-timeout", drain_timeout]);
    let write = |run: Logpump, writer| {
        run.command(&[LOAD, "write", "--writer", writer, "--count", &lines, "--rate", &rate, "--no-times"])
    };
    ["a", "b"].into_iter().fold(run, write).start()
}

/// Lines delivered, lines that are gone, and lines left. The rest had no room, on a busy machine: it is counted, too.
fn ends(ended: &Ended) -> [u64; 3] {
    let no_room = ["/dropped/disk_slow", "/dropped/cpu_short", "/dropped/shutdown"].map(|end| ended.total(end).0);
    let ends = ["/delivered", "/dropped/unreadable", "/spooled"].map(|end| ended.total(end).0);
    let all = [ended.total("/read").0, ends.iter().chain(&no_room).sum()];
    assert_eq!(all, [2 * LINES; 2], "{:#}\n{}", ended.report, ended.said);
    ends
}

/// What was left is what the next run finds.
fn assert_adopted(spool: &Path, left: RangeInclusive<u64>) {
    let standin = standin(&[]);
    let next = adopter("auto", &standin.url, spool).command(&["true"]).run();
    assert!(left.contains(&next.total("/adopted").0), "{left:?}: {:#}\n{}", next.report, next.said);
}

#[test]
fn a_directory_that_is_removed_in_an_outage_is_made_again_and_what_was_in_it_is_counted() {
    on_both_engines(|engine| {
        let standin = standin(&["--fault", OUTAGE]);
        let mut run = start(engine, &standin, "300ms");
        let spool = run.place("spool");
        wait_for_stored(&spool, GONE_BYTES);
        fs::remove_dir_all(&spool).unwrap();
        run.wait_said("our directory was removed, or moved away, while we use it, and is made again");
        wait_for_stored(&spool, 300_000);
        let ended = run.end();
        let [delivered, gone, left] = ends(&ended);
        let state = format!("{:#}\n{}", ended.report, ended.said);
        assert!(delivered == 0 && gone > 0 && left > 0, "{state}");
        assert!(ended.said.contains(&format!("--spool-dir {}: ", spool.display())), "{state}");
        assert!(ended.said.contains(" removed, or moved away, while in use, and with that "), "{state}");
        assert!(ended.said.contains("name a directory with --spool-dir that nobody cleans up"), "{state}");
    });
}

#[test]
fn a_directory_that_is_moved_away_is_made_again_and_nothing_in_it_is_called_spooled() {
    on_both_engines(|engine| {
        // The run's own, the spool's, and one above it.
        for moved in ["run", "spool", "above"] {
            let standin = standin(&["--fault", OUTAGE]);
            let place = tempfile::tempdir().unwrap();
            let above = place.path().join("above");
            let spool = above.join("spool");
            let mut run = start_in(engine, &standin, "300ms", &spool);
            wait_for_stored(&spool, GONE_BYTES);
            let own = fs::read_dir(&spool).unwrap().next().unwrap().unwrap().path();
            let (from, to) = match moved {
                "run" => (own, spool.join("kept")),
                "spool" => (spool.clone(), above.join("kept")),
                _ => (above, place.path().join("kept")),
            };
            fs::rename(&from, &to).unwrap();
            run.wait_said("our directory was removed, or moved away, while we use it, and is made again");
            let ended = run.end();
            let [delivered, gone, left] = ends(&ended);
            assert!(delivered == 0 && gone > 0 && left > 0, "{moved}: {gone} gone, {left} left");
            // What was moved is still there, and is nobody's any more; what was stored later is the next run's.
            assert!(fs::remove_dir_all(&to).is_ok(), "{moved}");
            // For what a slow disk had not stored in time, and stored after all, see LOSS.md.
            assert_adopted(&spool, left..=left + ended.total("/dropped/shutdown").0);
        }
    });
}

#[test]
fn segments_that_are_removed_hold_up_nothing_behind_them() {
    on_both_engines(|engine| {
        let standin = standin(&["--fault", OUTAGE]);
        let run = start(engine, &standin, "100s");
        let spool = run.place("spool");
        wait_for_stored(&spool, GONE_BYTES);
        let before = files(&spool, ".seg");
        before.iter().for_each(|segment| fs::remove_file(segment).unwrap());
        wait_for_stored(&spool, 300_000);
        set(&standin, "");
        let ended = run.end();
        let [delivered, gone, left] = ends(&ended);
        assert!(delivered > 0 && gone > 0 && left == 0, "{:#}\n{}", ended.report, ended.said);
        // A busy machine may have dropped some, and markers stand for those.
        let is_line = |text: &String| !text.starts_with("logpump: dropped");
        let arrived = |stream: &str| read_back(&standin, stream).iter().filter(|text| is_line(text)).count() as u64;
        assert_eq!(arrived("logpump-load") + arrived("logpump-load-2"), delivered);
        assert_gone(&spool);
    });
}

#[test]
fn what_is_still_in_memory_is_stored_again_though_nothing_more_is_written() {
    on_both_engines(|engine| {
        let standin = standin(&["--fault", OUTAGE]);
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().join("spool");
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).arg("--spool-dir").arg(&spool).with_stdin();
        let run = run.args(&["--durable", "--flush-interval", "1s", "--drain-timeout", "100ms"]);
        let mut run = run.shell("seq 1 1000; read line").start();
        let is_stored = || holds_last_line(&spool).then_some(());
        wait_for("the last line in the spool", is_stored, String::new);
        fs::rename(&spool, place.path().join("kept")).unwrap();
        wait_for("the last line in the spool again", is_stored, String::new);
        drop(run.stdin.take());
        let ended = run.end();
        assert_eq!(ended.total("/spooled").0, 1000, "{:#}\n{}", ended.report, ended.said);
        assert_adopted(&spool, 1000..=1000);
    });
}

fn holds_last_line(spool: &Path) -> bool {
    let last =
        |path: &std::path::PathBuf| fs::read(path).is_ok_and(|bytes| bytes.windows(6).any(|part| part == b"\"1000\""));
    files(spool, ".seg").iter().any(last)
}

#[test]
fn what_is_removed_in_the_last_moment_is_not_called_spooled() {
    for moved in [false, true] {
        removed_in_the_last_moment(moved);
    }
}

fn removed_in_the_last_moment(moved: bool) {
    let standin = standin(&["--fault", OUTAGE]);
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("spool");
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(&spool).with_stdin();
    let run = run.args(&["--durable", "--flush-interval", "10ms", "--drain-timeout", "100ms"]);
    let mut run = run.shell("seq 1 1000; read line").start();
    wait_for("bodies in the spool", || (stored_bytes(&spool) > 10_000).then_some(()), String::new);
    match moved {
        true => fs::rename(&spool, place.path().join("kept")).unwrap(),
        false => fs::remove_dir_all(&spool).unwrap(),
    }
    drop(run.stdin.take());
    let ended = run.end();
    let found = ["/dropped/unreadable", "/spooled"].map(|end| ended.total(end).0);
    assert_eq!((found[0] + found[1], found[0] > 0), (1000, true), "{:#}\n{}", ended.report, ended.said);
    assert_adopted(&spool, found[1]..=found[1]);
}
