//! The loop: receive, find the handler, call it, settle.

use super::core::{Core, End};
use super::listeners::{is_child, Entry, WAKE};
use super::mode::Round;
use super::pool::{Claim, Woken};
use super::stats::Counters;
use super::table::{Handler, Table, Verdict};
use crate::error::{Result, Status};
use crate::kernel::epoll::{Epoll, Event};
use crate::kernel::{interrupt, version, Errno};
use crate::notification::{Notification, State};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{
    AtomicBool, AtomicI32, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};
use std::sync::Arc;
use std::time::Instant;

/// What others may know of a worker.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Slot {
    thread: AtomicI32,
    receiving: AtomicBool,
    /// What the workers in this slot have done.
    pub(super) counters: Counters,
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
    /// Reports of `epoll_wait` not looked at yet.
    events: Vec<Event>,
    round: Round,
    /// For a thread that blocks.
    receiver: Option<interrupt::Receiver>,
}

/// The [`Core::news`] of a worker that has yet to catch up.
const NEVER: u64 = u64::MAX;

/// Why a leader stops waiting.
enum Received {
    Notification,
    /// There is nothing more to lead.
    Nothing(End),
    /// There are to be fewer leaders.
    NotWanted,
}

impl<'a> Worker<'a> {
    pub(super) fn new(core: &'a Core, slot: &'a Slot) -> Result<Self> {
        Ok(Worker {
            core,
            slot,
            table: core.table(),
            call: (0, 0),
            handler: None,
            notification: Box::new(Notification::vacant()?),
            entry: None,
            only: false,
            share: None,
            news: NEVER,
            events: Vec::new(),
            round: Round::new(),
            receiver: None,
        })
    }

    /// Lets others get the calling thread out of a receive, for as long as it works.
    pub(super) fn interruptible(mut self) -> Self {
        self.slot.thread.store(interrupt::thread_id(), SeqCst);
        self.receiver = Some(interrupt::Receiver::new());
        self
    }

    /// Works until the run is over, or for a thread that may retire until it is not needed.
    pub(super) fn work(mut self, may_retire: bool) {
        let core = self.core;
        while core.end().is_none() {
            if let Some(claim) = core.pool.claim() {
                if let Some(end) = self.lead(claim) {
                    core.finish(end);
                }
                // It need not cost those who go on receiving.
                if self.share.take().is_some() {
                    self.news = NEVER;
                }
            } else if core.pool.sleep(may_retire, || core.end().is_some()) == Woken::Retire {
                return;
            }
        }
    }

    /// Handles one notification, if there is one.
    pub(super) fn dispatch(&mut self) -> bool {
        if !self.receive_from_many(false) {
            return false;
        }
        self.look_up();
        self.handle();
        true
    }

    /// Receives for as long as it leads; says so when there is nothing more to lead.
    fn lead(&mut self, mut claim: Claim) -> Option<End> {
        let core = self.core;
        let alone = core.options.max_workers == 1;
        let has_choice = core.has_choice();
        // Those who led meanwhile may have received what was reported before, and a RECV for that
        // would wait while the other listeners have something.
        self.events.clear();
        loop {
            match self.receive(&claim) {
                Received::Notification => {}
                Received::Nothing(end) => {
                    core.pool.vacate(&claim);
                    return Some(end);
                }
                Received::NotWanted => {
                    core.pool.vacate(&claim);
                    return None;
                }
            }
            if has_choice {
                core.pool.count(&claim);
                if let Some(seen) = self.round.count(self.notification.request().pid) {
                    core.choose_mode(seen, self.only);
                }
            }
            self.look_up();
            if alone {
                self.handle();
                continue;
            }
            if self.handler.as_ref().is_some_and(|h| h.blocks()) {
                core.pool.vacate(&claim);
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

    /// Waits for the next notification.
    #[inline]
    fn receive(&mut self, claim: &Claim) -> Received {
        loop {
            if self.core.news.load(SeqCst) != self.news {
                if let Some(end) = self.catch_up() {
                    return Received::Nothing(end);
                }
                if !self.core.pool.is_wanted(claim) {
                    return Received::NotWanted;
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
        }
    }

    /// Looks up what has changed since it last did.
    #[cold]
    fn catch_up(&mut self) -> Option<End> {
        let core = self.core;
        // Read first: what changes from here on is news again.
        self.news = core.news.load(SeqCst);
        self.events.clear();
        let interruptible = self
            .receiver
            .as_ref()
            .is_some_and(|r| r.can_be_interrupted());
        let can_block = interruptible && version::recv_ends_with_last_target();
        self.entry = can_block.then(|| core.listeners.only()).flatten();
        self.only = self.entry.is_some();
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
    fn remove(&self, key: u64) {
        self.core.listeners.remove(key);
        self.core.tell_news();
    }

    /// Receives from whoever has something; whether it did.
    fn receive_from_many(&mut self, block: bool) -> bool {
        let core = self.core;
        if self.events.is_empty()
            && core
                .listeners
                .epoll()
                .wait(block, &mut self.events)
                .is_err()
        {
            // Only a broken descriptor does that, and then nothing can be received.
            core.finish(End::Stopped);
            return false;
        }
        while let Some(event) = self.events.pop() {
            if event.key == WAKE {
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
                self.entry = core.listeners.get(event.key);
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
        self.notification.account_to(&core.deferrals);
        let result = match &self.receiver {
            Some(receiver) => {
                let news = self.news;
                self.slot.receiving.store(true, SeqCst);
                let has_news = || core.news.load(SeqCst) != news;
                let result = self.notification.fill_interruptibly(receiver, has_news);
                self.slot.receiving.store(false, Release);
                result
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
        self.entry = None;
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
        let notification = &mut self.notification;
        let counters = &self.slot.counters;
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
