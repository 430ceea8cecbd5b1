//! Groups and streams: names, creation, listing, deletion; and what is no operation.

use serde_json::{Value, json};

use crate::client::{DEMO, Standin, now};
use crate::{create_stream, invalid, now_ms, put, refused, with_stream};

#[test]
fn names_are_checked_at_their_edges() {
    let standin = Standin::start(&["--group", "g"]);
    let group = |name: &str| standin.call("CreateLogGroup", json!({ "logGroupName": name }));
    let stream = |name: &str| standin.call("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": name }));
    let longest = "n".repeat(512);
    for name in ["a", "/aws/A.b-c_d/#9", &longest] {
        assert_eq!(group(name).status, 200, "{name}");
    }
    for name in ["", "a b", "a:b", "a*", "ä", "aws/x", &format!("{longest}n")] {
        assert_eq!(group(name).refused().1, "InvalidParameterException", "{name}");
    }
    for name in ["a", "2026/[$LATEST] ä b", &longest] {
        assert_eq!(stream(name).status, 200, "{name}");
    }
    for name in ["", "a:b", "a*b", &format!("{longest}n")] {
        assert_eq!(stream(name).refused().1, "InvalidParameterException", "{name}");
    }
}

#[test]
fn creating_twice_says_that_it_exists() {
    let standin = with_stream(&[]);
    let group = standin.refused("CreateLogGroup", json!({ "logGroupName": "g" }));
    let stream = standin.refused("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s" }));
    assert_eq!(group, refused(400, "ResourceAlreadyExistsException", "The specified log group already exists"));
    assert_eq!(stream, refused(400, "ResourceAlreadyExistsException", "The specified log stream already exists"));
    let orphan = standin.refused("CreateLogStream", json!({ "logGroupName": "h", "logStreamName": "s" }));
    assert_eq!(orphan, refused(400, "ResourceNotFoundException", "The specified log group does not exist."));
}

#[test]
fn a_group_takes_a_key_tags_and_a_class() {
    let standin = Standin::start(&[]);
    let tags =
        |n: usize| -> Value { (0..n).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into() };
    let create = |name: &str, member: &str, value: Value| {
        standin.call("CreateLogGroup", json!({ "logGroupName": name, member: value }))
    };
    assert_eq!(create("a", "tags", tags(50)).status, 200);
    assert_eq!(create("b", "tags", tags(51)).refused().1, "InvalidParameterException");
    for class in ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"] {
        assert_eq!(create(class, "logGroupClass", json!(class)).status, 200);
    }
    assert_eq!(create("c", "logGroupClass", json!("CHEAP")).refused().1, "InvalidParameterException");
    assert_eq!(create("d", "kmsKeyId", json!("k".repeat(256))).status, 200);
    assert_eq!(create("e", "kmsKeyId", json!("k".repeat(257))).refused().1, "InvalidParameterException");

    let groups = standin.ok("DescribeLogGroups", json!({ "logGroupNamePrefix": "INF" }));
    assert_eq!(groups["logGroups"][0]["logGroupClass"], "INFREQUENT_ACCESS");
    let arn = "arn:aws:logs:eu-central-1:123456789012:log-group:a";
    let listed = standin.ok("ListTagsForResource", json!({ "resourceArn": arn }));
    assert_eq!(listed["tags"], tags(50));
    let more = standin.refused("TagResource", json!({ "resourceArn": arn, "tags": { "k50": "v" } }));
    assert_eq!(more.1, "InvalidParameterException");
}

#[test]
fn only_listed_days_are_a_retention() {
    let standin = Standin::start(&["--group", "g"]);
    let retention =
        |days: i64| standin.call("PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": days }));
    assert_eq!(retention(3653).status, 200);
    assert_eq!(retention(2).refused().1, "InvalidParameterException");
    let groups = standin.ok("DescribeLogGroups", json!({}));
    assert_eq!(groups["logGroups"][0]["retentionInDays"], 3653);
}

