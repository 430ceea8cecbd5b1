//! Why io_uring cannot be used: the step that failed, how, what around it explains that, and what to do. In one line.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// RWF_NOWAIT on pipes, without which a read of an empty pipe waits. Everything else that is needed is older: see
/// docs/OPERATIONS.md.
pub const KERNEL_MIN: (u32, u32) = (6, 4);

/// From linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;

/// Why io_uring cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    step: Step,
    cause: Cause,
    around: Surroundings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Fork,
    SetUp,
    Poll,
    Read,
    Files,
}

impl Step {
    /// By its place in the list.
    pub(super) fn of(number: u8) -> Step {
        [Step::Fork, Step::SetUp, Step::Poll, Step::Read].get(usize::from(number)).copied().unwrap_or(Step::Files)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Errno(i32),
    /// By this signal, if that is known.
    Killed(Option<i32>),
    /// For so long.
    Silent(Duration),
    Wrong,
    Threads,
}

/// What can be seen of why. None: it cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Surroundings {
    /// kernel.io_uring_disabled, which is there from 6.6 on.
    disabled: Option<u32>,
    /// /proc/self/status, Seccomp: 2 is a filter.
    seccomp: Option<u32>,
    is_admin: bool,
    kernel: Option<(u32, u32)>,
    /// RLIMIT_MEMLOCK, in bytes.
    memlock: Option<u64>,
    /// RLIMIT_NOFILE.
    open_files: Option<u64>,
}

impl Surroundings {
    fn look() -> Surroundings {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        let capabilities = field("CapEff:").and_then(|caps| u64::from_str_radix(caps, 16).ok()).unwrap_or_default();
        Surroundings {
            disabled: disabled.and_then(|value| value.trim().parse().ok()),
            seccomp: field("Seccomp:").and_then(|mode| mode.parse().ok()),
            is_admin: capabilities & (1 << CAP_SYS_ADMIN) != 0,
            kernel: version(&rustix::system::uname().release().to_string_lossy()),
            memlock: getrlimit(Resource::Memlock).current,
            open_files: getrlimit(Resource::Nofile).current,
        }
    }

    fn has_filter(&self) -> bool {
        self.seccomp == Some(2)
    }

    fn has_old_kernel(&self) -> bool {
        self.kernel.is_some_and(|kernel| kernel < KERNEL_MIN)
    }
}

/// `6.1.0-13-amd64` is (6, 1).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Refusal {
    /// With what this process can see.
    pub(super) fn here(step: Step, cause: Cause) -> Refusal {
        Refusal { step, cause, around: Surroundings::look() }
    }

    /// What failed, and how.
    pub fn fault(&self) -> String {
        let step = match self.step {
            Step::Fork => "cannot fork to try io_uring",
            Step::SetUp => "cannot create an io_uring",
            Step::Poll => "an io_uring poll of a pipe failed",
            Step::Read => "an io_uring read of a pipe failed",
            Step::Files => "io_uring reads pipes, but fails with files",
        };
        let how = match self.cause {
            Cause::Errno(errno) => io::Error::from_raw_os_error(errno).to_string(),
            Cause::Killed(Some(libc::SIGSYS)) => "killed by SIGSYS".into(),
            Cause::Killed(Some(signal)) => format!("killed by signal {signal}"),
            Cause::Killed(None) => "the process that tried it is gone".into(),
            Cause::Silent(limit) => format!("no answer within {limit:?}"),
            Cause::Threads => "this process has other threads already".into(),
            Cause::Wrong => "the answer was wrong".into(),
        };
        format!("{step}: {how}")
    }

    /// The likely cause, and what to do about it.
    pub fn remedy(&self) -> String {
        let around = &self.around;
        match self.cause {
            Cause::Errno(libc::EPERM | libc::EACCES) => self.forbidden(),
            Cause::Errno(libc::ENOSYS) if around.has_filter() => format!("{FILTERED}; {ALLOW}"),
            Cause::Errno(libc::ENOSYS) => {
                "likely a kernel without io_uring, or a sandbox such as gVisor that has none".into()
            }
            Cause::Errno(libc::EINVAL | libc::EOPNOTSUPP) | Cause::Wrong if around.has_old_kernel() => {
                let ((major, minor), (has_major, has_minor)) = (KERNEL_MIN, around.kernel.unwrap_or_default());
                format!("the kernel is {has_major}.{has_minor}; io_uring needs {major}.{minor} or newer here")
            }
            Cause::Errno(libc::ENOMEM) => self.short_of_memory(),
            Cause::Errno(libc::EMFILE | libc::ENFILE) => match around.open_files {
                Some(most) => format!("the limit of open files is {most}; raise it (ulimit -n)"),
                None => "too many files are open on this machine (sysctl fs.file-max)".into(),
            },
            Cause::Errno(libc::EAGAIN) if self.step == Step::Fork => {
                "likely a limit of processes (ulimit -u, pids.max); raise it".into()
            }
            Cause::Killed(_) if around.has_filter() => {
                format!("the seccomp filter, or a sandbox, kills instead of refusing; {ALLOW}")
            }
            Cause::Killed(_) => "likely a sandbox that kills instead of refusing".into(),
            Cause::Threads => "a fault of logpump's; please report it".into(),
            _ if around.has_filter() => format!("{FILTERED}, or a sandbox; {ALLOW}"),
            _ => "likely a sandbox, or a machine that is very busy".into(),
        }
    }

    /// In the order in which the kernel asks: seccomp before the call, then the sysctl, then security modules.
    fn forbidden(&self) -> String {
        let around = &self.around;
        let sysctl = match around.disabled {
            Some(2) => Some("the sysctl kernel.io_uring_disabled is 2, so nobody may use it"),
            Some(1) if !around.is_admin => Some(
                "the sysctl kernel.io_uring_disabled is 1, so only CAP_SYS_ADMIN and the group kernel.io_uring_group may use it",
            ),
            _ => None,
        };
        match (sysctl, around.has_filter()) {
            (Some(sysctl), false) => format!("{sysctl}; set it to 0 on the host"),
            (Some(sysctl), true) => {
                format!("{sysctl}; set it to 0 on the host; and a seccomp filter is active: {ALLOW}")
            }
            (None, true) => format!("{FILTERED}; {ALLOW}"),
            (None, false) => "likely a security module (SELinux, AppArmor) or a sandbox; allow it there".into(),
        }
    }

    fn short_of_memory(&self) -> String {
        match self.around.memlock {
            Some(bytes) => format!(
                "the limit of locked memory is {} KiB, for all rings of this user together; raise it (ulimit -l, docker run --ulimit memlock=...)",
                bytes / 1024
            ),
            None => "memory is short".into(),
        }
    }
}

