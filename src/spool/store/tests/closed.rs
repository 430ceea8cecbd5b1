//! A directory, or a file system, that becomes read-only while it is used: what was delivered does not come again, or it is
//! said how much does.

use super::*;

/// Three segments with an entry each that ship has, and which is still to be done.
fn with_segments() -> (Rig, Vec<EntryId>) {
    let mut rig = Rig::new(SyncPolicy::Never);
    let ids = (0..3).map(|sequence| {
        rig.store.append.rotate = sequence > 0;
        rig.store(entry(0, sequence, 300), true)
    });
    let ids = ids.collect();
    (rig, ids)
}

/// Until nothing is under way; what is in the lane of care ends so.
fn settle_with(rig: &mut Rig, fault: Fault) {
    for _ in 0..STEPS_MAX {
        rig.submit();
        let Some(completion) = rig.disk.complete(0, fault) else { return };
        rig.store.completed(completion, rig.now);
    }
    panic!("it does not come to rest");
}

fn notices(rig: &mut Rig) -> Vec<String> {
    std::iter::from_fn(|| rig.store.next_notice()).collect()
}

fn end(mut rig: Rig, fault: Fault) -> (Rig, Vec<String>) {
    rig.store.request(Request::End);
    settle_with(&mut rig, fault);
    assert!(rig.store.is_over());
    let said = notices(&mut rig);
    (rig, said)
}

fn rest(rig: &mut Rig) -> Vec<u64> {
    std::iter::from_fn(|| sequence(rig.load(&[]))).collect()
}

#[test]
fn where_names_stay_a_segment_is_emptied_and_its_room_given_back() {
    let (mut rig, ids) = with_segments();
    let used = rig.store.used_bytes();
    rig.store.request(Request::Done(ids[0]));
    settle_with(&mut rig, Fault::Closed);
    assert!(matches!(rig.events()[..], [Event::Freed { bytes }] if bytes > 300), "given back at once");
    assert!(rig.store.used_bytes() + 300 < used);
    let said = notices(&mut rig);
    assert!(said.len() == 1 && said[0].contains("it is emptied") && said[0].contains("chattr -i"), "{said:?}");
    // It is tried again, and that is not said again; once names go, this one does.
    rig.now += SPOOL_RETRY;
    settle_with(&mut rig, Fault::Closed);
    assert_eq!((rig.events(), notices(&mut rig)), (vec![], vec![]));
    assert!(rig.store.segment(own(0)).is_some());
    rig.now += SPOOL_RETRY;
    settle_with(&mut rig, Fault::None);
    assert!(rig.store.segment(own(0)).is_none());
    assert_eq!(rig.events(), [], "it was given back already");
}

#[test]
fn what_was_emptied_does_not_come_again() {
    let (mut rig, ids) = with_segments();
    rig.store.request(Request::Done(ids[0]));
    let (rig, said) = end(rig, Fault::Closed);
    assert!(said.iter().all(|said| !said.contains("the next run may send them again")), "{said:?}");
    let mut rig = rig.restart();
    assert_eq!(rest(&mut rig), [1, 2]);
}

#[test]
fn what_cannot_be_deleted_keeps_no_journal_from_being_written() {
    let (mut rig, ids) = with_segments();
    rig.store.request(Request::Done(ids[0]));
    rig.submit();
    assert_eq!(rig.store.flying[Lane::Care as usize], Some(Op::Delete(own(0))));
    let completion = rig.disk.complete_lane(Lane::Care, Fault::Io).unwrap();
    rig.store.completed(completion, rig.now);
    rig.submit();
    // Of the one that stays as well.
    let flying = rig.store.flying[Lane::Care as usize].clone();
    assert!(matches!(flying, Some(Op::AppendJournal { segment, .. }) if segment == own(0)), "{flying:?}");
    let completion = rig.disk.complete_lane(Lane::Care, Fault::None).unwrap();
    rig.store.completed(completion, rig.now);
    rig.submit();
    assert_eq!(rig.store.flying[Lane::Care as usize], None);
    let mut rig = rig.restart();
    assert_eq!(rest(&mut rig), [1, 2]);
}

#[test]
fn where_nothing_can_be_written_the_end_says_how_much_comes_again() {
    let (mut rig, ids) = with_segments();
    rig.store.request(Request::Done(ids[0]));
    settle_with(&mut rig, Fault::ReadOnly);
    let said = notices(&mut rig);
    assert!(said.iter().any(|said| said.contains("cannot delete") && said.contains("remount,rw")), "{said:?}");
    // Of a segment that has more: its journal cannot be written, either.
    rig.store.request(Request::Done(ids[2]));
    let (rig, said) = end(rig, Fault::ReadOnly);
    let count: Vec<_> = said.iter().filter(|said| said.contains("the next run may send them again")).collect();
    assert!(count.len() == 1 && count[0].starts_with("up to 4 lines that were delivered"), "{said:?}");
    let mut rig = rig.restart();
    assert_eq!(rest(&mut rig), [0, 1, 2]);
}

#[test]
fn a_directory_that_takes_no_segment_is_no_full_disk() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for fault in [Fault::Closed, Fault::ReadOnly] {
        let ticket = rig.request_store(entry(0, 0, 300), false);
        settle_with(&mut rig, fault);
        let events = rig.events();
        let [Event::Refused { ticket: refused, why: Refusal::ReadOnly(why) }] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(*refused == ticket && why.contains("cannot make a segment"), "{why}");
    }
}
