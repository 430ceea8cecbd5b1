//! What a run came to, in the figures that it is judged by, and the judgement.

use super::world::{BIN_US, PumpSeen, SECOND_US, Scenario, Seen};

/// Of the least time that the quota allows.
const DRAINED_MAX: f64 = 1.2;
const JAIN_MIN: f64 = 0.95;
pub const PEAK_MAX: f64 = 1.5;

/// What is throttled was sent in vain.
const CALLS_PER_BODY_MAX: f64 = 1.5;

const WINDOW_US: u64 = 10 * SECOND_US;
/// A comparison of fewer pumps says little.
const PUMPS_COMPARED_MIN: usize = 10;
pub const BINS_PER_100_MS: usize = (100_000 / BIN_US) as usize;

#[derive(Debug)]
pub struct Figures {
    pub backlog: u64,
    pub drained_s: f64,
    /// Against the least time in which the quota takes the backlog and what is written meanwhile.
    pub drained: f64,
    /// Jain's index of the calls delivered in the first half of that time, among the pumps that were behind all of it.
    pub jain: f64,
    /// The same of every 10 s: the least.
    pub jain_10_s: f64,
    /// Calls in the busiest 100 ms after the first second, over the mean.
    pub peak: f64,
    /// How often a body was sent until it was taken.
    pub calls_per_body: f64,
    pub held_max: u64,
    pub dropped: u64,
}

impl Figures {
    pub fn of(scenario: &Scenario, seen: &Seen) -> Figures {
        let drained_us = seen.pumps.iter().filter_map(|pump| pump.drained_us).max().unwrap_or_default();
        let drained_s = drained_us as f64 / SECOND_US as f64;
        let least_s = seen.backlog as f64 / (scenario.quota_per_s as f64 - seen.fresh_per_s);
        let sum = |bins: &[u32]| bins.iter().map(|calls| f64::from(*calls)).sum::<f64>();
        let windows = (0..drained_us / WINDOW_US).map(|window| (window * WINDOW_US, (window + 1) * WINDOW_US));
        Figures {
            backlog: seen.backlog,
            drained_s,
            drained: drained_s / least_s,
            jain: jain_between(&seen.pumps, 0, drained_us / 2).unwrap_or(f64::NAN),
            jain_10_s: windows.filter_map(|(from, to)| jain_between(&seen.pumps, from, to)).fold(f64::NAN, f64::min),
            peak: peak(&seen.calls, drained_us),
            calls_per_body: sum(&seen.calls) / sum(&seen.stored),
            held_max: seen.pumps.iter().map(|pump| pump.held_max).max().unwrap_or_default(),
            dropped: seen.pumps.iter().map(|pump| pump.dropped).sum(),
        }
    }

    /// What was missed.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        // What is no number is missed as well.
        let at_most = |value: f64, max: f64| value <= max;
        if !at_most(self.drained, DRAINED_MAX) {
            missed.push(format!("drained in {:.3} times the least time, {DRAINED_MAX} at most", self.drained));
        }
        if !at_most(JAIN_MIN, self.jain) {
            missed.push(format!("Jain's index is {:.3}, {JAIN_MIN} at least", self.jain));
        }
        if !at_most(self.peak, PEAK_MAX) {
            missed.push(format!("the busiest 100 ms has {:.2} times the mean, {PEAK_MAX} at most", self.peak));
        }
        if !at_most(self.calls_per_body, CALLS_PER_BODY_MAX) {
            missed.push(format!("{:.2} calls a body, {CALLS_PER_BODY_MAX} at most", self.calls_per_body));
        }
        if self.dropped > 0 {
            missed.push(format!("{} bodies dropped", self.dropped));
        }
        missed
    }
}

/// 1: all have the same; 1/n: one of n has it all.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
    sum * sum / (shares.len() as f64 * squares)
}

fn jain_between(pumps: &[PumpSeen], from_us: u64, to_us: u64) -> Option<f64> {
    let behind = pumps.iter().filter(|pump| pump.drained_us.is_none_or(|drained_us| drained_us > to_us));
    let shares: Vec<_> = behind.map(|pump| stored_between(pump, from_us, to_us)).collect();
    (shares.len() >= PUMPS_COMPARED_MIN).then(|| jain(&shares))
}

fn stored_between(pump: &PumpSeen, from_us: u64, to_us: u64) -> f64 {
    let before = |at_us: u64| pump.stored_us.partition_point(|stored_us| *stored_us < at_us);
    (before(to_us) - before(from_us)) as f64
}

/// Of any 100 ms, beginning with any bin.
fn peak(calls: &[u32], drained_us: u64) -> f64 {
    let (from, to) = ((SECOND_US / BIN_US) as usize, ((drained_us / BIN_US) as usize).min(calls.len()));
    let seen = calls.get(from..to).unwrap_or_default();
    let mean = f64::from(seen.iter().sum::<u32>()) / seen.len() as f64 * BINS_PER_100_MS as f64;
    let most = seen.windows(BINS_PER_100_MS).map(|bins| bins.iter().sum::<u32>()).max().unwrap_or_default();
    f64::from(most) / mean
}
