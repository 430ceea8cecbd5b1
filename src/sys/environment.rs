//! Our own environment variables.

/// Removes those of `names` that are set to nothing. To a compose file that is "not set"; a library of ours panics on it.
/// No other thread may exist yet.
pub fn forget_empty(names: &[&str]) {
    for name in names {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: nobody else reads or writes the environment: `run` calls this before it starts its first thread.
            unsafe { std::env::remove_var(name) };
        }
    }
}
