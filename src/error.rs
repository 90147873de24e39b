//! One table of what can go wrong, and the errors made from it.

use crate::kernel::Errno;
use crate::scmp::error::ErrorKind;
use std::borrow::Cow;
use std::ffi::CStr;
use std::{fmt, io};

pub use crate::scmp::error::{SeccompErrno, SeccompError};

/// What a call came to; C functions that can fail return it. A value keeps its meaning for ever.
#[repr(i32)]
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It worked.
    Ok = 0,
    /// The target died, or a signal interrupted its call.
    Gone = -1,
    /// The last target exited, or the other side hung up.
    Closed = -2,
    /// Told to stop, or the listener is interrupted.
    Stopped = -3,
    /// The time limit passed first.
    Timeout = -4,
    /// The notification was answered before.
    Answered = -5,
    /// NULL, out of range, closed or of the wrong kind.
    InvalidArgument = -6,
    /// The architecture has no call of this name or number.
    UnknownSyscall = -7,
    /// No architecture has this name or number.
    UnknownArch = -8,
    /// The running kernel or libseccomp is too old for this.
    Unsupported = -9,
    /// Not permitted to a caller with these privileges.
    Permission = -10,
    /// The filters of this thread have a listener already.
    Busy = -11,
    /// The target cannot read (or write) at this address.
    Fault = -12,
    /// The string, list or path is longer than the room.
    TooLong = -13,
    /// The target is outside the supervisor's pid namespace.
    NotVisible = -14,
    /// Not enough memory.
    NoMemory = -15,
    /// The kernel said no for another reason: see `errno`.
    System = -16,
    /// Code that ran under the library's control panicked.
    Panic = -17,
    /// A signal was handled on this thread while it waited.
    Interrupted = -18,
    /// A handler said that it failed.
    Handler = -19,
}

impl Status {
    /// Every status, success first.
    pub const ALL: [Status; 20] = [
        Status::Ok,
        Status::Gone,
        Status::Closed,
        Status::Stopped,
        Status::Timeout,
        Status::Answered,
        Status::InvalidArgument,
        Status::UnknownSyscall,
        Status::UnknownArch,
        Status::Unsupported,
        Status::Permission,
        Status::Busy,
        Status::Fault,
        Status::TooLong,
        Status::NotVisible,
        Status::NoMemory,
        Status::System,
        Status::Panic,
        Status::Interrupted,
        Status::Handler,
    ];

