//! The loop: receive, find the handler, call it, settle.

use super::backlog::{Of, Waited};
use super::core::{Core, End};
use super::listeners::{is_child, Entry, EXITS, WAKE};
use super::mode::Round;
use super::pool::{Claim, Sleeper, Woken};
use super::stats::Counters;
use super::table::{Handler, Table, Verdict};
use crate::error::{Result, Status};
use crate::kernel::epoll::{Epoll, Event};
use crate::kernel::{interrupt, version, Errno};
use crate::notification::{Notification, State};
use crate::shared::Shared;
use crate::stall;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// What others may know of a worker.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Slot {
    /// Who gets it out of a `RECV`.
    pub(super) mark: interrupt::Mark,
    /// The call it makes that a target can make last.
    pub(super) place: stall::Place,
    handling: AtomicBool,
    /// The listener it receives from, or may be about to, or has received its notification from.
    receives: Of,
    /// The listener of what it handles from the backlog.
    handles: Of,
    /// What the workers in this slot have done.
    pub(super) counters: Counters,
}

impl Slot {
    /// Whether it is in a handler.
    pub(super) fn is_handling(&self) -> bool {
        self.handling.load(SeqCst)
    }

    /// Whether it has something of that listener, or may get something.
    pub(super) fn has_of(&self, listener: *const Shared) -> bool {
        [&self.receives, &self.handles]
            .iter()
            .any(|of| ptr::eq(of.load(SeqCst), listener))
    }
}

/// Where a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread that called `run` or `dispatch`.
    Caller,
    /// On a thread of the library's, which is the one that handlers run on if there is but one
    /// worker.
    Thread { at_home: bool },
}

/// How long received notifications are still handled when the supervisor was stopped.
const HANDLED_AFTER_STOP: Duration = Duration::from_millis(20);

/// What one worker thread holds on to.
pub(super) struct Worker<'a> {
    core: &'a Core,
    slot: &'a Slot,
    /// The run it works for.
    run: u64,
    place: Place,
    /// All handlers are to run on its thread, as there is one worker.
    at_home: bool,
    /// A signal ends the run.
    until_signal: bool,
    /// Whether it may run a handler. Kept from one notification to the next while it is the only
    /// one that leads.
    permit: bool,
    /// The handler that ran last was a fast one.
    was_fast: bool,
    table: Arc<Table>,
    /// The system call looked up last, and its handler.
    call: (u32, i32),
    handler: Option<Arc<Handler>>,
    /// Received into again and again.
    notification: Box<Notification>,
    /// The listener received from last.
    entry: Option<Entry>,
    /// Whether to block on that one in `RECV`: it is the only one, and a thread can be got out of
    /// there.
    only: bool,
    /// What to wait on for that one if several workers receive from it.
    share: Option<Epoll>,
    /// The [`Core::news`] that this was true at.
    news: u64,
    /// The [`Core::taken`] that it has let go for.
    taken: u64,
    /// Reports of `epoll_wait` not looked at yet.
    events: Vec<Event>,
    /// Among those looked at was one of processes that have ended.
    exits: bool,
    round: Round,
    /// For a thread that blocks.
    receiver: Option<interrupt::Receiver>,
}

/// The [`Core::news`] of a worker that has yet to catch up.
const NEVER: u64 = u64::MAX;

/// Why a leader stops waiting.
enum Received {
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

impl<'a> Worker<'a> {
    pub(super) fn new(core: &'a Core, slot: &'a Slot, place: Place) -> Result<Self> {
        let one = core.options.max_workers == 1;
        Ok(Worker {
            core,
            slot,
            run: core.run_number(),
            place,
            at_home: one && place != Place::Thread { at_home: false },
            until_signal: core.options.return_on_signal && place == Place::Caller,
            permit: false,
            was_fast: false,
            table: core.table(),
            call: (0, 0),
            handler: None,
            notification: Box::new(Notification::vacant()?),
            entry: None,
            only: false,
            share: None,
            news: NEVER,
            taken: core.taken.load(SeqCst),
            events: Vec::new(),
            exits: false,
            round: Round::new(),
            receiver: None,
        })
    }

    /// Lets others get the calling thread out of a receive, for as long as it works.
    pub(super) fn interruptible(mut self) -> Self {
        self.receiver = Some(interrupt::Receiver::new());
        self
    }

