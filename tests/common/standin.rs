//! The built `cloudwatch-standin` as a child process, and a client for it that signs by itself.
//! The client shares no code with the server: it is the other half of its checks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// How long anything may take that takes no time when all is well.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Standin {
    child: Child,
    pub url: String,
    /// `127.0.0.1:PORT`
    pub address: String,
}

pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What a request is signed with. Unlike a client, a test may sign a thing and send another.
pub struct Signer<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub service: &'a str,
    pub at: SystemTime,
}

pub const DEMO: Signer = Signer { access_key: "demo", secret_key: "demo", service: "logs", at: SystemTime::UNIX_EPOCH };

impl Standin {
    /// On a free port.
    pub fn start(args: &[&str]) -> Standin {
        Standin::start_at("127.0.0.1:0", args)
    }

    /// On this address and port.
    pub fn start_at(listen: &str, args: &[&str]) -> Standin {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudwatch-standin"));
        // What the developer's own stand-in is set to is not what the test is about.
        let ours = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("CLOUDWATCH_STANDIN_");
        for name in std::env::vars_os().map(|(name, _)| name).filter(ours) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["--listen", listen])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start cloudwatch-standin");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(DEADLINE).expect("cloudwatch-standin did not say where it listens");
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("unexpected: {line:?}"));
        let (_, address) = url.split_once("://").expect("a URL");
        Standin { child, url: url.to_owned(), address: address.to_owned() }
    }

    /// A well-signed call, which must be answered with 200.
    pub fn ok(&self, operation: &str, request: Value) -> Value {
        let reply = self.call(operation, request);
        assert_eq!(reply.status, 200, "{operation}: {}", reply.text());
        reply.json()
    }

    /// A well-signed call, which must be refused: status, type and message.
    pub fn refused(&self, operation: &str, request: Value) -> (u16, String, String) {
        self.call(operation, request).refused()
    }

    pub fn call(&self, operation: &str, request: Value) -> Reply {
        self.post(operation, &[], request.to_string().as_bytes())
    }

    /// `headers` are sent beside those that every call has; they are not signed.
    pub fn post(&self, operation: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let signed = now(&DEMO).headers(&self.address, operation, body);
        let all: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send("POST", "/", &[&all, headers].concat(), body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[("host", &self.address)], b"")
    }

    pub fn stats(&self) -> Value {
        self.get("/stats").json()
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).expect("cannot connect");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        exchange(&mut stream, method, path, headers, body)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end after a signal.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("cannot wait for cloudwatch-standin")
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection that stays open for more.
pub fn exchange(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let length = body.len().to_string();
    let all = [&[("content-length", length.as_str())], headers].concat();
    exchange_as_stated(stream, method, path, &all, body)
}

/// The same, but for the length of the body, which is what `headers` say.
pub fn exchange_as_stated(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(&[request.as_bytes(), body].concat()).expect("cannot send");
    stream.flush().expect("cannot send");

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the answer ended in its head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let split = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(split).collect();
    let mut reply = Reply { status: status.expect("a status"), headers, body: Vec::new() };
    let length = reply.header("content-length").expect("a length").parse().expect("a number");
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body).expect("the answer ended in its body");
    reply
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Null for an empty body.
    pub fn json(&self) -> Value {
        match self.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text())),
        }
    }

    /// Status, type and message; the header must name the same type.
    pub fn refused(&self) -> (u16, String, String) {
        assert_ne!(self.status, 200, "not refused: {}", self.text());
        let body = self.json();
        let text = |member: &str| body[member].as_str().expect("a text").to_owned();
        assert_eq!(self.header("x-amzn-errortype"), Some(text("__type").as_str()));
        (self.status, text("__type"), text("message"))
    }
}

/// The same signer, signing now.
pub fn now<'a>(signer: &Signer<'a>) -> Signer<'a> {
    Signer { at: SystemTime::now(), ..*signer }
}

impl Signer<'_> {
    /// Every header of a signed call.
    pub fn headers(&self, host: &str, operation: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        let rfc3339 = humantime::format_rfc3339_seconds(self.at).to_string();
        let amz_date: String = rfc3339.chars().filter(|c| !"-:".contains(*c)).collect();
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("host", host.to_owned()),
            ("x-amz-date", amz_date.clone()),
            ("x-amz-target", format!("Logs_20140328.{operation}")),
        ];
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex(&Sha256::digest(body)));
        let scope = format!("{}/eu-central-1/{}/aws4_request", &amz_date[..8], self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let first_key = format!("AWS4{}", self.secret_key).into_bytes();
        let key = scope.split('/').fold(first_key, |key, part| hmac(&key, part.as_bytes()));
        let signature = hex(&hmac(&key, to_sign.as_bytes()));
        let access_key = self.access_key;
        headers.push((
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"),
        ));
        headers
    }
}

/// RFC 2104 for keys of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut padded = [0u8; 64];
    padded[..key.len()].copy_from_slice(key);
    let inner = Sha256::digest([&padded.map(|b| b ^ 0x36), message].concat());
    Sha256::digest([&padded.map(|b| b ^ 0x5c)[..], &inner].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
