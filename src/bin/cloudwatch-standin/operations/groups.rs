//! Log groups: CreateLogGroup, DescribeLogGroups, DeleteLogGroup, retention, tags.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Value, json};

use super::{Call, group_arn, group_name, limit, name_in_arn, required};
use crate::fail::Failure;
use crate::json::Members;
use crate::limits::DESCRIBE_MAX;
use crate::names;
use crate::store::{Group, Store};

pub fn create(store: &mut Store, request: &Members, call: &Call) -> Result<Value, Failure> {
    let name = required(request, "logGroupName")?;
    names::group(name, "logGroupName")?;
    names::group_prefix(name)?;
    let kms_key = request.text("kmsKeyId")?;
    names::kms_key(kms_key.unwrap_or_default())?;
    let class = request.text("logGroupClass")?.unwrap_or("STANDARD");
    names::group_class(class)?;
    let tags = request.text_map("tags")?;
    names::tags(&tags)?;
    if store.groups.contains_key(name) {
        return Err(Failure::exists("log group"));
    }
    let group = Group {
        region: call.region.clone(),
        created_ms: call.now_ms,
        class: class.to_owned(),
        kms_key: kms_key.map(str::to_owned),
        tags,
        retention_days: None,
        streams: BTreeMap::new(),
    };
    store.groups.insert(name.to_owned(), group);
    Ok(Value::Null)
}

pub fn delete(store: &mut Store, request: &Members) -> Result<Value, Failure> {
    store.delete_group(group_name(request)?)?;
    Ok(Value::Null)
}

/// Pages by name: the token is the last name of the page before.
pub fn describe(store: &Store, request: &Members) -> Result<Value, Failure> {
    let prefix = request.text("logGroupNamePrefix")?;
    let pattern = request.text("logGroupNamePattern")?;
    if prefix.is_some() && pattern.is_some() {
        let message = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        return Err(Failure::invalid_parameter(message));
    }
    let (prefix, pattern) = (prefix.unwrap_or_default(), pattern.unwrap_or_default().to_lowercase());
    let limit = limit(request, DESCRIBE_MAX)?;
    let after = request.text("nextToken")?.map_or(Bound::Unbounded, Bound::Excluded);
    let matches = |name: &str| name.starts_with(prefix) && name.to_lowercase().contains(&pattern);
    let all = store.groups.range::<str, _>((after, Bound::Unbounded));
    let mut found = all.filter(|(name, _)| matches(name));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let groups: Vec<Value> = page.iter().map(|(name, group)| description(name, group)).collect();
    let mut answer = json!({ "logGroups": groups });
    if let (Some(_), Some((name, _))) = (found.next(), page.last()) {
        answer["nextToken"] = json!(name);
    }
    Ok(answer)
}

fn description(name: &str, group: &Group) -> Value {
    let arn = group_arn(&group.region, name);
    let bytes: u64 = group.streams.values().map(|stream| stream.counts.message_bytes).sum();
    let mut description = json!({
        "logGroupName": name,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "creationTime": group.created_ms,
        "logGroupClass": group.class,
        "metricFilterCount": 0,
        "storedBytes": bytes,
    });
    if let Some(days) = group.retention_days {
        description["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.kms_key {
        description["kmsKeyId"] = json!(key);
    }
    description
}

pub fn put_retention(store: &mut Store, request: &Members) -> Result<Value, Failure> {
    let name = group_name(request)?;
    let days = request.long("retentionInDays")?;
    let days = days.ok_or_else(|| Failure::missing("retentionInDays"))?;
    names::retention_days(days)?;
    store.group_mut(name)?.retention_days = Some(days);
    Ok(Value::Null)
}

pub fn delete_retention(store: &mut Store, request: &Members) -> Result<Value, Failure> {
    store.group_mut(group_name(request)?)?.retention_days = None;
    Ok(Value::Null)
}

pub fn tag(store: &mut Store, request: &Members) -> Result<Value, Failure> {
    let name = name_in_arn(required(request, "resourceArn")?);
    let new = request.text_map("tags")?;
    let group = store.group_mut(name)?;
    let mut tags = group.tags.clone();
    tags.extend(new);
    names::tags(&tags)?;
    group.tags = tags;
    Ok(Value::Null)
}

pub fn list_tags(store: &Store, request: &Members) -> Result<Value, Failure> {
    let name = name_in_arn(required(request, "resourceArn")?);
    Ok(json!({ "tags": store.group(name)?.tags }))
}
