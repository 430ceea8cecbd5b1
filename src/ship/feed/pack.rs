//! From a stream's records to its finished batches: dated, joined where that is wanted, and packed.

use super::super::date::{Dated, Dater};
use super::super::gap::Gap;
use super::super::parcel::Books;
use super::{Finished, Now};
use crate::batch::{Full, Head, OpenBatch};
use crate::ledger::{Count, End};
use crate::lines::join::{Joiner, Seen};
use crate::lines::{Record, Taken};

/// Where the records of one visit go.
pub(super) struct Sink<'a> {
    pub packer: &'a mut Packer,
    pub joiner: &'a mut Option<Joiner>,
    pub now: Now,
    pub books: &'a mut Books,
    pub finished: Option<Finished>,
}

impl Sink<'_> {
    /// Takes a record, of which `text` is to be sent.
    #[inline]
    pub fn take(&mut self, record: &Record<'_>, text: &str, read_ms: i64) -> Taken {
        if self.joiner.is_some() {
            return self.join(record, text, read_ms);
        }
        self.pack(&Record { text, ..*record }, read_ms)
    }

    /// Its line is not sent.
    pub fn pass_over(&mut self) {
        if let Some(joiner) = self.joiner {
            joiner.seal();
        }
    }

    fn pack(&mut self, record: &Record<'_>, read_ms: i64) -> Taken {
        self.packer.take(record, read_ms, self.now.wall_ms, self.books, &mut self.finished)
    }

    fn join(&mut self, record: &Record<'_>, text: &str, read_ms: i64) -> Taken {
        let Some(joiner) = self.joiner else { unreachable!("somebody joins") };
        let seen = Seen { read_ms, now: self.now.mono };
        let fate = joiner.fate(record, text, read_ms);
        if fate.joins() {
            joiner.join(fate, record, text, seen);
            self.books.ledger.read.lines += 1;
            return Taken::Yes;
        }
        if self.flush() == Taken::No {
            return Taken::No;
        }
        if !fate.begins() {
            return self.pack(&Record { text, ..*record }, read_ms);
        }
        // Where lines are missing, they stood before this one.
        if self.packer.mark(self.now.wall_ms, self.books, &mut self.finished) == Taken::No {
            return Taken::No;
        }
        if let Some(joiner) = self.joiner {
            joiner.begin(fate, record, text, seen);
            self.books.ledger.read.lines += 1;
        }
        Taken::Yes
    }

    /// After the visit's records: packs what waits for none that is still to come, and the marker of a gap behind it.
    pub fn end(mut self, is_due: bool, is_ending: bool) -> Option<Finished> {
        let is_over = |joiner: &Joiner| joiner.is_over(self.now.mono, self.now.wall_ms);
        let waits = self.joiner.as_ref().is_some_and(|joiner| joiner.is_waiting() && !(is_ending || is_over(joiner)));
        if self.finished.is_none() && !waits {
            self.flush();
        }
        if self.finished.is_none() && !waits && (is_due || is_ending) {
            // No line follows a gap for now: its marker waits no longer than a line would.
            self.packer.mark(self.now.wall_ms, self.books, &mut self.finished);
        }
        self.finished
    }

    /// Packs what waits to be whole. It stands before a gap, if there is one.
    pub fn flush(&mut self) -> Taken {
        let Some(joiner) = self.joiner else { return Taken::Yes };
        let Some(joined) = joiner.waiting() else { return Taken::Yes };
        let (read_ms, wall_ms) = (joined.read_ms, self.now.wall_ms);
        let push = |open: &mut OpenBatch, at_ms| open.push_joined(&joined.record, joined.lines, at_ms);
        let taken = self.packer.place(read_ms, wall_ms, self.books, &mut self.finished, push);
        if taken == Taken::Yes {
            self.books.ledger.joined += u64::from(joined.lines - 1);
            let blanks = joiner.clear();
            self.books.ledger.book(End::Blank, Count::new(blanks.lines, blanks.bytes));
        }
        taken
    }
}

