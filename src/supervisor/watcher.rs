//! Sees handlers that are slow and workers that are stuck, and has others take their place.
//!
//! A thread of its own. It looks every few milliseconds at the handlers that the leaders are in; one
//! that it sees twice it deposes the leader for, so that somebody goes on receiving. It looks as well
//! at the calls of the workers that a target can make last (see [`stall`](crate::stall)); one that
//! takes too long costs its worker the permit.
//!
//! And it looks at the `RECV`s of what epoll has reported. Somebody else who has a descriptor of the
//! listener, also in another process, can have been faster; then nothing comes, perhaps for ever, while
//! other listeners wait. One that it sees twice it ends.
//!
//! When nothing happens for some looks it sleeps until a leader nudges it, which costs the leader one
//! load of a word while it is awake.
//!
//! While the leader blocks on a [hot](super::hot) listener the watcher waits for the others.

use super::core::Core;
use super::pool::Glance;
use super::watch::{Watch, ASLEEP, AWAKE};
use crate::kernel::futex;
use crate::stall::Call;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Between two looks. A fast handler that lost its processor to somebody else is back sooner.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// The same, while handlers run that nobody waits for.
const LOOK_SELDOM: Duration = Duration::from_millis(40);

/// So many looks without news, and it looks seldom, or goes to sleep.
const PATIENCE: u32 = 16;

/// So long a call that a target can make last is waited for; and at the end of a run.
const STUCK_AFTER: Duration = Duration::from_millis(100);
const STUCK_AFTER_END: Duration = Duration::from_millis(16);

/// What the watcher has seen.
struct Seen {
    leaders: Vec<Glance>,
    /// The call a worker was in, and for how long it has been seen in it.
    calls: Vec<(Option<Call>, Duration)>,
    fetches: Vec<Option<u32>>,
}

impl Watch {
    /// The watcher's thread, until nobody is at work any more.
    pub(super) fn run(&self, core: &Core) {
        let mut seen = Seen {
            leaders: core.pool.glances().collect(),
            // Room for all there may be, so that nothing is allocated while notifications come.
            calls: Vec::with_capacity(core.slots.len()),
            fetches: Vec::with_capacity(core.slots.len()),
        };
        let mut quiet = 0;
        let mut nap = LOOK_EVERY;
        core.hot.guard(true);
        loop {
            // Who calls has said before what there is to see.
            self.0.store(AWAKE, SeqCst);
            let over = core.end().is_some();
            if over {
                if core.await_crew(Some(LOOK_EVERY)) {
                    core.hot.guard(false);
                    return;
                }
                nap = LOOK_EVERY;
            } else if core.hot.is_on() {
                if core.listeners.have_something(nap) {
                    core.cool();
                }
            } else {
                futex::wait(&self.0, AWAKE, Some(nap));
            }
            quiet += 1;
            if seen.look_at_leaders(core, over)
                | seen.look_at_calls(core, nap, over)
                | seen.look_at_fetches(core)
            {
                quiet = 0;
                nap = LOOK_EVERY;
            }
            if quiet < PATIENCE || over {
                continue;
            }
            quiet = PATIENCE;
            if core.is_any_handling() {
                nap = LOOK_SELDOM;
                continue;
            }
            // Nobody would wait for the others.
            core.cool();
            self.0.store(ASLEEP, SeqCst);
            // Who began in between did not see us asleep.
            let unchanged = core.pool.glances().eq(seen.leaders.iter().copied());
            let idle = unchanged && !core.is_any_handling() && !core.is_any_fetching();
            if idle && !core.hot.is_on() && core.end().is_none() {
                futex::wait(&self.0, ASLEEP, None);
            }
            self.0.store(AWAKE, SeqCst);
            quiet = 0;
            nap = LOOK_EVERY;
        }
    }
}

impl Seen {
    /// Deposes leaders whose handlers are slow. Whether anything was going on.
    fn look_at_leaders(&mut self, core: &Core, over: bool) -> bool {
        let mut busy = false;
        for (now, last) in core.pool.glances().zip(&mut self.leaders) {
            if now != *last {
                *last = now;
                busy = true;
            } else if now.in_handler() {
                busy = true;
                if !over && core.pool.depose(now) {
                    core.call_worker();
                }
            }
        }
        busy
    }

    /// Ends receives of what is not there any more. Whether there may be one.
    fn look_at_fetches(&mut self, core: &Core) -> bool {
        let slots = core.used_slots();
        self.fetches.resize(slots.len(), None);
        let mut busy = false;
        for (slot, last) in slots.iter().zip(&mut self.fetches) {
            let now = slot.fetch();
            if now.is_some() {
                busy = true;
                if now == *last {
                    slot.mark.interrupt();
                }
            }
            *last = now;
        }
        busy
    }

    /// Has workers replaced that are stuck. Whether any of them may be about to be.
    fn look_at_calls(&mut self, core: &Core, since: Duration, over: bool) -> bool {
        let limit = if over { STUCK_AFTER_END } else { STUCK_AFTER };
        let slots = core.used_slots();
        self.calls.resize(slots.len(), (None, Duration::ZERO));
        let mut busy = false;
        for (slot, (call, lasted)) in slots.iter().zip(&mut self.calls) {
            let now = slot.place.call();
            if now != *call {
                (*call, *lasted) = (now, Duration::ZERO);
                continue;
            }
            let Some(now) = now else { continue };
            busy = true;
            *lasted += since;
            if *lasted >= limit {
                core.replace(slot, now);
            }
        }
        busy
    }
}
