//! The rules of PutLogEvents: first those that fail the whole call, then those that reject single events.
//! Pure: the time and the group's retention are arguments.

use serde::Serialize;

use super::parse::{Event, Put};
use crate::fail::Failure;
use crate::faults::Reject;
use crate::limits::{
    DAY_MS, EVENT_BYTES_MAX, EVENT_CHARGE_BYTES, EVENTS_MAX, FUTURE_MS_MAX, PAST_MS_MAX, SPAN_MS_MAX, UPLOAD_BYTES_MAX,
};
use crate::names;

/// Everything that can be said without knowing the group.
pub fn call(put: &Put) -> Result<(), Failure> {
    names::group(&put.group, "logGroupName")?;
    names::stream(&put.stream, "logStreamName")?;
    count(put.events.len())?;
    for (index, event) in put.events.iter().enumerate() {
        one(event, index + 1)?;
    }
    let charged = put.message_bytes() + EVENT_CHARGE_BYTES * put.events.len() as u64;
    if charged > UPLOAD_BYTES_MAX {
        return Err(Failure::invalid_parameter(format!(
            "Upload too large: {charged} bytes exceeds limit of {UPLOAD_BYTES_MAX}"
        )));
    }
    if !put.events.is_sorted_by_key(|event| event.timestamp_ms) {
        return Err(Failure::invalid_parameter(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    Ok(())
}

fn count(events: usize) -> Result<(), Failure> {
    let constraint = match events {
        0 => "Member must have length greater than or equal to 1",
        1..=EVENTS_MAX => return Ok(()),
        _ => "Member must have length less than or equal to 10000",
    };
    Err(Failure::constraint(format!("'[{events} events]'"), "logEvents", constraint))
}

/// AWS counts members of lists from 1.
fn one(event: &Event, place: usize) -> Result<(), Failure> {
    if event.timestamp_ms < 0 {
        let (value, member) = (format!("'{}'", event.timestamp_ms), format!("logEvents.{place}.member.timestamp"));
        let constraint = "Member must have value greater than or equal to 0";
        return Err(Failure::constraint(value, member, constraint));
    }
    if event.message_bytes == 0 {
        let constraint = "Member must have length greater than or equal to 1";
        let member = format!("logEvents.{place}.member.message");
        return Err(Failure::constraint("''", member, constraint));
    }
    let charged = u64::from(event.message_bytes) + EVENT_CHARGE_BYTES;
    if charged > EVENT_BYTES_MAX {
        return Err(Failure::invalid_parameter(format!(
            "Log event too large: {charged} bytes exceeds limit of {EVENT_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// `rejectedLogEventsInfo`, in AWS's terms. The two ends are exclusive, the start is inclusive; each stands for
/// itself, so an event can be both too old and expired.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_new_log_event_start_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_old_log_event_end_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_log_event_end_index: Option<usize>,
}

impl Rejected {
    /// The events of a call of `events` that remain.
    pub fn valid(&self, events: usize) -> std::ops::Range<usize> {
        let old = self.too_old_log_event_end_index.unwrap_or(0);
        let start = old.max(self.expired_log_event_end_index.unwrap_or(0));
        // A retention never reaches into the future, so the start does not pass the end.
        start..self.too_new_log_event_start_index.unwrap_or(events)
    }

    /// With what a fault rejects besides, of a call of `events`.
    pub fn with(self, reject: &Reject, events: usize) -> Rejected {
        let start_of_new = self.too_new_log_event_start_index.unwrap_or(events).min(events.saturating_sub(reject.new));
        // Never more than there is in front of those that are too new.
        let end = |known: Option<usize>, more: usize| {
            let end = known.unwrap_or(0).max(more).min(start_of_new);
            (end > 0).then_some(end)
        };
        Rejected {
            too_new_log_event_start_index: (start_of_new < events).then_some(start_of_new),
            too_old_log_event_end_index: end(self.too_old_log_event_end_index, reject.old),
            expired_log_event_end_index: end(self.expired_log_event_end_index, reject.expired),
        }
    }

    pub fn any(&self) -> bool {
        *self != Rejected::default()
    }
}

/// The events must be in chronological order. What remains must not span too long, or the call fails after all.
pub fn ages(events: &[Event], now_ms: i64, retention_days: Option<i64>) -> Result<Rejected, Failure> {
    let older_than = |edge: i64| events.partition_point(|event| event.timestamp_ms < edge);
    let some_events = |end: usize| (end > 0).then_some(end);
    let start_of_future = events.partition_point(|event| event.timestamp_ms <= now_ms + FUTURE_MS_MAX);
    let rejected = Rejected {
        too_new_log_event_start_index: (start_of_future < events.len()).then_some(start_of_future),
        too_old_log_event_end_index: some_events(older_than(now_ms - PAST_MS_MAX)),
        expired_log_event_end_index: retention_days.and_then(|days| some_events(older_than(now_ms - days * DAY_MS))),
    };
    let valid = &events[rejected.valid(events.len())];
    if let (Some(first), Some(last)) = (valid.first(), valid.last())
        && last.timestamp_ms - first.timestamp_ms > SPAN_MS_MAX
    {
        return Err(Failure::invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(rejected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put::parse::parse;

    const NOW: i64 = 1_800_000_000_000;

    fn events(timestamps: &[i64]) -> Vec<Event> {
        let one = |timestamp: &i64| format!("{{\"timestamp\":{timestamp},\"message\":\"x\"}}");
        let list = timestamps.iter().map(one).collect::<Vec<_>>().join(",");
        let body = format!("{{\"logGroupName\":\"g\",\"logStreamName\":\"s\",\"logEvents\":[{list}]}}");
        parse(body.as_bytes(), Vec::new()).unwrap().events
    }

    fn rejected(new: Option<usize>, old: Option<usize>, expired: Option<usize>) -> Rejected {
        Rejected {
            too_new_log_event_start_index: new,
            too_old_log_event_end_index: old,
            expired_log_event_end_index: expired,
        }
    }

    #[test]
    fn exactly_two_hours_ahead_passes_and_a_millisecond_more_is_too_new() {
        let edge = NOW + 2 * 3_600_000;
        let verdict = ages(&events(&[NOW, edge, edge + 1, edge + 2]), NOW, None);
        assert_eq!(verdict, Ok(rejected(Some(2), None, None)));
    }

    #[test]
    fn exactly_fourteen_days_ago_passes_and_a_millisecond_more_is_too_old() {
        let edge = NOW - 14 * 86_400_000;
        let verdict = ages(&events(&[edge - 2, edge - 1, edge]), NOW, None).unwrap();
        assert_eq!(verdict, rejected(None, Some(2), None));
        assert_eq!(verdict.valid(3), 2..3);
    }

    #[test]
    fn past_the_retention_is_expired_and_past_fourteen_days_too_old_as_well() {
        let expired = NOW - 3 * 86_400_000;
        let old = NOW - 14 * 86_400_000;
        let verdict = ages(&events(&[old - 1, expired - 1, expired, NOW - 172_800_000]), NOW, Some(3)).unwrap();
        assert_eq!(verdict, rejected(None, Some(1), Some(2)));
        assert_eq!(verdict.valid(4), 2..4);
    }

    #[test]
    fn twenty_four_hours_pass_and_a_millisecond_more_fails_the_call() {
        assert!(ages(&events(&[NOW - 86_400_000, NOW]), NOW, None).is_ok());
        let failure = ages(&events(&[NOW - 86_400_001, NOW]), NOW, None).unwrap_err();
        assert!(failure.message.contains("24 hours"), "{}", failure.message);
    }

    #[test]
    fn rejected_events_do_not_count_towards_the_span() {
        let ancient = NOW - 15 * 86_400_000;
        let verdict = ages(&events(&[ancient, NOW, NOW + 7_200_001]), NOW, None).unwrap();
        assert_eq!(verdict, rejected(Some(2), Some(1), None));
        assert_eq!(verdict.valid(3), 1..2);
    }

    #[test]
    fn a_call_of_nothing_but_old_events_leaves_nothing() {
        let verdict = ages(&events(&[1, 2]), NOW, None).unwrap();
        assert_eq!(verdict, rejected(None, Some(2), None));
        assert!(verdict.valid(2).is_empty());
    }

    #[test]
    fn what_a_fault_rejects_goes_with_what_is_rejected_anyway() {
        let reject = |old, expired, new| Reject { old, expired, new };
        assert_eq!(rejected(None, None, None).with(&reject(0, 0, 0), 5), rejected(None, None, None));
        assert_eq!(rejected(None, None, None).with(&reject(1, 2, 1), 5), rejected(Some(4), Some(1), Some(2)));
        assert_eq!(rejected(Some(3), Some(2), None).with(&reject(1, 0, 1), 5), rejected(Some(3), Some(2), None));
        let all = rejected(None, None, None).with(&reject(9, 0, 3), 5);
        assert_eq!((&all, all.valid(5)), (&rejected(Some(2), Some(2), None), 2..2));
    }
}
