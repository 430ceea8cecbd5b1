//! Whether a program would start, without starting it: what execvp would come upon, and whether that can run.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::program::{Head, has_slash, head_of};
use super::{SpawnError, Spec};

/// A program that would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startable {
    pub program: PathBuf,
    /// Why it may fail all the same.
    pub doubt: Option<String>,
}

/// The error is the one that a start would have.
pub fn look(spec: &Spec) -> Result<Startable, SpawnError> {
    let Some(command) = spec.argv.first().filter(|command| !command.is_empty()) else {
        return Err(SpawnError::no_command(spec));
    };
    let base = spec.directory.as_deref().unwrap_or(Path::new(""));
    if !base.as_os_str().is_empty() && !base.is_dir() {
        return Err(SpawnError::of(spec, Errno::NOENT));
    }
    look_along(command, base, &super::error::search_path()).map_err(|errno| SpawnError::of(spec, errno))
}

/// As execvp goes on after a file that is not there or may not be executed, and ends at any other fault.
fn look_along(command: &OsStr, base: &Path, path: &OsStr) -> Result<Startable, Errno> {
    let files: Vec<PathBuf> = if has_slash(command) {
        vec![base.join(command)]
    } else {
        std::env::split_paths(path).map(|directory| base.join(directory).join(command)).collect()
    };
    let mut last = Errno::NOENT;
    for program in files {
        match try_on(&program, base, path) {
            Ok(doubt) => return Ok(Startable { program, doubt }),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::ACCESS) => last = Errno::ACCESS,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// What execve would say; else what makes one doubt.
fn try_on(program: &Path, base: &Path, path: &OsStr) -> Result<Option<String>, Errno> {
    executable(program)?;
    // What cannot be read may be executed.
    let Some(head) = head_of(program) else { return Ok(None) };
    let file = program.display();
    match Head::read(&head) {
        Head::Elf => Ok(None),
        Head::Script(interpreter) => {
            executable(&base.join(&interpreter))?;
            let asked = asked_of_env(&interpreter, &head);
            let missing = asked.filter(|asked| look_along(OsStr::new(asked), base, path).is_err());
            Ok(missing.map(|asked| format!("the #! line of {file} wants {asked}, which is not in PATH")))
        }
        Head::Other => Ok(Some(format!("{file} is neither a program nor a script with a #! line"))),
    }
}

fn executable(file: &Path) -> Result<(), Errno> {
    let meta = fs::metadata(file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::NOENT))?;
    if !meta.is_file() {
        return Err(Errno::ACCESS);
    }
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).map_err(|_| Errno::ACCESS)
}

/// The program of `#!/usr/bin/env [-S] [NAME=VALUE] PROGRAM`.
fn asked_of_env(interpreter: &str, head: &[u8]) -> Option<String> {
    if Path::new(interpreter).file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next()?).into_owned();
    let mut words = line.trim_start_matches("#!").split_whitespace().skip(1);
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(directory: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let file = directory.join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn found(command: &str, path: &Path) -> Result<Startable, Errno> {
        look_along(OsStr::new(command), Path::new(""), path.as_os_str())
    }

    #[test]
    fn what_would_start_is_found_where_execvp_finds_it() {
        let place = tempfile::tempdir().unwrap();
        let script = file(place.path(), "job", "#!/bin/sh\n", 0o755);
        assert_eq!(found("job", place.path()), Ok(Startable { program: script.clone(), doubt: None }));
        assert_eq!(found(script.to_str().unwrap(), Path::new("")).map(|found| found.program), Ok(script));
        // From the directory that the command starts in.
        let here = look_along(OsStr::new("./job"), place.path(), OsStr::new(""));
        assert_eq!(here.map(|found| found.doubt), Ok(None));
    }

    #[test]
    fn what_is_missing_may_not_be_executed_or_lacks_its_interpreter_has_execves_error() {
        let place = tempfile::tempdir().unwrap();
        file(place.path(), "plain", "#!/bin/sh\n", 0o644);
        file(place.path(), "orphan", "#!/no/such/python\n", 0o755);
        file(place.path(), "windows", "#!/bin/sh\r\n", 0o755);
        fs::create_dir(place.path().join("directory")).unwrap();
        for (command, errno) in [
            ("nowhere", Errno::NOENT),
            ("plain", Errno::ACCESS),
            ("orphan", Errno::NOENT),
            ("windows", Errno::NOENT),
            ("directory", Errno::ACCESS),
        ] {
            assert_eq!(found(command, place.path()), Err(errno), "{command}");
        }
        assert_eq!(found("/etc/passwd/x", Path::new("")), Err(Errno::NOENT));
    }

    #[test]
    fn what_the_kernel_starts_may_still_fail() {
        let place = tempfile::tempdir().unwrap();
        file(place.path(), "text", "echo hello\n", 0o755);
        file(place.path(), "asks", "#!/usr/bin/env -S A=b no-such-python -u\n", 0o755);
        let doubt = |command| found(command, place.path()).unwrap().doubt.unwrap();
        assert!(doubt("text").ends_with("neither a program nor a script with a #! line"), "{}", doubt("text"));
        assert!(doubt("asks").ends_with("wants no-such-python, which is not in PATH"), "{}", doubt("asks"));
    }
}
