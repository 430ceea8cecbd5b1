//! logpump's exit code, from those of its processes. Pure.

pub struct Code {
    code: u8,
    has_essential: bool,
    is_decided: bool,
}

impl Code {
    /// `has_essential`: only essential processes count.
    pub fn new(has_essential: bool) -> Code {
        Code { code: 0, has_essential, is_decided: false }
    }

    /// One has ended. An essential one that nobody stopped decides, for its end stops the others; else the first that is
    /// not 0 counts.
    pub fn ended(&mut self, essential: bool, code: u8, is_stopping: bool) {
        if self.is_decided || (self.has_essential && !essential) {
            return;
        }
        if essential && !is_stopping {
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

    /// Essential or not, code, and whether a stop was under way.
    fn of(has_essential: bool, ends: &[(bool, u8, bool)]) -> u8 {
        let mut code = Code::new(has_essential);
        ends.iter().for_each(|(essential, status, stopping)| code.ended(*essential, *status, *stopping));
        code.get()
    }

    #[test]
    fn of_equals_the_first_code_that_is_not_0_counts() {
        assert_eq!(of(false, &[(false, 0, false), (false, 3, false), (false, 4, true)]), 3);
        assert_eq!(of(false, &[(false, 0, false)]), 0);
    }

    #[test]
    fn an_essential_ones_end_decides_whatever_others_came_to_before_or_after() {
        assert_eq!(of(true, &[(false, 9, false), (true, 3, false), (true, 143, true)]), 3);
        assert_eq!(of(true, &[(false, 9, false), (true, 0, false), (true, 143, true)]), 0);
        assert_eq!(of(true, &[(false, 9, false), (true, 0, false)]), 0);
    }

    #[test]
    fn when_a_signal_stops_them_the_first_essential_one_that_fails_counts() {
        assert_eq!(of(true, &[(false, 9, true), (true, 0, true), (true, 143, true), (true, 1, true)]), 143);
        assert_eq!(of(true, &[(false, 9, true), (true, 0, true)]), 0);
    }
}
