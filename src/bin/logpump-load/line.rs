//! What a line of ours looks like, for the writer that makes it and the verifier that judges it.
//! Knows nothing of I/O, time or streams.
//!
//! `<writer> <sequence> <payload>\n`. The payload is a window of a fixed table, at a place that follows from writer and
//! sequence, so whoever knows those two and the length can say every byte. See `Payloads`.

use clap::ValueEnum;

/// A writer's name: long enough for a host and a number, short enough for a table's column.
pub const WRITER_BYTES_MAX: usize = 64;
/// Lines of one writer. Bounds the verifier's bitmap at 500 MB, and the digits of a sequence.
pub const LINES_MAX: u64 = 4_000_000_000;
/// The longest line, newline included: well over CloudWatch's event size, so that cutting can be tried.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The table fits the second-level cache, and a usual window is one copy.
const TABLE_BYTES: usize = 64 * 1024;
/// No character crosses a cell, so a window may begin at any cell.
const CELL_BYTES: usize = 8;
const CELLS: usize = TABLE_BYTES / CELL_BYTES;
const CELL_BITS: u32 = CELLS.trailing_zeros();
/// 2^64 / golden ratio: multiples of it are spread evenly in their upper bits.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Stands where a character would be cut, or where a carriage return would be last.
const FILLER: u8 = b'.';

const _: () = assert!(CELLS.is_power_of_two() && CELLS * CELL_BYTES == TABLE_BYTES);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Charset {
    /// Letters, digits, '+' and '/'.
    Ascii,
    /// Characters of one to four bytes.
    Utf8,
    /// What JSON must escape: quotes, backslashes, control characters; and multi-byte characters.
    Json,
}

impl Charset {
    fn alphabet(self) -> &'static str {
        match self {
            Charset::Ascii => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Charset::Utf8 => "abcdefghijklmnopqrstuvwxyz 0123456789äöüßéñøł€→漢字日本語ไทย😀🚀𝄞",
            Charset::Json => {
                "abcdefghijklmnop 0123456789{}[]:,/\"\"\"\\\\\\\t\t\r\u{1}\u{8}\u{c}\u{1b}\u{1f}\u{7f}\u{85}é€\u{2028}漢😀"
            }
        }
    }
}

/// The table that payloads are windows of. It depends on the charset alone and never changes between runs.
pub struct Payloads {
    table: Vec<u8>,
}

impl Payloads {
    pub fn new(charset: Charset) -> Payloads {
        let alphabet: Vec<char> = charset.alphabet().chars().collect();
        let mut table = Vec::with_capacity(TABLE_BYTES);
        let mut chance = GOLDEN;
        while table.len() < TABLE_BYTES {
            // xorshift64
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let room = CELL_BYTES - table.len() % CELL_BYTES;
            let first = (chance >> 32) as usize % alphabet.len();
            // The alphabet has characters of one byte, so one always fits.
            let fitting = alphabet[first..].iter().chain(&alphabet).find(|c| c.len_utf8() <= room);
            let mut bytes = [0; 4];
            table.extend_from_slice(fitting.expect("a one-byte character").encode_utf8(&mut bytes).as_bytes());
        }
        assert_eq!(table.len(), TABLE_BYTES);
        Payloads { table }
    }

