//! What somebody asked for and gets nothing of: said at the start, so that nobody waits for it in vain.

use std::path::PathBuf;

use super::args::RunArguments;
use super::processes::{Source, Sourced, Wish};
use super::resolve::set;
use super::room;
use crate::run::Destination;

/// What was asked for and means nothing here: likely a forgotten --log-group.
pub(super) fn oddities(arguments: &RunArguments, destination: &Destination, wishes: &[Wish]) -> Vec<String> {
    if matches!(destination, Destination::CloudWatch(_)) {
        let no_spool = arguments.spool_max.is_some_and(|max| max.as_u64() == 0);
        let idle = room::given(arguments, destination)
            .filter(|option| no_spool && ["--spool-dir", "--spool-sync"].contains(option));
        return idle.map(|option| format!("{option} does nothing: --spool-max 0 means no spool")).collect();
    }
    if matches!(destination, Destination::Null) && wishes.iter().all(|wish| wish.unwanted.is_some()) {
        // As the service wants it, and its notes say so: nobody forgot an option.
        return Vec::new();
    }
    let is_path = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    let given = [
        ("--create-group", arguments.create_group),
        ("--retention-days", arguments.retention_days.is_some()),
        ("--kms-key-id", set(&arguments.kms_key_id).is_some()),
        ("--tag", !arguments.tag.is_empty()),
        ("--log-group-class", arguments.log_group_class.is_some()),
        ("--stream-window", arguments.stream_window.is_some()),
        ("--gzip", arguments.gzip),
        ("--region", set(&arguments.region).is_some()),
        ("--endpoint-url", set(&arguments.endpoint_url).is_some()),
        ("--ca-bundle", is_path(&arguments.ca_bundle)),
    ];
    let has_group = wishes.iter().any(|wish| wish.log_group.is_some());
    let why = if has_group { "--sink names another place" } else { "no --log-group is given" };
    let without = |option: &str| format!("{option} does nothing: {why}, so no line goes to CloudWatch Logs");
    let given = given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option);
    // A file can be full, too.
    let room =
        room::given(arguments, destination).filter(|option| !(into_files(destination) && *option == "--when-full"));
    let untreated = untreated(wishes).filter(|_| !matches!(destination, Destination::Null));
    given.chain(room).map(without).chain(untreated).collect()
}

pub(super) fn into_files(destination: &Destination) -> bool {
    matches!(destination, Destination::Directory { .. })
}

/// Of lines that go into files.
fn untreated(wishes: &[Wish]) -> Option<String> {
    let mut keys: Vec<_> = wishes.iter().flat_map(Wish::treats_lines).collect();
    keys.sort_unstable();
    keys.dedup();
    let (last, others) = keys.split_last()?;
    let keys_do =
        if others.is_empty() { format!("{last} does") } else { format!("{} and {last} do", others.join(", ")) };
    let unmasked = if keys.contains(&"mask") { "; secrets are not masked" } else { "" };
    Some(format!("{keys_do} nothing: files have the commands' bytes as they are{unmasked}"))
}

/// Each process of a file is called as the file says, or as its command is.
pub(super) fn idle_name(arguments: &RunArguments) -> Option<String> {
    let is_idle = arguments.config.is_some() && set(&arguments.name).is_some();
    is_idle.then(|| "--name does nothing: with --config each process has a name of its own (docs/CONFIG.md)".to_owned())
}

pub(super) fn idle_plogs(plogs: &Sourced<bool>, wishes: &[Wish]) -> Option<String> {
    let is_idle = plogs.value && plogs.source != Source::Preset && wishes.iter().all(|wish| wish.health.is_empty());
    is_idle.then(|| "--plogs does nothing: no process has a health condition (docs/CONFIG.md)".to_owned())
}

pub(super) fn idle_metrics(arguments: &RunArguments, destination: &Destination, wishes: &[Wish]) -> Option<String> {
    let are_named = wishes.iter().any(|wish| wish.metrics.is_some());
    // There they are said with all else that does nothing to a line.
    let into_files = matches!(destination, Destination::Directory { .. } | Destination::Nowhere(_));
    let said = match (arguments.statsd, are_named) {
        (Some(_), false) => "--statsd does nothing: no process has metrics (docs/CONFIG.md)",
        (None, true) if arguments.preset.is_none() && !into_files => {
            "metrics does nothing: no --statsd is given (docs/CONFIG.md)"
        }
        _ => return None,
    };
    Some(said.to_owned())
}
