//! Whether somebody keeps the machine's clock right: the kernel knows, as a time service tells it.

use std::io;
use std::mem::MaybeUninit;

/// Asks the kernel, which containers may do. Ok(false): nobody does, as far as it knows.
pub fn is_synchronised() -> io::Result<bool> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero is a valid timex, and with no mode set the call only fills it in.
    let status = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    if status == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed, and filled in by the call.
    let state = unsafe { state.assume_init() };
    Ok(status != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}
