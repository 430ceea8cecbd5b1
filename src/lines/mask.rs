//! Secrets in lines become `***`. Pure. A line in which none of the known beginnings stands costs one quick pass.

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

/// What stands for a secret. A shorter one becomes as many stars as it has bytes: no line grows.
const STARS: &str = "***";
/// Lines of a private key's block that are masked when its end does not come. A key of 16,384 bits has 200.
const KEY_LINES_MAX: u32 = 256;

/// A built-in kind of secret: by what it begins with, and its shape; the group `secret` is what is masked.
struct Known {
    beginnings: &'static [&'static str],
    shape: &'static str,
}

const KNOWN: [Known; 4] = [
    // Access keys. Source: IAM's identifier prefixes.
    Known { beginnings: &["AKIA", "ASIA"], shape: r"(?-u:\b)(?P<secret>A(?:KI|SI)A[A-Z0-9]{16})(?-u:\b)" },
    // Their secrets, where they are named.
    Known {
        beginnings: &[
            "ecret_access_key",
            "ECRET_ACCESS_KEY",
            "ecret_Access_Key",
            "ecretAccessKey",
            "ession_token",
            "ESSION_TOKEN",
            "ession_Token",
            "essionToken",
        ],
        shape: r#"(?i-u:secret_?access_?key|session_?token)["' ]*[=:]["' ]*(?P<secret>[A-Za-z0-9/+=]{16,})"#,
    },
    // Connection strings: scheme://user:password@host.
    Known { beginnings: &["://"], shape: r"://[^\s/:@]*:(?P<secret>[^\s@/]+(?:/[^\s@/]+)*)@" },
    Known { beginnings: &["earer ", "EARER "], shape: r"(?i-u:\bbearer) +(?P<secret>[A-Za-z0-9._~+/=-]{8,})" },
];
const KEY_BEGINS: &str = "-----BEGIN ";
const KEY_ENDS: &str = "-----END ";
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// What is masked.
#[derive(Debug, Clone)]
pub struct Mask {
    /// The beginnings of all built-in kinds, and whose each is.
    beginnings: AhoCorasick,
    owners: Vec<usize>,
    known: Vec<Regex>,
    own: Vec<Regex>,
}

/// Where in a private key's block a stream stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyBlock {
    /// Lines that may still belong to it; 0: none is open.
    lines_left: u32,
}

impl Mask {
    /// With patterns of one's own, in regex's syntax; a group named `secret` is what is masked, else all that matches.
    pub fn new(own: &[String]) -> Result<Mask, String> {
        let owners = KNOWN.iter().enumerate().flat_map(|(kind, known)| known.beginnings.iter().map(move |_| kind));
        let key = KNOWN.len();
        let texts = KNOWN.iter().flat_map(|known| known.beginnings).chain([&KEY_BEGINS]);
        let own = own.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>()?;
        Ok(Mask {
            beginnings: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(texts)
                .expect("the beginnings are few and short"),
            owners: owners.chain([key]).collect(),
            known: KNOWN.iter().map(|known| Regex::new(known.shape).expect("our own shapes are right")).collect(),
            own,
        })
    }

    /// Masks the line into `masked` and says how many secrets it had; None: none, and `masked` is as it was.
    pub fn apply(&self, line: &str, block: &mut KeyBlock, masked: &mut String) -> Option<u32> {
        if block.lines_left > 0 {
            block.lines_left = if line.contains(KEY_ENDS) { 0 } else { block.lines_left - 1 };
            if line.is_empty() {
                return None;
            }
            masked.clear();
            masked.push_str(&STARS[..line.len().min(STARS.len())]);
            // Counted with its first line.
            return Some(0);
        }
        let mut kinds = [false; KNOWN.len() + 1];
        let mut any = !self.own.is_empty();
        for found in self.beginnings.find_iter(line) {
            kinds[self.owners[found.pattern().as_usize()]] = true;
            any = true;
        }
        if !any {
            return None;
        }
        let mut count = 0;
        let is_key = kinds[KNOWN.len()] && line.contains(PRIVATE_KEY);
        let shapes = self.known.iter().zip(kinds).filter(|(_, there)| *there).map(|(shape, _)| shape);
        let mut text = std::borrow::Cow::Borrowed(line);
        for shape in shapes.chain(&self.own) {
            if let Some((next, hits)) = replaced(shape, &text) {
                text = next.into();
                count += hits;
            }
        }
        if is_key {
            // Written on one line, or the first of its block.
            let from = text.find(KEY_BEGINS).unwrap_or(0);
            if !text[from..].contains(KEY_ENDS) {
                block.lines_left = KEY_LINES_MAX;
            }
            text = format!("{}{STARS}", &text[..from]).into();
            count += 1;
        }
        if count == 0 {
            return None;
        }
        masked.clear();
        masked.push_str(&text);
        Some(count)
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let regex = Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("{pattern:?} is no pattern: {last}; the syntax is that of https://docs.rs/regex/#syntax")
    })?;
    if regex.is_match("") {
        return Err(format!("{pattern:?} matches nothing at all, and so everywhere; let it need a character"));
    }
    Ok(regex)
}

