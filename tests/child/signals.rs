//! Signals passed on, and the order of a stop.

use std::time::Duration;

use crate::Test;
use crate::observed::{Observed, command, script, state_of, until};

pub const TESTS: &[Test] = &[
    ("a_signal_reaches_the_whole_group", a_signal_reaches_the_whole_group),
    ("a_signal_reaches_every_child", a_signal_reaches_every_child),
    ("real_time_signals_are_passed_on", real_time_signals_are_passed_on),
    ("a_broken_pipe_of_ours_is_no_signal_for_the_child", a_broken_pipe_of_ours_is_no_signal_for_the_child),
    ("a_faults_signal_from_outside_is_the_childs", a_faults_signal_from_outside_is_the_childs),
    ("a_stop_lets_the_child_choose_its_end", a_stop_lets_the_child_choose_its_end),
    ("a_child_deaf_to_sigterm_is_killed_after_the_grace", a_child_deaf_to_sigterm_is_killed_after_the_grace),
    ("a_second_stop_signal_ends_the_grace", a_second_stop_signal_ends_the_grace),
    ("a_stopped_child_can_still_end_at_sigterm", a_stopped_child_can_still_end_at_sigterm),
    ("what_is_left_of_a_group_is_killed_after_the_grace", what_is_left_of_a_group_is_killed_after_the_grace),
];

/// Deaf to SIGTERM and SIGINT, until killed or stdin ends.
const DEAF: &str = "trap '' TERM INT; echo ready; cat; exit 0";

fn a_signal_reaches_the_whole_group() {
    let mut observed = script(
        &[],
        "trap 'echo parent heard; heard=1' USR1
         sh -c 'trap \"echo grandchild heard; exit\" USR1; echo ready; while :; do sleep 0.02; done' &
         while [ -z \"$heard\" ]; do sleep 0.02; done
         wait",
    );
    observed.wait_for("ready");
    observed.signal(libc::SIGUSR1);
    let outcome = observed.finish();
    assert_eq!(outcome.like("parent heard").len(), 1);
    assert_eq!(outcome.like("grandchild heard").len(), 1);
    assert_eq!(outcome.like("stop began"), [""; 0]);
}

fn a_signal_reaches_every_child() {
    let child = "trap 'exit 4' HUP; echo ready $0; while :; do sleep 0.02; done";
    let words = ["--", "sh", "-c", child, "one", "--", "sh", "-c", child, "two"];
    let mut observed = Observed::start(command(&words));
    observed.wait_for("ready one");
    observed.wait_for("ready two");
    observed.signal(libc::SIGHUP);
    let outcome = observed.finish();
    let mut ends = outcome.like("ended");
    ends.sort_unstable();
    assert_eq!(ends, ["ended 0 exit code 4", "ended 1 exit code 4"]);
}

fn real_time_signals_are_passed_on() {
    let signal = libc::SIGRTMIN() + 6;
    let child = format!("trap 'exit 5' {signal}; echo ready; while :; do sleep 0.02; done");
    let mut observed = script(&[], &child);
    observed.wait_for("ready");
    observed.signal(signal);
    assert_eq!(observed.finish().like("ended"), ["ended 0 exit code 5"]);
}

fn a_broken_pipe_of_ours_is_no_signal_for_the_child() {
    let mut observed = script(
        &["--broken-write"],
        "trap 'echo heard PIPE' PIPE; trap 'echo heard USR1' USR1
         echo ready; while :; do sleep 0.02; done",
    );
    observed.wait_for("broken write done");
    observed.wait_for("ready");
    observed.signal(libc::SIGUSR1);
    observed.wait_for("heard USR1");
    assert!(!observed.seen("heard PIPE"));
    // But somebody else's is one.
    observed.signal(libc::SIGPIPE);
    observed.wait_for("heard PIPE");
    observed.signal(libc::SIGTERM);
    observed.finish();
}

fn a_faults_signal_from_outside_is_the_childs() {
    for (fault, name) in [(libc::SIGABRT, "ABRT"), (libc::SIGSYS, "SYS"), (libc::SIGTRAP, "TRAP")] {
        let trap = format!("trap 'echo heard {name}; exit 6' {name}; echo ready; while :; do sleep 0.02; done");
        let mut observed = script(&[], &trap);
        observed.wait_for("ready");
        observed.signal(fault);
        observed.wait_for(&format!("heard {name}"));
        assert_eq!(observed.finish().like("ended"), ["ended 0 exit code 6"]);
    }
}

fn a_stop_lets_the_child_choose_its_end() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut observed = script(&[], "trap 'echo ending; exit 9' TERM INT; echo ready; while :; do sleep 0.02; done");
        observed.wait_for("ready");
        observed.signal(signal);
        let outcome = observed.finish();
        assert_eq!(outcome.like("stop"), [format!("stop began {signal}")]);
        assert_eq!(outcome.like("ending").len(), 1);
        assert_eq!(outcome.like("ended"), ["ended 0 exit code 9"]);
        assert_eq!(outcome.code(), 9);
    }
}

