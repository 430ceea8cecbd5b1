//! Both engines, against real pipes.

use super::*;
use crate::ring::{Drainer, ring};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

const RING_BYTES: usize = 64 * 1024;
const GIVE_UP: Duration = Duration::from_secs(20);

/// The thread's end: on the engine that was asked for, or the test has tested another.
fn ended(thread: JoinHandle<Outcome>) -> Vec<Discarded> {
    let outcome = thread.join().unwrap();
    assert_eq!((outcome.engine, outcome.failed), (None, false));
    outcome.discarded
}

struct Rig {
    writers: Vec<Option<OwnedFd>>,
    drainers: Vec<Drainer>,
    remote: Remote,
    ship_bell: Arc<Bell>,
    thread: JoinHandle<Outcome>,
}

fn start(kind: Kind, pipes: usize) -> Rig {
    let (intake_bell, ship_bell) = (Bell::new().unwrap(), Bell::new().unwrap());
    let (mut writers, mut drainers, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..pipes {
        let (pipe, writer, _) = pipe::open(65_536).unwrap();
        let (filler, drainer) = ring(RING_BYTES, &intake_bell, &ship_bell).unwrap();
        writers.push(Some(writer));
        drainers.push(drainer);
        sources.push(Source { name: format!("child-{index}"), pipe, filler });
    }
    let (remote, commands) = remote(&intake_bell);
    let thread = std::thread::spawn(move || run(kind, sources, &intake_bell, &commands));
    Rig { writers, drainers, remote, ship_bell, thread }
}

impl Rig {
    /// Takes everything out of one ring until it has `bytes` or has ended.
    fn drain(&mut self, pipe: usize, bytes: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        let give_up = clock::now() + GIVE_UP;
        loop {
            let drainer = &mut self.drainers[pipe];
            let ended = drainer.ended();
            let occupied = drainer.occupied();
            let count = occupied.len();
            seen.extend_from_slice(occupied);
            drainer.release(count);
            if ended || seen.len() >= bytes {
                return seen;
            }
            assert!(clock::now() < give_up, "{} of {bytes} bytes after {GIVE_UP:?}", seen.len());
            if drainer.sleep_until(drainer.filled() + 1) {
                self.ship_bell.wait(Some(Duration::from_secs(1)));
            }
        }
    }
}

fn both(test: impl Fn(Kind)) {
    test(Kind::Uring);
    test(Kind::Epoll);
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn every_byte_comes_through_a_ring_that_is_smaller_than_the_output() {
    both(|kind| {
        let mut rig = start(kind, 1);
        let sent = pattern(3_000_000);
        let writer = rig.writers[0].take().unwrap();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let count = rustix::io::write(&writer, &rest[..rest.len().min(999)]).unwrap();
                rest = &rest[count..];
            }
        });
        assert!(rig.drain(0, usize::MAX) == expected);
        writing.join().unwrap();
        assert_eq!(ended(rig.thread), [Discarded::default()]);
    });
}

#[test]
fn of_a_pipe_that_is_set_to_packets_none_is_cut_where_the_ring_is_nearly_full() {
    both(|kind| {
        let mut rig = start(kind, 1);
        let writer = rig.writers[0].take().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::DIRECT).unwrap();
        // Of a size that fits into no ring a whole number of times.
        let sent = pattern(3001 * 200);
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            sent.chunks(3001).for_each(|packet| assert_eq!(rustix::io::write(&writer, packet), Ok(3001)));
        });
        let give_up = clock::now() + GIVE_UP;
        while !rig.drainers[0].is_full() {
            assert!(clock::now() < give_up, "{} bytes in the ring", rig.drainers[0].occupied_bytes());
            std::thread::yield_now();
        }
        assert!(rig.drain(0, usize::MAX) == expected);
        writing.join().unwrap();
        assert_eq!(ended(rig.thread), [Discarded::default()]);
    });
}

#[test]
fn a_line_after_a_silence_is_seen_and_the_end_ends_the_ring() {
    both(|kind| {
        let mut rig = start(kind, 3);
        for round in 0..5u8 {
            for pipe in [2, 0] {
                let line = [b'a' + round, b'\n'];
                rustix::io::write(rig.writers[pipe].as_ref().unwrap(), &line).unwrap();
                assert_eq!(rig.drain(pipe, 2), line);
            }
            // Longer than four empty ticks: the pipes are armed again.
            rig.ship_bell.wait(Some(Duration::from_millis(20)));
        }
        rig.writers.clear();
        for pipe in 0..3 {
            assert_eq!(rig.drain(pipe, usize::MAX), b"");
        }
        ended(rig.thread);
    });
}

