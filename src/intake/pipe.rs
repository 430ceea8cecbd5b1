//! The pipe between a child and us: as large as the kernel lets us have it.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Our end of a child's pipe, and how much fits into it.
pub struct Pipe {
    pub reader: OwnedFd,
    pub bytes: usize,
}

/// A new pipe that asks for `wanted_bytes`: our end, the child's end, and what to tell the user if it came out smaller.
pub fn open(wanted_bytes: usize) -> Result<(Pipe, OwnedFd, Option<String>), Errno> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // On our end only: the two ends are different open files, and the child's must keep blocking.
    let flags = fcntl_getfl(&reader)?;
    fcntl_setfl(&reader, flags | OFlags::NONBLOCK)?;
    let refused = fcntl_setpipe_size(&reader, wanted_bytes).err();
    let bytes = fcntl_getpipe_size(&reader)?;
    let warning = refused.map(|error| {
        format!(
            "cannot enlarge a child's pipe to {wanted_bytes} bytes: {error}; it holds {bytes}, so a busy child waits sooner; \
             likely this user's pipes exceed /proc/sys/fs/pipe-user-pages-soft, or /proc/sys/fs/pipe-max-size is lower"
        )
    });
    Ok((Pipe { reader, bytes }, writer, warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_the_size_asked_for_and_only_our_end_does_not_block() {
        let (pipe, writer, warning) = open(256 * 1024).unwrap();
        assert_eq!((pipe.bytes, warning), (256 * 1024, None));
        assert!(fcntl_getfl(&pipe.reader).unwrap().contains(OFlags::NONBLOCK));
        assert!(!fcntl_getfl(&writer).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_size_that_the_kernel_refuses_is_said_and_the_pipe_works_at_the_size_it_has() {
        // Beyond 2 GiB no user gets a pipe: EINVAL.
        let (pipe, writer, warning) = open(1 << 32).unwrap();
        assert!(warning.unwrap().contains("cannot enlarge"));
        assert_eq!(pipe.bytes, 65_536);
        assert_eq!(rustix::io::write(&writer, b"line\n"), Ok(5));
    }
}
