//! AWS's own Python SDK as the client: what it sends must be understood, and it must understand every answer.

use std::process::Command;

use crate::client::Standin;
use crate::venv::python_with;

const BOTO3: &str = "boto3==1.44.5";

fn run(standin: &Standin, case: &str, environment: &[(&str, &str)]) {
    let output = Command::new(python_with(&[BOTO3]))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/standin/boto3_client.py"))
        .args([case, &standin.url])
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "demo")
        .env("AWS_SECRET_ACCESS_KEY", "demo")
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .envs(environment.iter().copied())
        .output()
        .expect("cannot run Python");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("all good\n"), "{out}{err}");
}

#[test]
fn boto3_creates_puts_and_reads_back() {
    let standin = Standin::start(&[]);
    run(&standin, "round_trip", &[]);
    assert_eq!(standin.stats()["errors"], serde_json::json!({}));
}

#[test]
fn boto3_raises_its_typed_exceptions() {
    run(&Standin::start(&["--group", "g"]), "exceptions", &[]);
}

#[test]
fn boto3_works_with_any_credentials_and_is_refused_with_the_known_key_and_another_secret() {
    let standin = Standin::start(&[]);
    let stranger =
        [("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_SESSION_TOKEN", "token")];
    run(&standin, "round_trip", &stranger);
    run(&standin, "wrong_secret", &[("AWS_SECRET_ACCESS_KEY", "wrong")]);
}

#[test]
fn boto3_understands_faults() {
    run(&Standin::start(&["--group", "g"]), "faults", &[]);
}

#[test]
fn boto3_works_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    let authority = authority.to_str().unwrap();
    let standin = Standin::start(&["--tls", "--cert-out", authority]);
    run(&standin, "round_trip", &[("AWS_CA_BUNDLE", authority)]);
}
