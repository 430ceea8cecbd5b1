//! When a stream's ring is worth a visit: on its first byte after a silence, then for every quarter of a ring, or when
//! the linger is over, and never once per read. A small ring is visited for half of that, where ship is awake for another's
//! sake: then many of them become worth it together, and not each in a wake-up of its own. Pure.

use std::time::{Duration, Instant};

use crate::limits::RING_BYTES_EARLY_MAX;
use crate::ring::Drainer;

pub struct Visits {
    linger: Duration,
    /// When what is open (a batch, a partial line) is due.
    due: Option<Instant>,
    /// The stream position up to which the ring was filled at the last visit.
    seen: u64,
    /// The stream position at which the next visit is worth a wake-up.
    visit_at: u64,
    /// At which it is worth it for one who is awake.
    early_at: u64,
}

/// What a visit left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// A partial line: it calls again only once it has grown.
    Partial,
    /// Something that must go out when the linger is over.
    Open,
    /// More than one visit could take.
    More,
    /// The same, but less of it than is worth a visit: so many bytes are in the ring.
    Rest(usize),
}

impl Visits {
    pub fn new(linger: Duration) -> Visits {
        Visits { linger, due: None, seen: 0, visit_at: 1, early_at: 1 }
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// What is open is due as soon as it has been so for this long, instead of for the linger: when that is.
    pub fn due_after(&self, age: Duration) -> Option<Instant> {
        self.due.map(|due| due - self.linger.saturating_sub(age))
    }

    /// It is due now, if it has been open for so long.
    pub fn hasten(&mut self, age: Duration, now: Instant) {
        if self.due_after(age).is_some_and(|due| due <= now) {
            self.due = self.due.min(Some(now));
        }
    }

    pub fn wanted(&self, ring: &Drainer, now: Instant) -> bool {
        self.is_due(now) || ring.filled() >= self.early_at || ring.ended()
    }

    /// Bytes came since the last visit.
    pub fn has_grown(&self, ring: &Drainer) -> bool {
        ring.filled() > self.seen
    }

    /// Arms the ring's wake-up. False: there is something to do already.
    pub fn may_sleep(&self, ring: &Drainer) -> bool {
        ring.sleep_until(self.visit_at)
    }

    /// After a visit that began when the ring was filled up to `seen`.
    pub fn visited(&mut self, seen: u64, capacity: usize, left: Left, now: Instant) {
        let grown = seen > self.seen;
        self.seen = seen;
        match left {
            Left::More => {
                self.visit_from(seen);
                // A new batch may be open: should there be no room to go on with it, it is due all the same.
                self.due.get_or_insert(now + self.linger);
            }
            Left::Rest(bytes) => {
                self.due.get_or_insert(now + self.linger);
                self.visit_after_growth(capacity);
                let early = self.early_at.saturating_sub(bytes as u64).max(seen);
                (self.early_at, self.visit_at) = (early, self.visit_at - bytes as u64);
            }
            Left::Open => self.open(capacity, now),
            Left::Partial if grown => self.open(capacity, now),
            Left::Partial | Left::Nothing => {
                self.due = None;
                self.visit_from(seen + 1);
            }
        }
    }

    /// What was open is gone; what the ring holds is to be looked at when there is room for it.
    pub fn cut(&mut self) {
        self.due = None;
        self.visit_from(self.seen);
    }

    /// The ring was emptied when it was filled up to `seen`: what is open keeps its due, and a marker gets one.
    pub fn discarded(&mut self, seen: u64, capacity: usize, now: Instant) {
        self.seen = seen;
        self.due.get_or_insert(now + self.linger);
        self.visit_after_growth(capacity);
    }

    fn open(&mut self, capacity: usize, now: Instant) {
        self.due = self.due.filter(|due| *due > now).or(Some(now + self.linger));
        self.visit_after_growth(capacity);
    }

    fn visit_from(&mut self, position: u64) {
        (self.visit_at, self.early_at) = (position, position);
    }

    fn visit_after_growth(&mut self, capacity: usize) {
        let growth = capacity as u64 / 4;
        self.visit_at = self.seen + growth;
        // Of a large ring half as much is less than a body: it would find fewer of them in pairs.
        let early = if capacity <= RING_BYTES_EARLY_MAX { growth / 2 } else { growth };
        self.early_at = self.seen + early;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const RING: usize = 4096;
    const LINGER: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_byte_calls_then_a_quarter_of_the_ring_or_the_linger() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        assert_eq!((visits.visit_at, visits.due), (1, None));
        visits.visited(10, RING, Left::Open, start);
        assert_eq!((visits.visit_at, visits.due), (10 + 1024, Some(start + LINGER)));
        // A visit in between does not put the linger off.
        visits.visited(1034, RING, Left::Open, start + LINGER / 2);
        assert_eq!((visits.visit_at, visits.due), (1034 + 1024, Some(start + LINGER)));
        visits.visited(1034, RING, Left::Nothing, start + LINGER);
        assert_eq!((visits.visit_at, visits.due), (1035, None));
    }

    #[test]
    fn half_the_growth_is_worth_it_for_one_who_is_awake_where_the_ring_is_small() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        assert_eq!(visits.early_at, 1);
        visits.visited(10, RING_BYTES_EARLY_MAX, Left::Open, start);
        let growth = RING_BYTES_EARLY_MAX as u64 / 4;
        assert_eq!((visits.early_at, visits.visit_at), (10 + growth / 2, 10 + growth));
        visits.visited(20, 2 * RING_BYTES_EARLY_MAX, Left::Open, start);
        assert_eq!((visits.early_at, visits.visit_at), (20 + growth * 2, 20 + growth * 2));
        visits.cut();
        assert_eq!((visits.early_at, visits.visit_at), (20, 20));
    }

