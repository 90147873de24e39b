//! `unotify_spawn` and `unotify_child`: the mirror of `spawn/`.

use super::boundary::{
    c_str, call, infallible, invalid, options, reclaim, shared, slice, unotify_status, Options, Out,
};
use super::filter::unotify_filter;
use super::listener::{lent_fd, time_limit, unotify_listener};
use crate::error::Result;
use crate::listener::Listener;
use crate::load::LoadFlags;
use crate::lock::lock;
use crate::spawn::{Child, Spawn};
use std::ffi::{c_char, c_int, CString, OsStr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::ptr::null;
use std::sync::Mutex;

/// The child is killed (`SIGKILL`) when the calling process ends, however it ends.
pub const UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH: u32 = 1 << 0;
/// It and all it starts are in a pid namespace, killed likewise. This takes `CAP_SYS_ADMIN`.
pub const UNOTIFY_SPAWN_PID_NAMESPACE: u32 = 1 << 1;

/// A descriptor for the program. All are put in place at once, and may be each other's numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_fd_map {
    /// The caller's descriptor, close-on-exec or not.
    pub parent_fd: c_int,
    /// Its number in the program: 0, 1 and 2 are the standard streams.
    pub child_fd: c_int,
}

/// How to start a program. By default in the caller's directory, with what is not close-on-exec.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_spawn_opts {
    /// `sizeof(unotify_spawn_opts)`.
    pub size: usize,
    /// `UNOTIFY_LOAD_*`, but for `UNOTIFY_LOAD_TSYNC`.
    pub load_flags: u32,
    /// `UNOTIFY_SPAWN_*`.
    pub flags: u32,
    /// Where it starts; `file` and `PATH` may be relative to it.
    pub working_directory: *const c_char,
    /// Descriptors for it; the last for a number counts.
    pub fds: *const unotify_fd_map,
    /// How many there are at `fds`.
    pub n_fds: usize,
}

// SAFETY: `repr(C)`, begins with the size, integers and raw pointers only, no padding.
unsafe impl Options for unotify_spawn_opts {
    const NAME: &'static str = "unotify_spawn_opts";

    fn zeroed() -> Self {
        unotify_spawn_opts {
            size: size_of::<Self>(),
            load_flags: 0,
            flags: 0,
            working_directory: null(),
            fds: null(),
            n_fds: 0,
        }
    }
}

/// A program that was started. One thread can kill it while another waits.
#[derive(Debug)]
pub struct unotify_child {
    child: Child,
    listener: Mutex<Option<Listener>>,
}

/// Starts the program `file` under a filter, which acts from the program's own `execve` on and may
/// notify every call. A name without a slash is looked up in the caller's `PATH`. `argv` and `envp`
/// are as for `execve(2)`, but an `envp` of NULL is the caller's environment, which no other thread
/// may change meanwhile. `opts` may be NULL. Returns when the program runs, or when its `execve`
/// waits for the supervisor: for a failure after that see unotify_child_exec_error(). The child
/// must be waited for, by unotify_child_wait(), or since Linux 6.11 by `waitpid(2)`: before, the
/// library may have done so. What it inherits is in "Starting a program" in unotify(7).
///
/// Errors, after which neither child nor descriptor is left over: with the `errno` of `execve`,
/// `UNOTIFY_ERR_SYSTEM` when the program is not found or of an unknown format and
/// `UNOTIFY_ERR_PERMISSION` when it may not be executed; with that of `chdir` for the working
/// directory; `UNOTIFY_ERR_PERMISSION` for a pid namespace without `CAP_SYS_ADMIN`;
/// `UNOTIFY_ERR_BUSY` when the calling thread has a filter with a listener, which is inherited;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` without `argv[0]`; others of unotify_filter_load();
/// `UNOTIFY_ERR_SYSTEM` or `UNOTIFY_ERR_NO_MEMORY` without room for a process or thread; with
/// `ECANCELED` when a signal has killed it before its `execve`.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `file` is NULL or a string; `argv`
/// and `envp` are NULL or arrays of strings that end with NULL; `opts` is NULL or as long as it
/// says, its string and array valid; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_spawn(
    filter: *const unotify_filter,
    file: *const c_char,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    opts: *const unotify_spawn_opts,
    out: *mut *mut unotify_child,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: all of them are what it takes, as promised.
        let mut spawn = unsafe { prepare(filter, file, argv, envp, opts) }?;
        let mut child = spawn.spawn()?;
        let listener = Mutex::new(child.take_listener());
        out.put_boxed(unotify_child { child, listener });
        Ok(())
    })
}

