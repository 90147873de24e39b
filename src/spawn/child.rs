//! A program that was started.

use crate::ending::{Fate, Life};
use crate::error::{Error, Result, Status};
use crate::kernel::room::Room;
use crate::kernel::Errno;
use crate::listener::Listener;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A program that [`Spawn`](crate::Spawn) has started, and its listener.
///
/// **Wait for it**: like [`std::process::Child`], dropping this neither kills the program nor
/// waits for it, and a program that has ended stays a zombie until it is waited for. It is an
/// ordinary child of this process, and `waitpid(2)` finds it too. Dropping this *with* the
/// listener leaves the program without a supervisor, and its notifying calls fail with `ENOSYS`.
///
/// On a kernel before 6.11 a listener only ends when its last target was waited for. There the
/// listener of a child waits for it when it has ended, and leaves the answer here: `waitpid(2)` does
/// not find the child any more once its listener has been received from, or served by a supervisor,
/// after its end.
///
/// All functions but [`Child::take_listener`] may be called from several threads at once: one
/// can kill while another waits.
#[derive(Debug)]
pub struct Child {
    life: Arc<Life>,
    listener: Option<Listener>,
    room: Room,
}

impl Child {
    pub(super) fn new(life: Arc<Life>, listener: Listener, room: Room) -> Self {
        Child {
            life,
            listener: Some(listener),
            room,
        }
    }

    /// Its process id. It may name another process once this one was waited for.
    #[must_use]
    pub fn pid(&self) -> libc::pid_t {
        self.life.pid()
    }

    /// A descriptor for the process (a pidfd), which polls readable when it has ended.
    ///
    /// # Errors
    /// [`Status::Unsupported`] on a kernel before 5.2.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>> {
        self.life.pidfd().ok_or_else(|| {
            Error::with_errno(
                Status::Unsupported,
                Errno(libc::ENOSYS),
                "descriptors for processes take Linux 5.2",
            )
        })
    }

    /// What is known of it, for whoever follows it.
    pub(crate) fn life(&self) -> &Life {
        &self.life
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
        self.wait_until(None)
    }

    /// [`Child::wait`] with a time limit; zero only looks.
    ///
    /// # Errors
    /// As there; [`Status::Timeout`], and nothing has changed: wait again, or
    /// [`kill`](Child::kill) it.
    pub fn wait_timeout(&self, limit: Duration) -> Result<ExitStatus> {
        // A limit that no clock reaches is none.
        self.wait_until(Instant::now().checked_add(limit))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<ExitStatus> {
        loop {
            // Asked first: what ends while the time does is told.
            let late = deadline.is_some_and(|d| Instant::now() >= d);
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if late {
                return Err(Error::plain(Status::Timeout));
            }
            self.life.await_end(deadline);
        }
    }

    /// Tells how the program ended; `None` while it runs.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        match self.life.reap() {
            Ok(Fate::Ours) => Ok(None),
            Ok(Fate::Ended(status)) => Ok(Some(ExitStatus::from_raw(status))),
            Ok(Fate::Lost) => Err(Error::with_errno(
                Status::System,
                Errno(libc::ECHILD),
                "the child was waited for elsewhere",
            )),
            Err(errno) => Err(Error::system(errno, "wait for the child")),
        }
    }

    /// Sends the program a signal (`pidfd_send_signal(2)`, else `kill(2)`). Signal 0 only asks
    /// whether it is there. Never signals another process that got the same id.
    ///
    /// # Errors
    /// [`Status::System`] with `ESRCH` when it was waited for; [`Status::InvalidArgument`] for a
    /// number that is not a signal; [`Status::Permission`] when it has become somebody else.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let sent = self.life.kill(signal);
        sent.map_err(|errno| match errno.0 {
            libc::ESRCH => Error::with_errno(
                Status::System,
                errno,
                "the child has ended and was waited for",
            ),
            _ => Error::system(errno, "send the child a signal"),
        })
    }

    /// Kills it, whom nobody else knows, and waits for its end.
    pub(crate) fn put_down(&self) {
        let _ = self.kill(libc::SIGKILL);
        let _ = self.wait();
    }

    /// The error number of the program's `execve`, if it failed after
    /// [`Spawn::spawn`](crate::Spawn::spawn) had returned: because the supervisor refused the
    /// call, or continued it and the kernel did. The child then exits with status 127, or dies by
    /// `SIGILL` if its filter does not let it exit.
    ///
    /// `None` means nothing while the child has not ended: it may not have come that far.
    #[must_use]
    pub fn exec_error(&self) -> Option<i32> {
        self.room.exec_error().map(|errno| errno.0)
    }
}
