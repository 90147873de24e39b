//! The mirror of `target/memory.rs`.

use super::boundary::{call, room, slice, unotify_status, Out};
use super::notification::{inner, unotify_notification};
use std::ffi::{c_char, c_void};

/// Fills `buf` with `len` bytes from the target's memory at `addr`, all or nothing.
///
/// Errors: `UNOTIFY_ERR_FAULT` when any of the bytes is not readable; `UNOTIFY_ERR_NO_MEMORY`.
///
/// # Safety
/// `notification` is NULL or a live handle; `buf` is valid for writing `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_read(
    notification: *mut unotify_notification,
    addr: u64,
    buf: *mut c_void,
    len: usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `buf` is valid for writing `len` bytes, as promised.
        let buf = unsafe { room(buf.cast::<u8>(), len, "buf") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        unsafe { inner(notification) }?.read(addr, buf)
    })
}

/// Copies `len` bytes from `buf` into the target's memory at `addr`, which must be writable to the
/// target itself. No other process can be hit, whatever becomes of the target (`/proc/TID/mem`).
///
/// Errors: `UNOTIFY_ERR_FAULT` when any byte is not writable, and none is written;
/// `UNOTIFY_ERR_NO_MEMORY`; `UNOTIFY_ERR_UNSUPPORTED` before Linux 6.11 when some ten thousand
/// mappings lie below; `UNOTIFY_ERR_GONE` can come after they were written.
///
/// # Safety
/// `notification` is NULL or a live handle; `buf` is valid for reading `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_write(
    notification: *mut unotify_notification,
    addr: u64,
    buf: *const c_void,
    len: usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `buf` is valid for reading `len` bytes, as promised.
        let data = unsafe { slice(buf.cast::<u8>(), len, "buf") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        unsafe { inner(notification) }?.write(addr, data)
    })
}

/// Copies the target's string at `addr` into `buf`, and its length without NUL into `*len` (which
/// may be NULL).
///
/// Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` without a NUL in `cap` bytes.
///
/// # Safety
/// `notification` is NULL or a live handle; `buf` is valid for writing `cap` bytes; `len` is NULL
/// or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_read_string(
    notification: *mut unotify_notification,
    addr: u64,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `buf` is valid for writing `cap` bytes, as promised.
        let buf = unsafe { room(buf.cast::<u8>(), cap, "buf") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let string = unsafe { inner(notification) }?.read_string(addr, buf)?;
        // SAFETY: `len` is NULL or valid for writing, as promised.
        if let Some(len) = unsafe { len.as_mut() } {
            *len = string.count_bytes();
        }
        Ok(())
    })
}

/// Copies the pointers of a null-terminated array at `addr` in the target's memory (`argv`, `envp`)
/// into `out`, without the terminator, and their number into `*count`. 32-bit ones are widened.
///
/// Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` when there are more than `cap`.
///
/// # Safety
/// `notification` is NULL or a live handle; `out` is valid for writing `cap` pointers; `count` is
/// NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_read_pointers(
    notification: *mut unotify_notification,
    addr: u64,
    out: *mut u64,
    cap: usize,
    count: *mut usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `count` is NULL or valid for writing, as promised.
        let count = unsafe { Out::new(count, "count") }?;
        // SAFETY: `out` is valid for writing `cap` of them, as promised.
        let out = unsafe { room(out, cap, "out") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        count.put(unsafe { inner(notification) }?.read_pointers(addr, out)?);
        Ok(())
    })
}