#[test]
fn a_pipe_that_others_hold_is_closed_when_its_grace_is_over_and_its_bytes_are_kept() {
    both(|kind| {
        let mut rig = start(kind, 1);
        rustix::io::write(rig.writers[0].as_ref().unwrap(), b"before\n").unwrap();
        assert_eq!(rig.drain(0, 7), b"before\n");
        let close_at = clock::now() + Duration::from_millis(50);
        rig.remote.send(Command::LeaderEnded { pipe: 0, close_at });
        rustix::io::write(rig.writers[0].as_ref().unwrap(), b"grandchild\n").unwrap();
        assert_eq!(rig.drain(0, usize::MAX), b"grandchild\n");
        let writer = rig.writers[0].take().unwrap();
        assert_eq!(ended(rig.thread), [Discarded::default()]);
        assert_eq!(rustix::io::write(&writer, b"late"), Err(Errno::PIPE));
    });
}

#[test]
fn what_stands_in_an_abandoned_pipe_is_counted() {
    both(|kind| {
        let rig = start(kind, 1);
        // One byte more than the ring holds, in whole lines; nobody drains.
        let line = b"0123456789abcde\n";
        let lines = RING_BYTES / line.len() + 100;
        for _ in 0..lines {
            rustix::io::write(rig.writers[0].as_ref().unwrap(), line).unwrap();
        }
        while !rig.drainers[0].is_full() {
            std::thread::yield_now();
        }
        rig.remote.send(Command::Abandon);
        let discarded = ended(rig.thread)[0];
        let in_ring = rig.drainers[0].occupied_bytes() / line.len();
        assert!(rig.drainers[0].is_full() && in_ring <= lines - 100, "{in_ring} lines");
        let lines = (lines - in_ring) as u64;
        assert_eq!(discarded, Discarded { lines, bytes: lines * line.len() as u64 });
        assert!(rig.drainers[0].ended());
    });
}

#[test]
fn a_child_whose_ring_is_full_goes_on_writing_when_ship_is_gone() {
    both(|kind| {
        let mut rig = start(kind, 1);
        let line = b"0123456789abcde\n";
        let writer = rig.writers[0].take().unwrap();
        let (written, all_written) = channel();
        std::thread::spawn(move || {
            for _ in 0..20 * RING_BYTES / line.len() {
                rustix::io::write(&writer, line).unwrap();
            }
            written.send(()).unwrap();
        });
        let give_up = clock::now() + GIVE_UP;
        while !rig.drainers[0].is_full() {
            assert!(clock::now() < give_up, "{} bytes in the ring", rig.drainers[0].occupied_bytes());
            std::thread::yield_now();
        }
        let in_ring = rig.drainers[0].occupied_bytes() as u64;
        rig.drainers.clear();
        all_written.recv_timeout(GIVE_UP).expect("the child waits for a ring that nobody empties");
        let discarded = ended(rig.thread)[0];
        let bytes = 20 * RING_BYTES as u64 - in_ring;
        assert_eq!(discarded, Discarded { lines: bytes / line.len() as u64, bytes });
    });
}

#[test]
fn a_ring_that_ship_gives_up_ends_and_what_comes_then_is_counted() {
    both(|kind| {
        let mut rig = start(kind, 2);
        rustix::io::write(rig.writers[0].as_ref().unwrap(), b"before\nhalf").unwrap();
        assert_eq!(rig.drain(0, 11), b"before\nhalf");
        rig.drainers[0].abandon();
        // Though its pipe is silent, and its end is still there.
        assert_eq!(rig.drain(0, usize::MAX), b"");
        rustix::io::write(rig.writers[0].as_ref().unwrap(), b" a line\nafter\n").unwrap();
        // The other pipe knows nothing of it.
        rustix::io::write(rig.writers[1].as_ref().unwrap(), b"other\n").unwrap();
        assert_eq!(rig.drain(1, 6), b"other\n");
        rig.writers.clear();
        assert_eq!(rig.drain(1, usize::MAX), b"");
        assert_eq!(ended(rig.thread), [Discarded { lines: 1, bytes: 14 }, Discarded::default()]);
        assert!(rig.drainers[0].ended() && rig.drainers[0].occupied().is_empty());
    });
}

/// What a writer does: so many bytes in one write, then maybe a silence long enough for its pipe to be armed again.
type Step = (usize, bool);

