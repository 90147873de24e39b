//! A program from its start to its end: the mirror of `serve.rs`.

use super::boundary::{call, shared, unotify_status};
use super::filter::unotify_filter;
use super::spawn::{prepare, unotify_spawn_opts};
use super::supervisor::unotify_supervisor;
use crate::error::Result;
use crate::serve::exit_like;
use crate::spawn::Spawn;
use crate::supervisor::Supervisor;
use std::ffi::{c_char, c_int};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Starts the program `file` as unotify_spawn() does, serves it on this thread until it and all
/// that it has started have ended, and gives its status, in the form of `waitpid(2)`, to `wstatus`
/// unless that is NULL. Other listeners are served too, and this returns when the last has closed,
/// with `UNOTIFY_SUPERVISOR_KEEP_RUNNING` when stopped. The program's listener has no data (NULL).
///
/// Errors: those of unotify_spawn(), but `ECANCELED`, which is the program's end; with the `errno` of
/// `execve` also when a handler refused that call; those of unotify_supervisor_run(), so
/// `UNOTIFY_ERR_STOPPED` when stopped before the program has ended: it was killed and waited for
/// then; what it has started remains.
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
    // SAFETY: the promises are this function's.
    call(|| unsafe {
        run(
            supervisor,
            filter,
            file,
            argv,
            envp,
            opts,
            wstatus,
            Supervisor::run_program,
        )
    })
}

/// unotify_supervisor_run_program() for a process that is there for the program alone, as `env(1)`
/// is. **Until it returns it catches** `SIGINT`, `SIGQUIT`, `SIGTERM`, `SIGHUP` and `SIGTSTP` where
/// they have their default. What the terminal sends is left to the program, what other processes
/// send is sent on, and a second `SIGTERM` kills it; this process stops and goes on with it. See
/// "Standing in for a program" in unotify(7). unotify_exit_like() is to follow.
///
/// Errors: as there; `UNOTIFY_ERR_INVALID_ARGUMENT` while another thread is at the same.
///
/// # Safety
/// As for `unotify_supervisor_run_program`.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_stand_in_for(
    supervisor: *mut unotify_supervisor,
    filter: *const unotify_filter,
    file: *const c_char,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    opts: *const unotify_spawn_opts,
    wstatus: *mut c_int,
) -> unotify_status {
    // SAFETY: the promises are this function's.
    call(|| unsafe {
        run(
            supervisor,
            filter,
            file,
            argv,
            envp,
            opts,
            wstatus,
            Supervisor::stand_in_for,
        )
    })
}

/// # Safety
/// As for `unotify_supervisor_run_program`.
#[allow(clippy::too_many_arguments)] // those of the functions above, and which of them
unsafe fn run(
    supervisor: *mut unotify_supervisor,
    filter: *const unotify_filter,
    file: *const c_char,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    opts: *const unotify_spawn_opts,
    wstatus: *mut c_int,
    how: fn(&Supervisor, &mut Spawn<'_>) -> Result<ExitStatus>,
) -> Result<()> {
    // SAFETY: `supervisor` is NULL or a live handle, as promised.
    let supervisor = unsafe { shared(supervisor, "supervisor") }?;
    // SAFETY: they are what `unotify_spawn` takes, as promised.
    let mut spawn = unsafe { prepare(filter, file, argv, envp, opts) }?;
    let status = how(&supervisor.0, &mut spawn)?;
    if !wstatus.is_null() {
        // SAFETY: not null, so valid for writing, as promised.
        unsafe { wstatus.write(status.into_raw()) };
    }
    Ok(())
}

/// Ends the calling process, as `exit(3)` does, like one with this `waitpid(2)` status: with its exit
/// status, or killed by its signal; with 128 and the signal's number where that cannot be.
#[no_mangle]
pub extern "C" fn unotify_exit_like(wstatus: c_int) -> ! {
    exit_like(ExitStatus::from_raw(wstatus))
}
