//! What must never be told: secret keys, session tokens, bearer tokens. Each source of credentials gets marked ones, and
//! all that a run leaves behind (its messages at their most talkative, stdout, report, spool) is searched for them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::on_both_engines;
use crate::program::{Ended, Logpump, standin};

/// Part of everything that is secret here.
const MARK: &str = "TheMarkOfASecret";
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// As talkative as a user can make it, with what libraries look for.
fn talkative(engine: &str, url: &str) -> Logpump {
    let run = Logpump::new(engine).into_cloudwatch(url).args(&["--log-level", "debug"]);
    run.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").env("AWS_LOG_LEVEL", "trace")
}

fn with_keys(run: Logpump) -> Logpump {
    let run = run.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", format!("{MARK}/key"));
    run.env("AWS_SESSION_TOKEN", format!("{MARK}/token"))
}

/// Without the keys that `into_cloudwatch` sets.
fn without_keys(mut run: Logpump) -> Logpump {
    run.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    run
}

/// Nothing gets through: runs it until it has said so, sends what is left to the spool, and looks into all that it left.
fn assert_untold(run: Logpump, said: &str) {
    let mut run = run.args(&["--drain-timeout", "100s"]).shell("seq 1 1000; exit 4").start();
    run.wait_said(said);
    run.wait_said("sh ended");
    run.signal(Signal::TERM);
    run.wait_said("SIGTERM: delivering what is left");
    run.signal(Signal::INT);
    let ended = run.end();
    assert!(ended.total("/spooled").0 > 0, "{:#}\n{}", ended.report, ended.said);
    search(&ended);
}

fn search(ended: &Ended) {
    assert_eq!(ended.code, Some(4), "{}", ended.said);
    let mut all = vec![(PathBuf::from("stderr"), ended.said.clone().into_bytes())];
    all.push((PathBuf::from("stdout"), ended.stdout.clone()));
    gather(ended.directory(), &mut all);
    let names: Vec<_> = all.iter().map(|(path, _)| path).collect();
    assert!(names.iter().any(|path| path.ends_with("report.json")), "{names:?}");
    if ended.total("/spooled").0 > 0 {
        assert!(names.iter().any(|path| path.extension().is_some_and(|is| is == "seg")), "{names:?}");
    }
    for (path, bytes) in &all {
        let told = memchr::memmem::find(bytes, MARK.as_bytes());
        assert_eq!(told, None, "{}: {}", path.display(), String::from_utf8_lossy(bytes));
    }
}

/// All files but those of `given`, in which a test hands secrets over.
fn gather(directory: &Path, all: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("given") {
            continue;
        }
        if path.is_dir() {
            gather(&path, all);
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, bytes));
        }
    }
}

/// A file with a secret in it, where `gather` does not look.
fn given(run: &Logpump, text: &str) -> PathBuf {
    let path = run.place("given");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn keys_in_the_environment_that_the_service_refuses_while_it_repeats_the_token() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let run = with_keys(talkative(engine, &standin.url));
        assert_untold(run, "InvalidSignatureException");
    });
}

#[test]
fn keys_in_the_environment_while_nothing_can_be_reached_or_a_thread_fails() {
    on_both_engines(|engine| {
        assert_untold(with_keys(talkative(engine, NOBODY)), "cannot be reached");
        let plant = |place, url: &str| {
            let run = with_keys(talkative(engine, url)).env("LOGPUMP_TEST_PANIC", format!("{place}:1"));
            let ended = run.args(&["--drain-timeout", "1s"]).shell("seq 1 1000; exit 4").run();
            assert!(ended.said.contains("planted by a test"), "{place}: {}", ended.said);
            search(&ended);
        };
        ["ship", "intake", "spool"].into_iter().for_each(|place| plant(place, NOBODY));
        // A call needs a stream, which needs somebody who makes it.
        plant("call", &standin(&["--no-verify"]).url);
    });
}

#[test]
fn profiles_that_are_not_right() {
    let broken = [
        ("aws_access_key_id = a\naws_secret_access_key MARK\n", "could not parse"),
        ("aws_access_key_id = a\naws_session_token = MARK\n", "missing aws_secret_access_key"),
        ("credential_process = printf '{\"Version\":1,\"SecretAccessKey\":\"MARK\"'\n", "could not parse response"),
        ("credential_process = printf '{\"Version\":1,\"SecretAccessKey\":\"MARK\"}'\n", "cannot be sent"),
        ("credential_process = sh -c 'echo MARK; exit 3'\n", "exit status: 3"),
    ];
    for (profile, said) in broken {
        let run = without_keys(talkative("auto", NOBODY));
        let path = given(&run, &format!("[default]\n{}", profile.replace("MARK", MARK)));
        let run = run.env("AWS_CONFIG_FILE", &path).env("AWS_SHARED_CREDENTIALS_FILE", &path);
        assert_untold(run, said);
    }
}

/// Says this to whoever asks, a bounded number of times.
fn serve(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().take(1000).map_while(Result::ok) {
            let _ = client.read(&mut [0; 16 * 1024]);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    url
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn tokens_for_the_containers_credentials_and_answers_that_are_not_right() {
    let secret = format!("{{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"{MARK}\"");
    for answer in [http("200 OK", &secret), http("200 OK", &format!("{secret}}}")), http("403 Forbidden", &secret)] {
        let run = without_keys(talkative("auto", NOBODY)).env("AWS_CONTAINER_AUTHORIZATION_TOKEN", MARK);
        let run = run.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", serve(answer));
        assert_untold(run, "cannot be sent");
    }
}

#[test]
fn a_web_identity_that_is_refused() {
    for body in ["", "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"] {
        let run = without_keys(talkative("auto", NOBODY));
        let token = given(&run, MARK);
        let run = run.env("AWS_WEB_IDENTITY_TOKEN_FILE", token).env("AWS_ROLE_SESSION_NAME", "s");
        let run = run.env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r");
        let run = run.env("AWS_ENDPOINT_URL", serve(http("400 Bad Request", body)));
        assert_untold(run, "cannot be sent");
    }
}

#[test]
fn a_password_in_the_endpoint_is_refused_and_not_repeated() {
    let url = format!("http://user:{MARK}@127.0.0.1:1");
    let by_option = Logpump::without_report("auto").into_cloudwatch(&url);
    let mut by_variable = Logpump::without_report("auto").args(&["--log-group", "g", "--region", "eu-central-1"]);
    by_variable.command.env("AWS_ENDPOINT_URL", &url);
    for run in [by_option, by_variable] {
        let ended = run.command(&["true"]).run_without_report();
        assert_eq!(ended.code, Some(64), "{}", ended.said);
        assert!(ended.said.contains("password") && !ended.said.contains(MARK), "{}", ended.said);
    }
}
