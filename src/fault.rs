//! Faults of our own that tests plant, panics but for one, to see what one costs. They exist only with feature `tools`, which an image is
//! built without: then nothing is left of this.
//!
//! `LOGPUMP_TEST_PANIC=PLACE:WHEN`, several with commas between. A PLACE names itself to `planted`; WHEN is a number, 3
//! for the third time that the place is passed, or a path: the first time that a file is there.

#[cfg(feature = "tools")]
const VARIABLE: &str = "LOGPUMP_TEST_PANIC";

/// A place where a panic may have been planted.
pub struct Fault {
    #[cfg(feature = "tools")]
    due: Option<Due>,
}

#[cfg(feature = "tools")]
enum Due {
    After(u64),
    Once(std::path::PathBuf),
}

impl Fault {
    #[cfg(feature = "tools")]
    pub fn planted(place: &str) -> Fault {
        let all = std::env::var(VARIABLE).unwrap_or_default();
        Fault { due: all.split(',').find_map(|one| Due::parse(one.strip_prefix(place)?.strip_prefix(':')?)) }
    }

    #[cfg(not(feature = "tools"))]
    pub fn planted(_: &str) -> Fault {
        Fault {}
    }

    /// Panics if it is time, and never again.
    #[inline]
    pub fn pass(&mut self) {
        assert!(!self.strikes(), "planted by a test");
    }

    /// For a panic that is to happen elsewhere.
    #[inline]
    pub fn strikes(&mut self) -> bool {
        #[cfg(feature = "tools")]
        return self.due.is_some() && self.is_due();
        #[cfg(not(feature = "tools"))]
        false
    }

    #[cfg(feature = "tools")]
    fn is_due(&mut self) -> bool {
        let due = match &mut self.due {
            None => false,
            Some(Due::After(left)) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            Some(Due::Once(path)) => path.exists(),
        };
        if due {
            self.due = None;
        }
        due
    }
}

#[cfg(feature = "tools")]
impl Due {
    fn parse(when: &str) -> Option<Due> {
        if when.starts_with('/') {
            return Some(Due::Once(when.into()));
        }
        when.parse().ok().map(Due::After)
    }
}

#[cfg(test)]
#[cfg(feature = "tools")]
mod tests {
    use super::*;

    fn fault(when: &str) -> Fault {
        Fault { due: Due::parse(when) }
    }

    #[test]
    fn it_strikes_once_at_its_time_or_when_its_file_is_there() {
        let mut third = fault("3");
        assert_eq!([(); 5].map(|()| third.strikes()), [false, false, true, false, false]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut there = fault(file.path().to_str().unwrap());
        assert_eq!([(); 2].map(|()| there.strikes()), [true, false]);
        assert!(!fault("/nowhere/to/be/found").strikes());
        assert!(!fault("soon").strikes());
    }
}
