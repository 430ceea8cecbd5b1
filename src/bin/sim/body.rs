//! What a call carries, read as the service reads it and found again in what was written.

use std::borrow::Cow;
use std::io::Read;

use logpump::spool::entry::Entry;
use serde::Deserialize;

use crate::service;
use crate::text;
use crate::truth::Truth;

/// A PutLogEvents request.
#[derive(Deserialize)]
pub struct Request<'a> {
    #[serde(rename = "logGroupName", borrow)]
    pub group: Cow<'a, str>,
    #[serde(rename = "logStreamName", borrow)]
    pub stream: Cow<'a, str>,
    #[serde(rename = "logEvents", borrow)]
    pub events: Vec<InputEvent<'a>>,
}

#[derive(Deserialize)]
pub struct InputEvent<'a> {
    pub timestamp: i64,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// By its number in the log stream.
    Event(u32),
    /// logpump's own: so many lines are missing here.
    Marker { lines: u64 },
}

#[derive(Debug)]
pub struct Body {
    pub hash: u64,
    pub log: usize,
    /// The run of logpump that made it.
    pub run: u32,
    pub sequence: u64,
    pub items: Vec<Item>,
    pub timestamps: Vec<i64>,
}

impl Body {
    /// What an entry carries, or what is wrong with it.
    pub fn read(entry: &Entry, group: &str, log: usize, run: u32, truth: &Truth) -> Result<Body, String> {
        let unzipped = if entry.gzip { Some(unzipped(&entry.payload)?) } else { None };
        let json = unzipped.as_deref().unwrap_or(&entry.payload);
        let request: Request<'_> =
            serde_json::from_slice(json).map_err(|error| format!("a body that cannot be read: {error}"))?;
        if request.group != group || request.stream != entry.address.stream {
            return Err(format!("a body for {}/{} is addressed to {:?}", request.group, request.stream, entry.address));
        }
        if let Some(complaint) = service::complaint(&request) {
            return Err(format!("a body of {} that no service would take: {complaint}", request.stream));
        }
        let mut items = Vec::with_capacity(request.events.len());
        for event in &request.events {
            let item = item(&event.message, truth).ok_or_else(|| {
                let text: String = event.message.chars().take(100).collect();
                format!("{} is sent {} bytes that nobody wrote: {text:?}", request.stream, event.message.len())
            })?;
            items.push(item);
        }
        let timestamps: Vec<_> = request.events.iter().map(|event| event.timestamp).collect();
        let body = Body { hash: text::hash(&entry.payload), log, run, sequence: entry.sequence, items, timestamps };
        body.check(entry, truth)?;
        Ok(body)
    }

    /// What the entry says of its payload.
    fn check(&self, entry: &Entry, truth: &Truth) -> Result<(), String> {
        let raw_bytes = |item: &Item| match item {
            Item::Event(event) => truth.events[*event as usize].raw_bytes,
            Item::Marker { .. } => 0,
        };
        if !self.items.iter().map(raw_bytes).eq(entry.raw_lengths.iter().copied()) {
            return Err(format!("the raw lengths of a body of log stream {} are wrong", self.log));
        }
        if (self.first_ms(), self.last_ms()) != (entry.first_ms, entry.last_ms) {
            return Err(format!("the entry of a body of log stream {} has other times than the body", self.log));
        }
        let events: Vec<_> = self.events().collect();
        match events.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(format!("in a body of stream {}, event {} follows event {}", self.log, pair[1], pair[0])),
            None => Ok(()),
        }
    }

    pub fn events(&self) -> impl Iterator<Item = u32> {
        self.items.iter().filter_map(|item| match item {
            Item::Event(event) => Some(*event),
            Item::Marker { .. } => None,
        })
    }

    /// For `--trace`.
    pub fn words(&self) -> String {
        let (first, last) = (self.events().next(), self.events().last());
        let Body { log, run, sequence, .. } = self;
        format!(
            "log {log} run {run} body {sequence} events {first:?}..={last:?} at {}..={}",
            self.first_ms(),
            self.last_ms()
        )
    }

    /// In the order in which they were made.
    pub fn place(&self) -> (u32, u64, Option<u32>) {
        (self.run, self.sequence, self.events().next())
    }

    pub fn first_ms(&self) -> i64 {
        self.timestamps[0]
    }

    pub fn last_ms(&self) -> i64 {
        self.timestamps[self.timestamps.len() - 1]
    }
}

fn item(message: &str, truth: &Truth) -> Option<Item> {
    if let Some(event) = truth.find(message.as_bytes()) {
        return Some(Item::Event(event));
    }
    let lines = message.strip_prefix("logpump: dropped ")?;
    if lines.starts_with("part of a line ") {
        return Some(Item::Marker { lines: 0 });
    }
    let lines = lines.split(' ').next()?.parse().ok()?;
    Some(Item::Marker { lines })
}

fn unzipped(payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(payload).read_to_end(&mut json).map_err(|error| format!("no gzip: {error}"))?;
    Ok(json)
}
