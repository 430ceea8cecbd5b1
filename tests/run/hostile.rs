//! CloudWatch that answers wrongly, for ever, or not at all: the child's code is passed on, the end comes inside its
//! bound, every line is booked, memory stays bounded, and the reason that is said is the right one.

use std::time::Duration;

use crate::program::{Ended, Logpump, Running, counted};
use crate::server::{Manner, Server};
use crate::wait_for;

const LINES: u64 = 1000;
/// --eof-grace and --drain-timeout of these runs, and what our own end may take beside them; and for a busy machine.
const WAITS: [&str; 4] = ["--eof-grace", "1s", "--drain-timeout", "1s"];
const BOUND: Duration = Duration::from_secs(1 + 1 + 2);
const SLACK: Duration = Duration::from_secs(3);

/// The most resident memory while answers never end: several times what a run takes, a third of what is answered.
const PEAK_KB_MAX: u64 = 100_000;

/// One child with 1000 lines; it ends, with 4, when the server has seen two calls, or one that it will never answer.
fn run_against(server: &Server, calls: u64) -> Ended {
    let run = Logpump::new("auto").into_cloudwatch(&server.url).args(&WAITS).args(&["--flush-interval", "10ms"]);
    let mark = run.place("the child ended");
    let run = run.env("MARK", &mark).with_stdin();
    let mut run = run.shell("seq 1 1000; read line; : >\"$MARK\"; exit 4").start();
    let tried = || (server.puts() >= calls || server.answer_bytes() > 1000 * PEAK_KB_MAX).then_some(());
    wait_for("the calls", tried, || format!("{} calls, {} answer bytes", server.puts(), server.answer_bytes()));
    assert_peak(&run, PEAK_KB_MAX);
    drop(run.stdin.take());
    let ended = run.end();
    let took = std::fs::metadata(&mark).unwrap().modified().unwrap().elapsed().unwrap();
    assert!(took <= BOUND + SLACK, "ended {took:?} after its child; it said:\n{}", ended.said);
    assert_eq!(ended.code, Some(4), "{}", ended.said);
    let found = ["/read", "/spooled"].map(|pointer| ended.total(pointer));
    assert_eq!(found, [(LINES, 3893); 2], "{:#}\n{}", ended.report, ended.said);
    ended
}

fn assert_peak(run: &Running, most_kb: u64) {
    let peak_kb = run.peak_kb();
    eprintln!("peak {peak_kb} kB");
    assert!(peak_kb < most_kb, "{peak_kb} kB at the most");
}

/// It is an outage and no matter of rights; and what was stored more than once is counted.
fn assert_outage_with_duplicates(ended: &Ended, server: &Server) {
    assert_eq!(ended.said.matches("CloudWatch Logs cannot be reached").count(), 1, "{}", ended.said);
    for wrong in ["cannot be sent", "credentials"] {
        assert!(!ended.said.contains(wrong), "{}", ended.said);
    }
    let duplicates = ended.report["total"]["duplicates"].as_u64().unwrap();
    let stored = server.stored();
    assert!(duplicates > 0 && stored <= LINES + duplicates, "{stored} events stored\n{:#}", ended.report);
}

#[test]
fn a_server_that_stores_and_closes_without_an_answer() {
    let server = Server::start(Manner::Closes);
    assert_outage_with_duplicates(&run_against(&server, 2), &server);
}

#[test]
fn a_server_whose_answer_is_nonsense() {
    let server = Server::start(Manner::TalksNonsense);
    assert_outage_with_duplicates(&run_against(&server, 2), &server);
}

#[test]
fn a_server_whose_answer_never_ends() {
    let server = Server::start(Manner::NeverStops);
    assert_outage_with_duplicates(&run_against(&server, 2), &server);
}

#[test]
fn a_server_that_throttles_for_ever() {
    let server = Server::start(Manner::Throttles);
    let ended = run_against(&server, 2);
    let total = &ended.report["total"];
    // Nothing was stored, so nothing is doubled; and it is no matter of rights.
    assert!(total["retries"].as_u64() > Some(0) && total["duplicates"] == 0, "{:#}", ended.report);
    assert!(!ended.said.contains("credentials"), "{}", ended.said);
}

#[test]
fn a_server_that_takes_every_call_and_says_nothing() {
    let server = Server::start(Manner::IsSilent);
    let ended = run_against(&server, 1);
    assert!(!ended.said.contains("credentials"), "{}", ended.said);
}

/// Each byte of such a line grows six-fold in JSON. More than ring, pipe and open body of a child hold.
const CONTROL_LINES: &str =
    "for n in 1 2 3 4 5 6 7 8; do head -c 1048000 /dev/zero | tr '\\0' '\\1'; echo; done; read line";
const CHILDREN: usize = 40;
/// With what is held for 40 streams: their rings are 64 MB of it, and each page of one counts twice.
const MANY_PEAK_KB_MAX: u64 = 200_000;

#[test]
fn forty_children_that_write_what_grows_in_json_at_a_server_that_says_nothing() {
    let server = Server::start(Manner::IsSilent);
    let run = Logpump::new("auto").into_cloudwatch(&server.url).with_stdin().args(&WAITS).args(&[
        "--when-full",
        "block",
        "--spool-max",
        "0",
    ]);
    let run = run.args(&["--grace", "100ms", "--flush-interval", "10ms", "--name", "app"]);
    let run = (0..CHILDREN).fold(run, |run, _| run.shell(CONTROL_LINES)).start();
    wait_for("a call", || (server.puts() > 0).then_some(()), || format!("{} calls", server.puts()));
    // All wait for their pipes once logpump has nothing more to do.
    let (mut last, mut unchanged) = (None, 0);
    let still = || {
        let now = Some((run.cpu_ticks(), run.peak_kb()));
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        (unchanged == 250).then_some(())
    };
    wait_for("logpump to come to rest", still, || format!("{} kB", run.peak_kb()));
    assert_peak(&run, MANY_PEAK_KB_MAX);
    run.signal(rustix::process::Signal::TERM);
    let ended = run.end();
    let streams = ended.report["streams"].as_array().unwrap();
    // Every child got its share.
    assert!(streams.iter().all(|stream| counted(stream, "/read").1 > 256 * 1024), "{:#}", ended.report);
    assert_eq!(ended.total("/dropped/shutdown"), ended.total("/read"), "{:#}", ended.report);
}
