//! How fast this pump may call, over all its streams: unlimited until the service throttles, then additive increase and
//! multiplicative decrease. Many pumps that share an account's quota so come to equal shares without speaking to each
//! other. Knows nothing of bodies and streams: a body that was throttled goes again when the rate lets the next call go.
//! Pure: time is an argument, chance comes from a seed.

use std::time::{Duration, Instant};

use crate::limits::{RATE_DECREASE, RATE_FREE_PER_S, RATE_INCREASE_PER_S2, RATE_MIN_PER_S, RATE_QUIET, RATE_USED_OVER};

#[derive(Debug)]
pub struct Rate {
    random: fastrand::Rng,
    used: Used,
    /// None: nothing was throttled lately, every call may go at once.
    limit: Option<Limit>,
}

/// `RATE_MIN_PER_S <= base_per_s <= RATE_FREE_PER_S`
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// Calls a second just after the last decrease.
    base_per_s: f64,
    decreased_at: Instant,
    /// Before, no call may go. A pump that lets it pass unused gains nothing: it is never more than one call.
    next_at: Instant,
    began_at: Instant,
}

impl Rate {
    pub fn new(seed: u64) -> Rate {
        Rate { random: fastrand::Rng::with_seed(seed), used: Used::default(), limit: None }
    }

    /// When the next call may go; none: whenever there is something to send.
    pub fn next_at(&self) -> Option<Instant> {
        self.limit.map(|limit| limit.next_at)
    }

    pub fn may_send(&self, now: Instant) -> bool {
        self.next_at().is_none_or(|at| at <= now)
    }

    /// Since when calls have been limited; none: they are not.
    pub fn limited_since(&self) -> Option<Instant> {
        self.limit.map(|limit| limit.began_at)
    }

    /// When a call was last throttled that counts, while calls are limited.
    pub fn throttled_at(&self) -> Option<Instant> {
        self.limit.map(|limit| limit.decreased_at)
    }

    /// Calls a second just after the last decrease; none: calls are not limited.
    pub fn base_per_s(&self) -> Option<f64> {
        self.limit.map(|limit| limit.base_per_s)
    }

    /// A call goes out, a first or a repeated one.
    pub fn sent(&mut self, now: Instant) {
        self.used.count(now);
        let Some(limit) = &mut self.limit else { return };
        let per_s = limit.per_s(now);
        if per_s >= RATE_FREE_PER_S {
            self.limit = None;
        } else {
            // Around the even gap, so that pumps that were in step fall out of it.
            limit.next_at = now + gap(per_s).mul_f64(0.5 + self.random.f64());
        }
    }

    /// The service throttled a call that was sent at `sent_at`.
    pub fn throttled(&mut self, sent_at: Instant, now: Instant) {
        // Calls that went before the last decrease say nothing of the rate since.
        if self.limit.is_some_and(|limit| sent_at < limit.decreased_at) {
            return;
        }
        // Of a limit that was not used up, the decrease would only be on paper; twice, since few calls measure coarsely.
        let used_per_s = 2.0 * self.used.per_s(now);
        let allowed_per_s = self.limit.map_or(used_per_s, |limit| limit.per_s(now).min(used_per_s));
        let base_per_s = (allowed_per_s * RATE_DECREASE).clamp(RATE_MIN_PER_S, RATE_FREE_PER_S);
        // Anywhere in a gap: pumps that were throttled together must not come back together.
        let anywhere = now + gap(base_per_s).mul_f64(self.random.f64());
        let (next_at, began_at) =
            self.limit.map_or((anywhere, now), |limit| (limit.next_at.max(anywhere), limit.began_at));
        self.limit = Some(Limit { base_per_s, decreased_at: now, next_at, began_at });
    }
}

impl Limit {
    /// Near the decrease the increase is linear, which makes shares equal; the longer nothing was throttled, the
    /// steeper it gets, which finds free capacity again. It depends on time alone, not on the rate, or it would be unfair.
    fn per_s(&self, now: Instant) -> f64 {
        let quiet_s = now.saturating_duration_since(self.decreased_at).as_secs_f64();
        let steeper = 1.0 + (quiet_s / RATE_QUIET.as_secs_f64()).powi(2);
        self.base_per_s + RATE_INCREASE_PER_S2 * quiet_s * steeper
    }
}

fn gap(per_s: f64) -> Duration {
    Duration::from_secs_f64(1.0 / per_s)
}

/// Calls that went out lately, older ones counting less and less.
#[derive(Debug, Default)]
struct Used {
    calls: f64,
    at: Option<Instant>,
}

impl Used {
    fn count(&mut self, now: Instant) {
        self.calls = self.left(now) + 1.0;
        self.at = Some(now);
    }

    fn per_s(&self, now: Instant) -> f64 {
        self.left(now) / RATE_USED_OVER.as_secs_f64()
    }

