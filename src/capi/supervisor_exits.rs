//! The mirror of `target/exit.rs` and of `Supervisor::on_exit`.

use super::boundary::{call, invalid, shared, unotify_status};
use super::notification::{inner, unotify_notification};
use super::supervisor::unotify_supervisor;
use super::throw;
use crate::error::Result;
use std::ffi::c_void;
use std::panic::resume_unwind;

/// Is told that a process has ended. It must return: neither jump out of the call nor end its
/// thread. An exception is treated as a handler's is.
pub type unotify_exit_handler =
    Option<unsafe extern "C" fn(process: libc::pid_t, data: *mut c_void)>;

/// A C function and its data, which the caller has promised to keep usable from any thread.
#[derive(Clone, Copy)]
struct Callback {
    function: throw::ToldOfExit,
    data: *mut c_void,
}

// SAFETY: the documentation of `unotify_supervisor_on_exit` says that it runs on any thread.
unsafe impl Send for Callback {}
// SAFETY: likewise. It never runs on two at a time.
unsafe impl Sync for Callback {}

/// What an exception becomes in Rust. Without content, so that it takes no memory.
struct Threw;

impl Callback {
    fn call(self, process: libc::pid_t) {
        // SAFETY: the function and its data are usable until the supervisor is freed, as promised.
        if !unsafe { throw::tell_exit(self.function, process, self.data) } {
            // This prints nothing.
            resume_unwind(Box::new(Threw));
        }
    }
}

/// Sets the function that is told of the end of a target's process, once for each that a handler
/// **has asked for** by unotify_notification_watch_exit(). The last one set counts. It runs as a
/// handler does, never two at a time, and before a handler sees a call of another process with the
/// same id. It is to be brief: a handler waits for it up to a tenth of a second. What it costs for
/// each notification, and what may come after it, is in "Ends of processes" in unotify(7).
///
/// # Safety
/// `supervisor` is NULL or a live handle; `function` and `data` are usable until the supervisor is
/// freed.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_on_exit(
    supervisor: *mut unotify_supervisor,
    function: unotify_exit_handler,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = unsafe { shared(supervisor, "supervisor") }?;
        let function = function.ok_or_else(|| invalid("`function` is null"))?;
        let callback = Callback { function, data };
        supervisor
            .core()
            .on_exit(move |process| callback.call(process))
    })
}

/// Has the function of unotify_supervisor_on_exit() told of the end of the target's process, and
/// gives its id (the thread group) to `process` unless that is NULL (Linux 5.3). Asking again
/// changes nothing. After success the notice is certain, after `UNOTIFY_ERR_GONE` there is none.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when no supervisor handed it out, or no function was set.
///
/// # Safety
/// `notification` is NULL or a live handle; `process` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_watch_exit(
    notification: *mut unotify_notification,
    process: *mut libc::pid_t,
) -> unotify_status {
    call(|| -> Result<()> {
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let pid = unsafe { inner(notification) }?.watch_exit()?;
        if !process.is_null() {
            // SAFETY: not null, so valid for writing, as promised.
            unsafe { process.write(pid) };
        }
        Ok(())
    })
}
