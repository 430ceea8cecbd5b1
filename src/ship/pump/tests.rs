//! What a turn takes on, with rings of several streams.

mod end;
mod full;

use super::super::answer::Rejected;
use super::*;
use crate::clock;
use crate::limits::{BATCH_BYTES_MAX, DURABLE_FLUSH, VISIT_BYTES_MAX};
use crate::ring::{Filler, ring};
use crate::spool::wire::Request;
use crate::sys::bell::Bell;

const MIB: usize = 1024 * 1024;
const NOW_MS: i64 = 1_700_000_000_000;

fn pump(streams: usize, ring_bytes: usize, assembly_bytes_max: usize) -> (Pump, Vec<Filler>) {
    pump_with(streams, ring_bytes, Options { assembly_bytes_max, ..options(60 * MIB) })
}

fn options(body_bytes_max: usize) -> Options {
    let core =
        core::Options { max_in_flight: 8, stream_window: 8, create_group: false, body_bytes_max, disk: None, seed: 7 };
    let linger = Duration::from_secs(1);
    Options { gzip: false, linger, when_full: WhenFull::Block, assembly_bytes_max: 0, core }
}

fn pump_with(streams: usize, ring_bytes: usize, options: Options) -> (Pump, Vec<Filler>) {
    let [intake, ship] = [(); 2].map(|()| Bell::new().unwrap());
    let (fillers, rings): (Vec<_>, Vec<_>) = (0..streams).map(|_| ring(ring_bytes, &intake, &ship).unwrap()).unzip();
    let stream = |(index, ring)| {
        let address = Address { group: "/g".into(), stream: format!("s-{index}"), ..Address::default() };
        Stream { address: Arc::new(address), ring, treatment: Treatment::default() }
    };
    (Pump::new(rings.into_iter().enumerate().map(stream).collect(), options, None), fillers)
}

fn now() -> Now {
    Now { mono: clock::now(), wall_ms: NOW_MS }
}

fn put(filler: &mut Filler, bytes: &[u8]) {
    filler.vacant()[..bytes.len()].copy_from_slice(bytes);
    filler.publish(bytes.len(), NOW_MS);
}

#[test]
fn a_turn_ends_after_two_bodies_so_that_what_happened_meanwhile_is_known() {
    const STREAMS: usize = 4;
    let (mut pump, mut fillers) = pump(STREAMS, 4 * MIB, 0);
    let lines = [&[b'x'; 999][..], b"\n"].concat().repeat(3 * MIB / 1000);
    fillers.iter_mut().for_each(|filler| put(filler, &lines));
    let now = now();
    let mut served = Vec::new();
    for _ in 0..STREAMS {
        let before: Vec<_> = (0..STREAMS).map(|stream| pump.view(stream).held_bytes).collect();
        assert!(pump.turn(now), "there is more to do");
        let made: Vec<_> = (0..STREAMS).filter(|stream| pump.view(*stream).held_bytes > before[*stream]).collect();
        assert_eq!(made.len(), 1, "whose ring holds two has both made");
        served.extend(made);
    }
    // And each stream has its turn.
    assert_eq!(served, [0, 1, 2, 3]);
    for stream in served {
        let bodies = pump.view(stream).held_bytes as f64 / BATCH_BYTES_MAX as f64;
        assert!((1.9..2.2).contains(&bodies), "{bodies}");
    }
}

#[test]
fn partial_lines_that_leave_their_rings_are_bounded_together() {
    const STREAMS: usize = 8;
    const RING: usize = 64 * 1024;
    let (mut pump, mut fillers) = pump(STREAMS, RING, 2 * MIB);
    let now = now();
    // Each stream gets nearly a megabyte without a newline.
    for _ in 0..28 {
        for filler in &mut fillers {
            put(filler, &[b'x'; RING / 2]);
        }
        for _ in 0..2 * STREAMS {
            pump.turn(now);
        }
        let held: usize = pump.feeds.iter().map(Feed::assembly_bytes).sum();
        assert!(held <= 2 * MIB + STREAMS * RING, "{held} bytes are held");
        assert_eq!(held, pump.assembly_bytes);
    }
    assert!((0..STREAMS).any(|stream| pump.view(stream).open_bytes > 0), "some lines are cut");
}

/// What is to be done, the streams being created at once.
fn act(pump: &mut Pump, now: Now) -> Vec<Action> {
    let mut actions = Vec::new();
    while let Some(action) = pump.poll(now.mono) {
        match action {
            Action::CreateStream { stream, .. } => {
                pump.stream_created(stream, Answer::Accepted(Rejected::default()), now.mono);
            }
            other => actions.push(other),
        }
        assert!(actions.len() < 100, "it asks in a circle: {actions:?}");
    }
    actions
}

