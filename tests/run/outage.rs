//! CloudWatch that is away: at the start, in the middle, for good.

use std::fs;
use std::net::TcpListener;

use rustix::process::{Pid, Signal, kill_process};

use crate::many::PEAK_KB_MAX;
use crate::program::{GROUP, Logpump, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// A port of loopback on which nobody listens.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn an_endpoint_that_comes_after_the_child_has_ended_gets_every_line() {
    on_both_engines(|engine| {
        let address = free_address();
        let run = Logpump::new(engine).into_cloudwatch(&format!("http://{address}"));
        let mut run = run.args(&["--drain-timeout", "100s"]).shell("seq 1 5000; exit 3").start();
        run.wait_said("CloudWatch Logs cannot be reached");
        run.wait_said("sh ended");
        // The child did not wait for what is there only now.
        let standin = Standin::start_at(&address, &["--group", GROUP]);
        let ended = run.end();
        assert_eq!(ended.code, Some(3));
        let found = read_back(&standin, "sh");
        assert!(found.iter().map(|text| text.parse::<u64>().unwrap()).eq(1..=5000), "{} lines", found.len());
        assert_eq!(ended.total("/delivered").0, 5000, "{}", ended.said);
        assert!(ended.said.contains("CloudWatch Logs answers again"), "{}", ended.said);
        assert_eq!(ended.said.matches("cannot be reached").count(), 1, "{}", ended.said);
    });
}

#[test]
fn a_server_that_goes_and_comes_back_gets_what_was_written_meanwhile() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let address = standin.address.clone();
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--flush-interval", "10ms"]).with_stdin();
        let run = run.args(&["--drain-timeout", "100s"]);
        let mut run = run.shell("seq 1 1000; read line; seq 1001 2000; read line; seq 2001 3000").start();
        let first = || (standin.stats()["events"] == 1000).then_some(());
        wait_for("the first 1000 lines", first, || standin.stats().to_string());
        drop(standin);
        let mut stdin = run.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"go on\n").unwrap();
        run.wait_said("CloudWatch Logs cannot be reached");
        // The one that comes back has forgotten the stream, so that is made again.
        let standin = Standin::start_at(&address, &["--group", GROUP]);
        run.wait_said("CloudWatch Logs answers again");
        drop(stdin);
        let ended = run.end();
        assert_eq!(ended.total("/delivered").0, 3000, "{:#}\n{}", ended.report, ended.said);
        let found = read_back(&standin, "sh");
        assert!(found.iter().map(|text| text.parse::<u64>().unwrap()).eq(1001..=3000), "{} lines", found.len());
    });
}

#[test]
fn an_endpoint_that_never_answers_ends_inside_the_bound_and_is_booked() {
    on_both_engines(|engine| {
        // Connections are accepted by the kernel; nobody ever reads from them.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let run =
            Logpump::new(engine).into_cloudwatch(&url).args(&["--drain-timeout", "1s", "--flush-interval", "10ms"]);
        let ended = run.shell("seq 1 1000; exit 4").run();
        assert_eq!(ended.code, Some(4));
        let found = ["/read", "/spooled"].map(|pointer| ended.total(pointer));
        assert_eq!(found, [(1000, 3893); 2], "{:#}\n{}", ended.report, ended.said);
        drop(listener);
    });
}

#[test]
fn a_stop_while_the_endpoint_hangs_ends_inside_the_bound() {
    on_both_engines(|engine| {
        let standin = standin(&["--latency", "1h"]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url);
        let run = run.args(&["--grace", "100ms", "--drain-timeout", "1s", "--flush-interval", "10ms"]);
        let run = run.shell("trap '' TERM; seq 1 1000; while :; do sleep 0.01; done").start();
        let in_flight = || (standin.stats()["calls_in_flight"].as_u64()? > 0).then_some(());
        wait_for("a call", in_flight, || standin.stats().to_string());
        run.signal(Signal::TERM);
        let ended = run.end();
        assert_eq!(ended.code, Some(137), "{}", ended.said);
        assert_eq!(ended.total("/spooled"), ended.total("/read"), "{:#}", ended.report);
        assert_eq!(ended.total("/read").0, 1000);
    });
}

#[test]
fn without_a_spool_a_stopped_upstream_makes_a_writer_that_may_wait_wait_and_loses_nothing() {
    let standin = standin(&["--no-verify"]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
    let run = run.args(&["--spool-max", "0", "--when-full", "block", "--memory-max", "16MiB"]);
    // More than memory holds.
    let server = Pid::from_raw(standin.pid() as i32).unwrap();
    kill_process(server, Signal::STOP).unwrap();
    let load = env!("CARGO_BIN_EXE_logpump-load");
    let run = run.command(&[load, "write", "--count", "200000", "--mode", "bulk", "--no-times"]).start();
    let written = || fs::read_to_string(format!("/proc/{}/io", run.child_pid()?)).ok();
    let (mut last, mut unchanged) = (None, 0);
    let waits = || {
        let now = written();
        unchanged = if now.is_some() && now == last { unchanged + 1 } else { 0 };
        last = now;
        (unchanged == 100).then_some(())
    };
    wait_for("the writer to wait for its pipe", waits, || format!("{:?}", written()));
    assert!(run.peak_kb() < PEAK_KB_MAX, "{} kB at the most", run.peak_kb());
    kill_process(server, Signal::CONT).unwrap();
    let ended = run.end();
    ended.assert_all_delivered(200_000, 30_000_000);
    assert_eq!(read_back(&standin, "logpump-load").len(), 200_000);
}
