//! Whether `--spool-dir` would do, found out by using it as a run does. Leaves nothing behind.

use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{OFlags, statfs};

use super::directory::Root;
use super::vanishing::{name, vanishing};

/// A directory that can be written and locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    pub file_system: String,
    /// For us: what is reserved for root is left out.
    pub free_bytes: u64,
    /// What is in it will be gone sooner than one may think, and why.
    pub vanishing: Option<String>,
}

/// `run` as for a real one. An error says what is wrong, and what to do.
pub fn examine(path: &Path, run: u64) -> io::Result<Examined> {
    // `create` may make it, and what is above it.
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    let examined = try_out(path, run);
    for made in missing {
        // Not if another run has begun to use it.
        let _ = std::fs::remove_dir(made);
    }
    examined
}

fn try_out(path: &Path, run: u64) -> io::Result<Examined> {
    let directory = Root::open(path)?.create(run)?;
    let tried = (|| {
        directory.open("trial", OFlags::WRONLY | OFlags::CREATE)?.write_all(b"trial")?;
        directory.sync()
    })();
    let _ = directory.unlink("trial");
    let system = file_system(path);
    let _ = directory.remove();
    tried.map_err(|error| io::Error::new(error.kind(), format!("cannot write in {}: {error}", path.display())))?;
    let (file_system, free_bytes) = system?;
    Ok(Examined { file_system, free_bytes, vanishing: vanishing(path) })
}

/// Its name, and the bytes that are free there for us.
pub fn file_system(path: &Path) -> io::Result<(String, u64)> {
    let system = statfs(path)?;
    Ok((name(system.f_type as u32), system.f_bavail.saturating_mul(system.f_bsize.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_tried_out_and_left_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        for path in [place.path().to_owned(), place.path().join("not/there/yet")] {
            let examined = examine(&path, 1).unwrap();
            assert!(examined.free_bytes > 0 && !examined.file_system.is_empty(), "{examined:?}");
            assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        let error = examine(Path::new("/proc/logpump-spool"), 1).unwrap_err().to_string();
        assert!(error.contains("/proc/logpump-spool") && error.contains("--spool-dir"), "{error}");
    }
}
