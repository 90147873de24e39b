//! Child processes: waiting for them, sending them signals; the calling thread's signal mask; and
//! what two threads share.

use super::{check, retry, Result};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The signals a thread has blocked.
#[derive(Clone, Copy)]
pub(crate) struct SignalMask(libc::sigset_t);

impl std::fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalMask")
    }
}

impl SignalMask {
    /// None.
    pub(crate) const EMPTY: Self = {
        // SAFETY: zero is a value of the set, the empty one.
        SignalMask(unsafe { std::mem::zeroed() })
    };

    /// As the kernel reads it.
    pub(crate) fn as_ptr(&self) -> *const libc::sigset_t {
        &raw const self.0
    }
}

/// Blocks every signal on the calling thread, except those the C library needs between threads,
/// until this is dropped.
#[derive(Debug)]
pub(crate) struct SignalsBlocked(SignalMask);

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        // SAFETY: zero is a value of a set; both sets are ours.
        let before = unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            before
        };
        SignalsBlocked(SignalMask(before))
    }

    /// What was blocked before.
    pub(crate) fn before(&self) -> SignalMask {
        self.0
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set is ours; no old one is asked for.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, self.0.as_ptr(), std::ptr::null_mut());
        }
    }
}

/// The kernel's number for the calling thread.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// Waits until the kernel has let go of a thread of this process that was joined. A moment: the
/// C library wakes the joining thread a little before that.
pub(crate) fn await_thread_end(thread: libc::pid_t) {
    for _ in 0..1000 {
        // SAFETY: integers only; signal 0 is not sent, only looked up.
        let gone = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) < 0 };
        if gone {
            return;
        }
        std::thread::sleep(Duration::from_micros(10));
    }
}

/// Waits for a child to end, and leaves it to be reaped. Retries `EINTR`; `ECHILD` when there is
/// no such child (any more).
pub(crate) fn await_end(pid: libc::pid_t) -> Result<()> {
    look(pid, 0).map(drop)
}

/// Whether a child has ended. It is left to be reaped. `ECHILD` as in [`await_end`].
pub(crate) fn has_ended(pid: libc::pid_t) -> Result<bool> {
    look(pid, libc::WNOHANG)
}

fn look(pid: libc::pid_t, flags: i32) -> Result<bool> {
    // SAFETY: plain bytes, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOWAIT | flags;
    retry(|| {
        // SAFETY: `info` is ours.
        check(unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags) }.into())
    })?;
    // SAFETY: `waitid` fills the field in, or leaves its zero when there is nothing to tell.
    Ok(unsafe { info.si_pid() } != 0)
}

/// Reaps a child that has ended and gives its wait status; `None` when it has not ended.
pub(crate) fn reap(pid: libc::pid_t) -> Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: `status` is ours.
    let reaped = retry(|| check(unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) }.into()))?;
    Ok((reaped != 0).then_some(status))
}

/// Kills a child and reaps it. Nothing happens to a process that is not, or no longer, a child.
pub(crate) fn put_down(pid: libc::pid_t) {
    if has_ended(pid) == Ok(false) {
        let _ = kill(pid, libc::SIGKILL);
    }
    if await_end(pid).is_ok() {
        let _ = reap(pid);
    }
}

/// `kill(2)`.
pub(crate) fn kill(pid: libc::pid_t, signal: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// `pidfd_send_signal(2)` (Linux 5.1).
pub(crate) fn kill_by_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: without a `siginfo_t`, integers only.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// Which signals this process ignores, as a bit for each (bit 0 is signal 1), without `SIGPIPE`:
/// that one is ignored by the runtimes of several languages, not by their programs.
pub(crate) fn ignored_signals() -> u64 {
    let mut ignored = 0;
    for signal in (1..=64).filter(|&s| s != libc::SIGPIPE) {
        // SAFETY: plain integers, for which zero is a value; nothing is changed. The C library
        // refuses signals that are its own, which leaves the zero of the default.
        let action = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action);
            action.sa_sigaction
        };
        if action == libc::SIG_IGN {
            ignored |= 1 << (signal - 1);
        }
    }
    ignored
}

/// `KCMP_FILES` of `kcmp(2)`.
const KCMP_FILES: libc::c_int = 2;

/// Whether two threads have the same table of descriptors (`kcmp(2)`). `ENOSYS` on a kernel that
/// was built without it.
pub(crate) fn share_descriptors(a: libc::pid_t, b: libc::pid_t) -> Result<bool> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_FILES, 0, 0) }).map(|order| order == 0)
}
