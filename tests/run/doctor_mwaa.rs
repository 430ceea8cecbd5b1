//! `logpump doctor --mwaa ROLE`: what the service's variables come to, and whether that would work here.

use std::os::unix::fs::PermissionsExt;

use crate::doctor::Doctor;
use crate::mwaa::arn;
use crate::program::standin;

/// With a program for `airflow`.
fn doctor(url: &str, role: &str, variables: &[(&str, &str)]) -> Doctor {
    let doctor = Doctor::new(&["--mwaa", role, "--endpoint-url", url]);
    let airflow = doctor.place.path().join("airflow");
    std::fs::write(&airflow, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&airflow, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", doctor.place.path().display(), std::env::var("PATH").unwrap());
    variables.iter().fold(doctor.env("PATH", &path), |doctor, (name, value)| doctor.env(name, value))
}

#[test]
fn each_process_is_said_with_where_its_lines_go_or_why_they_do_not() {
    let standin = standin(&[]);
    let variables = [
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", &*arn("/run/tests")),
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOGS_ENABLED", "true"),
        ("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_LEVEL", "WARNING"),
        ("MWAA__LOGGING__AIRFLOW_TRIGGERER_LOG_GROUP_ARN", &*arn("/not/looked/at")),
        ("LOGPUMP_NAME", "x"),
    ];
    let said = doctor(&standin.url, "scheduler", &variables).look();
    assert_eq!(said.code, Some(0), "{}", said.text);
    for line in [
        "ok    mwaa         scheduler: lines from WARNING go to log group /run/tests in eu-central-1, stream scheduler_",
        "warn  mwaa         dag-processor-manager: lines go to stdout only: \
         MWAA__LOGGING__AIRFLOW_DAGPROCESSOR_LOG_GROUP_ARN is not set",
        "warn  mwaa         triggerer: lines are read and discarded: MWAA__LOGGING__AIRFLOW_TRIGGERER_LOGS_ENABLED is not",
        "warn  mwaa         LOGPUMP_NAME does nothing: ",
        "ok    command      scheduler: /",
        "ok    service      answers, and log group /run/tests is there",
    ] {
        assert!(said.text.contains(line), "{line} is not in\n{}", said.text);
    }
    assert!(!said.text.contains("/not/looked/at"), "{}", said.text);
    let tried = doctor(&standin.url, "scheduler", &variables).output(&["--try"]);
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stdout));
}

#[test]
fn what_mwaa_would_refuse_the_doctor_refuses() {
    let nowhere = "http://127.0.0.1:1";
    for (role, variables, args, code, complaint) in [
        ("worker", &[("MWAA__CORE__TASK_MONITORING_ENABLED", "true")][..], &[][..], 78, "keep the Python entrypoint"),
        ("webserver", &[], &[], 78, "AIRFLOW_VERSION is not set"),
        ("scheduler", &[("MWAA__LOGGING__AIRFLOW_SCHEDULER_LOG_GROUP_ARN", "name")], &[], 78, "name is not the ARN"),
        ("scheduler", &[], &["--log-group", "x"], 64, "takes no --log-group"),
        ("scheduler", &[], &["--try"], 64, "the environment names none"),
        ("postman", &[], &[], 64, "scheduler"),
    ] {
        let output = doctor(nowhere, role, variables).output(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        assert!(said.contains(complaint), "{said}");
    }
}
