//! The level of a line as Airflow writes it. Pure, and quick where there is none: the first byte decides.

/// From the least serious to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// A timestamp, a file's name or a level's name that is longer than this is none.
const WORD_BYTES_MAX: usize = 96;

impl Level {
    /// As Python's logging and structlog name them, in any case.
    pub fn named(name: &[u8]) -> Option<Level> {
        let names: [(&[u8], Level); 9] = [
            (b"info", Level::Info),
            (b"warning", Level::Warning),
            (b"error", Level::Error),
            (b"debug", Level::Debug),
            (b"critical", Level::Critical),
            (b"warn", Level::Warning),
            (b"exception", Level::Error),
            (b"fatal", Level::Critical),
            (b"notset", Level::Debug),
        ];
        names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// The level that a line begins with, in either form:
    /// `2026-05-06T01:00:14.610844Z [warning  ] text`, also without timestamp or padding (Airflow 3, structlog);
    /// `[2025-01-01 00:00:00 +0000] {module.py:123} WARNING - text`, with a hyphen or an en dash (Airflow 2).
    pub fn of_line(line: &[u8]) -> Option<Level> {
        match line {
            [b'[', b'0'..=b'9', ..] => of_airflow_2(&line[1..]),
            [b'[', rest @ ..] => bracketed(rest),
            [b'0'..=b'9', ..] => {
                let (stamp, rest) = split(line, b' ')?;
                // A date at least: four digits and a hyphen.
                let is_date = stamp.len() >= 8 && stamp[4] == b'-' && stamp[..4].iter().all(u8::is_ascii_digit);
                let rest = skip_spaces(rest);
                if is_date { bracketed(rest.strip_prefix(b"[")?) } else { None }
            }
            _ => None,
        }
    }
}

/// Behind its opening bracket: `warning  ] text`.
fn bracketed(rest: &[u8]) -> Option<Level> {
    let (word, _) = split(rest, b']')?;
    Level::named(word.trim_ascii_end())
}

/// Behind its opening bracket: `2025-01-01 00:00:00 +0000] {module.py:123} WARNING - text`.
fn of_airflow_2(rest: &[u8]) -> Option<Level> {
    let (_, rest) = split(rest, b']')?;
    let (_, rest) = split(skip_spaces(rest).strip_prefix(b"{")?, b'}')?;
    let (word, rest) = split(skip_spaces(rest), b' ')?;
    let rest = skip_spaces(rest);
    let is_dash = rest.starts_with(b"-") || rest.starts_with("\u{2013}".as_bytes());
    if is_dash { Level::named(word) } else { None }
}

/// Around the first such byte, if it is near.
fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, &text[..text.len().min(WORD_BYTES_MAX)])?;
    Some((&text[..at], &text[at + 1..]))
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(line: &str) -> Option<Level> {
        Level::of_line(line.as_bytes())
    }

    #[test]
    fn airflow_3_lines_have_their_level_in_brackets() {
        for (word, expected) in [
            ("debug    ", Level::Debug),
            ("info     ", Level::Info),
            ("warning  ", Level::Warning),
            ("error    ", Level::Error),
            ("critical ", Level::Critical),
            ("exception", Level::Error),
            ("warning", Level::Warning),
        ] {
            assert_eq!(level(&format!("2026-05-06T01:00:14.610844Z [{word}] text [logger]")), Some(expected));
            assert_eq!(level(&format!("[{word}] text")), Some(expected));
            assert_eq!(level(&format!("2026-05-06 01:00:14   [{word}] text")), None, "a date and a time apart: {word}");
        }
    }

    #[test]
    fn airflow_2_lines_have_it_behind_their_place() {
        for dash in ["-", "\u{2013}"] {
            for (word, expected) in
                [("DEBUG", Level::Debug), ("INFO", Level::Info), ("WARNING", Level::Warning), ("ERROR", Level::Error)]
            {
                assert_eq!(
                    level(&format!("[2025-01-01 00:00:00 +0000] {{module.py:123}} {word} {dash} text")),
                    Some(expected)
                );
                assert_eq!(
                    level(&format!("[2025-01-01T00:00:00.123+0000] {{module.py:123}} {word} {dash} text")),
                    Some(expected)
                );
            }
        }
    }

    #[test]
    fn whatever_else_a_line_begins_with_it_has_no_level() {
        for line in [
            "",
            "[",
            "[]",
            "[x] text",
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1, in <module>",
            "WARNING - text",
            "[warning text",
            "[2025-01-01 00:00:00 +0000] {module.py:123} WARNING text",
            "[2025-01-01 00:00:00 +0000] WARNING - text",
            "[2025-01-01 00:00:00 +0000] {module.py:123} LOUD - text",
            "12 [warning] text",
            "2026-05-06T01:00:14.610844Z warning text",
            "2026-05-06T01:00:14.610844Z [warning",
            "ValueError: [error] inside",
        ] {
            assert_eq!(level(line), None, "{line:?}");
        }
        assert_eq!(level(&format!("[{} warning]", " ".repeat(200))), None);
    }
}
