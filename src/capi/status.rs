//! Version, features, statuses and the last error.

use super::boundary::{copy_text, infallible, with_last_error};
use crate::error::Status;
use crate::features::Features;
use std::ffi::{c_char, c_int, CStr};

/// The kernel has user notification (Linux 5.0).
pub const UNOTIFY_FEATURE_NOTIFY: u64 = 1;
/// `UNOTIFY_LOAD_TSYNC` works for a filter with a listener (Linux 5.7).
pub const UNOTIFY_FEATURE_TSYNC_WITH_LISTENER: u64 = 2;
/// Only fatal signals interrupt a received call (Linux 5.19).
pub const UNOTIFY_FEATURE_WAIT_KILLABLE: u64 = 4;

const _: () = assert!(
    Features::NOTIFY.bits() == UNOTIFY_FEATURE_NOTIFY
        && Features::TSYNC_WITH_LISTENER.bits() == UNOTIFY_FEATURE_TSYNC_WITH_LISTENER
        && Features::WAIT_KILLABLE.bits() == UNOTIFY_FEATURE_WAIT_KILLABLE
);

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// The library's version, such as "0.1.0". Static.
#[no_mangle]
pub extern "C" fn unotify_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// What the running kernel offers, as `UNOTIFY_FEATURE_*` bits. Asks the kernel on every call;
/// never fails: what cannot be asked is not offered.
#[no_mangle]
pub extern "C" fn unotify_features() -> u64 {
    infallible(0, || crate::features().bits())
}

/// The name of a status' constant, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for a number that
/// is none. Static.
#[no_mangle]
pub extern "C" fn unotify_status_name(status: c_int) -> *const c_char {
    text(status, Status::name_c, c"UNOTIFY_ERR_?")
}

/// What a status means, in half a sentence; "unknown status" for a number that is none. Static.
#[no_mangle]
pub extern "C" fn unotify_status_message(status: c_int) -> *const c_char {
    text(status, Status::message_c, c"unknown status")
}

fn text(status: c_int, row: fn(Status) -> &'static CStr, unknown: &'static CStr) -> *const c_char {
    infallible(unknown.as_ptr(), || {
        Status::from_raw(status).map_or(unknown, row).as_ptr()
    })
}

/// Copies the calling thread's last failure as a sentence into `buf`, cut to `len` bytes with its
/// NUL, and returns the length of the whole sentence without NUL: at least `len` means that it
/// was cut. Empty if nothing has failed on this thread. `buf` may be NULL if `len` is 0.
/// Success of a later call does not clear it.
///
/// # Safety
/// `buf` is valid for writing `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_last_error(buf: *mut c_char, len: usize) -> usize {
    infallible(0, || {
        with_last_error(|sentence| {
            // SAFETY: the caller's promise.
            unsafe { copy_text(sentence, buf, len) };
            sentence.len()
        })
        .unwrap_or_else(|| {
            // SAFETY: the caller's promise.
            unsafe { copy_text("", buf, len) };
            0
        })
    })
}
