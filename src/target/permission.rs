//! What it takes to look into a target, and what of it is missing.

use super::proc_files::{proc_path, status_field};
use crate::error::{Error, Status};
use crate::kernel::{file, version, Errno};

/// The error for something about the target that could not be had, for a target that waits.
pub(super) fn explain(errno: Errno, what: &str, tid: libc::pid_t) -> Error {
    match errno.0 {
        libc::EPERM | libc::EACCES => Error::with_errno(
            Status::Permission,
            errno,
            format!("not permitted to {what}: {}", missing(tid)),
        ),
        libc::ENOENT => Error::with_errno(
            Status::System,
            errno,
            format!(
                "cannot {what}: /proc does not show the target (it is not mounted, belongs to \
                 another pid namespace, or hides it: hidepid)"
            ),
        ),
        _ => Error::system(errno, what),
    }
}

/// The error for a call that this kernel does not have, or that somebody keeps from the supervisor.
pub(super) fn unsupported(what: &str, (major, minor): (u32, u32)) -> Error {
    let message = if version::is_at_least(major, minor) {
        format!(
            "{what} takes Linux {major}.{minor}, which this kernel is: a filter on this supervisor \
             (a container's seccomp profile?) refuses the call"
        )
    } else {
        format!("{what} takes Linux {major}.{minor}")
    };
    Error::with_errno(Status::Unsupported, Errno(libc::ENOSYS), message)
}

/// What stands in the way, as far as can be seen. The kernel's rule is in `ptrace(2)`, under
/// "Ptrace access mode checking".
fn missing(tid: libc::pid_t) -> String {
    // What was refused asks for no more rights than this file does.
    let mem = file::open(
        None,
        &proc_path(tid, "mem"),
        libc::O_RDONLY | libc::O_CLOEXEC,
    );
    if mem.is_ok() {
        return "this supervisor has the rights it takes, so a filter on it (a container's seccomp \
                profile?) or a security module refuses the call"
            .into();
    }
    let mut reasons = Vec::new();
    let target = ids(&proc_path(tid, "status"));
    let own = ids(c"/proc/thread-self/status");
    if let (Some(target), Some(own)) = (&target, &own) {
        if target.iter().any(|id| *id != own[1]) {
            reasons.push(format!(
                "the target runs as user {} and this supervisor as user {}",
                target[1], own[1]
            ));
        } else if file::owner(&proc_path(tid, "status")).is_ok_and(|owner| owner != target[1]) {
            reasons.push(
                "the target is not dumpable (PR_SET_DUMPABLE; or it executes a file that it may \
                 not read, or has changed its user)"
                    .into(),
            );
        }
    }
    match file::read_all(c"/proc/sys/kernel/yama/ptrace_scope").as_deref() {
        Ok(b"1\n") => reasons.push(
            "Yama (kernel.yama.ptrace_scope is 1) admits only ancestors of the target and whom \
             it names with PR_SET_PTRACER"
                .into(),
        ),
        Ok(b"2\n") => reasons.push("Yama (kernel.yama.ptrace_scope is 2) admits only it".into()),
        Ok(b"3\n") => reasons.push("Yama (kernel.yama.ptrace_scope is 3) admits nobody".into()),
        _ => {}
    }
    if reasons.is_empty() {
        reasons.push(
            "the target has other groups or more capabilities, or a security module or a filter \
             on the supervisor refuses"
                .into(),
        );
    }
    format!(
        "this supervisor lacks CAP_SYS_PTRACE in the target's user namespace, and {}",
        reasons.join(", and ")
    )
}

/// Real, effective, saved and file system user.
fn ids(status: &std::ffi::CStr) -> Option<Vec<u32>> {
    status_field(&file::read_all(status).ok()?, "Uid", 10).filter(|ids| ids.len() == 4)
}
