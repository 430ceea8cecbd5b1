//! Why a program did not start, in words that a user can act on. execve says ENOENT for a missing program, a missing
//! interpreter and a missing loader alike, so the file is looked at once more; the answer is a likely cause, not a proof.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::Spec;
use super::program::{Head, candidate, has_slash, head_of, may_execute};

/// What execvp searches when PATH is unset. Source: execvp(3), glibc since 2.24.
const PATH_WHEN_UNSET: &str = "/bin:/usr/bin";

pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| PATH_WHEN_UNSET.into())
}

/// A child that could not be started. Displays as what failed, the errno, the likely cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError {
    kind: Kind,
    child: String,
    command: OsString,
    /// None: we did not try.
    errno: Option<Errno>,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is no such program, or something that it needs to start is missing.
    NotFound,
    /// There is such a file, but the kernel does not run it.
    NotExecutable,
    /// The system refused: processes, memory, descriptors.
    System,
}

/// The likely cause, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Why {
    cause: String,
    /// None: the cause says it.
    remedy: Option<&'static str>,
}

impl Why {
    fn new(cause: impl Into<String>, remedy: &'static str) -> Why {
        Why { cause: cause.into(), remedy: Some(remedy) }
    }

    fn alone(cause: impl Into<String>) -> Why {
        Why { cause: cause.into(), remedy: None }
    }
}

impl SpawnError {
    /// 127 and 126 as shells give them; 71 is EX_OSERR.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::NotFound => 127,
            Kind::NotExecutable => 126,
            Kind::System => 71,
        }
    }

    /// The message, of what was to be started.
    pub fn of_what(&self, what: &str) -> String {
        let remedy = self.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{}{remedy}", self.cause(what))
    }

    /// The message without the remedy.
    pub fn cause(&self, what: &str) -> String {
        let errno = self.errno.map(|errno| format!("{}; ", errno_name(errno))).unwrap_or_default();
        format!("cannot start {what} ({}): {errno}{}", self.command.display(), self.why.cause)
    }

    pub fn remedy(&self) -> Option<&'static str> {
        self.why.remedy
    }

    fn new(kind: Kind, spec: &Spec, errno: Option<Errno>, why: Why) -> SpawnError {
        let command = spec.argv.first().cloned().unwrap_or_default();
        SpawnError { kind, child: spec.name.clone(), command, errno, why }
    }

    /// An argument that no program can be given.
    pub(super) fn nul_byte(spec: &Spec, argument: usize) -> SpawnError {
        let cause = format!("argument {argument} contains a NUL byte, which no argument can");
        SpawnError::new(Kind::NotExecutable, spec, None, Why::new(cause, "remove it"))
    }

    pub(super) fn nul_byte_in_variable(spec: &Spec, name: &OsStr) -> SpawnError {
        let cause = format!("the variable {} contains a NUL byte, which none can", name.display());
        SpawnError::new(Kind::NotExecutable, spec, None, Why::new(cause, "remove it"))
    }

    pub(super) fn nul_byte_in_directory(spec: &Spec) -> SpawnError {
        let why = Why::new("its directory contains a NUL byte, which no path can", "remove it");
        SpawnError::new(Kind::NotExecutable, spec, None, why)
    }

    /// There is no command at all.
    pub(super) fn no_command(spec: &Spec) -> SpawnError {
        let why = Why::new("the command is empty", "name a program");
        SpawnError { command: OsString::new(), ..SpawnError::new(Kind::NotFound, spec, Some(Errno::NOENT), why) }
    }

    /// What posix_spawnp's errno means for this command.
    pub(super) fn of(spec: &Spec, errno: Errno) -> SpawnError {
        if let Some(directory) = spec.directory.as_ref().filter(|directory| !directory.is_dir()) {
            let cause = format!("its directory {} does not exist, or is none", directory.display());
            return SpawnError::new(Kind::NotFound, spec, Some(errno), Why::alone(cause));
        }
        SpawnError::diagnose(spec, errno, &search_path())
    }

    fn diagnose(spec: &Spec, errno: Errno, path: &OsStr) -> SpawnError {
        let command = spec.argv.first().map(OsString::as_os_str).unwrap_or_default();
        let (kind, why) = match errno {
            Errno::NOENT | Errno::NOTDIR => (Kind::NotFound, why_not_found(command, path)),
            Errno::ACCESS
            | Errno::NOEXEC
            | Errno::ISDIR
            | Errno::PERM
            | Errno::TOOBIG
            | Errno::TXTBSY
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::LIBBAD
            | Errno::INVAL => (Kind::NotExecutable, why_not_executable(command, errno, path)),
            _ => (Kind::System, why_refused(errno)),
        };
        SpawnError::new(kind, spec, Some(errno), why)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of_what(&format!("child {}", self.child)))
    }
}

