//! Reads a PutLogEvents request: by `fast` where the body is as SDKs write it, by serde_json otherwise.
//! Only serde_json's way decides that a body is bad, and in what way; `fast` merely declines.

use std::borrow::Cow;

use super::fast;
use crate::fail::Failure;
use crate::json::{Members, Node};

#[derive(Debug)]
pub struct Put<'a> {
    pub group: Cow<'a, str>,
    pub stream: Cow<'a, str>,
    pub events: Vec<Event>,
    text: Cow<'a, str>,
}

/// One event; its message stands in the request's text, escapes and all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    pub timestamp_ms: i64,
    pub(super) start: u32,
    pub(super) raw_bytes: u32,
    /// Of the message without its escapes, in UTF-8: what AWS charges.
    pub message_bytes: u32,
}

impl Put<'_> {
    /// Appends the event's message to `out`.
    pub fn append_message(&self, event: &Event, out: &mut String) {
        let start = event.start as usize;
        let raw = &self.text[start..start + event.raw_bytes as usize];
        // Every escape is longer than what it stands for, so equal lengths mean that there is none.
        if event.raw_bytes == event.message_bytes {
            out.push_str(raw);
        } else {
            unescape(raw, out);
        }
    }

    pub fn message_bytes(&self) -> u64 {
        let each = self.events.iter();
        each.map(|event| u64::from(event.message_bytes)).sum()
    }
}

/// `events` is a vector to reuse. The body's length is bounded by whoever received it, below 4 GiB.
pub fn parse(body: &[u8], mut events: Vec<Event>) -> Result<Put<'_>, Failure> {
    let text = simdutf8::compat::from_utf8(body)
        .map_err(|error| Failure::serialization(format!("The body is not UTF-8: {error}")))?;
    events.clear();
    if let Some((group, stream)) = fast::parse(text, &mut events) {
        let text = Cow::Borrowed(text);
        return Ok(Put { group, stream, events, text });
    }
    events.clear();
    slow(body, events)
}

/// The naive way, for whatever `fast` declined.
fn slow<'a>(body: &[u8], mut events: Vec<Event>) -> Result<Put<'a>, Failure> {
    let mut members = Members::parse(body)?;
    let required = |member: &str| {
        let text = members.text(member)?.map(str::to_owned);
        text.ok_or_else(|| Failure::missing(member))
    };
    let (group, stream) = (required("logGroupName")?, required("logStreamName")?);
    members.text("sequenceToken")?;
    let list = members.take_list("logEvents")?;
    let list = list.ok_or_else(|| Failure::missing("logEvents"))?;
    let mut text = String::with_capacity(body.len());
    for (index, node) in list.into_iter().enumerate() {
        events.push(slow_event(node, index + 1, &mut text)?);
    }
    let (group, stream, text) = (group.into(), stream.into(), text.into());
    Ok(Put { group, stream, events, text })
}

/// AWS counts members of lists from 1.
fn slow_event(node: Node, place: usize, text: &mut String) -> Result<Event, Failure> {
    let event = node.into_members(&format!("logEvents.{place}.member"))?;
    let missing = |member: &str| Failure::missing(format!("logEvents.{place}.member.{member}"));
    let timestamp_ms = event.long("timestamp")?.ok_or_else(|| missing("timestamp"))?;
    let message = event.text("message")?.ok_or_else(|| missing("message"))?;
    let start = text.len() as u32;
    text.push_str(message);
    let message_bytes = message.len() as u32;
    Ok(Event { timestamp_ms, start, raw_bytes: message_bytes, message_bytes })
}

