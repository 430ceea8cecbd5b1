//! A finished body on its way: the bytes of the call, unchanged until its verdict, and what the ledger must book then.

use bytes::Bytes;

use super::split::SplitLines;
use crate::batch::{Body, Piece};
use crate::ledger::{Count, End, Ledger};

/// One stream's books: the counts, and the lines that are in several events.
#[derive(Debug, Default)]
pub struct Books {
    pub ledger: Ledger,
    pub split: SplitLines,
}

#[derive(Debug)]
pub struct Parcel {
    /// The request body as sent: JSON, or JSON compressed.
    pub payload: Bytes,
    /// May be sent only when no earlier parcel of its stream is in flight.
    pub serial: bool,
    raw_lengths: Vec<u32>,
    pieces: Vec<Piece>,
    lines: u64,
    raw_bytes: u64,
}

impl Parcel {
    pub fn new(body: Body, serial: bool, encode: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Parcel {
        Parcel {
            payload: Bytes::from(encode(body.json)),
            serial,
            raw_lengths: body.raw_lengths,
            pieces: body.pieces,
            lines: body.lines,
            raw_bytes: body.raw_bytes,
        }
    }

    /// What the ledger counts as in memory; lines in pieces are counted by `SplitLines`.
    pub fn held(&self) -> Count {
        Count::new(self.lines, self.raw_bytes)
    }

    pub fn events(&self) -> usize {
        self.raw_lengths.len()
    }

    pub fn memory_bytes(&self) -> usize {
        self.payload.len() + size_of_val(&self.raw_lengths[..]) + size_of_val(&self.pieces[..])
    }

    /// Books every event as ended like this.
    pub fn settle(self, end: End, books: &mut Books) {
        books.ledger.book(end, Count::new(self.lines, self.raw_bytes));
        for piece in &self.pieces {
            end_piece(piece.line, end, books);
        }
    }

    /// Books every event on its own.
    pub fn settle_each(self, end_of: impl Fn(usize) -> End, books: &mut Books) {
        let mut pieces = self.pieces.iter().peekable();
        for (index, raw_length) in self.raw_lengths.iter().enumerate() {
            let end = end_of(index);
            let piece = pieces.next_if(|piece| piece.event as usize == index);
            let lines = u64::from(piece.is_none());
            books.ledger.book(end, Count::new(lines, u64::from(*raw_length)));
            if let Some(piece) = piece {
                end_piece(piece.line, end, books);
            }
        }
    }
}

fn end_piece(line: u64, end: End, books: &mut Books) {
    if let Some(worst) = books.split.ended(line, end) {
        books.ledger.book(worst, Count::new(1, 0));
    }
}
