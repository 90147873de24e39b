//! The lock of those who receive: one thread waits in the kernel, the others wait for it.

use crate::kernel::futex;
use crate::kernel::interrupt::{Ready, ROOM};
use std::sync::atomic::{
    AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};
use std::time::{Duration, Instant};

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Beside [`TAKEN`]: perhaps somebody waits for it.
const WANTED: u32 = 2;
/// Beside one of the others: nobody is let in, and who waits gives up.
const BARRED: u32 = 4;
/// Beside [`TAKEN`]: by a thread that makes one `RECV`, whose number stands in the upper bits.
const SIMPLE: u32 = 8;
/// Beside [`SIMPLE`]: that thread is sent the signal that ends its `RECV`.
const SIGNALLED: u32 = 16;

/// A lock that can be waited for with a time limit, wakes one waiter when it is let go, and can be
/// barred.
///
/// `RECV` wakes every thread that is blocked in it for each notification, so only one thread is
/// let in. Without a second thread it costs no system call.
#[derive(Debug, Default)]
pub(crate) struct ReceiveLock(AtomicU32);

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a AtomicU32);

/// The lock, held by a thread for one `RECV`, until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldSimply<'a> {
    lock: &'a AtomicU32,
    thread: &'a Ready,
    /// What it was taken with.
    word: u32,
}

/// Why the lock is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    TimeIsUp,
    Barred,
    /// A signal was handled on this thread.
    Interrupted,
}

impl ReceiveLock {
    /// Waits for the lock, until `deadline`. With `until_signal` a signal that is handled on this
    /// thread ends the waiting.
    #[inline]
    pub(crate) fn lock(
        &self,
        deadline: Option<Instant>,
        until_signal: bool,
    ) -> Result<Held<'_>, Denied> {
        match self.0.compare_exchange(FREE, TAKEN, Acquire, Relaxed) {
            Ok(_) => Ok(Held(&self.0)),
            Err(_) => self.wait(deadline, until_signal),
        }
    }

    /// The lock, if it is free, for a thread that makes one `RECV` under it. Barring it ends that.
    #[inline(always)]
    pub(crate) fn lock_simply<'a>(&'a self, thread: &'a Ready) -> Option<HeldSimply<'a>> {
        let word = thread.thread_moved_up() | SIMPLE | TAKEN;
        // Seen by whoever bars it after this, as this sees it barred before.
        let taken = self.0.compare_exchange(FREE, word, SeqCst, Relaxed);
        // Lazily: dropping one lets go of the lock.
        taken.is_ok().then(|| HeldSimply {
            lock: &self.0,
            thread,
            word,
        })
    }

    /// Frees it in a copy of the process, where its holder, if it has one, does not exist. Barred it
    /// remains.
    pub(crate) fn renew(&self) {
        self.0.fetch_and(BARRED, Release);
    }

    #[cold]
    fn wait(&self, deadline: Option<Instant>, until_signal: bool) -> Result<Held<'_>, Denied> {
        loop {
            let now = self.0.load(Acquire);
            if now & BARRED != 0 {
                return Err(Denied::Barred);
            }
            // Whoever has waited takes it as wanted, for there may be others who wait.
            let then = now | TAKEN | WANTED;
            if now != then
                && self
                    .0
                    .compare_exchange(now, then, Acquire, Relaxed)
                    .is_err()
            {
                continue;
            }
            if now == FREE {
                return Ok(Held(&self.0));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Denied::TimeIsUp);
            }
            // Without a limit the kernel would go on waiting after some handlers.
            let limit = left.or(until_signal.then_some(Duration::from_secs(3600)));
            if futex::wait(&self.0, then, limit) && until_signal {
                return Err(Denied::Interrupted);
            }
        }
    }

    /// Bars the lock, or takes that back. Whoever holds it keeps it and asks
    /// [`ReceiveLock::is_barred`], but for a thread that has it for one `RECV` and is to be sent the
    /// signal now: its number. Async-signal-safe.
    pub(crate) fn bar(&self, bar: bool) -> Option<libc::pid_t> {
        if !bar {
            self.0.fetch_and(!BARRED, SeqCst);
            return None;
        }
        let mut now = self.0.load(SeqCst);
        loop {
            let is_simple = now & (SIMPLE | SIGNALLED) == SIMPLE;
            let then = now | BARRED | if is_simple { SIGNALLED } else { 0 };
            match self.0.compare_exchange(now, then, SeqCst, SeqCst) {
                Ok(_) => {
                    futex::wake(&self.0, i32::MAX);
                    return is_simple.then_some((now >> ROOM) as libc::pid_t);
                }
                Err(other) => now = other,
            }
        }
    }

    pub(crate) fn is_barred(&self) -> bool {
        self.0.load(SeqCst) & BARRED != 0
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let freed = self.0.compare_exchange(TAKEN, FREE, Release, Relaxed);
        if freed.is_err() {
            self.hand_on();
        }
    }
}

impl Held<'_> {
    #[cold]
    #[inline(never)]
    fn hand_on(&self) {
        self.0.fetch_and(BARRED, Release);
        futex::wake(self.0, 1);
    }
}

impl Drop for HeldSimply<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let freed = self
            .lock
            .compare_exchange(self.word, FREE, Release, Relaxed);
        if freed.is_err() {
            self.hand_on();
        }
    }
}

impl HeldSimply<'_> {
    #[cold]
    #[inline(never)]
    fn hand_on(&self) {
        let was = self.lock.fetch_and(BARRED, SeqCst);
        futex::wake(self.lock, 1);
        if was & SIGNALLED != 0 {
            self.thread.await_signal();
        }
    }
}
