//! `--spool-dir` and the runs' directories in it: made, locked before anything in them is read or written, adopted, removed.
//! All that is in them is opened from the directory's descriptor and never through a symbolic link: the default lies
//! where others may write.

use std::ffi::CStr;
use std::fmt::Display;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, open, openat};
use rustix::fs::{fsync, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use super::store::Found;
use crate::limits::SPOOL_DIRECTORY_TRIES_MAX;

const LOCK: &str = "lock";
/// A directory that is being made: nobody adopts it.
const NEW: &str = ".new-";
const OTHERS_WRITE: u32 = 0o022;

/// Whose it is decides what may be done with it.
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// One run's directory, locked by us for as long as this lives.
pub struct Directory {
    pub run: u64,
    /// Of the root.
    path: PathBuf,
    place: Mutex<Arc<Place>>,
}

/// Where a directory is. Somebody may remove it, or move it away, and then it is made again.
struct Place {
    /// With a lock on it, which nobody can take away.
    fd: OwnedFd,
    root: OwnedFd,
    /// Some network file systems do not let other machines see that: they see the one on this file.
    _lock: OwnedFd,
}

fn directory_flags() -> OFlags {
    OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn failure(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

fn explain(path: &Path, verb: &str, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    failure(
        error.kind(),
        format!("cannot {verb} {}: {error}; give a directory on a disk of its own with --spool-dir", path.display()),
    )
}

fn run_name(run: u64) -> String {
    format!("{run:016x}")
}

fn run_of(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten().filter(|run| run_name(*run) == name)
}

impl Root {
    /// Makes it if it is missing. An error says what is wrong, and what to do.
    pub fn open(path: &Path) -> io::Result<Root> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let fd = match open(path, directory_flags(), Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let text = format!(
                    "{} is a symbolic link, or no directory: give the directory itself with --spool-dir",
                    path.display()
                );
                return Err(failure(io::ErrorKind::NotADirectory, text));
            }
            Err(error) => {
                return Err(made.err().map_or_else(|| explain(path, "open", error), |e| explain(path, "make", e)));
            }
        };
        let owner = fstat(&fd)?.st_uid;
        let we = geteuid().as_raw();
        if owner != we && owner != 0 {
            let text = format!(
                "{} belongs to user {owner}, and we are user {we}: give another with --spool-dir, or chown it",
                path.display()
            );
            return Err(failure(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Root { fd, path: path.to_owned() })
    }

    /// A directory for our own run: `run`, or the next number that is free.
    pub fn create(&self, run: u64) -> io::Result<Directory> {
        let mut last = Errno::EXIST;
        for run in (run..).take(SPOOL_DIRECTORY_TRIES_MAX as usize) {
            match self.try_create(run) {
                Ok(place) => return Ok(Directory::new(run, &self.path, place)),
                // Somebody has this name, or took our half-made one for a left-over.
                Err(error @ (Errno::EXIST | Errno::NOTEMPTY | Errno::NOENT | Errno::WOULDBLOCK)) => last = error,
                Err(error) => return Err(explain(&self.path, "make a directory in", error)),
            }
        }
        Err(explain(&self.path, "make a directory in", last))
    }

    fn try_create(&self, run: u64) -> Result<Place, Errno> {
        let (new, name) = (format!("{NEW}{}", run_name(run)), run_name(run));
        mkdirat(&self.fd, &new, Mode::RWXU)?;
        let made = || {
            let fd = openat(&self.fd, &new, directory_flags(), Mode::empty())?;
            let lock = lock(&fd, OFlags::CREATE | OFlags::EXCL)?;
            renameat(&self.fd, &new, &self.fd, &name)?;
            if !is_at(&self.fd, &name, &fd)? {
                return Err(Errno::EXIST);
            }
            let root = self.fd.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
            // Best effort: a power loss may forget the name, and then what is in it.
            let _ = fsync(&self.fd);
            Ok(Place { fd, root, _lock: lock })
        };
        made().inspect_err(|_| {
            if let Ok(fd) = openat(&self.fd, &new, directory_flags(), Mode::empty()) {
                let _ = unlinkat(&fd, LOCK, AtFlags::empty());
            }
            let _ = unlinkat(&self.fd, &new, AtFlags::REMOVEDIR);
        })
    }

    /// Locks every directory of a run that has ended, oldest first, with what is in it; removes empty ones. And what
    /// is worth saying of others.
    pub fn adopt(&self) -> (Vec<(Directory, Found)>, Vec<String>) {
        let (mut adopted, mut notices) = (Vec::new(), Vec::new());
        let mut names = match names(&self.fd) {
            Ok(names) => names,
            Err(error) => {
                notices.push(format!("cannot look for spools in {}: {error}", self.path.display()));
                Vec::new()
            }
        };
        names.sort_unstable();
        for name in names {
            if name.starts_with(NEW) {
                self.sweep(&name);
            } else if let Some(run) = run_of(&name) {
                match self.try_adopt(&name, run) {
                    Ok(Some(found)) => adopted.push(found),
                    Ok(None) => {}
                    Err(why) => notices.push(format!("{}/{name} is not adopted: {why}", self.path.display())),
                }
            }
        }
        (adopted, notices)
    }

    /// None: its run goes on, or there is nothing in it.
    fn try_adopt(&self, name: &str, run: u64) -> Result<Option<(Directory, Found)>, String> {
        let said = |error: Errno| match error {
            Errno::NOTDIR | Errno::LOOP => "it is a symbolic link, or no directory".to_owned(),
            error => error.to_string(),
        };
        let fd = match openat(&self.fd, name, directory_flags(), Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            fd => fd.map_err(said)?,
        };
        let stat = fstat(&fd).map_err(said)?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(format!("it belongs to user {}", stat.st_uid));
        }
        if stat.st_mode & OTHERS_WRITE != 0 {
            return Err("others than its owner may write into it".into());
        }
        let lock = match lock(&fd, OFlags::CREATE) {
            Err(Errno::WOULDBLOCK | Errno::NOENT) => return Ok(None),
            lock => lock.map_err(said)?,
        };
        if !is_at(&self.fd, name, &fd).map_err(said)? {
            // Its run removed it before we had the lock.
            return Ok(None);
        }
        let root = self.fd.try_clone().map_err(|error| error.to_string())?;
        let directory = Directory::new(run, &self.path, Place { fd, root, _lock: lock });
        let found = directory.look().map_err(said)?;
        if found.segments.is_empty() && found.aside_bytes + found.other_bytes == 0 {
            return directory.remove().map(|()| None).map_err(|error| error.to_string());
        }
        Ok(Some((directory, found)))
    }

    /// Removes what a run left that ended while it made its directory.
    fn sweep(&self, name: &str) {
        let Ok(fd) = openat(&self.fd, name, directory_flags(), Mode::empty()) else { return };
        match lock(&fd, OFlags::empty()) {
            Ok(_lock) => {
                let _ = unlinkat(&fd, LOCK, AtFlags::empty());
                let _ = unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
            }
            Err(Errno::NOENT) => drop(unlinkat(&self.fd, name, AtFlags::REMOVEDIR)),
            Err(_) => {}
        }
    }
}

/// Locks a directory, and a file in it. `WOULDBLOCK`: another has it. `NOENT`: it was removed meanwhile.
fn lock(directory: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    // Where directories cannot be locked, the file must do.
    if let Err(error @ (Errno::WOULDBLOCK | Errno::INTR)) = flock(directory, FlockOperation::NonBlockingLockExclusive) {
        return Err(error);
    }
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let lock = openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if is_at(directory, LOCK, &lock)? { Ok(lock) } else { Err(Errno::NOENT) }
}

/// Is this what has that name there?
fn is_at(directory: impl AsFd, name: impl Arg, fd: &OwnedFd) -> Result<bool, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => fstat(fd).map(|ours| (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn names(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if let Ok(name) = name.to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn numbered(name: &str, ending: &str) -> Option<u32> {
    let number = name.strip_suffix(ending)?.parse().ok()?;
    (format!("{number:08}{ending}") == name).then_some(number)
}

pub fn segment_name(segment: u32) -> String {
    format!("{segment:08}.seg")
}

pub fn journal_name(segment: u32) -> String {
    format!("{segment:08}.done")
}

impl Directory {
    fn new(run: u64, root: &Path, place: Place) -> Directory {
        let (path, place) = (root.to_owned(), Mutex::new(Arc::new(place)));
        Directory { run, path, place }
    }

    fn place(&self) -> Arc<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in it. Journals without their segments are removed.
    fn look(&self) -> Result<Found, Errno> {
        let place = self.place();
        let mut found = Found { id: self.run, ..Found::default() };
        let mut journals = Vec::new();
        for name in names(&place.fd)? {
            let stat = statat(&place.fd, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            let bytes = stat.st_size.unsigned_abs();
            let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if name == LOCK {
            } else if let Some(segment) = numbered(&name, ".seg").filter(|_| regular) {
                found.segments.push((segment, bytes, 0));
            } else if let Some(segment) = numbered(&name, ".done").filter(|_| regular) {
                journals.push((segment, bytes));
            } else if name.ends_with(".aside") {
                found.aside_bytes += bytes;
            } else {
                found.other_bytes += bytes.max(1);
            }
        }
        found.segments.sort_unstable();
        for (number, bytes) in journals {
            match found.segments.iter_mut().find(|(segment, _, _)| *segment == number) {
                Some(segment) => segment.2 = bytes,
                None => drop(unlinkat(&place.fd, journal_name(number), AtFlags::empty())),
            }
        }
        Ok(found)
    }

    /// A file in it, for its owner only.
    pub fn open(&self, name: impl Display, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(openat(&self.place().fd, name.to_string(), flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// A new segment; and whether the directory was missing, and was made again for it.
    pub fn create(&self, segment: u32) -> io::Result<(File, bool)> {
        let open = || self.open(segment_name(segment), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        match self.is_in_place().and_then(|()| open()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_again()?;
                Ok((open()?, true))
            }
            file => Ok((file?, false)),
        }
        .inspect(|_| {
            // While names can be made here: should that end, what is done can still be noted.
            let _ = self.open(journal_name(segment), OFlags::WRONLY | OFlags::CREATE);
        })
    }

    /// Under its old name, as when it was new.
    fn make_again(&self) -> io::Result<()> {
        let root = Root::open(&self.path)?;
        let place =
            root.try_create(self.run).map_err(|error| explain(&self.path, "make our directory again in", error))?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(place);
        Ok(())
    }

    /// Does its path still lead to it? What was moved away takes bytes as ever, and no run would look for them there.
    /// `NotFound` says no; other errors nothing.
    fn is_in_place(&self) -> io::Result<()> {
        match is_at(CWD, self.path.join(run_name(self.run)), &self.place().fd) {
            Ok(true) => Ok(()),
            Ok(false) | Err(Errno::NOTDIR) => Err(Errno::NOENT.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Is the segment still there, where it is looked for? `NotFound` says no; other errors nothing.
    pub fn check(&self, segment: u32) -> io::Result<()> {
        self.is_in_place()?;
        statat(&self.place().fd, segment_name(segment), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    pub fn unlink(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.place().fd, name, AtFlags::empty())?)
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let place = self.place();
        Ok(renameat(&place.fd, from, &place.fd, to)?)
    }

    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.place().fd)?)
    }

    /// With its lock, if nothing else of use is in it. That it is not there any more is no error; whoever moved it has it now.
    pub fn remove(&self) -> io::Result<()> {
        match self.is_in_place() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            in_place => in_place?,
        }
        let place = self.place();
        // Journals of segments that somebody else removed say nothing any more.
        let is_left = |name: &String| name != LOCK && numbered(name, ".done").is_none();
        let names = names(&place.fd)?;
        if names.iter().any(is_left) {
            return Err(Errno::NOTEMPTY.into());
        }
        for journal in names.iter().filter(|name| *name != LOCK) {
            unlinkat(&place.fd, journal, AtFlags::empty())?;
        }
        let gone = |error| if error == Errno::NOENT { Ok(()) } else { Err(error) };
        unlinkat(&place.fd, LOCK, AtFlags::empty()).or_else(gone)?;
        Ok(unlinkat(&place.root, run_name(self.run), AtFlags::REMOVEDIR).or_else(gone)?)
    }
}

#[cfg(test)]
mod tests;
