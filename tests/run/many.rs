//! Much output: three writers as fast as they can into CloudWatch, every byte verified; and a line that never ends, in
//! bounded memory.

use std::fs;
use std::process::Command;

use crate::program::{GROUP, Logpump, Running, standin};
use crate::{on_both_engines, wait_for};

const LOAD: &str = env!("CARGO_BIN_EXE_logpump-load");
/// Of each writer. Fewer in an unoptimized build, which takes ten times as long for each.
const LINES: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn three_writers_at_full_speed_lose_double_and_alter_nothing() {
    on_both_engines(|engine| {
        let standin = standin(&[]);
        let lines = LINES.to_string();
        let mut run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
        for (writer, mode) in [("a", "line"), ("b", "split"), ("c", "bulk")] {
            run = run.command(&[LOAD, "write", "--writer", writer, "--count", &lines, "--mode", mode, "--no-times"]);
        }
        let ended = run.run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        ended.assert_all_delivered(3 * LINES, 3 * LINES * 150);
        let verified = Command::new(LOAD)
            .args(["verify", "--log-group", GROUP, "--endpoint-url", &standin.url, "--writers", "a,b,c"])
            .args(["--count", &lines, "--size", "150"])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&verified.stdout), String::from_utf8_lossy(&verified.stderr));
        assert_eq!(verified.status.code(), Some(0), "{out}{err}");
        assert_eq!(standin.stats()["errors"], serde_json::json!({}));
    });
}

/// Held back at its end, so that logpump's memory can still be asked for.
const ENDLESS_LINE: &str = "head -c 100000000 /dev/zero | tr '\\0' x; read line";
/// The most resident memory, which counts each page of the ring twice.
pub const PEAK_KB_MAX: u64 = 80_000;

fn assert_bounded(run: &Running) {
    let peak_kb = run.peak_kb();
    eprintln!("peak {peak_kb} kB");
    assert!(peak_kb < PEAK_KB_MAX, "{peak_kb} kB at the most");
}

#[test]
fn a_hundred_megabytes_without_a_newline_into_a_file() {
    on_both_engines(|engine| {
        let mut run = Logpump::new(engine).into_files().with_stdin().shell(ENDLESS_LINE).start();
        let found = || fs::metadata(run.place("logs/sh")).map_or(0, |file| file.len());
        wait_for("the file to fill", || (found() == 100_000_000).then_some(()), || format!("{} bytes", found()));
        assert_bounded(&run);
        drop(run.stdin.take());
        let ended = run.end();
        assert!(ended.file("sh").iter().all(|byte| *byte == b'x'));
        ended.assert_all_delivered(1, 100_000_000);
    });
}

#[test]
fn a_hundred_megabytes_without_a_newline_into_cloudwatch() {
    on_both_engines(|engine| {
        let standin = standin(&["--no-verify"]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).args(&["--drain-timeout", "100s"]);
        let mut run = run.with_stdin().shell(ENDLESS_LINE).start();
        // All but the last piece, which waits for its end.
        let pieces = 100_000_000 / 1_048_550;
        let arrived = || (standin.stats()["events"].as_u64()? >= pieces).then_some(());
        wait_for("the pieces", arrived, || standin.stats().to_string());
        assert_bounded(&run);
        drop(run.stdin.take());
        let ended = run.end();
        ended.assert_all_delivered(1, 100_000_000);
        let stats = standin.stats();
        assert_eq!((&stats["events"], &stats["message_bytes"]), (&(pieces + 1).into(), &100_000_000.into()));
    });
}

/// With the smallest rings, which a single read fills.
#[test]
fn as_many_commands_as_the_least_memory_takes_lose_nothing() {
    on_both_engines(|engine| {
        let mut run = Logpump::new(engine).args(&["--sink", "null", "--memory-max", "16MiB"]);
        for _ in 0..256 {
            run = run.shell("seq 1 5000");
        }
        let ended = run.run();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        ended.assert_all_delivered(256 * 5000, 256 * 23_893);
    });
}
