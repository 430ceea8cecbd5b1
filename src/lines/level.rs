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
        match name.len() {
            ..=8 => {
                let mut padded = [0; 8];
                padded[..name.len()].copy_from_slice(name);
                named_word(u64::from_le_bytes(padded) | LOWER_CASE & filled(name.len()))
            }
            _ => name.eq_ignore_ascii_case(b"exception").then_some(Level::Error),
        }
    }

    /// The level that a line begins with, in one of the forms that Airflow and the servers inside it write:
    /// `2026-05-06T01:00:14.610844Z [warning  ] text`, also without timestamp or padding (Airflow 3, structlog);
    /// `2026-05-06 01:00:14 [warning  ] text`, also with a fraction and an offset (Airflow 3.0, and tasks of 3.2);
    /// `[2025-01-01 00:00:00 +0000] {module.py:123} WARNING - text`, with a hyphen or an en dash (Airflow 2, and 3.0);
    /// `[2025-01-01T00:00:00.123+0000] [SOURCE:DAG_PROCESSOR] {module.py:123} WARNING - text` (DAG files' own lines);
    /// `[2025-01-01 00:00:00 +0000] [123] [WARNING] text` (gunicorn), `WARNING:  text` (uvicorn) and
    /// `[2025-01-01 00:00:00,123: WARNING/MainProcess] text` (Celery, under Airflow 2).
    #[inline]
    pub fn of_line(line: &[u8]) -> Option<Level> {
        match line.first_chunk() {
            // The dates as they are by default: these have their ends where they always are.
            Some(head) if AIRFLOW_2.fits(head) => of_airflow_2_from(&line[AIRFLOW_2_BYTES..]),
            Some(head) if AIRFLOW_3.fits(head) => padded(&line[AIRFLOW_3_BYTES..]),
            _ => searched(line),
        }
    }
}

/// With a date of any form, or none.
fn searched(line: &[u8]) -> Option<Level> {
    match line {
        [b'[', b'0'..=b'9', ..] => of_airflow_2(&line[1..]),
        [b'[', rest @ ..] => bracketed(rest),
        [b'0'..=b'9', ..] => {
            let (stamp, rest) = split(line, b' ')?;
            // A date at least: four digits and a hyphen.
            let is_date = stamp.len() >= 8 && stamp[4] == b'-' && stamp[..4].iter().all(u8::is_ascii_digit);
            let mut rest = skip_spaces(rest);
            if let [b'0'..=b'9', b'0'..=b'9', b':', ..] = rest {
                rest = skip_spaces(split(rest, b' ')?.1);
            }
            if is_date { bracketed(rest.strip_prefix(b"[")?) } else { None }
        }
        [b'A'..=b'Z', ..] => of_uvicorn(line),
        _ => None,
    }
}

/// `WARNING:  text`: the name, a colon, and spaces up to ten bytes. Less than that anybody may write.
fn of_uvicorn(line: &[u8]) -> Option<Level> {
    let head: &[u8; 10] = line.first_chunk()?;
    let at = head.iter().position(|byte| *byte == b':')?;
    if head[at + 1..].iter().any(|byte| *byte != b' ') {
        return None;
    }
    let name = &head[..at];
    if name.iter().all(u8::is_ascii_uppercase) { Level::named(name) } else { None }
}

const SHAPE_BYTES: usize = 32;

/// How a line may begin: looked at in four words and without a branch.
struct Shape {
    /// The bits that count, and what they have to be.
    masks: [u64; SHAPE_BYTES / 8],
    values: [u64; SHAPE_BYTES / 8],
}

impl Shape {
    /// `d` stands for a digit, `s` for a sign, `?` for anything, and each other byte for itself. Digits and signs are
    /// looked at so far that none of them can be a bracket or a space.
    const fn of(text: &[u8; SHAPE_BYTES]) -> Shape {
        let mut shape = Shape { masks: [0; 4], values: [0; 4] };
        let mut at = 0;
        while at < SHAPE_BYTES {
            let (mask, value) = match text[at] {
                b'd' => (0xF0, 0x30),
                b's' => (0xF9, 0x29),
                b'?' => (0, 0),
                byte => (0xFF, byte),
            };
            shape.masks[at / 8] |= (mask as u64) << (8 * (at % 8));
            shape.values[at / 8] |= (value as u64) << (8 * (at % 8));
            at += 1;
        }
        shape
    }

    #[inline(always)]
    fn fits(&self, head: &[u8; SHAPE_BYTES]) -> bool {
        let (words, _) = head.as_chunks::<8>();
        let mut differs = 0;
        for (nth, word) in words.iter().enumerate() {
            differs |= u64::from_le_bytes(*word) & self.masks[nth] ^ self.values[nth];
        }
        differs == 0
    }
}

/// Up to the bracket of its place.
const AIRFLOW_2: Shape = Shape::of(b"[dddd-dd-ddTdd:dd:dd.dddsdddd] {");
const AIRFLOW_2_BYTES: usize = 32;
/// Up to the bracket of its level.
const AIRFLOW_3: Shape = Shape::of(b"dddd-dd-ddTdd:dd:dd.ddddddZ [???");
const AIRFLOW_3_BYTES: usize = 29;

