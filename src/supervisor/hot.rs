//! The one of several listeners that all notifications come from at the moment.
//!
//! To wait for several takes a third system call for each notification, and the kernel two calls into
//! epoll. So when many notifications in a row came from one listener, the leader takes it out of the
//! epoll instance and blocks in `RECV` on it, as if there were no other. The
//! [watcher](super::watcher) waits for the others meanwhile: once they have something, or nothing
//! comes from the hot one any more, the leader is interrupted and all is as before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// So many in a row make a listener hot; more when it did not stay so for long the last times.
const IN_A_ROW: u32 = 256;
const IN_A_ROW_AT_MOST: u32 = 64 * 1024;

/// It is worth the two interruptions that it takes when it lasts so long.
const WORTHWHILE: Duration = Duration::from_millis(50);

/// No listener is reported with it.
const NONE: u64 = 0;

/// What a worker receives from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The only listener.
    Only,
    /// One of several, as if it were the only one.
    Hot,
    /// Several.
    Many,
}

#[derive(Debug, Default)]
pub(super) struct Hot {
    key: AtomicU64,
    /// A watcher is there to wait for the others.
    guarded: AtomicBool,
}

impl Hot {
    pub(super) fn key(&self) -> Option<u64> {
        Some(self.key.load(SeqCst)).filter(|key| *key != NONE)
    }

    pub(super) fn is_on(&self) -> bool {
        self.key().is_some()
    }

    /// This one is, which its leader has taken out of the epoll instance.
    pub(super) fn on(&self, key: u64) {
        self.key.store(key, SeqCst);
    }

    /// No listener is; whether one was.
    pub(super) fn off(&self) -> bool {
        self.key.swap(NONE, SeqCst) != NONE
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.guarded.load(SeqCst)
    }

    /// Says whether a watcher is there.
    pub(super) fn guard(&self, guarded: bool) {
        self.guarded.store(guarded, SeqCst);
    }
}

/// The notifications in a row that a leader has received from one listener.
#[derive(Debug)]
pub(super) struct Streak {
    key: u64,
    length: u32,
    needed: u32,
    /// Since when its listener is hot.
    since: Option<Instant>,
}

impl Streak {
    pub(super) fn new() -> Self {
        Streak {
            key: NONE,
            length: 0,
            needed: IN_A_ROW,
            since: None,
        }
    }

    /// One more, reported together with others or `alone`. Whether its listener is to be hot.
    pub(super) fn count(&mut self, key: u64, alone: bool) -> bool {
        if key != self.key || !alone {
            self.key = key;
            self.length = 0;
        }
        self.length += 1;
        self.length >= self.needed
    }

    /// Its listener is hot from here on.
    #[cold]
    pub(super) fn heated(&mut self) {
        self.length = 0;
        self.since = Some(Instant::now());
    }

    /// It is not any more.
    #[cold]
    pub(super) fn cooled(&mut self) {
        let Some(since) = self.since.take() else {
            return;
        };
        self.needed = if since.elapsed() < WORTHWHILE {
            (self.needed * 2).min(IN_A_ROW_AT_MOST)
        } else {
            IN_A_ROW
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_needed_from_one_listener_make_it_hot() {
        let mut streak = Streak::new();
        assert!((1..IN_A_ROW).all(|_| !streak.count(1, true)));
        assert!(streak.count(1, true));
    }

    #[test]
    fn another_listener_begins_anew() {
        let mut streak = Streak::new();
        assert!((1..IN_A_ROW).all(|_| !streak.count(1, true)));
        assert!(!streak.count(2, true));
        assert!(!streak.count(1, true));
        // Reported together with one that has nothing for this worker.
        assert!((2..IN_A_ROW).all(|_| !streak.count(1, true)));
        assert!(!streak.count(1, false));
    }

    #[test]
    fn one_that_is_not_hot_for_long_takes_more_the_next_time() {
        let mut streak = Streak::new();
        for _ in 0..20 {
            streak.heated();
            streak.cooled();
        }
        assert_eq!(streak.needed, IN_A_ROW_AT_MOST);
        streak.since = Instant::now().checked_sub(WORTHWHILE * 2);
        streak.cooled();
        assert_eq!(streak.needed, IN_A_ROW);
    }
}
