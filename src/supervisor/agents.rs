//! What an agent needs of the supervisor that serves its containers.

use super::backlog::Leaving;
use super::Supervisor;
use crate::error::Result;
use crate::listener::Listener;
use crate::shared::Shared;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often to look whether a worker that was stuck is done.
const LOOK: Duration = Duration::from_millis(2);

impl Supervisor {
    /// Whether it runs on without a listener.
    pub(crate) fn keeps_running(&self) -> bool {
        self.core.options.keep_running
    }

    /// [`Supervisor::add_listener`] for a tag that somebody is to have back: if it fails, that is told as
    /// [`Supervisor::on_close`] would tell it.
    pub(crate) fn add_or_tell(&self, listener: Listener, tag: usize) -> Result<()> {
        let shared = Arc::downgrade(listener.shared());
        let added = self.add_listener(listener, tag);
        if added.is_err() {
            self.core.has_left_set(Leaving { shared, tag });
        }
        added
    }

    /// Waits, at most for `limit`, until workers that were stuck when the last run ended have answered.
    /// While there is a run, that is not waited for.
    pub(crate) fn await_stuck(&self, limit: Duration) {
        let deadline = Instant::now().checked_add(limit);
        let is_over = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        while !self.core.is_open() && !self.core.is_at_rest() && !is_over() {
            thread::sleep(LOOK);
        }
    }

    /// [Takes](Supervisor::take_listener) all listeners that are so.
    pub(crate) fn take_all(&self, is_wanted: impl Fn(&Shared) -> bool) -> Vec<Listener> {
        let taken = || Some(Listener::from_shared(self.core.take_where(&is_wanted)?));
        std::iter::from_fn(taken).collect()
    }
}
