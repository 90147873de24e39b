//! A run from its beginning to its end: its threads, and what becomes of what they leave.

use super::backlog::Of;
use super::core::{Core, End, ENDS};
use super::slot::{Place, Slot};
use super::worker::Worker;
use crate::error::{Error, Result, Status};
use crate::kernel::{signals, Errno};
use crate::lock::lock;
use crate::notification::Notification;
use crate::stall;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Lets a worker in again that was stuck.
struct Doorkeeper<'a> {
    core: &'a Core,
    slot: &'a Slot,
}

impl stall::Doorkeeper for Doorkeeper<'_> {
    fn let_in(&self) -> bool {
        let core = self.core;
        let abandoned = || core.abandoned.load(SeqCst);
        // Whoever keeps a permit may be receiving, or asleep.
        let call = || {
            core.tell_news();
            core.pool.call_all();
        };
        if !core.backlog.await_permit(call, abandoned) {
            return false;
        }
        core.crew.fetch_add(1, SeqCst);
        // Asked again after that: who abandons looks at the crew afterwards.
        if abandoned() {
            core.backlog.give_permit();
            core.leave_crew();
            return false;
        }
        core.stuck.fetch_sub(1, SeqCst);
        self.slot.place.recovered();
        true
    }
}

impl Core {
    /// A new worker thread. If the system has none, the workers there are have to do.
    pub(super) fn add_thread(&self, slot: usize, at_home: bool) -> bool {
        let started = self.me.upgrade().is_some_and(|core| {
            let body = move || {
                signals::block_all();
                core.work(slot, Place::Thread { at_home });
            };
            let mut threads = lock(&self.threads);
            threads.retain(|(_, t)| !t.is_finished());
            self.crew.fetch_add(1, SeqCst);
            let name = "unotify-worker".into();
            let started = thread::Builder::new().name(name).spawn(body);
            started.map(|t| threads.push((slot, t))).is_ok()
        });
        if !started {
            self.leave_crew();
            lock(&self.free_slots).push(slot);
        }
        started
    }

    /// One worker's life, on the calling thread, which was counted into the crew.
    fn work(&self, slot: usize, place: Place) {
        let now = self.workers.fetch_add(1, SeqCst) + 1;
        self.workers_max.fetch_max(now, SeqCst);
        match Worker::new(self, &self.slots[slot], place) {
            Ok(worker) => {
                let doorkeeper = Doorkeeper {
                    core: self,
                    slot: &self.slots[slot],
                };
                let watched = stall::Worker {
                    place: &self.slots[slot].place,
                    doorkeeper: &doorkeeper,
                };
                watched.watched(|| worker.interruptible().work());
            }
            Err(error) => {
                self.remember(error);
                self.finish(self.run_number(), End::Stopped);
            }
        }
        self.workers.fetch_sub(1, SeqCst);
        lock(&self.free_slots).push(slot);
        // Whoever wanted a worker just now found neither a sleeper nor a slot.
        if self.end().is_none() && self.is_anybody_needed() {
            self.call_worker();
        }
        self.leave_crew();
    }

    /// Whether there is something to do for one more worker.
    fn is_anybody_needed(&self) -> bool {
        self.pool.has_vacancy(false) || (!self.backlog.is_empty() && self.backlog.has_permit())
    }

    /// In a copy of the process, which has none of the threads: even letting go of them would touch
    /// what is not theirs any more.
    pub(super) fn forget_threads(&self) {
        // A thread that is not there may have the lock, and then it has a part in this core as well,
        // which is never dropped.
        if let Ok(mut threads) = self.threads.try_lock() {
            std::mem::forget(std::mem::take(&mut *threads));
        }
    }

