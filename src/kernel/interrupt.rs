//! Getting a thread out of a blocked receive, without a race and without polling.
//!
//! The thread is sent a signal, which ends the system call with `EINTR` if it is blocked in it. If
//! the signal comes just before the call, that would be too early; so the handler, which runs on the
//! thread itself, also spoils what the thread is about to give to the kernel:
//!
//! - the buffer of a `RECV`, as the kernel refuses to receive into one that is not all zero
//!   (`EINVAL`; Linux 5.5). It leaves a buffer alone that the kernel has filled;
//! - the time limit of a `ppoll`, which becomes zero;
//! - the path of an `openat`, which becomes empty (`ENOENT`).
//!
//! The signal is one of those that are not queued, so sending it cannot fail, however many signals
//! other processes of the same user have queued (`RLIMIT_SIGPENDING`). And it comes only while its
//! thread is receiving: who sends it says so first, and a thread that was told waits for it before
//! it goes on. So no other system call of the thread's is ever interrupted by it.

use super::fork::Process;
use super::known::Known;
use super::signals::SignalMask;
use super::syscall::syscall;
use super::{check, fd, signals, Errno, Result};
use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{
    compiler_fence, AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering::Relaxed,
    Ordering::SeqCst,
};
use std::time::{Duration, Instant};

/// What the signal handler looks at, of the thread it runs on.
struct Receiving {
    /// First word of the buffer that is received into: the notification's id.
    id: AtomicPtr<u64>,
    /// The time limit that is waited with.
    limit: AtomicPtr<libc::timespec>,
    /// The signal has come.
    arrived: AtomicBool,
}

thread_local! {
    static RECEIVING: Receiving = const {
        Receiving {
            id: AtomicPtr::new(ptr::null_mut()),
            limit: AtomicPtr::new(ptr::null_mut()),
            arrived: AtomicBool::new(false),
        }
    };
    /// The thread's number once the signal comes through to it for good, and in which process: in a
    /// copy that the thread has forked it has another one.
    static READY: Cell<(libc::pid_t, Process)> = const { Cell::new((0, Process::NONE)) };
}

/// What the handler writes. The kernel draws the first id of a listener at random, so no id is
/// mistaken for it: it is looked at only after the kernel has refused the buffer.
const POISON: u64 = 1;

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
/// This is the one change of a signal disposition that the library makes. It is never undone.
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

/// The path of a link to an open file: the handler makes it an empty one, by writing a time limit.
#[repr(C, align(8))]
struct Link([u8; 64]);

const _: () = assert!(align_of::<libc::timespec>() <= 8 && size_of::<libc::timespec>() <= 64);

impl Link {
    fn to(file: BorrowedFd<'_>) -> Self {
        let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let mut bytes = [0; 64];
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        Link(bytes)
    }
}

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const SIGNALLED: u32 = 2;

/// Who receives in some place, and whether it may be sent the signal.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    thread: AtomicI32,
    state: AtomicU32,
}

impl Mark {
    /// Ends the receiving call that is under way here or about to begin, if there is one.
    /// Async-signal-safe.
    pub(crate) fn interrupt(&self) {
        let told = self
            .state
            .compare_exchange(WAITING, SIGNALLED, SeqCst, SeqCst);
        if told.is_ok() {
            self.send();
        }
    }

    /// Sends the signal once more if the call goes on for all that: it came too early, and the call is
    /// one that nothing spoils. The thread must not end meanwhile.
    pub(crate) fn insist(&self) {
        if self.state.load(SeqCst) == SIGNALLED {
            self.send();
        }
    }

    fn send(&self) {
        let Some(signal) = signal() else {
            return;
        };
        // A program that resets all its signals, as daemons do, has not meant this one: at its
        // default it would end the program, and ignored it would end nothing.
        if disposition(signal) != own_handler() {
            install(signal);
        }
        // SAFETY: integers only. The thread waits for the signal, so the number is its own.
        unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                libc::getpid(),
                self.thread.load(SeqCst),
                signal,
            )
        };
    }
}