    /// The payload of this writer and sequence at `out`'s length. Never holds a newline, never ends with a carriage
    /// return, and is valid UTF-8 at every length.
    pub fn fill(&self, writer_hash: u64, sequence: u64, out: &mut [u8]) {
        let cell = writer_hash.wrapping_add(sequence.wrapping_mul(GOLDEN)) >> (u64::BITS - CELL_BITS);
        let start = cell as usize * CELL_BYTES;
        let mut from = start;
        let mut filled = 0;
        while filled < out.len() {
            let len = (TABLE_BYTES - from).min(out.len() - filled);
            out[filled..filled + len].copy_from_slice(&self.table[from..from + len]);
            filled += len;
            from = 0;
        }
        // The window may end within a character: the bytes before its start stay, the rest becomes filler.
        let mut whole = out.len();
        while whole > 0 && is_continuation(self.table[(start + whole) % TABLE_BYTES]) {
            whole -= 1;
        }
        out[whole..].fill(FILLER);
        if let Some(last) = out.last_mut()
            && *last == b'\r'
        {
            *last = FILLER;
        }
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// FNV-1a, then spread: short names differ in their upper bits too.
pub fn writer_hash(writer: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in writer {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 32)).wrapping_mul(GOLDEN)
}

pub fn is_writer(name: &[u8]) -> bool {
    (1..=WRITER_BYTES_MAX).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The shortest line, newline included, that has room for every sequence below `lines` and one byte of payload.
pub fn size_min(writer: &str, lines: u64) -> usize {
    let digits = lines.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1;
    writer.len() + 1 + digits + 1 + 1 + 1
}

/// The lines of one writer, one after the other, in one buffer that only changes where it must.
pub struct Lines {
    payloads: Payloads,
    writer_hash: u64,
    /// writer, space, digits, space, payload, newline; always the whole line of `sequence`.
    buffer: Vec<u8>,
    /// buffer[digits_start..digits_end] is `sequence` in decimal.
    digits_start: usize,
    digits_end: usize,
    sequence: u64,
}

impl Lines {
    /// `size` counts the newline and is at least `size_min` for every sequence that will be asked for.
    pub fn new(writer: &str, size: usize, charset: Charset) -> Lines {
        assert!(is_writer(writer.as_bytes()) && size >= size_min(writer, 1) && size <= LINE_BYTES_MAX);
        let mut buffer = vec![b'\n'; size];
        buffer[..writer.len()].copy_from_slice(writer.as_bytes());
        buffer[writer.len()] = b' ';
        let mut lines = Lines {
            payloads: Payloads::new(charset),
            writer_hash: writer_hash(writer.as_bytes()),
            buffer,
            digits_start: writer.len() + 1,
            digits_end: 0,
            sequence: 0,
        };
        lines.write_digits();
        lines.write_payload();
        lines
    }

    /// The whole line, newline included.
    pub fn current(&self) -> &[u8] {
        &self.buffer
    }

    pub fn advance(&mut self) {
        self.sequence += 1;
        let carried = self.buffer[self.digits_start..self.digits_end].iter_mut().rev().all(|digit| {
            let carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
            carry
        });
        if carried {
            self.write_digits();
        }
        self.write_payload();
    }

    fn write_digits(&mut self) {
        let digits = self.sequence.to_string();
        self.digits_end = self.digits_start + digits.len();
        assert!(self.digits_end + 2 < self.buffer.len(), "size leaves no room for sequence {digits}");
        self.buffer[self.digits_start..self.digits_end].copy_from_slice(digits.as_bytes());
        self.buffer[self.digits_end] = b' ';
    }

    fn write_payload(&mut self) {
        let end = self.buffer.len() - 1;
        self.payloads.fill(self.writer_hash, self.sequence, &mut self.buffer[self.digits_end + 1..end]);
    }
}

/// A line taken apart. Says nothing about whether the payload is the right one.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    pub writer: &'a str,
    pub sequence: u64,
    pub payload: &'a [u8],
}

/// `line` is without its newline. None if it is not of our form.
pub fn parse(line: &[u8]) -> Option<Parts<'_>> {
    // Beyond the longest name no space is looked for: a line may be 16 MiB of something else.
    let head = &line[..line.len().min(WRITER_BYTES_MAX + 1)];
    let (writer, _) = head.split_at(memchr::memchr(b' ', head)?);
    let rest = &line[writer.len() + 1..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let sequence = decimal(&rest[..digits])?;
    let payload = rest[digits..].strip_prefix(b" ")?;
    if !is_writer(writer) || payload.is_empty() {
        return None;
    }
    Some(Parts { writer: std::str::from_utf8(writer).ok()?, sequence, payload })
}

/// As the writer prints it: no leading zero, below `LINES_MAX`.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (value < LINES_MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHARSETS: [Charset; 3] = [Charset::Ascii, Charset::Utf8, Charset::Json];

