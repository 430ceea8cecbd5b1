//! PutLogEvents at the edge of every limit: at it passes, one more fails.

use serde_json::{Value, json};

use crate::client::{DEMO, Standin, exchange_as_stated, now};
use crate::{DAY_MS, HOUR_MS, get, invalid, messages, now_ms, put, refused, with_stream};

#[test]
fn a_batch_of_1048576_charged_bytes_passes_and_one_byte_more_is_too_large() {
    let standin = with_stream(&["--count-only"]);
    let now = now_ms();
    // Two events: 26 + 600,000 and 26 + 448,524 make 1,048,576.
    let (first, second) = ("x".repeat(600_000), "y".repeat(448_524));
    assert_eq!(put(&standin, &[(now, &first), (now, &second)]).status, 200);
    let larger = put(&standin, &[(now, &first), (now, &format!("{second}y"))]);
    assert_eq!(larger.refused(), invalid("Upload too large: 1048577 bytes exceeds limit of 1048576"));
}

#[test]
fn a_message_of_1048550_bytes_passes_and_one_byte_more_is_too_large() {
    let standin = with_stream(&["--count-only"]);
    let message = "x".repeat(1_048_550);
    assert_eq!(put(&standin, &[(now_ms(), &message)]).status, 200);
    let larger = put(&standin, &[(now_ms(), &format!("{message}x"))]);
    assert_eq!(larger.refused(), invalid("Log event too large: 1048577 bytes exceeds limit of 1048576"));
}