/// How long a thread waits for a signal that it was told of. It comes at once, unless the program
/// has blocked it on this thread meanwhile.
const ARRIVES_WITHIN: Duration = Duration::from_millis(10);

/// How often a thread that cannot be interrupted looks up.
const SLICE: Duration = Duration::from_millis(20);

/// The calling thread, made ready to be got out of a receive.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The thread's own `RECEIVING`: looking it up takes longer than all else here.
    receiving: *const Receiving,
    thread: libc::pid_t,
    usable: bool,
    /// The signals that were blocked before, if they are to be again.
    before: Option<SignalMask>,
    /// It stays on its thread, whose variable and signals these are.
    _not_send: PhantomData<*const ()>,
}

impl Receiver {
    /// Lets the signal through to the calling thread until this is dropped.
    pub(crate) fn new() -> Self {
        let before = signal().map(signals::unblock);
        Receiver {
            // The handler must not be the first to touch the thread's variable: in a library that
            // was loaded late the first touch allocates.
            receiving: RECEIVING.with(ptr::from_ref),
            thread: signals::thread_id(),
            usable: before.is_some(),
            before,
            _not_send: PhantomData,
        }
    }

    /// Lets the signal through to the calling thread for good. Cheap the second time.
    #[inline]
    pub(crate) fn of_thread() -> Self {
        let thread = match READY.get() {
            (thread, process) if process.is_current() => thread,
            _ => make_ready(),
        };
        Receiver {
            receiving: RECEIVING.with(ptr::from_ref),
            thread,
            usable: signal().is_some(),
            before: None,
            _not_send: PhantomData,
        }
    }

    /// Whether there is a signal to send.
    pub(crate) fn can_be_interrupted(&self) -> bool {
        self.usable
    }

    /// Runs a receiving call that [`Mark::interrupt`] ends: with `EINTR`, also where the signal
    /// came before the kernel was entered. `id` is the first word of the zeroed buffer it receives
    /// into. `give_up` is asked when everything is ready; whoever interrupts has made it true
    /// before.
    #[inline]
    pub(crate) fn receive(
        &self,
        mark: &Mark,
        id: *mut u64,
        give_up: impl FnOnce() -> bool,
        call: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let receiving = self.receiving();
        receiving.id.store(id, Relaxed);
        let result = self.marked(mark, give_up, call);
        receiving.id.store(ptr::null_mut(), Relaxed);
        match result {
            // SAFETY: the buffer's first word, which the caller keeps alive for the call.
            Err(Errno(libc::EINVAL)) if unsafe { id.read_volatile() } == POISON => {
                Err(Errno(libc::EINTR))
            }
            other => other,
        }
    }

