//! Getting a thread out of a blocked `RECV`, without a race and without polling.
//!
//! The thread is sent a signal, which ends the call with `EINTR` if it is blocked. If the signal
//! comes just before the call, that would be too early; so the handler, which runs on the thread
//! itself, also writes into the buffer that the thread is about to receive into, and the kernel
//! refuses to receive into a buffer that is not all zero (`EINVAL`; Linux 5.5, and this is used
//! on 6.11 and later only). The handler leaves a buffer alone that the kernel has filled.

use super::{Errno, Result};
use std::cell::Cell;
use std::sync::OnceLock;

thread_local! {
    /// First word of the buffer this thread receives into: the notification's id.
    static RECEIVING: Cell<*mut u64> = const { Cell::new(std::ptr::null_mut()) };
}

/// What the handler writes. The kernel draws the first id of a listener at random, so no id is
/// mistaken for it: it is looked at only after the kernel has refused the buffer.
const POISON: u64 = 1;

extern "C" fn handler(_signal: libc::c_int) {
    let id = RECEIVING.with(Cell::get);
    if !id.is_null() {
        // SAFETY: `receiving` keeps the buffer alive while the pointer stands, and this runs on
        // its thread, so nobody else touches the word meanwhile.
        unsafe {
            if id.read_volatile() == 0 {
                id.write_volatile(POISON);
            }
        }
    }
}

/// The process-wide real-time signal, with its handler in place: chosen once, the highest below
/// `SIGRTMAX` whose disposition is the default. `None` when the program uses them all.
///
/// This is the one change of a signal disposition that the library makes. It is never undone.
pub(crate) fn signal() -> Option<libc::c_int> {
    static SIGNAL: OnceLock<Option<libc::c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| {
        (libc::SIGRTMIN()..libc::SIGRTMAX())
            .rev()
            .find(|&signal| is_default(signal) && install(signal))
    })
}

fn is_default(signal: libc::c_int) -> bool {
    // SAFETY: zero is a value of `sigaction`; the call writes it.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_DFL
    }
}

fn install(signal: libc::c_int) -> bool {
    // SAFETY: the handler is async-signal-safe. Without SA_RESTART, so that RECV ends; with
    // SA_ONSTACK, which runtimes with small stacks rely on.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &action, std::ptr::null_mut()) == 0
    }
}

/// Lets the signal through to the calling thread until it is dropped.
#[derive(Debug)]
pub(crate) struct Unblocked(libc::sigset_t);

impl Unblocked {
    pub(crate) fn new(signal: libc::c_int) -> Self {
        // SAFETY: plain sets of bits, written by the calls.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, &mut before);
            // The handler must not be the first to touch the thread's variable: in a library that
            // was loaded late the first touch allocates.
            RECEIVING.with(|r| r.set(std::ptr::null_mut()));
            Unblocked(before)
        }
    }
}

impl Drop for Unblocked {
    fn drop(&mut self) {
        // SAFETY: the set that `new` was given.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// Runs a receiving call that [`interrupt`] ends: with `EINTR`, also where the signal came before
/// the kernel was entered. `id` is the first word of the zeroed buffer it receives into.
pub(crate) fn receiving(id: *mut u64, call: impl FnOnce() -> Result<()>) -> Result<()> {
    RECEIVING.with(|r| r.set(id));
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    let result = call();
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    RECEIVING.with(|r| r.set(std::ptr::null_mut()));
    match result {
        // SAFETY: the caller's buffer.
        Err(Errno(libc::EINVAL)) if unsafe { id.read_volatile() } == POISON => {
            Err(Errno(libc::EINTR))
        }
        other => other,
    }
}

/// The calling thread's number.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// Sends `signal` to one thread of this process. Async-signal-safe.
pub(crate) fn interrupt(thread: libc::pid_t, signal: libc::c_int) {
    // SAFETY: integers only.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

/// Leaves the program's signals to the program's threads. For threads of the library's own.
pub(crate) fn block_all_signals() {
    // SAFETY: a plain set of bits, filled by the call.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}