impl std::error::Error for SpawnError {}

fn why_not_found(command: &OsStr, path: &OsStr) -> Why {
    let Some(file) = candidate(command, path) else {
        return if command.is_empty() {
            Why::new("the command is empty", "name a program")
        } else if has_slash(command) {
            Why::new("no such file", "check the path, and that it is mounted in this container")
        } else {
            let cause = format!("no such command in PATH ({})", path.display());
            Why::new(cause, "check the spelling, or give the full path")
        };
    };
    let file_name = file.display();
    match head_of(&file).as_deref().map(Head::read) {
        Some(Head::Script(interpreter)) if interpreter.ends_with('\r') => {
            let what = "the #! line of";
            let cause = format!("{what} {file_name} ends in CR LF, so it names an interpreter that does not exist");
            Why::new(cause, "save the file with LF line ends")
        }
        Some(Head::Script(interpreter)) => Why::new(
            format!("{file_name} exists, but the interpreter that its #! line names, {interpreter}, does not"),
            "install it, or correct the line",
        ),
        _ => Why::new(
            format!("{file_name} exists, but its program loader does not"),
            "likely it was built for another libc (glibc or musl) or another architecture",
        ),
    }
}

fn why_not_executable(command: &OsStr, errno: Errno, path: &OsStr) -> Why {
    let file = candidate(command, path).unwrap_or_else(|| PathBuf::from(command));
    let file_name = file.display();
    match errno {
        Errno::NOEXEC => match head_of(&file).as_deref().map(Head::read) {
            Some(Head::Elf) => {
                let cause = format!("{file_name} was built for another architecture, or is damaged");
                Why::new(cause, "use a build for this machine")
            }
            _ => {
                let cause = format!("{file_name} is neither a program nor a script with a #! line");
                Why::new(cause, "add one (#!/bin/sh), or name its interpreter first")
            }
        },
        Errno::TOOBIG => Why::new("arguments and environment are too large together", "shorten them"),
        Errno::TXTBSY => Why::new(format!("{file_name} is open for writing"), "close it first"),
        Errno::LOOP => Why::alone(format!("{file_name} is a symbolic link that leads back to itself")),
        Errno::NAMETOOLONG => Why::alone("the name is too long for a file"),
        _ if file.is_dir() => Why::new(format!("{file_name} is a directory"), "name a program"),
        _ if !may_execute(&file) => {
            Why::new(format!("{file_name} is not executable"), "chmod +x it, or name its interpreter first")
        }
        _ => Why::new(
            format!("{file_name} may not be executed by this user"),
            "look at the directories on the way, the interpreter of its #! line, a noexec mount, and the container's \
             security profile",
        ),
    }
}

fn why_refused(errno: Errno) -> Why {
    match errno {
        Errno::AGAIN => Why::new("the limit on processes is reached", "raise the container's pids limit or ulimit -u"),
        Errno::NOMEM => Why::new("out of memory", "raise the container's memory limit"),
        Errno::MFILE | Errno::NFILE => Why::new("too many open files", "raise ulimit -n"),
        Errno::NOSYS => Why::new("the sandbox knows no clone(2)", "allow it in the seccomp profile"),
        _ => Why::alone("the system refused to start a process"),
    }
}

