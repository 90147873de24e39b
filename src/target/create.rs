//! Making files, directories and nodes on a target's behalf, so that they come out as if the target
//! had made them.
//!
//! What comes out depends on the thread that makes it: on its umask, unless the directory has a default
//! access control list; on its user, and its group, unless the directory hands its own on
//! (set-group-id); on its groups, by which a set-group-id bit stays or not. The kernel knows these
//! rules, and each file system has its own. So nothing is put right afterwards, which would show
//! something else for a moment: **a thread takes over what the target has of these, and makes it**. It
//! has a umask of its own (`unshare(CLONE_FS)`), as all others of the process share one, and it ends
//! with that, so there is nothing to take back. The rights are the supervisor's: it keeps its
//! capabilities.
//!
//! Where target and supervisor are alike in all of that, as a target is that has changed nothing since
//! it was started, the calling thread makes it.

use super::identity::{self, same_user_namespace, Identity};
use super::open_how::{self, Asked, OpenHow};
use super::proc_files::{own_status, status, status_field};
use crate::error::{Error, Result, Status};
use crate::held::Proc;
use crate::kernel::making::{self, Capabilities, CAP_FSETID};
use crate::kernel::signals::{self, SignalsBlocked};
use crate::kernel::{self, Errno};
use crate::notification::Notification;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

/// Enough for opening what a path leads to.
const STACK: usize = 256 * 1024;

/// The umask of the supervisor when it was seen last. It may have changed since.
static LAST_UMASK: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = u32::MAX;

/// What the kernel takes from who makes something.
#[derive(Debug, PartialEq, Eq)]
struct Maker {
    umask: u32,
    fsuid: u32,
    fsgid: u32,
    /// Only where it matters.
    setgid: Option<SetGid>,
}

/// What decides whether a set-group-id bit stays.
#[derive(Debug, PartialEq, Eq)]
struct SetGid {
    groups: Vec<u32>,
    capable: bool,
}

impl Maker {
    /// The thread whose `status` this is, for something with these permissions. `is_capable` says
    /// whether its capabilities count.
    fn parse(status: &[u8], mode: u32, is_capable: impl FnOnce() -> bool) -> Option<Self> {
        let Identity {
            umask,
            fsuid,
            fsgid,
            capabilities,
            ..
        } = identity::parse(status)?;
        let setgid = if mode & libc::S_ISGID == 0 {
            None
        } else {
            Some(SetGid {
                groups: status_field(status, "Groups", 10)?,
                capable: capabilities & (1 << CAP_FSETID) != 0 && is_capable(),
            })
        };
        Some(Maker {
            umask,
            fsuid,
            fsgid,
            setgid,
        })
    }

    fn read(proc: &Proc, tid: libc::pid_t, mode: u32) -> kernel::Result<Self> {
        let is_capable = || same_user_namespace(proc, tid);
        Maker::parse(&status(proc, tid)?, mode, is_capable).ok_or(Errno(libc::EIO))
    }

    /// Whether the calling thread is like it.
    fn is_caller(&self, proc: &Proc, mode: u32) -> kernel::Result<bool> {
        // Not read when it was another one the last time: to take for different what is alike costs no
        // more than a thread.
        if ![self.umask, UNKNOWN].contains(&LAST_UMASK.load(Relaxed)) {
            return Ok(false);
        }
        let own = Maker::parse(&own_status(proc)?, mode, || true).ok_or(Errno(libc::EIO))?;
        LAST_UMASK.store(own.umask, Relaxed);
        Ok(*self == own)
    }

    /// Makes the calling thread one like it, as far as it may. What is left to be taken away from
    /// permissions.
    fn take_over(&self) -> u32 {
        let capabilities = Capabilities::of_thread();
        if let Some(setgid) = &self.setgid {
            let _ = making::set_groups(&setgid.groups);
        }
        making::set_fs_ids(self.fsuid, self.fsgid);
        if let Ok(mut capabilities) = capabilities {
            if self.setgid.as_ref().is_some_and(|setgid| !setgid.capable) {
                capabilities = capabilities.without(CAP_FSETID);
            }
            let _ = capabilities.set();
        }
        // A filter may refuse it. Then the umask of all threads counts as well.
        match making::set_own_umask(self.umask) {
            Ok(supervisors) => {
                LAST_UMASK.store(supervisors, Relaxed);
                0
            }
            Err(_) => self.umask,
        }
    }
}

