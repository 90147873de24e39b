//! What the core holds for C alone.

use crate::kernel::{cancel, Errno};
use crate::load::Load;
use crate::notification::{Notification, OWNED};
use std::ffi::c_int;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

impl Errno {
    /// Sets the calling thread's `errno`.
    pub(crate) fn set(self) {
        // SAFETY: `__errno_location` always returns the calling thread's own variable.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// Keeps the calling thread from being cancelled, until it is dropped. A cancellation that is
/// requested meanwhile comes after that.
#[derive(Debug)]
pub(crate) struct Uncancelled(c_int);

impl Uncancelled {
    #[inline]
    pub(crate) fn new() -> Self {
        Uncancelled(cancel::set(cancel::DISABLE))
    }
}

impl Drop for Uncancelled {
    #[inline]
    fn drop(&mut self) {
        cancel::set(self.0);
    }
}

impl Load<'_> {
    /// Whether it will yield a listener.
    pub(crate) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }
}

/// Who may free a notification that a handler was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ownership {
    /// Its holder.
    Owned = OWNED,
    /// The worker that shows it to a handler for one call.
    Lent,
    /// The worker too, and the handler has tried to.
    Returned,
}

impl Ownership {
    /// Passes a lent notification on; `false` when it is not lent (any more).
    pub(crate) fn pass(ownership: &AtomicU8, to: Ownership) -> bool {
        ownership
            .compare_exchange(Ownership::Lent as u8, to as u8, SeqCst, SeqCst)
            .is_ok()
    }

    /// Whether its holder may free it.
    pub(crate) fn is_owned(ownership: &AtomicU8) -> bool {
        ownership.load(SeqCst) == OWNED
    }
}

impl Notification {
    /// Shows it to a handler for one call, after which it may be deferred.
    pub(crate) fn lend(&mut self) {
        self.lending.deferred = self.lending.counted_by().is_some();
        *self.lending.ownership.get_mut() = Ownership::Lent as u8;
    }

    /// The call is over and it was not deferred.
    pub(crate) fn take_back(&mut self) {
        self.lending.deferred = false;
        *self.lending.ownership.get_mut() = Ownership::Owned as u8;
    }

    /// For [`Ownership::pass`].
    pub(crate) fn ownership(&self) -> &AtomicU8 {
        &self.lending.ownership
    }

    /// Counts a deferral where this one's would be, or takes that back.
    pub(crate) fn count_deferral(&self, deferred: bool) {
        match self.lending.counted_by() {
            Some(deferrals) if deferred => deferrals.add(),
            Some(deferrals) => deferrals.sub(),
            None => {}
        }
    }
}
