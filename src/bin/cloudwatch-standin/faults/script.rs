//! The script's grammar: `throttle:rate=0.5; hang:calls=3`. Text in, faults out; knows nothing of what they cause.

use std::str::FromStr;
use std::time::Duration;

use super::fault::{Fault, Kind, Operation, Pick, Reject, Stage, When};
use super::piece::{Piece, Wrong};
use crate::operations;
use crate::options::parse_size;

const NAMES: [&str; 22] = [
    "throttle",
    "quota",
    "200",
    "500",
    "502",
    "503",
    "413",
    "invalid",
    "missing",
    "expired",
    "denied",
    "unrecognized",
    "skewed",
    "reset",
    "hang",
    "slow",
    "tls-hang",
    "lost",
    "bad-json",
    "no-body",
    "latency",
    "reject",
];
const CAN_BE_STORED: [&str; 5] = ["500", "502", "503", "hang", "reset"];

pub fn parse(script: &str) -> Result<Vec<Fault>, Wrong> {
    let mut faults = Vec::new();
    for (number, line) in script.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let whole = Piece { text: line, line: number + 1, column: 1 };
        for piece in whole.split(';')? {
            if !piece.text.is_empty() {
                faults.push(fault(piece)?);
            }
        }
    }
    Ok(faults)
}

fn fault(piece: Piece) -> Result<Fault, Wrong> {
    let (name_end, options_start) = match piece.text.find(':') {
        Some(colon) => (colon, Some(colon + 1)),
        None => (piece.text.len(), None),
    };
    let name_piece = piece.part(0, name_end);
    let Some(name) = NAMES.into_iter().find(|name| *name == name_piece.text) else {
        return Err(name_piece.wrong(format!("no such fault; there are {}", NAMES.join(", "))));
    };
    let rest = options_start.map(|start| piece.part(start, piece.text.len()));
    let mut options = Options::read(name, piece, rest)?;
    let kind = kind(name, &mut options)?;
    let stored = options.flag("stored")?;
    let operation = match kind {
        // Of a connection nobody knows what will be asked over it; `op=` is then no option.
        Kind::TlsHang => Operation::Any,
        _ => operation(&mut options)?,
    };
    let stream = options.take("stream");
    let when = when(&mut options, &kind)?;
    options.nothing_left()?;
    let fault = Fault { text: piece.text.to_owned(), name, kind, stored, operation, stream: stream.map(owned), when };
    if let (Some(stream), Stage::Arrival | Stage::Connection) = (stream, fault.stage()) {
        return Err(stream.wrong(format!("{name} acts before the body tells the stream; leave stream= out")));
    }
    if fault.operation != Operation::Named("PutLogEvents")
        && matches!(fault.kind, Kind::Invalid { .. } | Kind::Reject(_))
    {
        return Err(piece.wrong(format!("{name} is about events, which PutLogEvents alone has; leave op= out")));
    }
    Ok(fault)
}

fn owned(piece: Piece) -> String {
    piece.unquoted().to_owned()
}

