//! logpump's exit code, from those of its processes. Pure.

use crate::refusal::EXIT_SOFTWARE;

pub struct Code {
    code: u8,
    has_essential: bool,
    is_decided: bool,
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By itself.
    Own,
    /// While all were stopped.
    Stopped,
    /// We stopped it for its health, or its timeout, and if it is essential all others as well.
    Unhealthy,
}

impl Code {
    /// `has_essential`: only essential processes count.
    pub fn new(has_essential: bool) -> Code {
        Code { code: 0, has_essential, is_decided: false }
    }

    /// One has ended. An essential one that nobody stopped, or that we stopped for its health, decides, for that stops the
    /// others; else the first that is not 0 counts. To end well when stopped as unhealthy is no success.
    pub fn ended(&mut self, essential: bool, code: u8, way: Way) {
        let code = if way == Way::Unhealthy && code == 0 { EXIT_SOFTWARE } else { code };
        if self.is_decided || (self.has_essential && !essential) {
            return;
        }
        if essential && way != Way::Stopped {
            (self.code, self.is_decided) = (code, true);
        } else if self.code == 0 {
            self.code = code;
        }
    }

    pub fn get(&self) -> u8 {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Way::{Own, Stopped, Unhealthy};

    /// Essential or not, code, and how it came to that.
    fn of(has_essential: bool, ends: &[(bool, u8, Way)]) -> u8 {
        let mut code = Code::new(has_essential);
        ends.iter().for_each(|(essential, status, way)| code.ended(*essential, *status, *way));
        code.get()
    }

    #[test]
    fn of_equals_the_first_code_that_is_not_0_counts() {
        assert_eq!(of(false, &[(false, 0, Own), (false, 3, Own), (false, 4, Stopped)]), 3);
        assert_eq!(of(false, &[(false, 0, Own)]), 0);
    }

    #[test]
    fn an_essential_ones_end_decides_whatever_others_came_to_before_or_after() {
        assert_eq!(of(true, &[(false, 9, Own), (true, 3, Own), (true, 143, Stopped)]), 3);
        assert_eq!(of(true, &[(false, 9, Own), (true, 0, Own), (true, 143, Stopped)]), 0);
        assert_eq!(of(true, &[(false, 9, Own), (true, 0, Own)]), 0);
    }

    #[test]
    fn when_a_signal_stops_them_the_first_essential_one_that_fails_counts() {
        assert_eq!(of(true, &[(false, 9, Stopped), (true, 0, Stopped), (true, 143, Stopped), (true, 1, Stopped)]), 143);
        assert_eq!(of(true, &[(false, 9, Stopped), (true, 0, Stopped)]), 0);
    }

    #[test]
    fn one_stopped_as_unhealthy_decides_and_that_is_never_a_success() {
        assert_eq!(of(true, &[(true, 143, Stopped), (true, 0, Unhealthy), (true, 1, Stopped)]), 70);
        assert_eq!(of(true, &[(true, 0, Stopped), (true, 137, Unhealthy)]), 137);
        // Not essential: it decides no more than another.
        assert_eq!(of(true, &[(false, 0, Unhealthy), (true, 0, Stopped)]), 0);
        assert_eq!(of(false, &[(false, 0, Unhealthy), (false, 3, Own)]), 70);
    }
}
