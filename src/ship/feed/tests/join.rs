//! Tracebacks that become one event: what is sent when, and the books.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::limits::JOIN_WAIT;
use crate::lines::rules::Rules;

const HEADER: &str = "[error] boom\n";
const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1\n    1/0\nZeroDivisionError: x\n";

fn joined(text: &str) -> &str {
    text.trim_end()
}

impl Rig {
    fn joining(rules: Rules) -> Rig {
        let mut rig = Rig::with(RING_BYTES, Treatment { joins: true, rules, ..Treatment::default() });
        rig.feed.framer = Framer::with_message_bytes_max(RING_BYTES, 1000);
        rig
    }
}

#[test]
fn a_traceback_is_one_event_with_the_date_of_its_header_and_each_of_its_lines_is_delivered() {
    let mut rig = Rig::joining(Rules::default());
    let text = format!("[info] before\n{HEADER}{TRACEBACK}");
    rig.put(text.as_bytes());
    rig.work();
    rig.pass(JOIN_WAIT / 2);
    rig.put(b"[info] after\n\nplain\n");
    let batch = only(rig.work_until_quiet());
    let event = format!("{HEADER}{TRACEBACK}");
    assert_eq!(batch.texts(), ["[info] before", joined(&event), "[info] after", "plain"]);
    assert_eq!(batch.events[1].timestamp_ms, WALL_MS);
    assert_eq!(rig.ended(End::Delivered), (8, (text.len() + 13 + 6) as u64));
    assert_eq!((rig.ended(End::Blank), rig.books.ledger.read.lines, rig.books.ledger.joined), ((1, 1), 9, 4));
}

#[test]
fn a_batch_that_is_due_goes_without_a_traceback_that_is_still_coming() {
    let mut rig = Rig::joining(Rules::default());
    rig.put(b"[info] before\n");
    rig.work();
    rig.pass(LINGER - Duration::from_millis(10));
    let (half, rest) = TRACEBACK.split_at(60);
    rig.put(format!("{HEADER}{half}").as_bytes());
    rig.pass(Duration::from_millis(10));
    assert_eq!(only(rig.work()).texts(), ["[info] before"]);
    assert_eq!(rig.feed.due(), Some(rig.now.mono + JOIN_WAIT));
    rig.pass(JOIN_WAIT / 2);
    rig.put(rest.as_bytes());
    // It is silent from here on: nothing else has to come before it goes, and nobody waits for another linger.
    let since = rig.now.mono;
    let event = format!("{HEADER}{TRACEBACK}");
    assert_eq!(only(rig.work_until_quiet()).texts(), [joined(&event)]);
    assert!(rig.now.mono - since <= JOIN_WAIT * 2, "{:?}", rig.now.mono - since);
    assert_eq!((rig.feed.held(), rig.feed.due()), (Count::default(), None));
}

#[test]
fn lines_that_keep_coming_are_not_sent_more_often_because_the_last_of_them_waits() {
    let mut rig = Rig::joining(Rules::default());
    let mut batches = Vec::new();
    for nth in 0..100 {
        rig.put(format!("[info] {nth}\n").as_bytes());
        batches.extend(rig.work());
        let until = rig.now.mono + Duration::from_millis(100);
        while let Some(due) = rig.feed.due().filter(|due| *due <= until) {
            rig.pass(due - rig.now.mono);
            batches.extend(rig.work());
        }
        rig.pass(until - rig.now.mono);
    }
    assert!((8..=12).contains(&batches.len()), "{} batches in 10 s", batches.len());
    batches.extend(rig.work_until_quiet());
    let all: Vec<_> = batches.iter().flat_map(Batch::texts).map(str::to_owned).collect();
    assert_eq!(all, (0..100).map(|nth| format!("[info] {nth}")).collect::<Vec<_>>());
}

