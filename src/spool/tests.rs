//! The spool as ship sees it: threads, files, both engines.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;

use super::entry::{Address, Entry};
use super::wire::{EntryId, Refusal};
use super::*;
use crate::ledger::Count;

const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn entry(stream: &str, sequence: u64, payload_bytes: usize) -> Entry {
    let address = Address { group: "/g".into(), stream: stream.into(), ..Address::default() };
    let payload: Vec<u8> = (0..payload_bytes).map(|at| (at as u64 * 31 + sequence) as u8).collect();
    Entry {
        address: Arc::new(address),
        sequence,
        first_ms: sequence as i64,
        last_ms: sequence as i64 + 1,
        serial: false,
        gzip: true,
        raw_lengths: vec![100, 50],
        pieces: Vec::new(),
        payload: Bytes::from(payload),
    }
}

struct Rig {
    spool: Handle,
    bell: Arc<Bell>,
    early: VecDeque<Event>,
}

impl Rig {
    fn start(directory: &Path, uring: bool) -> Rig {
        Rig::start_with(Options {
            directory: directory.to_owned(),
            bytes_max: 1 << 30,
            sync: SyncPolicy::Interval,
            uring,
            run: 1000,
        })
    }

    fn start_with(options: Options) -> Rig {
        let bell = Bell::new().unwrap();
        Rig { spool: start(options, bell.clone()).unwrap(), bell, early: VecDeque::new() }
    }

    /// The next event that is not about other runs, the disk's room or what is gone.
    fn answer(&mut self) -> Event {
        self.event(|event| {
            let of_others = matches!(event, Event::Searched | Event::Adopted { .. } | Event::SetAside { .. });
            !of_others && !matches!(event, Event::Freed { .. } | Event::Gone { .. } | Event::HeldGone { .. })
        })
    }

    fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        if let Some(at) = self.early.iter().position(&wanted) {
            return self.early.remove(at).unwrap();
        }
        let deadline = clock::now() + DEADLINE;
        loop {
            match self.spool.try_next() {
                Some(event) if wanted(&event) => return event,
                Some(event) => self.early.push_back(event),
                None => {
                    assert!(!self.spool.is_dead(), "the spool died; so far: {:?}", self.early);
                    assert!(clock::now() < deadline, "nothing came; so far: {:?}", self.early);
                    self.bell.wait(Some(deadline.saturating_duration_since(clock::now())));
                }
            }
        }
    }

    fn store(&mut self, entry: Entry, keep: bool) -> EntryId {
        self.spool.send(Request::Store { ticket: 5, entry: Arc::new(entry), keep });
        match self.answer() {
            Event::Stored { ticket: 5, id, bytes } if bytes > 0 => id,
            other => panic!("{other:?}"),
        }
    }

    fn load(&mut self) -> Option<(EntryId, Entry)> {
        self.spool.send(Request::Load { except: Vec::new() });
        match self.answer() {
            Event::Loaded { id, entry } => Some((id, *entry)),
            Event::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    fn end(mut self) {
        self.spool.send(Request::End);
        assert_eq!(self.event(|event| *event == Event::Ended), Event::Ended);
        // Its lock goes with its thread.
        assert!(self.spool.join(clock::now() + DEADLINE));
    }
}

fn engines() -> Vec<bool> {
    // Where io_uring is refused, that is all there is to test.
    let uring = tokio_uring::Runtime::new(tokio_uring::builder().entries(URING_ENTRIES)).is_ok();
    if uring { vec![false, true] } else { vec![false] }
}

fn runs_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_stored_is_loaded_in_order_and_gone_when_done() {
    for uring in engines() {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Rig::start(directory.path(), uring);
        for sequence in 0..20 {
            rig.store(entry("s", sequence, 100_000), false);
        }
        for sequence in 0..20 {
            let (id, loaded) = rig.load().unwrap();
            assert_eq!(loaded, entry("s", sequence, 100_000));
            rig.spool.send(Request::Done(id));
        }
        assert_eq!(rig.load(), None);
        rig.end();
        assert_eq!(runs_in(directory.path()), [""; 0]);
    }
}

#[test]
fn the_next_run_adopts_what_the_last_one_left() {
    for (uring, sync) in engines().into_iter().zip([SyncPolicy::Always, SyncPolicy::Never]) {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { directory: directory.path().to_owned(), bytes_max: 1 << 30, sync, uring, run: 0xabc };
        let mut first = Rig::start_with(options.clone());
        let done = first.store(entry("a", 0, 3_000_000), true);
        first.store(entry("a", 1, 10), true);
        first.store(entry("b", 0, 70_000), false);
        first.spool.send(Request::Done(done));
        first.end();
        assert_eq!(runs_in(directory.path()), ["0000000000000abc"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let run = directory.path().join("0000000000000abc");
        assert_eq!((mode(&run), mode(&run.join("00000000.seg"))), (0o700, 0o600));

        let mut second = Rig::start_with(options);
        second.store(entry("a", 2, 10), false);
        let adopted = second.event(|event| matches!(event, Event::Adopted { .. }));
        let Event::Adopted { run: 1, entries: 2, count, .. } = adopted else { panic!("{adopted:?}") };
        assert_eq!(count, Count::new(4, 300));
        let (first, one) = second.load().unwrap();
        let (_, two) = second.load().unwrap();
        let (_, three) = second.load().unwrap();
        assert_eq!(first, EntryId { run: 1, segment: 0, index: 1 });
        assert_eq!([one, two, three], [entry("a", 1, 10), entry("b", 0, 70_000), entry("a", 2, 10)]);
        assert_eq!(second.load(), None);
        second.spool.send(Request::Done(first));
        second.spool.send(Request::Done(EntryId { run: 1, segment: 0, index: 2 }));
        second.spool.send(Request::Done(EntryId { run: 0, segment: 0, index: 0 }));
        second.event(|event| matches!(event, Event::Freed { .. }));
        second.end();
        assert_eq!(runs_in(directory.path()), [""; 0]);
    }
}

#[test]
fn a_run_that_goes_on_is_not_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Rig::start(directory.path(), false);
    first.store(entry("a", 0, 10), false);
    let mut second = Rig::start(directory.path(), false);
    assert_eq!(second.load(), None);
    assert_eq!(runs_in(directory.path()).len(), 2);
    assert_eq!(first.load().unwrap().1, entry("a", 0, 10));
    second.end();
    first.end();
    assert_eq!(runs_in(directory.path()).len(), 1);
}

#[test]
fn a_run_that_goes_on_is_not_adopted_whatever_was_removed_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let run = root.create(7).unwrap();
    run.create(0).unwrap();
    fs::remove_file(directory.path().join("0000000000000007/lock")).unwrap();
    assert_eq!(root.adopt().0.len(), 0);
    drop(run);
    assert_eq!(root.adopt().0.len(), 1);
}

#[test]
fn links_and_what_others_may_write_are_not_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), directory.path().join("0000000000000001")).unwrap();
    let open = directory.path().join("0000000000000002");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let (adopted, notices) = Root::open(directory.path()).unwrap().adopt();
    assert_eq!(adopted.len(), 0);
    let said = notices.join("\n");
    assert!(said.contains("0000000000000001 is not adopted: it is a symbolic link, or no directory"), "{said}");
    assert!(said.contains("0000000000000002 is not adopted: others than its owner may write into it"), "{said}");

    let link = elsewhere.path().join("link");
    symlink(directory.path(), &link).unwrap();
    let refused = Root::open(&link).err().unwrap().to_string();
    assert!(refused.contains("symbolic link") && refused.contains("--spool-dir"), "{refused}");
}

#[test]
fn a_directory_that_is_removed_while_it_is_used_is_made_again() {
    for uring in engines() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("spool");
        let mut rig = Rig::start(&directory, uring);
        let lost = rig.store(entry("s", 0, 10), false);
        fs::remove_dir_all(&directory).unwrap();
        let id = rig.store(entry("s", 1, 10), false);
        let gone = rig.event(|event| matches!(event, Event::Gone { .. }));
        assert_eq!(gone, Event::Gone { run: 0, key: entry("s", 0, 10).address.key(), sum: entry("s", 0, 10).sum() });
        assert_ne!(id.segment, lost.segment);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let run = directory.join(&runs_in(&directory)[0]);
        assert_eq!((mode(&directory), mode(&run)), (0o700, 0o700));
        assert_eq!(Root::open(&directory).unwrap().adopt().0.len(), 0, "it is locked as before");
        rig.end();
        let mut next = Rig::start(&directory, uring);
        assert_eq!(next.load().unwrap().1, entry("s", 1, 10));
        next.end();
    }
}

