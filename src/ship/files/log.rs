//! One file of the embedded sink, and what is to be said in it of lines that it never got.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::super::gap::Gap;
use super::file_name;
use crate::ledger::{Count, End};

pub struct LogFile {
    path: PathBuf,
    pub(super) file: File,
    /// The last byte written was not a newline.
    is_torn: bool,
    /// What was dropped since the last marker.
    gap: Option<Gap>,
    /// What is left of a marker of which the file took a part.
    marker: Vec<u8>,
    markers: u64,
}

impl LogFile {
    /// Appends to `directory`/`stream`, which is made if it is missing.
    pub fn open(directory: &Path, stream: &str) -> io::Result<LogFile> {
        let path = directory.join(file_name(stream));
        // Not to be kept waiting by a FIFO.
        let options = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().append(true).create(true).custom_flags(options).open(&path)?;
        Ok(LogFile::of(path, file))
    }

    pub(super) fn of(path: PathBuf, file: File) -> LogFile {
        LogFile { path, file, is_torn: false, gap: None, marker: Vec::new(), markers: 0 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines of logpump's own in the file.
    pub fn markers(&self) -> u64 {
        self.markers
    }

    /// Here, these lines are missing.
    pub fn missed(&mut self, reason: End, count: Count) {
        // A file has no timestamps.
        self.gap.get_or_insert_with(|| Gap::new(0)).add(reason, count);
    }

    /// Writes of `bytes`, which is not empty, as much as one write takes; before, what is to be said of missing lines.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.mark()?;
        let count = write_some(&mut self.file, bytes)?;
        self.is_torn = bytes[count - 1] != b'\n';
        Ok(count)
    }

    /// Says what is missing, if anything is. A file that took nothing of the marker gets one that says more later.
    pub fn mark(&mut self) -> io::Result<()> {
        if let (Some(gap), true) = (&self.gap, self.marker.is_empty()) {
            // A line that was cut short ends here.
            let text = format!("{}{}\n", if self.is_torn { "\n" } else { "" }, gap.text());
            let count = write_some(&mut self.file, text.as_bytes())?;
            self.gap = None;
            self.markers += 1;
            self.marker = text.into_bytes().split_off(count);
            self.is_torn = false;
        }
        while !self.marker.is_empty() {
            let count = write_some(&mut self.file, &self.marker)?;
            self.marker.drain(..count);
        }
        Ok(())
    }
}

fn write_some(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}
