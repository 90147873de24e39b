//! What is found out once and then known.
//!
//! Unlike `std::sync::OnceLock` nobody waits here for somebody else to find it out: in a copy of the
//! process, forked in that moment, that somebody does not exist.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

/// A number that is not zero once it is known.
#[derive(Debug)]
pub(super) struct Known(AtomicU64);

impl Known {
    pub(super) const fn nothing() -> Self {
        Known(AtomicU64::new(0))
    }

    /// The number, if it is known.
    #[inline]
    pub(super) fn get(&self) -> Option<u64> {
        Some(self.0.load(Acquire)).filter(|&number| number != 0)
    }

    /// The number; `find` finds it out if it is not known. Several threads may do so at the same
    /// time, and what the first of them finds counts.
    #[inline]
    pub(super) fn get_or_find(&self, find: impl FnOnce() -> u64) -> u64 {
        match self.get() {
            Some(number) => number,
            None => self.set(find()),
        }
    }

    #[cold]
    fn set(&self, found: u64) -> u64 {
        debug_assert_ne!(found, 0);
        match self.0.compare_exchange(0, found, Release, Acquire) {
            Ok(_) => found,
            Err(theirs) => theirs,
        }
    }
}
