//! Who receives. A worker that does is a *leader*; the others handle what they received, or
//! sleep. Nobody is woken who does not become a leader.
//!
//! There is one lead, and more while that was measured to be faster (see [mode](super::mode)). A
//! leader whose handler is fast stays one, so that many workers cost no more than one. Before a
//! handler known to be slow it gives its lead away; while a handler turns out to be slow the
//! [watcher](super::watch) takes the lead from it.

use crate::kernel::futex;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst,
};
use std::time::Duration;

/// How long a worker sleeps before it ends its thread.
const RETIRE_AFTER: Duration = Duration::from_secs(5);

/// A lead, in a cache line of its own: its holder writes to it for every notification.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lead {
    /// 0 while it is vacant. Else the upper half is the number of the claim, and the lower half
    /// counts the leader's steps: odd while a handler runs, even in between. So no two handlers
    /// show the same word, and the lead can be taken from a leader in just one of them.
    word: AtomicU64,
    /// How many notifications were received under it. Only its holder writes this.
    received: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Pool {
    leads: Box<[Lead]>,
    /// How many of the leads are in use.
    wanted: AtomicUsize,
    claims: AtomicU64,
    /// Sleepers wait for this word to change.
    calls: AtomicU32,
    asleep: AtomicU32,
    /// The worker that is at home here wants the lead back.
    recalled: AtomicBool,
}

/// A lead, as its holder last set it.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    lead: usize,
    place: &'a Lead,
    /// The upper half of its word.
    number: u64,
    /// The lower half, which wraps around.
    steps: u32,
}

impl Claim<'_> {
    /// Whether this is the lead that there always is.
    pub(super) fn is_first(&self) -> bool {
        self.lead == 0
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        self.number | u64::from(self.steps)
    }

    /// The leader has received a notification.
    #[inline(always)]
    pub(super) fn count(&self) {
        let received = &self.place.received;
        received.store(received.load(Relaxed) + 1, Relaxed);
    }

    /// The leader begins a handler; the lead can be taken from it from here on.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.steps = self.steps.wrapping_add(1);
        self.place.word.store(self.word(), SeqCst);
    }

    /// The handler is over; whether the lead is still ours.
    #[inline(always)]
    pub(super) fn end(&mut self) -> bool {
        let now = self.word();
        self.steps = self.steps.wrapping_add(1);
        let next = self.word();
        let place = &self.place.word;
        place.compare_exchange(now, next, SeqCst, SeqCst).is_ok()
    }

    /// Gives the lead away, unless it was taken from its holder. The caller calls somebody.
    pub(super) fn vacate(&self) {
        let place = &self.place.word;
        let _ = place.compare_exchange(self.word(), 0, SeqCst, SeqCst);
    }
}

/// What a leader was seen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance {
    lead: usize,
    word: u64,
}

impl Glance {
    /// Whether a handler was running.
    pub(super) fn in_handler(self) -> bool {
        self.word % 2 == 1
    }
}

/// Why a sleeper woke up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Perhaps a lead is vacant.
    Called,
    /// By a signal that was handled on this thread, if it asked for that.
    Interrupted,
    /// Nobody needed it for long.
    Retire,
}

impl Pool {
    /// A pool in which at most `most` workers receive at the same time, and one at first.
    pub(super) fn new(most: usize) -> Self {
        Pool {
            leads: (0..most).map(|_| Lead::default()).collect(),
            wanted: AtomicUsize::new(1),
            claims: AtomicU64::new(0),
            calls: AtomicU32::new(0),
            asleep: AtomicU32::new(0),
            recalled: AtomicBool::new(false),
        }
    }

    fn wanted(&self) -> &[Lead] {
        &self.leads[..self.wanted.load(SeqCst)]
    }

    pub(super) fn has_vacancy(&self, at_home: bool) -> bool {
        (at_home || !self.is_recalled()) && self.wanted().iter().any(|l| l.word.load(SeqCst) == 0)
    }

    /// Keeps the lead for the worker that is at home, when its present holder gives it up. Whether
    /// the holder has yet to be told.
    pub(super) fn recall(&self) -> bool {
        !self.recalled.swap(true, SeqCst)
    }

    /// Nobody is at home.
    pub(super) fn forget_recall(&self) {
        self.recalled.store(false, SeqCst);
    }

    pub(super) fn is_recalled(&self) -> bool {
        self.recalled.load(SeqCst)
    }

    /// Says how many are to receive, and returns how many were. The caller calls more, or sees to
    /// it that those too many look up.
    pub(super) fn want(&self, leaders: usize) -> usize {
        self.wanted.swap(leaders.clamp(1, self.leads.len()), SeqCst)
    }

    /// Whether several are to receive.
    pub(super) fn wants_several(&self) -> bool {
        self.wanted.load(SeqCst) > 1
    }

    /// Whether the lead is one of those wanted.
    pub(super) fn is_wanted(&self, claim: &Claim<'_>) -> bool {
        claim.lead < self.wanted.load(SeqCst)
    }

