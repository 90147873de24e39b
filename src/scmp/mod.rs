//! The vocabulary of libseccomp: filters and what they are built of, and its notification types.
//!
//! The names are those of the `libseccomp` crate 0.4, so that code written for them moves over by
//! changing one `use`; they are at the crate's root as well. A filter ([`ScmpFilterContext`]) is
//! what [`Spawn`](crate::Spawn) starts programs under. The notification types are plain values over a
//! descriptor's number. New code is better served by [`Listener`](crate::Listener) and
//! [`Notification`](crate::Notification), which own what they hold and never leave a target waiting.
//! Code that moves there bit by bit converts: a [`Request`](crate::Request) to a [`ScmpNotifReq`] and
//! back, and [`Notification::respond`](crate::Notification::respond) takes a [`ScmpNotifResp`].
//!
//! ```
//! # use unotify::{ScmpAction, ScmpFilterContext, ScmpSyscall, Spawn};
//! use unotify::scmp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};
//!
//! // As it was written for libseccomp.
//! fn decide(request: &ScmpNotifReq) -> ScmpNotifResp {
//!     assert_eq!(request.data.syscall, ScmpSyscall::from_name("getppid").unwrap());
//!     ScmpNotifResp::new_val(request.id, 1234, ScmpNotifRespFlags::empty())
//! }
//!
//! # let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
//! # filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("getppid")?)?;
//! # let mut child = Spawn::new(&filter, "sh").args(["-c", "test $PPID = 1234"]).spawn()?;
//! # let listener = child.take_listener().unwrap();
//! for call in listener.incoming() {
//!     let mut call = call?;
//!     let response = decide(&ScmpNotifReq::try_from(call.request())?);
//!     call.respond(response)?;
//! }
//! # assert!(child.wait()?.success());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The only module that speaks to libseccomp, and it asks it for one thing: to build filters. It links
// nothing newer than libseccomp 2.5.1.

pub(crate) mod error;

mod action;
mod api;
mod arch;
mod arg_compare;
mod attr;
mod compare_op;
mod control;
mod family;
mod filter;
mod notify;
mod notify_family;
pub(crate) mod program;
mod syscall;
mod version;

pub use action::ScmpAction;
pub(crate) use api::ensure_supported_api;
pub use api::{check_api, get_api, reset_global_state, set_api};
pub use arch::ScmpArch;
pub use arg_compare::ScmpArgCompare;
pub use attr::ScmpFilterAttr;
pub use compare_op::ScmpCompareOp;
pub use family::{Family, Refused};
pub use filter::ScmpFilterContext;
pub(crate) use program::notifies;
#[allow(deprecated)]
pub use syscall::{get_syscall_from_name, get_syscall_name_from_arch};
pub use syscall::{RawSyscall, ScmpSyscall};
#[allow(deprecated)]
pub use version::get_library_version;
pub use version::{check_version, ScmpVersion};

#[doc(inline)]
pub use crate::scmp_cmp;

#[allow(deprecated)]
pub use notify::NOTIF_FLAG_CONTINUE;
pub use notify::{
    notify_id_valid, ScmpFd, ScmpNotifData, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags,
};

use error::{Result, SeccompError};

/// Turns what libseccomp returns (0, or a negated error number) into a result.
fn check(rc: i32) -> Result<()> {
    match rc {
        0 => Ok(()),
        rc => Err(SeccompError::from_errno(rc)),
    }
}
