//! The calling thread's number and its signal mask: keeping signals away from one system call, from a
//! thread, or from a while; and what a child begins with.

use super::cancel;
use super::syscall::syscall;
use std::cell::Cell;

/// A set of signals as the kernel has it; the C library's is longer, and begins with it.
type KernelSet = [u64; if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    2
} else {
    1
}];

const ALL: KernelSet = [u64::MAX; size_of::<KernelSet>() / 8];
const NONE: KernelSet = [0; size_of::<KernelSet>() / 8];

/// How long it is, in bytes.
pub(super) const KERNEL_SET: usize = size_of::<KernelSet>();

thread_local! {
    /// Whether no signal comes to this thread.
    static NONE_COME: Cell<bool> = const { Cell::new(false) };
}

/// Says that no signal interrupts the calling thread outside of a receive, for as long as it lives:
/// all are blocked, but for the one that ends a receive and comes at no other time.
pub(super) fn none_come() {
    NONE_COME.set(true);
}

/// Takes [`none_come`] back.
pub(super) fn some_come() {
    NONE_COME.set(false);
}

/// Runs `call` with every signal blocked on the calling thread, those between the threads of the C
/// library too. What comes meanwhile is delivered afterwards. `SIGKILL` and `SIGSTOP` cannot be
/// blocked.
///
/// Costs two system calls, but nothing on a thread that no signals come to ([`none_come`]).
#[inline]
pub(super) fn held<T>(call: impl FnOnce() -> T) -> T {
    if NONE_COME.get() {
        return call();
    }
    let mut before = NONE;
    set(&ALL, &raw mut before);
    let result = call();
    set(&before, std::ptr::null_mut());
    result
}

#[inline(always)]
fn set(to: &KernelSet, before: *mut KernelSet) {
    let (to, before) = (std::ptr::from_ref(to) as usize, before as usize);
    let how = libc::SIG_SETMASK as usize;
    // SAFETY: both sets are as long as the kernel is told. It cannot fail then.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            [how, to, before, KERNEL_SET, 0, 0],
        )
    };
}

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

    /// What the calling thread has blocked.
    pub(super) fn of_thread() -> Self {
        change(libc::SIG_BLOCK, |_| {})
    }

    /// Whether it has a signal.
    pub(super) fn has(&self, signal: libc::c_int) -> bool {
        // SAFETY: a set of ours.
        unsafe { libc::sigismember(&self.0, signal) == 1 }
    }

    /// As the kernel reads it: its set is the beginning of the C library's.
    fn as_ptr(&self) -> *const libc::sigset_t {
        &raw const self.0
    }

    /// Makes it the calling thread's again.
    pub(super) fn restore(&self) {
        // SAFETY: a set that was filled in; no old one is asked for.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, self.as_ptr(), std::ptr::null_mut());
        }
    }

    /// [`SignalMask::restore`] by a bare system call, for a child that was just cloned.
    pub(super) fn set_bare(&self) {
        let (how, to) = (libc::SIG_SETMASK as usize, self.as_ptr() as usize);
        // SAFETY: as long as the kernel is told, as the C library's set begins with the kernel's.
        let _ = unsafe { syscall(libc::SYS_rt_sigprocmask, [how, to, 0, KERNEL_SET, 0, 0]) };
    }
}

/// What has come to this process or the calling thread, and waits because it is blocked.
pub(super) fn pending() -> SignalMask {
    let mut pending = SignalMask::EMPTY;
    // SAFETY: a set of ours.
    unsafe { libc::sigpending(&mut pending.0) };
    pending
}

/// Blocks every signal on the calling thread, except those the C library needs between threads,
/// until this is dropped.
#[derive(Debug)]
pub(crate) struct SignalsBlocked(SignalMask);

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        SignalsBlocked(change(libc::SIG_SETMASK, |set| {
            // SAFETY: a set of ours.
            unsafe { libc::sigfillset(set) };
        }))
    }

    /// What was blocked before.
    pub(crate) fn before(&self) -> SignalMask {
        self.0
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        self.0.restore();
    }
}

/// Changes the calling thread's mask by a set that `fill` fills in; what it was before.
fn change(how: libc::c_int, fill: impl FnOnce(&mut libc::sigset_t)) -> SignalMask {
    let (mut set, mut before) = (SignalMask::EMPTY.0, SignalMask::EMPTY.0);
    fill(&mut set);
    // SAFETY: both sets are ours. It cannot fail with a known `how`.
    unsafe { libc::pthread_sigmask(how, &set, &mut before) };
    SignalMask(before)
}