#[test]
fn the_end_of_the_output_ends_a_traceback_and_what_is_abandoned_is_booked_line_by_line() {
    for abandoned in [false, true] {
        let mut rig = Rig::joining(Rules::default());
        rig.put(format!("{HEADER}{TRACEBACK}\n").as_bytes());
        assert!(rig.visit().is_none());
        assert_eq!(rig.feed.held(), Count::new(6, (HEADER.len() + TRACEBACK.len() + 1) as u64));
        rig.end_of_output();
        if abandoned {
            assert!(rig.feed.abandon(End::Shutdown, rig.now, &mut rig.books).is_none());
            assert_eq!(rig.ended(End::Shutdown).0, 6);
        } else {
            let event = format!("{HEADER}{TRACEBACK}");
            assert_eq!(only(rig.work()).texts(), [joined(&event)]);
            // The blank line behind it is none of its own.
            assert_eq!((rig.ended(End::Delivered).0, rig.ended(End::Blank)), (5, (1, 1)));
        }
        assert!(rig.feed.is_over());
        rig.check();
    }
}

#[test]
fn a_marker_stands_behind_the_traceback_that_was_there_before_the_gap() {
    let mut rig = Rig::joining(Rules::default());
    rig.put(format!("{HEADER}{TRACEBACK}").as_bytes());
    rig.work();
    rig.put(b"gone\n");
    rig.feed.discard(End::SpoolFull, rig.now, &mut rig.books, |_| {});
    rig.put(format!("  File\nE: x\n{TRACEBACK}").as_bytes());
    let batch = only(rig.work_until_quiet());
    let event = format!("{HEADER}{TRACEBACK}");
    let marker = "logpump: dropped 1 line (5 B) here: spool_full";
    assert_eq!(batch.texts(), [joined(&event), marker, "  File", "E: x", joined(TRACEBACK)]);
}

#[test]
fn the_rules_hold_for_each_line_and_a_filtered_one_ends_what_waits() {
    let mask = Some(Arc::new(crate::lines::mask::Mask::new(&["File".to_owned()]).unwrap()));
    let rules = Rules { level: Some(Level::Warning), mask, trim: true, ..Rules::default() };
    let mut rig = Rig::joining(rules);
    rig.put(format!("[info] fine\n{TRACEBACK}{HEADER}{TRACEBACK}[debug] x\n{TRACEBACK}").as_bytes());
    let batch = only(rig.work_until_quiet());
    let event = format!("{HEADER}{TRACEBACK}").replace("File", "***");
    assert_eq!(batch.texts(), [joined(&event)]);
    assert_eq!((rig.ended(End::Delivered).0, rig.ended(End::Level).0), (5, 10));

    // Its first line and its last are apart in the stream.
    let noise = Rules { noise: Some("1/0"), ..Rules::default() };
    let mut rig = Rig::joining(noise);
    rig.put(format!("{HEADER}{TRACEBACK}").as_bytes());
    let batch = only(rig.work_until_quiet());
    let first = "[error] boom\nTraceback (most recent call last):\n  File \"a.py\", line 1";
    assert_eq!(batch.texts(), [first, "ZeroDivisionError: x"]);
}

#[test]
fn a_full_batch_goes_and_the_traceback_that_did_not_fit_begins_the_next() {
    let mut rig = Rig::joining(Rules::default());
    let text = format!("{}{TRACEBACK}", "a\n".repeat(BATCH_EVENTS_MAX - 1));
    rig.put(text.as_bytes());
    rig.put(format!("{HEADER}{TRACEBACK}").as_bytes());
    let batches = rig.work_until_quiet();
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [BATCH_EVENTS_MAX, 1]);
    assert_eq!(*batches[0].texts().last().unwrap(), joined(TRACEBACK));
    let event = format!("{HEADER}{TRACEBACK}");
    assert_eq!(batches[1].texts(), [joined(&event)]);
}

