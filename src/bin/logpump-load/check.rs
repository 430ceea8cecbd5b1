//! Judges lines that were read back, stream by stream: missing, doubled, out of order, altered, foreign.
//! Knows nothing of where they come from, nor how findings are shown.
//!
//! Each line is judged once, by the first of these that fits: foreign (not of our form, or of a writer not expected),
//! altered (not the bytes its writer and sequence stand for, or not the size), beyond (at or past the expected count),
//! doubled (seen before), out of order (lower than the highest seen of this writer in this stream), right.
//! An altered line is not missing too, as long as its sequence is the right one.

use std::collections::HashMap;

use crate::findings::{EXAMPLES_MAX, Expected, Findings, WRITERS_MAX, WriterFindings, add_example};
use crate::line::{Charset, Parts, Payloads, parse, writer_hash};
use crate::seen::Seen;

pub struct Check {
    expected: Expected,
    payloads: Payloads,
    /// Room for one recomputed payload.
    scratch: Vec<u8>,
    stream: usize,
    streams: Vec<String>,
    by_name: HashMap<String, usize>,
    writers: Vec<Writer>,
    foreign: u64,
    foreign_examples: Vec<String>,
    lines: u64,
    bytes: u64,
}

struct Writer {
    hash: u64,
    size: Option<usize>,
    right: Seen,
    altered_at: Seen,
    /// The highest right sequence, in all and in the current stream.
    highest: Option<u64>,
    highest_in_stream: Option<u64>,
    /// Indices into `Check::streams`, in the order met.
    streams: Vec<usize>,
    found: WriterFindings,
}

impl Check {
    pub fn new(expected: Expected, charset: Charset) -> Check {
        let mut check = Check {
            payloads: Payloads::new(charset),
            scratch: Vec::new(),
            stream: 0,
            streams: Vec::new(),
            by_name: HashMap::new(),
            writers: Vec::new(),
            foreign: 0,
            foreign_examples: Vec::new(),
            lines: 0,
            bytes: 0,
            expected,
        };
        for name in check.expected.writers.clone() {
            check.add_writer(&name);
        }
        check
    }

    /// The lines that follow are of this stream.
    pub fn begin_stream(&mut self, name: &str) {
        self.stream = self.streams.len();
        self.streams.push(name.to_owned());
        for writer in &mut self.writers {
            writer.highest_in_stream = None;
        }
    }

    /// `line` is without its newline; `terminated` says whether it had one. An event of CloudWatch counts as terminated.
    pub fn line(&mut self, line: &[u8], terminated: bool) {
        assert!(!self.streams.is_empty(), "begin_stream comes first");
        self.lines += 1;
        self.bytes += line.len() as u64 + u64::from(terminated);
        let Some((index, parts)) = parse(line).and_then(|parts| Some((self.writer_of(&parts)?, parts))) else {
            self.foreign += 1;
            add_example(&mut self.foreign_examples, line);
            return;
        };
        self.scratch.resize(parts.payload.len(), 0);
        let writer = &mut self.writers[index];
        self.payloads.fill(writer.hash, parts.sequence, &mut self.scratch);
        let right = self.scratch == parts.payload && terminated;
        writer.judge(line, parts.sequence, right, self.expected.count);
        if writer.streams.last() != Some(&self.stream) {
            writer.streams.push(self.stream);
        }
    }

    fn writer_of(&mut self, parts: &Parts) -> Option<usize> {
        match self.by_name.get(parts.writer) {
            Some(index) => Some(*index),
            None if !self.expected.writers.is_empty() || self.writers.len() == WRITERS_MAX => None,
            None => Some(self.add_writer(parts.writer)),
        }
    }

