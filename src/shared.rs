//! What a listener and the notifications that came from it have in common, and what receiving means
//! to it.

use crate::ending::{Ending, Watch, SLICE};
use crate::error::{Error, Status};
use crate::held::{Held, Proc};
use crate::kernel::fork::Process;
use crate::kernel::{self, fd, interrupt, seccomp, version, Errno};
use crate::lock::lock;
use crate::receive_lock::{HeldSimply, ReceiveLock};
use std::any::Any;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// The errno that an unanswered notification gets unless another one is chosen.
pub(crate) const DEFAULT_FALLBACK: i32 = libc::ENOSYS;

/// What a listener and its notifications have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    fd: OwnedFd,
    receive_lock: ReceiveLock,
    /// The number of the process that `receive_lock` is kept in, and whether that is just taking it
    /// over. Nobody's before somebody has received.
    lock_of: AtomicU64,
    /// Who holds the lock.
    mark: interrupt::Mark,
    fallback: AtomicI32,
    tag: AtomicUsize,
    /// What it belongs to, if it came with something.
    origin: OnceLock<Arc<dyn Any + Send + Sync>>,
    sync_wake_up: AtomicBool,
    /// Synchronous wake-up is to be switched on by whoever receives first.
    sync_wake_up_due: AtomicBool,
    /// Whose end to look for, on a kernel where the listener does not tell.
    watch: Mutex<Option<Arc<Watch>>>,
    held: Held,
    /// How many have a right to receive from it.
    owners: AtomicUsize,
    /// What is done when nobody has that any more.
    when_disowned: Mutex<Option<WhenDisowned>>,
}

/// See [`Shared::when_disowned`].
struct WhenDisowned(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for WhenDisowned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenDisowned")
    }
}

/// The right to receive from a listener: a handle's, or a supervisor's. Notifications and workers only
/// keep it open.
#[derive(Debug)]
pub(crate) struct Owned(Arc<Shared>);

impl Owned {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.owners.fetch_add(1, Ordering::SeqCst);
        Owned(shared)
    }

    /// Gives the right up.
    pub(crate) fn into_shared(self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }
}

impl Deref for Owned {
    type Target = Arc<Shared>;

    #[inline(always)]
    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.0.owners.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.look_for_owners();
        }
    }
}

impl Shared {
    /// Of a descriptor known to be a listener. Makes no system call after the first
    /// [`Process::current`] of the process. Synchronous wake-up is off, and if it is `due` the first
    /// who receives switches it on.
    pub(crate) fn new(fd: OwnedFd, due: bool) -> Self {
        Shared {
            fd,
            receive_lock: ReceiveLock::default(),
            lock_of: AtomicU64::new(Process::NONE.number()),
            mark: interrupt::Mark::default(),
            fallback: AtomicI32::new(DEFAULT_FALLBACK),
            tag: AtomicUsize::new(0),
            origin: OnceLock::new(),
            sync_wake_up: AtomicBool::new(false),
            sync_wake_up_due: AtomicBool::new(due),
            watch: Mutex::default(),
            held: Held::default(),
            owners: AtomicUsize::new(0),
            when_disowned: Mutex::default(),
        }
    }

    /// This process's `/proc`, opened when it is first asked for.
    #[inline]
    pub(crate) fn proc(&self) -> kernel::Result<&Proc> {
        self.held.proc()
    }

    /// Switches synchronous wake-up on if that was left to the first who receives.
    #[inline]
    pub(crate) fn switch_what_is_due(&self) {
        // Looked at first, as it is seldom so.
        if self.sync_wake_up_due.load(Ordering::Relaxed)
            && self.sync_wake_up_due.swap(false, Ordering::Relaxed)
        {
            self.switch_sync_wake_up(true);
        }
    }

    /// Whose end is to be looked for beside the listener. On a kernel since 6.11, nobody's.
    pub(crate) fn watch(&self) -> Option<Arc<Watch>> {
        if version::recv_ends_with_last_target() {
            return None;
        }
        let watch = lock(&self.watch);
        watch.clone()
    }

    /// Nobody's end matters any more.
    pub(crate) fn unwatch(&self) {
        *lock(&self.watch) = None;
    }

