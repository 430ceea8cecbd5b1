//! Names: of children, log groups and log streams, within AWS's rules. Pure.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::limits::NAME_BYTES_MAX;
use crate::refusal::Refusal;

/// A log group, and the region if an ARN gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub region: Option<String>,
}

/// `NAME` or `arn:<partition>:logs:<region>:<account>:log-group:<name>[:*]`. Err: what is wrong with it.
pub fn group(text: &str) -> Result<Group, String> {
    let (name, region) = if text.starts_with("arn:") {
        let parts: Vec<_> = text.splitn(7, ':').collect();
        let [_, _, "logs", region, _, "log-group", rest] = parts[..] else {
            return Err(no_arn(text));
        };
        (rest.strip_suffix(":*").unwrap_or(rest), Some(region.to_owned()).filter(|region| !region.is_empty()))
    } else {
        (text, None)
    };
    let allowed = |character: char| character.is_ascii_alphanumeric() || ".-_/#".contains(character);
    if let Some(wrong) = name.chars().find(|character| !allowed(*character)) {
        return Err(format!("a log group's name has only letters, digits and . - _ / #, not {wrong:?} (in {name:?})"));
    }
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("a log group's name has 1 to {NAME_BYTES_MAX} characters, this one {}", name.len()));
    }
    if name.starts_with("aws/") {
        return Err("names that begin with aws/ are AWS's own".to_owned());
    }
    Ok(Group { name: name.to_owned(), region })
}

/// The same, of an ARN only.
pub fn arn(text: &str) -> Result<Group, String> {
    if text.starts_with("arn:") { group(text) } else { Err(no_arn(text)) }
}

fn no_arn(text: &str) -> String {
    format!("{text} is not the ARN of a log group: arn:PARTITION:logs:REGION:ACCOUNT:log-group:NAME is")
}

/// Splits `a b -- c d` into commands.
pub fn commands(words: &[OsString]) -> Result<Vec<Vec<OsString>>, Refusal> {
    let commands: Vec<_> = words.split(|word| word == "--").map(<[OsString]>::to_vec).collect();
    if commands.iter().any(Vec::is_empty) {
        return Err(Refusal::usage("a -- stands without a command behind it"));
    }
    if commands.iter().any(|command| command[0].is_empty()) {
        return Err(Refusal::usage("a command's name is empty"));
    }
    Ok(commands)
}

/// A name for each program: the one that it is given, or its base name; further ones of the same name get -2, -3.
pub fn children<'a>(programs: impl Iterator<Item = (&'a OsStr, Option<&'a str>)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (program, given) in programs {
        let base = clean(&given.map_or_else(|| base_name(program), str::to_owned));
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !names.contains(name));
        names.push(name.expect("the numbers do not end"));
    }
    names
}

fn base_name(command: &OsStr) -> String {
    Path::new(command).file_name().unwrap_or(command).to_string_lossy().into_owned()
}

/// What a stream's name is made of.
pub struct Parts<'a> {
    pub hostname: &'a str,
    pub start: &'a str,
}

/// Fills the template in. Err: what is wrong with it.
pub fn stream(template: &str, child: &str, parts: &Parts<'_>) -> Result<String, String> {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let Some((key, after)) = after.split_once('}') else {
            return Err(format!("a {{ is not closed in {template:?}"));
        };
        name.push_str(match key {
            "name" => child,
            "hostname" => parts.hostname,
            "start" => parts.start,
            _ => {
                return Err(format!(
                    "{{{key}}} is not known in {template:?}; known are {{name}}, {{hostname}} and {{start}}"
                ));
            }
        });
        rest = after;
    }
    name.push_str(rest);
    let name = clean(&name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("a log stream's name has 1 to {NAME_BYTES_MAX} bytes, {name:?} has {}", name.len()));
    }
    Ok(name)
}

/// AWS forbids ':' and '*' in a log stream's name; control characters would only make trouble.
fn clean(name: &str) -> String {
    name.replace(|character: char| character == ':' || character == '*' || character.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_group_is_a_name_or_an_arn_that_also_gives_the_region() {
        let plain = group("/my/app#1").unwrap();
        assert_eq!(plain, Group { name: "/my/app#1".into(), region: None });
        for end in ["", ":*"] {
            let arn = format!("arn:aws-cn:logs:cn-north-1:123456789012:log-group:airflow-env-Scheduler{end}");
            let expected = Group { name: "airflow-env-Scheduler".into(), region: Some("cn-north-1".into()) };
            assert_eq!(group(&arn).unwrap(), expected);
        }
    }

    #[test]
    fn a_wrong_group_is_refused_with_what_is_wrong() {
        for (text, complaint) in [
            ("my group", "' '"),
            ("", "1 to 512"),
            ("aws/x", "AWS's own"),
            ("arn:aws:s3:::bucket", "not the ARN of a log group"),
            ("arn:aws:logs:us-east-1:1:log-group:a:log-stream:b", "':'"),
        ] {
            let found = group(text).unwrap_err();
            assert!(found.contains(complaint), "{found}");
        }
        assert!(group(&"x".repeat(513)).is_err());
    }

    #[test]
    fn commands_are_separated_by_a_lone_double_dash() {
        let expected = vec![words("a -x"), words("b --y")];
        assert_eq!(commands(&words("a -x -- b --y")).unwrap(), expected);
        for wrong in ["a --", "-- a", "a -- -- b"] {
            assert!(commands(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn further_children_of_a_name_are_numbered() {
        let names =
            |programs: &[&'static str], given| children(programs.iter().map(|program| (OsStr::new(program), given)));
        let programs = ["/usr/bin/python3", "python3", "sh", "./python3"];
        assert_eq!(names(&programs, None), ["python3", "python3-2", "sh", "python3-3"]);
        assert_eq!(names(&programs, Some("app")), ["app", "app-2", "app-3", "app-4"]);
        assert_eq!(names(&["a:b", "a*b"], None), ["a_b", "a_b-2"]);
    }

    #[test]
    fn the_template_is_filled_in_and_forbidden_characters_are_replaced() {
        let parts = Parts { hostname: "host:1", start: "1763.5" };
        assert_eq!(stream("p/{name}_{hostname}_{start}.log", "a*b", &parts).unwrap(), "p/a_b_host_1_1763.5.log");
    }

    #[test]
    fn a_wrong_template_is_refused() {
        let parts = Parts { hostname: "h", start: "1" };
        for (template, complaint) in [("{nam}", "{nam} is not known"), ("{name", "not closed"), ("", "1 to 512")] {
            let message = stream(template, "a", &parts).unwrap_err();
            assert!(message.contains(complaint), "{message}");
        }
    }
}
