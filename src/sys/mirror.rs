//! A byte ring whose memory is mapped twice, back to back, so that its occupied and its vacant part are each ONE slice
//! wherever they wrap. The indices are `ringbuf`'s; only the memory and the joined slices are ours. So is where an index
//! lies in the memory: an empty ring may begin at the memory's start again, so that one that is emptied early does not walk
//! through all of it.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringbuf::storage::Storage;
use ringbuf::traits::{Observer, Raw};
use ringbuf::{CachingCons, CachingProd, SharedRb};
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap_fixed, munmap};

type Shared = SharedRb<Mirror>;

/// A byte ring of `capacity` bytes: a power of two, and a multiple of the page size.
pub fn byte_ring(capacity: usize) -> io::Result<(FillEnd, DrainEnd)> {
    assert!(capacity.is_power_of_two(), "ring of {capacity} bytes");
    let mirror = Mirror::map(capacity)?;
    let base = mirror.base;
    // SAFETY: both indices are zero, so no item counts as initialised, and the storage's length is not zero.
    let ring = Arc::new(unsafe { Shared::from_raw_parts(mirror, 0, 0) });
    let shift = Arc::new(AtomicUsize::new(0));
    Ok((
        FillEnd { ring: CachingProd::new(ring.clone()), shift: shift.clone(), base, capacity },
        DrainEnd { ring: CachingCons::new(ring), shift, base, capacity },
    ))
}

/// The writing end. `vacant` is what `publish` may then take from.
pub struct FillEnd {
    ring: CachingProd<Arc<Shared>>,
    /// Added to an index it gives a place. Only `rewind` changes it.
    shift: Arc<AtomicUsize>,
    base: NonNull<u8>,
    capacity: usize,
}

/// The reading end. `occupied` is what `release` may then give back.
pub struct DrainEnd {
    ring: CachingCons<Arc<Shared>>,
    shift: Arc<AtomicUsize>,
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: `base` points into the mapping that `ring` keeps alive, and each end touches only the part that the indices
// give to it; ringbuf hands out one end of each kind.
unsafe impl Send for FillEnd {}
// SAFETY: as for FillEnd.
unsafe impl Send for DrainEnd {}

impl FillEnd {
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn vacant_bytes(&self) -> usize {
        self.ring.vacant_len()
    }

    /// All that is free, as one slice.
    pub fn vacant(&mut self) -> &mut [u8] {
        let vacant = self.ring.vacant_len();
        // The indices run modulo twice the capacity; the mirror makes every start below the capacity valid.
        let start = place(self.ring.write_index(), &self.shift, self.capacity);
        assert!(vacant <= self.capacity);
        // SAFETY: start < capacity and vacant <= capacity, so the slice lies in the 2 * capacity bytes that `base` has
        // provenance over; the memory came zeroed from the kernel. The drain end stays out of it: it only touches
        // bytes between the read and the write index, and only `publish` (which needs &mut self) moves the latter.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(start), vacant) }
    }

    /// If the ring is empty, what is vacant begins at the start of its memory: what was touched before is touched again.
    /// Not between `vacant` and `publish`: the bytes would be elsewhere.
    pub fn rewind(&mut self) {
        if self.ring.vacant_len() == self.capacity {
            // The drain end has given everything back, which it did after its last look: it looks at no byte before the
            // next `publish`, whose release makes this store visible to it.
            self.shift.store(self.ring.write_index().wrapping_neg(), Ordering::Relaxed);
        }
    }

    /// Hands the first `bytes` of the last `vacant` slice over to the drain end.
    pub fn publish(&mut self, bytes: usize) {
        assert!(bytes <= self.ring.vacant_len(), "published {bytes} bytes that were not vacant");
        // SAFETY: `bytes` is at most what is vacant (asserted), and every byte of the mapping is initialised.
        unsafe { self.ring.advance_write_index(bytes) };
    }
}

impl DrainEnd {
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn occupied_bytes(&self) -> usize {
        self.ring.occupied_len()
    }

    /// All that is filled, as one slice.
    pub fn occupied(&self) -> &[u8] {
        let occupied = self.ring.occupied_len();
        let start = place(self.ring.read_index(), &self.shift, self.capacity);
        assert!(occupied <= self.capacity);
        // SAFETY: start < capacity and occupied <= capacity, so the slice lies in the 2 * capacity bytes that `base` has
        // provenance over. The fill end stays out of it: it only touches bytes beyond the write index up to the read
        // index, and only `release` (which needs &mut self) moves the latter. While there is one occupied byte, `rewind`
        // leaves the shift alone; and the shift that this byte was written with was stored before it was published.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), occupied) }
    }

