//! Installing a filter program with `seccomp(2)`, and what its errors mean.

use crate::error::{Error, Result, Status};
use crate::kernel::{seccomp, Errno};
use std::os::fd::OwnedFd;

/// The kernel's limit on the length of one filter (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// What [`install`] is to do; the kernel's filter flags, spelt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Install {
    pub(crate) listener: bool,
    pub(crate) tsync: bool,
    pub(crate) log: bool,
    pub(crate) spec_allow: bool,
    pub(crate) wait_killable: bool,
    pub(crate) no_new_privs: bool,
}

impl Install {
    /// The flags for `seccomp(2)`, as far as the running kernel knows them.
    pub(crate) fn kernel_flags(self) -> libc::c_ulong {
        let mut flags = 0;
        let mut set = |on: bool, flag: libc::c_ulong| flags |= if on { flag } else { 0 };
        set(self.listener, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        set(self.tsync, libc::SECCOMP_FILTER_FLAG_TSYNC);
        // With a listener the return value is a descriptor, so a thread that cannot be
        // synchronised has to be told by an error instead of by its number.
        set(
            self.tsync && self.listener,
            libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
        );
        set(self.log, libc::SECCOMP_FILTER_FLAG_LOG);
        set(self.spec_allow, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
        let killable =
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        if self.listener && self.wait_killable && seccomp::knows_filter_flags(killable) {
            flags |= killable;
        }
        flags
    }
}

/// Installs a filter program on the calling thread (or, with `tsync`, on all of them). Makes no
/// system call after it has, and leaves nothing to be freed.
pub(crate) fn install(program: &[libc::sock_filter], how: Install) -> Result<Option<OwnedFd>> {
    check_length(program.len())?;
    if how.no_new_privs {
        seccomp::set_no_new_privs().map_err(|e| Error::system(e, "set no_new_privs"))?;
    }
    let flags = how.kernel_flags();
    seccomp::set_mode_filter(program, flags).map_err(|errno| explain(errno, flags))
}

/// The kernel answers a filter of the wrong length with a bare `EINVAL`; this says which it is.
pub(crate) fn check_length(instructions: usize) -> Result<()> {
    if (1..=MAX_INSTRUCTIONS).contains(&instructions) {
        return Ok(());
    }
    Err(Error::new(
        Status::InvalidArgument,
        format!(
            "the filter has {instructions} instructions; the kernel takes 1 to {MAX_INSTRUCTIONS}"
        ),
    ))
}

/// What `seccomp(2)` meant by its error.
pub(crate) fn explain(errno: Errno, flags: libc::c_ulong) -> Error {
    let (status, message) = match errno.0 {
        libc::EBUSY => (
            Status::Busy,
            "this task has a filter with a listener already; the kernel allows one",
        ),
        libc::EACCES => (
            Status::Permission,
            "loading a filter takes no_new_privs or CAP_SYS_ADMIN, and this task has neither",
        ),
        libc::ENOSYS => (Status::Unsupported, "this kernel has no seccomp filters"),
        libc::ESRCH => (
            Status::System,
            "another thread has filters of its own, so the threads cannot be synchronised",
        ),
        libc::ENOMEM => (
            Status::NoMemory,
            "no memory for the filter, or the task's filters are too long together",
        ),
        libc::EINVAL if !seccomp::knows_filter_flags(flags) => (
            Status::Unsupported,
            "this kernel does not know the filter flags asked for (TSYNC with a listener takes \
             Linux 5.7, a listener 5.0)",
        ),
        libc::EINVAL => (
            Status::InvalidArgument,
            "the kernel does not accept the filter program",
        ),
        _ => return Error::system(errno, "install the filter"),
    };
    Error::with_errno(status, errno, message)
}
