//! What is told beside notifications: that a listener has left, and that a process has ended.
//!
//! A listener has left when it is not in the set any more and no worker has anything of it.

use super::backlog::Leaving;
use super::core::Core;
use super::stats::Counters;
use super::table::{ExitFunction, Table};
use crate::shared::{Owned, Shared};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// So long the end of a run waits for processes that are about to end: their listener tells a moment
/// before they do.
const LAST_EXITS: Duration = Duration::from_millis(100);

impl Core {
    /// A listener has nothing more to give.
    pub(super) fn remove(&self, key: u64) {
        match self.listeners.remove(key) {
            Some(gone) => self.has_left_set(gone),
            None => self.tell_news(),
        }
    }

    /// Takes a listener away that has not ended, by the tag that it was added with.
    pub(super) fn take(&self, tag: usize) -> Option<Owned> {
        self.take_found(self.listeners.take(|_, of| of == tag)?)
    }

    /// [`Core::take`] by what it is.
    pub(super) fn take_where(&self, is_wanted: impl Fn(&Shared) -> bool) -> Option<Owned> {
        self.take_found(self.listeners.take(|shared, _| is_wanted(shared))?)
    }

    fn take_found(&self, (shared, gone): (Owned, Leaving)) -> Option<Owned> {
        // Before everybody is told and looks.
        self.taken.fetch_add(1, SeqCst);
        self.has_left_set(gone);
        // Those who sleep may keep it open, and an event loop is to see that it was the last one.
        self.pool.call_all();
        if self.listeners.len() == 0 && !self.is_running() {
            self.listeners.wake();
        }
        Some(shared)
    }

    /// A listener is not in the set any more. It has left when nobody has anything of it.
    pub(super) fn has_left_set(&self, gone: Leaving) {
        // Told first: who sees no news may still believe in a listener that it had.
        self.tell_news();
        self.backlog.leave(gone);
        self.see_off();
    }

    /// Sees to it that listeners are told of that were removed, and that nobody has anything of any
    /// more. Called by who lets go of one.
    #[inline]
    pub(super) fn see_off(&self) {
        if self.backlog.is_anybody_leaving() {
            self.see_off_leaving();
        }
    }

    #[cold]
    fn see_off_leaving(&self) {
        let wanted = self.table().told_of_close().is_some();
        let in_use = |listener| self.used_slots().iter().any(|s| s.has_of(listener));
        if self.backlog.see_off(in_use, wanted) {
            self.call_for_backlog();
            self.tell_left_between_runs();
        }
    }

    /// Whoever has a permit, or could have one, is to look at the backlog.
    fn call_for_backlog(&self) {
        self.tell_news();
        self.pool.call_all();
    }

    /// Tells of a listener that has left. The caller holds a permit, or nobody else is at work.
    pub(super) fn tell_left(&self, tag: usize, counters: &Counters) {
        let table = self.table();
        let Some(told) = table.told_of_close() else {
            return;
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| told(tag))) {
            counters.panicked();
            // As with a handler's.
            std::mem::forget(payload);
        }
    }

    /// Tells of listeners that have left while there is no run, whose workers would.
    pub(super) fn tell_left_between_runs(&self) {
        while self.backlog.has_left() && !self.is_running() && self.backlog.take_permit() {
            if let Some(tag) = self.backlog.pop_left() {
                self.tell_left(tag, &self.nobody().counters);
            }
            self.backlog.give_permit();
            // A run that began meanwhile has missed the permit.
            if !self.backlog.is_empty() && self.is_running() {
                self.call_for_backlog();
            }
        }
    }

    /// Tells of the processes that have ended. The caller holds a permit.
    pub(super) fn tell_exits(&self, table: &Table, counters: &Counters) {
        if let Some(function) = table.exit_function() {
            let tell = |process| tell_exit(function, process, counters);
            self.deferrals.exits.tell(tell);
        }
    }

    /// At the end of a run or of a dispatch: tells of the processes that have ended, and of those that
    /// are about to, as there is no listener left.
    pub(super) fn tell_last_exits(&self) {
        let exits = &self.deferrals.exits;
        let table = self.table();
        let Some(function) = table.exit_function().filter(|_| !exits.is_empty()) else {
            return;
        };
        // A worker that was stuck and is back in its handler has it. There is another run, or none.
        if !self.backlog.take_permit() {
            return self.backlog.leave_exits();
        }
        self.backlog.pop_exits();
        let tell = |process| tell_exit(function, process, &self.nobody().counters);
        if self.listeners.len() == 0 && !self.options.keep_running {
            exits.tell_to_the_end(Instant::now() + LAST_EXITS, tell);
        } else {
            exits.tell(tell);
        }
        self.backlog.give_permit();
    }
}

/// Tells of the end of one process. One who panics has been told.
fn tell_exit(function: &ExitFunction, process: libc::pid_t, counters: &Counters) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| function.call(process))) {
        counters.panicked();
        // As with a handler.
        std::mem::forget(payload);
    }
}
