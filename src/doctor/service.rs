//! The way to CloudWatch Logs: region, credentials, endpoint, what the service says, and one real call if it is wanted.

use std::time::{Duration, UNIX_EPOCH};

use super::{Finding, Plan, machine};
use crate::clock;
use crate::limits::DOCTOR_PLACES_MAX;
use crate::ship::answer::Answer;
use crate::ship::inspect::{attempt, inspect};
use crate::ship::{Connection, Identity, Inspection};
use crate::spool::entry::Address;

/// Credentials that end sooner are worth a word, if nothing renews them.
const EXPIRES_SOON: Duration = Duration::from_secs(5 * 60);

pub fn look(plan: &Plan) -> Vec<Finding> {
    let Some(first) = plan.places.first() else {
        if plan.is_local() {
            return vec![machine::clock(None)];
        }
        let remedy = "name one with --log-group, or lines go into files";
        let none = Finding::warn("service", "no --log-group is given, so nothing of AWS is looked at", remedy);
        return vec![machine::clock(None), none];
    };
    let mut findings = Vec::new();
    for place in plan.places.iter().take(DOCTOR_PLACES_MAX) {
        let message = format!("logpump {} doctor: this line can be ignored", env!("CARGO_PKG_VERSION"));
        let attempt = plan.tries.then(|| attempt(&plan.target, place, &message, plan.create_group));
        let of_place = match inspect(&plan.target, place, attempt) {
            Ok(inspection) => of_place(plan, place, &inspection),
            Err(why) => {
                let remedy = "look at AWS_CONFIG_FILE, AWS_PROFILE and what else the SDK reads its settings from";
                vec![machine::clock(None), Finding::fail("region", why, remedy)]
            }
        };
        let is_new = |name: &str| match name {
            "clock" | "credentials" => place == first,
            "region" | "endpoint" => place == first || place.region != first.region,
            _ => true,
        };
        findings.extend(of_place.into_iter().filter(|finding| is_new(finding.name)));
    }
    if plan.places.len() > DOCTOR_PLACES_MAX {
        let text = format!("{} log groups more are not looked at", plan.places.len() - DOCTOR_PLACES_MAX);
        findings.push(Finding::warn("service", text, "look at them by themselves, with --log-group"));
    }
    findings
}

pub(super) fn of_place(plan: &Plan, place: &Address, found: &Inspection) -> Vec<Finding> {
    // Behind a proxy the name need not resolve here.
    let has_answered = found.answer.as_ref().is_some_and(|answer| !matches!(answer, Answer::Unavailable { .. }));
    let mut findings = vec![machine::clock(found.service_ahead_s), region(found), credentials(found)];
    findings.extend(endpoint(found, has_answered));
    findings.extend(found.answer.as_ref().map(|answer| service(place, answer, plan.create_group)));
    if plan.tries {
        findings.push(tried(place, found.tried.as_ref()));
    }
    findings
}

fn region(found: &Inspection) -> Finding {
    match &found.region {
        Some(region) => Finding::ok("region", region),
        None => Finding::fail(
            "region",
            "none is known",
            "give --region, set AWS_REGION, name the log group by its ARN, or put one into the profile",
        ),
    }
}

fn credentials(found: &Inspection) -> Finding {
    match &found.credentials {
        Ok(Identity { provider, key_ends, expires }) => {
            let now = clock::wall();
            let left = expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.saturating_sub(now));
            let end = left.map_or("without an end".to_owned(), |left| format!("for {} min", left.as_secs() / 60));
            let text = format!("from {provider}, key ...{key_ends}, {end}");
            match left {
                Some(left) if left < EXPIRES_SOON => {
                    Finding::warn("credentials", text, "see that whatever gives them gives new ones in time")
                }
                _ => Finding::ok("credentials", text),
            }
        }
        Err(why) => Finding::fail(
            "credentials",
            why,
            "give the task or instance a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a web \
             identity",
        ),
    }
}

