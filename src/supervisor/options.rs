//! How a supervisor is to work.

use super::mode::WakeUp;

/// How a [`Supervisor`](crate::Supervisor) is to work.
///
/// ```
/// use unotify::SupervisorOptions;
///
/// let options = SupervisorOptions::default().max_workers(4).keep_running(true);
/// assert_eq!((options.max_workers, options.drain_on_stop), (4, false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SupervisorOptions {
    /// How many handlers may run at the same time, 1 to 1024. At 1, which is the default, they
    /// never overlap. With more, several threads also receive at the same time, while several
    /// targets of a single listener call at once and that is measured to be faster.
    pub max_workers: usize,
    /// The error number, positive, for notifications that nobody answers; `ENOSYS` by default.
    pub fallback_error: i32,
    /// Go on when there is no listener (any more), until stopped: for supervisors whose listeners
    /// come at run time. Off by default.
    pub keep_running: bool,
    /// Whether waking a target up hands over the processor. Chosen by measuring by default.
    pub wake_up: WakeUp,
    /// A signal that is handled on the thread that called [`run`](crate::Supervisor::run) while it waits
    /// ends the run with [`Status::Interrupted`](crate::Status::Interrupted), whether its handler was installed with
    /// `SA_RESTART` or not: for languages whose own signal handlers run when the call has returned.
    /// It costs an `epoll_wait` for each notification. Off by default; without meaning for runs in
    /// the background.
    pub return_on_signal: bool,
    /// When stopped, or ended by a handler that failed, give what is pending on the listeners the
    /// fallback error. Off by default: it stays pending, for the next run or another process. Nobody else may
    /// receive from them meanwhile: this waits for what is taken away between the look and the `RECV`.
    pub drain_on_stop: bool,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        SupervisorOptions {
            max_workers: 1,
            fallback_error: crate::shared::DEFAULT_FALLBACK,
            keep_running: false,
            wake_up: WakeUp::Auto,
            return_on_signal: false,
            drain_on_stop: false,
        }
    }
}

/// Each field by a function of its name, to be chained.
impl SupervisorOptions {
    /// Sets [`max_workers`](field@SupervisorOptions::max_workers).
    #[must_use]
    pub const fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = max_workers;
        self
    }

    /// Sets [`fallback_error`](field@SupervisorOptions::fallback_error).
    #[must_use]
    pub const fn fallback_error(mut self, fallback_error: i32) -> Self {
        self.fallback_error = fallback_error;
        self
    }

    /// Sets [`keep_running`](field@SupervisorOptions::keep_running).
    #[must_use]
    pub const fn keep_running(mut self, keep_running: bool) -> Self {
        self.keep_running = keep_running;
        self
    }

    /// Sets [`wake_up`](field@SupervisorOptions::wake_up).
    #[must_use]
    pub const fn wake_up(mut self, wake_up: WakeUp) -> Self {
        self.wake_up = wake_up;
        self
    }

    /// Sets [`return_on_signal`](field@SupervisorOptions::return_on_signal).
    #[must_use]
    pub const fn return_on_signal(mut self, return_on_signal: bool) -> Self {
        self.return_on_signal = return_on_signal;
        self
    }

    /// Sets [`drain_on_stop`](field@SupervisorOptions::drain_on_stop).
    #[must_use]
    pub const fn drain_on_stop(mut self, drain_on_stop: bool) -> Self {
        self.drain_on_stop = drain_on_stop;
        self
    }
}
