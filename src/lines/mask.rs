//! Secrets in lines become `***`. Pure. A line in which none of the known beginnings stands costs one quick pass.

mod own;

use aho_corasick::{AhoCorasick, MatchKind, packed};
use regex::{Captures, Regex};

use own::{Own, TooCostly};

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
    Known { beginnings: &["AKIA", "ASIA"], shape: r"(?:^|[^A-Za-z0-9])(?P<secret>A(?:KI|SI)A[A-Z0-9]{16})(?-u:\b)" },
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
        shape: r#"(?i-u:secret_?access_?key|session_?token)[\\"' \t]*[=:>]+[\\"' \t]*(?P<secret>[A-Za-z0-9/+=%]{16,})"#,
    },
    // Connection strings: scheme://user:password@host, up to the last @ of the word.
    Known { beginnings: &["://"], shape: r#"://[^\s/:"'<>]*:(?P<secret>[^\s"'<>]+)@"# },
    Known { beginnings: &["earer", "EARER"], shape: r"(?i-u:\bbearer)[ \t:]+(?P<secret>[A-Za-z0-9._~+/=-]{8,})" },
];
const KEY_BEGINS: &str = "-----BEGIN ";
const KEY_ENDS: &str = "-----END ";
/// How the name of a private key's block ends.
const PRIVATE_KEY: [&str; 2] = ["PRIVATE KEY", "PRIVATE KEY BLOCK"];
/// A line of a key, behind whatever a logger put before it, has at least so many characters of base64.
const KEY_LINE_BYTES_MIN: usize = 40;

/// What is masked.
#[derive(Debug, Clone)]
pub struct Mask {
    /// Says of nearly every line that none of the beginnings is in it, with half the overhead of what can say more; None:
    /// not on this machine.
    quick: Option<packed::Searcher>,
    /// The beginnings of all built-in kinds, and whose each is.
    beginnings: AhoCorasick,
    owners: Vec<usize>,
    known: Vec<Regex>,
    own: Vec<Own>,
}

/// What was masked in a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    pub count: u32,
    /// The line is masked whole, since this pattern of one's own would take too long with it.
    pub costly: Option<u16>,
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
        let texts: Vec<_> = KNOWN.iter().flat_map(|known| known.beginnings).chain([&KEY_BEGINS]).collect();
        let own = own.iter().map(|pattern| Own::new(pattern)).collect::<Result<_, _>>()?;
        Ok(Mask {
            quick: packed::Searcher::new(&texts),
            beginnings: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(texts)
                .expect("the beginnings are few and short"),
            owners: owners.chain([key]).collect(),
            known: KNOWN.iter().map(|known| Regex::new(known.shape).expect("our own shapes are right")).collect(),
            own,
        })
    }

    /// A pattern of one's own.
    pub fn pattern(&self, own: u16) -> &str {
        self.own[usize::from(own)].pattern()
    }

    /// Masks the line into `masked` and says how many secrets it had; None: none, and `masked` is as it was.
    pub fn apply(&self, line: &str, block: &mut KeyBlock, masked: &mut String) -> Option<Hits> {
        if block.lines_left > 0 {
            if line.is_empty() {
                block.lines_left -= 1;
                return None;
            }
            let ends = line.contains(KEY_ENDS);
            if ends || is_of_key(line) {
                block.lines_left = if ends && !opens_key(line) { 0 } else { block.lines_left - 1 };
                masked.clear();
                masked.push_str(&STARS[..line.len().min(STARS.len())]);
                // Counted with its first line.
                return Some(Hits::default());
            }
            // Whoever writes the first line of a key hides nothing but a key.
            block.lines_left = 0;
        }
        if self.own.is_empty() && self.quick.as_ref().is_some_and(|quick| quick.find(line).is_none()) {
            return None;
        }
        self.search(line, block, masked)
    }

    /// With a beginning of a known kind in the line, or patterns of one's own.
    fn search(&self, line: &str, block: &mut KeyBlock, masked: &mut String) -> Option<Hits> {
        let mut kinds = [false; KNOWN.len() + 1];
        for found in self.beginnings.find_iter(line) {
            kinds[self.owners[found.pattern().as_usize()]] = true;
        }
        let mut count = 0;
        let key_from = if kinds[KNOWN.len()] { key_begins(line).next() } else { None };
        let shapes = self.known.iter().zip(kinds).filter(|(_, there)| *there).map(|(shape, _)| shape);
        // What stands behind the beginning of a key goes with it.
        let mut text = std::borrow::Cow::Borrowed(&line[..key_from.unwrap_or(line.len())]);
        for shape in shapes {
            if let Some((next, hits)) = replaced(shape, &text) {
                text = next.into();
                count += hits;
            }
        }
        let mut costly = None;
        for (nth, own) in self.own.iter().enumerate() {
            match own.replaced(&text) {
                Ok(Some((next, hits))) => {
                    text = next.into();
                    count += hits;
                }
                Ok(None) => {}
                // What it would have found, nobody knows: all of it is taken for a secret.
                Err(TooCostly) => {
                    text = STARS[..text.len().min(STARS.len())].into();
                    count += 1;
                    costly = Some(nth as u16);
                    break;
                }
            }
        }
        if key_from.is_some() {
            block.lines_left = if opens_key(line) { KEY_LINES_MAX } else { 0 };
            text = format!("{text}{STARS}").into();
            count += 1;
        }
        if count == 0 {
            return None;
        }
        masked.clear();
        masked.push_str(&text);
        Some(Hits { count, costly })
    }
}

