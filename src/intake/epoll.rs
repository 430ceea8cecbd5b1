//! The engine for kernels and containers that refuse io_uring: epoll for armed pipes, read(2) for active ones. Same
//! pacing, same rules.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::sys::uring::{Read, ReadDone};

pub struct Epoll {
    epoll: OwnedFd,
    events: Vec<Event>,
    armed: usize,
}

impl Epoll {
    pub fn new(descriptors: usize) -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Ok(Epoll { epoll, events: vec![none; descriptors.max(1)], armed: 0 })
    }

    /// A descriptor stands in the set only while it is armed: a member, even a disabled one, costs its writer a call.
    pub fn arm(&mut self, token: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(&self.epoll, fd, EventData::new_u64(u64::from(token)), flags)?;
        self.armed += 1;
        Ok(())
    }

    /// Must follow every report of a token by `wait`, and may come before one.
    pub fn disarm(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.epoll, fd)?;
        self.armed -= 1;
        Ok(())
    }

    pub fn read_all<'a>(&mut self, reads: impl Iterator<Item = Read<'a>>, done: &mut Vec<ReadDone>) {
        for read in reads {
            let result = loop {
                match rustix::io::read(read.fd, &mut *read.buffer) {
                    Err(Errno::INTR) => {}
                    result => break result,
                }
            };
            done.push(ReadDone { token: read.token, result });
        }
    }

    /// As `Uring::wait`.
    pub fn wait(&mut self, timeout: Option<Duration>, early: bool, fired: &mut Vec<u32>) -> io::Result<()> {
        let timeout = match (timeout, early) {
            (Some(timeout), false) => {
                // epoll counts in milliseconds, and would let every armed pipe's writer wake us.
                std::thread::sleep(timeout);
                if self.armed == 0 {
                    return Ok(());
                }
                Some(Duration::ZERO)
            }
            // Rounded up: a wait that ends too early only comes back.
            (timeout, _) => timeout.map(|timeout| timeout + Duration::from_millis(1)),
        };
        let timeout = timeout
            .map(|timeout| Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) });
        let count = match epoll::wait(&self.epoll, &mut self.events[..], timeout.as_ref()) {
            Err(Errno::INTR) => 0,
            count => count?,
        };
        fired.extend(self.events[..count].iter().map(|event| event.data.u64() as u32));
        Ok(())
    }
}
