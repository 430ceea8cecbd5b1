//! What really happened to one log stream's events: what was written, and what the service and logpump made of each.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;

use logpump::ledger::{Count, End};

use crate::text::{self, Piece};

/// One event that is expected in the stream, at most once but for counted duplicates.
#[derive(Debug, Clone)]
pub struct Event {
    pub line: u32,
    pub raw_bytes: u32,
    pub text_bytes: u32,
    /// The service refuses any call that has it.
    pub poisoned: bool,
    /// The spool said that it has it; and something happened to that.
    pub spooled: bool,
    pub spoiled: bool,
    /// The body that it was last sent in, by hash; 0 before.
    pub body: u64,
    pub timestamp_ms: i64,
    pub flying: bool,
    /// The last run that sent it.
    pub sent_in: Option<u32>,
    /// It was called invalid when it was sent alone.
    pub refused_alone: bool,
    /// In this run an answer for it was lost.
    pub maybe_stored: bool,
    /// When this run began, there was more than one of it, or one that had its end.
    pub comes_again: bool,
    /// How often the service may have it beyond the first time.
    pub may_double: u32,
    /// What logpump was told of its end.
    pub end: Option<End>,
    /// The run that was told it.
    pub ended_in: Option<u32>,
    /// How often the service stored it, and its place in the order of all that it stored.
    pub stored: u32,
    pub first_stored: u64,
}

