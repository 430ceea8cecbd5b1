//! The service at fault, as the stand-in plays it: whatever it does to calls in mid-load, each line is in CloudWatch, or
//! was rejected and is counted; and it is there twice only if an answer was lost, which is counted too.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{Ended, GROUP, Logpump, Running, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

pub const LOAD: &str = env!("CARGO_BIN_EXE_logpump-load");
/// Of each of two writers, in a second: at the flush interval of these runs that is a call for every few lines.
const LINES: u64 = 10_000;
const WRITERS: [&str; 2] = ["a", "b"];
/// Of these writers.
const STREAMS: [&str; 2] = ["logpump-load", "logpump-load-2"];

/// A run that is over, and what the service has of it.
pub struct Outcome {
    pub ended: Ended,
    pub stats: Value,
    /// Lines that are there more than once, for each further time.
    pub doubled: u64,
    pub missing: u64,
}

impl Outcome {
    fn duplicates(&self) -> u64 {
        self.ended.report["total"]["duplicates"].as_u64().unwrap()
    }

    /// How often faults of this name hit.
    fn hits(&self, name: &str) -> u64 {
        self.stats["faults"][name].as_u64().unwrap_or(0)
    }

    pub fn state(&self) -> String {
        format!("{:#}\n{:#}\n{}", self.stats, self.ended.report["total"], self.ended.said)
    }
}

fn load(run: Logpump) -> Logpump {
    let (lines, rate) = (LINES.to_string(), LINES.to_string());
    let run = run.args(&["--flush-interval", "10ms", "--drain-timeout", "100s"]);
    WRITERS.iter().fold(run, |run, writer| {
        run.command(&[LOAD, "write", "--writer", writer, "--count", &lines, "--rate", &rate, "--no-times"])
    })
}

/// What `logpump-load verify` finds in the service, or in the file that `place` names; whatever it is, nothing is altered
/// or was never written.
pub fn verify(place: &[&str], writers: &str, lines: u64) -> Vec<Value> {
    let output = Command::new(LOAD)
        .args(["verify", "--json", "--size", "150", "--writers", writers, "--count", &lines.to_string()])
        .args(place)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    assert_eq!(found["foreign"], 0, "{found:#}");
    let Value::Array(writers) = found["writers"].clone() else { panic!("{found:#}") };
    for writer in &writers {
        assert_eq!((&writer["altered"], &writer["beyond"]), (&0.into(), &0.into()), "{writer:#}");
    }
    writers
}

pub fn sum(writers: &[Value], member: &str) -> u64 {
    writers.iter().map(|writer| writer[member].as_u64().unwrap()).sum()
}

/// Everything that holds whatever the faults were.
pub fn judge(ended: Ended, standin: &Standin, lines: u64) -> Outcome {
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    set(standin, "");
    let stats = standin.stats();
    let found = verify(&["--log-group", GROUP, "--endpoint-url", &standin.url], &WRITERS.join(","), lines);
    let (missing, doubled) = (sum(&found, "missing"), sum(&found, "doubled"));
    let outcome = Outcome { ended, stats, doubled, missing };
    assert_eq!(sum(&found, "out_of_order"), 0, "{found:#?}\n{}", outcome.state());
    let ends = ["/read", "/delivered", "/rejected/too_old", "/rejected/too_new"].map(|end| outcome.ended.total(end).0);
    assert_eq!(ends[0], lines * WRITERS.len() as u64, "{}", outcome.state());
    // What is missing was rejected, and everything else was delivered.
    assert_eq!((ends[1], ends[2] + ends[3]), (ends[0] - missing, missing), "{}", outcome.state());
    assert!(doubled <= outcome.duplicates(), "{doubled} doubled; {}", outcome.state());
    outcome
}

/// Runs under these faults, which must have hit, to the end.
fn under(engine: &str, faults: &str) -> Outcome {
    let standin = standin(&["--fault", faults]);
    let outcome = judge(load(Logpump::new(engine).into_cloudwatch(&standin.url)).run(), &standin, LINES);
    assert_ne!(outcome.stats["faults"], serde_json::json!({}), "{faults} hit nothing: {}", outcome.state());
    outcome
}

/// Nothing was stored by a call that failed, and logpump could know that.
fn assert_once(outcome: &Outcome) {
    let found = (outcome.missing, outcome.doubled, outcome.duplicates());
    assert_eq!(found, (0, 0, 0), "{}", outcome.state());
}

