//! The limit of open files, for messages of what it refuses.

use std::io;

use rustix::process::{Resource, getrlimit};

/// The error, and the limit behind it if that is the cause.
pub fn explained(error: &io::Error) -> String {
    match (error.raw_os_error(), getrlimit(Resource::Nofile).current) {
        (Some(libc::EMFILE), Some(most)) => format!("{error}: {}", said(most)),
        _ => error.to_string(),
    }
}

/// Of a fault that has no errno, and likely this cause.
pub fn suspected(what: &str) -> io::Error {
    io::Error::other(match getrlimit(Resource::Nofile).current {
        Some(most) => format!("{what}; likely for want of descriptors: {}", said(most)),
        None => what.to_owned(),
    })
}

fn said(most: u64) -> String {
    format!("the limit of open files is {most} (ulimit -n): raise it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_too_many_open_files_the_limit_is_said() {
        let most = getrlimit(Resource::Nofile).current.unwrap();
        let said = explained(&io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(
            said,
            format!("Too many open files (os error 24): the limit of open files is {most} (ulimit -n): raise it")
        );
        assert_eq!(explained(&io::Error::from_raw_os_error(libc::ENOENT)), "No such file or directory (os error 2)");
    }
}
