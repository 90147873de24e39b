//! Architectures, in the sense of a system call table and calling convention.

use super::error::{ErrorKind, Result, SeccompError};
use libseccomp_sys as sys;
use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

macro_rules! archs {
    ($(#[doc = $doc:literal] $variant:ident = $token:ident, $constant:literal, $name:literal;)+) => {
        /// An architecture libseccomp can write filters for.
        ///
        /// One machine often runs several: an x86_64 kernel runs [`X8664`](Self::X8664),
        /// [`X86`](Self::X86) and perhaps [`X32`](Self::X32) programs, each with its own call
        /// numbers. A filter decides only about the architectures it was told of; calls of any
        /// other get its bad-architecture action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ScmpArch {
            /// Whichever this program was compiled for; see [`ScmpArch::native`].
            Native,
            $(#[doc = $doc] $variant,)+
        }

        impl ScmpArch {
            /// Every architecture, without [`Native`](Self::Native).
            pub(crate) const ALL: &'static [ScmpArch] = &[$(Self::$variant),+];

            /// libseccomp's token, which is the kernel's `AUDIT_ARCH_*` value except for x32.
            pub(crate) fn to_sys(self) -> u32 {
                match self {
                    Self::Native => sys::SCMP_ARCH_NATIVE,
                    $(Self::$variant => sys::$token,)+
                }
            }

            /// The architecture with this token.
            pub(crate) fn from_sys(token: u32) -> Result<Self> {
                match token {
                    sys::SCMP_ARCH_NATIVE => Ok(Self::Native),
                    $(sys::$token => Ok(Self::$variant),)+
                    _ => Err(SeccompError::new(ErrorKind::InvalidArch(token))),
                }
            }

            /// [`ScmpArch::name`] for C.
            pub(crate) fn name_c(self) -> &'static CStr {
                match self {
                    Self::Native => Self::native().name_c(),
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl FromStr for ScmpArch {
            type Err = SeccompError;

            /// The architecture with libseccomp's constant for it, such as
            /// `"SCMP_ARCH_X86_64"`; [`ScmpArch::from_name`] takes `"x86_64"`.
            ///
            /// # Errors
            ///
            /// When no architecture has that constant.
            fn from_str(constant: &str) -> Result<Self> {
                match constant {
                    "SCMP_ARCH_NATIVE" => Ok(Self::Native),
                    $($constant => Ok(Self::$variant),)+
                    _ => Err(SeccompError::new(ErrorKind::UnknownArch(constant.to_owned()))),
                }
            }
        }
    };
}

archs! {
    /// 32-bit x86, `i386` and up.
    X86 = SCMP_ARCH_X86, "SCMP_ARCH_X86", c"x86";
    /// 64-bit x86.
    X8664 = SCMP_ARCH_X86_64, "SCMP_ARCH_X86_64", c"x86_64";
    /// 64-bit x86 with 32-bit pointers.
    X32 = SCMP_ARCH_X32, "SCMP_ARCH_X32", c"x32";
    /// 32-bit Arm, EABI.
    Arm = SCMP_ARCH_ARM, "SCMP_ARCH_ARM", c"arm";
    /// 64-bit Arm.
    Aarch64 = SCMP_ARCH_AARCH64, "SCMP_ARCH_AARCH64", c"aarch64";
    /// 64-bit LoongArch.
    Loongarch64 = SCMP_ARCH_LOONGARCH64, "SCMP_ARCH_LOONGARCH64", c"loongarch64";
    /// Motorola 68000.
    M68k = SCMP_ARCH_M68K, "SCMP_ARCH_M68K", c"m68k";
    /// 32-bit MIPS, big-endian, o32.
    Mips = SCMP_ARCH_MIPS, "SCMP_ARCH_MIPS", c"mips";
    /// 64-bit MIPS, big-endian, n64.
    Mips64 = SCMP_ARCH_MIPS64, "SCMP_ARCH_MIPS64", c"mips64";
    /// 64-bit MIPS, big-endian, n32.
    Mips64N32 = SCMP_ARCH_MIPS64N32, "SCMP_ARCH_MIPS64N32", c"mips64n32";
    /// 32-bit MIPS, little-endian, o32.
    Mipsel = SCMP_ARCH_MIPSEL, "SCMP_ARCH_MIPSEL", c"mipsel";
    /// 64-bit MIPS, little-endian, n64.
    Mipsel64 = SCMP_ARCH_MIPSEL64, "SCMP_ARCH_MIPSEL64", c"mipsel64";
    /// 64-bit MIPS, little-endian, n32.
    Mipsel64N32 = SCMP_ARCH_MIPSEL64N32, "SCMP_ARCH_MIPSEL64N32", c"mipsel64n32";
    /// 32-bit PowerPC.
    Ppc = SCMP_ARCH_PPC, "SCMP_ARCH_PPC", c"ppc";
    /// 64-bit PowerPC, big-endian.
    Ppc64 = SCMP_ARCH_PPC64, "SCMP_ARCH_PPC64", c"ppc64";
    /// 64-bit PowerPC, little-endian.
    Ppc64Le = SCMP_ARCH_PPC64LE, "SCMP_ARCH_PPC64LE", c"ppc64le";
    /// 31-bit IBM Z.
    S390 = SCMP_ARCH_S390, "SCMP_ARCH_S390", c"s390";
    /// 64-bit IBM Z.
    S390X = SCMP_ARCH_S390X, "SCMP_ARCH_S390X", c"s390x";
    /// 32-bit PA-RISC.
    Parisc = SCMP_ARCH_PARISC, "SCMP_ARCH_PARISC", c"parisc";
    /// 64-bit PA-RISC.
    Parisc64 = SCMP_ARCH_PARISC64, "SCMP_ARCH_PARISC64", c"parisc64";
    /// 64-bit RISC-V.
    Riscv64 = SCMP_ARCH_RISCV64, "SCMP_ARCH_RISCV64", c"riscv64";
    /// SuperH, big-endian.
    Sheb = SCMP_ARCH_SHEB, "SCMP_ARCH_SHEB", c"sheb";
    /// SuperH, little-endian.
    Sh = SCMP_ARCH_SH, "SCMP_ARCH_SH", c"sh";
}

impl ScmpArch {
    /// The architecture this program was compiled for, never [`Native`](Self::Native).
    ///
    /// Corresponds to `seccomp_arch_native(3)`.
    ///
    /// # Panics
    ///
    /// When libseccomp runs on an architecture this library has not heard of.
    ///
    /// ```
    /// # #[cfg(target_arch = "x86_64")]
    /// assert_eq!(unotify::ScmpArch::native(), unotify::ScmpArch::X8664);
    /// ```
    #[must_use]
    pub fn native() -> Self {
        // SAFETY: takes nothing and returns a constant.
        let token = unsafe { sys::seccomp_arch_native() };
        Self::from_sys(token).expect("libseccomp runs on an architecture it has no token for")
    }

    /// The architecture of the 32-bit programs that run here beside native ones: x86 on x86_64, Arm on
    /// aarch64; the native one where there are none. A filter for the native one alone kills
    /// such programs.
    ///
    /// ```
    /// use unotify::{ScmpAction, ScmpArch, ScmpFilterContext};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// filter.add_arch(ScmpArch::compat())?.notify_family("open")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn compat() -> Self {
        match Self::native() {
            Self::X8664 => Self::X86,
            Self::Aarch64 => Self::Arm,
            native => native,
        }
    }

    /// The architecture with libseccomp's short name, such as `"x86_64"` or `"aarch64"`.
    /// `"native"` is [`Native`](Self::Native).
    ///
    /// Corresponds to `seccomp_arch_resolve_name(3)`, without depending on which names the
    /// installed libseccomp knows.
    ///
    /// # Errors
    ///
    /// When no architecture has that name.
    pub fn from_name(name: &str) -> Result<Self> {
        if name == "native" {
            return Ok(Self::Native);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|arch| arch.name() == name)
            .ok_or_else(|| SeccompError::new(ErrorKind::UnknownArch(name.to_owned())))
    }

    /// libseccomp's short name for it, such as `"x86_64"`; for [`Native`](Self::Native) the name
    /// of the architecture that is.
    #[must_use]
    pub fn name(self) -> &'static str {
        // Every name of the table is ASCII, so the other branch is never taken.
        self.name_c().to_str().unwrap_or_default()
    }
}

/// The architecture of a call, which a notification's `Request::arch` gives as the kernel's
/// `AUDIT_ARCH_*` value; for x32 that is x86_64's.
///
/// ```
/// use unotify::{scmp::ScmpArch, ScmpSyscall};
///
/// // As from `let request = notification.request();`
/// let (arch, syscall) = (0x4000_0003, 20);
/// let arch = ScmpArch::try_from(arch)?;
/// assert_eq!(arch, ScmpArch::X86);
/// assert_eq!(ScmpSyscall::from(syscall).get_name_by_arch(arch)?, "getpid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<u32> for ScmpArch {
    type Error = SeccompError;

    fn try_from(token: u32) -> Result<Self> {
        Self::from_sys(token)
    }
}

