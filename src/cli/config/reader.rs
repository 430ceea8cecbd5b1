//! Values of the configuration file, each of the type that its key wants; what is wrong is collected.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::{At, Complaint, Given};

/// A key and its value.
pub(super) struct Entry<'a, 'i> {
    pub key: &'a Spanned<DeString<'i>>,
    pub value: &'a Spanned<DeValue<'i>>,
}

pub(super) struct Reader<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    complaints: Vec<Complaint>,
}

impl<'a> Entry<'a, '_> {
    pub fn name(&self) -> &'a str {
        self.key.get_ref()
    }
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Reader<'t> {
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Reader { text, lines, complaints: Vec::new() }
    }

    pub fn at(&self, offset: usize) -> At {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|begin| *begin <= offset);
        At { line, column: self.text[self.lines[line - 1]..offset].chars().count() + 1 }
    }

    pub fn complain(&mut self, span: Range<usize>, what: String) {
        let at = self.at(span.start);
        self.complain_at(at, what);
    }

    pub fn complain_at(&mut self, at: At, what: String) {
        self.complaints.push(Complaint { at, what });
    }

    pub fn unknown(&mut self, entry: &Entry<'_, '_>, place: &str, known: &str) {
        let what = format!("unknown key {:?} in {place}; known are: {known}", entry.name());
        self.complain(entry.key.span(), what);
    }

    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty()
    }

    pub fn outcome(mut self) -> Vec<Complaint> {
        self.complaints.sort();
        self.complaints.dedup();
        self.complaints
    }

    pub fn text(&mut self, entry: &Entry<'_, '_>) -> Option<Given<String>> {
        match entry.value.get_ref() {
            DeValue::String(text) if !text.contains('\0') => {
                Some(Given { value: text.to_string(), at: self.at(entry.value.span().start) })
            }
            DeValue::String(_) => self.wrong(entry, "contains a NUL byte, which the system cannot be given"),
            _ => self.wrong(entry, "is not a text; put it in double quotes"),
        }
    }

    pub fn flag(&mut self, entry: &Entry<'_, '_>) -> Option<Given<bool>> {
        match entry.value.get_ref() {
            DeValue::Boolean(value) => Some(Given { value: *value, at: self.at(entry.value.span().start) }),
            _ => self.wrong(entry, "is neither true nor false (without quotes)"),
        }
    }

    /// A text, or a number, that stands for something else.
    pub fn parsed<T>(&mut self, entry: &Entry<'_, '_>, parse: impl Fn(&str) -> Result<T, String>) -> Option<Given<T>> {
        let text = match entry.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            _ => return self.wrong(entry, "is not a text; put it in double quotes"),
        };
        let at = self.at(entry.value.span().start);
        match parse(&text) {
            Ok(value) => Some(Given { value, at }),
            Err(what) => self.wrong(entry, &format!(": {what}")),
        }
    }

    /// A list of texts, the first of them not empty.
    pub fn texts(&mut self, entry: &Entry<'_, '_>, example: &str) -> Vec<String> {
        let DeValue::Array(values) = entry.value.get_ref() else {
            let _: Option<()> = self.wrong(entry, &format!("is not a list of texts, {example}"));
            return Vec::new();
        };
        let entry_of = |value| Entry { key: entry.key, value };
        let texts: Vec<_> = values.iter().filter_map(|value| self.text(&entry_of(value))).collect();
        if values.is_empty() || texts.first().is_some_and(|first| first.value.is_empty()) {
            let _: Option<()> = self.wrong(entry, &format!("is empty, or begins with nothing; write it {example}"));
        }
        texts.into_iter().map(|given| given.value).collect()
    }

    pub fn table<'a, 'i>(&mut self, entry: &Entry<'a, 'i>) -> Vec<Entry<'a, 'i>> {
        match entry.value.get_ref() {
            DeValue::Table(table) => table.iter().map(|(key, value)| Entry { key, value }).collect(),
            _ => self.wrong(entry, "is not a table").unwrap_or_default(),
        }
    }

    fn wrong<T>(&mut self, entry: &Entry<'_, '_>, what: &str) -> Option<T> {
        let space = if what.starts_with(':') { "" } else { " " };
        self.complain(entry.value.span(), format!("{}{space}{what}", entry.name()));
        None
    }
}
