//! One pass over a PutLogEvents body as SDKs write it: no control characters, the known members, whole timestamps.
//! Declines (`None`) whatever else it meets, good or bad; serde_json then decides.

use std::borrow::Cow;

use super::parse::Event;

type Names<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Appends the events to `events` and returns the group's and the stream's name.
pub fn parse<'a>(body: &'a str, events: &mut Vec<Event>) -> Option<Names<'a>> {
    // JSON forbids bare control characters in strings. With none in the whole body no string needs to be searched.
    if has_control_character(body.as_bytes()) {
        return None;
    }
    let mut cursor = Cursor { body, bytes: body.as_bytes(), at: 0 };
    let (mut group, mut stream, mut listed, mut token) = (None, None, false, false);
    cursor.expect(b'{')?;
    loop {
        let key = cursor.string()?.of(body);
        cursor.expect(b':')?;
        match key {
            "logGroupName" if group.is_none() => group = Some(cursor.name()?),
            "logStreamName" if stream.is_none() => stream = Some(cursor.name()?),
            "logEvents" if !listed => {
                cursor.events(events)?;
                listed = true;
            }
            "sequenceToken" if !token => {
                cursor.string()?;
                token = true;
            }
            _ => return None,
        }
        match cursor.next()? {
            b',' => continue,
            b'}' => break,
            _ => return None,
        }
    }
    cursor.skip_spaces();
    if cursor.at != body.len() || !listed {
        return None;
    }
    Some((group?, stream?))
}

/// The inside of a string: its place in the body, and how long it is without its escapes.
struct Span {
    start: usize,
    raw_bytes: usize,
    decoded_bytes: usize,
}

impl Span {
    fn of<'a>(&self, body: &'a str) -> &'a str {
        &body[self.start..self.start + self.raw_bytes]
    }
}

struct Cursor<'a> {
    body: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip_spaces(&mut self) {
        while self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        self.skip_spaces();
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn string(&mut self) -> Option<Span> {
        self.expect(b'"')?;
        let start = self.at;
        let mut shrunk = 0;
        loop {
            let rest = &self.bytes[self.at..];
            let found = memchr::memchr2(b'"', b'\\', rest)?;
            if rest[found] == b'"' {
                let raw_bytes = self.at + found - start;
                self.at += found + 1;
                return Some(Span { start, raw_bytes, decoded_bytes: raw_bytes - shrunk });
            }
            let (decoded, used) = escape(&rest[found..])?;
            shrunk += used - decoded.len_utf8();
            self.at += found + used;
        }
    }

    fn name(&mut self) -> Option<Cow<'a, str>> {
        let span = self.string()?;
        let raw = span.of(self.body);
        if span.raw_bytes == span.decoded_bytes {
            return Some(Cow::Borrowed(raw));
        }
        let quoted = &self.body[span.start - 1..span.start + span.raw_bytes + 1];
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }

    fn events(&mut self, events: &mut Vec<Event>) -> Option<()> {
        self.expect(b'[')?;
        self.skip_spaces();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            events.push(self.event()?);
            match self.next()? {
                b',' => continue,
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// An object of exactly the two members, in either order.
    fn event(&mut self) -> Option<Event> {
        self.expect(b'{')?;
        let (timestamp_ms, message) = match self.key()? {
            Key::Timestamp => {
                let timestamp_ms = self.timestamp()?;
                self.expect(b',')?;
                let Key::Message = self.key()? else {
                    return None;
                };
                (timestamp_ms, self.string()?)
            }
            Key::Message => {
                let message = self.string()?;
                self.expect(b',')?;
                let Key::Timestamp = self.key()? else {
                    return None;
                };
                (self.timestamp()?, message)
            }
        };
        self.expect(b'}')?;
        Some(Event {
            timestamp_ms,
            start: message.start as u32,
            raw_bytes: message.raw_bytes as u32,
            message_bytes: message.decoded_bytes as u32,
        })
    }

    fn key(&mut self) -> Option<Key> {
        self.skip_spaces();
        let rest = &self.bytes[self.at..];
        let (key, quoted_bytes) = if rest.starts_with(b"\"timestamp\"") {
            (Key::Timestamp, b"\"timestamp\"".len())
        } else if rest.starts_with(b"\"message\"") {
            (Key::Message, b"\"message\"".len())
        } else {
            return None;
        };
        self.at += quoted_bytes;
        self.expect(b':')?;
        Some(key)
    }

    /// A whole number that fits, without sign, fraction, exponent or leading zero.
    fn timestamp(&mut self) -> Option<i64> {
        self.skip_spaces();
        let rest = &self.bytes[self.at..];
        let mut number: u64 = 0;
        let mut digits = 0;
        // Nineteen digits cannot overflow a u64, so that nothing needs to be checked on the way.
        for byte in rest.iter().take(19) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number * 10 + u64::from(digit);
            digits += 1;
        }
        let has_more = rest.get(digits).is_some_and(u8::is_ascii_digit);
        let has_leading_zero = digits > 1 && rest[0] == b'0';
        if digits == 0 || has_more || has_leading_zero {
            return None;
        }
        self.at += digits;
        i64::try_from(number).ok()
    }
}

enum Key {
    Timestamp,
    Message,
}

/// What the escape at the beginning of `rest` stands for, and its length. `None`: it is none.
pub(super) fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let simple = match rest.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(rest),
        _ => return None,
    };
    Some((simple, 2))
}

fn unicode_escape(rest: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let escape = rest.get(at..at + 6)?;
        if &escape[..2] != b"\\u" {
            return None;
        }
        let digit = |sum: u32, byte: &u8| Some(sum * 16 + char::from(*byte).to_digit(16)?);
        escape[2..].iter().try_fold(0, digit)
    };
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        // A low surrogate alone is no char.
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(code)?, 12))
}

fn has_control_character(bytes: &[u8]) -> bool {
    // Without an exit inside a chunk the compiler makes vectors of it.
    let in_chunk = |chunk: &[u8]| chunk.iter().fold(false, |any, byte| any | (*byte < 0x20));
    bytes.chunks(4096).any(in_chunk)
}
