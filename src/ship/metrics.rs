//! Counters for StatsD: known error messages, and what became of a stream's lines, in the names that Amazon MWAA's images
//! use. Over UDP, by a socket that never waits: what the network does not take is left out.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use cadence::{Counted, NopMetricSink, StatsdClient, UdpMetricSink};

use crate::ledger::{End, Kind, Ledger};
use crate::limits::METRICS_INTERVAL;
use crate::lines::rules::Found;
use crate::lines::signature;

const PREFIX: &str = "airflow";

pub struct Metrics {
    client: StatsdClient,
    streams: Vec<Option<Stream>>,
    told_at: Option<Instant>,
}

/// One that has a name there, and what was told of it.
struct Stream {
    name: String,
    found: Found,
    ledger: Ledger,
}

impl Metrics {
    /// `names`: of each stream; without one it is not told of.
    pub fn start(to: SocketAddr, names: impl Iterator<Item = Option<String>>) -> io::Result<Metrics> {
        let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        let sink = UdpMetricSink::from(to, socket).map_err(io::Error::other)?;
        Ok(Metrics::with(StatsdClient::from_sink(PREFIX, sink), names))
    }

    /// Tells nobody.
    pub fn none() -> Metrics {
        Metrics::with(StatsdClient::from_sink(PREFIX, NopMetricSink), std::iter::empty())
    }

    fn with(client: StatsdClient, names: impl Iterator<Item = Option<String>>) -> Metrics {
        let told = |name| Stream { name, found: Found::default(), ledger: Ledger::default() };
        Metrics { client, streams: names.map(|name| name.map(told)).collect(), told_at: None }
    }

    /// Is it time to tell more?
    pub fn is_due(&self, now: Instant) -> bool {
        let is_long_ago = self.told_at.is_none_or(|told_at| now - told_at >= METRICS_INTERVAL);
        is_long_ago && self.streams.iter().any(Option::is_some)
    }

