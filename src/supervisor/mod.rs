//! Loops over listeners: handlers by system call, workers, stopping, statistics.

mod agents;
mod background;
mod backlog;
mod core;
mod hot;
mod lead;
mod listeners;
mod mode;
mod notices;
mod options;
mod pool;
mod receive;
mod run;
mod slot;
mod stats;
mod table;
mod watch;
mod watcher;
mod worker;

use self::background::Background;
use self::core::Core;
use crate::error::{Error, Result, Status};
use crate::kernel::fork::Process;
use crate::kernel::{signals, Errno};
use crate::listener::Listener;
use crate::lock::lock;
use crate::notification::{check_errnum, Notification};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use table::Table;

pub use mode::WakeUp;
pub use options::SupervisorOptions;
pub use stats::Stats;
pub use table::{HandlerFlags, Verdict};

/// The most workers that can be asked for.
const MAX_WORKERS: usize = 1024;

/// How many notifications one [`Supervisor::dispatch`] handles before it returns to its event
/// loop.
const DISPATCH_AT_MOST: usize = 64;

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
///
/// A copy of the process that `fork` has made inherits the supervisor, but none of its threads.
/// [`stop`](Supervisor::stop) does nothing there, as in a signal handler that was inherited too, and
/// dropping it frees what is the copy's and leaves the run to the parent; whatever runs it or adds to
/// it fails with [`Status::InvalidArgument`]. A handler that forks must not return in the copy: that
/// is to execute another program, or end with `_exit`.
#[derive(Debug)]
pub struct Supervisor {
    core: Arc<Core>,
    background: Mutex<Option<Background>>,
    made_in: Process,
}

impl Supervisor {
    /// A supervisor without listeners and handlers.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for options out of range; [`Status::System`] when the process
    /// is out of descriptors.
    pub fn new(options: SupervisorOptions) -> Result<Self> {
        check_errnum(options.fallback_error)?;
        if !(1..=MAX_WORKERS).contains(&options.max_workers) {
            return Err(Error::new(
                Status::InvalidArgument,
                format!(
                    "max_workers is {}, which is outside 1 to {MAX_WORKERS}",
                    options.max_workers
                ),
            ));
        }
        Ok(Supervisor {
            core: Core::new(options)?,
            background: Mutex::default(),
            made_in: Process::current(),
        })
    }

