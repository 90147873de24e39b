//! Signals.

/// Installs a handler for `signal`, with these flags.
pub(crate) fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) {
    // SAFETY: the handlers of the tests are async-signal-safe; zero is a value of `sigaction`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// A handler that a signal interrupts a call for, and nothing else.
pub(crate) extern "C" fn nothing(_: i32) {}