    /// Takes a lead if one is vacant, and not kept for the worker that is at home.
    pub(super) fn claim(&self, at_home: bool) -> Option<Claim<'_>> {
        if at_home {
            self.forget_recall();
        } else if self.is_recalled() {
            return None;
        }
        for (lead, place) in self.wanted().iter().enumerate() {
            if place.word.load(SeqCst) != 0 {
                continue;
            }
            let number = (self.claims.fetch_add(1, SeqCst) + 1) << 32;
            let taken = place.word.compare_exchange(0, number, SeqCst, SeqCst);
            if taken.is_ok() {
                return Some(Claim {
                    lead,
                    place,
                    number,
                    steps: 0,
                });
            }
        }
        None
    }

    /// How many notifications all leaders have received.
    pub(super) fn received(&self) -> u64 {
        self.leads.iter().map(|l| l.received.load(Relaxed)).sum()
    }

    /// Takes all leads from whoever has them.
    pub(super) fn depose_all(&self) {
        for lead in &self.leads {
            lead.word.store(0, SeqCst);
        }
    }

    /// Whether another one leads as well.
    pub(super) fn is_led_by_others(&self, claim: &Claim<'_>) -> bool {
        let others = self.leads.iter().enumerate();
        others
            .filter(|(lead, _)| *lead != claim.lead)
            .any(|(_, lead)| lead.word.load(SeqCst) != 0)
    }

    /// What the leaders are at.
    pub(super) fn glances(&self) -> impl Iterator<Item = Glance> + '_ {
        self.leads.iter().enumerate().map(|(lead, place)| Glance {
            lead,
            word: place.word.load(SeqCst),
        })
    }

    /// Takes the lead from a leader that is still in this handler. The caller calls somebody.
    pub(super) fn depose(&self, handling: Glance) -> bool {
        self.leads[handling.lead]
            .word
            .compare_exchange(handling.word, 0, SeqCst, SeqCst)
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

    /// Sleeps until called, unless a lead is vacant or `busy` says that there is something to do.
    pub(super) fn sleep(&self, sleeper: Sleeper, busy: impl Fn() -> bool) -> Woken {
        let calls = self.calls.load(SeqCst);
        self.asleep.fetch_add(1, SeqCst);
        let Sleeper {
            at_home,
            may_retire,
            until_signal,
        } = sleeper;
        // A limit makes every signal end the sleep.
        let limit = (may_retire || until_signal).then_some(RETIRE_AFTER);
        // Looked at after being counted: whoever vacates a lead looks at the count afterwards.
        let interrupted =
            !self.has_vacancy(at_home) && !busy() && futex::wait(&self.calls, calls, limit);
        self.asleep.fetch_sub(1, SeqCst);
        if interrupted && until_signal {
            return Woken::Interrupted;
        }
        // Likewise: a call that still counted on us left a lead vacant.
        if may_retire && self.calls.load(SeqCst) == calls && !self.has_vacancy(at_home) && !busy() {
            Woken::Retire
        } else {
            Woken::Called
        }
    }
}

/// Who sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sleeper {
    /// The lead is kept for it.
    pub(super) at_home: bool,
    /// It ends when nobody calls it for long.
    pub(super) may_retire: bool,
    /// A signal wakes it.
    pub(super) until_signal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_lead_as_are_wanted() {
        let pool = Pool::new(2);
        let first = pool.claim(false).unwrap();
        assert!(pool.claim(false).is_none());
        assert_eq!(pool.want(9), 1);
        let second = pool.claim(false).unwrap();
        assert!(pool.claim(false).is_none());
        assert!(pool.is_wanted(&first) && pool.is_wanted(&second));
        pool.want(1);
        assert!(pool.is_wanted(&first) && !pool.is_wanted(&second));
        second.vacate();
        assert!(pool.claim(false).is_none());
    }

    #[test]
    fn a_recalled_lead_is_for_the_worker_at_home() {
        let pool = Pool::new(1);
        let claim = pool.claim(false).unwrap();
        assert!(pool.recall());
        assert!(!pool.recall());
        claim.vacate();
        assert!(pool.claim(false).is_none());
        let claim = pool.claim(true).unwrap();
        claim.vacate();
        assert!(pool.claim(false).is_some());
    }

    #[test]
    fn a_leader_is_deposed_in_the_handler_it_was_seen_in_and_no_other() {
        let pool = Pool::new(1);
        let mut claim = pool.claim(false).unwrap();
        claim.begin();
        let seen = pool.glances().next().unwrap();
        assert!(seen.in_handler());
        assert!(claim.end());
        assert!(!pool.depose(seen));
        claim.begin();
        assert!(!pool.depose(seen));
        assert!(pool.depose(pool.glances().next().unwrap()));
        assert!(!claim.end());
        assert!(pool.claim(false).is_some());
    }
}
