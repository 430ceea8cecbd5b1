//! Faults on purpose: each as a client meets it, what it leaves behind, and how they are set.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{DEADLINE, DEMO, Reply, Standin, now};
use crate::{create_stream, get, messages, now_ms, put, with_stream};

/// PutLogEvents of these messages into `g`/`s`, all now.
fn put_now(standin: &Standin, messages: &[&str]) -> Reply {
    let now = now_ms();
    put(standin, &messages.iter().map(|message| (now, *message)).collect::<Vec<_>>())
}

fn set(standin: &Standin, script: &str) -> Value {
    let reply = standin.send("POST", "/fault", &[("host", &standin.address)], script.as_bytes());
    assert_eq!(reply.status, 200, "{script}: {}", reply.text());
    reply.json()
}

fn stored(standin: &Standin) -> Vec<String> {
    messages(&get(standin, json!({}))).into_iter().map(str::to_owned).collect()
}

/// PutLogEvents whose answer may be none: what came, and how the connection ended.
fn put_raw(standin: &Standin, message: &str) -> (String, Result<(), ErrorKind>) {
    let mut stream = open_put(standin, message);
    let (mut answer, mut bytes) = (Vec::new(), [0; 4096]);
    let end = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break Ok(()),
            Ok(read) => answer.extend_from_slice(&bytes[..read]),
            Err(error) => break Err(error.kind()),
        }
    };
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

/// A call that is sent and whose answer is not read yet.
fn open_put(standin: &Standin, message: &str) -> TcpStream {
    let events = json!([{ "timestamp": now_ms(), "message": message }]);
    let body = json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events }).to_string();
    let mut stream = TcpStream::connect(&standin.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut request = format!("POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    let headers = now(&DEMO).headers(&standin.address, "PutLogEvents", body.as_bytes());
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    // A connection that is reset may refuse the rest.
    let _ = stream.write_all(format!("{request}\r\n{body}").as_bytes());
    stream
}

fn wait_for(standin: &Standin, what: &str, reached: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let stats = standin.stats();
        if reached(&stats) {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "never {what}: {stats}");
    }
}

#[test]
fn refusals_are_awss_own_and_store_nothing() {
    let standin = with_stream(&[]);
    for (script, status, kind) in [
        ("throttle", 400, "ThrottlingException"),
        ("500", 500, "InternalFailure"),
        ("503", 503, "ServiceUnavailableException"),
        ("413:90", 413, "RequestEntityTooLargeException"),
        ("missing", 400, "ResourceNotFoundException"),
        ("expired", 400, "ExpiredTokenException"),
        ("denied", 400, "AccessDeniedException"),
        ("unrecognized", 400, "UnrecognizedClientException"),
        ("skewed", 403, "RequestTimeTooSkewed"),
    ] {
        let separator = if script.contains(':') { ',' } else { ':' };
        set(&standin, &format!("{script}{separator}calls=1"));
        let found = put_now(&standin, &["x"]).refused();
        assert_eq!((found.0, found.1.as_str()), (status, kind), "{script}");
        assert_eq!(put_now(&standin, &[script]).status, 200, "{script}");
    }
    assert_eq!(stored(&standin).len(), 9);
    set(&standin, "missing:group");
    assert_eq!(put_now(&standin, &["x"]).refused().2, "The specified log group does not exist.");
    let stats = standin.stats();
    assert_eq!(stats["faults"]["missing"], 2);
    assert_eq!((&stats["calls"]["PutLogEvents"], &stats["errors"]["ThrottlingException"]), (&json!(19), &json!(1)));
}

#[test]
fn a_proxy_answers_without_an_error_type() {
    let standin = with_stream(&[]);
    for status in [502, 200] {
        set(&standin, &format!("{status}:calls=1; {status}:html"));
        let empty = put_now(&standin, &["x"]);
        assert_eq!((empty.status, empty.body.len(), empty.header("x-amzn-errortype")), (status, 0, None));
        let page = put_now(&standin, &["x"]);
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html")));
        assert!(page.text().starts_with("<html>"), "{}", page.text());
    }
    assert_eq!(stored(&standin), [""; 0]);
}

