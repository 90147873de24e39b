//! Waking up the [watcher](super::watcher), which sleeps while nothing happens.

use crate::kernel::futex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

pub(super) const AWAKE: u32 = 0;
pub(super) const ASLEEP: u32 = 1;
const CALLED: u32 = 2;

/// Whether the watcher sleeps.
#[derive(Debug, Default)]
pub(super) struct Watch(pub(super) AtomicU32);

impl Watch {
    /// Says that a handler is about to run.
    #[inline]
    pub(super) fn nudge(&self) {
        if self.0.load(SeqCst) == ASLEEP {
            self.wake();
        }
    }

    /// Has the watcher look up now, also if it is just about to wait.
    pub(super) fn call(&self) {
        self.0.store(CALLED, SeqCst);
        futex::wake(&self.0, 1);
    }

    /// Async-signal-safe.
    pub(super) fn wake(&self) {
        self.0.store(AWAKE, SeqCst);
        futex::wake(&self.0, 1);
    }
}
