//! The loop: receive, find the handler, call it, settle.

use super::backlog::Waited;
use super::core::{Core, End};
use super::hot::Streak;
use super::listeners::Entry;
use super::mode::Round;
use super::pool::{Sleeper, Woken};
use super::slot::{Place, Slot};
use super::stats::Counters;
use super::table::{Handler, Table, Verdict};
use crate::error::Result;
use crate::kernel::epoll::{Epoll, Event};
use crate::kernel::interrupt;
use crate::notification::{Notification, State};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long received notifications are still handled when the supervisor was stopped.
const HANDLED_AFTER_STOP: Duration = Duration::from_millis(20);

/// What one worker thread holds on to.
pub(super) struct Worker<'a> {
    pub(super) core: &'a Core,
    pub(super) slot: &'a Slot,
    /// The run it works for.
    pub(super) run: u64,
    pub(super) place: Place,
    /// All handlers are to run on its thread, as there is one worker.
    pub(super) at_home: bool,
    /// A signal ends the run.
    pub(super) until_signal: bool,
    /// Whether it may run a handler. Kept from one notification to the next while it is the only
    /// one that leads.
    pub(super) permit: bool,
    /// The handler that ran last was a fast one.
    pub(super) was_fast: bool,
    pub(super) table: Arc<Table>,
    /// The system call looked up last, and its handler.
    pub(super) call: (u32, i32),
    pub(super) handler: Option<Arc<Handler>>,
    /// Received into again and again.
    pub(super) notification: Box<Notification>,
    /// The listener received from last.
    pub(super) entry: Option<Entry>,
    /// Whether to block on that one in `RECV`: it is the only one, or as good as that, and a thread
    /// can be got out of there.
    pub(super) only: bool,
    /// Whether there are others, which the watcher waits for.
    pub(super) hot: bool,
    pub(super) streak: Streak,
    /// Whether nothing else is to be waited on for that one, nor anybody else does.
    pub(super) alone: bool,
    /// What to wait on for that one if several workers receive from it.
    pub(super) share: Option<Epoll>,
    /// The [`Core::news`] that this was true at.
    pub(super) news: u64,
    /// The [`Core::taken`] that it has let go for.
    pub(super) taken: u64,
    /// Reports of `epoll_wait` not looked at yet.
    pub(super) events: Vec<Event>,
    /// Among those looked at was one of processes that have ended.
    pub(super) exits: bool,
    /// There were some to act upon, so there may be more behind them.
    pub(super) reported: bool,
    pub(super) round: Round,
    /// For a thread that blocks.
    pub(super) receiver: Option<interrupt::Receiver>,
}

/// The [`Core::news`] of a worker that has yet to catch up.
pub(super) const NEVER: u64 = u64::MAX;

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
            hot: false,
            streak: Streak::new(),
            alone: false,
            share: None,
            news: NEVER,
            taken: core.taken.load(SeqCst),
            events: Vec::new(),
            exits: false,
            reported: false,
            round: Round::new(),
            receiver: None,
        })
    }

    /// Lets others get the calling thread out of a receive, for as long as it works.
    pub(super) fn interruptible(mut self) -> Self {
        let receiver = interrupt::Receiver::new();
        receiver.own(&self.slot.mark);
        self.receiver = Some(receiver);
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
    pub(super) fn is_over(&self) -> bool {
        // One that was started too late has none.
        let is_a_run = self.run % 2 == 1;
        !is_a_run || self.core.end().is_some() || self.core.run_number() != self.run
    }

    /// Handles one notification, if there is one. The caller holds a permit.
    pub(super) fn dispatch(&mut self) -> bool {
        while !self.receive_from_many(false) {
            // A batch of reports may be of listeners that have ended, or that somebody else was faster
            // at. Who is told of readiness once for each change would never come back for the rest.
            if !self.reported || self.core.end().is_some() {
                return false;
            }
        }
        self.look_up();
        self.handle();
        true
    }

    #[inline(always)]
    pub(super) fn take_permit(&mut self) -> bool {
        // Not written to when it has one, which is nearly always.
        if !self.permit {
            self.permit = self.core.backlog.take_permit();
        }
        self.permit
    }

    fn may_have_permit(&self) -> bool {
        self.permit || self.core.backlog.has_permit()
    }

    /// Gives the permit back, and sees to it that somebody handles what waits for one.
    pub(super) fn give_permit(&mut self) {
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

    /// Handles what waits, with its permit.
    pub(super) fn clear_backlog(&mut self) {
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
    pub(super) fn tell_left(&self, tag: usize) {
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
    pub(super) fn forget_listener(&mut self) {
        self.taken = self.core.taken.load(SeqCst);
        self.entry = None;
        self.only = false;
        self.hot = false;
        self.alone = false;
        self.share = None;
        self.news = NEVER;
        self.notification.vacate();
        self.slot.receives.store(ptr::null_mut(), SeqCst);
        self.core.see_off();
    }

    /// The watcher is to look at what it does beside leading.
    pub(super) fn nudge_watcher(&self) {
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

    /// Tells of the processes that have ended. The caller holds a permit.
    #[cold]
    pub(super) fn tell_exits(&self) {
        self.slot.handling.store(true, Relaxed);
        self.core.tell_exits(&self.table, &self.slot.counters);
        self.slot.handling.store(false, Relaxed);
    }

    /// Finds the handler for what was received.
    #[inline(always)]
    pub(super) fn look_up(&mut self) {
        let request = self.notification.request();
        if self.call != (request.arch, request.syscall) {
            self.look_up_anew();
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up_anew(&mut self) {
        let request = self.notification.request();
        self.call = (request.arch, request.syscall);
        self.handler = self.table.find(request);
    }

    /// Calls the handler and sees to it that the target was answered.
    pub(super) fn handle(&mut self) {
        self.handle_here();
    }

    /// [`Worker::handle`], in the caller's own frame.
    #[inline(always)]
    pub(super) fn handle_here(&mut self) {
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
            if verdict == Verdict::NotHandled {
                verdict = ask_others(&self.table, handler, notification, counters);
            }
            failed = verdict == Verdict::Failed;
            self.was_fast = true;
            if let Some(begun) = begun {
                self.was_fast = learn(handler, counters, begun);
            }
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

/// Asks the handlers behind one that has refused.
#[cold]
#[inline(never)]
fn ask_others(
    table: &Table,
    refused: &Arc<Handler>,
    notification: &mut Box<Notification>,
    counters: &Counters,
) -> Verdict {
    let mut asked = refused;
    let mut verdict = Verdict::NotHandled;
    while let (Verdict::NotHandled, State::Pending) = (verdict, notification.state()) {
        let Some(next) = table.after(notification.request(), asked) else {
            break;
        };
        asked = next;
        verdict = call(asked, notification, counters);
    }
    verdict
}

/// Learns how long a call took; whether the handler is a fast one.
#[cold]
#[inline(never)]
fn learn(handler: &Handler, counters: &Counters, begun: Instant) -> bool {
    let took = begun.elapsed();
    handler.learn(took);
    counters.took(took);
    !handler.blocks()
}

/// Calls one handler. One that panics has not handled anything.
#[inline(always)]
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