/// Where blocks of private keys begin in a line.
fn key_begins(line: &str) -> impl Iterator<Item = usize> {
    line.match_indices(KEY_BEGINS).map(|(at, _)| at).filter(|at| {
        let name = line[at + KEY_BEGINS.len()..].split("-----").next().unwrap_or_default();
        PRIVATE_KEY.iter().any(|end| name.ends_with(end))
    })
}

/// The last private key that begins in the line does not end there.
fn opens_key(line: &str) -> bool {
    key_begins(line).last().is_some_and(|at| !line[at..].contains(KEY_ENDS))
}

/// It looks like a line of a key's block: base64, perhaps behind what a logger put before it, or one of its headers.
fn is_of_key(line: &str) -> bool {
    let word = line.trim_end().rsplit([' ', '\t']).next().unwrap_or_default();
    let is_base64 = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    let is_whole_line = word.len() == line.trim().len();
    (is_base64 && (is_whole_line || word.len() >= KEY_LINE_BYTES_MIN))
        || line.starts_with("Proc-Type:")
        || line.starts_with("DEK-Info:")
}

/// `host:port/...`, which is no `user:password`.
fn is_port(secret: &str) -> bool {
    let digits = secret.bytes().take_while(u8::is_ascii_digit).count();
    (1..=5).contains(&digits) && secret[digits..].starts_with('/')
}

/// None: it does not match.
fn replaced(shape: &Regex, text: &str) -> Option<(String, u32)> {
    let mut stars = Starred::new(text);
    for captures in shape.captures_iter(text) {
        stars.put(&captures);
    }
    stars.outcome()
}

/// A text in which one match after the other becomes stars.
struct Starred<'a> {
    text: &'a str,
    masked: String,
    /// So much of the text stands in `masked`, or is a secret.
    kept: usize,
    hits: u32,
}

