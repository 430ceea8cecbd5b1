//! What must hold in the end: the books, what a reader finds, and that nothing is missing without a word.

use logpump::ledger::{Count, End, Kind, Ledger};

use crate::body::Item;
use crate::ends::OF_ADOPTED;
use crate::truth::{Event, Truth};
use crate::watch::{Log, Seen, Watch};

/// How far timestamps may run ahead of the clock: what a run that follows a killed one may have to go back.
const AHEAD_MS_MAX: i64 = 1000;

/// How a run of logpump came to its end, and what it was allowed to do.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// The service called something invalid.
    pub had_invalid: bool,
    pub run: u32,
    pub gave_up: bool,
    pub may_drop: bool,
    /// The disk failed to read for long.
    pub may_lose: bool,
    /// So many good lines may have been called invalid.
    pub doubtful: u64,
    /// Something was set aside.
    pub may_be_unreadable: bool,
}

/// The books of one of a run's own streams. `put`: what its child put into the ring.
pub fn check_ledger(log: &Log, ledger: &Ledger, put: Count, seen: &Seen, ending: Ending) -> Result<(), String> {
    let name = &log.name;
    check_identity(name, ledger)?;
    if ledger.read != put {
        return Err(format!("{name}: {put:?} were written, {:?} read", ledger.read));
    }
    if ledger.in_memory != Count::default() {
        return Err(format!("{name}: {:?} in memory at the end", ledger.in_memory));
    }
    let (ended, open) = log.truth.ended(ending.run);
    let lines_count = !((ending.gave_up || ending.may_be_unreadable) && log.truth.has_pieces(ending.run));
    let same = |one: Count, other: Count| one.bytes == other.bytes && (one.lines == other.lines || !lines_count);
    let mut booked_open = ledger.spooled;
    for end in End::ALL {
        let (happened, booked) = (ended[end as usize], ledger.ended(end));
        match end.kind() {
            // Which of those that were called invalid are bad is for logpump to say.
            Kind::Rejected if end == End::Invalid => booked_open += booked,
            Kind::Delivered | Kind::Rejected if !same(happened, booked) => {
                return Err(format!("{name}: {happened:?} ended {end:?}, {booked:?} is in the books"));
            }
            Kind::Delivered | Kind::Rejected => {}
            Kind::Filtered | Kind::Dropped => booked_open += booked,
        }
        let allowed = match end {
            End::SpoolFull | End::DiskSlow | End::NoSpool | End::CpuShort => ending.may_drop,
            End::Shutdown => ending.gave_up,
            End::Unreadable => ending.may_be_unreadable,
            End::Invalid => ending.had_invalid,
            End::NoSink | End::Internal => false,
            _ => true,
        };
        if !allowed && booked != Count::default() {
            return Err(format!("{name}: {booked:?} ended {end:?}"));
        }
    }
    if !same(open, booked_open) {
        return Err(format!("{name}: {open:?} were never delivered, {booked_open:?} is in the books"));
    }
    let (blank, booked_blank) = (log.truth.blank(ending.run), ledger.ended(End::Blank));
    if booked_blank != blank && !ending.may_drop && !ending.gave_up {
        return Err(format!("{name}: {blank:?} are blank, {booked_blank:?} in the books"));
    }
    let joined = log.joined_lines(ending.run);
    if !ending.gave_up && !log.invalid_in.contains(&ending.run) && ledger.joined != joined {
        return Err(format!("{name}: {joined} lines were joined to others, {} is in the books", ledger.joined));
    }
    if !(ending.gave_up || ending.may_drop || ending.may_lose) {
        check_good(log, ending)?;
    }
    if !ending.gave_up && ledger.spooled != Count::default() {
        return Err(format!("{name}: {:?} are left on disk, and nobody gave up", ledger.spooled));
    }
    check_calls(name, ledger, seen)
}

/// The books of all that a run adopted.
pub fn check_adopted(ledger: &Ledger, watch: &Watch) -> Result<(), String> {
    let name = "adopted streams";
    check_identity(name, ledger)?;
    for end in OF_ADOPTED {
        let (happened, booked) = (watch.adopted_ends[end as usize], ledger.ended(end));
        if happened != booked {
            return Err(format!("{name}: {happened:?} ended {end:?}, {booked:?} is in the books"));
        }
    }
    let (happened, booked) = (watch.set_aside[1], ledger.ended(End::Unreadable));
    let least = happened.without(watch.unsure[1]);
    let is_within = |of: fn(Count) -> u64| (of(least)..=of(happened)).contains(&of(booked));
    if !(is_within(|count| count.lines) && is_within(|count| count.bytes)) {
        return Err(format!("{name}: {happened:?} cannot be read, {booked:?} is in the books"));
    }
    check_calls(name, ledger, &watch.adopted)
}

fn check_calls(name: &str, ledger: &Ledger, seen: &Seen) -> Result<(), String> {
    let near = |counted: u64, expected: u64| counted.abs_diff(expected) <= seen.uncertain;
    if ledger.calls != seen.calls || !near(ledger.retries, seen.retries) || !near(ledger.duplicates, seen.duplicates) {
        let Ledger { calls, retries, duplicates, .. } = ledger;
        return Err(format!("{name}: {seen:?}, counted {calls} calls, {retries} retries, {duplicates} duplicates"));
    }
    Ok(())
}