/// None: it does not match.
fn replaced(shape: &Regex, text: &str) -> Option<(String, u32)> {
    let mut hits = 0;
    let mut masked = String::new();
    let mut kept = 0;
    for captures in shape.captures_iter(text) {
        let all = captures.get(0).expect("the whole match is there");
        let secret = captures.name("secret").unwrap_or(all);
        if secret.is_empty() {
            continue;
        }
        masked.push_str(&text[kept..secret.start()]);
        masked.push_str(&STARS[..secret.len().min(STARS.len())]);
        kept = secret.end();
        hits += 1;
    }
    if hits == 0 {
        return None;
    }
    masked.push_str(&text[kept..]);
    Some((masked, hits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(own: &[&str], line: &str) -> (String, u32) {
        let own: Vec<_> = own.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut text = String::new();
        let hits = Mask::new(&own).unwrap().apply(line, &mut KeyBlock::default(), &mut text);
        hits.map_or((line.to_owned(), 0), |hits| (text, hits))
    }

    #[test]
    fn built_in_secrets_become_stars_and_what_stands_around_them_stays() {
        for (line, expected) in [
            ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
            ("ASIAIOSFODNN7EXAMPLE", "***"),
            ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY end", "aws_secret_access_key = *** end"),
            (r#"{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}"#, r#"{"SecretAccessKey": "***"}"#),
            ("AWS_SESSION_TOKEN=IQoJb3JpZ2luX2VjEXAMPLE//", "AWS_SESSION_TOKEN=***"),
            (r#"    "SessionToken": "IQoJb3JpZ2luX2VjEXAMPLE//","#, r#"    "SessionToken": "***","#),
            ("postgresql+psycopg2://airflow:p4ss/w0rd@db:5432/x?y", "postgresql+psycopg2://airflow:***@db:5432/x?y"),
            ("redis://:secret@cache", "redis://:***@cache"),
            ("Authorization: Bearer abc.DEF-123_456", "Authorization: Bearer ***"),
            ("authorization: bearer abcdefgh12345678, next", "authorization: bearer ***, next"),
            ("a -----BEGIN RSA PRIVATE KEY-----\\nMII -----END RSA PRIVATE KEY-----", "a ***"),
        ] {
            assert_eq!(masked(&[], line), (expected.to_owned(), 1), "{line}");
        }
    }

    #[test]
    fn what_only_looks_a_little_like_a_secret_stays() {
        for line in [
            "",
            "AKIA",
            "XAKIAIOSFODNN7EXAMPLE",
            "AKIAIOSFODNN7EXAMPLEXX",
            "https://example.com/a:b@c",
            "see http://host:8080/path and mail a@b",
            "the bearer of news",
            "-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(masked(&[], line), (line.to_owned(), 0));
        }
    }

    #[test]
    fn every_secret_of_a_line_is_masked_and_counted() {
        let line = "AKIAIOSFODNN7EXAMPLE then a://b:c@d and AKIAIOSFODNN7EXAMPLA";
        assert_eq!(masked(&[], line), ("*** then a://b:*@d and ***".to_owned(), 3));
    }

    #[test]
    fn a_private_keys_block_is_masked_to_its_end_or_for_so_many_lines() {
        let mask = Mask::new(&[]).unwrap();
        let (mut block, mut text) = (KeyBlock::default(), String::new());
        let mut count = |line: &str| mask.apply(line, &mut block, &mut text);
        assert_eq!(count("-----BEGIN PRIVATE KEY-----"), Some(1));
        assert_eq!(count("MIIEvQIBADANBgkqh"), Some(0));
        assert_eq!((count(""), count("=")), (None, Some(0)));
        assert_eq!(count("-----END PRIVATE KEY-----"), Some(0));
        assert_eq!(count("and on"), None);
        assert_eq!(count("-----BEGIN PRIVATE KEY-----"), Some(1));
        let masked = (0..1000).take_while(|_| count("a line") == Some(0)).count();
        assert_eq!(masked, 256);
    }

    #[test]
    fn patterns_of_ones_own_are_masked_whole_or_in_their_group() {
        assert_eq!(masked(&[r"\bpin-\d+"], "my pin-1234 and pin-9"), ("my *** and ***".to_owned(), 2));
        assert_eq!(masked(&["user=(?P<secret>[a-z]+)"], "user=eve x"), ("user=*** x".to_owned(), 1));
        assert_eq!(masked(&["ö"], "a ö b"), ("a ** b".to_owned(), 1));
    }

    #[test]
    fn a_pattern_that_is_wrong_or_matches_nothing_is_refused_with_its_text() {
        for (pattern, complaint) in [("a(b", "unclosed group"), ("x*", "matches nothing")] {
            let refused = Mask::new(&[pattern.to_owned()]).unwrap_err();
            assert!(refused.contains(pattern) && refused.contains(complaint), "{refused}");
        }
    }

    #[test]
    fn no_line_grows() {
        for line in ["a://b:c@d", "Bearer 12345678", "redis://:ab@x"] {
            assert!(masked(&["d"], line).0.len() <= line.len(), "{line}");
        }
    }
}
