//! From arguments to a plan: everything checked, every default decided, before anything is started.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{EngineChoice, RunArguments, SinkChoice};
use super::decided;
use super::endpoint;
use super::group_settings;
use super::idle::{idle_metrics, idle_name, idle_plogs, into_files, oddities};
use super::mwaa;
use super::names::{self, Parts};
use super::print;
use super::processes::{self, Masks, Source, Sourced, Wish, Wishes};
use super::room;
use crate::child::Spec;
use crate::clock;
use crate::limits::{CERTIFICATES_BYTES_MAX, CHILDREN_MAX, DURATION_MAX, FLUSH_INTERVAL_MAX, FLUSH_INTERVAL_MIN};
use crate::lines::rules::Why;
use crate::refusal::{EXIT_CANT_CREATE, EXIT_CONFIG, Refusal};
use crate::run::{Child, Destination, EngineWish, Group, Plan};
use crate::ship::{self, DiskOptions, Target, files};
use crate::sys::new_file;

pub(super) const DEFAULT_DIRECTORY: &str = "logpump-logs";

/// What `--print-config` prints, or what is to be run.
pub enum Resolution {
    Printed(String),
    Plan(Box<Plan>),
}

pub fn resolve(arguments: RunArguments, options: &print::Options) -> Result<Resolution, Refusal> {
    let named = named(&arguments)?;
    if !arguments.print_config {
        return Ok(Resolution::Plan(Box::new(plan(arguments, named)?)));
    }
    let plan = plan(arguments.clone(), named.clone())?;
    let all = named.wishes.iter().zip(&named.names).zip(&named.streams);
    let resolved: Vec<_> = all.map(|((wish, name), stream)| print::Resolved { wish, name, stream }).collect();
    let decided = decided::of(&arguments, &plan)?;
    Ok(Resolution::Printed(print::text(options, &decided, arguments.config.as_deref(), &named.plogs, &resolved)))
}

/// What `run` would say of this configuration file, before it makes or opens anything.
pub(super) fn judge(arguments: &RunArguments, file: &Path) -> Result<(), Refusal> {
    let judged = || {
        let named = named(arguments)?;
        room::memory(arguments, &named.wishes)?;
        match outlet(arguments, &named.wishes)? {
            Outlet::CloudWatch => named
                .wishes
                .iter()
                .zip(&named.names)
                .try_for_each(|(wish, name)| group(arguments, wish, name).map(drop)),
            Outlet::Directory(_) => files(&named.names, &named.streams),
            Outlet::Null => Ok(()),
        }
    };
    let of_file =
        |refusal: Refusal| Refusal { code: EXIT_CONFIG, message: format!("{}: {}", file.display(), refusal.message) };
    judged().map_err(of_file)
}

/// What is to run, and what each is called.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub wishes: Vec<Wish>,
    pub plogs: Sourced<bool>,
    pub names: Vec<String>,
    pub streams: Vec<String>,
}

pub(super) fn named(arguments: &RunArguments) -> Result<Named, Refusal> {
    let Wishes { processes: wishes, plogs } = processes::wishes(arguments)?;
    if wishes.len() > CHILDREN_MAX {
        return Err(Refusal::usage(format!("{} commands; at most {CHILDREN_MAX} run at once", wishes.len())));
    }
    let given = |wish: &'_ Wish| wish.name.as_ref().map(|name| name.value.clone());
    let given: Vec<_> = wishes.iter().map(given).collect();
    let programs = wishes.iter().zip(&given).map(|(wish, given)| (wish.argv[0].as_os_str(), given.as_deref()));
    let names = names::children(programs);
    let streams = streams(arguments, &wishes, &names)?;
    Ok(Named { wishes, plogs, names, streams })
}

fn streams(arguments: &RunArguments, wishes: &[Wish], names: &[String]) -> Result<Vec<String>, Refusal> {
    let now = clock::wall();
    let system = rustix::system::uname();
    let start = format!("{}.{:06}", now.as_secs(), now.subsec_micros());
    let parts = Parts { hostname: &system.nodename().to_string_lossy(), start: &start };
    let mut places: Vec<(Option<Group>, String)> = Vec::new();
    for (wish, name) in wishes.iter().zip(names) {
        let template = &wish.log_stream;
        let stream = names::stream(&template.value, name, &parts)
            .map_err(|what| Refusal::usage(format!("{}: {what}", template.source)))?;
        // By what it comes to: a name and an ARN may be one group. A wrong one is said later.
        let place = (group(arguments, wish, name).ok(), stream);
        if places.contains(&place) {
            return Err(Refusal::usage(format!(
                "{}: several commands would share the stream {}; put {{name}} into the template",
                template.source, place.1
            )));
        }
        places.push(place);
    }
    Ok(places.into_iter().map(|(_, stream)| stream).collect())
}

