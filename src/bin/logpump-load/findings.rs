//! What is expected of the lines that are read back, and what was found of them. Judges nothing.

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::line::{LINE_BYTES_MAX, LINES_MAX, is_writer};

/// Writers that are told apart; lines of any further one count as foreign.
pub const WRITERS_MAX: usize = 4096;
/// Examples of a fault, and characters shown of each.
pub const EXAMPLES_MAX: usize = 5;
const EXAMPLE_CHARS_MAX: usize = 100;

#[derive(Default)]
pub struct Expected {
    /// Empty: every writer that has a right line.
    pub writers: Vec<String>,
    /// Lines of each writer. None: the highest right sequence + 1, so a lost tail goes unnoticed.
    pub count: Option<u64>,
    /// Bytes a line, newline included. None: that of each writer's first line whose payload is right.
    pub size: Option<usize>,
}

impl Expected {
    /// One clear line on what cannot be.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(wrong) = self.writers.iter().find(|name| !is_writer(name.as_bytes())) {
            return Err(format!("--writers: {wrong:?} is not 1-64 of [A-Za-z0-9_-]"));
        }
        if self.writers.len() > WRITERS_MAX {
            return Err(format!("--writers: {} names, at most {WRITERS_MAX}", self.writers.len()));
        }
        let mut names: Vec<&String> = self.writers.iter().collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("--writers: {} is there twice", twice[0]));
        }
        match (self.count, self.size) {
            (Some(count), _) if count > LINES_MAX => Err(format!("--count {count}: at most {LINES_MAX}")),
            (_, Some(size)) if size > LINE_BYTES_MAX => Err(format!("--size {size}: at most {LINE_BYTES_MAX}")),
            _ => Ok(()),
        }
    }
}

/// What was found of one writer. `ok` findings have 0 in all of missing to beyond.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WriterFindings {
    pub writer: String,
    pub streams: Vec<String>,
    /// Lines that carry this writer's name, whatever became of them.
    pub lines: u64,
    pub expected: u64,
    pub size: Option<usize>,
    pub missing: u64,
    pub doubled: u64,
    pub out_of_order: u64,
    pub altered: u64,
    pub beyond: u64,
    /// The first ranges of missing sequences, both ends included.
    pub missing_first: Vec<RangeInclusive<u64>>,
    pub doubled_first: Option<u64>,
    pub out_of_order_first: Option<u64>,
    pub altered_examples: Vec<String>,
}

impl WriterFindings {
    /// One writer lives in exactly one stream.
    pub fn ok(&self) -> bool {
        let faults = [self.missing, self.doubled, self.out_of_order, self.altered, self.beyond];
        faults.iter().all(|fault| *fault == 0) && self.streams.len() == 1
    }
}

#[derive(Debug, Serialize)]
pub struct Findings {
    pub ok: bool,
    pub streams: u64,
    pub lines: u64,
    /// Newlines included.
    pub bytes: u64,
    pub count_inferred: bool,
    pub writers_inferred: bool,
    pub foreign: u64,
    pub foreign_examples: Vec<String>,
    pub writers: Vec<WriterFindings>,
}

/// Control characters are escaped: an example goes to a terminal.
pub fn add_example(examples: &mut Vec<String>, line: &[u8]) {
    if examples.len() == EXAMPLES_MAX {
        return;
    }
    let head = &line[..line.len().min(4 * EXAMPLE_CHARS_MAX)];
    let text: String =
        String::from_utf8_lossy(head).chars().take(EXAMPLE_CHARS_MAX).flat_map(char::escape_debug).collect();
    let cut = line.len() > head.len() || String::from_utf8_lossy(head).chars().count() > EXAMPLE_CHARS_MAX;
    examples.push(if cut { format!("{text}… ({} bytes)", line.len()) } else { text });
}
