//! Loops over listeners: handlers by system call, workers, stopping, statistics.

mod listeners;
mod pool;
mod stats;
mod table;
mod wake_up;
mod watch;
mod worker;

use crate::error::{Error, Result, Status};
use crate::kernel::{interrupt, Errno};
use crate::listener::Listener;
use crate::notification::{check_errnum, Deferrals, Notification};
use listeners::Listeners;
use pool::Pool;
use stats::Counters;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use table::Table;
use watch::Watch;
use worker::{Slot, Worker};

pub use stats::Stats;
pub use table::{HandlerFlags, Verdict};
pub use wake_up::WakeUp;

/// The most workers that can be asked for.
const MAX_WORKERS: usize = 1024;

/// How many notifications one [`Supervisor::dispatch`] handles before it returns to its event
/// loop.
const DISPATCH_AT_MOST: usize = 64;

/// How a [`Supervisor`] is to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SupervisorOptions {
    /// How many handlers may run at the same time, 1 to 1024. At 1, which is the default, they
    /// never overlap.
    pub max_workers: usize,
    /// The error number, positive, for notifications that nobody answers; `ENOSYS` by default.
    pub fallback_errno: i32,
    /// Go on when there is no listener (any more), until stopped: for supervisors whose listeners
    /// come at run time. Off by default.
    pub keep_running: bool,
    /// Whether waking a target up hands over the processor. Chosen by measuring by default.
    pub wake_up: WakeUp,
    /// When stopped, give what is pending on the listeners the fallback error. Off by default:
    /// it stays pending, for the next run or another process.
    pub drain_on_stop: bool,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        SupervisorOptions {
            max_workers: 1,
            fallback_errno: crate::listener::DEFAULT_FALLBACK,
            keep_running: false,
            wake_up: WakeUp::Auto,
            drain_on_stop: false,
        }
    }
}

/// Serves listeners: receives their notifications and hands each to the handler for its system
/// call. Every notification is answered, whatever a handler does.
///
/// May be shared between threads. One run at a time: [`run`](Supervisor::run) on the caller's
/// thread, [`start`](Supervisor::start) and [`join`](Supervisor::join) in the background, or
/// [`dispatch`](Supervisor::dispatch) from an event loop.
///
/// To get a thread out of a blocked receive, the first run reserves one real-time signal of the
/// process (the highest below `SIGRTMAX` that has its default disposition) and installs a handler
/// for it. Nothing else may use that signal then. If all are taken, the loop waits with `epoll`
/// instead.
///
/// Dropping it stops the run and waits for the handlers that are at work.
#[derive(Debug)]
pub struct Supervisor {
    core: Arc<Core>,
    background: Mutex<Option<JoinHandle<Result<()>>>>,
}

/// What the workers share.
#[derive(Debug)]
struct Core {
    me: Weak<Core>,
    options: SupervisorOptions,
    table: Mutex<Arc<Table>>,
    listeners: Listeners,
    pool: Pool,
    watch: Watch,
    slots: Box<[Slot]>,
    free_slots: Mutex<Vec<usize>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    counters: Counters,
    workers: AtomicU64,
    workers_max: AtomicU64,
    deferrals: Arc<Deferrals>,
    wake_up: Mutex<wake_up::Choice>,
    running: AtomicBool,
    stopping: AtomicBool,
    /// Counts what a receiving worker has to look up from for: stops, ends, and changes of the
    /// set of listeners.
    news: AtomicU64,
    /// [`End`] of the present run as a number, 0 while it goes on.
    ended: AtomicU32,
    error: Mutex<Option<Error>>,
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped = 1,
    Finished = 2,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    fn table(&self) -> Arc<Table> {
        Arc::clone(&lock(&self.table))
    }

    /// Whether the run is over, and why. Asked by everybody all the time.
    fn end(&self) -> Option<End> {
        match self.ended.load(SeqCst) {
            0 if self.stopping.load(SeqCst) => Some(End::Stopped),
            0 => None,
            1 => Some(End::Stopped),
            _ => Some(End::Finished),
        }
    }

    /// Ends the run and wakes everybody up to see it.
    fn finish(&self, end: End) {
        // The first reason stands.
        let _ = self.ended.compare_exchange(0, end as u32, SeqCst, SeqCst);
        self.wake_everybody();
    }

    /// Async-signal-safe.
    fn wake_everybody(&self) {
        self.news.fetch_add(1, SeqCst);
        self.listeners.wake();
        for slot in &self.slots {
            slot.interrupt();
        }
        self.pool.call_all();
        self.watch.wake();
    }

    /// Keeps the first error of a run for its end.
    fn remember(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
    }