#[test]
fn a_message_is_charged_by_its_utf8_and_not_by_its_escapes() {
    let standin = with_stream(&["--count-only"]);
    let body = |euros: usize, tail: &str| {
        let message = "\\u20ac".repeat(euros);
        let now = now_ms();
        format!(
            r#"{{"logGroupName":"g","logStreamName":"s","logEvents":[{{"timestamp":{now},"message":"{message}{tail}"}}]}}"#
        )
    };
    // 349,516 euro signs of 3 bytes are 1,048,548 bytes, and 2.1 MB of escapes.
    let reply = standin.post("PutLogEvents", &[], body(349_516, "\\n\\n").as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let larger = standin.post("PutLogEvents", &[], body(349_516, "\\n\\n\\n").as_bytes());
    assert_eq!(larger.refused(), invalid("Log event too large: 1048577 bytes exceeds limit of 1048576"));
    assert_eq!(standin.stats()["message_bytes"], 1_048_550);
}

#[test]
fn ten_thousand_events_pass_and_one_more_or_none_fails() {
    let standin = with_stream(&["--count-only"]);
    let now = now_ms();
    let events = vec![(now, "x"); 10_001];
    assert_eq!(put(&standin, &events[..10_000]).status, 200);
    let (status, kind, message) = put(&standin, &events).refused();
    assert_eq!((status, kind.as_str()), (400, "InvalidParameterException"));
    assert!(message.contains("less than or equal to 10000"), "{message}");
    let (_, kind, message) = put(&standin, &[]).refused();
    assert_eq!(kind, "InvalidParameterException");
    assert!(message.contains("greater than or equal to 1"), "{message}");
    assert_eq!(standin.stats()["events"], 10_000);
}

#[test]
fn one_empty_message_fails_the_whole_batch() {
    let standin = with_stream(&[]);
    let now = now_ms();
    let reply = put(&standin, &[(now, "a"), (now, ""), (now, "b")]);
    let expected = "1 validation error detected: Value '' at 'logEvents.2.member.message' failed to satisfy \
                    constraint: Member must have length greater than or equal to 1";
    assert_eq!(reply.refused(), invalid(expected));
    assert_eq!(messages(&get(&standin, json!({}))), Vec::<&str>::new());
}

#[test]
fn equal_timestamps_pass_and_a_step_back_fails_the_whole_batch() {
    let standin = with_stream(&[]);
    let now = now_ms();
    assert_eq!(put(&standin, &[(now, "a"), (now, "b"), (now + 1, "c")]).status, 200);
    let reply = put(&standin, &[(now, "d"), (now + 1, "e"), (now, "f")]);
    let expected = "Log events in a single PutLogEvents request must be in chronological order.";
    assert_eq!(reply.refused(), invalid(expected));
    assert_eq!(messages(&get(&standin, json!({}))), ["a", "b", "c"]);
}

#[test]
fn a_span_of_24_hours_passes_and_a_millisecond_more_fails() {
    let standin = with_stream(&[]);
    let now = now_ms();
    assert_eq!(put(&standin, &[(now - DAY_MS, "a"), (now, "b")]).status, 200);
    let reply = put(&standin, &[(now - DAY_MS - 1, "c"), (now, "d")]);
    let expected = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
    assert_eq!(reply.refused(), invalid(expected));
}

#[test]
fn events_too_old_and_too_new_are_rejected_alone_and_by_index() {
    let standin = with_stream(&[]);
    let now = now_ms();
    // The server's clock goes on between our reading it and its: a minute of margin on either side.
    let (old, new) = (now - 14 * DAY_MS, now + 2 * HOUR_MS);
    let reply = put(
        &standin,
        &[
            (old - 60_001, "older"),
            (old - 60_000, "old"),
            (now, "good"),
            (new - 60_000, "ahead"),
            (new + 60_000, "new"),
        ],
    );
    let info = json!({ "tooNewLogEventStartIndex": 4, "tooOldLogEventEndIndex": 2 });
    assert_eq!((reply.status, &reply.json()["rejectedLogEventsInfo"]), (200, &info));
    assert_eq!(messages(&get(&standin, json!({}))), ["good", "ahead"]);
    let just_old_enough = put(&standin, &[(old + 60_000, "kept")]);
    assert_eq!(just_old_enough.json()["rejectedLogEventsInfo"], Value::Null);
    let counts = json!({ "total": 3, "too_new": 1, "too_old": 2, "expired": 0 });
    assert_eq!(standin.stats()["rejected_events"], counts);
}

#[test]
fn events_past_the_retention_are_expired() {
    let standin = with_stream(&[]);
    standin.ok("PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": 1 }));
    let now = now_ms();
    let reply = put(&standin, &[(now - 2 * DAY_MS, "gone"), (now - DAY_MS + 60_000, "last"), (now, "good")]);
    let info = json!({ "expiredLogEventEndIndex": 1 });
    assert_eq!((reply.status, &reply.json()["rejectedLogEventsInfo"]), (200, &info));
    assert_eq!(messages(&get(&standin, json!({}))), ["last", "good"]);

    standin.ok("DeleteRetentionPolicy", json!({ "logGroupName": "g" }));
    let reply = put(&standin, &[(now - 2 * DAY_MS, "back")]);
    assert_eq!(reply.json()["rejectedLogEventsInfo"], Value::Null);
}

#[test]
fn a_missing_group_and_a_missing_stream_are_told_apart() {
    let standin = Standin::start(&["--group", "g"]);
    let no_stream = refused(400, "ResourceNotFoundException", "The specified log stream does not exist.");
    assert_eq!(put(&standin, &[(now_ms(), "x")]).refused(), no_stream);
    let event = json!({ "timestamp": now_ms(), "message": "x" });
    let request = json!({ "logGroupName": "h", "logStreamName": "s", "logEvents": [event] });
    let no_group = refused(400, "ResourceNotFoundException", "The specified log group does not exist.");
    assert_eq!(standin.refused("PutLogEvents", request), no_group);
}

