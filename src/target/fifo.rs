//! Opening what has to wait for somebody: a FIFO for its other end.
//!
//! Nothing but an open that waits does what an open that waits does: to others, its FIFO has a reader
//! or a writer from the moment it begins, and no descriptor can be polled for the other end, as there
//! is none yet. So **a thread of its own opens it, as the target would**, and answers. One such open
//! takes one thread, which sleeps; it takes no worker of a supervisor.
//!
//! The open ends with its target, or with a signal that waits for that: see [`super::waiting`]. If what
//! was waited for came in the same moment, the open has succeeded, and the target has it.

use super::open_how::{Asked, OpenHow};
use super::reopen::explain_reopen;
use super::waiting::{Outcome, Waiting};
use crate::error::{Error, Result};
use crate::kernel::{file, interrupt, Errno};
use crate::notification::Notification;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Notification {
    /// Opens the file that `fd` stands for as [`Notification::reopen`] does, and answers the target
    /// with it as [`Notification::reply_fd`] does, close-on-exec if `flags` say so. **What has to wait
    /// for somebody waits, without the caller**: a FIFO for its other end, a file for a lease on it to
    /// be given up. A thread of the library's opens it then as the target would, and answers. The
    /// wait ends with the target, and with a signal that would end it in the target
    /// ([`Notification::reply_interrupted`]; 10 to 20 ms later).
    ///
    /// Nothing waits, and a FIFO is opened as [`Notification::reopen`] opens it, where the program has
    /// a handler of its own for `SIGSTKFLT`, which ends the wait.
    ///
    /// On success the notification is answered, or is empty as after [`Notification::take`], and
    /// counts as deferred while the open waits. `fd` remains the caller's.
    ///
    /// # Errors
    /// As [`Notification::reopen`] and [`Notification::reply_fd`], and the target goes on waiting
    /// unless it is gone; [`Status::System`](crate::Status::System) with `EAGAIN` when 1,024 calls wait, or the system has
    /// no thread.
    pub fn reply_open(&mut self, fd: BorrowedFd<'_>, flags: i32, mode: u32) -> Result<()> {
        let cloexec = flags & libc::O_CLOEXEC != 0;
        if self.begins_to_wait(fd, flags)? {
            return Ok(());
        }
        match self.reopen(fd, flags, mode) {
            Ok(opened) => self.reply_fd(opened.as_fd(), cloexec).map(drop),
            // A lease, or a FIFO that nobody reads.
            Err(error)
                if may_wait(flags) && matches!(error.errno(), libc::EAGAIN | libc::ENXIO) =>
            {
                let kind = file::stat(fd).map_err(explain_reopen)?.kind();
                let waits_for = match kind {
                    libc::S_IFIFO => libc::ENXIO,
                    libc::S_IFREG => libc::EAGAIN,
                    _ => return Err(error),
                };
                if error.errno() != waits_for || interrupt::signal().is_none() {
                    return Err(error);
                }
                self.wait_to_open(fd, flags)
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves it to a thread to open this, if an open without waiting would not tell that it is to
    /// wait.
    fn begins_to_wait(&mut self, fd: BorrowedFd<'_>, flags: i32) -> Result<bool> {
        let reads = flags & libc::O_ACCMODE == libc::O_RDONLY;
        if !reads || !may_wait(flags) {
            return Ok(false);
        }
        self.pending_on()?;
        // One without a name is some process's pipe, and opening it does not wait.
        let stat = file::stat(fd).map_err(explain_reopen)?;
        let waits = stat.kind() == libc::S_IFIFO
            && !file::is_pipe(fd).map_err(explain_reopen)?
            && interrupt::signal().is_some();
        if waits {
            self.wait_to_open(fd, flags)?;
        }
        Ok(waits)
    }

    fn wait_to_open(&mut self, fd: BorrowedFd<'_>, flags: i32) -> Result<()> {
        self.check_valid()?;
        let asked = Asked {
            how: OpenHow::new(flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW)),
            umask: 0,
        };
        let flags = asked.kernel_how().flags as i32 & !libc::O_NONBLOCK;
        let file = fd.try_clone_to_owned().map_err(|error| {
            Error::system(Errno(error.raw_os_error().unwrap_or(0)), "duplicate")
        })?;
        let open = Open {
            file,
            flags,
            cloexec: asked.how.flags & libc::O_CLOEXEC != 0,
        };
        self.wait_on_a_thread(move |notification, waiting| {
            open.answer(notification, waiting);
        })
    }
}

/// Whether an open with these flags is one that waits.
pub(super) fn may_wait(flags: i32) -> bool {
    flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
}

/// What is to be opened, and how.
struct Open {
    file: OwnedFd,
    flags: i32,
    cloexec: bool,
}

impl Open {
    /// Opens it, however long that takes, and answers with it.
    fn answer(&self, mut notification: Notification, waiting: &Waiting) {
        let opened = waiting.make(|receiver, mark, is_over| {
            receiver.open(mark, self.file.as_fd(), self.flags, is_over)
        });
        // An answer fails if the target is gone, which is nobody's business, or if it may not have
        // more descriptors, which it is to hear.
        let answered = match opened {
            Outcome::Made(Ok(opened)) => {
                let given = notification.reply_fd(opened.as_fd(), self.cloexec);
                given.map_err(|error| error.errno())
            }
            Outcome::Made(Err(errno)) => Err(errno.0),
            Outcome::Signalled => {
                let _ = notification.interrupt();
                return;
            }
            Outcome::Gone => return,
        };
        if let Err(errno) = answered {
            let _ = notification.reply_error(errno);
        }
    }
}
