//! Whose turn it is to wait in the kernel.

use crate::kernel::futex;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Instant;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and perhaps somebody waits for it.
const WANTED: u32 = 2;

/// A lock that can be waited for with a time limit and wakes one waiter when it is let go.
///
/// `RECV` wakes every thread that is blocked in it for each notification, so only one thread is
/// let in. Without a second thread it costs no system call.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU32);

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a>(&'a AtomicU32);

impl Turn {
    /// Waits for the turn; `None` when `deadline` passed first.
    #[inline]
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<Taken<'_>> {
        match self.0.compare_exchange(FREE, TAKEN, Acquire, Relaxed) {
            Ok(_) => Some(Taken(&self.0)),
            Err(_) => self.wait(deadline),
        }
    }

    /// Frees it in a copy of the process, where its holder, if it has one, does not exist.
    pub(crate) fn renew(&self) {
        self.0.store(FREE, Release);
    }

    #[cold]
    fn wait(&self, deadline: Option<Instant>) -> Option<Taken<'_>> {
        // Whoever has waited takes it as wanted, for there may be others who wait.
        while self.0.swap(WANTED, Acquire) != FREE {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            futex::wait(&self.0, WANTED, left);
        }
        Some(Taken(&self.0))
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.swap(FREE, Release) == WANTED {
            futex::wake(self.0, 1);
        }
    }
}