/// What was asked for, ready to be started.
///
/// # Safety
/// As `unotify_spawn`, until the result is dropped.
pub(super) unsafe fn prepare<'a>(
    filter: *const unotify_filter,
    file: *const c_char,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    opts: *const unotify_spawn_opts,
) -> Result<Spawn<'a>> {
    // SAFETY: `filter` is NULL or a live handle; `opts` is NULL or as long as its `size`, as
    // promised.
    let (filter, opts) = unsafe { (shared(filter, "filter")?, options(opts)?) };
    // SAFETY: `file` is NULL or a string, as promised.
    let file = unsafe { c_str(file, "file") }?;
    // SAFETY: `argv` is NULL or an array of strings that ends with NULL, as promised.
    let argv = unsafe { strings(argv, "argv") }?;
    let Some((argv0, args)) = argv.split_first() else {
        return Err(invalid("`argv` is empty: argv[0] is the program's name"));
    };
    let mut spawn = Spawn::new(&filter.context, OsStr::from_bytes(file.to_bytes()));
    spawn.argv0(OsStr::from_bytes(argv0.to_bytes()));
    spawn.args(args.iter().map(|arg| OsStr::from_bytes(arg.to_bytes())));
    if !envp.is_null() {
        // SAFETY: `envp` is NULL or an array of strings that ends with NULL, as promised.
        spawn.env_exact(unsafe { strings(envp, "envp") }?);
    }
    // SAFETY: what `opts` points to is valid, as promised.
    unsafe { apply(&mut spawn, &opts) }?;
    Ok(spawn)
}

/// # Safety
/// The string and the array of `opts` are valid; no descriptor in it is closed before `spawn` is
/// dropped.
unsafe fn apply(spawn: &mut Spawn<'_>, opts: &unotify_spawn_opts) -> Result<()> {
    let load_flags = LoadFlags::from_bits(opts.load_flags).ok_or_else(|| {
        let unknown = opts.load_flags & !LoadFlags::all().bits();
        invalid(format!(
            "`unotify_spawn_opts.load_flags` has unknown bits {unknown:#x}"
        ))
    })?;
    let known = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH | UNOTIFY_SPAWN_PID_NAMESPACE;
    let unknown = opts.flags & !known;
    if unknown != 0 {
        return Err(invalid(format!(
            "`unotify_spawn_opts.flags` has unknown bits {unknown:#x}"
        )));
    }
    spawn
        .load_flags(load_flags)
        .kill_on_parent_death(opts.flags & UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH != 0)
        .pid_namespace(opts.flags & UNOTIFY_SPAWN_PID_NAMESPACE != 0);
    if !opts.working_directory.is_null() {
        // SAFETY: `opts.working_directory` is NULL or a string, as promised.
        let directory = unsafe { c_str(opts.working_directory, "working_directory") }?;
        spawn.current_dir(OsStr::from_bytes(directory.to_bytes()));
    }
    // SAFETY: `opts.fds` is valid for reading `opts.n_fds` of them, as promised.
    for map in unsafe { slice(opts.fds, opts.n_fds, "fds") }? {
        // SAFETY: it is not closed before `spawn` is dropped, as promised.
        spawn.fd(map.child_fd, unsafe {
            lent_fd(map.parent_fd, "parent_fd")
        }?);
    }
    Ok(())
}

