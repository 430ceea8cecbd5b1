//! CloudWatch: the ways to it that options and environment open: gzip, TLS, an ARN, groups made by logpump, file names.

use serde_json::json;

use crate::on_both_engines;
use crate::program::{Ended, GROUP, Logpump, read_back, standin};
use crate::standin::Standin;

const LINES: u64 = 20_000;

/// `seq` arrives whole and in order.
fn assert_seq_arrives(standin: &Standin, run: Logpump) -> Ended {
    let ended = run.command(&["seq", "1", &LINES.to_string()]).run();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let found = read_back(standin, "seq");
    assert!(found.iter().map(|text| text.parse::<u64>().unwrap()).eq(1..=LINES), "{} lines", found.len());
    assert_eq!((ended.total("/delivered").0, ended.total("/read").0), (LINES, LINES), "{:#}", ended.report);
    assert_eq!(ended.report["streams"][0]["group"], GROUP);
    ended
}

#[test]
fn plain() {
    on_both_engines(|engine| {
        let standin = standin(&["--latency", "25ms"]);
        let ended = assert_seq_arrives(&standin, Logpump::new(engine).into_cloudwatch(&standin.url));
        let stats = standin.stats();
        assert_eq!((&stats["gzip_calls"], &stats["errors"]), (&json!(0), &json!({})));
        assert_eq!(stats["calls"]["PutLogEvents"], ended.report["total"]["calls"]);
    });
}

#[test]
fn gzip_as_an_option_and_from_the_environment() {
    for (name, value) in [("--gzip", ""), ("LOGPUMP_GZIP", "1"), ("LOGPUMP_GZIP", "true"), ("LOGPUMP_GZIP", "0")] {
        let standin = standin(&[]);
        let run = Logpump::new("auto").into_cloudwatch(&standin.url);
        let run = if value.is_empty() { run.arg(name) } else { run.env(name, value) };
        assert_seq_arrives(&standin, run);
        let stats = standin.stats();
        let expected = if value == "0" { json!(0) } else { stats["calls"]["PutLogEvents"].clone() };
        assert_eq!(stats["gzip_calls"], expected, "{name}={value}: {stats:#}");
    }
}

#[test]
fn tls_with_a_bundle_from_either_place() {
    let place = tempfile::tempdir().unwrap();
    let authority = place.path().join("authority.pem");
    let authority = authority.to_str().unwrap();
    for name in ["--ca-bundle", "LOGPUMP_CA_BUNDLE", "AWS_CA_BUNDLE"] {
        // The group is not asked for by the client of these tests, which speaks no TLS.
        let standin = standin(&["--tls", "--cert-out", authority]);
        assert!(standin.url.starts_with("https://"));
        let run = Logpump::new("auto").into_cloudwatch(&standin.url);
        let run = if name == "--ca-bundle" { run.args(&[name, authority]) } else { run.env(name, authority) };
        let ended = run.command(&["seq", "1", "1000"]).run();
        ended.assert_all_delivered(1000, 3893);
        assert_eq!(ended.code, Some(0));
    }
}

#[test]
fn an_authority_that_is_not_trusted_is_no_way() {
    let standin = standin(&["--tls"]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--drain-timeout", "1s"]);
    let ended = run.command(&["echo", "secret"]).run();
    assert_eq!((ended.code, ended.total("/spooled")), (Some(0), (1, 7)), "{}", ended.said);
    assert!(ended.said.contains("cannot be reached") && ended.said.contains("ertificate"), "{}", ended.said);
}

#[test]
fn a_group_given_as_an_arn_brings_its_region() {
    let standin = standin(&[]);
    for tail in ["", ":*"] {
        let arn = format!("arn:aws:logs:eu-west-3:123456789012:log-group:{GROUP}{tail}");
        let run = Logpump::new("auto")
            .env("AWS_ACCESS_KEY_ID", "demo")
            .env("AWS_SECRET_ACCESS_KEY", "demo")
            .env("LOGPUMP_ENDPOINT_URL", &standin.url)
            .args(&["--log-group", &arn, "--log-stream", "{name}"]);
        let ended = run.args(&["--name", &format!("arn{}", tail.len())]).command(&["echo", "hello"]).run();
        ended.assert_all_delivered(1, 6);
        assert_eq!(ended.report["streams"][0]["group"], GROUP);
    }
    assert_eq!(
        (read_back(&standin, "arn0"), read_back(&standin, "arn2")),
        (vec!["hello".into()], vec!["hello".into()])
    );
}

#[test]
fn the_endpoint_of_the_environment_is_the_sdks() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LOGS", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"] {
        let standin = standin(&[]);
        let run = Logpump::new("auto")
            .env("AWS_ACCESS_KEY_ID", "demo")
            .env("AWS_SECRET_ACCESS_KEY", "demo")
            .env("AWS_REGION", "eu-central-1")
            .env(name, &standin.url)
            .args(&["--log-group", GROUP, "--log-stream", "{name}"]);
        assert_seq_arrives(&standin, run);
    }
}

