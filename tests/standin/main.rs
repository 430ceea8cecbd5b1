//! The stand-in server, from outside: the built program, over its socket.

#[path = "../common/standin.rs"]
mod client;
#[path = "../common/venv.rs"]
mod venv;

mod boto3;
mod control;
mod faults;
mod limits;
mod process;
mod reading;
mod signing;

use serde_json::{Value, json};

use client::{Reply, Standin};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

/// With group `g` and stream `s`.
fn with_stream(args: &[&str]) -> Standin {
    let standin = Standin::start(&[&["--group", "g"], args].concat());
    create_stream(&standin, "s");
    standin
}

fn create_stream(standin: &Standin, name: &str) {
    standin.ok("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": name }));
}

/// PutLogEvents into `g`/`s`.
fn put(standin: &Standin, events: &[(i64, &str)]) -> Reply {
    let event = |(timestamp, message): &(i64, &str)| json!({ "timestamp": timestamp, "message": message });
    let events: Vec<Value> = events.iter().map(event).collect();
    let request = json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events });
    standin.call("PutLogEvents", request)
}

/// GetLogEvents from the head of `g`/`s` with these members besides.
fn get(standin: &Standin, members: Value) -> Value {
    let mut request = json!({ "logGroupName": "g", "logStreamName": "s", "startFromHead": true });
    let members = members.as_object().expect("an object").clone();
    request.as_object_mut().unwrap().extend(members);
    standin.ok("GetLogEvents", request)
}

fn messages(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().expect("a page");
    events.iter().map(|event| event["message"].as_str().expect("a message")).collect()
}

fn refused(status: u16, kind: &str, message: &str) -> (u16, String, String) {
    (status, kind.to_owned(), message.to_owned())
}

fn invalid(message: &str) -> (u16, String, String) {
    refused(400, "InvalidParameterException", message)
}
