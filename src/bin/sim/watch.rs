//! What must hold of every call, from the moment that its body is finished to its answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use logpump::ledger::{Count, End};
use logpump::ship::answer::Answer;
use logpump::spool::entry::Entry;

use crate::body::{Body, Item};
use crate::on_disk::OnDisk;
use crate::service;
use crate::truth::Truth;

/// What the service refuses for its age.
const AGE_MS_MAX: i64 = 14 * 24 * 60 * 60 * 1000;

/// One log stream, over all runs.
pub struct Log {
    pub name: String,
    pub truth: Truth,
    /// By the run that made them, and in the order in which it did.
    pub bodies: BTreeMap<(u32, u64), Rc<Body>>,
    /// The runs of which some body came in parts, and those in which some was called invalid.
    pub parted: HashSet<u32>,
    pub invalid_in: HashSet<u32>,
    /// Sent in this run of logpump, and without an acknowledgement.
    unsettled: Vec<Rc<Body>>,
    /// The youngest body of this run that was taken.
    taken: Option<(u64, Option<u32>)>,
}

/// What was seen of some calls in this run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    pub calls: u64,
    pub retries: u64,
    pub duplicates: u64,
    /// Markers that were sent as a part of a body: of these nobody knows how often they were sent before.
    pub uncertain: u64,
}

impl Log {
    /// Of a run's bodies: lines that are in an event of another.
    pub fn joined_lines(&self, run: u32) -> u64 {
        let bodies = self.bodies.range((run, 0)..=(run, u64::MAX)).flat_map(|(_, body)| &body.items);
        bodies.filter_map(Item::events).map(|events| self.truth.lines_of(events) - 1).sum()
    }
}

#[derive(Default)]
pub struct Watch {
    group: String,
    pub logs: Vec<Log>,
    pub run: u32,
    /// This run's own calls, by log stream.
    pub own: Vec<Seen>,
    pub adopted: Seen,
    /// How lines of adopted bodies ended in this run.
    pub adopted_ends: [Count; End::ALL.len()],
    /// Lines, or events, of adopted bodies that the service refuses and was asked for alone in this run. One that lies there
    /// twice counts so.
    pub adopted_poisoned: u64,
    /// The wall clock was stepped back some time.
    pub clock_went_back: bool,
    pub power_lost: bool,
    /// Somebody removed files of the spool.
    pub files_removed: bool,
    /// One call at a time: bodies arrive in their order.
    pub is_strict: bool,
    /// Power was lost, and the spool did not sync before it said that it has something.
    pub may_lose_spooled: bool,
    /// What it was told, in this run, that the spool cannot read any more: of its own, and of what was adopted.
    pub set_aside: [Count; 2],
    /// Of this, what may have had an end as a bad event.
    pub unsure: [Count; 2],
    /// The disk fails to read so long that this may be any.
    pub may_give_reads_up: bool,
    pub on_disk: OnDisk,
    bodies: HashMap<u64, Rc<Body>>,
    /// Bodies that this run sent.
    sent: HashMap<u64, Sent>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// An answer never came.
    lost: bool,
}

impl Watch {
    pub fn new(group: String) -> Watch {
        Watch { group, ..Watch::default() }
    }

    /// The log stream of this name.
    pub fn log(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.logs.push(Log {
                name: name.to_owned(),
                truth: Truth::default(),
                bodies: BTreeMap::new(),
                parted: HashSet::new(),
                invalid_in: HashSet::new(),
                unsettled: Vec::new(),
                taken: None,
            });
            self.own.push(Seen::default());
            self.logs.len() - 1
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.logs.iter().position(|log| log.name == name)
    }

    /// A new run of logpump begins. What of the last one flies may still arrive.
    pub fn begin_run(&mut self, run: u32) {
        self.run = run;
        for log in &mut self.logs {
            log.unsettled.clear();
            log.taken = None;
            for event in &mut log.truth.events {
                event.may_double += u32::from(std::mem::take(&mut event.flying));
                event.maybe_stored = false;
            }
        }
        self.sent.clear();
        self.own.fill(Seen::default());
        self.adopted = Seen::default();
        self.adopted_ends = Default::default();
        self.adopted_poisoned = 0;
        self.set_aside = Default::default();
        self.unsure = Default::default();
    }

