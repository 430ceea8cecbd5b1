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