    /// Its name in the C ABI, its message, and the `errno` that goes with it where the kernel gave
    /// none.
    fn row(self) -> (&'static CStr, &'static CStr, i32) {
        match self {
            Status::Ok => (c"UNOTIFY_OK", c"success", 0),
            Status::Gone => (
                c"UNOTIFY_ERR_GONE",
                c"the notification is no longer pending",
                libc::ENOENT,
            ),
            Status::Closed => (
                c"UNOTIFY_ERR_CLOSED",
                c"the last target exited, or the other side hung up",
                libc::EPIPE,
            ),
            Status::Stopped => (c"UNOTIFY_ERR_STOPPED", c"told to stop", libc::ECANCELED),
            Status::Timeout => (
                c"UNOTIFY_ERR_TIMEOUT",
                c"the time limit passed",
                libc::ETIMEDOUT,
            ),
            Status::Answered => (
                c"UNOTIFY_ERR_ANSWERED",
                c"the notification was answered before",
                libc::EINPROGRESS,
            ),
            Status::InvalidArgument => (
                c"UNOTIFY_ERR_INVALID_ARGUMENT",
                c"an argument is null, out of range, closed or of the wrong kind",
                libc::EINVAL,
            ),
            Status::UnknownSyscall => (
                c"UNOTIFY_ERR_UNKNOWN_SYSCALL",
                c"unknown system call",
                libc::EINVAL,
            ),
            Status::UnknownArch => (
                c"UNOTIFY_ERR_UNKNOWN_ARCH",
                c"unknown architecture",
                libc::EINVAL,
            ),
            Status::Unsupported => (
                c"UNOTIFY_ERR_UNSUPPORTED",
                c"the running kernel or libseccomp is too old for this",
                libc::ENOSYS,
            ),
            Status::Permission => (
                c"UNOTIFY_ERR_PERMISSION",
                c"not permitted to this caller",
                libc::EPERM,
            ),
            Status::Busy => (
                c"UNOTIFY_ERR_BUSY",
                c"a listener is already installed on this task's filters",
                libc::EBUSY,
            ),
            Status::Fault => (
                c"UNOTIFY_ERR_FAULT",
                c"the address is not accessible in the target",
                libc::EFAULT,
            ),
            Status::TooLong => (
                c"UNOTIFY_ERR_TOO_LONG",
                c"longer than the room for it",
                libc::ENAMETOOLONG,
            ),
            Status::NotVisible => (
                c"UNOTIFY_ERR_NOT_VISIBLE",
                c"the target is outside this pid namespace",
                libc::ESRCH,
            ),
            Status::NoMemory => (c"UNOTIFY_ERR_NO_MEMORY", c"out of memory", libc::ENOMEM),
            Status::System => (c"UNOTIFY_ERR_SYSTEM", c"system error, see errno", libc::EIO),
            Status::Panic => (
                c"UNOTIFY_ERR_PANIC",
                c"code under the library's control panicked",
                libc::ECANCELED,
            ),
            Status::Interrupted => (
                c"UNOTIFY_ERR_INTERRUPTED",
                c"a signal was handled on this thread",
                libc::EINTR,
            ),
            Status::Handler => (
                c"UNOTIFY_ERR_HANDLER",
                c"a handler said that it failed",
                libc::ECANCELED,
            ),
        }
    }

    /// The status with this value.
    #[must_use]
    pub fn from_raw(value: i32) -> Option<Status> {
        Status::ALL.into_iter().find(|s| *s as i32 == value)
    }

    /// The name of its constant in C, such as `UNOTIFY_ERR_GONE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name_c().to_str().unwrap_or_default()
    }

    /// What it means, in half a sentence.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.message_c().to_str().unwrap_or_default()
    }

    /// [`Status::name`] for C.
    pub(crate) fn name_c(self) -> &'static CStr {
        self.row().0
    }

    /// [`Status::message`] for C.
    pub(crate) fn message_c(self) -> &'static CStr {
        self.row().1
    }

    /// What the kernel's error number means where the call at hand says nothing more special.
    fn from_errno(errno: i32) -> Status {
        match errno {
            libc::EPERM | libc::EACCES => Status::Permission,
            libc::ENOMEM => Status::NoMemory,
            libc::ENOSYS => Status::Unsupported,
            libc::EBADF | libc::EINVAL => Status::InvalidArgument,
            _ => Status::System,
        }
    }
}

/// What went wrong: a [`Status`] to act on, the kernel's error number, a sentence to read.
///
/// The sentence ([`Display`](fmt::Display)) is whole: it needs no cause beside it. Where the kernel
/// gave the error number, the [source](std::error::Error::source) is that number as an
/// [`std::io::Error`].
///
/// ```
/// use std::error::Error;
/// use unotify::{Listener, Status};
///
/// let file = std::fs::File::open("/dev/null")?;
/// let error = Listener::try_from(std::os::fd::OwnedFd::from(file)).unwrap_err();
/// assert_eq!(error.status(), Status::InvalidArgument);
/// assert!(error.to_string().ends_with("is not a seccomp listener"));
/// let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
/// assert_eq!(source.raw_os_error(), Some(error.errno()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Error {
    status: Status,
    /// Always an error number.
    errno: io::Error,
    /// The kernel gave the number.
    kernels: bool,
    message: Cow<'static, str>,
}

