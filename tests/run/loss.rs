//! CloudWatch that takes nothing: no group, no credentials, no right answer. The child is unaffected, the lines are kept
//! as long as there is time, the reason is said once with its remedy, and what is left goes to the spool.

use crate::program::{Ended, GROUP, Logpump, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// The child's code is passed on, nothing was delivered, everything is booked.
fn assert_all_spooled(ended: &Ended, code: i32, lines: u64, bytes: u64) {
    assert_all_ended(ended, "/spooled", code, (lines, bytes));
}

fn assert_all_ended(ended: &Ended, end: &str, code: i32, count: (u64, u64)) {
    assert_eq!(ended.code, Some(code), "{}", ended.said);
    let found = ["/read", "/delivered", end].map(|pointer| ended.total(pointer));
    assert_eq!(found, [count, (0, 0), count], "{:#}\n{}", ended.report, ended.said);
}

#[test]
fn a_missing_group_is_said_once_and_its_lines_are_booked() {
    on_both_engines(|engine| {
        let standin = Standin::start(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "2s"]);
        let ended = run.shell("seq 1 1000; exit 4").command(&["seq", "1", "1000"]).run();
        assert_all_spooled(&ended, 4, 2000, 2 * 3893);
        let remedy = "lines are kept: create it, or start with --create-group";
        assert_eq!(ended.said.matches(remedy).count(), 1, "{}", ended.said);
        assert_eq!(ended.said.matches("the log group does not exist").count(), 1, "{}", ended.said);
        assert!(ended.said.contains("2000 spooled"), "{}", ended.said);
        assert_eq!(standin.stats()["calls"].get("CreateLogGroup"), None);
    });
}

#[test]
fn a_group_created_while_lines_wait_gets_all_of_them() {
    on_both_engines(|engine| {
        let standin = Standin::start(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]).with_stdin();
        let mut run = run.shell("seq 1 1000; read line; seq 1001 2000").start();
        run.wait_said("the log group does not exist");
        standin.ok("CreateLogGroup", serde_json::json!({ "logGroupName": GROUP }));
        // The first half arrives although nothing else happens.
        let first_half = || (standin.stats()["events"] == 1000).then_some(());
        wait_for("the first 1000 lines", first_half, || format!("{:#}", standin.stats()));
        drop(run.stdin.take());
        let ended = run.end();
        assert_eq!(ended.total("/delivered").0, 2000, "{}", ended.said);
        let found = read_back(&standin, "sh");
        assert!(found.iter().map(|text| text.parse::<u64>().unwrap()).eq(1..=2000));
    });
}

#[test]
fn without_credentials_the_child_is_unaffected_and_the_reason_is_said() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "2s"]);
        let mut run = run.shell("seq 1 1000; exit 6");
        run.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let ended = run.run();
        assert_all_spooled(&ended, 6, 1000, 3893);
        assert_eq!(ended.said.matches("mend the credentials").count(), 1, "{}", ended.said);
        assert_eq!(standin.stats()["events"], 0);
    });
}

#[test]
fn a_wrong_secret_is_said_once() {
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--drain-timeout", "2s"]);
    let ended = run.env("AWS_SECRET_ACCESS_KEY", "wrong").command(&["seq", "1", "1000"]).run();
    assert_all_spooled(&ended, 0, 1000, 3893);
    assert_eq!(ended.said.matches("InvalidSignatureException").count(), 1, "{}", ended.said);
}

#[test]
fn without_a_region_the_child_is_unaffected_and_the_reason_is_said() {
    let run = Logpump::new("auto").env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
    let ended = run.args(&["--log-group", GROUP, "--drain-timeout", "2s"]).shell("echo hello; exit 2").run();
    assert_all_spooled(&ended, 2, 1, 6);
    assert!(ended.said.contains("region"), "{}", ended.said);
}

#[test]
fn a_directory_that_fails_later_keeps_the_lines_and_says_so() {
    // /dev/full takes nothing: every write fails as on a full disk.
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().args(&["--drain-timeout", "1s"]);
        let logs = run.place("logs");
        std::fs::create_dir(&logs).unwrap();
        std::os::unix::fs::symlink("/dev/full", logs.join("sh")).unwrap();
        let ended = run.shell("seq 1 1000; exit 4").run();
        assert_all_ended(&ended, "/dropped/shutdown", 4, (1000, 3893));
        assert!(ended.said.contains("free some space"), "{}", ended.said);
    });
}
