//! One child on a terminal. A Python program holds the other side of a pseudo-terminal and types.

use std::process::Command;

use crate::Test;

pub const TESTS: &[Test] = &[
    ("what_is_typed_reaches_the_child_and_so_does_ctrl_c", what_is_typed_reaches_the_child),
    ("a_shell_has_job_control_inside", a_shell_has_job_control_inside),
    ("ctrl_z_gives_the_prompt_back_and_fg_the_child", ctrl_z_gives_the_prompt_back),
    ("in_the_background_a_child_waits_for_its_turn_to_read", in_the_background_a_child_waits),
    ("where_nobody_could_continue_it_ctrl_z_stops_nothing", where_nobody_could_continue_it),
    ("a_script_around_us_has_the_terminal_back_afterwards", a_script_around_us_has_the_terminal_back),
];

/// Arguments: the program's words, then `:::`, then alternately what to await and what to type. Prints all output and the
/// program's end. What is typed is echoed by the terminal, so it is awaited with what precedes its echo.
const TYPIST: &str = r#"
import os, pty, select, signal, sys, time
split = sys.argv.index(":::")
words, steps = sys.argv[1:split], sys.argv[split + 1:]
pid, tty = pty.fork()
if pid == 0:
    os.environ["PS1"] = "prompt> "
    os.execvp(words[0], words)
seen, at, deadline = b"", 0, time.monotonic() + 30
def more():
    global seen
    if not select.select([tty], [], [], max(0, deadline - time.monotonic()))[0]:
        os.kill(pid, signal.SIGKILL)
        sys.exit("awaited %r in vain; so far:\n%s" % (steps, seen.decode(errors="replace")))
    try:
        data = os.read(tty, 65536)
    except OSError:
        data = b""
    seen += data
    return data
while steps:
    wanted = steps[0].encode()
    found = seen.find(wanted, at)
    if found >= 0:
        at = found + len(wanted)
        os.write(tty, steps[1].encode())
        steps = steps[2:]
    elif not more():
        sys.exit("ended before %r; so far:\n%s" % (steps, seen.decode(errors="replace")))
while more():
    pass
status = os.waitpid(pid, 0)[1]
print(seen.decode(errors="replace").replace("\r\n", "\n"))
print("typist saw the end", os.waitstatus_to_exitcode(status))
"#;

/// What the terminal showed, and at its end how the program ended.
fn typed(words: &[&str], steps: &[(&str, &str)]) -> String {
    let mut typist = Command::new("python3");
    typist.args(["-c", TYPIST]).args(words).arg(":::");
    for (awaited, keys) in steps {
        typist.args([awaited, keys]);
    }
    let output = typist.output().expect("these tests need python3");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    shown
}

fn program() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

fn what_is_typed_reaches_the_child() {
    let shown = typed(
        &[&program(), "--supervise", "--terminal", "--", "cat"],
        // Once echoed by the terminal, once written by cat.
        &[("started 0", "hello\r"), ("hello\r\nhello\r\n", "\x03")],
    );
    assert!(shown.contains("ended 0 SIGINT (exit code 130)"), "{shown}");
    assert!(!shown.contains("stop began"), "{shown}");
    assert!(shown.contains("typist saw the end 130"), "{shown}");
}

fn a_shell_has_job_control_inside() {
    let shown = typed(
        &[&program(), "--supervise", "--terminal", "--", "bash", "--norc", "--noediting", "-i"],
        &[
            ("prompt> ", "cat\r"),
            ("cat\r\n", "one\r"),
            ("one\r\none\r\n", "\x1a"),
            ("Stopped", ""),
            ("prompt> ", "fg\r"),
            ("cat\r\n", "two\r"),
            ("two\r\ntwo\r\n", "\x04"),
            ("prompt> ", "exit 7\r"),
        ],
    );
    assert!(!shown.contains("no job control"), "{shown}");
    assert!(shown.contains("ended 0 exit code 7"), "{shown}");
}

fn ctrl_z_gives_the_prompt_back() {
    let run = format!("{} --supervise --terminal -- cat\r", program());
    let shown = typed(
        &["bash", "--norc", "--noediting", "-i"],
        &[
            ("prompt> ", &run),
            ("started 0", "one\r"),
            ("one\r\none\r\n", "\x1a"),
            ("Stopped", ""),
            ("prompt> ", "echo between\r"),
            ("between\r\nbetween\r\n", ""),
            ("prompt> ", "fg\r"),
            ("-- cat\r\n", "two\r"),
            ("two\r\ntwo\r\n", "\x04"),
            ("ended 0 exit code 0", ""),
            ("prompt> ", "exit 7\r"),
        ],
    );
    assert!(shown.contains("typist saw the end 7"), "{shown}");
}

fn in_the_background_a_child_waits() {
    let run = format!("{} --supervise --terminal -- cat &\r", program());
    let shown = typed(
        &["bash", "--norc", "--noediting", "-i"],
        &[
            ("prompt> ", &run),
            ("started 0", "\r"),
            // The child stops at its first read, and we with it; meanwhile what is typed is the shell's.
            ("prompt> ", "until jobs | grep -q Stopped; do sleep 0.02; done; echo waits for $?\r"),
            ("waits for 0", ""),
            ("prompt> ", "fg\r"),
            ("-- cat\r\n", "two\r"),
            ("two\r\ntwo\r\n", "\x03"),
            ("ended 0 SIGINT", ""),
            ("prompt> ", "exit 7\r"),
        ],
    );
    assert!(shown.contains("typist saw the end 7"), "{shown}");
}

fn where_nobody_could_continue_it() {
    // The supervisor leads the session, as a container's first process does: no shell is there to say fg.
    let shown = typed(
        &[&program(), "--supervise", "--terminal", "--", "cat"],
        &[("started 0", "one\r"), ("one\r\none\r\n", "\x1a"), ("^Z", "two\r"), ("two\r\ntwo\r\n", "\x04")],
    );
    assert!(shown.contains("ended 0 exit code 0"), "{shown}");
}

fn a_script_around_us_has_the_terminal_back() {
    // The shell without job control is in our group: it may read only if that is in the foreground again.
    let script = format!("{} --supervise --terminal -- true; read word; echo read $word", program());
    let shown = typed(&["sh", "-c", &script], &[("ended 0 exit code 0", "hello\r")]);
    assert!(shown.contains("read hello"), "{shown}");
    assert!(shown.contains("typist saw the end 0"), "{shown}");
}
