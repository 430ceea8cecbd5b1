//! GetLogEvents: order, and paging until the token repeats.

use serde_json::{Value, json};

use crate::{get, invalid, messages, now_ms, put, refused, with_stream};

/// All messages, page by page, as readers do it: until the token is the one that was given.
fn page_through(standin: &crate::Standin, request: Value, next: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut page = get(standin, request.clone());
    for _ in 0..100 {
        pages.push(messages(&page).into_iter().map(str::to_owned).collect());
        let token = page[next].clone();
        let mut request = request.clone();
        request["nextToken"] = token.clone();
        page = get(standin, request);
        if page[next] == token {
            assert_eq!(messages(&page), Vec::<&str>::new(), "the last page is empty");
            return pages;
        }
    }
    panic!("100 pages and no end: {pages:?}");
}

#[test]
fn events_come_back_by_time_and_ties_as_they_arrived() {
    let standin = with_stream(&[]);
    let t = now_ms();
    put(&standin, &[(t, "b1"), (t, "b2"), (t + 5, "d1")]);
    put(&standin, &[(t - 9, "a"), (t, "b3"), (t + 5, "d2")]);
    put(&standin, &[(t + 1, "c"), (t + 5, "d3")]);
    let page = get(&standin, json!({}));
    assert_eq!(messages(&page), ["a", "b1", "b2", "b3", "c", "d1", "d2", "d3"]);
    assert_eq!(page["events"][0]["timestamp"], t - 9);
    assert!(page["events"][0]["ingestionTime"].as_i64().unwrap() >= t);
}

#[test]
fn pages_run_forward_to_the_end_and_backward_to_the_beginning() {
    let standin = with_stream(&[]);
    let t = now_ms();
    put(&standin, &[(t, "1"), (t, "2"), (t, "3"), (t + 1, "4"), (t + 2, "5")]);
    let forward = page_through(&standin, json!({ "limit": 2 }), "nextForwardToken");
    assert_eq!(forward, [vec!["1", "2"], vec!["3", "4"], vec!["5"]]);
    let backward = page_through(&standin, json!({ "limit": 2, "startFromHead": false }), "nextBackwardToken");
    assert_eq!(backward, [vec!["4", "5"], vec!["2", "3"], vec!["1"]]);
}

#[test]
fn the_two_tokens_of_an_empty_page_point_away_from_each_other() {
    let standin = with_stream(&[]);
    put(&standin, &[(now_ms(), "1"), (now_ms(), "2")]);
    let end = get(&standin, json!({ "nextToken": get(&standin, json!({}))["nextForwardToken"] }));
    assert_eq!(messages(&end), Vec::<&str>::new());
    let back = get(&standin, json!({ "nextToken": end["nextBackwardToken"] }));
    assert_eq!(messages(&back), ["1", "2"]);
}

#[test]
fn a_reader_at_the_end_sees_what_arrives_later_and_no_event_twice() {
    let standin = with_stream(&[]);
    let t = now_ms();
    let empty = get(&standin, json!({}));
    let again = get(&standin, json!({ "nextToken": empty["nextForwardToken"] }));
    assert_eq!(again["nextForwardToken"], empty["nextForwardToken"]);
    put(&standin, &[(t, "a"), (t + 1, "b")]);
    let page = get(&standin, json!({ "nextToken": empty["nextForwardToken"] }));
    assert_eq!(messages(&page), ["a", "b"]);
    // The first of these lies before the reader's place: it must not shift what the reader sees next.
    put(&standin, &[(t, "late"), (t + 1, "c"), (t + 2, "d")]);
    let page = get(&standin, json!({ "nextToken": page["nextForwardToken"] }));
    assert_eq!(messages(&page), ["c", "d"]);
}

