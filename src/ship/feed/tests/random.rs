//! Any bytes, in any reads, with any waits: the events, their order, their dates and the books, against a naive twin.

use std::collections::VecDeque;

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put(String),
    Pass(u64),
    /// The wall clock is set.
    Clock(i64),
}

/// Short lines, blank lines, now and then a long one.
fn output() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "([a-z]{1,20}|\n|\r){0,12}",
        1 => (1..1_500usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => output().prop_map(Step::Put),
        3 => (0..1_500u64).prop_map(Step::Pass),
        1 => (-5_000..5_000i64).prop_map(Step::Clock),
    ]
}

/// What the feed was given, line by line, and what must come of it.
#[derive(Default)]
struct Twin {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Pieces that are still to come out, and when their line was complete.
    expected: VecDeque<(String, Instant)>,
    lines: u64,
    blank: u64,
    bytes: u64,
}

impl Twin {
    fn put(&mut self, bytes: &[u8], now: Instant) {
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                self.complete(now);
            }
        }
        self.bytes += bytes.len() as u64;
    }

    fn complete(&mut self, now: Instant) {
        let text = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
        if text.is_empty() {
            return;
        }
        let text = text.strip_suffix('\n').map_or(&text[..], |line| line.strip_suffix('\r').unwrap_or(line));
        self.lines += 1;
        self.blank += u64::from(text.is_empty());
        for piece in text.as_bytes().chunks(MESSAGE_BYTES_MAX) {
            self.expected.push_back((String::from_utf8(piece.to_vec()).unwrap(), now));
        }
    }
}

struct World {
    rig: Rig,
    twin: Twin,
    last_ms: i64,
}

impl World {
    fn take(&mut self, batches: Vec<Batch>) {
        for Batch { events, serial } in batches {
            assert!(serial || events[0].timestamp_ms > self.last_ms, "it shares a millisecond with its predecessor");
            assert!(events.is_sorted_by_key(|event| event.timestamp_ms));
            self.last_ms = events.last().unwrap().timestamp_ms;
            for event in events {
                let Some((text, complete)) = self.twin.expected.pop_front() else {
                    // The first pieces of a long line come before its end.
                    let piece = self.twin.line.drain(..MESSAGE_BYTES_MAX).collect();
                    assert_eq!(event.text, String::from_utf8(piece).unwrap());
                    continue;
                };
                assert_eq!(event.text, text);
                let waited = self.rig.now.mono - complete;
                assert!(waited <= LINGER, "{text} waited for {waited:?}");
            }
        }
    }

    fn work(&mut self) {
        let batches = self.rig.work();
        self.take(batches);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(output) => {
                self.twin.put(output.as_bytes(), self.rig.now.mono);
                self.rig.put(output.as_bytes());
                self.work();
            }
            Step::Clock(by_ms) => self.rig.now.wall_ms += by_ms,
            Step::Pass(ms) => {
                let until = self.rig.now.mono + Duration::from_millis(ms);
                while let Some(due) = self.rig.feed.due().filter(|due| *due <= until) {
                    self.rig.pass(due - self.rig.now.mono);
                    self.work();
                }
                self.rig.pass(until - self.rig.now.mono);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_reads_and_waits_give_the_lines_in_order_in_time_and_in_the_books(
        steps in prop::collection::vec(step(), 1..60),
        give_up: bool,
    ) {
        // So small that long lines leave it for the assembly buffer, and that it wraps.
        let mut world = World { rig: Rig::new(4096), twin: Twin::default(), last_ms: i64::MIN };
        for step in steps {
            world.step(step);
        }
        world.twin.complete(world.rig.now.mono);
        world.rig.end_of_output();
        if give_up {
            world.rig.end = End::Shutdown;
            let finished = world.rig.feed.abandon(End::Shutdown, world.rig.now, &mut world.rig.books);
            finished.into_iter().for_each(|finished| drop(world.rig.settle(finished)));
        } else {
            world.work();
            prop_assert_eq!(&world.twin.expected, &VecDeque::new());
            prop_assert_eq!(world.rig.ended(End::Blank).0, world.twin.blank);
        }
        prop_assert!(world.rig.feed.is_over());
        prop_assert_eq!(world.rig.feed.held(), Count::default());
        prop_assert_eq!(world.rig.books.split.lines_in_memory(), 0);
        let ends = [End::Delivered, End::Blank, End::Shutdown].map(|end| world.rig.books.ledger.ended(end));
        let booked = ends.into_iter().fold(Count::default(), |sum, count| sum + count);
        prop_assert_eq!(booked, Count::new(world.twin.lines, world.twin.bytes));
        prop_assert_eq!(world.rig.books.ledger.read.lines, world.twin.lines);
    }
}
