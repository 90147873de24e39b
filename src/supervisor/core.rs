//! What the workers of a supervisor share, and one run of it.

use super::listeners::Listeners;
use super::mode::{self, Choice, Mode, Seen};
use super::pool::Pool;
use super::table::Table;
use super::watch::Watch;
use super::worker::{Slot, Worker};
use super::{lock, Stats, SupervisorOptions, WakeUp};
use crate::error::{Error, Result, Status};
use crate::kernel::interrupt;
use crate::notification::{Deferrals, Notification};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What the workers share.
#[derive(Debug)]
pub(super) struct Core {
    me: Weak<Core>,
    pub(super) options: SupervisorOptions,
    pub(super) table: Mutex<Arc<Table>>,
    pub(super) listeners: Listeners,
    pub(super) pool: Pool,
    pub(super) watch: Watch,
    pub(super) slots: Box<[Slot]>,
    free_slots: Mutex<Vec<usize>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    workers: AtomicU64,
    workers_max: AtomicU64,
    pub(super) deferrals: Arc<Deferrals>,
    /// Chooses the mode, where there is a choice.
    choice: Option<Mutex<Choice>>,
    /// Whether waking up is synchronous in the present mode.
    pub(super) sync: AtomicBool,
    running: AtomicBool,
    stopping: AtomicBool,
    /// Counts what a receiving worker has to look up from for: stops, ends, fewer receivers, and
    /// changes of the set of listeners.
    pub(super) news: AtomicU64,
    /// [`End`] of the present run as a number, 0 while it goes on.
    ended: AtomicU32,
    error: Mutex<Option<Error>>,
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped = 1,
    Finished = 2,
}