/// The strings of an array that ends with NULL.
///
/// # Safety
/// `array` is NULL or such an array.
unsafe fn strings(array: *const *mut c_char, name: &str) -> Result<Vec<CString>> {
    if array.is_null() {
        return Err(invalid(format!("`{name}` is null")));
    }
    let mut strings = Vec::new();
    loop {
        // SAFETY: the array has not ended before this place.
        let string = unsafe { array.add(strings.len()).read() };
        if string.is_null() {
            return Ok(strings);
        }
        // SAFETY: `string` is one, as promised of all in the array.
        strings.push(unsafe { c_str(string, name) }?.to_owned());
    }
}

/// The child's process id, which may name another process once it was waited for; -1 for NULL.
///
/// # Safety
/// `child` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_pid(child: *const unotify_child) -> libc::pid_t {
    infallible(-1, || {
        // SAFETY: `child` is NULL or a live handle, as promised.
        unsafe { child.as_ref() }.map_or(-1, |c| c.child.pid())
    })
}

/// A descriptor for the process (a pidfd), which remains the child's and polls readable when it has
/// ended; -1 for NULL, or with `errno` when there is none: `ENOSYS` before Linux 5.2.
///
/// # Safety
/// `child` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_pidfd(child: *const unotify_child) -> c_int {
    let mut fd = -1;
    call(|| {
        // SAFETY: `child` is NULL or a live handle, as promised.
        let child = unsafe { shared(child, "child") }?;
        fd = child.child.pidfd()?.as_raw_fd();
        Ok(())
    });
    fd
}

/// Hands out the child's listener. If nobody takes it, it is freed with the child.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it was taken before.
///
/// # Safety
/// `child` is NULL or a live handle; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_take_listener(
    child: *mut unotify_child,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: `child` is NULL or a live handle; `out` is NULL or valid for writing, as
        // promised.
        let (child, out) = unsafe { (shared(child, "child")?, Out::new(out, "out")?) };
        let mut listener = lock(&child.listener);
        match listener.take() {
            Some(listener) => out.put_boxed(unotify_listener(listener)),
            None => return Err(invalid("the child's listener was taken before")),
        }
        Ok(())
    })
}

/// Waits for the child to end, and gives its status, in the form of `waitpid(2)`, to `wstatus`
/// unless that is NULL; again if called again. Others must answer its notifications meanwhile.
///
/// Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_SYSTEM` with `ECHILD` when it was waited for
/// elsewhere, or `SIGCHLD` ignored.
///
/// # Safety
/// `child` is NULL or a live handle; `wstatus` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_wait(
    child: *mut unotify_child,
    timeout_ms: c_int,
    wstatus: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `child` is NULL or a live handle, as promised.
        let child = &unsafe { shared(child, "child") }?.child;
        let status = match time_limit(timeout_ms)? {
            Some(limit) => child.wait_timeout(limit)?,
            None => child.wait()?,
        };
        if !wstatus.is_null() {
            // SAFETY: not null, so valid for writing, as promised.
            unsafe { wstatus.write(status.into_raw()) };
        }
        Ok(())
    })
}

/// Sends the child a signal, never another process that got the same id; 0 only asks for the child.
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with `ESRCH` when it was waited for; `UNOTIFY_ERR_PERMISSION` when
/// it became another user's.
///
/// # Safety
/// `child` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_kill(
    child: *mut unotify_child,
    sig: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `child` is NULL or a live handle, as promised.
        unsafe { shared(child, "child") }?.child.kill(sig)
    })
}

/// The error number of the child's `execve`, if it failed after unotify_spawn() had returned:
/// because the supervisor refused the call, or continued it and the kernel refused. The child then
/// exits with status 127, or dies by `SIGILL` if it may not exit. Else 0, so far; also for NULL.
///
/// # Safety
/// `child` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_exec_error(child: *const unotify_child) -> c_int {
    infallible(0, || {
        // SAFETY: `child` is NULL or a live handle, as promised.
        unsafe { child.as_ref() }
            .and_then(|c| c.child.exec_error())
            .unwrap_or(0)
    })
}

/// Frees the handle, and the listener if nobody took it: the child's pending and later notifying
/// calls fail with `ENOSYS` then. Neither kills the child nor waits for it.
///
/// # Safety
/// `child` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_child_free(child: *mut unotify_child) {
    // SAFETY: `child` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(child) }));
}
