//! Getting a thread out of a blocked receive, without a race and without polling.
//!
//! The thread is sent a signal, which ends the system call with `EINTR` if it is blocked in it. If
//! the signal comes just before the call, that would be too early; so the handler, which runs on the
//! thread itself, also spoils what the thread is about to give to the kernel:
//!
//! - the buffer of a `RECV`, as the kernel refuses to receive into one that is not all zero
//!   (`EINVAL`; Linux 5.5). It leaves a buffer alone that the kernel has filled;
//! - the time limit of a `ppoll`, which becomes zero;
//! - the path of an `openat`, which becomes empty (`ENOENT`; see [`super::lasting`]).
//!
//! The signal is one of those that are not queued, so sending it cannot fail, however many signals
//! other processes of the same user have queued (`RLIMIT_SIGPENDING`). And it comes only while its
//! thread is receiving: who sends it says so first, and a thread that was told waits for it before
//! it goes on. So no other system call of the thread's is ever interrupted by it.

use super::fork::Process;
use super::receive_signal::{await_signal, make_ready, Receiving, POISON, RECEIVING};
use super::signals::SignalMask;
use super::syscall::syscall;
use super::{fd, signals, Errno, Result};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{
    compiler_fence, AtomicI32, AtomicU32, Ordering::Relaxed, Ordering::SeqCst,
};
use std::time::{Duration, Instant};

pub(crate) use super::receive_signal::{send, signal, ROOM};

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
        // The thread waits for the signal, so the number is its own.
        send(self.thread.load(SeqCst));
    }
}

/// How often a thread that cannot be interrupted looks up.
const SLICE: Duration = Duration::from_millis(20);

/// The calling thread, made ready to be got out of a receive.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The thread's own `RECEIVING`: looking it up takes longer than all else here.
    receiving: *const Receiving,
    thread: libc::pid_t,
    process: Process,
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
            process: Process::current(),
            usable: before.is_some(),
            before,
            _not_send: PhantomData,
        }
    }

    /// Lets the signal through to the calling thread for good. Cheap the second time.
    pub(crate) fn of_thread() -> Self {
        let process = Process::current();
        RECEIVING.with(|receiving| {
            if receiving.ready_in.get() != process {
                make_ready(receiving, process);
            }
            Receiver {
                receiving,
                thread: receiving.thread.get(),
                process,
                usable: signal().is_some(),
                before: None,
                _not_send: PhantomData,
            }
        })
    }

    /// Makes `mark` one of this thread's, for [`Receiver::receive_marked`].
    pub(crate) fn own(&self, mark: &Mark) {
        mark.thread.store(self.thread, SeqCst);
    }

    /// [`Receiver::receive`] through a mark of [its own](Receiver::own) and without an explanation:
    /// whether `call` received. If not, the buffer may not be zero any more.
    #[inline(always)]
    pub(crate) fn receive_marked(
        &self,
        mark: &Mark,
        id: *mut u64,
        give_up: impl FnOnce() -> bool,
        call: impl FnOnce() -> bool,
    ) -> bool {
        let receiving = self.receiving();
        receiving.id.store(id, Relaxed);
        compiler_fence(SeqCst);
        mark.state.store(WAITING, SeqCst);
        // Asked after that: who interrupts says why before it looks who waits.
        let received = !give_up() && call();
        if mark.state.swap(IDLE, SeqCst) == SIGNALLED {
            await_signal(receiving);
        }
        compiler_fence(SeqCst);
        receiving.id.store(ptr::null_mut(), Relaxed);
        received
    }

    /// The process that it receives in.
    #[inline]
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// Whether there is a signal to send.
    pub(crate) fn can_be_interrupted(&self) -> bool {
        self.usable
    }

    /// Runs a receiving call that [`Mark::interrupt`] ends: with `EINTR`, also where the signal
    /// came before the kernel was entered. `id` is the first word of the zeroed buffer it receives
    /// into. `give_up` is asked when everything is ready; whoever interrupts has made it true
    /// before.
    #[inline(always)]
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

    /// Runs a call that may be interrupted through `mark`.
    #[inline(always)]
    pub(super) fn marked<T>(
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
            await_signal(self.receiving());
        }
        compiler_fence(SeqCst);
        result
    }

    pub(super) fn receiving(&self) -> &Receiving {
        // SAFETY: the variable of this thread, which `self` does not leave, and which lives as
        // long as the thread: it has no destructor.
        unsafe { &*self.receiving }
    }
}

/// A thread that [`Receiver::of_thread`] has made ready before, that can be got out of a blocked `RECV`,
/// and on a kernel where that ends with the last target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// The thread's own, as in [`Receiver`].
    receiving: *const Receiving,
}

impl Ready {
    /// The calling thread of this process, if it is one.
    #[inline(always)]
    pub(crate) fn of_thread(process: Process) -> Option<Self> {
        RECEIVING
            .with(|receiving| (receiving.simple_in.get() == process).then_some(Ready { receiving }))
    }

    pub(super) fn receiving(&self) -> &Receiving {
        // SAFETY: as `Receiver::receiving`.
        unsafe { &*self.receiving }
    }

    /// The thread's number, moved up by [`ROOM`] bits.
    #[inline(always)]
    pub(crate) fn thread_moved_up(&self) -> u32 {
        self.receiving().thread_moved_up.get()
    }

    /// Runs `call`, in which the signal spoils a `RECV` into the zeroed buffer whose first word is
    /// `id`. Who sends it has to know that from `call`, which waits for it ([`Ready::await_signal`])
    /// if somebody does.
    #[inline(always)]
    pub(crate) fn exposing<T>(&self, id: *mut u64, call: impl FnOnce() -> T) -> T {
        let receiving = self.receiving();
        receiving.id.store(id, Relaxed);
        compiler_fence(SeqCst);
        let result = call();
        compiler_fence(SeqCst);
        receiving.id.store(ptr::null_mut(), Relaxed);
        result
    }

    /// Waits for the signal that somebody is about to send to this thread or has sent.
    pub(crate) fn await_signal(&self) {
        await_signal(self.receiving());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            before.restore();
        }
    }
}