#[test]
fn a_missing_group_is_created_when_asked_for_once_for_all_streams() {
    on_both_engines(|engine| {
        let standin = Standin::start(&[]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).arg("--create-group").args(&["--name", "app"]);
        let ended = run.command(&["seq", "1", "10"]).command(&["seq", "1", "10"]).command(&["seq", "1", "10"]).run();
        ended.assert_all_delivered(30, 63);
        assert_eq!(read_back(&standin, "app-3").len(), 10);
        assert!(!ended.said.contains("does not exist"), "{}", ended.said);
        assert_eq!(standin.stats()["calls"]["CreateLogGroup"], 1);
    });
}

#[test]
fn a_group_that_is_created_is_as_it_was_asked_for() {
    let standin = Standin::start(&[]);
    let key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd";
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--create-group", "--retention-days", "14"]);
    let run = run.args(&["--kms-key-id", key, "--tag", "team=data", "--tag", "stage=test"]);
    run.args(&["--log-group-class", "infrequent_access"]).command(&["echo", "hello"]).run().assert_all_delivered(1, 6);
    let group = standin.stats()["groups"].as_array().unwrap()[0].clone();
    assert_eq!((&group["retention_days"], &group["kms_key"]), (&14.into(), &key.into()), "{group:#}");
    assert_eq!(group["class"], "INFREQUENT_ACCESS");
    assert_eq!(group["tags"], serde_json::json!({ "team": "data", "stage": "test" }));
}

#[test]
fn a_right_that_is_missing_for_a_groups_retention_is_said_and_costs_no_line() {
    let standin = Standin::start(&["--fault", "denied:op=PutRetentionPolicy"]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--create-group", "--retention-days", "14"]);
    let ended = run.command(&["echo", "hello"]).run();
    ended.assert_all_delivered(1, 6);
    assert_eq!(ended.said.matches("logs:PutRetentionPolicy").count(), 1, "{}", ended.said);
}

#[test]
fn what_a_group_cannot_be_like_starts_nothing() {
    for (args, complaint) in [
        (&["--retention-days", "14"][..], "give --create-group as well"),
        (&["--create-group", "--retention-days", "2"], "2 is none of 1, 3, 5"),
        (&["--create-group", "--tag", "team"], "KEY=VALUE"),
        (&["--create-group", "--kms-key-id", ""], "1 to 256 bytes"),
    ] {
        let run = Logpump::new("auto").into_cloudwatch("http://127.0.0.1:1").args(args);
        let ended = run.command(&["echo", "started"]).run_without_report();
        assert_eq!((ended.code, ended.said.lines().count()), (Some(64), 1), "{args:?}: {}", ended.said);
        assert!(ended.said.contains(complaint), "{}", ended.said);
    }
}

#[test]
fn forbidden_characters_of_a_streams_name_become_underscores() {
    let standin = standin(&[]);
    let run = Logpump::new("auto").into_cloudwatch(&standin.url).args(&["--name", "a:b*c/d ä"]);
    run.command(&["echo", "hello"]).run().assert_all_delivered(1, 6);
    assert_eq!(read_back(&standin, "a_b_c/d ä"), ["hello"]);
}
