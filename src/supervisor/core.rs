//! What the workers of a supervisor share, and one run of it.

use super::backlog::Backlog;
use super::hot::{Hot, Source};
use super::listeners::Listeners;
use super::mode::{self, Choice, Mode, Seen, WakeUp};
use super::options::SupervisorOptions;
use super::pool::Pool;
use super::slot::Slot;
use super::stats::Stats;
use super::table::Table;
use super::watch::Watch;
use crate::error::{Error, Result, Status};
use crate::kernel::{futex, processors};
use crate::lock::lock;
use crate::notification::Deferrals;
use crate::stall;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many workers of a supervisor may be stuck and replaced.
pub(super) const MOST_STUCK: usize = 64;

/// What the workers share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) me: Weak<Core>,
    pub(super) options: SupervisorOptions,
    pub(super) table: Mutex<Arc<Table>>,
    pub(super) listeners: Listeners,
    pub(super) hot: Hot,
    pub(super) pool: Pool,
    pub(super) watch: Watch,
    pub(super) backlog: Backlog,
    /// For the workers that handle, one that only receives, and those that replace stuck ones. The
    /// last is nobody's.
    pub(super) slots: Box<[Slot]>,
    pub(super) free_slots: Mutex<Vec<usize>>,
    /// No slot from this one on was ever used.
    pub(super) slots_used: AtomicUsize,
    pub(super) threads: Mutex<Vec<(usize, JoinHandle<()>)>>,
    pub(super) workers: AtomicU64,
    pub(super) workers_max: AtomicU64,
    /// Workers at work that are not stuck: a run ends when there are none.
    pub(super) crew: AtomicU32,
    pub(super) stuck: AtomicUsize,
    /// The supervisor was dropped while workers were stuck.
    pub(super) abandoned: AtomicBool,
    /// Counts the beginnings and the ends of runs.
    pub(super) runs: AtomicU64,
    pub(super) deferrals: Arc<Deferrals>,
    /// Chooses the mode, where there is a choice.
    pub(super) choice: Option<Mutex<Choice>>,
    /// Whether waking up is synchronous in the present mode.
    pub(super) sync: AtomicBool,
    pub(super) running: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// Counts what a receiving worker has to look up from for: stops, ends, fewer receivers, and
    /// changes of the set of listeners.
    pub(super) news: AtomicU64,
    /// Counts the listeners that were taken away: whoever has one of them is to let go of it.
    pub(super) taken: AtomicU64,
    /// The number of the present run, times eight, plus its [`End`], or nothing while it goes on.
    pub(super) ended: AtomicU64,
    pub(super) error: Mutex<Option<Error>>,
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
pub(super) const ENDS: u64 = 8;

impl Core {
    pub(super) fn new(options: SupervisorOptions) -> Result<Arc<Self>> {
        let listeners = Listeners::new()?;
        let at_once = match options.max_workers {
            1 => 1,
            most => most.min(processors::available()),
        };
        let modes = mode::modes(options.wake_up, at_once);
        let most_receivers = modes.iter().map(|m| m.receivers).max().unwrap_or(1);
        let slots = options.max_workers + 1 + MOST_STUCK;
        Ok(Arc::new_cyclic(|me| Core {
            me: Weak::clone(me),
            options,
            table: Mutex::default(),
            listeners,
            hot: Hot::default(),
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
    pub(super) fn next_run(&self) -> u64 {
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
    pub(super) fn wake_everybody(&self) {
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

    /// Whether any worker fetches what was reported.
    pub(super) fn is_any_fetching(&self) -> bool {
        self.used_slots().iter().any(|s| s.fetch().is_some())
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

    /// A slot for one more worker, while there may be one.
    pub(super) fn take_slot(&self) -> Option<usize> {
        let allowed = self.options.max_workers + 1 + self.stuck.load(SeqCst);
        let mut free = lock(&self.free_slots);
        let taken = self.slots.len() - 1 - free.len();
        let slot = if taken < allowed { free.pop() } else { None }?;
        self.slots_used.fetch_max(slot + 1, SeqCst);
        Some(slot)
    }

    pub(super) fn leave_crew(&self) {
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

    /// Whether nobody is at work, nor will be again by itself. Who is back at work counts there before
    /// no more among the stuck.
    pub(super) fn is_at_rest(&self) -> bool {
        self.stuck.load(SeqCst) == 0 && self.crew.load(SeqCst) == 0
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

    /// Goes on in the mode that is best after what a leader has seen in a round, unless somebody
    /// else is at it. There is a choice while one listener is received `from`.
    pub(super) fn choose_mode(&self, round: Seen, from: Source) {
        let Some(Ok(mut choice)) = self.choice.as_ref().map(Mutex::try_lock) else {
            return;
        };
        let (now, received) = (Instant::now(), self.pool.received());
        let Mode { receivers, sync } = match from {
            Source::Only | Source::Hot => choice.round(round, now, received),
            Source::Many => choice.pause(now, received),
        };
        self.sync.store(sync, SeqCst);
        // The watcher interrupts one.
        let now = if from == Source::Only { receivers } else { 1 };
        let before = self.pool.want(now);
        if now != before {
            self.tell_news();
        }
        for _ in before..now {
            self.call_worker();
        }
    }

    /// From here on the leader, who says so, blocks on this listener, which it has taken out of the
    /// epoll instance.
    #[cold]
    pub(super) fn heat(&self, key: u64) {
        self.hot.on(key);
        // Whoever leads next looks up. Nobody else waits now, who would have to be woken.
        self.news.fetch_add(1, SeqCst);
        self.watch.call();
    }

    /// The others have something, or may have had it for long.
    #[cold]
    pub(super) fn cool(&self) {
        if self.hot.off() {
            self.tell_news();
        }
    }

    /// Whether there is anything to be chosen.
    pub(super) fn has_choice(&self) -> bool {
        self.choice.is_some()
    }

    /// A number that no other run has: odd, and even between two runs.
    pub(super) fn run_number(&self) -> u64 {
        self.runs.load(SeqCst)
    }

    /// Whether there is a run, other than by [`Core::dispatch`].
    pub(super) fn is_open(&self) -> bool {
        self.run_number() % 2 == 1
    }

    /// For what is done by no worker.
    pub(super) fn nobody(&self) -> &Slot {
        &self.slots[self.slots.len() - 1]
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