    /// Works until the run is over, or for a thread that may retire until it is not needed.
    pub(super) fn work(mut self) {
        let core = self.core;
        let sleeper = Sleeper {
            at_home: self.at_home,
            may_retire: self.place == Place::Thread { at_home: false },
            until_signal: self.until_signal,
        };
        while !self.is_over() {
            if !core.backlog.is_empty() && self.take_permit() {
                self.leave_lead();
                self.clear_backlog();
            } else if let Some(claim) = core.pool.claim(self.at_home) {
                if let Some(end) = self.lead(claim) {
                    core.finish(self.run, end);
                }
                // It need not cost those who go on receiving.
                if self.share.take().is_some() {
                    self.news = NEVER;
                }
            } else {
                if self.at_home && self.was_fast && core.pool.recall() {
                    core.tell_news();
                }
                self.pause();
                let busy = || {
                    self.is_over()
                        || (!core.backlog.is_empty() && self.may_have_permit())
                        || core.taken.load(SeqCst) != self.taken
                };
                match core.pool.sleep(sleeper, busy) {
                    Woken::Called => {}
                    Woken::Interrupted => core.finish(self.run, End::Interrupted),
                    Woken::Retire => break,
                }
            }
            self.rest();
        }
        self.finish_backlog();
        self.give_permit();
    }

    /// Whether the run that it works for is over.
    fn is_over(&self) -> bool {
        // One that was started too late has none.
        let is_a_run = self.run % 2 == 1;
        !is_a_run || self.core.end().is_some() || self.core.run_number() != self.run
    }

    /// Handles one notification, if there is one. The caller holds a permit.
    pub(super) fn dispatch(&mut self) -> bool {
        if !self.receive_from_many(false) {
            return false;
        }
        self.look_up();
        self.handle();
        true
    }

    fn take_permit(&mut self) -> bool {
        self.permit = self.permit || self.core.backlog.take_permit();
        self.permit
    }

    fn may_have_permit(&self) -> bool {
        self.permit || self.core.backlog.has_permit()
    }

    /// Gives the permit back, and sees to it that somebody handles what waits for one.
    fn give_permit(&mut self) {
        if !std::mem::take(&mut self.permit) {
            return;
        }
        self.core.backlog.give_permit();
        if !self.core.backlog.is_empty() {
            self.core.call_worker();
        }
    }

    /// Gives up what it does not need while it does not lead.
    fn rest(&mut self) {
        if !self.at_home || self.core.backlog.is_permit_wanted() {
            self.give_permit();
        }
    }

    /// It is about to be busy for long, perhaps, and does not take a lead that is vacant or kept for
    /// it.
    fn leave_lead(&self) {
        let core = self.core;
        if self.at_home {
            core.pool.forget_recall();
        }
        if core.pool.has_vacancy(false) {
            core.call_worker();
        }
    }

    /// Handles what waits, with its permit.
    fn clear_backlog(&mut self) {
        let core = self.core;
        self.forget_listener();
        while !self.is_over() && (self.at_home || !core.backlog.is_permit_wanted()) {
            let waited = core
                .backlog
                .pop_into(&mut self.notification, &self.slot.handles);
            match waited {
                None => break,
                Some(Waited::Notification) => {
                    self.look_up();
                    self.nudge_watcher();
                    self.handle();
                    self.handled();
                }
                Some(Waited::Left(tag)) => {
                    self.nudge_watcher();
                    self.tell_left(tag);
                }
                Some(Waited::Exits) => {
                    self.nudge_watcher();
                    self.tell_exits();
                }
            }
        }
    }

    /// It is done with a notification from the backlog.
    fn handled(&mut self) {
        // Its listener may have been taken away since it was received, and is not kept open.
        self.notification.vacate();
        self.slot.handles.store(ptr::null_mut(), SeqCst);
        self.core.see_off();
    }

    /// Tells of a listener that has left, with its permit.
    #[cold]
    fn tell_left(&self, tag: usize) {
        self.slot.handling.store(true, SeqCst);
        self.core.tell_left(tag, &self.slot.counters);
        self.slot.handling.store(false, SeqCst);
    }