/// `EPERM`, as manual pages name it.
pub(super) fn errno_name(errno: Errno) -> String {
    let name = match errno {
        Errno::PERM => "EPERM",
        Errno::NOENT => "ENOENT",
        Errno::SRCH => "ESRCH",
        Errno::IO => "EIO",
        Errno::TOOBIG => "E2BIG",
        Errno::NOEXEC => "ENOEXEC",
        Errno::BADF => "EBADF",
        Errno::CHILD => "ECHILD",
        Errno::AGAIN => "EAGAIN",
        Errno::NOMEM => "ENOMEM",
        Errno::ACCESS => "EACCES",
        Errno::NOTDIR => "ENOTDIR",
        Errno::ISDIR => "EISDIR",
        Errno::INVAL => "EINVAL",
        Errno::NFILE => "ENFILE",
        Errno::MFILE => "EMFILE",
        Errno::NOTTY => "ENOTTY",
        Errno::TXTBSY => "ETXTBSY",
        Errno::NAMETOOLONG => "ENAMETOOLONG",
        Errno::NOSYS => "ENOSYS",
        Errno::LOOP => "ELOOP",
        Errno::LIBBAD => "ELIBBAD",
        _ => return format!("errno {} ({errno})", errno.raw_os_error()),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::child::Stop;

    fn spec(command: impl AsRef<OsStr>) -> Spec {
        Spec {
            name: "web".to_owned(),
            argv: vec![command.as_ref().to_owned()],
            env: Vec::new(),
            directory: None,
            stop: Stop::after(Duration::ZERO),
        }
    }

    fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let file = directory.join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn told(command: impl AsRef<OsStr>, errno: Errno, path: &OsStr) -> (u8, String) {
        let error = SpawnError::diagnose(&spec(command), errno, path);
        (error.exit_code(), error.to_string())
    }

    #[test]
    fn a_command_that_is_nowhere_is_said_with_the_path_searched() {
        assert_eq!(
            told("frobnicate", Errno::NOENT, OsStr::new("/nowhere:/none")),
            (
                127,
                "cannot start child web (frobnicate): ENOENT; no such command in PATH (/nowhere:/none); \
                 check the spelling, or give the full path"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let script = file(directory.path(), "job", b"#! /no/such/python -u\nprint()\n", 0o755);
        let (code, message) = told("job", Errno::NOENT, directory.path().as_os_str());
        assert_eq!(code, 127);
        assert!(message.contains(&format!("{} exists, but the interpreter", script.display())), "{message}");
        assert!(message.contains("/no/such/python, does not"), "{message}");
    }

    #[test]
    fn line_ends_from_windows_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let script = file(directory.path(), "job", b"#!/bin/sh\r\necho\r\n", 0o755);
        let (_, message) = told(&script, Errno::NOENT, OsStr::new(""));
        assert!(message.contains("ends in CR LF"), "{message}");
    }

    #[test]
    fn a_missing_loader_is_told_from_a_missing_program() {
        let directory = tempfile::tempdir().unwrap();
        let program = file(directory.path(), "tool", b"\x7fELF.....", 0o755);
        let (_, message) = told(&program, Errno::NOENT, OsStr::new(""));
        assert!(message.contains("its program loader does not"), "{message}");
    }

    #[test]
    fn a_file_without_a_shebang_line_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let script = file(directory.path(), "job", b"echo hello\n", 0o755);
        let (code, message) = told(&script, Errno::NOEXEC, OsStr::new(""));
        assert_eq!(code, 126);
        assert!(message.contains("ENOEXEC"), "{message}");
        assert!(message.contains("#! line"), "{message}");
    }

    #[test]
    fn what_may_not_be_executed_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let plain = file(directory.path(), "notes", b"", 0o644);
        let (code, message) = told(&plain, Errno::ACCESS, OsStr::new(""));
        assert_eq!(code, 126);
        assert!(message.contains("chmod +x"), "{message}");
        let (code, message) = told("/usr", Errno::ACCESS, OsStr::new(""));
        assert_eq!(code, 126);
        assert!(message.contains("is a directory"), "{message}");
    }

    #[test]
    fn a_cause_is_told_from_its_remedy_whatever_a_name_holds() {
        let error = SpawnError::diagnose(&spec("a; b"), Errno::NOENT, OsStr::new("/x; y"));
        let cause = "cannot start it (a; b): ENOENT; no such command in PATH (/x; y)";
        assert_eq!(
            (error.cause("it").as_str(), error.remedy()),
            (cause, Some("check the spelling, or give the full path"))
        );
        let link = SpawnError::diagnose(&spec("/no;where"), Errno::LOOP, OsStr::new(""));
        assert_eq!(link.remedy(), None);
    }

    #[test]
    fn a_full_system_is_71() {
        let (code, message) = told("true", Errno::AGAIN, OsStr::new("/bin"));
        assert_eq!(code, 71);
        assert!(message.contains("EAGAIN; the limit on processes"), "{message}");
    }
}
