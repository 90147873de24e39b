//! Lending a notification to a handler, which may keep it: who owns it, and who counts what becomes of
//! it.

use super::state::{Reply, State};
use crate::exits::Exits;
use crate::lock::lock;
use crate::shared::Shared;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// Whose a notification is that a supervisor shows to its handlers.
#[derive(Debug)]
pub(crate) struct Lending {
    /// What counts it if a handler keeps it.
    counted_by: Option<Arc<Deferrals>>,
    pub(crate) deferred: bool,
    /// What became of it was counted.
    counted: bool,
    /// Who may free it: [`OWNED`], or what a handler in C makes of it. A worker and the thread that such
    /// a handler gave it to may meet here, so it is apart from everything else.
    pub(crate) ownership: AtomicU8,
}

/// Its holder may free a notification.
pub(crate) const OWNED: u8 = 0;

impl Default for Lending {
    fn default() -> Self {
        Lending {
            counted_by: None,
            deferred: false,
            counted: false,
            ownership: AtomicU8::new(OWNED),
        }
    }
}

impl Lending {
    pub(crate) fn counted_by(&self) -> Option<&Arc<Deferrals>> {
        self.counted_by.as_ref()
    }

    /// Lets `deferrals` count it, if nothing else does.
    pub(super) fn count_by(&mut self, deferrals: &Arc<Deferrals>) {
        if self.counted_by.is_none() {
            self.counted_by = Some(Arc::clone(deferrals));
        }
    }

    /// A handler keeps it. One that was kept before is counted already.
    pub(super) fn keep(&mut self) {
        if let (false, Some(deferrals)) = (self.deferred, &self.counted_by) {
            deferrals.add();
            self.deferred = true;
        }
    }

    /// Whether [`Lending::end`] has anything to do. What is not deferred was not counted.
    #[inline(always)]
    pub(super) fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// It is not kept any more: counts what became of it if it was.
    #[inline]
    pub(super) fn end(&mut self, state: State) {
        if let (true, Some(deferrals)) = (self.deferred, &self.counted_by) {
            deferrals.sub();
            if !self.counted {
                deferrals.count(state);
            }
        }
        self.deferred = false;
        self.counted = false;
    }

    /// Counts how it was answered, or that it is gone, if a handler has kept it.
    #[inline(always)]
    pub(super) fn count_outcome(&mut self, state: State) {
        if self.deferred {
            self.count_deferred(state);
        }
    }

    fn count_deferred(&mut self, state: State) {
        // One that was only lent so far is counted when it turns out to be kept, or by its worker.
        if !self.counted && self.ownership.load(SeqCst) == OWNED {
            self.counted = true;
            if let Some(deferrals) = &self.counted_by {
                deferrals.count(state);
            }
        }
    }
}

/// Counts the notifications that handlers have kept: those not yet dropped, and what became of the
/// others.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    /// The target processes whose ends handlers want to know.
    pub(crate) exits: Exits,
    outstanding: AtomicU64,
    /// Listeners to be closed when none is outstanding any more, and whether there are some.
    to_be_closed: Mutex<Vec<Weak<Shared>>>,
    closes: AtomicBool,
    answered: [AtomicU64; Reply::ALL.len()],
    gone: AtomicU64,
}

impl Deferrals {
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self) {
        let left = self.outstanding.fetch_sub(1, SeqCst) - 1;
        if left == 0 && self.closes.load(SeqCst) {
            self.close();
        }
    }

    /// Has a listener closed under the hands of whoever holds it, as soon as no notification is
    /// outstanding which has a right to that. Nobody is to keep another one from here on.
    pub(crate) fn close_at_the_end(&self, listener: Weak<Shared>) {
        lock(&self.to_be_closed).push(listener);
        // Said before the look: whoever drops the last one looks for this after that.
        self.closes.store(true, SeqCst);
        if self.outstanding.load(SeqCst) == 0 {
            self.close();
        }
    }

    #[cold]
    fn close(&self) {
        let listeners = std::mem::take(&mut *lock(&self.to_be_closed));
        for listener in listeners {
            if let Some(listener) = listener.upgrade() {
                listener.sever();
            }
        }
    }

    /// Counts what became of one.
    fn count(&self, how: State) {
        let counter = match how {
            State::Answered(reply) => &self.answered[reply as usize],
            State::Gone => &self.gone,
            State::Empty | State::Pending => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were answered in this way.
    pub(crate) fn answered(&self, how: Reply) -> u64 {
        self.answered[how as usize].load(Ordering::Relaxed)
    }

    /// How many did not wait for an answer any more.
    pub(crate) fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }
}
