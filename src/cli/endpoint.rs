//! The endpoint that calls go to, if it is not AWS's own: from the option, or from where the SDK would find it in the
//! environment. What is no URL is refused here, since the SDK would say so only at each call.

use std::net::Ipv6Addr;

use super::args::RunArguments;
use super::resolve::{set, variable};
use crate::refusal::Refusal;

/// What is spooled must say where it belongs. AWS names its variables after the service's id, here "CloudWatch Logs".
/// Beside that one the name is taken that one would guess.
const VARIABLES: [&str; 3] = ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL_LOGS", "AWS_ENDPOINT_URL"];

/// None: AWS's own, or one of a profile. With the name of what gave it.
pub fn find(arguments: &RunArguments) -> Option<(&'static str, String)> {
    set(&arguments.endpoint_url).map(|url| ("--endpoint-url", url.to_owned())).or_else(configured)
}

pub fn checked(arguments: &RunArguments) -> Result<Option<String>, Refusal> {
    let Some((source, url)) = find(arguments) else { return Ok(None) };
    if holds_a_password(&url) {
        // Not repeated: it is a secret.
        return Err(Refusal::usage(
            "the endpoint's URL holds a user or a password (USER:PASSWORD@HOST), which nothing here uses, and which would be \
             stored in the spool; leave them out",
        ));
    }
    match fault(&url) {
        Some(fault) if url.contains('@') => Err(Refusal::usage(format!(
            "{source}: the URL, which may hold a password and is not repeated, {fault}; write it as in https://logs.example.com"
        ))),
        Some(fault) => Err(Refusal::usage(format!(
            "{source}: {url:?} {fault}; write it as in https://logs.example.com or http://127.0.0.1:4580"
        ))),
        None => Ok(Some(url)),
    }
}

fn configured() -> Option<(&'static str, String)> {
    if variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|ignored| ignored.eq_ignore_ascii_case("true")) {
        return None;
    }
    VARIABLES.into_iter().find_map(|name| Some((name, variable(name)?)))
}

pub fn holds_a_password(url: &str) -> bool {
    authority(url.split_once("://").map_or(url, |(_, rest)| rest)).contains('@')
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// What is wrong with it, if anything is.
fn fault(url: &str) -> Option<&'static str> {
    let lower = url.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) else {
        return Some("does not begin with http:// or https://");
    };
    if url.chars().any(|character| !character.is_ascii_graphic() || "\"<>\\^`{|}".contains(character)) {
        return Some("has characters that no URL has");
    }
    let authority = authority(rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("ipv6", port),
            _ => return Some("has no IPv6 address between [ and ]"),
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    if host.is_empty() || !host.chars().all(allowed) {
        return Some("names no host");
    }
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_number) {
        return Some("has a port that is no number from 0 to 65535");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_pass_and_what_is_none_is_told_why() {
        for url in [
            "http://127.0.0.1:4580",
            "https://logs.eu-west-1.amazonaws.com",
            "HTTPS://vpce-1_a.example.com/path?x=y",
            "http://[::1]:8080/",
            "http://[::1]",
            "http://localhost:0",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
        for (url, expected) in [
            ("foo", "does not begin"),
            ("ftp://x", "does not begin"),
            ("localhost:4580", "does not begin"),
            ("http://[", "no IPv6 address"),
            ("http://[1.2.3.4]", "no IPv6 address"),
            ("http://[::1]8080", "a port that is no number"),
            ("http://", "names no host"),
            ("http:///path", "names no host"),
            ("http://a]b", "names no host"),
            ("http://:80", "names no host"),
            ("http://h:x", "a port that is no number"),
            ("http://h:", "a port that is no number"),
            ("http://h:65536", "a port that is no number"),
            ("http://h:+1", "a port that is no number"),
            ("http://a b", "no URL has"),
            ("http://h/\u{e9}", "no URL has"),
        ] {
            assert!(fault(url).is_some_and(|fault| fault.contains(expected)), "{url}: {:?}", fault(url));
        }
    }

    #[test]
    fn a_password_is_found_wherever_it_stands() {
        assert!(holds_a_password("http://me:secret@host/") && holds_a_password("me:secret@host"));
        assert!(!holds_a_password("http://host/a@b") && !holds_a_password("http://host?a@b"));
    }
}
