//! Sees handlers that are stuck, and gives their lead to another worker.
//!
//! A thread of its own, for supervisors with several workers. It looks every few milliseconds at
//! the handlers that the leaders are in; one that it sees twice it deposes the leader for. When
//! nothing happens for some looks it sleeps until a leader nudges it, which costs the leader one
//! load of a word while it is awake.

use super::Core;
use crate::kernel::futex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// Between two looks. A fast handler that lost its processor to somebody else is back sooner.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// So many looks without a handler, and it goes to sleep.
const PATIENCE: u32 = 16;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// Whether the watcher sleeps.
#[derive(Debug, Default)]
pub(super) struct Watch(AtomicU32);

impl Watch {
    /// Says that a handler is about to run.
    #[inline]
    pub(super) fn nudge(&self) {
        if self.0.load(SeqCst) == ASLEEP {
            self.wake();
        }
    }

    /// Async-signal-safe.
    pub(super) fn wake(&self) {
        self.0.store(AWAKE, SeqCst);
        futex::wake(&self.0, 1);
    }

    /// The watcher's thread.
    pub(super) fn run(&self, core: &Core) {
        let nap = AtomicU32::new(0);
        let mut seen: Vec<_> = core.pool.glances().collect();
        let mut quiet = 0;
        while core.end().is_none() {
            futex::wait(&nap, 0, Some(LOOK_EVERY));
            quiet += 1;
            for (now, last) in core.pool.glances().zip(&mut seen) {
                if now != *last {
                    *last = now;
                    quiet = 0;
                } else if now.in_handler() {
                    quiet = 0;
                    if core.pool.depose(now) {
                        core.call_worker();
                    }
                }
            }
            if quiet >= PATIENCE {
                self.0.store(ASLEEP, SeqCst);
                // A leader that began in between did not see us asleep.
                if core.pool.glances().eq(seen.iter().copied()) && core.end().is_none() {
                    futex::wait(&self.0, ASLEEP, None);
                }
                self.0.store(AWAKE, SeqCst);
                quiet = 0;
            }
        }
    }
}