/// What the fault does, with the options of its own.
fn kind(name: &str, options: &mut Options) -> Result<Kind, Wrong> {
    let refuse = |status, kind, message| Ok(Kind::Refuse { status, kind, message });
    match name {
        "throttle" => refuse(400, "ThrottlingException", "Rate exceeded"),
        "500" => refuse(500, "InternalFailure", "The request processing has failed because of an unknown error."),
        "503" => refuse(503, "ServiceUnavailableException", "The service cannot complete the request."),
        "expired" => refuse(400, "ExpiredTokenException", "The security token included in the request is expired"),
        "denied" => refuse(400, "AccessDeniedException", "User is not authorized to perform this operation"),
        "unrecognized" => {
            refuse(400, "UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        "skewed" => refuse(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        "missing" => {
            let message = match options.word(&["group"])? {
                true => "The specified log group does not exist.",
                false => "The specified log stream does not exist.",
            };
            refuse(400, "ResourceNotFoundException", message)
        }
        "200" => Ok(Kind::Proxy { status: 200, html: options.word(&["html"])? }),
        "502" => Ok(Kind::Proxy { status: 502, html: options.word(&["html"])? }),
        "413" => Ok(Kind::TooLarge { bytes_max: options.own("413:256KiB", parse_size)? }),
        "slow" => {
            let bytes_per_s = options.own("slow:10KiB", |text| at_least_one(parse_size(text)?))?;
            Ok(Kind::Slow { bytes_per_s })
        }
        "invalid" => {
            let text = options.own("invalid:BAD", |text| match text {
                "" => Err("an empty text is in every message".to_owned()),
                text => Ok(text.to_owned()),
            })?;
            Ok(Kind::Invalid { text })
        }
        "latency" => Ok(Kind::Latency(options.own("latency:25ms", duration)?)),
        "quota" => {
            let calls_per_s = options.own("quota:5000", |text| at_least_one(number(text)?))? as f64;
            let burst = options.parsed("burst", |text| at_least_one(number(text)?))?;
            Ok(Kind::Quota { calls_per_s, burst: burst.map_or(calls_per_s, |burst| burst as f64) })
        }
        "reject" => reject(options),
        "reset" => Ok(Kind::Reset),
        "hang" => Ok(Kind::Hang),
        "lost" => Ok(Kind::Lost),
        "bad-json" => Ok(Kind::BadJson),
        "no-body" => Ok(Kind::NoBody),
        "tls-hang" => Ok(Kind::TlsHang),
        other => unreachable!("{other} is in NAMES but has no kind"),
    }
}

fn reject(options: &mut Options) -> Result<Kind, Wrong> {
    let mut events = |key| Ok(options.parsed(key, |text| at_least_one(number(text)?))?.unwrap_or(0) as usize);
    let reject = Reject { old: events("old")?, expired: events("expired")?, new: events("new")? };
    if reject == Reject::default() {
        return Err(options.fault.wrong("says not what to reject; as in reject:old=2, or expired=2, or new=2"));
    }
    Ok(Kind::Reject(reject))
}

fn operation(options: &mut Options) -> Result<Operation, Wrong> {
    let Some(value) = options.take("op") else {
        return Ok(Operation::Named("PutLogEvents"));
    };
    if value.unquoted() == "any" {
        return Ok(Operation::Any);
    }
    let named = operations::named(&format!("Logs_20140328.{}", value.unquoted()));
    let named = named.ok_or_else(|| value.wrong("no such operation here; as in op=CreateLogStream, or op=any"))?;
    Ok(Operation::Named(named))
}

fn when(options: &mut Options, kind: &Kind) -> Result<When, Wrong> {
    let rate_piece = options.peek("rate").or(options.peek("every"));
    if let (Kind::Quota { .. }, Some(piece)) = (kind, rate_piece) {
        return Err(piece.wrong("a quota itself says which calls it throttles; leave rate= and every= out"));
    }
    let rate = options.parsed("rate", |text| match text.parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err("a probability is from 0 to 1, as in rate=0.5".to_owned()),
    })?;
    let seed_piece = options.peek("seed");
    let seed = options.parsed("seed", number)?;
    let every_piece = options.peek("every");
    let every = options.parsed("every", |text| at_least_one(number(text)?))?;
    let pick = match (rate, every, every_piece) {
        (Some(_), Some(_), Some(piece)) => {
            return Err(piece.wrong("rate= and every= both say which calls; give one of them"));
        }
        (Some(rate), ..) => Pick::Rate { rate, seed: seed.unwrap_or(1) },
        (None, Some(n), _) => Pick::Every(n),
        (None, ..) => Pick::All,
    };
    if let (None, Some(piece)) = (rate, seed_piece) {
        return Err(piece.wrong("a seed is of rate=, which is not given"));
    }
    let calls_max = options.parsed("calls", |text| at_least_one(number(text)?))?;
    let from = options.parsed("from", duration)?.unwrap_or_default();
    let lasts = options.parsed("for", duration)?;
    Ok(When { pick, calls_max, from, until: lasts.map(|lasts| from.saturating_add(lasts)) })
}

