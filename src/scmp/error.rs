//! The error of everything that goes through libseccomp.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// What this module's calls return.
pub(crate) type Result<T> = std::result::Result<T, SeccompError>;

macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// The error numbers libseccomp documents for its own calls.
        ///
        /// Any other number is the kernel's or the C library's: see
        /// [`SeccompError::sysrawrc`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SeccompErrno {
            $($(#[doc = $doc])+ $name,)+
        }

        impl SeccompErrno {
            fn from_raw(errno: i32) -> Option<Self> {
                match errno {
                    $(libc::$name => Some(Self::$name),)+
                    _ => None,
                }
            }

            fn to_raw(self) -> i32 {
                match self {
                    $(Self::$name => libc::$name,)+
                }
            }

            fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

errnos! {
    /// This is not allowed: the rule's action is the filter's default action, the attribute is
    /// read-only, or the kernel wants no_new_privs or a capability first.
    EACCES => "not permitted",
    /// The system failed, and libseccomp keeps the reason to itself.
    ECANCELED => "a system call failed beneath libseccomp",
    /// The architecture cannot do this.
    EDOM => "not possible on this architecture",
    /// It is there already, or it is not there.
    EEXIST => "already present, or not present",
    /// libseccomp failed inside.
    EFAULT => "libseccomp failed internally",
    /// An argument is wrong.
    EINVAL => "invalid argument",
    /// Nothing matches.
    ENOENT => "no such entry",
    /// There is no memory for it.
    ENOMEM => "out of memory",
    /// libseccomp or the kernel is too old for this.
    EOPNOTSUPP => "not supported by this libseccomp or this kernel",
    /// The buffer is too small.
    ERANGE => "the buffer is too small",
    /// Another thread's filters differ, so the filter cannot be put on all threads.
    ESRCH => "another thread cannot take the filter",
}

impl fmt::Display for SeccompErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// What kind of failure it is, for those who map it to a status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ErrorKind {
    /// One of libseccomp's own error numbers.
    Errno(SeccompErrno),
    /// Another error number, negated as libseccomp and the kernel return it.
    Raw(i32),
    /// No architecture has this token.
    InvalidArch(u32),
    /// No action has this value.
    InvalidAction(u32),
    /// No architecture has this name.
    UnknownArch(String),
    /// No such thing (`what`) has this name.
    UnknownName { what: &'static str, name: String },
    /// No system call has this name or number; the sentence says which and where.
    UnknownSyscall(String),
    /// libseccomp or the API level is too old; the sentence says what it would take.
    TooOld(String),
    /// The source says it all.
    Source,
    /// A sentence.
    Message(Cow<'static, str>),
}

/// Why a call of the libseccomp-style types failed.
///
/// Its [`Display`](fmt::Display) is a sentence that names the culprit where there is one.
#[derive(Debug)]
pub struct SeccompError {
    kind: ErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SeccompError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        SeccompError { kind, source: None }
    }

    /// An error that is no more than a sentence.
    pub(crate) fn with_msg(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Message(message.into()))
    }

    /// No `what` has this name.
    pub(crate) fn unknown_name(what: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        Self::new(ErrorKind::UnknownName { what, name })
    }

    /// The error for a negated error number, as libseccomp and the kernel return it.
    pub(crate) fn from_errno(raw_negative_errno: i32) -> Self {
        // wrapping_neg: libseccomp never returns i32::MIN, and this must not panic if it did.
        match SeccompErrno::from_raw(raw_negative_errno.wrapping_neg()) {
            Some(errno) => Self::new(ErrorKind::Errno(errno)),
            None => Self::new(ErrorKind::Raw(raw_negative_errno)),
        }
    }

    /// An invalid argument, with the sentence that says which.
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::from_errno(-libc::EINVAL).because(reason.into())
    }

    /// The same error, with what caused it. Its own text then gives way to the cause's.
    pub(crate) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        SeccompError {
            kind: self.kind,
            source: Some(cause.into()),
        }
    }

    /// What kind of failure it is.
    pub(crate) fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The error number, if it is one of those libseccomp documents.
    ///
    /// ```
    /// use unotify::{error::SeccompErrno, ScmpAction, ScmpFilterContext, ScmpSyscall};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// let same_as_default = filter
    ///     .add_rule(ScmpAction::Allow, ScmpSyscall::from_name("getpid")?)
    ///     .unwrap_err();
    /// assert_eq!(same_as_default.errno(), Some(SeccompErrno::EACCES));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn errno(&self) -> Option<SeccompErrno> {
        match self.kind {
            ErrorKind::Errno(errno) => Some(errno),
            _ => None,
        }
    }

    /// The error number of the kernel, the C library or libseccomp, *negated* as they return it;
    /// `None` for an error that has no number.
    ///
    /// A failed [`load`](crate::ScmpFilterContext::load) gives the kernel's own number, whatever
    /// [`set_api_sysrawrc`](crate::ScmpFilterContext::set_api_sysrawrc) says: `-EBUSY` when the
    /// thread's filters have a listener already.
    ///
    /// ```
    /// let error = unotify::set_api(1000).unwrap_err();
    /// assert_eq!(error.sysrawrc(), Some(-libc::EINVAL));
    /// ```
    #[must_use]
    pub fn sysrawrc(&self) -> Option<i32> {
        match self.kind {
            ErrorKind::Errno(errno) => Some(-errno.to_raw()),
            ErrorKind::Raw(rc) => Some(rc),
            _ => None,
        }
    }

    /// The architecture token or action value that no [`ScmpArch`](crate::ScmpArch) or
    /// [`ScmpAction`](crate::ScmpAction) stands for; `None` for any other error.
    #[must_use]
    pub fn raw_ffi_value(&self) -> Option<u32> {
        match self.kind {
            ErrorKind::InvalidArch(value) | ErrorKind::InvalidAction(value) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for SeccompError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            return source.fmt(f);
        }
        match &self.kind {
            ErrorKind::Errno(errno) => errno.fmt(f),
            ErrorKind::Raw(rc) => std::io::Error::from_raw_os_error(rc.saturating_neg()).fmt(f),
            ErrorKind::UnknownArch(name) => write!(f, "unknown architecture `{name}`"),
            ErrorKind::InvalidArch(value) => write!(f, "unknown architecture {value:#x}"),
            ErrorKind::InvalidAction(value) => write!(f, "unknown action {value:#x}"),
            ErrorKind::UnknownName { what, name } => write!(f, "unknown {what} `{name}`"),
            ErrorKind::UnknownSyscall(sentence) | ErrorKind::TooOld(sentence) => {
                f.write_str(sentence)
            }
            ErrorKind::Source => f.write_str("unknown error"),
            ErrorKind::Message(message) => f.write_str(message),
        }
    }
}

