//! The way in and the way out at their edges.

use std::io;

use super::*;
use crate::spool::store::load::read_window;

/// A store that was asked to write this, and has made its segment.
fn writing(sync: SyncPolicy, keep: bool) -> Rig {
    let mut rig = Rig::new(sync);
    rig.request_store(entry(0, 0, 40), keep);
    complete(&mut rig, Lane::Append, Fault::None);
    rig
}

fn complete(rig: &mut Rig, lane: Lane, fault: Fault) {
    rig.submit();
    let completion = rig.disk.complete_lane(lane, fault).expect("something is under way in this lane");
    rig.store.completed(completion, rig.now);
    rig.submit();
}

#[test]
fn a_disk_that_takes_nothing_is_full() {
    let mut rig = writing(SyncPolicy::Never, true);
    complete(&mut rig, Lane::Append, Fault::Short(0));
    rig.settle();
    assert!(matches!(&rig.events()[..], [Event::Refused { why: Refusal::Full(_), .. }]));
}

#[test]
fn what_is_announced_of_an_entry_is_what_it_takes_until_its_end() {
    let mut rig = writing(SyncPolicy::Never, true);
    rig.settle();
    let [Event::Stored { bytes, id, .. }] = rig.events()[..] else { panic!("it is stored") };
    rig.ask(Request::Done(id));
    assert_eq!((bytes, rig.store.used_bytes()), (rig.disk.all_bytes(), rig.disk.all_bytes()));
}

#[test]
fn what_could_neither_be_written_nor_taken_back_never_comes() {
    let mut rig = writing(SyncPolicy::Never, true);
    complete(&mut rig, Lane::Append, Fault::Io);
    complete(&mut rig, Lane::Append, Fault::Io);
    let segment = rig.store.segment(own(0)).unwrap();
    assert_eq!((segment.entries, segment.done.has(0)), (1, true));
    assert!(matches!(&rig.events()[..], [Event::Refused { why: Refusal::Failed(_), .. }]));
    assert_eq!(rig.store(entry(0, 1, 40), true).segment, 1);
}

#[test]
fn the_first_record_of_a_file_that_is_there_though_it_failed_goes_with_the_file() {
    for is_too_large in [false, true] {
        let mut rig = writing(SyncPolicy::Never, true);
        drop(rig.disk.complete_lane(Lane::Append, Fault::None));
        let kind = if is_too_large { io::ErrorKind::FileTooLarge } else { io::ErrorKind::Other };
        rig.store.completed(Completion { lane: Lane::Append, result: Err(kind.into()) }, rig.now);
        complete(&mut rig, Lane::Append, Fault::Io);
        rig.settle();
        assert!(matches!(&rig.events()[..], [Event::Refused { .. }]));
        assert_eq!(rig.restart().load(&[]), None, "ship has sent it meanwhile");
    }
}

#[test]
fn where_entries_are_stored_only_when_they_are_durable_they_do_not_come_back_sooner() {
    let mut rig = writing(SyncPolicy::Always, false);
    complete(&mut rig, Lane::Append, Fault::None);
    assert_eq!(rig.disk.lanes(), [Lane::Sync]);
    rig.store.request(Request::Load { except: vec![] });
    rig.submit();
    assert_eq!((rig.disk.lanes(), rig.events()), (vec![Lane::Sync], vec![Event::Nothing]));
    rig.settle();
    assert!(matches!(rig.events()[..], [Event::Stored { .. }]));
    assert_eq!(sequence(rig.load(&[])), Some(0));
}

#[test]
fn a_read_that_failed_is_tried_again_after_a_rest() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store(entry(0, 0, 40), false);
    rig.store.request(Request::Load { except: vec![] });
    complete(&mut rig, Lane::Read, Fault::Io);
    assert_eq!((rig.disk.lanes(), rig.store.next_due()), (vec![], Some(rig.now + SPOOL_RETRY)));
    rig.now += SPOOL_RETRY;
    rig.submit();
    assert_eq!(rig.disk.lanes(), [Lane::Read]);
}

#[test]
fn no_more_is_read_than_the_file_has() {
    assert_eq!(read_window(own(0), 10, 100), Op::Read { segment: own(0), at: 10, bytes: 90 });
}

#[test]
fn a_segment_is_filled_and_a_spool_too_to_the_last_byte() {
    let total = crate::spool::record::encoded_bytes(&entry(0, 0, 300)).unwrap();
    for (bytes, segment) in [(2 * total, 0), (2 * total - 1, 1)] {
        let mut rig = Rig::new(SyncPolicy::Never);
        rig.store.segment_bytes_max = bytes;
        rig.store(entry(0, 0, 300), true);
        assert_eq!(rig.store(entry(0, 1, 300), true).segment, segment);
    }
    for (bytes_max, takes) in [(total + 8, true), (total + 7, false)] {
        let mut rig = Rig::on(Disk::default(), SyncPolicy::Never, bytes_max);
        rig.request_store(entry(0, 0, 300), true);
        rig.settle();
        assert_eq!(matches!(rig.events()[..], [Event::Stored { .. }]), takes, "of {bytes_max}");
    }
}
