//! Why a thread of ours does not end: not guessed, but said as far as the kernel knows it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::clock;
use crate::sys::task::{Look, look};

/// Looks at a thread from now on.
pub struct Watch {
    thread: &'static str,
    first: Option<Look>,
    since: Instant,
}

impl Watch {
    pub fn begin(thread: &'static str) -> Watch {
        Watch { thread, first: look(thread), since: clock::now() }
    }

    /// What it has done since, and what that is likely to mean.
    pub fn why(&self) -> String {
        let Some(last) = look(self.thread) else { return "nothing can be known of it".to_owned() };
        let first = self.first.as_ref().unwrap_or(&last);
        why(first, &last, clock::now() - self.since)
    }
}

fn why(first: &Look, last: &Look, time: Duration) -> String {
    let cpu = last.cpu.saturating_sub(first.cpu);
    let starved = last.starved.saturating_sub(first.starved);
    let mut text = format!("in the last {:.1} s it had {:.2} s of a processor", time.as_secs_f64(), cpu.as_secs_f64());
    if starved >= time / 10 {
        // Writing to a String cannot fail.
        let _ = write!(text, " and waited {:.1} s for one", starved.as_secs_f64());
    }
    let waits_in = last.waits_in.as_ref().map_or_else(String::new, |function| format!(" ({function})"));
    let meaning = match last.state {
        'D' => format!("it is in the kernel and cannot be interrupted{waits_in}: likely a disk that does not answer"),
        'R' if cpu >= time / 2 => {
            "it still works: likely a mask pattern of your own that is slow, or more lines than one processor encodes"
                .to_owned()
        }
        'R' => "it would work: likely there is too little CPU (the container's limit, or other processes)".to_owned(),
        'S' if cpu >= time / 10 => "it works with pauses: likely there is too little CPU".to_owned(),
        'S' => format!("it sleeps{waits_in}: likely in a file or a pipe that does not answer"),
        state => format!("its state is {state}"),
    };
    format!("{text}; {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(state: char, cpu_ms: u64, starved_ms: u64) -> String {
        let at = |state, cpu_ms, starved_ms| Look {
            state,
            cpu: Duration::from_millis(cpu_ms),
            starved: Duration::from_millis(starved_ms),
            waits_in: (state == 'D').then(|| "io_schedule".to_owned()),
        };
        why(&at('S', 5000, 1000), &at(state, 5000 + cpu_ms, 1000 + starved_ms), Duration::from_secs(2))
    }

    #[test]
    fn a_disk_a_processor_and_a_slow_pattern_are_told_apart() {
        for (state, cpu_ms, starved_ms, expected) in [
            (
                'D',
                0,
                0,
                "had 0.00 s of a processor; it is in the kernel and cannot be interrupted (io_schedule): likely a disk",
            ),
            ('R', 1900, 100, "had 1.90 s of a processor; it still works: likely a mask pattern"),
            (
                'R',
                100,
                1900,
                "had 0.10 s of a processor and waited 1.9 s for one; it would work: likely there is too little CPU",
            ),
            ('S', 300, 0, "it works with pauses"),
            ('S', 0, 0, "it sleeps: likely in a file or a pipe"),
            ('T', 0, 0, "its state is T"),
        ] {
            let said = after(state, cpu_ms, starved_ms);
            assert!(said.starts_with("in the last 2.0 s it ") && said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_not_made_up() {
        assert_eq!(Watch::begin("never-there").why(), "nothing can be known of it");
    }
}
