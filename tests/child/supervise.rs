//! The program under observation: a supervisor that prints each event as a line, beside its children's output.
//! `--supervise [OPTIONS] -- COMMAND [-- COMMAND]...`; ends with the last child, with the first non-zero code.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use logpump::child::{Event, Spec, Stop, Supervisor, Terminal};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, Rlimit, getpid, setrlimit};

#[derive(Default)]
struct Options {
    grace: Duration,
    /// Orphans fall to us.
    subreaper: bool,
    /// pidfd_open is refused.
    no_pidfd: bool,
    /// As logpump decides, instead of a session of its own.
    terminal: bool,
    /// A write of ours finds no reader.
    broken_write: bool,
    /// A library of ours has a child of its own.
    foreign: bool,
}

pub fn main(args: &[String]) -> ExitCode {
    let (options, commands) = parse(args);
    no_cores();
    say(&format!("inherited {}", open_descriptors()));
    if options.subreaper {
        rustix::process::set_child_subreaper(Some(getpid())).unwrap();
    }
    let mut supervisor = Supervisor::new().unwrap();
    let wake = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let terminal = match options.terminal {
        true => Terminal::choose(commands.len()),
        false => Terminal::OwnSession,
    };
    if options.no_pidfd {
        no_more_descriptors();
    }
    for (index, argv) in commands.iter().enumerate() {
        let spec = Spec {
            name: format!("child-{index}"),
            argv: argv.iter().map(OsString::from).collect(),
            env: Vec::new(),
            directory: None,
            stop: Stop::after(options.grace),
        };
        let output = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
        match supervisor.spawn(&spec, output, terminal) {
            Ok(child) => say(&format!("started {child}")),
            Err(error) => {
                say(&format!("refused {} {error}", error.exit_code()));
                return ExitCode::from(error.exit_code());
            }
        }
    }
    if options.no_pidfd {
        say(&format!("pidfds {}", pidfds()));
    }
    if options.broken_write {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        assert_eq!(rustix::io::write(&writer, b"x"), Err(rustix::io::Errno::PIPE));
        say("broken write done");
    }
    let library = options.foreign.then(|| std::thread::spawn(wait_for_a_foreign_child));
    let code = events(&mut supervisor, wake.as_fd());
    if let Some(library) = library {
        library.join().unwrap();
    }
    ExitCode::from(code)
}

fn events(supervisor: &mut Supervisor, wake: std::os::fd::BorrowedFd<'_>) -> u8 {
    let mut code = 0;
    while supervisor.running() > 0 {
        let event = supervisor.next(wake, None);
        match event {
            Event::Ended { child, status } => {
                say(&format!("ended {child} {status}"));
                code = if code == 0 { status.code() } else { code };
            }
            Event::StopBegan { signal } => {
                let stop = supervisor.stopping().unwrap();
                assert_eq!(stop.signal, signal);
                say(&format!("stop began {signal}"));
            }
            Event::StopHastened => say("stop hastened"),
            Event::Warning(text) => say(&format!("warning {text}")),
            Event::Woken | Event::Deadline => say("unexpected"),
        }
    }
    code
}

/// A credential_process, say. Its owner is slow: it waits only after it has seen that its child lies there, ended.
fn wait_for_a_foreign_child() {
    let mut foreign = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let status = format!("/proc/{}/status", foreign.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(Instant::now() < deadline, "the foreign child did not end");
        std::thread::yield_now();
    }
    say(&format!("foreign {:?}", foreign.wait().map(|status| status.code())));
}

fn parse(args: &[String]) -> (Options, Vec<Vec<String>>) {
    let mut parts = args.split(|arg| arg == "--");
    let mut options = Options { grace: Duration::from_secs(3600), ..Options::default() };
    let mut words = parts.next().unwrap_or_default().iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--grace-ms" => {
                options.grace = Duration::from_millis(words.next().unwrap().parse().unwrap());
            }
            "--subreaper" => options.subreaper = true,
            "--no-pidfd" => options.no_pidfd = true,
            "--terminal" => options.terminal = true,
            "--broken-write" => options.broken_write = true,
            "--foreign" => options.foreign = true,
            other => panic!("unknown option {other}"),
        }
    }
    (options, parts.map(<[String]>::to_vec).collect())
}

/// One write each, so that lines stay whole beside the children's.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Without the one that lists them.
fn open_descriptors() -> String {
    let mut open: Vec<u32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    open.sort_unstable();
    open.retain(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok());
    open.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

fn pidfds() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.to_string_lossy().contains("[pidfd]"))
        .count()
}

fn no_cores() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).unwrap();
}

/// The next descriptor is refused with EMFILE.
fn no_more_descriptors() {
    use std::os::fd::AsRawFd;
    let spare = std::fs::File::open("/dev/null").unwrap();
    // One more for the copy of the output.
    let limit = spare.as_raw_fd() as u64 + 1;
    let old = rustix::process::getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: old.maximum }).unwrap();
}
