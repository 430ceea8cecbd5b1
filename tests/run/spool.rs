//! The spool between an outage and its end, in one run and from run to run: each line arrives once, in the stream that it
//! was meant for, or it is counted.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::outage::free_address;
use crate::program::{Ended, GROUP, Logpump, standin};
use crate::service::{LOAD, judge, set, sum, verify, written};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// Nothing is stored, and logpump cannot know.
pub const OUTAGE: &str = "503:op=any";

/// All files of a spool with this ending.
pub fn files(spool: &Path, ending: &str) -> Vec<PathBuf> {
    let within = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = within(spool.to_owned()).flat_map(within);
    let mut found: Vec<_> = all.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

/// What its segments take.
pub fn stored_bytes(spool: &Path) -> u64 {
    files(spool, ".seg").iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
}

pub fn wait_for_stored(spool: &Path, bytes: u64) {
    let stored = || (stored_bytes(spool) > bytes).then_some(());
    wait_for("bodies in the spool", stored, || format!("{} bytes", stored_bytes(spool)));
}

/// Nothing is left of any run.
pub fn assert_gone(spool: &Path) {
    let left: Vec<_> = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// A run that ends while nobody listens at this address: it leaves so many lines of this writer.
pub fn leave(address: &str, spool: &Path, writer: &str, lines: u64) -> Ended {
    let run = Logpump::new("auto").into_cloudwatch(&format!("http://{address}")).arg("--spool-dir").arg(spool);
    leave_by(run, writer, lines)
}

fn leave_by(run: Logpump, writer: &str, lines: u64) -> Ended {
    let run = run.args(&["--drain-timeout", "100ms", "--flush-interval", "10ms", "--name", writer]);
    let lines_text = lines.to_string();
    let write = [LOAD, "write", "--writer", writer, "--count", &lines_text, "--rate", "20000", "--no-times"];
    let ended = run.command(&[&write[..], &["--exit-code", "7"]].concat()).run();
    assert_eq!(ended.code, Some(7), "{}", ended.said);
    let found = ["/read", "/spooled"].map(|end| ended.total(end));
    assert_eq!(found, [(lines, lines * 150); 2], "{:#}\n{}", ended.report, ended.said);
    ended
}

/// A run with nothing to say but what others left.
pub fn adopter(engine: &str, url: &str, spool: &Path) -> Logpump {
    let run = Logpump::new(engine).into_cloudwatch(url).arg("--spool-dir").arg(spool);
    run.args(&["--drain-timeout", "100s"])
}

fn found(standin: &Standin, group: &str, writers: &str, lines: u64) -> Vec<Value> {
    verify(&["--log-group", group, "--endpoint-url", &standin.url], writers, lines)
}

fn assert_each_once(standin: &Standin, group: &str, writers: &str, lines: u64) {
    let found = found(standin, group, writers, lines);
    let wrong = ["missing", "doubled", "out_of_order"].map(|member| sum(&found, member));
    assert_eq!(wrong, [0; 3], "{found:#?}");
}

// ---- in one run ------------------------------------------------------------------------------

/// Of each of two writers: more than little memory holds.
const LINES: u64 = 40_000;
/// However slow this machine is, there is no line for which the disk has no time.
const WAITING: [&str; 2] = ["--when-full", "block"];

fn load(run: Logpump) -> Logpump {
    let (lines, rate) = (LINES.to_string(), (LINES / 3).to_string());
    let run =
        run.args(&["--memory-max", "16MiB", "--flush-interval", "10ms", "--drain-timeout", "100s"]).args(&WAITING);
    ["a", "b"].iter().fold(run, |run, writer| {
        run.command(&[LOAD, "write", "--writer", writer, "--count", &lines, "--rate", &rate, "--no-times"])
    })
}

#[test]
fn an_outage_goes_through_the_spool_and_every_line_arrives_once_and_in_order() {
    on_both_engines(|engine| {
        for more in [&[][..], &["--durable"], &["--spool-sync", "always", "--stream-window", "1"], &["--gzip"]] {
            let standin = standin(&["--fault", OUTAGE]);
            let run = load(Logpump::new(engine).into_cloudwatch(&standin.url).args(more)).start();
            let spool = run.place("spool");
            wait_for_stored(&spool, 1_000_000);
            set(&standin, "");
            let outcome = judge(run.end(), &standin, LINES);
            assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{more:?} {}", outcome.state());
            assert_gone(&spool);
        }
    });
}

#[test]
fn one_outage_after_the_other() {
    let standin = standin(&[]);
    let run = load(Logpump::new("auto").into_cloudwatch(&standin.url)).start();
    let spool = run.place("spool");
    for _ in 0..3 {
        set(&standin, OUTAGE);
        let before = stored_bytes(&spool);
        let grows = || (stored_bytes(&spool) > before + 300_000 || written(&run).is_none()).then_some(());
        wait_for("bodies in the spool", grows, || format!("{} bytes", stored_bytes(&spool)));
        set(&standin, "");
    }
    let outcome = judge(run.end(), &standin, LINES);
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
    assert_gone(&spool);
}

#[test]
fn logpump_stopped_and_continued_while_it_spools() {
    on_both_engines(|engine| {
        let standin = standin(&["--fault", OUTAGE]);
        let run = load(Logpump::new(engine).into_cloudwatch(&standin.url)).start();
        let spool = run.place("spool");
        for round in 1..=3 {
            wait_for_stored(&spool, round * 300_000);
            run.signal(Signal::STOP);
            let (mut last, mut unchanged) = (None, 0);
            let waits = || {
                let now = written(&run);
                unchanged = if now == last { unchanged + 1 } else { 0 };
                last = now;
                (unchanged == 50).then_some(())
            };
            wait_for("the writer to wait", waits, || format!("{:?}", written(&run)));
            run.signal(Signal::CONT);
        }
        set(&standin, "");
        let outcome = judge(run.end(), &standin, LINES);
        assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
        assert_gone(&spool);
    });
}

#[test]
fn a_spool_that_panics_leaves_what_it_has_to_the_next_run_and_the_rest_arrives() {
    let (standin, place) = (standin(&["--fault", OUTAGE]), tempfile::tempdir().unwrap());
    let (trigger, spool) = (place.path().join("panic"), place.path().join("spool"));
    let run = load(Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(&spool));
    let mut run = run.env("LOGPUMP_TEST_PANIC", format!("spool:{}", trigger.display())).start();
    // More than one body: the first is known to be there.
    wait_for_stored(&spool, 3_000_000);
    fs::write(&trigger, "").unwrap();
    run.wait_said("the spool has failed");
    set(&standin, "");
    let ended = run.end();
    let [read, delivered, spooled] = ["/read", "/delivered", "/spooled"].map(|end| ended.total(end).0);
    assert_eq!((read, delivered + spooled), (2 * LINES, 2 * LINES), "{:#}\n{}", ended.report, ended.said);
    let next = adopter("auto", &standin.url, &spool).command(&["true"]).run();
    let adopted = next.total("/adopted");
    assert_eq!((next.code, next.total("/delivered")), (Some(0), adopted), "{:#}\n{}", next.report, next.said);
    // What it had stored and had not said so is there twice.
    assert!(spooled > 0 && adopted.0 >= spooled, "{:#}\n{:#}", ended.report, next.report);
    let found = found(&standin, GROUP, "a,b", LINES);
    assert_eq!((sum(&found, "missing"), sum(&found, "doubled")), (0, adopted.0 - spooled), "{found:#?}");
    assert_gone(&spool);
}

// ---- from run to run -------------------------------------------------------------------------

#[test]
fn what_a_run_leaves_is_delivered_by_the_next() {
    on_both_engines(|engine| {
        let (place, address) = (tempfile::tempdir().unwrap(), free_address());
        let before = leave(&address, place.path(), "left", 3000);
        assert!(before.said.contains("what is left goes to the spool"), "{}", before.said);
        let standin = Standin::start_at(&address, &["--group", GROUP]);
        let ended = adopter(engine, &standin.url, place.path()).command(&["true"]).run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        for end in ["/adopted", "/delivered"] {
            assert_eq!(ended.total(end), before.total("/spooled"), "{end}: {:#}\n{}", ended.report, ended.said);
        }
        assert_eq!(ended.total("/read"), (0, 0));
        assert_each_once(&standin, GROUP, "left", 3000);
        assert_gone(place.path());
    });
}

#[test]
fn a_run_that_cannot_deliver_either_leaves_what_it_adopted() {
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    let before = leave(&address, place.path(), "first", 3000).total("/spooled");
    let run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:9").arg("--spool-dir").arg(place.path());
    let second = run.args(&["--drain-timeout", "500ms"]).command(&["echo", "own"]).run();
    assert_eq!(second.total("/adopted"), before, "{:#}\n{}", second.report, second.said);
    let spooled = second.total("/spooled");
    assert_eq!(spooled.0, before.0 + 1, "{:#}\n{}", second.report, second.said);
    let standin = Standin::start_at(&address, &["--group", GROUP]);
    let mut run = adopter("auto", &standin.url, place.path()).with_stdin().shell("read line").start();
    let arrived = || (standin.stats()["events"] == 3000).then_some(());
    wait_for("the first run's lines", arrived, || standin.stats().to_string());
    drop(run.stdin.take());
    let third = run.end();
    assert_eq!((third.total("/adopted"), third.total("/delivered")), (spooled, before), "{:#}", third.report);
    assert_each_once(&standin, GROUP, "first", 3000);
}

#[test]
fn an_endpoint_of_adopted_lines_that_never_answers_does_not_hold_up_the_end() {
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    let before = leave(&address, place.path(), "first", 3000).total("/spooled");
    // Connections are taken by the kernel, and that is all.
    let silent = TcpListener::bind(&address).unwrap();
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path());
    let ended = run.args(&["--drain-timeout", "1h"]).command(&["echo", "own"]).run();
    let found = ["/adopted", "/spooled", "/delivered"].map(|end| ended.total(end));
    assert_eq!(found, [before, before, (1, 4)], "{:#}\n{}", ended.report, ended.said);
    drop(silent);
    // Refused, which is said with the place.
    let run = adopter("auto", &standin.url, place.path()).with_stdin();
    let mut run = run.shell("read line").start();
    run.wait_said(&format!("cannot be sent to http://{address}, where it was meant for"));
    drop(run.stdin.take());
    let ended = run.end();
    assert!(!ended.said.contains("credentials"), "{}", ended.said);
    assert_eq!(ended.total("/spooled"), before, "{:#}\n{}", ended.report, ended.said);
}

#[test]
fn runs_that_adopt_at_once_deliver_each_entry_once() {
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    const WRITERS: [&str; 4] = ["a", "b", "c", "d"];
    // Each has a directory of its own, as if it had been killed.
    for writer in WRITERS {
        let alone = tempfile::tempdir().unwrap();
        leave(&address, alone.path(), writer, 1000);
        copied(alone.path(), place.path());
    }
    let standin = Standin::start_at(&address, &["--group", GROUP]);
    let runs: Vec<_> =
        (0..3).map(|_| adopter("auto", &standin.url, place.path()).with_stdin().shell("read line").start()).collect();
    let all = || (standin.stats()["events"] == 4000).then_some(());
    wait_for("all lines", all, || standin.stats().to_string());
    let ends = runs.into_iter().map(|mut run| {
        drop(run.stdin.take());
        run.end()
    });
    let adopted: u64 = ends.map(|ended| ended.total("/adopted").0).sum();
    assert_eq!(adopted, 4000);
    assert_each_once(&standin, GROUP, &WRITERS.join(","), 1000);
    assert_gone(place.path());
}

/// Passes everything on, and keeps what came from the client.
fn relay(to: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (to, keeping) = (to.to_owned(), seen.clone());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&to) else { continue };
            let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let keeping = keeping.clone();
            std::thread::spawn(move || copy(from_server, to_client, |_| {}));
            std::thread::spawn(move || copy(client, server, |bytes| keeping.lock().unwrap().extend_from_slice(bytes)));
        }
    });
    (url, seen)
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        look(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn adopted_lines_go_to_the_region_group_and_stream_that_they_were_meant_for() {
    let place = tempfile::tempdir().unwrap();
    let standin = Standin::start(&["--group", GROUP, "--group", "/run/other", "--fault", OUTAGE]);
    let (url, seen) = relay(&standin.address);
    let run = Logpump::new("auto").env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
    let run = run.args(&["--log-group", "/run/other", "--region", "us-west-2", "--endpoint-url", &url]);
    let before = leave_by(run.args(&["--log-stream", "{name}"]).arg("--spool-dir").arg(place.path()), "other", 2000);
    seen.lock().unwrap().clear();
    set(&standin, "");
    // Straight to the service, and of another region.
    let ended = adopter("auto", &standin.url, place.path()).command(&["echo", "own"]).run();
    assert_eq!(ended.total("/adopted"), before.total("/spooled"), "{:#}\n{}", ended.report, ended.said);
    assert_eq!(ended.total("/delivered").0, 2001, "{:#}\n{}", ended.report, ended.said);
    assert_each_once(&standin, "/run/other", "other", 2000);
    assert_eq!(crate::program::read_back(&standin, "echo"), ["own"]);
    // The endpoint is that of the run that left it, too.
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    assert!(seen.contains("/us-west-2/logs/") && !seen.contains("/eu-central-1/logs/"), "{seen}");
    assert_gone(place.path());
}

#[test]
fn a_missing_group_of_adopted_lines_holds_up_neither_own_lines_nor_the_end() {
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    let run = Logpump::new("auto").env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
    let url = format!("http://{address}");
    let run = run.args(&["--log-group", "/run/gone", "--region", "eu-central-1", "--endpoint-url", &url]);
    let before = leave_by(run.args(&["--log-stream", "{name}"]).arg("--spool-dir").arg(place.path()), "gone", 2000);
    let standin = Standin::start_at(&address, &["--group", GROUP]);
    // It ends long before this is over.
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).arg("--spool-dir").arg(place.path());
    let run = run.args(&["--drain-timeout", "1h", "--flush-interval", "10ms"]).with_stdin();
    let mut run = run.shell("read line; seq 1 1000").start();
    run.wait_said("which does not exist in");
    drop(run.stdin.take());
    let ended = run.end();
    let found = ["/adopted", "/spooled", "/delivered"].map(|end| ended.total(end));
    let left = before.total("/spooled");
    assert_eq!(found, [left, left, (1000, 3893)], "{:#}\n{}", ended.report, ended.said);
    // The group is made: the next one delivers them.
    standin.ok("CreateLogGroup", json!({ "logGroupName": "/run/gone" }));
    let next = adopter("auto", &standin.url, place.path()).command(&["true"]).run();
    assert_eq!((next.total("/adopted"), next.total("/delivered")), (left, left), "{:#}\n{}", next.report, next.said);
    assert_each_once(&standin, "/run/gone", "gone", 2000);
    assert_gone(place.path());
}

/// With the modes of its directories.
pub fn copied(from: &Path, to: &Path) {
    for directory in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(directory.file_name());
        fs::create_dir(&target).unwrap();
        let mode = fs::metadata(directory.path()).unwrap().permissions();
        fs::set_permissions(&target, mode).unwrap();
        for file in fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()) {
            fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
}

/// The sequences of a writer's lines.
pub fn found_in_stream(standin: &Standin, stream: &str) -> Vec<u64> {
    let found = crate::program::read_back(standin, stream);
    found.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
}
