//! The lock of those who receive: one thread waits in the kernel, the others wait for it.

use crate::kernel::futex;
use std::sync::atomic::{
    AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};
use std::time::{Duration, Instant};

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and perhaps somebody waits for it.
const WANTED: u32 = 2;
/// Beside one of the others: nobody is let in, and who waits gives up.
const BARRED: u32 = 4;

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
            if now != WANTED
                && self
                    .0
                    .compare_exchange(now, WANTED, Acquire, Relaxed)
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
            if futex::wait(&self.0, WANTED, limit) && until_signal {
                return Err(Denied::Interrupted);
            }
        }
    }

    /// Bars the lock, or takes that back. Whoever holds it keeps it and asks [`ReceiveLock::is_barred`].
    /// Async-signal-safe.
    pub(crate) fn bar(&self, bar: bool) {
        if bar {
            self.0.fetch_or(BARRED, SeqCst);
            futex::wake(&self.0, i32::MAX);
        } else {
            self.0.fetch_and(!BARRED, SeqCst);
        }
    }

    pub(crate) fn is_barred(&self) -> bool {
        self.0.load(SeqCst) & BARRED != 0
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if self
            .0
            .compare_exchange(TAKEN, FREE, Release, Relaxed)
            .is_err()
        {
            self.0.fetch_and(BARRED, Release);
            futex::wake(self.0, 1);
        }
    }
}
