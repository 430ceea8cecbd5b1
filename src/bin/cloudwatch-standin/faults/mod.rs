//! Faults on purpose: which are active, and what they do to a call. Knows nothing of HTTP: the server acts.
//! Pure: the time is an argument, chance comes from seeds.
//!
//! A call is asked about at several stages (`fault::Stage`). At each the faults are asked in the script's order, and
//! the first decisive one that hits ends the asking; `latency`, `slow` and `reject` go together with others.

mod fault;
mod help;
mod piece;
mod script;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::fail::Failure;
use crate::json::Members;
use crate::put::parse;
use fault::{Fault, Kind, Operation, Pick, Stage};

pub use fault::Reject;
pub use help::HELP;
pub use script::parse as parse_script;

pub struct Faults {
    active: Vec<Active>,
    set_at: Instant,
    /// By name, over all scripts since the start.
    hits: BTreeMap<&'static str, u64>,
}

struct Active {
    fault: Fault,
    chance: fastrand::Rng,
    /// Of a quota: calls that may pass at once, and when that was so.
    tokens: f64,
    tokens_at: Duration,
    calls: u64,
    hits: u64,
}

/// A call as it is known at a stage.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub operation: Option<&'static str>,
    /// Of the body as it arrived.
    pub wire_bytes: usize,
    /// Decompressed; empty as long as it has not arrived.
    pub body: &'a [u8],
}

/// What the faults that hit come to.
#[derive(Debug, Default, PartialEq)]
pub struct Effects {
    /// Hold the answer back.
    pub delay: Duration,
    /// Read the request so fast and no faster.
    pub bytes_per_s: Option<u64>,
    pub reject: Reject,
    pub end: Option<End>,
}

/// Instead of the right answer.
#[derive(Debug, PartialEq)]
pub enum End {
    Refuse(Failure),
    /// A proxy's page, or nothing.
    Proxy {
        status: u16,
        html: bool,
    },
    BadJson,
    NoBody,
    /// Closed without a word.
    Close,
    /// The connection is reset: in the request's body, or in the answer's once something was stored.
    Reset,
    /// Nothing, as long as the client waits.
    Hang,
}

/// What `GET /fault` tells of one.
#[derive(Serialize)]
pub struct Told<'a> {
    fault: &'a str,
    /// Calls that it was asked about and that fit, inside its time.
    calls: u64,
    hits: u64,
    /// No more hits are to come.
    over: bool,
}

impl Faults {
    pub fn new(script: Vec<Fault>, now: Instant) -> Faults {
        let mut faults = Faults { active: Vec::new(), set_at: now, hits: BTreeMap::new() };
        faults.set(script, now);
        faults
    }

    /// Whether a server with or without TLS can do all of it.
    pub fn servable(script: &[Fault], tls: bool) -> Result<(), String> {
        match script.iter().find(|fault| fault.kind == Kind::TlsHang) {
            Some(fault) if !tls => Err(format!("fault `{}`: there are no handshakes without --tls", fault.text)),
            _ => Ok(()),
        }
    }

    /// Replaces all; times count from now.
    pub fn set(&mut self, script: Vec<Fault>, now: Instant) {
        self.set_at = now;
        self.active = script.into_iter().map(Active::new).collect();
    }

    pub fn hits(&self) -> &BTreeMap<&'static str, u64> {
        &self.hits
    }

    pub fn told<'a>(&'a self, now: Instant) -> Vec<Told<'a>> {
        let elapsed = now - self.set_at;
        let told = |active: &'a Active| Told {
            fault: &active.fault.text,
            calls: active.calls,
            hits: active.hits,
            over: active.over(elapsed),
        };
        self.active.iter().map(told).collect()
    }

    /// Of a TLS connection that was accepted: whether its handshake is never answered.
    pub fn hangs_handshake(&mut self, now: Instant) -> bool {
        let nothing = Seen { operation: None, wire_bytes: 0, body: &[] };
        let mut effects = Effects::default();
        self.ask(Stage::Connection, &nothing, now, &mut effects);
        effects.end.is_some()
    }

    pub fn at_arrival(&mut self, operation: Option<&'static str>, now: Instant) -> Effects {
        let seen = Seen { operation, wire_bytes: 0, body: &[] };
        let mut effects = Effects::default();
        self.ask(Stage::Arrival, &seen, now, &mut effects);
        effects
    }

    pub fn at_call(&mut self, seen: &Seen, now: Instant, effects: &mut Effects) {
        self.ask(Stage::Call, seen, now, effects);
    }

    /// Only of calls that succeeded.
    pub fn at_answer(&mut self, seen: &Seen, now: Instant, effects: &mut Effects) {
        self.ask(Stage::Answer, seen, now, effects);
    }

    fn ask(&mut self, stage: Stage, seen: &Seen, now: Instant, effects: &mut Effects) {
        let elapsed = now - self.set_at;
        let mut stream = None;
        for active in self.active.iter_mut().filter(|active| active.fault.stage() == stage) {
            if effects.end.is_some() {
                return;
            }
            if let Some(wanted) = &active.fault.stream
                && stream.get_or_insert_with(|| stream_of(seen)).as_ref() != Some(wanted)
            {
                continue;
            }
            if active.fits(seen, elapsed) && active.picks(elapsed) {
                active.hits += 1;
                *self.hits.entry(active.fault.name).or_default() += 1;
                active.fault.act(effects);
            }
        }
    }
}

