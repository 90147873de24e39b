//! The attributes of a filter context, by name.

use super::error::{Result, SeccompError};
use libseccomp_sys::scmp_filter_attr as sys;
use std::str::FromStr;

macro_rules! attrs {
    ($($(#[doc = $doc:literal])+ $name:ident = $token:ident, $constant:literal;)+) => {
        /// An attribute of a [`ScmpFilterContext`](crate::ScmpFilterContext), for
        /// [`set_filter_attr`](crate::ScmpFilterContext::set_filter_attr) and
        /// [`get_filter_attr`](crate::ScmpFilterContext::get_filter_attr).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ScmpFilterAttr {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ScmpFilterAttr {
            /// All but the first, which is read-only.
            pub(super) const SETTABLE: &'static [Self] = [$(Self::$name),+].split_at(1).1;

            pub(crate) fn to_sys(self) -> sys {
                match self {
                    $(Self::$name => sys::$token,)+
                }
            }
        }

        impl FromStr for ScmpFilterAttr {
            type Err = SeccompError;

            /// The attribute with libseccomp's constant for it, such as `"SCMP_FLTATR_CTL_LOG"`.
            ///
            /// # Errors
            ///
            /// When no attribute has that constant.
            fn from_str(constant: &str) -> Result<Self> {
                match constant {
                    $($constant => Ok(Self::$name),)+
                    _ => Err(SeccompError::unknown_name("filter attribute", constant)),
                }
            }
        }
    };
}

attrs! {
    /// The action for calls no rule matches. Read-only.
    ActDefault = SCMP_FLTATR_ACT_DEFAULT, "SCMP_FLTATR_ACT_DEFAULT";
    /// The action for calls of an architecture the filter was not told of.
    ActBadArch = SCMP_FLTATR_ACT_BADARCH, "SCMP_FLTATR_ACT_BADARCH";
    /// Whether loading sets no_new_privs first. On unless set otherwise.
    CtlNnp = SCMP_FLTATR_CTL_NNP, "SCMP_FLTATR_CTL_NNP";
    /// Whether loading puts the filter on all threads of the process.
    CtlTsync = SCMP_FLTATR_CTL_TSYNC, "SCMP_FLTATR_CTL_TSYNC";
    /// Whether rules for system call -1 are allowed (a tracer writes that number to skip a call).
    ApiTskip = SCMP_FLTATR_API_TSKIP, "SCMP_FLTATR_API_TSKIP";
    /// Whether the kernel logs every action but [`Allow`](crate::ScmpAction::Allow).
    CtlLog = SCMP_FLTATR_CTL_LOG, "SCMP_FLTATR_CTL_LOG";
    /// Whether loading leaves the Speculative Store Bypass mitigation off.
    CtlSsb = SCMP_FLTATR_CTL_SSB, "SCMP_FLTATR_CTL_SSB";
    /// The shape of the program: 1 orders rules by priority, 2 makes a binary tree.
    CtlOptimize = SCMP_FLTATR_CTL_OPTIMIZE, "SCMP_FLTATR_CTL_OPTIMIZE";
    /// Whether libseccomp returns the system's error numbers instead of `ECANCELED`.
    ApiSysRawRc = SCMP_FLTATR_API_SYSRAWRC, "SCMP_FLTATR_API_SYSRAWRC";
    /// Whether only fatal signals interrupt a target whose notification was received.
    CtlWaitkill = SCMP_FLTATR_CTL_WAITKILL, "SCMP_FLTATR_CTL_WAITKILL";
}