impl Notification {
    /// Creates a file under `name` in `directory`, a directory of the supervisor's, and opens it:
    /// for an `open(2)` with `O_CREAT`, after [`Notification::open_parent`] and a decision on the
    /// directory. The file comes out as if the target had created it: with `mode` less the
    /// target's umask, or as the directory's default access control list says, and owned by the
    /// target's user and group for files, or the group that the directory hands on.
    ///
    /// There must be nothing under that name, as with `O_EXCL`: what is there is for
    /// [`Notification::open`]. `flags` are those that the target asked with. The descriptor,
    /// close-on-exec, is for [`Notification::reply_fd`].
    ///
    /// **The supervisor's rights count** (user, capabilities, security labels): check that the
    /// target may write to the directory. So does its right to give files away: one that may not
    /// act as another user (`setfsuid(2)`) owns what it makes. Where a filter on the supervisor
    /// refuses `unshare(CLONE_FS)`, its umask takes away from permissions as well.
    ///
    /// It takes reading two files in `/proc`; and if umask, user or group of the target are not
    /// the calling thread's, a thread that lives as long as this takes.
    ///
    /// # Errors
    /// [`Status::System`] with the error number of the call, which is the one to answer the
    /// target with: `EEXIST`, `EACCES`, `ENOENT` when the directory was removed, ...
    /// [`Status::InvalidArgument`] for a `name` that is empty, `.`, `..`, or has a slash; as
    /// [`Notification::identity`].
    pub fn create(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        flags: i32,
        mode: u32,
    ) -> Result<OwnedFd> {
        let flags = open_how::to_create(flags);
        self.make("create", directory, name, mode, move |dir, name, mode| {
            making::create(dir, name, flags, mode)
        })
    }

    /// Makes a directory, as [`Notification::create`] does a file: for `mkdirat(2)`.
    ///
    /// # Errors
    /// As [`Notification::create`].
    pub fn mkdir(&mut self, directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
        self.make("make the directory", directory, name, mode, making::mkdir)
    }

    /// Makes a FIFO, a socket, a device or a regular file, as [`Notification::create`] does: for
    /// `mknodat(2)`. `mode` has its kind too, `device` is as that call takes it.
    ///
    /// # Errors
    /// As [`Notification::create`]; `EPERM` for a device without `CAP_MKNOD`.
    pub fn mknod(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        mode: u32,
        device: u32,
    ) -> Result<()> {
        self.make(
            "make the node",
            directory,
            name,
            mode,
            move |dir, name, mode| making::mknod(dir, name, mode, device),
        )
    }

    fn make<T: Send>(
        &mut self,
        what: &str,
        directory: BorrowedFd<'_>,
        name: &CStr,
        mode: u32,
        make: impl FnOnce(BorrowedFd<'_>, &CStr, u32) -> kernel::Result<T> + Send,
    ) -> Result<T> {
        let name = component(name)?;
        self.watched(|n| {
            n.as_maker(mode, |_, umask| {
                make(directory, &name, mode & !umask).map_err(|errno| explain(errno, what, &name))
            })
        })
    }

    /// Runs what opens something: [`Notification::as_maker`] if that may make it.
    pub(super) fn as_maker_of<T: Send>(
        &mut self,
        how: OpenHow,
        open: impl FnOnce(&mut Self, Asked) -> Result<T> + Send,
    ) -> Result<T> {
        if !open_how::creates(how.flags) {
            return open(self, Asked { how, umask: 0 });
        }
        self.as_maker(how.mode, |n, umask| open(n, Asked { how, umask }))
    }

    /// Runs what makes something with these permissions, as the target in all that counts for it.
    /// `make` is told what it has to take away from them by itself.
    pub(super) fn as_maker<T: Send>(
        &mut self,
        mode: u32,
        make: impl FnOnce(&mut Self, u32) -> Result<T> + Send,
    ) -> Result<T> {
        let tid = self.target()?;
        let target = self.proc().and_then(|proc| Maker::read(proc, tid, mode));
        let target = self.if_pending(target, "read who the target is")?;
        let is_caller = self.proc().and_then(|proc| target.is_caller(proc, mode));
        if is_caller.map_err(|errno| Error::system(errno, "read who the supervisor is"))? {
            return make(self, 0);
        }
        let signals = SignalsBlocked::new();
        thread::scope(|scope| {
            let body = || {
                signals::block_all();
                let umask = target.take_over();
                make(self, umask)
            };
            let thread = thread::Builder::new()
                .name("unotify-maker".into())
                .stack_size(STACK)
                .spawn_scoped(scope, body)
                .map_err(|error| no_thread(&error))?;
            drop(signals);
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// A name that can only be of something in the directory itself.
fn component(name: &CStr) -> Result<CString> {
    match name.to_bytes() {
        b"" | b"." | b".." => {}
        bytes if bytes.contains(&b'/') => {}
        _ => return Ok(name.to_owned()),
    }
    Err(Error::new(
        Status::InvalidArgument,
        format!("`{}` is not a name in a directory", name.to_string_lossy()),
    ))
}

/// What making came to, which is the target's to hear.
fn explain(errno: Errno, what: &str, name: &CStr) -> Error {
    let reason = std::io::Error::from_raw_os_error(errno.0);
    Error::with_errno(
        Status::System,
        errno,
        format!("cannot {what} `{}`: {reason}", name.to_string_lossy()),
    )
}

/// A thread that the system does not have.
pub(super) fn no_thread(error: &std::io::Error) -> Error {
    let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
    Error::system(errno, "start a thread")
}
