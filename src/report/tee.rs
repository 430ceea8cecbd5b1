//! `--tee`: a copy of the children's lines on our own stdout. Never waited for: what does not fit into the buffer is
//! dropped and counted. A thread of its own does the writing, because stdout may be a pipe that nobody reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use memchr::memchr_iter;

use crate::clock;
use crate::limits::{TEE_CHUNK_BYTES_MAX, TEE_CHUNKS_MAX};

/// The shipping thread's end.
pub struct Tee {
    chunks: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    dropped_lines: AtomicU64,
    dropped_bytes: AtomicU64,
    done: AtomicBool,
}

/// Kept by whoever waits for the last lines at the end.
pub struct TeeWriter {
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

pub fn start() -> io::Result<(Tee, TeeWriter)> {
    let (chunks, receiver) = sync_channel(TEE_CHUNKS_MAX);
    let counts = Arc::new(Counts::default());
    let writing = counts.clone();
    let thread = std::thread::Builder::new().name("pump-tee".into()).spawn(move || {
        write_all(&receiver);
        writing.done.store(true, Ordering::Release);
    })?;
    Ok((Tee { chunks, counts: counts.clone() }, TeeWriter { thread, counts }))
}

/// Straight to the descriptor: Rust's own stdout would hold the end of a line back.
fn write_all(chunks: &Receiver<Vec<u8>>) {
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), rest) {
                Ok(count) => rest = &rest[count..],
                Err(rustix::io::Errno::INTR) => {}
                // The reader has set O_NONBLOCK on a file that we share: wait for it as a blocking write would.
                Err(rustix::io::Errno::AGAIN) => wait_writable(),
                Err(_) => return,
            }
        }
    }
}

fn wait_writable() {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = rustix::stdio::stdout();
    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
}

impl Tee {
    /// Copies whole lines; a chunk that does not fit is dropped whole, so that no line comes out torn.
    pub fn copy(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(TEE_CHUNK_BYTES_MAX) {
            if self.chunks.try_send(chunk.to_vec()).is_err() {
                let lines = memchr_iter(b'\n', chunk).count() as u64;
                self.counts.dropped_lines.fetch_add(lines, Ordering::Relaxed);
                self.counts.dropped_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

impl TeeWriter {
    /// Waits for the last lines, but not longer than until `deadline`. What was dropped: lines and bytes.
    pub fn finish(self, deadline: Instant) -> (u64, u64) {
        while !self.counts.done.load(Ordering::Acquire) && clock::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if self.counts.done.load(Ordering::Acquire) {
            let _ = self.thread.join();
        }
        let dropped = (&self.counts.dropped_lines, &self.counts.dropped_bytes);
        (dropped.0.load(Ordering::Relaxed), dropped.1.load(Ordering::Relaxed))
    }
}
