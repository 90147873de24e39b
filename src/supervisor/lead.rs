//! Leading: to receive for as long as nobody else has to, and to handle in between.

use super::core::End;
use super::pool::Claim;
use super::worker::Worker;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Why a leader stops waiting.
pub(super) enum Received {
    Notification,
    /// Processes have ended.
    Exits,
    /// There is nothing more to lead.
    Nothing(End),
    /// There are to be fewer leaders.
    NotWanted,
    /// A listener has left, and it has a permit to tell of that.
    Left,
    /// It leads in a run that is over: it was stuck meanwhile.
    Late,
}

impl Worker<'_> {
    /// Receives for as long as it leads; says so when there is nothing more to lead.
    #[inline]
    pub(super) fn lead(&mut self, mut claim: Claim<'_>) -> Option<End> {
        let core = self.core;
        let has_choice = core.has_choice();
        // Those who led meanwhile may have received what was reported before, and a RECV for that
        // would wait while the other listeners have something.
        self.events.clear();
        // What it received from before, it may go on with if there is no news.
        if let Some(entry) = &self.entry {
            let of = Arc::as_ptr(&entry.shared).cast_mut();
            self.slot.receives.store(of, SeqCst);
        }
        // And left something behind, which nobody would look at if this one kept its permit.
        if !core.backlog.is_empty() && self.take_permit() {
            self.step_aside(&claim);
            self.clear_backlog();
            return None;
        }
        loop {
            let received = if self.receive_at_once() {
                Received::Notification
            } else {
                self.receive(&claim)
            };
            match received {
                Received::Notification => {}
                Received::Exits => {
                    if self.lead_on_after_exits(&mut claim) {
                        continue;
                    }
                    return None;
                }
                Received::Nothing(end) => {
                    claim.vacate();
                    return Some(end);
                }
                Received::Late => {
                    self.step_aside(&claim);
                    return None;
                }
                Received::Left => {
                    claim.begin();
                    core.watch.nudge();
                    if let Some(tag) = core.backlog.pop_left() {
                        self.tell_left(tag);
                    }
                    if !claim.end() {
                        return None;
                    }
                    continue;
                }
                Received::NotWanted => {
                    claim.vacate();
                    if core.pool.is_recalled() {
                        core.pool.call_all();
                    }
                    return None;
                }
            }
            if has_choice {
                claim.count();
                if let Some(seen) = self.round.count(self.notification.request().pid as u32) {
                    core.choose_mode(seen, self.source());
                    self.switch_wake_up();
                }
            }
            let permit = self.take_permit();
            if !(permit && core.backlog.is_empty()) && core.backlog.push(&mut self.notification) {
                // Asked again after that: who gives a permit looks at the backlog afterwards.
                if self.take_permit() {
                    self.step_aside(&claim);
                    self.clear_backlog();
                    return None;
                }
                self.leave_waiting(&claim);
                continue;
            }
            self.look_up();
            if self.handler.as_ref().is_some_and(|h| h.blocks()) {
                self.step_aside(&claim);
                self.nudge_watcher();
                self.handle();
                return None;
            }
            claim.begin();
            core.watch.nudge();
            self.handle_here();
            if !claim.end() {
                return None;
            }
            if core.pool.wants_several() || core.backlog.is_permit_wanted() {
                self.give_permit();
            }
        }
    }

    /// Tells of processes that have ended, or leaves that to who has the permit. Whether it still
    /// leads.
    #[cold]
    fn lead_on_after_exits(&mut self, claim: &mut Claim<'_>) -> bool {
        let core = self.core;
        if !self.take_permit() {
            self.leave_waiting(claim);
            return true;
        }
        claim.begin();
        core.watch.nudge();
        if core.backlog.pop_exits() {
            self.tell_exits();
        }
        if !claim.end() {
            return false;
        }
        if !core.backlog.is_empty() {
            self.step_aside(claim);
            self.clear_backlog();
            return false;
        }
        if core.backlog.is_permit_wanted() {
            self.give_permit();
        }
        true
    }

    /// Leaves the lead to another worker.
    fn step_aside(&self, claim: &Claim<'_>) {
        claim.vacate();
        self.core.call_worker();
    }

    /// What was just received waits for a permit.
    fn leave_waiting(&self, claim: &Claim<'_>) {
        let core = self.core;
        if core.options.max_workers == 1 {
            // The one that is at home keeps its permit while it sleeps.
            core.pool.call_all();
        } else if core.pool.is_led_by_others(claim) {
            // Another one that leads may keep a permit and have nothing to do.
            core.tell_news();
        }
        while core.backlog.is_full() && !self.is_over() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// It is about to be busy for long, perhaps, and does not take a lead that is vacant or kept for
    /// it.
    pub(super) fn leave_lead(&self) {
        let core = self.core;
        if self.at_home {
            core.pool.forget_recall();
        }
        if core.pool.has_vacancy(false) {
            core.call_worker();
        }
    }
}