fn plan(arguments: RunArguments, named: Named) -> Result<Plan, Refusal> {
    let Named { wishes, plogs, names, streams } = named;
    check(&arguments)?;
    let max_in_flight = usize::from(arguments.max_in_flight);
    let memory = room::memory(&arguments, &wishes)?;
    // Also where nothing will be spooled: a mistake is one everywhere.
    let spool = room::spool(&arguments)?;
    let disk = spool.as_ref().map(|spool| DiskOptions { bytes_max: spool.bytes_max, durable: spool.durable });
    let mut masks = Masks::default();
    let destination = destination(&arguments, &wishes)?;
    if let Destination::Directory { .. } = destination {
        files(&names, &streams)?;
    }
    let groups = groups(&arguments, &destination, &wishes, &names)?;
    let when_full = room::when_full(&arguments, &destination);
    let idle =
        arguments.preset.iter().flat_map(|preset| mwaa::oddities(preset, &wishes)).chain(idle_plogs(&plogs, &wishes));
    Ok(Plan {
        oddities: oddities(&arguments, &destination, &wishes)
            .into_iter()
            .chain(idle)
            .chain(idle_name(&arguments))
            .chain(idle_metrics(&arguments, &destination, &wishes))
            .collect(),
        notes: if into_files(&destination) { Vec::new() } else { mwaa::notes(&wishes, arguments.tee) },
        spool: spool.filter(|_| matches!(destination, Destination::CloudWatch(_))),
        ring_bytes: memory.ring_bytes,
        destination,
        ship: ship::Options {
            linger: arguments.flush_interval,
            max_in_flight,
            stream_window: arguments.stream_window.map_or(max_in_flight, usize::from),
            create_group: arguments.create_group,
            body_bytes_max: memory.body_bytes_max,
            assembly_bytes_max: memory.assembly_bytes_max,
            disk,
            when_full,
            statsd: arguments.statsd.or_else(|| arguments.preset.as_ref().map(|_| mwaa::STATSD)),
        },
        engine: engine(&arguments),
        drain_timeout: arguments.drain_timeout,
        eof_grace: arguments.eof_grace,
        // Nobody would write there.
        plogs: plogs.value && wishes.iter().any(|wish| !wish.health.is_empty()),
        report: arguments.report,
        log_level: arguments.log_level,
        log_format: arguments.log_format,
        children: wishes
            .into_iter()
            .zip(names)
            .zip(streams)
            .zip(groups)
            .map(|(((wish, name), stream), group)| {
                let tee = wish.is_copied(arguments.tee);
                Child { tee, ..child(wish, name, stream, group, &mut masks) }
            })
            .collect(),
    })
}

fn child(wish: Wish, name: String, stream: String, group: Option<Group>, masks: &mut Masks) -> Child {
    let (stop, treatment) = (wish.stop(), wish.treatment(masks));
    let env = wish.env.into_iter().map(|(name, value)| (name.into(), value.value.into())).collect();
    let directory = wish.directory.map(|directory| directory.value);
    let timeout = wish.timeout.map(|timeout| timeout.value);
    Child {
        spec: Spec { name, argv: wish.argv, env, directory, stop },
        stream,
        group,
        essential: wish.essential.value,
        timeout,
        health: wish.health.into_iter().map(|condition| condition.value).collect(),
        tee: false,
        treatment,
    }
}

/// Of each process; None where lines do not go to CloudWatch Logs.
fn groups(
    arguments: &RunArguments,
    destination: &Destination,
    wishes: &[Wish],
    names: &[String],
) -> Result<Vec<Option<Group>>, Refusal> {
    match destination {
        Destination::CloudWatch(_) => {
            let group = |(wish, name): (&Wish, &String)| match wish.unwanted {
                Some(Why::NoGroup) => Ok(None),
                _ => group(arguments, wish, name).map(Some),
            };
            wishes.iter().zip(names).map(group).collect()
        }
        _ => Ok(vec![None; wishes.len()]),
    }
}

