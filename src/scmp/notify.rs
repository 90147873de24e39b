//! The libseccomp-style notification types: plain values over a listener's raw descriptor.
//!
//! For code written for these names. New code is better served by
//! [`Listener`](crate::Listener) and [`Notification`](crate::Notification), which own what they
//! hold and never leave a target waiting.

use super::{ensure_supported_api, ScmpArch, ScmpSyscall, ScmpVersion};
use crate::error::{Error, SeccompError, Status};
use crate::kernel::seccomp::{self, Request, RequestBuffer, Response};
use crate::kernel::Errno;
use crate::notification::Notification;
use bitflags::bitflags;
use std::os::fd::{BorrowedFd, RawFd};

type Result<T> = std::result::Result<T, SeccompError>;

/// A listener's descriptor, as a number.
pub type ScmpFd = RawFd;

bitflags! {
    /// Flags of a [`ScmpNotifResp`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ScmpNotifRespFlags: u32 {
        /// Carry out the call as if there were no filter (Linux 5.5).
        ///
        /// Not a security decision: the target may have changed the memory its arguments point
        /// to since you looked.
        const CONTINUE = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    }
}

/// [`ScmpNotifRespFlags::CONTINUE`] as a number.
#[deprecated(since = "0.1.0", note = "use ScmpNotifRespFlags::CONTINUE")]
pub const NOTIF_FLAG_CONTINUE: u32 = ScmpNotifRespFlags::CONTINUE.bits();

/// The system call in a notification (`struct seccomp_data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScmpNotifData {
    /// The system call.
    pub syscall: ScmpSyscall,
    /// The architecture it was made for.
    pub arch: ScmpArch,
    /// The target's instruction pointer.
    pub instr_pointer: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// A notification (`struct seccomp_notif`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScmpNotifReq {
    /// The notification's number on its listener.
    pub id: u64,
    /// The thread that made the call, 0 if it is outside this pid namespace.
    pub pid: u32,
    /// Always 0 so far.
    pub flags: u32,
    /// What was called.
    pub data: ScmpNotifData,
}

/// An answer (`struct seccomp_notif_resp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScmpNotifResp {
    /// The notification to answer.
    pub id: u64,
    /// What the call returns if `error` is 0.
    pub val: i64,
    /// A **negative** error number, or 0.
    pub error: i32,
    /// [`ScmpNotifRespFlags`], as bits.
    pub flags: u32,
}

fn ensure_notify() -> Result<()> {
    ensure_supported_api("seccomp notification", 6, ScmpVersion::from((2, 5, 0)))
}

fn error(errno: Errno) -> SeccompError {
    SeccompError::from_errno(-errno.0)
}

/// Lends the caller's descriptor number to the kernel for one call.
fn borrow(fd: ScmpFd) -> Result<BorrowedFd<'static>> {
    if fd < 0 {
        return Err(error(Errno(libc::EBADF)));
    }
    // SAFETY: it is not -1. These functions take numbers, as libseccomp does, so that it is open
    // is the caller's affair; a closed one gives EBADF and nothing here keeps it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

impl ScmpNotifReq {
    /// Waits for a notification (`SECCOMP_IOCTL_NOTIF_RECV`; `seccomp_notify_receive(3)`).
    ///
    /// Retries `EINTR`. The target waits until [`ScmpNotifResp::respond`] answers it.
    ///
    /// # Errors
    /// The kernel's own error number: `ENOENT` when the target died first, or (since Linux 6.11)
    /// when the last target has exited; `EBADF`, `ENOTTY` or `EINVAL` when `fd` is no listener.
    /// An error that says so when libseccomp is older than 2.5.0 or its API level below 6. A call
    /// of an architecture that libseccomp does not know is answered with `ENOSYS` and reported.
    pub fn receive(fd: ScmpFd) -> Result<Self> {
        ensure_notify()?;
        let listener = borrow(fd)?;
        let mut buffer = RequestBuffer::new().map_err(error)?;
        while let Err(errno) = seccomp::recv(listener, &mut buffer) {
            if errno != Errno(libc::EINTR) {
                return Err(error(errno));
            }
        }
        Self::try_from(buffer.request()).inspect_err(|_| {
            let refuse = Response {
                id: buffer.request().id,
                val: 0,
                error: -libc::ENOSYS,
                flags: 0,
            };
            // The caller gets an error instead of a notification, so it is answered here.
            let _ = seccomp::send(listener, refuse);
        })
    }
}

impl ScmpNotifResp {
    /// An answer from its parts. `error` is **negative** or 0.
    #[must_use]
    pub fn new(id: u64, val: i64, error: i32, flags: u32) -> Self {
        Self {
            id,
            val,
            error,
            flags,
        }
    }

    /// Lets the call return `val`.
    #[must_use]
    pub fn new_val(id: u64, val: i64, flags: ScmpNotifRespFlags) -> Self {
        Self::new(id, val, 0, flags.bits())
    }