/// Each call that failed had been stored, so that the count is exact.
fn assert_counted(outcome: &Outcome) {
    assert_eq!(outcome.missing, 0, "{}", outcome.state());
    assert!(outcome.doubled > 0, "{}", outcome.state());
    assert_eq!(outcome.doubled, outcome.duplicates(), "{}", outcome.state());
}

pub fn set(standin: &Standin, faults: &str) {
    let reply = standin.send("POST", "/fault", &[("host", &standin.address)], faults.as_bytes());
    assert_eq!(reply.status, 200, "{faults}: {}", reply.text());
}

pub fn events(standin: &Standin) -> u64 {
    standin.stats()["events"].as_u64().unwrap()
}

#[test]
fn half_of_all_calls_throttled() {
    on_both_engines(|engine| assert_once(&under(engine, "throttle:rate=0.5,op=any")));
}

#[test]
fn a_quota_far_below_what_is_asked() {
    assert_once(&under("auto", "quota:20,burst=1"));
}

#[test]
fn missing_streams_and_groups_that_are_there_all_the_same() {
    assert_once(&under("auto", "missing:every=5; missing:group,calls=2"));
}

#[test]
fn credentials_and_rights_that_fail_for_a_while() {
    assert_once(&under("auto", "expired:calls=2; denied:calls=1; unrecognized:calls=1"));
}

#[test]
fn failures_of_the_service_and_of_a_proxy_before_it() {
    let outcome = under("auto", "500:rate=0.2; 503:rate=0.2; 502:rate=0.1; 502:html,rate=0.1,seed=2");
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
}

#[test]
fn connections_reset_while_the_request_is_read() {
    let outcome = under("auto", "reset:every=4");
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
}

#[test]
fn answers_lost_after_storing_are_doubled_and_counted() {
    on_both_engines(|engine| assert_counted(&under(engine, "lost:every=4")));
}

#[test]
fn connections_reset_while_the_answer_is_sent_double_what_is_counted() {
    assert_counted(&under("auto", "reset:stored,every=4"));
}

#[test]
fn half_an_answer_acknowledges_nothing() {
    assert_counted(&under("auto", "bad-json:every=4"));
}

#[test]
fn a_success_that_is_not_the_services_acknowledges_nothing() {
    let outcome = under("auto", "200:every=4; 200:html,every=5");
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
}

#[test]
fn an_answer_that_times_out_doubles_what_is_counted() {
    assert_counted(&under("auto", "hang:stored,calls=1"));
}

#[test]
fn failures_told_after_storing_double_what_is_counted() {
    assert_counted(&under("auto", "500:stored,every=4; 502:stored,every=3; 503:stored,every=5"));
}

#[test]
fn requests_read_slowly() {
    let outcome = under("auto", "slow:256KiB; latency:25ms");
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
}

#[test]
fn events_that_the_service_rejects_are_counted_and_the_others_are_there() {
    let outcome = under("auto", "reject:old=2,new=1,every=3");
    let (hits, rejected) = (outcome.hits("reject"), &outcome.stats["rejected_events"]);
    assert!(hits > 0 && rejected["total"] == outcome.missing, "{}", outcome.state());
    for (end, member) in [("/rejected/too_old", "too_old"), ("/rejected/too_new", "too_new")] {
        assert_eq!(rejected[member], outcome.ended.total(end).0, "{}", outcome.state());
    }
}

#[test]
fn a_handshake_that_is_never_answered_is_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let authority = place.path().join("authority.pem");
    let authority = authority.to_str().unwrap();
    let standin = standin(&["--tls", "--cert-out", authority, "--fault", "tls-hang:calls=2"]);
    let run = load(Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--ca-bundle", authority]));
    let ended = run.run();
    ended.assert_all_delivered(2 * LINES, 2 * LINES * 150);
}