/// Lets one signal through to the calling thread; what was blocked before.
pub(super) fn unblock(signal: libc::c_int) -> SignalMask {
    change(libc::SIG_UNBLOCK, |set| {
        // SAFETY: a set of ours.
        unsafe { libc::sigaddset(set, signal) };
    })
}

/// Blocks some signals on the calling thread; what was blocked before.
pub(super) fn block(signals: &[libc::c_int]) -> SignalMask {
    change(libc::SIG_BLOCK, |set| {
        for &signal in signals {
            // SAFETY: a set of ours.
            unsafe { libc::sigaddset(set, signal) };
        }
    })
}

/// Leaves the program's signals to the program's threads, and does not let this one be cancelled. For
/// threads of the library's own.
pub(crate) fn block_all() {
    // For good, so what was before is not put back.
    std::mem::forget(SignalsBlocked::new());
    none_come();
    cancel::disable();
}

/// The kernel's number for the calling thread.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// What this process does on a signal. The default for those that the C library keeps to itself.
pub(super) fn disposition(signal: libc::c_int) -> libc::sighandler_t {
    // SAFETY: plain integers, for which zero is a value; nothing is changed.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now);
        now.sa_sigaction
    }
}

/// Takes a signal back that waits for the calling thread, which has it blocked.
pub(super) fn take_pending(signal: libc::c_int) {
    let mut set = SignalMask::EMPTY.0;
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a set of ours, and a time that lives across the call; nothing is asked for.
    unsafe {
        libc::sigaddset(&mut set, signal);
        libc::sigtimedwait(&set, std::ptr::null_mut(), &at_once);
    }
}

/// Which signals this process ignores, as a bit for each (bit 0 is signal 1), without `SIGPIPE`:
/// that one is ignored by the runtimes of several languages, not by their programs.
pub(super) fn ignored() -> u64 {
    let mut ignored = 0;
    for signal in (1..=64).filter(|&s| s != libc::SIGPIPE) {
        if disposition(signal) == libc::SIG_IGN {
            ignored |= 1 << (signal - 1);
        }
    }
    ignored
}

/// In a child that was just cloned: puts every signal on its default that is not to stay ignored, before one is let through: the
/// handlers are for the process this is a copy of.
pub(super) fn reset(ignored: u64) {
    for signal in 1..=64 {
        if ignored & (1 << (signal - 1)) == 0 {
            set_default(signal);
        }
    }
}

/// [`reset`] for a child that was born without handlers.
pub(super) fn unignore_sigpipe() {
    set_default(libc::SIGPIPE);
}

/// By a bare system call, because the C library takes a lock for some signals. For `SIGKILL` and
/// `SIGSTOP` it fails, and they have their default.
fn set_default(signal: libc::c_int) {
    // The kernel's `struct sigaction`, whatever its layout: all zero is the default action.
    let default = [0u64; 20];
    let (signal, action) = (signal as usize, default.as_ptr() as usize);
    // SAFETY: the structure is longer than any architecture's.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            [signal, action, 0, KERNEL_SET, 0, 0],
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> u64 {
        let mut now = NONE;
        let (how, to) = (libc::SIG_SETMASK as usize, 0);
        let before = &raw mut now as usize;
        // SAFETY: nothing is set, and `now` is as long as the kernel is told.
        unsafe {
            syscall(
                libc::SYS_rt_sigprocmask,
                [how, to, before, KERNEL_SET, 0, 0],
            )
        }
        .unwrap();
        now[0]
    }

    #[test]
    fn all_that_can_be_is_blocked_meanwhile_and_as_before_afterwards() {
        let before = blocked();
        let unblockable = (1 << (libc::SIGKILL - 1)) | (1 << (libc::SIGSTOP - 1));
        assert_eq!(held(blocked), !unblockable);
        assert_eq!(blocked(), before);
    }

    #[test]
    fn nothing_is_done_on_a_thread_that_no_signals_come_to() {
        std::thread::spawn(|| {
            none_come();
            let before = blocked();
            assert_eq!(held(blocked), before);
        })
        .join()
        .unwrap();
    }
}
