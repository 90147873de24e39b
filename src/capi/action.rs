//! What a filter does with a call: the mirror of `scmp/action.rs`.

use crate::scmp::ScmpAction;

/// Kill the whole process (`SECCOMP_RET_KILL_PROCESS`).
pub const UNOTIFY_ACTION_KILL_PROCESS: u32 = 0x8000_0000;
/// Kill the calling thread (`SECCOMP_RET_KILL_THREAD`).
pub const UNOTIFY_ACTION_KILL_THREAD: u32 = 0x0000_0000;
/// Send the thread a `SIGSYS` (`SECCOMP_RET_TRAP`).
pub const UNOTIFY_ACTION_TRAP: u32 = 0x0003_0000;
/// Park the thread and notify the supervisor (`SECCOMP_RET_USER_NOTIF`).
pub const UNOTIFY_ACTION_NOTIFY: u32 = 0x7fc0_0000;
/// Make the call and log it (`SECCOMP_RET_LOG`).
pub const UNOTIFY_ACTION_LOG: u32 = 0x7ffc_0000;
/// Make the call (`SECCOMP_RET_ALLOW`).
pub const UNOTIFY_ACTION_ALLOW: u32 = 0x7fff_0000;

// The header takes these as they are written here; this is what they have to be.
const _: () = {
    assert!(UNOTIFY_ACTION_KILL_PROCESS == libc::SECCOMP_RET_KILL_PROCESS);
    assert!(UNOTIFY_ACTION_KILL_THREAD == libc::SECCOMP_RET_KILL_THREAD);
    assert!(UNOTIFY_ACTION_TRAP == libc::SECCOMP_RET_TRAP);
    assert!(UNOTIFY_ACTION_NOTIFY == libc::SECCOMP_RET_USER_NOTIF);
    assert!(UNOTIFY_ACTION_LOG == libc::SECCOMP_RET_LOG);
    assert!(UNOTIFY_ACTION_ALLOW == libc::SECCOMP_RET_ALLOW);
};

/// The action that makes a call fail with `errnum`, positive, without asking the supervisor
/// (`SECCOMP_RET_ERRNO`). 0 lets it return 0 without being made. Filters take up to 4094.
#[no_mangle]
pub extern "C" fn unotify_action_errno(errnum: u16) -> u32 {
    ScmpAction::Errno(errnum.into()).to_sys()
}