#[test]
fn a_body_that_is_no_utf8_or_no_json_is_a_serialization_error() {
    let standin = with_stream(&[]);
    let good = format!(
        r#"{{"logGroupName":"g","logStreamName":"s","logEvents":[{{"timestamp":{},"message":"x"}}]}}"#,
        now_ms()
    );
    let with = |from: &str, to: &[u8]| {
        let (before, after) = good.split_once(from).expect("present");
        [before.as_bytes(), to, after.as_bytes()].concat()
    };
    let bodies = [
        with("x\"", b"\xff\""),
        with("x\"", b"\\ud800\""),
        with("x\"", b"\n\""),
        with("}]}", b"}]"),
        with("\"x\"", b"\"x\",\"message\":\"y\""),
        with("\"timestamp\":", b"\"timestamp\":-0."),
    ];
    for body in bodies {
        let (status, kind, _) = standin.post("PutLogEvents", &[], &body).refused();
        assert_eq!((status, kind.as_str()), (400, "SerializationException"), "{}", String::from_utf8_lossy(&body));
    }
    assert_eq!(standin.post("PutLogEvents", &[], good.as_bytes()).status, 200);
    // As a newer SDK might send: members that this server does not know.
    let newer = with("{\"logGroupName\"", b"{\"entity\":{\"a\":[1]},\"logGroupName\"");
    assert_eq!(standin.post("PutLogEvents", &[], &newer).status, 200);
    assert_eq!(messages(&get(&standin, json!({}))), ["x", "x"]);
}

#[test]
fn gzip_bodies_are_accepted_and_broken_ones_refused() {
    let standin = with_stream(&[]);
    let body = json!({
        "logGroupName": "g", "logStreamName": "s", "logEvents": [{ "timestamp": now_ms(), "message": "packed" }]
    });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, body.to_string().as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(standin.post("PutLogEvents", &gzip, &packed).status, 200);
    let cut = standin.post("PutLogEvents", &gzip, &packed[..packed.len() - 9]);
    assert_eq!(cut.refused().1, "SerializationException");
    let unknown = standin.post("PutLogEvents", &[("content-encoding", "zstd")], &packed);
    assert_eq!(unknown.refused().1, "SerializationException");
    assert_eq!(messages(&get(&standin, json!({}))), ["packed"]);
    assert_eq!(standin.stats()["gzip_calls"], 2);
}

#[test]
fn a_body_over_16_mib_is_refused_packed_or_not() {
    let standin = with_stream(&[]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &vec![b' '; 16 * 1024 * 1024 + 1]).unwrap();
    let bomb = encoder.finish().unwrap();
    let (status, kind, _) = standin.post("PutLogEvents", &[("content-encoding", "gzip")], &bomb).refused();
    assert_eq!((status, kind.as_str()), (413, "RequestEntityTooLargeException"));

    // Refused for what it says before it comes: nothing of it is sent.
    let headers = now(&DEMO).headers(&standin.address, "PutLogEvents", b"");
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("content-length", "16777217"));
    let mut stream = std::net::TcpStream::connect(&standin.address).unwrap();
    let (status, kind, _) = exchange_as_stated(&mut stream, "POST", "/", &headers, b"").refused();
    assert_eq!((status, kind.as_str()), (413, "RequestEntityTooLargeException"));
}

#[test]
fn kept_events_are_bounded_and_deleting_makes_room() {
    let standin = with_stream(&["--keep-max", "1000"]);
    let half = "x".repeat(500);
    assert_eq!(put(&standin, &[(now_ms(), &half)]).status, 200);
    let (status, kind, message) = put(&standin, &[(now_ms(), &half)]).refused();
    assert_eq!((status, kind.as_str()), (500, "ServiceUnavailableException"));
    assert!(message.contains("--keep-max"), "{message}");
    assert_eq!(standin.stats()["events"], 1);
    standin.ok("DeleteLogStream", json!({ "logGroupName": "g", "logStreamName": "s" }));
    assert_eq!(standin.stats()["kept_bytes"], 0);
    crate::create_stream(&standin, "s");
    assert_eq!(put(&standin, &[(now_ms(), &half)]).status, 200);
}
