//! The version, and what the kernel offers: the mirror of `features.rs`.

use super::boundary::infallible;
use crate::features::Features;
use std::ffi::c_char;

/// User notification (Linux 5.0).
pub const UNOTIFY_FEATURE_NOTIFY: u64 = 1 << 0;
/// `UNOTIFY_LOAD_TSYNC` works (5.7).
pub const UNOTIFY_FEATURE_TSYNC_WITH_LISTENER: u64 = 1 << 1;
/// Only fatal signals interrupt (5.19).
pub const UNOTIFY_FEATURE_WAIT_KILLABLE: u64 = 1 << 2;

const _: () = assert!(
    Features::NOTIFY.bits() == UNOTIFY_FEATURE_NOTIFY
        && Features::TSYNC_WITH_LISTENER.bits() == UNOTIFY_FEATURE_TSYNC_WITH_LISTENER
        && Features::WAIT_KILLABLE.bits() == UNOTIFY_FEATURE_WAIT_KILLABLE
);

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// The version of the library that the program runs with, such as "0.1.0".
#[no_mangle]
pub extern "C" fn unotify_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// What the running kernel is found to offer at each call, as `UNOTIFY_FEATURE_*`. Never fails.
#[no_mangle]
pub extern "C" fn unotify_features() -> u64 {
    infallible(0, || crate::features().bits())
}
