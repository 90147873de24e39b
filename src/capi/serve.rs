//! A program from its start to its end: the mirror of `serve.rs`.

use super::boundary::{call, shared, unotify_status};
use super::filter::unotify_filter;
use super::spawn::{prepare, unotify_spawn_opts};
use super::supervisor::unotify_supervisor;
use std::ffi::{c_char, c_int};
use std::os::unix::process::ExitStatusExt;

/// Starts the program `file` as unotify_spawn() does, serves it on this thread until it and all
/// that it has started have ended, and gives its status, in the form of `waitpid(2)`, to `wstatus`
/// unless that is NULL. Other listeners are served too, and this returns when the last has closed,
/// with `UNOTIFY_SUPERVISOR_KEEP_RUNNING` when stopped. The program's listener has no data (NULL).
///
/// Errors: those of unotify_spawn(), with the `errno` of `execve` also when a handler refused that
/// call; those of unotify_supervisor_run(), so `UNOTIFY_ERR_STOPPED` when stopped before the
/// program has ended. The program was killed and waited for then; what it has started remains.
///
/// # Safety
/// `supervisor` is NULL or a live handle; the others as for `unotify_spawn`; `wstatus` is NULL or
/// valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_run_program(
    supervisor: *mut unotify_supervisor,
    filter: *const unotify_filter,
    file: *const c_char,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    opts: *const unotify_spawn_opts,
    wstatus: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `supervisor` is NULL or a live handle, as promised.
        let supervisor = unsafe { shared(supervisor, "supervisor") }?;
        // SAFETY: they are what `unotify_spawn` takes, as promised.
        let mut spawn = unsafe { prepare(filter, file, argv, envp, opts) }?;
        let status = supervisor.0.run_program(&mut spawn)?;
        if !wstatus.is_null() {
            // SAFETY: not null, so valid for writing, as promised.
            unsafe { wstatus.write(status.into_raw()) };
        }
        Ok(())
    })
}
