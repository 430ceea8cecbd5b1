//! A server that nobody here wrote: moto's, from PyPI, read back with AWS's own Python SDK.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::on_both_engines;
use crate::program::Logpump;
use crate::venv::python_with;

const PACKAGES: &[&str] = &["boto3==1.44.5", "moto[server]==5.2.5"];
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/moto_client.py");
const LINES: u64 = 30_000;

struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Moto {
        let mut child =
            python().arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "moto did not say where it listens: {line:?}");
        Moto { child, url }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Command {
    let mut command = Command::new(python_with(PACKAGES));
    command.arg(CLIENT).env("NO_PROXY", "127.0.0.1").env_remove("AWS_PROFILE");
    for (name, value) in
        [("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "demo"), ("AWS_SECRET_ACCESS_KEY", "demo")]
    {
        command.env(name, value);
    }
    command
}

#[test]
fn all_lines_arrive_at_moto_in_order() {
    let expected = tempfile::NamedTempFile::new().unwrap();
    let lines: String =
        (0..LINES).map(|n| format!("line {n} \u{e4} \u{20ac} \u{1f600} \"quoted\" \\ \t end\n")).collect();
    std::fs::write(expected.path(), &lines).unwrap();
    on_both_engines(|engine| {
        let moto = Moto::start();
        let run = Logpump::new(engine).into_cloudwatch(&moto.url).args(&["--create-group", "--drain-timeout", "100s"]);
        let ended = run.arg("--").arg("cat").arg(expected.path()).run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        ended.assert_all_delivered(LINES, lines.len() as u64);
        let read =
            python().args(["read", &moto.url, crate::program::GROUP, "cat"]).arg(expected.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
        assert!(read.status.success() && out == "all good\n", "{out}{err}");
    });
}