    /// It does not receive for now, and does not go on doing so without a look at the news.
    fn pause(&mut self) {
        self.slot.receives.store(ptr::null_mut(), SeqCst);
        if self.core.taken.load(SeqCst) != self.taken {
            self.forget_listener();
        }
        self.core.see_off();
    }

    /// Keeps nothing of a listener, which it handles nothing of.
    fn forget_listener(&mut self) {
        self.taken = self.core.taken.load(SeqCst);
        self.entry = None;
        self.only = false;
        self.share = None;
        self.news = NEVER;
        self.notification.vacate();
        self.slot.receives.store(ptr::null_mut(), SeqCst);
        self.core.see_off();
    }

    /// The watcher is to look at what it does beside leading.
    fn nudge_watcher(&self) {
        // Said first: the watcher looks at that before it sleeps.
        self.slot.handling.store(true, SeqCst);
        self.core.watch.nudge();
    }

    /// The run is over: what was received is handled, but not for long, unless it ended by itself:
    /// then it came from a listener that was added just now.
    fn finish_backlog(&mut self) {
        let core = self.core;
        let end = core.end();
        if end.is_none() || core.run_number() != self.run {
            return;
        }
        let deadline = Instant::now() + HANDLED_AFTER_STOP;
        let in_time = || end == Some(End::Finished) || Instant::now() < deadline;
        while self.take_permit() {
            while let Some(waited) = core
                .backlog
                .pop_into(&mut self.notification, &self.slot.handles)
            {
                match waited {
                    Waited::Left(tag) => self.tell_left(tag),
                    Waited::Exits => self.tell_exits(),
                    Waited::Notification if in_time() => {
                        self.look_up();
                        self.handle();
                    }
                    Waited::Notification => {
                        self.notification.answer_with_fallback();
                        self.slot.counters.settled(self.notification.state());
                    }
                }
                self.handled();
            }
            // What came when it had seen the last one came from somebody who found no permit.
            self.permit = false;
            core.backlog.give_permit();
            if core.backlog.is_empty() {
                break;
            }
        }
    }

