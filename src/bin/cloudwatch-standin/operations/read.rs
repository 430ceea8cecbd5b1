//! GetLogEvents: pages through a stream in either direction.
//!
//! A token names a gap between two events, not a number of events: what arrives late on one side of the gap does not
//! shift the other. Forward is behind the gap, backward is before it. At either end a page is empty and its token is
//! the one that was given, which is how readers know that they are done.

use serde::Serialize;

use super::{bad_token, group_name, limit, stream_name};
use crate::fail::Failure;
use crate::json::Members;
use crate::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use crate::store::{Kept, Key, ReadEvent, Store};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Forward(Key),
    Backward(Key),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    events: Vec<ReadEvent<'a>>,
    next_forward_token: String,
    next_backward_token: String,
}

pub fn get_log_events(store: &mut Store, request: &Members) -> Result<Vec<u8>, Failure> {
    let (group, stream) = (group_name(request)?, stream_name(request)?);
    let start_ms = request.long("startTime")?.unwrap_or(0);
    let end_ms = request.long("endTime")?.unwrap_or(i64::MAX);
    let limit = limit(request, PAGE_EVENTS_MAX)?;
    let token = request.text("nextToken")?.map(Token::parse).transpose()?;
    let from_head = request.flag("startFromHead")?;
    let keeps_events = store.keeps_events();
    let stream = store.stream_mut(group, stream)?;
    if !keeps_events {
        let message = "This stand-in keeps no events: it was started with --count-only";
        return Err(Failure::new(400, "InvalidOperationException", message));
    }
    stream.sort();
    let stream = &*stream;
    let wanted = within(stream.events(), start_ms, end_ms);
    let before = |gap: Key| wanted.partition_point(|kept| kept.key < gap);
    let page = match token {
        Some(Token::Forward(gap)) => head(&wanted[before(gap)..], limit),
        Some(Token::Backward(gap)) => tail(&wanted[..before(gap)], limit),
        None if from_head => head(wanted, limit),
        None => tail(wanted, limit),
    };
    let gap_if_empty = match token {
        Some(Token::Forward(gap) | Token::Backward(gap)) => gap,
        None => Key::FIRST,
    };
    let forward = page.last().map_or(gap_if_empty, |kept| kept.key.behind());
    let backward = page.first().map_or(gap_if_empty, |kept| kept.key);
    let answer = Page {
        events: page.iter().map(|kept| stream.read(kept)).collect(),
        next_forward_token: Token::Forward(forward).to_text(),
        next_backward_token: Token::Backward(backward).to_text(),
    };
    Ok(serde_json::to_vec(&answer).expect("texts and numbers serialize"))
}

/// From `start_ms`, inclusive, to `end_ms`, exclusive.
fn within(events: &[Kept], start_ms: i64, end_ms: i64) -> &[Kept] {
    let start = events.partition_point(|kept| kept.key.timestamp_ms < start_ms);
    let end = events.partition_point(|kept| kept.key.timestamp_ms < end_ms);
    &events[start..end.max(start)]
}

fn head(events: &[Kept], limit: usize) -> &[Kept] {
    &events[..fitting(events.iter(), limit)]
}

fn tail(events: &[Kept], limit: usize) -> &[Kept] {
    &events[events.len() - fitting(events.iter().rev(), limit)..]
}

/// How many fit a page. The first always does: no message is larger than a page.
fn fitting<'a>(events: impl Iterator<Item = &'a Kept>, limit: usize) -> usize {
    let mut bytes = 0;
    let fits = |kept: &&Kept| {
        bytes += u64::from(kept.message_bytes);
        bytes <= PAGE_BYTES_MAX
    };
    events.take(limit).take_while(fits).count()
}

impl Token {
    /// `f/` or `b/`, then digits and a tail, as AWS's look.
    fn to_text(self) -> String {
        let (direction, gap) = match self {
            Token::Forward(gap) => ('f', gap),
            Token::Backward(gap) => ('b', gap),
        };
        format!("{direction}/{:020}{:010}{:010}/s", gap.timestamp_ms, gap.batch, gap.start)
    }

    fn parse(text: &str) -> Result<Token, Failure> {
        let parts = || -> Option<Token> {
            let (direction, rest) = text.split_once('/')?;
            let digits = rest.strip_suffix("/s")?;
            if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let gap = Key {
                timestamp_ms: digits[..20].parse().ok()?,
                batch: digits[20..30].parse().ok()?,
                start: digits[30..].parse().ok()?,
            };
            match direction {
                "f" => Some(Token::Forward(gap)),
                "b" => Some(Token::Backward(gap)),
                _ => None,
            }
        };
        parts().ok_or_else(bad_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        let gap = Key { timestamp_ms: 1_800_000_000_000, batch: 7, start: 4_000_000_000 };
        for token in [Token::Forward(gap), Token::Backward(gap), Token::Forward(Key::FIRST)] {
            assert_eq!(Token::parse(&token.to_text()), Ok(token));
        }
        for text in [
            "",
            "f/",
            "f/12/s",
            "x/0000000000000000000000000000000000000000/s",
            "f/0000000000000000000000000000000000000000",
        ] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }
}
