//! From the arguments of `doctor` to its plan: by the same rules as those of `run`, so that one may stand for the other.

use super::args::DoctorArguments;
use super::{resolve, room};
use crate::doctor::Plan;
use crate::refusal::Refusal;
use crate::ship::Target;
use crate::spool::entry::Address;

/// What a run without a command would call its stream.
const NO_COMMAND: &str = "doctor";

pub fn plan(arguments: DoctorArguments) -> Result<Plan, Refusal> {
    let DoctorArguments { mut run, tries, json } = arguments;
    if run.command.is_empty() && run.config.is_none() {
        run.command = vec![NO_COMMAND.into()];
    }
    resolve::check(&run)?;
    let named = resolve::named(&run)?;
    room::memory(&run, named.wishes.len())?;
    let has_group = named.wishes.iter().any(|wish| wish.log_group.is_some());
    let target = if has_group { resolve::target(&run)? } else { Target::default() };
    let mut places: Vec<Address> = Vec::new();
    if has_group {
        for ((wish, name), stream) in named.wishes.iter().zip(&named.names).zip(&named.streams) {
            let group = resolve::group(&run, wish, name)?;
            let region = group.region.unwrap_or_default();
            if !places.iter().any(|place| (&place.group, &place.region) == (&group.name, &region)) {
                let endpoint = target.endpoint_url.clone().unwrap_or_default();
                places.push(Address { region, endpoint, group: group.name, stream: stream.clone() });
            }
        }
    }
    if tries && places.is_empty() {
        return Err(Refusal::usage("--try needs --log-group"));
    }
    Ok(Plan {
        commands: named.wishes.len(),
        engine: resolve::engine(&run),
        target,
        places,
        create_group: run.create_group,
        insists_on_spool: run.durable || run.spool_dir.as_ref().is_some_and(|path| !path.as_os_str().is_empty()),
        spool: room::spool(&run)?,
        tries,
        json,
    })
}
