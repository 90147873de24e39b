//! Write seccomp user-notification supervisors: receive, inspect and answer system calls.

// What the core has for C alone is of no use without it.
#![cfg_attr(not(feature = "capi"), allow(dead_code))]

// Compiles and runs the README's Rust program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod error;

#[cfg(feature = "capi")]
mod capi;
mod ending;
mod features;
mod kernel;
mod listener;
mod load;
mod notification;
mod notify;
mod scmp;
mod spawn;
mod stall;
mod supervisor;
mod target;
mod turn;

pub use error::{Error, Result, Status};
pub use features::{features, Features};
pub use listener::{Incoming, Listener, ReceiveFlags};
pub use load::LoadFlags;
pub use notification::{Notification, Request};
#[allow(deprecated)]
pub use notify::NOTIF_FLAG_CONTINUE;
pub use notify::{
    notify_id_valid, ScmpFd, ScmpNotifData, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags,
};
#[allow(deprecated)]
pub use scmp::{
    check_api, check_version, get_api, get_library_version, get_syscall_from_name,
    get_syscall_name_from_arch, reset_global_state, set_api, RawSyscall, ScmpAction, ScmpArch,
    ScmpArgCompare, ScmpCompareOp, ScmpFilterAttr, ScmpFilterContext, ScmpSyscall, ScmpVersion,
};
pub use spawn::{Child, Spawn, Stdio};
pub use supervisor::{HandlerFlags, Stats, Supervisor, SupervisorOptions, Verdict, WakeUp};
pub use target::{Identity, OpenHow};
