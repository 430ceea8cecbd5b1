//! What a call carries, read as the service reads it and found again in what was written.

use std::borrow::Cow;
use std::io::Read;
use std::ops::RangeInclusive;

use logpump::spool::entry::Entry;
use serde::Deserialize;

use crate::service;
use crate::text;
use crate::tracebacks;
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
    /// By their numbers in the log stream. Several: each was a line, and they were joined.
    Events { first: u32, last: u32 },
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
            let item = item(&event.message, truth)?.ok_or_else(|| {
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
            Item::Events { first, last } => truth.raw_bytes(*first, *last),
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
        self.items.iter().filter_map(Item::events).flatten()
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

impl Item {
    /// None: it is none of the children's.
    pub fn events(&self) -> Option<RangeInclusive<u32>> {
        match self {
            Item::Events { first, last } => Some(*first..=*last),
            Item::Marker { .. } => None,
        }
    }
}

fn item(message: &str, truth: &Truth) -> Result<Option<Item>, String> {
    if let Some(event) = truth.find(message.as_bytes()) {
        return Ok(Some(Item::Events { first: event, last: event }));
    }
    if message.contains('\n') {
        return joined(message, truth).map(Some);
    }
    let lines = message.strip_prefix("logpump: dropped ").and_then(|lines| match lines {
        _ if lines.starts_with("part of a line ") => Some(0),
        _ => lines.split(' ').next()?.parse().ok(),
    });
    Ok(lines.map(|lines| Item::Marker { lines }))
}

/// Lines that were written one after the other.
fn joined(message: &str, truth: &Truth) -> Result<Item, String> {
    let lines: Vec<_> = message.split('\n').collect();
    if let Some(complaint) = tracebacks::complaint(&lines, truth.has_long) {
        return Err(format!("lines are joined, and {complaint}: {message:?}"));
    }
    let (first, last) = truth
        .find(lines[0].as_bytes())
        .zip(truth.find(lines[lines.len() - 1].as_bytes()))
        .ok_or_else(|| format!("what is joined, nobody wrote: {message:?}"))?;
    let (from, to) = (truth.line_of(first), truth.line_of(last));
    let is_line = |line: u32, text: &str| match truth.find(text.as_bytes()).filter(|_| !text.is_empty()) {
        Some(event) => truth.line_of(event) == line && truth.lines[line as usize].events == 1,
        None => text.is_empty() && truth.lines[line as usize].events == 0,
    };
    let is_all = (from..=to).count() == lines.len() && (from..=to).zip(&lines).all(|(line, text)| is_line(line, text));
    let one_run = truth.lines[from as usize].run == truth.lines[to as usize].run;
    if is_all && one_run {
        Ok(Item::Events { first, last })
    } else {
        Err(format!("lines are joined that did not follow each other: {message:?}"))
    }
}

fn unzipped(payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(payload).read_to_end(&mut json).map_err(|error| format!("no gzip: {error}"))?;
    Ok(json)
}
