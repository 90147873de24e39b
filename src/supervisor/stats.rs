//! What a supervisor has done so far.

use crate::notification::{Deferrals, Reply, State};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a supervisor has done since it was made. A snapshot; the numbers are read one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Notifications received.
    pub received: u64,
    /// Answered with a value.
    pub values: u64,
    /// Answered with an error by a handler.
    pub errors: u64,
    /// Continued.
    pub continued: u64,
    /// Answered with a descriptor.
    pub fds: u64,
    /// Answered with the fallback error, as nobody else did.
    pub fallbacks: u64,
    /// Gone before they were answered.
    pub gone: u64,
    /// Taken by handlers to be answered later. What becomes of one is counted beside this when it
    /// is answered or dropped.
    pub deferred: u64,
    /// Of these, not dropped so far.
    pub deferred_outstanding: u64,
    /// Handlers that panicked, or in C++ threw an exception.
    pub panics: u64,
    /// Handlers that said they failed.
    pub failed: u64,
    /// Listeners served now.
    pub listeners: u64,
    /// Worker threads now, the one that runs included: at most as many as handlers may run, one
    /// that receives what they have no time for, and those that replace stuck ones.
    pub workers: u64,
    /// The most there ever were.
    pub workers_max: u64,
    /// Of the workers now, those that are stuck in a call that their target makes last.
    pub workers_stuck: u64,
    /// The longest time one handler took. Sampled: the first calls of a handler,
    /// one in sixty-four later on, and all of one that is slow.
    pub slowest_handler: Duration,
}

impl Stats {
    /// Counts `times` notifications that were answered in this way.
    pub(crate) fn add(&mut self, how: Reply, times: u64) {
        let sum = match how {
            Reply::Value => &mut self.values,
            Reply::Error => &mut self.errors,
            Reply::Continue => &mut self.continued,
            Reply::Fd => &mut self.fds,
            Reply::Fallback => &mut self.fallbacks,
        };
        *sum += times;
    }

    /// Counts what handlers have kept.
    pub(super) fn add_deferrals(&mut self, deferrals: &Deferrals) {
        self.deferred_outstanding += deferrals.outstanding();
        self.gone += deferrals.gone();
        for reply in Reply::ALL {
            self.add(reply, deferrals.answered(reply));
        }
    }
}

/// What one worker has done. Only that worker writes, so counting takes no lock of the processor's.
#[derive(Debug, Default)]
pub(super) struct Counters {
    received: AtomicU64,
    answered: [AtomicU64; Reply::ALL.len()],
    gone: AtomicU64,
    deferred: AtomicU64,
    panics: AtomicU64,
    failed: AtomicU64,
    slowest_ns: AtomicU64,
}

#[inline]
fn increment(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

impl Counters {
    #[inline]
    pub(super) fn received(&self) {
        increment(&self.received);
    }

    pub(super) fn panicked(&self) {
        increment(&self.panics);
    }

    pub(super) fn failed(&self) {
        increment(&self.failed);
    }

    /// Counts how a notification left the handler's hands.
    #[inline]
    pub(super) fn settled(&self, how: State) {
        if let State::Answered(reply) = how {
            increment(&self.answered[reply as usize]);
        } else {
            self.not_answered(how);
        }
    }

    #[cold]
    #[inline(never)]
    fn not_answered(&self, how: State) {
        match how {
            State::Gone => increment(&self.gone),
            // Whoever keeps a notification leaves an empty one.
            State::Empty => increment(&self.deferred),
            State::Answered(_) | State::Pending => {}
        }
    }

    pub(super) fn took(&self, time: Duration) {
        let ns = time.as_nanos() as u64;
        if ns > self.slowest_ns.load(Relaxed) {
            self.slowest_ns.store(ns, Relaxed);
        }
    }

    pub(super) fn add_to(&self, stats: &mut Stats) {
        for (sum, counter) in [
            (&mut stats.received, &self.received),
            (&mut stats.gone, &self.gone),
            (&mut stats.deferred, &self.deferred),
            (&mut stats.panics, &self.panics),
            (&mut stats.failed, &self.failed),
        ] {
            *sum += counter.load(Relaxed);
        }
        for reply in Reply::ALL {
            stats.add(reply, self.answered[reply as usize].load(Relaxed));
        }
        let slowest = Duration::from_nanos(self.slowest_ns.load(Relaxed));
        stats.slowest_handler = stats.slowest_handler.max(slowest);
    }
}
