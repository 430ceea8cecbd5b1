//! `logpump run` in a terminal: a Python program holds the other side of a pseudo-terminal and types.

use std::process::Command;

use tempfile::TempDir;

/// Arguments: logpump's, then `:::`, then alternately what to await and what to type. Prints all output and the end.
const TYPIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/typist.py");

/// What the terminal showed.
fn typed(place: &TempDir, command: &[&str], steps: &[(&str, &str)]) -> String {
    let mut typist = Command::new("python3");
    typist.arg(TYPIST).arg(env!("CARGO_BIN_EXE_logpump"));
    // Without the tee the terminal shows nothing of what the child writes.
    typist.args(["run", "--tee", "--log-level", "warn", "--log-stream", "{name}", "--dir"]).arg(place.path());
    typist.arg("--").args(command).arg(":::");
    for (awaited, keys) in steps {
        typist.args([awaited, keys]);
    }
    let output = typist.output().expect("these tests need python3");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    shown
}

#[test]
fn an_interactive_shell_works_and_ctrl_c_reaches_what_runs_in_it() {
    let place = tempfile::tempdir().unwrap();
    let shown = typed(
        &place,
        &["bash", "--norc", "--noprofile", "-i"],
        &[
            ("prompt> ", "echo sum $((40+2)) $(tty >/dev/null && echo on a terminal)\r"),
            (
                "sum 42 on a terminal",
                "python3 -c 'print(\"as\" + \"leep\", flush=True); import time; time.sleep(1000)'\r",
            ),
            ("asleep", "\x03"),
            ("KeyboardInterrupt", "echo code $?\r"),
            ("code 130", "exit 7\r"),
        ],
    );
    assert!(shown.contains("the end: 7"), "{shown}");
    let file = std::fs::read_to_string(place.path().join("bash")).unwrap();
    assert!(file.contains("sum 42 on a terminal") && file.contains("code 130"), "{file}");
}

#[test]
fn ctrl_c_ends_a_plain_child_and_its_code_is_passed_on() {
    let place = tempfile::tempdir().unwrap();
    // Once echoed by the terminal, once written by cat.
    let shown = typed(&place, &["cat"], &[("", "hello\r"), ("hello\r\nhello\r\n", "\x03")]);
    assert!(shown.contains("the end: 130"), "{shown}");
    assert_eq!(std::fs::read(place.path().join("cat")).unwrap(), b"hello\n");
}
