//! Known error messages of Airflow, found in one pass for all of them. Pure; who counts them is another's business.

use aho_corasick::{AhoCorasick, MatchKind};

/// A message, known by texts that stand in it in this order. The rarest of them is looked for first.
struct Signature {
    name: &'static str,
    rarest: usize,
    texts: &'static [&'static str],
}

const fn one(name: &'static str, texts: &'static [&'static str]) -> Signature {
    Signature { name, rarest: 0, texts }
}

/// In this order: the first that matches counts. Source: the names and messages that Amazon MWAA's images count.
const SIGNATURES: [Signature; 16] = [
    one("psycopg2", &["psycopg2.OperationalError"]),
    one("DagImportTimeout", &["AirflowTaskTimeout: DagBag import timeout for ", " after"]),
    one("TaskTimeout", &["AirflowTaskTimeout"]),
    one("TaskQueueingFailure", &["could not queue task"]),
    one("AdoptedTaskStillPending", &["Adopted tasks were still pending after"]),
    one("CeleryCommandFailure", &["Celery command failed on host:"]),
    one("CeleryTaskExecutionFailure", &["Failed to execute task"]),
    one("ExecuteCommandCalledProcessError", &["execute_command encountered a CalledProcessError"]),
    one(
        "DagFileProcessorManagerNoHeartbeat",
        &["DagFileProcessorManager (PID=", ") last sent a heartbeat ", " seconds ago! Restarting it"],
    ),
    one("DagRunFailure", &["Marking run ", " failed"]),
    // Airflow 2.10 to 3.2 write "Task deadlock (no runnable tasks); marking run ... failed".
    one("DagRunDeadlock", &["eadlock", "; marking run ", " failed"]),
    one("TaskInstanceFailure", &["Recording the task instance as FAILED"]),
    one("SIGTERM", &["Received SIGTERM. Terminating subprocesses."]),
    one("DagNotFound", &["Couldn't find dag ", " in DagBag/DB!"]),
    one("ExecutionDateInFuture", &["Execution date is in future:"]),
    Signature {
        name: "JobKilled",
        rarest: 1,
        texts: &["Job ", " was killed before it finished (likely due to running out of memory)"],
    },
];

pub const SIGNATURES_COUNT: usize = SIGNATURES.len();

/// The name of one, as metrics have it.
pub fn name(signature: usize) -> &'static str {
    SIGNATURES[signature].name
}

/// Finds them.
#[derive(Debug, Clone)]
pub struct Signatures {
    rarest: AhoCorasick,
}

impl Signatures {
    pub fn new() -> Signatures {
        let rarest = SIGNATURES.iter().map(|signature| signature.texts[signature.rarest]);
        let rarest = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(rarest);
        Signatures { rarest: rarest.expect("the texts are few and short") }
    }

    /// The first of them that the line shows.
    pub fn find(&self, line: &str) -> Option<usize> {
        // Nearly every line ends here.
        self.rarest.find(line)?;
        SIGNATURES.iter().position(|signature| stands_in(signature.texts, line))
    }
}

impl Default for Signatures {
    fn default() -> Signatures {
        Signatures::new()
    }
}

/// All of them, each behind the one before.
fn stands_in(texts: &[&str], line: &str) -> bool {
    let mut rest = line;
    texts.iter().all(|text| match rest.find(text) {
        Some(at) => {
            rest = &rest[at + text.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_message_is_found_under_its_name() {
        let signatures = Signatures::new();
        for (line, expected) in [
            ("psycopg2.OperationalError: could not connect", "psycopg2"),
            (
                "airflow.exceptions.AirflowTaskTimeout: DagBag import timeout for /dags/x.py after 30.0s",
                "DagImportTimeout",
            ),
            ("airflow.exceptions.AirflowTaskTimeout: Timeout, PID: 7", "TaskTimeout"),
            ("ERROR - could not queue task TaskInstanceKey(...)", "TaskQueueingFailure"),
            ("Adopted tasks were still pending after 0:10:00, assuming they never made it", "AdoptedTaskStillPending"),
            ("Celery command failed on host: ip-10-0-0-1", "CeleryCommandFailure"),
            ("Failed to execute task Connection refused.", "CeleryTaskExecutionFailure"),
            ("execute_command encountered a CalledProcessError", "ExecuteCommandCalledProcessError"),
            (
                "DagFileProcessorManager (PID=66) last sent a heartbeat 50.65 seconds ago! Restarting it",
                "DagFileProcessorManagerNoHeartbeat",
            ),
            ("Marking run <DagRun a @ 2025> failed", "DagRunFailure"),
            ("Deadlock; marking run <DagRun a> failed", "DagRunDeadlock"),
            ("Task deadlock (no runnable tasks); marking run <DagRun a> failed", "DagRunDeadlock"),
            ("Recording the task instance as FAILED", "TaskInstanceFailure"),
            ("Received SIGTERM. Terminating subprocesses.", "SIGTERM"),
            ("Couldn't find dag my_dag in DagBag/DB!", "DagNotFound"),
            ("Execution date is in future: 2099", "ExecutionDateInFuture"),
            ("Job 12 was killed before it finished (likely due to running out of memory)", "JobKilled"),
        ] {
            assert_eq!(signatures.find(line).map(name), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_part_of_a_message_is_none_and_the_order_of_its_texts_counts() {
        let signatures = Signatures::new();
        for line in [
            "",
            "Marking run <DagRun a> success",
            "failed; Marking run a",
            "was killed before it finished (likely due to running out of memory)",
            "Couldn't find dag x",
            "DagFileProcessorManager (PID=66) is well",
        ] {
            assert_eq!(signatures.find(line), None, "{line}");
        }
    }
}
