//! No wake-up is lost: every interleaving, and every reordering that the memory model allows, of the sleep protocols
//! between a ring's two ends. The protocols are the real ones (`src/ring/wake.rs`, on loom's atomics); around them stand
//! the ring's indices with the orderings that `ringbuf` gives them, and the sequences of `src/ring/mod.rs`.
//!
//! A lost wake-up shows as a deadlock: everybody sleeps, and loom panics. The last tests take a fence away and expect
//! just that, so that we know the check can see one.

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use sync::{AtomicBool, Ordering};

/// What `wake.rs` finds as its atomics.
mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    loom::thread_local! {
        pub static FENCELESS: std::cell::Cell<bool> = std::cell::Cell::new(false);
    }

    /// Loom's, unless this thread is to be broken.
    pub fn fence(order: Ordering) {
        if !FENCELESS.with(std::cell::Cell::get) {
            loom::sync::atomic::fence(order);
        }
    }
}

#[path = "model/memory.rs"]
mod memory;
#[path = "../src/ring/wake.rs"]
mod wake;

/// As `sys::bell::Bell`: an eventfd keeps a ring that nobody hears yet.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Bell {
        Bell { rung: Mutex::new(false), changed: Condvar::new() }
    }

    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// `ringbuf::SharedRb`'s indices and `ring::Shared`. Indices are absolute: nothing here depends on where they wrap.
struct Shared {
    capacity: usize,
    write: AtomicUsize,
    read: AtomicUsize,
    wake: wake::Wake,
    ended: AtomicBool,
    abandoned: AtomicBool,
    intake_bell: Bell,
    ship_bell: Bell,
}

/// A ring that is filled up to `filled`.
fn ring(capacity: usize, filled: usize) -> (Filler, Drainer) {
    let shared = Arc::new(Shared {
        capacity,
        write: AtomicUsize::new(filled),
        read: AtomicUsize::new(0),
        wake: wake::Wake::default(),
        ended: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        intake_bell: Bell::new(),
        ship_bell: Bell::new(),
    });
    (Filler { shared: shared.clone(), filled }, Drainer { shared, released: 0 })
}

/// `ring::Filler`, method by method.
struct Filler {
    shared: Arc<Shared>,
    filled: usize,
}

impl Filler {
    fn vacant(&self) -> usize {
        self.shared.capacity - (self.filled - self.shared.read.load(Ordering::Acquire))
    }

