//! `--tee`: a copy of the children's lines on our own stdout. Never waited for: what does not fit into the buffer is
//! dropped and counted. A thread of its own does the writing, because stdout may be a pipe that nobody reads.
//! No line comes out torn, neither by a drop nor by another child's, unless it is longer than a chunk.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use memchr::{memchr_iter, memrchr};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use rustix::pipe::PIPE_BUF;
use rustix::stdio::stdout;

use crate::clock;
use crate::limits::{TEE_CHUNK_BYTES_MAX, TEE_CHUNKS_MAX};

/// The shipping thread's end.
pub struct Tee {
    chunks: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
    /// Of each stream what has no newline yet; None: it is not copied.
    unfinished: Vec<Option<Vec<u8>>>,
    /// Of a single stream nothing is held back: a prompt shows at once. Unless others write to stdout, too.
    has_others: bool,
}

/// Whole lines of our own, between those of the children.
pub struct Lines {
    chunks: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Lines {
    /// With its newline. Dropped and counted when stdout is slow.
    pub fn send(&self, line: &str) {
        send(&self.chunks, &self.counts, line.as_bytes());
    }
}

/// Lines and bytes that came to be copied, and those that stdout took.
#[derive(Default)]
struct Counts {
    came_lines: AtomicU64,
    came_bytes: AtomicU64,
    written_lines: AtomicU64,
    written_bytes: AtomicU64,
    done: AtomicBool,
}

impl Counts {
    fn dropped(&self) -> (u64, u64) {
        let difference = |came: &AtomicU64, written: &AtomicU64| {
            came.load(Ordering::Relaxed).saturating_sub(written.load(Ordering::Relaxed))
        };
        (difference(&self.came_lines, &self.written_lines), difference(&self.came_bytes, &self.written_bytes))
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Kept by whoever waits for the last lines at the end.
pub struct TeeWriter {
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

/// Of each stream whether it is copied. Without a thread nothing is, and all of it counts as dropped.
pub fn start(are_copied: impl Iterator<Item = bool>) -> (Tee, TeeWriter) {
    let (tee, receiver) = tee(are_copied);
    let counts = tee.counts.clone();
    let writing = counts.clone();
    let thread = std::thread::Builder::new().name("pump-tee".into()).spawn(move || {
        write_all(&receiver, &writing);
        writing.done.store(true, Ordering::Release);
    });
    if let Err(error) = &thread {
        counts.done.store(true, Ordering::Release);
        tracing::error!("--tee: cannot start its thread: {error}; nothing is copied to stdout");
    }
    (tee, TeeWriter { thread: thread.ok(), counts })
}

fn tee(are_copied: impl Iterator<Item = bool>) -> (Tee, Receiver<Vec<u8>>) {
    let (chunks, receiver) = sync_channel(TEE_CHUNKS_MAX);
    let unfinished: Vec<_> = are_copied.map(|is_copied| is_copied.then(Vec::new)).collect();
    let has_others = unfinished.iter().flatten().count() > 1;
    (Tee { chunks, counts: Arc::default(), unfinished, has_others }, receiver)
}

/// Straight to the descriptor: Rust's own stdout would hold the end of a line back.
fn write_all(chunks: &Receiver<Vec<u8>>, counts: &Counts) {
    let mut way = Way::choose();
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            match way.write(rest) {
                Ok(count) => {
                    counts.written_lines.fetch_add(newlines(&rest[..count]), Ordering::Relaxed);
                    counts.written_bytes.fetch_add(count as u64, Ordering::Relaxed);
                    rest = &rest[count..];
                }
                Err(Errno::INTR) => {}
                // A full pipe, or another has set O_NONBLOCK on a file that we share: wait as a blocking write would.
                Err(Errno::AGAIN) => wait_writable(),
                Err(_) => return,
            }
        }
    }
}

/// How to write so that what was written is always known. A large write that blocks in the middle has given a pipe some
/// lines already, and when we end before it does, nobody learns how many.
enum Way {
    /// Not a pipe.
    Whole,
    /// A pipe takes what it has room for.
    AtOnce,
    /// A pipe of an old kernel: it takes so little in one piece or not at all.
    Pieces,
}

impl Way {
    fn choose() -> Way {
        let pipe = fstat(stdout()).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
        if pipe { Way::AtOnce } else { Way::Whole }
    }

    fn write(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
        if let Way::AtOnce = self {
            // The largest offset, -1, stands for no offset: a pipe has none.
            match pwritev2(stdout(), &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => *self = Way::Pieces,
                written => return written,
            }
        }
        let most = if let Way::Pieces = self { PIPE_BUF } else { bytes.len() };
        rustix::io::write(stdout(), &bytes[..bytes.len().min(most)])
    }
}

fn wait_writable() {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = stdout();
    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
}

impl Tee {
    /// For somebody else who writes lines to stdout.
    pub fn lines(&mut self) -> Lines {
        self.has_others = true;
        Lines { chunks: self.chunks.clone(), counts: self.counts.clone() }
    }

    /// Copies what a stream wrote next, wherever that begins and ends.
    pub fn copy(&mut self, stream: usize, bytes: &[u8]) {
        if self.unfinished[stream].is_some() && !self.has_others {
            return self.send(bytes);
        }
        let Some(mut held) = self.unfinished[stream].take() else { return };
        let (lines, rest) = bytes.split_at(memrchr(b'\n', bytes).map_or(0, |newline| newline + 1));
        if held.is_empty() {
            self.send(lines);
        } else if !lines.is_empty() {
            held.extend_from_slice(lines);
            self.send(&held);
            held.clear();
        }
        held.extend_from_slice(rest);
        if held.len() > TEE_CHUNK_BYTES_MAX {
            self.send(&held);
            held.clear();
        }
        self.unfinished[stream] = Some(held);
    }

