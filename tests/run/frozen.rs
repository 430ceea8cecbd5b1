//! A spool whose disk stands still for a while, by the kernel's own freezing of its file system.

use std::fs;
use std::io::Write;

use rustix::process::Signal;

use crate::own_disk::{Frozen, OwnDisk};
use crate::program::{Logpump, standin};
use crate::service::set;
use crate::spool::{OUTAGE, adopter, files};
use crate::{on_both_engines, wait_for};

#[test]
fn what_waited_for_a_disk_that_stood_still_survives_a_kill_afterwards() {
    on_both_engines(|engine| {
        let Some(disk) = OwnDisk::make() else { return };
        let standin = standin(&["--fault", OUTAGE]);
        let run = Logpump::new(engine).into_cloudwatch(&standin.url).arg("--spool-dir").arg(disk.spool());
        let run = run.args(&["--durable", "--flush-interval", "10ms", "--drain-timeout", "100s"]);
        let run = run.shell("seq 1 100; read line; for at in $(seq 101 200); do echo $at; sleep 0.06; done; read line");
        let mut run = disk.mounted(run).with_stdin().start();
        run.wait_said("INFO lines go to");
        let inside = disk.inside(&run);
        let stored = || {
            let segments = files(&inside, ".seg").into_iter().filter_map(|path| fs::read(path).ok());
            segments.map(|bytes| String::from_utf8_lossy(&bytes).matches("\"message\"").count()).sum::<usize>()
        };
        wait_for("the first lines in the spool", || (stored() == 100).then_some(()), || stored().to_string());
        let Some(frozen) = Frozen::freeze(&inside) else { return };
        run.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        run.wait_said("the spool does not answer");
        drop(frozen);
        run.wait_said("the spool takes bodies again");
        wait_for("what waited in the spool", || (stored() == 200).then_some(()), || stored().to_string());
        run.signal(Signal::KILL);
        run.end_without_report();
        set(&standin, "");
        let next = disk.mounted(adopter(engine, &standin.url, disk.spool()).command(&["true"])).run();
        assert_eq!(
            (next.total("/adopted").0, next.total("/delivered").0),
            (200, 200),
            "{:#}\n{}",
            next.report,
            next.said
        );
        assert_eq!(standin.stats()["events"], 200);
    });
}
