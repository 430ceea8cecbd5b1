//! Which sequences of one writer were seen: a bitmap in pages that exist once touched, so that a damaged sequence in the
//! billions costs a page and not half a gigabyte. 64 million lines in a row take 8 MB.

use std::ops::RangeInclusive;

use crate::line::LINES_MAX;

const PAGE_WORDS: usize = 512;
const PAGE_BITS: u64 = PAGE_WORDS as u64 * 64;

#[derive(Default)]
pub struct Seen {
    pages: Vec<Option<Box<[u64; PAGE_WORDS]>>>,
}

impl Seen {
    /// Whether it was new. `sequence` is below `LINES_MAX`.
    pub fn insert(&mut self, sequence: u64) -> bool {
        assert!(sequence < LINES_MAX, "sequence {sequence}: parse() lets none through at {LINES_MAX} or above");
        let (page, word, bit) = place(sequence);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let words = self.pages[page].get_or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let new = words[word] & bit == 0;
        words[word] |= bit;
        new
    }

    pub fn contains(&self, sequence: u64) -> bool {
        let (page, word, bit) = place(sequence);
        self.pages.get(page).and_then(Option::as_ref).is_some_and(|words| words[word] & bit != 0)
    }

    /// How many below `end` are in neither of the two, and the first `ranges_max` ranges of them.
    pub fn missing(&self, other: &Seen, end: u64, ranges_max: usize) -> (u64, Vec<RangeInclusive<u64>>) {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        let mut missing = 0;
        for sequence in 0..end {
            if self.contains(sequence) || other.contains(sequence) {
                continue;
            }
            missing += 1;
            let room = ranges.len() < ranges_max;
            match ranges.last_mut() {
                Some(last) if *last.end() + 1 == sequence => *last = *last.start()..=sequence,
                _ if room => ranges.push(sequence..=sequence),
                _ => {}
            }
        }
        (missing, ranges)
    }
}

fn place(sequence: u64) -> (usize, usize, u64) {
    let in_page = sequence % PAGE_BITS;
    ((sequence / PAGE_BITS) as usize, (in_page / 64) as usize, 1 << (in_page % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_new_once() {
        let mut seen = Seen::default();
        for sequence in [0, 63, 64, PAGE_BITS - 1, PAGE_BITS, LINES_MAX - 1] {
            assert!(!seen.contains(sequence));
            assert!(seen.insert(sequence));
            assert!(!seen.insert(sequence));
            assert!(seen.contains(sequence));
        }
        assert_eq!(seen.pages.iter().flatten().count(), 3);
    }

    #[test]
    fn missing_ones_are_counted_and_the_first_ranges_named() {
        let (mut seen, mut other) = (Seen::default(), Seen::default());
        assert_eq!([0, 1, 5, 8].map(|sequence| seen.insert(sequence)), [true; 4]);
        other.insert(3);
        assert_eq!(seen.missing(&other, 10, 2), (5, vec![2..=2, 4..=4]));
        assert_eq!(seen.missing(&other, 10, 9), (5, vec![2..=2, 4..=4, 6..=7, 9..=9]));
        assert_eq!(seen.missing(&other, 2, 9), (0, vec![]));
    }
}
