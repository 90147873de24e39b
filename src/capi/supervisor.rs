//! `unotify_supervisor`: the mirror of `supervisor/`.

use super::boundary::{
    call, infallible, invalid, options, reclaim, shared, unotify_status, utf8, Out,
};
use super::listener::{time_limit, unotify_listener};
use super::notification::unotify_notification;
use super::supervisor_options::unotify_supervisor_opts;
use super::throw;
use crate::error::Result;
use crate::for_c::{Ownership, Uncancelled};
use crate::kernel::Errno;
use crate::notification::Notification;
use crate::supervisor::{HandlerFlags, Supervisor, Verdict};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::resume_unwind;

/// Answered, or left to the fallback error.
#[allow(dead_code)] // it is what every other number means
pub const UNOTIFY_HANDLED: c_int = 0;
/// From now on the handler's, to answer and free on any thread.
pub const UNOTIFY_DEFERRED: c_int = 1;
/// For the default handler, and then the fallback error.
pub const UNOTIFY_NOT_HANDLED: c_int = 2;
/// As handled, but the run ends with `UNOTIFY_ERR_HANDLER`.
pub const UNOTIFY_FAILED: c_int = 3;

/// It waits for something: another worker receives.
pub const UNOTIFY_HANDLER_BLOCKING: u32 = 1 << 0;
const _: () = assert!(UNOTIFY_HANDLER_BLOCKING == HandlerFlags::BLOCKING.bits());

/// Handles a notification and returns `UNOTIFY_HANDLED`, `UNOTIFY_DEFERRED`, `UNOTIFY_NOT_HANDLED`
/// or `UNOTIFY_FAILED`; any other number counts as `UNOTIFY_HANDLED`. The notification is lent for
/// the call: freeing it before `UNOTIFY_DEFERRED` was returned only answers it. It must not jump
/// out of the call (`longjmp`), nor return in a copy of the process that it forked, nor **end its
/// thread** (`pthread_exit`, cancellation): that ends the program. So does a C++ exception that it
/// lets out; on x86_64 and aarch64 it is caught, counted, and answered with the fallback error.
pub type unotify_handler = Option<
    unsafe extern "C" fn(notification: *mut unotify_notification, data: *mut c_void) -> c_int,
>;

/// Is told that a listener, added with `listener_data`, has left. It may do what a handler may.
pub type unotify_close_handler =
    Option<unsafe extern "C" fn(listener_data: *mut c_void, data: *mut c_void)>;

/// Serves listeners with handlers.
#[derive(Debug)]
pub struct unotify_supervisor(pub(super) Supervisor);

impl unotify_supervisor {
    pub(super) fn core(&self) -> &Supervisor {
        &self.0
    }
}

/// Makes a supervisor. `opts` may be NULL.
///
/// # Safety
/// `opts` is NULL or as long as its `size` says; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_new(
    opts: *const unotify_supervisor_opts,
    out: *mut *mut unotify_supervisor,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: `opts` is NULL or as long as its `size`, as promised.
        let opts = unsafe { options(opts) }?.check()?;
        out.put_boxed(unotify_supervisor(Supervisor::new(opts)?));
        Ok(())
    })
}

/// Serves one more listener, also while running, and takes ownership of it unless this returns
/// `UNOTIFY_ERR_INVALID_ARGUMENT`. `data` is for unotify_notification_listener_data().
///
/// Errors: `UNOTIFY_ERR_SYSTEM` when the kernel has no room to watch it.
///
/// # Safety
/// `supervisor` and `listener` are NULL or live handles; `listener` is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_add_listener(
    supervisor: *mut unotify_supervisor,
    listener: *mut unotify_listener,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        // While the listener is still the caller's.
        supervisor.check_process()?;
        // SAFETY: `listener` is NULL or a live handle that is not used again, as promised.
        let listener = unsafe { reclaim(listener) }.ok_or_else(|| invalid("`listener` is null"))?;
        supervisor.add_listener(listener.0, data as usize)
    })
}

/// Gives back a listener that was added with `data`, the first if there are several, also while
/// running. What is pending stays with it, for whoever receives from it next; what was received,
/// even at this moment, is handled, and then unotify_supervisor_on_close() tells. A run ends with
/// its last listener. May be called from a handler, but while unotify_supervisor_dispatch() is
/// under way not from another thread.
///
/// Errors: `UNOTIFY_ERR_CLOSED` when no listener with that data is served.
///
/// # Safety
/// `supervisor` is NULL or a live handle; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_take_listener(
    supervisor: *mut unotify_supervisor,
    data: *mut c_void,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or a live handle, NULL or valid for writing, as promised.
        let (supervisor, out) =
            unsafe { (shared(supervisor, "supervisor")?, Out::new(out, "out")?) };
        let listener = supervisor.0.take_listener(data as usize)?;
        out.put_boxed(unotify_listener(listener));
        Ok(())
    })
}