    fn add_writer(&mut self, name: &str) -> usize {
        let index = self.writers.len();
        self.writers.push(Writer {
            hash: writer_hash(name.as_bytes()),
            size: self.expected.size,
            right: Seen::default(),
            altered_at: Seen::default(),
            highest: None,
            highest_in_stream: None,
            streams: Vec::new(),
            found: WriterFindings { writer: name.to_owned(), ..WriterFindings::default() },
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    pub fn finish(mut self) -> Findings {
        let writers_inferred = self.expected.writers.is_empty();
        let mut found = Vec::new();
        for writer in self.writers {
            // "disk 3 full" is of our form by chance: a name without one right line is no writer.
            if writers_inferred && writer.highest.is_none() {
                self.foreign += writer.found.lines;
                let room = EXAMPLES_MAX - self.foreign_examples.len();
                self.foreign_examples.extend(writer.found.altered_examples.into_iter().take(room));
                continue;
            }
            found.push(writer.finish(self.expected.count, &self.streams));
        }
        found.sort_by(|a, b| a.writer.cmp(&b.writer));
        Findings {
            ok: self.foreign == 0 && !found.is_empty() && found.iter().all(WriterFindings::ok),
            streams: self.streams.len() as u64,
            lines: self.lines,
            bytes: self.bytes,
            count_inferred: self.expected.count.is_none(),
            writers_inferred,
            foreign: self.foreign,
            foreign_examples: self.foreign_examples,
            writers: found,
        }
    }
}

impl Writer {
    fn judge(&mut self, line: &[u8], sequence: u64, payload_right: bool, count: Option<u64>) {
        let found = &mut self.found;
        found.lines += 1;
        let size = line.len() + 1;
        if payload_right && self.size.is_none() {
            self.size = Some(size);
        }
        if !payload_right || self.size != Some(size) {
            found.altered += 1;
            self.altered_at.insert(sequence);
            add_example(&mut found.altered_examples, line);
            return;
        }
        if count.is_some_and(|count| sequence >= count) {
            found.beyond += 1;
            return;
        }
        if !self.right.insert(sequence) {
            found.doubled += 1;
            found.doubled_first.get_or_insert(sequence);
            return;
        }
        if self.highest_in_stream.is_some_and(|highest| sequence < highest) {
            found.out_of_order += 1;
            found.out_of_order_first.get_or_insert(sequence);
        }
        self.highest_in_stream = self.highest_in_stream.max(Some(sequence));
        self.highest = self.highest.max(Some(sequence));
    }

    fn finish(self, count: Option<u64>, streams: &[String]) -> WriterFindings {
        let mut found = self.found;
        found.expected = count.unwrap_or(self.highest.map_or(0, |highest| highest + 1));
        (found.missing, found.missing_first) = self.right.missing(&self.altered_at, found.expected, EXAMPLES_MAX);
        found.streams = self.streams.iter().map(|index| streams[*index].clone()).collect();
        found.size = self.size;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Lines;

    /// The first `count` lines of a writer, without newlines.
    fn lines(writer: &str, count: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(writer, 40, Charset::Ascii);
        (0..count)
            .map(|_| {
                let line = lines.current().strip_suffix(b"\n").unwrap().to_vec();
                lines.advance();
                line
            })
            .collect()
    }

    fn check(expected: Expected, streams: &[Vec<Vec<u8>>]) -> Findings {
        let mut check = Check::new(expected, Charset::Ascii);
        for (index, lines) in streams.iter().enumerate() {
            check.begin_stream(&format!("s{index}"));
            lines.iter().for_each(|line| check.line(line, true));
        }
        check.finish()
    }

    fn count(count: u64) -> Expected {
        Expected { count: Some(count), ..Expected::default() }
    }

    /// missing, doubled, out of order, altered, beyond.
    fn faults(found: &WriterFindings) -> [u64; 5] {
        [found.missing, found.doubled, found.out_of_order, found.altered, found.beyond]
    }

    #[test]
    fn whole_streams_are_right() {
        let found = check(count(100), &[lines("a", 100), lines("b", 100)]);
        assert!(found.ok, "{found:?}");
        assert_eq!((found.streams, found.lines, found.bytes), (2, 200, 200 * 40));
    }

    #[test]
    fn each_fault_is_named_once() {
        let mut gap = lines("a", 100);
        gap.drain(40..43);
        let found = check(count(100), &[gap]);
        assert_eq!((faults(&found.writers[0]), &found.writers[0].missing_first), ([3, 0, 0, 0, 0], &vec![40..=42]));

        let mut twice = lines("a", 100);
        twice.insert(60, twice[5].clone());
        let found = check(count(100), &[twice]);
        assert_eq!((faults(&found.writers[0]), found.writers[0].doubled_first), ([0, 1, 0, 0, 0], Some(5)));

        let mut swapped = lines("a", 100);
        swapped.swap(7, 8);
        let found = check(count(100), &[swapped]);
        assert_eq!((faults(&found.writers[0]), found.writers[0].out_of_order_first), ([0, 0, 1, 0, 0], Some(7)));

        let mut altered = lines("a", 100);
        altered[9][20] ^= 1;
        altered[11].push(b'x');
        altered[12].pop();
        assert_eq!(faults(&check(count(100), &[altered]).writers[0]), [0, 0, 0, 3, 0]);

        assert_eq!(faults(&check(count(98), &[lines("a", 100)]).writers[0]), [0, 0, 0, 0, 2]);
    }

    #[test]
    fn an_altered_sequence_leaves_its_own_line_missing() {
        let mut changed = lines("a", 100);
        changed[50][3] = b'7'; // "a 50" becomes "a 57"
        assert_eq!(faults(&check(count(100), &[changed]).writers[0]), [1, 0, 0, 1, 0]);
    }

    #[test]
    fn a_lost_tail_is_seen_only_with_a_count() {
        let found = check(Expected::default(), &[lines("a", 90)]);
        assert!(found.ok && found.count_inferred && found.writers[0].expected == 90);
        let found = check(count(100), &[lines("a", 90)]);
        assert_eq!((found.ok, &found.writers[0].missing_first), (false, &vec![90..=99]));
    }

    #[test]
    fn a_last_line_without_newline_is_altered() {
        let mut check = Check::new(Expected::default(), Charset::Ascii);
        check.begin_stream("s");
        check.line(&lines("a", 2)[0], true);
        check.line(&lines("a", 2)[1], false);
        assert_eq!(faults(&check.finish().writers[0]), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_line_of_our_form_by_chance_is_foreign() {
        let mut mixed = lines("a", 3);
        mixed.insert(0, b"disk 3 full".to_vec());
        mixed.push(b"\x1b[1mTraceback".to_vec());
        let found = check(Expected::default(), &[mixed]);
        assert!(!found.ok && found.writers.len() == 1 && found.foreign == 2);
        assert_eq!(found.foreign_examples, ["\\u{1b}[1mTraceback", "disk 3 full"]);
    }

    #[test]
    fn a_writer_in_two_streams_is_wrong_and_order_is_judged_in_each() {
        let all = lines("a", 100);
        let found = check(count(100), &[all[50..].to_vec(), all[..50].to_vec()]);
        assert!(!found.ok);
        assert_eq!((faults(&found.writers[0]), found.writers[0].streams.len()), ([0; 5], 2));
    }

    #[test]
    fn an_expected_writer_that_never_came_misses_every_line_and_another_is_foreign() {
        let expected = Expected { writers: vec!["a".into(), "b".into()], count: Some(10), size: Some(40) };
        let found = check(expected, &[lines("a", 10), lines("c", 4)]);
        assert!(!found.ok && found.foreign == 4);
        assert_eq!(found.writers.iter().map(|w| w.missing).collect::<Vec<_>>(), [0, 10]);
    }

    #[test]
    fn an_expected_writer_that_never_came_is_wrong_without_a_count_too() {
        let expected = Expected { writers: vec!["a".into(), "b".into()], ..Expected::default() };
        assert!(!check(expected, &[lines("a", 10)]).ok);
    }

    #[test]
    fn nothing_at_all_is_not_right() {
        assert!(!check(Expected::default(), &[]).ok);
        assert!(!check(Expected::default(), &[vec![]]).ok);
    }
}
