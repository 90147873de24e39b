//! Calls that a target can make last as long as it likes.
//!
//! Who reads a target's memory, or opens what it names, may meet pages and files that the target
//! itself provides (FUSE, `userfaultfd(2)`), and the kernel lets such a call end only when the
//! target is so kind. So while a worker of a supervisor makes one, that stands in a [`Place`] where
//! the supervisor's watcher sees it. One that lasts too long is taken for stuck: the worker's permit
//! to run a handler goes to another worker, and the run does not wait for it at its end.
//!
//! When the call returns after all, the worker has to be let in again before it goes back to the
//! handler: so that handlers that must not overlap do not.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// What a worker is at. Even while it makes no such call; each call counts it up by two.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU32);

/// A call that was seen under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u32);

/// Who lets a worker in again whose call was taken for stuck.
pub(crate) trait Doorkeeper {
    /// Waits until the worker may go on; `false` when it must never return to its handler.
    fn let_in(&self) -> bool;
}

const IN_CALL: u32 = 1;
/// What a place holds instead of a call that was taken for stuck.
const STUCK: u32 = u32::MAX;

thread_local! {
    static HERE: Cell<*const Worker<'static>> = const { Cell::new(ptr::null()) };
}

/// A worker thread, as these calls see it.
pub(crate) struct Worker<'a> {
    pub(crate) place: &'a Place,
    pub(crate) doorkeeper: &'a dyn Doorkeeper,
}

impl Worker<'_> {
    /// Runs `work`, whose calls on this thread are watched.
    pub(crate) fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Puts back what was there before, also after a panic.
        struct Restore(*const Worker<'static>);
        impl Drop for Restore {
            fn drop(&mut self) {
                HERE.set(self.0);
            }
        }
        let _restore = Restore(HERE.replace(ptr::from_ref(self).cast()));
        work()
    }
}

impl Place {
    /// The call that is under way, if there is one.
    pub(crate) fn call(&self) -> Option<Call> {
        let word = self.0.load(SeqCst);
        (word != STUCK && word & IN_CALL != 0).then_some(Call(word))
    }

    /// Takes the call for stuck; `false` if it has ended.
    pub(crate) fn give_up(&self, call: Call) -> bool {
        self.0
            .compare_exchange(call.0, STUCK, SeqCst, SeqCst)
            .is_ok()
    }

    /// Whether the worker is stuck.
    pub(crate) fn is_stuck(&self) -> bool {
        self.0.load(SeqCst) == STUCK
    }

    /// The worker was let in again.
    pub(crate) fn recovered(&self) {
        self.0.store(0, SeqCst);
    }
}

/// Runs `call`, which a target can make last. `abandoned` is called if nobody waits for the result
/// any more; then this does not return.
#[inline]
pub(crate) fn watched<S, T>(
    subject: &mut S,
    call: impl FnOnce(&mut S) -> T,
    abandoned: impl FnOnce(&mut S),
) -> T {
    // SAFETY: `Worker::watched` keeps the worker alive while the pointer stands, on this thread.
    let Some(worker) = (unsafe { HERE.get().as_ref() }) else {
        return call(subject);
    };
    let word = worker.place.0.load(SeqCst);
    if word & IN_CALL != 0 {
        // One within another: the outer one is watched.
        return call(subject);
    }
    // The two highest numbers are STUCK and what would step onto it.
    let word = if word >= STUCK - 3 { 0 } else { word };
    worker.place.0.store(word | IN_CALL, SeqCst);
    let result = call(subject);
    let ended = worker
        .place
        .0
        .compare_exchange(word | IN_CALL, word + 2, SeqCst, SeqCst);
    if ended.is_err() && !worker.doorkeeper.let_in() {
        abandoned(subject);
        // Its handler's data may be gone, so it can go nowhere.
        loop {
            std::thread::park();
        }
    }
    result
}