    /// Somebody is to take the lead: a sleeper, or a new thread while there may be more. If there
    /// may not, the next worker that is done takes it.
    fn call_worker(&self) {
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
            core.enter();
            Worker::new(&core, &core.slots[slot]).work(true);
            core.leave();
            lock(&core.free_slots).push(slot);
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

    fn enter(&self) {
        let now = self.workers.fetch_add(1, SeqCst) + 1;
        self.workers_max.fetch_max(now, SeqCst);
    }

    fn leave(&self) {
        self.workers.fetch_sub(1, SeqCst);
    }

    /// One run, on the calling thread and as many others as it takes.
    fn run(&self) -> Result<()> {
        let watcher = self.start_watcher();
        // No other worker is there yet, so there is a free slot.
        let free = lock(&self.free_slots).pop();
        if let Some(slot) = free {
            self.enter();
            Worker::new(self, &self.slots[slot]).work(false);
            self.leave();
            lock(&self.free_slots).push(slot);
        }
        self.join_threads();
        if let Some(watcher) = watcher {
            let _ = watcher.join();
        }
        let end = self.end();
        if end == Some(End::Stopped) && self.options.drain_on_stop {
            self.drain();
        }
        self.close_run(end)
    }

    /// Makes ready for another run, and says how this one ended.
    fn close_run(&self, end: Option<End>) -> Result<()> {
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
                self.counters.received();
                notification.settle();
                self.counters.settled(notification.state());
            }
        }
    }

    /// Marks the supervisor as running, which it may be once at a time.
    fn begin_run(&self) -> Result<()> {
        if self.running.swap(true, SeqCst) {
            return Err(Error::new(
                Status::InvalidArgument,
                "the supervisor is running already",
            ));
        }
        Ok(())
    }
}

impl Supervisor {
    /// A supervisor without listeners and handlers.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for options out of range; [`Status::System`] when the process
    /// is out of descriptors.
    pub fn new(options: SupervisorOptions) -> Result<Self> {
        check_errnum(options.fallback_errno)?;
        if !(1..=MAX_WORKERS).contains(&options.max_workers) {
            return Err(Error::new(
                Status::InvalidArgument,
                format!(
                    "max_workers is {}, which is outside 1 to {MAX_WORKERS}",
                    options.max_workers
                ),
            ));
        }
        let listeners = Listeners::new()?;
        let core = Arc::new_cyclic(|me| Core {
            me: Weak::clone(me),
            options,
            table: Mutex::default(),
            listeners,
            pool: Pool::default(),
            watch: Watch::default(),
            slots: (0..options.max_workers).map(|_| Slot::default()).collect(),
            free_slots: Mutex::new((0..options.max_workers).collect()),
            threads: Mutex::default(),
            counters: Counters::default(),
            workers: AtomicU64::new(0),
            workers_max: AtomicU64::new(0),
            deferrals: Arc::default(),
            wake_up: Mutex::default(),
            running: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            news: AtomicU64::new(0),
            ended: AtomicU32::new(0),
            error: Mutex::default(),
        });
        Ok(Supervisor {
            core,
            background: Mutex::default(),
        })
    }

    /// Serves one more listener, also while running. `tag` is what its notifications show as
    /// [`Notification::tag`].
    ///
    /// # Errors
    /// [`Status::System`] when the kernel has no room to watch it; the listener is closed then.
    pub fn add_listener(&self, listener: Listener, tag: usize) -> Result<()> {
        listener.set_tag(tag);
        if self.core.options.wake_up == WakeUp::Async {
            // An older kernel knows nothing else.
            let _ = listener.set_sync_wake_up(false);
        }
        listener.set_fallback_error(self.core.options.fallback_errno)?;
        self.core.listeners.add(&listener)?;
        self.core.news.fetch_add(1, SeqCst);
        // Whoever blocks in RECV on what was the only listener has to wait for both.
        for slot in &self.core.slots {
            slot.interrupt();
        }
        Ok(())
    }

    /// Sets the handler for a system call, on every architecture that has it. The last one set
    /// counts. Handlers may run on any thread of the run, and with `max_workers` above 1 several
    /// at a time.
    ///
    /// # Errors
    /// [`Status::UnknownSyscall`]; [`Status::InvalidArgument`] while the supervisor runs.
    pub fn on<F>(&self, syscall: &str, flags: HandlerFlags, handler: F) -> Result<()>
    where
        F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
    {
        self.on_boxed(syscall, flags, move |notification| handler(notification))
    }

    /// [`Supervisor::on`] for a handler that may keep the box.
    pub(crate) fn on_boxed<F>(&self, syscall: &str, flags: HandlerFlags, handler: F) -> Result<()>
    where
        F: Fn(&mut Box<Notification>) -> Verdict + Send + Sync + 'static,
    {
        self.change_table(|table| table.on(syscall, flags, Box::new(handler)))
    }

    /// Sets the handler for every system call that has none, or whose handler did not want it.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] while the supervisor runs.
    pub fn on_default<F>(&self, flags: HandlerFlags, handler: F) -> Result<()>
    where
        F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
    {
        self.on_default_boxed(flags, move |notification| handler(notification))
    }

