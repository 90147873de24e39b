//! Whose turn it is to wait in the kernel.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A lock that can be waited for with a time limit and wakes one waiter when it is let go.
///
/// `RECV` wakes every thread that is blocked in it for each notification, so only one thread is
/// let in. Without a second thread it costs no system call.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: usize,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a>(&'a Turn);

impl Turn {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` when `deadline` passed first.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<Taken<'_>> {
        let mut state = self.lock();
        while state.taken {
            state.waiting += 1;
            state = match deadline {
                None => self
                    .free
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let (guard, _) = self
                        .free
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner);
                    guard
                }
            };
            state.waiting -= 1;
            if state.taken && deadline.is_some_and(|d| d <= Instant::now()) {
                return None;
            }
        }
        state.taken = true;
        Some(Taken(self))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.taken = false;
        // `Condvar::notify_one` is a system call whether anybody waits or not.
        if state.waiting > 0 {
            self.0.free.notify_one();
        }
    }
}
