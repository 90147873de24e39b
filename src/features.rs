//! What the running kernel offers.

use crate::kernel::seccomp;
use bitflags::bitflags;

bitflags! {
    /// Abilities of the running kernel that change what this library can do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Features: u64 {
        /// User notification at all (Linux 5.0).
        const NOTIFY = 1 << 0;
        /// `TSYNC` together with a listener (Linux 5.7).
        const TSYNC_WITH_LISTENER = 1 << 1;
        /// Only fatal signals interrupt a received call (Linux 5.19).
        const WAIT_KILLABLE = 1 << 2;
    }
}

/// Asks the kernel what it offers. What cannot be asked is not offered.
#[must_use]
pub fn features() -> Features {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let tsync = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let mut features = Features::empty();
    features.set(Features::NOTIFY, seccomp::knows_filter_flags(listener));
    features.set(
        Features::TSYNC_WITH_LISTENER,
        seccomp::knows_filter_flags(listener | tsync),
    );
    features.set(
        Features::WAIT_KILLABLE,
        seccomp::knows_filter_flags(listener | killable),
    );
    features
}