#[test]
fn what_open_batches_take_is_counted_once_whoever_of_them_grows() {
    const STREAMS: usize = 8;
    // The bound is 4 MiB, and a share of it half of one.
    let (mut pump, mut fillers) = pump_with(STREAMS, 4 * MIB, options(VISIT_BYTES_MAX + 8 * MIB));
    let now = now();
    let later = Now { mono: now.mono + Duration::from_secs(1), wall_ms: NOW_MS + 1000 };
    let line = [&[b'x'; 999][..], b"\n"].concat();
    // Three full bodies of the last stream's are in calls.
    put(&mut fillers[STREAMS - 1], &line.repeat(3 * (BATCH_BYTES_MAX / 1025)));
    for now in [now, now, now, later] {
        pump.first = STREAMS - 1;
        pump.turn(now);
        act(&mut pump, now);
    }
    assert_eq!((pump.view(STREAMS - 1).flying, pump.open_bytes()), (3, 0));
    // More than a share, and more than half of what is left.
    put(&mut fillers[0], &line.repeat(490));
    pump.first = 0;
    pump.turn(later);
    let (left, open) = (4 * MIB - pump.view(STREAMS - 1).held_bytes, pump.view(0).open_bytes);
    assert!(open >= MIB / 2 && open < left && 2 * open > left, "{open} of {left}");
    // It gets some more, and is the first whose turn it is.
    pump.first = 0;
    put(&mut fillers[0], &line);
    put(&mut fillers[STREAMS - 1], &line);
    let soon = Now { mono: later.mono + Duration::from_millis(500), wall_ms: NOW_MS + 1500 };
    pump.turn(soon);
    assert_eq!(pump.view(0).held_bytes, 0, "it need not go yet");
    assert_eq!(pump.view(STREAMS - 1).unframed_bytes, 0, "there is room for the others");
    // The bound is reached: it is large enough, though not due.
    put(&mut fillers[STREAMS - 1], &line.repeat(1100));
    for first in [STREAMS - 1, 0] {
        pump.first = first;
        pump.turn(soon);
    }
    assert!(pump.view(0).held_bytes > 0 && pump.view(0).open_bytes == 0);
}

#[test]
fn a_turn_says_whether_there_was_something_to_do_and_who_is_first_next_time() {
    let (mut pump, mut fillers) = pump(3, MIB, 0);
    let start = now();
    for first in [1, 2, 0, 1] {
        assert!(!pump.turn(start));
        assert_eq!((pump.first, act(&mut pump, start)), (first, vec![]));
    }
    assert_eq!(pump.may_sleep(start.mono), Some(None));
    pump.awake();
    put(&mut fillers[1], b"a line\n");
    assert_eq!(pump.may_sleep(start.mono), None);
    assert!(pump.turn(start));
    assert!(!pump.turn(start));
    // It is created while the batch is open.
    assert!(matches!(pump.poll(start.mono), Some(Action::CreateStream { stream: 1, .. })));
    assert_eq!(pump.poll(start.mono), None);
    assert_eq!(pump.may_sleep(start.mono), Some(Some(start.mono + Duration::from_secs(1))));
    // Also for a line that has not ended.
    put(&mut fillers[2], b"half a line");
    let later = Now { mono: start.mono + Duration::from_millis(1500), ..start };
    pump.turn(later);
    assert_eq!(pump.may_sleep(later.mono), Some(Some(later.mono + Duration::from_secs(1))));
}

#[test]
fn what_is_to_be_durable_does_not_wait_for_the_linger_while_hardly_anything_is_under_way() {
    for durable in [false, true] {
        let mut options = options(60 * MIB);
        options.core.disk = Some(core::DiskOptions { bytes_max: 1 << 30, durable });
        // One body under way is enough of them.
        options.core.max_in_flight = 4;
        let (mut pump, mut fillers) = pump_with(1, MIB, options);
        let start = now();
        let at = |after: Duration| Now { mono: start.mono + after, ..start };
        let line = |pump: &mut Pump, filler: &mut Filler, after| {
            put(filler, b"a line\n");
            pump.turn(at(after));
            act(pump, at(after));
            pump.may_sleep(at(after).mono).expect("there is nothing to do now").expect("a batch is open")
        };
        let linger = Duration::from_secs(1);
        let due = line(&mut pump, &mut fillers[0], Duration::ZERO);
        pump.awake();
        assert_eq!(due - start.mono, if durable { DURABLE_FLUSH } else { linger });
        pump.turn(at(DURABLE_FLUSH));
        let actions = act(&mut pump, at(DURABLE_FLUSH));
        let is_store = |action: &Action| matches!(action, Action::Spool(Request::Store { .. }));
        assert_eq!(actions.iter().any(is_store), durable, "{actions:?}");
        let due = line(&mut pump, &mut fillers[0], DURABLE_FLUSH * 2);
        pump.awake();
        let expected = if durable { DURABLE_FLUSH * 2 + linger } else { linger };
        assert_eq!(due - start.mono, expected, "the first is on its way to the disk still");
    }
}
