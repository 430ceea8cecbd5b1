//! The ledger, as JSON for `--report` and as one line for people.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{OFlags, fstat};
use rustix::stdio::{stderr, stdout};
use serde_json::{Map, Value, json};

use super::health::HealthReport;
use crate::ledger::{Count, End, Kind, Ledger};
use crate::sys::new_file;

/// What became of one child's output.
#[derive(Debug, Clone)]
pub struct StreamReport {
    /// The child's name.
    pub name: String,
    /// None: it went into a file, or nowhere.
    pub group: Option<String>,
    /// The log stream's name, or the file's.
    pub stream: String,
    pub ledger: Ledger,
}

#[derive(Debug, Clone)]
pub struct Report {
    pub engine: String,
    pub engine_reason: String,
    pub uptime: Duration,
    /// logpump's own CPU time.
    pub cpu: Duration,
    pub streams: Vec<StreamReport>,
    /// What was asked of processes.
    pub health: Vec<HealthReport>,
    /// A thread of ours failed: its counts are not all here.
    pub failed: bool,
    /// `--tee`: lines and bytes that stdout did not take in time.
    pub tee_dropped: (u64, u64),
    /// Own messages that stderr did not take in time.
    pub messages_lost: usize,
}

impl Report {
    pub fn total(&self) -> Ledger {
        let mut total = Ledger::default();
        self.streams.iter().for_each(|stream| total.add(&stream.ledger));
        total
    }

    /// The streams whose identity is broken, each with what is missing.
    pub fn imbalances(&self) -> Vec<String> {
        let broken = |stream: &StreamReport| {
            let imbalance = stream.ledger.imbalance()?;
            Some(format!("{}: {imbalance}", stream.name))
        };
        self.streams.iter().filter_map(broken).collect()
    }

    pub fn to_json(&self) -> Value {
        let stream = |stream: &StreamReport| {
            let mut value = counts(&stream.ledger);
            value.insert("name".into(), json!(stream.name));
            value.insert("group".into(), json!(stream.group));
            value.insert("stream".into(), json!(stream.stream));
            Value::Object(value)
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "uptime_ms": self.uptime.as_millis() as u64,
            "cpu_ms": self.cpu.as_micros() as f64 / 1000.0,
            "ledger_ok": !self.failed && self.imbalances().is_empty(),
            "total": counts(&self.total()),
            "streams": self.streams.iter().map(stream).collect::<Vec<_>>(),
            "health": self.health.iter().map(HealthReport::to_json).collect::<Vec<_>>(),
            "tee_dropped": Count::new(self.tee_dropped.0, self.tee_dropped.1),
            "messages_lost": self.messages_lost,
        })
    }

    /// Whole or not at all: a reader never sees half a report.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = format!("{:#}\n", self.to_json());
        // Only a plain file, or none yet, may be replaced: a link such as /dev/stdout is somebody's.
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return write_through(path, text.as_bytes());
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.part", std::process::id()));
        new_file::replace(Path::new(&beside), text.as_bytes())?;
        fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
    }

    /// Lines that nobody will find where they should have gone.
    pub fn has_losses(&self) -> bool {
        let total = self.total();
        End::ALL
            .into_iter()
            .any(|end| matches!(end.kind(), Kind::Rejected | Kind::Dropped) && total.ended(end) != Count::default())
    }

    /// One line: what came, and what became of it.
    pub fn summary(&self) -> String {
        let total = self.total();
        let mut text = format!("{} read", total.read);
        if total.adopted != Count::default() {
            text.push_str(&format!(", {} adopted", total.adopted.lines));
        }
        for end in End::ALL {
            let count = total.ended(end);
            if count == Count::default() && end != End::Delivered {
                continue;
            }
            let what = match end.kind() {
                Kind::Delivered => "delivered".to_owned(),
                kind => format!("{}{{{}}}", kind_name(kind), end.reason()),
            };
            text.push_str(&format!(", {} {what}", count.lines));
        }
        if total.spooled != Count::default() {
            text.push_str(&format!(", {} spooled", total.spooled.lines));
        }
        text
    }
}