    /// What became of a stream since it was told of last.
    pub fn tell(&mut self, stream: usize, found: &Found, ledger: &Ledger, now: Instant) {
        self.told_at = Some(now);
        let Some(Some(told)) = self.streams.get_mut(stream) else { return };
        let name = &told.name;
        let count = |key: String, before: u64, now: u64| {
            let more = i64::try_from(now.saturating_sub(before)).unwrap_or(i64::MAX);
            if more > 0 {
                // Nobody there, or a full buffer: metrics are worth no wait.
                let _ = self.client.count(&key, more);
            }
        };
        for (kind, (before, now)) in told.found.signatures.iter().zip(&found.signatures).enumerate() {
            count(format!("mwaa.error_log.{name}.{}", signature::name(kind)), *before, *now);
        }
        let of = |ledger: &Ledger, kind: Kind| {
            End::ALL.into_iter().filter(|end| end.kind() == kind).map(|end| ledger.ended(end).lines).sum::<u64>()
        };
        for (key, kind) in [
            ("ncl_emitted_records", Kind::Delivered),
            ("emit_error", Kind::Rejected),
            ("ncl_queue_evicted_records", Kind::Dropped),
        ] {
            count(format!("mwaa.logging.{name}.{key}"), of(&told.ledger, kind), of(ledger, kind));
        }
        count(format!("mwaa.logging.{name}.flush_error"), told.ledger.retries, ledger.retries);
        (told.found, told.ledger) = (*found, ledger.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::ledger::Count;
    use crate::lines::Record;
    use crate::lines::level::Level;
    use crate::lines::rules::{Edited, Editor, Rules, Why};

    #[test]
    fn what_is_new_is_told_once_in_the_known_names() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let names = [None, Some("Scheduler".to_owned())];
        let mut metrics = Metrics::start(receiver.local_addr().unwrap(), names.into_iter()).unwrap();
        let heard = || {
            let mut buffer = [0; 256];
            let length = receiver.recv(&mut buffer).expect("nothing was told");
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let now = clock::now();
        let (mut found, mut ledger) = (Found::default(), Ledger::default());
        assert!(metrics.is_due(now));
        found.signatures[0] = 2;
        ledger.book(End::Delivered, Count::new(5, 50));
        ledger.book(End::SpoolFull, Count::new(3, 30));
        ledger.retries = 1;
        metrics.tell(0, &found, &ledger, now);
        metrics.tell(1, &found, &ledger, now);
        assert_eq!(heard(), "airflow.mwaa.error_log.Scheduler.psycopg2:2|c");
        assert_eq!(heard(), "airflow.mwaa.logging.Scheduler.ncl_emitted_records:5|c");
        assert_eq!(heard(), "airflow.mwaa.logging.Scheduler.ncl_queue_evicted_records:3|c");
        assert_eq!(heard(), "airflow.mwaa.logging.Scheduler.flush_error:1|c");
        assert!(!metrics.is_due(now) && metrics.is_due(now + METRICS_INTERVAL));
        ledger.book(End::Delivered, Count::new(1, 10));
        metrics.tell(1, &found, &ledger, now);
        assert_eq!(heard(), "airflow.mwaa.logging.Scheduler.ncl_emitted_records:1|c");
    }

    #[test]
    fn each_known_message_is_told_under_its_own_name() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = receiver.local_addr().unwrap();
        for (line, expected) in [
            ("psycopg2.OperationalError: no", "psycopg2"),
            ("AirflowTaskTimeout: DagBag import timeout for /d.py after 30.0s", "DagImportTimeout"),
            ("AirflowTaskTimeout: Timeout, PID: 7", "TaskTimeout"),
            ("could not queue task k", "TaskQueueingFailure"),
            ("Adopted tasks were still pending after 0:10:00", "AdoptedTaskStillPending"),
            ("Celery command failed on host: h", "CeleryCommandFailure"),
            ("Failed to execute task x.", "CeleryTaskExecutionFailure"),
            ("execute_command encountered a CalledProcessError", "ExecuteCommandCalledProcessError"),
            (
                "DagFileProcessorManager (PID=6) last sent a heartbeat 50.65 seconds ago! Restarting it",
                "DagFileProcessorManagerNoHeartbeat",
            ),
            ("Marking run <DagRun a> failed", "DagRunFailure"),
            ("Deadlock; marking run <DagRun a> failed", "DagRunDeadlock"),
            ("Recording the task instance as FAILED", "TaskInstanceFailure"),
            ("Received SIGTERM. Terminating subprocesses.", "SIGTERM"),
            ("Couldn't find dag d in DagBag/DB!", "DagNotFound"),
            ("Execution date is in future: 2099", "ExecutionDateInFuture"),
            ("Job 12 was killed before it finished (likely due to running out of memory)", "JobKilled"),
        ] {
            // Of lines that are not sent as well.
            let rules = Rules {
                level: Some(Level::Critical),
                signatures: Some(Arc::new(signature::Signatures::new())),
                ..Rules::default()
            };
            let mut editor = Editor::new(rules);
            let record = Record { text: line, raw_bytes: 1, line: 0, begins: true, ends: true };
            assert_eq!(editor.edit(&record), Edited::Filtered(Why::Level));
            editor.taken(&record);
            let mut metrics = Metrics::start(address, [Some("Worker".to_owned())].into_iter()).unwrap();
            metrics.tell(0, &editor.found, &Ledger::default(), clock::now());
            let mut buffer = [0; 256];
            let length = receiver.recv(&mut buffer).expect("nothing was told");
            let heard = String::from_utf8_lossy(&buffer[..length]);
            assert_eq!(heard, format!("airflow.mwaa.error_log.Worker.{expected}:1|c"), "{line}");
        }
    }

    #[test]
    fn nobody_there_is_no_trouble_and_without_names_there_is_nothing_to_tell() {
        let mut metrics = Metrics::start("127.0.0.1:1".parse().unwrap(), [Some("a".to_owned())].into_iter()).unwrap();
        let mut ledger = Ledger::default();
        for lines in 0..1000 {
            ledger.book(End::Delivered, Count::new(lines, 0));
            metrics.tell(0, &Found::default(), &ledger, clock::now());
        }
        assert!(!Metrics::none().is_due(clock::now()));
    }
}
