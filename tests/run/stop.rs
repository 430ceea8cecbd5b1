//! SIGTERM and SIGINT to logpump: the last words arrive, and every wait ends.

use rustix::process::Signal;

use crate::program::{Logpump, Running, read_back, standin};
use crate::standin::Standin;
use crate::{on_both_engines, wait_for};

/// In Python, since a shell's traps wait for what runs in it, which gets the signal as well and is told of.
/// Says a last word on TERM and ends with 9.
pub const POLITE: &str = "
import os, signal
def told(*_):
    print('last word', flush=True)
    os._exit(9)
signal.signal(signal.SIGTERM, told)
print('ready', flush=True)
while True:
    signal.pause()
";
const STUBBORN: &str = "
import signal
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
print('ready', flush=True)
while True:
    signal.pause()
";
/// Says the names of the signals that it is told; after USR2 it ends with 9.
const ATTENTIVE: &str = "
import os, signal
def told(number, _):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGUSR2:
        os._exit(9)
for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGQUIT, signal.SIGABRT):
    signal.signal(number, told)
print('ready', flush=True)
while True:
    signal.pause()
";
/// Ends when all in this directory have been told.
const TOGETHER: &str = "
import os, signal, sys
place, own = sys.argv[1:]
def told(*_):
    print('told', flush=True)
    open(f'{place}/{own}', 'w').close()
    while len(os.listdir(place)) < 3:
        pass
    os._exit(10 + int(own))
signal.signal(signal.SIGTERM, told)
print('ready', flush=True)
while True:
    signal.pause()
";

fn wait_for_ready(standin: &Standin) {
    wait_for("the first line", || (standin.stats()["events"] == 1).then_some(()), || standin.stats().to_string());
}

fn start(engine: &str, standin: &Standin, options: &[&str], program: &str) -> Running {
    let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--flush-interval", "10ms"]);
    let run = run.args(options).command(&["python3", "-c", program]).start();
    wait_for_ready(standin);
    run
}

#[test]
fn last_words_are_delivered_and_the_code_is_passed_on() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = start(engine, &standin, &[], POLITE);
        run.signal(Signal::TERM);
        let ended = run.end();
        assert_eq!(ended.code, Some(9), "{}", ended.said);
        assert_eq!(read_back(&standin, "python3"), ["ready", "last word"]);
        ended.assert_all_delivered(2, 16);
        assert!(ended.said.contains("SIGTERM: stopping"), "{}", ended.said);
    });
}

#[test]
fn last_words_are_in_the_file_too() {
    on_both_engines(|engine| {
        let run = Logpump::new(engine).into_files().command(&["python3", "-c", POLITE]).start();
        let file = || String::from_utf8_lossy(&run.file("python3")).into_owned();
        wait_for("the first line", || (file() == "ready\n").then_some(()), file);
        run.signal(Signal::TERM);
        let ended = run.end();
        assert_eq!((ended.code, ended.file("python3")), (Some(9), b"ready\nlast word\n".to_vec()), "{}", ended.said);
    });
}

#[test]
fn a_child_that_ignores_the_stop_is_killed_after_the_grace() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = start(engine, &standin, &["--grace", "200ms"], STUBBORN);
        run.signal(Signal::TERM);
        let ended = run.end();
        assert_eq!(ended.code, Some(137), "{}", ended.said);
        ended.assert_all_delivered(1, 6);
    });
}

#[test]
fn a_second_signal_ends_the_grace_at_once() {
    let standin = standin(&[]);
    let mut run = start("auto", &standin, &["--grace", "1h"], STUBBORN);
    run.signal(Signal::TERM);
    run.wait_said("SIGTERM: stopping");
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.code, Some(137), "{}", ended.said);
    assert!(ended.said.contains("a second stop signal"), "{}", ended.said);
    ended.assert_all_delivered(1, 6);
}

#[test]
fn a_signal_after_those_that_killed_ends_the_delivery() {
    let run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:9");
    let run = run.args(&["--grace", "1h", "--drain-timeout", "1h"]).with_stdin();
    let mut run = run.shell("trap '' TERM INT; echo kept; read line").start();
    run.wait_said("cannot be reached");
    run.signal(Signal::TERM);
    run.wait_said("SIGTERM: stopping");
    run.signal(Signal::INT);
    run.wait_said("sh ended");
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.code, Some(137), "{}", ended.said);
    assert_eq!(ended.total("/spooled"), (1, 5), "{}", ended.said);
}

#[test]
fn every_command_is_told_at_the_same_time() {
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--flush-interval", "10ms", "--name", "app"]);
    // Each ends only when all have been told: one after another would never end.
    let place = tempfile::tempdir().unwrap();
    let run = ["1", "2", "3"]
        .iter()
        .fold(run, |run, number| run.command(&["python3", "-c", TOGETHER, place.path().to_str().unwrap(), number]));
    let run = run.start();
    wait_for("three lines", || (standin.stats()["events"] == 3).then_some(()), || standin.stats().to_string());
    run.signal(Signal::TERM);
    let ended = run.end();
    assert!(matches!(ended.code, Some(11..=13)), "{:?}: {}", ended.code, ended.said);
    ended.assert_all_delivered(6, 33);
}

#[test]
fn other_signals_are_passed_on_and_stop_nothing() {
    let standin = standin(&[]);
    let run = start("auto", &standin, &[], ATTENTIVE);
    let signals = [Signal::HUP, Signal::USR1, Signal::WINCH, Signal::QUIT, Signal::ABORT];
    for (told, signal) in signals.into_iter().enumerate() {
        run.signal(signal);
        let arrived = || (standin.stats()["events"] == 2 + told as u64).then_some(());
        wait_for("its line", arrived, || standin.stats().to_string());
    }
    run.signal(Signal::USR2);
    let ended = run.end();
    let names = ["ready", "SIGHUP", "SIGUSR1", "SIGWINCH", "SIGQUIT", "SIGABRT", "SIGUSR2"];
    assert_eq!(read_back(&standin, "python3"), names);
    assert_eq!(ended.code, Some(9), "{}", ended.said);
    assert!(!ended.said.contains("stopping"), "{}", ended.said);
}
