//! Text as JSON strings.
//! Knows nothing of events: it appends to a buffer.
//!
//! 64 bytes at a time: one mask says which of them need an escape. A chunk without any, the usual one, is copied as it
//! is; in others a walk over the mask's bits costs the same for every escape, however close they stand. (A kernel that
//! begins a new vector after every escape takes three times as long for lines of JSON.)

use crate::limits::ESCAPE_GROWTH_MAX;

/// One bit of the mask a byte.
const CHUNK_BYTES: usize = 64;
/// What the compiler's vectors hold on every x86-64 and ARM64.
const VECTOR_BYTES: usize = 16;
/// A run between two escapes is mostly shorter than this. Copies have one of two fixed lengths, as these are a few
/// instructions; what they copy too much is written over.
const SHORT_RUN_BYTES: usize = 16;
/// A chunk of nothing but escapes, and one copy that goes past its run.
const STAGE_BYTES: usize = CHUNK_BYTES * ESCAPE_GROWTH_MAX + CHUNK_BYTES;

/// What a byte becomes: the escape's bytes, and its length in the last one. Zero length: it stays as it is.
static ESCAPES: [[u8; 8]; 256] = escapes();

const fn escapes() -> [[u8; 8]; 256] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = [b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15], 0, 6];
        byte += 1;
    }
    let short = [(b'"', b'"'), (b'\\', b'\\'), (b'\n', b'n'), (b'\r', b'r'), (b'\t', b't'), (0x08, b'b'), (0x0C, b'f')];
    let mut index = 0;
    while index < short.len() {
        let (byte, letter) = short[index];
        table[byte as usize] = [b'\\', letter, 0, 0, 0, 0, 0, 2];
        index += 1;
    }
    table
}

/// Where a chunk with escapes is put together. It is kept, since clearing it would cost more than using it.
pub(super) struct Escaper {
    stage: [u8; STAGE_BYTES],
}

impl Escaper {
    pub(super) fn new() -> Escaper {
        Escaper { stage: [0; STAGE_BYTES] }
    }

    /// Appends `text` as it stands between the quotes of a JSON string.
    pub(super) fn append(&mut self, text: &str, json: &mut Vec<u8>) {
        let mut ahead = text.as_bytes();
        while let Some((chunk, after)) = ahead.split_first_chunk::<CHUNK_BYTES>() {
            if any_escape(chunk) {
                self.append_escaped(chunk, json);
            } else {
                json.extend_from_slice(chunk);
            }
            ahead = after;
        }
        if may_need_escape(text.as_bytes(), ahead.len()) {
            self.append_escaped(ahead, json);
        } else {
            json.extend_from_slice(ahead);
        }
    }

    /// At most a chunk, with escapes in it. Not inlined: it is large, and most lines never come here.
    #[inline(never)]
    fn append_escaped(&mut self, bytes: &[u8], json: &mut Vec<u8>) {
        // Room for copies that go past the end.
        let mut source = [b' '; 2 * CHUNK_BYTES];
        source[..bytes.len()].copy_from_slice(bytes);
        let (chunk, _) = source.as_chunks();
        let mut left = escape_mask(&chunk[0]);
        let stage = &mut self.stage;
        let (mut from, mut to) = (0, 0);
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let run_bytes = at - from;
            if run_bytes <= SHORT_RUN_BYTES {
                stage[to..to + SHORT_RUN_BYTES].copy_from_slice(&source[from..from + SHORT_RUN_BYTES]);
            } else {
                stage[to..to + CHUNK_BYTES].copy_from_slice(&source[from..from + CHUNK_BYTES]);
            }
            to += run_bytes;
            let escape = &ESCAPES[usize::from(source[at])];
            stage[to..to + escape.len()].copy_from_slice(escape);
            to += usize::from(escape[7]);
            from = at + 1;
            left &= left - 1;
        }
        stage[to..to + CHUNK_BYTES].copy_from_slice(&source[from..from + CHUNK_BYTES]);
        to += bytes.len() - from;
        json.extend_from_slice(&stage[..to]);
    }
}

