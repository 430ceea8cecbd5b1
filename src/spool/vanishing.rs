//! Whether a directory is a place where things stay: not memory, and not a container's own layer.

use std::path::Path;

use rustix::fs::statfs;

/// What to warn of when lines are to be kept in `directory`, which need not be there yet. None: of nothing that can be
/// told from outside.
pub(super) fn vanishing(directory: &Path) -> Option<String> {
    // The nearest that is there; "" is the current directory.
    let existing = directory.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let file_system = existing.map(statfs).find_map(Result::ok)?;
    let directory = directory.display();
    Some(match Kind::of(file_system.f_type as u32)? {
        Kind::Memory(name) => format!(
            "the spool {directory} lies in memory ({name}): it counts against the container's limit, and is gone when \
             the machine, or the pod, is; name a directory on a disk with --spool-dir, or --spool-max 0"
        ),
        Kind::Overlay => format!(
            "the spool {directory} lies in the container's own layer (overlay): it is gone with the container, and no \
             later run adopts it; name a directory on a volume with --spool-dir"
        ),
    })
}

/// What people call a file system, by statfs(2)'s `f_type`. Source: linux/magic.h.
pub(super) fn name(magic: u32) -> String {
    let name = match magic {
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x794c_7630 => "overlay",
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x6969 => "nfs",
        0x2fc1_2fc1 => "zfs",
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        _ => return format!("a file system of type {magic:#x}"),
    };
    name.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory(&'static str),
    Overlay,
}

impl Kind {
    /// By statfs(2)'s `f_type`. Source: linux/magic.h.
    fn of(magic: u32) -> Option<Kind> {
        match magic {
            0x0102_1994 => Some(Kind::Memory("tmpfs")),
            0x8584_58f6 => Some(Kind::Memory("ramfs")),
            0x794c_7630 => Some(Kind::Overlay),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own word: is this directory the root of a mount of this type?
    fn is_mounted(directory: &str, file_system: &str) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.lines().any(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            fields[1] == directory && fields[2] == file_system
        })
    }

    #[test]
    fn memory_is_warned_of_also_where_the_directory_is_not_there_yet() {
        if !is_mounted("/dev/shm", "tmpfs") {
            eprintln!("not run: /dev/shm is no tmpfs here");
            return;
        }
        for directory in ["/dev/shm", "/dev/shm/is-not/there-yet"] {
            let warning = vanishing(Path::new(directory)).unwrap();
            assert!(warning.starts_with(&format!("the spool {directory} lies in memory (tmpfs)")), "{warning}");
        }
    }

    #[test]
    fn other_file_systems_are_not_warned_of() {
        assert_eq!(vanishing(Path::new("/proc/self")), None);
        assert_eq!(vanishing(Path::new("/proc/self/is-not-there")), None);
    }

    #[test]
    fn a_relative_path_begins_in_the_current_directory() {
        let of_current = vanishing(Path::new(".")).map(|warning| warning.contains("in memory"));
        let of_relative = vanishing(Path::new("is-not/there-yet")).map(|warning| warning.contains("in memory"));
        assert_eq!(of_relative, of_current);
    }

    #[test]
    fn file_systems_are_told_apart_by_their_numbers() {
        // tmpfs, ramfs and overlay, then ext4, xfs, btrfs, nfs.
        let magics = [0x0102_1994, 0x8584_58f6, 0x794c_7630, 0xef53, 0x5846_5342, 0x9123_683e, 0x6969];
        let kinds = magics.map(|magic| Kind::of(magic).map(|kind| kind == Kind::Overlay));
        assert_eq!(kinds, [Some(false), Some(false), Some(true), None, None, None, None]);
    }
}