#[test]
fn streams_are_listed_by_name_or_time_in_pages() {
    let standin = with_stream(&[]);
    for name in ["b-2", "b-1", "a"] {
        create_stream(&standin, name);
    }
    let list = |members: Value| {
        let mut request = json!({ "logGroupName": "g" });
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        standin.ok("DescribeLogStreams", request)
    };
    let names = |page: &Value| {
        let streams = page["logStreams"].as_array().unwrap().iter();
        streams.map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&list(json!({}))), "a b-1 b-2 s");
    assert_eq!(names(&list(json!({ "descending": true }))), "s b-2 b-1 a");
    assert_eq!(names(&list(json!({ "logStreamNamePrefix": "b-" }))), "b-1 b-2");
    let first = list(json!({ "limit": 3 }));
    assert_eq!(names(&first), "a b-1 b-2");
    let second = list(json!({ "limit": 3, "nextToken": first["nextToken"] }));
    assert_eq!((names(&second).as_str(), &second["nextToken"]), ("s", &Value::Null));

    let t = now_ms();
    put(&standin, &[(t - 5, "x"), (t, "y")]);
    let newest = list(json!({ "orderBy": "LastEventTime", "descending": true, "limit": 1 }));
    assert_eq!(names(&newest), "s");
    let stream = &newest["logStreams"][0];
    assert_eq!((&stream["firstEventTimestamp"], &stream["lastEventTimestamp"]), (&json!(t - 5), &json!(t)));
    let both = json!({ "logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "b" });
    let message = "Cannot order by LastEventTime with a logStreamNamePrefix.";
    assert_eq!(standin.refused("DescribeLogStreams", both), invalid(message));
    let large = json!({ "logGroupName": "g", "limit": 51 });
    assert_eq!(standin.refused("DescribeLogStreams", large).1, "InvalidParameterException");
}

#[test]
fn groups_are_listed_in_pages_of_at_most_50() {
    let standin = Standin::start(&[]);
    for n in 0..60 {
        standin.ok("CreateLogGroup", json!({ "logGroupName": format!("g{n:02}") }));
    }
    let first = standin.ok("DescribeLogGroups", json!({}));
    assert_eq!(first["logGroups"].as_array().unwrap().len(), 50);
    let second = standin.ok("DescribeLogGroups", json!({ "nextToken": first["nextToken"] }));
    assert_eq!(second["logGroups"].as_array().unwrap().len(), 10);
    assert_eq!((&second["logGroups"][0]["logGroupName"], &second["nextToken"]), (&json!("g50"), &Value::Null));
    let pattern = standin.ok("DescribeLogGroups", json!({ "logGroupNamePattern": "59" }));
    assert_eq!(pattern["logGroups"].as_array().unwrap().len(), 1);
}

#[test]
fn what_was_deleted_is_gone() {
    let standin = with_stream(&[]);
    put(&standin, &[(now_ms(), "x")]);
    standin.ok("DeleteLogGroup", json!({ "logGroupName": "g" }));
    let no_group = "The specified log group does not exist.";
    assert_eq!(put(&standin, &[(now_ms(), "x")]).refused().2, no_group);
    assert_eq!(standin.refused("DeleteLogGroup", json!({ "logGroupName": "g" })).2, no_group);
    assert_eq!(standin.stats()["kept_bytes"], 0);
}

#[test]
fn what_is_no_operation_is_refused_with_a_request_id() {
    let standin = Standin::start(&[]);
    let reply = standin.call("FilterLogEvents", json!({}));
    assert_eq!(reply.header("x-amzn-requestid").map(str::len), Some(36));
    let (status, kind, message) = reply.refused();
    assert_eq!((status, kind.as_str()), (400, "UnknownOperationException"));
    assert!(message.contains("Logs_20140328.FilterLogEvents"), "{message}");

    let mut headers = now(&DEMO).headers(&standin.address, "DescribeLogGroups", b"{}");
    headers[0].1 = "application/json".to_owned();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let any = Standin::start(&["--any-signature"]);
    assert_eq!(any.send("POST", "/", &headers, b"{}").refused().1, "UnknownOperationException");
    assert_eq!(any.get("/nothing").status, 404);
    assert_eq!(any.get("/healthz").text(), "ok\n");
}

#[test]
fn stats_count_calls_and_errors() {
    let standin = with_stream(&[]);
    put(&standin, &[(now_ms(), "x")]);
    put(&standin, &[]);
    standin.call("Nothing", json!({}));
    let stats = standin.stats();
    assert_eq!(stats["calls"], json!({ "CreateLogStream": 1, "PutLogEvents": 2, "Unknown": 1 }));
    assert_eq!(stats["errors"], json!({ "InvalidParameterException": 1, "UnknownOperationException": 1 }));
    assert_eq!(stats["calls_in_flight"], 0);
}