    /// Refuses what a copy of the process must not do.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`].
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.made_in.is_current() {
            return Ok(());
        }
        Err(Error::new(
            Status::InvalidArgument,
            "the supervisor belongs to the process that this one was forked from; make another one",
        ))
    }

    /// Serves one more listener, also while running. `tag` is what its notifications show as
    /// [`Notification::tag`].
    ///
    /// # Errors
    /// [`Status::System`] when the kernel has no room to watch it; [`Status::InvalidArgument`] in a
    /// copy of the process. The listener is closed then.
    pub fn add_listener(&self, listener: Listener, tag: usize) -> Result<()> {
        self.check_process()?;
        listener.set_tag(tag);
        let shared = listener.shared();
        shared.switch_sync_wake_up(self.core.sync.load(SeqCst));
        listener.set_fallback_error(self.core.options.fallback_error)?;
        self.core.listeners.add(&listener, tag)?;
        // Whoever blocks in RECV on what was the only listener has to wait for both.
        self.core.tell_news();
        Ok(())
    }

    /// Gives a listener back, also while running: the one that was added with `tag`, or the first
    /// of those that were. Nothing is lost: what is pending stays with it, for whoever receives from
    /// it next; what was received is handled, and so is what a worker receives at this very moment.
    /// When that is over [`on_close`](Supervisor::on_close) tells. A run ends when there is no other
    /// listener.
    ///
    /// With [`dispatch`](Supervisor::dispatch), not from another thread while it is under way.
    ///
    /// # Errors
    /// [`Status::Closed`] when no listener with that tag is served, or not any more;
    /// [`Status::InvalidArgument`] in a copy of the process.
    pub fn take_listener(&self, tag: usize) -> Result<Listener> {
        self.check_process()?;
        let taken = self.core.take(tag);
        taken.map(Listener::from_shared).ok_or_else(|| {
            Error::new(
                Status::Closed,
                "the supervisor serves no listener that was added like that, or not any more",
            )
        })
    }

    /// [Takes](Supervisor::take_listener) a listener and drops it: when what was received of it is
    /// answered it is closed, and the kernel answers what is pending, and all later calls of its
    /// targets, with `ENOSYS`.
    ///
    /// # Errors
    /// As there.
    pub fn remove_listener(&self, tag: usize) -> Result<()> {
        self.take_listener(tag).map(drop)
    }

    /// Sets a handler for a system call, on every architecture that has it. Several for one call are
    /// asked in the order in which they were set, until one says something other than
    /// [`Verdict::NotHandled`]. Handlers may run on any thread of the run, and with `max_workers`
    /// above 1 several at a time.
    ///
    /// # Errors
    /// [`Status::UnknownSyscall`]; [`Status::InvalidArgument`] while the supervisor runs.
    pub fn on<F>(&self, syscall: &str, handler: F) -> Result<()>
    where
        F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
    {
        self.on_with(syscall, HandlerFlags::empty(), handler)
    }

    /// [`Supervisor::on`] with what is known of the handler.
    ///
    /// # Errors
    /// As there.
    pub fn on_with<F>(&self, syscall: &str, flags: HandlerFlags, handler: F) -> Result<()>
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

    /// Sets a handler for every system call that has none, or whose handlers did not want it. Several
    /// are asked in the order in which they were set.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] while the supervisor runs.
    pub fn on_default<F>(&self, handler: F) -> Result<()>
    where
        F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
    {
        self.on_default_with(HandlerFlags::empty(), handler)
    }

    /// [`Supervisor::on_default`] with what is known of the handler.
    ///
    /// # Errors
    /// As there.
    pub fn on_default_with<F>(&self, flags: HandlerFlags, handler: F) -> Result<()>
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

    /// Sets the function that is told of the end of a target's process, with its id: for handlers that
    /// keep something by process. **It is told of the processes that a handler has asked for**, with
    /// [`Notification::watch_exit`], and of each once. The last function set counts.
    ///
    /// It runs as a handler does: on any thread of the run, never while a handler runs if
    /// `max_workers` is 1, and never two at a time. A handler waits for it, but for a tenth of a
    /// second at most: it is to be brief. It was called before a handler gets to see a call
    /// of another process that was given the same id. Calls of a process that was killed may still be
    /// handled after it; [`Notification::watch_exit`] then says [`Status::Gone`], so that nothing is
    /// kept anew for a process that is told of no more. Before the run ends it is told of all that
    /// have ended, and of those that are about to when the last listener has closed. What has not ended
    /// when the supervisor is dropped it is not told of.
    ///
    /// Who sets one pays for it: an `epoll_wait` for each notification, and one more while there is a
    /// process to be told of.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] while the supervisor runs; [`Status::System`] when the process is
    /// out of descriptors.
    pub fn on_exit<F>(&self, function: F) -> Result<()>
    where
        F: Fn(libc::pid_t) + Send + Sync + 'static,
    {
        self.change_table(|table| {
            let prepared = self.core.deferrals.exits.prepare();
            let (exits, is_new) =
                prepared.map_err(|e| Error::system(e, "watch for the ends of processes"))?;
            if is_new {
                self.core.listeners.watch_exits(exits)?;
            }
            table.on_exit(Box::new(function));
            Ok(())
        })
    }

    /// Has `told` called with the tag of each listener that has left, once: because its targets have
    /// ended, it broke, or was taken away, and no handler is at work any more on a notification of
    /// its, nor will be. So what the tag stands for may be let go of then. Of what a handler has
    /// [taken](Notification::take) to answer it later that cannot be said: it shows the tag for as
    /// long as it lives.
    ///
    /// It is called like a handler, and counts as one: on a thread of the run, and with
    /// `max_workers` 1 never beside a handler; and within [`dispatch`](Supervisor::dispatch).
    /// While there is no run it is called on the thread that takes the listener away. A handler
    /// that is stuck, in a call that its target makes last, is waited for. Dropping the supervisor
    /// is the end of that, as of all listeners: what is left then is told on the dropping thread,
    /// when no handler will go on. In a copy of the process that `fork` has made nobody is told.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] while the supervisor runs.
    pub fn on_close<F>(&self, told: F) -> Result<()>
    where
        F: Fn(usize) + Send + Sync + 'static,
    {
        self.change_table(|table| {
            table.on_close(Arc::new(told));
            Ok(())
        })
    }

    fn change_table(&self, change: impl FnOnce(&mut Table) -> Result<()>) -> Result<()> {
        self.check_process()?;
        let mut table = lock(&self.core.table);
        if self.core.is_running() {
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
    /// [`Status::Stopped`] when stopped; [`Status::Handler`] after [`Verdict::Failed`];
    /// [`Status::InvalidArgument`] when it runs already; what the kernel said of a listener that
    /// broke, after the others were served to their end.
    pub fn run(&self) -> Result<()> {
        self.check_process()?;
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
        self.check_process()?;
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
            signals::block_all();
            core.run_in_background()
        };
        match Background::start(body) {
            Ok(started) => {
                *background = Some(started);
                Ok(())
            }
            Err(error) => {
                self.core.cancel_run();
                let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
                Err(Error::system(errno, "start a thread"))
            }
        }
    }

    /// Waits for the end of what [`start`](Supervisor::start) began, and says how it ended. Of
    /// several threads that wait, one is told.
    ///
    /// # Errors
    /// As [`run`](Supervisor::run); [`Status::InvalidArgument`] when it was not started, or another
    /// thread was told.
    pub fn join(&self) -> Result<()> {
        self.join_until(None)
    }

    /// [`Supervisor::join`] with a time limit; zero only looks.
    ///
    /// # Errors
    /// As there; [`Status::Timeout`], and the run goes on: to be joined later all the same.
    pub fn join_timeout(&self, limit: Duration) -> Result<()> {
        // A limit that no clock reaches is none.
        self.join_until(Instant::now().checked_add(limit))
    }

    fn join_until(&self, deadline: Option<Instant>) -> Result<()> {
        self.check_process()?;
        let not_started = || Error::new(Status::InvalidArgument, "the supervisor was not started");
        let end = lock(&self.background)
            .as_ref()
            .map(Background::end)
            .ok_or_else(not_started)?;
        if !end.wait(deadline) {
            return Err(Error::plain(Status::Timeout));
        }
        // Another thread may have joined it meanwhile, and even have started the next one.
        let ended = lock(&self.background).take_if(|b| b.has(&end));
        ended.ok_or_else(not_started)?.join()
    }

    /// Ends the run at hand, or else the next one at once. Handlers that are at work finish; what
    /// was received is answered.
    ///
    /// From any thread, from a handler, and from a signal handler: it allocates nothing, takes no
    /// lock and calls async-signal-safe functions only.
    pub fn stop(&self) {
        if self.made_in.is_current() {
            self.core.stop();
        }
    }

    /// Handles what is there, at most some dozens of notifications, without blocking: for event
    /// loops that watch [`AsFd`] of the supervisor for readability. Handlers run on this thread.
    /// Returns how many it handled. Nobody else may receive from its listeners: whoever takes a
    /// notification away between the look and the `RECV` leaves that waiting for the next one.
    ///
    /// # Errors
    /// [`Status::Stopped`] once after [`stop`](Supervisor::stop); [`Status::Handler`] after
    /// [`Verdict::Failed`]; [`Status::Closed`] when the last listener has closed;
    /// [`Status::InvalidArgument`] when it runs already.
    pub fn dispatch(&self) -> Result<usize> {
        self.check_process()?;
        self.core.begin_run()?;
        let handled = self.core.dispatch(DISPATCH_AT_MOST);
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
        self.core.stats()
    }
}

