//! Answering.

use super::{Notification, Reply, State};
use crate::error::{Error, Result, Status};
use crate::kernel::seccomp::{self, Response};
use crate::kernel::Errno;
use std::os::fd::{BorrowedFd, RawFd};

/// The largest error number that a system call can return.
const MAX_ERRNO: i32 = 4095;

/// The flag of an answer that lets the call go on.
pub(crate) const CONTINUE: u32 = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;

impl Notification {
    /// Lets the call return `value`. The kernel takes it as it is: -4095 to -1 are errors to the
    /// target's C library.
    ///
    /// # Errors
    /// [`Status::Gone`] when the target does not wait any more; [`Status::Answered`] when it was
    /// answered before. In both cases there is nothing left to answer.
    pub fn reply_value(&mut self, value: i64) -> Result<()> {
        self.send(Reply::Value, value, 0, 0)
    }

    /// Lets the call fail with an error number, given positive.
    ///
    /// # Errors
    /// As [`Notification::reply_value`]; [`Status::InvalidArgument`] for a number outside 1 to
    /// 4095, and the target goes on waiting.
    pub fn reply_error(&mut self, errnum: i32) -> Result<()> {
        check_errnum(errnum)?;
        self.send(Reply::Error, 0, -errnum, 0)
    }

    /// Lets the kernel carry out the call as if there were no filter
    /// (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
    ///
    /// **Not a security decision**: the kernel reads the arguments' memory again, and the target
    /// may have changed it since you looked.
    ///
    /// # Errors
    /// As [`Notification::reply_value`]; [`Status::Unsupported`] on a kernel before 5.5, and the
    /// target goes on waiting.
    pub fn reply_continue(&mut self) -> Result<()> {
        self.send(Reply::Continue, 0, 0, CONTINUE)
    }

    /// Gives the target a duplicate of `fd` at the lowest free number and lets its call return
    /// that number, in one step that cannot be torn apart (`SECCOMP_ADDFD_FLAG_SEND`, Linux
    /// 5.14). Returns the number.
    ///
    /// **On older kernels it takes two steps**, and a target that a signal interrupts between
    /// them keeps a descriptor that its call never returned. [`Status::Gone`] says so then; a
    /// target whose call is restarted will ask again.
    ///
    /// **Signals are held back while the kernel does it**, for the few microseconds that the target
    /// takes to wake up: one that was delivered meanwhile would make the target's call return 0, its
    /// standard input. What cannot be blocked still does, if it comes in that very moment: `SIGKILL`
    /// or `SIGSTOP` to the supervisor, one that another of its threads takes and that ends or stops the
    /// process, its being frozen (`cgroup.freeze`) or traced. Where even that
    /// must not be, as with a supervisor that is killed at any time, [`Notification::add_fd`] and
    /// [`Notification::reply_value`] with the number are right whatever comes between, and cost one
    /// more round of the target.
    ///
    /// # Errors
    /// As [`Notification::add_fd`]; [`Status::Busy`] while another holder of the same listener is
    /// giving the target a descriptor. Unless it is gone or answered, the target goes on waiting.
    pub fn reply_fd(&mut self, fd: BorrowedFd<'_>, cloexec: bool) -> Result<RawFd> {
        let listener = self.pending_on()?;
        match self.install_fd(
            listener,
            fd,
            libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            0,
            cloexec,
        ) {
            Ok(number) => {
                self.mark_answered(Reply::Fd);
                Ok(number)
            }
            // All that was asked for is valid, so it is the flag that this kernel does not know.
            Err(Errno(libc::EINVAL)) => {
                let number = self
                    .install_fd(listener, fd, 0, 0, cloexec)
                    .map_err(|errno| self.explain_install(errno, fd))?;
                self.send(Reply::Fd, number.into(), 0, 0)?;
                Ok(number)
            }
            Err(errno) => Err(self.explain_install(errno, fd)),
        }
    }

    /// Answers with the fallback error if nobody has answered, and nobody else is to: what a
    /// parent received is the parent's to answer.
    #[inline(always)]
    pub(crate) fn answer_with_fallback(&mut self) {
        if self.state == State::Pending {
            self.fall_back();
        }
    }

    #[cold]
    fn fall_back(&mut self) {
        if let Some(listener) = &self.listener {
            if !self.received_in.is_current() {
                return;
            }
            let error = -listener.fallback();
            // Gone is as good as answered here, and there is nobody to tell of anything else.
            let _ = self.send(Reply::Fallback, 0, error, 0);
        }
    }

    /// Answers, if nothing stands in the way of that; whether it did. If not, nothing has happened,
    /// and [`Notification::send`] says why.
    #[inline(always)]
    pub(crate) fn send_at_once(&mut self, how: Reply, val: i64, error: i32, flags: u32) -> bool {
        let (State::Pending, Some(listener)) = (self.state, &self.listener) else {
            return false;
        };
        let Some(&[id, ..]) = self.buffer.usual() else {
            return false;
        };
        let response = Response {
            id,
            val,
            error,
            flags,
        };
        let sent = seccomp::send_usual(listener.fd(), &response);
        if sent {
            self.mark_answered(how);
        }
        sent
    }

    #[inline(always)]
    pub(crate) fn send(&mut self, how: Reply, val: i64, error: i32, flags: u32) -> Result<()> {
        if self.send_at_once(how, val, error, flags) {
            return Ok(());
        }
        self.send_or_explain(how, val, error, flags)
    }

    #[cold]
    fn send_or_explain(&mut self, how: Reply, val: i64, error: i32, flags: u32) -> Result<()> {
        let (State::Pending, Some(listener)) = (self.state, &self.listener) else {
            return Err(self.not_pending());
        };
        let response = Response {
            id: self.request().id,
            val,
            error,
            flags,
        };
        match seccomp::send(listener.fd(), response) {
            Ok(()) => {
                self.mark_answered(how);
                Ok(())
            }
            Err(errno) => Err(self.send_failed(errno, how, flags)),
        }
    }

    fn send_failed(&mut self, errno: Errno, how: Reply, flags: u32) -> Error {
        match errno.0 {
            libc::ENOENT => self.gone(),
            // Somebody answered it who holds another copy of the listener's descriptor.
            libc::EINPROGRESS => {
                self.mark_answered(how);
                Error::plain(Status::Answered)
            }
            libc::EINVAL if flags != 0 => Error::with_errno(
                Status::Unsupported,
                errno,
                "continuing a system call takes Linux 5.5",
            ),
            _ => Error::system(errno, "answer the notification"),
        }
    }
}

/// Whether the kernel would return this number from a system call.
#[inline]
pub(crate) fn is_errnum(errnum: i32) -> bool {
    (1..=MAX_ERRNO).contains(&errnum)
}

/// Errors unless the kernel would return this number from a system call.
pub(crate) fn check_errnum(errnum: i32) -> Result<()> {
    if is_errnum(errnum) {
        return Ok(());
    }
    Err(Error::new(
        Status::InvalidArgument,
        format!("error number {errnum} is outside 1 to {MAX_ERRNO}"),
    ))
}