#[test]
fn left_overs_of_a_start_that_did_not_end_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(".new-0000000000000001")).unwrap();
    fs::create_dir(directory.path().join(".new-0000000000000002")).unwrap();
    fs::write(directory.path().join(".new-0000000000000002/lock"), "").unwrap();
    fs::create_dir(directory.path().join("0000000000000003")).unwrap();
    let (adopted, notices) = Root::open(directory.path()).unwrap().adopt();
    assert_eq!((adopted.len(), notices, runs_in(directory.path())), (0, vec![], vec![]));
}

#[test]
fn where_nothing_can_be_written_the_error_says_what_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let options = Options { directory: path.clone(), bytes_max: 1, sync: SyncPolicy::Never, uring: false, run: 1 };
        let mut rig = Rig::start_with(options);
        let absent = rig.event(|event| matches!(event, Event::Absent { .. }));
        let Event::Absent { why } = absent else { panic!("{absent:?}") };
        assert!(why.contains(&path.display().to_string()) && why.contains("--spool-dir"), "{why}");
        assert!(!rig.spool.presence().load(Ordering::Acquire));
        assert!(rig.spool.join(clock::now() + DEADLINE), "to have no directory is no failure of the thread");
    }
}

#[test]
fn a_spool_that_is_full_says_so_and_takes_more_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start_with(Options {
        directory: directory.path().to_owned(),
        bytes_max: 2_500_000,
        sync: SyncPolicy::Interval,
        uring: false,
        run: 1,
    });
    let first = rig.store(entry("s", 0, 1_200_000), true);
    let second = rig.store(entry("s", 1, 1_200_000), true);
    rig.spool.send(Request::Store { ticket: 9, entry: Arc::new(entry("s", 2, 1_200_000)), keep: true });
    let refused = rig.answer();
    assert!(matches!(&refused, Event::Refused { ticket: 9, why: Refusal::Full(why) } if why.contains("--spool-max")));
    assert_ne!(first.segment, second.segment);
    rig.spool.send(Request::Done(first));
    rig.event(|event| matches!(event, Event::Freed { .. }));
    rig.store(entry("s", 2, 1_200_000), true);
    rig.end();
}

#[test]
fn a_handle_that_is_dropped_ends_the_thread_and_keeps_what_is_there() {
    for uring in engines() {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Rig::start(directory.path(), uring);
        rig.store(entry("s", 0, 10), true);
        let (over, bell) = (rig.spool.over.clone(), rig.bell.clone());
        drop(rig);
        let deadline = clock::now() + DEADLINE;
        while !over.load(Ordering::Acquire) {
            assert!(clock::now() < deadline, "the thread goes on");
            bell.wait(Some(Duration::from_millis(10)));
        }
        let mut next = Rig::start(directory.path(), uring);
        assert_eq!(next.load().unwrap().1, entry("s", 0, 10));
        next.end();
    }
}

#[test]
fn a_directory_that_another_process_has_locked_is_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::open(directory.path()).unwrap();
    drop(root.create(7).unwrap());
    fs::write(directory.path().join("0000000000000007/00000000.seg"), "what another run wrote").unwrap();
    let mut holder = std::process::Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(directory.path().join("0000000000000007"))
        .args(["sh", "-c", "echo locked; exec cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock of util-linux is there");
    let mut said = [0; 6];
    io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!((&said, root.adopt().0.len()), (b"locked", 0));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let adopted = root.adopt().0;
    assert_eq!((adopted.len(), adopted[0].1.segments.len()), (1, 1));
}

#[test]
fn a_thread_that_panicked_is_no_spool() {
    for panics in [false, true] {
        let [over, present] = [false, true].map(|is| Arc::new(AtomicBool::new(is)));
        let at_end = AtEnd { over: over.clone(), present: present.clone(), bell: Bell::new().unwrap() };
        let thread = std::thread::spawn(move || {
            let _at_end = at_end;
            assert!(!panics, "on purpose");
        });
        assert_eq!(thread.join().is_err(), panics);
        assert_eq!([over, present].map(|is| is.load(Ordering::Acquire)), [true, !panics]);
    }
}
