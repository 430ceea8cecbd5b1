//! One stream, from its ring to finished bodies: frame, date, pack, encode, and only then release the ring's bytes.
//! Knows nothing of calls.

mod pack;

use std::time::{Duration, Instant};

use super::gap::Gap;
use super::parcel::Books;
use super::visits::{Left, Visits};
use crate::batch::{Body, Head, OpenBatch};
use crate::ledger::{Count, End, Kind};
use crate::limits::{JOIN_WAIT, MESSAGE_BYTES_MAX};
use crate::lines::join::Joiner;
use crate::lines::rules::{Edited, Editor, Found, Rules, Why};
use crate::lines::{Framer, Record, Skipped, Taken};
use crate::ring::Drainer;
use pack::{Packer, Sink};

/// When it is, for both kinds of clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub mono: Instant,
    pub wall_ms: i64,
}

/// What a stream's lines go through before they are packed.
#[derive(Debug, Clone, Default)]
pub struct Treatment {
    pub rules: Rules,
    /// No two of its events share a millisecond.
    pub distinct_milliseconds: bool,
    /// A traceback becomes one event.
    pub joins: bool,
    /// What it is called in metrics; None: it has none.
    pub metrics: Option<String>,
}

/// A finished batch. `serial`: to be sent after all earlier ones of its stream.
pub struct Finished {
    pub body: Body,
    pub serial: bool,
}

pub struct Feed {
    ring: Drainer,
    framer: Framer,
    editor: Editor,
    packer: Packer,
    /// None: each line is an event.
    joiner: Option<Joiner>,
    costly_said: bool,
    /// When what waits there is looked at again, because a batch went without it.
    join_due: Option<Instant>,
    visits: Visits,
    /// The last line of which a part was dropped: it counts once in what markers say.
    line_dropped: Option<u64>,
    /// The ring has ended and everything in it is in finished bodies.
    over: bool,
}

