//! CloudWatch Logs as its documentation has it, and with its bad days. Its limits are its own: nothing of logpump's.

use std::time::Duration;

use fastrand::Rng;
use logpump::ledger::End;
use logpump::ship::answer::{Answer, Rejected};

use crate::body::{Body, Request};
use crate::faults::Fault;
use crate::plan::{Phase, Plan};
use crate::truth::Truth;

const CALL_BYTES_MAX: usize = 1_048_576;
const EVENT_CHARGE_BYTES: usize = 26;
const CALL_EVENTS_MAX: usize = 10_000;
const HOUR_MS: i64 = 60 * 60 * 1000;
const SPAN_MS_MAX: i64 = 24 * HOUR_MS;
const AHEAD_MS_MAX: i64 = 2 * HOUR_MS;
const AGE_MS_MAX: i64 = 14 * 24 * HOUR_MS;

/// None if the service would take it, else what it would complain of.
pub fn complaint(request: &Request<'_>) -> Option<String> {
    let events = &request.events;
    let charged: usize = events.iter().map(|event| event.message.len() + EVENT_CHARGE_BYTES).sum();
    if events.is_empty() || events.len() > CALL_EVENTS_MAX {
        return Some(format!("a call of {} events", events.len()));
    }
    if charged > CALL_BYTES_MAX {
        return Some(format!("a call of {charged} bytes"));
    }
    if events.iter().any(|event| event.message.is_empty()) {
        return Some("an empty message".into());
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Some("events that are not in chronological order".into());
    }
    let span = events[events.len() - 1].timestamp - events[0].timestamp;
    (span >= SPAN_MS_MAX).then(|| format!("events of {span} ms"))
}

/// What becomes of a call.
pub struct Fate {
    pub answer: Answer,
    /// How long the answer takes from the request's arrival.
    pub after: Duration,
    pub faults: Vec<Fault>,
}

pub struct Service {
    group_exists: bool,
    create_group: bool,
    streams: Vec<bool>,
    /// Of each run.
    children: usize,
    /// Those that last.
    bad: Vec<Phase>,
    latency: Duration,
    retention_ms: Option<i64>,
    random: Rng,
    stored: u64,
}

impl Service {
    pub fn new(plan: &Plan) -> Service {
        Service {
            group_exists: true,
            create_group: plan.create_group,
            streams: Vec::new(),
            children: plan.streams.len(),
            bad: Vec::new(),
            latency: plan.latency,
            retention_ms: plan.retention_ms,
            random: Rng::with_seed(plan.seed ^ 0x05E4_71CE),
            stored: 0,
        }
    }

    pub fn begin(&mut self, phase: Phase) {
        match phase.fault {
            Fault::GroupMissing => {
                self.group_exists = false;
                self.streams.fill(false);
            }
            Fault::StreamDeleted => {
                for exists in &mut self.streams {
                    *exists &= self.random.f64() > phase.share;
                }
            }
            _ => self.bad.push(phase),
        }
    }

    pub fn end(&mut self, phase: Phase) {
        if phase.fault == Fault::GroupMissing {
            // Somebody created it.
            self.group_exists = true;
        }
        if let Some(place) = self.bad.iter().position(|bad| bad.from == phase.from && bad.fault == phase.fault) {
            self.bad.swap_remove(place);
        }
    }

    pub fn calm(&mut self) {
        self.bad.clear();
        self.group_exists = true;
    }

    /// How long a request takes to arrive.
    pub fn way(&mut self) -> Duration {
        self.latency.mul_f64(0.1 + self.random.f64())
    }

    fn struck(&mut self, log: Option<usize>) -> Option<Fault> {
        let (random, streams) = (&mut self.random, self.children);
        let is_meant =
            |bad: &&Phase| bad.only.is_none_or(|only| log.is_some_and(|log| log % streams == only % streams));
        self.bad.iter().filter(is_meant).find(|bad| random.f64() < bad.share).map(|bad| bad.fault)
    }

    pub fn put(&mut self, body: &Body, truth: &mut Truth, true_ms: i64) -> Fate {
        let after = self.way();
        let fault = self.struck(Some(body.log));
        let fate = |answer, after| Fate { answer, after, faults: fault.into_iter().collect() };
        match fault {
            Some(Fault::AnswerLost) => {
                let mut fate = self.take(body, truth, true_ms);
                // What it would not have stored it need not have answered.
                fate.answer = lost();
                fate.after = self.patience();
                fate.faults.push(Fault::AnswerLost);
                return fate;
            }
            Some(Fault::RequestLost) => return fate(lost(), self.patience()),
            Some(Fault::Slow) => {
                let mut fate = self.take(body, truth, true_ms);
                fate.after = Duration::from_secs(20).mul_f64(self.random.f64());
                fate.faults.push(Fault::Slow);
                return fate;
            }
            _ => {}
        }
        match fault.and_then(refusal) {
            Some(answer) => fate(answer, after),
            None => Fate { after, ..self.take(body, truth, true_ms) },
        }
    }