impl Active {
    fn new(fault: Fault) -> Active {
        let seed = match fault.when.pick {
            Pick::Rate { seed, .. } => seed,
            Pick::All | Pick::Every(_) => 0,
        };
        let tokens = if let Kind::Quota { burst, .. } = fault.kind { burst } else { 0.0 };
        let chance = fastrand::Rng::with_seed(seed);
        Active { fault, chance, tokens, tokens_at: Duration::ZERO, calls: 0, hits: 0 }
    }

    fn over(&self, elapsed: Duration) -> bool {
        let when = self.fault.when;
        when.until.is_some_and(|until| elapsed >= until) || when.calls_max.is_some_and(|max| self.hits >= max)
    }

    fn fits(&self, seen: &Seen, elapsed: Duration) -> bool {
        if elapsed < self.fault.when.from || self.over(elapsed) {
            return false;
        }
        let operation_fits = match self.fault.operation {
            Operation::Any => true,
            Operation::Named(name) => seen.operation == Some(name),
        };
        operation_fits
            && match &self.fault.kind {
                Kind::Invalid { text } => has_message_with(seen.body, text),
                Kind::TooLarge { bytes_max } => seen.wire_bytes as u64 > *bytes_max,
                _ => true,
            }
    }

    /// Of the calls that fit.
    fn picks(&mut self, elapsed: Duration) -> bool {
        self.calls += 1;
        if let Kind::Quota { calls_per_s, burst } = self.fault.kind {
            let since = elapsed.saturating_sub(self.tokens_at).as_secs_f64();
            self.tokens = (self.tokens + since * calls_per_s).min(burst);
            self.tokens_at = elapsed;
            let passes = self.tokens >= 1.0;
            if passes {
                self.tokens -= 1.0;
            }
            return !passes;
        }
        match self.fault.when.pick {
            Pick::All => true,
            Pick::Rate { rate, .. } => self.chance.f64() < rate,
            Pick::Every(n) => self.calls.is_multiple_of(n),
        }
    }
}

impl Fault {
    fn act(&self, effects: &mut Effects) {
        let end = match &self.kind {
            Kind::Latency(delay) => {
                effects.delay = effects.delay.saturating_add(*delay);
                return;
            }
            Kind::Slow { bytes_per_s } => {
                let slowest = effects.bytes_per_s.map_or(*bytes_per_s, |other| other.min(*bytes_per_s));
                effects.bytes_per_s = Some(slowest);
                return;
            }
            Kind::Reject(reject) => {
                effects.reject = *reject;
                return;
            }
            Kind::Refuse { status, kind, message } => End::Refuse(Failure::new(*status, kind, *message)),
            Kind::Quota { .. } => End::Refuse(Failure::new(400, "ThrottlingException", "Rate exceeded")),
            Kind::Invalid { text } => {
                let message = format!("A fault of this stand-in's refuses messages that hold '{text}'.");
                End::Refuse(Failure::invalid_parameter(message))
            }
            Kind::TooLarge { bytes_max } => {
                let message = format!("A fault of this stand-in's refuses bodies of more than {bytes_max} bytes.");
                End::Refuse(Failure::new(413, "RequestEntityTooLargeException", message))
            }
            Kind::Proxy { status, html } => End::Proxy { status: *status, html: *html },
            Kind::BadJson => End::BadJson,
            Kind::NoBody => End::NoBody,
            Kind::Lost => End::Close,
            Kind::Reset => End::Reset,
            Kind::Hang | Kind::TlsHang => End::Hang,
        };
        effects.end = Some(end);
    }
}

/// `None` when the call is about no single stream, or its body is none.
fn stream_of(seen: &Seen) -> Option<String> {
    match seen.operation? {
        "PutLogEvents" => Some(parse::parse(seen.body, Vec::new()).ok()?.stream.into_owned()),
        _ => Some(Members::parse(seen.body).ok()?.text("logStreamName").ok()??.to_owned()),
    }
}

fn has_message_with(body: &[u8], text: &str) -> bool {
    let Ok(put) = parse::parse(body, Vec::new()) else {
        return false;
    };
    let mut message = String::new();
    put.events.iter().any(|event| {
        message.clear();
        put.append_message(event, &mut message);
        memchr::memmem::find(message.as_bytes(), text.as_bytes()).is_some()
    })
}

#[cfg(test)]
mod tests;
