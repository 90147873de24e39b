//! A program that was started.

use crate::error::{Error, Result, Status};
use crate::kernel::handover::Page;
use crate::kernel::{self, process, Errno};
use crate::listener::Listener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A program that [`Spawn`](crate::Spawn) has started, and its listener.
///
/// **Wait for it**: like [`std::process::Child`], dropping this neither kills the program nor
/// waits for it, and a program that has ended stays a zombie until it is waited for. It is an
/// ordinary child of this process, and `waitpid(2)` finds it too. Dropping this *with* the
/// listener leaves the program without a supervisor, and its notifying calls fail with `ENOSYS`.
///
/// All functions but [`Child::take_listener`] may be called from several threads at once: one
/// can kill while another waits.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    pidfd: kernel::Result<OwnedFd>,
    listener: Option<Listener>,
    page: Arc<Page>,
    fate: Mutex<Fate>,
}

/// What is known of a child.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It runs, or is a zombie: its process id is its own.
    Ours,
    /// It was reaped here, with this wait status.
    Ended(i32),
    /// It was reaped by somebody else.
    Lost,
}

impl Child {
    pub(super) fn new(
        pid: libc::pid_t,
        pidfd: kernel::Result<OwnedFd>,
        listener: Listener,
        page: Arc<Page>,
    ) -> Self {
        Child {
            pid,
            pidfd,
            listener: Some(listener),
            page,
            fate: Mutex::new(Fate::Ours),
        }
    }

    /// Its process id. It may name another process once this one was waited for.
    #[must_use]
    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// A descriptor for the process (`pidfd_open(2)`), which polls readable when it has ended.
    ///
    /// # Errors
    /// [`Status::Unsupported`] on a kernel before 5.3; [`Status::System`] when there was no
    /// descriptor left.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>> {
        match &self.pidfd {
            Ok(pidfd) => Ok(pidfd.as_fd()),
            Err(errno @ Errno(libc::ENOSYS)) => Err(Error::with_errno(
                Status::Unsupported,
                *errno,
                "descriptors for processes take Linux 5.3",
            )),
            Err(errno) => Err(Error::system(*errno, "open a pidfd for the child")),
        }
    }

    /// The listener, unless it was taken.
    #[must_use]
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }

    /// The listener, to keep. The second time, `None`.
    pub fn take_listener(&mut self) -> Option<Listener> {
        self.listener.take()
    }

    /// Waits for the program to end and tells how. May be called again; the answer stays.
    ///
    /// Somebody else must answer the program's notifications meanwhile.
    ///
    /// # Errors
    /// [`Status::System`] with `ECHILD` when it was waited for elsewhere, as by `waitpid(2)`, or
    /// automatically because this process ignores `SIGCHLD`.
    pub fn wait(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            // Without the lock, so that others can kill. Failure is told by the next look.
            let _ = process::await_end(self.pid);
        }
    }

    /// Tells how the program ended; `None` while it runs.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        let mut fate = self.fate();
        if let Fate::Ours = *fate {
            match process::reap(self.pid) {
                Ok(None) => return Ok(None),
                Ok(Some(status)) => *fate = Fate::Ended(status),
                Err(Errno(libc::ECHILD)) => *fate = Fate::Lost,
                Err(errno) => return Err(Error::system(errno, "wait for the child")),
            }
        }
        match *fate {
            Fate::Ended(status) => Ok(Some(ExitStatus::from_raw(status))),
            _ => Err(Error::with_errno(
                Status::System,
                Errno(libc::ECHILD),
                "the child was waited for elsewhere",
            )),
        }
    }

    /// Sends the program a signal (`pidfd_send_signal(2)`, else `kill(2)`). Signal 0 only asks
    /// whether it is there. Never signals another process that got the same id.
    ///
    /// # Errors
    /// [`Status::System`] with `ESRCH` when it was waited for; [`Status::InvalidArgument`] for a
    /// number that is no signal; [`Status::Permission`] when it has become somebody else.
    pub fn kill(&self, signal: i32) -> Result<()> {
        // The lock keeps the id from being given to another process.
        let fate = self.fate();
        let sent = match (*fate, &self.pidfd) {
            (Fate::Ours, Ok(pidfd)) => match process::kill_by_pidfd(pidfd.as_fd(), signal) {
                Err(Errno(libc::ENOSYS)) => process::kill(self.pid, signal),
                sent => sent,
            },
            (Fate::Ours, Err(_)) => process::kill(self.pid, signal),
            _ => Err(Errno(libc::ESRCH)),
        };
        sent.map_err(|errno| match errno.0 {
            libc::ESRCH => Error::with_errno(
                Status::System,
                errno,
                "the child has ended and was waited for",
            ),
            _ => Error::system(errno, "send the child a signal"),
        })
    }

    /// The error number of the program's `execve`, if it failed after
    /// [`Spawn::spawn`](crate::Spawn::spawn) had returned: because the supervisor refused the
    /// call, or continued it and the kernel did. The child then exits with status 127, or dies by
    /// `SIGILL` if its filter does not let it exit.
    ///
    /// `None` means nothing while the child has not ended: it may not have come that far.
    #[must_use]
    pub fn exec_error(&self) -> Option<i32> {
        self.page.exec_error().map(|errno| errno.0)
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
