//! Tracebacks, as a child writes them: line by line, with others before and behind; and what an event of several lines may
//! look like.

use std::collections::VecDeque;

use fastrand::Rng;

const LEVEL: &str = "ERROR:    ";
const OPENING: &str = "Traceback (most recent call last):";
const GROUP: &str = "  + Exception Group Traceback (most recent call last):";
const CHAIN: &str = "During handling of the above exception, another exception occurred:";
/// Behind an exception's line, so many may belong to it.
const TAIL_LINES_MAX: usize = 16;
const BLANKS_MAX: usize = 2;
const MARK_BITS: u32 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    /// With the traceback's first words at its end.
    LongHeader,
    Opening,
    Frame,
    Group,
    GroupFrame,
    Exception,
    Note,
    Blank,
    Chain,
}

/// What a child has still to write of a traceback.
#[derive(Default)]
pub struct Tracebacks {
    parts: VecDeque<Part>,
}

impl Tracebacks {
    /// The next line, if it is one of a traceback, as far as its form goes: random text may follow if the flag says so.
    /// `tag`, and `mark`, tell it from all others.
    pub fn next(&mut self, random: &mut Rng, tag: &str, mark: u32) -> Option<(String, bool)> {
        if self.parts.is_empty() && random.u32(0..60) == 0 {
            self.plan(random);
        }
        Some(match self.parts.pop_front()? {
            Part::Header => (format!("{LEVEL}{tag} "), true),
            Part::LongHeader => (format!("{LEVEL}{tag} {OPENING}"), false),
            Part::Opening => (format!("{OPENING}{}", white(mark)), false),
            Part::Frame => (format!("  File {tag} "), true),
            Part::Group => (format!("{GROUP} {tag} "), false),
            Part::GroupFrame => (format!("    | {tag} "), true),
            Part::Exception => (format!("ValueError: {tag} "), true),
            Part::Note => (format!("note {tag} "), true),
            Part::Blank => (String::new(), false),
            Part::Chain => (format!("{CHAIN}{}", white(mark)), false),
        })
    }

    fn plan(&mut self, random: &mut Rng) {
        match random.u32(0..4) {
            0 => {}
            1 => self.parts.push_back(Part::LongHeader),
            _ => self.parts.push_back(Part::Header),
        }
        let is_open = self.parts.front() == Some(&Part::LongHeader);
        for nth in 0..=random.u32(0..3) {
            let group = random.u32(0..6) == 0;
            let (opening, frame) = if group { (Part::Group, Part::GroupFrame) } else { (Part::Opening, Part::Frame) };
            if nth > 0 {
                self.parts.extend((0..random.u32(1..4)).map(|_| Part::Blank));
                self.parts.push_back(Part::Chain);
                self.parts.push_back(Part::Blank);
            }
            if nth > 0 || !is_open {
                self.parts.push_back(opening);
            }
            self.parts.extend((0..random.u32(0..12)).map(|_| frame));
            if !group {
                self.parts.push_back(Part::Exception);
                self.parts.extend((0..random.u32(0..4).pow(2) * 2).map(|_| Part::Note));
            }
        }
        if random.u32(0..5) == 0 {
            // Cut off somewhere, as when a thread of it is killed.
            self.parts.truncate(random.usize(1..=self.parts.len()));
        }
    }
}

/// A number that nobody sees.
fn white(mark: u32) -> String {
    (0..MARK_BITS).map(|bit| if mark >> bit & 1 == 0 { ' ' } else { '\t' }).collect()
}

/// The lines of an event of several: what is wrong with them. `continued`: what stands before them may not have fitted.
pub fn complaint(lines: &[&str], continued: bool) -> Option<String> {
    let begins = |line: &str| line.trim_end() == OPENING || line.starts_with(GROUP);
    let has_level = |line: &str| line.starts_with(LEVEL);
    let opens = |line: &str| begins(line) || (has_level(line) && line.trim_end().ends_with(OPENING));
    if lines.first().is_none_or(|line| line.is_empty()) || lines.last().is_none_or(|line| line.is_empty()) {
        return Some("it begins or ends with a blank line".into());
    }
    let is_traceback = opens(lines[0]) || (has_level(lines[0]) && begins(lines[1]));
    if !(is_traceback || continued) {
        return Some("it is no traceback".into());
    }
    let goes_on = !is_traceback && !lines[0].starts_with([' ', '\t']);
    let (mut blanks, mut tail, mut chained) = (0, goes_on.then_some(0), goes_on && lines[0].trim_end() == CHAIN);
    for (at, line) in lines.iter().enumerate().skip(1) {
        if line.is_empty() {
            blanks += 1;
            if blanks > BLANKS_MAX || tail.is_none() {
                return Some(format!("line {at} is one blank line too many"));
            }
            continue;
        }
        blanks = 0;
        if has_level(line) {
            return Some(format!("line {at} has a level"));
        }
        if line.starts_with([' ', '\t']) && tail.is_none() {
            // Also another group, inside of one.
            continue;
        }
        if begins(line) {
            if at > 1 && !chained {
                return Some(format!("line {at} begins another traceback"));
            }
            (tail, chained) = (None, false);
        } else if line.trim_end() == CHAIN {
            (tail, chained) = (Some(0), true);
        } else if chained {
            return Some(format!("line {at} is not what was announced"));
        } else {
            let lines = tail.map_or(0, |lines| lines + 1);
            if lines > TAIL_LINES_MAX {
                return Some(format!("line {at} is far behind the exception"));
            }
            tail = Some(lines);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_traceback() {
        let mut random = Rng::with_seed(1);
        let mut tracebacks = Tracebacks::default();
        let mut lines = Vec::new();
        while lines.len() < 2 {
            lines.extend(tracebacks.next(&mut random, "0.7", 7).map(|(line, _)| line));
        }
        assert!(lines[0].starts_with(LEVEL) || lines[0].starts_with(OPENING) || lines[0].starts_with(GROUP));
        assert_eq!(white(5), format!("\t \t{}", " ".repeat(29)));
    }

    #[test]
    fn an_event_is_one_traceback_and_nothing_else() {
        let good = ["ERROR:    a", OPENING, "  File", "E: b", "note", "", CHAIN, "", OPENING, "  File", "E: c"];
        assert_eq!(complaint(&good, false), None);
        assert_eq!(complaint(&["ERROR:    a Traceback (most recent call last):", "  File"], false), None);
        for bad in [
            &["ERROR:    a", "E: b"][..],
            &[OPENING, "  File", "E: b", "ERROR:    c"],
            &[OPENING, "  File", "E: b", ""],
            &[OPENING, "  File", "E: b", OPENING],
            &[OPENING, "  File", "E: b", "", "", "", "note"],
            &[OPENING, "", "  File"],
        ] {
            assert!(complaint(bad, false).is_some(), "{bad:?}");
        }
    }
}
