//! The loop: receive, find the handler, call it, settle.

use super::listeners::{Entry, WAKE};
use super::pool::{Claim, Woken};
use super::table::{Handler, Table, Verdict};
use super::{Core, End};
use crate::error::Status;
use crate::kernel::epoll::Event;
use crate::kernel::{interrupt, version};
use crate::notification::{Notification, State};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
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
    /// Received into again and again.
    notification: Option<Notification>,
    /// Reports of `epoll_wait` not looked at yet.
    events: Vec<Event>,
    /// The set of listeners that `only` was true of.
    version: u64,
    only: Option<Entry>,
    _unblocked: Option<interrupt::Unblocked>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(core: &'a Core, slot: &'a Slot) -> Self {
        slot.thread.store(interrupt::thread_id(), SeqCst);
        let (version, only) = core.listeners.only();
        Worker {
            core,
            slot,
            table: core.table(),
            notification: None,
            events: Vec::new(),
            version,
            only,
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
        loop {
            if let Some(end) = self.receive() {
                core.pool.vacate();
                return Some(end);
            }
            if core.options.max_workers == 1 {
                self.handle();
                continue;
            }
            if self.handler().is_some_and(Handler::blocks) {
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
            if let Some(end) = self.core.end() {
                return Some(end);
            }
            if self.core.listeners.version() != self.version {
                (self.version, self.only) = self.core.listeners.only();
                self.events.clear();
            }
            if self.core.listeners.len() == 0 && !self.core.options.keep_running {
                return Some(End::Finished);
            }
            let received = match &self.only {
                Some(only) if can_block_in_recv() => {
                    let only = only.clone();
                    self.receive_from(&only)
                }
                _ => self.receive_from_many(true),
            };
            if received {
                return None;
            }
        }
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
                self.core.listeners.remove(event.key);
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

    /// One `RECV`, which is interrupted when the run ends or the set of listeners changes.
    fn receive_from(&mut self, entry: &Entry) -> bool {
        let core = self.core;
        let notification = match &mut self.notification {
            Some(notification) => {
                notification.rebind(&entry.shared);
                notification
            }
            none => match Notification::vacant() {
                Ok(mut new) => {
                    new.rebind(&entry.shared);
                    none.insert(new)
                }
                Err(_) => {
                    core.listeners.remove(entry.key);
                    return false;
                }
            },
        };
        notification.account_to(&core.deferrals);
        let version = self.version;
        self.slot.receiving.store(true, SeqCst);
        let result = notification
            .fill_interruptibly(|| core.end().is_some() || core.listeners.version() != version);
        self.slot.receiving.store(false, SeqCst);
        match result {
            Ok(()) => {
                core.counters.received();
                true
            }
            Err(errno) => {
                if let Some(error) = entry.shared.explain_recv(errno) {
                    if error.status() != Status::Closed {
                        core.remember(error);
                    }
                    core.listeners.remove(entry.key);
                }
                false
            }
        }
    }

    fn handler(&self) -> Option<&Handler> {
        let request = self.notification.as_ref()?.request();
        self.table.find(request)
    }

    /// Calls the handler and sees to it that the target was answered.
    pub(super) fn handle(&mut self) {
        let Some(notification) = &mut self.notification else {
            return;
        };
        let counters = &self.core.counters;
        if let Some(handler) = self.table.find(notification.request()) {
            let begun = Instant::now();
            let mut verdict = call(handler, notification, counters);
            let default = self.table.default_handler();
            if let (Verdict::NotHandled, State::Pending, Some(default)) =
                (verdict, notification.state(), default)
            {
                if !std::ptr::eq(default, handler) {
                    verdict = call(default, notification, counters);
                }
            }
            let _ = verdict; // whatever it says, what counts is what it did
            let took = begun.elapsed();
            handler.learn(took);
            counters.took(took);
        }
        notification.settle();
        counters.settled(notification.state());
    }
}

/// Calls one handler. One that panics has not handled anything.
fn call(
    handler: &Handler,
    notification: &mut Notification,
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
