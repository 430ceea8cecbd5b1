//! Segments that are cut, flipped, zeroed or foreign: what is whole is loaded, what is not is set aside and counted once.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const ENTRIES: u64 = 5;

/// Five entries in one segment, and where each begins.
fn written() -> (Rig, Vec<usize>) {
    let mut rig = Rig::new(SyncPolicy::Never);
    let mut begins = Vec::new();
    for number in 0..ENTRIES {
        begins.push(rig.store.segment(own(0)).map_or(0, |segment| segment.length as usize));
        rig.store(entry((number % 2) as u8, number, 40), false);
    }
    begins.push(rig.disk.segment_bytes().len());
    (rig, begins)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    loaded: Vec<u64>,
    adopted: Count,
    aside: Count,
    aside_bytes: u64,
    asides: usize,
}

/// Loads and ends everything that is there.
fn fate(rig: &mut Rig) -> Fate {
    let mut fate = Fate::default();
    for _ in 0..=ENTRIES {
        let mut over = false;
        for event in rig.ask(Request::Load { except: vec![] }) {
            match event {
                Event::Loaded { id, entry } => {
                    assert_eq!(*entry, super::entry((entry.sequence % 2) as u8, entry.sequence, 40));
                    fate.loaded.push(entry.sequence);
                    rig.store.request(Request::Done(id));
                }
                Event::Adopted { count, .. } => fate.adopted += count,
                Event::SetAside { sum: Sum { count, .. }, bytes, .. } => {
                    fate.aside += count;
                    fate.aside_bytes += bytes;
                    fate.asides += 1;
                }
                Event::Nothing => over = true,
                Event::Freed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        if over {
            break;
        }
    }
    rig.settle();
    fate
}

fn counted(fate: &Fate) -> Count {
    fate.loaded.iter().fold(fate.aside, |sum, _| sum + COUNT)
}

#[test]
fn a_segment_cut_at_any_byte_has_all_its_whole_entries_and_no_more() {
    for cut in 0..=written().1[ENTRIES as usize] {
        let (mut rig, begins) = written();
        rig.disk.segment_bytes().truncate(cut);
        let mut rig = rig.restart();
        let fate = fate(&mut rig);
        let whole = begins[1..].iter().filter(|end| **end <= cut).count();
        assert_eq!(fate.loaded, (0..whole as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!((counted(&fate), fate.aside), (fate.adopted, Count::default()), "cut at {cut}");
        assert_eq!(fate.aside_bytes, (cut - begins[whole]) as u64, "cut at {cut}");
        assert_eq!(rig.disk.aside_bytes(), fate.aside_bytes, "cut at {cut}");
        assert_eq!(rig.disk.all_bytes(), fate.aside_bytes, "cut at {cut}");
        assert_eq!(rig.store.used_bytes(), fate.aside_bytes, "cut at {cut}");
        assert_eq!(rig.disk.runs(), 1 + usize::from(fate.aside_bytes > 0), "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_costs_its_own_entry_whether_it_was_there_before_or_comes_while_we_run() {
    let (_, begins) = written();
    for place in 0..begins[ENTRIES as usize] {
        for while_running in [false, true] {
            let (mut rig, _) = written();
            rig.disk.segment_bytes()[place] ^= 0x40;
            if !while_running {
                rig = rig.restart();
            }
            let mut fate = fate(&mut rig);
            if while_running {
                fate.adopted = Count::new(COUNT.lines * ENTRIES, COUNT.bytes * ENTRIES);
            }
            let hit = begins.partition_point(|begin| *begin <= place) as u64 - 1;
            let expected: Vec<_> = (0..ENTRIES).filter(|number| *number != hit).collect();
            assert_eq!(fate.loaded, expected, "flipped at {place}");
            assert_eq!(counted(&fate), fate.adopted, "flipped at {place}");
            assert_eq!(fate.asides, 1, "flipped at {place}");
            let hit_bytes = (begins[hit as usize + 1] - begins[hit as usize]) as u64;
            assert_eq!((fate.aside_bytes, rig.disk.aside_bytes()), (hit_bytes, hit_bytes), "flipped at {place}");
        }
    }
}

#[test]
fn what_ship_has_in_memory_is_not_counted_as_lost_with_its_record() {
    let mut rig = Rig::new(SyncPolicy::Never);
    let kept: Vec<_> = (0..3).map(|number| rig.store(entry(0, number, 40), true)).collect();
    rig.store(entry(0, 3, 40), false);
    rig.disk.segment_bytes()[..200].fill(0);
    let events = rig.ask(Request::Load { except: vec![] });
    let [Event::SetAside { sum: Sum { count, .. }, .. }, Event::Loaded { entry: loaded, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((*count, loaded.sequence), (Count::default(), 3));
    rig.store.request(Request::Done(kept[1]));
    let events = rig.ask(Request::PutBack(kept[0]));
    assert!(matches!(events[..], [Event::SetAside { run: 0, sum: Sum { count: COUNT, .. }, .. }]), "{events:?}");
    assert_eq!(rig.ask(Request::PutBack(kept[2])), []);
    assert_eq!(sequence(rig.load(&[])), Some(2));
}

#[test]
fn what_waits_for_its_sync_is_refused_and_not_counted_as_lost_when_its_record_is_damaged() {
    let mut rig = Rig::new(SyncPolicy::Always);
    rig.store(entry(0, 0, 40), false);
    let ticket = rig.request_store(entry(0, 1, 40), false);
    let step = |rig: &mut Rig, lane| {
        rig.submit();
        let completion = rig.disk.complete_lane(lane, Fault::None);
        completion.map(|completion| rig.store.completed(completion, rig.now)).is_some()
    };
    assert!(step(&mut rig, Lane::Append));
    rig.disk.segment_bytes().fill(0);
    rig.store.request(Request::Load { except: vec![] });
    assert!((0..STEPS_MAX).any(|_| !step(&mut rig, Lane::Read)), "it reads on and on");
    let events = rig.events();
    let aside = events.iter().filter_map(|event| match event {
        Event::SetAside { sum: Sum { count, .. }, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(aside.fold(Count::default(), |sum, count| sum + count), COUNT);
    let refused = |event: &Event| matches!(event, Event::Refused { ticket: it, .. } if *it == ticket);
    assert!(events.iter().any(refused), "{events:?}");
    rig.settle();
    assert_eq!(rig.load(&[]), None);
}

#[test]
fn what_is_put_back_behind_a_scan_is_not_counted_as_lost() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store.segment_bytes_max = 1 << 20;
    let kept = rig.store(entry(0, 0, 40_000), true);
    for number in 1..4 {
        rig.store(entry(0, number, 40_000), false);
    }
    let bytes = rig.disk.segment_bytes();
    let second = bytes.len() / 4;
    bytes[second] ^= 1;
    rig.store.request(Request::Load { except: vec![] });
    // Which finds the damage; then the journal, and what is scanned first.
    for _ in 0..3 {
        rig.submit();
        let completion = rig.disk.complete_lane(Lane::Read, Fault::None).expect("something is to be read");
        rig.store.completed(completion, rig.now);
    }
    rig.submit();
    let mut events = rig.ask(Request::PutBack(kept));
    for _ in 0..3 {
        events.extend(rig.ask(Request::Load { except: vec![] }));
    }
    let (mut aside, mut loaded) = (Count::default(), Vec::new());
    for event in events {
        match event {
            Event::SetAside { sum: Sum { count, .. }, .. } => aside += count,
            Event::Loaded { entry, .. } => loaded.push(entry.sequence),
            _ => {}
        }
    }
    assert_eq!((aside, loaded), (COUNT, vec![0, 2, 3]));
}

#[test]
fn a_segment_of_another_version_or_of_another_run_is_kept_as_it_is() {
    // In each head: the version, the run.
    for offset in [8, 16] {
        let (mut rig, begins) = written();
        begins[..5].iter().for_each(|begin| rig.disk.segment_bytes()[begin + offset] ^= 2);
        let all = begins[5] as u64;
        let mut rig = rig.restart();
        let fate = fate(&mut rig);
        assert_eq!((fate.loaded, fate.aside, fate.aside_bytes), (vec![], Count::default(), all));
        assert_eq!((rig.disk.aside_bytes(), rig.disk.all_bytes()), (all, all));
        assert_eq!(rig.store.used_bytes(), all);
    }
}

#[test]
fn a_journal_cut_or_flipped_anywhere_brings_entries_back_and_loses_none() {
    let done = || {
        let (mut rig, _) = written();
        rig.ask(Request::Done(EntryId { run: 0, segment: 0, index: 1 }));
        rig.ask(Request::Done(EntryId { run: 0, segment: 0, index: 3 }));
        rig
    };
    assert_eq!(done().disk.journal().len(), 16);
    for place in 0..16 {
        for cut in [false, true] {
            let mut rig = done();
            if cut {
                rig.disk.journal().truncate(place);
            } else {
                rig.disk.journal()[place] ^= 1;
            }
            let lost = if cut { place / 8..2 } else { place / 8..place / 8 + 1 };
            let mut expected: BTreeSet<u64> = [0, 2, 4].into();
            expected.extend(lost.map(|which| [1, 3][which]));
            let mut rig = rig.restart();
            assert_eq!(fate(&mut rig).loaded, Vec::from_iter(expected), "at {place}");
            assert_eq!(rig.disk.runs(), 1, "at {place}");
        }
    }
}

#[test]
fn a_file_that_is_gone_is_counted_and_the_rest_goes_on() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for number in 0..8 {
        rig.store(entry(0, number, 600), false);
    }
    let in_first = rig.store.segment(own(0)).unwrap().entries;
    rig.disk.remove_segment(own(0));
    let mut gone = Sum::default();
    let mut loaded = Vec::new();
    for _ in 0..8 {
        for event in rig.ask(Request::Load { except: vec![] }) {
            match event {
                Event::Gone { sum, .. } => gone += sum,
                Event::Loaded { entry, .. } => loaded.push(entry.sequence),
                Event::Nothing | Event::Freed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(loaded, (u64::from(in_first)..8).collect::<Vec<_>>());
    let lost = (0..u64::from(in_first)).fold(Sum::default(), |sum, number| sum + entry(0, number, 600).sum());
    assert_eq!((gone, gone.count), (lost, times(in_first)));
    assert_eq!(rig.store.used_bytes(), rig.disk.all_bytes());
    let said = rig.store.next_notice().unwrap();
    assert!(said.contains("1 file of the spool was removed") && said.contains("4 lines (36 bytes)"), "{said}");
    assert_eq!(rig.store.next_notice(), None);
}

fn times(entries: u32) -> Count {
    Count::new(COUNT.lines * u64::from(entries), COUNT.bytes * u64::from(entries))
}

/// What was told of the files that are gone, by stream.
fn gone(events: &[Event]) -> BTreeMap<u64, Count> {
    let mut gone = BTreeMap::new();
    for event in events {
        if let Event::Gone { key, sum, .. } | Event::HeldGone { key, sum, .. } = event {
            *gone.entry(*key).or_default() += sum.count;
        }
    }
    gone
}

#[test]
fn at_the_end_what_is_gone_is_told_also_of_what_ship_still_has() {
    for sync in [SyncPolicy::Never, SyncPolicy::Interval, SyncPolicy::Always] {
        let mut rig = Rig::new(sync);
        let ids: Vec<_> = (0..8).map(|number| rig.store(entry((number % 2) as u8, number, 600), number >= 6)).collect();
        rig.store.request(Request::Done(ids[7]));
        rig.settle();
        let last = ids[7].segment;
        for segment in (0..=last).filter(|segment| *segment != 1) {
            rig.disk.remove_segment(own(segment));
        }
        let kept = ids.iter().filter(|id| id.segment == 1).count() as u32;
        let events = rig.ask(Request::End);
        assert_eq!(events.last(), Some(&Event::Ended));
        let [even, odd] = [0, 1].map(|stream| gone(&events)[&address(stream).key()]);
        assert_eq!(even + odd, times(7 - kept), "{events:?}");
        let mut next = Rig::on(rig.disk, sync, 1 << 30);
        let found = std::iter::from_fn(|| next.load(&[])).count() as u32;
        assert_eq!(found, kept);
    }
}

#[test]
fn a_segment_that_vanishes_while_it_is_written_to_costs_what_was_in_it() {
    for sync in [SyncPolicy::Never, SyncPolicy::Interval, SyncPolicy::Always] {
        let mut rig = Rig::new(sync);
        rig.store.segment_bytes_max = 1 << 20;
        rig.store(entry(0, 0, 300), false);
        rig.disk.remove_segment(own(0));
        rig.request_store(entry(0, 1, 300), false);
        rig.settle();
        let events = rig.events();
        assert_eq!(gone(&events)[&address(0).key()], times(1), "{events:?}");
        assert!(events.iter().any(|event| matches!(event, Event::Stored { ticket: 2, id, .. } if id.segment == 1)));
        assert_eq!(sequence(rig.load(&[])), Some(1));
        assert_eq!(rig.load(&[]), None);
        assert_eq!(rig.store.used_bytes(), rig.disk.all_bytes());
    }
}

#[test]
fn a_segment_that_cannot_be_read_holds_up_the_others_for_minutes_and_not_for_hours() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.store.segment_bytes_max = 2 << 20;
    for number in 0..20 {
        rig.store(entry(0, number, 100_000), false);
    }
    rig.store(entry(0, 20, 2 << 20), false);
    rig.store.request(Request::Load { except: vec![] });
    let before = rig.now;
    let mut aside = Count::default();
    for step in 0.. {
        assert!(step < STEPS_MAX, "it does not come to rest");
        rig.submit();
        let is_bad = rig.store.flying[Lane::Read as usize].as_ref().and_then(Op::segment) == Some(own(0));
        let fault = if is_bad { Fault::Io } else { Fault::None };
        match rig.disk.complete(0, fault) {
            Some(completion) => rig.store.completed(completion, rig.now),
            None => rig.now = rig.store.next_due().unwrap_or(rig.now),
        }
        let events = rig.events();
        aside += events.iter().fold(Count::default(), |sum, event| match event {
            Event::SetAside { sum: Sum { count, .. }, .. } => sum + *count,
            _ => sum,
        });
        let loaded = events.iter().find_map(|event| match event {
            Event::Loaded { entry, .. } => Some(entry.sequence),
            _ => None,
        });
        if let Some(sequence) = loaded {
            assert_eq!(sequence, 20);
            break;
        }
    }
    assert_eq!(aside, times(20));
    // A minute, and then three seconds for each of some thirty windows.
    assert!(rig.now - before < Duration::from_secs(60 + 3 * 35), "{:?}", rig.now - before);
}

#[test]
fn where_each_segment_vanishes_a_body_is_refused() {
    let mut rig = Rig::new(SyncPolicy::Never);
    rig.request_store(entry(0, 0, 300), false);
    let mut steps = 0;
    let refused = loop {
        rig.submit();
        if let (&[Lane::Append], Some(current)) = (&rig.disk.lanes()[..], rig.store.append.current) {
            rig.disk.remove_segment(own(current));
        }
        let completion = rig.disk.complete(0, Fault::None).unwrap();
        rig.store.completed(completion, rig.now);
        if let Some(event) = rig.events().into_iter().find(|event| matches!(event, Event::Refused { .. })) {
            break event;
        }
        steps += 1;
        assert!(steps < 100, "it goes on for ever");
    };
    assert!(matches!(refused, Event::Refused { ticket: 1, why: Refusal::Failed(_) }));
    rig.store(entry(0, 1, 300), false);
}

#[test]
fn what_is_unwanted_is_not_lost_with_its_file() {
    for told_before in [false, true] {
        let mut rig = Rig::new(SyncPolicy::Never);
        let ids: Vec<_> = (0..2).map(|number| rig.store(entry(0, number, 300), false)).collect();
        let unwanted = Request::Unwanted { id: ids[0], key: address(0).key(), sum: entry(0, 0, 300).sum() };
        if !told_before {
            assert_eq!(rig.ask(unwanted.clone()), []);
        }
        rig.disk.remove_segment(own(0));
        let mut events = rig.ask(Request::Load { except: vec![] });
        if told_before {
            events.extend(rig.ask(unwanted));
            assert_eq!(events.last(), Some(&Event::NotLost { key: address(0).key(), sum: entry(0, 0, 300).sum() }));
        }
        assert_eq!(gone(&events)[&address(0).key()], times(1 + u32::from(told_before)), "{events:?}");
    }
}

#[test]
fn an_adopted_segment_that_vanishes_before_it_was_looked_at_holds_up_nothing() {
    let mut rig = Rig::new(SyncPolicy::Never);
    for number in 0..8 {
        rig.store(entry(0, number, 600), false);
    }
    let mut rig = rig.restart();
    rig.disk.remove_segment(SegmentId { run: 1, segment: 0 });
    let found = std::iter::from_fn(|| rig.load(&[])).count();
    assert_eq!(found, 6);
    assert!(rig.store.runs[1].adopted);
}
