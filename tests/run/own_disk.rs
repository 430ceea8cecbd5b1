//! A spool on a disk of its own: a file with ext4 in it, mounted where only logpump and its children see it.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Logpump, Running};
use crate::spoolless::is_root;

/// `sh` mounts $IMAGE at $SPOOL and becomes logpump; the loop device's name is written to $DEVICE.
const MOUNTED: &str = "exec unshare --mount sh -c 'mount -o loop,errors=remount-ro \"$IMAGE\" \"$SPOOL\" && \
    basename $(findmnt -n -o SOURCE \"$SPOOL\") >\"$DEVICE\" && exec \"$@\"' sh \"$@\"";

pub struct OwnDisk {
    _place: tempfile::TempDir,
    image: PathBuf,
    device: PathBuf,
    spool: PathBuf,
}

impl OwnDisk {
    /// None: not on this machine, which is said.
    pub fn make() -> Option<OwnDisk> {
        let place = tempfile::tempdir().unwrap();
        let [image, device, spool] = ["image", "device", "spool"].map(|name| place.path().join(name));
        fs::create_dir(&spool).unwrap();
        fs::File::create(&image).unwrap().set_len(64 * 1024 * 1024).unwrap();
        let is_made = Command::new("mkfs.ext4").arg("-q").arg(&image).output().is_ok_and(|made| made.status.success());
        let disk = OwnDisk { _place: place, image, device, spool };
        let mut mount = Command::new("sh");
        mount.args(["-c", MOUNTED, "sh", "true"]).envs(disk.environment());
        if is_root() && is_made && mount.output().is_ok_and(|mounted| mounted.status.success()) {
            return Some(disk);
        }
        eprintln!("not run: this machine mounts no ext4 from a file");
        None
    }

    pub fn spool(&self) -> &Path {
        &self.spool
    }

    pub fn mounted(&self, run: Logpump) -> Logpump {
        let run = run.behind_shell(MOUNTED);
        self.environment().into_iter().fold(run, |run, (name, path)| run.env(name, path))
    }

    /// The spool as the run sees it.
    pub fn inside(&self, run: &Running) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", run.pid())).join(self.spool.strip_prefix("/").unwrap())
    }

    /// From now on it is read-only, as after an error of the disk's.
    pub fn fail(&self) {
        let device = fs::read_to_string(&self.device).unwrap();
        fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", device.trim()), "1").unwrap();
    }

    fn environment(&self) -> [(&'static str, &Path); 3] {
        [("IMAGE", &self.image), ("DEVICE", &self.device), ("SPOOL", &self.spool)]
    }
}

/// No write to it ends before this is dropped.
pub struct Frozen(fs::File);

impl Frozen {
    /// None: this machine has no `fsfreeze`, which is said.
    pub fn freeze(spool: &Path) -> Option<Frozen> {
        let directory = fs::File::open(spool).unwrap();
        match Command::new("fsfreeze").arg("--freeze").arg(spool).status() {
            Ok(frozen) if frozen.success() => Some(Frozen(directory)),
            other => {
                eprintln!("not run: fsfreeze: {other:?}");
                None
            }
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // By our own descriptor: of a run that is ending, nothing leads there any more.
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        let thawed = Command::new("fsfreeze").arg("--unfreeze").arg(path).status();
        assert!(thawed.is_ok_and(|thawed| thawed.success()), "it stays frozen");
    }
}
