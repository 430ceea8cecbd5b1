//! The embedded sink: one file a stream, the child's bytes as they are. For machines without AWS, and for tests.
//! A disk that fails or is full is tried again while the ring fills. Then `--when-full` decides: lines are dropped, and
//! the file says where, or pipe and child wait.

mod log;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memrchr};

use super::control::{Control, Phase};
use super::failed::wait_for_rings;
use super::visits::{Left, Visits};
use super::{Ledgers, Options, Shipped, WhenFull};
use crate::clock;
use crate::fault::Fault;
use crate::ledger::{Count, End, Ledger};
use crate::limits::{FILE_RETRY, FILE_WRITE_BYTES_MAX};
use crate::report::tee::Tee;
use crate::ring::Drainer;
pub use log::LogFile;

/// One child's output on its way into a file.
pub struct Stream {
    pub ring: Drainer,
    /// None: there is nowhere to write to, and the lines are booked as dropped.
    pub file: Option<LogFile>,
}

/// A stream's name may hold a slash, a file's may not.
pub fn file_name(stream: &str) -> String {
    stream.replace('/', "_")
}

/// Writes until every ring has ended. Whatever fails, what is here is booked: see `ship::run`.
pub fn run(streams: Vec<Stream>, options: &Options, control: &Control, mut tee: Option<Tee>) -> Shipped {
    let writer = |stream| Writer::new(stream, options.linger, options.when_full);
    let mut writers: Vec<_> = streams.into_iter().map(writer).collect();
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
    when_full: WhenFull,
    /// The beginning of a line was dropped: so is what follows of it.
    skipping: bool,
    /// The disk failed: nothing is written before.
    retry_at: Option<Instant>,
    failure_said: bool,
    over: bool,
}

impl Writer {
    fn new(stream: Stream, linger: Duration, when_full: WhenFull) -> Writer {
        Writer {
            stream,
            visits: Visits::new(linger),
            when_full,
            ledger: Ledger::default(),
            within_line: None,
            retry_at: None,
            skipping: false,
            failure_said: false,
            over: false,
        }
    }

    /// The ring is 3/4 full, and somebody may still write: lines are dropped, or the child would wait.
    fn is_crowded(&self) -> bool {
        let ring = &self.stream.ring;
        self.when_full == WhenFull::Drop && ring.occupied_bytes() >= ring.capacity() / 4 * 3 && !ring.ended()
    }

    fn wants_visit(&self, now: Instant) -> bool {
        match self.retry_at {
            _ if self.over => false,
            Some(retry_at) => retry_at <= now || self.is_crowded(),
            None => self.visits.wanted(&self.stream.ring, now),
        }
    }

    fn may_sleep(&self) -> bool {
        let ring = &self.stream.ring;
        match self.retry_at {
            _ if self.over => true,
            Some(_) if self.when_full == WhenFull::Block || ring.ended() => true,
            Some(_) => ring.sleep_until(ring.released() + ring.capacity() as u64 / 4 * 3),
            None => self.visits.may_sleep(ring),
        }
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
            if self.skipping {
                self.skip(copy);
                continue;
            }
            let (count, end) = match self.write() {
                Ok(written) => written,
                Err(error) => {
                    self.say_failure(&error);
                    if give_up {
                        (self.stream.ring.occupied_bytes(), End::Shutdown)
                    } else {
                        if self.is_crowded() {
                            self.drop_lines(copy);
                        }
                        self.retry_at = Some(now + FILE_RETRY);
                        return;
                    }
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

    /// Whole lines, so that what is written later begins with one; of a line that fills the ring, all of it that comes.
    fn drop_lines(&mut self, copy: &mut impl FnMut(&[u8])) {
        let occupied = self.stream.ring.occupied();
        let count = memrchr(b'\n', occupied).map_or(occupied.len(), |newline| newline + 1);
        self.skipping = occupied[count - 1] != b'\n';
        copy(&occupied[..count]);
        self.miss(count);
    }

    /// The rest of a line whose beginning was dropped.
    fn skip(&mut self, copy: &mut impl FnMut(&[u8])) {
        let occupied = self.stream.ring.occupied();
        let newline = memchr(b'\n', occupied);
        let count = newline.map_or(occupied.len(), |newline| newline + 1);
        self.skipping = newline.is_none();
        copy(&occupied[..count]);
        self.miss(count);
    }

    fn miss(&mut self, count: usize) {
        let before = self.ledger.read;
        self.book(count, End::DiskSlow);
        if let Some(log) = &mut self.stream.file {
            let lines = self.ledger.read.lines - before.lines;
            log.missed(End::DiskSlow, Count::new(lines, count as u64));
        }
    }

    fn end(&mut self) {
        self.over = true;
        if let Some(log) = &mut self.stream.file {
            // Perhaps there is room again; if not, the report has the number.
            let _ = log.mark();
            self.ledger.markers = log.markers();
        }
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
        Ok((log.write(chunk)?, End::Delivered))
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
            let then = match self.when_full {
                WhenFull::Drop => "lines are kept and written again; when memory is full they are dropped and counted",
                WhenFull::Block => "lines are kept and written again while the child waits",
            };
            tracing::error!("cannot write {}: {error}; {then}{}", log.path().display(), remedy(error));
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => ": free some space",
        Some(libc::EAGAIN) => ": it is a pipe that nobody reads, or not fast enough",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
