//! The program itself: start, end, TLS, latency.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;

use crate::client::{DEADLINE, DEMO, Standin, exchange, now};

#[test]
fn sigterm_and_sigint_end_it_with_code_0_even_with_calls_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let standin = Standin::start(&["--latency", "1h"]);
        let call = hanging_call(&standin);
        wait_for_calls_in_flight(&standin, 1);
        kill_process(Pid::from_raw(standin.pid() as i32).unwrap(), signal).unwrap();
        assert_eq!(standin.wait().code(), Some(0));
        drop(call);
    }
}

#[test]
fn a_delayed_answer_holds_up_no_other_call() {
    let standin = Standin::start(&["--latency", "1h"]);
    let calls: Vec<TcpStream> = (0..5).map(|_| hanging_call(&standin)).collect();
    wait_for_calls_in_flight(&standin, 5);
    drop(calls);
    wait_for_calls_in_flight(&standin, 0);
    assert_eq!(standin.stats()["calls_in_flight_max"], 5);
}

/// A call that is sent and whose answer is not read.
fn hanging_call(standin: &Standin) -> TcpStream {
    let mut stream = TcpStream::connect(&standin.address).unwrap();
    let headers = now(&DEMO).headers(&standin.address, "DescribeLogGroups", b"{}");
    let mut request = "POST / HTTP/1.1\r\ncontent-length: 2\r\n".to_owned();
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    std::io::Write::write_all(&mut stream, format!("{request}\r\n{{}}").as_bytes()).unwrap();
    stream
}

fn wait_for_calls_in_flight(standin: &Standin, wanted: u64) {
    let begun = Instant::now();
    loop {
        let stats = standin.stats();
        if stats["calls_in_flight"] == wanted {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "never {wanted} calls in flight: {stats}");
    }
}

#[test]
fn calls_follow_each_other_on_one_connection_even_after_a_refusal() {
    let standin = Standin::start(&[]);
    let mut stream = TcpStream::connect(&standin.address).unwrap();
    for (body, status) in [("{}", 200), ("{", 400), ("{}", 200)] {
        let headers = now(&DEMO).headers(&standin.address, "DescribeLogGroups", body.as_bytes());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(exchange(&mut stream, "POST", "/", &headers, body.as_bytes()).status, status);
    }
}

#[test]
fn over_tls_the_written_authority_vouches_for_both_names() {
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    let standin = Standin::start(&["--tls", "--cert-out", authority.to_str().unwrap(), "--group", "g"]);
    assert!(standin.url.starts_with("https://127.0.0.1:"), "{}", standin.url);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    for name in ["localhost", "127.0.0.1"] {
        let name = ServerName::try_from(name).unwrap();
        let session = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(&standin.address).unwrap());
        let headers = now(&DEMO).headers(&standin.address, "DescribeLogGroups", b"{}");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = exchange(&mut stream, "POST", "/", &headers, b"{}");
        assert_eq!((reply.status, &reply.json()["logGroups"][0]["logGroupName"]), (200, &json!("g")));
    }
}

#[test]
fn wrong_usage_ends_with_64_and_a_taken_port_with_69() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cloudwatch-standin")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for args in [
        &["--latency", "soon"][..],
        &["--nothing"],
        &["--group", "a b", "--listen", "127.0.0.1:0"],
        &["--cert-out", "/tmp/x", "--listen", "127.0.0.1:0"],
        &["--fault", "tls-hang", "--listen", "127.0.0.1:0"],
        &["--fault-file", "/nothing/here", "--listen", "127.0.0.1:0"],
    ] {
        let (code, message) = run(args);
        assert_eq!(code, Some(64), "{args:?}: {message}");
    }
    let standin = Standin::start(&[]);
    let (code, message) = run(&["--listen", &standin.address]);
    assert_eq!(code, Some(69));
    assert!(message.contains(&standin.address) && message.contains("--listen 127.0.0.1:0"), "{message}");
}

#[test]
fn the_environment_gives_what_the_command_line_does_not() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudwatch-standin"))
        .env("CLOUDWATCH_STANDIN_LISTEN", "127.0.0.1:0")
        .env("CLOUDWATCH_STANDIN_GROUP", "good,not good")
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(message.contains("--group not good: "), "{message}");
}