pub(super) fn group(arguments: &RunArguments, wish: &Wish, name: &str) -> Result<Group, Refusal> {
    let Some(group) = &wish.log_group else {
        return Err(Refusal::usage(format!(
            "process {name} has no log group, and others have one; give it log_group, or all of them --log-group"
        )));
    };
    let found = names::group(&group.value).map_err(|what| Refusal::usage(format!("{}: {what}", group.source)))?;
    Ok(Group { name: found.name, region: region(arguments, found.region, &group.source)? })
}

pub(super) fn engine(arguments: &RunArguments) -> EngineWish {
    match arguments.engine {
        EngineChoice::Auto => EngineWish::Auto,
        EngineChoice::Uring => EngineWish::Uring,
        EngineChoice::Epoll => EngineWish::Epoll,
    }
}

/// As the SDK would find it, where neither the option nor the group's ARN gives one; what is spooled must say where it
/// belongs.
fn region(arguments: &RunArguments, of_arn: Option<String>, source: &Source) -> Result<Option<String>, Refusal> {
    let region = match (set(&arguments.region), of_arn) {
        (Some(given), Some(of_arn)) if given != of_arn => {
            return Err(Refusal::usage(format!(
                "{source}: the group's ARN lies in {of_arn}, yet --region (variable LOGPUMP_REGION) says {given}, where the \
                 group is not; leave --region out, or give the group by its name"
            )));
        }
        (given, of_arn) => of_arn.or(given.map(str::to_owned)),
    };
    Ok(region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION")))
}

/// An option from an environment variable that is set to nothing counts as not given.
pub(super) fn set(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

/// What can be wrong with options by themselves.
pub(super) fn check(arguments: &RunArguments) -> Result<(), Refusal> {
    within("--flush-interval", arguments.flush_interval, FLUSH_INTERVAL_MIN, FLUSH_INTERVAL_MAX)?;
    for (option, value) in [
        ("--grace", arguments.grace),
        ("--drain-timeout", arguments.drain_timeout),
        ("--eof-grace", arguments.eof_grace),
    ] {
        within(option, value, Duration::ZERO, DURATION_MAX)?;
    }
    arguments.report.as_deref().map_or(Ok(()), writable_beside)
}

/// Streams of several groups, and names with slashes, may come to one file.
pub(super) fn files(names: &[String], streams: &[String]) -> Result<(), Refusal> {
    let files: Vec<_> = streams.iter().map(|stream| files::file_name(stream)).collect();
    let twice = |(index, file): (usize, &String)| {
        files[..index].iter().position(|other| other == file).map(|first| (first, index))
    };
    match files.iter().enumerate().find_map(twice) {
        Some((first, second)) => Err(Refusal::usage(format!(
            "--log-stream: {} and {} would share the file {}; put {{name}} into the template",
            names[first], names[second], files[second]
        ))),
        None => Ok(()),
    }
}

fn within(option: &str, value: Duration, least: Duration, most: Duration) -> Result<(), Refusal> {
    if value < least || value > most {
        let show = |duration| humantime::format_duration(duration);
        return Err(Refusal::usage(format!(
            "{option}: {} is not between {} and {}",
            show(value),
            show(least),
            show(most)
        )));
    }
    Ok(())
}

/// Where lines go, by the options alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlet<'a> {
    CloudWatch,
    /// None: nobody named one.
    Directory(Option<&'a Path>),
    Null,
}

pub(super) fn outlet<'a>(arguments: &'a RunArguments, wishes: &[Wish]) -> Result<Outlet<'a>, Refusal> {
    let directory = arguments.dir.as_deref().filter(|path| !path.as_os_str().is_empty());
    let has_group = wishes.iter().any(|wish| wish.log_group.is_some());
    if arguments.sink == SinkChoice::Auto && !wishes.is_empty() && wishes.iter().all(|wish| wish.unwanted.is_some()) {
        // Nothing of it goes anywhere.
        return Ok(Outlet::Null);
    }
    match (arguments.sink, has_group, directory) {
        (SinkChoice::Null, ..) => Ok(Outlet::Null),
        (SinkChoice::Auto, true, Some(_)) => Err(Refusal::usage(
            "--log-group and --dir name two places; give one, or say which with --sink cloudwatch or --sink dir",
        )),
        (SinkChoice::Auto | SinkChoice::Cloudwatch, true, _) => Ok(Outlet::CloudWatch),
        (SinkChoice::Cloudwatch, false, _) => Err(Refusal::usage("--sink cloudwatch needs --log-group")),
        (SinkChoice::Auto | SinkChoice::Dir, _, directory) => Ok(Outlet::Directory(directory)),
    }
}