/// unotify_supervisor_take_listener(), and frees it: it is closed once what was received is
/// answered; the kernel answers what is pending, and its targets' later calls, with `ENOSYS`.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_remove_listener(
    supervisor: *mut unotify_supervisor,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        supervisor.remove_listener(data as usize)
    })
}

/// A C function and its data, which the caller has promised to keep usable from any thread.
#[derive(Clone, Copy)]
struct Callback {
    function: throw::Function,
    data: *mut c_void,
}

// SAFETY: the documentation of `unotify_supervisor_on` says that the handler runs on any thread.
unsafe impl Send for Callback {}
// SAFETY: likewise, and with several workers on several at once.
unsafe impl Sync for Callback {}

/// What an exception becomes in Rust. Without content, so that it takes no memory.
struct Threw;

impl Callback {
    /// Shows the worker's notification to C; if the handler defers it, C keeps it and the worker
    /// gets another one.
    #[inline(always)]
    fn call(self, slot: &mut Box<Notification>) -> Verdict {
        slot.lend();
        let handle: *mut unotify_notification = (&raw mut **slot).cast();
        // SAFETY: the handler's promise; the handle is live, and a `Notification` in memory.
        let Some(verdict) = (unsafe { throw::call(self.function, handle, self.data) }) else {
            slot.take_back();
            // To the supervisor it is a handler that panicked. This prints nothing.
            resume_unwind(Box::new(Threw));
        };
        if verdict == UNOTIFY_DEFERRED && give_away(slot) {
            return Verdict::Handled;
        }
        slot.take_back();
        match verdict {
            UNOTIFY_NOT_HANDLED => Verdict::NotHandled,
            UNOTIFY_FAILED => Verdict::Failed,
            _ => Verdict::Handled, // UNOTIFY_HANDLED, or a number that says nothing
        }
    }
}

/// Who is told of listeners that have left, with its data.
#[derive(Clone, Copy)]
struct Told {
    function: throw::Told,
    data: *mut c_void,
}

// SAFETY: the documentation of `unotify_supervisor_on_close` says that it is called on any thread.
unsafe impl Send for Told {}
// SAFETY: likewise, and with several workers on several at once.
unsafe impl Sync for Told {}

impl Told {
    fn call(self, tag: usize) {
        // SAFETY: usable until the supervisor is freed, as `unotify_supervisor_on_close` asks.
        if !unsafe { throw::tell(self.function, tag as *mut c_void, self.data) } {
            resume_unwind(Box::new(Threw));
        }
    }
}

/// Leaves a deferred notification to C; `false` when the handler has freed it already.
fn give_away(slot: &mut Box<Notification>) -> bool {
    let Ok(mut next) = Notification::vacant().map(Box::new) else {
        return false;
    };
    // From here on only what threads may share is touched, for C may be using the rest.
    next.count_by_same_as(slot);
    // Counted first, as it may be freed the moment it is deferred.
    next.count_deferral(true);
    if Ownership::pass(slot.ownership(), Ownership::Owned) {
        let _ = Box::into_raw(std::mem::replace(slot, next));
        return true;
    }
    next.count_deferral(false);
    false
}

/// Sets a handler for a system call, on every architecture that has it. Several for one call are
/// asked in the order in which they were set, until one returns something else than
/// `UNOTIFY_NOT_HANDLED`. `flags` is 0 or `UNOTIFY_HANDLER_BLOCKING`. It runs on any thread of the
/// run, with `max_workers` above 1 on several at a time.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`.
///
/// # Safety
/// `supervisor` is NULL or a live handle; `syscall` is NULL or a string; `handler` and `data` are
/// usable until the supervisor is freed.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_on(
    supervisor: *mut unotify_supervisor,
    syscall: *const c_char,
    flags: u32,
    handler: unotify_handler,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        // SAFETY: `syscall` is NULL or a string, as promised.
        let syscall = unsafe { utf8(syscall, "syscall") }?;
        let callback = callback(handler, data)?;
        supervisor.on_boxed(syscall, handler_flags(flags)?, move |n| callback.call(n))
    })
}

/// unotify_supervisor_on() for every system call that has no handler, or none that handled it.
///
/// # Safety
/// As `unotify_supervisor_on`.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_on_default(
    supervisor: *mut unotify_supervisor,
    handler: unotify_handler,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        let callback = callback(handler, data)?;
        supervisor.on_default_boxed(HandlerFlags::empty(), move |n| callback.call(n))
    })
}