#[test]
fn all_at_once_and_compressed() {
    const FAULTS: &str = "latency:10ms,rate=0.3; reset:calls=2; throttle:calls=2; 500:calls=2; 502:html,calls=1; \
                          missing:calls=2; lost:calls=2; bad-json:calls=2; reset:stored,calls=2; \
                          throttle:op=CreateLogStream,calls=2; lost:op=CreateLogStream,every=2; 503:rate=0.1";
    on_both_engines(|engine| {
        let standin = standin(&["--fault", FAULTS]);
        let run = load(Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--gzip"]));
        let outcome = judge(run.run(), &standin, LINES);
        assert!(outcome.missing == 0 && outcome.doubled > 0, "{}", outcome.state());
        for name in ["reset", "throttle", "500", "502", "missing", "lost", "bad-json"] {
            assert!(outcome.hits(name) > 0, "{name}: {}", outcome.state());
        }
    });
}

#[test]
fn a_service_that_is_killed_in_mid_load_with_calls_in_flight() {
    on_both_engines(|engine| {
        // The first call of each service is not answered, so that the load is not over before its end.
        const FAULT: [&str; 2] = ["--fault", "hang:stored,calls=1"];
        let mut service = standin(&FAULT);
        let address = service.address.clone();
        let run = load(Logpump::new(engine).into_cloudwatch(&service.url)).start();
        let mut kept = [const { Vec::<String>::new() }; STREAMS.len()];
        for left in [2, 1, 0] {
            let hangs = || (service.stats()["faults"]["hang"].as_u64()? > 0).then_some(());
            wait_for("a call in flight", hangs, || service.stats().to_string());
            wait_for_more(&run, &service, 1000);
            // From now on nothing is acknowledged: what it has now is sent again, whether it is read below or not.
            set(&service, "hang:stored");
            keep(&service, &mut kept);
            // What has been killed has forgotten everything.
            drop(service);
            let fault = if left > 0 { &FAULT[..] } else { &[] };
            service = Standin::start_at(&address, &[&["--group", GROUP], fault].concat());
        }
        let ended = run.end();
        ended.assert_all_delivered(2 * LINES, 2 * LINES * 150);
        let duplicates = ended.report["total"]["duplicates"].as_u64().unwrap();
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("all");
        keep(&service, &mut kept);
        for (kept, writer) in kept.into_iter().zip(WRITERS) {
            fs::write(&file, kept.join("\n") + "\n").unwrap();
            // In what order three services had them says nothing.
            let found = verify(&["--file", file.to_str().unwrap()], writer, LINES);
            assert_eq!(sum(&found, "missing"), 0, "{found:#?}\n{}", ended.said);
            assert!(sum(&found, "doubled") <= duplicates, "{found:#?}\n{:#}", ended.report);
        }
    });
}

/// What a service has by now; a stream of which nothing was left may not be there.
fn keep(service: &Standin, kept: &mut [Vec<String>; STREAMS.len()]) {
    let stats = service.stats();
    let has = |name: &str| stats["streams"].as_array().unwrap().iter().any(|stream| stream["stream"] == name);
    for (kept, stream) in kept.iter_mut().zip(STREAMS).filter(|(_, stream)| has(stream)) {
        kept.extend(read_back(service, stream));
    }
}

/// How many bytes the first child that runs has written so far; nothing when all have ended.
pub fn written(run: &Running) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{}/io", run.child_pid()?)).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

/// Waits for more events than there were, or for the end of all children.
fn wait_for_more(run: &Running, standin: &Standin, before: u64) {
    let more = || (events(standin) > before || written(run).is_none()).then_some(());
    wait_for("events", more, || standin.stats().to_string());
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).unwrap()
}

#[test]
fn a_service_that_stands_still_again_and_again() {
    let standin = standin(&[]);
    let run = load(Logpump::new("auto").into_cloudwatch(&standin.url)).start();
    for _ in 0..4 {
        let before = events(&standin);
        kill_process(process(standin.pid()), Signal::STOP).unwrap();
        let begun = written(&run);
        // So much goes into its ring: it does not wait yet.
        let more = || written(&run).zip(begun).is_none_or(|(now, begun)| now > begun + 100_000).then_some(());
        wait_for("the child to write on", more, || format!("{begun:?}, now {:?}", written(&run)));
        kill_process(process(standin.pid()), Signal::CONT).unwrap();
        wait_for_more(&run, &standin, before);
    }
    let outcome = judge(run.end(), &standin, LINES);
    assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
}

#[test]
fn logpump_itself_stopped_and_continued() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = load(Logpump::new(engine).into_cloudwatch(&standin.url)).start();
        for _ in 0..3 {
            let before = events(&standin);
            wait_for_more(&run, &standin, before);
            run.signal(Signal::STOP);
            // Nobody reads its pipe: it waits once that is full, or has nothing more to write.
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
        let outcome = judge(run.end(), &standin, LINES);
        assert_eq!((outcome.missing, outcome.doubled), (0, 0), "{}", outcome.state());
    });
}
