//! The signals that the agent listens to, on a thread of its own.

/// The set that is waited for.
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks SIGHUP, SIGUSR2, SIGTERM and SIGINT for this thread and those that it starts: before there are any.
    pub(crate) fn block() -> Self {
        // SAFETY: a set of signals is integers, and is emptied before it is used.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set lives.
        unsafe {
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGHUP, libc::SIGUSR2, libc::SIGTERM, libc::SIGINT] {
                libc::sigaddset(&mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        Signals(set)
    }

    /// Waits for the next.
    pub(crate) fn next(&self) -> i32 {
        let mut signal = 0;
        // SAFETY: both places live.
        unsafe { libc::sigwait(&self.0, &mut signal) };
        signal
    }
}