const FILTERED: &str = "a seccomp filter is active, and likely refuses it, as Docker's default profile does";
const ALLOW: &str = "allow io_uring_setup and io_uring_enter in the container's seccomp profile";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.fault(), self.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Surroundings = Surroundings {
        disabled: Some(0),
        seccomp: Some(0),
        is_admin: false,
        kernel: Some((6, 18)),
        memlock: Some(65_536),
        open_files: Some(20),
    };

    fn remedy(cause: Cause, around: Surroundings) -> String {
        Refusal { step: Step::SetUp, cause, around }.remedy()
    }

    #[test]
    fn each_refusal_names_its_cause_and_its_remedy() {
        let errno = Cause::Errno;
        let filtered = Surroundings { seccomp: Some(2), ..PLAIN };
        let old = Surroundings { kernel: Some((5, 15)), ..PLAIN };
        for (cause, around, expected) in [
            (errno(libc::EPERM), PLAIN, "a security module"),
            (errno(libc::EACCES), PLAIN, "a security module"),
            (errno(libc::EPERM), filtered, "allow io_uring_setup and io_uring_enter"),
            (errno(libc::EPERM), Surroundings { disabled: Some(2), ..PLAIN }, "io_uring_disabled is 2"),
            (errno(libc::EPERM), Surroundings { disabled: Some(1), ..PLAIN }, "io_uring_disabled is 1"),
            (errno(libc::EPERM), Surroundings { disabled: Some(1), is_admin: true, ..PLAIN }, "a security module"),
            (
                errno(libc::EPERM),
                Surroundings { disabled: Some(2), ..filtered },
                "set it to 0 on the host; and a seccomp",
            ),
            (errno(libc::ENOSYS), PLAIN, "a kernel without io_uring"),
            (errno(libc::ENOSYS), filtered, "a seccomp filter is active"),
            (errno(libc::EINVAL), old, "the kernel is 5.15; io_uring needs 6.4 or newer"),
            (errno(libc::EOPNOTSUPP), old, "the kernel is 5.15; io_uring needs 6.4 or newer"),
            (errno(libc::EINVAL), PLAIN, "a sandbox"),
            (errno(libc::ENOMEM), PLAIN, "the limit of locked memory is 64 KiB"),
            (errno(libc::ENOMEM), Surroundings { memlock: None, ..PLAIN }, "memory is short"),
            (errno(libc::EMFILE), PLAIN, "the limit of open files is 20"),
            (Cause::Killed(Some(libc::SIGSYS)), filtered, "kills instead of refusing; allow"),
            (Cause::Killed(Some(libc::SIGSYS)), PLAIN, "a sandbox that kills"),
            (Cause::Killed(None), PLAIN, "a sandbox that kills"),
            (Cause::Silent(Duration::from_millis(500)), PLAIN, "very busy"),
            (Cause::Wrong, old, "the kernel is 5.15"),
        ] {
            let said = remedy(cause, around);
            assert!(said.contains(expected), "{cause:?}, {around:?}: {said}");
            assert!(!said.contains('\n'));
        }
    }

    #[test]
    fn a_release_is_read_up_to_its_second_number() {
        let releases = ["6.1.0-13-amd64", "6.18.44-fc-v669", "5.10", "7.0-rc1", "6", "x"];
        let expected = [Some((6, 1)), Some((6, 18)), Some((5, 10)), Some((7, 0)), None, None];
        assert_eq!(releases.map(version), expected);
    }
}
