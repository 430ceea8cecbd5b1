//! What is begun again, given up, kept and told when a disk fails between the way in and the way out.

use super::*;
use crate::limits::{SPOOL_PAYLOAD_BYTES_MAX, SPOOL_SCANS_MAX, SPOOL_SEGMENT_BYTES_MAX};
use crate::spool::record::{FIXED_BYTES, File};
use crate::spool::store::segment::journal_entry;

impl Rig {
    /// The oldest operation of this lane ends so; what follows is handed out.
    fn step(&mut self, lane: Lane, fault: Fault) {
        self.submit();
        let completion = self.disk.complete_lane(lane, fault).expect("something is under way in this lane");
        self.store.completed(completion, self.now);
        self.submit();
    }

    fn flying(&self, lane: Lane) -> Option<&Op> {
        self.store.flying[lane as usize].as_ref()
    }

    /// Entries of one stream in one segment.
    fn with_entries(count: u64) -> Rig {
        let mut rig = Rig::new(SyncPolicy::Never);
        for number in 0..count {
            rig.store(entry(0, number, 40), false);
        }
        rig
    }

    fn rest(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| sequence(self.load(&[]))).collect()
    }
}

fn id(index: u32) -> EntryId {
    EntryId { run: 0, segment: 0, index }
}

/// The first segment of the first run that was found.
const ADOPTED: SegmentId = SegmentId { run: 1, segment: 0 };

fn with_found(found: Found) -> Store {
    Store::new(Options { run: 1, bytes_max: 1 << 30, sync: SyncPolicy::Never }, vec![found])
}

#[test]
fn what_is_no_segment_counts_and_keeps_its_directory() {
    let mut store = with_found(Found { id: 7, aside_bytes: 5, other_bytes: 5, ..Found::default() });
    assert_eq!((store.used_bytes(), store.next_op(Instant::now())), (10, None));
    let mut store = with_found(Found { id: 7, ..Found::default() });
    assert_eq!((store.used_bytes(), store.next_op(Instant::now())), (0, Some(Op::RemoveRun { run: 1 })));
}

#[test]
fn a_file_larger_than_any_segment_of_ours_is_set_aside_unread() {
    let largest = SPOOL_SEGMENT_BYTES_MAX + 2 * SPOOL_PAYLOAD_BYTES_MAX as u64;
    let first_op = |length| {
        with_found(Found { id: 7, segments: vec![(0, length, 0)], ..Found::default() }).next_op(Instant::now())
    };
    assert_eq!(first_op(largest), Some(Op::ReadJournal { segment: ADOPTED }));
    assert_eq!(first_op(largest + 1), Some(Op::RenameAside(ADOPTED)));
}

#[test]
fn a_segment_that_is_found_damaged_too_often_is_given_up() {
    for (scans, lost) in [(SPOOL_SCANS_MAX - 1, 1), (SPOOL_SCANS_MAX, 3)] {
        let mut rig = Rig::with_entries(3);
        rig.store.segment_mut(own(0)).unwrap().scans = scans;
        rig.disk.segment_bytes()[0] ^= 1;
        let events = rig.ask(Request::Load { except: vec![] });
        let Some(Event::SetAside { sum: Sum { count, .. }, what, .. }) = events.first() else { panic!("{events:?}") };
        assert_eq!(*count, Count::new(COUNT.lines * lost, COUNT.bytes * lost), "after {scans} scans");
        assert_eq!(what, "0000000000000001/00000000.seg at 0: no record");
        assert_eq!(rig.store.segment(own(0)).unwrap().scans, scans + 1);
    }
}

#[test]
fn a_journal_that_cannot_be_read_for_a_minute_brings_its_entries_again() {
    let mut rig = Rig::with_entries(3);
    rig.ask(Request::Done(id(1)));
    let mut rig = rig.restart();
    for failures in 1..=SPOOL_READS_MAX {
        assert_eq!(rig.store.next_notice(), None, "after {failures}");
        rig.step(Lane::Read, Fault::Io);
        if failures < SPOOL_READS_MAX {
            assert_eq!(rig.store.next_due(), Some(rig.now + SPOOL_RETRY), "after {failures}");
            assert_eq!(rig.flying(Lane::Read), None, "after {failures}");
            rig.now += SPOOL_RETRY;
        }
    }
    assert!(rig.store.next_notice().is_some_and(|notice| notice.contains("its entries come again")));
    assert_eq!(rig.rest(), [0, 1, 2]);
}

