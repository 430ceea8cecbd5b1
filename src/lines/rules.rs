//! What becomes of a stream's lines between framing and packing: which pass, and with what text. Pure: what was found is
//! counted only when the line has been taken, since a line that finds no room comes again.

use std::sync::Arc;

use super::frame::Record;
use super::level::Level;
use super::mask::{KeyBlock, Mask};
use super::signature::{SIGNATURES_COUNT, Signatures};

/// How a stream's lines are treated. By default all pass as they are.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// None of its lines is sent, for this reason.
    pub unwanted: Option<Why>,
    /// Lines below it are filtered; one without a level of its own has that of the line before.
    pub level: Option<Level>,
    /// Lines that hold this are filtered.
    pub noise: Option<&'static str>,
    /// White space at a line's end is cut.
    pub trim: bool,
    /// Stands before each line.
    pub prefix: String,
    pub mask: Option<Arc<Mask>>,
    /// Known error messages are counted, those of filtered lines as well.
    pub signatures: Option<Arc<Signatures>>,
}

/// Why a line is filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is below the stream's level.
    Level,
    /// It holds a text that is known to mean nothing.
    Noise,
    /// The stream's lines are not wanted.
    Disabled,
    /// The stream has nowhere to go.
    NoGroup,
}

/// What was found in a stream's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Secrets that were masked.
    pub masked: u64,
    /// A pattern of one's own that took too long with some line, the last one.
    pub costly: Option<u16>,
    /// Known error messages, each kind by itself.
    pub signatures: [u64; SIGNATURES_COUNT],
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited<'a> {
    /// It goes on with this text.
    Keep(&'a str),
    /// It ends here.
    Filtered(Why),
}

/// The rules at work on one stream.
pub struct Editor {
    rules: Rules,
    /// None of the rules wants to see a line.
    is_idle: bool,
    /// Of the last line that had one.
    level: Level,
    /// Why the line is filtered whose later pieces are still to come.
    cut: Option<Why>,
    block: KeyBlock,
    /// What the record at hand changes, once it is taken.
    next: Next,
    masked: String,
    text: String,
    pub found: Found,
}

#[derive(Debug, Clone, Copy)]
struct Next {
    level: Level,
    block: KeyBlock,
    masked: u32,
    costly: Option<u16>,
    signature: Option<usize>,
    filtered: Option<Why>,
}

impl Next {
    fn new(level: Level, block: KeyBlock) -> Next {
        Next { level, block, masked: 0, costly: None, signature: None, filtered: None }
    }
}

impl Editor {
    pub fn new(rules: Rules) -> Editor {
        let is_idle = rules.unwanted.is_none()
            && rules.level.is_none()
            && rules.noise.is_none()
            && !rules.trim
            && rules.prefix.is_empty()
            && rules.mask.is_none()
            && rules.signatures.is_none();
        Editor {
            rules,
            is_idle,
            level: Level::Info,
            cut: None,
            block: KeyBlock::default(),
            next: Next::new(Level::Info, KeyBlock::default()),
            masked: String::new(),
            text: String::new(),
            found: Found::default(),
        }
    }

    /// How many bytes it may add to a record's text.
    pub fn added_bytes_max(&self) -> usize {
        self.rules.prefix.len()
    }

    /// What took too long.
    pub fn costly_pattern(&self) -> Option<&str> {
        let mask = self.rules.mask.as_ref()?;
        self.found.costly.map(|own| mask.pattern(own))
    }

    /// Decides. Call `taken` when the record has gone where this says.
    #[inline]
    pub fn edit<'a>(&'a mut self, record: &Record<'a>) -> Edited<'a> {
        if self.is_idle { Edited::Keep(record.text) } else { self.apply(record) }
    }

    /// The record that `edit` saw last is booked or packed.
    #[inline]
    pub fn taken(&mut self, record: &Record<'_>) {
        if self.is_idle {
            return;
        }
        self.level = self.next.level;
        self.block = self.next.block;
        self.cut = self.next.filtered.filter(|_| !record.ends);
        self.found.masked += u64::from(self.next.masked);
        self.found.costly = self.next.costly.or(self.found.costly);
        if let Some(signature) = self.next.signature {
            self.found.signatures[signature] += 1;
        }
    }

    /// Lines were passed over: what follows is not the rest of what was cut. Whether a private key's block ended among them
    /// nobody knows, so what may still belong to it stays masked.
    pub fn passed_over(&mut self) {
        self.cut = None;
    }

