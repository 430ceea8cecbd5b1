//! What a turn takes on, with rings of several streams.

use super::*;
use crate::clock;
use crate::limits::BATCH_BYTES_MAX;
use crate::ring::{Filler, ring};
use crate::sys::bell::Bell;

const MIB: usize = 1024 * 1024;
const NOW_MS: i64 = 1_700_000_000_000;

fn pump(streams: usize, ring_bytes: usize, assembly_bytes_max: usize) -> (Pump, Vec<Filler>) {
    let [intake, ship] = [(); 2].map(|()| Bell::new().unwrap());
    let (fillers, rings): (Vec<_>, Vec<_>) = (0..streams).map(|_| ring(ring_bytes, &intake, &ship).unwrap()).unzip();
    let stream = |(index, ring)| {
        let address = Address { group: "/g".into(), stream: format!("s-{index}"), ..Address::default() };
        Stream { address: Arc::new(address), ring, treatment: Treatment::default() }
    };
    let core = core::Options {
        max_in_flight: 8,
        stream_window: 8,
        create_group: false,
        body_bytes_max: 60 * MIB,
        disk: None,
        seed: 7,
    };
    let linger = Duration::from_secs(1);
    let options = Options { gzip: false, linger, when_full: WhenFull::Block, assembly_bytes_max, core };
    (Pump::new(rings.into_iter().enumerate().map(stream).collect(), options, None), fillers)
}

fn put(filler: &mut Filler, bytes: &[u8]) {
    filler.vacant()[..bytes.len()].copy_from_slice(bytes);
    filler.publish(bytes.len(), NOW_MS);
}

#[test]
fn a_turn_ends_after_a_body_so_that_what_happened_meanwhile_is_known() {
    const STREAMS: usize = 4;
    let (mut pump, mut fillers) = pump(STREAMS, 4 * MIB, 0);
    let lines = [&[b'x'; 999][..], b"\n"].concat().repeat(3 * MIB / 1000);
    fillers.iter_mut().for_each(|filler| put(filler, &lines));
    let now = Now { mono: clock::now(), wall_ms: NOW_MS };
    let mut served = Vec::new();
    for _ in 0..2 * STREAMS {
        let before: Vec<_> = (0..STREAMS).map(|stream| pump.view(stream).held_bytes).collect();
        assert!(pump.turn(now), "there is more to do");
        let made: Vec<_> = (0..STREAMS).filter(|stream| pump.view(*stream).held_bytes > before[*stream]).collect();
        assert_eq!(made.len(), 1, "bodies in one turn");
        served.extend(made);
    }
    // And each stream has its turn.
    assert_eq!(served, [0, 1, 2, 3, 0, 1, 2, 3]);
    assert!(pump.view(0).held_bytes >= 2 * BATCH_BYTES_MAX * 9 / 10);
}

#[test]
fn partial_lines_that_leave_their_rings_are_bounded_together() {
    const STREAMS: usize = 8;
    const RING: usize = 64 * 1024;
    let (mut pump, mut fillers) = pump(STREAMS, RING, 2 * MIB);
    let now = Now { mono: clock::now(), wall_ms: NOW_MS };
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