fn endpoint(found: &Inspection, has_answered: bool) -> Vec<Finding> {
    let connection = match &found.connection {
        Ok(connection) => connection,
        Err(_) if found.region.is_none() => return Vec::new(),
        Err(why) => return vec![Finding::fail("endpoint", why, "give --region, or --endpoint-url")],
    };
    let Connection { url, addresses, connected } = connection;
    let say = |text: String, remedy: &str| {
        if has_answered {
            // Something between carries the calls: a proxy.
            Finding::warn("endpoint", text, "nothing, if calls are to go through a proxy: the service answers")
        } else {
            Finding::fail("endpoint", text, remedy)
        }
    };
    let one = match (addresses, connected) {
        (Err(why), _) => say(
            format!("{url} does not resolve: {why}"),
            "look at the region's and the endpoint's spelling, and at DNS (/etc/resolv.conf, the VPC's settings)",
        ),
        (Ok(_), Err(why)) => say(
            format!("{url} does not connect: {why}"),
            "let the way to it be open: security groups, a NAT gateway or a VPC endpoint for logs, the proxy",
        ),
        (Ok(addresses), Ok(())) => {
            let first = addresses.first().map_or(String::new(), |address| format!(" ({})", address.ip()));
            Finding::ok("endpoint", format!("{url} resolves{first} and connects"))
        }
    };
    vec![one]
}

const RIGHTS: &str = "grant logs:CreateLogStream and logs:PutLogEvents on the group";
const WRONG_KEYS: &str = "mend the credentials, or the clock if the service says that the request is too old";

/// What it says to a question that changes nothing, and that a run need not be allowed to ask.
fn service(place: &Address, answer: &Answer, create_group: bool) -> Finding {
    const NAME: &str = "service";
    let group = &place.group;
    match answer {
        Answer::Accepted(_) => Finding::ok(NAME, format!("answers, and log group {group} is there")),
        Answer::Throttled => Finding::ok(NAME, "answers: too many calls at this moment"),
        Answer::NotFound(_) if create_group => {
            Finding::ok(NAME, format!("answers; log group {group} is not there yet: --create-group makes it"))
        }
        Answer::NotFound(_) => Finding::fail(
            NAME,
            format!("answers, but log group {group} does not exist"),
            "create it, correct --log-group or --region, or give --create-group",
        ),
        Answer::Denied(why) if is_about_rights(why) => Finding::ok(
            NAME,
            "answers, and knows the credentials; it does not let them list streams, which a run does not need",
        ),
        Answer::Denied(why) => Finding::fail(NAME, why, WRONG_KEYS),
        Answer::Invalid(why) => Finding::fail(NAME, why, "look at --log-group, --region and --endpoint-url"),
        Answer::Unavailable { detail, .. } => {
            Finding::fail(NAME, detail, "see the endpoint's line, certificates (--ca-bundle) and proxies")
        }
    }
}

fn is_about_rights(why: &str) -> bool {
    ["AccessDenied", "NotAuthorized"].iter().any(|code| why.starts_with(code))
}

fn tried(place: &Address, answer: Option<&Answer>) -> Finding {
    const NAME: &str = "try";
    let place = format!("stream {} of log group {}", place.stream, place.group);
    match answer {
        None => Finding::fail(NAME, format!("no call was made to {place}"), "mend what is said above"),
        Some(Answer::Accepted(rejected)) if rejected.none() => {
            Finding::ok(NAME, format!("one event was stored in {place}"))
        }
        Some(Answer::Accepted(_)) => Finding::fail(
            NAME,
            format!("{place} took the call and refused the event for its time"),
            "set the clock right",
        ),
        Some(Answer::Throttled) => Finding::warn(NAME, format!("{place}: too many calls at this moment"), "try again"),
        Some(Answer::NotFound(why)) => Finding::fail(
            NAME,
            format!("{place}: {why}"),
            "create the group, correct --log-group or --region, or give --create-group",
        ),
        Some(Answer::Denied(why)) => {
            Finding::fail(NAME, format!("{place}: {why}"), if is_about_rights(why) { RIGHTS } else { WRONG_KEYS })
        }
        Some(Answer::Invalid(why)) => {
            Finding::fail(NAME, format!("{place}: {why}"), "look at the names and at --endpoint-url")
        }
        Some(Answer::Unavailable { detail, .. }) => {
            Finding::fail(NAME, format!("{place}: {detail}"), "see the lines above")
        }
    }
}
