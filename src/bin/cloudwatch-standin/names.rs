//! The rules for names, tags, classes and retention. Pure.

use std::collections::BTreeMap;

use crate::fail::Failure;
use crate::limits::{
    GROUP_CLASSES, KMS_KEY_CHARS_MAX, NAME_CHARS_MAX, RETENTION_DAYS, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX,
};

/// `member` is what the caller called it, for the message.
pub fn group(name: &str, member: &str) -> Result<(), Failure> {
    length(name, member, 1, NAME_CHARS_MAX)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#".contains(c);
    if !name.chars().all(allowed) {
        let pattern = r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+";
        return Err(Failure::constraint(format!("'{name}'"), member, pattern));
    }
    Ok(())
}

/// Only creation minds this prefix: no call can reach a group that could not be created.
pub fn group_prefix(name: &str) -> Result<(), Failure> {
    match name.starts_with("aws/") {
        true => Err(Failure::invalid_parameter("Log groups starting with 'aws/' are reserved for AWS.")),
        false => Ok(()),
    }
}

pub fn stream(name: &str, member: &str) -> Result<(), Failure> {
    length(name, member, 1, NAME_CHARS_MAX)?;
    if name.contains([':', '*']) {
        let pattern = "Member must satisfy regular expression pattern: [^:*]*";
        return Err(Failure::constraint(format!("'{name}'"), member, pattern));
    }
    Ok(())
}

pub fn tags(tags: &BTreeMap<String, String>) -> Result<(), Failure> {
    if tags.len() > TAGS_MAX {
        let constraint = format!("Member must have length less than or equal to {TAGS_MAX}");
        return Err(Failure::constraint("'{...}'", "tags", &constraint));
    }
    for (key, value) in tags {
        length(key, "tags.key", 1, TAG_KEY_CHARS_MAX)?;
        length(value, "tags.value", 0, TAG_VALUE_CHARS_MAX)?;
    }
    Ok(())
}

pub fn kms_key(id: &str) -> Result<(), Failure> {
    length(id, "kmsKeyId", 0, KMS_KEY_CHARS_MAX)
}

pub fn group_class(class: &str) -> Result<(), Failure> {
    match GROUP_CLASSES.contains(&class) {
        true => Ok(()),
        false => {
            let set = GROUP_CLASSES.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{set}]");
            Err(Failure::constraint(format!("'{class}'"), "logGroupClass", &constraint))
        }
    }
}

pub fn retention_days(days: i64) -> Result<(), Failure> {
    match RETENTION_DAYS.contains(&days) {
        true => Ok(()),
        false => {
            let set = RETENTION_DAYS.map(|days| days.to_string()).join(", ");
            let constraint = format!("Member must satisfy enum value set: [{set}]");
            Err(Failure::constraint(format!("'{days}'"), "retentionInDays", &constraint))
        }
    }
}

fn length(text: &str, member: &str, least: usize, most: usize) -> Result<(), Failure> {
    let chars = text.chars().count();
    let constraint = if chars < least {
        format!("Member must have length greater than or equal to {least}")
    } else if chars > most {
        format!("Member must have length less than or equal to {most}")
    } else {
        return Ok(());
    };
    Err(Failure::constraint(format!("'{text}'"), member, &constraint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_has_1_to_512_of_the_allowed_characters() {
        for name in ["a", "/aws/lambda/x", "A.b-c_d/e#9", &"x".repeat(512)] {
            assert_eq!(group(name, "logGroupName"), Ok(()));
        }
        for name in ["", "a b", "a:b", "a*", "ä", &"x".repeat(513)] {
            let failure = group(name, "logGroupName").unwrap_err();
            assert_eq!(failure.kind, "InvalidParameterException", "{name}");
        }
    }

    #[test]
    fn a_group_may_begin_with_slash_aws_but_not_with_aws_slash() {
        assert_eq!(group_prefix("/aws/x"), Ok(()));
        assert_eq!(group_prefix("aws-x"), Ok(()));
        assert!(group_prefix("aws/x").is_err());
    }

    #[test]
    fn a_stream_name_has_1_to_512_characters_but_no_colon_and_no_star() {
        for name in ["a", "2026/01/02/[$LATEST] ä b", &"ä".repeat(512)] {
            assert_eq!(stream(name, "logStreamName"), Ok(()));
        }
        for name in ["", "a:b", "a*b", &"x".repeat(513)] {
            assert!(stream(name, "logStreamName").is_err(), "{name}");
        }
    }

    #[test]
    fn fifty_tags_pass_and_one_more_does_not() {
        let some = |n: usize| (0..n).map(|i| (format!("k{i}"), String::new())).collect();
        assert_eq!(tags(&some(50)), Ok(()));
        assert!(tags(&some(51)).is_err());
        assert!(tags(&BTreeMap::from([(String::new(), "v".into())])).is_err());
        assert!(tags(&BTreeMap::from([("k".into(), "v".repeat(257))])).is_err());
    }

    #[test]
    fn only_the_days_that_aws_lists_are_a_retention() {
        assert_eq!(retention_days(1), Ok(()));
        assert_eq!(retention_days(3653), Ok(()));
        for days in [-1, 0, 2, 8, 366, 3654] {
            assert!(retention_days(days).is_err(), "{days}");
        }
    }
}
