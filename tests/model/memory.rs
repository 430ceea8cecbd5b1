//! A ring that begins at the start of its memory again when it is empty: no byte is read that is not written yet, nor written
//! over that is still to be read. The rules are those of `src/sys/mirror.rs`.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use crate::check;
use crate::sync::Ordering;

/// `sys::mirror`'s ends: indices, and where the memory begins.
struct Memory {
    cells: [UnsafeCell<usize>; MEMORY_BYTES],
    write: AtomicUsize,
    read: AtomicUsize,
    shift: AtomicUsize,
}

const MEMORY_BYTES: usize = 2;

impl Memory {
    fn cell(&self, index: usize) -> &UnsafeCell<usize> {
        &self.cells[index.wrapping_add(self.shift.load(Ordering::Relaxed)) % MEMORY_BYTES]
    }

    /// Puts 1, 2 and so on, each read on its own: `rewind`, `vacant`, `publish`.
    fn fill(&self, values: usize, rewinds: impl Fn(usize) -> bool) {
        let mut write = 0;
        while write < values {
            let occupied = write - self.read.load(Ordering::Acquire);
            if rewinds(occupied) {
                self.shift.store(write.wrapping_neg(), Ordering::Relaxed);
            }
            if occupied == MEMORY_BYTES {
                thread::yield_now();
                continue;
            }
            // SAFETY: what is shown here; loom tells if the other end has it.
            self.cell(write).with_mut(|cell| unsafe { *cell = write + 1 });
            write += 1;
            self.write.store(write, Ordering::Release);
        }
    }

    fn drain(&self, values: usize) {
        let mut read = 0;
        while read < values {
            let filled = self.write.load(Ordering::Acquire);
            if filled == read {
                thread::yield_now();
            }
            for index in read..filled {
                // SAFETY: as above.
                assert_eq!(self.cell(index).with(|cell| unsafe { *cell }), index + 1);
            }
            read = filled;
            self.read.store(read, Ordering::Release);
        }
    }
}

fn passed_through(rewinds: impl Fn(usize) -> bool + Copy + Sync + Send + 'static) {
    check(Some(3), move || {
        let index = || AtomicUsize::new(0);
        let cells = std::array::from_fn(|_| UnsafeCell::new(0));
        let memory = Arc::new(Memory { cells, write: index(), read: index(), shift: index() });
        let intake = thread::spawn({
            let memory = memory.clone();
            move || memory.fill(3, rewinds)
        });
        memory.drain(3);
        intake.join().unwrap();
    });
}

#[test]
fn a_ring_that_begins_at_its_start_again_when_it_is_empty_passes_every_byte() {
    passed_through(|occupied| occupied == 0);
}

#[test]
#[should_panic]
fn one_that_did_so_with_a_byte_in_it_would_be_found_out() {
    passed_through(|_| true);
}