impl Error for SeccompError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

macro_rules! from_source {
    ($($source:ty),+) => {
        $(impl From<$source> for SeccompError {
            fn from(source: $source) -> Self {
                Self::new(ErrorKind::Source).because(source)
            }
        })+
    };
}

from_source!(
    std::ffi::NulError,
    std::num::TryFromIntError,
    std::str::Utf8Error
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_libseccomp_documents_is_known_by_name() {
        let error = SeccompError::from_errno(-libc::ESRCH);
        assert_eq!(error.errno(), Some(SeccompErrno::ESRCH));
        assert_eq!(error.sysrawrc(), Some(-libc::ESRCH));
        assert_eq!(error.to_string(), SeccompErrno::ESRCH.to_string());
    }

    #[test]
    fn any_other_number_is_kept_raw_and_explained() {
        let error = SeccompError::from_errno(-libc::EBUSY);
        assert_eq!(error.errno(), None);
        assert_eq!(error.sysrawrc(), Some(-libc::EBUSY));
        assert!(error.to_string().contains("busy"), "{error}");
    }

    #[test]
    fn a_sentence_has_no_number() {
        let error = SeccompError::with_msg("no filter");
        assert_eq!(error.errno(), None);
        assert_eq!(error.sysrawrc(), None);
        assert_eq!(error.to_string(), "no filter");
    }

    #[test]
    fn a_cause_speaks_for_the_error_and_is_its_source() {
        let error = SeccompError::invalid("argument 6 does not exist");
        assert_eq!(error.errno(), Some(SeccompErrno::EINVAL));
        assert_eq!(error.to_string(), "argument 6 does not exist");
        assert!(error.source().is_some());
    }

    #[test]
    fn an_unknown_value_is_given_back() {
        let arch = SeccompError::new(ErrorKind::InvalidArch(7));
        let action = SeccompError::new(ErrorKind::InvalidAction(8));
        assert_eq!(arch.raw_ffi_value(), Some(7));
        assert_eq!(action.raw_ffi_value(), Some(8));
        assert_eq!(SeccompError::with_msg("").raw_ffi_value(), None);
    }

    #[test]
    fn the_most_negative_number_does_not_panic() {
        let error = SeccompError::from_errno(i32::MIN);
        assert_eq!(error.sysrawrc(), Some(i32::MIN));
        assert!(!error.to_string().is_empty());
    }

    #[test]
    fn errors_may_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<SeccompError>();
    }
}
