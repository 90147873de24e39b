//! How a leader waits for notifications: in `RECV` on the only listener, or in epoll on several.

use super::core::End;
use super::hot::Source;
use super::lead::Received;
use super::listeners::{is_child, EXITS, WAKE};
use super::pool::Claim;
use super::worker::{Worker, NEVER};
use crate::error::Status;
use crate::kernel::interrupt::Receiver;
use crate::kernel::{version, Errno};
use std::ptr;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};

impl Worker<'_> {
    /// Waits for the next notification in `RECV`, if nothing stands in the way of doing so at once;
    /// whether it came. If not, nothing has happened, and [`Worker::receive`] does all there is to do.
    #[inline(always)]
    pub(super) fn receive_at_once(&mut self) -> bool {
        let core = self.core;
        let (true, Some(entry), Some(receiver)) = (self.alone, &self.entry, &self.receiver) else {
            return false;
        };
        if !self.notification.is_ready_for(&entry.shared) || !self.notification.is_counted() {
            return false;
        }
        let (shared, mark, news) = (&entry.shared, &self.slot.mark, self.news);
        let has_news = || core.news.load(SeqCst) != news;
        if !self
            .notification
            .fill_marked_at_once(shared, receiver, mark, has_news)
        {
            return false;
        }
        self.slot.counters.received();
        true
    }

    /// Switches how the listener wakes up, should another way have been chosen.
    #[cold]
    pub(super) fn switch_wake_up(&self) {
        if let Some(entry) = &self.entry {
            let sync = self.core.sync.load(Relaxed);
            entry.shared.switch_sync_wake_up(sync);
        }
    }

    /// What it receives from at the moment.
    pub(super) fn source(&self) -> Source {
        match (self.only, self.hot) {
            (true, false) => Source::Only,
            (true, true) => Source::Hot,
            (false, _) => Source::Many,
        }
    }

    /// Waits for the next notification.
    #[inline(never)]
    pub(super) fn receive(&mut self, claim: &Claim<'_>) -> Received {
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
        let can_block = self.can_block();
        let receives = &self.slot.receives;
        let hot = core.hot.key().filter(|_| can_block);
        let only = || core.listeners.only(receives);
        let only = can_block.then(only).flatten();
        self.hot = only.is_none() && hot.is_some();
        self.entry = only.or_else(|| core.listeners.alone(hot?, receives));
        self.only = self.entry.is_some();
        if !self.only || !self.hot {
            self.streak.cooled();
        }
        if !self.only {
            receives.store(ptr::null_mut(), SeqCst);
            self.wait_for_all();
        }
        core.see_off();
        if !self.only || self.hot {
            // Two that wait for many could both go for the same one, and one would wait for it
            // alone.
            core.pool.want(1);
        }
        // Without an own epoll instance they all block in RECV, and are all woken each time.
        let several = core.pool.wants_several();
        let only = self.entry.as_ref().filter(|_| several);
        self.share = only.and_then(|entry| core.listeners.share(entry).ok());
        self.alone = self.only && self.share.is_none();
        if let Some(end) = core.end() {
            return Some(end);
        }
        (core.listeners.len() == 0 && !core.options.keep_running).then_some(End::Finished)
    }

    /// Whether it may wait in `RECV`. All workers of a run may, or none: one that waits in the epoll
    /// instance would not hear of the listener that another one has taken out of it.
    fn can_block(&self) -> bool {
        let receiver = self.receiver.as_ref();
        // A signal ends no RECV. And nothing but the epoll instance tells of processes that end.
        receiver.is_some_and(Receiver::can_be_interrupted)
            && !self.core.options.return_on_signal
            && self.table.exit_function().is_none()
            && version::recv_ends_with_last_target()
    }

    /// Nobody blocks on one of them any more.
    fn wait_for_all(&mut self) {
        let core = self.core;
        self.hot = false;
        core.hot.off();
        if let Err((error, gone)) = core.listeners.watch_all() {
            core.remember(error);
            if let Some(gone) = gone {
                core.has_left_set(gone);
            }
        }
    }

    /// Many in a row have come from this one.
    #[cold]
    fn block_on(&mut self, key: u64) {
        let core = self.core;
        self.streak.heated();
        if self.can_block() && core.hot.is_guarded() {
            core.listeners.alone(key, &self.slot.receives);
            core.heat(key);
        }
    }

    /// A listener has nothing more to give.
    fn remove(&mut self, key: u64) {
        if self.entry.as_ref().is_some_and(|e| e.key == key) {
            self.entry = None;
            self.slot.receives.store(ptr::null_mut(), SeqCst);
        }
        self.core.remove(key);
    }

    /// Receives from whoever has something; whether it did. [`Worker::reported`] if there was anything.
    pub(super) fn receive_from_many(&mut self, block: bool) -> bool {
        let core = self.core;
        self.reported = false;
        if self.events.is_empty() {
            match core.listeners.epoll().wait(block, &mut self.events) {
                Ok(interrupted) if interrupted && self.until_signal => {
                    core.finish(self.run, End::Interrupted);
                }
                Ok(interrupted) => self.reported = interrupted,
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
                    self.reported = true;
                    self.remove(key);
                }
                continue;
            }
            self.reported = true;
            if !event.readable {
                self.remove(event.key);
                continue;
            }
            if self.entry.as_ref().is_none_or(|e| e.key != event.key) {
                self.slot.receives.store(ptr::null_mut(), SeqCst);
                self.entry = core.listeners.get(event.key, &self.slot.receives);
                core.see_off();
            }
            if self.fetch() {
                if block && self.streak.count(event.key, self.events.is_empty()) {
                    self.block_on(event.key);
                }
                return true;
            }
        }
        false
    }

    /// [`Worker::receive_from_entry`] of what was reported. Where somebody else was faster it goes on until
    /// the watcher ends it.
    fn fetch(&mut self) -> bool {
        let slot = self.slot;
        let before = slot.fetches.load(Relaxed);
        // Said first: the watcher looks at that before it sleeps.
        slot.fetches.store(before.wrapping_add(1), SeqCst);
        self.core.watch.nudge();
        let received = self.receive_from_entry();
        slot.fetches.store(before.wrapping_add(2), Relaxed);
        received
    }

    /// Receives from the only listener, for which others wait too.
    fn receive_from_share(&mut self) -> bool {
        let (Some(share), Some(entry)) = (&self.share, &self.entry) else {
            return false;
        };
        match share.wait_for_one() {
            Ok(Some(event)) if event.key == entry.key && !event.readable => {
                self.remove(event.key);
                false
            }
            // There is news, or a signal came.
            Ok(event) if event.is_none_or(|e| e.key != entry.key) => false,
            // If another one was faster, the next notification is for this one. What fails in the wait
            // fails in RECV too, which says why.
            _ => self.receive_from_entry(),
        }
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
                self.switch_wake_up();
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
}