impl Core {
    pub(super) fn new(options: SupervisorOptions) -> Result<Arc<Self>> {
        let listeners = Listeners::new()?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let modes = mode::modes(options.wake_up, options.max_workers.min(processors));
        let most_receivers = modes.iter().map(|m| m.receivers).max().unwrap_or(1);
        Ok(Arc::new_cyclic(|me| Core {
            me: Weak::clone(me),
            options,
            table: Mutex::default(),
            listeners,
            pool: Pool::new(most_receivers),
            watch: Watch::default(),
            slots: (0..options.max_workers).map(|_| Slot::default()).collect(),
            free_slots: Mutex::new((0..options.max_workers).collect()),
            threads: Mutex::default(),
            workers: AtomicU64::new(0),
            workers_max: AtomicU64::new(0),
            deferrals: Arc::default(),
            choice: (modes.len() > 1).then(|| Mutex::new(Choice::new(modes))),
            sync: AtomicBool::new(options.wake_up != WakeUp::Async),
            running: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            news: AtomicU64::new(0),
            ended: AtomicU32::new(0),
            error: Mutex::default(),
        }))
    }

    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&lock(&self.table))
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(SeqCst)
    }

    /// Whether the run is over, and why. Asked by everybody all the time.
    pub(super) fn end(&self) -> Option<End> {
        match self.ended.load(SeqCst) {
            0 if self.stopping.load(SeqCst) => Some(End::Stopped),
            0 => None,
            1 => Some(End::Stopped),
            _ => Some(End::Finished),
        }
    }

    /// Ends the run and wakes everybody up to see it.
    pub(super) fn finish(&self, end: End) {
        // The first reason stands.
        let _ = self.ended.compare_exchange(0, end as u32, SeqCst, SeqCst);
        self.wake_everybody();
    }

    /// The next run ends at once, or the one at hand. Async-signal-safe.
    pub(super) fn stop(&self) {
        self.stopping.store(true, SeqCst);
        self.wake_everybody();
    }

    /// Async-signal-safe.
    fn wake_everybody(&self) {
        self.listeners.wake();
        self.tell_news();
        self.pool.call_all();
        self.watch.wake();
    }

    /// Lets those who receive look up: what blocks in RECV comes out. Async-signal-safe.
    pub(super) fn tell_news(&self) {
        self.news.fetch_add(1, SeqCst);
        self.listeners.tell_news();
        for slot in &self.slots {
            slot.interrupt();
        }
    }

    /// Keeps the first error of a run for its end.
    pub(super) fn remember(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
    }

    /// Somebody is to take the lead: a sleeper, or a new thread while there may be more. If there
    /// may not, the next worker that is done takes it.
    pub(super) fn call_worker(&self) {
        if self.pool.call_one() {
            return;
        }
        // Not in the condition: the lock would be held while the thread is started.
        let free = lock(&self.free_slots).pop();
        if let Some(slot) = free {
            self.add_thread(slot);
        }
    }

    /// A new worker thread. If the system has none, the workers there are have to do.
    fn add_thread(&self, slot: usize) {
        let Some(core) = self.me.upgrade() else {
            return;
        };
        let body = move || {
            interrupt::block_all_signals();
            core.work(slot, true);
        };
        let mut threads = lock(&self.threads);
        threads.retain(|t| !t.is_finished());
        match thread::Builder::new()
            .name("unotify-worker".into())
            .spawn(body)
        {
            Ok(thread) => threads.push(thread),
            Err(_) => lock(&self.free_slots).push(slot),
        }
    }

    /// One worker's life, on the calling thread.
    fn work(&self, slot: usize, may_retire: bool) {
        let now = self.workers.fetch_add(1, SeqCst) + 1;
        self.workers_max.fetch_max(now, SeqCst);
        match Worker::new(self, &self.slots[slot]) {
            Ok(worker) => worker.interruptible().work(may_retire),
            Err(error) => {
                self.remember(error);
                self.finish(End::Stopped);
            }
        }
        self.workers.fetch_sub(1, SeqCst);
        lock(&self.free_slots).push(slot);
    }

    /// Goes on in the mode that is best after what a leader has seen in a round, unless somebody
    /// else is at it. Several may receive only if they block on the `only` listener.
    pub(super) fn choose_mode(&self, round: Seen, only: bool) {
        let Some(Ok(mut choice)) = self.choice.as_ref().map(Mutex::try_lock) else {
            return;
        };
        let Mode { receivers, sync } = choice.round(round, Instant::now(), self.pool.received());
        self.sync.store(sync, SeqCst);
        let now = if only { receivers } else { 1 };
        let before = self.pool.want(now);
        if now != before {
            self.tell_news();
        }
        for _ in before..now {
            self.call_worker();
        }
    }

    /// Whether there is anything to be chosen.
    pub(super) fn has_choice(&self) -> bool {
        self.choice.is_some()
    }

    /// One run, on the calling thread and as many others as it takes.
    pub(super) fn run(&self) -> Result<()> {
        let watcher = self.start_watcher();
        // The others are called when the first one has seen that they are of use.
        self.pool.want(1);
        // No other worker is there yet, so there is a free slot.
        let free = lock(&self.free_slots).pop();
        if let Some(slot) = free {
            self.work(slot, false);
        }
        self.join_threads();
        if let Some(watcher) = watcher {
            let _ = watcher.join();
        }
        let end = self.end();
        if end == Some(End::Stopped) && self.options.drain_on_stop {
            self.drain();
        }
        if let Err(error) = self.listeners.watch_all() {
            self.remember(error);
        }
        self.close_run(end)
    }

    /// Makes ready for another run, and says how this one ended.
    pub(super) fn close_run(&self, end: Option<End>) -> Result<()> {
        if end == Some(End::Stopped) {
            self.stopping.store(false, SeqCst);
        }
        self.listeners.calm();
        self.ended.store(0, SeqCst);
        // A stop that came after the run had ended is for the next one.
        if self.stopping.load(SeqCst) {
            self.listeners.wake();
        }
        let error = lock(&self.error).take();
        self.running.store(false, SeqCst);
        match (error, end) {
            (Some(error), _) => Err(error),
            (None, Some(End::Stopped)) => Err(Error::plain(Status::Stopped)),
            (None, _) => Ok(()),
        }
    }

    fn start_watcher(&self) -> Option<JoinHandle<()>> {
        let core = self.me.upgrade().filter(|c| c.options.max_workers > 1)?;
        let body = move || {
            interrupt::block_all_signals();
            core.watch.run(&core);
        };
        // Without it, handlers that are not known to block hold up the others: slower, not wrong.
        thread::Builder::new()
            .name("unotify-watch".into())
            .spawn(body)
            .ok()
    }

    /// Waits for the workers that have been started. They may start others until they see the end.
    fn join_threads(&self) {
        loop {
            let next = lock(&self.threads).pop();
            let Some(thread) = next else {
                return;
            };
            // A worker's panic was caught in its handler; there is nothing to pass on.
            let _ = thread.join();
        }
    }

    /// Gives everything that is pending the fallback error.
    fn drain(&self) {
        for entry in self.listeners.all() {
            let Ok(mut notification) = Notification::vacant() else {
                return;
            };
            notification.rebind(&entry.shared);
            while entry.shared.readable() && notification.fill().is_ok() {
                self.slots[0].counters.received();
                notification.settle();
                self.slots[0].counters.settled(notification.state());
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

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats {
            deferred_outstanding: self.deferrals.outstanding(),
            listeners: self.listeners.len() as u64,
            workers: self.workers.load(SeqCst),
            workers_max: self.workers_max.load(SeqCst),
            ..Stats::default()
        };
        for slot in &self.slots {
            slot.counters.add_to(&mut stats);
        }
        stats
    }
}
