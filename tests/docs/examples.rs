//! The examples of platforms: each is what the platform takes, its settings are logpump's, and its stop fits in what is granted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{between, document, venv};

const TASK: &str = "examples/ecs/task-definition.json";
const POD: &str = "examples/kubernetes/pod.yaml";

/// Prints the pod as JSON, and fails where AWS's own model of the service would refuse the task definition. It asks nobody.
const PYTHON: &str = "
import json, sys, yaml, botocore.session, botocore.validate
task, pod = sys.argv[1:]
shape = botocore.session.get_session().get_service_model('ecs').operation_model('RegisterTaskDefinition').input_shape
report = botocore.validate.ParamValidator().validate(json.load(open(task)), shape)
sys.exit(report.generate_report()) if report.has_errors() else None
print(json.dumps(yaml.safe_load(open(pod))))
";

/// A container that runs logpump.
struct Container {
    words: Vec<String>,
    env: BTreeMap<String, String>,
    stop_s: u64,
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned())
}

fn container(value: &Value, words: [&str; 2], env: &str, stop: &Value) -> Container {
    let pair = |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["value"].as_str().unwrap().to_owned());
    Container {
        words: words.into_iter().flat_map(|key| texts(&value[key])).collect(),
        env: value[env].as_array().expect("variables").iter().map(pair).collect(),
        stop_s: stop.as_u64().expect("seconds"),
    }
}

fn containers() -> [Container; 2] {
    let root = crate::root();
    let output = Command::new(venv::python_with(&["boto3==1.44.5", "pyyaml==6.0.3"]))
        .args(["-c", PYTHON])
        .args([root.join(TASK), root.join(POD)])
        .output()
        .expect("cannot run Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let task: Value = serde_json::from_str(&document(TASK)).unwrap();
    let pod: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_task = &task["containerDefinitions"][0];
    let of_pod = &pod["spec"]["containers"][0];
    [
        container(of_task, ["entryPoint", "command"], "environment", &of_task["stopTimeout"]),
        container(of_pod, ["command", "args"], "env", &pod["spec"]["terminationGracePeriodSeconds"]),
    ]
}

#[test]
fn the_examples_of_platforms_are_valid_and_their_stop_fits() {
    for Container { words, env, stop_s } in containers() {
        assert_eq!(words[..3], ["/usr/local/bin/logpump", "run", "--"]);
        let mut printed = Command::new(env!("CARGO_BIN_EXE_logpump"));
        printed.env_clear().envs(&env).args(["run", "--print-config"]).args(&words[2..]);
        let output = printed.output().expect("cannot run logpump");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for name in env.keys().filter_map(|name| name.strip_prefix("LOGPUMP_")) {
            let option = format!("#   --{} ", name.to_lowercase().replace('_', "-"));
            let is_heard = |line: &str| line.starts_with(&option) && line.ends_with("  (environment)");
            assert!(said.lines().any(is_heard), "{option}: {said}");
        }
        let times = ["LOGPUMP_GRACE", "LOGPUMP_EOF_GRACE", "LOGPUMP_DRAIN_TIMEOUT"];
        let seconds = times.map(|name| env[name].trim_end_matches('s').parse::<u64>().expect("seconds"));
        assert!(seconds.iter().sum::<u64>() + 2 < stop_s, "{seconds:?} and 2 s, yet {stop_s} are granted");
    }
}

#[test]
fn every_variable_of_ours_that_documents_and_examples_name_exists() {
    let mut known = BTreeSet::new();
    for verb in ["run", "mwaa"] {
        let help = Command::new(env!("CARGO_BIN_EXE_logpump")).args([verb, "--help"]).output().unwrap().stdout;
        known.extend(between(&String::from_utf8(help).unwrap(), "[env: ", "]").map(of_help));
    }
    assert!(known.len() > 30, "{known:?}");
    let examples = [TASK, POD, "compose.yaml", "examples/layer/Dockerfile", "examples/mwaa/Dockerfile"];
    for name in crate::DOCUMENTS.into_iter().chain(examples) {
        let text = document(name);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        // With something behind it: a document speaks of all that begin so, too.
        let ours = words.filter(|word| word.starts_with("LOGPUMP_") && *word != "LOGPUMP_");
        let unknown: Vec<_> = ours.filter(|word| !known.contains(*word)).collect();
        assert!(unknown.iter().all(|word| word.starts_with("LOGPUMP_TEST_")), "{name}: {unknown:?}");
    }
}

/// Behind the name stands its value of today.
fn of_help(text: &str) -> String {
    text.split('=').next().expect("a name").to_owned()
}
