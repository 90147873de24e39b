//! `pthread_cancel`: it unwinds the thread from within a C library call, and unwinding that is not
//! Rust's own must not come through Rust. So threads cannot be cancelled while they are in here.

use std::ffi::c_int;

extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `PTHREAD_CANCEL_DISABLE`, which the `libc` crate does not have.
const DISABLE: c_int = 1;

/// Keeps the calling thread from being cancelled, until it is dropped. A cancellation that is
/// requested meanwhile comes after that.
#[derive(Debug)]
pub(crate) struct Uncancelled(c_int);

impl Uncancelled {
    #[inline]
    pub(crate) fn new() -> Self {
        Uncancelled(set(DISABLE))
    }
}

impl Drop for Uncancelled {
    #[inline]
    fn drop(&mut self) {
        set(self.0);
    }
}

/// Keeps the calling thread from being cancelled for ever. For threads of the library's own.
pub(super) fn disable() {
    set(DISABLE);
}

/// Async-signal-safe.
#[inline]
fn set(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the state is one that exists, and the one before is written.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}