/// What the library's own calls return.
///
/// The second parameter is there for programs that import everything of this crate, and write
/// `Result<(), Box<dyn std::error::Error>>`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error the kernel had no part in.
    pub(crate) fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Error {
            status,
            errno: io::Error::from_raw_os_error(status.row().2),
            kernels: false,
            message: message.into(),
        }
    }

    /// A status's own message, without allocation: for the ordinary ends of a call.
    pub(crate) fn plain(status: Status) -> Self {
        Error::new(status, status.message())
    }

    /// An error the kernel gave, with the meaning it has here.
    pub(crate) fn with_errno(
        status: Status,
        errno: Errno,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Error {
            status,
            errno: io::Error::from_raw_os_error(errno.0),
            kernels: true,
            message: message.into(),
        }
    }

    /// An error the kernel gave that means what that number usually means. `what` says what was
    /// tried ("receive from the listener").
    pub(crate) fn system(errno: Errno, what: &str) -> Self {
        let reason = io::Error::from_raw_os_error(errno.0);
        Error::with_errno(
            Status::from_errno(errno.0),
            errno,
            format!("cannot {what}: {reason}"),
        )
    }

    /// What it comes to.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The kernel's error number, or the nearest to it where the kernel gave none. Positive.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno.raw_os_error().unwrap_or(libc::EIO)
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        Error {
            status: self.status,
            errno: io::Error::from_raw_os_error(self.errno()),
            kernels: self.kernels,
            message: self.message.clone(),
        }
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let parts = |e: &Error| (e.status, e.errno(), e.kernels);
        parts(self) == parts(other) && self.message == other.message
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    /// The kernel's error number as an [`std::io::Error`]. `None` where the kernel had no part in it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kernels.then_some(&self.errno as _)
    }
}

impl From<SeccompError> for Error {
    /// libseccomp's error in this library's terms.
    fn from(error: SeccompError) -> Self {
        let own = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Error>());
        if let Some(own) = own {
            return own.clone();
        }
        match error.kind() {
            ErrorKind::UnknownSyscall(_) => {
                return Error::new(Status::UnknownSyscall, error.to_string())
            }
            ErrorKind::UnknownArch(_) | ErrorKind::InvalidArch(_) => {
                return Error::new(Status::UnknownArch, error.to_string())
            }
            ErrorKind::TooOld(_) => return Error::new(Status::Unsupported, error.to_string()),
            _ => {}
        }
        let errno = error.sysrawrc().map_or(libc::EINVAL, i32::abs);
        // libseccomp says EDOM for what fits no architecture of the filter, EFAULT for its own
        // inner failures, ECANCELED for a refusal of the kernel.
        let status = match errno {
            libc::EACCES | libc::EDOM | libc::EEXIST => Status::InvalidArgument,
            libc::EOPNOTSUPP => Status::Unsupported,
            other => Status::from_errno(other),
        };
        Error::with_errno(status, Errno(errno), error.to_string())
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.errno.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_by_its_value_and_has_texts() {
        for status in Status::ALL {
            assert_eq!(Status::from_raw(status as i32), Some(status));
            assert!(status.name().starts_with("UNOTIFY_"));
            assert!(!status.message().is_empty());
        }
        assert_eq!(Status::from_raw(1), None);
        assert_eq!(Status::from_raw(-(Status::ALL.len() as i32)), None);
    }

    #[test]
    fn the_source_is_the_kernels_own_error_and_nothing_where_it_gave_none() {
        use std::error::Error as _;

        let error = Error::system(Errno(libc::EMFILE), "duplicate the listener");
        let source = error.source().and_then(|s| s.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(libc::EMFILE));
        assert!(Error::plain(Status::Timeout).source().is_none());
    }

    #[test]
    fn a_copy_is_equal_and_another_error_is_not() {
        let error = Error::system(Errno(libc::EMFILE), "duplicate the listener");
        assert_eq!(error, error.clone());
        assert_ne!(
            error,
            Error::system(Errno(libc::ENFILE), "duplicate the listener")
        );
        assert_ne!(error, Error::plain(Status::System));
    }
}
