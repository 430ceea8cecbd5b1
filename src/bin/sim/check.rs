//! What must hold: of every call, of every answer, and of what a reader finds in the end.

use std::collections::HashMap;
use std::rc::Rc;

use logpump::ledger::{Count, End, Ledger};
use logpump::ship::answer::Answer;

use crate::service::{self, Body, Request};
use crate::truth::Truth;

/// How far timestamps may run ahead of the clock: what a run that follows a killed one may have to go back.
const AHEAD_MS_MAX: i64 = 1000;

/// What was seen of one stream's calls in this run of logpump.
#[derive(Default)]
struct Seen {
    calls: u64,
    retries: u64,
    duplicates: u64,
    /// Sent, and without an acknowledgement.
    unsettled: Vec<Rc<Body>>,
}

pub struct Watch {
    group: String,
    names: Vec<String>,
    gzip: bool,
    pub truths: Vec<Truth>,
    seen: Vec<Seen>,
    bodies: HashMap<u64, Rc<Body>>,
}

impl Watch {
    pub fn new(group: String, names: Vec<String>, gzip: bool) -> Watch {
        let truths = names.iter().map(|_| Truth::default()).collect();
        let seen = names.iter().map(|_| Seen::default()).collect();
        Watch { group, names, gzip, truths, seen, bodies: HashMap::new() }
    }

    /// A call is made.
    pub fn sent(&mut self, stream: usize, payload: &[u8]) -> Result<Rc<Body>, String> {
        let body = self.body(stream, payload)?;
        let (truth, seen) = (&mut self.truths[stream], &mut self.seen[stream]);
        let mut again = false;
        for (index, timestamp_ms) in body.events.iter().zip(&body.timestamps) {
            let event = &mut truth.events[*index as usize];
            let what = || format!("event {index} of stream {stream}");
            if event.flying {
                return Err(format!("{} is sent while it flies", what()));
            }
            if let Some(end) = event.end {
                return Err(format!("{} is sent after its end {end:?}", what()));
            }
            if event.body != 0 {
                again = true;
                if event.timestamp_ms != *timestamp_ms {
                    return Err(format!("{} was dated {} and is now {timestamp_ms}", what(), event.timestamp_ms));
                }
                if event.body != body.hash && !event.refused {
                    return Err(format!("{} is sent in another body than before", what()));
                }
            }
            (event.body, event.timestamp_ms, event.flying, event.refused) = (body.hash, *timestamp_ms, true, false);
            seen.duplicates += u64::from(event.maybe_stored);
        }
        seen.calls += 1;
        seen.retries += u64::from(again);
        for other in seen.unsettled.iter().filter(|other| other.hash != body.hash) {
            if body.first_ms() <= other.last_ms() && other.first_ms() <= body.last_ms() {
                return Err(format!(
                    "two bodies of stream {stream} share a millisecond and are under way together: {}..={} and {}..={}",
                    other.first_ms(),
                    other.last_ms(),
                    body.first_ms(),
                    body.last_ms()
                ));
            }
        }
        if !seen.unsettled.iter().any(|other| other.hash == body.hash) {
            seen.unsettled.push(body.clone());
        }
        Ok(body)
    }

    /// The answer is handed to logpump.
    pub fn answered(&mut self, body: &Body, answer: &Answer) {
        let (truth, seen) = (&mut self.truths[body.stream], &mut self.seen[body.stream]);
        let is_poisoned = body.events.iter().any(|index| truth.events[*index as usize].poisoned);
        for (place, index) in body.events.iter().enumerate() {
            let event = &mut truth.events[*index as usize];
            event.flying = false;
            match answer {
                Answer::Accepted(rejected) => {
                    let end =
                        service::end_of(place, rejected.too_old_end, rejected.expired_end, rejected.too_new_start);
                    event.end = Some(end);
                }
                Answer::Unavailable { lost: true, .. } => {
                    event.maybe_stored = true;
                    event.may_double += 1;
                }
                Answer::Invalid(_) => {
                    event.refused = true;
                    event.wronged |= !is_poisoned;
                }
                _ => {}
            }
        }
        // What was called invalid is as if it were not sent yet: it may come in parts.
        if let Answer::Accepted(_) | Answer::Invalid(_) = answer {
            seen.unsettled.retain(|other| other.hash != body.hash);
        }
    }

    /// kill -9: what flies may still arrive.
    pub fn killed(&mut self) {
        for truth in &mut self.truths {
            for event in truth.events.iter_mut() {
                event.may_double += u32::from(std::mem::take(&mut event.flying));
                event.maybe_stored = false;
            }
        }
        self.seen.iter_mut().for_each(|seen| *seen = Seen::default());
    }

