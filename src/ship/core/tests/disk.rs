//! What goes to the disk and comes back, with a spool that does what it is told.

mod adopted;
mod bounds;
mod elsewhere;
mod gone;
mod order;
mod room;
mod silence;

use super::ends::body_with_pieces;
use super::*;
use crate::limits::{EVENT_AGE_MS_MAX, WAITING_BODIES_PER_STREAM_MAX};
use crate::spool::entry::Sum;
use crate::spool::wire::{EntryId, Event};

const WALL_MS: i64 = 1_700_000_000_000;
const MIB: u64 = 1024 * 1024;

struct Kept {
    entry: Arc<Entry>,
    with_ship: bool,
    done: bool,
}

/// Of so many bodies of one line, each with a name of one letter.
fn sum(bodies: u64) -> Sum {
    let memory_bytes = bodies * (1 + size_of::<u32>() as u64);
    Sum { entries: bodies, memory_bytes, count: Count::new(bodies, bodies * u64::from(RAW_BYTES)) }
}

/// A core, a spool and an account of both.
struct Desk {
    core: Core,
    now: Instant,
    kept: Vec<Kept>,
    /// Asked for and not answered yet.
    asked: VecDeque<Request>,
    sent: Vec<(usize, String)>,
    said: Vec<String>,
}

fn with_disk(max_in_flight: usize, stream_window: usize, durable: bool) -> Options {
    let disk = Some(DiskOptions { bytes_max: 64 * MIB, durable });
    Options { disk, ..options(max_in_flight, stream_window) }
}

impl Desk {
    /// With streams that exist.
    fn new(streams: usize, options: Options) -> Desk {
        let core = Core::new(addresses(streams), options);
        let now = clock::now();
        let (kept, asked) = (Vec::new(), VecDeque::new());
        let mut desk = Desk { core, now, kept, asked, sent: Vec::new(), said: Vec::new() };
        for stream in 0..streams {
            desk.core.begin(stream);
            desk.act();
            desk.core.stream_created(stream, ok(), desk.now);
        }
        desk.core.spooled(Event::Searched, now, WALL_MS);
        desk
    }

    fn offer<const COUNT: usize>(&mut self, stream: usize, names: [&str; COUNT]) {
        names.into_iter().for_each(|name| self.offer_one(stream, name, false));
    }

    fn offer_one(&mut self, stream: usize, name: &str, serial: bool) {
        let body = Body { last_ms: WALL_MS, ..body(name, 1) };
        self.core.books_mut(stream).ledger.read += Count::new(1, u64::from(RAW_BYTES));
        let label = self.core.next_label(stream, serial, false);
        self.core.offer(stream, Parcel::new(body, label, |json| json));
        self.act();
    }

    /// What it sends now, by name.
    fn act(&mut self) -> Vec<String> {
        let before = self.sent.len();
        for turn in 0.. {
            assert!(turn < ACTIONS_AT_ONE_INSTANT_MAX, "it asks in a circle");
            match self.core.poll(self.now) {
                Some(Action::Send { call, entry, .. }) => {
                    self.sent.push((call, String::from_utf8(entry.payload.to_vec()).unwrap()));
                }
                Some(Action::Spool(Request::Done(id) | Request::Unwanted { id, .. })) => {
                    self.kept[id.index as usize].done = true
                }
                Some(Action::Spool(Request::PutBack(id))) => self.kept[id.index as usize].with_ship = false,
                Some(Action::Spool(request)) => self.asked.push_back(request),
                Some(Action::Say(notice)) => self.said.push(notice.to_string()),
                Some(Action::CreateStream { .. } | Action::CreateGroup { .. } | Action::RenewCredentials) => {}
                None => break,
            }
        }
        let due = self.core.next_due(self.now);
        assert!(due.is_none_or(|due| due > self.now), "the loop would spin");
        self.check();
        self.check_disk();
        self.sent[before..].iter().map(|(_, name)| name.clone()).collect()
    }

    fn hear(&mut self, event: Event) {
        self.core.spooled(event, self.now, WALL_MS);
        self.check();
    }

