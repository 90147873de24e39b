//! Who receives. One worker at a time is the *leader* and receives; the others handle what they
//! received, or sleep. Nobody is woken who does not become the leader.
//!
//! A leader whose handler is fast stays the leader, so that many workers cost no more than one.
//! Before a handler known to be slow it gives the lead away; while a handler turns out to be slow
//! the [watcher](super::watch) takes the lead from it.

use crate::kernel::futex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// How long a worker sleeps before it ends its thread.
const RETIRE_AFTER: Duration = Duration::from_secs(5);

/// The lead: a word that is 0 while it is vacant. Else its upper half is the number of the claim,
/// and its lower half counts the leader's steps: odd while a handler runs, even in between. So no
/// two handlers show the same word, and the lead can be taken from a leader in just one of them.
#[derive(Debug, Default)]
pub(super) struct Pool {
    lead: AtomicU64,
    claims: AtomicU64,
    /// Sleepers wait for this word to change.
    calls: AtomicU32,
    asleep: AtomicU32,
}

/// The lead, as its holder last set it.
#[derive(Debug)]
pub(super) struct Claim(u64);

impl Claim {
    /// The word one step on; the steps wrap around within their half.
    fn step(&self) -> u64 {
        self.0 & !u64::from(u32::MAX) | u64::from((self.0 as u32).wrapping_add(1))
    }
}

/// What the leader was seen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance(u64);

impl Glance {
    /// Whether a handler was running.
    pub(super) fn in_handler(self) -> bool {
        self.0 % 2 == 1
    }
}

/// Why a sleeper woke up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Perhaps the lead is vacant.
    Called,
    /// Nobody needed it for long.
    Retire,
}

impl Pool {
    /// Takes the lead if it is vacant.
    pub(super) fn claim(&self) -> Option<Claim> {
        if self.lead.load(SeqCst) != 0 {
            return None;
        }
        let number = self.claims.fetch_add(1, SeqCst) + 1;
        let claim = number << 32;
        self.lead
            .compare_exchange(0, claim, SeqCst, SeqCst)
            .is_ok()
            .then_some(Claim(claim))
    }

    /// The leader begins a handler; the lead can be taken from it from here on.
    pub(super) fn begin(&self, claim: &mut Claim) {
        claim.0 = claim.step();
        self.lead.store(claim.0, SeqCst);
    }

    /// The handler is over; whether the lead is still ours.
    pub(super) fn end(&self, claim: &mut Claim) -> bool {
        let next = claim.step();
        let ours = self
            .lead
            .compare_exchange(claim.0, next, SeqCst, SeqCst)
            .is_ok();
        claim.0 = next;
        ours
    }

    /// Gives the lead away. The caller calls somebody.
    pub(super) fn vacate(&self) {
        self.lead.store(0, SeqCst);
    }

    /// What the leader is at.
    pub(super) fn glance(&self) -> Glance {
        Glance(self.lead.load(SeqCst))
    }

    /// Takes the lead from a leader that is still in this handler. The caller calls somebody.
    pub(super) fn depose(&self, handling: Glance) -> bool {
        self.lead
            .compare_exchange(handling.0, 0, SeqCst, SeqCst)
            .is_ok()
    }

    /// Wakes one sleeper; `false` when there is none.
    pub(super) fn call_one(&self) -> bool {
        if self.asleep.load(SeqCst) == 0 {
            return false;
        }
        self.calls.fetch_add(1, SeqCst);
        futex::wake(&self.calls, 1);
        true
    }

    /// Wakes all sleepers. Async-signal-safe.
    pub(super) fn call_all(&self) {
        self.calls.fetch_add(1, SeqCst);
        futex::wake(&self.calls, i32::MAX);
    }

    /// Sleeps until called, unless the lead is vacant or `over` says that there is nothing to
    /// wait for.
    pub(super) fn sleep(&self, may_retire: bool, over: impl Fn() -> bool) -> Woken {
        let calls = self.calls.load(SeqCst);
        self.asleep.fetch_add(1, SeqCst);
        // Looked at after being counted: whoever vacates the lead looks at the count afterwards.
        if self.lead.load(SeqCst) != 0 && !over() {
            futex::wait(&self.calls, calls, may_retire.then_some(RETIRE_AFTER));
        }
        self.asleep.fetch_sub(1, SeqCst);
        // Likewise: a call that still counted on us left the lead vacant.
        if may_retire && self.calls.load(SeqCst) == calls && self.lead.load(SeqCst) != 0 {
            Woken::Retire
        } else {
            Woken::Called
        }
    }
}
