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
    /// Its last piece lies on disk alone, and the line is counted there.
    last_on_disk: bool,
    worst: End,
}

impl SplitLines {
    /// A piece of the line at position `line` went into a batch.
    pub fn began(&mut self, line: u64, last: bool) {
        let fresh = SplitLine {
            pieces_alive: 0,
            last_seen: false,
            last_ended: false,
            last_on_disk: false,
            worst: End::Delivered,
        };
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

    /// Where the last piece of a line is on disk alone, the line is counted there: whoever adopts that piece counts the
    /// line, and should the piece be lost, the line is lost with it.
    pub fn moved(&mut self, line: u64, on_disk: bool) {
        if let Some(entry) = self.lines.get_mut(&line) {
            entry.last_on_disk = on_disk;
        }
    }

    /// Lines whose end was seen and that still have a piece alive, but those that are counted on disk.
    pub fn lines_in_memory(&self) -> u64 {
        self.lines.values().filter(|line| line.last_seen && !line.last_on_disk).count() as u64
    }

    /// At our end all pieces that are alive lie on disk, or, if nothing does, were lost there. A line that is not counted
    /// there ends as the worst of its pieces that ended: `book` is told.
    pub fn leave(&mut self, nothing_on_disk: bool, mut book: impl FnMut(End)) {
        let here = |line: &SplitLine| line.last_seen && !line.last_on_disk;
        for line in std::mem::take(&mut self.lines).into_values().filter(here) {
            book(if nothing_on_disk { line.worst.max(End::Unreadable) } else { line.worst });
        }
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
    fn a_line_counts_on_disk_while_its_last_piece_is_there_alone() {
        let mut split = SplitLines::default();
        split.began(7, false);
        split.began(7, true);
        split.moved(7, true);
        assert_eq!(split.lines_in_memory(), 0);
        assert_eq!(split.ended(7, false, End::Delivered), None);
        split.moved(7, false);
        assert_eq!(split.lines_in_memory(), 1);
        assert_eq!(split.ended(7, true, End::Delivered), Some(End::Delivered));
        // Of a line that has its end the disk may still have copies.
        split.moved(7, true);
        assert_eq!(split.lines_in_memory(), 0);
    }

    #[test]
    fn a_line_that_is_left_on_disk_counts_where_its_last_piece_is() {
        for (nothing_on_disk, end) in [(false, End::Shutdown), (true, End::Unreadable)] {
            let mut split = SplitLines::default();
            for line in [1, 2] {
                split.began(line, false);
                split.began(line, true);
            }
            split.moved(1, true);
            split.ended(1, false, End::Delivered);
            split.ended(2, true, if nothing_on_disk { End::Delivered } else { End::Shutdown });
            let mut booked = Vec::new();
            split.leave(nothing_on_disk, |end| booked.push(end));
            assert_eq!((booked, split.lines_in_memory()), (vec![end], 0));
        }
    }
}
