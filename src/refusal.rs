//! Reasons not to start: said in one line, with the exit code that goes with each (sysexits.h).

/// Wrong usage: sysexits' EX_USAGE.
pub const EXIT_USAGE: u8 = 64;
/// Something that was asked for cannot be had: EX_UNAVAILABLE.
pub const EXIT_UNAVAILABLE: u8 = 69;
/// A process was stopped as unhealthy, yet ended with 0: EX_SOFTWARE.
pub const EXIT_SOFTWARE: u8 = 70;
/// The system refused what every program needs: EX_OSERR.
pub const EXIT_OS_ERROR: u8 = 71;
/// A file that was asked for cannot be written: EX_CANTCREAT.
pub const EXIT_CANT_CREATE: u8 = 73;

/// The configuration file is wrong: EX_CONFIG.
pub const EXIT_CONFIG: u8 = 78;

/// A reason not to start, for people, and the exit code that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u8,
    pub message: String,
}

impl Refusal {
    pub fn usage(message: impl Into<String>) -> Refusal {
        Refusal { code: EXIT_USAGE, message: message.into() }
    }
}
