//! Raw bytes become valid text that fits one log event.
//! Knows nothing of lines: newlines and carriage returns are the framer's.

/// U+FFFD, what a maximal invalid sequence becomes.
const REPLACEMENT: &str = "\u{FFFD}";
/// The longest character. A limit below it could let a cut make no progress.
pub(super) const CHARACTER_BYTES_MAX: usize = 4;

/// The beginning of some raw bytes as text.
pub(super) struct Cut<'a> {
    pub text: &'a str,
    /// How many of the raw bytes it stands for: at least one unless there were none.
    pub raw_bytes: usize,
}

/// The longest prefix of `raw` whose text has at most `text_bytes_max` bytes. It ends between characters, and never
/// inside a maximal invalid sequence, which becomes one U+FFFD as `from_utf8_lossy` and Python's "replace" do it.
/// Clean text is a slice of `raw`; dirty text is built in `scratch`.
///
/// Where `raw` is itself only the beginning of something, the prefix is right if `raw` has at least
/// `text_bytes_max + CHARACTER_BYTES_MAX` bytes: text is never shorter than what it stands for, so the last
/// characters, which may still change, lie beyond every cut.
pub(super) fn cut<'a>(raw: &'a [u8], text_bytes_max: usize, scratch: &'a mut String) -> Cut<'a> {
    debug_assert!(text_bytes_max >= CHARACTER_BYTES_MAX);
    let window = &raw[..raw.len().min(text_bytes_max)];
    let error = match simdutf8::compat::from_utf8(window) {
        Ok(text) => {
            return Cut { text, raw_bytes: window.len() };
        }
        Err(error) => error,
    };
    // The window's end may have split a character. If fewer bytes are left than a replacement needs, then
    // whatever stands there does not fit, and the text before it is the longest prefix.
    let valid = error.valid_up_to();
    let split = error.error_len().is_none() && window.len() < raw.len();
    if split && text_bytes_max - valid < REPLACEMENT.len() {
        let (head, _) = window.split_at(valid);
        if let Ok(text) = simdutf8::basic::from_utf8(head) {
            return Cut { text, raw_bytes: valid };
        }
    }
    let raw_bytes = replace(raw, text_bytes_max, scratch);
    Cut { text: scratch, raw_bytes }
}

/// Fills `scratch` with the longest prefix's text and returns how many raw bytes it stands for.
fn replace(raw: &[u8], text_bytes_max: usize, scratch: &mut String) -> usize {
    scratch.clear();
    // No cut reads further than this.
    let raw = &raw[..raw.len().min(text_bytes_max + CHARACTER_BYTES_MAX)];
    let mut taken = 0;
    for chunk in raw.utf8_chunks() {
        let (valid, invalid) = (chunk.valid(), chunk.invalid());
        let room = text_bytes_max - scratch.len();
        if valid.len() > room {
            let end = valid.floor_char_boundary(room);
            scratch.push_str(&valid[..end]);
            return taken + end;
        }
        scratch.push_str(valid);
        taken += valid.len();
        if invalid.is_empty() {
            continue;
        }
        if text_bytes_max - scratch.len() < REPLACEMENT.len() {
            return taken;
        }
        scratch.push_str(REPLACEMENT);
        taken += invalid.len();
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_at(raw: &[u8], text_bytes_max: usize) -> (String, usize) {
        let mut scratch = String::new();
        let cut = cut(raw, text_bytes_max, &mut scratch);
        (cut.text.to_owned(), cut.raw_bytes)
    }

    fn text(text: &str, raw_bytes: usize) -> (String, usize) {
        (text.to_owned(), raw_bytes)
    }

    #[test]
    fn clean_text_that_fits_is_taken_whole() {
        assert_eq!(cut_at(b"", 4), text("", 0));
        assert_eq!(cut_at(b"abcd", 4), text("abcd", 4));
        assert_eq!(cut_at("aéb".as_bytes(), 4), text("aéb", 4));
    }

    #[test]
    fn clean_text_is_cut_before_the_character_that_does_not_fit() {
        assert_eq!(cut_at(b"abcde", 4), text("abcd", 4));
        assert_eq!(cut_at("abcé".as_bytes(), 4), text("abc", 3));
        assert_eq!(cut_at("ab€".as_bytes(), 4), text("ab", 2));
        assert_eq!(cut_at("a😀".as_bytes(), 4), text("a", 1));
    }

    #[test]
    fn a_maximal_invalid_sequence_becomes_one_replacement() {
        // F0 9F 98 begins a character of four bytes; the 'x' shows that it never ends.
        assert_eq!(cut_at(b"\xF0\x9F\x98x", 9), text("\u{FFFD}x", 4));
        // C0 can begin nothing, so each byte stands alone.
        assert_eq!(cut_at(b"\xC0\x80", 9), text("\u{FFFD}\u{FFFD}", 2));
        // A sequence that ends with the line.
        assert_eq!(cut_at(b"ab\xE2\x82", 9), text("ab\u{FFFD}", 4));
    }

    #[test]
    fn a_replacement_that_does_not_fit_waits_for_the_next_piece() {
        assert_eq!(cut_at(b"ab\xFFcd", 4), text("ab", 2));
        assert_eq!(cut_at(b"a\xFFcd", 4), text("a\u{FFFD}", 2));
    }

    #[test]
    fn an_invalid_sequence_of_three_bytes_at_the_cut_fits_as_a_replacement() {
        assert_eq!(cut_at(b"a\xF0\x9F\x98xyz", 4), text("a\u{FFFD}", 4));
    }

    #[test]
    fn at_the_end_of_much_text_it_fits_as_well() {
        assert_eq!(cut_at(b"1234567\xF0\x9F\x98xyz", 10), text("1234567\u{FFFD}", 10));
    }
}
