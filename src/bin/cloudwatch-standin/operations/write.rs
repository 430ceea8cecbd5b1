//! PutLogEvents: decides in which order the rules are asked, and does what they say.

use serde_json::{Value, json};

use super::{Call, World};
use crate::fail::Failure;
use crate::put::{check, parse};

pub fn put_log_events(world: &mut World, body: &[u8], call: &Call) -> Result<Value, Failure> {
    let put = parse::parse(body, std::mem::take(&mut world.spare_events))?;
    let outcome = accept(world, &put, call);
    world.spare_events = put.events;
    outcome
}

fn accept(world: &mut World, put: &parse::Put, call: &Call) -> Result<Value, Failure> {
    check::call(put)?;
    let group = world.store.group(&put.group)?;
    let retention_days = group.retention_days;
    let stream = group.streams.get(&*put.stream).ok_or_else(Failure::no_stream)?;
    // A number of 56 digits, as AWS returns; nobody needs it since 2023.
    let token = format!("{:056}", stream.counts.calls + 1);
    let rejected = check::ages(&put.events, call.now_ms, retention_days)?.with(&call.reject, put.events.len());
    let valid = rejected.valid(put.events.len());
    let accepted_events = valid.len() as u64;
    world.stats.message_bytes += world.store.accept(put, valid, call.now_ms)?;
    world.stats.events += accepted_events;
    world.stats.rejected(&rejected, put.events.len());
    let mut answer = json!({ "nextSequenceToken": token });
    if rejected.any() {
        answer["rejectedLogEventsInfo"] = json!(rejected);
    }
    Ok(answer)
}