fn a_child_deaf_to_sigterm_is_killed_after_the_grace() {
    let mut observed = script(&["--grace-ms", "100"], DEAF);
    observed.wait_for("ready");
    observed.signal(libc::SIGTERM);
    observed.wait_for("ended");
    let outcome = observed.finish();
    assert_eq!(outcome.like("stop"), ["stop began 15"]);
    assert_eq!(outcome.like("ended"), ["ended 0 SIGKILL (exit code 137)"]);
}

fn a_second_stop_signal_ends_the_grace() {
    // The other signal, at once.
    let mut observed = script(&[], DEAF);
    observed.wait_for("ready");
    observed.signal(libc::SIGTERM);
    observed.wait_for("stop began 15");
    observed.signal(libc::SIGINT);
    observed.wait_for("ended");
    let outcome = observed.finish();
    assert_eq!(outcome.like("stop"), ["stop began 15", "stop hastened"]);
    assert_eq!(outcome.like("ended"), ["ended 0 SIGKILL (exit code 137)"]);

    // The same one, later than anybody would repeat himself.
    let mut observed = script(&[], DEAF);
    observed.wait_for("ready");
    observed.signal(libc::SIGTERM);
    observed.wait_for("stop began 15");
    std::thread::sleep(Duration::from_millis(10));
    observed.signal(libc::SIGTERM);
    observed.wait_for("ended");
    let outcome = observed.finish();
    assert_eq!(outcome.like("stop"), ["stop began 15", "stop hastened"]);
}

fn a_stopped_child_can_still_end_at_sigterm() {
    let mut observed = script(&[], "trap 'exit 4' TERM; echo child $$; kill -STOP $$; while :; do sleep 0.02; done");
    let line = observed.wait_for("child ");
    let child = line.strip_prefix("child ").unwrap();
    until("the child is stopped", || state_of(child) == Some('T'));
    observed.signal(libc::SIGTERM);
    assert_eq!(observed.finish().like("ended"), ["ended 0 exit code 4"]);
}

fn what_is_left_of_a_group_is_killed_after_the_grace() {
    // The first child leaves a deaf grandchild behind; the second keeps the supervisor running.
    let leaves = "sh -c 'trap \"\" TERM; echo grandchild $$; exec sleep 3600' &
                  trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let words = ["--grace-ms", "300", "--", "sh", "-c", leaves, "--", "sh", "-c", DEAF];
    let mut observed = Observed::start(command(&words));
    observed.wait_for("ready");
    let line = observed.wait_for("grandchild ");
    let grandchild = line.strip_prefix("grandchild ").unwrap().to_owned();
    observed.signal(libc::SIGTERM);
    observed.wait_for("ended 0 exit code 0");
    observed.wait_for("ended 1 SIGKILL");
    let gone = || state_of(&grandchild).is_none_or(|state| state == 'Z');
    until("the grandchild is gone", gone);
    observed.finish();
}