    /// For a supervisor that is dropped: workers that are stuck never get back to their handlers,
    /// and their listeners are closed all the same.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, SeqCst);
        // One that is back in its handler just now is waited for, as those were at the run's end.
        self.finish(self.run_number(), End::Stopped);
        self.watch.run(self);
        let (left, held) = self.listeners.let_go();
        if self.stuck.load(SeqCst) != 0 {
            for listener in held.iter().filter_map(Weak::upgrade) {
                let (deferrals, held) = (Arc::clone(&self.deferrals), Arc::downgrade(&listener));
                // One that was taken is closed by whoever has it now.
                listener.when_disowned(move || deferrals.close_at_the_end(held));
            }
        }
        for tag in self.backlog.all_left().into_iter().chain(left) {
            self.tell_left(tag, &self.nobody().counters);
        }
    }

    /// One run, on the calling thread and as many others as it takes.
    pub(super) fn run(&self) -> Result<()> {
        self.open_run();
        let watcher = self.start_watcher();
        let slot = self.await_slot();
        self.crew.fetch_add(1, SeqCst);
        self.work(slot, Place::Caller);
        if let Some(watcher) = watcher {
            let _ = watcher.join();
        }
        self.finish_run()
    }

    /// One run, on other threads than this one, which watches over it.
    pub(super) fn run_in_background(&self) -> Result<()> {
        self.open_run();
        let at_home = self.options.max_workers == 1;
        let slot = self.await_slot();
        if !self.add_thread(slot, at_home) {
            self.remember(Error::system(Errno(libc::EAGAIN), "start a thread"));
            self.finish(self.run_number(), End::Stopped);
        }
        self.watch.run(self);
        self.finish_run()
    }

    /// A slot for the first worker of a run. At the most, workers of an earlier one that were stuck
    /// are about to leave theirs.
    fn await_slot(&self) -> usize {
        loop {
            match self.take_slot() {
                Some(slot) => return slot,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn open_run(&self) {
        self.next_run();
        // A worker that was stuck when the last run ended may have led.
        self.pool.depose_all();
        self.pool.forget_recall();
        // The others are called when the first one has seen that they are of use.
        self.pool.want(1);
        if let Err(error) = self.listeners.watch_news() {
            self.remember(error);
            self.finish(self.run_number(), End::Stopped);
        }
    }

    fn finish_run(&self) -> Result<()> {
        // Again, as workers that were stuck may be back since.
        self.watch.run(self);
        self.join_threads();
        self.settle_backlog();
        let end = self.end();
        self.tell_last_exits();
        if matches!(end, Some(End::Stopped | End::Failed)) && self.options.drain_on_stop {
            self.drain();
        }
        if let Err((error, gone)) = self.listeners.watch_all() {
            self.remember(error);
            if let Some(gone) = gone {
                self.has_left_set(gone);
            }
        }
        self.hot.off();
        self.listeners.unwatch_news();
        // To a worker that was stuck and is back, this run is over.
        self.next_run();
        self.close_run(end)
    }

    /// Makes ready for another run, and says how this one ended.
    pub(super) fn close_run(&self, end: Option<End>) -> Result<()> {
        if end == Some(End::Stopped) {
            self.stopping.store(false, SeqCst);
        }
        self.listeners.calm();
        self.ended.store(self.run_number() * ENDS, SeqCst);
        // A stop that came after the run had ended is for the next one.
        if self.stopping.load(SeqCst) {
            self.listeners.wake();
        }
        let error = lock(&self.error).take();
        self.running.store(false, SeqCst);
        // Who left it to the run did so before that.
        self.tell_left_between_runs();
        match (error, end) {
            (Some(error), _) => Err(error),
            (None, Some(End::Stopped)) => Err(Error::plain(Status::Stopped)),
            (None, Some(End::Interrupted)) => Err(Error::plain(Status::Interrupted)),
            (None, _) => Ok(()),
        }
    }

    fn start_watcher(&self) -> Option<JoinHandle<()>> {
        let core = self.me.upgrade()?;
        let body = move || {
            signals::block_all();
            core.watch.run(&core);
        };
        // Without it, handlers that are slow all of a sudden hold up the others.
        thread::Builder::new()
            .name("unotify-watch".into())
            .spawn(body)
            .ok()
    }

    /// Waits for the threads of workers that are done. Those of stuck ones are left to end by
    /// themselves.
    fn join_threads(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for (slot, thread) in threads {
            let is_stuck = || self.slots[slot].place.is_stuck();
            while !thread.is_finished() && !is_stuck() {
                // It is about to end, or it was stuck, is back, and may be stuck again.
                self.watch.run(self);
                thread::sleep(Duration::from_micros(50));
            }
            if thread.is_finished() {
                // A worker's panic was caught in its handler; there is nothing to pass on.
                let _ = thread.join();
            } else {
                lock(&self.threads).push((slot, thread));
            }
        }
    }

    /// Gives what was received and never handled the fallback error.
    fn settle_backlog(&self) {
        let Ok(mut notification) = Notification::vacant().map(Box::new) else {
            return;
        };
        let counters = &self.nobody().counters;
        // What has left waits until the run is closed: there may be no permit now.
        while self.backlog.pop_received(&mut notification, &Of::default()) {
            notification.answer_with_fallback();
            counters.settled(notification.state());
        }
        drop(notification);
        self.backlog.clear();
        self.see_off();
    }

    /// Gives everything that is pending the fallback error.
    fn drain(&self) {
        for entry in self.listeners.all() {
            let Ok(mut notification) = Notification::vacant() else {
                return;
            };
            notification.rebind(&entry.shared);
            while entry.shared.readable() && notification.fill().is_ok() {
                self.nobody().counters.received();
                notification.answer_with_fallback();
                self.nobody().counters.settled(notification.state());
            }
        }
    }

    /// Marks the supervisor as running, which it may be once at a time.
    pub(super) fn begin_run(&self) -> Result<()> {
        if self.running.swap(true, SeqCst) {
            return Err(Error::new(
                Status::InvalidArgument,
                "the supervisor is running already",
            ));
        }
        Ok(())
    }

    /// Takes back [`Core::begin_run`].
    pub(super) fn cancel_run(&self) {
        self.running.store(false, SeqCst);
    }

    /// Handles what is there on the calling thread, at most so many; how many there were.
    pub(super) fn dispatch(&self, at_most: usize) -> usize {
        // A worker that was stuck in an earlier run may be back in its handler.
        if !self.backlog.take_permit() {
            return 0;
        }
        let mut handled = 0;
        if let Some(slot) = self.take_slot() {
            match Worker::new(self, &self.slots[slot], Place::Caller) {
                Ok(mut worker) => {
                    while self.end().is_none() && handled < at_most && worker.dispatch() {
                        handled += 1;
                    }
                }
                Err(error) => self.remember(error),
            }
            lock(&self.free_slots).push(slot);
        }
        while let Some(tag) = self.backlog.pop_left() {
            self.tell_left(tag, &self.nobody().counters);
        }
        self.backlog.give_permit();
        self.tell_last_exits();
        handled
    }
}
