//! A finished body on its way: the entry whose bytes stay unchanged until its verdict, and what the ledger must book then.

use std::sync::Arc;

use bytes::Bytes;

use super::hash::BodyHash;
use super::split::SplitLines;
use super::split_body::split_entry;
use crate::batch::{Body, Piece};
use crate::ledger::{Count, End, Ledger};
use crate::spool::entry::{Address, Entry};

/// One stream's books: the counts, and the lines that are in several events.
#[derive(Debug, Default)]
pub struct Books {
    pub ledger: Ledger,
    pub split: SplitLines,
}

/// What is not in a body, and belongs to its entry.
pub struct Label {
    pub address: Arc<Address>,
    pub sequence: u64,
    pub serial: bool,
    pub gzip: bool,
}

#[derive(Debug)]
pub struct Parcel {
    pub entry: Arc<Entry>,
    pub hash: BodyHash,
    /// Whole lines; of an adopted one also those whose last piece is in it.
    lines: u64,
    raw_bytes: u64,
    /// Another run read these lines: what became of the other pieces of a cut line is not known here.
    adopted: bool,
}

impl Parcel {
    pub fn new(body: Body, label: Label, encode: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Parcel {
        let (lines, raw_bytes) = (body.lines, body.raw_bytes);
        let entry = Entry {
            address: label.address,
            sequence: label.sequence,
            first_ms: body.first_ms,
            last_ms: body.last_ms,
            serial: label.serial,
            gzip: label.gzip,
            raw_lengths: body.raw_lengths,
            pieces: body.pieces,
            payload: Bytes::from(encode(body.json)),
        };
        Parcel { entry: Arc::new(entry), hash: BodyHash::default(), lines, raw_bytes, adopted: false }
    }

    /// Of this run, and on disk meanwhile.
    pub fn back(entry: Entry) -> Parcel {
        let (lines, raw_bytes) = (entry.whole_lines(), entry.count().bytes);
        Parcel { entry: Arc::new(entry), hash: BodyHash::default(), lines, raw_bytes, adopted: false }
    }

    pub fn adopted(entry: Entry) -> Parcel {
        let Count { lines, bytes: raw_bytes, .. } = entry.count();
        Parcel { entry: Arc::new(entry), hash: BodyHash::default(), lines, raw_bytes, adopted: true }
    }

    /// Its first `count` events, and the rest. `Err`: it cannot be taken apart.
    pub fn split(self, count: usize) -> Result<(Parcel, Parcel), Parcel> {
        let part = |entry| if self.adopted { Parcel::adopted(entry) } else { Parcel::back(entry) };
        split_entry(&self.entry, count).map(|(left, right)| (part(left), part(right))).ok_or(self)
    }

    /// What the ledger counts where the parcel lies; lines in pieces are counted by `SplitLines`.
    pub fn held(&self) -> Count {
        Count::new(self.lines, self.raw_bytes)
    }

    /// What is counted on disk while it lies there alone: lines that end in it, in pieces or not.
    pub fn held_on_disk(&self) -> Count {
        self.entry.count()
    }

    /// It lies on disk alone from now on, or is back from there.
    pub fn moved(&self, on_disk: bool, books: &mut Books) {
        if !self.adopted {
            let last_pieces = self.entry.pieces.iter().filter_map(Piece::cut_line).filter(|(_, ends)| *ends);
            last_pieces.for_each(|(line, _)| books.split.moved(line, on_disk));
        }
    }

    pub fn events(&self) -> usize {
        self.entry.raw_lengths.len()
    }

    pub fn memory_bytes(&self) -> usize {
        self.entry.memory_bytes()
    }

    /// Books every event as ended like this.
    pub fn settle(self, end: End, books: &mut Books) {
        books.ledger.book(end, self.held());
        if !self.adopted {
            for (line, ends) in self.entry.pieces.iter().filter_map(Piece::cut_line) {
                end_piece(line, ends, end, books);
            }
        }
    }

    /// Books every event on its own.
    pub fn settle_each(self, end_of: impl Fn(usize) -> End, books: &mut Books) {
        let mut pieces = self.entry.pieces.iter().peekable();
        for (index, raw_length) in self.entry.raw_lengths.iter().enumerate() {
            let end = end_of(index);
            let piece = pieces.next_if(|piece| piece.event as usize == index);
            // A marker of our own stands for no pipe byte, and is no line.
            let lines = match piece {
                None => u64::from(*raw_length > 0),
                Some(piece) if self.adopted => piece.lines_ended(),
                Some(piece) => piece.whole_lines(),
            };
            books.ledger.book(end, Count::new(lines, u64::from(*raw_length)));
            if let (Some((line, ends)), false) = (piece.and_then(Piece::cut_line), self.adopted) {
                end_piece(line, ends, end, books);
            }
        }
    }
}

fn end_piece(line: u64, last: bool, end: End, books: &mut Books) {
    if let Some(worst) = books.split.ended(line, last, end) {
        books.ledger.book(worst, Count::new(1, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Head, OpenBatch};
    use crate::lines::Record;

    /// A line, a marker, and the two pieces of a line.
    fn parcel(books: &mut Books) -> Parcel {
        let mut batch = OpenBatch::new(&Head::new("g", "s"));
        let record = |begins, ends| Record { text: "text", raw_bytes: 5, line: 0, begins, ends };
        batch.push(&record(true, true), 1).unwrap();
        batch.push_marker("logpump: dropped", 1).unwrap();
        for (begins, ends) in [(true, false), (false, true)] {
            batch.push(&record(begins, ends), 1).unwrap();
            books.split.began(0, ends);
        }
        let label = Label { address: Arc::default(), sequence: 0, serial: false, gzip: false };
        Parcel::new(batch.close(), label, |json| json)
    }

    #[test]
    fn a_marker_is_no_line_in_the_books_whatever_becomes_of_it() {
        let mut books = Books::default();
        let parcel_of_two = parcel(&mut books);
        assert_eq!((parcel_of_two.events(), parcel_of_two.held()), (4, Count::new(1, 15)));
        // Four lengths of 4 bytes, two pieces of 24.
        assert_eq!(parcel_of_two.memory_bytes(), parcel_of_two.entry.payload.len() + 4 * 4 + 2 * 24);
        parcel_of_two.settle(End::Delivered, &mut books);
        assert_eq!(books.ledger.ended(End::Delivered), Count::new(2, 15));

        let mut books = Books::default();
        let ends = [End::Delivered, End::TooOld, End::Delivered, End::TooNew];
        parcel(&mut books).settle_each(|event| ends[event], &mut books);
        assert_eq!(books.ledger.ended(End::Delivered), Count::new(1, 10));
        assert_eq!(books.ledger.ended(End::TooOld), Count::default());
        assert_eq!(books.ledger.ended(End::TooNew), Count::new(1, 5));
    }
}
