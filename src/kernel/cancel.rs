//! `pthread_cancel`: it unwinds the thread from within a C library call, and unwinding that is not
//! Rust's own must not come through Rust. So threads cannot be cancelled while they are in here.

use std::ffi::c_int;

extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE`, which the `libc` crate does not have.
pub(crate) const DISABLE: c_int = 1;

/// Keeps the calling thread from being cancelled for ever. For threads of the library's own.
pub(super) fn disable() {
    set(DISABLE);
}

/// Lets the calling thread be cancelled or not; what it was before. Async-signal-safe.
#[inline]
pub(crate) fn set(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the state is one that exists, and the one before is written.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}
