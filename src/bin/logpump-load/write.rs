//! The writing half: lines to stdout, paced, each write() timed. Knows nothing of reading back.
//!
//! The way of a line allocates and formats nothing: `Lines` changes the digits and the payload in its one buffer.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::Failure;
use crate::line::{Charset, LINE_BYTES_MAX, LINES_MAX, Lines, is_writer, size_min};
use crate::pacer::Pacer;
use crate::times::{Cpu, Times, histogram};

/// One write in bulk mode: what stdio and most shells use, a quarter of the pipes that logpump asks for.
const BULK_BYTES: usize = 64 * 1024;
const LINES_DEFAULT: u64 = 1_000_000;

/// Write lines to stdout.
///
/// A line is `<writer> <sequence> <payload>` and a newline; the sequence is decimal and begins at 0. The payload is
/// a window of a fixed table of 65,536 pseudo-random bytes (one table a charset, the same in every run), which begins at
/// one of 8,192 places chosen by a hash of writer and sequence; so `verify` knows every byte. Where the window would cut
/// a character, or end with a carriage return, '.' stands instead.
///
/// With --rate, line i is due at start + i / rate. The writer sleeps only when it is more than 50 us ahead, so at high
/// rates lines come in small bursts (sleeps are counted in --times). When it is late it catches up at full speed for
/// at most 100 ms' worth of lines; anything older puts the schedule off, which --times reports too.
///
/// Exit: 0 (or --exit-code), 64 wrong usage, 73 cannot create the --times file, 74 stdout failed (e.g. EPIPE).
#[derive(Args)]
pub struct WriteArgs {
    /// First word of each line, 1-64 of [A-Za-z0-9_-]
    #[arg(long, default_value = "w0")]
    writer: String,
    /// Bytes a line, newline included
    #[arg(long, value_name = "BYTES", default_value_t = 150)]
    size: usize,
    /// What payloads are made of; none ever holds a newline
    #[arg(long, value_enum, default_value_t = Charset::Ascii)]
    charset: Charset,
    /// Lines to write [default: 1000000, or as many as --duration allows]
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    /// End after so long, e.g. 10s; with --count, whichever comes first
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Lines per second, or max
    #[arg(long, value_name = "LINES_PER_S", default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// How lines become write() calls
    #[arg(long, value_enum, default_value_t = Mode::Line)]
    mode: Mode,
    /// At the end, write counts, CPU time and the write() times as JSON here
    #[arg(long, value_name = "FILE")]
    times: Option<PathBuf>,
    /// Do not time each write(): saves two clock reads a write
    #[arg(long)]
    no_times: bool,
    /// After the last line keep stdout open and sleep so long, e.g. 5s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    hold: Option<Duration>,
    /// Exit with this code when all went well
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    exit_code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One write() a line
    Line,
    /// Two write()s a line, text and newline, as Python's unbuffered print() does
    Split,
    /// Writes of 64 KiB that end anywhere in a line
    Bulk,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Max,
    LinesPerS(f64),
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if (1e-3..=1e9).contains(&rate) => Ok(Rate::LinesPerS(rate)),
        _ => Err("expected max or lines per second, 0.001 to 1000000000".to_owned()),
    }
}