    /// What `Lines` does in place, done the plain way.
    fn naive(writer: &str, sequence: u64, size: usize, charset: Charset) -> Vec<u8> {
        let mut line = format!("{writer} {sequence} ").into_bytes();
        let mut payload = vec![0; size - line.len() - 1];
        Payloads::new(charset).fill(writer_hash(writer.as_bytes()), sequence, &mut payload);
        line.extend(payload);
        line.push(b'\n');
        line
    }

    #[test]
    fn a_line_in_place_equals_a_line_made_anew_across_growing_digits() {
        for charset in CHARSETS {
            let mut lines = Lines::new("w0", 40, charset);
            for sequence in 0..1_100 {
                assert_eq!(lines.current().len(), 40);
                if !(12..=980).contains(&sequence) {
                    assert_eq!(lines.current(), naive("w0", sequence, 40, charset), "{charset:?} {sequence}");
                }
                lines.advance();
            }
        }
    }

    #[test]
    fn a_payload_is_valid_utf8_at_every_length_without_newline_or_last_carriage_return() {
        for charset in CHARSETS {
            let payloads = Payloads::new(charset);
            for sequence in 0..500 {
                for len in 1..40 {
                    let mut payload = vec![0; len];
                    payloads.fill(7, sequence, &mut payload);
                    assert!(std::str::from_utf8(&payload).is_ok(), "{charset:?} {sequence} {len}");
                    assert!(!payload.contains(&b'\n') && payload[len - 1] != b'\r');
                }
            }
        }
    }

    #[test]
    fn a_window_longer_than_the_table_goes_round() {
        let payloads = Payloads::new(Charset::Json);
        let mut payload = vec![0; 3 * TABLE_BYTES + 5];
        payloads.fill(1, 1, &mut payload);
        assert_eq!(payload[..TABLE_BYTES], payload[TABLE_BYTES..2 * TABLE_BYTES]);
        assert!(std::str::from_utf8(&payload).is_ok());
    }

    #[test]
    fn the_json_table_holds_what_must_be_escaped() {
        let table = Payloads::new(Charset::Json).table;
        for byte in [b'"', b'\\', b'\t', b'\r', 0x1b, 0x01, 0x7f] {
            assert!(table.contains(&byte), "{byte:#x}");
        }
        assert!(!table.contains(&b'\n') && std::str::from_utf8(&table).is_ok());
    }

    #[test]
    fn neighbours_in_writer_or_sequence_have_other_payloads() {
        let [a, b, c] = [("w0", 5), ("w0", 6), ("w1", 5)].map(|(writer, sequence)| {
            let line = naive(writer, sequence, 150, Charset::Ascii);
            line[5..].to_vec()
        });
        assert!(a != b && a != c && b != c);
    }

    #[test]
    fn the_least_size_holds_one_byte_of_payload() {
        assert_eq!(size_min("w0", 1), 7); // "w0 0 x\n"
        assert_eq!(size_min("w0", 10), 7);
        assert_eq!(size_min("w0", 11), 8);
        assert_eq!(size_min("w0", 1_000_000), 12);
        assert_eq!(naive("w0", 0, 7, Charset::Ascii).len(), 7);
    }

    #[test]
    fn only_lines_of_our_form_are_taken_apart() {
        assert_eq!(parse(b"w-0_A 12 x y"), Some(Parts { writer: "w-0_A", sequence: 12, payload: b"x y" }));
        for foreign in
            ["", "w0", "w0 ", "w0 1", "w0 1 ", " 1 x", "w0 01 x", "w0 -1 x", "w.0 1 x", "w0 1x y", "w0 4000000000 x"]
        {
            assert_eq!(parse(foreign.as_bytes()), None, "{foreign:?}");
        }
        assert_eq!(parse(&[b'a'; 1000]), None);
    }
}
