//! `kill -9` of logpump. What its spool had stays, and the next run delivers it; with `--durable` that is all but the last
//! moment's lines, and none is missing between others.
//!
//! `LOGPUMP_TEST_ROUNDS` (default 12) says how often it is killed; the worst is printed.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::outage::free_address;
use crate::program::{GROUP, Logpump, read_back, standin};
use crate::service::{LOAD, events, written};
use crate::spool::{adopter, assert_gone, files};
use crate::standin::Standin;
use crate::wait_for;

const LINE_BYTES: u64 = 150;

/// Of each writer, in a second.
const RATE: u64 = 4000;
const FLUSH_MS: u64 = 50;
const MAX_IN_FLIGHT: u64 = 4;

/// What a killed logpump may cost at most, by bytes: a pipe, a ring, and an open body.
const LOST_BYTES_MAX: u64 = 256 * 1024 + 4 * 1024 * 1024 + 1024 * 1024;
/// What it may cost while it keeps up, in time (docs/LOSS.md): what came since the last flush, and what is on its way to the
/// disk.
const LOST_MS_MAX: u64 = FLUSH_MS + 100;
/// Where the kernel does not say how busy the machine is, it may be very.
const STALLED_MS_MAX: u64 = 1500;

fn rounds() -> u64 {
    std::env::var("LOGPUMP_TEST_ROUNDS").map_or(12, |rounds| rounds.parse().expect("LOGPUMP_TEST_ROUNDS is a number"))
}

