//! Statuses and the last error: the mirror of `error.rs`.

use super::boundary::{copy_text, infallible, with_last_error};
use crate::error::Status;
use std::ffi::{c_char, c_int, CStr};

/// The name of a status, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for any other number.
#[no_mangle]
pub extern "C" fn unotify_status_name(status: c_int) -> *const c_char {
    text(status, Status::name_c, c"UNOTIFY_ERR_?")
}

/// What a status means, in half a sentence; "unknown status" for any other number.
#[no_mangle]
pub extern "C" fn unotify_status_message(status: c_int) -> *const c_char {
    text(status, Status::message_c, c"unknown status")
}

fn text(status: c_int, row: fn(Status) -> &'static CStr, unknown: &'static CStr) -> *const c_char {
    infallible(unknown.as_ptr(), || {
        Status::from_raw(status).map_or(unknown, row).as_ptr()
    })
}

/// Copies a sentence about this thread's last error into `buf` (NULL if `len` is 0), cut to `len`
/// bytes, and returns its whole length without NUL: `len` or more means that it was cut. Empty if
/// nothing has failed so far; success does not clear it.
///
/// # Safety
/// `buf` is valid for writing `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_last_error(buf: *mut c_char, len: usize) -> usize {
    infallible(0, || {
        with_last_error(|sentence| {
            // SAFETY: `buf` is valid for writing `len` bytes, as promised.
            unsafe { copy_text(sentence, buf, len) };
            sentence.len()
        })
        .unwrap_or_else(|| {
            // SAFETY: `buf` is valid for writing `len` bytes, as promised.
            unsafe { copy_text("", buf, len) };
            0
        })
    })
}
