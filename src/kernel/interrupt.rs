//! Getting a thread out of a blocked `RECV`, without a race and without polling.
//!
//! The thread is sent a signal, which ends the call with `EINTR` if it is blocked. If the signal
//! comes just before the call, that would be too early; so the handler, which runs on the thread
//! itself, also writes into the buffer that the thread is about to receive into, and the kernel
//! refuses to receive into a buffer that is not all zero (`EINVAL`; Linux 5.5, and this is used
//! on 6.11 and later only). The handler leaves a buffer alone that the kernel has filled.

use super::{Errno, Result};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{compiler_fence, AtomicPtr, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::OnceLock;

thread_local! {
    /// First word of the buffer this thread receives into: the notification's id.
    static RECEIVING: AtomicPtr<u64> = const { AtomicPtr::new(ptr::null_mut()) };
}

/// What the handler writes. The kernel draws the first id of a listener at random, so no id is
/// mistaken for it: it is looked at only after the kernel has refused the buffer.
const POISON: u64 = 1;

extern "C" fn handler(_signal: libc::c_int) {
    let id = RECEIVING.with(|r| r.load(Relaxed));
    if !id.is_null() {
        // SAFETY: `Receiver::receive` keeps the buffer alive while the pointer stands, and this runs on
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
        libc::sigaction(signal, ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_DFL
    }
}

fn install(signal: libc::c_int) -> bool {
    // SAFETY: the handler is async-signal-safe. Without SA_RESTART, so that RECV ends; with
    // SA_ONSTACK, which runtimes with small stacks rely on.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &action, ptr::null_mut()) == 0
    }
}

/// The calling thread, made ready to be got out of a receive: the signal comes through to it until
/// this is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The thread's own `RECEIVING`: looking it up takes longer than all else here.
    receiving: *const AtomicPtr<u64>,
    /// The signals that were blocked before; `None` where there is no signal to use.
    before: Option<libc::sigset_t>,
    /// It stays on its thread, whose variable and signals these are.
    _not_send: PhantomData<*const ()>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Receiver {
            // The handler must not be the first to touch the thread's variable: in a library that
            // was loaded late the first touch allocates.
            receiving: RECEIVING.with(ptr::from_ref),
            before: signal().map(unblock),
            _not_send: PhantomData,
        }
    }

    /// Whether [`interrupt`] has a signal to send.
    pub(crate) fn can_be_interrupted(&self) -> bool {
        self.before.is_some()
    }

    /// Runs a receiving call that [`interrupt`] ends: with `EINTR`, also where the signal came
    /// before the kernel was entered. `id` is the first word of the zeroed buffer it receives
    /// into.
    #[inline]
    pub(crate) fn receive(&self, id: *mut u64, call: impl FnOnce() -> Result<()>) -> Result<()> {
        // SAFETY: the variable of this thread, which `self` does not leave, and which lives as
        // long as the thread: it has no destructor.
        let receiving = unsafe { &*self.receiving };
        receiving.store(id, Relaxed);
        compiler_fence(SeqCst);
        let result = call();
        compiler_fence(SeqCst);
        receiving.store(ptr::null_mut(), Relaxed);
        match result {
            // SAFETY: the caller's buffer.
            Err(Errno(libc::EINVAL)) if unsafe { id.read_volatile() } == POISON => {
                Err(Errno(libc::EINTR))
            }
            other => other,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: the set that `unblock` was given.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

/// Lets the signal through to the calling thread; what was blocked before.
fn unblock(signal: libc::c_int) -> libc::sigset_t {
    // SAFETY: plain sets of bits, written by the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, &mut before);
        before
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

/// Leaves the program's signals to the program's threads, and does not let this one be cancelled. For
/// threads of the library's own.
pub(crate) fn block_all_signals() {
    // SAFETY: a plain set of bits, filled by the call.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
    super::signals::none_come();
    super::cancel::disable();
}
