//! What is found in a run's directory, whose it must be, and whether a name still means what it did.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

const RUN: &str = "0000000000000007";

/// The directory of a run that has ended, with these files in it.
fn ended(root: &Root, path: &Path, files: &[(&str, usize)]) {
    drop(root.create(7).unwrap());
    for (name, bytes) in files {
        fs::write(path.join(RUN).join(name), vec![b'x'; *bytes]).unwrap();
    }
}

#[test]
fn what_is_set_aside_and_what_is_not_ours_is_counted_and_keeps_a_directory() {
    for (files, aside, other) in [
        (&[("a.aside", 5)][..], 5, 0),
        (&[("x", 5)], 0, 5),
        (&[("a.aside", 5), ("x", 5)], 5, 5),
        (&[("a.aside", 5), ("b.aside", 6), ("x", 0), ("0.seg", 7)], 11, 1 + 7),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        ended(&root, directory.path(), files);
        let (adopted, notices) = root.adopt();
        assert_eq!(notices, Vec::<String>::new());
        let found = &adopted[0].1;
        assert_eq!((found.aside_bytes, found.other_bytes, found.segments.len()), (aside, other, 0), "{files:?}");
    }
}

#[test]
fn what_belongs_to_others_is_neither_used_nor_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    ended(&root, directory.path(), &[("00000000.seg", 5)]);
    if chown(directory.path().join(RUN), Some(12_345), None).is_err() {
        // Only root may give a directory away.
        return;
    }
    let (adopted, notices) = root.adopt();
    assert_eq!((adopted.len(), notices.len()), (0, 1));
    assert!(notices[0].contains("it belongs to user 12345"), "{notices:?}");
    chown(directory.path(), Some(12_345), None).unwrap();
    let refused = Root::open(directory.path()).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("belongs to user 12345"), "{refused}");
}

#[test]
fn a_name_that_means_another_file_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let (path, other) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&path, "").unwrap();
    let fd = OwnedFd::from(File::open(&path).unwrap());
    assert_eq!(is_at(&root.fd, "a", &fd), Ok(true));
    fs::write(&other, "").unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(is_at(&root.fd, "a", &fd), Ok(false));
    fs::remove_file(&path).unwrap();
    assert_eq!(is_at(&root.fd, "a", &fd), Ok(false));
}

#[test]
fn a_segment_is_made_once_renamed_within_its_directory_and_a_name_that_leads_elsewhere_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let run = root.create(7).unwrap();
    run.create(0).unwrap();
    assert_eq!(run.create(0).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    run.rename(&segment_name(0), "00000000.aside").unwrap();
    assert!(directory.path().join(RUN).join("00000000.aside").exists());
    assert_eq!(run.check(0).err().unwrap().kind(), io::ErrorKind::NotFound);
    let journal = directory.path().join(RUN).join(journal_name(0));
    fs::remove_file(&journal).unwrap();
    symlink("00000000.aside", journal).unwrap();
    assert!(run.open(journal_name(0), OFlags::RDONLY).is_err());
}

#[test]
fn files_are_for_their_owner_alone_and_a_lock_that_is_a_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let run = root.create(7).unwrap();
    run.create(0).unwrap();
    for name in [LOCK, &segment_name(0), &journal_name(0)] {
        let mode = fs::metadata(directory.path().join(RUN).join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(run);
    let (lock, target) = (directory.path().join(RUN).join(LOCK), directory.path().join("target"));
    fs::remove_file(&lock).unwrap();
    symlink(&target, &lock).unwrap();
    let (adopted, notices) = root.adopt();
    assert_eq!((adopted.len(), notices.len(), target.exists()), (0, 1, false), "{notices:?}");
    assert!(notices[0].contains("it is a symbolic link"), "{notices:?}");
}

#[test]
fn a_directory_goes_once_it_is_empty_and_one_that_is_gone_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let run = root.create(7).unwrap();
    run.create(0).unwrap();
    assert_eq!(run.remove().err().unwrap().kind(), io::ErrorKind::DirectoryNotEmpty);
    run.unlink(&segment_name(0)).unwrap();
    run.remove().unwrap();
    assert!(!directory.path().join(RUN).exists());
    run.remove().unwrap();
}

#[test]
fn what_is_opened_stays_ours_in_a_child_that_we_start() {
    let directory = tempfile::tempdir().unwrap();
    let run = Root::open(directory.path()).unwrap().create(7).unwrap();
    let (file, _) = run.create(0).unwrap();
    let place = run.place();
    let ours: [&dyn std::os::fd::AsFd; 4] = [&file, &place.fd, &place.root, &place._lock];
    for fd in ours {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{flags:?}");
    }
}