    fn publish(&mut self, bytes: usize) {
        self.filled += bytes;
        self.shared.write.store(self.filled, Ordering::Release);
        if self.shared.wake.published(self.filled as u64) {
            self.shared.ship_bell.ring();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    fn stall(&self) -> bool {
        self.shared.wake.stall();
        if self.is_abandoned() || self.vacant() >= self.shared.capacity / 4 {
            self.shared.wake.resume();
            return false;
        }
        true
    }

    fn end(&self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.ship_bell.ring();
    }

    /// What the intake does with a full ring: leave it alone until the bell, which others may ring as well.
    fn wait_for_room(&self) {
        while self.vacant() == 0 && !self.is_abandoned() && self.stall() {
            self.shared.intake_bell.wait();
            while self.shared.wake.is_stalled() {
                self.shared.intake_bell.wait();
            }
        }
    }
}

/// `ring::Drainer`, method by method.
struct Drainer {
    shared: Arc<Shared>,
    released: usize,
}

impl Drainer {
    fn filled(&self) -> usize {
        self.shared.write.load(Ordering::Acquire)
    }

    fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    fn release(&mut self, bytes: usize) {
        self.released += bytes;
        self.shared.read.store(self.released, Ordering::Release);
        let vacant = self.shared.capacity - (self.filled() - self.released);
        if vacant >= self.shared.capacity / 4 && self.shared.wake.released() {
            self.shared.intake_bell.ring();
        }
    }

    fn sleep_until(&self, wake_at: usize) -> bool {
        self.shared.wake.sleep_until(wake_at as u64);
        self.filled() < wake_at && !self.ended()
    }

    fn awake(&self) {
        self.shared.wake.awake();
    }

    fn abandon(self) {
        self.shared.abandoned.store(true, Ordering::Release);
        if self.shared.wake.released() {
            self.shared.intake_bell.ring();
        }
    }

    /// Sleeps, unless there is something to do, until the bell.
    fn sleep(&self, wake_at: usize) {
        if self.sleep_until(wake_at) {
            self.shared.ship_bell.wait();
        }
        self.awake();
    }

    /// Sleeps until the ring is filled up to `position`, or has ended.
    fn wait_for(&self, position: usize) {
        while self.filled() < position && !self.ended() {
            self.sleep(position);
        }
    }
}

/// All interleavings; or all with so many preemptions at most, where there are too many for a short test.
/// `LOOM_MAX_PREEMPTIONS` sets another bound.
fn check(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.check(model);
}

/// From here on this thread's fences do nothing.
fn broken() {
    sync::FENCELESS.with(|fenceless| fenceless.set(true));
}

#[test]
fn ship_wakes_on_every_first_byte_after_it_lay_down() {
    check(Some(4), || {
        let (mut filler, drainer) = ring(8, 0);
        let intake = thread::spawn(move || {
            filler.publish(1);
            filler.publish(1);
        });
        for position in [1, 2] {
            drainer.wait_for(position);
        }
        intake.join().unwrap();
    });
}

#[test]
fn ship_sleeps_through_small_reads_and_wakes_when_they_add_up() {
    check(None, || {
        let (mut filler, drainer) = ring(8, 0);
        let intake = thread::spawn(move || {
            for _ in 0..3 {
                filler.publish(1);
            }
        });
        drainer.wait_for(3);
        intake.join().unwrap();
    });
}

#[test]
fn ship_that_woke_by_its_timer_and_lies_down_anew_is_woken() {
    check(Some(4), || {
        let (mut filler, drainer) = ring(8, 0);
        let intake = thread::spawn(move || {
            filler.publish(1);
            filler.publish(1);
        });
        // The linger is over at once, whatever the bell does.
        drainer.sleep_until(1);
        drainer.awake();
        drainer.wait_for(2);
        intake.join().unwrap();
    });
}

#[test]
fn the_end_wakes_ship_and_what_it_then_sees_is_all() {
    check(None, || {
        let (mut filler, drainer) = ring(8, 0);
        let intake = thread::spawn(move || {
            filler.publish(1);
            filler.end();
        });
        drainer.wait_for(5);
        assert!(drainer.ended());
        assert_eq!(drainer.filled(), 1);
        intake.join().unwrap();
    });
}

#[test]
fn intake_wakes_when_a_quarter_is_free_however_it_was_freed() {
    check(None, || {
        let (mut filler, mut drainer) = ring(8, 8);
        let ship = thread::spawn(move || {
            // One is less than a quarter: only the second release makes room enough.
            drainer.release(1);
            drainer.release(1);
            drainer
        });
        while filler.vacant() < 2 {
            if filler.stall() {
                filler.shared.intake_bell.wait();
            }
        }
        filler.publish(2);
        ship.join().unwrap();
    });
}

#[test]
fn a_bell_that_rings_for_another_reason_confuses_nobody() {
    check(Some(2), || {
        let (mut filler, mut drainer) = ring(4, 4);
        let (shared, other) = (filler.shared.clone(), filler.shared.clone());
        let command = thread::spawn(move || other.intake_bell.ring());
        let ship = thread::spawn(move || {
            drainer.release(2);
            shared.ship_bell.ring();
            drainer.wait_for(5);
        });
        filler.wait_for_room();
        filler.publish(1);
        command.join().unwrap();
        ship.join().unwrap();
    });
}

#[test]
fn a_ring_of_two_laps_is_passed_through_to_its_end() {
    check(Some(2), || {
        let (mut filler, mut drainer) = ring(4, 0);
        let intake = thread::spawn(move || {
            for bytes in [4, 3, 1] {
                filler.wait_for_room();
                filler.publish(bytes.min(filler.vacant()));
            }
            filler.end();
            filler.filled
        });
        loop {
            let ended = drainer.ended();
            let filled = drainer.filled();
            let bytes = filled - drainer.released;
            if bytes > 0 {
                drainer.release(bytes);
            } else if ended {
                break;
            } else {
                drainer.sleep(filled + 1);
            }
        }
        assert_eq!(intake.join().unwrap(), drainer.released);
    });
}

#[test]
fn ship_that_goes_away_leaves_no_intake_asleep() {
    check(Some(4), || {
        let (mut filler, mut drainer) = ring(4, 4);
        let ship = thread::spawn(move || {
            drainer.release(4);
            drainer.abandon();
        });
        // It fills what it finds, as often as it finds room, and hears in the end that nobody takes it out.
        for _ in 0..3 {
            filler.wait_for_room();
            if !filler.is_abandoned() {
                filler.publish(filler.vacant());
            }
        }
        assert!(filler.is_abandoned());
        ship.join().unwrap();
    });
}

/// Ship sleeps until one byte is there.
fn one_byte(intake_is_broken: bool, ship_is_broken: bool) {
    check(None, move || {
        let (mut filler, drainer) = ring(8, 0);
        let intake = thread::spawn(move || {
            if intake_is_broken {
                broken();
            }
            filler.publish(1);
        });
        if ship_is_broken {
            broken();
        }
        drainer.wait_for(1);
        intake.join().unwrap();
    });
}

/// Intake sleeps until there is room.
fn one_release(intake_is_broken: bool, ship_is_broken: bool) {
    check(None, move || {
        let (filler, mut drainer) = ring(4, 4);
        let ship = thread::spawn(move || {
            if ship_is_broken {
                broken();
            }
            drainer.release(1);
            drainer
        });
        if intake_is_broken {
            broken();
        }
        filler.wait_for_room();
        ship.join().unwrap();
    });
}

#[test]
fn with_all_fences_these_models_hold() {
    one_byte(false, false);
    one_release(false, false);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_intakes_fence_after_publishing_a_wake_up_is_lost() {
    one_byte(true, false);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_ships_fence_before_sleeping_a_wake_up_is_lost() {
    one_byte(false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_ships_fence_after_releasing_intake_stays_stalled() {
    one_release(false, true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_intakes_fence_before_stalling_it_stays_stalled() {
    one_release(true, false);
}
