//! Visits and discards in any order, on any text: delivered and dropped are what came, in lines and bytes; the events
//! are those of a naive twin, with one marker for each gap, in its place.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put(String),
    Pass(u64),
    Visit,
    Discard(End),
}

fn output() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "([a-z]{1,20}|é|€|😀|\n|\r){0,12}",
        1 => (1..1_500usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => output().prop_map(Step::Put),
        2 => (0..1_500u64).prop_map(Step::Pass),
        3 => Just(Step::Visit),
        3 => prop::sample::select(&[End::SpoolFull, End::CpuShort][..]).prop_map(Step::Discard),
    ]
}

/// What came, and which of it was dropped.
#[derive(Default)]
struct Twin {
    input: String,
    /// The reason of each byte that was dropped.
    dropped: Vec<Option<End>>,
}

impl Twin {
    fn put(&mut self, text: &str) {
        self.input.push_str(text);
        self.dropped.resize(self.input.len(), None);
    }

    /// What a discard takes of the bytes from `from` on: whole lines, and what no message can hold.
    fn discard(&mut self, from: usize, reason: End) -> usize {
        let pending = &self.input[from..];
        let lines = pending.rfind('\n').map_or(0, |newline| newline + 1);
        let partial = &pending[lines..];
        // The last two bytes stay, and the character that they begin in.
        let part = partial.floor_char_boundary(partial.len().saturating_sub(2));
        let bytes = lines + if partial.len() < MESSAGE_BYTES_MAX + 8 { 0 } else { part };
        self.dropped[from..from + bytes].fill(Some(reason));
        bytes
    }

    /// The lines of the input, with their starts.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut start = 0;
        self.input.split_inclusive('\n').map(move |line| {
            start += line.len();
            (start - line.len(), line)
        })
    }

    fn is_dropped(&self, start: usize, line: &str) -> bool {
        self.dropped[start..start + line.len()].iter().any(Option::is_some)
    }

    fn dropped_lines(&self) -> u64 {
        self.lines().filter(|(start, line)| self.is_dropped(*start, line)).count() as u64
    }

    /// The events of the stream. A gap is None.
    fn events(&self) -> Vec<Option<String>> {
        let mut events: Vec<Option<String>> = Vec::new();
        for (start, line) in self.lines() {
            let ends = start + line.len();
            let mut at = start;
            while at < ends {
                let dropped = self.dropped[at].is_some();
                let same = |byte: &usize| self.dropped[*byte].is_some() == dropped;
                let until = (at..ends).take_while(same).last().expect("at itself") + 1;
                if !dropped {
                    events.extend(pieces(&self.input[at..until]).map(Some));
                } else if events.last() != Some(&None) {
                    events.push(None);
                }
                at = until;
            }
        }
        events
    }
}

/// The messages of a line, or of a part of one.
fn pieces(raw: &str) -> impl Iterator<Item = String> {
    let mut rest = raw.strip_suffix('\n').map_or(raw, |line| line.strip_suffix('\r').unwrap_or(line));
    std::iter::from_fn(move || {
        let (piece, left) = rest.split_at(rest.floor_char_boundary(MESSAGE_BYTES_MAX));
        rest = left;
        (!piece.is_empty()).then(|| piece.to_owned())
    })
}

struct World {
    rig: Rig,
    twin: Twin,
    events: Vec<Event>,
    dropped: Count,
    /// A visit packed what was due: a marker may have gone before its gap was over.
    due: bool,
}

impl World {
    fn visit(&mut self) {
        self.due |= self.rig.feed.is_due(self.rig.now.mono);
        let batch = self.rig.visit();
        self.events.extend(batch.into_iter().flat_map(|batch| batch.events));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(text) => {
                let vacant = self.rig.filler.as_mut().unwrap().vacant().len();
                let text = &text[..text.floor_char_boundary(vacant)];
                self.twin.put(text);
                self.rig.put(text.as_bytes());
            }
            Step::Pass(ms) => self.rig.pass(Duration::from_millis(ms)),
            Step::Visit => self.visit(),
            Step::Discard(reason) => {
                let from = self.rig.feed.framer.position() as usize;
                let bytes = self.twin.discard(from, reason);
                let (lines, dropped) = self.rig.discard(reason);
                assert_eq!(dropped, bytes as u64);
                self.dropped += Count::new(lines, dropped);
                assert!(!self.rig.feed.is_crowded(), "a ring that was emptied is crowded");
            }
        }
    }

    /// The texts, None for a marker, and what the markers say: lines and whether each names a reason that was given.
    fn told(&self) -> (Vec<Option<String>>, u64) {
        let mut texts: Vec<Option<String>> = Vec::new();
        let mut lines = 0;
        for event in &self.events {
            let Some(rest) = event.text.strip_prefix("logpump: dropped ") else {
                texts.push(Some(event.text.clone()));
                continue;
            };
            assert!(rest.contains(" here: spool_full") || rest.contains(" here: cpu_short"), "{rest}");
            let number = rest.split(' ').next().expect("a word");
            lines += if number == "part" { 0 } else { number.parse::<u64>().expect("a number of lines") };
            assert!(self.due || texts.last() != Some(&None), "two markers for one gap");
            if texts.last() != Some(&None) {
                texts.push(None);
            }
        }
        (texts, lines)
    }
}

proptest! {
    #[test]
    fn what_is_delivered_and_what_is_dropped_is_what_came_and_markers_stand_in_the_gaps(
        steps in prop::collection::vec(step(), 1..60),
        ring_bytes in prop::sample::select(&[4096usize, 16 * 1024][..]),
    ) {
        let mut world = World {
            rig: Rig::new(ring_bytes),
            twin: Twin::default(),
            events: Vec::new(),
            dropped: Count::default(),
            due: false,
        };
        for step in steps {
            world.step(step);
        }
        world.rig.end_of_output();
        for _ in 0..VISITS_MAX {
            if !world.rig.feed.is_over() {
                world.visit();
            }
        }
        prop_assert!(world.rig.feed.is_over());

        let (texts, lines) = world.told();
        prop_assert_eq!(&texts, &world.twin.events());
        let (ledger, twin) = (&world.rig.books.ledger, &world.twin);
        prop_assert_eq!(lines, twin.dropped_lines());
        prop_assert!(world.events.is_sorted_by_key(|event| event.timestamp_ms));
        let markers = world.events.iter().filter(|event| event.text.starts_with("logpump: ")).count();
        prop_assert_eq!(ledger.markers, markers as u64);
        let bytes_of = |end| twin.dropped.iter().filter(|dropped| **dropped == Some(end)).count() as u64;
        let ends = [End::SpoolFull, End::CpuShort].map(|end| ledger.ended(end));
        prop_assert_eq!(ends.map(|count| count.bytes), [bytes_of(End::SpoolFull), bytes_of(End::CpuShort)]);
        prop_assert_eq!(ends[0] + ends[1], Count::new(twin.dropped_lines(), world.dropped.bytes));
        prop_assert_eq!(world.dropped.lines, twin.dropped_lines());
        let kept = ledger.ended(End::Delivered) + ledger.ended(End::Blank);
        prop_assert_eq!(kept + ends[0] + ends[1], Count::new(twin.lines().count() as u64, twin.input.len() as u64));
        prop_assert_eq!(ledger.read.lines, twin.lines().count() as u64);
        prop_assert_eq!(world.rig.books.split.lines_in_memory(), 0);
    }
}
