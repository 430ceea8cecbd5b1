//! A log group that is created, and what it is to be like. What is refused of that beside the creation itself is said once
//! and costs no line.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::LogGroupClass;

use super::super::answer::{Answer, Rejected};
use super::verdict::refused;
use crate::spool::entry::Address;

/// Of groups that logpump creates; others stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSettings {
    pub retention_days: Option<i32>,
    pub kms_key_id: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub class: Option<LogGroupClass>,
}

pub(super) async fn create(client: &Client, address: &Address, settings: &GroupSettings) -> Answer {
    let create = async |tags: &BTreeMap<String, String>| {
        let tags = Some(tags).filter(|tags| !tags.is_empty());
        let call = client
            .create_log_group()
            .log_group_name(&address.group)
            .set_kms_key_id(settings.kms_key_id.clone())
            .set_log_group_class(settings.class.clone())
            .set_tags(tags.map(|tags| tags.clone().into_iter().collect()));
        call.send().await.map_or_else(|error| refused(&error), |_| Answer::Accepted(Rejected::default()))
    };
    let mut answer = create(&settings.tags).await;
    if let (Answer::Denied(detail), false) = (&answer, settings.tags.is_empty()) {
        // Tags need a right of their own. Where it is that one that is missing, the group is there without them.
        let detail = detail.clone();
        answer = create(&BTreeMap::new()).await;
        if matches!(answer, Answer::Accepted(_)) {
            tracing::warn!(
                "log group {} is created without tags: {detail}; the right logs:TagResource is needed for them, on the group's ARN without :*",
                address.group
            );
        }
    }
    if let (Answer::Accepted(_), Some(days)) = (&answer, settings.retention_days) {
        let put = client.put_retention_policy().log_group_name(&address.group).retention_in_days(days);
        if let Err(error) = put.send().await
            && let Some(detail) = refused(&error).detail()
        {
            tracing::warn!(
                "log group {} is created, and keeps its lines for ever: {detail}; the right logs:PutRetentionPolicy is \
                 needed for --retention-days",
                address.group
            );
        }
    }
    answer
}