    fn apply<'a>(&'a mut self, record: &Record<'a>) -> Edited<'a> {
        self.next = Next::new(self.level, self.block);
        self.next.filtered = self.filtered(record);
        if let Some(why) = self.next.filtered {
            return Edited::Filtered(why);
        }
        let mut text = record.text;
        if self.rules.trim && record.ends {
            let trimmed = text.trim_end();
            if trimmed.is_empty() && record.begins {
                return Edited::Keep("");
            }
            // The rest of a cut line is never nothing.
            text = if trimmed.is_empty() { text } else { trimmed };
        }
        if let Some(mask) = &self.rules.mask
            && let Some(hits) = mask.apply(text, &mut self.next.block, &mut self.masked)
        {
            (self.next.masked, self.next.costly) = (hits.count, hits.costly);
            text = &self.masked;
        }
        if record.begins && !self.rules.prefix.is_empty() && !text.is_empty() {
            self.text.clear();
            self.text.push_str(&self.rules.prefix);
            self.text.push_str(text);
            text = &self.text;
        }
        Edited::Keep(text)
    }

    /// The first piece of a line decides for all of it.
    fn filtered(&mut self, record: &Record<'_>) -> Option<Why> {
        if !record.begins {
            return self.cut;
        }
        if self.rules.unwanted.is_some() {
            return self.rules.unwanted;
        }
        if let Some(signatures) = &self.rules.signatures {
            self.next.signature = signatures.find(record.text);
        }
        if let Some(threshold) = self.rules.level {
            self.next.level = Level::of_line(record.text.as_bytes()).unwrap_or(self.level);
            if self.next.level < threshold && !record.text.is_empty() {
                return Some(Why::Level);
            }
        }
        self.rules.noise.is_some_and(|noise| record.text.contains(noise)).then_some(Why::Noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Record<'_> {
        Record { text, raw_bytes: text.len() as u32 + 1, line: 0, begins: true, ends: true }
    }

    /// What becomes of each of the lines.
    fn edited(editor: &mut Editor, lines: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        for text in lines {
            let record = line(text);
            all.push(match editor.edit(&record) {
                Edited::Keep(text) => text.to_owned(),
                Edited::Filtered(why) => format!("{why:?}").to_lowercase(),
            });
            editor.taken(&record);
        }
        all
    }

    #[test]
    fn without_rules_every_line_passes_as_it_is() {
        let lines = ["[debug] a ", "", "Bearer abcdefghijkl"];
        assert_eq!(edited(&mut Editor::new(Rules::default()), &lines), lines);
    }

    #[test]
    fn a_line_without_a_level_has_that_of_the_line_before_and_at_the_start_it_is_info() {
        let mut editor = Editor::new(Rules { level: Some(Level::Warning), ..Rules::default() });
        let lines =
            ["start", "[error  ] boom", "Traceback", "  File", "ValueError: x", "[info] on", "detail", "[warning] w"];
        let expected =
            ["level", "[error  ] boom", "Traceback", "  File", "ValueError: x", "level", "level", "[warning] w"];
        assert_eq!(edited(&mut editor, &lines), expected);
    }

    #[test]
    fn a_prefix_stands_before_a_lines_first_piece_alone_and_only_there_room_is_kept_for_it() {
        let mut editor = Editor::new(Rules { prefix: "app: ".into(), trim: true, ..Rules::default() });
        assert_eq!((editor.added_bytes_max(), Editor::new(Rules::default()).added_bytes_max()), (5, 0));
        for (text, begins, ends, expected) in [
            ("long  ", true, false, "app: long  "),
            ("inside  ", false, false, "inside  "),
            ("rest  ", false, true, "rest"),
            ("   ", false, true, "   "),
            ("   ", true, true, ""),
            ("whole  ", true, true, "app: whole"),
        ] {
            let record = Record { begins, ends, ..line(text) };
            assert_eq!(editor.edit(&record), Edited::Keep(expected), "{text}");
            editor.taken(&record);
        }
    }

    #[test]
    fn each_threshold_lets_its_level_and_all_above_it_pass() {
        let forms = [
            ["[debug] d", "[info] i", "[2025-01-01 00:00:00 +0000] {m.py:1} WARNING - w", "[error] e", "[critical] c"],
            [
                "2026-05-06T01:00:14.610844Z [debug    ] d",
                "2026-05-06T01:00:14.610844Z [info     ] i",
                "2026-05-06T01:00:14.610844Z [warning  ] w",
                "2026-05-06T01:00:14.610844Z [error    ] e",
                "2026-05-06T01:00:14.610844Z [critical ] c",
            ],
            [
                "[2025-01-01T00:00:00.123+0000] {m.py:1} DEBUG - d",
                "[2025-01-01T00:00:00.123+0000] {m.py:1} INFO - i",
                "[2025-01-01T00:00:00.123+0000] {m.py:1} WARNING - w",
                "[2025-01-01T00:00:00.123+0000] {m.py:1} ERROR - e",
                "[2025-01-01T00:00:00.123+0000] {m.py:1} CRITICAL - c",
            ],
        ];
        let levels = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        for (passes, threshold) in levels.into_iter().enumerate() {
            for lines in forms {
                let mut editor = Editor::new(Rules { level: Some(threshold), ..Rules::default() });
                let found = edited(&mut editor, &lines);
                assert!(found[..passes].iter().all(|text| text == "level"), "{found:?}");
                assert_eq!(&found[passes..], &lines[passes..]);
            }
            // Mixed, from the most serious to the least, each with a line that has none.
            let mixed: Vec<_> = (0..levels.len()).rev().flat_map(|at| [forms[at % 3][at], "  more of it"]).collect();
            let mut editor = Editor::new(Rules { level: Some(threshold), ..Rules::default() });
            let passed = 2 * (levels.len() - passes);
            let found = edited(&mut editor, &mixed);
            assert_eq!(&found[..passed], &mixed[..passed]);
            assert!(found[passed..].iter().all(|text| text == "level"), "{found:?}");
        }
    }

    #[test]
    fn a_traceback_below_an_error_survives_warning_in_either_form_and_one_below_a_lesser_line_goes_with_it() {
        let traceback =
            ["Traceback (most recent call last):", "  File \"[info] a.py\", line 1", "    [debug]", "E: [info] x"];
        for (header, survives) in [
            ("2026-05-06T01:00:14.610844Z [error    ] boom", true),
            ("[error] boom", true),
            ("[2025-01-01T00:00:00.123+0000] {m.py:1} ERROR - boom", true),
            ("[2025-01-01T00:00:00.123+0000] {m.py:1} INFO - fine", false),
            ("[info] fine", false),
        ] {
            let mut editor = Editor::new(Rules { level: Some(Level::Warning), ..Rules::default() });
            let found = edited(&mut editor, &[&[header], &traceback[..]].concat());
            assert!(found.iter().all(|text| (text == "level") != survives), "{found:?}");
        }
    }

    #[test]
    fn a_cut_line_ends_as_its_first_piece_decides() {
        let mut editor = Editor::new(Rules { level: Some(Level::Warning), ..Rules::default() });
        for (text, begins, ends, expected) in [
            ("[info] long", true, false, Edited::Filtered(Why::Level)),
            ("[error] inside", false, false, Edited::Filtered(Why::Level)),
            ("rest", false, true, Edited::Filtered(Why::Level)),
            ("[error] long", true, false, Edited::Keep("[error] long")),
            ("[info] inside", false, true, Edited::Keep("[info] inside")),
            ("after", true, true, Edited::Keep("after")),
        ] {
            let record = Record { text, raw_bytes: 1, line: 0, begins, ends };
            assert_eq!(editor.edit(&record), expected, "{text}");
            editor.taken(&record);
        }
    }

    #[test]
    fn a_line_that_finds_no_room_is_counted_when_it_is_taken_and_not_before() {
        let rules = Rules {
            mask: Some(Arc::new(Mask::new(&[]).unwrap())),
            signatures: Some(Arc::new(Signatures::new())),
            ..Rules::default()
        };
        let mut editor = Editor::new(rules);
        let record = line("psycopg2.OperationalError for a://b:secret@c");
        for _ in 0..3 {
            assert_eq!(editor.edit(&record), Edited::Keep("psycopg2.OperationalError for a://b:***@c"));
        }
        assert_eq!(editor.found, Found::default());
        editor.taken(&record);
        assert_eq!((editor.found.masked, editor.found.signatures[0]), (1, 1));
    }

    #[test]
    fn white_space_is_trimmed_and_a_prefix_stands_before_what_is_left() {
        let rules = Rules { trim: true, prefix: "[INFO] - ".into(), ..Rules::default() };
        assert_eq!(edited(&mut Editor::new(rules), &["a \t", "  ", "b"]), ["[INFO] - a", "", "[INFO] - b"]);
    }

    #[test]
    fn noise_and_what_nobody_wants_is_filtered_for_its_own_reason() {
        let rules = Rules { noise: Some("metric validator"), ..Rules::default() };
        assert_eq!(edited(&mut Editor::new(rules), &["The basic metric validator will go", "x"]), ["noise", "x"]);
        let rules = Rules { unwanted: Some(Why::Disabled), level: Some(Level::Error), ..Rules::default() };
        assert_eq!(edited(&mut Editor::new(rules), &["[error] a", "b"]), ["disabled", "disabled"]);
    }
}