#[test]
fn joined_lines_end_together_whatever_becomes_of_their_event() {
    let mut rig = Rig::joining(Rules::default());
    rig.put(format!("plain\n{HEADER}{TRACEBACK}plain\n").as_bytes());
    rig.end_of_output();
    let body = rig.visit_raw();
    let mut books = Books::default();
    let ends = [End::Delivered, End::TooOld, End::TooNew];
    Parcel::new(body.clone(), label(false), |json| json).settle_each(|event| ends[event], &mut books);
    assert_eq!(ends.map(|end| books.ledger.ended(end).lines), [1, 6, 0], "the plain line behind it may be a note");

    // As another run finds it on disk.
    let parcel = Parcel::new(body, label(false), |json| json);
    let mut books = Books::default();
    assert_eq!(parcel.entry.count().lines, 7);
    let adopted = Parcel::adopted((*parcel.entry).clone());
    adopted.settle_each(|event| ends[event], &mut books);
    assert_eq!(ends.map(|end| books.ledger.ended(end).lines), [1, 6, 0]);
    let (one, other) = Parcel::adopted((*parcel.entry).clone()).split(1).unwrap();
    assert_eq!((one.held().lines, other.held().lines), (1, 6));
}

impl Rig {
    fn visit_raw(&mut self) -> Body {
        self.feed.visit(self.now, &mut self.books, |_| {}).unwrap().body
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<&'static str>),
    Pass(u64),
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop::sample::select(vec![
        "[error] header\n",
        "[info] header\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1\n",
        "ValueError: x\n",
        "plain\n",
        "\n",
        "During handling of the above exception, another exception occurred:\n",
        "a part ",
    ]);
    prop_oneof![
        6 => prop::collection::vec(line, 0..12).prop_map(Step::Put),
        3 => (0..1_500u64).prop_map(Step::Pass),
        1 => (-5_000..5_000i64).prop_map(Step::Clock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The books are checked after every step.
    #[test]
    fn whatever_is_joined_every_line_comes_out_in_order_in_time_and_in_the_books(
        steps in prop::collection::vec(step(), 1..50),
        give_up: bool,
    ) {
        let mut rig = Rig::joining(Rules::default());
        let (mut expected, mut part) = (VecDeque::new(), String::new());
        let (mut lines, mut blanks) = (0, 0);
        let take = |expected: &mut VecDeque<(String, Instant)>, batches: Vec<Batch>, now: Instant| {
            for text in batches.iter().flat_map(Batch::texts).flat_map(str::lines).filter(|line| !line.is_empty()) {
                let (line, complete) = expected.pop_front().expect("it came");
                assert_eq!(text, line);
                assert!(now - complete <= LINGER * 2 + JOIN_WAIT, "{text} waited for {:?}", now - complete);
            }
        };
        for step in steps {
            match step {
                Step::Put(texts) => {
                    for text in texts {
                        part.push_str(text);
                        if let Some(line) = part.strip_suffix('\n') {
                            lines += 1;
                            blanks += u64::from(line.is_empty());
                            if !line.is_empty() {
                                expected.push_back((line.to_owned(), rig.now.mono));
                            }
                            part.clear();
                        }
                        rig.put(text.as_bytes());
                    }
                }
                Step::Pass(ms) => {
                    let until = rig.now.mono + Duration::from_millis(ms);
                    while let Some(due) = rig.feed.due().filter(|due| *due <= until) {
                        rig.pass(due - rig.now.mono);
                        let batches = rig.work();
                        take(&mut expected, batches, rig.now.mono);
                    }
                    rig.pass(until - rig.now.mono);
                }
                Step::Clock(by_ms) => rig.now.wall_ms += by_ms,
            }
            let batches = rig.work();
            take(&mut expected, batches, rig.now.mono);
            rig.check();
        }
        if !part.is_empty() {
            lines += 1;
            expected.push_back((part, rig.now.mono));
        }
        rig.end_of_output();
        if give_up {
            let finished = rig.feed.abandon(End::Shutdown, rig.now, &mut rig.books);
            finished.into_iter().for_each(|finished| drop(rig.settle(finished)));
        } else {
            let batches = rig.work();
            take(&mut expected, batches, rig.now.mono);
            prop_assert_eq!(expected, VecDeque::new());
            // Those inside a chain of exceptions are delivered.
            prop_assert!(rig.ended(End::Blank).0 <= blanks);
        }
        rig.check();
        prop_assert!(rig.feed.is_over());
        prop_assert_eq!((rig.feed.held(), rig.books.ledger.read.lines), (Count::default(), lines));
    }
}