/// Evenly spread and the same in every run.
fn moment(round: u64) -> Duration {
    Duration::from_millis((round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52).min(Duration::from_millis(3000))
}

/// For how long somebody on this machine has waited for a processor, or for a disk: it may have been logpump.
fn stalled_ms() -> Option<u64> {
    let total = |of: &str| -> Option<u64> {
        let pressure = std::fs::read_to_string(format!("/proc/pressure/{of}")).ok()?;
        pressure.lines().next()?.split("total=").nth(1)?.parse::<u64>().ok()
    };
    Some((total("cpu")? + total("io")?) / 1000)
}

struct Killed {
    /// By its child, at least.
    lines_written: u64,
    /// What it may cost, in this machine's hands.
    lost_lines_max: u64,
}

/// Kills it.
fn kill_at(run: crate::program::Running, at: Instant) -> Killed {
    let stalled_before = stalled_ms();
    let mut seen = 0;
    while Instant::now() < at {
        seen = written(&run).unwrap_or(seen);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    seen = written(&run).unwrap_or(seen);
    run.signal(Signal::KILL);
    let ended = run.end_without_report();
    assert_eq!((ended.code, ended.report.is_null()), (None, true), "{}", ended.said);
    let stalled_for = stalled_ms().zip(stalled_before).map_or(u64::MAX, |(after, before)| after - before);
    let lost_ms_max = LOST_MS_MAX + stalled_for.min(STALLED_MS_MAX);
    let lost_lines_max = (RATE * lost_ms_max / 1000).min(LOST_BYTES_MAX / LINE_BYTES);
    Killed { lines_written: seen / LINE_BYTES, lost_lines_max }
}

fn start(url: &str, spool: &Path, writer: &str, more: &[&str]) -> crate::program::Running {
    let flush = format!("{FLUSH_MS}ms");
    let run = Logpump::new("auto").into_cloudwatch(url).arg("--spool-dir").arg(spool).args(more);
    let run = run.args(&["--flush-interval", &flush, "--max-in-flight", &MAX_IN_FLIGHT.to_string(), "--name", writer]);
    let (rate, count) = (RATE.to_string(), (100 * RATE).to_string());
    run.command(&[LOAD, "write", "--writer", writer, "--count", &count, "--rate", &rate, "--no-times"]).start()
}

/// Each line of a writer once, and how many more there are of lines that came before.
fn prefix(standin: &Standin, writer: &str) -> (u64, HashMap<u64, u64>) {
    let mut times: HashMap<u64, u64> = HashMap::new();
    for line in read_back(standin, writer) {
        *times.entry(line.split(' ').nth(1).unwrap().parse().unwrap()).or_default() += 1;
    }
    let lines = times.len() as u64;
    assert!((0..lines).all(|line| times.contains_key(&line)), "{writer}: of {lines} lines some are missing in between");
    times.retain(|_, times| *times > 1);
    (lines, times)
}

#[test]
fn with_durable_only_the_last_moments_lines_are_lost() {
    let standin = standin(&["--no-verify", "--fault", "latency:20ms; 503:rate=0.1; throttle:rate=0.05"]);
    let place = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for round in 0..rounds() {
        let writer = format!("w{round}");
        let run = start(&standin.url, place.path(), &writer, &["--durable"]);
        // Its child runs, and it has taken over what the last one left.
        wait_for("the child", || run.child_pid(), String::new);
        written.push((writer, kill_at(run, Instant::now() + moment(round))));
    }
    let last = adopter("auto", &standin.url, place.path()).command(&["true"]).run();
    assert_eq!(last.total("/adopted"), last.total("/delivered"), "{:#}\n{}", last.report, last.said);
    assert_gone(place.path());
    let (mut worst, mut none, mut worst_doubled) = (0, 0, 0);
    for (round, (writer, Killed { lines_written: lines, lost_lines_max })) in (0..).zip(&written) {
        if stream_exists(&standin, writer) {
            let (there, doubled) = prefix(&standin, writer);
            let lost = lines.saturating_sub(there);
            assert!(lost <= *lost_lines_max, "{writer}: {lost} of {lines} lines lost, more than {lost_lines_max}");
            (worst, none) = (worst.max(lost), none + u64::from(lost == 0));
            // Those in flight, and as many that were answered in the last moment. Of a stretch nobody sees how many it was.
            assert!(stretches(&doubled) <= 2 * MAX_IN_FLIGHT, "{writer}: {doubled:?}");
            worst_doubled = worst_doubled.max(doubled.len() as u64);
            // A kill doubles what is under way; so may the next one, while that is sent again.
            let kills = rounds() - round;
            assert!(doubled.values().all(|times| *times <= 1 + kills), "{writer}: {doubled:?}");
        } else {
            assert!(lines <= lost_lines_max, "{writer}: nothing of {lines} lines");
            worst = worst.max(*lines);
        }
    }
    eprintln!(
        "kill -9 with --durable, {} times: lost {worst} lines at the most, {none} times none; doubled {worst_doubled} at the \
         most ({RATE} lines/s, --flush-interval {FLUSH_MS}ms)",
        written.len()
    );
}

/// How many there are of lines that follow each other.
fn stretches(lines: &HashMap<u64, u64>) -> u64 {
    lines.keys().filter(|line| !lines.contains_key(&(**line + 1))).count() as u64
}

fn stream_exists(standin: &Standin, stream: &str) -> bool {
    standin.stats()["streams"].as_array().unwrap().iter().any(|found| found["stream"] == stream)
}

#[test]
fn what_is_on_disk_is_never_lost_though_no_run_ends_in_order() {
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    let url = format!("http://{address}");
    for round in 0..5 {
        let run = Logpump::new("auto").into_cloudwatch(&url).arg("--spool-dir").arg(place.path()).with_stdin();
        let run = run.args(&["--durable", "--flush-interval", "10ms", "--name", &format!("w{round}")]);
        let mut run = run.shell(&format!("seq -f 'line %.0f' 1 1000; echo end of {round}; read line")).start();
        let last = format!("end of {round}");
        let stored = || files(place.path(), ".seg").iter().any(|path| holds(path, &last)).then_some(());
        wait_for("the last line in the spool", stored, || format!("{:?}", files(place.path(), ".seg")));
        run.signal(Signal::KILL);
        drop(run.stdin.take());
        run.end_without_report();
    }
    let standin = Standin::start_at(&address, &["--group", GROUP]);
    let ended = adopter("auto", &standin.url, place.path()).command(&["true"]).run();
    assert_eq!(ended.total("/adopted").0, 5 * 1001, "{:#}\n{}", ended.report, ended.said);
    for round in 0..5 {
        let expected = (1..=1000).map(|line| format!("line {line}")).chain([format!("end of {round}")]);
        assert!(read_back(&standin, &format!("w{round}")).into_iter().eq(expected), "{round}");
    }
    assert_eq!(standin.stats()["events"], 5 * 1001);
    assert_gone(place.path());
}

fn holds(path: &Path, text: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn without_durable_no_next_run_stumbles_and_what_was_spooled_arrives() {
    let standin = standin(&["--no-verify", "--fault", "503:rate=0.5,op=any; latency:10ms"]);
    let place = tempfile::tempdir().unwrap();
    for round in 0..rounds() / 2 {
        let run = start(&standin.url, place.path(), &format!("w{round}"), &["--memory-max", "16MiB"]);
        wait_for("the child", || run.child_pid(), String::new);
        kill_at(run, Instant::now() + moment(round));
    }
    let before = events(&standin);
    crate::service::set(&standin, "");
    let last = adopter("auto", &standin.url, place.path()).command(&["echo", "well"]).run();
    let [adopted, delivered] = ["/adopted", "/delivered"].map(|end| last.total(end).0);
    assert_eq!((last.code, adopted + 1), (Some(0), delivered), "{:#}\n{}", last.report, last.said);
    assert_eq!(events(&standin), before + delivered);
    assert_gone(place.path());
}