/// Returns the exit code.
pub fn run(args: &WriteArgs) -> Result<u8, Failure> {
    let count = checked_count(args)?;
    // Before the first line: a run of an hour should not end with a file that cannot be written.
    let times_file = match &args.times {
        Some(path) => Some(
            File::create(path)
                .map_err(|error| Failure::new(73, format!("cannot create --times {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let cpu_before = Cpu::now();
    let stdout = std::io::stdout();
    let timed = times_file.is_some() && !args.no_times;
    let mut output = Output::new(stdout.as_fd(), timed);
    let (lines, ended) = write_lines(args, count, &mut output);

    let mut times = output.times(args, lines);
    times.set_cpu(cpu_before);
    times.stopped_by = ended.err().map(|errno| format!("errno {}: {errno}", errno.raw_os_error()));
    if let (Some(file), Some(path)) = (times_file, &args.times) {
        save(file, &times)
            .map_err(|error| Failure::new(74, format!("cannot write --times {}: {error}", path.display())))?;
    }
    if let Some(reason) = &times.stopped_by {
        let what = format!("cannot write to stdout after {} bytes: {reason}", times.bytes);
        let why = if ended == Err(Errno::PIPE) { "; its reader has closed it" } else { "" };
        return Err(Failure::new(74, what + why));
    }
    if let Some(hold) = args.hold {
        std::thread::sleep(hold);
    }
    Ok(args.exit_code)
}

fn checked_count(args: &WriteArgs) -> Result<u64, Failure> {
    let usage = |text: String| Err(Failure::new(64, text));
    if !is_writer(args.writer.as_bytes()) {
        return usage(format!("--writer {:?}: expected 1-64 of [A-Za-z0-9_-]", args.writer));
    }
    let count = match (args.count, args.duration) {
        (Some(count), _) => count,
        (None, Some(_)) => LINES_MAX,
        (None, None) => LINES_DEFAULT,
    };
    if count > LINES_MAX {
        return usage(format!("--count {count}: at most {LINES_MAX}"));
    }
    let size_min = size_min(&args.writer, count);
    if !(size_min..=LINE_BYTES_MAX).contains(&args.size) {
        return usage(format!(
            "--size {}: expected {size_min} to {LINE_BYTES_MAX} for writer {} and {count} lines (writer, space, sequence, \
             space, one byte, newline)",
            args.size, args.writer
        ));
    }
    Ok(count)
}

fn save(mut file: File, times: &Times) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(times)?;
    json.push(b'\n');
    file.write_all(&json)
}

/// Returns the lines that went out whole.
fn write_lines(args: &WriteArgs, count: u64, output: &mut Output) -> (u64, Result<(), Errno>) {
    let mut lines = Lines::new(&args.writer, args.size, args.charset);
    let start = output.start;
    let deadline = args.duration.map(|duration| start + duration);
    output.clocked |= deadline.is_some();
    if let Rate::LinesPerS(lines_per_s) = args.rate {
        output.pacer = Some(Pacer::new(start, lines_per_s));
    }
    let mut bulk = match args.mode {
        Mode::Bulk => Vec::with_capacity(BULK_BYTES + args.size),
        Mode::Line | Mode::Split => Vec::new(),
    };
    for sequence in 0..count {
        if let Some(deadline) = deadline
            && output.comes_after(sequence, deadline)
        {
            break;
        }
        if let Some(pacer) = &mut output.pacer
            && let Some(sleep) = pacer.ahead(sequence, Instant::now())
        {
            std::thread::sleep(sleep);
        }
        let line = lines.current();
        let sent = match args.mode {
            Mode::Line => output.send(line),
            Mode::Split => {
                let (text, newline) = line.split_at(line.len() - 1);
                output.send(text).and_then(|()| output.send(newline))
            }
            Mode::Bulk => {
                bulk.extend_from_slice(line);
                output.send_full_chunks(&mut bulk)
            }
        };
        if sent.is_err() {
            return (output.bytes / args.size as u64, sent);
        }
        // A least --size has no room for one sequence more than the last.
        if sequence + 1 < count {
            lines.advance();
        }
    }
    let sent = if bulk.is_empty() { Ok(()) } else { output.send(&bulk) };
    (output.bytes / args.size as u64, sent)
}

/// Stdout, its counts and its clock.
struct Output<'a> {
    fd: BorrowedFd<'a>,
    start: Instant,
    /// The time after the last write(), when `clocked`.
    last: Instant,
    clocked: bool,
    histogram: Option<Histogram<u64>>,
    pacer: Option<Pacer>,
    bytes: u64,
    writes: u64,
    short_writes: u64,
    would_block: u64,
}

impl<'a> Output<'a> {
    fn new(fd: BorrowedFd<'a>, timed: bool) -> Output<'a> {
        let start = Instant::now();
        Output {
            fd,
            start,
            last: start,
            clocked: timed,
            histogram: timed.then(histogram),
            pacer: None,
            bytes: 0,
            writes: 0,
            short_writes: 0,
            would_block: 0,
        }
    }

    /// Whether the line would be written at the deadline or later.
    fn comes_after(&self, sequence: u64, deadline: Instant) -> bool {
        let due = self.pacer.as_ref().map_or(self.last, |pacer| pacer.due(sequence));
        self.last.max(due) >= deadline
    }

    /// Writes all of it. Each turn sends a byte or more, waits until one can be sent, or fails.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match self.write_once(bytes) {
                Ok(0) => return Err(Errno::IO),
                Ok(sent) => {
                    self.bytes += sent as u64;
                    self.short_writes += u64::from(sent < bytes.len());
                    bytes = &bytes[sent..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.would_block += 1;
                    match poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => return Err(errno),
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn write_once(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.writes += 1;
        if !self.clocked {
            return rustix::io::write(self.fd, bytes);
        }
        let before = Instant::now();
        let sent = rustix::io::write(self.fd, bytes);
        self.last = Instant::now();
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(self.last.duration_since(before).as_nanos() as u64);
        }
        sent
    }

    /// Leaves less than a chunk in `bulk`.
    fn send_full_chunks(&mut self, bulk: &mut Vec<u8>) -> Result<(), Errno> {
        if bulk.len() < BULK_BYTES {
            return Ok(());
        }
        let full = bulk.len() / BULK_BYTES * BULK_BYTES;
        for chunk in bulk[..full].chunks_exact(BULK_BYTES) {
            self.send(chunk)?;
        }
        bulk.drain(..full);
        Ok(())
    }

    fn times(&self, args: &WriteArgs, lines: u64) -> Times {
        let mut times = Times {
            writer: args.writer.clone(),
            mode: format!("{:?}", args.mode).to_lowercase(),
            line_bytes: args.size,
            lines,
            bytes: self.bytes,
            wall_ns: self.start.elapsed().as_nanos() as u64,
            cpu_s: 0.0,
            cpu_user_s: 0.0,
            cpu_system_s: 0.0,
            writes: self.writes,
            short_writes: self.short_writes,
            would_block: self.would_block,
            write_ns: None,
            hdr_v2_base64: None,
            pace: self.pacer.as_ref().map(|pacer| pacer.pace),
            stopped_by: None,
        };
        if let Some(histogram) = &self.histogram {
            times.set_writes(histogram);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_max_or_a_number_in_range() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("0.5"), Ok(Rate::LinesPerS(0.5)));
        for wrong in ["", "0", "-1", "nan", "inf", "fast", "1e10"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
