//! What was decided for options that nobody gave, and by what: for `--print-config`.

use super::args::{RunArguments, SinkChoice};
use super::resolve::{set, variable};
use super::{endpoint, room};
use crate::refusal::Refusal;
use crate::run::{Destination, Plan};
use crate::ship::WhenFull;
use crate::spool::SyncPolicy;

/// An option's value, and where it comes from.
pub struct Decided {
    pub option: &'static str,
    pub value: String,
    pub source: String,
}

pub fn of(arguments: &RunArguments, plan: &Plan) -> Result<Vec<Decided>, Refusal> {
    let mut all = Vec::new();
    let mut decide = |option, value: Option<String>, source: &str| {
        all.extend(value.map(|value| Decided { option, value, source: source.to_owned() }));
    };
    let cloudwatch = matches!(plan.destination, Destination::CloudWatch(_));
    if set(&arguments.region).is_none() && cloudwatch {
        let found = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| Some((name, variable(name)?)));
        match found {
            Some((name, region)) => decide("--region", Some(region), &format!("environment, {name}")),
            None => decide("--region", Some("of the group's ARN, or as the SDK finds it".into()), "default"),
        }
    }
    if cloudwatch && let Some((name, url)) = endpoint::find(arguments) {
        decide("--endpoint-url", Some(url), &format!("environment, {name}"));
    }
    decide("--ca-bundle", variable("AWS_CA_BUNDLE"), "environment, AWS_CA_BUNDLE");
    decide("--name", Some("the command's base name".into()), "default");
    let (sink, directory) = match &plan.destination {
        Destination::CloudWatch(_) => ("cloudwatch", None),
        Destination::Directory { path, .. } => ("dir", Some(path.display().to_string())),
        Destination::Nowhere(why) => ("dir", Some(format!("none: {why}"))),
        Destination::Null => ("null", None),
    };
    if arguments.sink == SinkChoice::Auto {
        decide("--sink", Some(sink.into()), "decided by --log-group and --dir");
    }
    decide("--dir", directory, "default");
    decide("--stream-window", Some(plan.ship.stream_window.to_string()), "default, as --max-in-flight");
    decide("--memory-max", Some(room::DEFAULT_MEMORY.to_string()), "default");
    let when_full = match plan.ship.when_full {
        WhenFull::Drop => "drop",
        WhenFull::Block => "block",
    };
    decide("--when-full", Some(when_full.into()), "default");
    if let Some(spool) = room::spool(arguments)? {
        decide("--spool-dir", Some(spool.directory.display().to_string()), "default");
        decide("--spool-max", Some(bytesize::ByteSize::b(spool.bytes_max).to_string()), "default");
        let sync = match spool.sync {
            SyncPolicy::Never => "never",
            SyncPolicy::Interval => "interval",
            SyncPolicy::Always => "always",
        };
        decide("--spool-sync", Some(sync.into()), "default");
    }
    decide("--statsd", plan.ship.statsd.map(|address| address.to_string()), "mwaa");
    Ok(all)
}