/// Has `told` called once for each listener that has left: its targets have ended, it broke, or was
/// removed or taken, and no handler is or will be at work on its notifications. Its data may be
/// freed then, but notifications that a handler has deferred show it until they are freed. It
/// counts as a handler; while there is no run, it runs on the thread that removes the listener, or
/// frees the supervisor with all that are left. See "Listeners that leave" in unotify(7).
///
/// # Safety
/// `supervisor` is NULL or a live handle; `told` and `data` are usable until it is freed.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_on_close(
    supervisor: *mut unotify_supervisor,
    told: unotify_close_handler,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        let function = told.ok_or_else(|| invalid("`told` is null"))?;
        let told = Told { function, data };
        supervisor.on_close(move |tag| told.call(tag))
    })
}

fn callback(handler: unotify_handler, data: *mut c_void) -> Result<Callback> {
    let function = handler.ok_or_else(|| invalid("`handler` is null"))?;
    Ok(Callback { function, data })
}

fn handler_flags(flags: u32) -> Result<HandlerFlags> {
    HandlerFlags::from_bits(flags)
        .ok_or_else(|| invalid(format!("`flags` has unknown bits: {flags:#x}")))
}

/// Serves the listeners on this thread, until stopped or until the last listener closes.
///
/// Errors: `UNOTIFY_ERR_STOPPED` when stopped; `UNOTIFY_ERR_HANDLER` after a handler's
/// `UNOTIFY_FAILED`; `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already; what the kernel said of a
/// listener that broke, after the others were served.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_run(
    supervisor: *mut unotify_supervisor,
) -> unotify_status {
    // SAFETY: `supervisor` is NULL or a live handle, as promised.
    call(|| unsafe { shared(supervisor, "supervisor") }?.0.run())
}

/// Does what unotify_supervisor_run() does in the background.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already or was not joined;
/// `UNOTIFY_ERR_SYSTEM` if it gets no thread.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_start(
    supervisor: *mut unotify_supervisor,
) -> unotify_status {
    // SAFETY: `supervisor` is NULL or a live handle, as promised.
    call(|| unsafe { shared(supervisor, "supervisor") }?.0.start())
}

/// Ends the current run, or else the next one at once. Handlers that are at work finish; what was
/// received is answered. May be called from any thread, a handler and a signal handler.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_stop(
    supervisor: *mut unotify_supervisor,
) -> unotify_status {
    // SAFETY: `supervisor` is NULL or a live handle, as promised.
    let Some(supervisor) = (unsafe { supervisor.as_ref() }) else {
        return call(|| Err(invalid("`supervisor` is null")));
    };
    let errno = Errno::last();
    let _whole = Uncancelled::new();
    supervisor.0.stop();
    // A signal handler must leave it as it was.
    errno.set();
    unotify_status::Ok
}

/// Waits for the end of what unotify_supervisor_start() began, and tells one thread how it ended.
///
/// Errors: as unotify_supervisor_run(); `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_INVALID_ARGUMENT` when
/// not started, or joined.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_join(
    supervisor: *mut unotify_supervisor,
    timeout_ms: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = &unsafe { shared(supervisor, "supervisor") }?.0;
        match time_limit(timeout_ms)? {
            Some(limit) => supervisor.join_timeout(limit),
            None => supervisor.join(),
        }
    })
}

/// A descriptor for an event loop, which remains the supervisor's; -1 for NULL. It polls readable
/// when unotify_supervisor_dispatch() has something to do, and now and then when not.
///
/// # Safety
/// `supervisor` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_fd(supervisor: *const unotify_supervisor) -> c_int {
    infallible(-1, || {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        unsafe { supervisor.as_ref() }.map_or(-1, |s| s.0.as_fd().as_raw_fd())
    })
}

/// Handles what is pending, at most some dozens of notifications, on this thread, without blocking.
/// How many they were goes to `*handled`, unless that is NULL: an edge-triggered loop goes on until
/// it is 0. Nobody else may receive from its listeners, or this may wait for a notification.
///
/// Errors: as unotify_supervisor_run(), but `UNOTIFY_ERR_STOPPED` only
/// once for each stop; `UNOTIFY_ERR_CLOSED` after the last listener.
///
/// # Safety
/// `supervisor` is NULL or a live handle; `handled` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_dispatch(
    supervisor: *mut unotify_supervisor,
    handled: *mut usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let count = unsafe { shared(supervisor, "supervisor") }?.0.dispatch()?;
        if !handled.is_null() {
            // SAFETY: not NULL, so valid for writing, as promised.
            unsafe { handled.write(count) };
        }
        Ok(())
    })
}

/// Frees a supervisor and its listeners. A run in the background is stopped first, and the handlers
/// at work are waited for; a run on another thread must have returned. Not from a handler. Deferred
/// notifications remain usable.
///
/// # Safety
/// `supervisor` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_free(supervisor: *mut unotify_supervisor) {
    // SAFETY: `supervisor` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(supervisor) }));
}
