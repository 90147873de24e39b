//! `unotify_notification`: the mirror of `notification.rs`.

use super::boundary::{call, call_in_place, infallible, invalid, reclaim, unotify_status, Out};
use crate::error::Result;
use crate::for_c::Ownership;
use crate::notification::{is_errnum, Notification, Reply, Request, CONTINUE};
use std::ffi::{c_int, c_void};

/// One system call of a target, as it stood when the target made it (the kernel's
/// `struct seccomp_notif`).
pub type unotify_request = Request;

/// A call that a target waits on, to be answered once. Keeps the listener's descriptor open.
#[derive(Debug)]
#[repr(transparent)]
pub struct unotify_notification(Notification);

impl unotify_notification {
    pub(super) fn new(inner: Notification) -> Self {
        unotify_notification(inner)
    }

    pub(super) fn inner(&mut self) -> &mut Notification {
        &mut self.0
    }
}

/// The notification in a handle, for one thread.
///
/// # Safety
/// `handle` is null or live, and no other thread uses the notification in it meanwhile.
pub(super) unsafe fn inner<'a>(handle: *mut unotify_notification) -> Result<&'a mut Notification> {
    if handle.is_null() {
        return Err(invalid("`notification` is null"));
    }
    // SAFETY: it is live, and no other thread uses what is in it, as promised.
    Ok(unsafe { &mut (*handle).0 })
}

/// Makes a handle that holds nothing, to receive into (Linux 5.0).
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_new(
    out: *mut *mut unotify_notification,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        out.put_boxed(unotify_notification::new(Notification::vacant()?));
        Ok(())
    })
}

/// The system call; NULL for NULL. For one handle this is always the same pointer, valid until it
/// is freed; what it points to changes with each receive into it, and is zero before the first.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_request(
    notification: *const unotify_notification,
) -> *const unotify_request {
    // Nothing here panics or can be cancelled.
    // SAFETY: `notification` is NULL or a live handle, as promised.
    unsafe { notification.as_ref() }.map_or(std::ptr::null(), |n| n.0.request())
}

/// The `data` that its listener was given to the supervisor with; NULL if it was not.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_listener_data(
    notification: *const unotify_notification,
) -> *mut c_void {
    infallible(std::ptr::null_mut(), || {
        // SAFETY: `notification` is NULL or a live handle, as promised.
        unsafe { notification.as_ref() }.map_or(std::ptr::null_mut(), |n| n.0.tag() as *mut c_void)
    })
}

/// UNOTIFY_OK while the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What
/// was read of a target by other means before this succeeds belongs to that target.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_check_valid(
    notification: *mut unotify_notification,
) -> unotify_status {
    // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
    call(|| unsafe { inner(notification) }?.check_valid())
}

/// Answers, if nothing stands in the way of that; whether it did.
///
/// # Safety
/// `notification` is null or live, and no other thread uses the notification in it meanwhile.
#[inline(always)]
unsafe fn reply_at_once(
    notification: *mut unotify_notification,
    how: Reply,
    val: i64,
    error: c_int,
    flags: u32,
) -> bool {
    // SAFETY: null or live, and no other thread uses what is in it, as promised.
    unsafe { notification.as_mut() }.is_some_and(|n| n.0.send_at_once(how, val, error, flags))
}

/// Answers where [`reply_at_once`] did not, or says why not.
#[cold]
fn reply(body: impl FnOnce() -> Result<()>) -> unotify_status {
    call_in_place(body)
}

/// Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_value(
    notification: *mut unotify_notification,
    value: i64,
) -> unotify_status {
    // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
    if unsafe { reply_at_once(notification, Reply::Value, value, 0, 0) } {
        return unotify_status::Ok;
    }
    // SAFETY: as before.
    reply(|| unsafe { inner(notification) }?.reply_value(value))
}

/// Lets the call fail with `errnum`, a **positive** error number up to 4095, such as `EPERM`.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_error(
    notification: *mut unotify_notification,
    errnum: c_int,
) -> unotify_status {
    // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
    if is_errnum(errnum) && unsafe { reply_at_once(notification, Reply::Error, 0, -errnum, 0) } {
        return unotify_status::Ok;
    }
    // SAFETY: as before.
    reply(|| unsafe { inner(notification) }?.reply_error(errnum))
}

/// Lets the kernel carry out the call as if there were no filter (Linux 5.5:
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
/// the memory that its arguments point to since you looked.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_continue(
    notification: *mut unotify_notification,
) -> unotify_status {
    // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
    if unsafe { reply_at_once(notification, Reply::Continue, 0, 0, CONTINUE) } {
        return unotify_status::Ok;
    }
    // SAFETY: as before.
    reply(|| unsafe { inner(notification) }?.reply_continue())
}

/// Frees a notification. If nobody has answered it, the target gets the fallback error, `ENOSYS`
/// unless another one was chosen. A handler's is only answered by this, unless it was deferred.
///
/// # Safety
/// `notification` is NULL or a live handle that is not used again (but by a handler's caller).
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_free(notification: *mut unotify_notification) {
    infallible((), || {
        // SAFETY: live if not null. Only this field is touched until it is clear whose it is.
        let Some(ownership) = (unsafe { notification.as_ref() }).map(|n| n.0.ownership()) else {
            return;
        };
        if !Ownership::is_owned(ownership) {
            // A handler may not free what it was only shown; the target is let go all the same.
            // SAFETY: the handler's thread, or the one that it gave the notification to.
            if let Ok(lent) = unsafe { inner(notification) } {
                lent.answer_with_fallback();
            }
            if Ownership::pass(ownership, Ownership::Returned) || !Ownership::is_owned(ownership) {
                return;
            }
            // Deferred in this very moment.
        }
        // SAFETY: it is the caller's to free.
        drop(unsafe { reclaim(notification) });
    });
}