#[test]
fn a_text_makes_its_call_invalid_and_no_other() {
    let standin = with_stream(&["--fault", "invalid:BAD"]);
    let (status, kind, _) = put_now(&standin, &["good", "a BAD one", "good too"]).refused();
    assert_eq!((status, kind.as_str()), (400, "InvalidParameterException"));
    assert_eq!(put_now(&standin, &["good", "good too"]).status, 200);
    assert_eq!(stored(&standin), ["good", "good too"]);
}

#[test]
fn rejected_events_are_told_and_not_stored() {
    let standin = with_stream(&["--fault", "reject:old=1,new=2"]);
    let answer = put_now(&standin, &["a", "b", "c", "d"]).json();
    let expected = json!({ "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2 });
    assert_eq!(answer["rejectedLogEventsInfo"], expected);
    assert_eq!(stored(&standin), ["b"]);
    assert_eq!(standin.stats()["rejected_events"], json!({ "total": 3, "too_new": 2, "too_old": 1, "expired": 0 }));
}

#[test]
fn an_answer_can_be_lost_cut_or_empty_after_its_events_were_stored() {
    let standin = with_stream(&["--fault", "lost:calls=1; bad-json:calls=1; no-body:calls=1; 500:stored,calls=1"]);
    assert_eq!(put_raw(&standin, "lost"), (String::new(), Ok(())));
    let cut = put_now(&standin, &["cut"]);
    assert_eq!(cut.status, 200);
    assert!(cut.body.starts_with(b"{") && serde_json::from_slice::<Value>(&cut.body).is_err(), "{}", cut.text());
    let empty = put_now(&standin, &["empty"]);
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(put_now(&standin, &["failed"]).refused().0, 500);
    assert_eq!(stored(&standin), ["lost", "cut", "empty", "failed"]);
    // Only what would have succeeded loses its answer.
    set(&standin, "lost");
    assert_eq!(put_now(&standin, &[]).refused().1, "InvalidParameterException");
}

#[test]
fn a_reset_comes_in_the_request_or_in_the_answer() {
    let standin = with_stream(&[]);
    set(&standin, "reset:calls=1; reset:stored");
    assert_eq!(put_raw(&standin, &"x".repeat(1_000_000)), (String::new(), Err(ErrorKind::ConnectionReset)));
    assert_eq!(stored(&standin), [""; 0]);
    let (answer, end) = put_raw(&standin, "kept");
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('0') && !answer.ends_with('}'), "{answer}");
    assert_eq!(stored(&standin), ["kept"]);
    assert_eq!(standin.stats()["calls"]["PutLogEvents"], 2);
}

#[test]
fn a_hanging_call_hangs_until_its_client_goes_and_holds_up_no_other() {
    let standin = with_stream(&["--fault", "hang:calls=1; hang:stored,calls=1"]);
    let hanging = [open_put(&standin, "never"), open_put(&standin, "kept")];
    wait_for(&standin, "two hits", |stats| stats["faults"]["hang"] == 2 && stats["calls_in_flight"] == 2);
    assert_eq!(put_now(&standin, &["other"]).status, 200);
    assert_eq!(stored(&standin).len(), 2);
    drop(hanging);
    wait_for(&standin, "an end", |stats| stats["calls_in_flight"] == 0 && stats["connections_open"] == 1);
}

#[test]
fn a_slow_reader_reads_all_the_same() {
    let standin = with_stream(&["--fault", "slow:4MiB"]);
    let begun = Instant::now();
    assert_eq!(put_now(&standin, &[&"x".repeat(1_000_000)]).status, 200);
    // Whatever the machine does, it cannot have been faster.
    assert!(begun.elapsed() >= Duration::from_secs_f64(1_000_000.0 / 4_194_304.0));
    set(&standin, "slow:1");
    let hanging = open_put(&standin, "never read to its end");
    wait_for(&standin, "a slow call", |stats| stats["calls_in_flight"] == 1 && stats["faults"]["slow"] == 2);
    assert_eq!(set(&standin, ""), json!([]));
    assert_eq!(put_now(&standin, &["fast"]).status, 200);
    drop(hanging);
}

#[test]
fn latency_delays_an_answer_and_a_quota_throttles_what_is_beyond() {
    let standin = with_stream(&["--fault", "latency:50ms,calls=1; quota:1,burst=2"]);
    let begun = Instant::now();
    assert_eq!(put_now(&standin, &["a"]).status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    set(&standin, "quota:1,burst=2");
    let begun = Instant::now();
    let passed = (0..50).filter(|_| put_now(&standin, &["b"]).status == 200).count();
    let most = 2 + begun.elapsed().as_secs() as usize + 1;
    assert!((2..=most).contains(&passed), "{passed}, {most} at the most");
    assert_eq!(standin.stats()["errors"]["ThrottlingException"], 50 - passed);
}

#[test]
fn a_fault_is_for_one_operation_and_one_stream() {
    let standin = with_stream(&[]);
    set(&standin, "500:op=CreateLogStream,calls=1; 503:op=any,stream=s");
    let create = || standin.call("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "t" })).status;
    assert_eq!([create(), create()], [500, 200]);
    let event = json!([{ "timestamp": now_ms(), "message": "x" }]);
    let to = |stream: &str| json!({ "logGroupName": "g", "logStreamName": stream, "logEvents": event });
    assert_eq!(standin.call("PutLogEvents", to("t")).status, 200);
    assert_eq!(standin.call("PutLogEvents", to("s")).status, 503);
    assert_eq!(standin.ok("DescribeLogStreams", json!({ "logGroupName": "g" }))["logStreams"][0]["logStreamName"], "s");
}

#[test]
fn a_handshake_that_hangs_is_not_answered() {
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    let standin = Standin::start(&["--tls", "--cert-out", authority.to_str().unwrap(), "--fault", "tls-hang:calls=1"]);
    // What is no handshake is refused at once where handshakes are answered.
    let talk = || {
        let mut stream = TcpStream::connect(&standin.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream
    };
    let mut hanging = talk();
    let mut answered = talk();
    answered.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(answered.read(&mut [0; 64]).unwrap() > 0);
    hanging.set_nonblocking(true).unwrap();
    assert_eq!(hanging.read(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn faults_are_set_told_replaced_and_ended_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("faults");
    std::fs::write(&file, "# the second half\nlost:op=TagResource\n").unwrap();
    let standin = with_stream(&["--fault", "throttle:every=2", "--fault-file", file.to_str().unwrap()]);
    let statuses: Vec<u16> = (0..4).map(|_| put_now(&standin, &["x"]).status).collect();
    assert_eq!(statuses, [200, 400, 200, 400]);
    assert_eq!(
        standin.get("/fault").json(),
        json!([
            { "fault": "throttle:every=2", "calls": 4, "hits": 2, "over": false },
            { "fault": "lost:op=TagResource", "calls": 0, "hits": 0, "over": false },
        ])
    );
    assert_eq!(set(&standin, "503:calls=1")[0]["fault"], "503:calls=1");
    assert_eq!(put_now(&standin, &["x"]).status, 503);
    assert_eq!(standin.get("/fault").json()[0]["over"], true);
    assert_eq!(set(&standin, ""), json!([]));
    assert_eq!(put_now(&standin, &["x"]).status, 200);
    assert_eq!(standin.stats()["faults"], json!({ "throttle": 2, "503": 1 }));
}

#[test]
fn a_bad_script_is_refused_where_it_is_given_and_changes_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudwatch-standin"))
        .args(["--listen", "127.0.0.1:0", "--fault", "lost", "--fault", "hang; throttle:rate=2"])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{message}");
    let place = "--fault: fault script, line 1, column 16, `rate=2`: a probability is from 0 to 1";
    assert!(message.contains(place), "{message}");

    let standin = with_stream(&["--fault", "503:op=TagResource"]);
    let too_long = format!("#{}", "x".repeat(64 * 1024));
    for (script, reason) in [("nothing", "no such fault"), ("tls-hang", "--tls"), (&too_long, "at most 65536 bytes")] {
        let reply = standin.send("POST", "/fault", &[("host", &standin.address)], script.as_bytes());
        assert_eq!(reply.status, 400, "{reason}");
        assert!(reply.text().contains(reason), "{}", reply.text());
    }
    assert_eq!(standin.get("/fault").json().as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_that_does_not_exist_can_be_missing_for_some_calls_only() {
    let standin = Standin::start(&["--group", "g", "--fault", "missing:op=CreateLogStream,calls=2"]);
    let create = || standin.call("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s" })).status;
    assert_eq!([create(), create(), create()], [400, 400, 200]);
    set(&standin, "bad-json:op=CreateLogStream; reset:stored,op=TagResource");
    let reply = standin.call("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "t" }));
    assert_eq!((reply.status, reply.text().as_str()), (200, "{"));
    set(&standin, "");
    create_stream(&standin, "u");
}
