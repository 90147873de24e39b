//! Installs a filter program on the calling thread.

use crate::error::Error;
use std::os::fd::{FromRawFd, OwnedFd};

/// How to install a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Install {
    pub(crate) listener: bool,
    pub(crate) tsync: bool,
    pub(crate) log: bool,
    pub(crate) spec_allow: bool,
    pub(crate) wait_killable: bool,
    pub(crate) no_new_privs: bool,
}

/// Installs `program`; gives its listener if one was asked for.
pub(crate) fn install(
    program: &[libc::sock_filter],
    how: Install,
) -> Result<Option<OwnedFd>, Error> {
    if how.no_new_privs {
        // SAFETY: plain integers.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(Error::last());
        }
    }
    let flag = |on: bool, bit: libc::c_ulong| if on { bit } else { 0 };
    let flags = flag(how.tsync, 1)
        | flag(how.log, 2)
        | flag(how.spec_allow, 4)
        | flag(how.listener, 8)
        | flag(how.tsync && how.listener, 16)
        | flag(how.wait_killable && how.listener, 32);
    let fprog = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `fprog` points at `program`, which outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, &fprog) };
    if ret < 0 {
        return Err(Error::last());
    }
    // SAFETY: with NEW_LISTENER the call returns a descriptor nobody else owns.
    Ok(how
        .listener
        .then(|| unsafe { OwnedFd::from_raw_fd(ret as i32) }))
}
