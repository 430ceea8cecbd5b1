//! Where lines are read back from: files, a directory of them, CloudWatch Logs. Hands each line to the check, page by page;
//! judges nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Credentials;
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::Failure;
use crate::check::Check;
use crate::line::LINE_BYTES_MAX;

const READ_BYTES: usize = 1024 * 1024;
/// Stream names may hold slashes, which a file sink may turn into directories. Deeper ones are not followed.
const DEPTH_MAX: usize = 16;
const STREAMS_MAX: usize = 100_000;
/// Bounds the paging of one stream: far above 4,000,000,000 lines at 10,000 a page.
const PAGES_MAX: u64 = 10_000_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

pub enum Source {
    /// One file, or stdin as `-`.
    File(PathBuf),
    /// Every file below `path` whose relative name holds `stream`; names that begin with a dot are left out.
    Dir {
        path: PathBuf,
        stream: String,
    },
    CloudWatch {
        endpoint_url: Option<String>,
        log_group: String,
        stream_prefix: Option<String>,
    },
}

impl Source {
    pub fn read(&self, check: &mut Check) -> Result<(), Failure> {
        match self {
            Source::File(path) if path.as_os_str() == "-" => read_lines(std::io::stdin().lock(), "-", check),
            Source::File(path) => read_file(path, &path.display().to_string(), check),
            Source::Dir { path, stream } => {
                let mut files = Vec::new();
                list_files(path, DEPTH_MAX, &mut files)?;
                files.sort();
                for file in files {
                    let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
                    if name.contains(stream) {
                        read_file(&file, &name, check)?;
                    }
                }
                Ok(())
            }
            Source::CloudWatch { endpoint_url, log_group, stream_prefix } => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| Failure::new(71, format!("cannot start tokio: {error}")))?;
                runtime.block_on(async {
                    let client = connect(endpoint_url.as_deref()).await;
                    read_group(&client, log_group, stream_prefix.as_deref(), check).await
                })
            }
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(69, format!("cannot read {}: {error}", path.display()))
}

fn list_files(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let path = entry.map_err(|error| unreadable(dir, &error))?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && depth > 0 {
            list_files(&path, depth - 1, files)?;
        }
        if files.len() > STREAMS_MAX {
            return Err(Failure::new(69, format!("{} has more than {STREAMS_MAX} files", dir.display())));
        }
    }
    Ok(())
}

fn read_file(path: &Path, name: &str, check: &mut Check) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read_lines(BufReader::with_capacity(READ_BYTES, file), name, check)
}

/// A line over `LINE_BYTES_MAX` is handed on in pieces, each unterminated.
fn read_lines(mut reader: impl BufRead, name: &str, check: &mut Check) -> Result<(), Failure> {
    check.begin_stream(name);
    let mut line = Vec::new();
    // Each turn takes a byte or more from a finite source.
    loop {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        match reader.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => match line.strip_suffix(b"\n") {
                Some(text) => check.line(text, true),
                None => check.line(&line, false),
            },
            Err(error) => return Err(unreadable(Path::new(name), &error)),
        }
    }
}

/// The SDK's own settings; for an endpoint on loopback without any credentials, demo ones: a stand-in checks that
/// requests are signed, not by whom, and the SDK's search for credentials would leave the machine.
async fn connect(endpoint_url: Option<&str>) -> Client {
    let timeouts = TimeoutConfig::builder().connect_timeout(CALL_TIMEOUT / 6).operation_timeout(CALL_TIMEOUT).build();
    let mut config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(url) = endpoint_url {
        config = config.endpoint_url(url);
        if is_loopback(url) && !credentials_are_set() {
            config = config.credentials_provider(Credentials::new("demo", "demo", None, None, "loopback"));
        }
    }
    if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
        config = config.region(Region::from_static("us-east-1"));
    }
    Client::new(&config.load().await)
}

fn credentials_are_set() -> bool {
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some())
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn read_group(
    client: &Client,
    log_group: &str,
    stream_prefix: Option<&str>,
    check: &mut Check,
) -> Result<(), Failure> {
    let mut streams = Vec::new();
    let request = client.describe_log_streams().log_group_name(log_group);
    let mut pages =
        request.set_log_stream_name_prefix(stream_prefix.map(str::to_owned)).into_paginator().items().send();
    while let Some(stream) = pages.next().await {
        let stream = stream.map_err(|error| refused("DescribeLogStreams", log_group, &error))?;
        streams.extend(stream.log_stream_name().map(str::to_owned));
        if streams.len() > STREAMS_MAX {
            return Err(Failure::new(
                69,
                format!("{log_group} has more than {STREAMS_MAX} streams; use --log-stream-prefix"),
            ));
        }
    }
    streams.sort();
    for stream in &streams {
        check.begin_stream(stream);
        read_stream(client, log_group, stream, check).await?;
    }
    Ok(())
}

/// The end of a stream is where the forward token comes back unchanged; a page may be empty before that.
async fn read_stream(client: &Client, log_group: &str, stream: &str, check: &mut Check) -> Result<(), Failure> {
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let request = client.get_log_events().log_group_name(log_group).log_stream_name(stream).start_from_head(true);
        let page = request.set_next_token(token.clone()).send().await;
        let page = page.map_err(|error| refused("GetLogEvents", &format!("{log_group} {stream}"), &error))?;
        for event in page.events() {
            check.line(event.message().unwrap_or_default().as_bytes(), true);
        }
        let next = page.next_forward_token().map(str::to_owned);
        if next.is_none() || next == token {
            return Ok(());
        }
        token = next;
    }
    Err(Failure::new(69, format!("{log_group} {stream}: no end after {PAGES_MAX} pages")))
}

fn refused<E>(call: &str, on: &str, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let what = match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no message")),
        (None, _) => DisplayErrorContext(error).to_string(),
    };
    Failure::new(69, format!("{call} on {on}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_get_demo_credentials() {
        for url in ["http://127.0.0.1:4580", "http://localhost", "https://[::1]:4580/", "http://127.8.9.1/x"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://logs.us-east-1.amazonaws.com", "http://10.0.0.1:4580", "http://localhost.example", ""] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
