//! A child and its intake: writes lines of all kinds into a real ring, in odd chunks and at odd moments.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use logpump::ring::Filler;

use crate::plan::Profile;
use crate::text::MESSAGE_BYTES_MAX;
use crate::tracebacks::Tracebacks;
use crate::truth::Truth;

/// Printable bytes to cut texts out of.
const TEXT_BYTES: usize = 8192;

pub struct Child {
    profile: Profile,
    run: u32,
    filler: Filler,
    random: Rng,
    text: Vec<u8>,
    tracebacks: Tracebacks,
    /// Written by the child, and not in the ring yet.
    pipe: Vec<u8>,
    piped: usize,
    /// Where the lines in the pipe end, counted from the child's first byte.
    line_ends: VecDeque<u64>,
    lines_left: u32,
    /// Numbers the lines of the stream.
    next_number: u32,
    pub put_bytes: u64,
    pub put_lines: usize,
    put_lines_end: u64,
    generated_bytes: u64,
    pub ended: bool,
    /// The ring is full, and intake sleeps on it.
    pub waits: bool,
    pub first_line: usize,
}

/// What a turn of a child came to.
pub enum Wrote {
    /// It goes on after so long.
    Next(Duration),
    /// The ring is full: intake's bell will tell.
    Stalled,
    Ended,
}

impl Child {
    /// `first_line`: the place of its first line among the stream's.
    pub fn new(profile: Profile, run: u32, filler: Filler, seed: u64, first_line: usize) -> Child {
        let mut random = Rng::with_seed(seed);
        let text = (0..TEXT_BYTES).map(|_| random.u8(b' '..=b'~')).collect();
        Child {
            lines_left: profile.lines,
            next_number: 0,
            profile,
            run,
            filler,
            random,
            text,
            tracebacks: Tracebacks::default(),
            pipe: Vec::new(),
            piped: 0,
            line_ends: VecDeque::new(),
            put_bytes: 0,
            put_lines: 0,
            put_lines_end: 0,
            generated_bytes: 0,
            ended: false,
            waits: false,
            first_line,
        }
    }

    pub fn is_stalled(&self) -> bool {
        self.filler.is_stalled()
    }

    /// One read of intake: what the child has written by now, or a part of it, goes into the ring.
    pub fn turn(&mut self, wall_ms: i64, truth: &mut Truth) -> Wrote {
        while self.pipe.len() - self.piped < self.profile.chunk_bytes && self.lines_left > 0 {
            self.write_line(truth);
        }
        let most = self.random.usize(1..=self.profile.chunk_bytes);
        self.filler.rewind();
        let vacant = self.filler.vacant();
        let bytes = most.min(vacant.len()).min(self.pipe.len() - self.piped);
        vacant[..bytes].copy_from_slice(&self.pipe[self.piped..self.piped + bytes]);
        if bytes > 0 {
            self.filler.publish(bytes, wall_ms);
        }
        self.piped += bytes;
        self.put_bytes += bytes as u64;
        while let Some(end) = self.line_ends.front().copied().filter(|end| *end <= self.put_bytes) {
            self.line_ends.pop_front();
            self.put_lines += 1;
            self.put_lines_end = end;
        }
        if self.piped == self.pipe.len() {
            self.pipe.clear();
            self.piped = 0;
            if self.lines_left == 0 {
                self.end();
                return Wrote::Ended;
            }
        } else if self.filler.vacant().is_empty() && self.filler.stall() {
            self.waits = true;
            return Wrote::Stalled;
        }
        Wrote::Next(self.pause())
    }

    pub fn end(&mut self) {
        self.filler.end();
        self.ended = true;
    }

    /// The bytes in the ring of a line whose end is not.
    pub fn partial(&self) -> &[u8] {
        let bytes = (self.put_bytes - self.put_lines_end) as usize;
        &self.pipe[self.piped - bytes..self.piped]
    }

    pub fn unwritten_lines(&self) -> u32 {
        self.lines_left + self.line_ends.len() as u32
    }

    fn pause(&mut self) -> Duration {
        let Profile { pause, silence, .. } = self.profile;
        if self.random.u32(0..200) == 0 {
            return silence.mul_f64(self.random.f64());
        }
        Duration::from_micros(250) + pause.mul_f64(self.random.f64())
    }

    fn write_line(&mut self, truth: &mut Truth) {
        self.lines_left -= 1;
        let begin = self.pipe.len();
        let mut poisoned = false;
        let kind = self.random.u32(0..1000);
        self.next_number += 1;
        let (tag, mark) = (format!("{}.{}", self.run, self.next_number), self.run << 24 | self.next_number);
        let of_traceback = match self.profile.joins {
            true => self.tracebacks.next(&mut self.random, &tag, mark),
            false => None,
        };
        let (head, may_go_on) = of_traceback.unwrap_or_else(|| (format!("{tag} "), true));
        let blank = kind < 30 || head.is_empty();
        if !blank {
            self.pipe.extend(head.bytes());
        }
        match kind {
            _ if blank || !may_go_on => {}
            30..60 => self.pipe.extend(b"\xFF\xF0\x9F\x98 \xC0\x80 \xE2\x82"),
            60..90 => self.pipe.extend("\u{1}\t\"\\ é € 😀 \u{7f}".bytes()),
            90 => self.fill(20_000, 60_000),
            91..120 => self.fill(1000, 4000),
            120..125 => {
                poisoned = self.profile.poison;
                self.fill(0, 50);
            }
            _ => self.fill(0, self.profile.line_bytes),
        }
        if self.lines_left == self.profile.over_long_at && may_go_on && !blank {
            let random = &mut self.random;
            let bytes = match random.u32(0..3) {
                0 => MESSAGE_BYTES_MAX - random.usize(0..20),
                1 => MESSAGE_BYTES_MAX + 30 + random.usize(0..300),
                _ => 2 * MESSAGE_BYTES_MAX + 50,
            };
            self.fill(bytes, bytes);
            self.pipe.truncate(begin + bytes);
        }
        if self.random.u32(0..20) == 0 {
            self.pipe.push(b'\r');
        }
        let last = self.lines_left == 0;
        if !(last && !blank && self.random.bool()) {
            self.pipe.push(b'\n');
        }
        truth.wrote(&self.pipe[begin..], self.run, poisoned);
        self.generated_bytes += (self.pipe.len() - begin) as u64;
        self.line_ends.push_back(self.generated_bytes);
    }

    fn fill(&mut self, least: usize, most: usize) {
        let mut bytes = self.random.usize(least..=most);
        while bytes > 0 {
            let part = bytes.min(TEXT_BYTES / 2);
            let at = self.random.usize(0..TEXT_BYTES - part);
            self.pipe.extend_from_slice(&self.text[at..at + part]);
            bytes -= part;
        }
    }
}