impl Event {
    fn new(line: u32, piece: &Piece, poisoned: bool) -> Event {
        Event {
            line,
            raw_bytes: piece.raw_bytes,
            text_bytes: piece.text_bytes as u32,
            poisoned,
            spooled: false,
            spoiled: false,
            body: 0,
            timestamp_ms: 0,
            flying: false,
            sent_in: None,
            refused_alone: false,
            maybe_stored: false,
            comes_again: false,
            may_double: 0,
            end: None,
            ended_in: None,
            stored: 0,
            first_stored: 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub events: u32,
    pub raw_bytes: u32,
    /// The run of logpump whose child wrote it.
    pub run: u32,
    /// A blank one: it is a part of an event that goes on behind it, and counts with the line of this one.
    pub within: Option<u32>,
}

#[derive(Default)]
pub struct Truth {
    pub lines: Vec<Line>,
    pub events: Vec<Event>,
    /// An event has half of what one can have.
    pub has_long: bool,
    /// The most lines that were joined.
    pub longest: u64,
    by_text: HashMap<u64, u32, BuildHasherDefault<Given>>,
}

impl Truth {
    /// A whole line, with its newline.
    pub fn wrote(&mut self, raw: &[u8], run: u32, poisoned: bool) {
        let before = self.events.len();
        let line = self.lines.len() as u32;
        text::pieces(raw, &mut |piece| {
            self.has_long |= piece.text_bytes > text::MESSAGE_BYTES_MAX / 2;
            let twin = self.by_text.insert(piece.hash, self.events.len() as u32);
            assert!(twin.is_none(), "the simulation wrote the same text twice, or two texts have one hash");
            self.events.push(Event::new(line, &piece, poisoned));
        });
        let events = (self.events.len() - before) as u32;
        self.lines.push(Line { events, raw_bytes: raw.len() as u32, run, within: None });
    }

    /// The child was killed when all but the first `lines` were unwritten, and of the next one only `partial` written.
    pub fn cut(&mut self, lines: usize, partial: &[u8]) {
        if lines == self.lines.len() {
            return;
        }
        let first: usize = self.lines[..lines].iter().map(|line| line.events as usize).sum();
        let mut cut = self.events.split_off(first).into_iter();
        text::pieces(partial, &mut |piece| {
            // The whole line may have been a blank one.
            let whole = cut.next().filter(|event| event.line == lines as u32);
            let mut event = whole.unwrap_or_else(|| Event::new(lines as u32, &piece, false));
            if (event.raw_bytes, event.text_bytes) != (piece.raw_bytes, piece.text_bytes as u32) {
                (event.raw_bytes, event.text_bytes) = (piece.raw_bytes, piece.text_bytes as u32);
                self.by_text.insert(piece.hash, self.events.len() as u32);
            }
            self.events.push(event);
        });
        let events = (self.events.len() - first) as u32;
        let line = Line { events, raw_bytes: partial.len() as u32, ..self.lines[lines] };
        self.lines.truncate(lines);
        if !partial.is_empty() {
            self.lines.push(line);
        }
    }

    pub fn find(&self, message: &[u8]) -> Option<u32> {
        self.by_text.get(&text::hash(message)).copied()
    }

    /// What the ledger should say of the lines that a run's child wrote: by end, and in all of those that have none,
    /// blank ones among them.
    pub fn ended(&self, run: u32) -> ([Count; End::ALL.len()], Count) {
        let (mut ended, mut open) = ([Count::default(); End::ALL.len()], Count::default());
        let mut events = self.events.iter();
        for line in &self.lines {
            let mut worst = Some(End::Delivered);
            for event in events.by_ref().take(line.events as usize).filter(|_| line.run == run) {
                worst = worst.zip(event.end).map(|(worst, end)| worst.max(end));
                let of = event.end.map_or(&mut open, |end| &mut ended[end as usize]);
                *of += Count::new(0, u64::from(event.raw_bytes));
            }
            if line.run == run {
                let of_blank = line.within.and_then(|event| self.events[event as usize].end);
                match (line.events, worst) {
                    (0, _) => {
                        let of = of_blank.map_or(&mut open, |end| &mut ended[end as usize]);
                        *of += Count::new(1, u64::from(line.raw_bytes));
                    }
                    (_, None) => open += Count::new(1, 0),
                    (_, Some(worst)) => ended[worst as usize] += Count::new(1, 0),
                }
            }
        }
        (ended, open)
    }

    pub fn line_of(&self, event: u32) -> u32 {
        self.events[event as usize].line
    }

    /// The last, or only, event of its line.
    pub fn ends_line(&self, event: u32) -> bool {
        let line = self.line_of(event);
        self.events.get(event as usize + 1).is_none_or(|next| next.line != line)
    }

    /// What the books count with it.
    pub fn count_of(&self, event: u32) -> Count {
        let own = Count::new(u64::from(self.ends_line(event)), u64::from(self.events[event as usize].raw_bytes));
        self.blanks_behind(event).fold(own, |sum, line| sum + Count::new(1, u64::from(line.raw_bytes)))
    }

    /// Blank lines that are in its event.
    fn blanks_behind(&self, event: u32) -> impl Iterator<Item = &Line> {
        self.lines[self.line_of(event) as usize + 1..].iter().take_while(move |line| line.within == Some(event))
    }

    fn lines_between_events(&self, events: &RangeInclusive<u32>) -> RangeInclusive<usize> {
        self.line_of(*events.start()) as usize..=self.line_of(*events.end()) as usize
    }

    /// Of one event that is sent, which may be several of ours.
    pub fn raw_bytes(&self, first: u32, last: u32) -> u32 {
        if first == last {
            return self.events[first as usize].raw_bytes;
        }
        self.lines[self.lines_between_events(&(first..=last))].iter().map(|line| line.raw_bytes).sum()
    }

    pub fn lines_of(&self, events: RangeInclusive<u32>) -> u64 {
        self.lines_between_events(&events).count() as u64
    }

    /// These are sent as one.
    pub fn joined(&mut self, events: RangeInclusive<u32>) {
        if events.start() == events.end() {
            return;
        }
        self.longest = self.longest.max(self.lines_of(events.clone()));
        let poisoned = events.clone().any(|event| self.events[event as usize].poisoned);
        let mut next = *events.start();
        for line in &mut self.lines
            [self.events[next as usize].line as usize..=self.events[*events.end() as usize].line as usize]
        {
            line.within = (line.events == 0).then(|| next - 1);
            next += line.events;
        }
        for event in events {
            self.events[event as usize].poisoned |= poisoned;
        }
    }

    pub fn run_of(&self, event: &Event) -> u32 {
        self.lines[event.line as usize].run
    }

    /// Has this run lines in several events?
    pub fn has_pieces(&self, run: u32) -> bool {
        self.lines.iter().any(|line| line.run == run && line.events > 1)
    }

    pub fn first_event(&self, run: u32) -> u32 {
        self.events.partition_point(|event| self.run_of(event) < run) as u32
    }

    pub fn end_event(&self, run: u32) -> u32 {
        self.first_event(run + 1)
    }

    /// How many lines lie between event `next - 1` and `event`, if events `next` to `event - 1` were dropped: at least
    /// those that would have been events; at most, all blank ones beside them and lines of which a part was dropped.
    pub fn lines_between(&self, next: u32, event: u32) -> (u64, u64) {
        let run = self.events.get(event as usize).or(self.events.last()).map_or(0, |event| self.run_of(event));
        let before = next.checked_sub(1).map(|before| self.line_of(before));
        let from = before.map_or(0, |line| line + 1) as usize;
        let to = self.events.get(event as usize).map_or(self.lines.len(), |event| event.line as usize);
        let between = self.lines.get(from..to).unwrap_or_default().iter().filter(|line| line.run == run);
        let (mut least, mut most) = (0, 0);
        for line in between {
            least += u64::from(line.events > 0);
            most += 1;
        }
        // The lines on both sides, and those between whose beginning an earlier gap has counted.
        let pieces = self.has_pieces(run);
        (least - u64::from(pieces && least > 0), most + 2 * u64::from(pieces))
    }

    /// Lines of this run that the service refuses, or events of them.
    pub fn poisoned(&self, run: u32) -> u64 {
        let all = self.events.iter().enumerate();
        let poisoned = all.filter(|(_, event)| event.poisoned && self.run_of(event) == run);
        poisoned.map(|(at, _)| 1 + self.blanks_behind(at as u32).count() as u64).sum()
    }

    /// Lines of a run that become no event.
    pub fn blank(&self, run: u32) -> Count {
        let blank = self.lines.iter().filter(|line| line.run == run && line.events == 0 && line.within.is_none());
        blank.fold(Count::default(), |sum, line| sum + Count::new(1, u64::from(line.raw_bytes)))
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