    /// Any body that leaves the pump, to be sent or stored.
    pub fn known(&mut self, entry: &Entry) -> Result<Rc<Body>, String> {
        let name = &entry.address.stream;
        let log = self.find(name).ok_or_else(|| format!("a body for {name}, which does not exist"))?;
        let hash = crate::text::hash(&entry.payload);
        if let Some(body) = self.bodies.get(&hash) {
            let same = (body.log, body.sequence, body.items.len()) == (log, entry.sequence, entry.raw_lengths.len());
            if !same {
                return Err(format!(
                    "body {} of run {} and log stream {} comes as {} of log stream {log}",
                    body.sequence, body.run, body.log, entry.sequence
                ));
            }
            return Ok(body.clone());
        }
        let truth = &self.logs[log].truth;
        let mut body = Body::read(entry, &self.group, log, self.run, truth)?;
        let first = body.events().next();
        body.run = match first {
            Some(event) => truth.run_of(&truth.events[event as usize]),
            // Markers alone: as a part, their run's is the body that has them.
            None => {
                let marker = (&body.items[0], &body.timestamps[0]);
                let has = |whole: &Body| whole.items.iter().zip(&whole.timestamps).any(|item| item == marker);
                let mut wholes = self.logs[log].bodies.iter().filter(|((_, sequence), _)| *sequence == body.sequence);
                wholes.find(|(_, whole)| has(whole)).map_or(self.run, |((run, _), _)| *run)
            }
        };
        let truth = &mut self.logs[log].truth;
        body.items.iter().filter_map(Item::events).for_each(|events| truth.joined(events));
        let is_new = self.is_new(&body)?;
        if is_new && body.run < self.run {
            return Err(format!("an adopted body for {name} that nobody made"));
        }
        let body = Rc::new(body);
        if is_new {
            self.logs[log].bodies.insert((body.run, body.sequence), body.clone());
        }
        self.bodies.insert(hash, body.clone());
        Ok(body)
    }

    /// False: it is a part of a body that is known.
    fn is_new(&mut self, body: &Body) -> Result<bool, String> {
        let log = &mut self.logs[body.log];
        let Some(other) = log.bodies.get(&(body.run, body.sequence)) else { return Ok(true) };
        if !log.invalid_in.contains(&self.run) {
            return Err(format!("two bodies of {} have the number {}, and none was refused", log.name, body.sequence));
        }
        log.parted.insert(body.run);
        let whole: Vec<_> = other.items.iter().zip(&other.timestamps).collect();
        let part: Vec<_> = body.items.iter().zip(&body.timestamps).collect();
        // Of one that was never sent as a whole, the first part counts as the whole.
        let disjoint = part.iter().all(|item| !whole.contains(item));
        if !disjoint && !whole.windows(part.len()).any(|window| window == part) {
            return Err(format!("body {} of {} comes again, and different", body.sequence, log.name));
        }
        Ok(false)
    }

    /// A call is made.
    pub fn sent(&mut self, entry: &Entry, own: bool) -> Result<Rc<Body>, String> {
        let body = self.known(entry)?;
        if own != (body.run == self.run) {
            return Err(format!("body {} of run {} is sent as another run's", body.sequence, body.run));
        }
        let log = &mut self.logs[body.log];
        let refused = log.invalid_in.contains(&self.run);
        let place = (body.sequence, body.events().next());
        if let (true, Some(taken)) = (self.is_strict && own && !refused, log.taken.filter(|taken| place < *taken)) {
            return Err(format!("{place:?} of {} is sent after {taken:?} was taken, one call at a time", log.name));
        }
        let (mut resent, mut doubled) = (false, false);
        let seen = if own { &mut self.own[body.log] } else { &mut self.adopted };
        for index in body.events() {
            let event = &mut log.truth.events[index as usize];
            let what = || format!("event {index} of log stream {}", body.log);
            // What was delivered may lie on disk, and not be noted there as done. A body's parts are noted together: at the end
            // those that are left are stored, and only then is the whole done with.
            let in_parts = log.parted.contains(&body.run) && body.run < self.run;
            let again = body.run < self.run && (in_parts || event.comes_again);
            if event.flying && !again {
                return Err(format!("{} is sent while it flies", what()));
            }
            event.may_double += u32::from(event.flying);
            match event.end {
                Some(_) if again => {
                    event.may_double += 1;
                    event.end = None;
                }
                Some(end) => return Err(format!("{} is sent after its end {end:?}", what())),
                None => {}
            }
            seen.uncertain += u64::from(again);
            let before = event.sent_in.replace(self.run) == Some(self.run);
            if before && event.body != body.hash && !refused && !again {
                return Err(format!("{} is sent in another body than before", what()));
            }
            resent |= before;
            doubled |= event.maybe_stored;
            (event.body, event.flying) = (body.hash, true);
        }
        for (item, timestamp_ms) in body.items.iter().zip(&body.timestamps) {
            for event in item.events().into_iter().flatten() {
                log.truth.events[event as usize].timestamp_ms = *timestamp_ms;
            }
        }
        seen.calls += 1;
        let before = self.sent.get(&body.hash).copied();
        self.sent.insert(body.hash, before.unwrap_or_default());
        if body.events().next().is_none() {
            let whole = log.bodies.get(&(body.run, body.sequence)).is_none_or(|whole| whole.hash == body.hash);
            seen.uncertain += if whole { 0 } else { body.items.len() as u64 };
            (resent, doubled) = (before.is_some(), before.is_some_and(|before| before.lost));
        }
        seen.retries += u64::from(resent);
        seen.duplicates += if doubled { body.items.len() as u64 } else { 0 };
        for other in log.unsettled.iter().filter(|other| other.hash != body.hash) {
            if body.first_ms() > other.last_ms() || other.first_ms() > body.last_ms() {
                continue;
            }
            let (older, younger) = if other.place() < body.place() { (&**other, &*body) } else { (&*body, &**other) };
            // After a restart the younger lie among the older ones, as they do after a step back of the clock.
            let later = log.bodies.range(..=(younger.run, younger.sequence)).rev().map(|(_, body)| body);
            let mut since = later.take_while(|later| later.place() > older.place());
            // One of those may not have left yet.
            let between = (older.run, older.sequence + 1)..(younger.run, younger.sequence.max(older.sequence + 1));
            let is_unseen = (log.bodies.range(between.clone()).count() as u64) < between.end.1 - between.start.1;
            let may_step = is_unseen || since.any(|later| later.first_ms() < older.last_ms());
            let stepped_back = self.clock_went_back && may_step;
            // Of a body that was stored in parts the whole may be left as well.
            let in_parts = (older.run, older.sequence) == (younger.run, younger.sequence) && older.run < self.run;
            let went_back = older.run != younger.run || stepped_back || in_parts;
            if !went_back {
                return Err(format!(
                    "bodies {} and {} of log stream {} share a millisecond and are under way together: {}..={}, {}..={}",
                    other.sequence,
                    body.sequence,
                    body.log,
                    other.first_ms(),
                    other.last_ms(),
                    body.first_ms(),
                    body.last_ms()
                ));
            }
        }
        if !log.unsettled.iter().any(|other| other.hash == body.hash) {
            log.unsettled.push(body.clone());
        }
        Ok(body)
    }

