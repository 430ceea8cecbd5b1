//! What a thread of ours does, as the kernel sees it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// At one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// As in /proc: 'R' runs or would, 'S' sleeps, 'D' waits for what cannot be interrupted, such as a disk.
    pub state: char,
    /// Time that it had on a processor.
    pub cpu: Duration,
    /// Time that it could have run, and had none.
    pub starved: Duration,
    /// The kernel's function in which it waits, where the kernel tells.
    pub waits_in: Option<String>,
}

/// The thread of this name, of this process. None: there is none, or no /proc.
pub fn look(name: &str) -> Option<Look> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let is_it = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    let task = tasks.filter_map(|task| Some(task.ok()?.path())).find(is_it)?;
    let read = |file: &str| fs::read_to_string(task.join(file)).ok();
    let (state, ticks) = state_and_ticks(&read("stat")?)?;
    // Nanoseconds on a processor and waiting for one; zeros where the kernel does not count them.
    let counted = read("schedstat").unwrap_or_default();
    let mut counted =
        counted.split_whitespace().map(|number| number.parse().map_or(Duration::ZERO, Duration::from_nanos));
    let (exact, starved) = (counted.next().unwrap_or_default(), counted.next().unwrap_or_default());
    let by_ticks = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
    let waits_in = read("wchan").filter(|function| !function.is_empty() && function != "0");
    Some(Look { state, cpu: exact.max(by_ticks), starved, waits_in })
}

/// Fields 3, 14 and 15 of /proc/PID/stat; the second is a name, which may hold anything. Source: proc_pid_stat(5).
fn state_and_ticks(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((fields.first()?.chars().next()?, ticks(11)? + ticks(12)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread::Builder;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_name_may_hold_whatever_ends_names() {
        let stat = "7 (a) R 1 (b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0";
        assert_eq!(state_and_ticks(stat), Some(('S', 42)));
        assert_eq!(state_and_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_thread_that_sleeps_and_one_that_works_are_told_apart() {
        let over = Arc::new(AtomicBool::new(false));
        let (begun, wait_begun) = channel();
        let spinning = over.clone();
        let works = Builder::new().name("works-on".into()).spawn(move || {
            begun.send(()).unwrap();
            while !spinning.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let (wake, asleep) = channel::<()>();
        let sleeps = Builder::new().name("sleeps-on".into()).spawn(move || asleep.recv().is_err()).unwrap();
        wait_begun.recv().unwrap();
        let first = look("works-on").unwrap();
        // It gets a processor at some time, and the other comes to rest.
        let until = |what: &str, name: &str, is_so: &dyn Fn(&Look) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut now = look(name).unwrap();
            while !is_so(&now) {
                assert!(Instant::now() < deadline, "{what}: {now:?}");
                std::thread::yield_now();
                now = look(name).unwrap();
            }
        };
        until("it works", "works-on", &|look| look.cpu > first.cpu);
        until("it sleeps", "sleeps-on", &|look| look.state == 'S');
        assert_eq!(first.state, 'R');
        assert_eq!(look("nobody-of-that-name"), None);
        over.store(true, Ordering::Relaxed);
        drop(wake);
        works.unwrap().join().unwrap();
        sleeps.join().unwrap();
    }
}
