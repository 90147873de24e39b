//! The mirror of `target/exit.rs` and of `Supervisor::on_exit`.

use super::boundary::{call, invalid, shared, unotify_status};
use super::notification::{inner, unotify_notification};
use super::supervisor::unotify_supervisor;
use super::throw;
use crate::error::Result;
use std::ffi::c_void;
use std::panic::resume_unwind;

/// Is told that a process has ended. `data` is what it was registered with. It must return: neither
/// jump out of the call nor end its thread. An exception is treated as a handler's is.
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

/// Sets the function that is told of the end of a target's process: for handlers that keep something
/// by process. **It is told of the processes that a handler has asked for** by
/// unotify_notification_watch_exit(), of each once. The last function set counts. It and `data` must
/// be usable until the supervisor is freed.
///
/// It runs as a handler does: on any thread of the run, never while a handler runs if `max_workers` is
/// 1, and never two at a time. A handler waits for it, but for a tenth of a
/// second at most: it is to be brief. It was called before a handler gets
/// to see a call of another process that was given the same id. Calls of a process that was killed may
/// still be handled after it; unotify_notification_watch_exit() then returns `UNOTIFY_ERR_GONE`, so
/// that nothing is kept anew for a process that is told of no more. Before a run ends, it is told of
/// all that have ended, and of those that are about to when the last listener has closed. What has not
/// ended when the supervisor is freed it is not told of.
///
/// Who sets one pays for it: an `epoll_wait` for each notification, and one more while there is a
/// process to be told of.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` also while it runs; `UNOTIFY_ERR_SYSTEM` when the process
/// has no descriptor left.
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

/// Asks for notice of the end of the target's process, which the function set with
/// unotify_supervisor_on_exit() gets, and gives the process's id to `process` unless that is NULL: the
/// thread group, also when another thread than its leader made the call. Asking again for a process
/// changes nothing. On success the notice comes for certain, even if the process is killed at this
/// moment. A process that is watched takes a descriptor.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when the notification is not a supervisor's, or no function
/// was set; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.3; `UNOTIFY_ERR_SYSTEM` also when this process has
/// no descriptor left.
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
