//! The embedded sink: one file a stream, the child's bytes as they are. For machines without AWS, and for tests.
//! A disk that fails or is full loses nothing: it is tried again, while ring and pipe fill and the child waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use rustix::fs::OFlags;

use super::control::{Control, Phase};
use super::visits::{Left, Visits};
use super::{Ledgers, Shipped, wait_for_rings};
use crate::clock;
use crate::fault::Fault;
use crate::ledger::{Count, End, Ledger};
use crate::limits::{FILE_RETRY, FILE_WRITE_BYTES_MAX};
use crate::report::tee::Tee;
use crate::ring::Drainer;

/// One child's output on its way into a file.
pub struct Stream {
    pub ring: Drainer,
    /// None: there is nowhere to write to, and the lines are booked as dropped.
    pub file: Option<LogFile>,
}

pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Appends to `directory`/`stream`, which is made if it is missing.
    pub fn open(directory: &Path, stream: &str) -> io::Result<LogFile> {
        let path = directory.join(file_name(stream));
        // Not to be kept waiting by a FIFO.
        let options = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().append(true).create(true).custom_flags(options).open(&path)?;
        Ok(LogFile { path, file })
    }
}

/// A stream's name may hold a slash, a file's may not.
pub fn file_name(stream: &str) -> String {
    stream.replace('/', "_")
}

/// Writes until every ring has ended. Whatever fails, what is here is booked: see `ship::run`.
pub fn run(streams: Vec<Stream>, linger: Duration, control: &Control, mut tee: Option<Tee>) -> Shipped {
    let mut writers: Vec<_> = streams.into_iter().map(|stream| Writer::new(stream, linger)).collect();
    let written = catch_unwind(AssertUnwindSafe(|| write(&mut writers, control, &mut tee)));
    let failed = written.is_err();
    if failed {
        tracing::error!(
            "the shipping thread failed: a fault of logpump's; please report it; what it held and what comes from here on \
             is counted as dropped, and the commands go on"
        );
        writers.iter().for_each(|writer| writer.stream.ring.abandon());
        wait_for_rings(control, || writers.iter().all(|writer| writer.stream.ring.ended()));
        Fault::planted("give_up").pass();
        writers.iter_mut().for_each(|writer| writer.abandon(End::Internal));
    }
    let own = writers.into_iter().map(|writer| writer.ledger).collect();
    Shipped { ledgers: Ledgers { own, adopted: Ledger::default() }, failed }
}

fn write(writers: &mut [Writer], control: &Control, tee: &mut Option<Tee>) {
    let mut fault = Fault::planted("ship");
    while writers.iter().any(|writer| !writer.over) {
        fault.pass();
        let now = clock::now();
        let give_up = control.phase() == Phase::GiveUp;
        let mut worked = false;
        for (index, writer) in writers.iter_mut().enumerate() {
            if writer.wants_visit(now) || (give_up && !writer.over) {
                worked = true;
                let mut copy = |bytes: &[u8]| {
                    if let Some(tee) = tee {
                        tee.copy(index, bytes);
                    }
                };
                writer.visit(now, give_up, &mut copy);
                if let (true, Some(tee)) = (writer.over, &mut *tee) {
                    tee.end(index);
                }
            }
        }
        if worked {
            continue;
        }
        if writers.iter().all(Writer::may_sleep) {
            let due = writers.iter().filter_map(Writer::due).min();
            control.bell().wait(due.map(|due| due.saturating_duration_since(now)));
        }
        writers.iter().for_each(|writer| writer.stream.ring.awake());
    }
}

struct Writer {
    stream: Stream,
    visits: Visits,
    ledger: Ledger,
    /// The last byte that was booked was not a newline; it ended like this.
    within_line: Option<End>,
    /// The disk failed: nothing is written before.
    retry_at: Option<Instant>,
    failure_said: bool,
    over: bool,
}

impl Writer {
    fn new(stream: Stream, linger: Duration) -> Writer {
        Writer {
            stream,
            visits: Visits::new(linger),
            ledger: Ledger::default(),
            within_line: None,
            retry_at: None,
            failure_said: false,
            over: false,
        }
    }

    fn wants_visit(&self, now: Instant) -> bool {
        match self.retry_at {
            _ if self.over => false,
            Some(retry_at) => retry_at <= now,
            None => self.visits.wanted(&self.stream.ring, now),
        }
    }

    fn may_sleep(&self) -> bool {
        self.over || self.retry_at.is_some() || self.visits.may_sleep(&self.stream.ring)
    }

    fn due(&self) -> Option<Instant> {
        if self.over { None } else { self.retry_at.or(self.visits.due()) }
    }

    fn visit(&mut self, now: Instant, give_up: bool, copy: &mut impl FnMut(&[u8])) {
        let ended = self.stream.ring.ended();
        let seen = self.stream.ring.filled();
        let before = self.ledger.read.bytes;
        self.retry_at = None;
        // Not until it is empty: a child that writes as fast as the disk would never let go of this thread.
        while self.stream.ring.released() < seen {
            let (count, end) = match self.write() {
                Ok(written) => written,
                Err(error) => {
                    self.say_failure(&error);
                    if !give_up {
                        self.retry_at = Some(now + FILE_RETRY);
                        return;
                    }
                    (self.stream.ring.occupied_bytes(), End::Shutdown)
                }
            };
            copy(&self.stream.ring.occupied()[..count]);
            self.book(count, end);
        }
        self.failure_said = false;
        if ended || give_up {
            self.end();
        }
        // The first line after a silence is written at once, what follows within the linger together.
        let left = if self.ledger.read.bytes > before { Left::Open } else { Left::Nothing };
        self.visits.visited(seen, self.stream.ring.capacity(), left, now);
    }

    /// Nothing more is written: what the ring holds ends like this.
    fn abandon(&mut self, end: End) {
        let count = self.stream.ring.occupied_bytes();
        if count > 0 {
            self.book(count, end);
        }
        self.end();
    }

    fn end(&mut self) {
        self.over = true;
        if let Some(end) = self.within_line.take() {
            self.ledger.read.lines += 1;
            self.ledger.book(end, Count::new(1, 0));
        }
    }

    /// Writes the first occupied bytes, as many as one write takes, and says what became of them.
    fn write(&mut self) -> io::Result<(usize, End)> {
        let occupied = self.stream.ring.occupied();
        let Some(log) = &mut self.stream.file else { return Ok((occupied.len(), End::NoSink)) };
        let chunk = &occupied[..occupied.len().min(FILE_WRITE_BYTES_MAX)];
        loop {
            match log.file.write(chunk) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok((count, End::Delivered)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first `count` occupied bytes have ended like this.
    fn book(&mut self, count: usize, end: End) {
        let bytes = &self.stream.ring.occupied()[..count];
        let lines = memchr_iter(b'\n', bytes).count() as u64;
        self.within_line = (bytes[count - 1] != b'\n').then_some(end);
        self.ledger.read += Count::new(lines, count as u64);
        self.ledger.book(end, Count::new(lines, count as u64));
        self.stream.ring.release(count);
    }

    fn say_failure(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failure_said, true)
            && let Some(log) = &self.stream.file
        {
            let path = log.path.display();
            tracing::error!(
                "cannot write {path}: {error}; lines are kept and written again while the child waits: free some space"
            );
        }
    }
}

#[cfg(test)]
mod tests;
