//! The whole program on real input: real children and real pipes, servers on loopback; what arrives is held against what
//! was written. Knows logpump as its user does: arguments, environment, exit code, files, messages, the report.

#[path = "../common/standin.rs"]
#[allow(dead_code, reason = "the server's own tests use the rest")]
mod standin;
#[path = "../common/venv.rs"]
mod venv;

mod bounded;
mod causes;
mod closed;
mod config;
mod damaged;
mod doctor;
mod doctor_mwaa;
mod ends;
mod faults;
mod files;
mod frozen;
mod health;
mod help;
mod hostile;
mod incumbent;
mod init;
mod killed;
mod loss;
mod many;
mod moto;
mod mwaa;
mod outage;
mod overload;
mod own_disk;
mod places;
mod probe;
mod program;
mod refused;
mod removed;
mod sealed;
mod secrets;
mod server;
mod service;
mod spool;
mod spoolless;
mod stop;
mod stuck;
mod terminal;
mod transform;
mod unprivileged;
mod ways;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use program::{Logpump, suite_engine};

/// How long anything may take that takes moments when all is well. Generous: other tests run beside it.
const DEADLINE: Duration = Duration::from_secs(120);

/// The same case on each engine that this machine has, or on the suite's alone.
fn on_both_engines(case: impl Fn(&'static str)) {
    let suite = suite_engine();
    if let Some(engine) = ["uring", "epoll"].into_iter().find(|engine| suite.as_deref() == Some(*engine)) {
        return case(engine);
    }
    static REFUSED: OnceLock<bool> = OnceLock::new();
    let refused = *REFUSED.get_or_init(|| {
        let ended = Logpump::new("uring").arg("--sink").arg("null").command(&["true"]).run_without_report();
        assert!(matches!(ended.code, Some(0 | 69)), "{:?}: {}", ended.code, ended.said);
        ended.code == Some(69)
    });
    if refused {
        eprintln!("io_uring is refused on this machine: epoll alone is tested");
    } else {
        eprintln!("engine uring:");
        case("uring");
    }
    eprintln!("engine epoll:");
    case("epoll");
}

/// Asks until there is an answer; `state` tells what there was instead when the deadline passes.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>, state: impl Fn() -> String) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}; {}", state());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Both byte strings are long: says where they part instead of printing them.
fn assert_same_bytes(found: &[u8], expected: &[u8]) {
    if found == expected {
        return;
    }
    let at = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let around = |bytes: &[u8]| {
        let window = &bytes[at.saturating_sub(60).min(bytes.len())..(at + 60).min(bytes.len())];
        String::from_utf8_lossy(window).into_owned()
    };
    panic!(
        "{} bytes instead of {}, different from byte {at} on:\nfound    {:?}\nexpected {:?}",
        found.len(),
        expected.len(),
        around(found),
        around(expected)
    );
}