    /// The spool does the next thing that it was asked for.
    fn spool_works(&mut self) -> Vec<String> {
        let event = match self.asked.pop_front().expect("the spool was asked for something") {
            Request::Store { ticket, entry, keep } => {
                let id = EntryId { run: 0, segment: 0, index: self.kept.len() as u32 };
                let bytes = entry.memory_bytes() as u64;
                self.kept.push(Kept { entry, with_ship: keep, done: false });
                Event::Stored { ticket, id, bytes }
            }
            Request::Load { except } => {
                let free = |kept: &Kept| !kept.done && !kept.with_ship && !except.contains(&kept.entry.address.key());
                match self.kept.iter().position(free) {
                    Some(index) => {
                        self.kept[index].with_ship = true;
                        let entry = Box::new((*self.kept[index].entry).clone());
                        Event::Loaded { id: EntryId { run: 0, segment: 0, index: index as u32 }, entry }
                    }
                    None => Event::Nothing,
                }
            }
            other => panic!("{other:?} is not answered"),
        };
        self.hear(event);
        self.act()
    }

    /// Until nothing is asked of the spool.
    fn spool_works_on(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while !self.asked.is_empty() {
            sent.extend(self.spool_works());
        }
        sent
    }

    fn answer(&mut self, name: &str, answer: Answer) -> Vec<String> {
        let at = self.sent.iter().position(|(_, sent)| sent == name).unwrap_or_else(|| panic!("{name} was not sent"));
        let (call, _) = self.sent.remove(at);
        self.core.answered(call, answer, self.now);
        self.check();
        self.act()
    }

    fn on_disk(&self) -> Vec<String> {
        let alive = self.kept.iter().filter(|kept| !kept.done);
        alive.map(|kept| String::from_utf8(kept.entry.payload.to_vec()).unwrap()).collect()
    }

    fn check(&self) {
        for index in 0..self.core.own_streams {
            let mut ledger = self.core.streams[index].books.ledger.clone();
            ledger.in_memory = self.core.held(index);
            ledger.spooled = self.core.spooled_of(index);
            assert_eq!(ledger.imbalance(), None, "stream {index}: {ledger:?}");
        }
        assert_eq!(self.core.adopted_ledger().imbalance(), None);
        let held: usize = self.core.streams.iter().map(|stream| stream.held_bytes).sum();
        assert_eq!(self.core.held_bytes, held);
        self.core.assert_shares_left();
    }

    /// What is counted as being on disk is there, or is asked to be stored.
    fn check_disk(&self) {
        let pending: Vec<_> = self.core.pending().map(|(owner, held)| (owner, held.parcel.memory_bytes())).collect();
        assert_eq!(self.core.disk.pending_bytes, pending.iter().map(|(_, bytes)| bytes).sum::<usize>());
        for (index, stream) in self.core.streams[..self.core.own_streams].iter().enumerate() {
            let of_stream = |kept: &&Kept| !kept.done && *kept.entry.address == *stream.address;
            let kept = self.kept.iter().filter(of_stream).map(|kept| kept.entry.memory_bytes());
            let asked = pending.iter().filter(|(owner, _)| *owner == index).map(|(_, bytes)| *bytes);
            assert_eq!(stream.disk.bytes, kept.chain(asked).sum::<usize>(), "of {}", stream.name());
        }
    }

    fn delivered(&self, stream: usize) -> u64 {
        self.core.streams[stream].books.ledger.ended(End::Delivered).lines
    }
}

#[test]
fn what_finds_no_place_goes_to_the_disk_and_comes_back() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    assert_eq!(WAITING_BODIES_PER_STREAM_MAX, 2);
    desk.offer(0, ["a", "b", "c"]);
    assert!(!desk.core.accepts(0, false), "a ring that does not press waits for a call");
    assert!(desk.core.accepts(0, true));
    desk.offer(0, ["d", "e"]);
    desk.spool_works();
    desk.spool_works();
    assert_eq!((desk.on_disk(), desk.core.spooled_of(0)), (vec!["d".to_owned(), "e".into()], Count::new(2, 20)));
    for (name, next) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")] {
        desk.spool_works_on();
        assert_eq!(desk.answer(name, ok()), [next], "arrival order is strict with a window of 1");
    }
    assert!(!desk.core.is_empty(desk.now));
    desk.answer("e", ok());
    assert_eq!((desk.delivered(0), desk.on_disk().len(), desk.core.is_empty(desk.now)), (5, 0, true));
}

