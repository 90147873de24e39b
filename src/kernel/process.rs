//! How two threads hang together.

use super::{check, Result};

/// `KCMP_FILES` of `kcmp(2)`.
const KCMP_FILES: libc::c_int = 2;

/// Whether two threads have the same table of descriptors (`kcmp(2)`). `ENOSYS` on a kernel that
/// was built without it.
pub(crate) fn share_descriptors(a: libc::pid_t, b: libc::pid_t) -> Result<bool> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_FILES, 0, 0) }).map(|order| order == 0)
}
