//! A core, a service that reads what it is sent, and an account of both.

use serde_json::Value;

use super::*;
use crate::batch::{Head, OpenBatch};
use crate::lines::Record;
use crate::ship::pump::compress;

/// A call's events: their messages.
pub type Events = Vec<String>;

pub struct Desk {
    pub core: Core,
    pub now: Instant,
    pub flying: Vec<(usize, usize, Events)>,
    /// What the service has taken of each stream, in that order.
    pub stored: Vec<Events>,
    /// What was told.
    pub notices: Vec<Notice>,
    pub offered: Vec<Count>,
    pub gzip: bool,
    /// Of the spool, which is only asked in some tests: what it is asked for, what it stored and what it may forget.
    pub asked: VecDeque<Request>,
    pub stored_entries: u32,
    pub done: Vec<u32>,
}

pub fn invalid() -> Answer {
    Answer::Invalid("InvalidParameterException: so it is".into())
}

fn messages(payload: &Bytes, gzip: bool) -> Events {
    let mut json = Vec::new();
    match gzip {
        true => drop(std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&payload[..]), &mut json).unwrap()),
        false => json.extend_from_slice(payload),
    }
    let request: Value = serde_json::from_slice(&json).expect("what is sent is JSON");
    assert_eq!(request["logGroupName"], "group");
    let events = request["logEvents"].as_array().unwrap();
    assert!(events.is_sorted_by_key(|event| event["timestamp"].as_i64().unwrap()));
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

impl Desk {
    /// With streams that exist.
    pub fn new(streams: usize, options: Options) -> Desk {
        let mut core = Core::new(addresses(streams), options);
        let now = clock::now();
        for stream in 0..streams {
            core.begin(stream);
            assert!(matches!(core.poll(now), Some(Action::CreateStream { .. })));
            core.stream_created(stream, ok(), now);
        }
        let stored = vec![Vec::new(); streams];
        let offered = vec![Count::default(); streams];
        Desk {
            core,
            now,
            flying: Vec::new(),
            stored,
            notices: Vec::new(),
            offered,
            gzip: false,
            asked: VecDeque::new(),
            stored_entries: 0,
            done: Vec::new(),
        }
    }

    /// Messages in words; a millisecond passes where there is a `|`.
    pub fn offer(&mut self, stream: usize, text: &str) {
        self.offer_at(stream, text, 1_000, false);
    }

    pub fn offer_at(&mut self, stream: usize, text: &str, mut at_ms: i64, serial: bool) {
        let mut batch = OpenBatch::new(&Head::new("group", &format!("stream-{stream}")));
        for word in text.split_whitespace() {
            if word == "|" {
                at_ms += 1;
                continue;
            }
            let record = Record { text: word, raw_bytes: word.len() as u32 + 1, line: 0, begins: true, ends: true };
            batch.push(&record, at_ms).unwrap();
        }
        let body = batch.close();
        let count = Count::new(body.lines, body.raw_bytes);
        self.offered[stream] += count;
        self.core.books_mut(stream).ledger.read += count;
        let gzip = self.gzip;
        let label = self.core.next_label(stream, serial, gzip);
        self.core.offer(stream, Parcel::new(body, label, |json| if gzip { compress(&json) } else { json }));
        self.check();
    }

    /// What is sent and said at this instant.
    pub fn act(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(action) = self.core.poll(self.now) {
            match action {
                Action::Send { call, stream, entry, .. } => {
                    let events = messages(&entry.payload, self.gzip);
                    texts.push(events.join(" "));
                    self.flying.push((call, stream, events));
                }
                Action::Say(notice) => self.notices.push(notice),
                Action::RenewCredentials => {}
                Action::CreateStream { stream, .. } => self.core.stream_created(stream, ok(), self.now),
                Action::Spool(request) => self.asked.push_back(request),
                Action::CreateGroup { .. } => {
                    unreachable!("no group is missing")
                }
            }
            assert!(texts.len() < ACTIONS_AT_ONE_INSTANT_MAX, "it asks in a circle: {texts:?}");
            self.check();
        }
        let due = self.core.next_due(self.now);
        assert!(due.is_none_or(|due| due > self.now), "the loop would spin");
        texts
    }

    pub fn answer(&mut self, text: &str, answer: Answer) {
        let place = self.flying.iter().position(|(_, _, events)| events.join(" ") == text);
        self.answer_at(place.unwrap_or_else(|| panic!("{text} is in no call: {:?}", self.flying)), answer);
    }

    pub fn answer_at(&mut self, place: usize, answer: Answer) {
        let (call, stream, events) = self.flying.remove(place);
        if matches!(answer, Answer::Accepted(_) | Answer::Unavailable { lost: true, .. }) {
            self.stored.resize(self.core.streams.len(), Vec::new());
            self.stored[stream].extend(events);
        }
        self.core.answered(call, answer, self.now);
        self.check();
    }

    /// The service judges all that flies and comes, until nothing does: a call with such an event is invalid.
    pub fn serve(&mut self, is_bad: fn(&str) -> bool) -> usize {
        for calls in 0..1_000 {
            self.act();
            let Some((_, _, events)) = self.flying.first() else { return calls };
            let bad = events.iter().any(|event| is_bad(event));
            self.answer_at(0, if bad { invalid() } else { ok() });
        }
        panic!("it never ends: {:?}", self.flying);
    }

    pub fn pass(&mut self) -> Duration {
        let due = self.core.next_due(self.now).expect("something is due");
        let waited = due - self.now;
        self.now = due;
        waited
    }

    pub fn ended(&self, stream: usize, end: End) -> u64 {
        self.core.streams[stream].books.ledger.ended(end).lines
    }

    /// What was told, in short.
    pub fn said(&mut self) -> Vec<String> {
        let said = std::mem::take(&mut self.notices).into_iter().map(|notice| match notice {
            Notice::Invalid { events, event, .. } => format!("{events} invalid, {}", event.expect("readable").message),
            Notice::AllInvalid { stream, .. } => format!("all invalid of {stream}"),
            other => other.to_string(),
        });
        said.collect()
    }

    /// What is held adds up, in memory and in the books, and the bounds are kept.
    pub fn check(&self) {
        let core = &self.core;
        for (index, stream) in core.streams.iter().enumerate() {
            let suspects = stream.refusals.suspects.len();
            assert!(suspects < 3 && (suspects == 0 || !stream.refusals.slow));
            let calls = core.calls.iter().flatten().filter(|call| call.stream == index).map(|call| &call.delivery);
            let pending = core.pending().filter(|(owner, _)| *owner == index).map(|(_, delivery)| delivery);
            let held = stream.resting().chain(calls).chain(pending);
            assert_eq!(stream.held_bytes, held.map(|held| held.parcel.memory_bytes()).sum::<usize>());
            for queue in [&stream.waiting, &stream.backlog] {
                assert!(queue.iter().is_sorted_by_key(Delivery::place), "bodies lost their places");
            }
            if index < core.own_streams {
                let mut ledger = stream.books.ledger.clone();
                (ledger.in_memory, ledger.spooled) = (core.held(index), core.spooled_of(index));
                assert_eq!(ledger.imbalance(), None, "{}", stream.name());
            }
        }
        assert_eq!(core.adopted_ledger().imbalance(), None);
        assert_eq!(core.held_bytes, core.streams.iter().map(|stream| stream.held_bytes).sum::<usize>());
    }
}
