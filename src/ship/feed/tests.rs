//! A feed on a real ring, visited as the loop does it, its books checked after every visit.

mod drop;
mod join;
mod random;

use std::sync::Arc;

use super::super::parcel::{Label, Parcel};
use super::*;
use crate::clock;
use crate::limits::{AHEAD_OF_CLOCK_MS_MAX, BATCH_EVENTS_MAX};
use crate::lines::level::Level;
use crate::ring::{Filler, ring};
use crate::sys::bell::Bell;

const RING_BYTES: usize = 64 * 1024;
/// Lines longer than this come in pieces, so that a test needs no megabytes.
const MESSAGE_BYTES_MAX: usize = 16;
const LINGER: Duration = Duration::from_secs(1);
const WALL_MS: i64 = 1_700_000_000_000;
/// More visits at one instant than any test has a reason for.
const VISITS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    timestamp_ms: i64,
    text: String,
}

fn label(serial: bool) -> Label {
    Label { address: Arc::default(), sequence: 0, serial, gzip: false }
}

/// A finished batch as the service sees it.
#[derive(Debug)]
struct Batch {
    events: Vec<Event>,
    serial: bool,
}

impl Batch {
    fn texts(&self) -> Vec<&str> {
        self.events.iter().map(|event| &event.text[..]).collect()
    }
}

struct Rig {
    /// None once the child's output has ended.
    filler: Option<Filler>,
    feed: Feed,
    books: Books,
    now: Now,
    /// What a finished batch ends as.
    end: End,
}

impl Rig {
    fn new(ring_bytes: usize) -> Rig {
        Rig::with(ring_bytes, Treatment::default())
    }

    fn with(ring_bytes: usize, treatment: Treatment) -> Rig {
        let (filler, drainer) = ring(ring_bytes, &Bell::new().unwrap(), &Bell::new().unwrap()).unwrap();
        let mut feed = Feed::new(drainer, Head::new("group", "stream"), LINGER, treatment);
        feed.framer = Framer::with_message_bytes_max(ring_bytes, MESSAGE_BYTES_MAX);
        let now = Now { mono: clock::now(), wall_ms: WALL_MS };
        Rig { filler: Some(filler), feed, books: Books::default(), now, end: End::Delivered }
    }

    /// The child writes this, and intake reads it at once.
    fn put(&mut self, bytes: &[u8]) {
        let filler = self.filler.as_mut().unwrap();
        filler.vacant()[..bytes.len()].copy_from_slice(bytes);
        filler.publish(bytes.len(), self.now.wall_ms);
        self.check();
    }

    fn end_of_output(&mut self) {
        self.filler = None;
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall_ms += time.as_millis() as i64;
    }

    fn visit(&mut self) -> Option<Batch> {
        let finished = self.feed.visit(self.now, &mut self.books, |_| {});
        finished.map(|finished| self.settle(finished))
    }

    fn settle(&mut self, Finished { body, serial }: Finished) -> Batch {
        let json: serde_json::Value = serde_json::from_slice(&body.json).unwrap();
        assert_eq!((&json["logGroupName"], &json["logStreamName"]), (&"group".into(), &"stream".into()));
        let event = |event: &serde_json::Value| Event {
            timestamp_ms: event["timestamp"].as_i64().unwrap(),
            text: event["message"].as_str().unwrap().to_owned(),
        };
        let events = json["logEvents"].as_array().unwrap().iter().map(event).collect();
        Parcel::new(body, label(serial), |json| json).settle(self.end, &mut self.books);
        self.check();
        Batch { events, serial }
    }

    /// What the loop does until it may sleep.
    fn work(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        for _ in 0..VISITS_MAX {
            if !self.feed.wants_visit(self.now.mono) {
                assert!(self.feed.may_sleep(), "neither work nor sleep");
                self.feed.awake();
                return batches;
            }
            batches.extend(self.visit());
        }
        panic!("it never sleeps; held: {:?}", self.feed.held());
    }

