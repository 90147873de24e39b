//! The loop: receive, find the handler, call it, settle.

use super::listeners::{Entry, WAKE};
use super::pool::{Claim, Woken};
use super::table::{Handler, Table, Verdict};
use super::wake_up::{self, WakeUp};
use super::{lock, Core, End};
use crate::error::Status;
use crate::kernel::epoll::Event;
use crate::kernel::{interrupt, version};
use crate::notification::{Notification, State};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Release, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Instant;

/// Where a worker can be found by whoever wants to interrupt it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    thread: AtomicI32,
    receiving: AtomicBool,
}

impl Slot {
    /// Ends the worker's `RECV`, if it is in one. Async-signal-safe.
    pub(super) fn interrupt(&self) {
        if let (true, Some(signal)) = (self.receiving.load(SeqCst), interrupt::signal()) {
            interrupt::interrupt(self.thread.load(SeqCst), signal);
        }
    }
}

/// What one worker thread holds on to.
pub(super) struct Worker<'a> {
    core: &'a Core,
    slot: &'a Slot,
    table: Arc<Table>,
    /// The system call looked up last, and its handler.
    call: (u32, i32),
    handler: Option<Arc<Handler>>,
    /// Received into again and again.
    notification: Option<Box<Notification>>,
    /// Reports of `epoll_wait` not looked at yet.
    events: Vec<Event>,
    /// The [`Core::news`] that `only` was true at.
    news: u64,
    /// The listener to block on in `RECV`: the only one, if a thread can be got out of there.
    only: Option<Entry>,
    round: wake_up::Round,
    _unblocked: Option<interrupt::Unblocked>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(core: &'a Core, slot: &'a Slot) -> Self {
        slot.thread.store(interrupt::thread_id(), SeqCst);
        Worker {
            core,
            slot,
            table: core.table(),
            call: (0, 0),
            handler: None,
            notification: None,
            events: Vec::new(),
            news: u64::MAX,
            only: None,
            round: wake_up::Round::new(),
            _unblocked: interrupt::signal().map(interrupt::Unblocked::new),
        }
    }

    /// Works until the run is over, or for a thread that may retire until it is not needed.
    pub(super) fn work(&mut self, may_retire: bool) {
        let pool = &self.core.pool;
        while self.core.end().is_none() {
            if let Some(claim) = pool.claim() {
                if let Some(end) = self.lead(claim) {
                    self.core.finish(end);
                }
            } else if pool.sleep(may_retire, || self.core.end().is_some()) == Woken::Retire {
                return;
            }
        }
    }

    /// Receives for as long as it leads; says so when there is nothing more to lead.
    fn lead(&mut self, mut claim: Claim) -> Option<End> {
        let core = self.core;
        let alone = core.options.max_workers == 1;
        // Those who led meanwhile may have received what was reported before, and a RECV for that
        // would wait while the other listeners have something.
        self.events.clear();
        loop {
            if let Some(end) = self.receive() {
                core.pool.vacate();
                return Some(end);
            }
            self.look_up();
            if alone {
                self.handle();
                continue;
            }
            if self.handler.as_ref().is_some_and(|h| h.blocks()) {
                core.pool.vacate();
                core.call_worker();
                self.handle();
                return None;
            }
            core.pool.begin(&mut claim);
            core.watch.nudge();
            self.handle();
            if !core.pool.end(&mut claim) {
                return None;
            }
        }
    }

    /// Waits for the next notification. `None` when there is one.
    fn receive(&mut self) -> Option<End> {
        loop {
            if self.core.news.load(SeqCst) != self.news {
                if let Some(end) = self.catch_up() {
                    return Some(end);
                }
            }
            let received = match self.only.take() {
                Some(only) => {
                    let received = self.receive_from(&only);
                    self.only = Some(only);
                    received
                }
                None => self.receive_from_many(true),
            };
            if received {
                return None;
            }
        }
    }

    /// Looks up what has changed since it last did.
    fn catch_up(&mut self) -> Option<End> {
        let core = self.core;
        // Read first: what changes from here on is news again.
        self.news = core.news.load(SeqCst);
        self.events.clear();
        self.only = core.listeners.only().filter(|_| can_block_in_recv());
        if let Some(end) = core.end() {
            return Some(end);
        }
        (core.listeners.len() == 0 && !core.options.keep_running).then_some(End::Finished)
    }

    /// Takes note of what has changed, for whoever asks for the end and the listeners himself:
    /// receiving is given up when there is news.
    pub(super) fn keep_up(&mut self) {
        self.news = self.core.news.load(SeqCst);
    }

    /// A listener has nothing more to give.
    fn remove(&self, key: u64) {
        self.core.listeners.remove(key);
        self.core.news.fetch_add(1, SeqCst);
    }

    /// Receives from whoever has something; whether it did.
    pub(super) fn receive_from_many(&mut self, block: bool) -> bool {
        if self.events.is_empty() {
            let epoll = self.core.listeners.epoll();
            if epoll.wait(block, &mut self.events).is_err() {
                // Only a broken descriptor does that, and then nothing can be received.
                self.core.finish(End::Stopped);
                return false;
            }
        }
        while let Some(event) = self.events.pop() {
            if event.key == WAKE {
                continue;
            }
            if !event.readable {
                self.remove(event.key);
                continue;
            }
            if let Some(entry) = self.core.listeners.get(event.key) {
                if self.receive_from(&entry) {
                    return true;
                }
            }
        }
        false
    }

    /// One `RECV`, which is interrupted when there is news.
    fn receive_from(&mut self, entry: &Entry) -> bool {
        let core = self.core;
        let notification = match &mut self.notification {
            Some(notification) => notification,
            none => match Notification::vacant() {
                Ok(new) => none.insert(Box::new(new)),
                Err(error) => {
                    core.remember(error);
                    self.remove(entry.key);
                    return false;
                }
            },
        };
        notification.rebind(&entry.shared);
        notification.account_to(&core.deferrals);
        let news = self.news;
        self.slot.receiving.store(true, SeqCst);
        let result = notification.fill_interruptibly(|| core.news.load(SeqCst) != news);
        self.slot.receiving.store(false, Release);
        let target = notification.request().pid;
        match result {
            Ok(()) => {
                core.counters.received();
                if core.options.wake_up == WakeUp::Auto {
                    self.choose_wake_up(entry, target);
                }
                true
            }
            Err(errno) => {
                if let Some(error) = entry.shared.explain_recv(errno) {
                    if error.status() != Status::Closed {
                        core.remember(error);
                    }
                    self.remove(entry.key);
                }
                false
            }
        }
    }

    /// Counts a notification towards the choice of the wake-up mode.
    fn choose_wake_up(&mut self, entry: &Entry, target: u32) {
        if let Some((took, several)) = self.round.count(target) {
            let sync = lock(&self.core.wake_up).round(took, several);
            entry.shared.switch_sync_wake_up(sync);
        }
    }

    /// Finds the handler for what was received.
    pub(super) fn look_up(&mut self) {
        let Some(notification) = &self.notification else {
            return;
        };
        let request = notification.request();
        let call = (request.arch, request.syscall);
        if self.call != call {
            self.call = call;
            self.handler = self.table.find(request);
        }
    }

    /// Calls the handler and sees to it that the target was answered.
    pub(super) fn handle(&mut self) {
        let Some(notification) = &mut self.notification else {
            return;
        };
        let counters = &self.core.counters;
        if let Some(handler) = &self.handler {
            let begun = handler.is_timed().then(Instant::now);
            let verdict = call(handler, notification, counters);
            if let (Verdict::NotHandled, State::Pending) = (verdict, notification.state()) {
                // Whatever the default handler says, what counts from here on is what it did.
                if let Some(default) = self.table.default_handler() {
                    if !Arc::ptr_eq(default, handler) {
                        call(default, notification, counters);
                    }
                }
            }
            if let Some(begun) = begun {
                let took = begun.elapsed();
                handler.learn(took);
                counters.took(took);
            }
        }
        notification.settle();
        counters.settled(notification.state());
    }
}

/// Calls one handler. One that panics has not handled anything.
fn call(
    handler: &Handler,
    notification: &mut Box<Notification>,
    counters: &super::stats::Counters,
) -> Verdict {
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

/// Whether a thread in `RECV` comes out again by itself when the last target exits, and by our
/// signal when it is to stop. Otherwise it waits in `epoll_wait` first.
fn can_block_in_recv() -> bool {
    version::recv_ends_with_last_target() && interrupt::signal().is_some()
}