    /// The stream has ended: its last line may have no newline, but what follows on stdout is another child's.
    pub fn end(&mut self, stream: usize) {
        let Some(mut held) = self.unfinished[stream].take() else { return };
        if !held.is_empty() {
            held.push(b'\n');
            self.send(&held);
            held.clear();
        }
        self.unfinished[stream] = Some(held);
    }

    /// In chunks of whole lines where lines are no longer than a chunk: one that does not fit is dropped whole.
    fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let window = &bytes[..bytes.len().min(TEE_CHUNK_BYTES_MAX)];
            let chunk_bytes = match memrchr(b'\n', window) {
                Some(newline) if window.len() < bytes.len() => newline + 1,
                _ => window.len(),
            };
            let (chunk, rest) = bytes.split_at(chunk_bytes);
            bytes = rest;
            send(&self.chunks, &self.counts, chunk);
        }
    }
}

fn send(chunks: &SyncSender<Vec<u8>>, counts: &Counts, chunk: &[u8]) {
    counts.came_lines.fetch_add(newlines(chunk), Ordering::Relaxed);
    counts.came_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    // Full, or stdout is closed: what is not written counts as dropped in the end.
    let _ = chunks.try_send(chunk.to_vec());
}

/// Whatever ends the shipping thread: what was held back is copied, or counts as dropped.
impl Drop for Tee {
    fn drop(&mut self) {
        (0..self.unfinished.len()).for_each(|stream| self.end(stream));
    }
}

impl TeeWriter {
    /// Waits for the last lines, but not longer than until `deadline`. What was dropped: lines and bytes.
    pub fn finish(self, deadline: Instant) -> (u64, u64) {
        while !self.counts.done.load(Ordering::Acquire) && clock::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if let (true, Some(thread)) = (self.counts.done.load(Ordering::Acquire), self.thread) {
            let _ = thread.join();
        }
        self.counts.dropped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(tee: Tee, receiver: &Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
        drop(tee);
        receiver.iter().collect()
    }

    #[test]
    fn of_several_streams_only_whole_lines_are_copied() {
        let (mut tee, receiver) = tee([true; 2].into_iter());
        tee.copy(0, b"one\ntw");
        tee.copy(1, b"eins\n");
        tee.copy(0, b"o");
        tee.copy(1, b"zw");
        tee.copy(0, b"\nthree\nfo");
        tee.end(0);
        tee.copy(1, b"ei\n");
        tee.end(1);
        let copied = sent(tee, &receiver).concat();
        assert_eq!(copied, b"one\neins\ntwo\nthree\nfo\nzwei\n");
    }

    #[test]
    fn of_one_stream_everything_is_copied_as_it_is_and_at_once_and_nothing_of_one_that_is_not_to_be() {
        let (mut tee, receiver) = tee([false, true].into_iter());
        tee.copy(0, b"elsewhere\n");
        tee.copy(1, b"prompt> ");
        assert_eq!(receiver.try_recv().unwrap(), b"prompt> ");
        tee.copy(0, b"without an end");
        tee.end(0);
        tee.end(1);
        let counts = tee.counts.clone();
        assert!(sent(tee, &receiver).is_empty());
        assert_eq!(counts.came_bytes.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn lines_of_our_own_stand_between_those_of_a_single_stream() {
        let (mut tee, receiver) = tee([true; 1].into_iter());
        let lines = tee.lines();
        tee.copy(0, b"one\ntw");
        lines.send("own\n");
        tee.copy(0, b"o\n");
        drop(lines);
        assert_eq!(sent(tee, &receiver).concat(), b"one\nown\ntwo\n");
    }

    #[test]
    fn chunks_end_with_a_line_and_what_does_not_fit_is_counted() {
        let (mut tee, receiver) = tee([true; 1].into_iter());
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let lines_per_chunk = TEE_CHUNK_BYTES_MAX / line.len();
        let lines = lines_per_chunk * TEE_CHUNKS_MAX + 7;
        tee.copy(0, &line.repeat(lines));
        assert_eq!(tee.counts.dropped(), (lines as u64, 1000 * lines as u64));
        let chunks = sent(tee, &receiver);
        assert_eq!(chunks.len(), TEE_CHUNKS_MAX);
        assert!(chunks.iter().all(|chunk| *chunk == line.repeat(lines_per_chunk)));
    }

    #[test]
    fn what_is_held_back_when_nobody_ends_a_stream_is_copied_or_counted() {
        let (mut tee, receiver) = tee([true; 2].into_iter());
        tee.copy(0, b"one\ntw");
        let counts = tee.counts.clone();
        assert_eq!(sent(tee, &receiver).concat(), b"one\ntw\n");
        assert_eq!(counts.dropped(), (2, 7));
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_not_held_for_ever() {
        let (mut tee, receiver) = tee([true; 2].into_iter());
        let piece = vec![b'x'; TEE_CHUNK_BYTES_MAX];
        tee.copy(1, &piece);
        assert!(receiver.try_recv().is_err());
        tee.copy(1, &piece);
        assert_eq!(tee.unfinished[1], Some(Vec::new()));
        assert_eq!(sent(tee, &receiver).concat().len(), 2 * TEE_CHUNK_BYTES_MAX);
    }
}
