//! `[[process.health]]`: what must hold of a process while it runs.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Entry, Reader};
use super::{At, Given, duration, timeout};
use crate::limits::{HEALTH_CONDITIONS_MAX, HEALTH_INTERVAL_MIN, HEALTH_RETRIES_MAX};
use crate::run::health::{Action, Condition, Kind};

/// Where Amazon MWAA's sidecar sends to, and how its images look at that.
pub const UDP_LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8200);
pub const UDP_INTERVAL: Duration = Duration::from_secs(60);
pub const UDP_START_PERIOD: Duration = Duration::from_secs(300);
/// Docker's HEALTHCHECK. Source: Dockerfile reference.
const EXEC_INTERVAL: Duration = Duration::from_secs(30);
const EXEC_TIMEOUT: Duration = Duration::from_secs(30);
const EXEC_RETRIES: u32 = 3;

const UDP_KEYS: &str = "type, listen, replacement_threshold, interval, start_period, action";
const EXEC_KEYS: &str = "type, command, interval, timeout, retries, start_period, action, plog";

/// A condition, where it stands, and where those of its keys that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub value: Condition,
    pub at: At,
    pub keys: Vec<(String, At)>,
}

/// All that is right of a process's conditions.
pub(super) fn conditions(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Vec<Told> {
    let DeValue::Array(tables) = entry.value.get_ref() else {
        let what = "health is a list: write [[process.health]], or health = [{ type = \"exec\", command = [\"...\"] }]";
        reader.complain(entry.value.span(), what.to_owned());
        return Vec::new();
    };
    if tables.len() > HEALTH_CONDITIONS_MAX {
        let what = format!("{} conditions; a process has at most {HEALTH_CONDITIONS_MAX}", tables.len());
        reader.complain(tables[HEALTH_CONDITIONS_MAX].span(), what);
    }
    let place =
        |value: &toml::Spanned<DeValue<'_>>| if value.span().is_empty() { entry.key.span() } else { value.span() };
    let condition = |value| {
        let at = reader.at(place(value).start);
        let is_table = matches!(value.get_ref(), DeValue::Table(_));
        let entries = reader.table(&Entry { key: entry.key, value });
        let keys = entries.iter().map(|entry| (entry.name().to_owned(), reader.at(entry.key.span().start))).collect();
        let value = is_table.then(|| condition(reader, &entries, place(value)))??;
        Some(Told { value, at, keys })
    };
    tables.iter().filter_map(condition).collect()
}

fn condition(reader: &mut Reader<'_>, entries: &[Entry<'_, '_>], span: std::ops::Range<usize>) -> Option<Condition> {
    let Some(kind) = entries.iter().find(|entry| entry.name() == "type") else {
        reader.complain(span, "this condition has no type; write type = \"udp\" or type = \"exec\"".to_owned());
        return None;
    };
    let is_udp = |text: &str| match text {
        "udp" => Ok(true),
        "exec" => Ok(false),
        _ => Err(format!("{text:?} is not known; write \"udp\" (statuses that are sent) or \"exec\" (a command)")),
    };
    let is_udp = reader.parsed(kind, is_udp)?.value;
    let entries = entries.iter().filter(|entry| entry.name() != "type");
    if is_udp { Some(udp(reader, entries)) } else { exec(reader, entries, span) }
}

fn udp<'a, 'i: 'a>(reader: &mut Reader<'_>, entries: impl Iterator<Item = &'a Entry<'a, 'i>>) -> Condition {
    let mut listen = SocketAddr::from(UDP_LISTEN);
    let mut threshold = Duration::ZERO;
    let (mut interval, mut start_period, mut action) = (UDP_INTERVAL, UDP_START_PERIOD, Action::Stop);
    for entry in entries {
        match entry.name() {
            "listen" => set(&mut listen, reader.parsed(entry, address)),
            "replacement_threshold" => set(&mut threshold, reader.parsed(entry, duration)),
            "interval" => set(&mut interval, reader.parsed(entry, between_looks)),
            "start_period" => set(&mut start_period, reader.parsed(entry, duration)),
            "action" => set(&mut action, reader.parsed(entry, what_to_do)),
            _ => reader.unknown(entry, "health of type udp", UDP_KEYS),
        }
    }
    Condition { action, interval, start_period, kind: Kind::Udp { listen, replacement_threshold: threshold } }
}

fn exec<'a, 'i: 'a>(
    reader: &mut Reader<'_>,
    entries: impl Iterator<Item = &'a Entry<'a, 'i>>,
    span: std::ops::Range<usize>,
) -> Option<Condition> {
    let (mut interval, mut start_period, mut action) = (EXEC_INTERVAL, Duration::ZERO, Action::Stop);
    let (mut limit, mut retries, mut is_database) = (EXEC_TIMEOUT, EXEC_RETRIES, false);
    let mut command = None;
    for entry in entries {
        match entry.name() {
            "command" => command = Some(reader.texts(entry, "as in command = [\"pg_isready\", \"-q\"]")),
            "interval" => set(&mut interval, reader.parsed(entry, between_looks)),
            "timeout" => set(&mut limit, reader.parsed(entry, timeout)),
            "retries" => set(&mut retries, reader.parsed(entry, times)),
            "start_period" => set(&mut start_period, reader.parsed(entry, duration)),
            "action" => set(&mut action, reader.parsed(entry, what_to_do)),
            "plog" => set(&mut is_database, reader.parsed(entry, topic)),
            _ => reader.unknown(entry, "health of type exec", EXEC_KEYS),
        }
    }
    let Some(command) = command else {
        let what = "this condition has no command; add command = [\"PROGRAM\", \"ARGUMENT\"]";
        reader.complain(span, what.to_owned());
        return None;
    };
    let argv = command.into_iter().map(OsString::from).collect();
    Some(Condition { action, interval, start_period, kind: Kind::Exec { argv, timeout: limit, retries, is_database } })
}

fn set<T>(place: &mut T, given: Option<Given<T>>) {
    if let Some(given) = given {
        *place = given.value;
    }
}

/// Whoever may send there may stop the process.
fn address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is no address with a port, such as \"127.0.0.1:8200\""))?;
    if !address.ip().is_loopback() {
        return Err(format!(
            "{text:?} is not of this machine alone, and who sends there can stop the process; 127.0.0.1 is"
        ));
    }
    if address.port() == 0 {
        return Err("port 0 is any port, which nobody would know".to_owned());
    }
    Ok(address)
}

fn between_looks(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| {
        if interval < HEALTH_INTERVAL_MIN {
            Err(format!("{text:?} is less than {}", humantime::format_duration(HEALTH_INTERVAL_MIN)))
        } else {
            Ok(interval)
        }
    })
}

fn times(text: &str) -> Result<u32, String> {
    let times = text.parse().ok().filter(|times| (1..=HEALTH_RETRIES_MAX).contains(times));
    times.ok_or_else(|| format!("{text:?} is no number from 1 to {HEALTH_RETRIES_MAX}"))
}

fn what_to_do(text: &str) -> Result<Action, String> {
    match text {
        "stop" => Ok(Action::Stop),
        "report" => Ok(Action::Report),
        _ => Err(format!("{text:?} is not known; write \"stop\" (the process) or \"report\" (say it)")),
    }
}

fn topic(text: &str) -> Result<bool, String> {
    match text {
        "database" => Ok(true),
        _ => Err(format!("{text:?} is not known; the one topic that the service has is \"database\"")),
    }
}
