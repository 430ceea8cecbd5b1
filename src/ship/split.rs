//! Lines that were cut into several events: their bytes are booked piece by piece, the line once, at the worst of its
//! pieces' ends. Bounded by the bodies alive, since only a line with a piece in one (or still being framed) is here.

use std::collections::BTreeMap;

use crate::ledger::End;

#[derive(Debug, Default)]
pub struct SplitLines {
    lines: BTreeMap<u64, SplitLine>,
}

#[derive(Debug)]
struct SplitLine {
    pieces_alive: u32,
    last_seen: bool,
    worst: End,
}

impl SplitLines {
    /// A piece of the line at position `line` went into a batch.
    pub fn began(&mut self, line: u64, last: bool) {
        let entry =
            self.lines.entry(line).or_insert(SplitLine { pieces_alive: 0, last_seen: false, worst: End::Delivered });
        entry.pieces_alive += 1;
        entry.last_seen |= last;
    }

    /// A piece has ended. Some: with it its line, as this.
    pub fn ended(&mut self, line: u64, end: End) -> Option<End> {
        let entry = self.lines.get_mut(&line).expect("a piece ends after it began");
        entry.pieces_alive -= 1;
        entry.worst = entry.worst.max(end);
        let over = entry.last_seen && entry.pieces_alive == 0;
        over.then(|| self.lines.remove(&line).expect("just seen").worst)
    }

    /// Lines whose end was seen and that still have a piece alive.
    pub fn lines_in_memory(&self) -> u64 {
        self.lines.values().filter(|line| line.last_seen).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_once_at_the_worst_end_of_its_pieces() {
        let mut split = SplitLines::default();
        split.began(7, false);
        assert_eq!(split.ended(7, End::TooOld), None);
        split.began(7, false);
        split.began(7, true);
        assert_eq!(split.lines_in_memory(), 1);
        assert_eq!(split.ended(7, End::Delivered), None);
        assert_eq!(split.ended(7, End::Delivered), Some(End::TooOld));
        assert_eq!(split.lines_in_memory(), 0);
    }
}
