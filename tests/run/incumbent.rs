//! The faults that the Python entrypoint of Amazon MWAA's images shows when it is run, one by one: that they do not exist
//! here. The orphans are in `init`. `docs/MWAA.md` names these tests.

use std::fs;

use rustix::process::Signal;

use crate::mwaa::{arn, container};
use crate::program::{Ended, Logpump, Running, read_back, standin};
use crate::standin::Standin;
use crate::wait_for;

/// What each `airflow` begins with: its name, a file beside the report, and waiting for one.
const COMMON: &str = r#"#!/usr/bin/env python3
import fcntl, os, signal, struct, sys, termios, time
own = '-'.join(sys.argv[1:])
def place(name): return os.path.join(os.environ['READY'], name)
def touch(name): open(place(name), 'w').close()
def until(done):
    while not done(): time.sleep(0.005)
def there(*names): return lambda: all(os.path.exists(place(name)) for name in names)
def say(text): os.write(1, text.encode())
def unread(): return struct.unpack('i', fcntl.ioctl(1, termios.FIONREAD, b'\0' * 4))[0]
"#;
const SCHEDULERS: [&str; 3] = ["scheduler", "dag-processor", "triggerer"];

/// A scheduler container in which everything is sent, and airflow is this.
fn scheduler(airflow: &str, standin: &Standin) -> Logpump {
    let group = arn("/run/tests");
    let mut variables = Vec::new();
    for source in ["SCHEDULER", "DAGPROCESSOR", "TRIGGERER"] {
        variables.push((format!("MWAA__LOGGING__AIRFLOW_{source}_LOG_GROUP_ARN"), group.as_str()));
        variables.push((format!("MWAA__LOGGING__AIRFLOW_{source}_LOGS_ENABLED"), "true"));
    }
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut run = container(&format!("{COMMON}{airflow}"), "scheduler", &standin.url, &variables);
    run.command.args(["--drain-timeout", "100s"]);
    run
}

fn wait_for_files(running: &Running, names: &[String]) {
    for name in names {
        wait_for(name, || running.place(name).exists().then_some(()), String::new);
    }
}

fn of_each(prefix: &str) -> Vec<String> {
    SCHEDULERS.map(|own| format!("{prefix}-{own}")).to_vec()
}

/// Stopped when all three are ready.
fn stopped(airflow: &str, standin: &Standin) -> Ended {
    let running = scheduler(airflow, standin).start();
    wait_for_files(&running, &of_each("ready"));
    running.signal(Signal::TERM);
    running.end()
}

/// What arrived in the stream of the container's process of this number.
fn arrived(ended: &Ended, standin: &Standin, number: usize) -> Vec<String> {
    read_back(standin, ended.report["streams"][number]["stream"].as_str().unwrap())
}

#[test]
fn a_line_that_is_written_in_two_parts_is_one_event() {
    let standin = standin(&[]);
    // The first part has left the pipe before the second is written.
    let airflow = "
say('one line, ')
until(lambda: unread() == 0)
touch('read-' + own)
until(there('go'))
say('in two parts\\nand another\\n')
";
    let running = scheduler(airflow, &standin).start();
    wait_for_files(&running, &of_each("read"));
    fs::write(running.place("go"), b"").unwrap();
    let ended = running.end();
    // All end by themselves, and the first one's end stops the others: that one has said all.
    let all: Vec<_> = (0..3).map(|number| arrived(&ended, &standin, number)).collect();
    assert!(
        all.contains(&vec!["one line, in two parts".to_owned(), "and another".to_owned()]),
        "{all:?}\n{}",
        ended.said
    );
    assert!(all.iter().flatten().all(|line| line != "in two parts"), "{all:?}");
}

#[test]
fn a_grandchilds_last_words_after_the_processs_end_arrive() {
    let standin = standin(&[]);
    let airflow = "
if own == 'scheduler':
    parent = os.getpid()
    # The leader's end stops all, its group as well.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        until(lambda: os.getppid() != parent)
        say('last words\\n')
        os._exit(0)
    say('before\\n')
    os._exit(0)
until(lambda: False)
";
    let ended = scheduler(airflow, &standin).run();
    assert_eq!(arrived(&ended, &standin, 0), ["before", "last words"], "{}", ended.said);
    assert_eq!(ended.code, Some(0));
}

/// None ends before all have been told: were one told after the other's end, that would be at SIGKILL.
#[test]
fn sigterm_reaches_all_processes_before_any_has_ended() {
    let standin = standin(&[]);
    let airflow = "
def told(*_):
    touch('told-' + own)
    until(there('told-scheduler', 'told-dag-processor', 'told-triggerer'))
    say('all are told\\n')
    os._exit(0)
signal.signal(signal.SIGTERM, told)
touch('ready-' + own)
until(lambda: False)
";
    let ended = stopped(airflow, &standin);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    for number in 0..3 {
        assert_eq!(arrived(&ended, &standin, number), ["all are told"], "{}", ended.said);
    }
}

#[test]
fn a_failed_process_stops_the_others_and_its_code_is_passed_on() {
    let standin = standin(&[]);
    let airflow = "
def told(*_):
    say('told\\n')
    os._exit(0)
signal.signal(signal.SIGTERM, told)
touch('ready-' + own)
if own == 'dag-processor':
    until(there('ready-scheduler', 'ready-triggerer'))
    os._exit(3)
until(lambda: False)
";
    let ended = scheduler(airflow, &standin).run();
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    for number in [0, 2] {
        assert_eq!(arrived(&ended, &standin, number), ["told"], "{}", ended.said);
    }
}

#[test]
fn a_line_of_a_megabyte_arrives_whole_though_the_service_fails_seven_times() {
    let standin = standin(&["--fault", "500:calls=7"]);
    let airflow = "
if own == 'scheduler':
    say('x' * 1000000 + '\\n' + 'y' * 300000 + '\\n')
    os._exit(0)
until(lambda: False)
";
    let ended = scheduler(airflow, &standin).run();
    let lengths: Vec<_> = arrived(&ended, &standin, 0).iter().map(String::len).collect();
    assert_eq!(lengths, [1_000_000, 300_000], "{}", ended.said);
    assert!(ended.report["streams"][0]["retries"].as_u64() >= Some(7), "{:#}", ended.report["streams"][0]);
    assert_eq!(ended.total("/delivered"), (2, 1_300_002));
}

#[test]
fn all_that_is_written_while_it_stops_arrives_once_and_in_order() {
    let standin = standin(&[]);
    let airflow = "
def told(*_):
    say(''.join(f'{number}\\n' for number in range(20000)))
    os._exit(0)
signal.signal(signal.SIGTERM, told)
def say(text):
    rest = text.encode()
    while rest: rest = rest[os.write(1, rest):]
touch('ready-' + own)
until(lambda: False)
";
    let ended = stopped(airflow, &standin);
    let expected: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
    for number in 0..3 {
        let found = arrived(&ended, &standin, number);
        assert!(found == expected, "{} lines of stream {number}\n{}", found.len(), ended.said);
    }
    assert_eq!((ended.code, ended.total("/delivered").0), (Some(0), 60_000), "{}", ended.said);
}
