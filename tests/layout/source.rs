//! The project's files as the layout test sees them: their code without comments and texts, and without tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub struct Source {
    /// From the project's root on.
    pub path: String,
    pub text: String,
    /// Comments, texts and characters are blank; lines stay where they are.
    pub code: String,
    /// The same, and what only tests see is blank as well.
    pub shipped: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = code_of(&text);
        let only_tests =
            path.starts_with("tests/") || path.split('/').any(|part| part == "tests" || part == "tests.rs");
        let shipped = if only_tests { String::new() } else { without_tests(&code) };
        Source { path, text, code, shipped }
    }

    /// `path:line` of every place where `word` stands by itself in `code`.
    pub fn places(&self, code: &str, word: &str) -> Vec<String> {
        places(code, word).map(|at| format!("{}:{}", self.path, code[..at].matches('\n').count() + 1)).collect()
    }
}

/// All Rust files below these folders.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` stands in `code` with no letter beside it.
fn places(code: &str, word: &str) -> impl Iterator<Item = usize> {
    let bytes = code.as_bytes();
    let ends_in_word = word.bytes().last().is_some_and(is_word);
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).is_some_and(|before| is_word(bytes[before]));
        let after = ends_in_word && bytes.get(at + word.len()).is_some_and(|after| is_word(*after));
        !(before || after)
    })
}

/// The modules of `crate` that the code names.
pub fn modules_used(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for at in places(code, "crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => drop(modules.insert(leading_word(rest))),
            Some(group) => {
                let mut depth = 1;
                let mut expected = true;
                for (offset, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => expected = true,
                        _ if expected && !character.is_whitespace() => {
                            modules.insert(leading_word(&group[offset..]));
                            expected = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    modules
}

/// The modules that a file declares as its own.
pub fn modules_declared(code: &str) -> BTreeSet<String> {
    places(code, "mod ").map(|at| leading_word(&code[at + "mod ".len()..])).collect()
}

fn leading_word(code: &str) -> String {
    code.bytes().take_while(|byte| is_word(*byte)).map(char::from).collect()
}

/// Blanks what is behind `#[cfg(test)]`: up to a semicolon, or to the end of the braces.
pub fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(begin) = kept.find(TEST) {
        let mut depth = 0;
        let length = kept[begin + TEST.len()..].char_indices().find_map(|(offset, character)| {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0 && matches!(character, '}' | ';')).then_some(TEST.len() + offset + 1)
        });
        let end = length.map_or(kept.len(), |length| begin + length);
        let blank = blank(&kept[begin..end]);
        kept.replace_range(begin..end, &blank);
    }
    kept
}

/// Spaces of the same length; line ends stay.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// Blanks comments, texts and characters.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut within_word = false;
    while let Some(first) = rest.chars().next() {
        let length = if within_word { 0 } else { literal(rest) };
        let length = if length == 0 { comment(rest) } else { length };
        if length > 0 {
            code.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
            within_word = false;
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            // A prefix such as b or r belongs to its literal only if no word ends with it.
            within_word = first.is_ascii() && is_word(first as u8);
            if within_word && rest.starts_with('"') {
                within_word = false;
            }
        }
    }
    code
}

/// The length of the comment that `rest` begins with, or zero.
fn comment(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if !rest.starts_with("/*") {
        return 0;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of the text or character literal, prefix included, that `rest` begins with, or zero.
fn literal(rest: &str) -> usize {
    let prefix = rest.bytes().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    let raw = rest[..prefix].ends_with('r');
    let body = &rest[prefix..];
    let hashes = if raw { body.bytes().take_while(|byte| *byte == b'#').count() } else { 0 };
    if prefix <= 2 && body[hashes..].starts_with('"') {
        let begin = prefix + hashes + 1;
        if raw {
            let end = format!("\"{}", "#".repeat(hashes));
            return rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len());
        }
        return quoted(rest, begin, b'"');
    }
    if prefix <= 1 && !raw && body.starts_with('\'') {
        let mut characters = body.chars().skip(1);
        let first = characters.next();
        // Anything else that begins with an apostrophe is a lifetime.
        if first == Some('\\') || (first.is_some() && characters.next() == Some('\'')) {
            return quoted(rest, prefix + 1, b'\'');
        }
    }
    0
}

/// Up to and with the next `quote` that no backslash precedes.
fn quoted(rest: &str, begin: usize, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = begin;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}