impl fmt::Display for ScmpArch {
    /// Writes [`ScmpArch::name`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_survives_its_token_constant_and_name() {
        for &arch in ScmpArch::ALL {
            assert_eq!(ScmpArch::from_sys(arch.to_sys()).unwrap(), arch);
            assert_eq!(ScmpArch::from_name(arch.name()).unwrap(), arch);
            let constant = format!("SCMP_ARCH_{}", arch.name().to_uppercase());
            assert_eq!(constant.parse::<ScmpArch>().unwrap(), arch);
        }
    }

    #[test]
    fn the_names_are_libseccomps() {
        for &arch in ScmpArch::ALL {
            // SAFETY: a NUL-terminated string.
            let token = unsafe { sys::seccomp_arch_resolve_name(arch.name_c().as_ptr()) };
            // 0: this libseccomp has not heard of it.
            assert!(token == 0 || token == arch.to_sys(), "{arch}");
        }
    }

    #[test]
    fn native_is_an_architecture_of_its_own_name() {
        assert_ne!(ScmpArch::native(), ScmpArch::Native);
        assert_eq!(ScmpArch::Native.name(), ScmpArch::native().name());
        assert_eq!(
            "SCMP_ARCH_NATIVE".parse::<ScmpArch>().unwrap(),
            ScmpArch::Native
        );
    }

    #[test]
    fn an_unknown_token_is_refused_and_given_back() {
        assert_eq!(ScmpArch::from_sys(1).unwrap_err().raw_ffi_value(), Some(1));
    }

    #[test]
    fn an_unknown_name_is_refused_and_named() {
        let error = ScmpArch::from_name("pdp11").unwrap_err();
        assert_eq!(error.to_string(), "unknown architecture `pdp11`");
        assert!("SCMP_ARCH_PDP11".parse::<ScmpArch>().is_err());
    }
}