    #[test]
    fn what_is_hastened_is_due_when_it_has_been_open_for_so_long_and_not_before() {
        const AGE: Duration = Duration::from_millis(50);
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.hasten(AGE, start);
        assert_eq!((visits.due, visits.due_after(AGE)), (None, None), "nothing is open");
        visits.visited(10, RING, Left::Open, start);
        visits.hasten(AGE, start + AGE / 2);
        assert_eq!((visits.due, visits.due_after(AGE)), (Some(start + LINGER), Some(start + AGE)));
        visits.hasten(AGE, start + AGE * 2);
        assert_eq!((visits.due, visits.is_due(start + AGE * 2)), (Some(start + AGE * 2), true));
        // What is due sooner is not put off.
        visits.hasten(LINGER * 2, start + AGE * 3);
        assert_eq!(visits.due, Some(start + AGE * 2));
        assert_eq!(Visits { linger: AGE / 2, ..visits }.due_after(AGE), Some(start + AGE * 2));
    }

    #[test]
    fn what_is_open_beside_a_full_batch_is_due_even_if_no_visit_follows() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.visited(10, RING, Left::More, start);
        assert_eq!((visits.visit_at, visits.due), (10, Some(start + LINGER)));
    }

    #[test]
    fn a_rest_beside_a_full_batch_is_due_and_is_looked_at_when_it_has_grown_to_what_a_wake_up_is_worth() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.visited(5_000, RING, Left::Rest(600), start);
        // That is 1024 bytes from where the batch ended, or half of it: at once.
        assert_eq!((visits.early_at, visits.visit_at, visits.due), (5_000, 5_424, Some(start + LINGER)));
        visits.visited(6_000, RING, Left::Rest(100), start);
        assert_eq!((visits.early_at, visits.visit_at), (6_412, 6_924));
    }

    #[test]
    fn a_partial_line_that_does_not_grow_wakes_nobody() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.visited(10, RING, Left::Partial, start);
        assert_eq!(visits.due, Some(start + LINGER));
        visits.visited(10, RING, Left::Partial, start + LINGER);
        assert_eq!((visits.visit_at, visits.due), (11, None));
    }

    #[test]
    fn a_visit_at_the_very_instant_that_was_due_puts_off_what_is_still_open() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.visited(10, RING, Left::Open, start);
        visits.visited(20, RING, Left::Open, start + LINGER);
        assert_eq!(visits.due, Some(start + LINGER * 2), "or the loop would spin");
    }

    #[test]
    fn after_a_cut_nothing_is_due_and_what_the_ring_holds_is_looked_at() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.visited(10, RING, Left::Open, start);
        visits.cut();
        assert_eq!((visits.visit_at, visits.due), (10, None));
    }

    #[test]
    fn after_a_ring_was_emptied_a_quarter_of_it_calls_and_what_is_open_keeps_its_due() {
        let start = clock::now();
        let mut visits = Visits::new(LINGER);
        visits.discarded(5_000, RING, start);
        assert_eq!((visits.visit_at, visits.due), (5_000 + 1024, Some(start + LINGER)));
        visits.discarded(9_000, RING, start + LINGER / 2);
        assert_eq!((visits.visit_at, visits.due), (9_000 + 1024, Some(start + LINGER)));
        // What the ring got since then is growth.
        visits.visited(9_001, RING, Left::Partial, start + LINGER);
        assert_eq!((visits.visit_at, visits.due), (9_001 + 1024, Some(start + LINGER * 2)));
    }
}
