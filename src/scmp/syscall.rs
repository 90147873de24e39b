//! System call numbers and names.

use super::error::{ErrorKind, Result, SeccompError};
use super::ScmpArch;
use libseccomp_sys as sys;
use std::ffi::{c_char, CStr, CString};
use std::fmt;

/// A system call number as the kernel and libseccomp write it.
pub type RawSyscall = i32;

/// A system call, by the number it has on some architecture.
///
/// Rules take the *native* architecture's number and libseccomp translates it for the other
/// architectures of the filter. A call the native architecture lacks has a negative number of
/// libseccomp's own making, which takes effect on those architectures only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScmpSyscall {
    nr: RawSyscall,
}

/// What `seccomp_syscall_resolve_name_arch` and `_rewrite` have in common.
type Resolve = unsafe extern "C" fn(u32, *const c_char) -> i32;

impl ScmpSyscall {
    pub(crate) fn to_sys(self) -> RawSyscall {
        self.nr
    }

    /// The native system call of this name.
    ///
    /// Corresponds to `seccomp_syscall_resolve_name(3)`.
    ///
    /// # Errors
    ///
    /// When no architecture has a call of this name. A call that only other architectures have
    /// is found, with a negative number.
    ///
    /// ```
    /// use unotify::ScmpSyscall;
    ///
    /// let error = ScmpSyscall::from_name("opennat").unwrap_err();
    /// assert!(error.to_string().starts_with("unknown system call `opennat` on "));
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::from_name_by_arch(name, ScmpArch::Native)
    }

    /// The system call of this name, with the number it has on `arch`.
    ///
    /// Rules do not take a foreign architecture's number: use [`from_name`](Self::from_name) for
    /// them, whatever the filter's architectures.
    ///
    /// Corresponds to `seccomp_syscall_resolve_name_arch(3)`.
    ///
    /// # Errors
    ///
    /// As [`from_name`](Self::from_name).
    ///
    /// ```
    /// use unotify::{ScmpArch, ScmpSyscall};
    ///
    /// assert_eq!(ScmpSyscall::from_name_by_arch("openat", ScmpArch::Aarch64)?, 56);
    /// # Ok::<(), unotify::error::SeccompError>(())
    /// ```
    pub fn from_name_by_arch(name: &str, arch: ScmpArch) -> Result<Self> {
        Self::resolve(sys::seccomp_syscall_resolve_name_arch, name, arch)
    }

    /// The system call through which `arch` makes the call of this name: `socketcall` for
    /// `socket` on x86, the call itself where it stands on its own.
    ///
    /// Corresponds to `seccomp_syscall_resolve_name_rewrite(3)`.
    ///
    /// # Errors
    ///
    /// As [`from_name`](Self::from_name).
    pub fn from_name_by_arch_rewrite(name: &str, arch: ScmpArch) -> Result<Self> {
        Self::resolve(sys::seccomp_syscall_resolve_name_rewrite, name, arch)
    }

    fn resolve(resolve: Resolve, name: &str, arch: ScmpArch) -> Result<Self> {
        let unknown = || Self::unknown(name, arch.name());
        // A name with a NUL inside is no system call's.
        let c_name = CString::new(name).map_err(|_| unknown())?;
        // SAFETY: `c_name` is NUL-terminated and outlives the call, which keeps nothing of it.
        let nr = unsafe { resolve(arch.to_sys(), c_name.as_ptr()) };
        if nr == sys::__NR_SCMP_ERROR {
            return Err(unknown());
        }
        Ok(ScmpSyscall { nr })
    }

    /// No system call of this name `on` this architecture, or these.
    pub(crate) fn unknown(name: &str, on: impl fmt::Display) -> SeccompError {
        let sentence = format!("unknown system call `{}` on {on}", name.escape_debug());
        SeccompError::new(ErrorKind::UnknownSyscall(sentence))
    }

    /// Whether `arch` has a call of this name, directly or behind a multiplexer such as
    /// `socketcall`. Pseudo-numbers do not count: a rule for one never matches.
    pub(crate) fn exists_on(name: &str, arch: ScmpArch) -> bool {
        [Self::from_name_by_arch, Self::from_name_by_arch_rewrite]
            .into_iter()
            .any(|resolve| resolve(name, arch).is_ok_and(|syscall| syscall.nr >= 0))
    }

    /// The number by which `arch` makes the call of this name itself, if it has one.
    pub(crate) fn number_on(name: &str, arch: ScmpArch) -> Option<i32> {
        let direct = Self::from_name_by_arch(name, arch).ok()?;
        if direct.nr >= 0 {
            return Some(direct.nr);
        }
        // Calls on sockets have numbers beside `socketcall` since Linux 4.3. No name leads to them in
        // libseccomp, but they lead to the name. It takes a while, and other programs do not run here.
        let runs_here = [ScmpArch::native(), ScmpArch::compat()].contains(&arch);
        if !runs_here || !Self::exists_on(name, arch) {
            return None;
        }
        (0..512).find(|&nr| {
            let found = ScmpSyscall { nr }.get_name_by_arch(arch);
            found.is_ok_and(|found| found == name)
        })
    }

    /// The name of this number on the native architecture.
    ///
    /// Corresponds to `seccomp_syscall_resolve_num_arch(3)`.
    ///
    /// # Errors
    ///
    /// When no call has this number.
    ///
    /// ```
    /// use unotify::ScmpSyscall;
    ///
    /// assert_eq!(ScmpSyscall::from(libc::SYS_getpid as i32).get_name()?, "getpid");
    /// # Ok::<(), unotify::error::SeccompError>(())
    /// ```
    pub fn get_name(self) -> Result<String> {
        self.get_name_by_arch(ScmpArch::Native)
    }

    /// The name of this number on `arch`.
    ///
    /// Corresponds to `seccomp_syscall_resolve_num_arch(3)`.
    ///
    /// # Errors
    ///
    /// When no call has this number there.
    pub fn get_name_by_arch(self, arch: ScmpArch) -> Result<String> {
        // SAFETY: takes integers; gives null or a string that is the caller's to free.
        let name = unsafe { sys::seccomp_syscall_resolve_num_arch(arch.to_sys(), self.nr) };
        if name.is_null() {
            let sentence = format!("unknown system call number {} on {arch}", self.nr);
            return Err(SeccompError::new(ErrorKind::UnknownSyscall(sentence)));
        }
        // SAFETY: not null, NUL-terminated, and not freed before the copy is made.
        let copy = unsafe { CStr::from_ptr(name) }.to_str().map(str::to_owned);
        // SAFETY: libseccomp made it with strdup(3); nothing refers to it any more.
        unsafe { libc::free(name.cast_mut().cast()) };
        Ok(copy?)
    }

    /// Whether this is libseccomp's mark of failure (`__NR_SCMP_ERROR`, -1).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.nr == sys::__NR_SCMP_ERROR
    }

    /// Whether this is libseccomp's mark of an undefined call (`__NR_SCMP_UNDEF`, -2).
    #[must_use]
    pub fn is_undef(&self) -> bool {
        self.nr == sys::__NR_SCMP_UNDEF
    }

    /// The system call with this number; the same as `From`.
    #[must_use]
    pub fn from_raw_syscall(raw_syscall: RawSyscall) -> Self {
        Self::from(raw_syscall)
    }

    /// Its number.
    #[must_use]
    pub fn as_raw_syscall(self) -> RawSyscall {
        self.nr
    }
}