    /// The answer is handed to logpump.
    pub fn answered(&mut self, body: &Body, answer: &Answer) {
        let log = &mut self.logs[body.log];
        let events = body.items.iter().enumerate();
        for (place, index) in
            events.flat_map(|(place, item)| item.events().into_iter().flatten().map(move |it| (place, it)))
        {
            let count = log.truth.count_of(index);
            let event = &mut log.truth.events[index as usize];
            event.flying = false;
            let is_refused = body.items.len() == 1 && matches!(answer, Answer::Invalid(_));
            event.refused_alone |= is_refused;
            if is_refused && event.poisoned && body.run < self.run {
                self.adopted_poisoned += count.lines.max(1);
            }
            match answer {
                Answer::Accepted(rejected) => {
                    let end =
                        service::end_of(place, rejected.too_old_end, rejected.expired_end, rejected.too_new_start);
                    if body.run < self.run {
                        self.adopted_ends[end as usize] += count;
                    }
                    (event.end, event.ended_in) = (Some(end), Some(self.run));
                }
                Answer::Unavailable { lost: true, .. } => {
                    event.maybe_stored = true;
                    event.may_double += 1;
                }
                _ => {}
            }
        }
        if let (true, Answer::Accepted(_)) = (body.run == self.run, answer) {
            log.taken = log.taken.max(Some((body.sequence, body.events().next())));
        }
        if let Answer::Unavailable { lost: true, .. } = answer {
            self.sent.entry(body.hash).or_default().lost = true;
        }
        if let Answer::Invalid(_) = answer {
            log.invalid_in.insert(self.run);
        }
        // What was refused goes back to its stream, as if it were not sent yet; what was called invalid may come in parts.
        if !matches!(answer, Answer::Throttled | Answer::Unavailable { .. }) {
            log.unsettled.retain(|other| other.hash != body.hash);
        }
    }

    /// The service would refuse it for its age, by our clock.
    pub fn looks_old(&self, entry: &Entry, wall_ms: i64) -> bool {
        entry.last_ms < wall_ms - AGE_MS_MAX
    }

    /// logpump calls this too old, and does not send it.
    pub fn too_old(&mut self, entry: &Entry, true_ms: i64) -> Result<(), String> {
        if entry.last_ms >= true_ms - AGE_MS_MAX {
            return Err(format!("what ends at {} is called too old, though the service would take it", entry.last_ms));
        }
        let Some(body) = self.bodies.get(&crate::text::hash(&entry.payload)) else { return Ok(()) };
        let truth = &mut self.logs[body.log].truth;
        for index in body.events() {
            if body.run < self.run {
                self.adopted_ends[End::TooOld as usize] += truth.count_of(index);
            }
            let event = &mut truth.events[index as usize];
            (event.end, event.ended_in) = (Some(End::TooOld), Some(self.run));
        }
        Ok(())
    }
}
