//! A target's descriptors: copying them out, putting new ones in.

use super::permission;
use super::proc_files::{check_proc, proc_path, status_field};
use crate::error::{Error, Result, Status};
use crate::kernel::{self, file, pidfd, process, seccomp, Errno};
use crate::notification::{Notification, Reply};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

impl Notification {
    /// A duplicate, close-on-exec, of the target's descriptor `target_fd` (`pidfd_getfd(2)`,
    /// Linux 5.6): the same open file, so what is done to a socket through it is done to the
    /// target's. It cannot change into another file, whatever the target does.
    ///
    /// A thread may have descriptors of its own (`CLONE_FILES` not given, or unshared). With
    /// pidfds for threads (Linux 6.9) they are looked up there; before, in the thread group
    /// leader, and a thread that does not share the leader's is refused.
    ///
    /// # Errors
    /// [`Status::Gone`]; [`Status::InvalidArgument`] with `EBADF` when the target has no such
    /// descriptor; [`Status::Permission`] when the supervisor may not look into the target;
    /// [`Status::Unsupported`] on a kernel before 5.6, or before 6.9 for a thread with
    /// descriptors of its own; [`Status::NotVisible`]; [`Status::Answered`].
    pub fn get_fd(&mut self, target_fd: RawFd) -> Result<OwnedFd> {
        let tid = self.target()?;
        let found = get_fd(tid, target_fd);
        self.check_valid()?;
        found.map_err(|errno| match errno.0 {
            libc::EBADF => Error::with_errno(
                Status::InvalidArgument,
                errno,
                format!("the target has no descriptor {target_fd}"),
            ),
            libc::ENOSYS => {
                permission::unsupported("copying a target's descriptor (pidfd_getfd)", (5, 6))
            }
            libc::EOPNOTSUPP => Error::with_errno(
                Status::Unsupported,
                Errno(libc::ENOSYS),
                "copying a descriptor of a thread that has its own takes Linux 6.9",
            ),
            _ => permission::explain(
                errno,
                &format!("copy descriptor {target_fd} of the target"),
                self.request().pid,
            ),
        })
    }

    /// A pidfd for the target's process, close-on-exec. It stands for the thread group, also when
    /// the call was made by a thread that does not lead it: the leader is looked up in `/proc`.
    ///
    /// # Errors
    /// [`Status::Gone`]; [`Status::NotVisible`]; [`Status::Answered`]; [`Status::Unsupported`] on
    /// a kernel before 5.3; [`Status::System`] where `/proc` does not show the target.
    pub fn open_pidfd(&mut self) -> Result<OwnedFd> {
        let tid = self.target()?;
        let found = process_pidfd(tid).map(|(fd, _)| fd);
        self.if_pending(found, "open a pidfd for the target")
    }

    /// Gives the target a duplicate of `fd` (`SECCOMP_IOCTL_NOTIF_ADDFD`, Linux 5.9) and returns
    /// its number there: the lowest free one, or `target_fd`, where whatever was open is closed.
    /// The target goes on waiting. `fd` remains the caller's.
    ///
    /// # Errors
    /// [`Status::Gone`]; [`Status::Answered`]; [`Status::InvalidArgument`] with `EBADF` when `fd`
    /// is not open or was opened with `O_PATH` (see [`Notification::reopen`]), or `target_fd` is
    /// beyond the target's limit; [`Status::System`] with `EMFILE`
    /// when the target may not open more; [`Status::Unsupported`] on a kernel before 5.9.
    pub fn add_fd(
        &mut self,
        fd: BorrowedFd<'_>,
        target_fd: Option<RawFd>,
        cloexec: bool,
    ) -> Result<RawFd> {
        let (number, flags) = match target_fd {
            None => (0, 0),
            Some(number) => (
                u32::try_from(number).map_err(|_| {
                    Error::with_errno(
                        Status::InvalidArgument,
                        Errno(libc::EBADF),
                        format!("{number} cannot be the number of a descriptor"),
                    )
                })?,
                libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
            ),
        };
        let listener = self.pending_on()?;
        self.install_fd(listener, fd, flags, number, cloexec)
            .map_err(|errno| self.explain_install(errno, fd))
    }

