//! However CloudWatch, or the way to it, hangs: logpump ends within --grace + --eof-grace + --drain-timeout + 2 s after a
//! stop signal, and without --grace after its child's end. That is its promise, and no matter of speed.
//!
//! `LOGPUMP_TEST_ROUNDS` (default 2) says how often; how long the longest took is printed.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Logpump, Running};
use crate::server::{Manner, Server};
use crate::standin::Standin;
use crate::{DEADLINE, wait_for};

const WAITS: [&str; 6] = ["--grace", "300ms", "--eof-grace", "200ms", "--drain-timeout", "300ms"];
const GRACE: Duration = Duration::from_millis(300);
const AFTERWARDS: Duration = Duration::from_millis(200 + 300);
/// What the help text promises beyond them.
const PROMISED: Duration = Duration::from_secs(2);

/// Deaf to the stop signal, so that all of --grace passes, too.
const CHILD: &str = "trap '' TERM; echo hello; read line; : >\"$MARK\"; exit 4";

fn rounds() -> usize {
    std::env::var("LOGPUMP_TEST_ROUNDS").map_or(2, |rounds| rounds.parse().expect("LOGPUMP_TEST_ROUNDS is a number"))
}

/// Both ends of a run that hangs, over and over. `has_hung` says when it does.
fn assert_bounded(what: &str, start: impl Fn() -> Logpump, has_hung: impl Fn(&mut Running) -> bool) {
    assert_bounded_behind(None, what, start, has_hung);
}

/// The same, where a shell does `before` first.
fn assert_bounded_behind(
    before: Option<&str>,
    what: &str,
    start: impl Fn() -> Logpump,
    has_hung: impl Fn(&mut Running) -> bool,
) {
    let mut worst = (0, "");
    for round in 0..rounds() {
        for by_signal in [false, true] {
            let run = start().args(&WAITS).args(&["--flush-interval", "10ms"]).with_stdin();
            // What is left goes to the spool, or there is none.
            let (run, end) = match round % 2 {
                0 => (run.args(&["--spool-max", "0"]), "/dropped/shutdown"),
                _ => (run, "/spooled"),
            };
            let mark = run.place("the child ended");
            let run = run.env("MARK", &mark).shell(CHILD);
            let mut run = match before {
                Some(script) => run.behind_shell(script).with_stdin().start(),
                None => run.start(),
            };
            // Its own state is asked of it, so `wait_for` cannot have it.
            let deadline = Instant::now() + DEADLINE;
            while !has_hung(&mut run) {
                assert!(Instant::now() < deadline, "{what}: it does not hang");
                std::thread::park_timeout(Duration::from_millis(2));
            }
            let began = Instant::now();
            if by_signal {
                run.signal(Signal::TERM);
            } else {
                drop(run.stdin.take());
            }
            let ended = run.end();
            let (took, waits) = match by_signal {
                true => (began.elapsed(), GRACE + AFTERWARDS),
                false => (std::fs::metadata(&mark).map_or(began.elapsed(), |mark| since(&mark)), AFTERWARDS),
            };
            let code = if by_signal { 137 } else { 4 };
            assert_eq!(ended.code, Some(code), "{what}, round {round}: {}", ended.said);
            assert_eq!(ended.total(end), (1, 6), "{what}: {:#}\n{}", ended.report, ended.said);
            assert!(took <= waits + PROMISED, "{what}, round {round}, {by_signal}: {took:?}\n{}", ended.said);
            let by = if by_signal { "a stop signal" } else { "the child's end" };
            worst = worst.max((took.as_millis(), by));
        }
    }
    let (ms, by) = worst;
    let bounds = [AFTERWARDS, GRACE + AFTERWARDS].map(|waits| (waits + PROMISED).as_millis());
    eprintln!("{what}: {} ends, the longest {ms} ms after {by}; promised {bounds:?} ms", 2 * rounds());
}

fn since(mark: &std::fs::Metadata) -> Duration {
    mark.modified().unwrap().elapsed().unwrap()
}