    /// Works and sleeps until nothing is due any more.
    fn work_until_quiet(&mut self) -> Vec<Batch> {
        let mut batches = self.work();
        for _ in 0..VISITS_MAX {
            let Some(due) = self.feed.due() else { return batches };
            self.pass(due - self.now.mono);
            batches.extend(self.work());
        }
        panic!("it is due for ever; held: {:?}", self.feed.held());
    }

    fn check(&self) {
        let mut ledger = self.books.ledger.clone();
        ledger.read.bytes = self.feed.read_bytes();
        ledger.in_memory = self.feed.held() + Count::new(self.books.split.lines_in_memory(), 0);
        assert_eq!(ledger.imbalance(), None);
    }

    fn ended(&self, end: End) -> (u64, u64) {
        let count = self.books.ledger.ended(end);
        (count.lines, count.bytes)
    }
}

fn only(batches: Vec<Batch>) -> Batch {
    assert_eq!(batches.len(), 1, "{batches:?}");
    batches.into_iter().next().unwrap()
}

#[test]
fn lines_wait_for_their_batch_to_fill_and_no_longer_than_the_linger() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\n");
    assert!(rig.work().is_empty());
    assert_eq!(rig.feed.due(), Some(rig.now.mono + LINGER));
    rig.pass(LINGER / 2);
    // Too little to be worth a visit.
    rig.put(b"two\r\nthr");
    assert!(!rig.feed.wants_visit(rig.now.mono) && rig.feed.may_sleep());
    rig.pass(LINGER / 2);
    let batch = only(rig.work());
    assert_eq!(batch.texts(), ["one", "two"]);
    // Dated when they were read, by their first bytes.
    assert_eq!([0, 1].map(|event| batch.events[event].timestamp_ms - WALL_MS), [0, 500]);
    assert!(!batch.serial);
    assert_eq!(rig.ended(End::Delivered), (2, 9));
}

#[test]
fn a_batch_that_went_out_when_it_was_due_does_not_take_the_next_lines_along() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\n");
    rig.work();
    rig.pass(LINGER);
    assert_eq!(rig.visit().unwrap().texts(), ["one"]);
    rig.put(b"two\n");
    assert!(rig.work().is_empty(), "a new batch has a linger of its own");
    assert_eq!(rig.feed.due(), Some(rig.now.mono + LINGER));
}

#[test]
fn a_full_batch_goes_at_once_and_no_visit_begins_the_next() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(&b"a\n".repeat(2 * BATCH_EVENTS_MAX + 1));
    let first = rig.visit().unwrap();
    assert_eq!(first.events.len(), BATCH_EVENTS_MAX);
    // The record that would have begun the second batch stays in the ring.
    assert_eq!((rig.feed.held(), rig.feed.open_bytes()), (Count::new(0, 2 * (BATCH_EVENTS_MAX as u64 + 1)), 0));
    let second = rig.visit().unwrap();
    assert_eq!(second.events.len(), BATCH_EVENTS_MAX);
    assert!(rig.work().is_empty());
    assert_eq!(only(rig.work_until_quiet()).texts(), ["a"]);
}

#[test]
fn a_rest_that_is_less_than_a_body_stays_in_the_ring_until_the_linger_or_a_quarter_of_the_ring() {
    const REST: usize = 1000;
    let mut rig = Rig::new(RING_BYTES);
    for passed in [LINGER, Duration::ZERO] {
        rig.put(&b"a\n".repeat(BATCH_EVENTS_MAX + REST));
        assert_eq!(rig.work().len(), 1);
        assert_eq!((rig.feed.held(), rig.feed.open_bytes()), (Count::new(0, 2 * REST as u64), 0));
        assert!(rig.feed.may_sleep() && rig.feed.due().is_some());
        rig.pass(passed);
        if passed.is_zero() {
            rig.put(&b"b\n".repeat(RING_BYTES / 8 - REST));
            assert!(!rig.feed.may_sleep());
        }
        let events: usize = rig.work_until_quiet().iter().map(|batch| batch.events.len()).sum();
        assert_eq!(events, if passed.is_zero() { RING_BYTES / 8 } else { REST });
    }
}