#[test]
fn a_backlog_gets_half_the_window_while_there_are_fresh_bodies_and_all_but_one_place_otherwise() {
    let mut desk = Desk::new(1, with_disk(4, 4, false));
    desk.offer(0, ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "b2", "b3", "b4", "b5", "b6", "b7"]);
    desk.spool_works_on();
    for name in ["a1", "a2", "a3", "a4"] {
        desk.answer(name, ok());
        desk.spool_works_on();
    }
    let flying = |desk: &Desk, of: char| desk.sent.iter().filter(|(_, name)| name.starts_with(of)).count();
    assert_eq!((flying(&desk, 'a'), flying(&desk, 'b')), (2, 2), "{:?}", desk.sent);
    desk.answer("a5", ok());
    desk.spool_works_on();
    assert_eq!((flying(&desk, 'a'), flying(&desk, 'b')), (1, 3), "{:?}", desk.sent);
    desk.answer("a6", ok());
    desk.spool_works_on();
    assert_eq!((flying(&desk, 'b'), desk.delivered(0)), (3, 6), "one place is free for a fresh body: {:?}", desk.sent);
    desk.offer(0, ["c1"]);
    assert_eq!(flying(&desk, 'c'), 1);
}

#[test]
fn a_durable_body_is_on_disk_before_it_is_sent_and_forgotten_there_at_its_end() {
    let mut desk = Desk::new(1, with_disk(2, 2, true));
    desk.offer(0, ["a"]);
    assert!(desk.sent.is_empty());
    assert_eq!(desk.spool_works(), ["a"]);
    assert_eq!(desk.on_disk(), ["a"]);
    desk.answer("a", ok());
    assert!(desk.on_disk().is_empty() && desk.core.is_empty(desk.now));
}

#[test]
fn a_durable_stream_does_not_wait_in_its_ring_for_a_call_where_a_disk_would_take_it() {
    for durable in [false, true] {
        let mut desk = Desk::new(1, with_disk(1, 1, durable));
        desk.offer(0, ["a", "b", "c"]);
        desk.spool_works_on();
        assert_eq!((desk.sent.len(), desk.core.streams[0].waiting.len()), (1, 2));
        assert_eq!(desk.core.accepts(0, false), durable);
    }
    let mut desk = Desk::new(1, with_disk(1, 1, true));
    desk.offer(0, ["a", "b", "c", "d"]);
    desk.spool_works_on();
    assert_eq!((desk.on_disk().len(), desk.core.streams[0].waiting.len()), (4, 2), "the fourth is there alone");
    for name in ["a", "b", "c", "d"] {
        desk.answer(name, ok());
        desk.spool_works_on();
    }
    assert_eq!((desk.delivered(0), desk.core.is_empty(desk.now)), (4, true));
}

#[test]
fn at_the_end_everything_goes_to_the_disk_what_flies_as_well() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    desk.offer(0, ["a", "b", "c"]);
    desk.core.spill();
    desk.act();
    assert!(!desk.core.is_spilled());
    // Answered before it is stored: it is not to be found again.
    desk.answer("b", ok());
    desk.offer(0, ["late"]);
    desk.spool_works_on();
    assert!(desk.core.is_spilled());
    assert_eq!(desk.on_disk(), ["a", "c", "late"]);
    desk.core.give_up(End::Shutdown);
    desk.check();
    let ledger = &desk.core.streams[0].books.ledger;
    assert_eq!((desk.core.spooled_of(0).lines, ledger.ended(End::Shutdown).lines), (3, 0));
    assert_eq!(desk.core.held(0), Count::default());
}

#[test]
fn a_call_that_is_refused_while_it_is_stored_at_the_end_is_found_on_disk() {
    for answer in [denied(), not_found(), Answer::Invalid("why not".into()), lost()] {
        let mut desk = Desk::new(1, with_disk(1, 1, false));
        desk.offer(0, ["a"]);
        desk.core.spill();
        desk.act();
        desk.answer("a", answer);
        desk.spool_works_on();
        assert!(desk.core.is_spilled());
        desk.core.give_up(End::Shutdown);
        desk.check();
        let ledger = &desk.core.streams[0].books.ledger;
        assert_eq!((desk.on_disk(), desk.core.spooled_of(0).lines), (vec!["a".to_owned()], 1));
        assert_eq!(ledger.ended(End::Shutdown), Count::default());
    }
}

