//! The vocabulary of filters: actions, architectures, system calls, comparisons, filter contexts.
//!
//! The only room that speaks to libseccomp, and it asks it for one thing: to build filters. It
//! links nothing newer than libseccomp 2.5.1. The names are those of the `libseccomp` crate, so
//! that code written for them moves over by changing one `use`.

pub(crate) mod error;

mod action;
mod api;
mod arch;
mod arg_compare;
mod attr;
mod compare_op;
mod control;
mod filter;
mod program;
mod syscall;
mod version;

pub use action::ScmpAction;
pub(crate) use api::ensure_supported_api;
pub use api::{check_api, get_api, reset_global_state, set_api};
pub use arch::ScmpArch;
pub use arg_compare::ScmpArgCompare;
pub use attr::ScmpFilterAttr;
pub use compare_op::ScmpCompareOp;
pub use filter::ScmpFilterContext;
pub(crate) use program::notifies;
#[allow(deprecated)]
pub use syscall::{get_syscall_from_name, get_syscall_name_from_arch};
pub use syscall::{RawSyscall, ScmpSyscall};
#[allow(deprecated)]
pub use version::get_library_version;
pub use version::{check_version, ScmpVersion};

use error::{Result, SeccompError};

/// Turns what libseccomp returns (0, or a negated error number) into a result.
fn check(rc: i32) -> Result<()> {
    match rc {
        0 => Ok(()),
        rc => Err(SeccompError::from_errno(rc)),
    }
}
