//! Parts of a body that lies on disk.

use super::*;
use crate::batch::{Head, OpenBatch};
use crate::limits::WAITING_BODIES_PER_STREAM_MAX;
use crate::lines::Record;
use crate::spool::wire::{EntryId, Event, Refusal};

const WALL_MS: i64 = 1_000;

fn id(index: u32) -> EntryId {
    EntryId { run: 0, segment: 0, index }
}

/// With a spool for bodies that are to be safe before they are sent.
fn durable(max_in_flight: usize) -> Desk {
    let disk = Some(DiskOptions { bytes_max: 1 << 26, durable: true });
    let mut desk = Desk::new(1, Options { disk, ..options(max_in_flight, max_in_flight) });
    desk.core.spooled(Event::Searched, desk.now, WALL_MS);
    desk
}

impl Desk {
    /// The spool does what it is asked for, and the entries are numbered on.
    fn spool_works(&mut self) {
        while let Some(request) = self.asked.pop_front() {
            match request {
                Request::Store { ticket, .. } => {
                    let bytes = 100;
                    self.core.spooled(Event::Stored { ticket, id: id(self.stored_entries), bytes }, self.now, WALL_MS);
                    self.stored_entries += 1;
                }
                Request::Done(id) => self.done.push(id.index),
                other => panic!("{other:?}"),
            }
            self.check();
        }
    }
}

#[test]
fn a_body_on_disk_is_done_when_the_last_of_its_parts_has_its_end() {
    let mut desk = durable(2);
    desk.offer(0, "a | bad | c | d");
    assert!(desk.act().is_empty());
    desk.spool_works();
    desk.act();
    desk.answer("a bad c d", invalid());
    desk.act();
    desk.answer("c d", ok());
    desk.answer("a bad", invalid());
    desk.act();
    desk.answer("a", ok());
    desk.act();
    desk.spool_works();
    assert!(desk.done.is_empty(), "if we are killed now, the rest is found there");
    desk.answer("bad", invalid());
    desk.act();
    desk.spool_works();
    assert!(desk.done.is_empty(), "a suspect has no end yet");
    desk.core.settle_unproven(|_| true, desk.now);
    desk.act();
    desk.spool_works();
    assert_eq!((desk.done.clone(), desk.core.is_empty(desk.now)), (vec![0], true));
    assert_eq!(desk.core.streams[0].disk.bytes, 0);
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (3, 1));
}

/// Three parts of a body on disk: one waits, one flies, one is a suspect.
fn in_parts() -> Desk {
    let mut desk = durable(1);
    desk.offer(0, "bad | b | c | d");
    desk.act();
    desk.spool_works();
    desk.act();
    for text in ["bad b c d", "bad b", "bad"] {
        desk.answer(text, invalid());
        desk.act();
    }
    assert_eq!(desk.core.streams[0].refusals.suspects.len(), 1);
    desk
}

#[test]
fn at_the_end_parts_go_to_the_disk_by_themselves_and_the_whole_is_done_there() {
    let mut desk = in_parts();
    desk.core.spill();
    desk.act();
    desk.spool_works();
    assert!(desk.core.is_spilled());
    desk.act();
    desk.spool_works();
    assert_eq!((desk.stored_entries, desk.done.clone()), (4, vec![0]), "the whole, and each part in its place");
    desk.core.give_up(End::Shutdown);
    assert_eq!((desk.core.spooled_of(0).lines, desk.ended(0, End::Shutdown)), (4, 0));
}

#[test]
fn parts_that_the_disk_refuses_at_the_end_are_found_there_as_the_whole() {
    let mut desk = in_parts();
    desk.core.spill();
    desk.act();
    while let Some(Request::Store { ticket, .. }) = desk.asked.pop_front() {
        desk.core.spooled(Event::Refused { ticket, why: Refusal::Full("full".into()) }, desk.now, WALL_MS);
    }
    desk.core.give_up(End::Shutdown);
    assert_eq!((desk.core.spooled_of(0).lines, desk.ended(0, End::Shutdown), desk.done.len()), (4, 0, 0));
}

#[test]
fn of_a_body_in_parts_that_is_gone_at_the_end_what_had_its_end_is_not_lost() {
    let mut desk = in_parts();
    desk.offer(0, "e | f");
    desk.act();
    desk.spool_works();
    desk.answer("b", ok());
    desk.act();
    assert_eq!((desk.ended(0, End::Delivered), desk.ended(0, End::Invalid)), (1, 1));
    let whole = left(&["bad", "b", "c", "d"]).sum();
    desk.core.give_up(End::Shutdown);
    assert_eq!(desk.core.spooled_of(0).lines, 4);
    let key = desk.core.streams[0].address.key();
    desk.core.spool_ended(Event::HeldGone { id: id(0), key, sum: whole });
    assert_eq!((desk.core.spooled_of(0).lines, desk.ended(0, End::Unreadable)), (2, 2));
    desk.check();
}

