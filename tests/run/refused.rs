//! Events that the service calls invalid, and credentials that it no longer takes: what is good arrives, what is bad is
//! named and booked, and what a person, or a rotation, mends while logpump runs goes on.

use std::fs;
use std::path::Path;

use crate::program::{Logpump, Running, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// The numbers that `seq` writes, those that a script made bad left out.
fn numbers(last: u64, bad: &[u64]) -> Vec<String> {
    (1..=last).filter(|number| !bad.contains(number)).map(|number| number.to_string()).collect()
}

fn set_faults(standin: &Standin, script: &str) {
    assert_eq!(standin.send("POST", "/fault", &[("host", &standin.address)], script.as_bytes()).status, 200);
}

#[test]
fn bad_events_are_rejected_by_themselves_and_named_and_all_others_arrive_in_order() {
    on_both_engines(|engine| {
        for gzip in [&[][..], &["--gzip"]] {
            let standin = standin(&["--fault", "invalid:BAD"]);
            let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(gzip).args(&["--drain-timeout", "100s"]);
            // Alone, two in a row, and the very last.
            let script = "seq 1 20000 | sed 's/^77$/BAD &/; s/^1234[56]$/BAD &/; s/^20000$/BAD &/'; exit 5";
            let ended = run.shell(script).run();
            assert_eq!(ended.code, Some(5));
            let found = (ended.total("/delivered").0, ended.total("/rejected/invalid").0, ended.total("/read").0);
            assert_eq!(found, (19_996, 4, 20_000), "{:#}\n{}", ended.report, ended.said);
            assert_eq!(read_back(&standin, "sh"), numbers(20_000, &[77, 12_345, 12_346, 20_000]));
            assert!(ended.said.contains("of stream sh, each by itself"), "{}", ended.said);
            assert!(ended.said.contains("bytes: \"BAD 77\"; counted as rejected{invalid}"), "{}", ended.said);
        }
    });
}

#[test]
fn a_lone_bad_line_with_nothing_to_prove_it_is_rejected_at_the_end() {
    let standin = standin(&["--fault", "invalid:BAD"]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
    let ended = run.shell("echo BAD").run();
    assert_eq!(ended.total("/rejected/invalid"), (1, 4), "{:#}\n{}", ended.report, ended.said);
}

#[test]
fn when_every_event_is_refused_all_is_kept_and_arrives_once_it_is_mended() {
    on_both_engines(|engine| {
        let standin = standin(&["--fault", "invalid:\"x\""]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
        let mut run = run.shell("seq -f 'x%.0f' 1 3000").start();
        run.wait_said("refuses one event after the other");
        assert_eq!(standin.stats()["events"], 0);
        set_faults(&standin, "");
        let ended = run.end();
        ended.assert_all_delivered(3000, 13_893 + 3000);
        let expected: Vec<_> = numbers(3000, &[]).iter().map(|number| format!("x{number}")).collect();
        assert_eq!(read_back(&standin, "sh"), expected);
        assert_eq!(ended.said.matches("cannot be sent").count(), 1, "{}", ended.said);
    });
}

/// Delivers a first line with good credentials, is refused with bad ones, and then gets good ones again, each time by
/// what `write` (id and secret) leaves on disk. The SDK keeps what it once read: it must be made to read again.
fn rotate(prepare: impl Fn(Logpump) -> Logpump, write: impl Fn(&Path, &str, &str)) {
    let standin = standin(&[]);
    let mut run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]).with_stdin();
    run.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let place = run.place("credentials");
    write(&place, "demo", "stale");
    let run = prepare(run).args(&["--flush-interval", "10ms"]);
    let mut run = run.shell("echo one; read line; echo two; read line; echo three").start();
    run.wait_said("mend the credentials");
    assert_eq!(standin.stats()["events"], 0);
    write(&place, "demo", "demo");
    await_events(&standin, 1);
    // What is loaded now goes on working, until the service takes it no more.
    write(&place, "demo", "stale again");
    go_on(&mut run);
    await_events(&standin, 2);
    set_faults(&standin, "expired");
    go_on(&mut run);
    run.wait_said("ExpiredToken");
    set_faults(&standin, "");
    // The stale ones were loaded, and are refused; these come just in time.
    write(&place, "demo", "demo");
    drop(run.stdin.take());
    let ended = run.end();
    ended.assert_all_delivered(3, 14);
}

fn go_on(run: &mut Running) {
    std::io::Write::write_all(run.stdin.as_mut().unwrap(), b"go on\n").unwrap();
}

fn await_events(standin: &Standin, events: u64) {
    wait_for("the event", || (standin.stats()["events"] == events).then_some(()), || standin.stats().to_string());
}

#[test]
fn a_profile_that_is_rotated_on_disk_is_read_again() {
    let prepare = |run: Logpump| {
        let place = run.place("credentials");
        run.env("AWS_SHARED_CREDENTIALS_FILE", place)
    };
    rotate(prepare, |place, id, secret| {
        replace(place, &format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"));
    });
}

#[test]
fn a_credential_process_is_asked_again() {
    let prepare = |run: Logpump| {
        let (config, place) = (run.place("config"), run.place("credentials"));
        fs::write(&config, format!("[default]\ncredential_process = cat {}\n", place.display())).unwrap();
        run.env("AWS_CONFIG_FILE", config)
    };
    rotate(prepare, |place, id, secret| {
        let json = serde_json::json!({ "Version": 1, "AccessKeyId": id, "SecretAccessKey": secret });
        replace(place, &json.to_string());
    });
}

/// At once, as who rotates credentials does.
fn replace(place: &Path, content: &str) {
    let fresh = place.with_extension("fresh");
    fs::write(&fresh, content).unwrap();
    fs::rename(&fresh, place).unwrap();
}