impl<'a> Starred<'a> {
    fn new(text: &'a str) -> Starred<'a> {
        Starred { text, masked: String::new(), kept: 0, hits: 0 }
    }

    fn put(&mut self, captures: &Captures<'a>) {
        let all = captures.get(0).expect("the whole match is there");
        let secret = captures.name("secret").unwrap_or(all);
        if secret.is_empty() || (all.as_str().starts_with("://") && is_port(secret.as_str())) {
            return;
        }
        self.masked.push_str(&self.text[self.kept..secret.start()]);
        self.masked.push_str(&STARS[..secret.len().min(STARS.len())]);
        self.kept = secret.end();
        self.hits += 1;
    }

    /// None: nothing was put.
    fn outcome(mut self) -> Option<(String, u32)> {
        if self.hits == 0 {
            return None;
        }
        self.masked.push_str(&self.text[self.kept..]);
        Some((self.masked, self.hits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(own: &[&str], line: &str) -> (String, u32) {
        let own: Vec<_> = own.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut text = String::new();
        let hits = Mask::new(&own).unwrap().apply(line, &mut KeyBlock::default(), &mut text);
        hits.map_or((line.to_owned(), 0), |hits| (text, hits.count))
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
            ("a://user@corp.com:pass@word@h", "a://user@corp.com:***@h"),
            (r#"{\"SecretAccessKey\": \"wJalrXUtnFEMIK7MDENG\"}"#, r#"{\"SecretAccessKey\": \"***\"}"#),
            ("<SecretAccessKey>wJalrXUtnFEMIK7MDENG</SecretAccessKey>", "<SecretAccessKey>***</SecretAccessKey>"),
            ("key_AKIAIOSFODNN7EXAMPLE", "key_***"),
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
            "http://host:8080/@scope/package",
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
        let mut count = |line: &str| mask.apply(line, &mut block, &mut text).map(|hits| hits.count);
        assert_eq!(count("-----BEGIN PRIVATE KEY-----"), Some(1));
        assert_eq!(count("MIIEvQIBADANBgkqh"), Some(0));
        assert_eq!((count(""), count("=")), (None, Some(0)));
        assert_eq!(count("-----END PRIVATE KEY-----"), Some(0));
        assert_eq!(count("and on"), None);
        assert_eq!(count("-----BEGIN PRIVATE KEY-----"), Some(1));
        let masked = (0..1000).take_while(|_| count("MIIEvQIBADANBgkqh") == Some(0)).count();
        assert_eq!(masked, 256);
    }

    #[test]
    fn a_key_that_begins_where_another_block_ends_is_masked_and_what_is_no_key_is_not_hidden() {
        let mask = Mask::new(&[]).unwrap();
        let (mut block, mut text) = (KeyBlock::default(), String::new());
        let mut count = |line: &str| mask.apply(line, &mut block, &mut text).map(|hits| hits.count);
        assert_eq!(count("-----BEGIN CERTIFICATE-----x-----END CERTIFICATE----- -----BEGIN PRIVATE KEY-----"), Some(1));
        assert_eq!(count("2026-05-06 key: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"), Some(0));
        assert_eq!(count("-----END PRIVATE KEY----------BEGIN RSA PRIVATE KEY-----"), Some(0));
        assert_eq!(
            (count("Proc-Type: 4,ENCRYPTED"), count("MIIE"), count("-----END RSA PRIVATE KEY-----")),
            (Some(0), Some(0), Some(0))
        );
        assert_eq!(count("MIIE"), None);
        assert_eq!(count("agent=-----BEGIN PRIVATE KEY-----"), Some(1));
        assert_eq!(count("GET /etc/passwd from 10.0.0.1"), None);
    }

    #[test]
    fn a_long_line_is_masked_wherever_the_secret_is() {
        let line = format!("{}pin-1{}", "x".repeat(4093), "y".repeat(900_000));
        assert_eq!(masked(&["pin-[0-9]"], &line).0, format!("{}***{}", "x".repeat(4093), "y".repeat(900_000)));
    }

    #[test]
    fn a_line_that_takes_too_long_is_masked_whole_and_the_pattern_is_known() {
        let patterns = ["pin-[0-9]+".to_owned(), "x.*z|x".to_owned()];
        let mask = Mask::new(&patterns).unwrap();
        let (mut block, mut text) = (KeyBlock::default(), String::new());
        let line = format!("pin-1 {}", "x".repeat(10_000));
        let hits = mask.apply(&line, &mut block, &mut text).unwrap();
        assert_eq!((hits, &text[..]), (Hits { count: 2, costly: Some(1) }, "***"));
        assert_eq!(mask.pattern(1), "x.*z|x");
        // A key that begins there is known for one all the same.
        let line = format!("{}-----BEGIN PRIVATE KEY-----", "x".repeat(10_000));
        mask.apply(&line, &mut block, &mut text).unwrap();
        assert_eq!(mask.apply("MIIEvQIBADANBgkqh", &mut block, &mut text), Some(Hits::default()));
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