/// `raw` is the inside of a JSON string that was already found well-formed.
fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (decoded, used) = fast::escape(&rest.as_bytes()[at..]).expect("parsed before");
        out.push(decoded);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(put: &Put) -> Vec<(i64, u32, String)> {
        let decode = |event: &Event| {
            let mut message = String::new();
            put.append_message(event, &mut message);
            (event.timestamp_ms, event.message_bytes, message)
        };
        put.events.iter().map(decode).collect()
    }

    fn body(events: &[(i64, String)], ascii_only: bool, spaced: bool, message_first: bool) -> String {
        let quote = |text: &str| {
            let quoted = serde_json::to_string(text).unwrap();
            if !ascii_only {
                return quoted;
            }
            let mut units = [0; 2];
            let mut out = String::new();
            for c in quoted.chars() {
                match c.is_ascii() {
                    true => out.push(c),
                    false => c.encode_utf16(&mut units).iter().for_each(|unit| {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }),
                }
            }
            out
        };
        let (comma, colon) = if spaced { (", ", ": ") } else { (",", ":") };
        let event = |(timestamp, message): &(i64, String)| {
            let message = format!("\"message\"{colon}{}", quote(message));
            match message_first {
                true => format!("{{{message}{comma}\"timestamp\"{colon}{timestamp}}}"),
                false => format!("{{\"timestamp\"{colon}{timestamp}{comma}{message}}}"),
            }
        };
        let events = events.iter().map(event).collect::<Vec<_>>().join(comma);
        format!(
            "{{\"logGroupName\"{colon}\"g/1\"{comma}\"logStreamName\"{colon}{}{comma}\"logEvents\"{colon}[{events}]}}",
            quote("s é")
        )
    }

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        let body = r#"{"logGroupName":"g","logStreamName":"s","logEvents":[
            {"timestamp":1,"message":"a\"\\\/\b\f\n\r\t"},{"timestamp":2,"message":"\u0041\u00e4\u20AC\ud83d\ude00"}]}"#;
        let compact = body.replace("\n            ", "");
        let mut events = Vec::new();
        assert!(fast::parse(&compact, &mut events).is_some());
        for body in [body, &compact] {
            let put = parse(body.as_bytes(), Vec::new()).unwrap();
            let expected = vec![(1, 9, "a\"\\/\u{8}\u{c}\n\r\t".to_owned()), (2, 1 + 2 + 3 + 4, "Aä€😀".to_owned())];
            assert_eq!(messages(&put), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let body =
            br#"{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1,"message":"a"},{"timestamp":1}]}"#;
        let failure = parse(body, Vec::new()).unwrap_err();
        assert_eq!(failure.kind, "InvalidParameterException");
        assert_eq!(
            failure.message,
            "1 validation error detected: Value null at 'logEvents.2.member.message' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn broken_bodies_are_serialization_errors() {
        let event =
            |event: &str| format!(r#"{{"logGroupName":"g","logStreamName":"s","logEvents":[{event}]}}"#).into_bytes();
        let bodies = [
            b"".to_vec(),
            b"{".to_vec(),
            b"[\"g\",\"s\",[]]".to_vec(),
            event(r#"{"timestamp":1,"message":"a"},"#),
            event(r#"{"timestamp":1,"message":"a"}]}{"#),
            event(r#"[1,"a"]"#),
            event(r#"{"timestamp":"1","message":"a"}"#),
            event(r#"{"timestamp":1.5,"message":"a"}"#),
            event(r#"{"timestamp":01,"message":"a"}"#),
            event(r#"{"timestamp":9223372036854775808,"message":"a"}"#),
            event(r#"{"timestamp":1,"message":"a","message":"b"}"#),
            event(r#"{"timestamp":1,"message":7}"#),
            event(r#"{"timestamp":1,"message":"\x41"}"#),
            event(r#"{"timestamp":1,"message":"\ud83d"}"#),
            event(r#"{"timestamp":1,"message":"\ude00\ud83d"}"#),
            event("{\"timestamp\":1,\"message\":\"a\nb\"}"),
            [event(r#"{"timestamp":1,"message":"a"#), vec![0xff], b"\"}]}".to_vec()].concat(),
        ];
        for body in bodies {
            let failure = parse(&body, Vec::new()).unwrap_err();
            assert_eq!(failure.kind, "SerializationException", "{}", String::from_utf8_lossy(&body));
        }
    }

    proptest! {
        #[test]
        fn what_sdks_write_is_read_fast_and_as_serde_json_reads_it(
            events in prop::collection::vec((0..=i64::MAX, any::<String>()), 0..8),
            ascii_only: bool, spaced: bool, message_first: bool,
        ) {
            let body = body(&events, ascii_only, spaced, message_first);
            prop_assert!(fast::parse(&body, &mut Vec::new()).is_some(), "declined: {body}");
            let put = parse(body.as_bytes(), Vec::new()).unwrap();
            let naive = slow(body.as_bytes(), Vec::new()).unwrap();
            prop_assert_eq!((&put.group, &put.stream), (&naive.group, &naive.stream));
            prop_assert_eq!(messages(&put), messages(&naive));
            let expected: Vec<_> = events.iter().map(|(t, m)| (*t, m.len() as u32, m.clone())).collect();
            prop_assert_eq!(messages(&put), expected);
        }

        #[test]
        fn a_damaged_body_is_read_as_serde_json_reads_it_or_declined(
            events in prop::collection::vec((0..=i64::MAX, "[a\"\\\\\u{e4}\u{1F600}\n]{0,6}"), 0..4),
            ascii_only: bool, spaced: bool,
            damages in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, "[ -~\n]"), 1..3),
        ) {
            let mut body: Vec<char> = body(&events, ascii_only, spaced, false).chars().collect();
            for (at, how, with) in &damages {
                let at = at.index(body.len());
                let with = with.chars().next().unwrap();
                match how {
                    0 => body[at] = with,
                    1 => body.insert(at, with),
                    _ => drop(body.remove(at)),
                }
            }
            let body: String = body.into_iter().collect();
            let mut fast_events = Vec::new();
            if let Some((group, stream)) = fast::parse(&body, &mut fast_events) {
                let put = Put { group, stream, events: fast_events, text: body.as_str().into() };
                let naive = slow(body.as_bytes(), Vec::new());
                prop_assert!(naive.is_ok(), "accepted {body}, but {naive:?}");
                let naive = naive.unwrap();
                prop_assert_eq!((&put.group, &put.stream), (&naive.group, &naive.stream));
                prop_assert_eq!(messages(&put), messages(&naive));
            }
        }
    }
}
