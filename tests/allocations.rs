//! The way of a line from the ring into a body allocates nothing of its own: counted, not believed.
//! A test binary by itself, because an allocator is the whole program's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use logpump::batch::{Head, OpenBatch};
use logpump::lines::join::{Joiner, Seen};
use logpump::lines::{Framer, Taken};

struct Counting;

thread_local! {
    /// Of this thread only: the test harness allocates in its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on unchanged to System, which keeps the contract; counting touches no memory it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's layout, as given.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from System.alloc or System.realloc with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the pointer came from System with this layout; the caller answers for the size.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn frame_and_push(framer: &mut Framer, batch: &mut OpenBatch, bytes: &[u8], timestamp_ms: i64) {
    let released = framer.frame(bytes, false, &mut |record| {
        batch.push(&record, timestamp_ms).expect("the batch has room");
        Taken::Yes
    });
    assert_eq!(released, bytes.len());
}

/// Lines go into a batch that was grown before: from 4,500 events on, no list of the batch grows until 8,192.
fn allocations_of_lines(line: &str) -> u64 {
    let mut framer = Framer::new(1 << 20);
    let mut batch = OpenBatch::with_buffer(&Head::new("group", "stream"), Vec::with_capacity(2 << 20));
    frame_and_push(&mut framer, &mut batch, line.repeat(4500).as_bytes(), 1);
    let bytes = line.repeat(100);
    allocations_of(|| {
        for read in 0..30 {
            frame_and_push(&mut framer, &mut batch, bytes.as_bytes(), 2 + read);
        }
    })
}

#[test]
fn clean_lines_are_framed_and_encoded_without_an_allocation() {
    assert_eq!(
        allocations_of_lines("2026-01-01T00:00:00Z INFO a line of \"about\" eighty bytes é and its newline\r\n"),
        0
    );
}

#[test]
fn dirty_lines_are_framed_and_encoded_without_an_allocation() {
    let mut framer = Framer::new(1 << 20);
    let mut batch = OpenBatch::with_buffer(&Head::new("group", "stream"), Vec::with_capacity(2 << 20));
    let bytes = b"a line that is \xFF not \xE2\x82 UTF-8\n".repeat(100);
    for _ in 0..45 {
        frame_and_push(&mut framer, &mut batch, &bytes, 1);
    }
    let allocations = allocations_of(|| {
        for _ in 0..30 {
            frame_and_push(&mut framer, &mut batch, &bytes, 1);
        }
    });
    assert_eq!(allocations, 0);
}

/// As a stream with `join = "traceback"` does. Returns how many events were made of several lines.
fn join_and_push(framer: &mut Framer, joiner: &mut Joiner, batch: &mut OpenBatch, bytes: &[u8]) -> u64 {
    let (read_ms, mut joined_events) = (1, 0);
    let seen = Seen { read_ms, now: Instant::now() };
    let released = framer.frame(bytes, false, &mut |record| {
        let fate = joiner.fate(&record, record.text, read_ms);
        if fate.joins() {
            joiner.join(fate, &record, record.text, seen);
            return Taken::Yes;
        }
        if let Some(joined) = joiner.waiting() {
            batch.push_joined(&joined.record, joined.lines, read_ms).expect("the batch has room");
            joined_events += u64::from(joined.lines > 1);
            joiner.clear();
        }
        if fate.begins() {
            joiner.begin(fate, &record, record.text, seen);
        } else {
            batch.push(&record, read_ms).expect("the batch has room");
        }
        Taken::Yes
    });
    assert_eq!(released, bytes.len());
    joined_events
}

#[test]
fn tracebacks_are_joined_and_encoded_without_an_allocation() {
    let (mut framer, mut joiner) = (Framer::new(1 << 20), Joiner::new());
    let mut batch = OpenBatch::with_buffer(&Head::new("group", "stream"), Vec::with_capacity(2 << 20));
    // Each is an event; the last one waits for what may belong to it.
    let traceback = "Traceback (most recent call last):\n  File \"a\"\nE: x\nits second line\n";
    let warm = join_and_push(&mut framer, &mut joiner, &mut batch, traceback.repeat(4500).as_bytes());
    assert_eq!(warm, 4499);
    let bytes = traceback.repeat(100);
    let mut joined = 0;
    let allocations = allocations_of(|| {
        for _ in 0..15 {
            joined += join_and_push(&mut framer, &mut joiner, &mut batch, bytes.as_bytes());
        }
    });
    assert_eq!((allocations, joined), (0, 1500));
}

#[test]
fn a_whole_batch_from_nothing_allocates_a_few_dozen_times() {
    let line = format!("{}\n", "x".repeat(149)).repeat(5900);
    let allocations = allocations_of(|| {
        let mut framer = Framer::new(1 << 20);
        let mut batch = OpenBatch::new(&Head::new("group", "stream"));
        frame_and_push(&mut framer, &mut batch, line.as_bytes(), 1);
        assert_eq!(batch.close().lines, 5900);
    });
    assert!(allocations < 48, "{allocations} allocations");
}