/// Writes the steps into each pipe from a thread of its own, and returns what came out at the other ends.
fn pump(kind: Kind, writers: &[Vec<Step>], held_open: bool) -> Vec<Vec<u8>> {
    let mut rig = start(kind, writers.len());
    let mut threads = Vec::new();
    for (index, steps) in writers.iter().enumerate() {
        let writer = rig.writers[index].take().unwrap();
        let steps = steps.clone();
        threads.push(std::thread::spawn(move || {
            let silence = Bell::new().unwrap();
            let mut written = 0u64;
            for (length, pause) in steps {
                let bytes: Vec<u8> = (0..length as u64).map(|offset| ((written + offset) * 7 % 253) as u8).collect();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    rest = &rest[rustix::io::write(&writer, rest).unwrap()..];
                }
                written += length as u64;
                if pause {
                    silence.wait(Some(Duration::from_millis(9)));
                }
            }
            writer
        }));
    }
    let expected: Vec<usize> = writers.iter().map(|steps| steps.iter().map(|(length, _)| length).sum()).collect();
    let mut seen: Vec<Vec<u8>> = (0..writers.len()).map(|index| rig.drain(index, expected[index])).collect();
    let held: Vec<OwnedFd> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    if held_open {
        // As grandchildren do: the pipes end by their grace, not by their writers.
        for pipe in 0..writers.len() {
            rig.remote.send(Command::LeaderEnded { pipe, close_at: clock::now() });
        }
    } else {
        drop(held);
    }
    for (index, bytes) in seen.iter_mut().enumerate() {
        bytes.extend(rig.drain(index, usize::MAX));
    }
    assert_eq!(ended(rig.thread), vec![Discarded::default(); writers.len()]);
    seen
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn both_engines_bring_the_same_bytes_and_ends(
        writers in proptest::collection::vec(
            proptest::collection::vec((0usize..100_000, proptest::prelude::any::<bool>()), 0..6),
            1..5,
        ),
        held_open in proptest::prelude::any::<bool>(),
    ) {
        let expected: Vec<Vec<u8>> = writers
            .iter()
            .map(|steps| {
                let total: usize = steps.iter().map(|(length, _)| length).sum();
                (0..total as u64).map(|offset| (offset * 7 % 253) as u8).collect()
            })
            .collect();
        proptest::prop_assert!(pump(Kind::Uring, &writers, held_open) == expected);
        proptest::prop_assert!(pump(Kind::Epoll, &writers, held_open) == expected);
    }
}

#[test]
fn an_intake_whose_engines_fail_reads_the_pipes_to_their_end_and_counts() {
    let (intake_bell, ship_bell) = (Bell::new().unwrap(), Bell::new().unwrap());
    let (pipe, writer, _) = pipe::open(65_536).unwrap();
    let (filler, drainer) = ring(RING_BYTES, &intake_bell, &ship_bell).unwrap();
    let mut plain = Plain::new(vec![Source { name: "child".into(), pipe, filler }]);
    let (_remote, commands) = remote(&intake_bell);
    let writing = std::thread::spawn(move || {
        for _ in 0..100_000 {
            assert_eq!(rustix::io::write(&writer, b"a line of sixteen\n"), Ok(18));
        }
        rustix::io::write(&writer, b"cut").unwrap();
    });
    plain.turn_until_over(&commands);
    writing.join().unwrap();
    assert_eq!(plain.into_outcome().discarded, [Discarded { lines: 100_001, bytes: 1_800_003 }]);
    assert!(drainer.ended());
}

#[test]
fn a_line_that_is_half_in_the_ring_and_half_discarded_is_one_line() {
    both(|kind| {
        let rig = start(kind, 1);
        // The ring's last byte is in the middle of a line.
        let text = b"0123456789\n".repeat(RING_BYTES / 11 + 10);
        for chunk in text.chunks(1000) {
            rustix::io::write(rig.writers[0].as_ref().unwrap(), chunk).unwrap();
        }
        while !rig.drainers[0].is_full() {
            std::thread::yield_now();
        }
        rig.remote.send(Command::Abandon);
        let discarded = ended(rig.thread)[0];
        let in_ring = rig.drainers[0].occupied();
        let lines_in_ring = in_ring.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(in_ring, &text[..in_ring.len()]);
        assert_eq!(lines_in_ring as u64 + discarded.lines, RING_BYTES as u64 / 11 + 10);
    });
}
