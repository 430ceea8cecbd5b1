//! What becomes of a line's bytes, written a second time, as simply as can be; and how texts are told apart.

/// The longest message, as the service has it.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576 - 26;

/// One event that a line is to become: its text, and the pipe bytes that it stands for.
pub struct Piece {
    pub hash: u64,
    pub text_bytes: usize,
    pub raw_bytes: u32,
}

/// The events of one line, given with its newline if it has one. None for a blank line.
pub fn pieces(raw: &[u8], each: &mut impl FnMut(Piece)) {
    let line = raw.strip_suffix(b"\n").map_or(raw, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() {
        return;
    }
    if line.len() <= MESSAGE_BYTES_MAX && line.is_ascii() {
        return each(Piece { hash: hash(line), text_bytes: line.len(), raw_bytes: raw.len() as u32 });
    }
    let (mut text, mut raw_bytes, mut rest) = (String::new(), 0, raw.len());
    let mut add = |part: &str, part_raw_bytes: usize| {
        if text.len() + part.len() > MESSAGE_BYTES_MAX {
            each(Piece { hash: hash(text.as_bytes()), text_bytes: text.len(), raw_bytes: raw_bytes as u32 });
            rest -= raw_bytes;
            text.clear();
            raw_bytes = 0;
        }
        text.push_str(part);
        raw_bytes += part_raw_bytes;
    };
    for chunk in line.utf8_chunks() {
        let mut buffer = [0; 4];
        chunk.valid().chars().for_each(|c| add(c.encode_utf8(&mut buffer), c.len_utf8()));
        if !chunk.invalid().is_empty() {
            add("\u{FFFD}", chunk.invalid().len());
        }
    }
    each(Piece { hash: hash(text.as_bytes()), text_bytes: text.len(), raw_bytes: rest as u32 });
}

/// Tells texts, and bodies, apart: 64 bits, good enough for some thousands of them.
pub fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = (bytes.len() as u64 ^ 0x51_7C_C1_B7).wrapping_mul(FACTOR);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    for byte in tail {
        state = (state ^ u64::from(*byte)).wrapping_mul(FACTOR).rotate_left(29);
    }
    state ^= state >> 32;
    state.wrapping_mul(FACTOR) ^ (state >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &[u8]) -> Vec<(u64, usize, u32)> {
        let mut all = Vec::new();
        pieces(raw, &mut |piece| all.push((piece.hash, piece.text_bytes, piece.raw_bytes)));
        all
    }

    #[test]
    fn a_line_is_its_text_without_the_end() {
        assert_eq!(of(b"abc\r\n"), [(hash(b"abc"), 3, 5)]);
        assert_eq!(of(b"abc\r"), [(hash(b"abc\r"), 4, 4)]);
        assert_eq!(of(b"a\xFFb\n"), [(hash("a\u{FFFD}b".as_bytes()), 5, 4)]);
        assert_eq!(of(b"\r\n"), []);
    }

    #[test]
    fn an_over_long_line_is_cut_between_characters() {
        let mut line = vec![b'a'; MESSAGE_BYTES_MAX - 1];
        line.extend("é\n".bytes());
        let tail = ("é".as_bytes(), 2, 3);
        assert_eq!(of(&line)[1], (hash(tail.0), tail.1, tail.2));
        assert_eq!(of(&line)[0].1, MESSAGE_BYTES_MAX - 1);
    }
}
