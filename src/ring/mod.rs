//! The way between intake and ship, one per pipe: a byte ring, beside it a ring of marks that date the bytes, and the
//! two wake-ups. Lock-free, one producer (intake), one consumer (ship). Knows nothing of lines.

pub mod wake;

mod sync {
    pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringbuf::traits::{Consumer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::limits::{MARK_BYTES, READ_BYTES_MIN, RING_BYTES_PER_MARK};
use crate::sys::bell::Bell;
use crate::sys::mirror::{DrainEnd, FillEnd, byte_ring};
use wake::Wake;

/// From `position` on, bytes were read at `wall_ms`.
#[derive(Clone, Copy)]
struct Mark {
    position: u64,
    wall_ms: i64,
}

const _: () = assert!(size_of::<Mark>() == MARK_BYTES);

/// What both ends see besides the bytes.
struct Shared {
    wake: Wake,
    ended: AtomicBool,
    /// Ship is gone: nobody will take anything out any more.
    abandoned: AtomicBool,
    marks_omitted: AtomicU64,
    intake_bell: Arc<Bell>,
    ship_bell: Arc<Bell>,
}

/// A ring of `bytes` (a power of two); the bells wake the thread at either end.
pub fn ring(bytes: usize, intake_bell: &Arc<Bell>, ship_bell: &Arc<Bell>) -> io::Result<(Filler, Drainer)> {
    let (fill, drain) = byte_ring(bytes)?;
    let (marks_in, marks_out) = HeapRb::new((bytes / RING_BYTES_PER_MARK).max(1)).split();
    let shared = Arc::new(Shared {
        wake: Wake::default(),
        ended: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        marks_omitted: AtomicU64::new(0),
        intake_bell: intake_bell.clone(),
        ship_bell: ship_bell.clone(),
    });
    let filler = Filler { fill, marks: marks_in, last_mark_ms: None, filled: 0, shared: shared.clone() };
    let dates = Dates { marks: marks_out, current_ms: 0, next: None, next_position: u64::MAX };
    Ok((filler, Drainer { drain, dates, released: 0, shared }))
}

/// Intake's end.
pub struct Filler {
    fill: FillEnd,
    marks: HeapProd<Mark>,
    last_mark_ms: Option<i64>,
    filled: u64,
    shared: Arc<Shared>,
}

impl Filler {
    pub fn capacity(&self) -> usize {
        self.fill.capacity()
    }

    pub fn vacant(&mut self) -> &mut [u8] {
        self.fill.vacant()
    }

    /// Before a read: a ring that ship has emptied begins at the start of its memory again, which is in the caches, and the
    /// rest of it is never touched. Not between `vacant` and `publish`.
    pub fn rewind(&mut self) {
        self.fill.rewind();
    }

    /// Hands `bytes` that were read at `wall_ms` into the vacant slice to ship, and wakes it if it waits for them.
    pub fn publish(&mut self, bytes: usize, wall_ms: i64) {
        if self.last_mark_ms != Some(wall_ms) {
            // The mark goes first: whoever sees the bytes sees their date.
            match self.marks.try_push(Mark { position: self.filled, wall_ms }) {
                Ok(()) => self.last_mark_ms = Some(wall_ms),
                Err(_) => {
                    self.shared.marks_omitted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.fill.publish(bytes);
        self.filled += bytes as u64;
        if self.shared.wake.published(self.filled) {
            self.shared.ship_bell.ring();
        }
    }

    /// Bytes published since the beginning.
    pub fn filled(&self) -> u64 {
        self.filled
    }

    /// Ship has given its end up: what is read is to be counted, not published.
    pub fn is_abandoned(&self) -> bool {
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    /// The ring is full. True: leave it alone until intake's bell; false: there is room again already, or never will be.
    pub fn stall(&mut self) -> bool {
        self.shared.wake.stall();
        if self.is_abandoned() || self.fill.vacant_bytes() >= self.fill.capacity() / 4 {
            self.shared.wake.resume();
            return false;
        }
        true
    }

    pub fn is_stalled(&self) -> bool {
        self.shared.wake.is_stalled()
    }

    /// No byte will follow.
    pub fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.ship_bell.ring();
    }
}

/// A filler that is dropped, even by a panic, ends its ring: ship never waits for it.
impl Drop for Filler {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ship's end.
pub struct Drainer {
    drain: DrainEnd,
    dates: Dates,
    released: u64,
    shared: Arc<Shared>,
}

impl Drainer {
    pub fn capacity(&self) -> usize {
        self.drain.capacity()
    }

    /// True: what `occupied` shows from now on is all that will ever be there.
    pub fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    pub fn occupied(&self) -> &[u8] {
        self.drain.occupied()
    }

    pub fn occupied_bytes(&self) -> usize {
        self.drain.occupied_bytes()
    }

    /// Intake has no room to read into.
    pub fn is_full(&self) -> bool {
        self.capacity() - self.occupied_bytes() < READ_BYTES_MIN
    }

    /// The occupied slice and, beside it, the dates of its bytes.
    pub fn dated(&mut self) -> (&[u8], &mut Dates) {
        let occupied = self.drain.occupied();
        // After the bytes were seen, so that none of them can be without its mark.
        self.dates.look();
        (occupied, &mut self.dates)
    }

    /// Bytes given back since the beginning.
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Bytes published since the beginning.
    pub fn filled(&self) -> u64 {
        self.released + self.drain.occupied_bytes() as u64
    }

    pub fn release(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.drain.release(bytes);
        self.released += bytes as u64;
        let vacant = self.drain.capacity() - self.drain.occupied_bytes();
        if vacant >= self.drain.capacity() / 4 && self.shared.wake.released() {
            self.shared.intake_bell.ring();
        }
    }

    /// Be rung once the ring is filled up to `wake_at`. False: it is already, do not sleep.
    pub fn sleep_until(&self, wake_at: u64) -> bool {
        self.shared.wake.sleep_until(wake_at);
        self.filled() < wake_at && !self.ended()
    }

    pub fn awake(&self) {
        self.shared.wake.awake();
    }

    /// What is in the ring is the last that is taken out of it: the intake ends it when it sees this, and counts what
    /// comes from then on.
    pub fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::Release);
        self.shared.wake.released();
        self.shared.intake_bell.ring();
    }

    /// Reads whose date is missing because the marks ring was full: their bytes carry the date of an earlier read.
    pub fn marks_omitted(&self) -> u64 {
        self.shared.marks_omitted.load(Ordering::Relaxed)
    }
}

/// A drainer that is dropped, even by a panic, says so: intake goes on reading and the child never waits.
impl Drop for Drainer {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
        // No room is made: intake might just be filling it. It sees that we are gone, or we see that it stalls.
        if self.shared.wake.released() {
            self.shared.intake_bell.ring();
        }
    }
}

/// When each byte was read.
pub struct Dates {
    marks: HeapCons<Mark>,
    current_ms: i64,
    next: Option<Mark>,
    next_position: u64,
}

impl Dates {
    /// Wall-clock milliseconds of the read that brought the byte at `position`. Positions must not decrease.
    #[inline]
    pub fn date(&mut self, position: u64) -> i64 {
        if position >= self.next_position {
            self.advance(position);
        }
        self.current_ms
    }

    #[cold]
    fn advance(&mut self, position: u64) {
        while let Some(mark) = self.next.filter(|mark| mark.position <= position) {
            self.current_ms = mark.wall_ms;
            self.next = self.marks.try_pop();
        }
        self.next_position = self.next.map_or(u64::MAX, |mark| mark.position);
    }

    fn look(&mut self) {
        if self.next.is_none() {
            self.next = self.marks.try_pop();
            self.next_position = self.next.map_or(u64::MAX, |mark| mark.position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 64 * 1024;

    fn small_ring() -> (Filler, Drainer) {
        ring(BYTES, &Bell::new().unwrap(), &Bell::new().unwrap()).unwrap()
    }

    fn put(filler: &mut Filler, bytes: &[u8], wall_ms: i64) {
        filler.vacant()[..bytes.len()].copy_from_slice(bytes);
        filler.publish(bytes.len(), wall_ms);
    }

    #[test]
    fn a_byte_has_the_date_of_the_read_that_brought_it() {
        let (mut filler, mut drainer) = small_ring();
        put(&mut filler, b"aaa", 100);
        put(&mut filler, b"bbb", 100);
        put(&mut filler, b"ccc", 105);
        let (occupied, dates) = drainer.dated();
        assert_eq!(occupied, b"aaabbbccc");
        assert_eq!([0, 2, 5, 6, 8].map(|position| dates.date(position)), [100, 100, 100, 105, 105]);
        put(&mut filler, b"d", 90);
        assert_eq!(drainer.dated().1.date(9), 90);
    }

    #[test]
    fn a_full_marks_ring_omits_the_mark_counts_it_and_keeps_the_earlier_date() {
        let (mut filler, mut drainer) = small_ring();
        let marks = (BYTES / RING_BYTES_PER_MARK) as i64;
        for wall_ms in 0..marks + 3 {
            put(&mut filler, b"x", wall_ms);
        }
        assert_eq!(drainer.marks_omitted(), 3);
        assert_eq!(drainer.dated().1.date(marks as u64 + 2), marks - 1);
    }

    #[test]
    fn a_full_ring_stalls_until_a_quarter_is_free() {
        let (mut filler, mut drainer) = small_ring();
        filler.publish(BYTES, 1);
        assert!(filler.stall());
        drainer.release(BYTES / 4 - 1);
        assert!(filler.is_stalled());
        drainer.release(1);
        assert!(!filler.is_stalled());
        filler.publish(BYTES / 4, 1);
        drainer.release(BYTES / 2);
        assert!(!filler.stall());
    }

    #[test]
    fn ship_does_not_sleep_on_bytes_that_came_before_it_lay_down_nor_on_an_ended_ring() {
        let (mut filler, drainer) = small_ring();
        assert!(drainer.sleep_until(1));
        put(&mut filler, b"x", 1);
        assert!(!drainer.sleep_until(1));
        assert!(drainer.sleep_until(2));
        drop(filler);
        assert!(!drainer.sleep_until(2));
        assert!(drainer.ended());
    }
}
