//! Signals that a process catches for a while, because they are for another one.
//!
//! The handler writes down what has come and from whom, and wakes the thread that waits for that:
//! all else is the thread's to do, which may take locks.

use super::futex;
use super::signals::{self, disposition, SignalMask};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};

/// What is caught: that which a terminal or a user sends to say what is to become of a program.
const CAUGHT: [libc::c_int; 5] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGTSTP,
];

/// There is one set of handlers in a process.
static IN_USE: AtomicBool = AtomicBool::new(false);
/// The process whose handlers these are: a copy of it, forked meanwhile, takes its own signals.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// What has come: a bit for each of them that the kernel has sent, from `BY_PROCESS` on for each that a
/// process has, and from `EARLY` on for each that the kernel has sent before the program was there.
static EVENTS: AtomicU32 = AtomicU32::new(0);
const BY_PROCESS: usize = 8;
const EARLY: usize = 16;
/// Of which signals the next was sent before the program was there, a bit for each.
static NEXT_IS_EARLY: AtomicU32 = AtomicU32::new(0);
/// Which process has sent each the last time.
static SENDERS: [AtomicI32; CAUGHT.len()] = [const { AtomicI32::new(0) }; CAUGHT.len()];
/// Changes with everything that there is to see.
static NEWS: AtomicU32 = AtomicU32::new(0);

/// One that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) signal: libc::c_int,
    /// Which process has sent it; `None` when it was the kernel, as for a terminal.
    pub(crate) sender: Option<libc::pid_t>,
    /// Whether the program was there already, and has it from the kernel as well.
    pub(crate) shared: bool,
}

extern "C" fn handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the calling thread's own variable.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: takes nothing.
    if unsafe { libc::getpid() } != OWNER.load(SeqCst) {
        set(signal, libc::SIG_DFL, 0);
        // SAFETY: integers only. It comes when this returns.
        unsafe { libc::raise(signal) };
    } else if let Some(index) = CAUGHT.iter().position(|&caught| caught == signal) {
        // SAFETY: the kernel gives it to a handler that was installed with SA_SIGINFO.
        let info = unsafe { &*info };
        // SI_USER and what else processes send is not positive.
        let bit = if info.si_code <= 0 {
            // SAFETY: signals that a process has sent say which.
            SENDERS[index].store(unsafe { info.si_pid() }, SeqCst);
            BY_PROCESS + index
        } else if NEXT_IS_EARLY.fetch_and(!(1 << index), SeqCst) & (1 << index) != 0 {
            EARLY + index
        } else {
            index
        };
        EVENTS.fetch_or(1 << bit, SeqCst);
        tell_news();
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

fn tell_news() {
    NEWS.fetch_add(1, SeqCst);
    futex::wake(&NEWS, i32::MAX);
}

/// The handlers, in place until this is dropped.
#[derive(Debug)]
pub(crate) struct Catching {
    /// Those that are caught.
    signals: Vec<libc::c_int>,
    over: AtomicBool,
}

impl Catching {
    /// Catches each of them that has its default, and that the calling thread does not block: what
    /// the program ignores, catches or blocks is its own. `None` when they are caught already.
    pub(crate) fn begin() -> Option<Self> {
        if IN_USE.swap(true, SeqCst) {
            return None;
        }
        EVENTS.store(0, SeqCst);
        NEXT_IS_EARLY.store(u32::MAX, SeqCst);
        // SAFETY: takes nothing.
        OWNER.store(unsafe { libc::getpid() }, SeqCst);
        let mut catching = Catching {
            signals: Vec::with_capacity(CAUGHT.len()),
            over: AtomicBool::new(false),
        };
        let blocked = SignalMask::of_thread();
        for signal in CAUGHT {
            if !blocked.has(signal) && disposition(signal) == libc::SIG_DFL && install(signal) {
                catching.signals.push(signal);
            }
        }
        Some(catching)
    }

    /// The program's process is there since a moment, and gets from now on what a terminal sends to the
    /// group. The calling thread has all signals blocked, and so may all others: what has come before
    /// can be pending still.
    pub(crate) fn begin_to_share() {
        let pending = signals::pending();
        let early = |index: &usize| pending.has(CAUGHT[*index]);
        let early = (0..CAUGHT.len()).filter(early);
        NEXT_IS_EARLY.store(early.map(|index| 1 << index).sum(), SeqCst);
    }

    /// Keeps them away from the calling thread until the result is dropped.
    pub(crate) fn keep_away(&self) -> KeptAway {
        KeptAway(signals::block(&self.signals))
    }

    /// Gives each that has come to `each`, until the end. They come to the calling thread, which is to
    /// have all blocked.
    pub(crate) fn attend(&self, mut each: impl FnMut(Caught)) {
        for &signal in &self.signals {
            signals::unblock(signal);
        }
        loop {
            let seen = NEWS.load(SeqCst);
            let events = EVENTS.swap(0, SeqCst);
            for (index, signal) in CAUGHT.into_iter().enumerate() {
                for kind in [EARLY, 0, BY_PROCESS] {
                    if events & (1 << (kind + index)) != 0 {
                        each(Caught {
                            signal,
                            sender: (kind == BY_PROCESS).then(|| SENDERS[index].load(SeqCst)),
                            shared: kind != EARLY,
                        });
                    }
                }
            }
            if self.over.load(SeqCst) {
                return;
            }
            futex::wait(&NEWS, seen, None);
        }
    }

    /// Lets [`Catching::attend`] return.
    pub(crate) fn end(&self) {
        self.over.store(true, SeqCst);
        tell_news();
    }
}

impl Drop for Catching {
    fn drop(&mut self) {
        for &signal in &self.signals {
            // The program may have set another one meanwhile.
            if disposition(signal) == own_handler() {
                set(signal, libc::SIG_DFL, 0);
            }
        }
        IN_USE.store(false, SeqCst);
    }
}

/// Signals that the calling thread does not get.
#[derive(Debug)]
pub(crate) struct KeptAway(SignalMask);

impl Drop for KeptAway {
    fn drop(&mut self) {
        self.0.restore();
    }
}

fn own_handler() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handler;
    handler as libc::sighandler_t
}

fn install(signal: libc::c_int) -> bool {
    let flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    set(signal, own_handler(), flags)
}

fn set(signal: libc::c_int, to: libc::sighandler_t, flags: libc::c_int) -> bool {
    // SAFETY: the default, or a handler that is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = to;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, ptr::null_mut()) == 0
    }
}

/// Ends the process by a signal, without a core of its own. The C library's streams are written out. Returns if the kernel does not let it,
/// as with the first process of a pid namespace.
pub(crate) fn die_by(signal: libc::c_int) {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: null means all streams; integers; and a structure that lives across the call.
    unsafe {
        libc::fflush(ptr::null_mut());
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    set(signal, libc::SIG_DFL, 0);
    signals::unblock(signal);
    // SAFETY: integers only.
    unsafe { libc::raise(signal) };
}
