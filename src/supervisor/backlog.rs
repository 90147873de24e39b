//! Who may run a handler, and the notifications that wait for that.
//!
//! As many handlers run as there are permits. A leader that receives a notification and has no
//! permit for it puts it here: a call that was *received* is not interrupted by its target's
//! signals any more (`WAIT_KILLABLE_RECV`), one that waits in the kernel for somebody to receive it
//! is. Whoever has a permit and is done with its handler looks here first.

use super::lock;
use crate::kernel::futex;
use crate::notification::Notification;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;
use std::time::Duration;

/// In the length: somebody is to tell of processes that have ended.
const EXITS: usize = 1 << (usize::BITS - 1);

/// So many wait at the most; what comes after them waits in the kernel.
pub(super) const ROOM: usize = 1024;

#[derive(Debug)]
pub(super) struct Backlog {
    permits: AtomicU32,
    /// Stuck workers that are back and wait for a permit.
    returning: AtomicU32,
    waiting: Mutex<VecDeque<Box<Notification>>>,
    /// How many wait, and [`EXITS`].
    length: AtomicUsize,
    /// To be received into again. Boxed, as a handler in C knows them by their place.
    #[allow(clippy::vec_box)]
    spare: Mutex<Vec<Box<Notification>>>,
}

impl Backlog {
    pub(super) fn new(permits: usize) -> Self {
        Backlog {
            permits: AtomicU32::new(permits as u32),
            returning: AtomicU32::new(0),
            waiting: Mutex::default(),
            length: AtomicUsize::new(0),
            spare: Mutex::default(),
        }
    }

    /// A permit to run one handler at a time.
    pub(super) fn take_permit(&self) -> bool {
        self.permits
            .fetch_update(SeqCst, SeqCst, |permits| permits.checked_sub(1))
            .is_ok()
    }

    /// Whether there is a permit to be had.
    pub(super) fn has_permit(&self) -> bool {
        self.permits.load(SeqCst) != 0
    }

    /// Gives a permit back. The caller looks at the backlog afterwards.
    pub(super) fn give_permit(&self) {
        self.permits.fetch_add(1, SeqCst);
        if self.returning.load(SeqCst) != 0 {
            futex::wake(&self.permits, 1);
        }
    }

    /// Waits for a permit, as a worker that was stuck; `false` when `over` says not to.
    pub(super) fn await_permit(&self, call: impl Fn(), over: impl Fn() -> bool) -> bool {
        self.returning.fetch_add(1, SeqCst);
        let taken = loop {
            if over() {
                break false;
            }
            if self.take_permit() {
                break true;
            }
            call();
            // Not without limit: whoever keeps a permit may be about to look.
            futex::wait(&self.permits, 0, Some(Duration::from_millis(10)));
        };
        self.returning.fetch_sub(1, SeqCst);
        taken
    }

    /// Whether who keeps a permit for its next handler is to give it back.
    #[inline]
    pub(super) fn is_permit_wanted(&self) -> bool {
        self.returning.load(SeqCst) != 0
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.length.load(SeqCst) == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.length.load(SeqCst) & !EXITS >= ROOM
    }

    /// Processes have ended: who has a permit is to tell of that, as of a notification.
    pub(super) fn leave_exits(&self) {
        self.length.fetch_or(EXITS, SeqCst);
    }

    /// Whether it is the caller's now to tell of processes that have ended.
    pub(super) fn take_exits(&self) -> bool {
        // Looked at first, as it is seldom so.
        self.length.load(SeqCst) & EXITS != 0 && self.length.fetch_and(!EXITS, SeqCst) & EXITS != 0
    }

    /// Takes what was received, and leaves one to be received into. On failure, which an old
    /// kernel alone could give, nothing has changed.
    pub(super) fn push(&self, received: &mut Box<Notification>) -> bool {
        let spare = lock(&self.spare).pop();
        let Ok(empty) = spare.map_or_else(|| Notification::vacant().map(Box::new), Ok) else {
            return false;
        };
        let mut waiting = lock(&self.waiting);
        waiting.push_back(std::mem::replace(received, empty));
        self.length.fetch_add(1, SeqCst);
        true
    }

    /// The oldest, in exchange for one that is not needed.
    pub(super) fn pop_into(&self, into: &mut Box<Notification>) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        let Some(oldest) = waiting.pop_front() else {
            return false;
        };
        self.length.fetch_sub(1, SeqCst);
        drop(waiting);
        let mut done = std::mem::replace(into, oldest);
        done.vacate();
        let mut spare = lock(&self.spare);
        if spare.len() < ROOM {
            spare.push(done);
        }
        true
    }

    /// Frees what it keeps to be received into.
    pub(super) fn clear(&self) {
        lock(&self.spare).clear();
    }
}
