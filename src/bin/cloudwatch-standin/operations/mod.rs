//! The operations: a checked request body in, an answer's body out. Knows nothing of HTTP.

mod groups;
mod read;
mod streams;
mod write;

use serde_json::Value;

use crate::fail::Failure;
use crate::faults::Reject;
use crate::json::Members;
use crate::put::parse::Event;
use crate::stats::Stats;
use crate::store::Store;

/// What the operations work on.
pub struct World {
    pub store: Store,
    pub stats: Stats,
    /// A vector for PutLogEvents to use again.
    spare_events: Vec<Event>,
}

impl World {
    pub fn new(store: Store) -> World {
        World { store, stats: Stats::default(), spare_events: Vec::new() }
    }

    /// A group that exists from the start.
    pub fn create_group(&mut self, name: &str, now_ms: i64) -> Result<(), Failure> {
        let request = Members::parse(&to_body(serde_json::json!({ "logGroupName": name })))?;
        let call = Call { now_ms, region: "us-east-1".to_owned(), reject: Reject::default() };
        groups::create(&mut self.store, &request, &call).map(drop)
    }
}

/// Of one call: when it came, the region that its credentials are scoped to, and what is not to be stored of it.
pub struct Call {
    pub now_ms: i64,
    pub region: String,
    /// By a fault.
    pub reject: Reject,
}

/// Every operation that is served.
const NAMES: [&str; 12] = [
    "CreateLogGroup",
    "CreateLogStream",
    "DeleteLogGroup",
    "DeleteLogStream",
    "DeleteRetentionPolicy",
    "DescribeLogGroups",
    "DescribeLogStreams",
    "GetLogEvents",
    "PutLogEvents",
    "PutRetentionPolicy",
    "TagResource",
    "ListTagsForResource",
];

/// The operation of an `X-Amz-Target`; `None` when it is not served.
pub fn named(target: &str) -> Option<&'static str> {
    let name = target.strip_prefix("Logs_20140328.")?;
    NAMES.into_iter().find(|served| *served == name)
}

/// `operation` is one that `named` found.
pub fn perform(world: &mut World, operation: &str, body: &[u8], call: &Call) -> Result<Vec<u8>, Failure> {
    if operation == "PutLogEvents" {
        return write::put_log_events(world, body, call).map(to_body);
    }
    let (store, request) = (&mut world.store, &Members::parse(body)?);
    let answer = match operation {
        "CreateLogGroup" => groups::create(store, request, call)?,
        "CreateLogStream" => streams::create(store, request, call)?,
        "DeleteLogGroup" => groups::delete(store, request)?,
        "DeleteLogStream" => streams::delete(store, request)?,
        "DeleteRetentionPolicy" => groups::delete_retention(store, request)?,
        "DescribeLogGroups" => groups::describe(store, request)?,
        "DescribeLogStreams" => streams::describe(store, request)?,
        "GetLogEvents" => return read::get_log_events(store, request),
        "PutRetentionPolicy" => groups::put_retention(store, request)?,
        "TagResource" => groups::tag(store, request)?,
        "ListTagsForResource" => groups::list_tags(store, request)?,
        other => unreachable!("{other} is in NAMES but not performed"),
    };
    // An operation without a result answers with an empty body, as AWS does.
    Ok(if answer.is_null() { Vec::new() } else { to_body(answer) })
}

fn to_body(answer: Value) -> Vec<u8> {
    answer.to_string().into_bytes()
}

// ---- What several operations ask of a request ------------------------------------------------

fn required<'a>(request: &'a Members, member: &str) -> Result<&'a str, Failure> {
    request.text(member)?.ok_or_else(|| Failure::missing(member))
}

/// The group's name from `logGroupName`, or from `logGroupIdentifier`, a name or an ARN.
fn group_name(request: &Members) -> Result<&str, Failure> {
    let (name, identifier) = (request.text("logGroupName")?, request.text("logGroupIdentifier")?);
    let (name, member) = match (name, identifier) {
        (Some(name), None) => (name, "logGroupName"),
        (None, Some(identifier)) => (name_in_arn(identifier), "logGroupIdentifier"),
        (None, None) => return Err(Failure::missing("logGroupName")),
        (Some(_), Some(_)) => {
            let message = "LogGroup name and LogGroup ARN are mutually exclusive parameters.";
            return Err(Failure::invalid_parameter(message));
        }
    };
    crate::names::group(name, member)?;
    Ok(name)
}

fn name_in_arn(identifier: &str) -> &str {
    match identifier.split_once(":log-group:") {
        Some((_, name)) if identifier.starts_with("arn:") => name.strip_suffix(":*").unwrap_or(name),
        _ => identifier,
    }
}

fn stream_name(request: &Members) -> Result<&str, Failure> {
    let name = required(request, "logStreamName")?;
    crate::names::stream(name, "logStreamName")?;
    Ok(name)
}

/// `limit`, from 1 to `most`, which is also its default.
fn limit(request: &Members, most: usize) -> Result<usize, Failure> {
    let Some(limit) = request.long("limit")? else {
        return Ok(most);
    };
    match usize::try_from(limit) {
        Ok(limit @ 1..) if limit <= most => Ok(limit),
        _ => {
            let constraint = match limit < 1 {
                true => "Member must have value greater than or equal to 1".to_owned(),
                false => format!("Member must have value less than or equal to {most}"),
            };
            Err(Failure::constraint(format!("'{limit}'"), "limit", &constraint))
        }
    }
}

/// The account of every ARN.
const ACCOUNT: &str = "123456789012";

fn group_arn(region: &str, name: &str) -> String {
    format!("arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}")
}

fn bad_token() -> Failure {
    Failure::invalid_parameter("The specified nextToken is invalid.")
}
