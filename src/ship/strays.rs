//! Processes that the SDK started for credentials (`credential_process`) and that still run at our end: killed, or one
//! that hangs would outlive us. Knows them by this thread, which starts no others: the supervised children are main's,
//! and orphans fall to main as well.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use rustix::thread::gettid;

use crate::limits::STRAYS_MAX;

/// The children of the calling thread, and theirs: the SDK puts a shell in between.
pub fn kill() {
    let mut found: Vec<(Pid, OwnedFd)> = Vec::new();
    let own = format!("/proc/{}/task/{}/children", getpid(), gettid());
    look(&own, &mut found);
    let mut looked = 0;
    while let Some((parent, _)) = found.get(looked) {
        // A shell has one thread; what another program's other threads started is missed.
        let of_parent = format!("/proc/{parent}/task/{parent}/children");
        look(&of_parent, &mut found);
        looked += 1;
    }
    for (_, process) in &found {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

/// By a descriptor each, for a process id alone may be a stranger's by the time that it is used: only one that is still
/// listed once the descriptor is there is the process that was meant.
fn look(list: &str, found: &mut Vec<(Pid, OwnedFd)>) {
    for pid in listed(list) {
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if found.len() < STRAYS_MAX && listed(list).contains(&pid) {
            found.push((pid, process));
        }
    }
}

/// None where the kernel does not tell (CONFIG_PROC_CHILDREN), and of a process that is gone.
fn listed(list: &str) -> Vec<Pid> {
    let children = fs::read_to_string(list).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Child, Command, Stdio};

    /// A shell whose child holds its stdout as long as it lives.
    fn shell_with_a_child() -> Child {
        Command::new("sh").args(["-c", "echo here; sleep 1000; :"]).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn what_this_thread_started_is_killed_with_its_children_and_what_another_did_is_not() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let others = std::thread::spawn(move || {
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            // A thread that ends leaves its children to another of its process: perhaps to the one that kills.
            held.recv().unwrap();
            let runs = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            runs
        });
        let mut own = shell_with_a_child();
        let mut stdout = own.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 5]).unwrap();
        while listed(&format!("/proc/{0}/task/{0}/children", own.id())).is_empty() {
            std::thread::yield_now();
        }
        kill();
        assert!(!own.wait().unwrap().success());
        assert_eq!(stdout.read(&mut [0]).unwrap(), 0, "the grandchild is gone too");
        release.send(()).unwrap();
        assert!(others.join().unwrap());
    }
}
