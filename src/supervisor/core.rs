//! What the workers of a supervisor share, and one run of it.

use super::backlog::{Backlog, Leaving, Of};
use super::listeners::Listeners;
use super::mode::{self, Choice, Mode, Seen};
use super::pool::Pool;
use super::stats::Counters;
use super::table::{ExitFunction, Table};
use super::watch::Watch;
use super::worker::{Place, Slot, Worker};
use super::{lock, Stats, SupervisorOptions, WakeUp};
use crate::error::{Error, Result, Status};
use crate::kernel::{futex, signals, Errno};
use crate::notification::{Deferrals, Notification};
use crate::shared::Shared;
use crate::stall;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many workers of a supervisor may be stuck and replaced.
pub(super) const MOST_STUCK: usize = 64;

/// So long the end of a run waits for processes that are about to end: their listener tells a moment
/// before they do.
const LAST_EXITS: Duration = Duration::from_millis(100);

/// What the workers share.
#[derive(Debug)]
pub(super) struct Core {
    me: Weak<Core>,
    pub(super) options: SupervisorOptions,
    pub(super) table: Mutex<Arc<Table>>,
    pub(super) listeners: Listeners,
    pub(super) pool: Pool,
    pub(super) watch: Watch,
    pub(super) backlog: Backlog,
    /// For the workers that handle, one that only receives, and those that replace stuck ones. The
    /// last is nobody's.
    pub(super) slots: Box<[Slot]>,
    free_slots: Mutex<Vec<usize>>,
    /// No slot from this one on was ever used.
    slots_used: AtomicUsize,
    threads: Mutex<Vec<(usize, JoinHandle<()>)>>,
    workers: AtomicU64,
    workers_max: AtomicU64,
    /// Workers at work that are not stuck: a run ends when there are none.
    crew: AtomicU32,
    stuck: AtomicUsize,
    /// The supervisor was dropped while workers were stuck.
    abandoned: AtomicBool,
    /// Counts the beginnings and the ends of runs.
    runs: AtomicU64,
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
    /// Counts the listeners that were taken away: whoever has one of them is to let go of it.
    pub(super) taken: AtomicU64,
    /// The number of the present run, times eight, plus its [`End`], or nothing while it goes on.
    ended: AtomicU64,
    error: Mutex<Option<Error>>,
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped = 1,
    Finished = 2,
    /// By a signal that was handled on the calling thread.
    Interrupted = 3,
    /// By a handler that said so.
    Failed = 4,
}

