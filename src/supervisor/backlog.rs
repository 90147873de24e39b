//! Who may run a handler, and the notifications that wait for that.
//!
//! As many handlers run as there are permits. A leader that receives a notification and has no
//! permit for it puts it here: a call that was *received* is not interrupted by its target's
//! signals any more (`WAIT_KILLABLE_RECV`), one that waits in the kernel for somebody to receive it
//! is. Whoever has a permit and is done with its handler looks here first.
//!
//! Here also waits what is to be told of listeners that have left: first until nobody has anything
//! of theirs any more, then for a permit, as telling of it is a handler's call. And so does what is to
//! be told of processes that have ended.

use crate::kernel::futex;
use crate::lock::lock;
use crate::notification::Notification;
use crate::shared::Shared;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Weak};
use std::time::Duration;

/// So many wait at the most; what comes after them waits in the kernel.
pub(super) const ROOM: usize = 1024;

#[derive(Debug)]
pub(super) struct Backlog {
    permits: AtomicU32,
    /// Stuck workers that are back and wait for a permit.
    returning: AtomicU32,
    waiting: Mutex<Waiting>,
    /// Of what waits for a permit.
    length: AtomicUsize,
    /// The part of it that is to be told of listeners.
    left: AtomicUsize,
    leaving: AtomicUsize,
    /// The part of it that is to be told of processes.
    exits: AtomicBool,
    /// To be received into again. Boxed, as a handler in C knows them by their place.
    #[allow(clippy::vec_box)]
    spare: Mutex<Vec<Box<Notification>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    received: VecDeque<Box<Notification>>,
    leaving: Vec<Leaving>,
    /// The tags of listeners that have left.
    left: VecDeque<usize>,
    /// Processes have ended.
    exits: bool,
}

/// A listener that was removed, and that a worker may still have something of.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Keeps its place from being another's, but not the listener open.
    pub(super) shared: Weak<Shared>,
    pub(super) tag: usize,
}

/// What has waited for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Notification,
    /// The listener with this tag has left.
    Left(usize),
    /// Processes have ended.
    Exits,
}

/// The listener that a worker may have something of: a pointer that is only compared.
pub(super) type Of = AtomicPtr<Shared>;

impl Backlog {
    pub(super) fn new(permits: usize) -> Self {
        Backlog {
            permits: AtomicU32::new(permits as u32),
            returning: AtomicU32::new(0),
            waiting: Mutex::default(),
            length: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            exits: AtomicBool::new(false),
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
        self.length.load(SeqCst) >= ROOM
    }

    /// Takes what was received, and leaves one to be received into. On failure, which an old
    /// kernel alone could give, nothing has changed.
    pub(super) fn push(&self, received: &mut Box<Notification>) -> bool {
        let spare = lock(&self.spare).pop();
        let Ok(empty) = spare.map_or_else(|| Notification::vacant().map(Box::new), Ok) else {
            return false;
        };
        let mut waiting = lock(&self.waiting);
        let received = std::mem::replace(received, empty);
        waiting.received.push_back(received);
        self.count(&waiting);
        true
    }

    fn count(&self, waiting: &Waiting) {
        let length = waiting.received.len() + waiting.left.len() + usize::from(waiting.exits);
        self.exits.store(waiting.exits, SeqCst);
        self.length.store(length, SeqCst);
        self.left.store(waiting.left.len(), SeqCst);
        self.leaving.store(waiting.leaving.len(), SeqCst);
    }

    /// The next that waits. A notification comes in exchange for one that is not needed, and `of`
    /// says then whose it is.
    pub(super) fn pop_into(&self, into: &mut Box<Notification>, of: &Of) -> Option<Waited> {
        match self.pop_left() {
            Some(tag) => Some(Waited::Left(tag)),
            None if self.pop_exits() => Some(Waited::Exits),
            None => self.pop_received(into, of).then_some(Waited::Notification),
        }
    }

    /// The oldest notification, as [`Backlog::pop_into`] gives it.
    pub(super) fn pop_received(&self, into: &mut Box<Notification>, of: &Of) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        let Some(oldest) = waiting.received.pop_front() else {
            return false;
        };
        of.store(oldest.bound_to().cast_mut(), SeqCst);
        self.count(&waiting);
        drop(waiting);
        let mut done = std::mem::replace(into, oldest);
        done.vacate();
        let mut spare = lock(&self.spare);
        if spare.len() < ROOM {
            spare.push(done);
        }
        true
    }

    /// Processes have ended: who has a permit is to tell of that.
    pub(super) fn leave_exits(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.exits = true;
        self.count(&waiting);
    }

    /// Whether it is the caller's now to tell of processes that have ended.
    pub(super) fn pop_exits(&self) -> bool {
        if !self.exits.load(SeqCst) {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        let exits = std::mem::take(&mut waiting.exits);
        self.count(&waiting);
        exits
    }

    /// A listener that has left.
    pub(super) fn pop_left(&self) -> Option<usize> {
        if !self.has_left() {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        let tag = waiting.left.pop_front();
        self.count(&waiting);
        tag
    }

    /// Whether there are listeners that have left.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(SeqCst) != 0
    }

    /// A listener was removed, and everybody told.
    pub(super) fn leave(&self, listener: Leaving) {
        let mut waiting = lock(&self.waiting);
        waiting.leaving.push(listener);
        self.count(&waiting);
    }

    /// Whether there are listeners that were removed and have not left. Who lets go of one asks
    /// afterwards.
    #[inline]
    pub(super) fn is_anybody_leaving(&self) -> bool {
        self.leaving.load(SeqCst) != 0
    }

    /// Looks which of the listeners that were removed are nobody's any more: `in_use` says whether
    /// a worker has something of one. Whether there is anything to be told, if it is `wanted`.
    ///
    /// Nothing of a listener gets from one hand into another meanwhile: that takes this lock.
    pub(super) fn see_off(&self, in_use: impl Fn(*const Shared) -> bool, wanted: bool) -> bool {
        let mut waiting = lock(&self.waiting);
        let Waiting {
            received,
            leaving,
            left,
            ..
        } = &mut *waiting;
        let before = left.len();
        leaving.retain(|listener| {
            let shared = listener.shared.as_ptr();
            let stays = in_use(shared) || received.iter().any(|n| n.bound_to() == shared);
            if !stays && wanted {
                left.push_back(listener.tag);
            }
            stays
        });
        let more = left.len() > before;
        self.count(&waiting);
        more
    }

    /// All that are leaving or have left, when nobody is at work any more.
    pub(super) fn all_left(&self) -> Vec<usize> {
        let mut waiting = lock(&self.waiting);
        let leaving = std::mem::take(&mut waiting.leaving);
        let mut tags: Vec<_> = std::mem::take(&mut waiting.left).into();
        tags.extend(leaving.iter().map(|listener| listener.tag));
        self.count(&waiting);
        tags
    }

    /// Frees what it keeps to be received into.
    pub(super) fn clear(&self) {
        lock(&self.spare).clear();
    }
}