    /// Looks for the end of another process from now on.
    pub(crate) fn set_watch(&self, watch: Watch) {
        *lock(&self.watch) = Some(Arc::new(watch));
    }

    /// Waits for a notification or the end, as [`interrupt::Receiver::poll`] does. `None` when the
    /// time is up.
    pub(crate) fn poll(
        &self,
        receiver: &interrupt::Receiver,
        deadline: Option<Instant>,
    ) -> kernel::Result<Option<fd::Ready>> {
        let wait = |second: Option<BorrowedFd<'_>>, until: Option<Instant>| {
            let barred = || self.receive_lock.is_barred();
            receiver.poll(&self.mark, self.fd(), second, until, barred)
        };
        match self.watch() {
            None => wait(None, deadline).map(|ready| ready.first),
            Some(watch) => self.poll_watching(&watch, deadline, wait),
        }
    }

    /// Who receives.
    #[inline]
    pub(crate) fn mark(&self) -> &interrupt::Mark {
        &self.mark
    }

    /// Interrupts who receives and whoever comes later, or ends that. Async-signal-safe.
    pub(crate) fn set_interrupted(&self, on: bool) {
        if let Some(thread) = self.receive_lock.bar(on) {
            interrupt::send(thread);
        }
        if on {
            self.mark.interrupt();
        }
    }

    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.receive_lock.is_barred()
    }

    /// Waits for the listener and for the child beside it, by `wait`, which is given what to wait
    /// for besides the listener, and until when. A child that is a zombie hangs the listener up.
    /// `None` when the time is up.
    fn poll_watching(
        &self,
        watch: &Watch,
        deadline: Option<Instant>,
        wait: impl Fn(Option<BorrowedFd<'_>>, Option<Instant>) -> kernel::Result<fd::Beside>,
    ) -> kernel::Result<Option<fd::Ready>> {
        let mut pidfd = watch.pidfd();
        loop {
            // Without a descriptor for the child, and for one whose end is not ours to see yet, in
            // slices.
            let slice = Instant::now() + SLICE;
            let until = match (pidfd, deadline) {
                (Some(_), deadline) => deadline,
                (None, deadline) => Some(deadline.map_or(slice, |d| d.min(slice))),
            };
            let ready = wait(pidfd, until)?;
            if ready.first.is_some() {
                return Ok(ready.first);
            }
            if !ready.second && pidfd.is_some() {
                return Ok(None);
            }
            match watch.look() {
                Ending::Reaped => {
                    self.unwatch();
                    return wait(None, deadline).map(|ready| ready.first);
                }
                Ending::Zombie => {
                    let pending = self.readable();
                    return Ok(Some(fd::Ready {
                        readable: pending,
                        hung_up: !pending,
                    }));
                }
                Ending::NotYet => pidfd = None,
            }
            if deadline.is_some_and(|d| d <= Instant::now()) {
                return Ok(None);
            }
        }
    }

    /// Switches synchronous wake-up and tells whether the kernel has it. Nothing is due any more.
    pub(crate) fn set_sync_wake_up(&self, on: bool) -> kernel::Result<()> {
        self.sync_wake_up_due.store(false, Ordering::Relaxed);
        self.sync_wake_up.store(on, Ordering::Relaxed);
        seccomp::set_sync_wake_up(self.fd(), on)
    }

    /// Switches synchronous wake-up if it is not so already.
    #[inline]
    pub(crate) fn switch_sync_wake_up(&self, on: bool) {
        // Looked at first: it seldom changes, and a look is cheaper.
        if self.sync_wake_up.load(Ordering::Relaxed) != on
            && self.sync_wake_up.swap(on, Ordering::Relaxed) != on
        {
            // Older than 6.6: only speed is lost.
            let _ = seccomp::set_sync_wake_up(self.fd(), on);
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// A duplicate of the descriptor.
    pub(crate) fn duplicate_fd(&self) -> std::io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Does this when nobody has a right to receive from it any more, or at once.
    pub(crate) fn when_disowned(&self, action: impl FnOnce() + Send + 'static) {
        *lock(&self.when_disowned) = Some(WhenDisowned(Box::new(action)));
        self.look_for_owners();
    }

    fn look_for_owners(&self) {
        // Said before the look, as whoever gives up the last right looks for this after that.
        let mut action = lock(&self.when_disowned);
        let due = action.take_if(|_| self.owners.load(Ordering::SeqCst) == 0);
        drop(action);
        if let Some(WhenDisowned(action)) = due {
            action();
        }
    }

    /// Closes the listener, though the number stays taken: what is done with it from here on fails.
    pub(crate) fn sever(&self) {
        // Where there is no descriptor to be had for that, it stays open until its holder lets go.
        let _ = fd::replace(self.fd());
    }

    /// The error number, positive, for a notification that nobody answers.
    pub(crate) fn fallback(&self) -> i32 {
        self.fallback.load(Ordering::Relaxed)
    }

    /// Sets it: one that the kernel would return from a system call.
    pub(crate) fn set_fallback(&self, errnum: i32) {
        self.fallback.store(errnum, Ordering::Relaxed);
    }

    /// What the supervisor's owner attached to the listener.
    pub(crate) fn tag(&self) -> usize {
        self.tag.load(Ordering::Relaxed)
    }

    pub(crate) fn set_tag(&self, tag: usize) {
        self.tag.store(tag, Ordering::Relaxed);
    }

    /// What it came with.
    pub(crate) fn origin(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.origin.get()
    }

    /// Says what it came with, once.
    pub(crate) fn set_origin(&self, origin: Arc<dyn Any + Send + Sync>) {
        let _ = self.origin.set(origin);
    }

    /// [`Shared::receive_lock`] for a thread that makes one `RECV` under it, if it can be had at once.
    /// Somebody has received from here before then, so nothing is due.
    #[inline(always)]
    pub(crate) fn lock_at_once<'a>(
        &'a self,
        process: Process,
        thread: &'a interrupt::Ready,
    ) -> Option<HeldSimply<'a>> {
        if self.lock_of.load(Ordering::Acquire) != process.number() {
            return None;
        }
        self.receive_lock.lock_simply(thread)
    }

    /// What lets one thread at a time receive. A copy of the process inherits it as it was, perhaps
    /// held by a thread that is not there, and so begins anew.
    #[inline]
    pub(crate) fn receive_lock(&self) -> &ReceiveLock {
        let process = Process::current().number();
        if self.lock_of.load(Ordering::Acquire) != process {
            self.take_lock_over(process);
        }
        &self.receive_lock
    }

    #[cold]
    fn take_lock_over(&self, process: u64) {
        const AT_IT: u64 = 1 << 62;
        loop {
            let of = self.lock_of.load(Ordering::Acquire);
            if of == process {
                return;
            }
            if of == process | AT_IT {
                // Another thread is, for a moment.
                std::thread::yield_now();
                continue;
            }
            let (from, to) = (of, process | AT_IT);
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            if self
                .lock_of
                .compare_exchange(from, to, acquire, relaxed)
                .is_ok()
            {
                self.receive_lock.renew();
                self.lock_of.store(process, Ordering::Release);
            }
        }
    }

    /// Whether a notification is pending.
    pub(crate) fn readable(&self) -> bool {
        matches!(
            fd::poll(self.fd(), Some(Instant::now())),
            Ok(Some(ready)) if ready.readable
        )
    }

    /// Whether every target is gone, which a kernel since 5.9 tells.
    pub(crate) fn hung_up(&self) -> bool {
        matches!(
            fd::poll(self.fd(), Some(Instant::now())),
            Ok(Some(ready)) if ready.hung_up && !ready.readable
        )
    }

    /// What a failed `RECV` means; `None` when it means nothing and is tried again.
    pub(crate) fn explain_recv(&self, errno: Errno) -> Option<Error> {
        match errno.0 {
            libc::EINTR => None,
            // The target died between waking us and our looking, or they all have.
            libc::ENOENT if !self.hung_up() => None,
            libc::ENOENT => Some(Error::plain(Status::Closed)),
            _ => Some(Error::system(errno, "receive from the listener")),
        }
    }
}