    /// Receives for as long as it leads; says so when there is nothing more to lead.
    fn lead(&mut self, mut claim: Claim) -> Option<End> {
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
            match self.receive(&claim) {
                Received::Notification => {}
                Received::Exits => {
                    if self.lead_on_after_exits(&mut claim) {
                        continue;
                    }
                    return None;
                }
                Received::Nothing(end) => {
                    core.pool.vacate(&claim);
                    return Some(end);
                }
                Received::Late => {
                    self.step_aside(&claim);
                    return None;
                }
                Received::Left => {
                    core.pool.begin(&mut claim);
                    core.watch.nudge();
                    if let Some(tag) = core.backlog.pop_left() {
                        self.tell_left(tag);
                    }
                    if !core.pool.end(&mut claim) {
                        return None;
                    }
                    continue;
                }
                Received::NotWanted => {
                    core.pool.vacate(&claim);
                    if core.pool.is_recalled() {
                        core.pool.call_all();
                    }
                    return None;
                }
            }
            if has_choice {
                core.pool.count(&claim);
                if let Some(seen) = self.round.count(self.notification.request().pid as u32) {
                    core.choose_mode(seen, self.only);
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
            core.pool.begin(&mut claim);
            core.watch.nudge();
            self.handle();
            if !core.pool.end(&mut claim) {
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
    fn lead_on_after_exits(&mut self, claim: &mut Claim) -> bool {
        let core = self.core;
        if !self.take_permit() {
            self.leave_waiting(claim);
            return true;
        }
        core.pool.begin(claim);
        core.watch.nudge();
        if core.backlog.pop_exits() {
            self.tell_exits();
        }
        if !core.pool.end(claim) {
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
    fn step_aside(&self, claim: &Claim) {
        self.core.pool.vacate(claim);
        self.core.call_worker();
    }

    /// What was just received waits for a permit.
    fn leave_waiting(&self, claim: &Claim) {
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

    /// Waits for the next notification.
    #[inline]
    fn receive(&mut self, claim: &Claim) -> Received {
        loop {
            if self.core.news.load(SeqCst) != self.news {
                if self.core.run_number() != self.run {
                    return Received::Late;
                }
                if let Some(end) = self.catch_up() {
                    return Received::Nothing(end);
                }
                let recalled = self.core.pool.is_recalled() && !self.at_home;
                // One alone waits for many, whatever a leader wants that has yet to catch up: of those
                // who wait together, news wake one.
                let wanted = self.core.pool.is_wanted(claim) && (self.only || claim.is_first());
                if recalled || !wanted {
                    return Received::NotWanted;
                }
                if self.core.backlog.has_left() && self.take_permit() {
                    // The next look has to find what others may have left behind.
                    self.news = NEVER;
                    return Received::Left;
                }
                // It may be idle for long from here on.
                if self.core.pool.wants_several()
                    || self.core.backlog.is_permit_wanted()
                    || !self.core.backlog.is_empty()
                {
                    self.give_permit();
                }
            }
            let received = match (self.only, &self.share) {
                (true, None) => self.receive_from_entry(),
                (true, Some(_)) => self.receive_from_share(),
                (false, _) => self.receive_from_many(true),
            };
            if received {
                return Received::Notification;
            }
            if std::mem::take(&mut self.exits) {
                return Received::Exits;
            }
        }
    }

    /// Looks up what has changed since it last did.
    #[cold]
    fn catch_up(&mut self) -> Option<End> {
        let core = self.core;
        // Read first: what changes from here on is news again.
        self.news = core.news.load(SeqCst);
        self.events.clear();
        if core.taken.load(SeqCst) != self.taken {
            self.forget_listener();
            self.news = core.news.load(SeqCst);
        }
        let interruptible = self
            .receiver
            .as_ref()
            .is_some_and(|r| r.can_be_interrupted());
        // Nothing but the epoll instance tells of processes that end.
        let can_block = interruptible
            && !self.until_signal
            && self.table.exit_function().is_none()
            && version::recv_ends_with_last_target();
        let receives = &self.slot.receives;
        let only = || core.listeners.only(receives);
        self.entry = can_block.then(only).flatten();
        self.only = self.entry.is_some();
        if !self.only {
            receives.store(ptr::null_mut(), SeqCst);
        }
        core.see_off();
        if !self.only {
            // Two that wait for many could both go for the same one, and one would wait for it
            // alone.
            core.pool.want(1);
        }
        // Without an own epoll instance they all block in RECV, and are all woken each time.
        let several = core.pool.wants_several();
        let only = self.entry.as_ref().filter(|_| several);
        self.share = only.and_then(|entry| core.listeners.share(entry).ok());
        if let Some(end) = core.end() {
            return Some(end);
        }
        (core.listeners.len() == 0 && !core.options.keep_running).then_some(End::Finished)
    }

    /// A listener has nothing more to give.
    fn remove(&mut self, key: u64) {
        if self.entry.as_ref().is_some_and(|e| e.key == key) {
            self.entry = None;
            self.slot.receives.store(ptr::null_mut(), SeqCst);
        }
        self.core.remove(key);
    }

    /// Receives from whoever has something; whether it did.
    fn receive_from_many(&mut self, block: bool) -> bool {
        let core = self.core;
        if self.events.is_empty() {
            match core.listeners.epoll().wait(block, &mut self.events) {
                Ok(interrupted) if interrupted && self.until_signal => {
                    core.finish(self.run, End::Interrupted);
                }
                Ok(_) => {}
                // Only a broken descriptor does that, and then nothing can be received.
                Err(_) => {
                    core.finish(self.run, End::Stopped);
                    return false;
                }
            }
        }
        if self.table.exit_function().is_some() && self.events.iter().any(|e| e.key == EXITS) {
            // Not told again, so it is remembered where no worker forgets it.
            core.backlog.leave_exits();
            self.exits = true;
        }
        while let Some(event) = self.events.pop() {
            if event.key == WAKE || event.key == EXITS {
                continue;
            }
            if is_child(event.key) {
                if let Some(key) = core.listeners.child_ended(event.key) {
                    self.remove(key);
                }
                continue;
            }
            if !event.readable {
                self.remove(event.key);
                continue;
            }
            if self.entry.as_ref().is_none_or(|e| e.key != event.key) {
                self.slot.receives.store(ptr::null_mut(), SeqCst);
                self.entry = core.listeners.get(event.key, &self.slot.receives);
                core.see_off();
            }
            if self.receive_from_entry() {
                return true;
            }
        }
        false
    }

    /// Receives from the only listener, for which others wait too.
    fn receive_from_share(&mut self) -> bool {
        let (Some(share), Some(entry)) = (&self.share, &self.entry) else {
            return false;
        };
        // What fails here fails in RECV too, which says why.
        let failed = share.wait(true, &mut self.events).is_err();
        let of_it = self.events.iter().find(|e| e.key == entry.key).copied();
        self.events.clear();
        match of_it {
            Some(event) if !event.readable => self.remove(event.key),
            None if !failed => {}
            // If another one was faster, the next notification is for this one.
            _ => return self.receive_from_entry(),
        }
        false
    }

    /// One `RECV`, which is interrupted when there is news.
    #[inline]
    fn receive_from_entry(&mut self) -> bool {
        let core = self.core;
        let Some(entry) = &self.entry else {
            return false;
        };
        self.notification.rebind(&entry.shared);
        self.notification.count_by(&core.deferrals);
        let result = match &self.receiver {
            Some(receiver) => {
                let news = self.news;
                let has_news = || core.news.load(SeqCst) != news;
                self.notification
                    .fill_interruptibly(receiver, &self.slot.mark, has_news)
            }
            None => self.notification.fill(),
        };
        match result {
            Ok(()) => {
                self.slot.counters.received();
                entry.shared.switch_sync_wake_up(core.sync.load(Relaxed));
                true
            }
            Err(errno) => {
                self.received_nothing(errno);
                false
            }
        }
    }

    #[cold]
    fn received_nothing(&mut self, errno: Errno) {
        let Some(entry) = &self.entry else {
            return;
        };
        let Some(error) = entry.shared.explain_recv(errno) else {
            return;
        };
        if error.status() != Status::Closed {
            self.core.remember(error);
        }
        self.remove(entry.key);
    }

    /// Tells of the processes that have ended. The caller holds a permit.
    #[cold]
    pub(super) fn tell_exits(&self) {
        self.slot.handling.store(true, Relaxed);
        self.core.tell_exits(&self.table, &self.slot.counters);
        self.slot.handling.store(false, Relaxed);
    }

    /// Finds the handler for what was received.
    pub(super) fn look_up(&mut self) {
        let request = self.notification.request();
        let call = (request.arch, request.syscall);
        if self.call != call {
            self.call = call;
            self.handler = self.table.find(request);
        }
    }

    /// Calls the handler and sees to it that the target was answered.
    pub(super) fn handle(&mut self) {
        if self.table.exit_function().is_some() && !self.core.deferrals.exits.is_empty() {
            // The caller may have the id of a process that has ended. That comes first.
            self.tell_exits();
        }
        let notification = &mut self.notification;
        let counters = &self.slot.counters;
        let mut failed = false;
        self.slot.handling.store(true, Relaxed);
        if let Some(handler) = &self.handler {
            let begun = handler.is_timed().then(Instant::now);
            let mut verdict = call(handler, notification, counters);
            let mut asked = handler;
            while let (Verdict::NotHandled, State::Pending) = (verdict, notification.state()) {
                let Some(next) = self.table.after(notification.request(), asked) else {
                    break;
                };
                asked = next;
                verdict = call(asked, notification, counters);
            }
            failed = verdict == Verdict::Failed;
            if let Some(begun) = begun {
                let took = begun.elapsed();
                handler.learn(took);
                counters.took(took);
            }
            self.was_fast = !handler.blocks();
        }
        self.slot.handling.store(false, Relaxed);
        notification.answer_with_fallback();
        counters.settled(notification.state());
        if failed {
            // Not before its target has its answer: others would take the run for over.
            counters.failed();
            self.core.fail(self.run);
        }
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.slot.receives.store(ptr::null_mut(), SeqCst);
        self.slot.handles.store(ptr::null_mut(), SeqCst);
        self.core.see_off();
        // What was left to it while it had the only permit, and its run was over.
        self.core.tell_left_between_runs();
    }
}

/// Calls one handler. One that panics has not handled anything.
fn call(handler: &Handler, notification: &mut Box<Notification>, counters: &Counters) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| handler.call(notification))) {
        Ok(verdict) => verdict,
        Err(payload) => {
            counters.panicked();
            // Dropping what it panicked with may panic again, and nobody is left to catch that.
            std::mem::forget(payload);
            Verdict::Handled
        }
    }
}
