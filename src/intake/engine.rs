//! The two engines behind one face: arm a descriptor, read many at once, sleep.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::epoll::Epoll;
use crate::sys::uring::{Read, ReadDone, Uring};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Uring,
    Epoll,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Uring => "uring",
            Kind::Epoll => "epoll",
        })
    }
}

pub enum Engine {
    Uring(Box<Uring>),
    Epoll(Epoll),
}

impl Engine {
    /// For so many descriptors, used by the calling thread alone.
    pub fn new(kind: Kind, descriptors: usize) -> io::Result<Engine> {
        Ok(match kind {
            Kind::Uring => Engine::Uring(Box::new(Uring::new(descriptors)?)),
            Kind::Epoll => Engine::Epoll(Epoll::new(descriptors)?),
        })
    }

    pub fn kind(&self) -> Kind {
        match self {
            Engine::Uring(_) => Kind::Uring,
            Engine::Epoll(_) => Kind::Epoll,
        }
    }

    /// Asks for `token` to be reported once by `wait`.
    pub fn arm(&mut self, token: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Engine::Uring(uring) => uring.arm(token, fd),
            Engine::Epoll(epoll) => epoll.arm(token, fd),
        }
    }

    /// After `token` was reported.
    pub fn fired(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Engine::Uring(_) => Ok(()),
            Engine::Epoll(epoll) => epoll.disarm(fd),
        }
    }

    /// Takes back an `arm` that has not been reported.
    pub fn disarm(&mut self, token: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Engine::Uring(uring) => uring.disarm(token),
            Engine::Epoll(epoll) => epoll.disarm(fd),
        }
    }

    pub fn read_all<'a>(&mut self, reads: impl Iterator<Item = Read<'a>>, done: &mut Vec<ReadDone>) -> io::Result<()> {
        match self {
            Engine::Uring(uring) => uring.read_all(reads, done),
            Engine::Epoll(epoll) => {
                epoll.read_all(reads, done);
                Ok(())
            }
        }
    }

    /// Sleeps until an armed descriptor fires (`early`), or through all of `timeout`; appends the tokens that fired.
    pub fn wait(&mut self, timeout: Option<Duration>, early: bool, fired: &mut Vec<u32>) -> io::Result<()> {
        match self {
            Engine::Uring(uring) => uring.wait(timeout, early, fired),
            Engine::Epoll(epoll) => epoll.wait(timeout, early, fired),
        }
    }
}
