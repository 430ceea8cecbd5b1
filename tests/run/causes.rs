//! Messages: each names the cause that it has, where what it speaks of is, and what to do; and what debug tells beside.

use std::net::TcpListener;

use crate::on_both_engines;
use crate::outage::free_address;
use crate::program::{GROUP, Logpump, standin};
use crate::standin::Standin;

#[test]
fn without_a_region_it_is_said_how_to_give_one() {
    let standin = standin(&[]);
    for endpoint in [Some(&standin.url), None] {
        let run = Logpump::new("auto").args(&["--log-group", GROUP, "--drain-timeout", "1s"]);
        let mut run = run.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
        match endpoint {
            Some(url) => run = run.env("AWS_ENDPOINT_URL", url),
            None => drop(run.command.env_remove("AWS_ENDPOINT_URL")),
        }
        let ended = run.command(&["echo", "hello"]).run();
        let expected = "no region is known: set AWS_REGION, give --region, or name the log group by its ARN";
        assert_eq!(ended.said.matches(expected).count(), 1, "{}", ended.said);
        assert!(!ended.said.contains("Missing Region") && !ended.said.contains("signing region"), "{}", ended.said);
    }
}

#[test]
fn what_stood_in_the_way_at_the_end_is_named_before_the_last_report() {
    on_both_engines(|engine| {
        let throttled = standin(&["--fault", "throttle"]);
        // Connections are accepted by the kernel; nobody ever reads from them.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent_url = format!("http://{}", silent.local_addr().unwrap());
        for (url, cause) in [
            (&throttled.url, "CloudWatch Logs has throttled calls for "),
            (&silent_url, "CloudWatch Logs has not answered 1 call, one of them for "),
        ] {
            let run = Logpump::new(engine).into_cloudwatch(url).args(&["--drain-timeout", "2s"]);
            let ended = run.command(&["seq", "10"]).run();
            let at = |text: &str| ended.said.find(text).unwrap_or_else(|| panic!("no {text:?} in:\n{}", ended.said));
            assert!(at(cause) < at("10 spooled"), "{}", ended.said);
            assert_eq!(ended.said.matches(cause).count(), 1, "{}", ended.said);
        }
    });
}

#[test]
fn one_lost_answer_is_called_that() {
    let standin = standin(&["--fault", "lost:calls=1"]);
    let ended = Logpump::new("auto").into_cloudwatch(&standin.url).command(&["seq", "10"]).run();
    assert_eq!(ended.total("/delivered").0, 10, "{}", ended.said);
    assert_eq!(ended.said.matches("the answer to a call to CloudWatch Logs was lost: ").count(), 1, "{}", ended.said);
    assert!(!ended.said.contains("cannot be reached") && !ended.said.contains("answers again"), "{}", ended.said);
}

#[test]
fn a_group_that_only_an_ended_run_wrote_to_is_not_told_as_this_runs_own() {
    let standin = standin(&[]);
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("kept");
    let run = |group: &str| {
        let run = Logpump::new("auto").env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
        let run = run.args(&["--log-group", group, "--region", "eu-central-1", "--log-stream", "{name}"]);
        run.args(&["--endpoint-url", &standin.url, "--drain-timeout", "1s"]).arg("--spool-dir").arg(&spool)
    };
    let first = run("/gone").command(&["seq", "10"]).run();
    assert_eq!(first.total("/spooled").0, 10, "{}", first.said);
    assert!(first.said.contains("the log group does not exist: /gone"), "{}", first.said);
    let kept = format!("--spool-dir {}: what is spooled waits there", spool.display());
    assert!(first.said.contains(&kept), "{}", first.said);
    let mut second = run(GROUP).with_stdin().shell("echo hello; read line").start();
    second.wait_said("an ended run left lines for log group /gone, which does not exist in ");
    drop(second.stdin.take());
    let second = second.end();
    assert_eq!(second.total("/delivered").0, 1, "{}", second.said);
    assert!(!second.said.contains("the log group does not exist: "), "{}", second.said);
    for line in second.said.lines().filter(|line| line.contains("ended run left")) {
        assert!(line.contains(&format!("--spool-dir {}: ", spool.display())), "{line}");
    }
}

#[test]
fn debug_tells_each_call_and_no_text_and_info_tells_none() {
    let standin = standin(&["--fault", "throttle:calls=1"]);
    let run = |level: &str| {
        let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--log-level", level]);
        run.env("AWS_SECRET_ACCESS_KEY", "demo").shell("echo marked-line; echo another")
    };
    let debug = run("debug").run();
    for expected in [
        "DEBUG CreateLogStream ms=",
        "DEBUG PutLogEvents ms=",
        " events=2 bytes=",
        " stream=sh group=/run/tests status=throttled",
        " stream=sh group=/run/tests status=accepted",
        "DEBUG throttled: calls are limited calls_per_s=",
    ] {
        assert!(debug.said.contains(expected), "{expected:?} is not in:\n{}", debug.said);
    }
    assert!(!debug.said.contains("marked-line"), "{}", debug.said);
    let info = run("info").run();
    assert!(!info.said.contains("PutLogEvents") && !info.said.contains("DEBUG"), "{}", info.said);
}

#[test]
fn debug_tells_of_segments_and_adoptions() {
    let address = free_address();
    let place = tempfile::tempdir().unwrap();
    let run = |level: &str| {
        let run = Logpump::new("auto").into_cloudwatch(&format!("http://{address}")).args(&["--log-level", level]);
        run.args(&["--spool-dir", place.path().to_str().unwrap(), "--drain-timeout", "1s"])
    };
    let first = run("debug").command(&["seq", "10"]).run();
    assert!(first.said.contains("DEBUG a segment of the spool is opened"), "{}", first.said);
    let standin = Standin::start_at(&address, &["--group", GROUP]);
    let second = run("debug").command(&["seq", "10"]).run();
    assert!(second.said.contains("DEBUG a run's spool is adopted run=1 bodies=1 lines=10"), "{}", second.said);
    assert!(second.said.contains("DEBUG a segment of the spool is done, and deleted run=1"), "{}", second.said);
    assert_eq!(standin.stats()["events"], 20);
}
