//! Signature Version 4: what is verified, of whom, and how a refusal reads.

use std::time::{Duration, SystemTime};

use crate::client::{DEMO, Reply, Signer, Standin, now};

/// DescribeLogGroups, signed for one body and sent with another.
fn send(standin: &Standin, signer: &Signer, signed_body: &str, sent_body: &str, more: &[(&str, &str)]) -> Reply {
    let headers = signer.headers(&standin.address, "DescribeLogGroups", signed_body.as_bytes());
    let all: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    standin.send("POST", "/", &[&all, more].concat(), sent_body.as_bytes())
}

fn kind(reply: Reply) -> (u16, String) {
    let (status, kind, _) = reply.refused();
    (status, kind)
}

#[test]
fn the_known_key_is_verified_with_its_secret_and_the_body() {
    let standin = Standin::start(&[]);
    let good = now(&DEMO);
    assert_eq!(send(&standin, &good, "{}", "{}", &[]).status, 200);
    let bad = (403, "InvalidSignatureException".to_owned());
    let wrong_secret = Signer { secret_key: "other", ..now(&DEMO) };
    assert_eq!(kind(send(&standin, &wrong_secret, "{}", "{}", &[])), bad);
    let (_, _, message) = send(&standin, &good, "{}", "{ }", &[]).refused();
    assert!(message.starts_with("The request signature we calculated does not match"), "{message}");
}

#[test]
fn of_an_unknown_key_only_the_form_is_checked() {
    let standin = Standin::start(&[]);
    let stranger = Signer { access_key: "AKIAIOSFODNN7EXAMPLE", secret_key: "unknown", ..now(&DEMO) };
    assert_eq!(send(&standin, &stranger, "{}", "{ }", &[]).status, 200);
    let other_service = Signer { service: "s3", ..now(&stranger) };
    let (status, kind, message) = send(&standin, &other_service, "{}", "{}", &[]).refused();
    assert_eq!((status, kind.as_str()), (403, "InvalidSignatureException"));
    assert!(message.contains("correct service: 'logs'"), "{message}");
}

#[test]
fn another_key_can_be_the_known_one() {
    let standin = Standin::start(&["--access-key", "AKID", "--secret-key", "s3cret"]);
    let known = Signer { access_key: "AKID", secret_key: "s3cret", ..now(&DEMO) };
    assert_eq!(send(&standin, &known, "{}", "{}", &[]).status, 200);
    assert_eq!(kind(send(&standin, &known, "{}", "{ }", &[])).0, 403);
    assert_eq!(send(&standin, &now(&DEMO), "{}", "{ }", &[]).status, 200);
}

#[test]
fn a_stated_body_hash_must_be_the_bodys_unless_nothing_is_hashed() {
    let wrong = [("x-amz-content-sha256", "0".repeat(64))];
    let wrong = [(wrong[0].0, wrong[0].1.as_str())];
    let right = [("x-amz-content-sha256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")];
    let any = Standin::start(&["--any-signature"]);
    let wrong_secret = Signer { secret_key: "other", ..now(&DEMO) };
    assert_eq!(send(&any, &wrong_secret, "{}", "{}", &[]).status, 200);
    assert_eq!(send(&any, &wrong_secret, "{}", "{}", &right).status, 200);
    assert_eq!(kind(send(&any, &wrong_secret, "{}", "{}", &wrong)), (403, "InvalidSignatureException".to_owned()));
    let none = Standin::start(&["--no-verify"]);
    assert_eq!(send(&none, &wrong_secret, "{}", "{}", &wrong).status, 200);
}

#[test]
fn a_request_without_a_signature_is_refused_however_little_is_verified() {
    for args in [&[][..], &["--any-signature"], &["--no-verify"]] {
        let standin = Standin::start(args);
        let headers =
            [("x-amz-target", "Logs_20140328.DescribeLogGroups"), ("content-type", "application/x-amz-json-1.1")];
        let missing = standin.send("POST", "/", &headers, b"{}");
        assert_eq!(kind(missing), (403, "MissingAuthenticationTokenException".to_owned()));
        let half = [&headers[..], &[("authorization", "AWS4-HMAC-SHA256 Credential=a/b")]].concat();
        let malformed = standin.send("POST", "/", &half, b"{}");
        assert_eq!(kind(malformed), (400, "IncompleteSignatureException".to_owned()));
    }
}

#[test]
fn a_signature_ten_minutes_off_has_expired_or_is_not_yet_current() {
    let standin = Standin::start(&["--any-signature"]);
    let ten_minutes = Duration::from_secs(600);
    let late = Signer { at: SystemTime::now() - ten_minutes, ..DEMO };
    let (status, kind, message) = send(&standin, &late, "{}", "{}", &[]).refused();
    assert_eq!((status, kind.as_str()), (403, "InvalidSignatureException"));
    assert!(message.starts_with("Signature expired: "), "{message}");
    let early = Signer { at: SystemTime::now() + ten_minutes, ..DEMO };
    let (_, _, message) = send(&standin, &early, "{}", "{}", &[]).refused();
    assert!(message.starts_with("Signature not yet current: "), "{message}");
}
