//! The core driven by hand: bodies, answers and the time go in, and what it wants done comes out as text.

mod calls;
mod causes;
mod creation;
mod disk;
mod ends;
mod random;
mod rate;
mod refused;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::super::answer::{Answer, Rejected};
use super::*;
use crate::batch::{Body, Piece};
use crate::clock;
use crate::ledger::Ledger;

/// More actions than any test has a reason for: a core that asks in a circle is found out.
const ACTIONS_AT_ONE_INSTANT_MAX: usize = 200;
const RAW_BYTES: u32 = 10;

fn options(max_in_flight: usize, stream_window: usize) -> Options {
    Options { max_in_flight, stream_window, create_group: false, body_bytes_max: usize::MAX, disk: None, seed: 7 }
}

fn ok() -> Answer {
    Answer::Accepted(Rejected::default())
}

fn not_found() -> Answer {
    Answer::NotFound("it is not there".into())
}

fn denied() -> Answer {
    Answer::Denied("no right".into())
}

fn away() -> Answer {
    Answer::Unavailable { detail: "refused".into(), lost: false }
}

fn lost() -> Answer {
    Answer::Unavailable { detail: "timed out".into(), lost: true }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A body of whole lines whose bytes are its name.
fn body(name: &str, events: u32) -> Body {
    Body {
        json: name.as_bytes().to_vec(),
        raw_lengths: vec![RAW_BYTES; events as usize],
        pieces: Vec::new(),
        first_ms: 0,
        last_ms: 0,
        charged_bytes: 0,
        lines: u64::from(events),
        raw_bytes: u64::from(events * RAW_BYTES),
    }
}

fn addresses(streams: usize) -> Vec<Arc<Address>> {
    let address = |stream| Address { group: "/g".into(), stream: format!("stream-{stream}"), ..Address::default() };
    (0..streams).map(|stream| Arc::new(address(stream))).collect()
}

fn label(sequence: u64, serial: bool) -> Label {
    Label { address: Arc::default(), sequence, serial, gzip: false }
}

/// What became of an offered body.
struct Fate {
    stream: usize,
    number: u64,
    serial: bool,
    /// Where its bytes lie: they are sent from there every time.
    bytes_at: *const u8,
    call: Option<usize>,
    over: bool,
}

/// A core, and beside it what must be true of it.
struct Rig {
    core: Core,
    now: Instant,
    fates: BTreeMap<String, Fate>,
    /// How often credentials were to be loaded anew.
    renewals: u32,
}

impl Rig {
    fn new(streams: usize, options: Options) -> Rig {
        Rig { core: Core::new(addresses(streams), options), now: clock::now(), fates: BTreeMap::new(), renewals: 0 }
    }

    /// With streams that exist.
    fn ready(streams: usize, options: Options) -> Rig {
        let mut rig = Rig::new(streams, options);
        for stream in 0..streams {
            rig.core.begin(stream);
            assert_eq!(rig.act(), [format!("create {stream}")]);
            rig.created(stream, ok());
        }
        rig
    }

    /// Bodies of one line each.
    fn offer<const COUNT: usize>(&mut self, stream: usize, names: [&str; COUNT]) {
        for name in names {
            self.offer_body(stream, name, body(name, 1), false);
        }
    }

    fn offer_body(&mut self, stream: usize, name: &str, body: Body, serial: bool) {
        let books = self.core.books_mut(stream);
        let cut = || body.pieces.iter().filter_map(Piece::cut_line);
        let ended_pieces = cut().filter(|(_, ends)| *ends).count() as u64;
        books.ledger.read += Count::new(body.lines + ended_pieces, body.raw_bytes);
        cut().for_each(|(line, ends)| books.split.began(line, ends));
        let label = self.core.next_label(stream, serial, false);
        let number = label.sequence;
        let parcel = Parcel::new(body, label, |json| json);
        let bytes_at = parcel.entry.payload.as_ptr();
        let fate = Fate { stream, number, serial, bytes_at, call: None, over: false };
        assert!(self.fates.insert(name.to_owned(), fate).is_none(), "two bodies are called {name}");
        self.core.offer(stream, parcel);
        self.check();
    }

    /// All that the core wants done at this instant.
    fn act(&mut self) -> Vec<String> {
        let mut actions = Vec::new();
        while let Some(action) = self.core.poll(self.now) {
            if action == Action::RenewCredentials {
                self.renewals += 1;
                continue;
            }
            let text = self.perform(action);
            actions.push(text);
            assert!(actions.len() < ACTIONS_AT_ONE_INSTANT_MAX, "it asks in a circle: {actions:?}");
            self.check();
        }
        let due = self.core.next_due(self.now);
        assert!(due.is_none_or(|due| due > self.now), "due is {due:?} at {:?}: the loop would spin", self.now);
        actions
    }

    fn perform(&mut self, action: Action) -> String {
        match action {
            Action::Send { call, stream, entry, .. } => {
                let payload = &entry.payload;
                let name = String::from_utf8(payload.to_vec()).unwrap();
                let sooner = self.fates.values().any(|other| {
                    let fate = &self.fates[&name];
                    other.stream == stream && other.call.is_some() && other.number < fate.number
                });
                let fate = self.fates.get_mut(&name).expect("what is sent was offered");
                assert_eq!((fate.stream, fate.bytes_at), (stream, payload.as_ptr()), "{name} changed on its way");
                assert_eq!((fate.call, fate.over), (None, false), "{name} is sent while it flies, or after its end");
                assert!(!(fate.serial && sooner), "{name} did not wait for those before it");
                fate.call = Some(call);
                format!("send {name}")
            }
            Action::CreateStream { stream, .. } => format!("create {stream}"),
            Action::CreateGroup { .. } => "create group".into(),
            Action::Spool(request) => format!("spool {request:?}"),
            Action::RenewCredentials => unreachable!("counted"),
            Action::Say(notice) => match notice {
                Notice::Outage { .. } => "say outage".into(),
                Notice::AnswerLost { .. } => "say answer lost".into(),
                Notice::Reached { .. } => "say reached".into(),
                Notice::GroupMissing { .. } => "say group missing".into(),
                Notice::Throttled { .. } => "say throttled".into(),
                Notice::Trouble { stream, .. } => format!("say trouble of {stream}"),
                Notice::Rejected { stream } => format!("say rejected of {stream}"),
                other => format!("say {other}"),
            },
        }
    }

    fn flying(&self) -> Vec<String> {
        self.fates.iter().filter(|(_, fate)| fate.call.is_some()).map(|(name, _)| name.clone()).collect()
    }

    fn answer(&mut self, name: &str, answer: Answer) {
        let fate = self.fates.get_mut(name).unwrap();
        let call = fate.call.take().unwrap_or_else(|| panic!("{name} is in no call"));
        fate.over = matches!(answer, Answer::Accepted(_));
        self.core.answered(call, answer, self.now);
        self.check();
    }

    fn created(&mut self, stream: usize, answer: Answer) {
        self.core.stream_created(stream, answer, self.now);
        self.check();
    }

    fn group_created(&mut self, answer: Answer) {
        self.core.group_created(0, answer, self.now);
        self.check();
    }

    /// Lets the time pass until something is due. How long that was.
    fn pass(&mut self) -> Duration {
        let due = self.core.next_due(self.now).expect("something is due");
        let waited = due - self.now;
        self.now = due;
        waited
    }

    fn ledger(&self, stream: usize) -> &Ledger {
        &self.core.streams[stream].books.ledger
    }

    fn ended(&self, stream: usize, end: End) -> (u64, u64) {
        let count = self.ledger(stream).ended(end);
        (count.lines, count.bytes)
    }

    /// Every body is in one place, every line is in the books, every bound holds.
    fn check(&self) {
        let core = &self.core;
        let alive = self.fates.values().filter(|fate| !fate.over).count();
        let calls = core.calls.iter().flatten();
        let waiting = core.streams.iter().flat_map(|stream| &stream.waiting);
        let held: Vec<_> = calls.map(|call| &call.delivery).chain(waiting).collect();
        assert_eq!(held.len(), alive, "bodies held and bodies without an end");
        assert_eq!(core.is_empty(self.now), alive == 0);
        assert_eq!(core.held_bytes, held.iter().map(|delivery| delivery.parcel.memory_bytes()).sum::<usize>());
        assert_eq!(core.held_bytes, core.streams.iter().map(|stream| stream.held_bytes).sum::<usize>());
        core.assert_shares_left();
        for (index, stream) in core.streams.iter().enumerate() {
            let in_flight = core.calls.iter().flatten().filter(|call| call.stream == index).count();
            assert_eq!(in_flight, stream.in_flight);
            assert!(in_flight <= core.options.stream_window);
            assert!(stream.waiting.iter().is_sorted_by_key(|delivery| delivery.number), "bodies lost their places");
            let mut ledger = stream.books.ledger.clone();
            ledger.in_memory = core.held(index);
            assert_eq!(ledger.imbalance(), None, "{}", stream.name());
        }
        let flying = core.calls.iter().flatten().filter(|call| call.state == CallState::Flying).count();
        assert_eq!(flying, self.flying().len());
    }
}