impl From<RawSyscall> for ScmpSyscall {
    fn from(nr: RawSyscall) -> Self {
        ScmpSyscall { nr }
    }
}

impl From<ScmpSyscall> for RawSyscall {
    fn from(syscall: ScmpSyscall) -> Self {
        syscall.nr
    }
}

impl PartialEq<RawSyscall> for ScmpSyscall {
    fn eq(&self, other: &RawSyscall) -> bool {
        self.nr == *other
    }
}

impl PartialEq<ScmpSyscall> for RawSyscall {
    fn eq(&self, other: &ScmpSyscall) -> bool {
        *self == other.nr
    }
}

impl fmt::Display for ScmpSyscall {
    /// Writes the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nr.fmt(f)
    }
}

/// The name of a system call number on `arch`.
///
/// # Errors
///
/// As [`ScmpSyscall::get_name_by_arch`].
#[deprecated(since = "0.1.0", note = "use ScmpSyscall::get_name_by_arch")]
pub fn get_syscall_name_from_arch(arch: ScmpArch, syscall: i32) -> Result<String> {
    ScmpSyscall::from(syscall).get_name_by_arch(arch)
}

/// The number of a system call on `arch`, or on the native architecture.
///
/// # Errors
///
/// As [`ScmpSyscall::from_name`].
#[deprecated(since = "0.1.0", note = "use ScmpSyscall::from_name_by_arch")]
pub fn get_syscall_from_name(name: &str, arch: Option<ScmpArch>) -> Result<i32> {
    ScmpSyscall::from_name_by_arch(name, arch.unwrap_or(ScmpArch::Native)).map(Into::into)
}