    /// One `ADDFD`, and the number that it gave.
    pub(crate) fn install_fd(
        &self,
        listener: BorrowedFd<'_>,
        fd: BorrowedFd<'_>,
        flags: u32,
        target_fd: u32,
        cloexec: bool,
    ) -> kernel::Result<RawFd> {
        let target_flags = if cloexec { libc::O_CLOEXEC as u32 } else { 0 };
        seccomp::addfd(
            listener,
            self.request().id,
            flags,
            fd,
            target_fd,
            target_flags,
        )
    }

    /// What a failed `ADDFD` means.
    pub(crate) fn explain_install(&mut self, errno: Errno, fd: BorrowedFd<'_>) -> Error {
        let (status, message) = match errno.0 {
            // `ESRCH`: it went away while the kernel waited for it to take the descriptor.
            libc::ENOENT | libc::ESRCH => return self.gone(),
            // Somebody answered it who holds another copy of the listener's descriptor.
            libc::EINPROGRESS => {
                self.mark_answered(Reply::Fd);
                return Error::plain(Status::Answered);
            }
            libc::EINVAL | libc::ENOTTY | libc::ENOSYS => {
                return permission::unsupported("giving a descriptor to a target", (5, 9))
            }
            libc::EPERM | libc::EACCES => (
                Status::Permission,
                "a filter on this supervisor (a container's seccomp profile?) or a security module \
                 does not let it give a descriptor to a target",
            ),
            libc::EBADF => (
                Status::InvalidArgument,
                match file::flags(fd) {
                    Err(_) => "the descriptor is not open",
                    Ok(flags) if flags & libc::O_PATH != 0 => {
                        "the descriptor was opened with O_PATH, and the kernel passes no such \
                         descriptor: open the file again (reopen)"
                    }
                    Ok(_) => "the number is beyond the target's limit of descriptors",
                },
            ),
            libc::EMFILE => (Status::System, "the target may not have more descriptors"),
            // Only for an answer, while another holder of the listener adds descriptors.
            libc::EBUSY => (
                Status::Busy,
                "somebody else is giving the target a descriptor just now",
            ),
            _ => return Error::system(errno, "give the target a descriptor"),
        };
        Error::with_errno(status, errno, message)
    }
}

/// A duplicate of a descriptor of that thread, not yet checked to be the target's. `EOPNOTSUPP`
/// when only the leader's can be had and they are not this thread's.
fn get_fd(tid: libc::pid_t, target_fd: RawFd) -> kernel::Result<OwnedFd> {
    match pidfd::open(tid, pidfd::PIDFD_THREAD) {
        Ok(thread) => return pidfd::getfd(thread.as_fd(), target_fd),
        Err(Errno(libc::EINVAL)) => {} // before 6.9
        Err(errno) => return Err(errno),
    }
    let (leader, tgid) = process_pidfd(tid)?;
    let fd = pidfd::getfd(leader.as_fd(), target_fd);
    if tgid == tid {
        return fd;
    }
    match process::share_descriptors(tid, tgid) {
        Ok(true) => fd,
        Ok(false) => Err(Errno(libc::EOPNOTSUPP)),
        // No kcmp in this kernel: at least it has to be the same file.
        Err(Errno(libc::ENOSYS)) => {
            let fd = fd?;
            let theirs = file::inode(&proc_path(tid, &format!("fd/{target_fd}")));
            if theirs == Ok(file::id(fd.as_fd())?.inode()) {
                Ok(fd)
            } else {
                Err(Errno(libc::EOPNOTSUPP))
            }
        }
        Err(errno) => Err(errno),
    }
}

/// A pidfd of the thread group, and its number.
pub(super) fn process_pidfd(tid: libc::pid_t) -> kernel::Result<(OwnedFd, libc::pid_t)> {
    match pidfd::open(tid, 0) {
        Ok(fd) => Ok((fd, tid)),
        // It does not lead its group, which kernels say differently.
        Err(Errno(libc::EINVAL | libc::ENOENT)) => {
            check_proc()?;
            let status = file::read_all(&proc_path(tid, "status"))?;
            let tgid =
                status_field(&status, "Tgid", 10).and_then(|numbers| numbers.first().copied());
            let tgid = tgid.ok_or(Errno(libc::EIO))? as libc::pid_t;
            pidfd::open(tgid, 0).map(|fd| (fd, tgid))
        }
        Err(errno) => Err(errno),
    }
}