    /// A request that is looked at.
    fn take(&mut self, body: &Body, truth: &mut Truth, true_ms: i64) -> Fate {
        let fate = |answer, faults: &[Fault]| Fate { answer, after: Duration::ZERO, faults: faults.to_vec() };
        if !self.streams.get(body.log).is_some_and(|exists| *exists) {
            let fault = if self.group_exists { Fault::StreamDeleted } else { Fault::GroupMissing };
            return fate(Answer::NotFound("it does not exist".into()), &[fault]);
        }
        if body.events().any(|event| truth.events[event as usize].poisoned) {
            return fate(Answer::Invalid("HTTP 400 InvalidParameterException".into()), &[Fault::Poisoned]);
        }
        let before = |ms: i64| body.timestamps.partition_point(|at| *at < ms);
        let some_end = |end: usize| (end > 0).then_some(end);
        let too_old_end = some_end(before(true_ms - AGE_MS_MAX));
        let expired_end = self.retention_ms.and_then(|age| some_end(before(true_ms - age)));
        let too_new = before(true_ms + AHEAD_MS_MAX + 1);
        let too_new_start = (too_new < body.items.len()).then_some(too_new);
        for (index, item) in body.items.iter().enumerate() {
            self.stored += 1;
            let stored = end_of(index, too_old_end, expired_end, too_new_start) == End::Delivered;
            for event in item.events().filter(|_| stored).into_iter().flatten() {
                let event = &mut truth.events[event as usize];
                if event.stored == 0 {
                    event.first_stored = self.stored;
                }
                event.stored += 1;
            }
        }
        let ends = [
            (too_old_end.is_some(), Fault::TooOld),
            (expired_end.is_some(), Fault::Expired),
            (too_new_start.is_some(), Fault::TooNew),
        ];
        let faults: Vec<_> = ends.into_iter().filter(|(is, _)| *is).map(|(_, fault)| fault).collect();
        fate(Answer::Accepted(Rejected { too_old_end, expired_end, too_new_start }), &faults)
    }

    pub fn create_stream(&mut self, stream: usize) -> Fate {
        let after = self.way();
        let fault = self.struck(Some(stream));
        let answer = match fault {
            Some(Fault::AnswerLost) => {
                self.created(stream);
                lost()
            }
            Some(Fault::RequestLost) => lost(),
            Some(Fault::Slow) | None => self.created(stream),
            Some(fault) => refusal(fault).unwrap_or_else(|| self.created(stream)),
        };
        Fate { answer, after, faults: fault.into_iter().collect() }
    }

    fn created(&mut self, stream: usize) -> Answer {
        if !self.group_exists {
            return Answer::NotFound("The specified log group does not exist.".into());
        }
        if stream >= self.streams.len() {
            self.streams.resize(stream + 1, false);
        }
        self.streams[stream] = true;
        accepted()
    }

    pub fn create_group(&mut self) -> Fate {
        assert!(self.create_group, "logpump creates a group that it was not told to create");
        let after = self.way();
        let fault = self.struck(None);
        let answer = match fault {
            Some(Fault::RequestLost) => lost(),
            Some(Fault::AnswerLost) => {
                self.group_exists = true;
                lost()
            }
            Some(fault) if refusal(fault).is_some() => refusal(fault).expect("just seen"),
            _ => {
                self.group_exists = true;
                accepted()
            }
        };
        Fate { answer, after, faults: fault.into_iter().collect() }
    }

    /// Until the caller takes the silence for an answer.
    fn patience(&mut self) -> Duration {
        Duration::from_secs(30).mul_f64(self.random.f64())
    }
}

/// What logpump has to make of the indices.
pub fn end_of(event: usize, too_old: Option<usize>, expired: Option<usize>, too_new: Option<usize>) -> End {
    match event {
        _ if too_old.is_some_and(|end| event < end) => End::TooOld,
        _ if expired.is_some_and(|end| event < end) => End::Expired,
        _ if too_new.is_some_and(|start| event >= start) => End::TooNew,
        _ => End::Delivered,
    }
}

fn refusal(fault: Fault) -> Option<Answer> {
    match fault {
        Fault::Throttled => Some(Answer::Throttled),
        Fault::Away => Some(Answer::Unavailable { detail: "connection refused".into(), lost: false }),
        Fault::Failed => Some(Answer::Unavailable { detail: "HTTP 503".into(), lost: false }),
        Fault::Denied => Some(Answer::Denied("AccessDeniedException".into())),
        Fault::WrongName => Some(Answer::Invalid("HTTP 400 InvalidParameterException".into())),
        _ => None,
    }
}

fn lost() -> Answer {
    Answer::Unavailable { detail: "no answer".into(), lost: true }
}

pub fn accepted() -> Answer {
    Answer::Accepted(Rejected::default())
}
