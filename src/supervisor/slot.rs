//! What others may know of a worker, and where it works.

use super::backlog::Of;
use super::stats::Counters;
use crate::kernel::interrupt;
use crate::shared::Shared;
use crate::stall;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// What others may know of a worker.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Slot {
    /// Who gets it out of a `RECV`.
    pub(super) mark: interrupt::Mark,
    /// The call it makes that a target can make last.
    pub(super) place: stall::Place,
    pub(super) handling: AtomicBool,
    /// Counts its `RECV`s of what epoll has reported: odd while it is in one.
    pub(super) fetches: AtomicU32,
    /// The listener it receives from, or may be about to, or has received its notification from.
    pub(super) receives: Of,
    /// The listener of what it handles from the backlog.
    pub(super) handles: Of,
    /// What the workers in this slot have done.
    pub(super) counters: Counters,
}

impl Slot {
    /// Whether it is in a handler.
    pub(super) fn is_handling(&self) -> bool {
        self.handling.load(SeqCst)
    }

    /// The `RECV` that it is in of something that was reported.
    pub(super) fn fetch(&self) -> Option<u32> {
        let fetches = self.fetches.load(SeqCst);
        (fetches % 2 == 1).then_some(fetches)
    }

    /// Whether it has something of that listener, or may get something.
    pub(super) fn has_of(&self, listener: *const Shared) -> bool {
        [&self.receives, &self.handles]
            .iter()
            .any(|of| ptr::eq(of.load(SeqCst), listener))
    }
}

/// Where a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread that called `run` or `dispatch`.
    Caller,
    /// On a thread of the library's, which is the one that handlers run on if there is but one
    /// worker.
    Thread { at_home: bool },
}
