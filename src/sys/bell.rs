//! A bell: one thread rings, another sleeps on it. An eventfd, so that it can stand in an io_uring, an epoll set, a
//! poll(2) and a tokio reactor alike. A ring that nobody hears yet is kept until somebody does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub struct Bell {
    fd: OwnedFd,
}

impl Bell {
    pub fn new() -> io::Result<Arc<Bell>> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Bell { fd }))
    }

    /// Never waits: a counter that is full already rings.
    pub fn ring(&self) {
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Forgets all rings so far. Look for work after this, not before. True: there were some.
    pub fn clear(&self) -> bool {
        let mut count = [0u8; 8];
        rustix::io::read(&self.fd, &mut count).is_ok()
    }

    /// Sleeps until rung or until `timeout` has passed, then forgets the rings. For threads without a reactor.
    pub fn wait(&self, timeout: Option<Duration>) {
        let timeout = timeout
            .map(|timeout| Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) });
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let _ = poll(&mut fds, timeout.as_ref());
        self.clear();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The bell inside a tokio reactor.
pub struct AsyncBell {
    registered: AsyncFd<Descriptor>,
}

/// Keeps the bell, and so its descriptor, alive for as long as the reactor knows it.
struct Descriptor(Arc<Bell>);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

impl AsyncBell {
    /// Must be called inside a tokio runtime.
    pub fn new(bell: Arc<Bell>) -> io::Result<AsyncBell> {
        // SAFETY: `Descriptor` owns a share of the bell, whose descriptor is opened in `Bell::new`, never replaced and
        // closed only when the last share is dropped, which is after this AsyncFd.
        let registered = unsafe { AsyncFd::register_with_interest(Descriptor(bell), Interest::READABLE) }?;
        Ok(AsyncBell { registered })
    }

    /// Sleeps until rung, then forgets the rings. Safe to drop half-way.
    pub async fn wait(&self) {
        if let Ok(mut guard) = self.registered.readable().await {
            guard.get_inner().0.clear();
            guard.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        bell.wait(None);
        bell.wait(Some(Duration::ZERO));
    }
}
