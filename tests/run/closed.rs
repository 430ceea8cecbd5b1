//! A spool that somebody makes read-only while it is used: what was delivered does not come again, or it is said how much
//! does; and nobody is told to free disk space.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::own_disk::OwnDisk;
use crate::program::{Logpump, standin};
use crate::service::set;
use crate::spool::{OUTAGE, adopter, files, stored_bytes};
use crate::spoolless::is_root;
use crate::{on_both_engines, wait_for};

const LINES: u64 = 20_000;

/// Undone when the test ends, however it does: else nobody could remove the directory.
struct Immutable(PathBuf);

impl Immutable {
    /// None: not on this file system.
    fn make(path: &Path) -> Option<Immutable> {
        let made = Command::new("chattr").arg("+i").arg(path).output().is_ok_and(|output| output.status.success());
        made.then(|| Immutable(path.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

fn may_make_immutable() -> bool {
    let place = tempfile::tempdir().unwrap();
    let may = is_root() && Immutable::make(place.path()).is_some();
    if !may {
        eprintln!("not run: chattr +i is not for us here");
    }
    may
}

/// None: it has not its name yet.
fn find_run_directory(spool: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(spool).ok()?;
    entries
        .map(|entry| entry.unwrap())
        .find(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
}

fn run_directory(spool: &Path) -> PathBuf {
    find_run_directory(spool).expect("a run has its directory there")
}

/// A run that has many lines in its spool, and waits for its standard input to end. 1 MiB a segment.
fn spooling(engine: &str, url: &str, spool: &Path) -> Logpump {
    let run = Logpump::new(engine).into_cloudwatch(url).arg("--spool-dir").arg(spool).with_stdin();
    let run = run.args(&["--memory-max", "16MiB", "--spool-max", "64MiB", "--flush-interval", "10ms"]);
    run.args(&["--durable", "--spool-sync", "always", "--drain-timeout", "100s"])
        .shell(&format!("seq -f '%010.0f{}' 1 {LINES}; read line", ".".repeat(139)))
}

/// Stores each line at once, and has all the time that it needs to deliver.
fn durable(url: &str, spool: &Path) -> Logpump {
    let run = Logpump::new("auto").into_cloudwatch(url).arg("--spool-dir").arg(spool).with_stdin();
    run.args(&["--durable", "--flush-interval", "10ms", "--drain-timeout", "100s"])
}

#[test]
fn a_directory_made_immutable_costs_no_line_and_doubles_none() {
    if !may_make_immutable() {
        return;
    }
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify", "--fault", OUTAGE]);
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().join("spool");
        let mut run = spooling(engine, &standin.url, &spool).start();
        // One that is sealed, and the next. On a disk that does not answer for long, not all lines may come there.
        let segments = || files(&spool, ".seg");
        wait_for("two segments in the spool", || (segments().len() > 1).then_some(()), || format!("{:?}", segments()));
        let own = run_directory(&spool);
        let immutable = Immutable::make(&own).unwrap();
        set(&standin, "");
        run.wait_said("it is emptied, and it is tried again; make it writable again (chattr -i");
        drop(run.stdin.take());
        let ended = run.end();
        assert_eq!(ended.total("/delivered").0, LINES, "{:#}\n{}", ended.report, ended.said);
        assert!(!ended.said.contains("free some disk space"), "{}", ended.said);
        assert!(!ended.said.contains("the next run may send them again"), "{}", ended.said);
        drop(immutable);
        let next = adopter(engine, &standin.url, &spool).command(&["true"]).run();
        assert_eq!(next.total("/adopted").0, 0, "{:#}\n{}", next.report, next.said);
        assert_eq!(standin.stats()["events"], LINES);
        assert_eq!(fs::read_dir(&spool).unwrap().count(), 0, "the next run clears it away");
    });
}

#[test]
fn what_was_delivered_of_a_segment_is_noted_in_a_directory_made_immutable() {
    if !may_make_immutable() {
        return;
    }
    let standin = standin(&["--fault", OUTAGE]);
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("spool");
    let mut run = durable(&standin.url, &spool).shell("seq 1 100; read line; seq 101 200; read line").start();
    wait_for("a body in the spool", || (stored_bytes(&spool) > 100).then_some(()), String::new);
    let immutable = Immutable::make(&run_directory(&spool)).unwrap();
    set(&standin, "");
    wait_for("all lines", || (standin.stats()["events"] == 100).then_some(()), || standin.stats().to_string());
    // The segment is still written to, so it stays.
    let noted =
        || files(&spool, ".done").iter().any(|path| fs::metadata(path).is_ok_and(|it| it.len() >= 8)).then_some(());
    wait_for("a note of what is done", noted, || format!("{:?}", files(&spool, ".done")));
    run.signal(rustix::process::Signal::KILL);
    drop(run.stdin.take());
    run.end_without_report();
    drop(immutable);
    let next = adopter("auto", &standin.url, &spool).command(&["true"]).run();
    assert_eq!((next.total("/adopted").0, &standin.stats()["events"]), (0, &100.into()), "{}", next.said);
}

#[test]
fn a_directory_that_takes_no_new_segment_is_said_without_advice_about_room() {
    if !may_make_immutable() {
        return;
    }
    let standin = standin(&["--fault", OUTAGE]);
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("spool");
    let mut run = durable(&standin.url, &spool).shell("read line; seq 1 100").start();
    let own = || find_run_directory(&spool);
    let immutable = Immutable::make(&wait_for("the run's directory", own, String::new)).unwrap();
    drop(run.stdin.take());
    run.wait_said("the spool takes nothing more: cannot make a segment: Operation not permitted");
    set(&standin, "");
    let ended = run.end();
    assert_eq!(ended.total("/delivered").0, 100, "{:#}\n{}", ended.report, ended.said);
    assert!(ended.said.contains("make it and its file system writable again"), "{}", ended.said);
    assert!(!ended.said.contains("free some disk space"), "{}", ended.said);
    drop(immutable);
}

#[test]
fn a_file_system_that_becomes_read_only_doubles_what_it_says() {
    let Some(disk) = OwnDisk::make() else { return };
    let standin = standin(&["--no-verify", "--fault", OUTAGE]);
    let mut run = disk.mounted(spooling("auto", &standin.url, disk.spool())).start();
    run.wait_said("INFO lines go to");
    let inside = disk.inside(&run);
    let all = || (stored_bytes(&inside) > LINES * 150).then_some(());
    wait_for("all lines in the spool", all, || format!("{:?}", files(&inside, ".seg")));
    disk.fail();
    set(&standin, "");
    run.wait_said("Read-only file system");
    drop(run.stdin.take());
    let ended = run.end();
    assert_eq!(ended.total("/delivered").0, LINES, "{:#}\n{}", ended.report, ended.said);
    let said: Vec<_> = ended.said.lines().filter(|line| line.contains("the next run may send them again")).collect();
    assert_eq!(said.len(), 1, "{}", ended.said);
    let doubled: u64 = said[0].split(' ').find_map(|word| word.parse().ok()).expect("a count");
    assert!(!ended.said.contains("free some disk space"), "{}", ended.said);
    let next = disk.mounted(adopter("auto", &standin.url, disk.spool()).command(&["true"])).run();
    // What the disk had not stored when it failed may be there, or not.
    let adopted = next.total("/adopted").0;
    assert!(adopted > 0 && adopted <= doubled, "{adopted}: {:#}\n{}", next.report, ended.said);
}
