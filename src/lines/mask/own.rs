//! A pattern of one's own, in bounded time. A search takes time with the length of what it looks at; but one that finds
//! something may have looked far beyond it, and the next one looks there again: with some patterns, the time for all that is
//! in a line grows with the square of its length.

use regex::Regex;
use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};

use super::Starred;
use crate::limits::{MASK_SEARCHED_BYTES_MIN, MASK_SEARCHED_PER_BYTE_MAX};

#[derive(Debug, Clone)]
pub(super) struct Own {
    regex: Regex,
    /// The same, step by step, so that the steps can be counted.
    steps: DFA,
}

/// The searches for all matches of a line look at too many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooCostly;

impl Own {
    pub fn new(pattern: &str) -> Result<Own, String> {
        let regex = Regex::new(pattern).map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{pattern:?} is no pattern: {last}; the syntax is that of https://docs.rs/regex/#syntax")
        })?;
        if regex.is_match("") {
            return Err(format!("{pattern:?} matches nothing at all, and so everywhere; let it need a character"));
        }
        // Word boundaries of Unicode are known to it as long as the text is ASCII.
        let config = DFA::config().unicode_word_boundary(true).skip_cache_capacity_check(true);
        let steps = DFA::builder().configure(config).build(pattern);
        let steps = steps.map_err(|error| format!("{pattern:?} is too large a pattern: {error}"))?;
        Ok(Own { regex, steps })
    }

    pub fn pattern(&self) -> &str {
        self.regex.as_str()
    }

    /// `Ok(None)`: it does not match.
    pub fn replaced(&self, text: &str) -> Result<Option<(String, u32)>, TooCostly> {
        let bound = MASK_SEARCHED_PER_BYTE_MAX * text.len().max(MASK_SEARCHED_BYTES_MIN / MASK_SEARCHED_PER_BYTE_MAX);
        let mut stars = Starred::new(text);
        let mut searched = 0;
        let mut cache = None;
        let mut at = 0;
        // Bounded: each match ends further on, and so does the search behind an empty one.
        while at <= text.len() {
            searched += text.len() - at;
            if searched > bound {
                // Hardly any search looks at all that is left: from here on it is known how far it does.
                let (cache, left) = cache.get_or_insert_with(|| (self.steps.create_cache(), bound));
                let steps = self.count(cache, text, at, *left);
                *left = left.checked_sub(steps).ok_or(TooCostly)?;
            }
            let Some(captures) = self.regex.captures_at(text, at) else { break };
            stars.put(&captures);
            let all = captures.get(0).expect("the whole match is there");
            at = if all.is_empty() { next_character(text, all.end()) } else { all.end() };
        }
        Ok(stars.outcome())
    }

    /// How many bytes the search for the next match looks at; more than `most`: it was not counted further.
    fn count(&self, cache: &mut Cache, text: &str, at: usize, most: usize) -> usize {
        let bytes = text.as_bytes();
        let input = Input::new(text).range(at..);
        // Where it cannot tell, all that is left may be looked at.
        let unknown = bytes.len() - at;
        let Ok(mut state) = self.steps.start_state_forward(cache, &input) else { return unknown };
        for (nth, byte) in bytes[at..].iter().enumerate() {
            match self.steps.next_state(cache, state, *byte) {
                Ok(next) if next.is_dead() || nth > most => return nth + 1,
                Ok(next) if next.is_quit() => return unknown,
                Ok(next) => state = next,
                Err(_) => return unknown,
            }
        }
        unknown
    }
}

/// Where the character behind this place begins.
fn next_character(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, text: &str) -> Result<Option<(String, u32)>, TooCostly> {
        Own::new(pattern).unwrap().replaced(text)
    }

    #[test]
    fn patterns_with_which_every_search_looks_to_the_end_are_given_up() {
        for (pattern, text) in [
            ("x.*z|x", "x".repeat(4_000)),
            ("x.*z|x", "x".repeat(400)),
            ("[a-z]+[0-9]|[a-z]", "a".repeat(100_000)),
            (r"(?P<secret>x)(.*z)?", "x".repeat(4_000)),
            (r"\bx(.*z)?", "x ".repeat(4_000)),
            ("x.*z|x", "x\u{f6}".repeat(4_000)),
        ] {
            assert_eq!(replaced(pattern, &text), Err(TooCostly), "{pattern}");
        }
        // A short line cannot cost much.
        assert_eq!(replaced("x.*z|x", &"x".repeat(60)).unwrap().unwrap().1, 60);
    }

    #[test]
    fn lines_full_of_what_others_look_for_are_not() {
        for (pattern, text, hits) in [
            ("[0-9]{4,}", "id 12345, ".repeat(10_000), 10_000),
            ("pin-[0-9]+", "pin-7 ".repeat(10_000), 10_000),
            (r"\bx+\b", "x y ".repeat(5_000), 5_000),
            ("token=(?P<secret>[a-z]+)", "token=abcdef&".repeat(9_000), 9_000),
            ("[a-z]*q", "a".repeat(100_000), 0),
            (r"(?-u:\b)x+", "x \u{f6} ".repeat(5_000), 5_000),
            ("\u{f6}+", "\u{f6} ".repeat(5_000), 5_000),
        ] {
            let found = replaced(pattern, &text).unwrap_or_else(|TooCostly| panic!("{pattern} is too costly"));
            assert_eq!(found.map_or(0, |(_, hits)| hits), hits, "{pattern}");
        }
    }

    #[test]
    fn it_replaces_what_the_regex_itself_finds() {
        let text = "aab ab\u{f6}b x1 yy22 \u{1F600}b ".repeat(40);
        for pattern in ["a+b", r"(?-u:\b)", "b|", "[^ ]+[0-9]", r"(?P<secret>\d)+", "a*?b", r"\pL+"] {
            let Ok(own) = Own::new(pattern) else { continue };
            assert_eq!(own.replaced(&text), Ok(super::super::replaced(&own.regex, &text)), "{pattern}");
        }
    }
}