    /// [`Supervisor::on_default`] for a handler that may keep the box.
    pub(crate) fn on_default_boxed<F>(&self, flags: HandlerFlags, handler: F) -> Result<()>
    where
        F: Fn(&mut Box<Notification>) -> Verdict + Send + Sync + 'static,
    {
        self.change_table(|table| {
            table.on_default(flags, Box::new(handler));
            Ok(())
        })
    }

    fn change_table(&self, change: impl FnOnce(&mut Table) -> Result<()>) -> Result<()> {
        let mut table = lock(&self.core.table);
        if self.core.running.load(SeqCst) {
            return Err(Error::new(
                Status::InvalidArgument,
                "handlers cannot be set while the supervisor runs",
            ));
        }
        change(Arc::make_mut(&mut table))
    }

    /// Serves the listeners on this thread, until stopped or until the last listener closes.
    ///
    /// # Errors
    /// [`Status::Stopped`] when stopped; [`Status::InvalidArgument`] when it runs already; what
    /// the kernel said of a listener that broke, after the others were served to their end.
    pub fn run(&self) -> Result<()> {
        self.core.begin_run()?;
        self.core.run()
    }

    /// Does what [`run`](Supervisor::run) does in the background. Its threads block all signals
    /// but the library's own.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it runs already or was not joined;
    /// [`Status::System`] when the process can have no more threads.
    pub fn start(&self) -> Result<()> {
        let mut background = lock(&self.background);
        if background.is_some() {
            return Err(Error::new(
                Status::InvalidArgument,
                "the supervisor was started and not joined",
            ));
        }
        self.core.begin_run()?;
        let core = Arc::clone(&self.core);
        let body = move || {
            interrupt::block_all_signals();
            core.run()
        };
        match thread::Builder::new().name("unotify".into()).spawn(body) {
            Ok(thread) => {
                *background = Some(thread);
                Ok(())
            }
            Err(error) => {
                self.core.running.store(false, SeqCst);
                let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
                Err(Error::system(errno, "start a thread"))
            }
        }
    }

    /// Waits for the end of what [`start`](Supervisor::start) began, and says how it ended.
    ///
    /// # Errors
    /// As [`run`](Supervisor::run); [`Status::InvalidArgument`] when it was not started.
    pub fn join(&self) -> Result<()> {
        let background = lock(&self.background).take();
        let thread = background
            .ok_or_else(|| Error::new(Status::InvalidArgument, "the supervisor was not started"))?;
        thread.join().unwrap_or_else(|_| {
            Err(Error::new(
                Status::Panic,
                "the supervisor's thread panicked",
            ))
        })
    }

    /// Ends the run at hand, or else the next one at once. Handlers that are at work finish; what
    /// was received is answered.
    ///
    /// From any thread, from a handler, and from a signal handler: it allocates nothing, takes no
    /// lock and calls async-signal-safe functions only.
    pub fn stop(&self) {
        self.core.stopping.store(true, SeqCst);
        self.core.wake_everybody();
    }

    /// Handles what is there, at most some dozens of notifications, without blocking: for event
    /// loops that watch [`AsFd`] of the supervisor for readability. Handlers run on this thread.
    /// Returns how many it handled. Nobody else may receive from its listeners: whoever takes a
    /// notification away between the look and the `RECV` leaves that waiting for the next one.
    ///
    /// # Errors
    /// [`Status::Stopped`] once after [`stop`](Supervisor::stop); [`Status::Closed`] when the last
    /// listener has closed; [`Status::InvalidArgument`] when it runs already.
    pub fn dispatch(&self) -> Result<usize> {
        self.core.begin_run()?;
        let mut handled = 0;
        let mut worker = Worker::new(&self.core, &self.core.slots[0]);
        while self.core.end().is_none() && handled < DISPATCH_AT_MOST {
            worker.keep_up();
            if !worker.receive_from_many(false) {
                break;
            }
            worker.look_up();
            worker.handle();
            handled += 1;
        }
        drop(worker);
        self.core.close_run(self.core.end())?;
        if self.core.listeners.len() == 0 && !self.core.options.keep_running {
            if handled == 0 {
                return Err(Error::plain(Status::Closed));
            }
            // The next call says so, and nothing else would ask for it.
            self.core.listeners.wake();
        }
        Ok(handled)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            deferred_outstanding: self.core.deferrals.outstanding(),
            listeners: self.core.listeners.len() as u64,
            workers: self.core.workers.load(SeqCst),
            workers_max: self.core.workers_max.load(SeqCst),
            ..self.core.counters.snapshot()
        }
    }
}

impl AsFd for Supervisor {
    /// Readable when [`Supervisor::dispatch`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.core.listeners.as_fd()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let background = lock(&self.background).take();
        if let Some(thread) = background {
            self.stop();
            let _ = thread.join();
        }
    }
}
