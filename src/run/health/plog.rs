//! The lines about health that the service Amazon MWAA reads from a container's stdout ("processable logs"). Pure.
//!
//! Names and form are those of the images `aws/amazon-mwaa-docker-images`, as Python's json writes them: a reader may look
//! for the text and not for the JSON.

/// Whose lines the service reads for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A process is stopped, so that another takes its place.
    Restart,
    /// The database was asked, and is what it was; or it has changed.
    Database { healthy: bool, changed: bool },
}

/// What every line says of where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    airflow_version: String,
    account: String,
    environment: String,
}

impl Origin {
    /// From the variables that the service sets.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Origin {
        let known = |name| variable(name).unwrap_or_else(|| "Unknown".to_owned());
        Origin {
            airflow_version: known("AIRFLOW_VERSION"),
            account: known("CUSTOMER_ACCOUNT_ID"),
            environment: known("AIRFLOW_ENV_NAME"),
        }
    }

    /// One line, its newline included. `process`: the part of Airflow that it is about.
    pub fn line(&self, topic: Topic, process: &str, epoch_s: u64) -> String {
        let (processor, message) = match topic {
            Topic::Restart => ("AutoRestartLogsProcessor", format!("[{process}] Restarting process...")),
            Topic::Database { healthy, changed } => {
                let became = if changed { "BECAME_" } else { "" };
                let what = if healthy { "HEALTHY" } else { "UNHEALTHY" };
                let what = format!("[{process}] connection with RDS Meta DB is CONNECTION_{became}{what}.");
                ("RDSHealthLogsProcessor", what)
            }
        };
        format!(
            "{{\"signature\": \"mwaa_plog_v1\", \"logsProcessorName\": {}, \"dataPlaneCell\": \"Unknown\", \
             \"airflowVersion\": {}, \"airflowImage\": \"Unknown\", \"customerAccountId\": {}, \"environmentName\": {}, \
             \"timestamp\": {epoch_s}, \"message\": {}}}\n",
            quoted(processor),
            quoted(&self.airflow_version),
            quoted(&self.account),
            quoted(&self.environment),
            quoted(&message)
        )
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(variables: &[(&str, &str)]) -> Origin {
        Origin::of(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_line_is_what_the_service_reads() {
        let origin = origin(&[
            ("AIRFLOW_VERSION", "2.10.3"),
            ("CUSTOMER_ACCOUNT_ID", "123456789012"),
            ("AIRFLOW_ENV_NAME", "a\"b"),
        ]);
        assert_eq!(
            origin.line(Topic::Restart, "worker", 1_700_000_000),
            "{\"signature\": \"mwaa_plog_v1\", \"logsProcessorName\": \"AutoRestartLogsProcessor\", \"dataPlaneCell\": \
             \"Unknown\", \"airflowVersion\": \"2.10.3\", \"airflowImage\": \"Unknown\", \"customerAccountId\": \
             \"123456789012\", \"environmentName\": \"a\\\"b\", \"timestamp\": 1700000000, \"message\": \"[worker] Restarting \
             process...\"}\n"
        );
    }

    #[test]
    fn the_database_is_told_as_it_is_and_as_it_became() {
        let origin = origin(&[]);
        for (healthy, changed, expected) in [
            (true, false, "CONNECTION_HEALTHY."),
            (false, true, "CONNECTION_BECAME_UNHEALTHY."),
            (false, false, "CONNECTION_UNHEALTHY."),
            (true, true, "CONNECTION_BECAME_HEALTHY."),
        ] {
            let line = origin.line(Topic::Database { healthy, changed }, "scheduler", 0);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["message"], format!("[scheduler] connection with RDS Meta DB is {expected}"));
            assert_eq!(value["logsProcessorName"], "RDSHealthLogsProcessor");
            assert_eq!((&value["airflowVersion"], &value["signature"]), (&"Unknown".into(), &"mwaa_plog_v1".into()));
        }
    }
}