fn number(text: &str) -> Result<u64, String> {
    u64::from_str(text).map_err(|_| "not a whole number".to_owned())
}

fn at_least_one(number: u64) -> Result<u64, String> {
    if number == 0 { Err("must be at least 1".to_owned()) } else { Ok(number) }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; a time is as in 25ms or 2s"))
}

/// The options of one fault; whoever knows one takes it out.
struct Options<'a> {
    name: &'static str,
    fault: Piece<'a>,
    /// Key, the empty one for a value alone; the option; its value.
    left: Vec<(&'a str, Piece<'a>, Piece<'a>)>,
}

impl<'a> Options<'a> {
    fn read(name: &'static str, fault: Piece<'a>, rest: Option<Piece<'a>>) -> Result<Options<'a>, Wrong> {
        let mut options = Options { name, fault, left: Vec::new() };
        let Some(rest) = rest else {
            return Ok(options);
        };
        for option in rest.split(',')? {
            let quoted = option.text.starts_with('"');
            let (key, value) = match option.text.find('=') {
                Some(at) if !quoted => (option.part(0, at).text, option.part(at + 1, option.text.len())),
                _ if option.text == "stored" => ("stored", option),
                _ => ("", option),
            };
            if value.text.is_empty() {
                return Err(option.wrong(format!("an option without a value, of {name}; as in calls=3")));
            }
            if options.peek(key).is_some() {
                return Err(option.wrong(format!("given twice, of {name}")));
            }
            options.left.push((key, option, value));
        }
        Ok(options)
    }

    fn peek(&self, key: &str) -> Option<Piece<'a>> {
        self.left.iter().find(|(known, ..)| *known == key).map(|(_, option, _)| *option)
    }

    /// Its value.
    fn take(&mut self, key: &str) -> Option<Piece<'a>> {
        let at = self.left.iter().position(|(known, ..)| *known == key)?;
        Some(self.left.remove(at).2)
    }

    fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Wrong> {
        let option = self.peek(key);
        let (Some(option), Some(value)) = (option, self.take(key)) else {
            return Ok(None);
        };
        parse(value.unquoted()).map(Some).map_err(|why| option.wrong(why))
    }

    /// The value that the fault cannot do without: first behind its name.
    fn own<T>(&mut self, example: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
        let key = if self.name == "invalid" && self.peek("").is_none() { "text" } else { "" };
        let parsed = self.parsed(key, |text| parse(text).map_err(|why| format!("{why}; as in {example}")))?;
        parsed.ok_or_else(|| self.fault.wrong(format!("needs a value, as in {example}")))
    }

    /// Whether one of these stands alone.
    fn word(&mut self, words: &[&str]) -> Result<bool, Wrong> {
        let example = format!("{}:{}", self.name, words[0]);
        let found = self.parsed("", |text| match words.contains(&text) {
            true => Ok(()),
            false => Err(format!("unknown; as in {example}")),
        })?;
        Ok(found.is_some())
    }

    fn flag(&mut self, key: &str) -> Result<bool, Wrong> {
        let Some(option) = self.take(key) else {
            return Ok(false);
        };
        if option.text != key || !CAN_BE_STORED.contains(&self.name) {
            return Err(option.wrong(format!("stands alone, and only with {}", CAN_BE_STORED.join(", "))));
        }
        Ok(true)
    }

    fn nothing_left(&self) -> Result<(), Wrong> {
        let Some((_, option, _)) = self.left.first() else {
            return Ok(());
        };
        let known = "op=, stream=, rate= with seed=, every=, calls=, from=, for=";
        Err(option.wrong(format!("{} has no such option; beside its own there are {known}", self.name)))
    }
}

#[cfg(test)]
mod tests;