/// A body that an ended run left, of these events.
fn left(texts: &[&str]) -> Arc<Entry> {
    let mut batch = OpenBatch::new(&Head::new("group", "stream-0"));
    for text in texts {
        batch.push(&Record { text, raw_bytes: 5, line: 0, begins: true, ends: true }, WALL_MS).unwrap();
    }
    let address = Arc::new(Address { group: "group".into(), stream: "stream-0".into(), ..Address::default() });
    Parcel::new(batch.close(), Label { address, sequence: 0, serial: false, gzip: false }, |json| json).entry
}

#[test]
fn a_suspect_that_an_ended_run_left_is_settled_at_the_end_and_not_before() {
    let mut desk = durable(1);
    let entry = left(&["bad"]);
    let adopted = Event::Adopted { run: 1, entries: 1, count: entry.count(), bytes: 100 };
    desk.core.spooled(adopted, desk.now, WALL_MS);
    desk.act();
    assert!(matches!(desk.asked.pop_front(), Some(Request::Load { .. })));
    let loaded = Event::Loaded { id: EntryId { run: 1, ..id(77) }, entry: Box::new((*entry).clone()) };
    desk.core.spooled(loaded, desk.now, WALL_MS);
    assert_eq!(desk.act(), ["bad"]);
    desk.answer("bad", invalid());
    desk.act();
    desk.asked.clear();
    assert!(desk.core.disk_is_empty(desk.now));
    let invalid = |desk: &Desk| desk.core.adopted_ledger().ended(End::Invalid).lines;
    desk.core.settle_unproven(|_| true, desk.now);
    assert_eq!(invalid(&desk), 0, "more of that run may come");
    desk.core.drain(desk.now);
    desk.core.settle_unproven(|_| false, desk.now);
    assert_eq!(invalid(&desk), 1);
}

#[test]
fn what_an_ended_run_left_is_taken_apart_like_any_other() {
    let mut desk = durable(1);
    let fills = WAITING_BODIES_PER_STREAM_MAX + 1;
    for index in 0..fills {
        desk.offer_at(0, &format!("f{index}"), 1_000 + 10 * index as i64, false);
        desk.spool_works();
        desk.act();
    }
    // One that comes from another run's spool.
    let entry = left(&["x", "bad", "y", "z"]);
    let adopted = Event::Adopted { run: 1, entries: 1, count: entry.count(), bytes: 100 };
    desk.core.spooled(adopted, desk.now, WALL_MS);
    desk.answer("f0", ok());
    desk.act();
    let load = |request: &Request| matches!(request, Request::Load { .. });
    let at = desk.asked.iter().position(load).expect("it asks for it");
    desk.asked.remove(at);
    let adopted = EntryId { run: 1, ..id(77) };
    let loaded = Event::Loaded { id: adopted, entry: Box::new((*entry).clone()) };
    desk.core.spooled(loaded, desk.now, WALL_MS);
    for _ in 0..20 {
        desk.asked.retain(|request| !load(request));
        desk.serve(is_bad);
        if desk.core.streams[1].refusals.suspects.len() == 1 {
            break;
        }
    }
    desk.spool_works();
    assert_eq!(desk.core.adopted_ledger().ended(End::Invalid).lines, 1, "y and z proved it");
    assert_eq!(desk.core.adopted_ledger().ended(End::Delivered), Count::new(3, 15));
    assert_eq!(desk.core.adopted_ledger().imbalance(), None);
    assert!(desk.done.contains(&77));
    assert_eq!(desk.core.streams[1].disk.bytes, 0);
}

#[test]
fn a_suspect_is_not_settled_while_another_body_of_its_stream_is_on_its_way_to_the_disk() {
    let mut desk = durable(1);
    desk.offer(0, "bad");
    desk.act();
    desk.spool_works();
    desk.act();
    desk.answer("bad", invalid());
    desk.act();
    desk.offer(0, "good");
    desk.core.settle_unproven(|_| true, desk.now);
    assert_eq!((desk.ended(0, End::Invalid), desk.core.streams[0].refusals.suspects.len()), (0, 1));
    desk.act();
    desk.spool_works();
    assert_eq!(desk.act(), ["good"]);
    desk.answer("good", ok());
    assert_eq!(desk.ended(0, End::Invalid), 1, "that proved it");
}
