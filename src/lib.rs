//! Write seccomp user-notification supervisors: receive, inspect and answer system calls.

pub mod error;
mod load;
mod scmp;

#[allow(deprecated)]
pub use scmp::{
    check_api, check_version, get_api, get_library_version, get_syscall_from_name,
    get_syscall_name_from_arch, reset_global_state, set_api, RawSyscall, ScmpAction, ScmpArch,
    ScmpArgCompare, ScmpCompareOp, ScmpFilterAttr, ScmpFilterContext, ScmpSyscall, ScmpVersion,
};