impl Feed {
    pub fn new(ring: Drainer, head: Head, linger: Duration, treatment: Treatment) -> Feed {
        let editor = Editor::new(treatment.rules);
        let message_bytes_max = MESSAGE_BYTES_MAX - editor.added_bytes_max();
        Feed {
            framer: Framer::with_message_bytes_max(ring.capacity(), message_bytes_max),
            editor,
            ring,
            packer: Packer::new(head, treatment.distinct_milliseconds),
            joiner: treatment.joins.then(Joiner::new),
            join_due: None,
            costly_said: false,
            visits: Visits::new(linger),
            line_dropped: None,
            over: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn due(&self) -> Option<Instant> {
        let dues = [self.visits.due(), self.join_due];
        dues.into_iter().flatten().min().filter(|_| !self.over)
    }

    /// As `Visits` has it.
    pub fn due_after(&self, age: Duration) -> Option<Instant> {
        self.visits.due_after(age).filter(|_| !self.over)
    }

    pub fn hasten(&mut self, age: Duration, now: Instant) {
        self.visits.hasten(age, now);
    }

    /// Is there something to do?
    pub fn wants_visit(&self, now: Instant) -> bool {
        !self.over && (self.visits.wanted(&self.ring, now) || self.is_due(now))
    }

    /// Arms the ring's wake-up. False: there is something to do already.
    pub fn may_sleep(&self) -> bool {
        self.over || self.visits.may_sleep(&self.ring)
    }

    pub fn awake(&self) {
        self.ring.awake();
    }

    /// Takes what the ring has, up to one finished batch (and the beginning of the next), and hands the bytes that it is
    /// done with to `copy`.
    pub fn visit(&mut self, now: Now, books: &mut Books, copy: impl FnOnce(&[u8])) -> Option<Finished> {
        // Before the bytes: what is there then is all there will be.
        let ended = self.ring.ended();
        let seen = self.ring.filled();
        let is_due = self.is_batch_due(now.mono);
        let (occupied, dates) = self.ring.dated();
        let editor = &mut self.editor;
        let mut sink = Sink { packer: &mut self.packer, joiner: &mut self.joiner, now, books, finished: None };
        let released = self.framer.frame(occupied, ended, &mut |record| {
            let taken = match editor.edit(&record) {
                Edited::Keep(text) => sink.take(&record, text, dates.date(record.line)),
                Edited::Filtered(why) => {
                    sink.pass_over();
                    filtered(&record, why, sink.books)
                }
            };
            if taken == Taken::Yes {
                editor.taken(&record);
            }
            taken
        });
        copy(&occupied[..released]);
        self.ring.release(released);
        let unframed = self.ring.occupied_bytes() + self.framer.held_bytes() > 0;
        let ending = ended && !unframed;
        let mut finished = sink.end(is_due, ending);
        let full = finished.is_some();
        if !full && (is_due || ending) {
            finished = self.packer.finish(now.wall_ms);
            self.over = ending;
        }
        let waits = self.joiner.as_ref().is_some_and(Joiner::is_waiting);
        // A batch that was due went without it, or it stands alone since then.
        let is_passed = self.join_due.is_some_and(|due| due <= now.mono);
        let left_behind = is_due || (is_passed && self.packer.open.is_none());
        let again = if left_behind { Some(now.mono + JOIN_WAIT) } else { self.join_due.filter(|_| !is_passed) };
        self.join_due = again.filter(|_| waits);
        let left = match &self.packer.open {
            // The next batch takes its memory when there is something to do, which may be when this one has given its own back.
            _ if full && self.packer.open.is_none() && self.is_rest() => Left::Rest(self.ring.occupied_bytes()),
            _ if full => Left::More,
            Some(_) => Left::Open,
            None if waits || self.packer.gap.is_some() => Left::Open,
            // Also after a batch that was due: what comes next has a linger of its own.
            None if unframed => Left::Partial,
            None => Left::Nothing,
        };
        self.visits.visited(seen, self.ring.capacity(), left, now.mono);
        finished
    }

    /// The open batch goes; and so does what it went without, if nothing came since: else that goes with the next batch.
    fn is_batch_due(&self, now: Instant) -> bool {
        let is_silent = self.packer.open.is_none() && !self.visits.has_grown(&self.ring);
        self.visits.is_due(now) || (is_silent && self.join_due.is_some_and(|due| due <= now))
    }

    /// Empties the ring: its lines end as `reason`, and a marker will stand where they are missing. Lines that were taken
    /// before, and a partial line at the ring's end, stay, unless no message can hold it. The bytes that are gone, and
    /// those that it holds elsewhere from now on, are handed to `copy`. Returns what the marker will say more.
    pub fn discard(&mut self, reason: End, now: Now, books: &mut Books, copy: impl FnOnce(&[u8])) -> Count {
        assert_eq!(reason.kind(), Kind::Dropped, "{reason:?} is no reason to drop a line");
        let seen = self.ring.filled();
        let from = self.framer.position();
        let (occupied, dates) = self.ring.dated();
        let skipped = self.framer.skip(occupied);
        let until = self.framer.position();
        if until > from {
            self.editor.passed_over();
            if let Some(joiner) = &mut self.joiner {
                joiner.seal();
            }
            let since_ms = dates.date(from);
            // The marks of what is gone have to go too, or there will be no room for those of what comes.
            dates.date(until - 1);
            self.packer.gap.get_or_insert_with(|| Gap::new(since_ms));
        }
        copy(&occupied[..skipped.released]);
        self.ring.release(skipped.released);
        let dropped = self.book_skipped(&skipped, reason, books);
        assert_eq!(dropped.bytes, until - from, "what was skipped and what was booked differ");
        if let Some(gap) = self.packer.gap.as_mut().filter(|_| dropped.bytes > 0) {
            gap.add(reason, dropped);
        }
        if skipped.released > 0 || dropped.bytes > 0 {
            self.visits.discarded(seen, self.ring.capacity(), now.mono);
        }
        dropped
    }

    /// Returns the lines that have lost something, each counted once, and the bytes.
    fn book_skipped(&mut self, skipped: &Skipped, reason: End, books: &mut Books) -> Count {
        let mut dropped = Count::new(skipped.lines, skipped.line_bytes);
        books.ledger.read.lines += skipped.lines;
        books.ledger.book(reason, dropped);
        for (piece, ends) in [(&skipped.rest, true), (&skipped.part, false)] {
            let Some(piece) = piece else { continue };
            books.ledger.read.lines += u64::from(ends);
            books.ledger.book(reason, Count::new(0, piece.bytes));
            books.split.began(piece.line, ends);
            if let Some(worst) = books.split.ended(piece.line, ends, reason) {
                books.ledger.book(worst, Count::new(1, 0));
            }
            let new = self.line_dropped.replace(piece.line) != Some(piece.line);
            dropped += Count::new(u64::from(new), piece.bytes);
        }
        dropped
    }

    /// What its ring holds is less than a wake-up is worth, and less than another body; and there will be more.
    fn is_rest(&self) -> bool {
        let bytes = self.ring.occupied_bytes();
        bytes < self.ring.capacity() / 4 && !self.has_another() && !self.ring.ended()
    }

    /// Its ring holds about as much as went into its last body.
    pub fn has_another(&self) -> bool {
        self.ring.occupied_bytes() as u64 >= self.packer.last_raw_bytes
    }

    /// Its ring is half full, or will not fill any more: rather to the disk with a body than to wait for a call.
    pub fn is_pressing(&self) -> bool {
        self.ring.ended() || self.ring.occupied_bytes() >= self.ring.capacity() / 2
    }

    /// The ring is 3/4 full, and somebody may still write: it is to be emptied if it cannot be visited.
    pub fn is_crowded(&self) -> bool {
        self.ring.occupied_bytes() >= self.ring.capacity() / 4 * 3 && !self.ring.ended()
    }

    /// Intake has no room to read into.
    pub fn is_full(&self) -> bool {
        self.ring.is_full() && !self.ring.ended()
    }

    /// Arms the ring's wake-up for a feed that cannot be visited now: when it begins to press, and then when it gets
    /// crowded. False: it did meanwhile.
    pub fn may_sleep_unvisited(&self) -> bool {
        let quarters = if self.is_pressing() { 3 } else { 2 };
        self.ring.ended() || self.ring.sleep_until(self.ring.released() + self.ring.capacity() as u64 / 4 * quarters)
    }

    /// Lines and bytes that are neither booked nor in a finished body.
    pub fn held(&self) -> Count {
        let unframed = self.unframed_bytes() as u64;
        let open = self.packer.open.as_ref();
        let packed = open.map_or(Count::default(), |open| Count::new(open.lines(), open.raw_bytes()));
        let waiting = self.waiting();
        packed + waiting + Count::new(0, unframed)
    }

    /// Bytes that are in no record yet.
    pub fn unframed_bytes(&self) -> usize {
        self.ring.occupied_bytes() + self.framer.held_bytes()
    }

    /// Memory of the open batch.
    pub fn open_bytes(&self) -> usize {
        self.packer.open.as_ref().map_or(0, OpenBatch::allocated_bytes)
    }

    /// Memory of a partial line that left the ring, and of lines that are joined.
    pub fn assembly_bytes(&self) -> usize {
        self.framer.allocated_bytes() + self.joined_bytes()
    }

    /// What waits to be joined.
    fn waiting(&self) -> Count {
        let held = self.joiner.as_ref().map(Joiner::held).unwrap_or_default();
        Count::new(held.lines, held.bytes)
    }

    fn joined_bytes(&self) -> usize {
        self.joiner.as_ref().map_or(0, Joiner::allocated_bytes)
    }

    /// From now on that takes at most so much: see `Framer::limit_held` and `Joiner::limit`.
    pub fn limit_assembly(&mut self, bytes: usize) {
        self.framer.limit_held(bytes.saturating_sub(self.joined_bytes()));
        if let Some(joiner) = &mut self.joiner {
            joiner.limit(bytes.saturating_sub(self.framer.allocated_bytes()));
        }
    }

    /// Finishes the open batch as it is, without taking more out of the ring.
    pub fn cut(&mut self, now: Now) -> Option<Finished> {
        let finished = self.packer.finish(now.wall_ms);
        self.visits.cut();
        finished
    }

    /// Lines are missing, and the marker that says so is not packed yet.
    pub fn has_gap(&self) -> bool {
        self.packer.gap.is_some()
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// What the rules found in its lines so far.
    pub fn found(&self) -> &Found {
        &self.editor.found
    }

    /// A pattern of `mask` that took too long: once, for whom it may concern.
    pub fn costly_pattern(&mut self) -> Option<&str> {
        let pattern = self.editor.costly_pattern().filter(|_| !self.costly_said)?;
        self.costly_said = true;
        Some(pattern)
    }

    pub fn read_bytes(&self) -> u64 {
        self.ring.filled()
    }

    pub fn marks_omitted(&self) -> u64 {
        self.ring.marks_omitted()
    }

    /// A part of ours failed: the intake is to end the ring.
    pub fn abandon_ring(&self) {
        self.ring.abandon();
    }

    pub fn ring_has_ended(&self) -> bool {
        self.ring.ended()
    }

    /// Nothing more will be sent: the ring, which must have ended, is framed and booked. What is in the open batch
    /// comes back as a body.
    pub fn abandon(&mut self, end: End, now: Now, books: &mut Books) -> Option<Finished> {
        loop {
            let (occupied, _) = self.ring.dated();
            let before = (occupied.len(), self.framer.held_bytes());
            let released = self.framer.frame(occupied, true, &mut |record| {
                books.ledger.read.lines += u64::from(record.ends);
                let whole = record.begins && record.ends;
                books.ledger.book(end, Count::new(u64::from(whole), u64::from(record.raw_bytes)));
                if !whole && record.ends {
                    // Its first pieces may be in a body, or nowhere.
                    books.split.began(record.line, true);
                    if let Some(worst) = books.split.ended(record.line, true, end) {
                        books.ledger.book(worst, Count::new(1, 0));
                    }
                }
                Taken::Yes
            });
            self.ring.release(released);
            if (self.ring.occupied_bytes(), self.framer.held_bytes()) == before {
                break;
            }
        }
        books.ledger.book(end, self.waiting());
        if let Some(joiner) = &mut self.joiner {
            joiner.clear();
        }
        self.over = true;
        // Its marker would come after the end of what is told.
        self.packer.gap = None;
        self.packer.finish(now.wall_ms)
    }
}

/// Its first piece decided for all of a line, so none of them is in a body.
fn filtered(record: &Record<'_>, why: Why, books: &mut Books) -> Taken {
    let end = match why {
        Why::Level => End::Level,
        Why::Noise => End::Noise,
        Why::Disabled => End::Disabled,
        Why::NoGroup => End::NoGroup,
    };
    books.ledger.read.lines += u64::from(record.ends);
    books.ledger.book(end, Count::new(u64::from(record.ends), u64::from(record.raw_bytes)));
    Taken::Yes
}

#[cfg(test)]
mod tests;
