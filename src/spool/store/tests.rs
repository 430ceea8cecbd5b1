//! The store against a disk in memory: what it does step by step, what is left of damaged files, and any sequence of all.

mod care;
mod closed;
mod damage;
mod disk;
mod gone;
mod random;
mod way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::batch::Piece;
use crate::ledger::Count;
use crate::limits::{SPOOL_READS_MAX, SPOOL_RETRY, SPOOL_SYNC_INTERVAL};
use crate::spool::entry::{Address, Entry, Sum};
use crate::spool::wire::Refusal;
use disk::{Disk, Fault};

const SEGMENT_BYTES: u64 = 2000;
const STEPS_MAX: usize = 100_000;

fn address(stream: u8) -> Address {
    Address { group: "/g".into(), stream: format!("stream-{stream}"), ..Address::default() }
}

fn entry(stream: u8, sequence: u64, payload_bytes: usize) -> Entry {
    let payload: Vec<u8> = (0..payload_bytes).map(|at| (at as u64 * 31 + sequence) as u8).collect();
    Entry {
        address: Arc::new(address(stream)),
        sequence,
        first_ms: 5,
        last_ms: 9,
        serial: sequence.is_multiple_of(2),
        gzip: false,
        raw_lengths: vec![7, 11],
        pieces: vec![Piece::cut(1, sequence, true)],
        payload: Bytes::from(payload),
    }
}

/// What `entry` counts.
const COUNT: Count = Count { lines: 2, bytes: 18 };

/// A store, its disk, and a clock.
struct Rig {
    store: Store,
    disk: Disk,
    now: Instant,
    sync: SyncPolicy,
    ticket: u64,
}

impl Rig {
    fn new(sync: SyncPolicy) -> Rig {
        Rig::on(Disk::default(), sync, 1 << 30)
    }

    fn on(mut disk: Disk, sync: SyncPolicy, bytes_max: u64) -> Rig {
        let found = disk.found();
        let run = disk.begin_run(&found);
        let store = Store::new(Options { run, bytes_max, sync }, found).with_segment_bytes_max(SEGMENT_BYTES);
        Rig { store, disk, now: Instant::now(), sync, ticket: 0 }
    }

    /// Hands out what is to be done, without doing it.
    fn submit(&mut self) {
        while let Some(op) = self.store.next_op(self.now) {
            self.disk.submit(op);
        }
    }

    /// Hands it out, and the first of it ends, so.
    fn step_first(&mut self, fault: Fault) {
        self.submit();
        let completion = self.disk.complete(0, fault).expect("something is under way");
        self.store.completed(completion, self.now);
    }

    /// Does what is to be done, and waits for what is due, until nothing is left.
    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            self.submit();
            if let Some(completion) = self.disk.complete(0, Fault::None) {
                self.store.completed(completion, self.now);
            } else if let Some(due) = self.store.next_due() {
                self.now = self.now.max(due);
            } else {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.store.next_event()).filter(|event| *event != Event::Searched).collect()
    }

    fn ask(&mut self, request: Request) -> Vec<Event> {
        self.store.request(request);
        self.settle();
        self.events()
    }

    fn request_store(&mut self, entry: Entry, keep: bool) -> u64 {
        self.ticket += 1;
        self.store.request(Request::Store { ticket: self.ticket, entry: Arc::new(entry), keep });
        self.ticket
    }

    fn store(&mut self, entry: Entry, keep: bool) -> EntryId {
        self.request_store(entry, keep);
        self.settle();
        match &self.events()[..] {
            [Event::Stored { id, .. }] => *id,
            other => panic!("{other:?}"),
        }
    }

    fn load(&mut self, except: &[u8]) -> Option<(EntryId, Entry)> {
        let except = except.iter().map(|stream| address(*stream).key()).collect();
        let mut answers = self.ask(Request::Load { except });
        answers.retain(|event| !matches!(event, Event::Adopted { .. } | Event::SetAside { .. } | Event::Freed { .. }));
        match answers.pop() {
            Some(Event::Loaded { id, entry }) if answers.is_empty() => Some((id, *entry)),
            Some(Event::Nothing) if answers.is_empty() => None,
            other => panic!("{other:?} after {answers:?}"),
        }
    }

    fn restart(mut self) -> Rig {
        self.disk.kill(0);
        Rig::on(self.disk, self.sync, 1 << 30)
    }
}

fn sequence(loaded: Option<(EntryId, Entry)>) -> Option<u64> {
    loaded.map(|(_, entry)| entry.sequence)
}