impl AsFd for Supervisor {
    /// Readable when [`Supervisor::dispatch`] has something to do, and now and then when not.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.core.listeners.as_fd()
    }
}

/// As [`AsFd`] does, and the same descriptor until the supervisor is dropped: for runtimes that ask for
/// this, as tokio's `AsyncFd` does (before tokio 1.54, `AsyncFd::new`). That one tells of readiness once for each change, so everything there is has to be handled before it is waited for
/// again:
///
/// ```
/// use tokio::io::unix::AsyncFd;
/// use unotify::{Spawn, Status, Supervisor, SupervisorOptions, Verdict};
/// use unotify::scmp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
///
/// async fn serve(supervisor: Supervisor) -> std::io::Result<unotify::Result<()>> {
///     // SAFETY: a supervisor has the same descriptor from its beginning to its end.
///     let supervisor = unsafe { AsyncFd::register(supervisor) }?;
///     loop {
///         let mut ready = supervisor.readable().await?;
///         loop {
///             match supervisor.get_ref().dispatch() {
///                 Ok(0) => break,
///                 Ok(_) => {}
///                 Err(error) if error.status() == Status::Closed => return Ok(Ok(())),
///                 Err(error) => return Ok(Err(error)),
///             }
///         }
///         ready.clear_ready();
///     }
/// }
///
/// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
/// filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("getppid")?)?;
/// let supervisor = Supervisor::new(SupervisorOptions::default())?;
/// supervisor.on("getppid", |call| {
///     let _ = call.reply_value(1234);
///     Verdict::Handled
/// })?;
/// let mut child = Spawn::new(&filter, "sh").args(["-c", "test $PPID = 1234"]).spawn()?;
/// supervisor.add_listener(child.take_listener().expect("nobody has taken it"), 0)?;
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// runtime.block_on(serve(supervisor))??;
/// assert!(child.wait()?.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl AsRawFd for Supervisor {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Without the lock, which a thread may have held that a copy of the process does not have.
        let background = self.background.get_mut();
        let background = background.unwrap_or_else(PoisonError::into_inner).take();
        if !self.made_in.is_current() {
            // The threads are not there, to be joined or let go.
            std::mem::forget(background);
            self.core.forget_threads();
            return;
        }
        if let Some(thread) = background {
            self.stop();
            let _ = thread.join();
        }
        self.core.abandon();
    }
}
