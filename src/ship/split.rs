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
    last_ended: bool,
    worst: End,
}

impl SplitLines {
    /// A piece of the line at position `line` went into a batch.
    pub fn began(&mut self, line: u64, last: bool) {
        let fresh = SplitLine { pieces_alive: 0, last_seen: false, last_ended: false, worst: End::Delivered };
        let entry = self.lines.entry(line).or_insert(fresh);
        entry.pieces_alive += 1;
        entry.last_seen |= last;
    }

    /// A piece (`last`: the line's last) has ended. Some: with it its line, as this.
    pub fn ended(&mut self, line: u64, last: bool, end: End) -> Option<End> {
        let entry = self.lines.get_mut(&line).expect("a piece ends after it began");
        entry.pieces_alive -= 1;
        entry.last_ended |= last;
        entry.worst = entry.worst.max(end);
        let over = entry.last_seen && entry.pieces_alive == 0;
        over.then(|| self.lines.remove(&line).expect("just seen").worst)
    }

    /// Lines whose end was seen and that still have a piece alive.
    pub fn lines_in_memory(&self) -> u64 {
        self.lines.values().filter(|line| line.last_seen).count() as u64
    }

    /// At our end all pieces that are alive lie on disk. A line counts there if its last piece does: whoever adopts
    /// that piece counts the line. Else, its end is the worst of the pieces that ended here. The lines on disk; `book`
    /// is told the others.
    pub fn leave(&mut self, mut book: impl FnMut(End)) -> u64 {
        let mut on_disk = 0;
        for line in std::mem::take(&mut self.lines).into_values().filter(|line| line.last_seen) {
            if line.last_ended {
                book(line.worst);
            } else {
                on_disk += 1;
            }
        }
        on_disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_once_at_the_worst_end_of_its_pieces() {
        let mut split = SplitLines::default();
        split.began(7, false);
        assert_eq!(split.ended(7, false, End::TooOld), None);
        split.began(7, false);
        split.began(7, true);
        assert_eq!(split.lines_in_memory(), 1);
        assert_eq!(split.ended(7, false, End::Delivered), None);
        assert_eq!(split.ended(7, true, End::Delivered), Some(End::TooOld));
        assert_eq!(split.lines_in_memory(), 0);
    }

    #[test]
    fn a_line_that_is_left_on_disk_counts_where_its_last_piece_is() {
        let mut split = SplitLines::default();
        for line in [1, 2] {
            split.began(line, false);
            split.began(line, true);
        }
        split.ended(1, false, End::Delivered);
        split.ended(2, true, End::Shutdown);
        let mut booked = Vec::new();
        assert_eq!(split.leave(|end| booked.push(end)), 1);
        assert_eq!((booked, split.lines_in_memory()), (vec![End::Shutdown], 0));
    }
}