#[test]
fn at_our_end_a_cut_line_counts_where_its_last_piece_is() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    // Of two lines; the last piece of one is left on disk, and the first of the other.
    for (name, pieces) in [("a", &[(500, false)][..]), ("b", &[(500, true), (600, false)]), ("c", &[(600, true)])] {
        let body = Body { last_ms: WALL_MS, ..body_with_pieces(name, 0, pieces) };
        let books = desk.core.books_mut(0);
        for (line, ends) in pieces {
            books.ledger.read += Count::new(u64::from(*ends), u64::from(RAW_BYTES));
            books.split.began(*line, *ends);
        }
        let label = desk.core.next_label(0, false, false);
        desk.core.offer(0, Parcel::new(body, label, |json| json));
        desk.act();
    }
    desk.answer("a", ok());
    desk.answer("c", ok());
    desk.core.spill();
    desk.act();
    desk.spool_works_on();
    assert_eq!(desk.on_disk(), ["b"]);
    desk.core.give_up(End::Shutdown);
    desk.check();
    assert_eq!(desk.core.spooled_of(0), Count::new(1, 20));
    assert_eq!(desk.core.streams[0].books.ledger.ended(End::Delivered), Count::new(1, 20));
    assert_eq!(desk.core.held(0), Count::default());
}

#[test]
fn without_a_disk_the_end_is_a_drop() {
    let mut desk = Desk::new(1, options(2, 2));
    desk.offer(0, ["a", "b", "c"]);
    desk.core.spill();
    desk.act();
    assert!(desk.asked.is_empty());
    desk.core.give_up(End::Shutdown);
    desk.check();
    assert_eq!(desk.core.streams[0].books.ledger.ended(End::Shutdown).lines, 3);
}

#[test]
fn a_spool_that_dies_gives_back_what_it_had_not_stored() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    desk.spool_works();
    desk.core.spool_died();
    desk.asked.clear();
    for name in ["a", "b", "c", "e"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.core.spooled_of(0).lines), (4, 1));
    assert!(desk.core.is_empty(desk.now), "what is on disk waits for the next run");
    assert_eq!(desk.core.why_full(0), End::NoSpool);
}

#[test]
fn a_hold_that_is_over_while_its_stream_is_missing_does_not_have_the_loop_spin() {
    let mut desk = Desk::new(1, with_disk(2, 2, false));
    desk.offer(0, ["a1", "a2", "a3", "a4", "a5", "a6"]);
    desk.spool_works_on();
    desk.answer("a1", not_found());
    desk.answer("a2", denied());
    desk.spool_works_on();
    let hold_until = desk.core.streams[0].hold_until.expect("a denied stream is on hold");
    desk.core.stream_created(0, denied(), desk.now);
    desk.core.streams[0].existence = Existence::Resting { until: hold_until + ms(1_000), away: false };
    desk.now = hold_until + ms(500);
    // It looks at what is due.
    assert_eq!(desk.act(), [""; 0]);
}

/// Its body a4 was sent twice, its first answer was lost, and now it is on disk.
fn desk_with_one_that_may_be_stored() -> Desk {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a1", "a2", "a3", "a4"]);
    desk.spool_works_on();
    for name in ["a1", "a2", "a3"] {
        desk.answer(name, ok());
        desk.spool_works_on();
    }
    assert_eq!(desk.sent[0].1, "a4");
    desk.answer("a4", lost());
    desk.now = desk.core.next_due(desk.now).expect("it is tried again");
    desk.act();
    desk.answer("a4", denied());
    assert!(desk.on_disk().contains(&"a4".to_owned()), "{:?}", desk.on_disk());
    assert_eq!(desk.core.streams[0].books.ledger.duplicates, 1);
    desk.spool_works_on();
    desk.now = desk.core.next_due(desk.now).expect("a hold ends");
    desk
}

#[test]
fn a_body_whose_answer_was_lost_counts_as_doubled_also_when_it_was_on_disk_meanwhile() {
    let mut desk = desk_with_one_that_may_be_stored();
    desk.act();
    desk.spool_works_on();
    assert_eq!(desk.sent[0].1, "a4");
    assert_eq!(desk.core.streams[0].books.ledger.duplicates, 2);
}

#[test]
fn what_is_left_for_another_run_does_not_count_as_sent_again() {
    let mut desk = desk_with_one_that_may_be_stored();
    desk.act();
    desk.core.spill();
    desk.spool_works_on();
    assert!(desk.sent.is_empty() && desk.on_disk().contains(&"a4".to_owned()), "{:?}", desk.on_disk());
    assert_eq!(desk.core.streams[0].books.ledger.duplicates, 1);
}
