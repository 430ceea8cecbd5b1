//! The end of a run: what is delivered, what goes to the disk, and when that is done.

use super::*;
use crate::ledger::Count;
use crate::ship::core::DiskOptions;
use crate::spool::entry::Sum;
use crate::spool::wire::{EntryId, Refusal, Request};

fn away() -> Answer {
    Answer::Unavailable { detail: "refused".into(), lost: false }
}

/// A line of each stream in a call that hangs.
fn in_calls(streams: usize, disk: Option<DiskOptions>) -> (Pump, Vec<Filler>, Now) {
    let all = options(60 * MIB);
    let core = core::Options { disk, ..all.core };
    let (mut pump, mut fillers) = pump_with(streams, MIB, Options { core, ..all });
    let start = now();
    for filler in &mut fillers {
        put(filler, b"a line\n");
    }
    pump.turn(start);
    let due = Now { mono: start.mono + Duration::from_secs(1), wall_ms: NOW_MS + 1000 };
    pump.turn(due);
    assert_eq!(sends(&act(&mut pump, due)), streams);
    (pump, fillers, due)
}

fn sends(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Send { .. })).count()
}

fn tickets(actions: &[Action]) -> Vec<u64> {
    let ticket = |action: &Action| match action {
        Action::Spool(Request::Store { ticket, .. }) => Some(*ticket),
        _ => None,
    };
    actions.iter().filter_map(ticket).collect()
}

#[test]
fn what_rests_is_tried_at_once_when_the_children_have_ended_and_only_then() {
    let (mut pump, _fillers, now) = in_calls(1, None);
    pump.answered(0, away(), now.mono);
    assert_eq!(sends(&act(&mut pump, now)), 0);
    pump.drain(now.mono);
    assert_eq!(sends(&act(&mut pump, now)), 1);
    pump.answered(0, away(), now.mono);
    pump.drain(now.mono);
    assert_eq!(sends(&act(&mut pump, now)), 0, "it is told once");
}

#[test]
fn rings_that_have_all_ended_and_are_empty_say_that_the_children_have_ended() {
    let (mut pump, mut fillers, now) = in_calls(2, None);
    pump.answered(0, away(), now.mono);
    assert!(!pump.rings_have_ended());
    fillers.pop();
    for _ in 0..3 {
        pump.turn(now);
        assert_eq!((sends(&act(&mut pump, now)), pump.rings_have_ended()), (0, false));
    }
    fillers.pop();
    assert!(pump.rings_have_ended());
    let again = (0..3).map(|_| (pump.turn(now), sends(&act(&mut pump, now))).1).sum::<usize>();
    assert_eq!(again, 1);
    pump.answered(1, Answer::Accepted(Rejected::default()), now.mono);
    assert!(!pump.is_over(now.mono), "the other is in a call");
    pump.answered(0, Answer::Accepted(Rejected::default()), now.mono);
    assert!(pump.is_over(now.mono));
}

#[test]
fn rings_are_given_up_so_that_the_intake_ends_them() {
    let (pump, fillers, _) = in_calls(2, None);
    assert!(fillers.iter().all(|filler| !filler.is_abandoned()));
    pump.abandon_rings();
    assert!(fillers.iter().all(Filler::is_abandoned));
}

#[test]
fn a_spill_is_over_when_all_that_the_rings_brought_is_on_disk() {
    let disk = Some(DiskOptions { bytes_max: 64 * MIB as u64, durable: false });
    let (mut pump, mut fillers, now) = in_calls(2, disk);
    put(&mut fillers[1], b"in an open batch\n");
    pump.turn(now);
    pump.spill();
    let asked = tickets(&act(&mut pump, now));
    assert_eq!(asked.len(), 2, "what is in calls");
    assert!(pump.turn(now));
    pump.turn(now);
    assert!(!pump.turn(now));
    let open = tickets(&act(&mut pump, now));
    assert_eq!(open.len(), 1);
    let store = |pump: &mut Pump, ticket| {
        let id = EntryId { run: 0, segment: 0, index: ticket as u32 };
        pump.spooled(Event::Stored { ticket, id, bytes: 100 }, now);
    };
    asked.into_iter().chain(open).for_each(|ticket| store(&mut pump, ticket));
    assert!(!pump.is_spilled(), "the rings have not ended");
    put(&mut fillers[0], b"another\n");
    fillers.clear();
    // What is open goes at once, and what is asked for is waited for.
    pump.turn(now);
    pump.turn(now);
    let asked = tickets(&act(&mut pump, now));
    assert_eq!((asked.len(), pump.is_spilled()), (1, false));
    asked.into_iter().for_each(|ticket| store(&mut pump, ticket));
    assert!(pump.is_spilled());
    pump.give_up(End::Shutdown, now);
    let spooled = |pump: &mut Pump| pump.ledgers().own.iter().map(|ledger| ledger.spooled.lines).collect::<Vec<_>>();
    assert_eq!(spooled(&mut pump), [2, 2]);
    // Somebody has removed a file meanwhile.
    let key = Address { group: "/g".into(), stream: "s-1".into(), ..Address::default() }.key();
    pump.spool_ended(Event::Gone { run: 0, key, sum: Sum { count: Count::new(1, 7), ..Sum::default() } });
    assert_eq!(spooled(&mut pump), [2, 1]);
    assert_eq!(pump.ledgers().own[1].ended(End::Unreadable), Count::new(1, 7));
}

