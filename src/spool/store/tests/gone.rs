//! Segments, and the directory, that somebody removes while they are used.

use std::io;

use super::*;

fn not_found() -> io::Result<Outcome> {
    Err(io::ErrorKind::NotFound.into())
}

fn freed(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Freed { .. })).count()
}

#[test]
fn a_segment_that_is_written_to_is_not_forgotten_before_the_write_has_found_out() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.request_store(entry(0, 0, 300), true);
    rig.step_first(Fault::None);
    rig.submit();
    rig.store.checked(own(0), not_found());
    assert!(rig.store.segment(own(0)).is_some());
    rig.settle();
    assert_eq!(freed(&rig.events()), 0);
    // Of another error nothing is known.
    rig.store.checked(own(0), Err(io::ErrorKind::PermissionDenied.into()));
    assert!(rig.store.segment(own(0)).is_some());
    // Also while another is written to.
    rig.store.append.rotate = true;
    rig.request_store(entry(0, 1, 300), true);
    rig.step_first(Fault::None);
    rig.submit();
    assert_eq!((rig.store.append.current, rig.store.append.is_writing()), (Some(1), true));
    rig.store.checked(own(0), not_found());
    assert!(rig.store.segment(own(0)).is_none());
    assert_eq!(freed(&rig.events()), 1);
    rig.settle();
    rig.store.checked(own(1), not_found());
    assert!(rig.store.segment(own(1)).is_none());
}

#[test]
fn ship_is_told_of_a_segment_that_is_gone_if_it_has_something_of_it() {
    for keep in [true, false] {
        let mut rig = Rig::new(SyncPolicy::Never);
        let id = rig.store(entry(0, 0, 300), keep);
        rig.store.checked(own(0), not_found());
        rig.settle();
        let events = rig.events();
        assert_eq!(events.contains(&Event::Missing { segment: 0 }), keep, "{events:?}");
        assert_eq!(events.iter().any(|event| matches!(event, Event::Gone { .. })), !keep, "{events:?}");
        // Answered, nothing is lost any more; put back before that was known, it is.
        let request = if keep { Request::Done(id) } else { Request::PutBack(id) };
        assert_eq!(rig.ask(request), []);
    }
    let mut rig = Rig::new(SyncPolicy::Never);
    let id = rig.store(entry(0, 0, 300), true);
    rig.store.checked(own(0), not_found());
    rig.events();
    assert!(matches!(rig.ask(Request::PutBack(id))[..], [Event::Gone { run: 0, .. }]));
}

#[test]
fn a_look_around_finds_a_directory_that_is_gone_and_then_all_that_is_missing() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for sequence in 0..3 {
        rig.store(entry(0, sequence, 300), false);
        rig.store.append.rotate = true;
    }
    rig.store.look_around();
    assert_eq!(rig.store.next_op(rig.now), Some(Op::Check(own(0))));
    rig.store.completed(Completion { lane: Lane::Care, result: not_found() }, rig.now);
    for segment in 1..3 {
        assert_eq!(rig.store.next_op(rig.now), Some(Op::Check(own(segment))));
        rig.store.completed(Completion { lane: Lane::Care, result: not_found() }, rig.now);
    }
    assert_eq!((rig.store.next_op(rig.now), rig.store.is_empty()), (None, true));
}

#[test]
fn an_empty_segment_that_is_gone_frees_nothing() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.request_store(entry(0, 0, 300), true);
    for fault in [Fault::None, Fault::TooLarge] {
        rig.submit();
        let completion = rig.disk.complete(0, fault).unwrap();
        rig.store.completed(completion, rig.now);
    }
    rig.settle();
    rig.events();
    rig.store.checked(own(0), not_found());
    assert!(rig.store.segment(own(0)).is_none());
    assert_eq!(rig.events(), []);
}

#[test]
fn a_segment_that_cannot_be_made_because_something_is_missing_has_the_others_looked_at() {
    for (error, looks) in [(io::ErrorKind::NotFound, true), (io::ErrorKind::PermissionDenied, false)] {
        let mut rig = Rig::new(SyncPolicy::Never);
        rig.store(entry(0, 0, 300), true);
        rig.store.append.rotate = true;
        rig.request_store(entry(0, 1, 300), true);
        assert_eq!(rig.store.next_op(rig.now), Some(Op::Create(own(1))));
        rig.store.completed(Completion { lane: Lane::Append, result: Err(error.into()) }, rig.now);
        let ops: Vec<_> = std::iter::from_fn(|| rig.store.next_op(rig.now)).collect();
        assert_eq!(ops.contains(&Op::Check(own(0))), looks, "{error:?}: {ops:?}");
    }
}

#[test]
fn that_the_directory_was_removed_is_said_once() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store.created(own(0), Ok(Outcome::FinishedAgain));
    assert!(rig.store.next_notice().is_some_and(|notice| notice.contains("is made again")));
    rig.store.created(own(1), Ok(Outcome::FinishedAgain));
    assert_eq!(rig.store.next_notice(), None);
}
