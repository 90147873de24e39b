//! What a notification keeps of its target's memory. Apart from what is done with it, which knows the
//! notification.

use std::os::fd::OwnedFd;

/// The memory file of a notification's target, once it was needed.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    /// The notification it was opened for.
    pub(super) id: u64,
    pub(super) file: OwnedFd,
    pub(super) writable: bool,
}
