//! The directory of the embedded sink: found out by writing into it. Leaves nothing behind.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::Finding;
use crate::clock;
use crate::spool::examine::file_system;
use crate::sys::new_file;

const NAME: &str = "dir";
const MIB: u64 = 1024 * 1024;
/// Less free space is worth a word: a busy command writes that in a minute.
const FREE_BYTES_MIN: u64 = 64 * MIB;

/// Where lines go that go into files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub directory: PathBuf,
    /// --dir was given: a run without it would not start.
    pub asked_for: bool,
    /// The files' names.
    pub names: Vec<String>,
}

pub fn look(files: &Files) -> Finding {
    let directory = files.directory.display();
    let found = match try_out(files) {
        Ok(found) => found,
        Err((path, error)) => {
            let text = format!("cannot write {}: {error}", path.display());
            if files.asked_for {
                return Finding::fail(NAME, text, remedy(&error));
            }
            let else_where = "name one with --dir; else the temporary directory is tried, and then lines are dropped";
            return Finding::warn(NAME, text, else_where);
        }
    };
    let free = found.free_bytes / MIB;
    let made = if found.is_new { "would be made, and " } else { "" };
    let text = format!("{directory} {made}can be written: {}, {free} MiB free", found.file_system);
    if found.free_bytes < FREE_BYTES_MIN {
        return Finding::warn(
            NAME,
            text,
            "make room: lines that find none are dropped and counted, or --when-full block",
        );
    }
    match found.owner.filter(|owner| *owner != geteuid().as_raw() && !geteuid().is_root()) {
        Some(owner) => {
            let remedy = "nothing, if it is meant so: its owner may remove the files, or take the right to write away";
            Finding::warn(NAME, format!("{text}, owned by user {owner}"), remedy)
        }
        None => Finding::ok(NAME, text),
    }
}

struct Found {
    file_system: String,
    free_bytes: u64,
    /// None: it is not there yet.
    owner: Option<u32>,
    is_new: bool,
}

/// Err: what cannot be written, and why.
fn try_out(files: &Files) -> Result<Found, (PathBuf, io::Error)> {
    let path = &files.directory;
    let failed = |error| (path.clone(), error);
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    let found = fs::create_dir_all(path).map_err(failed).and_then(|()| {
        // A name of its own: in a container the next doctor has the same number.
        let trial = path.join(format!(".logpump-{}-{}", std::process::id(), clock::wall().as_nanos()));
        try_new(&trial).map_err(failed)?;
        files.names.iter().map(|name| path.join(name)).try_for_each(may_append)?;
        let (file_system, free_bytes) = file_system(path).map_err(failed)?;
        let is_new = !missing.is_empty();
        let owner = fs::metadata(path).map_err(failed)?.uid();
        Ok(Found { file_system, free_bytes, owner: (!is_new).then_some(owner), is_new })
    });
    for made in missing {
        // Not if somebody has begun to use it.
        let _ = fs::remove_dir(made);
    }
    found
}

/// Leaves nothing behind, also on a full disk.
fn try_new(file: &Path) -> io::Result<()> {
    new_file::write(file, b"trial")?;
    fs::remove_file(file)
}

/// A file that is there already gets more.
fn may_append(file: PathBuf) -> Result<(), (PathBuf, io::Error)> {
    let options = OFlags::NONBLOCK.bits() as i32;
    match OpenOptions::new().append(true).custom_flags(options).open(&file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err((file, error)),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "free some space, or name another directory with --dir",
        Some(libc::EROFS) => "mount a volume that can be written there, or name another directory with --dir",
        _ => "let this user write there, or name another directory with --dir, or a group with --log-group",
    }
}
