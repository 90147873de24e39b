//! What is held open of `/proc`, so that it need not be looked up for every notification, and what is
//! known about mounts.
//!
//! It belongs to what a listener's notifications share, and is opened when it is first needed. A copy
//! of the process, by `fork`, may be in another pid namespace and so opens its own.

use crate::kernel::fork::Process;
use crate::kernel::{self, file, mount, Errno};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{
    AtomicPtr, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};

/// How many mounts are remembered.
const MOUNTS: usize = 8;

/// A place for it.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicPtr<Proc>);

/// This process's `/proc`, which numbers processes as this process does.
#[derive(Debug)]
pub(crate) struct Proc {
    dir: OwnedFd,
    of: Process,
    /// Unique numbers of mounts, and whether they are whole, each where its number belongs.
    mounts: [AtomicU64; MOUNTS],
    /// What the process held that this one is a copy of.
    before: AtomicPtr<Proc>,
}

impl Held {
    /// The calling process's `/proc`. `ENOENT` unless it numbers processes as this process does: after
    /// `unshare(CLONE_NEWPID)` it may still be the one of the namespace above, where the target's
    /// number is somebody else's.
    #[inline]
    pub(crate) fn proc(&self) -> kernel::Result<&Proc> {
        let held = self.0.load(Acquire);
        // SAFETY: null or put here by `open`, and freed by nobody before `self` is dropped.
        match unsafe { held.as_ref() } {
            Some(proc) if proc.of.is_current() => Ok(proc),
            _ => self.open(held),
        }
    }

    #[cold]
    fn open(&self, before: *mut Proc) -> kernel::Result<&Proc> {
        let made = Box::into_raw(Box::new(Proc::open(before)?));
        match self.0.compare_exchange(before, made, AcqRel, Acquire) {
            // SAFETY: made above, and freed by nobody before `self` is dropped.
            Ok(_) => Ok(unsafe { &*made }),
            Err(theirs) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: another thread of this process has put it there, as above.
                Ok(unsafe { &*theirs })
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut at = *self.0.get_mut();
        while !at.is_null() {
            // SAFETY: made by `open`, in one list only, and nobody uses it any more.
            let mut proc = unsafe { Box::from_raw(at) };
            at = *proc.before.get_mut();
        }
    }
}

impl Proc {
    fn open(before: *mut Proc) -> kernel::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let dir = file::open(None, c"/proc", flags)?;
        let own = file::read_link(Some(dir.as_fd()), c"self")?;
        if !file::is_procfs(dir.as_fd())? || own != std::process::id().to_string().as_bytes() {
            return Err(Errno(libc::ENOENT));
        }
        Ok(Proc {
            dir,
            of: Process::current(),
            mounts: [const { AtomicU64::new(0) }; MOUNTS],
            before: AtomicPtr::new(before),
        })
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Whether the mount of this unique number shows a whole file system, so that nothing on it can be
    /// moved to where its root does not lead; never for a procfs. `false` also when nobody can tell.
    /// A whole one stays whole, and its number is never another's.
    pub(crate) fn is_whole(&self, mount: u64) -> bool {
        let place = &self.mounts[mount as usize % MOUNTS];
        let known = place.load(Relaxed);
        if known >> 1 == mount && known != 0 {
            return known & 1 != 0;
        }
        let whole = mount::is_whole(mount) == Ok(true);
        place.store((mount << 1) | u64::from(whole), Relaxed);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_runs_with_a_proc_of_its_own_namespace() {
        let held = Held::default();
        let proc = held.proc().unwrap();
        assert!(std::ptr::eq(proc, held.proc().unwrap()));
    }
}
