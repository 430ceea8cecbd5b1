//! logpump as PID 1 of a namespace, as in a container: orphans are reaped, and nothing of theirs is taken for the child's.

use crate::on_both_engines;
use crate::program::Logpump;

/// Orphans with a code of their own; done when no process is left that has ended and was not reaped.
const SCRIPT: &str = r#"
n=0
while [ $n -lt 200 ]; do sh -c '(exit 7) & exit'; n=$((n + 1)); done
echo "PID $PPID above"
while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done
echo reaped
exit 3
"#;

#[test]
fn two_hundred_orphans_leave_no_zombie_and_the_childs_code_is_its_own() {
    const BECOME: &str = "exec unshare --pid --fork --mount-proc \"$@\"";
    let works = std::process::Command::new("sh").args(["-c", BECOME, "sh", "true"]).output().unwrap();
    if !works.status.success() {
        eprintln!("not run: this user may not make a namespace: {}", String::from_utf8_lossy(&works.stderr));
        return;
    }
    on_both_engines(|engine| {
        let ended = Logpump::new(engine).into_files().shell(SCRIPT).behind_shell(BECOME).run();
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert_eq!(String::from_utf8_lossy(&ended.file("sh")), "PID 1 above\nreaped\n", "{}", ended.said);
        ended.assert_all_delivered(2, 19);
    });
}