/// Turns upper case into lower, in each byte of a word. No byte but a letter becomes a letter by it.
const LOWER_CASE: u64 = u64::from_le_bytes([0x20; 8]);

/// The first bytes of a word, all set; at most eight.
fn filled(bytes: usize) -> u64 {
    if bytes < 8 { (1 << (8 * bytes)) - 1 } else { u64::MAX }
}

/// A name of at most eight bytes, in lower case, and zeros behind it.
#[inline]
fn named_word(word: u64) -> Option<Level> {
    const fn word_of(name: &[u8]) -> u64 {
        let mut word = 0;
        let mut at = 0;
        while at < name.len() {
            word |= (name[at] as u64) << (8 * at);
            at += 1;
        }
        word
    }
    const INFO: u64 = word_of(b"info");
    const WARNING: u64 = word_of(b"warning");
    const ERROR: u64 = word_of(b"error");
    const DEBUG: u64 = word_of(b"debug");
    const CRITICAL: u64 = word_of(b"critical");
    const WARN: u64 = word_of(b"warn");
    const FATAL: u64 = word_of(b"fatal");
    const NOTSET: u64 = word_of(b"notset");
    match word {
        INFO => Some(Level::Info),
        WARNING | WARN => Some(Level::Warning),
        ERROR => Some(Level::Error),
        DEBUG | NOTSET => Some(Level::Debug),
        CRITICAL | FATAL => Some(Level::Critical),
        _ => None,
    }
}

/// Behind its opening bracket: `warning  ] text`, as structlog pads it, or in any other form.
#[inline]
fn padded(rest: &[u8]) -> Option<Level> {
    if let Some([name @ .., last, b']']) = rest.first_chunk::<10>() {
        match (name, last) {
            (b"info    ", b' ') => return Some(Level::Info),
            (b"warning ", b' ') => return Some(Level::Warning),
            (b"error   ", b' ') => return Some(Level::Error),
            (b"debug   ", b' ') => return Some(Level::Debug),
            _ => {}
        }
    }
    bracketed(rest)
}

fn bracketed(rest: &[u8]) -> Option<Level> {
    let (word, _) = split(rest, b']')?;
    Level::named(word.trim_ascii_end())
}

/// Behind its opening bracket: `2025-01-01 00:00:00 +0000] {module.py:123} WARNING - text`, with up to two brackets more
/// before the place, or with the level in one of them.
fn of_airflow_2(rest: &[u8]) -> Option<Level> {
    let (stamp, rest) = split(rest, b']')?;
    if let Some(level) = of_celery(stamp) {
        return Some(level);
    }
    let mut rest = skip_spaces(rest);
    // A source, or gunicorn's process and level.
    for _ in 0..2 {
        let Some(group) = rest.strip_prefix(b"[") else { break };
        let (word, behind) = split(group, b']')?;
        if let Some(level) = Level::named(word) {
            return Some(level);
        }
        rest = skip_spaces(behind);
    }
    of_airflow_2_from(rest.strip_prefix(b"{")?)
}

/// Between its brackets: `2025-01-01 00:00:00,123: WARNING/ForkPoolWorker-1`.
fn of_celery(stamp: &[u8]) -> Option<Level> {
    let (date, _) = split(stamp, b'/')?;
    let at = date.iter().rposition(|byte| *byte == b' ')?;
    if date[..at].ends_with(b":") { Level::named(&date[at + 1..]) } else { None }
}

/// Behind the opening bracket of its place: `module.py:123} WARNING - text`.
#[inline]
fn of_airflow_2_from(rest: &[u8]) -> Option<Level> {
    let (_, rest) = split(rest, b'}')?;
    if let Some([b' ', word @ .., _, _]) = rest.first_chunk::<11>() {
        let word = u64::from_le_bytes(*word);
        if let Some(at) = position_in(word, b' ')
            && rest[at + 2] == b'-'
        {
            return named_word((word | LOWER_CASE) & filled(at));
        }
    }
    let (word, rest) = split(skip_spaces(rest), b' ')?;
    let rest = skip_spaces(rest);
    let is_dash = rest.starts_with(b"-") || rest.starts_with("\u{2013}".as_bytes());
    if is_dash { Level::named(word) } else { None }
}

/// Around the first such byte, if it is near. What is looked for stands a few words from here: a call of memchr for each
/// costs more than the search.
#[inline]
fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let near = &text[..text.len().min(WORD_BYTES_MAX)];
    let at = position(near, byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Of the first such byte, eight bytes at a time.
#[inline]
fn position(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        if let Some(at) = position_in(u64::from_le_bytes(*word), byte) {
            return Some(nth * 8 + at);
        }
    }
    rest.iter().position(|other| *other == byte).map(|at| words.len() * 8 + at)
}

/// Of the first such byte of eight.
#[inline(always)]
fn position_in(word: u64, byte: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let differs = word ^ (ONES * u64::from(byte));
    // The highest bit of each zero byte; of bytes above the first of them perhaps as well.
    let zeros = differs.wrapping_sub(ONES) & !differs & HIGHS;
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / 8)
}

#[inline]
fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

#[cfg(test)]
mod tests;
