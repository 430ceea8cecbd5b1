//! What a log group is to be like that logpump creates: checked against CloudWatch Logs' own rules before anything starts.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::LogGroupClass;

use super::args::{ClassChoice, RunArguments};
use crate::limits::{KMS_KEY_BYTES_MAX, RETENTION_DAYS, TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_MAX};
use crate::refusal::Refusal;
use crate::ship::GroupSettings;

pub fn of(arguments: &RunArguments) -> Result<GroupSettings, Refusal> {
    let given = [
        ("--retention-days", arguments.retention_days.is_some()),
        ("--kms-key-id", arguments.kms_key_id.is_some()),
        ("--tag", !arguments.tag.is_empty()),
        ("--log-group-class", arguments.log_group_class.is_some()),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given && !arguments.create_group) {
        return Err(Refusal::usage(format!(
            "{option} is for log groups that logpump creates; give --create-group as well, or set it where the group is made"
        )));
    }
    if let Some(days) = arguments.retention_days.filter(|days| !RETENTION_DAYS.contains(days)) {
        let known: Vec<_> = RETENTION_DAYS.iter().map(i32::to_string).collect();
        return Err(Refusal::usage(format!("--retention-days: {days} is none of {}", known.join(", "))));
    }
    if let Some(key) = arguments.kms_key_id.as_ref().filter(|key| key.is_empty() || key.len() > KMS_KEY_BYTES_MAX) {
        return Err(Refusal::usage(format!(
            "--kms-key-id: a key's ARN has 1 to {KMS_KEY_BYTES_MAX} bytes, this one {}",
            key.len()
        )));
    }
    Ok(GroupSettings {
        retention_days: arguments.retention_days,
        kms_key_id: arguments.kms_key_id.clone(),
        tags: tags(&arguments.tag)?,
        class: arguments.log_group_class.map(|class| match class {
            ClassChoice::Standard => LogGroupClass::Standard,
            ClassChoice::InfrequentAccess => LogGroupClass::InfrequentAccess,
            ClassChoice::Delivery => LogGroupClass::Delivery,
        }),
    })
}

fn tags(given: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for text in given {
        let refused = |what: &str| Err(Refusal::usage(format!("--tag: {text:?}: {what}")));
        let Some((key, value)) = text.split_once('=') else { return refused("write KEY=VALUE") };
        if key.is_empty() || key.chars().count() > TAG_KEY_CHARACTERS_MAX {
            return refused("a key has 1 to 128 characters");
        }
        if value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            return refused("a value has at most 256 characters");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refused("keys that begin with aws: are AWS's own");
        }
        let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
        if !key.chars().chain(value.chars()).all(allowed) {
            return refused("only letters, digits, spaces and _ . : / = + - @ are allowed");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return refused("its key is given twice");
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(Refusal::usage(format!("--tag: {} tags; a log group has at most {TAGS_MAX}", tags.len())));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &[&str]) -> String {
        let given: Vec<_> = given.iter().map(|tag| (*tag).to_owned()).collect();
        tags(&given).unwrap_err().message
    }

    #[test]
    fn tags_follow_awss_rules() {
        let given = ["team=data", "cost center=a=b", "empty="].map(str::to_owned);
        let found = tags(&given).unwrap();
        assert_eq!(
            (found["team"].as_str(), found["cost center"].as_str(), found["empty"].as_str()),
            ("data", "a=b", "")
        );
        for (given, complaint) in [
            (&["team"][..], "KEY=VALUE"),
            (&["=x"], "1 to 128"),
            (&["aws:x=1"], "AWS's own"),
            (&["a=1", "a=2"], "given twice"),
            (&["a=<1>"], "only letters"),
        ] {
            assert!(refused(given).contains(complaint), "{}", refused(given));
        }
        let long = format!("a={}", "x".repeat(257));
        assert!(refused(&[&long]).contains("at most 256"));
        let many: Vec<_> = (0..51).map(|n| format!("k{n}=v")).collect();
        assert!(tags(&many).unwrap_err().message.contains("at most 50"));
    }
}