/// Whether any byte needs an escape: without a branch inside, so that the compiler makes it a few vector instructions.
#[inline(always)]
fn any_escape<const BYTES: usize>(chunk: &[u8; BYTES]) -> bool {
    chunk.iter().fold(false, |any, byte| any | needs_escape(*byte))
}

/// Bit i: byte i needs an escape.
fn escape_mask(chunk: &[u8; CHUNK_BYTES]) -> u64 {
    /// Moves the lowest bits of eight bytes next to each other, to the top.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut flags = [0; CHUNK_BYTES];
    for (flag, byte) in flags.iter_mut().zip(chunk) {
        *flag = u8::from(needs_escape(*byte));
    }
    let (words, _) = flags.as_chunks();
    let gather = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56;
    words.iter().rev().fold(0, |mask, word| (mask << 8) | gather(word))
}

#[inline(always)]
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// False: none of the last `count` bytes needs an escape. It looks at whole vectors that end where `bytes` end,
/// which needs no copy; so true may be due to a byte before.
#[inline(always)]
fn may_need_escape(bytes: &[u8], count: usize) -> bool {
    let mut ahead = bytes;
    let mut left = count;
    while left > 0 {
        let Some((before, vector)) = ahead.split_last_chunk::<VECTOR_BYTES>() else {
            return ahead.iter().any(|byte| needs_escape(*byte));
        };
        if any_escape(vector) {
            return true;
        }
        ahead = before;
        left = left.saturating_sub(VECTOR_BYTES);
    }
    false
}

/// The most bytes that `text` can have escaped, quotes not included.
pub(super) fn bytes_max(text: &str) -> usize {
    text.len() * ESCAPE_GROWTH_MAX
}

/// The bytes that `text` has escaped, quotes not included.
pub(super) fn bytes(text: &str) -> usize {
    text.bytes().map(|byte| usize::from(ESCAPES[usize::from(byte)][7]).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut json = b"\"".to_vec();
        Escaper::new().append(text, &mut json);
        json.push(b'"');
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn quotes_and_backslashes_and_control_characters_are_escaped() {
        assert_eq!(escaped(""), r#""""#);
        assert_eq!(escaped(r#"say "hi" \o/"#), r#""say \"hi\" \\o/""#);
        assert_eq!(escaped("\t\r\n\u{8}\u{c}"), r#""\t\r\n\b\f""#);
        assert_eq!(escaped("\u{0}\u{1b}[31m\u{1f}"), r#""\u0000\u001b[31m\u001f""#);
    }

    #[test]
    fn other_characters_stay_as_they_are() {
        assert_eq!(escaped("\u{7f} é € 😀 \u{FFFD} /"), "\"\u{7f} é € 😀 \u{FFFD} /\"");
    }

    #[test]
    fn every_character_of_one_byte_is_as_serde_json_writes_it() {
        for byte in 0..0x80_u8 {
            let text = format!("a{}b", byte as char);
            assert_eq!(escaped(&text), serde_json::to_string(&text).unwrap());
            assert_eq!(escaped(&text).len(), bytes(&text) + 2);
        }
    }

    #[test]
    fn an_escape_is_found_at_every_place_of_every_length() {
        for length in 1..3 * CHUNK_BYTES {
            for place in 0..length {
                let mut text = "x".repeat(length);
                text.replace_range(place..=place, "\"");
                assert_eq!(escaped(&text), serde_json::to_string(&text).unwrap(), "{length} bytes, quote at {place}");
            }
            let text = "\u{1}".repeat(length);
            assert_eq!(escaped(&text), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn the_mask_knows_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            let needs = byte < 0x20 || byte == b'"' || byte == b'\\';
            for place in 0..CHUNK_BYTES {
                let mut chunk = [if place % 2 == 0 { 0xFF } else { 0x20 }; CHUNK_BYTES];
                chunk[place] = byte;
                assert_eq!(escape_mask(&chunk), u64::from(needs) << place, "byte {byte} at {place}");
                assert_eq!(any_escape(&chunk), needs, "byte {byte} at {place}");
            }
        }
    }
}
