//! The built `logpump` as a child process: started clean, watched by what it says, ended within a deadline.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

use crate::DEADLINE;
use crate::standin::Standin;

/// The group that `into_cloudwatch` names.
pub const GROUP: &str = "/run/tests";

/// LOGPUMP_TEST_ENGINE: the engine of every run that does not name one, and the only one of those that name both.
pub fn suite_engine() -> Option<String> {
    std::env::var("LOGPUMP_TEST_ENGINE").ok().filter(|engine| !engine.is_empty())
}

/// logpump, with nothing of the developer's own logpump or AWS settings. What it keeps goes to `place`, and nothing ever
/// leaves loopback: where no test says another endpoint, this one refuses.
pub fn bare(place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logpump"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("LOGPUMP_") || text.starts_with("AWS_") || text.to_lowercase().ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    // Not one that other runs leave something in.
    command.env("LOGPUMP_SPOOL_DIR", place.join("spool")).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    command.env("HOME", place).env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A run that is being put together: options first, then the command or commands.
pub struct Logpump {
    pub command: Command,
    pub engine: String,
    pub place: TempDir,
}

impl Logpump {
    /// Chooses its engine itself, whatever the suite's is: for tests of the choice.
    pub fn choosing() -> Logpump {
        let run = Logpump::on("auto");
        let report = run.place("report.json");
        run.arg("--report").arg(report)
    }

    /// Writes a report.
    pub fn new(engine: &str) -> Logpump {
        let run = Logpump::without_report(engine);
        let report = run.place("report.json");
        run.arg("--report").arg(report)
    }

    /// The same for a test that names its own report, or none. `auto` is the suite's engine.
    pub fn without_report(engine: &str) -> Logpump {
        match suite_engine() {
            Some(suite) if engine == "auto" => Logpump::on(&suite),
            _ => Logpump::on(engine),
        }
    }

    /// The same on this engine, whatever the suite's is.
    pub fn on(engine: &str) -> Logpump {
        let place = tempfile::tempdir().unwrap();
        let mut command = bare(place.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["run", "--engine", engine]);
        Logpump { command, engine: engine.to_owned(), place }
    }

    /// Into files named after the commands: see `Ended::file`.
    pub fn into_files(self) -> Logpump {
        let logs = self.place.path().join("logs");
        self.arg("--log-stream").arg("{name}").arg("--dir").arg(logs)
    }

    /// Into group `GROUP`, streams named after the commands.
    pub fn into_cloudwatch(self, url: &str) -> Logpump {
        self.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo").args(&[
            "--log-group",
            GROUP,
            "--region",
            "eu-central-1",
            "--log-stream",
            "{name}",
            "--endpoint-url",
            url,
        ])
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Logpump {
        self.command.arg(arg);
        self
    }

    pub fn args(mut self, args: &[&str]) -> Logpump {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Logpump {
        self.command.env(name, value);
        self
    }

    /// The child's, or one more child's, command line.
    pub fn command(self, argv: &[&str]) -> Logpump {
        self.arg("--").args(argv)
    }

    /// `sh -c SCRIPT`
    pub fn shell(self, script: &str) -> Logpump {
        self.command(&["sh", "-c", script])
    }

    /// The child's stdin is a pipe from us: see `Running::stdin`.
    pub fn with_stdin(mut self) -> Logpump {
        self.command.stdin(Stdio::piped());
        self
    }

    /// A path beside the report.
    pub fn place(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// `sh` runs this first, and then becomes logpump: `"$@"`.
    pub fn behind_shell(mut self, script: &str) -> Logpump {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command = shell;
        self
    }

    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("cannot start logpump");
        let (sender, messages) = channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                    let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        let stdout = child.stdout.take().map(|mut stdout| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stdout.read_to_end(&mut bytes);
                bytes
            })
        });
        let stdin = child.stdin.take();
        let engine = self.engine;
        Running { child: Reaped(child), engine, messages, said: String::new(), stdout, stdin, place: self.place }
    }

    /// From start to end, with a report at the end.
    pub fn run(self) -> Ended {
        self.start().end()
    }

    pub fn run_without_report(self) -> Ended {
        self.start().end_without_report()
    }
}

/// A run on its way.
pub struct Running {
    child: Reaped,
    engine: String,
    messages: Receiver<String>,
    said: String,
    stdout: Option<JoinHandle<Vec<u8>>>,
    /// Of the children; dropped, it ends.
    pub stdin: Option<ChildStdin>,
    place: TempDir,
}

