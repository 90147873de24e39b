//! Supervisors, and what came of what they were asked.

use unotify::{Notification, Status, Supervisor, SupervisorOptions, Verdict};

/// What a call that was to fail came to.
pub(crate) fn status<T>(result: unotify::Result<T>) -> Status {
    result.err().map_or(Status::Ok, |error| error.status())
}

/// Options of a supervisor whose handlers may run so many at a time.
pub(crate) fn workers(max_workers: usize) -> SupervisorOptions {
    SupervisorOptions::default().max_workers(max_workers)
}

/// A supervisor with these options and one handler for [`CALL`].
pub(crate) fn supervisor<F>(options: SupervisorOptions, handler: F) -> Supervisor
where
    F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
{
    let supervisor = Supervisor::new(options).unwrap();
    supervisor.on("getppid", handler).unwrap();
    supervisor
}

/// The handler that returns the call's first argument.
pub(crate) fn echo(notification: &mut Notification) -> Verdict {
    let _ = notification.reply_value(notification.request().args[0] as i64);
    Verdict::Handled
}
