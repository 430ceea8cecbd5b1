//! From the arguments of `doctor` to its plan: by the same rules as those of `run`, so that one may stand for the other.

use std::net::SocketAddr;
use std::path::Path;

use super::args::{DoctorArguments, RunArguments};
use super::mwaa;
use super::processes::Wish;
use super::resolve::{DEFAULT_DIRECTORY, Named, Outlet};
use super::variables::Stray;
use super::{resolve, room};
use crate::child::Spec;
use crate::doctor::{Files, Plan};
use crate::refusal::Refusal;
use crate::run::health::Kind;
use crate::ship::{Target, files};
use crate::spool::entry::Address;

/// What a run without a command would call its stream.
const NO_COMMAND: &str = "doctor";

pub fn plan(arguments: DoctorArguments, strays: &[Stray]) -> Result<Plan, Refusal> {
    let DoctorArguments { mut run, tries, json, .. } = arguments;
    let has_commands = !run.command.is_empty() || run.config.is_some() || run.preset.is_some();
    if !has_commands {
        run.command = vec![NO_COMMAND.into()];
    }
    resolve::check(&run)?;
    let named = resolve::named(&run)?;
    room::memory(&run, &named.wishes)?;
    let outlet = resolve::outlet(&run, &named.wishes)?;
    let is_cloudwatch = outlet == Outlet::CloudWatch;
    let target = if is_cloudwatch { resolve::target(&run)? } else { Target::default() };
    let places = if is_cloudwatch { places(&run, &named, &target)? } else { Vec::new() };
    if tries && places.is_empty() {
        return Err(Refusal::usage(if run.preset.is_some() {
            "--try needs a log group, and the environment names none"
        } else {
            "--try needs --log-group"
        }));
    }
    let files = match outlet {
        Outlet::Directory(directory) => {
            resolve::files(&named.names, &named.streams)?;
            Some(Files {
                directory: directory.unwrap_or(Path::new(DEFAULT_DIRECTORY)).to_owned(),
                asked_for: directory.is_some(),
                names: named.streams.iter().map(|stream| files::file_name(stream)).collect(),
            })
        }
        Outlet::CloudWatch | Outlet::Null => None,
    };
    let specs = named.wishes.iter().zip(&named.names).map(|(wish, name)| spec(wish, name)).collect();
    let (checks, listens) = health(&named);
    let (destined, oddities) = match &run.preset {
        Some(preset) => (destined(&run, &named)?, mwaa::oddities(preset, &named.wishes)),
        None => (Vec::new(), Vec::new()),
    };
    Ok(Plan {
        destined,
        oddities,
        commands: named.wishes.len(),
        specs: if has_commands { specs } else { Vec::new() },
        checks,
        listens,
        engine: resolve::engine(&run),
        target,
        places,
        files,
        create_group: run.create_group,
        insists_on_spool: run.durable || run.spool_dir.as_ref().is_some_and(|path| !path.as_os_str().is_empty()),
        spool: room::spool(&run)?,
        strays: strays.iter().map(|stray| (stray.name.clone(), stray.remedy())).collect(),
        tries,
        json,
    })
}

/// Each group once, with its first stream.
fn places(run: &RunArguments, named: &Named, target: &Target) -> Result<Vec<Address>, Refusal> {
    let mut places: Vec<Address> = Vec::new();
    for ((wish, name), stream) in named.wishes.iter().zip(&named.names).zip(&named.streams) {
        if wish.unwanted.is_some() {
            continue;
        }
        let group = resolve::group(run, wish, name)?;
        let region = group.region.unwrap_or_default();
        if !places.iter().any(|place| (&place.group, &place.region) == (&group.name, &region)) {
            let endpoint = target.endpoint_url.clone().unwrap_or_default();
            places.push(Address { region, endpoint, group: group.name, stream: stream.clone() });
        }
    }
    Ok(places)
}

/// What the environment says of each process's lines. Err: that they are not sent, and why.
fn destined(run: &RunArguments, named: &Named) -> Result<Vec<Result<String, String>>, Refusal> {
    let each = named.wishes.iter().zip(&named.names).zip(&named.streams);
    each.map(|((wish, name), stream)| {
        if let Some(why) = mwaa::note(wish, run.tee) {
            return Ok(Err(why));
        }
        let group = resolve::group(run, wish, name)?;
        let region = group.region.map_or_else(String::new, |region| format!(" in {region}"));
        let level = wish.level.as_ref().map_or_else(String::new, |level| format!(" from {}", level.value.name()));
        Ok(Ok(format!("{name}: lines{level} go to log group {}{region}, stream {stream}", group.name)))
    })
    .collect()
}

/// The commands of the conditions, and where others listen.
fn health(named: &Named) -> (Vec<Spec>, Vec<SocketAddr>) {
    let (mut checks, mut listens) = (Vec::new(), Vec::new());
    for (wish, name) in named.wishes.iter().zip(&named.names) {
        for condition in &wish.health {
            match &condition.value.kind {
                Kind::Udp { listen, .. } if listens.contains(listen) => {}
                Kind::Udp { listen, .. } => listens.push(*listen),
                Kind::Exec { argv, .. } => {
                    checks.push(Spec { argv: argv.clone(), ..spec(wish, &format!("the check of {name}")) });
                }
            }
        }
    }
    (checks, listens)
}

fn spec(wish: &Wish, name: &str) -> Spec {
    let env = wish.env.iter().map(|(name, value)| (name.into(), value.value.clone().into())).collect();
    let directory = wish.directory.as_ref().map(|directory| directory.value.clone());
    Spec { name: name.to_owned(), argv: wish.argv.clone(), env, directory, stop: wish.stop() }
}