fn destination(arguments: &RunArguments, wishes: &[Wish]) -> Result<Destination, Refusal> {
    match outlet(arguments, wishes)? {
        Outlet::Null => Ok(Destination::Null),
        Outlet::CloudWatch => Ok(Destination::CloudWatch(target(arguments)?)),
        Outlet::Directory(Some(directory)) => {
            let path = usable(directory).map_err(|message| Refusal { code: EXIT_CANT_CREATE, message })?;
            Ok(Destination::Directory { path, asked_for: true })
        }
        // Nobody asked for this directory, so no command fails for want of it.
        Outlet::Directory(None) => {
            let beside = std::env::temp_dir().join(DEFAULT_DIRECTORY);
            Ok(usable(Path::new(DEFAULT_DIRECTORY))
                .or_else(|_| usable(&beside))
                .map_or_else(Destination::Nowhere, |path| Destination::Directory { path, asked_for: false }))
        }
    }
}

/// Makes the directory and tries a file in it. Err: what to tell the user.
fn usable(directory: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| {
        format!(
            "cannot write into {}: {error}; name another directory with --dir, or a group with --log-group",
            directory.display()
        )
    };
    fs::create_dir_all(directory).map_err(said)?;
    let trial = directory.join(format!(".logpump-{}", std::process::id()));
    new_file::replace(&trial, b"").map_err(said)?;
    fs::remove_file(&trial).map_err(said)?;
    fs::canonicalize(directory).map_err(said)
}

/// A report that could not be written at the end would be missed only then.
fn writable_beside(report: &Path) -> Result<(), Refusal> {
    let refused = |what: String| Err(Refusal { code: EXIT_CANT_CREATE, message: what });
    if report.is_dir() {
        return refused(format!("--report: {} is a directory", report.display()));
    }
    if report.exists() {
        return Ok(());
    }
    let trial = {
        let mut name = report.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        PathBuf::from(name)
    };
    match new_file::replace(&trial, b"").and_then(|()| fs::remove_file(&trial)) {
        Ok(()) => Ok(()),
        Err(error) => refused(format!("--report: cannot write {}: {error}", report.display())),
    }
}

pub(super) fn target(arguments: &RunArguments) -> Result<Target, Refusal> {
    let endpoint_url = endpoint::checked(arguments)?;
    let bundle = || Some(("AWS_CA_BUNDLE", PathBuf::from(std::env::var_os("AWS_CA_BUNDLE")?)));
    let ca_bundle = arguments
        .ca_bundle
        .clone()
        .map(|path| ("--ca-bundle", path))
        .or_else(bundle)
        .filter(|(_, path)| !path.as_os_str().is_empty())
        .map(|(source, path)| certificates(source, &path))
        .transpose()?;
    Ok(Target { endpoint_url, ca_bundle, gzip: arguments.gzip, group_settings: group_settings::of(arguments)? })
}

/// One that is set to nothing is not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn certificates(source: &str, path: &Path) -> Result<Vec<u8>, Refusal> {
    let refused = |what: String| Refusal::usage(format!("{source}: {}: {what}", path.display()));
    let mut pem = Vec::new();
    let opened = fs::File::open(path);
    let read = opened.and_then(|opened| opened.take(CERTIFICATES_BYTES_MAX + 1).read_to_end(&mut pem));
    read.map_err(|error| refused(error.to_string()))?;
    if pem.len() as u64 > CERTIFICATES_BYTES_MAX {
        return Err(refused(format!("more than {CERTIFICATES_BYTES_MAX} bytes; certificates have fewer")));
    }
    if memchr::memmem::find(&pem, b"-----BEGIN CERTIFICATE-----").is_none() {
        return Err(refused("holds no PEM certificate".into()));
    }
    Ok(pem)
}