    /// Waits until a listener, or another descriptor beside it, is readable or hung up, until `deadline` (`None`: without
    /// limit), or until a signal is handled on this thread (`EINTR`, whatever the handler was
    /// installed with). Nothing was seen when the time is up.
    pub(crate) fn poll(
        &self,
        mark: &Mark,
        listener: BorrowedFd<'_>,
        second: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
        give_up: impl Fn() -> bool,
    ) -> Result<fd::Beside> {
        let entry = |fd: i32| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // The kernel passes over a number that is negative.
        let mut entries = [
            entry(listener.as_raw_fd()),
            entry(second.map_or(-1, |second| second.as_raw_fd())),
        ];
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let slice = if self.usable { None } else { Some(SLICE) };
            let nap = [left, slice].into_iter().flatten().min();
            let mut limit = fd::timespec(nap.unwrap_or(Duration::from_secs(u32::MAX.into())));
            let receiving = self.receiving();
            receiving.limit.store(&raw mut limit, Relaxed);
            let result = self.marked(mark, &give_up, || {
                // SAFETY: two entries, as the count says, which live across the call, as does the
                // time limit; no set of signals is given.
                unsafe {
                    syscall(
                        libc::SYS_ppoll,
                        [
                            entries.as_mut_ptr() as usize,
                            entries.len(),
                            &raw mut limit as usize,
                            0,
                            0,
                            0,
                        ],
                    )
                }
            });
            receiving.limit.store(ptr::null_mut(), Relaxed);
            let seen = result? != 0;
            if entries.iter().any(|e| e.revents & libc::POLLNVAL != 0) {
                return Err(Errno(libc::EBADF));
            }
            if !seen && give_up() {
                return Err(Errno(libc::EINTR));
            }
            if seen || deadline.is_some_and(|d| Instant::now() >= d) {
                let [listener, second] = entries.map(|e| e.revents);
                let beside = fd::Beside {
                    first: fd::Ready::of_listener(listener),
                    second: second != 0,
                };
                if listener != 0 && beside.first.is_none() && !beside.second {
                    return Err(Errno(libc::EINTR));
                }
                return Ok(beside);
            }
        }
    }

    /// Opens a file again, by a link that is spoiled if the signal comes before the kernel was
    /// entered, and waits for as long as that takes. Ended with `EINTR` as [`Receiver::receive`] is.
    pub(crate) fn open(
        &self,
        mark: &Mark,
        file: BorrowedFd<'_>,
        flags: i32,
        give_up: impl FnOnce() -> bool,
    ) -> Result<OwnedFd> {
        let mut link = Link::to(file);
        let receiving = self.receiving();
        receiving.limit.store((&raw mut link).cast(), Relaxed);
        let result = self.marked(mark, give_up, || {
            let path = (&raw const link).cast::<libc::c_char>();
            // SAFETY: it ends with a NUL, whether it is spoiled or not, and lives across the call.
            check(unsafe { libc::openat(libc::AT_FDCWD, path, flags) }.into()).map(fd::own)
        });
        receiving.limit.store(ptr::null_mut(), Relaxed);
        // SAFETY: initialised bytes. The handler, which may have changed it, is done.
        let spoiled = unsafe { (&raw const link.0[0]).read_volatile() } == 0;
        match result {
            Err(Errno(libc::ENOENT)) if spoiled => Err(Errno(libc::EINTR)),
            other => other,
        }
    }

    /// `connect(2)`, for as long as it takes; `EINTR` when it was ended. A signal that comes before
    /// the kernel was entered ends nothing, as a connection that is on its way is waited for whatever the
    /// address says: who interrupts has to [`insist`](Mark::insist).
    pub(crate) fn connect(
        &self,
        mark: &Mark,
        socket: BorrowedFd<'_>,
        address: &[u8],
        give_up: impl FnOnce() -> bool,
    ) -> Result<()> {
        self.marked(mark, give_up, || super::socket::connect(socket, address))
    }

    /// Runs a call that may be interrupted through `mark`.
    #[inline]
    fn marked<T>(
        &self,
        mark: &Mark,
        give_up: impl FnOnce() -> bool,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        mark.thread.store(self.thread, Relaxed);
        compiler_fence(SeqCst);
        mark.state.store(WAITING, SeqCst);
        // Asked after that: who interrupts says why before it looks who waits.
        let result = if give_up() {
            Err(Errno(libc::EINTR))
        } else {
            call()
        };
        if mark.state.swap(IDLE, SeqCst) == SIGNALLED {
            self.await_signal();
        }
        compiler_fence(SeqCst);
        result
    }

    fn receiving(&self) -> &Receiving {
        // SAFETY: the variable of this thread, which `self` does not leave, and which lives as
        // long as the thread: it has no destructor.
        unsafe { &*self.receiving }
    }

    /// Waits for the signal that somebody is about to send or has sent.
    #[cold]
    fn await_signal(&self) {
        let begun = Instant::now();
        while !self.receiving().arrived.swap(false, Relaxed) {
            if begun.elapsed() > ARRIVES_WITHIN {
                // It may come at any time from here on.
                signals::some_come();
                return;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            before.restore();
        }
    }
}

#[cold]
fn make_ready() -> libc::pid_t {
    if let Some(signal) = signal() {
        signals::unblock(signal);
    }
    let thread = signals::thread_id();
    READY.set((thread, Process::current()));
    thread
}