#[test]
fn a_quarter_of_a_ring_is_worth_a_visit_before_the_linger_is_over_and_an_eighth_if_one_is_awake() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"one\n");
    rig.work();
    rig.put(&b"b\n".repeat(RING_BYTES / 16 - 1));
    assert!(!rig.feed.wants_visit(rig.now.mono));
    rig.put(b"c\n");
    assert!(rig.feed.wants_visit(rig.now.mono) && rig.feed.may_sleep());
    rig.put(&b"d\n".repeat(RING_BYTES / 16));
    assert!(!rig.feed.may_sleep());
    assert!(rig.work().is_empty());
    assert_eq!(rig.feed.held(), Count::new(RING_BYTES as u64 / 8 + 1, RING_BYTES as u64 / 4 + 4));
}

#[test]
fn a_line_too_long_for_an_event_comes_in_pieces_and_is_one_line_in_the_books() {
    let mut rig = Rig::new(RING_BYTES);
    let long = "0123456789abcdefghijklmnopqrstuvwxyz0123";
    rig.put(format!("x\n{long}\ny\n").as_bytes());
    let batch = only(rig.work_until_quiet());
    assert_eq!(batch.texts(), ["x", "0123456789abcdef", "ghijklmnopqrstuv", "wxyz0123", "y"]);
    assert_eq!(rig.ended(End::Delivered), (3, 45));
    assert_eq!(rig.books.ledger.read.lines, 3);
}

#[test]
fn blank_lines_are_booked_as_such_and_sent_to_nobody() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"\n\r\n");
    assert!(rig.work().is_empty());
    assert_eq!((rig.ended(End::Blank), rig.feed.due()), ((2, 3), None));
    rig.put(b"\na\n\n");
    assert_eq!(only(rig.work_until_quiet()).texts(), ["a"]);
    assert_eq!(rig.ended(End::Blank), (4, 5));
}

#[test]
fn an_unterminated_line_waits_for_its_newline_or_for_the_end() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"half");
    assert!(rig.work_until_quiet().is_empty());
    // A silent partial line wakes nobody; a byte more does.
    assert_eq!((rig.feed.held(), rig.feed.due()), (Count::new(0, 4), None));
    rig.put(b" a li");
    assert!(rig.work_until_quiet().is_empty());
    rig.end_of_output();
    assert!(!rig.feed.is_over());
    assert_eq!(only(rig.work()).texts(), ["half a li"]);
    assert!(rig.feed.is_over() && rig.feed.may_sleep());
    assert_eq!((rig.feed.held(), rig.feed.due()), (Count::default(), None));
    assert_eq!(rig.ended(End::Delivered), (1, 9));
}

#[test]
fn output_that_ends_is_all_sent_at_once() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(&b"a\n".repeat(BATCH_EVENTS_MAX + 3));
    rig.end_of_output();
    let events: Vec<_> = rig.work().iter().map(|batch| batch.events.len()).collect();
    assert_eq!(events, [BATCH_EVENTS_MAX, 3]);
    assert!(rig.feed.is_over());

    let mut silent = Rig::new(RING_BYTES);
    silent.end_of_output();
    assert!(silent.work().is_empty() && silent.feed.is_over());
}

#[test]
fn no_two_batches_share_a_millisecond() {
    let mut rig = Rig::new(RING_BYTES);
    let mut last_ms = WALL_MS - 1;
    for _ in 0..20 {
        rig.put(b"a\nb\n");
        rig.work();
        // The clock stands, the linger passes.
        rig.now.mono += LINGER;
        let batch = only(rig.work());
        assert_eq!(batch.events[0].timestamp_ms, last_ms + 1);
        last_ms = batch.events[1].timestamp_ms;
        assert_eq!(last_ms, batch.events[0].timestamp_ms);
    }
}

