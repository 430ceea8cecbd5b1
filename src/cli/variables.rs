//! Variables that begin as logpump's own do and are none of them: likely misspelt, and what they were to say is not heard.

use std::ffi::OsStr;

use clap::{Arg, Command};

use crate::limits::STRAY_VARIABLES_SAID_MAX;

const PREFIX: &str = "LOGPUMP_";

/// What tests tell a logpump that is built for them: see `crate::fault`.
const OF_TESTS: &str = "LOGPUMP_TEST_";

/// A variable that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub name: String,
    /// The one that was likely meant.
    pub nearest: Option<String>,
}

impl Stray {
    pub fn remedy(&self) -> String {
        let nearest = self.nearest.as_ref().map_or(String::new(), |nearest| format!("likely {nearest} is meant; "));
        format!("{nearest}the command gets it all the same: one that is for it alone should not begin with {PREFIX}")
    }
}

/// Of a longer name the beginning says enough; ours have half as many.
const NAME_CHARACTERS_MAX: usize = 64;

/// What a run says of them.
pub fn oddities(strays: &[Stray]) -> impl Iterator<Item = String> {
    let said = strays.iter().take(STRAY_VARIABLES_SAID_MAX);
    let said =
        said.map(|stray| format!("{} does nothing: logpump has no such variable; {}", stray.name, stray.remedy()));
    let unsaid = strays.len().saturating_sub(STRAY_VARIABLES_SAID_MAX);
    said.chain((unsaid > 0).then(|| format!("{unsaid} more variables that begin with {PREFIX} do nothing")))
}

/// Of a program's verbs, all variables that an option of one can be given by.
pub fn known(program: &Command) -> Vec<String> {
    let of_verb = |verb: &Command| verb.get_arguments().filter_map(Arg::get_env).map(name).collect::<Vec<_>>();
    let mut known: Vec<_> = program.get_subcommands().flat_map(of_verb).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// Of the variables that are set, and to something.
pub fn strays(set: impl Iterator<Item = String>, known: &[String]) -> Vec<Stray> {
    let is_ours = |name: &String| known.contains(name) || cfg!(feature = "tools") && name.starts_with(OF_TESTS);
    let unknown = set.filter(|name| name.starts_with(PREFIX) && !is_ours(name) && !is_of_kubernetes(name));
    let mut strays: Vec<_> = unknown
        .map(|name| {
            let shown: String = name.chars().take(NAME_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
            Stray { nearest: nearest(&shown, known).map(str::to_owned), name: shown }
        })
        .collect();
    strays.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    strays
}

/// Those of this process.
pub fn of_environment(program: &Command) -> Vec<Stray> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    strays(set.map(|(variable, _)| name(&variable)), &known(program))
}

/// Kubernetes tells each pod of each service by such variables, and one may be called logpump.
fn is_of_kubernetes(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || format!("{name}_").contains("_PORT_")
}

/// None: nothing is alike in half of its characters.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let own = |name: &'a str| &name[PREFIX.len()..];
    let wrong = &name[PREFIX.len()..];
    let by_distance = known.iter().map(|name| (distance(wrong, own(name)), name.as_str()));
    let (distance, nearest) = by_distance.min()?;
    (distance * 2 <= wrong.chars().count().max(own(nearest).len())).then_some(nearest)
}

/// Characters to mend. A word that is too many, or left out, costs half of its own; their order costs nothing.
fn distance(one: &str, other: &str) -> usize {
    let holds = |all: &str, some: &str| some.split('_').all(|word| all.split('_').any(|of_all| of_all == word));
    if holds(one, other) || holds(other, one) {
        return one.len().abs_diff(other.len()).div_ceil(2);
    }
    strsim::osa_distance(one, other)
}

fn name(variable: &OsStr) -> String {
    variable.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn found(set: &[&str]) -> Vec<(String, Option<String>)> {
        let known = known(&super::super::args::Arguments::command());
        let strays = strays(set.iter().map(|name| (*name).to_owned()), &known);
        strays.into_iter().map(|stray| (stray.name, stray.nearest)).collect()
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_likely_meant() {
        for (wrong, expected) in [
            ("LOGPUMP_LOGGROUP", Some("LOGPUMP_LOG_GROUP")),
            ("LOGPUMP_GROUP", Some("LOGPUMP_LOG_GROUP")),
            ("LOGPUMP_GRACE_PERIOD", Some("LOGPUMP_GRACE")),
            ("LOGPUMP_DRIAN_TIMEOUT", Some("LOGPUMP_DRAIN_TIMEOUT")),
            ("LOGPUMP_MAX_SPOOL", Some("LOGPUMP_SPOOL_MAX")),
            ("LOGPUMP_RETENTION", Some("LOGPUMP_RETENTION_DAYS")),
            ("LOGPUMP_DATABASE_CHECKS", Some("LOGPUMP_DATABASE_CHECK")),
            ("LOGPUMP_COLOUR_OF_THE_SKY", None),
            ("LOGPUMP_", None),
        ] {
            assert_eq!(found(&[wrong]), [(wrong.to_owned(), expected.map(str::to_owned))]);
        }
    }

    #[test]
    fn what_is_known_or_another_programs_or_kubernetes_is_no_stray() {
        let none = [
            "LOGPUMP_LOG_GROUP",
            "LOGPUMP_DATABASE_CHECK",
            "LOGPUMP_CONFIG",
            "LOG_GROUP",
            "PATH",
            "LOGPUMPS",
            "LOGPUMP_SERVICE_HOST",
            "LOGPUMP_SERVICE_PORT",
            "LOGPUMP_SERVICE_PORT_HTTP",
            "LOGPUMP_PORT",
            "LOGPUMP_PORT_80_TCP_ADDR",
            "LOGPUMP_WEB_SERVICE_HOST",
            "LOGPUMP_WEB_PORT",
        ];
        assert_eq!(found(&none), []);
        assert_eq!(found(&["LOGPUMP_REPORTS"])[0].1.as_deref(), Some("LOGPUMP_REPORT"));
    }

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let stray = |n: usize| Stray { name: format!("LOGPUMP_X{n}"), nearest: None };
        let strays: Vec<_> = (0..STRAY_VARIABLES_SAID_MAX + 2).map(stray).collect();
        let said: Vec<_> = oddities(&strays).collect();
        assert_eq!(said.len(), STRAY_VARIABLES_SAID_MAX + 1);
        assert_eq!(said.last().unwrap(), "2 more variables that begin with LOGPUMP_ do nothing");
        assert_eq!(oddities(&strays[..STRAY_VARIABLES_SAID_MAX]).count(), STRAY_VARIABLES_SAID_MAX);
    }
}