/// From records to finished batches.
pub(super) struct Packer {
    head: Head,
    dater: Dater,
    pub open: Option<OpenBatch>,
    /// Behind what is in the open batch: its marker goes before the next line.
    pub gap: Option<Gap>,
    /// The next body will be about as large as the last: room for it at once, instead of growing into it.
    last_body_bytes: usize,
    pub last_raw_bytes: u64,
}

impl Packer {
    pub fn new(head: Head, distinct_milliseconds: bool) -> Packer {
        Packer {
            head,
            dater: Dater::new(distinct_milliseconds),
            open: None,
            gap: None,
            last_body_bytes: 0,
            last_raw_bytes: 0,
        }
    }

    /// At most one batch is finished a visit, and none is begun after it: the record that would stays in the ring.
    pub fn take(
        &mut self,
        record: &Record<'_>,
        read_ms: i64,
        wall_ms: i64,
        books: &mut Books,
        finished: &mut Option<Finished>,
    ) -> Taken {
        let whole = record.begins && record.ends;
        if record.text.is_empty() {
            assert!(whole, "only a whole line can be blank");
            books.ledger.read.lines += 1;
            books.ledger.book(End::Blank, Count::new(1, u64::from(record.raw_bytes)));
            return Taken::Yes;
        }
        if self.gap.is_some() && self.mark(wall_ms, books, finished) == Taken::No {
            return Taken::No;
        }
        let taken = self.place(read_ms, wall_ms, books, finished, |open, at_ms| open.push(record, at_ms));
        if taken == Taken::Yes {
            books.ledger.read.lines += u64::from(record.ends);
            if !whole {
                books.split.began(record.line, record.ends);
            }
        }
        taken
    }

    /// Packs the marker of the gap, if there is one.
    #[cold]
    pub fn mark(&mut self, wall_ms: i64, books: &mut Books, finished: &mut Option<Finished>) -> Taken {
        let Some(gap) = self.gap.take() else { return Taken::Yes };
        let text = gap.text();
        let taken = self.place(gap.since_ms, wall_ms, books, finished, |open, at_ms| open.push_marker(&text, at_ms));
        match taken {
            Taken::Yes => books.ledger.markers += 1,
            Taken::No => self.gap = Some(gap),
        }
        taken
    }

    /// Dates an event, and pushes it into the open batch or the next.
    #[inline]
    pub fn place(
        &mut self,
        read_ms: i64,
        wall_ms: i64,
        books: &mut Books,
        finished: &mut Option<Finished>,
        push: impl Fn(&mut OpenBatch, i64) -> Result<(), Full>,
    ) -> Taken {
        loop {
            match self.dater.date(read_ms, wall_ms) {
                Dated::At { timestamp_ms, nudged } => {
                    let open = self.open.get_or_insert_with(|| begin(&self.head, self.last_body_bytes));
                    if push(open, timestamp_ms).is_ok() {
                        self.dater.gave(timestamp_ms);
                        books.ledger.nudged += u64::from(nudged);
                        return Taken::Yes;
                    }
                    // The next batch is the next visit's: so a visit makes one body at most, however large its lines.
                    *finished = self.finish(wall_ms);
                    return Taken::No;
                }
                Dated::ClockWentBack => {
                    if self.open.is_some() {
                        *finished = self.finish(wall_ms);
                        return Taken::No;
                    }
                    books.ledger.clock_steps += 1;
                    self.dater.follow_clock();
                }
            }
        }
    }

    pub fn finish(&mut self, wall_ms: i64) -> Option<Finished> {
        let open = self.open.take()?;
        let serial = self.dater.batch_closed(wall_ms);
        let body = open.close();
        (self.last_body_bytes, self.last_raw_bytes) = (body.json.len(), body.raw_bytes);
        Some(Finished { body, serial })
    }
}

fn begin(head: &Head, last_body_bytes: usize) -> OpenBatch {
    match last_body_bytes {
        0 => OpenBatch::new(head),
        bytes => OpenBatch::with_buffer(head, Vec::with_capacity(bytes + bytes / 16)),
    }
}
