//! What the machine gives: the engine, the kernel, pipes, locked memory, the spool's directory, the clock.

use rustix::process::{Resource, geteuid, getrlimit};

use super::{Finding, Plan};
use crate::clock;
use crate::intake::pipe;
use crate::ledger::counted;
use crate::limits::{HEALTH_CHECKS_MAX, PIPE_BYTES};
use crate::run::EngineWish;
use crate::spool::{self, examine::examine};
use crate::sys::{probe, time_sync};

/// What a ring takes of the locked memory that a user may have, with room for the probe's and the spool's beside it.
const MEMLOCK_BYTES_MIN: u64 = 64 * 1024;
const MIB: u64 = 1024 * 1024;

pub fn engine(plan: &Plan) -> Vec<Finding> {
    if plan.engine == EngineWish::Epoll {
        return vec![Finding::ok("engine", "epoll: asked for")];
    }
    let wanted = probe::Wanted { descriptors: plan.commands + 1, files: plan.spool.is_some() };
    match (probe::io_uring_works(wanted), plan.engine) {
        (Ok(works), _) => {
            let pipes = Finding::ok("engine", "uring: io_uring works here");
            let files = works.files.err().map(|refusal| {
                Finding::warn(
                    "engine",
                    format!("the spool goes without io_uring: {}", refusal.fault()),
                    refusal.remedy(),
                )
            });
            std::iter::once(pipes).chain(files).collect()
        }
        (Err(refusal), EngineWish::Uring) => {
            vec![Finding::fail("engine", format!("--engine uring: {}", refusal.fault()), refusal.remedy())]
        }
        (Err(refusal), _) => {
            let remedy = format!("{}; or leave it: epoll is nearly as fast", refusal.remedy());
            vec![Finding::warn("engine", format!("epoll: {}", refusal.fault()), remedy)]
        }
    }
}

pub fn kernel() -> Finding {
    let system = rustix::system::uname();
    let said = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Finding::ok("kernel", format!("{} {} {}", said(system.sysname()), said(system.release()), said(system.machine())))
}

pub fn pipes(commands: usize) -> Finding {
    let setting = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let largest = setting("pipe-max-size").map_or("unknown".into(), |bytes| format!("{} KiB", bytes / 1024));
    let soft = setting("pipe-user-pages-soft").map(|pages| pages * rustix::param::page_size() as u64);
    let all = match soft {
        _ if geteuid().is_root() => "without limit, being root".to_owned(),
        None => "of an unknown sum".to_owned(),
        Some(0) => "without limit".to_owned(),
        Some(bytes) => format!("{} MiB in all", bytes / MIB),
    };
    let limits = format!("pipe-max-size is {largest}; this user may have pipes {all}");
    // As many as a run would have, at once.
    let mut held = Vec::new();
    for _ in 0..commands {
        match pipe::open(PIPE_BYTES) {
            Ok((pipe, writer, None)) => held.push((pipe, writer)),
            Ok((.., Some(warning))) => {
                let remedy =
                    "raise fs.pipe-user-pages-soft or fs.pipe-max-size on the host, or close other pipes of this user";
                return Finding::warn("pipes", format!("{warning} ({limits})"), remedy);
            }
            Err(error) => {
                let remedy = "raise the limit of open files (ulimit -n)";
                return Finding::fail(
                    "pipes",
                    format!("cannot make {}: {error}", counted(commands as u64, "pipe", "pipes")),
                    remedy,
                );
            }
        }
    }
    Finding::ok("pipes", format!("{} KiB each; {limits}", PIPE_BYTES / 1024))
}

pub fn memlock() -> Finding {
    match getrlimit(Resource::Memlock).current {
        None => Finding::ok("memlock", "without limit"),
        Some(bytes) if bytes >= MEMLOCK_BYTES_MIN => Finding::ok("memlock", format!("{} KiB", bytes / 1024)),
        Some(bytes) => Finding::warn(
            "memlock",
            format!("{} KiB, for all rings of this user together", bytes / 1024),
            "raise it to 64 KiB or more (ulimit -l, docker run --ulimit memlock=...), or io_uring may be refused",
        ),
    }
}