/// There are fewer of them than that.
const ENDS: u64 = 8;

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
    pub(super) fn new(options: SupervisorOptions) -> Result<Arc<Self>> {
        let listeners = Listeners::new()?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let modes = mode::modes(options.wake_up, options.max_workers.min(processors));
        let most_receivers = modes.iter().map(|m| m.receivers).max().unwrap_or(1);
        let slots = options.max_workers + 1 + MOST_STUCK;
        Ok(Arc::new_cyclic(|me| Core {
            me: Weak::clone(me),
            options,
            table: Mutex::default(),
            listeners,
            pool: Pool::new(most_receivers),
            watch: Watch::default(),
            backlog: Backlog::new(options.max_workers),
            slots: (0..=slots).map(|_| Slot::default()).collect(),
            free_slots: Mutex::new((0..slots).rev().collect()),
            slots_used: AtomicUsize::new(0),
            threads: Mutex::default(),
            workers: AtomicU64::new(0),
            workers_max: AtomicU64::new(0),
            crew: AtomicU32::new(0),
            stuck: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            runs: AtomicU64::new(0),
            deferrals: Arc::default(),
            choice: (modes.len() > 1).then(|| Mutex::new(Choice::new(modes))),
            sync: AtomicBool::new(options.wake_up != WakeUp::Async),
            running: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            news: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            ended: AtomicU64::new(0),
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
        match self.ended.load(SeqCst) % ENDS {
            0 if self.stopping.load(SeqCst) => Some(End::Stopped),
            0 => None,
            1 => Some(End::Stopped),
            2 => Some(End::Finished),
            3 => Some(End::Interrupted),
            _ => Some(End::Failed),
        }
    }

    /// Ends a run, unless it is over already, and wakes everybody up to see it.
    pub(super) fn finish(&self, run: u64, end: End) {
        // The first reason stands.
        let (going_on, over) = (run * ENDS, run * ENDS + end as u64);
        let _ = self.ended.compare_exchange(going_on, over, SeqCst, SeqCst);
        self.wake_everybody();
    }

    /// Another run, or none, from here on. Its number.
    fn next_run(&self) -> u64 {
        let run = self.runs.fetch_add(1, SeqCst) + 1;
        self.ended.store(run * ENDS, SeqCst);
        run
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
        for slot in self.used_slots() {
            slot.mark.interrupt();
        }
    }

    /// A handler said that it failed, in this run. If that is over, and the handler was stuck since,
    /// there is nobody to be told.
    #[cold]
    pub(super) fn fail(&self, run: u64) {
        if self.run_number() == run {
            // Also if a listener broke before: that is seen again.
            *lock(&self.error) = Some(Error::plain(Status::Handler));
            // A run that was stopped has that behind it.
            if self.end().is_none() {
                self.finish(run, End::Failed);
            }
        }
    }

    pub(super) fn used_slots(&self) -> &[Slot] {
        &self.slots[..self.slots_used.load(SeqCst)]
    }

    /// Whether any handler runs.
    pub(super) fn is_any_handling(&self) -> bool {
        self.used_slots().iter().any(Slot::is_handling)
    }

    /// Keeps the first error of a run for its end.
    pub(super) fn remember(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
    }

    /// Somebody is to take the lead: a sleeper, or a new thread while there may be more. If there
    /// may not, the next worker that is done takes it.
    pub(super) fn call_worker(&self) {
        // To a worker that was stuck and is back, nobody is of use between two runs.
        if !self.is_open() || self.pool.call_one() {
            return;
        }
        // Not in the condition: the lock would be held while the thread is started.
        let free = self.take_slot();
        if let Some(slot) = free {
            self.add_thread(slot, false);
        }
    }

    /// A listener has nothing more to give.
    pub(super) fn remove(&self, key: u64) {
        match self.listeners.remove(key) {
            Some(gone) => self.has_left_set(gone),
            None => self.tell_news(),
        }
    }

    /// Takes a listener away that has not ended.
    pub(super) fn take(&self, tag: usize) -> Option<Arc<Shared>> {
        let (shared, gone) = self.listeners.take(tag)?;
        // Before everybody is told and looks.
        self.taken.fetch_add(1, SeqCst);
        self.has_left_set(gone);
        // Those who sleep may keep it open, and an event loop is to see that it was the last one.
        self.pool.call_all();
        if self.listeners.len() == 0 && !self.is_running() {
            self.listeners.wake();
        }
        Some(shared)
    }

    /// A listener is not in the set any more. It has left when nobody has anything of it.
    fn has_left_set(&self, gone: Leaving) {
        // Told first: who sees no news may still believe in a listener that it had.
        self.tell_news();
        self.backlog.leave(gone);
        self.see_off();
    }

    /// Sees to it that listeners are told of that were removed, and that nobody has anything of any
    /// more. Called by who lets go of one.
    #[inline]
    pub(super) fn see_off(&self) {
        if self.backlog.is_anybody_leaving() {
            self.see_off_leaving();
        }
    }

    #[cold]
    fn see_off_leaving(&self) {
        let wanted = self.table().told_of_close().is_some();
        let in_use = |listener| self.used_slots().iter().any(|s| s.has_of(listener));
        if self.backlog.see_off(in_use, wanted) {
            self.call_for_backlog();
            self.tell_left_between_runs();
        }
    }

    /// Whoever has a permit, or could have one, is to look at the backlog.
    fn call_for_backlog(&self) {
        self.tell_news();
        self.pool.call_all();
    }

    /// Tells of a listener that has left. The caller holds a permit, or nobody else is at work.
    pub(super) fn tell_left(&self, tag: usize, counters: &Counters) {
        let table = self.table();
        let Some(told) = table.told_of_close() else {
            return;
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| told(tag))) {
            counters.panicked();
            // As with a handler's.
            std::mem::forget(payload);
        }
    }

    /// Tells of listeners that have left while there is no run, whose workers would.
    pub(super) fn tell_left_between_runs(&self) {
        while self.backlog.has_left() && !self.is_running() && self.backlog.take_permit() {
            if let Some(tag) = self.backlog.pop_left() {
                self.tell_left(tag, &self.nobody().counters);
            }
            self.backlog.give_permit();
            // A run that began meanwhile has missed the permit.
            if !self.backlog.is_empty() && self.is_running() {
                self.call_for_backlog();
            }
        }
    }

    /// A slot for one more worker, while there may be one.
    fn take_slot(&self) -> Option<usize> {
        let allowed = self.options.max_workers + 1 + self.stuck.load(SeqCst);
        let mut free = lock(&self.free_slots);
        let taken = self.slots.len() - 1 - free.len();
        let slot = if taken < allowed { free.pop() } else { None }?;
        self.slots_used.fetch_max(slot + 1, SeqCst);
        Some(slot)
    }

    /// A new worker thread. If the system has none, the workers there are have to do.
    fn add_thread(&self, slot: usize, at_home: bool) -> bool {
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

    fn leave_crew(&self) {
        if self.crew.fetch_sub(1, SeqCst) == 1 {
            futex::wake(&self.crew, i32::MAX);
        }
    }

    /// Waits until nobody is at work who is not stuck, at most for `limit`; whether that is so.
    pub(super) fn await_crew(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|l| Instant::now() + l);
        loop {
            let crew = self.crew.load(SeqCst);
            if crew == 0 {
                return true;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            futex::wait(&self.crew, crew, left);
        }
    }

    /// A worker is stuck in a call that a target makes last: its permit goes to another one.
    pub(super) fn replace(&self, slot: &Slot, call: stall::Call) {
        // Counted first: it may be back at once.
        if self.stuck.fetch_add(1, SeqCst) >= MOST_STUCK || !slot.place.give_up(call) {
            self.stuck.fetch_sub(1, SeqCst);
            return;
        }
        self.leave_crew();
        self.backlog.give_permit();
        if self.end().is_none() {
            self.call_worker();
        }
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
        let sever = self.stuck.load(SeqCst) != 0 && self.deferrals.outstanding() == 0;
        let left = self.listeners.close_all(sever);
        for tag in self.backlog.all_left().into_iter().chain(left) {
            self.tell_left(tag, &self.nobody().counters);
        }
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

    /// A number that no other run has: odd, and even between two runs.
    pub(super) fn run_number(&self) -> u64 {
        self.runs.load(SeqCst)
    }

    /// Whether there is a run, other than by [`Core::dispatch`].
    fn is_open(&self) -> bool {
        self.run_number() % 2 == 1
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

    /// Tells of the processes that have ended. The caller holds a permit.
    pub(super) fn tell_exits(&self, table: &Table, counters: &Counters) {
        if let Some(function) = table.exit_function() {
            let tell = |process| tell_exit(function, process, counters);
            self.deferrals.exits.tell(tell);
        }
    }

    /// At the end of a run or of a dispatch: tells of the processes that have ended, and of those that
    /// are about to, as there is no listener left.
    fn tell_last_exits(&self) {
        let exits = &self.deferrals.exits;
        let table = self.table();
        let Some(function) = table.exit_function().filter(|_| !exits.is_empty()) else {
            return;
        };
        // A worker that was stuck and is back in its handler has it. There is another run, or none.
        if !self.backlog.take_permit() {
            return self.backlog.leave_exits();
        }
        self.backlog.pop_exits();
        let tell = |process| tell_exit(function, process, &self.nobody().counters);
        if self.listeners.len() == 0 && !self.options.keep_running {
            exits.tell_to_the_end(Instant::now() + LAST_EXITS, tell);
        } else {
            exits.tell(tell);
        }
        self.backlog.give_permit();
    }

    /// For what is done by no worker.
    fn nobody(&self) -> &Slot {
        &self.slots[self.slots.len() - 1]
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

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats {
            listeners: self.listeners.len() as u64,
            workers: self.workers.load(SeqCst),
            workers_max: self.workers_max.load(SeqCst),
            workers_stuck: self.stuck.load(SeqCst) as u64,
            ..Stats::default()
        };
        stats.add_deferrals(&self.deferrals);
        for slot in self.used_slots().iter().chain([self.nobody()]) {
            slot.counters.add_to(&mut stats);
        }
        stats
    }
}

/// Tells of the end of one process. One who panics has been told.
fn tell_exit(function: &ExitFunction, process: libc::pid_t, counters: &Counters) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| function.call(process))) {
        counters.panicked();
        // As with a handler.
        std::mem::forget(payload);
    }
}
