//! Log streams: CreateLogStream, DescribeLogStreams, DeleteLogStream.

use serde_json::{Value, json};

use super::{Call, bad_token, group_arn, group_name, limit, stream_name};
use crate::fail::Failure;
use crate::json::Members;
use crate::limits::DESCRIBE_MAX;
use crate::store::{Store, Stream};

pub fn create(store: &mut Store, request: &Members, call: &Call) -> Result<Value, Failure> {
    let (group, name) = (group_name(request)?, stream_name(request)?);
    let streams = &mut store.group_mut(group)?.streams;
    if streams.contains_key(name) {
        return Err(Failure::exists("log stream"));
    }
    streams.insert(name.to_owned(), Stream::new(call.now_ms));
    Ok(Value::Null)
}

pub fn delete(store: &mut Store, request: &Members) -> Result<Value, Failure> {
    store.delete_stream(group_name(request)?, stream_name(request)?)?;
    Ok(Value::Null)
}

/// The token is how many entries the pages before had. Streams that come or go meanwhile shift the pages,
/// which AWS does not promise against either.
pub fn describe(store: &Store, request: &Members) -> Result<Value, Failure> {
    let group_name = group_name(request)?;
    let prefix = request.text("logStreamNamePrefix")?;
    let by_time = match request.text("orderBy")? {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            let constraint = "Member must satisfy enum value set: [LogStreamName, LastEventTime]";
            return Err(Failure::constraint(format!("'{other}'"), "orderBy", constraint));
        }
    };
    if by_time && prefix.is_some() {
        let message = "Cannot order by LastEventTime with a logStreamNamePrefix.";
        return Err(Failure::invalid_parameter(message));
    }
    let limit = limit(request, DESCRIBE_MAX)?;
    let skip = match request.text("nextToken")? {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| bad_token())?,
    };
    let group = store.group(group_name)?;
    let prefix = prefix.unwrap_or_default();
    let all = group.streams.iter();
    let mut found: Vec<_> = all.filter(|(name, _)| name.starts_with(prefix)).collect();
    if by_time {
        found.sort_by_key(|(_, stream)| stream.counts.last_timestamp_ms);
    }
    if request.flag("descending")? {
        found.reverse();
    }
    let arn = group_arn(&group.region, group_name);
    let page = found.iter().skip(skip).take(limit);
    let streams: Vec<Value> = page.map(|(name, stream)| description(&arn, name, stream)).collect();
    let end = skip + streams.len();
    let mut answer = json!({ "logStreams": streams });
    if end < found.len() {
        answer["nextToken"] = json!(end.to_string());
    }
    Ok(answer)
}

fn description(group_arn: &str, name: &str, stream: &Stream) -> Value {
    let counts = &stream.counts;
    let mut description = json!({
        "logStreamName": name,
        "arn": format!("{group_arn}:log-stream:{name}"),
        "creationTime": stream.created_ms,
        "storedBytes": 0, // AWS has reported 0 for every stream since 2019. Source: DescribeLogStreams API reference.
    });
    let times = [
        ("firstEventTimestamp", counts.first_timestamp_ms),
        ("lastEventTimestamp", counts.last_timestamp_ms),
        ("lastIngestionTime", counts.last_ingestion_ms),
    ];
    for (member, time) in times {
        if let Some(time) = time {
            description[member] = json!(time);
        }
    }
    description
}