/// Of the descriptors that a run holds: those of itself, its engine, its spool and its calls. Measured: 29, with an endpoint
/// that refuses connections; each call in flight may add a socket, of which there are 8 unless more are asked for.
const OPEN_FILES_FIXED: u64 = 64;

/// What a run would open for its commands: a pipe, which has two ends until the command has one, then a pidfd in the place
/// of that end; a file, if lines go into files. For health: a pipe and a pidfd for each check that runs, and a socket for each
/// address.
pub fn open_files(plan: &Plan) -> Finding {
    const NAME: &str = "descriptors";
    let each = if plan.files.is_some() { 3 } else { 2 };
    let health = 2 * plan.checks.len().min(HEALTH_CHECKS_MAX) + plan.listens.len();
    let wanted = plan.commands as u64 * each + OPEN_FILES_FIXED + health as u64;
    let commands = counted(plan.commands as u64, "command takes", "commands take");
    match getrlimit(Resource::Nofile).current {
        None => Finding::ok(NAME, "without limit"),
        Some(limit) if limit >= wanted => Finding::ok(NAME, format!("at most {limit}; {commands} {wanted}")),
        Some(limit) => Finding::fail(
            NAME,
            format!("at most {limit}; {commands} {wanted}"),
            format!("raise the limit to {wanted} or more (ulimit -n, docker run --ulimit nofile=...)"),
        ),
    }
}

pub fn spool(plan: &Plan) -> Finding {
    const NAME: &str = "spool";
    let Some(spool) = &plan.spool else {
        return Finding::ok(NAME, "none: --spool-max is 0, so an outage costs what memory does not hold");
    };
    let path = spool.directory.display();
    let run = spool::run_id(clock::wall_ms(), std::process::id());
    let examined = match examine(&spool.directory, run) {
        Ok(examined) => examined,
        Err(error) if plan.insists_on_spool => {
            return Finding::fail(NAME, error.to_string(), "name a directory on a disk");
        }
        Err(error) => {
            let remedy = "name a directory with --spool-dir; without one an outage costs what memory does not hold";
            return Finding::warn(NAME, error.to_string(), remedy);
        }
    };
    let free = examined.free_bytes / MIB;
    let found = format!(
        "{path} can be written: {}, {free} MiB free, --spool-max is {} MiB",
        examined.file_system,
        spool.bytes_max / MIB
    );
    if let Some(vanishing) = examined.vanishing {
        return Finding::warn(NAME, found, vanishing);
    }
    if examined.free_bytes < spool.bytes_max {
        return Finding::warn(NAME, found, "less is free than the spool may take: make room, or lower --spool-max");
    }
    Finding::ok(NAME, found)
}

/// `ahead_s`: how far the service's clock is ahead of ours, if it told.
pub fn clock(ahead_s: Option<i64>) -> Finding {
    /// A `Date` has whole seconds, and took a moment to come.
    const DRIFT_S_MAX: u64 = 5;
    /// A signature that is older is refused. Source: AWS Signature Version 4.
    const SKEW_S_MAX: u64 = 5 * 60;
    const NAME: &str = "clock";
    let remedy = "have the host's time service (chrony, systemd-timesyncd) running, and reaching its servers";
    let kept = match time_sync::is_synchronised() {
        Ok(true) => "kept by a time service",
        Ok(false) => "not kept by any time service, as far as the kernel knows",
        Err(_) => "whether a time service keeps it cannot be asked",
    };
    let is_kept = kept.starts_with("kept");
    match ahead_s {
        Some(ahead) if ahead.unsigned_abs() > DRIFT_S_MAX => {
            let behind = if ahead > 0 { "behind" } else { "ahead of" };
            let text = format!("{} s {behind} the service's; {kept}", ahead.unsigned_abs());
            if ahead.unsigned_abs() >= SKEW_S_MAX {
                Finding::fail(NAME, text, remedy)
            } else {
                Finding::warn(NAME, text, remedy)
            }
        }
        // It agrees with the service's, whoever sees to that.
        Some(_) => Finding::ok(NAME, format!("agrees with the service's; {kept}")),
        None if is_kept => Finding::ok(NAME, kept),
        None => Finding::warn(NAME, kept, remedy),
    }
}
