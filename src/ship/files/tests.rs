//! Real files, and a disk that is full: /dev/full.

use super::*;
use crate::ring::{Filler, ring};
use crate::sys::bell::Bell;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RING_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);

struct Rig {
    filler: Filler,
    writer: Writer,
    directory: TempDir,
    now: Instant,
}

fn full_disk() -> LogFile {
    LogFile::open(Path::new("/dev"), "full").unwrap()
}

fn good_disk(directory: &TempDir) -> LogFile {
    LogFile::open(directory.path(), "a/stream").unwrap()
}

impl Rig {
    fn new() -> Rig {
        let (filler, ring) = ring(RING_BYTES, &Bell::new().unwrap(), &Bell::new().unwrap()).unwrap();
        let directory = TempDir::new().unwrap();
        let file = Some(good_disk(&directory));
        Rig {
            filler,
            writer: Writer::new(Stream { ring, file }, LINGER, WhenFull::Block),
            directory,
            now: clock::now(),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.filler.vacant()[..bytes.len()].copy_from_slice(bytes);
        self.filler.publish(bytes.len(), 0);
    }

    fn visit(&mut self, give_up: bool) {
        assert!(give_up || self.writer.wants_visit(self.now));
        self.writer.visit(self.now, give_up, &mut |_| {});
        let mut ledger = self.writer.ledger.clone();
        // Of an unterminated line only the bytes count until the end.
        let held = self.writer.stream.ring.occupied_bytes() as u64;
        ledger.read.bytes += held;
        ledger.in_memory = Count::new(0, held);
        assert_eq!(ledger.imbalance(), None);
    }

    fn written(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("a_stream")).unwrap()
    }

    fn ended(&self, end: End) -> (u64, u64) {
        let count = self.writer.ledger.ended(end);
        (count.lines, count.bytes)
    }
}

#[test]
fn bytes_are_written_as_they_are_and_an_unterminated_last_line_is_a_line() {
    let mut rig = Rig::new();
    rig.put(b"one\r\n\n\xFF\nhal");
    // After a silence at once, then within the linger together.
    rig.visit(false);
    rig.put(b"f");
    assert!(!rig.writer.wants_visit(rig.now) && rig.writer.may_sleep());
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    assert_eq!(rig.ended(End::Delivered), (3, 12));
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    assert_eq!(rig.writer.due(), None);
    rig.filler.end();
    rig.visit(false);
    assert!(rig.writer.over && rig.writer.may_sleep());
    assert_eq!(rig.ended(End::Delivered), (4, 12));
    let path = rig.directory.path().join("a_stream");
    assert_eq!(std::fs::read(path).unwrap(), b"one\r\n\n\xFF\nhalf");
}

#[test]
fn a_full_disk_loses_nothing_and_is_tried_again_after_a_while() {
    let mut rig = Rig::new();
    rig.writer.stream.file = Some(full_disk());
    rig.put(b"one\ntwo\n");
    for _ in 0..3 {
        rig.visit(false);
        assert!(rig.writer.failure_said);
        assert_eq!(rig.writer.stream.ring.occupied(), b"one\ntwo\n");
        // Nothing to do until then, whatever the ring says.
        assert!(!rig.writer.wants_visit(rig.now) && rig.writer.may_sleep());
        assert_eq!(rig.writer.due(), Some(rig.now + FILE_RETRY));
        rig.now += FILE_RETRY;
    }
    rig.writer.stream.file = Some(good_disk(&rig.directory));
    rig.put(b"three\n");
    rig.visit(false);
    assert_eq!(rig.written(), "one\ntwo\nthree\n");
    assert_eq!(rig.ended(End::Delivered), (3, 14));
    assert!(!rig.writer.failure_said, "the next failure is news");
}

#[test]
fn giving_up_on_a_full_disk_books_what_is_left_and_a_line_as_its_last_part_ended() {
    let mut rig = Rig::new();
    rig.put(b"one\nhalf of tw");
    rig.visit(false);
    rig.writer.stream.file = Some(full_disk());
    rig.put(b"o\nthree\nfour");
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    rig.filler.end();
    rig.visit(true);
    assert!(rig.writer.over);
    assert_eq!((rig.ended(End::Delivered), rig.ended(End::Shutdown)), ((1, 14), (3, 12)));
    assert_eq!(rig.written(), "one\nhalf of tw");
}

/// Lines of 16 bytes.
fn lines(bytes: usize) -> Vec<u8> {
    b"fifteen letters\n".repeat(bytes / 16)
}

