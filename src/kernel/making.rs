//! Making files, directories and nodes, and what the kernel takes for it from the calling thread:
//! its umask, its user and groups for files, its capabilities. All of it is changed for the calling
//! thread alone.

use super::{check, Result};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `CAP_FSETID`: the set-group-id bit of what is made stays, whatever its group.
pub(crate) const CAP_FSETID: u32 = 4;

const VERSION_3: u32 = 0x2008_0522;

/// The kernel's `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// The kernel's `struct __user_cap_data_struct`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// A thread's capabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capabilities([Half; 2]);

impl Capabilities {
    /// The calling thread's (`capget(2)`).
    pub(crate) fn of_thread() -> Result<Self> {
        let header = Header {
            version: VERSION_3,
            pid: 0,
        };
        let mut halves = [Half::default(); 2];
        // SAFETY: a header of this version, and the two structures it stands for.
        check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, halves.as_mut_ptr()) })?;
        Ok(Capabilities(halves))
    }

    /// The same without one of them in effect.
    pub(crate) fn without(mut self, capability: u32) -> Self {
        self.0[(capability / 32) as usize].effective &= !(1 << (capability % 32));
        self
    }

    /// Makes them the calling thread's (`capset(2)`).
    pub(crate) fn set(&self) -> Result<()> {
        let header = Header {
            version: VERSION_3,
            pid: 0,
        };
        // SAFETY: a header of this version, and the two structures it stands for.
        check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, self.0.as_ptr()) })
            .map(drop)
    }
}

/// Gives the calling thread a umask that other threads do not share, and tells the one that they do.
/// Its working and root directories are its own from here on, too.
pub(crate) fn set_own_umask(umask: u32) -> Result<u32> {
    // SAFETY: integers only; it changes what this thread shares, for good.
    check(unsafe { libc::unshare(libc::CLONE_FS) }.into())?;
    // SAFETY: integers only.
    Ok(unsafe { libc::umask(umask) })
}

/// Sets the user and the group that the calling thread's access to files is decided for, and that
/// own what it makes. Nothing happens where that is not permitted. A user other than root loses
/// the capabilities that have to do with files.
///
/// To the kernel the process is one that must not be dumped from then on, with what follows for its
/// `/proc` (`PR_SET_DUMPABLE`). It is as it was when this returns: who may trace the process is
/// decided by other ids than these.
pub(crate) fn set_fs_ids(uid: u32, gid: u32) {
    // SAFETY: integers only. The C library changes the calling thread only.
    unsafe {
        let dumpable = libc::prctl(libc::PR_GET_DUMPABLE);
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        if dumpable == 1 {
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
    }
}

/// Sets the calling thread's supplementary groups. `EPERM` without `CAP_SETGID`.
pub(crate) fn set_groups(groups: &[u32]) -> Result<()> {
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    const SETGROUPS: libc::c_long = libc::SYS_setgroups32;
    #[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
    const SETGROUPS: libc::c_long = libc::SYS_setgroups;
    // The C library's function would change all threads.
    // SAFETY: as many numbers as said.
    check(unsafe { libc::syscall(SETGROUPS, groups.len(), groups.as_ptr()) }).map(drop)
}

/// `openat(2)` with a mode, in `dir`.
pub(crate) fn create(dir: BorrowedFd<'_>, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    super::file::create(Some(dir), name, flags, mode)
}

/// `mkdirat(2)`.
pub(crate) fn mkdir(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the name is NUL-terminated.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }.into()).map(drop)
}

/// `mknodat(2)`.
pub(crate) fn mknod(dir: BorrowedFd<'_>, name: &CStr, mode: u32, device: u32) -> Result<()> {
    // SAFETY: the name is NUL-terminated.
    check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), mode, device.into()) }.into())
        .map(drop)
}