/// Into what a link leads to, a pipe, a terminal. Whatever reads there, or does not, must not hold up our end.
fn write_through(path: &Path, text: &[u8]) -> io::Result<()> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut file = fs::OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return file.write_all(text);
    }
    let place = |file: BorrowedFd| fstat(file).map(|found| (found.st_dev, found.st_ino));
    let found = place(file.as_fd())?;
    for own in [stdout(), stderr()] {
        if place(own) == Ok(found) {
            // As our own output: what is there stays, and what others write to it next follows.
            return fs::File::from(own.try_clone_to_owned()?).write_all(text);
        }
    }
    file.set_len(0)?;
    file.write_all(text)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Delivered => "delivered",
        Kind::Filtered => "filtered",
        Kind::Rejected => "rejected",
        Kind::Dropped => "dropped",
    }
}

fn counts(ledger: &Ledger) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("read".into(), json!(ledger.read));
    map.insert("adopted".into(), json!(ledger.adopted));
    map.insert("delivered".into(), json!(ledger.ended(End::Delivered)));
    for kind in [Kind::Filtered, Kind::Rejected, Kind::Dropped] {
        map.insert(kind_name(kind).into(), Value::Object(reasons(ledger, kind)));
    }
    map.insert("spooled".into(), json!(ledger.spooled));
    map.insert("in_memory".into(), json!(ledger.in_memory));
    for (name, number) in [
        ("markers", ledger.markers),
        ("duplicates", ledger.duplicates),
        ("calls", ledger.calls),
        ("retries", ledger.retries),
        ("marks_omitted", ledger.marks_omitted),
        ("masked", ledger.masked),
        ("joined", ledger.joined),
        ("nudged", ledger.nudged),
        ("clock_steps", ledger.clock_steps),
    ] {
        map.insert(name.into(), json!(number));
    }
    map
}

/// Only the reasons that happened.
fn reasons(ledger: &Ledger, kind: Kind) -> Map<String, Value> {
    let happened = |end: &End| end.kind() == kind && ledger.ended(*end) != Count::default();
    End::ALL.into_iter().filter(happened).map(|end| (end.reason().to_owned(), json!(ledger.ended(end)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut ledger = Ledger::default();
        (ledger.read, ledger.calls) = (Count::new(3, 30), 2);
        ledger.book(End::Delivered, Count::new(2, 29));
        ledger.book(End::Blank, Count::new(1, 1));
        let stream = StreamReport { name: "app".into(), group: Some("/g".into()), stream: "s".into(), ledger };
        Report {
            engine: "uring".into(),
            engine_reason: "it works".into(),
            uptime: Duration::from_millis(1500),
            cpu: Duration::from_micros(2500),
            streams: vec![stream.clone(), stream],
            health: Vec::new(),
            failed: false,
            tee_dropped: (0, 0),
            messages_lost: 0,
        }
    }

    #[test]
    fn the_report_has_every_count_in_total_and_per_stream() {
        let value = report().to_json();
        assert_eq!(value["ledger_ok"], true);
        assert_eq!((&value["uptime_ms"], &value["cpu_ms"]), (&json!(1500), &json!(2.5)));
        assert_eq!(value["total"]["read"], json!({"lines": 6, "bytes": 60}));
        assert_eq!(value["total"]["calls"], 4);
        assert_eq!(value["streams"][1]["filtered"], json!({"blank": {"lines": 1, "bytes": 1}}));
        assert_eq!(value["streams"][0]["rejected"], json!({}));
        assert_eq!(value["streams"][0]["group"], "/g");
    }

    #[test]
    fn a_broken_identity_is_in_the_report() {
        let mut report = report();
        report.streams[1].ledger.read.lines += 1;
        assert_eq!(report.to_json()["ledger_ok"], false);
        let failed = Report { failed: true, ..super::tests::report() };
        assert_eq!(failed.to_json()["ledger_ok"], false);
        assert!(report.imbalances()[0].starts_with("app: 4 lines"));
    }

    #[test]
    fn the_summary_names_what_happened_and_nothing_else() {
        assert_eq!(report().summary(), "6 lines (60 bytes) read, 4 delivered, 2 filtered{blank}");
    }
}
