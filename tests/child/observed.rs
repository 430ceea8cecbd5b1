//! Runs the supervisor program and looks at it from outside: its lines, its signals, its end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// For whatever a test waits for. A healthy run needs a fraction of it.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Observed {
    process: Child,
    stdin: Option<ChildStdin>,
    incoming: Receiver<String>,
    pub lines: Vec<String>,
}

pub struct Outcome {
    pub status: ExitStatus,
    pub lines: Vec<String>,
}

/// The supervisor program with these words, not yet started.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--supervise").args(words);
    command
}

/// One child under supervision, a shell script.
pub fn script(options: &[&str], script: &str) -> Observed {
    let words = [options, &["--", "sh", "-c", script]].concat();
    Observed::start(command(&words))
}

impl Observed {
    pub fn start(mut command: Command) -> Observed {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, incoming) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Observed { stdin: process.stdin.take(), process, incoming, lines: Vec::new() }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32).unwrap()
    }

    pub fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// By number, since rustix has no names for the real-time ones.
    pub fn signal(&self, signal: i32) {
        logpump::sys::signals::send(self.pid(), signal).unwrap();
    }

    /// The first line that contains `text`, among those seen or to come.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut looked_at = 0;
        loop {
            if let Some(line) = self.lines[looked_at..].iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            looked_at = self.lines.len();
            self.receive(deadline, text);
        }
    }

    /// Whether one has come so far.
    pub fn seen(&mut self, text: &str) -> bool {
        self.lines.extend(self.incoming.try_iter());
        self.lines.iter().any(|line| line.contains(text))
    }

    /// All lines up to the end of the supervisor and of everybody who has its stdout.
    pub fn finish(mut self) -> Outcome {
        self.close_stdin();
        let deadline = Instant::now() + DEADLINE;
        while self.receive(deadline, "the end") {}
        Outcome { status: self.process.wait().unwrap(), lines: std::mem::take(&mut self.lines) }
    }

    /// False at the end of the output.
    fn receive(&mut self, deadline: Instant, awaited: &str) -> bool {
        let rest = deadline.saturating_duration_since(Instant::now());
        match self.incoming.recv_timeout(rest) {
            Ok(line) => self.lines.push(line),
            Err(RecvTimeoutError::Disconnected) if awaited == "the end" => return false,
            Err(error) => panic!("no {awaited:?} ({error}); so far: {:#?}", self.lines),
        }
        true
    }
}

impl Drop for Observed {
    /// After a failure: the supervisor ends at SIGKILL, its children when their stdin or their loop ends.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Outcome {
    /// The lines that `filter` lets through, in order.
    pub fn like(&self, filter: &str) -> Vec<&str> {
        let lines = self.lines.iter().map(String::as_str);
        lines.filter(|line| line.contains(filter)).collect()
    }

    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{} {:#?}", self.status, self.lines))
    }
}

/// Looks again and again, with a deadline, until `what` is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `R`, `S`, `T`, `Z` as in /proc; None when there is no such process.
pub fn state_of(pid: &str) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("State:\t"))?.chars().next()
}
