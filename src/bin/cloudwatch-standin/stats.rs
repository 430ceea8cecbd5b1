//! What `GET /stats` tells. Only counts; what a stream holds is the store's.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::put::check::Rejected;
use crate::store::{Counts, Group, Store};

#[derive(Default, Serialize)]
pub struct Stats {
    /// By operation, whether answered or, by a fault, not; calls of operations that are not served count as `Unknown`.
    pub calls: BTreeMap<&'static str, u64>,
    /// By error type, as in `__type`.
    pub errors: BTreeMap<&'static str, u64>,
    /// Accepted events and their message bytes.
    pub events: u64,
    pub message_bytes: u64,
    pub rejected_events: RejectedEvents,
    /// As received, before decompression.
    pub body_bytes: u64,
    pub gzip_calls: u64,
    pub calls_in_flight: u64,
    pub calls_in_flight_max: u64,
    pub connections: u64,
    pub connections_open: u64,
}

/// An event that is both too old and expired counts under both, but once in `total`.
#[derive(Default, Serialize)]
pub struct RejectedEvents {
    pub total: u64,
    pub too_new: u64,
    pub too_old: u64,
    pub expired: u64,
}

impl Stats {
    pub fn rejected(&mut self, rejected: &Rejected, events: usize) {
        let counts = &mut self.rejected_events;
        let valid = rejected.valid(events).len();
        counts.total += (events - valid) as u64;
        counts.too_new += (events - rejected.too_new_log_event_start_index.unwrap_or(events)) as u64;
        counts.too_old += rejected.too_old_log_event_end_index.unwrap_or(0) as u64;
        counts.expired += rejected.expired_log_event_end_index.unwrap_or(0) as u64;
    }

    pub fn call_begins(&mut self) {
        self.calls_in_flight += 1;
        self.calls_in_flight_max = self.calls_in_flight_max.max(self.calls_in_flight);
    }

    /// `faults`: hits by name.
    pub fn to_json(&self, store: &Store, faults: &BTreeMap<&'static str, u64>) -> Vec<u8> {
        let streams = store.groups.iter().flat_map(|(group_name, group)| {
            group.streams.iter().map(move |(stream_name, stream)| StreamStats {
                group: group_name,
                stream: stream_name,
                counts: &stream.counts,
            })
        });
        let page = Page {
            stats: self,
            faults,
            kept_bytes: store.kept_bytes,
            groups: store.groups.iter().map(|(name, group)| GroupStats::new(name, group)).collect(),
            streams: streams.collect(),
        };
        serde_json::to_vec_pretty(&page).expect("counts and names serialize")
    }
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    stats: &'a Stats,
    faults: &'a BTreeMap<&'static str, u64>,
    kept_bytes: u64,
    groups: Vec<GroupStats<'a>>,
    streams: Vec<StreamStats<'a>>,
}

#[derive(Serialize)]
struct GroupStats<'a> {
    group: &'a str,
    class: &'a str,
    kms_key: Option<&'a str>,
    retention_days: Option<i64>,
    tags: &'a BTreeMap<String, String>,
    streams: usize,
}

impl GroupStats<'_> {
    fn new<'a>(name: &'a str, group: &'a Group) -> GroupStats<'a> {
        GroupStats {
            group: name,
            class: &group.class,
            kms_key: group.kms_key.as_deref(),
            retention_days: group.retention_days,
            tags: &group.tags,
            streams: group.streams.len(),
        }
    }
}

#[derive(Serialize)]
struct StreamStats<'a> {
    group: &'a str,
    stream: &'a str,
    #[serde(flatten)]
    counts: &'a Counts,
}