/// Does not outlive a test that fails.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// logpump's first child, once there is one.
    pub fn child_pid(&self) -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap();
        children.split_whitespace().next().map(|pid| pid.parse().unwrap())
    }

    /// The most memory that was resident so far.
    pub fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// CPU time used so far, in the kernel's ticks.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        // utime and stime: fields 14 and 15, of which the name is the second.
        after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Waits until logpump has said this on stderr.
    pub fn wait_said(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.said.contains(text) {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.note(&line),
                Err(error) => panic!("{text:?} was never said ({error}); but:\n{}", self.said),
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.said.push_str(line);
        self.said.push('\n');
    }

    /// A path beside the report.
    pub fn place(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// What a file of `into_files` holds by now; nothing if it is not there yet.
    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.place("logs").join(name)).unwrap_or_default()
    }

    pub fn end(self) -> Ended {
        let ended = self.end_without_report();
        assert!(!ended.report.is_null(), "no report was written; {:?}, logpump said:\n{}", ended.code, ended.said);
        assert_eq!(ended.report["ledger_ok"], true, "{:#}\n{}", ended.report, ended.said);
        ended
    }

    /// Waits for the end. Not for a report: logpump refused to start, or is expected to.
    pub fn end_without_report(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        let status = self.wait_for_exit(deadline);
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.note(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("stderr outlives logpump; it said:\n{}", self.said),
            }
        }
        let stdout = self.stdout.take().map_or(Vec::new(), |thread| thread.join().unwrap());
        let report = fs::read(self.place.path().join("report.json"));
        let report = report.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).expect("the report is JSON"));
        // A run that fell back has tested another engine than it says.
        if self.engine != "auto" && !report.is_null() {
            assert_eq!(report["engine"], self.engine, "{report:#}\n{}", self.said);
        }
        Ended { code: status.code(), said: std::mem::take(&mut self.said), stdout, report, place: self.place }
    }

    fn wait_for_exit(&mut self, deadline: Instant) -> ExitStatus {
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)).unwrap();
        if ended == 0 {
            let _ = self.child.0.kill();
            while let Ok(line) = self.messages.try_recv() {
                self.note(&line);
            }
            panic!("logpump does not end; it said:\n{}", self.said);
        }
        self.child.0.wait().unwrap()
    }
}

/// A run that is over.
pub struct Ended {
    pub code: Option<i32>,
    /// stderr: logpump's own messages.
    pub said: String,
    pub stdout: Vec<u8>,
    /// Null if none was written.
    pub report: Value,
    place: TempDir,
}

impl Ended {
    /// The file of `into_files` for the command of this name.
    pub fn file(&self, name: &str) -> Vec<u8> {
        let path = self.place.path().join("logs").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Lines and bytes of the total, by a JSON pointer such as `/dropped/shutdown`.
    pub fn total(&self, pointer: &str) -> (u64, u64) {
        counted(&self.report["total"], pointer)
    }

    /// Where report, spool and files are.
    pub fn directory(&self) -> &Path {
        self.place.path()
    }

    /// Everything that was read has been delivered, and it was so much.
    pub fn assert_all_delivered(&self, lines: u64, bytes: u64) {
        let found = (self.total("/read"), self.total("/delivered"));
        assert_eq!(found, ((lines, bytes), (lines, bytes)), "{:#}\n{}", self.report, self.said);
    }
}

/// Lines and bytes at a JSON pointer; nothing where there is nothing.
pub fn counted(ledger: &Value, pointer: &str) -> (u64, u64) {
    let count = |member: &str| ledger.pointer(&format!("{pointer}/{member}")).map_or(0, |n| n.as_u64().unwrap());
    (count("lines"), count("bytes"))
}

/// Every message of a stream of `GROUP`, in the order in which the stand-in gives them.
pub fn read_back(standin: &Standin, stream: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut request = serde_json::json!({ "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true });
        if !token.is_null() {
            request["nextToken"] = token.clone();
        }
        let mut page = standin.ok("GetLogEvents", request);
        let Value::Array(events) = page["events"].take() else { panic!("no events in {page}") };
        let text = |mut event: Value| match event["message"].take() {
            Value::String(text) => text,
            other => panic!("a message that is {other}"),
        };
        messages.extend(events.into_iter().map(text));
        if page["nextForwardToken"] == token {
            return messages;
        }
        token = page["nextForwardToken"].take();
    }
}

/// A stand-in that has `GROUP`.
pub fn standin(args: &[&str]) -> Standin {
    Standin::start(&[&["--group", GROUP], args].concat())
}
