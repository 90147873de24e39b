//! Opening for good what was opened with `O_PATH` and decided on.

use super::open_how::{Asked, OpenHow};
use super::proc_files::Entry;
use super::{place, procfs};
use crate::error::{Error, Result, Status};
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Notification {
    /// Opens again the file that `fd` stands for, whatever its name leads to by now: for what
    /// [`Notification::open`] opened with `O_PATH`, once it is decided that the target may have it.
    /// What comes out, close-on-exec, is for [`Notification::reply_fd`]; `fd` remains the caller's.
    ///
    /// `flags` are those of `open(2)` that the target asked with: `O_CREAT`, `O_EXCL` and `O_NOFOLLOW`
    /// mean nothing any more, as the file is there. `mode` is looked at with `O_TMPFILE` only; what
    /// that makes comes out as [`Notification::create`] says.
    ///
    /// It never blocks on a FIFO: for reading it is open at once, for writing it fails with `ENXIO`
    /// while nobody reads. [`Notification::reply_open`] waits. A terminal does not become anybody's controlling terminal, and for
    /// `/dev/tty` the target's own is opened: it is looked for among its descriptors 0 to 2, and
    /// then by its usual name in its `/dev`. What belongs to the supervisor's own process in a
    /// `/proc` is refused as [`Notification::open`] does, also when `fd` is a descriptor that the
    /// target had ([`Notification::get_fd`]); a file in a `/proc` has to lie below the target's
    /// root, and under its name.
    ///
    /// # Errors
    /// [`Status::System`] with the error number of opening, which is the one
    /// to answer the target with: `ENXIO` for a FIFO that nobody reads, a socket, or `/dev/tty`
    /// without a terminal; `ELOOP` for a symbolic link, or the supervisor's own `/proc`; `EACCES`,
    /// `EISDIR`, `EROFS`, `ETXTBSY`, ...; `ENOENT` without a `/proc`.
    /// [`Status::InvalidArgument`] when `fd` is not open.
    /// [`Status::Gone`], [`Status::NotVisible`],
    /// [`Status::Answered`].
    pub fn reopen(&mut self, fd: BorrowedFd<'_>, flags: i32, mode: u32) -> Result<OwnedFd> {
        self.watched(|n| n.reopen_checked(fd, flags, mode))
    }

    fn reopen_checked(&mut self, fd: BorrowedFd<'_>, flags: i32, mode: u32) -> Result<OwnedFd> {
        let tid = self.target()?;
        let mut how = OpenHow::new(flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW));
        how.mode = mode;
        self.as_maker_of(how, |n, asked| {
            // What is opened is the caller's. What is asked about the target on the way is checked
            // there.
            n.open_for_good(tid, fd, &asked).or_else(|errno| {
                n.check_valid()?;
                Err(explain_reopen(errno))
            })
        })
    }

    /// Opens again what is open, for a target that is known to wait.
    pub(super) fn open_for_good(
        &mut self,
        tid: libc::pid_t,
        fd: BorrowedFd<'_>,
        asked: &Asked,
    ) -> kernel::Result<OwnedFd> {
        let stat = file::stat(fd)?;
        let mut how = asked.kernel_how();
        how.flags &= !((libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW) as u64);
        if stat.kind() == libc::S_IFLNK {
            return Err(Errno(libc::ELOOP));
        }
        let path_only = asked.how.flags & libc::O_PATH != 0;
        if stat.is_controlling_terminal() && !path_only {
            let root = self.root_of(tid)?;
            return self.open_terminal(tid, root.as_fd(), asked);
        }
        if stat.is_of_no_disk() && file::is_procfs(fd)? {
            let root = self.root_of(tid)?;
            let opened = procfs::open_foreign(root.as_fd(), fd, &stat, how)?;
            return asked.set_blocking(opened);
        }
        let proc = self.proc()?.dir();
        let link = Entry::of_own(fd);
        let opened = file::create(Some(proc), link.path(), how.flags as i32, how.mode as u32)?;
        asked.set_blocking(opened)
    }

    /// Opens again, for good, what lies in a procfs that is not below the target's root, but is where
    /// this process has one; `ELOOP` when it is not.
    pub(super) fn open_in_own_proc(
        &mut self,
        fd: BorrowedFd<'_>,
        asked: &Asked,
    ) -> kernel::Result<OwnedFd> {
        let stat = file::stat(fd)?;
        if !file::is_procfs(fd)? {
            return Err(Errno(libc::ELOOP));
        }
        let root = file::open(None, c"/", libc::O_PATH | libc::O_CLOEXEC)?;
        let opened = procfs::open_foreign(root.as_fd(), fd, &stat, asked.kernel_how())?;
        asked.set_blocking(opened)
    }

    fn root_of(&mut self, tid: libc::pid_t) -> kernel::Result<OwnedFd> {
        let root = self.proc().and_then(|proc| place::root(proc, tid));
        self.check_valid().map_err(|e| Errno(e.errno()))?;
        root
    }
}

/// What opening again came to.
pub(super) fn explain_reopen(errno: Errno) -> Error {
    let (status, message) = match errno.0 {
        libc::ELOOP => (
            Status::System,
            "cannot open again a symbolic link, or what may be the supervisor's own in a /proc",
        ),
        libc::EBADF => (Status::InvalidArgument, "the descriptor is not open"),
        _ => return Error::system(errno, "open the file again"),
    };
    Error::with_errno(status, errno, message)
}