#[test]
fn a_resolver_that_never_answers() {
    // An address of loopback that no resolver has, on the only port that resolv.conf can name.
    let silent = Ipv4Addr::new(127, 77, 0, 53);
    let Ok(socket) = UdpSocket::bind((silent, 53)) else {
        eprintln!("not run: only root may bind port 53 and replace /etc/resolv.conf, in a mount namespace");
        return;
    };
    socket.set_nonblocking(true).unwrap();
    let place = tempfile::tempdir().unwrap();
    let resolv = place.path().join("resolv.conf");
    std::fs::write(&resolv, format!("nameserver {silent}\n")).unwrap();
    let script = format!(
        "exec unshare --mount sh -c 'mount --bind {} /etc/resolv.conf && exec \"$@\"' sh \"$@\"",
        resolv.display()
    );
    let works = std::process::Command::new("sh").args(["-c", &script, "sh", "true"]).status().unwrap().success();
    if !works {
        eprintln!("not run: this machine lets nobody make a mount namespace");
        return;
    }
    assert_bounded_behind(
        Some(&script),
        "hanging name resolution",
        || {
            // What the last run asked for.
            while socket.recv(&mut [0; 512]).is_ok() {}
            Logpump::new("auto").into_cloudwatch("http://logs.hang.test")
        },
        |_| socket.recv(&mut [0; 512]).is_ok(),
    );
}

#[test]
fn a_connection_that_is_never_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: a plain system call on a descriptor of ours: a second listen changes the backlog.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    // Nobody accepts: when the queue is full, the kernel drops what would connect.
    let mut queued = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(connection);
    }
    assert_bounded(
        "hanging connect",
        || Logpump::new("auto").into_cloudwatch(&format!("http://{address}")),
        |run| is_connecting(run, address),
    );
}

/// The run's namespace has a socket in state SYN_SENT (02) towards the address, and not in the test's own attempts.
fn is_connecting(run: &Running, address: SocketAddr) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", run.pid())).unwrap_or_default();
    let wanted = format!("0100007F:{:04X} 02", address.port());
    sockets.lines().any(|line| line.contains(&wanted))
}

#[test]
fn a_tls_handshake_that_is_never_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hellos = Arc::new(AtomicU64::new(0));
    let counting = hellos.clone();
    let open = Mutex::new(Vec::new());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            if connection.read(&mut [0; 16]).is_ok_and(|count| count > 0) {
                counting.fetch_add(1, Ordering::Relaxed);
            }
            open.lock().unwrap().push(connection);
        }
    });
    assert_bounded(
        "hanging TLS",
        || Logpump::new("auto").into_cloudwatch(&format!("https://{address}")),
        |_| hellos.swap(0, Ordering::Relaxed) > 0,
    );
}

#[test]
fn a_call_that_is_never_answered() {
    let server = Server::start(Manner::IsSilent);
    let seen = AtomicU64::new(0);
    assert_bounded(
        "no answer",
        || Logpump::new("auto").into_cloudwatch(&server.url),
        |_| seen.swap(server.puts(), Ordering::Relaxed) < server.puts(),
    );
}

#[test]
fn a_group_that_is_missing() {
    let standin = Standin::start(&[]);
    assert_bounded(
        "missing group",
        || Logpump::new("auto").into_cloudwatch(&standin.url),
        |run| {
            run.wait_said("the log group does not exist");
            true
        },
    );
}

#[test]
fn a_credential_process_that_hangs_and_is_gone_at_the_end() {
    let place = tempfile::tempdir().unwrap();
    let (pid, config) = (place.path().join("pid"), place.path().join("config"));
    let script = place.path().join("credentials");
    std::fs::write(&script, format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000\n", pid.display())).unwrap();
    std::fs::write(&config, format!("[default]\ncredential_process = sh {}\n", script.display())).unwrap();
    let started = Mutex::new(Vec::new());
    assert_bounded(
        "hanging credential_process",
        || {
            let mut run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:9").env("AWS_CONFIG_FILE", &config);
            run.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
            run
        },
        |_| {
            let found = std::fs::read_to_string(&pid).is_ok();
            if found {
                started.lock().unwrap().push(std::fs::read_to_string(&pid).unwrap().trim().to_owned());
                std::fs::remove_file(&pid).unwrap();
            }
            found
        },
    );
    for pid in started.into_inner().unwrap() {
        let runs = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("1000"));
        wait_for("the credential_process to be gone", || (!runs()).then_some(()), || format!("{pid} runs"));
    }
}
