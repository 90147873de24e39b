//! What a filter says about a system call.

use super::error::{ErrorKind, Result, SeccompError};
use libseccomp_sys as sys;

/// What the kernel does with a system call a rule matches.
///
/// When several filters of a thread disagree, the kernel takes the first of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScmpAction {
    /// Kills the process, as if by `SIGSYS`, with a core dump where those are on.
    KillProcess,
    /// Kills the calling thread.
    KillThread,
    /// Sends the thread a `SIGSYS` it can catch; the call is not made.
    Trap,
    /// The call fails with this (positive) error number, up to 4094; with 0 it returns 0 without
    /// being made.
    Errno(i32),
    /// Parks the thread and notifies the supervisor, who answers for the kernel.
    Notify,
    /// Asks an attached `ptrace` tracer, which reads this number with `PTRACE_GETEVENTMSG`;
    /// without a tracer the call fails with `ENOSYS`.
    Trace(u16),
    /// Makes the call and logs it.
    Log,
    /// Makes the call.
    Allow,
}

impl ScmpAction {
    /// The kernel's `SECCOMP_RET_*` value.
    pub(crate) fn to_sys(self) -> u32 {
        match self {
            Self::KillProcess => sys::SCMP_ACT_KILL_PROCESS,
            Self::KillThread => sys::SCMP_ACT_KILL_THREAD,
            Self::Trap => sys::SCMP_ACT_TRAP,
            // The kernel's field has 16 bits, and libseccomp's macro cuts to them too.
            Self::Errno(errno) => sys::SCMP_ACT_ERRNO(errno as u16),
            Self::Notify => sys::SCMP_ACT_NOTIFY,
            Self::Trace(message) => sys::SCMP_ACT_TRACE(message),
            Self::Log => sys::SCMP_ACT_LOG,
            Self::Allow => sys::SCMP_ACT_ALLOW,
        }
    }

    /// The action with this `SECCOMP_RET_*` value, which must have no bits that mean nothing.
    pub(crate) fn from_sys(value: u32) -> Result<Self> {
        let data = (value & !sys::SCMP_ACT_MASK) as u16;
        let action = match value & sys::SCMP_ACT_MASK {
            sys::SCMP_ACT_KILL_PROCESS => Self::KillProcess,
            sys::SCMP_ACT_KILL_THREAD => Self::KillThread,
            sys::SCMP_ACT_TRAP => Self::Trap,
            sys::SCMP_ACT_ERRNO_MASK => Self::Errno(data.into()),
            sys::SCMP_ACT_NOTIFY => Self::Notify,
            sys::SCMP_ACT_TRACE_MASK => Self::Trace(data),
            sys::SCMP_ACT_LOG => Self::Log,
            sys::SCMP_ACT_ALLOW => Self::Allow,
            _ => return Err(SeccompError::new(ErrorKind::InvalidAction(value))),
        };
        if action.to_sys() != value {
            return Err(SeccompError::new(ErrorKind::InvalidAction(value)));
        }
        Ok(action)
    }

    /// The action with libseccomp's name for it, such as `"SCMP_ACT_NOTIFY"`.
    ///
    /// `value` is the error number of `"SCMP_ACT_ERRNO"` and the message of `"SCMP_ACT_TRACE"`;
    /// the other actions do not look at it.
    ///
    /// # Errors
    ///
    /// When no action has that name, when the action needs a value and there is none, and when
    /// the value does not fit.
    ///
    /// ```
    /// use unotify::ScmpAction;
    ///
    /// assert_eq!(ScmpAction::from_str("SCMP_ACT_ERRNO", Some(38))?, ScmpAction::Errno(38));
    /// # Ok::<(), unotify::error::SeccompError>(())
    /// ```
    pub fn from_str(action: &str, value: Option<i32>) -> Result<Self> {
        let needed =
            || value.ok_or_else(|| SeccompError::invalid(format!("{action} needs a value")));
        Ok(match action {
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_KILL_THREAD" | "SCMP_ACT_KILL" => Self::KillThread,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Errno(needed()?),
            "SCMP_ACT_NOTIFY" => Self::Notify,
            "SCMP_ACT_TRACE" => Self::Trace(needed()?.try_into()?),
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            _ => return Err(SeccompError::unknown_name("action", action)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_survives_the_kernels_value() {
        for action in [
            ScmpAction::KillProcess,
            ScmpAction::KillThread,
            ScmpAction::Trap,
            ScmpAction::Errno(libc::ENOSYS),
            ScmpAction::Notify,
            ScmpAction::Trace(77),
            ScmpAction::Log,
            ScmpAction::Allow,
        ] {
            assert_eq!(ScmpAction::from_sys(action.to_sys()).unwrap(), action);
        }
    }

    #[test]
    fn a_value_of_no_action_is_refused_and_named() {
        let error = ScmpAction::from_sys(0x0001_0000).unwrap_err();
        assert_eq!(error.raw_ffi_value(), Some(0x0001_0000));
        assert_eq!(error.to_string(), "unknown action 0x10000");
    }

    #[test]
    fn bits_an_action_has_no_use_for_are_refused() {
        assert!(ScmpAction::from_sys(sys::SCMP_ACT_ALLOW | 1).is_err());
        assert!(ScmpAction::from_sys(9).is_err());
    }
}