#[test]
fn start_time_is_inclusive_and_end_time_exclusive() {
    let standin = with_stream(&[]);
    let t = now_ms();
    put(&standin, &[(t, "1"), (t + 1, "2"), (t + 2, "3"), (t + 3, "4")]);
    let page = |request| messages(&get(&standin, request)).join(" ");
    assert_eq!(page(json!({ "startTime": t + 1, "endTime": t + 3 })), "2 3");
    assert_eq!(page(json!({ "startTime": t + 3 })), "4");
    assert_eq!(page(json!({ "endTime": t })), "");
    assert_eq!(page(json!({ "startTime": t + 3, "endTime": t + 1 })), "");
    let pages = page_through(&standin, json!({ "startTime": t + 1, "endTime": t + 3, "limit": 1 }), "nextForwardToken");
    assert_eq!(pages, [["2"], ["3"]]);
}

#[test]
fn a_page_has_at_most_10000_events_and_1_mib_of_messages() {
    let standin = with_stream(&[]);
    let t = now_ms();
    put(&standin, &vec![(t, "x"); 10_000]);
    put(&standin, &[(t, "y")]);
    let lengths: Vec<usize> = page_through(&standin, json!({}), "nextForwardToken").iter().map(Vec::len).collect();
    assert_eq!(lengths, [10_000, 1]);

    let standin = with_stream(&[]);
    let (third, large) = ("x".repeat(349_525), "z".repeat(1_048_550));
    put(&standin, &[(t, &third), (t, &third)]);
    put(&standin, &[(t, &third), (t, "1"), (t, "2"), (t + 1, &"3".repeat(30))]);
    put(&standin, &[(t + 2, &large)]);
    // 3 x 349,525 + 1 is the limit exactly; 1 + 30 + 1,048,550 is more than the limit.
    let lengths: Vec<usize> = page_through(&standin, json!({}), "nextForwardToken").iter().map(Vec::len).collect();
    assert_eq!(lengths, [4, 2, 1]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let standin = with_stream(&[]);
    let ask = |member: &str, value: Value| {
        standin.refused("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s", member: value }))
    };
    assert_eq!(ask("nextToken", json!("f/1/s")), invalid("The specified nextToken is invalid."));
    assert_eq!(ask("limit", json!(0)).1, "InvalidParameterException");
    assert_eq!(ask("limit", json!(10_001)).1, "InvalidParameterException");
    assert_eq!(ask("limit", json!("1")).1, "SerializationException");
    let missing = "The specified log stream does not exist.";
    let no_stream = refused(400, "ResourceNotFoundException", missing);
    assert_eq!(ask("logStreamName", json!("t")), no_stream);
}

#[test]
fn a_group_may_be_named_by_its_arn() {
    let standin = with_stream(&[]);
    put(&standin, &[(now_ms(), "x")]);
    let groups = standin.ok("DescribeLogGroups", json!({}));
    let arn = &groups["logGroups"][0]["logGroupArn"];
    assert_eq!(arn, "arn:aws:logs:us-east-1:123456789012:log-group:g");
    let page = standin.ok("GetLogEvents", json!({ "logGroupIdentifier": arn, "logStreamName": "s" }));
    assert_eq!(messages(&page), ["x"]);
}

#[test]
fn count_only_counts_everything_and_says_that_it_keeps_nothing() {
    let standin = with_stream(&["--count-only"]);
    let t = now_ms();
    put(&standin, &[(t, "abc"), (t + 7, "de")]);
    put(&standin, &[(t - 1, "f")]);
    let (status, kind, message) = standin.refused("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s" }));
    assert_eq!((status, kind.as_str()), (400, "InvalidOperationException"));
    assert!(message.contains("--count-only"), "{message}");
    let stats = standin.stats();
    assert_eq!((&stats["events"], &stats["message_bytes"], &stats["kept_bytes"]), (&json!(3), &json!(6), &json!(0)));
    let stream = &stats["streams"][0];
    assert_eq!((&stream["group"], &stream["stream"], &stream["calls"]), (&json!("g"), &json!("s"), &json!(2)));
    assert_eq!((&stream["events"], &stream["message_bytes"]), (&json!(3), &json!(6)));
    assert_eq!((&stream["first_timestamp_ms"], &stream["last_timestamp_ms"]), (&json!(t - 1), &json!(t + 7)));
}
