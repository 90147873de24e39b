//! The signal that gets a thread out of a receive, its handler, and what that looks at. Who sends it and
//! when stands in [interrupt](super::interrupt).

use super::fork::Process;
use super::known::Known;
use super::{signals, version};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What the signal handler looks at, of the thread it runs on, and what was found out about that.
pub(super) struct Receiving {
    /// First word of the buffer that is received into: the notification's id.
    pub(super) id: AtomicPtr<u64>,
    /// The time limit that is waited with.
    pub(super) limit: AtomicPtr<libc::timespec>,
    /// The signal has come.
    pub(super) arrived: AtomicBool,
    /// The thread's number once the signal comes through to it for good.
    pub(super) thread: Cell<libc::pid_t>,
    /// The same number for `interrupt::Ready`.
    pub(super) thread_moved_up: Cell<u32>,
    /// The process that this was so in: in a copy that the thread has forked it has another number.
    pub(super) ready_in: Cell<Process>,
    /// The same, for what `interrupt::Ready` takes, or `Process::NEVER`.
    pub(super) simple_in: Cell<Process>,
}

/// So many bits a thread's number leaves free of 32: it is below 2^22.
pub(crate) const ROOM: u32 = 8;

thread_local! {
    pub(super) static RECEIVING: Receiving = const {
        Receiving {
            id: AtomicPtr::new(ptr::null_mut()),
            limit: AtomicPtr::new(ptr::null_mut()),
            arrived: AtomicBool::new(false),
            thread: Cell::new(0),
            thread_moved_up: Cell::new(0),
            ready_in: Cell::new(Process::NONE),
            simple_in: Cell::new(Process::NEVER),
        }
    };
}

/// What the handler writes. The kernel draws the first id of a listener at random, so no id is
/// mistaken for it: it is looked at only after the kernel has refused the buffer.
pub(super) const POISON: u64 = 1;

extern "C" fn handler(_signal: libc::c_int) {
    RECEIVING.with(|receiving| {
        let id = receiving.id.load(Relaxed);
        if !id.is_null() {
            // SAFETY: `Receiver::receive` keeps the buffer alive while the pointer stands, and this
            // runs on its thread, so nobody else touches the word meanwhile.
            unsafe {
                if id.read_volatile() == 0 {
                    id.write_volatile(POISON);
                }
            }
        }
        let limit = receiving.limit.load(Relaxed);
        if !limit.is_null() {
            // SAFETY: likewise, by `Receiver::poll`.
            unsafe { limit.write_volatile(ZERO) };
        }
        receiving.arrived.store(true, Relaxed);
    });
}

const ZERO: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The signal that is reserved: `SIGSTKFLT`, which Linux itself never sends, with its handler in
/// place. `None` when the program has a handler of its own for it, and on architectures that have
/// none.
///
/// This is the one change of a signal disposition that the library makes by itself, and it is never undone.
pub(crate) fn signal() -> Option<libc::c_int> {
    const NONE: u64 = u64::MAX;
    static SIGNAL: Known = Known::nothing();
    let signal = SIGNAL.get_or_find(|| {
        let reserved = RESERVED.filter(|&signal| reserve(signal));
        reserved.map_or(NONE, |signal| signal as u64)
    });
    (signal != NONE).then_some(signal as libc::c_int)
}

#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc",
    target_arch = "sparc64"
)))]
const RESERVED: Option<libc::c_int> = Some(libc::SIGSTKFLT);
#[cfg(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc",
    target_arch = "sparc64"
))]
const RESERVED: Option<libc::c_int> = None;

/// Installs the handler where the program has none. An ignored signal is nobody's either: it may be
/// inherited.
fn reserve(signal: libc::c_int) -> bool {
    let before = disposition(signal);
    // Another thread may be at it too.
    before == own_handler() || (matches!(before, libc::SIG_DFL | libc::SIG_IGN) && install(signal))
}

fn disposition(signal: libc::c_int) -> libc::sighandler_t {
    // SAFETY: zero is a value of `sigaction`; the call writes it.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut now);
        now.sa_sigaction
    }
}

fn own_handler() -> libc::sighandler_t {
    handler as extern "C" fn(libc::c_int) as libc::sighandler_t
}

fn install(signal: libc::c_int) -> bool {
    // SAFETY: the handler is async-signal-safe. Without SA_RESTART, so that RECV ends; with
    // SA_ONSTACK, which runtimes with small stacks rely on.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = own_handler();
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &action, ptr::null_mut()) == 0
    }
}

/// How long a thread waits for a signal that it was told of. It comes at once, unless the program
/// has blocked it on this thread meanwhile.
const ARRIVES_WITHIN: Duration = Duration::from_millis(10);

/// Sends the signal to a thread of this process that waits for it. Async-signal-safe.
pub(crate) fn send(thread: libc::pid_t) {
    let Some(signal) = signal() else {
        return;
    };
    // A program that resets all its signals, as daemons do, has not meant this one: at its
    // default it would end the program, and ignored it would end nothing.
    if disposition(signal) != own_handler() {
        install(signal);
    }
    // SAFETY: integers only.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

/// Waits for the signal that somebody is about to send to this thread or has sent.
#[cold]
#[inline(never)]
pub(super) fn await_signal(receiving: &Receiving) {
    let begun = Instant::now();
    while !receiving.arrived.swap(false, Relaxed) {
        if begun.elapsed() > ARRIVES_WITHIN {
            // It may come at any time from here on.
            signals::some_come();
            return;
        }
        std::thread::yield_now();
    }
}

#[cold]
pub(super) fn make_ready(receiving: &Receiving, process: Process) {
    let signal = signal();
    if let Some(signal) = signal {
        signals::unblock(signal);
    }
    let thread = signals::thread_id();
    receiving.thread.set(thread);
    receiving.thread_moved_up.set((thread as u32) << ROOM);
    receiving.ready_in.set(process);
    if signal.is_some() && version::recv_ends_with_last_target() {
        receiving.simple_in.set(process);
    }
}