#[test]
fn a_journal_names_no_more_entries_than_its_segment_has_room_for() {
    for (beyond, entries) in [(1, None), (0, Some(0))] {
        let mut rig = Rig::with_entries(3);
        rig.ask(Request::Done(id(1)));
        let most = rig.disk.segment_bytes().len() as u32 / FIXED_BYTES as u32;
        let more = journal_entry(File { run: 1, segment: 0 }, most + beyond);
        rig.disk.journal().extend_from_slice(&more);
        let mut rig = rig.restart();
        rig.settle();
        let expected = entries.map_or(3, |entries: u32| entries + most + 1);
        assert_eq!(rig.store.segment(ADOPTED).unwrap().entries, expected);
        assert_eq!(rig.rest(), [0, 2]);
    }
}

#[test]
fn an_ended_run_of_which_nothing_waits_is_deleted_without_a_word() {
    let mut rig = Rig::with_entries(1);
    rig.ask(Request::Done(id(0)));
    let mut rig = rig.restart();
    rig.settle();
    assert_eq!((rig.events(), rig.disk.runs(), rig.store.used_bytes()), (vec![], 1, 0));
}

#[test]
fn no_more_is_given_back_of_a_run_than_was_announced_of_it() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for number in 0..2 {
        let id = rig.store(entry(0, number, 600), true);
        rig.ask(Request::Done(id));
    }
    // The next begins another segment, and it is killed before the first is deleted.
    rig.request_store(entry(0, 2, 600), false);
    rig.submit();
    while rig.disk.lanes().contains(&Lane::Append) {
        rig.step(Lane::Append, Fault::None);
    }
    assert_eq!(rig.flying(Lane::Care), Some(&Op::Delete(own(0))));
    let mut rig = rig.restart();
    while !matches!(rig.flying(Lane::Care), Some(Op::Delete(ADOPTED))) {
        rig.step(Lane::Read, Fault::None);
    }
    rig.step(Lane::Care, Fault::None);
    assert_eq!(rig.events(), [], "nothing was announced yet");
    let (mut announced, mut given_back) = (0, 0);
    for _ in 0..3 {
        for event in rig.ask(Request::Load { except: vec![] }) {
            match event {
                Event::Adopted { entries, bytes, .. } => {
                    assert_eq!(entries, 1);
                    announced += bytes;
                }
                Event::Freed { bytes } => given_back += bytes,
                Event::Loaded { id, .. } => rig.store.request(Request::Done(id)),
                Event::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(announced > 600 && announced == given_back, "{announced} and {given_back}");
}

#[test]
fn all_runs_are_searched_when_the_last_of_them_is_known() {
    let mut rig = Rig::with_entries(1).restart();
    assert_eq!(rig.store.next_event(), None);
    rig.settle();
    assert!(matches!(rig.store.next_event(), Some(Event::Adopted { entries: 1, .. })));
    assert_eq!((rig.store.next_event(), rig.store.next_event()), (Some(Event::Searched), None));
}

#[test]
fn a_file_that_cannot_be_deleted_is_said_once_and_tried_again_after_a_rest() {
    let mut rig = Rig::with_entries(1);
    rig.ask(Request::Done(id(0)));
    let mut rig = rig.restart();
    while !matches!(rig.flying(Lane::Care), Some(Op::Delete(_))) {
        rig.step(Lane::Read, Fault::None);
    }
    for said in [true, false] {
        rig.step(Lane::Care, Fault::Io);
        let notice = rig.store.next_notice();
        assert_eq!(notice.is_some_and(|notice| notice.contains("cannot delete")), said);
        assert_eq!((rig.flying(Lane::Care), rig.store.next_due()), (None, Some(rig.now + SPOOL_RETRY)));
        rig.now += SPOOL_RETRY - Duration::from_nanos(1);
        rig.submit();
        assert_eq!(rig.flying(Lane::Care), None);
        rig.now += Duration::from_nanos(1);
        rig.submit();
        assert_eq!(rig.flying(Lane::Care), Some(&Op::Delete(ADOPTED)));
    }
    // At the end there is no time to rest: it stays.
    rig.step(Lane::Care, Fault::Io);
    rig.store.request(Request::End);
    rig.step(Lane::Care, Fault::Io);
    rig.settle();
    assert_eq!((rig.events().last(), rig.disk.runs()), (Some(&Event::Ended), 1));
}

#[test]
fn a_journal_that_is_written_in_part_is_written_to_its_end_and_one_that_is_not_is_told() {
    let mut rig = Rig::with_entries(3);
    rig.store.request(Request::Done(id(0)));
    rig.store.request(Request::Done(id(1)));
    for bytes in [5, 6, 2] {
        rig.step(Lane::Care, Fault::Short(bytes));
        assert_eq!((rig.store.next_notice(), rig.store.next_due()), (None, None), "it goes on where it stopped");
    }
    rig.step(Lane::Care, Fault::Short(0));
    assert!(rig.store.next_notice().is_some_and(|notice| notice.contains("cannot write the journal")));
    assert_eq!(rig.store.next_due(), Some(rig.now + SPOOL_RETRY));
    rig.settle();
    assert_eq!((rig.disk.journal().len(), rig.store.used_bytes()), (16, rig.disk.all_bytes()));
    assert_eq!(rig.restart().rest(), [2]);
}

#[test]
fn a_damaged_part_that_cannot_be_copied_keeps_the_whole_file() {
    let mut rig = Rig::with_entries(3);
    rig.disk.segment_bytes()[0] ^= 1;
    let all = rig.disk.segment_bytes().len() as u64;
    let mut rig = rig.restart();
    while rig.flying(Lane::Care).is_none() {
        rig.step(Lane::Read, Fault::None);
    }
    assert!(matches!(rig.flying(Lane::Care), Some(Op::CopyAside { .. })));
    rig.step(Lane::Care, Fault::Full);
    for index in [1, 2] {
        rig.store.request(Request::Done(EntryId { run: 1, segment: 0, index }));
    }
    rig.settle();
    assert_eq!((rig.disk.aside_bytes(), rig.disk.all_bytes(), rig.store.used_bytes()), (all, all, all));
}

#[test]
fn what_is_durable_does_not_count_towards_the_next_sync_and_a_directory_is_synced_once() {
    let mut rig = Rig::new(SyncPolicy::Interval);
    rig.store.segment_bytes_max = 1 << 30;
    let append = |rig: &mut Rig, number| {
        rig.request_store(entry(0, number, 600 << 10), true);
        rig.submit();
        while rig.disk.lanes().contains(&Lane::Append) {
            rig.step(Lane::Append, Fault::None);
        }
    };
    append(&mut rig, 0);
    assert_eq!(rig.flying(Lane::Sync), None);
    rig.now += SPOOL_SYNC_INTERVAL;
    rig.submit();
    assert_eq!(rig.flying(Lane::Sync), Some(&Op::Sync { segment: own(0), directory: true }));
    rig.step(Lane::Sync, Fault::None);
    append(&mut rig, 1);
    assert_eq!(rig.flying(Lane::Sync), None, "that is less than a mebibyte");
    append(&mut rig, 2);
    assert_eq!(rig.flying(Lane::Sync), Some(&Op::Sync { segment: own(0), directory: false }));
}

#[test]
fn after_a_failed_sync_another_segment_begins_and_it_is_said_once_until_one_succeeds() {
    let mut rig = Rig::new(SyncPolicy::Interval);
    let mut said = Vec::new();
    for (number, fault) in [Fault::Io, Fault::Io, Fault::None, Fault::Io].into_iter().enumerate() {
        rig.request_store(entry(0, number as u64, 40), true);
        rig.submit();
        while rig.disk.lanes().contains(&Lane::Append) {
            rig.step(Lane::Append, Fault::None);
        }
        rig.now += SPOOL_SYNC_INTERVAL;
        rig.step(Lane::Sync, fault);
        said.push(rig.store.next_notice().is_some_and(|notice| notice.contains("cannot sync")));
    }
    let segments: Vec<_> =
        rig.events().iter().map(|event| matches!(event, Event::Stored { id, .. } if id.segment < 3)).collect();
    assert_eq!((said, segments), (vec![true, false, false, true], vec![true; 4]));
    assert_eq!(rig.store.runs[0].segments.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_end_of_an_adopted_segment_does_not_keep_our_own_of_the_same_number_from_being_synced() {
    let mut rig = Rig::with_entries(1);
    rig.sync = SyncPolicy::Interval;
    let mut rig = rig.restart();
    let (adopted, _) = rig.load(&[]).unwrap();
    rig.request_store(entry(0, 1, 40), true);
    rig.submit();
    while rig.disk.lanes().contains(&Lane::Append) {
        rig.step(Lane::Append, Fault::None);
    }
    rig.store.request(Request::Done(adopted));
    while rig.store.segment(ADOPTED).is_some() {
        rig.step(Lane::Care, Fault::None);
    }
    assert!(rig.store.sync.dirty.contains(&0) && rig.store.next_due().is_some());
    rig.settle();
    assert!(rig.disk.is_all_synced());
}

#[test]
fn an_entry_that_was_never_there_is_not_done() {
    let mut segment = Segment { entries: 2, length: 10, journal_entries: 3, ..Segment::default() };
    assert_eq!((segment.finish(2, 0), segment.finish(1, 7), segment.finish(1, 7)), (false, true, false));
    let indices: Vec<_> = segment.unjournalled.iter().map(|entry| entry.index).collect();
    assert_eq!((indices, segment.disk_bytes(), segment.unjournalled_lines()), (vec![1], 10 + 3 * 8, 7));
}

#[test]
fn a_segment_that_a_read_misses_while_it_is_written_to_is_left_to_the_write() {
    for fault in [Fault::None, Fault::Io] {
        let mut rig = Rig::with_entries(2);
        rig.request_store(entry(0, 2, 40), false);
        rig.submit();
        assert!(matches!(rig.flying(Lane::Append), Some(Op::Append { .. })));
        rig.disk.remove_segment(own(0));
        rig.store.request(Request::Load { except: vec![] });
        rig.step(Lane::Read, Fault::None);
        assert_eq!(rig.flying(Lane::Read), None, "it would read again and again");
        rig.step(Lane::Append, fault);
        rig.settle();
        let events = rig.events();
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let answered = count(|event| matches!(event, Event::Stored { .. } | Event::Refused { .. }));
        assert_eq!((answered, count(|event| matches!(event, Event::Gone { .. }))), (1, 1), "{events:?}");
    }
}

#[test]
fn a_sync_that_misses_a_segment_while_it_is_written_to_promises_nothing() {
    for sync in [SyncPolicy::Interval, SyncPolicy::Always] {
        let mut rig = Rig::new(sync);
        rig.store(entry(0, 0, 40), false);
        rig.request_store(entry(0, 1, 40), false);
        rig.step(Lane::Append, Fault::None);
        rig.request_store(entry(0, 2, 40), false);
        rig.now += SPOOL_SYNC_INTERVAL;
        rig.submit();
        assert!(rig.flying(Lane::Append).is_some() && rig.flying(Lane::Sync).is_some());
        rig.disk.remove_segment(own(0));
        rig.step(Lane::Sync, Fault::None);
        assert_eq!((rig.store.next_notice(), rig.flying(Lane::Sync)), (None, None), "{sync:?}");
        rig.step(Lane::Append, Fault::None);
        rig.settle();
        let stored = rig.events().into_iter().filter_map(|event| match event {
            Event::Stored { id, .. } => Some(id.segment),
            _ => None,
        });
        assert_eq!(stored.last(), Some(1), "{sync:?}");
        let said: Vec<_> = std::iter::from_fn(|| rig.store.next_notice()).collect();
        assert!(said.len() == 1 && said[0].contains("1 file of the spool was removed"), "{said:?}");
    }
}
