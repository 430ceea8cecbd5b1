//! Parts of a script that know where they stand, so that an error can say it. Knows nothing of faults.

use std::fmt;

/// Why a script is none: where, what, why.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// Both from 1; the column counts characters.
    line: usize,
    column: usize,
    what: String,
    why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Wrong { line, column, what, why } = self;
        write!(out, "fault script, line {line}, column {column}, `{what}`: {why}")
    }
}

/// A part of the script and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub text: &'a str,
    pub line: usize,
    pub column: usize,
}

impl<'a> Piece<'a> {
    pub fn wrong(self, why: impl Into<String>) -> Wrong {
        Wrong { line: self.line, column: self.column, what: self.text.to_owned(), why: why.into() }
    }

    /// Trimmed, from byte `start` to `end`.
    pub fn part(self, start: usize, end: usize) -> Piece<'a> {
        let text = &self.text[start..end];
        let trimmed = text.trim_start();
        let skipped = self.text[..start].chars().count() + text.chars().count() - trimmed.chars().count();
        Piece { text: trimmed.trim_end(), line: self.line, column: self.column + skipped }
    }

    /// At every `separator` outside quotes.
    pub fn split(self, separator: char) -> Result<Vec<Piece<'a>>, Wrong> {
        let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
        for (at, c) in self.text.char_indices() {
            if c == '"' {
                quoted = !quoted;
            } else if c == separator && !quoted {
                parts.push(self.part(start, at));
                start = at + c.len_utf8();
            }
        }
        let last = self.part(start, self.text.len());
        if quoted {
            return Err(last.wrong("a double quote is opened and not closed"));
        }
        parts.push(last);
        Ok(parts)
    }

    pub fn unquoted(self) -> &'a str {
        self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(self.text)
    }
}