#[test]
fn a_full_disk_is_tried_until_the_ring_is_crowded_and_then_whole_lines_are_dropped_and_the_file_says_so() {
    let mut rig = Rig::new();
    rig.writer.when_full = WhenFull::Drop;
    rig.put(b"one\nhalf of tw");
    rig.visit(false);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let good = std::mem::replace(&mut rig.writer.stream.file.as_mut().unwrap().file, full);
    rig.put(b"o\n");
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    assert!(!rig.writer.wants_visit(rig.now) && rig.writer.may_sleep(), "it is kept");
    rig.put(&lines(RING_BYTES / 4 * 3));
    assert!(!rig.writer.may_sleep());
    rig.put(b"a line that goes");
    rig.visit(false);
    let dropped = (1 + RING_BYTES as u64 / 64 * 3, 2 + RING_BYTES as u64 / 4 * 3);
    assert_eq!(rig.ended(End::DiskSlow), dropped);
    assert_eq!(rig.writer.stream.ring.occupied(), b"a line that goes");
    // Room again, in the file that has half a line.
    rig.writer.stream.file.as_mut().unwrap().file = good;
    rig.put(b" on\nlast\n");
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    let marker = "logpump: dropped 3073 lines (49 KB) here: disk_slow";
    assert_eq!(rig.written(), format!("one\nhalf of tw\n{marker}\na line that goes on\nlast\n"));
    assert_eq!(rig.ended(End::Delivered), (3, 14 + 20 + 5));
    rig.filler.end();
    rig.visit(false);
    assert_eq!(rig.writer.ledger.markers, 1);
}

#[test]
fn of_a_line_that_fills_the_ring_nothing_is_written_later() {
    let mut rig = Rig::new();
    rig.writer.when_full = WhenFull::Drop;
    rig.writer.stream.file = Some(full_disk());
    rig.put(&vec![b'x'; RING_BYTES]);
    rig.visit(false);
    rig.writer.stream.file = Some(good_disk(&rig.directory));
    rig.put(b"its end\nnext\n");
    rig.now = rig.writer.due().unwrap();
    rig.visit(false);
    assert_eq!(rig.ended(End::DiskSlow), (1, RING_BYTES as u64 + 8));
    assert!(rig.written().ends_with("next\n") && !rig.written().contains("its end"), "{}", rig.written());
}

#[test]
fn once_the_child_has_ended_lines_are_kept_however_full_the_ring_is() {
    let mut rig = Rig::new();
    rig.writer.when_full = WhenFull::Drop;
    rig.writer.stream.file = Some(full_disk());
    rig.put(&lines(RING_BYTES));
    rig.filler.end();
    rig.visit(false);
    assert!(rig.writer.may_sleep() && !rig.writer.wants_visit(rig.now));
    assert_eq!(rig.ended(End::DiskSlow), (0, 0));
    rig.visit(true);
    assert_eq!(rig.ended(End::Shutdown), (RING_BYTES as u64 / 16, RING_BYTES as u64));
}

#[test]
fn with_nowhere_to_write_to_lines_are_taken_and_booked_as_dropped() {
    let mut rig = Rig::new();
    rig.writer.stream.file = None;
    rig.put(b"one\ntwo");
    rig.filler.end();
    rig.visit(false);
    assert!(rig.writer.over);
    assert_eq!(rig.ended(End::NoSink), (2, 7));
}

#[test]
fn a_visit_ends_though_the_child_never_pauses() {
    /// Should the visit not end by itself, the child does after so many bytes.
    const BYTES_MAX: usize = 4 * 1024 * 1024;
    const PAGE: usize = 4096;
    let Rig { mut filler, mut writer, now, .. } = Rig::new();
    // Written to a pipe, every write waits for a reader, who adds as much to the ring before.
    let (mut reader, file) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&file, PAGE).unwrap();
    writer.stream.file = Some(LogFile::of(PathBuf::new(), OwnedFd::from(file).into()));
    filler.publish(RING_BYTES / 2, 0);
    let child = std::thread::spawn(move || {
        for _ in 0..BYTES_MAX / PAGE {
            let bytes = filler.vacant().len().min(PAGE);
            filler.publish(bytes, 0);
            if reader.read(&mut [0; PAGE]).unwrap() == 0 {
                return;
            }
        }
        filler.end();
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    });
    writer.visit(now, false, &mut |_| {});
    assert!(!writer.stream.ring.ended(), "the visit took all {BYTES_MAX} bytes");
    assert!(writer.stream.ring.occupied_bytes() > 0);
    drop(writer);
    child.join().unwrap();
}