#[test]
fn a_stream_that_was_excepted_continues_where_it_was_left() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for number in 0..12 {
        rig.store(entry((number % 3) as u8, number, 300), false);
    }
    assert_eq!(sequence(rig.load(&[0, 1])), Some(2));
    assert_eq!(sequence(rig.load(&[0])), Some(1));
    assert_eq!(sequence(rig.load(&[0])), Some(4));
    assert_eq!(sequence(rig.load(&[])), Some(0));
    assert_eq!(sequence(rig.load(&[0, 1])), Some(5));
    let rest: Vec<_> = std::iter::from_fn(|| sequence(rig.load(&[]))).collect();
    assert_eq!(rest, [3, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn what_is_put_back_comes_again_before_what_is_younger() {
    let mut rig = Rig::new(SyncPolicy::Never);
    let kept = rig.store(entry(0, 0, 300), true);
    rig.store(entry(0, 1, 300), false);
    let (loaded, _) = rig.load(&[]).unwrap();
    rig.store(entry(0, 2, 300), false);
    assert_eq!(rig.ask(Request::PutBack(loaded)), []);
    assert_eq!(rig.ask(Request::PutBack(kept)), []);
    let all: Vec<_> = std::iter::from_fn(|| sequence(rig.load(&[]))).collect();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn a_segment_that_is_being_deleted_is_not_read() {
    let mut rig = Rig::new(SyncPolicy::Never);
    let done = rig.store(entry(0, 0, 1500), true);
    rig.store(entry(0, 1, 1500), false);
    rig.store.request(Request::Done(done));
    rig.submit();
    assert_eq!(rig.disk.lanes(), [Lane::Care]);
    rig.store.request(Request::Load { except: Vec::new() });
    rig.submit();
    for lane in [Lane::Care, Lane::Read] {
        let completion = rig.disk.complete_lane(lane, Fault::None).expect("something is under way in this lane");
        rig.store.completed(completion, rig.now);
    }
    rig.settle();
    assert!(matches!(&rig.events()[..], [.., Event::Loaded { entry, .. }] if entry.sequence == 1));
    assert_eq!(rig.store.next_notice(), None);
}

#[test]
fn appends_go_on_during_a_sync_and_are_called_stored_after_the_next() {
    let mut rig = Rig::new(SyncPolicy::Always);
    rig.request_store(entry(0, 0, 10), true);
    let step = |rig: &mut Rig, lane| {
        rig.submit();
        let completion = rig.disk.complete_lane(lane, Fault::None).expect("something is under way in this lane");
        rig.store.completed(completion, rig.now);
        rig.submit();
    };
    step(&mut rig, Lane::Append);
    step(&mut rig, Lane::Append);
    assert_eq!(rig.disk.lanes(), [Lane::Sync]);
    rig.request_store(entry(0, 1, 10), true);
    step(&mut rig, Lane::Append);
    assert_eq!(rig.disk.lanes(), [Lane::Sync]);
    assert_eq!(rig.events(), []);
    step(&mut rig, Lane::Sync);
    assert!(matches!(rig.events()[..], [Event::Stored { ticket: 1, .. }]));
    step(&mut rig, Lane::Sync);
    assert!(matches!(rig.events()[..], [Event::Stored { ticket: 2, .. }]));
}

#[test]
fn an_interval_is_a_mebibyte_or_a_second() {
    let mut rig = Rig::new(SyncPolicy::Interval);
    rig.store.segment_bytes_max = 1 << 30;
    rig.request_store(entry(0, 0, 10), true);
    for _ in 0..2 {
        rig.step_first(Fault::None);
    }
    rig.submit();
    assert_eq!(rig.disk.lanes(), []);
    assert_eq!(rig.store.next_due(), Some(rig.now + SPOOL_SYNC_INTERVAL));
    rig.now += SPOOL_SYNC_INTERVAL;
    rig.submit();
    assert_eq!(rig.disk.lanes(), [Lane::Sync]);
    rig.settle();
    assert_eq!(rig.store.next_due(), None);
    rig.request_store(entry(0, 1, 1 << 20), true);
    rig.step_first(Fault::None);
    rig.submit();
    assert_eq!(rig.disk.lanes(), [Lane::Sync]);
}

#[test]
fn a_record_that_failed_is_taken_back_and_the_next_one_tried() {
    for (fault, full) in [(Fault::Full, true), (Fault::Io, false)] {
        let mut rig = Rig::new(SyncPolicy::Never);
        rig.store(entry(0, 0, 300), true);
        rig.request_store(entry(0, 1, 300), true);
        rig.step_first(Fault::Short(100));
        rig.submit();
        let failed = rig.disk.complete(0, fault).unwrap();
        rig.store.completed(failed, rig.now);
        rig.settle();
        match &rig.events()[..] {
            [Event::Refused { ticket: 2, why }] => assert_eq!(matches!(why, Refusal::Full(_)), full, "{why:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.disk.segment_bytes().len() as u64, rig.store.segment(own(0)).unwrap().length);
        let third = rig.store(entry(0, 2, 300), true);
        assert_eq!((third.segment, third.index), (0, 1));
        let mut rig = rig.restart();
        assert_eq!(sequence(rig.load(&[])), Some(0));
        assert_eq!(sequence(rig.load(&[])), Some(2));
        assert_eq!(rig.load(&[]), None);
        assert_eq!(rig.disk.aside_bytes(), 0);
    }
}

#[test]
fn a_limit_on_the_size_of_files_begins_another_segment() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store(entry(0, 0, 300), true);
    rig.request_store(entry(0, 1, 300), true);
    rig.step_first(Fault::TooLarge);
    rig.settle();
    assert!(matches!(rig.events()[..], [Event::Stored { id: EntryId { run: 0, segment: 1, index: 0 }, .. }]));
}

#[test]
fn a_record_that_no_file_may_hold_is_refused_and_begins_no_segment_after_segment() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.request_store(entry(0, 0, 300), true);
    for fault in [Fault::None, Fault::TooLarge] {
        rig.submit();
        let completion = rig.disk.complete(0, fault).unwrap();
        rig.store.completed(completion, rig.now);
    }
    rig.settle();
    assert!(matches!(&rig.events()[..], [Event::Refused { ticket: 1, why: Refusal::Full(_) }]));
    assert_eq!(rig.store(entry(0, 1, 10), true), EntryId { run: 0, segment: 0, index: 0 });
}

#[test]
fn a_failed_sync_refuses_what_waited_for_it_and_never_brings_it() {
    let mut rig = Rig::new(SyncPolicy::Always);
    rig.request_store(entry(0, 0, 300), false);
    for _ in 0..2 {
        rig.step_first(Fault::None);
    }
    rig.step_first(Fault::Io);
    rig.settle();
    assert!(matches!(&rig.events()[..], [Event::Refused { why: Refusal::Failed(_), .. }]));
    rig.store(entry(0, 1, 300), false);
    let mut rig = rig.restart();
    assert_eq!(sequence(rig.load(&[])), Some(1));
    assert_eq!(rig.load(&[]), None);
}

#[test]
fn a_read_that_fails_for_a_minute_sets_its_entry_aside_and_no_other() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store.segment_bytes_max = 1 << 30;
    rig.store(entry(0, 0, 100_000), false);
    rig.store(entry(0, 1, 300), false);
    rig.store.request(Request::Load { except: vec![] });
    rig.step_first(Fault::None);
    for failures in 1..=SPOOL_READS_MAX {
        rig.step_first(Fault::Io);
        rig.now += SPOOL_RETRY;
        if failures < SPOOL_READS_MAX {
            // The head is looked at again, in the same window.
            assert!(rig.store.load.window.is_some());
        }
    }
    rig.settle();
    match &rig.events()[..] {
        [Event::SetAside { run: 0, sum: Sum { count, .. }, .. }, Event::Loaded { entry, .. }] => {
            assert_eq!((*count, entry.sequence), (COUNT, 1));
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.store.next_notice().unwrap().contains("cannot read"));
}

#[test]
fn an_end_leaves_nothing_of_what_is_done_and_all_of_what_is_not() {
    let mut rig = Rig::new(SyncPolicy::Interval);
    let ids: Vec<_> = (0..20).map(|number| rig.store(entry(0, number, 300), true)).collect();
    for id in &ids[..19] {
        rig.store.request(Request::Done(*id));
    }
    let events = rig.ask(Request::End);
    assert_eq!(events.last(), Some(&Event::Ended));
    assert!(rig.disk.is_all_synced());
    let mut rig = Rig::on(rig.disk, SyncPolicy::Interval, 1 << 30);
    let (last, loaded) = rig.load(&[]).unwrap();
    assert_eq!((loaded.sequence, rig.load(&[])), (19, None));
    rig.store.request(Request::Done(last));
    rig.ask(Request::End);
    assert_eq!(rig.disk.runs(), 0);
}

#[test]
fn a_spool_that_is_full_of_what_is_done_makes_room() {
    for (first_bytes, next_bytes) in [(1000, 800), (400, 1400)] {
        let mut rig = Rig::on(Disk::default(), SyncPolicy::Never, 1900);
        let id = rig.store(entry(0, 1, first_bytes), false);
        let mut events = rig.ask(Request::Done(id));
        rig.request_store(entry(0, 2, next_bytes), false);
        rig.settle();
        events.extend(rig.events());
        assert!(events.iter().any(|event| matches!(event, Event::Freed { .. })), "{events:?}");
        rig.store(entry(0, 3, next_bytes), false);
    }
}

#[test]
fn a_segment_of_which_all_is_done_goes_once_half_of_the_spool_is_used_and_not_before() {
    for (bytes, freed) in [(1000, true), (400, false)] {
        let mut rig = Rig::on(Disk::default(), SyncPolicy::Never, 1900);
        let id = rig.store(entry(0, 1, bytes), false);
        let events = rig.ask(Request::Done(id));
        assert_eq!(events.iter().any(|event| matches!(event, Event::Freed { .. })), freed, "{events:?}");
    }
    // What is not all done stays the current one.
    let mut rig = Rig::on(Disk::default(), SyncPolicy::Never, 1900);
    let id = rig.store(entry(0, 1, 400), false);
    rig.store(entry(0, 2, 400), false);
    rig.ask(Request::Done(id));
    assert_eq!(rig.store.append.current, Some(0));
}