#[test]
fn what_is_given_up_is_booked_wherever_it_is() {
    const RING: usize = 64 * 1024;
    let (mut pump, mut fillers) = pump(2, RING, MIB);
    let now = now();
    put(&mut fillers[0], b"open\n");
    for _ in 0..3 {
        for filler in &mut fillers {
            put(filler, &[b'x'; RING / 2]);
        }
        pump.turn(now);
    }
    assert!(pump.assembly_bytes > 0);
    fillers.clear();
    pump.give_up(End::Shutdown, now);
    assert_eq!(pump.assembly_bytes, pump.feeds.iter().map(Feed::assembly_bytes).sum::<usize>());
    let ledgers = pump.ledgers().own;
    let ended = [0, 1].map(|stream| ledgers[stream].ended(End::Shutdown));
    assert_eq!(ended, [Count::new(2, 3 * RING as u64 / 2 + 5), Count::new(1, 3 * RING as u64 / 2)]);
    assert!(ledgers.iter().all(|ledger| ledger.imbalance().is_none()));
}

#[test]
fn a_suspect_is_settled_once_its_ring_has_ended_and_not_while_it_has_room_for_more() {
    let (mut pump, mut fillers, now) = in_calls(1, None);
    pump.answered(0, Answer::Invalid("why not".into()), now.mono);
    let invalid = |pump: &mut Pump| pump.ledgers().own[0].ended(End::Invalid).lines;
    for _ in 0..3 {
        pump.turn(now);
        assert_eq!(invalid(&mut pump), 0);
    }
    fillers.clear();
    for _ in 0..3 {
        pump.turn(now);
    }
    assert_eq!(invalid(&mut pump), 1);
}

#[test]
fn a_disk_that_refuses_at_the_end_is_not_waited_for_once_the_rings_have_ended() {
    let disk = Some(DiskOptions { bytes_max: 64 * MIB as u64, durable: false });
    let (mut pump, mut fillers, now) = in_calls(1, disk);
    pump.spill();
    for ticket in tickets(&act(&mut pump, now)) {
        pump.spooled(Event::Refused { ticket, why: Refusal::Full("no space".into()) }, now);
    }
    put(&mut fillers[0], b"another\n");
    assert!(!pump.is_spilled(), "it may bring more");
    fillers.clear();
    assert!(pump.is_spilled());
}

#[test]
fn a_group_that_is_missing_is_made_and_its_streams_after_it() {
    let all = options(60 * MIB);
    let core = core::Options { create_group: true, ..all.core };
    let (mut pump, mut fillers) = pump_with(1, MIB, Options { core, ..all });
    let now = now();
    put(&mut fillers[0], b"a line\n");
    pump.turn(now);
    assert!(matches!(pump.poll(now.mono), Some(Action::CreateStream { stream: 0, .. })));
    pump.stream_created(0, Answer::NotFound("no group".into()), now.mono);
    assert!(matches!(pump.poll(now.mono), Some(Action::CreateGroup { group: 0, .. })));
    pump.group_created(0, Answer::Accepted(Rejected::default()), now.mono);
    assert!(matches!(pump.poll(now.mono), Some(Action::CreateStream { stream: 0, .. })));
}

#[test]
fn a_spool_that_dies_is_told_once_where_there_is_one() {
    for disk in [Some(DiskOptions { bytes_max: 64 * MIB as u64, durable: true }), None] {
        let all = options(60 * MIB);
        let (mut pump, _fillers) = pump_with(1, MIB, Options { core: core::Options { disk, ..all.core }, ..all });
        pump.spool_died();
        pump.spool_died();
        let said = act(&mut pump, now());
        assert_eq!(said.len(), usize::from(disk.is_some()), "{said:?}");
        assert!(said.iter().all(|action| matches!(action, Action::Say(Notice::SpoolDied))));
    }
}