    /// Lets the call fail. `error` is **negative**, such as `-libc::EPERM`.
    #[must_use]
    pub fn new_error(id: u64, error: i32, flags: ScmpNotifRespFlags) -> Self {
        debug_assert!(error.is_negative());
        Self::new(id, 0, error, flags.bits())
    }

    /// Lets the kernel carry out the call; see [`ScmpNotifRespFlags::CONTINUE`].
    #[must_use]
    pub fn new_continue(id: u64, flags: ScmpNotifRespFlags) -> Self {
        Self::new(id, 0, 0, (ScmpNotifRespFlags::CONTINUE | flags).bits())
    }

    /// Sends the answer (`SECCOMP_IOCTL_NOTIF_SEND`; `seccomp_notify_respond(3)`).
    ///
    /// # Errors
    /// The kernel's own error number: `ENOENT` when the target does not wait any more,
    /// `EINPROGRESS` when it was answered before, `EINVAL` for flags the kernel does not know or
    /// a continue with a value, `EBADF` or `ENOTTY` when `fd` is no listener.
    pub fn respond(&self, fd: ScmpFd) -> Result<()> {
        ensure_notify()?;
        let response = Response {
            id: self.id,
            val: self.val,
            error: self.error,
            flags: self.flags,
        };
        seccomp::send(borrow(fd)?, response).map_err(error)
    }
}

/// Whether the target still waits for the answer to notification `id`
/// (`SECCOMP_IOCTL_NOTIF_ID_VALID`; `seccomp_notify_id_valid(3)`).
///
/// # Errors
/// `ENOENT` when it does not; `EBADF`, `ENOTTY` or `EINVAL` when `fd` is no listener.
pub fn notify_id_valid(fd: ScmpFd, id: u64) -> Result<()> {
    ensure_notify()?;
    seccomp::id_valid(borrow(fd)?, id).map_err(error)
}

/// What a [`Notification`] was made by, in libseccomp's terms.
///
/// # Errors
/// For a call of an architecture that libseccomp does not know.
impl TryFrom<&Request> for ScmpNotifReq {
    type Error = SeccompError;

    fn try_from(request: &Request) -> Result<Self> {
        Ok(Self {
            id: request.id,
            pid: request.pid as u32, // as it came
            flags: request.flags,
            data: ScmpNotifData::try_from(request)?,
        })
    }
}

/// The system call alone.
///
/// # Errors
/// For a call of an architecture that libseccomp does not know.
impl TryFrom<&Request> for ScmpNotifData {
    type Error = SeccompError;

    fn try_from(request: &Request) -> Result<Self> {
        Ok(Self {
            syscall: ScmpSyscall::from(request.syscall),
            arch: ScmpArch::from_sys(request.arch)?,
            instr_pointer: request.instruction_pointer,
            args: request.args,
        })
    }
}

impl From<&ScmpNotifReq> for Request {
    /// As the kernel has given it.
    fn from(request: &ScmpNotifReq) -> Self {
        let arch = match request.data.arch {
            ScmpArch::Native => ScmpArch::native(),
            // A distinction of libseccomp's: to the kernel the number of the call makes it.
            ScmpArch::X32 => ScmpArch::X8664,
            arch => arch,
        };
        Request {
            id: request.id,
            pid: request.pid as libc::pid_t,
            flags: request.flags,
            syscall: request.data.syscall.into(),
            arch: arch.to_sys(),
            instruction_pointer: request.data.instr_pointer,
            args: request.data.args,
        }
    }
}

impl Notification {
    /// Answers as a [`ScmpNotifResp`] says. As in the kernel, an error comes before a value.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`], and the target goes on waiting: for a response to another
    /// notification (by its `id`), an error number outside -4095 to 0, flags that are not known, or
    /// a value or an error beside [`ScmpNotifRespFlags::CONTINUE`]. Otherwise as
    /// [`Notification::reply_value`], [`Notification::reply_error`] and
    /// [`Notification::reply_continue`].
    pub fn respond(&mut self, response: ScmpNotifResp) -> crate::Result<()> {
        let ScmpNotifResp {
            id,
            val,
            error,
            flags,
        } = response;
        let invalid = |why: String| Err(Error::new(Status::InvalidArgument, why));
        self.pending_on()?;
        let asked = self.request().id;
        if id != asked {
            return invalid(format!(
                "a response to notification {id:#x}, and this is {asked:#x}"
            ));
        }
        match ScmpNotifRespFlags::from_bits(flags) {
            None => invalid(format!("unknown flags in {flags:#x}")),
            Some(flags) if flags.is_empty() && error == 0 => self.reply_value(val),
            // Of the most negative number there is no positive one.
            Some(flags) if flags.is_empty() => self.reply_error(error.saturating_neg()),
            Some(_) if (val, error) == (0, 0) => self.reply_continue(),
            Some(_) => {
                invalid("to continue a call is to return neither a value nor an error".into())
            }
        }
    }
}