/// Whatever could be delivered was.
fn check_good(log: &Log, ending: Ending) -> Result<(), String> {
    let truth = &log.truth;
    let is_open = |event: &Event| event.end.is_none() && !event.poisoned && !event.spoiled;
    let left = |(at, event): &(usize, &Event)| {
        truth.run_of(event) == ending.run && is_open(event) && truth.ends_line(*at as u32)
    };
    match truth.events.iter().enumerate().filter(left).nth(ending.doubtful as usize) {
        Some((_, event)) => Err(format!("line {} of {}, which is good, was not delivered", event.line, log.name)),
        None => Ok(()),
    }
}

/// `doubtful`: so many may be, though they are good.
pub fn check_invalid(name: &str, ledger: &Ledger, poisoned: u64, doubtful: u64) -> Result<(), String> {
    let booked = ledger.ended(End::Invalid).lines;
    if booked > poisoned + doubtful {
        return Err(format!(
            "{name}: {booked} lines are called invalid, and only {poisoned} are, and {doubtful} may be"
        ));
    }
    Ok(())
}

pub fn check_identity(name: &str, ledger: &Ledger) -> Result<(), String> {
    ledger.imbalance().map_or(Ok(()), |imbalance| Err(format!("the books of {name}: {imbalance}")))
}

/// What a reader of the stream finds. `clock_steps`: how often timestamps may go back within the runs.
pub fn check_reader(log: &Log, clock_steps: u64, clock_went_back: bool) -> Result<(), String> {
    let (name, truth) = (&log.name, &log.truth);
    let mut steps_back = 0;
    let mut last: Option<usize> = None;
    for (index, event) in truth.events.iter().enumerate() {
        if event.end == Some(End::Delivered) && event.stored == 0 {
            return Err(format!("event {index} of {name} counts as delivered, and is not there"));
        }
        if event.stored > 1 + event.may_double {
            return Err(format!("event {index} of {name} is there {} times", event.stored));
        }
        if event.stored == 0 {
            continue;
        }
        if let Some(before) = last.replace(index).map(|before| &truth.events[before]) {
            let ahead = before.timestamp_ms - event.timestamp_ms;
            let is_next_run = truth.run_of(before) != truth.run_of(event);
            if ahead > 0 && !(is_next_run && (clock_went_back || ahead <= AHEAD_MS_MAX)) {
                steps_back += 1;
            }
            // A wrong name that is mended while events are tried one by one.
            let tried = before.refused_alone;
            if ahead == 0 && before.first_stored > event.first_stored && !is_next_run && !tried {
                return Err(format!("a reader finds event {index} of {name} too early"));
            }
        }
    }
    if steps_back > clock_steps {
        return Err(format!("{name}: timestamps go back {steps_back} times, the clock did so {clock_steps} times"));
    }
    Ok(())
}

/// In the order in which a run made them: no event twice, and where lines are missing, a marker with their number.
/// `whole`: the run came to its end by itself, so that nothing is missing at the end either.
pub fn check_gaps(log: &Log, run: u32, whole: bool) -> Result<(), String> {
    if log.invalid_in.contains(&run) {
        // Bodies may have come in parts: where markers stood between them is not known, nor what was in the others.
        return Ok(());
    }
    let (name, truth) = (&log.name, &log.truth);
    let mut next = truth.first_event(run);
    let mut marker = None;
    let mut next_sequence = 0;
    for ((_, sequence), body) in log.bodies.range((run, 0)..=(run, u64::MAX)) {
        if *sequence != next_sequence {
            if whole {
                return Err(format!("{name}: body {next_sequence} never left"));
            }
            // Nobody knows what was in it.
            (next, marker) = (u32::MAX, None);
        }
        next_sequence = sequence + 1;
        for item in &body.items {
            match item {
                // A gap that lasts gets a marker whenever a line would not have waited longer.
                Item::Marker { lines } => marker = Some(marker.unwrap_or(0) + lines),
                Item::Events { first, last } => {
                    let said = marker.take();
                    if next != u32::MAX {
                        check_gap(name, truth, (next, *first), said)?;
                    }
                    next = last + 1;
                }
            }
        }
    }
    let end = truth.end_event(run);
    if whole && (next < end || marker.is_some()) {
        check_gap(name, truth, (next, end), marker)?;
    }
    Ok(())
}

/// The events from `gap.0` on, up to `gap.1`, are in no body.
fn check_gap(name: &str, truth: &Truth, gap: (u32, u32), marker: Option<u64>) -> Result<(), String> {
    let (next, event) = gap;
    if event < next {
        return Err(format!("event {event} of {name} is in two bodies, or out of order"));
    }
    let Some(said) = marker else {
        return if event == next {
            Ok(())
        } else {
            Err(format!("events {next}..{event} of {name} are missing silently"))
        };
    };
    let (least, most) = truth.lines_between(next, event);
    if !(least..=most).contains(&said) {
        return Err(format!("{name}: a marker says {said} lines before event {event}, {least} to {most} are missing"));
    }
    Ok(())
}