    fn left(&self, now: Instant) -> f64 {
        let Some(at) = self.at else { return 0.0 };
        let age = now.saturating_duration_since(at).as_secs_f64() / RATE_USED_OVER.as_secs_f64();
        self.calls * (-age).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MS: Duration = Duration::from_millis(1);
    /// So long a call takes here.
    const LATENCY: Duration = Duration::from_millis(25);

    /// A pump that always has something to send, of whose calls `is_throttled` says which are throttled, for `time`.
    /// When calls went out, from the beginning of that time.
    fn send(rate: &mut Rate, from: Instant, time: Duration, mut is_throttled: impl FnMut() -> bool) -> Vec<Duration> {
        let mut sent = Vec::new();
        let mut answers: Vec<Instant> = Vec::new();
        let mut now = from;
        while now < from + time {
            answers.retain(|sent_at| {
                let due = *sent_at + LATENCY <= now;
                if due && is_throttled() {
                    rate.throttled(*sent_at, now);
                }
                !due
            });
            while answers.len() < 8 && rate.may_send(now) {
                rate.sent(now);
                answers.push(now);
                sent.push(now - from);
            }
            now += MS;
        }
        sent
    }

    #[test]
    fn a_pump_that_is_never_throttled_never_waits() {
        let mut rate = Rate::new(1);
        let now = clock::now();
        let sent = send(&mut rate, now, Duration::from_secs(10), || false);
        assert_eq!((sent.len(), rate.next_at(), rate.limited_since()), (8 * 400, None, None));
    }

    #[test]
    fn calls_that_were_throttled_together_are_one_decrease() {
        let mut rate = Rate::new(1);
        let start = clock::now();
        (0..8).for_each(|_| rate.sent(start));
        let now = start + LATENCY;
        rate.throttled(start, now);
        let first = rate.limit.unwrap();
        // 8 calls within the last second, doubled, and a quarter less.
        assert!((11.0..12.0).contains(&first.base_per_s), "{first:?}");
        rate.throttled(start, now + MS);
        assert_eq!(rate.limit.unwrap().base_per_s, first.base_per_s);
        rate.sent(now + 2 * MS);
        rate.throttled(now + 2 * MS, now + 27 * MS);
        let second = rate.limit.unwrap().base_per_s;
        assert!((second / first.base_per_s - 0.75).abs() < 0.01, "{first:?}, then {second}");
    }

    #[test]
    fn the_rate_never_falls_below_its_least_and_is_back_within_seconds() {
        let mut rate = Rate::new(1);
        let mut now = clock::now();
        let sent = send(&mut rate, now, Duration::from_secs(60), || true);
        assert!((50..150).contains(&sent.len()), "{} calls in a minute", sent.len());
        let longest = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= Duration::from_millis(1501), "{longest:?}");
        now += Duration::from_secs(60);
        let sent = send(&mut rate, now, Duration::from_secs(60), || false);
        let in_second = |second: u64| sent.iter().filter(|at| at.as_secs() == second).count();
        assert!(in_second(1) < 10 && in_second(15) > 250, "{} and {}", in_second(1), in_second(15));
        assert_eq!((in_second(59), rate.limited_since()), (8 * 40, None));
    }

    #[test]
    fn calls_of_long_ago_hardly_count_as_used() {
        let start = clock::now();
        let mut used = Used::default();
        (0..100).for_each(|_| used.count(start));
        assert_eq!(used.per_s(start), 100.0);
        for (after, most) in [(1, 37.0), (5, 1.0), (10, 0.01)] {
            let left = used.per_s(start + RATE_USED_OVER * after);
            assert!(left < most && left > most / 3.0, "{left} after {after}");
        }
    }

    #[test]
    fn idle_time_is_no_credit() {
        let mut rate = Rate::new(1);
        let start = clock::now();
        rate.sent(start);
        rate.throttled(start, start + LATENCY);
        let later = start + Duration::from_secs(5);
        assert!(rate.may_send(later));
        rate.sent(later);
        assert!(!rate.may_send(later));
    }

    #[test]
    fn pumps_that_were_throttled_together_do_not_come_back_together() {
        let start = clock::now();
        let came_back = |seed| {
            let mut rate = Rate::new(seed);
            rate.sent(start);
            rate.throttled(start, start + LATENCY);
            rate.next_at().unwrap() - start
        };
        let times: Vec<_> = (0..1000).map(came_back).collect();
        let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        let quarter = (last - first) / 4;
        for part in 0..4 {
            let (from, to) = (first + quarter * part, first + quarter * (part + 1));
            let count = times.iter().filter(|at| **at >= from && **at < to).count();
            assert!((200..300).contains(&count), "{count} of 1000 between {from:?} and {to:?}");
        }
    }

    #[test]
    fn the_increase_is_linear_at_first_and_ever_steeper_later() {
        let start = clock::now();
        let limit = Limit { base_per_s: 10.0, decreased_at: start, next_at: start, began_at: start };
        let after = |ms| (limit.per_s(start + MS * ms) * 1000.0).round() / 1000.0;
        // One more a second, times 1 and the square of the seconds' third.
        assert_eq!((after(0), after(300), after(3_000), after(6_000)), (10.0, 10.303, 16.0, 40.0));
        assert_eq!(limit.per_s(start - MS), 10.0);
    }

    #[test]
    fn a_call_that_goes_out_in_the_instant_of_a_decrease_may_cause_the_next() {
        let mut rate = Rate::new(1);
        let start = clock::now();
        rate.sent(start);
        rate.throttled(start, start + LATENCY);
        rate.sent(start + LATENCY);
        rate.throttled(start + LATENCY, start + LATENCY * 2);
        assert_eq!(rate.limit.unwrap().decreased_at, start + LATENCY * 2);
    }
}
