//! How often every fault met every stage of a line's way.

use logpump::ship::core::View;

use crate::faults::Fault;

/// Where something was when a fault struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Ring,
    Open,
    Waiting,
    Flying,
    Resting,
    Creating,
    Held,
    Gap,
    Storing,
    OnDisk,
    Backlog,
    Draining,
}

impl Stage {
    pub const ALL: [Stage; 12] = [
        Stage::Ring,
        Stage::Open,
        Stage::Waiting,
        Stage::Flying,
        Stage::Resting,
        Stage::Creating,
        Stage::Held,
        Stage::Gap,
        Stage::Storing,
        Stage::OnDisk,
        Stage::Backlog,
        Stage::Draining,
    ];

    pub fn is_seen(self, views: &[View], draining: bool) -> bool {
        views.iter().any(|view| self.has(view, draining))
    }

    fn has(self, view: &View, draining: bool) -> bool {
        match self {
            Stage::Ring => view.unframed_bytes > 0,
            Stage::Open => view.open_bytes > 0,
            Stage::Waiting => view.waiting > 0,
            Stage::Flying => view.flying > 0,
            Stage::Resting => view.resting > 0,
            Stage::Creating => view.creating,
            Stage::Held => view.on_hold,
            Stage::Gap => view.has_gap,
            Stage::Storing => view.storing > 0,
            Stage::OnDisk => view.on_disk > 0,
            Stage::Backlog => view.backlog > 0,
            Stage::Draining => draining,
        }
    }
}

/// A pair that was met less often, over all seeds, is named.
const ENOUGH: u64 = 100;
/// Of fewer seeds it cannot be expected.
const SEEDS_MIN: u64 = 1000;
/// Nothing to meet: the drain begins once, and then no child writes.
const IMPOSSIBLE: [(Fault, Stage); 2] = [(Fault::Drained, Stage::Draining), (Fault::RingFull, Stage::Draining)];

#[derive(Default, Clone)]
pub struct Coverage {
    met: [[u64; Stage::ALL.len()]; Fault::ALL.len()],
}

impl Coverage {
    /// `fault` struck while the streams stood so.
    pub fn met(&mut self, fault: Fault, views: &[View], draining: bool) {
        for stage in Stage::ALL {
            self.met[fault as usize][stage as usize] += u64::from(stage.is_seen(views, draining));
        }
    }

    pub fn print(&self, seeds: u64) {
        print!("{:15}", "");
        Stage::ALL.iter().for_each(|stage| print!("{:>10}", format!("{stage:?}")));
        println!();
        let mut few = Vec::new();
        for fault in Fault::ALL {
            print!("{:15}", format!("{fault:?}"));
            for stage in Stage::ALL {
                let count = self.met[fault as usize][stage as usize];
                print!("{count:>10}");
                if count < ENOUGH && !IMPOSSIBLE.contains(&(fault, stage)) {
                    few.push(format!("{fault:?} x {stage:?}: {count}"));
                }
            }
            println!();
        }
        if !few.is_empty() && seeds >= SEEDS_MIN {
            println!("met less than {ENOUGH} times: {}", few.join(", "));
        }
    }
}