    /// Gives the first `bytes` of the occupied slice back to the fill end.
    pub fn release(&mut self, bytes: usize) {
        assert!(bytes <= self.ring.occupied_len(), "released {bytes} bytes that were not occupied");
        // SAFETY: `bytes` is at most what is occupied (asserted); bytes need no drop.
        unsafe { self.ring.advance_read_index(bytes) };
    }
}

/// Below `capacity`, which is a power of two.
fn place(index: usize, shift: &AtomicUsize, capacity: usize) -> usize {
    index.wrapping_add(shift.load(Ordering::Relaxed)) & (capacity - 1)
}

/// The memory: `capacity` bytes, mapped twice in a row.
struct Mirror {
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: the mapping belongs to this value alone and is plain memory; who may touch which part is the ring's business.
unsafe impl Send for Mirror {}
// SAFETY: as above; a shared Mirror gives out nothing but pointers.
unsafe impl Sync for Mirror {}

impl Mirror {
    fn map(capacity: usize) -> io::Result<Mirror> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // Shared and anonymous, not a memfd: that one would count against the limits of open files and file sizes.
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else knows it.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), 2 * capacity, access, MapFlags::SHARED) }?;
        let base = NonNull::new(base.cast::<u8>()).expect("the kernel never maps page zero for us");
        // From here on it is unmapped whole by Drop, whatever fails.
        let mirror = Mirror { base, capacity };
        // An old size of zero makes a second mapping of the same shared pages instead of moving the first: mremap(2).
        // SAFETY: both ranges lie in the 2 * capacity bytes mapped above, and the second is replaced, not overlapped.
        unsafe {
            let second = base.as_ptr().add(capacity).cast::<c_void>();
            mremap_fixed(base.as_ptr().cast(), 0, capacity, MremapFlags::MAYMOVE, second)
        }?;
        Ok(mirror)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: both halves were mapped by `map` at this address. The ends hold the ring that owns this value in an
        // Arc, so no slice of it is alive; no kernel read is in flight because `sys::uring` reaps each before it returns.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), 2 * self.capacity) };
        debug_assert!(unmapped.is_ok());
    }
}

// SAFETY: the items lie outside the value itself, `as_mut_ptr` points to the mapping, and `len` never changes.
unsafe impl Storage for Mirror {
    type Item = u8;

    fn len(&self) -> usize {
        self.capacity
    }

    fn as_mut_ptr(&self) -> *mut MaybeUninit<u8> {
        self.base.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 64 * 1024;

    #[test]
    fn bytes_across_the_wrap_are_one_slice() {
        let (mut fill, mut drain) = byte_ring(CAPACITY).unwrap();
        fill.publish(CAPACITY - 3);
        drain.release(CAPACITY - 3);
        fill.vacant()[..6].copy_from_slice(b"abcdef");
        fill.publish(6);
        assert_eq!(drain.occupied(), b"abcdef");
        drain.release(2);
        assert_eq!(drain.occupied(), b"cdef");
        assert_eq!(fill.vacant_bytes(), CAPACITY - 4);
    }

    #[test]
    fn a_full_ring_has_no_vacant_byte_and_a_second_lap_reads_the_same() {
        let (mut fill, mut drain) = byte_ring(CAPACITY).unwrap();
        for lap in 0..5u8 {
            fill.vacant().fill(lap);
            fill.publish(CAPACITY);
            assert!(fill.vacant().is_empty());
            assert!(drain.occupied().iter().all(|byte| *byte == lap));
            drain.release(CAPACITY);
            assert!(drain.occupied().is_empty());
        }
    }

    #[test]
    fn an_empty_ring_begins_at_the_start_of_its_memory_again_and_one_with_a_byte_stays_where_it_is() {
        let (mut fill, mut drain) = byte_ring(CAPACITY).unwrap();
        let start = fill.vacant().as_ptr();
        for lap in 0..5 {
            fill.vacant()[..4].copy_from_slice(b"abcd");
            fill.publish(4);
            fill.rewind();
            assert_eq!(drain.occupied(), b"abcd", "lap {lap}");
            drain.release(3);
            fill.rewind();
            assert_eq!(drain.occupied(), b"d");
            fill.publish(CAPACITY - 5);
            drain.release(CAPACITY - 4);
            assert_ne!(fill.vacant().as_ptr(), start);
            fill.rewind();
            assert_eq!(fill.vacant().as_ptr(), start);
            assert_eq!((fill.vacant().len(), drain.occupied().len()), (CAPACITY, 0));
        }
    }

    #[test]
    #[should_panic(expected = "not vacant")]
    fn publishing_more_than_is_vacant_panics() {
        let (mut fill, _drain) = byte_ring(CAPACITY).unwrap();
        fill.publish(CAPACITY + 1);
    }

    #[test]
    fn two_threads_pass_every_byte_in_order() {
        let (mut fill, mut drain) = byte_ring(CAPACITY).unwrap();
        let total = 20 * CAPACITY as u64 + 12_345;
        let writer = std::thread::spawn(move || {
            let mut next = 0u64;
            while next < total {
                fill.rewind();
                let vacant = fill.vacant();
                let count = vacant.len().min(7_919).min((total - next) as usize);
                for (offset, byte) in vacant[..count].iter_mut().enumerate() {
                    *byte = ((next + offset as u64) % 251) as u8;
                }
                fill.publish(count);
                next += count as u64;
                std::thread::yield_now();
            }
        });
        let mut seen = 0u64;
        while seen < total {
            let occupied = drain.occupied();
            for (offset, byte) in occupied.iter().enumerate() {
                assert_eq!(*byte, ((seen + offset as u64) % 251) as u8);
            }
            let count = occupied.len();
            drain.release(count);
            seen += count as u64;
            std::thread::yield_now();
        }
        writer.join().unwrap();
    }
}