    fn body(&mut self, stream: usize, payload: &[u8]) -> Result<Rc<Body>, String> {
        let hash = crate::text::hash(payload);
        if let Some(body) = self.bodies.get(&hash).filter(|body| body.stream == stream) {
            return Ok(body.clone());
        }
        let unzipped = if self.gzip { Some(service::unzipped(payload)?) } else { None };
        let json = unzipped.as_deref().unwrap_or(payload);
        let request: Request<'_> =
            serde_json::from_slice(json).map_err(|error| format!("a body that cannot be read: {error}"))?;
        if request.group != self.group || request.stream != self.names[stream] {
            return Err(format!("a body for {}/{} was sent to stream {stream}", request.group, request.stream));
        }
        if let Some(complaint) = service::complaint(&request) {
            return Err(format!("a body of stream {stream} that no service would take: {complaint}"));
        }
        let truth = &self.truths[stream];
        let find = |message: &str| {
            truth.find(message.as_bytes()).ok_or_else(|| {
                let text: String = message.chars().take(100).collect();
                format!("stream {stream} is sent a message of {} bytes that nobody wrote: {text:?}", message.len())
            })
        };
        let events = request.events.iter().map(|event| find(&event.message)).collect::<Result<Vec<_>, _>>()?;
        if let Some(pair) = events.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("in a body of stream {stream}, event {} follows event {}", pair[1], pair[0]));
        }
        let timestamps = request.events.iter().map(|event| event.timestamp).collect();
        let body = Rc::new(Body { hash, stream, events, timestamps });
        self.bodies.insert(hash, body.clone());
        Ok(body)
    }

    /// The books of a run that came to its end. `put`: what its child put into the ring.
    pub fn check_ledger(
        &self,
        stream: usize,
        run: u32,
        ledger: &Ledger,
        put: Count,
        gave_up: bool,
    ) -> Result<(), String> {
        let (truth, seen) = (&self.truths[stream], &self.seen[stream]);
        if let Some(imbalance) = ledger.imbalance() {
            return Err(format!("the books of stream {stream}: {imbalance}"));
        }
        if ledger.read != put {
            return Err(format!("stream {stream}: {put:?} were written, {:?} read", ledger.read));
        }
        if ledger.in_memory != Count::default() {
            return Err(format!("stream {stream}: {:?} in memory at the end", ledger.in_memory));
        }
        let mut expected = truth.ended(run, End::Shutdown);
        let mut booked: Vec<_> = End::ALL.iter().map(|end| (*end, ledger.ended(*end))).collect();
        if gave_up {
            // Blank lines that were still in the ring ended with it.
            for counts in [&mut expected, &mut booked] {
                let blank = std::mem::take(&mut counts[End::Blank as usize].1);
                counts[End::Shutdown as usize].1 += blank;
            }
        }
        // Which of the refused events prove bad, and which are kept to the end, is for logpump to say.
        let rejected = ledger.ended(End::Invalid);
        for counts in [&mut expected, &mut booked] {
            let invalid = std::mem::take(&mut counts[End::Invalid as usize].1);
            counts[End::Shutdown as usize].1 += invalid;
        }
        if let Some((expected, booked)) = expected.iter().zip(&booked).find(|(expected, booked)| expected != booked) {
            return Err(format!("stream {stream}: {expected:?} happened, {booked:?} is in the books"));
        }
        let left = expected[End::Shutdown as usize].1;
        if !gave_up && left != rejected {
            return Err(format!("stream {stream}: {left:?} are dropped, and nobody gave up"));
        }
        let counted = [ledger.calls, ledger.retries, ledger.duplicates];
        let expected = [seen.calls, seen.retries, seen.duplicates];
        if counted != expected {
            return Err(format!(
                "stream {stream}: [calls, retries, duplicates] were {expected:?}, counted {counted:?}"
            ));
        }
        Ok(())
    }

    /// What a reader of the stream finds. `clock_steps`: how often timestamps may go back within the runs.
    pub fn check_reader(&self, stream: usize, clock_steps: u64, clock_went_back: bool) -> Result<(), String> {
        let truth = &self.truths[stream];
        let mut steps_back = 0;
        let mut last: Option<(usize, u32)> = None;
        let mut index = 0;
        for line in &truth.lines {
            for _ in 0..line.events {
                let event = &truth.events[index];
                if event.end == Some(End::Delivered) && event.stored == 0 {
                    return Err(format!("event {index} of stream {stream} counts as delivered, and is not there"));
                }
                if event.stored > 1 + event.may_double {
                    return Err(format!("event {index} of stream {stream} is there {} times", event.stored));
                }
                if event.stored > 0 {
                    if let Some((before, run)) = last {
                        let before = &truth.events[before];
                        let ahead = before.timestamp_ms - event.timestamp_ms;
                        let is_next_run = run != line.run;
                        if ahead > 0 && !(is_next_run && (clock_went_back || ahead <= AHEAD_MS_MAX)) {
                            steps_back += 1;
                        }
                        // Between two tries a wrong name may become a right one: what was tried before comes after.
                        let is_late = before.first_stored > event.first_stored && !before.wronged;
                        if ahead == 0 && is_late && !is_next_run {
                            return Err(format!("a reader finds event {index} of stream {stream} too early"));
                        }
                    }
                    last = Some((index, line.run));
                }
                index += 1;
            }
        }
        if steps_back > clock_steps {
            return Err(format!(
                "stream {stream}: timestamps go back {steps_back} times, the clock did so {clock_steps} times"
            ));
        }
        Ok(())
    }
}
