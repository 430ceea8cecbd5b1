//! How fast entries go to disk, against `dd` with fdatasync of as many bytes in the same directory; CPU seconds of each.
//! `cargo bench --bench spool -- DIRECTORY [GIB]`, on the disk that is meant. Interleaved rounds: trust the ratios.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use logpump::spool::entry::{Address, Entry};
use logpump::spool::wire::{Event, Request};
use logpump::spool::{Options, SyncPolicy, start};
use logpump::sys::bell::Bell;

const ROUNDS: usize = 3;
/// A full body of 150-byte lines.
const PAYLOAD_BYTES: usize = 1_200_000;
const EVENTS: usize = 5_957;
/// As ship does, which bounds what it sends.
const IN_FLIGHT: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(directory) = arguments.first().map(PathBuf::from) else {
        // Among all benches of `cargo bench`: nothing was asked for.
        return println!("spool: give a directory on the disk that is meant");
    };
    let gib: f64 = arguments.get(1).map_or(1.0, |gib| gib.parse().expect("GIB is a number"));
    let entries = (gib * f64::from(1 << 30) / PAYLOAD_BYTES as f64) as u64;
    let mib = (entries * PAYLOAD_BYTES as u64) >> 20;
    println!("{mib} MiB in {}", directory.display());
    println!("{:<26}{:>10}{:>12}{:>14}", "", "MB/s", "of dd", "CPU s");
    for _ in 0..ROUNDS {
        let dd = line("dd bs=1M conv=fdatasync", mib, None, || dd(&directory, mib));
        for (name, sync, uring) in [
            ("std, interval", SyncPolicy::Interval, false),
            ("io_uring, interval", SyncPolicy::Interval, true),
            ("std, always", SyncPolicy::Always, false),
            ("io_uring, always", SyncPolicy::Always, true),
        ] {
            line(name, mib, Some(dd), || spool(&directory, entries, sync, uring));
        }
    }
}

fn line(name: &str, mib: u64, dd: Option<f64>, run: impl FnOnce() -> Duration) -> f64 {
    let cpu = cpu();
    let took = run();
    let cpu = self::cpu() - cpu;
    let rate = (mib << 20) as f64 / 1e6 / took.as_secs_f64();
    let ratio = dd.map_or(String::new(), |dd| format!("{:.2}", rate / dd));
    println!("{name:<26}{rate:>10.0}{ratio:>12}{:>14.2}", cpu.as_secs_f64());
    rate
}

/// Of this process, its threads and its children.
fn cpu() -> Duration {
    let ticks: u64 = std::fs::read_to_string("/proc/self/stat").map_or(0, |stat| {
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum()
    });
    Duration::from_millis(ticks * 10)
}

fn dd(directory: &Path, mib: u64) -> Duration {
    let file = directory.join("dd.tmp");
    let began = Instant::now();
    let status = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", "conv=fdatasync", "status=none"])
        .arg(format!("of={}", file.display()))
        .arg(format!("count={mib}"))
        .status()
        .expect("dd is there");
    let took = began.elapsed();
    assert!(status.success());
    std::fs::remove_file(file).expect("what was written can be removed");
    took
}

/// Until all is durable.
fn spool(directory: &Path, entries: u64, sync: SyncPolicy, uring: bool) -> Duration {
    let directory = tempfile::tempdir_in(directory).expect("the directory can be written");
    let options = Options { directory: directory.path().into(), bytes_max: u64::MAX, sync, uring, run: 1 };
    let bell = Bell::new().expect("an eventfd can be had");
    let spool = start(options, bell.clone()).expect("the spool starts");
    let entry = Arc::new(Entry {
        address: Arc::new(Address { group: "/g".into(), stream: "s".into(), ..Address::default() }),
        sequence: 0,
        first_ms: 0,
        last_ms: 0,
        serial: false,
        gzip: false,
        raw_lengths: vec![150; EVENTS],
        pieces: Vec::new(),
        payload: Bytes::from((0..PAYLOAD_BYTES).map(|at| at as u8).collect::<Vec<_>>()),
    });
    let began = Instant::now();
    let (mut sent, mut stored) = (0, 0);
    let mut ended = false;
    while !ended {
        while sent < entries && sent < stored + IN_FLIGHT {
            spool.send(Request::Store { ticket: sent, entry: entry.clone(), keep: false });
            sent += 1;
            if sent == entries {
                spool.send(Request::End);
            }
        }
        bell.wait(None);
        while let Some(event) = spool.try_next() {
            match event {
                Event::Stored { .. } => stored += 1,
                Event::Ended => ended = true,
                other => panic!("{other:?}"),
            }
        }
    }
    let took = began.elapsed();
    assert!(spool.join(Instant::now() + Duration::from_secs(10)));
    took
}