#[test]
fn a_clock_that_goes_back_a_little_is_waited_for_and_a_step_back_is_followed_and_counted() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"before\n");
    rig.work();
    rig.now.wall_ms -= AHEAD_OF_CLOCK_MS_MAX / 2;
    rig.put(b"a little back\n");
    rig.now.mono += LINGER;
    let batch = only(rig.work());
    assert_eq!([0, 1].map(|event| batch.events[event].timestamp_ms), [WALL_MS; 2]);
    rig.put(b"still ahead\n");
    rig.work();
    rig.put(b"in the ring\n");
    rig.now.wall_ms = WALL_MS - 60_000;
    rig.put(b"a minute back\n");
    rig.now.mono += LINGER;
    let batches = rig.work();
    assert_eq!(
        batches.iter().map(Batch::texts).collect::<Vec<_>>(),
        [vec!["still ahead"], vec!["in the ring", "a minute back"]]
    );
    assert!(!batches[0].serial && batches[1].serial, "a batch that may lie before the last is sent after it");
    assert_eq!(batches[0].events[0].timestamp_ms, WALL_MS + 1);
    assert_eq!([0, 1].map(|event| batches[1].events[event].timestamp_ms), [WALL_MS - 60_000; 2]);
    assert_eq!(rig.books.ledger.clock_steps, 1);
}

#[test]
fn lines_below_the_threshold_are_booked_and_what_follows_a_line_goes_its_way() {
    let rules = Rules { level: Some(Level::Warning), ..Rules::default() };
    let mut rig = Rig::with(RING_BYTES, Treatment { rules, ..Treatment::default() });
    rig.put(b"[info] a\nb\n[error] c\nd\n[info] e\n");
    assert_eq!(only(rig.work_until_quiet()).texts(), ["[error] c", "d"]);
    assert_eq!((rig.ended(End::Level), rig.books.ledger.read.lines), ((3, 20), 5));
}

#[test]
fn events_that_get_a_millisecond_of_their_own_are_counted() {
    let distinct = Treatment { distinct_milliseconds: true, ..Treatment::default() };
    for (treatment, nudged) in [(distinct, 2), (Treatment::default(), 0)] {
        let mut rig = Rig::with(RING_BYTES, treatment);
        rig.put(b"a\nb\nc\n");
        assert_eq!(only(rig.work_until_quiet()).events[2].timestamp_ms - WALL_MS, nudged);
        assert_eq!(rig.books.ledger.nudged, nudged as u64);
    }
}

#[test]
fn a_partial_line_that_grows_is_looked_at_when_the_linger_is_over_or_a_quarter_of_the_ring_has_come() {
    let mut rig = Rig::new(RING_BYTES);
    rig.put(b"half");
    assert!(rig.work().is_empty());
    rig.put(b" a line");
    assert!(!rig.feed.wants_visit(rig.now.mono));
    assert_eq!(rig.feed.due(), Some(rig.now.mono + LINGER));
}

#[test]
fn reads_without_a_date_of_their_own_are_counted() {
    let mut rig = Rig::new(4096);
    for _ in 0..1000 {
        rig.put(b"a");
        rig.pass(Duration::from_millis(1));
    }
    // At least one for each `RING_BYTES_PER_MARK`.
    assert!((1..=1000 - 16).contains(&rig.feed.marks_omitted()), "{}", rig.feed.marks_omitted());
}

#[test]
fn giving_up_books_what_is_in_the_ring_in_the_assembly_buffer_and_in_the_open_batch() {
    let mut rig = Rig::new(RING_BYTES);
    rig.end = End::Shutdown;
    // Whole lines, and the first piece of a long one, go into the open batch.
    rig.put(b"one\ntwo\n0123456789abcdef0123456789");
    assert!(rig.work().is_empty());
    rig.put(b"01234567890123456789012345 the rest\n\nfour\nhalf");
    rig.end_of_output();
    let finished = rig.feed.abandon(End::Shutdown, rig.now, &mut rig.books).unwrap();
    assert_eq!(rig.settle(finished).texts(), ["one", "two", "0123456789abcdef"]);
    let total = rig.feed.read_bytes();
    assert_eq!((rig.books.ledger.read.lines, rig.ended(End::Shutdown)), (6, (6, total)));
    assert_eq!(rig.books.split.lines_in_memory(), 0);
    assert!(rig.feed.is_over());
}
