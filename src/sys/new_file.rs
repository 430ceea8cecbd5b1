//! Files in directories where others may write too: no link that somebody laid in their place is ever followed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Fails if something is there already, and leaves that as it is. What could not be written whole is removed.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Instead of what a run of the same process id left there, or of a link: not of what that leads to.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => write(path, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [target, path] = ["target", "path"].map(|name| directory.path().join(name));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(write(&path, b"new").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(path.is_symlink());
        replace(&path, b"new").unwrap();
        assert_eq!((fs::read(&target).unwrap(), fs::read(&path).unwrap()), (b"precious".to_vec(), b"new".to_vec()));
        assert!(!path.is_symlink());
    }

    #[test]
    fn what_an_ended_run_left_there_is_replaced_and_what_cannot_be_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("path");
        replace(&path, b"a longer text").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new").is_err() && path.is_dir());
    }
}
