//! A look at a program that the kernel would not start: where it is, and what its first bytes say that it is.
//! Knows nothing of errors.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The kernel looks at this many bytes for a #! line. Source: BINPRM_BUF_SIZE, linux/binfmts.h.
const HEAD_BYTES: usize = 256;

/// The file that execvp would have come upon: the first regular or other file of that name along the search.
pub(super) fn candidate(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if command.is_empty() {
        return None;
    }
    if has_slash(command) {
        let file = PathBuf::from(command);
        return file.exists().then_some(file);
    }
    // An empty part of PATH is the working directory, and joining to an empty path says just that.
    std::env::split_paths(path).map(|directory| directory.join(command)).find(|file| file.exists())
}

pub(super) fn has_slash(command: &OsStr) -> bool {
    command.as_bytes().contains(&b'/')
}

/// Any execute bit: what is refused although one is set is refused for another reason.
pub(super) fn may_execute(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

pub(super) fn head_of(file: &Path) -> Option<Vec<u8>> {
    // Opening a FIFO would wait for its writer.
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut head = Vec::with_capacity(HEAD_BYTES);
    fs::File::open(file).ok()?.take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// What the first bytes of a file say that it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// With the interpreter; a '\r' that ends the line is kept, since the kernel keeps it too.
    Script(String),
    Elf,
    Other,
}

impl Head {
    pub fn read(head: &[u8]) -> Head {
        if head.starts_with(b"\x7fELF") {
            return Head::Elf;
        }
        let Some(line) = head.strip_prefix(b"#!") else {
            return Head::Other;
        };
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let interpreter =
            line.split(|byte| matches!(byte, b' ' | b'\t')).find(|word| !word.is_empty()).unwrap_or_default();
        Head::Script(String::from_utf8_lossy(interpreter).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_a_file_is() {
        assert_eq!(Head::read(b"\x7fELF\x02"), Head::Elf);
        assert_eq!(Head::read(b"echo hello"), Head::Other);
        assert_eq!(Head::read(b""), Head::Other);
        let script = |interpreter: &str| Head::Script(interpreter.to_owned());
        assert_eq!(Head::read(b"#!/bin/sh\necho"), script("/bin/sh"));
        assert_eq!(Head::read(b"#! \t/usr/bin/env python\n"), script("/usr/bin/env"));
        assert_eq!(Head::read(b"#!/bin/sh\r\n"), script("/bin/sh\r"));
        assert_eq!(Head::read(b"#!"), script(""));
    }

    #[test]
    fn a_command_is_searched_in_order_and_a_path_is_not() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        let tool = second.path().join("tool");
        fs::write(&tool, b"").unwrap();
        assert_eq!(candidate(OsStr::new("tool"), &path), Some(tool.clone()));
        fs::write(first.path().join("tool"), b"").unwrap();
        assert_eq!(candidate(OsStr::new("tool"), &path), Some(first.path().join("tool")));
        assert_eq!(candidate(OsStr::new("./tool"), &path), None);
        assert_eq!(candidate(OsStr::new(""), &path), None);
    }
}
