//! The child between `clone` and `execve`.
//!
//! The child has come out of a process with many threads, so locks may be held that nobody in it will
//! ever release; and it shares the memory of these threads where that can be ([`room`](super::room)).
//! So from `clone` on it makes bare system calls only, which leave `errno` alone, allocates nothing,
//! never panics, and uses nothing that is not in its room. All of it is made before.
//!
//! It shares the *descriptor table* of the thread that clones it. So the listener that
//! `seccomp(2)` gives the child is that thread's too, under the same number, and the child has
//! nothing to send: between its filter and its `execve` stands no system call at all. `execve`
//! then gives the child a table of its own.

use super::clone;
use super::process::Handle;
use super::room::{Head, Launch, Plan, Room, Words, FAILED, INSTALLING, LISTENING, STARTING};
use super::syscall::syscall;
use super::{check, fd, futex, guard, seccomp, signals, version, Errno, Result};
use std::ffi::c_char;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    Parent,
    Directory,
    Program,
    NoNewPrivs,
    Filter,
}

impl Stage {
    const ALL: [Stage; 5] = [
        Stage::Parent,
        Stage::Directory,
        Stage::Program,
        Stage::NoNewPrivs,
        Stage::Filter,
    ];
}

/// How far a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It gets ready. Sleep until it tells.
    Starting,
    /// It is installing the filter and will tell without a system call. Look again at once.
    Installing,
    /// The listener has this number in the table shared with it.
    Listening(i32),
    /// It has failed, without a filter, and is ending.
    Failed(Stage, Errno),
}

impl Room {
    /// How far the child has come.
    pub(crate) fn progress(&self) -> Progress {
        let words = self.words();
        let state = words.state.load(Ordering::Acquire);
        let value = words.value.load(Ordering::Relaxed);
        match state {
            STARTING => Progress::Starting,
            INSTALLING => Progress::Installing,
            LISTENING => Progress::Listening(value),
            _ => {
                let stage = words.stage.load(Ordering::Relaxed);
                let stage = Stage::ALL.into_iter().find(|s| *s as u32 == stage);
                Progress::Failed(stage.unwrap_or(Stage::Filter), Errno(value))
            }
        }
    }

    /// Sleeps while the child gets ready, at most for `limit`; may return early.
    pub(crate) fn sleep_while_starting(&self, limit: Duration) {
        futex::wait_shared(&self.words().state, STARTING, Some(limit));
    }

    /// The error of the child's `execve`, once it has failed.
    pub(crate) fn exec_error(&self) -> Option<Errno> {
        match self.words().exec_errno.load(Ordering::Acquire) {
            0 => None,
            errno => Some(Errno(errno)),
        }
    }
}

/// How the memory of this process comes to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// It is shared, and the child is born without handlers.
    Shared,
    /// It is shared, and the child puts the handlers away.
    SharedWithHandlers,
    /// It is copied.
    Copied,
}

/// Starts the child, which tells in its room how it fares. The calling thread's descriptor table
/// must be its own, and its signals blocked.
///
/// The bare `clone` runs none of the C library's fork handlers, which may want locks.
pub(crate) fn start(launch: &Launch) -> Result<(Handle, Room)> {
    const ALL: [Memory; 3] = [Memory::Shared, Memory::SharedWithHandlers, Memory::Copied];
    let tries = if can_be_shared() { &ALL } else { &ALL[2..] };
    let mut refusal = Errno(libc::ENOSYS);
    for &memory in tries {
        match start_with(launch, memory) {
            // What sandboxes and emulators say to flags that they do not like.
            Err(errno @ Errno(libc::EINVAL | libc::EPERM | libc::ENOSYS)) => refusal = errno,
            other => return other,
        }
    }
    Err(refusal)
}

/// Whether this kernel lets a child die in memory that others use. See [`room`](super::room).
fn can_be_shared() -> bool {
    clone::POSSIBLE && version::is_surely_at_least(5, 16)
}

fn start_with(launch: &Launch, memory: Memory) -> Result<(Handle, Room)> {
    let mut room = Room::new(launch, memory == Memory::Copied)?;
    let plan = room.plan_mut();
    if memory != Memory::Shared {
        plan.ignored = Some(signals::ignored());
    }
    if launch.die_with_parent {
        // SAFETY: no arguments.
        plan.dies_with = Some(unsafe { libc::getpid() });
    }
    let (pid, pidfd) = match memory {
        Memory::Copied => copy(&room)?,
        _ => share(&room, memory)?,
    };
    let pidfd = (pidfd >= 0).then(|| fd::own(pidfd.into()));
    let pidfd = pidfd.or_else(|| super::pidfd::open(pid, 0).ok());
    Ok((Handle::new(pid, pidfd), room))
}

/// Starts the child in its room, in this process's memory. Its id and its descriptor.
fn share(room: &Room, memory: Memory) -> Result<(libc::pid_t, libc::c_int)> {
    let flags = libc::CLONE_VM
        | libc::CLONE_FILES
        | libc::CLONE_PIDFD
        | libc::CLONE_SETTLS
        | libc::CLONE_CHILD_CLEARTID;
    let mut task = room.task(live_here);
    task.flags = flags as u32 as u64;
    task.exit_signal = libc::SIGCHLD;
    room.let_to(true);
    // SAFETY: the room stays until the kernel says that the child has left, and the body uses nothing
    // else. No signal is delivered before the handlers are gone.
    let started = unsafe {
        if memory == Memory::Shared {
            task.flags |= clone::CLONE_CLEAR_SIGHAND;
            clone::clone3(&task)
        } else {
            signals::held(|| clone::clone(&task))
        }
    };
    if started.is_err() {
        room.let_to(false);
    }
    started
}

/// Starts the child in a copy of this process's memory. Its id and, or -1, its descriptor.
fn copy(room: &Room) -> Result<(libc::pid_t, libc::c_int)> {
    let flags = (libc::CLONE_FILES | libc::SIGCHLD) as libc::c_ulong;
    let mut pidfd = -1;
    let mut pid = fork(flags | libc::CLONE_PIDFD as libc::c_ulong, &mut pidfd);
    // Before Linux 5.2 the flag means nothing; some sandboxes know flags that mean something only.
    if matches!(pid, Err(Errno(libc::EINVAL | libc::EPERM | libc::ENOSYS))) {
        pid = fork(flags, &mut pidfd);
    }
    let pid = pid? as libc::pid_t;
    if pid == 0 {
        live(room.head());
    }
    Ok((pid, pidfd))
}

/// `clone(2)`: goes on in the parent, with the child's id and descriptor, and in the child, which
/// must do nothing but [`live`].
fn fork(flags: libc::c_ulong, pidfd: &mut libc::c_int) -> Result<libc::c_long> {
    let (first, second) = if cfg!(target_arch = "s390x") {
        (0, flags)
    } else {
        (flags, 0)
    };
    let pidfd = std::ptr::from_mut(pidfd);
    // SAFETY: without CLONE_VM the child runs on in a copy of this memory, as after a fork. The
    // kernel writes one number, in this process only.
    check(unsafe { libc::syscall(libc::SYS_clone, first, second, pidfd, 0usize, 0usize) })
}

/// [`live`] for a task.
unsafe extern "C" fn live_here(head: *mut u8) -> ! {
    live(head.cast())
}

/// The child's life, up to the program's.
fn live(head: *mut Head) -> ! {
    // SAFETY: the room stays for as long as the child is in it. The plan is written by nobody, the
    // words are atomics.
    let (plan, words) = unsafe { (&(*head).plan, &(*head).words) };
    let path = match get_ready(plan) {
        Ok(path) => path,
        Err((stage, errno)) => fail(words, stage, errno),
    };
    tell(words, INSTALLING);
    let listener = match seccomp::set_mode_filter_raw(&plan.filter, plan.filter_flags) {
        Ok(listener) => listener,
        Err(errno) => fail(words, Stage::Filter, errno),
    };
    // From here on every system call may wait for the supervisor, who has no listener yet.
    words.value.store(listener as i32, Ordering::Relaxed);
    words.state.store(LISTENING, Ordering::Release);
    let (path, argv, envp) = (path as usize, plan.argv as usize, plan.envp as usize);
    // SAFETY: the strings are NUL-terminated and the arrays end with null.
    let failed = unsafe { syscall(libc::SYS_execve, [path, argv, envp, 0, 0, 0]) };
    // A supervisor can also answer the call with a value, as if it had worked.
    let errno = failed.err().unwrap_or(Errno(libc::ENOEXEC));
    words.exec_errno.store(errno.0, Ordering::Release);
    end()
}

/// For a child that has no filter yet.
fn tell(words: &Words, state: u32) {
    words.state.store(state, Ordering::Release);
    let word = words.state.as_ptr() as usize;
    let wake = libc::FUTEX_WAKE as usize; // not private: the other side may be another memory's
                                          // SAFETY: the kernel uses the address as a key only.
    let _ = unsafe { syscall(libc::SYS_futex, [word, wake, 1, 0, 0, 0]) };
}

/// All that comes before the filter. Gives the program to execute.
fn get_ready(plan: &Plan) -> std::result::Result<*const c_char, (Stage, Errno)> {
    match plan.ignored {
        Some(ignored) => signals::reset(ignored),
        None => signals::unignore_sigpipe(),
    }
    if let Some(parent) = plan.dies_with {
        die_with(parent).map_err(|errno| (Stage::Parent, errno))?;
    }
    if let Some(end) = plan.guard {
        guard::arm(end).map_err(|errno| (Stage::Parent, errno))?;
    }
    if !plan.directory.is_null() {
        // SAFETY: a NUL-terminated string.
        unsafe { syscall(libc::SYS_chdir, [plan.directory as usize, 0, 0, 0, 0, 0]) }
            .map_err(|errno| (Stage::Directory, errno))?;
    }
    let path = find(plan.candidates).map_err(|errno| (Stage::Program, errno))?;
    if plan.no_new_privs {
        seccomp::set_no_new_privs().map_err(|errno| (Stage::NoNewPrivs, errno))?;
    }
    plan.mask.set_bare();
    Ok(path)
}

fn die_with(parent: libc::pid_t) -> Result<()> {
    let (what, signal) = (libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize);
    // SAFETY: integers only.
    unsafe { syscall(libc::SYS_prctl, [what, signal, 0, 0, 0, 0]) }?;
    // SAFETY: no arguments.
    let now = unsafe { syscall(libc::SYS_getppid, [0; 6]) }?;
    // 0 is a parent outside this pid namespace.
    if now != libc::c_long::from(parent) && now != 0 {
        end();
    }
    Ok(())
}

/// The first candidate that can be executed, by the rules of `execvp(3)`.
fn find(mut candidates: *const *const c_char) -> Result<*const c_char> {
    let mut denied = Errno(libc::ENOENT);
    loop {
        // SAFETY: the list ends with null.
        let path = unsafe { *candidates };
        if path.is_null() {
            return Err(denied);
        }
        match check_program(path) {
            Ok(()) => return Ok(path),
            Err(Errno(
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT,
            )) => {}
            Err(errno @ Errno(libc::EACCES)) => denied = errno,
            Err(errno) => return Err(errno),
        }
        // SAFETY: this was not its end.
        candidates = unsafe { candidates.add(1) };
    }
}

/// What `execve` would say to this file, as far as can be told without doing it.
fn check_program(path: *const c_char) -> Result<()> {
    let (here, path) = (libc::AT_FDCWD as usize, path as usize);
    let mut found = std::mem::MaybeUninit::<libc::statx>::uninit();
    let kind = [
        here,
        path,
        0,
        libc::STATX_TYPE as usize,
        found.as_mut_ptr() as usize,
        0,
    ];
    // SAFETY: the path is NUL-terminated and the structure ours.
    match unsafe { syscall(libc::SYS_statx, kind) } {
        Ok(_) => {
            // SAFETY: the kernel has written it.
            let mode = unsafe { (*found.as_ptr()).stx_mode };
            if u32::from(mode) & libc::S_IFMT != libc::S_IFREG {
                return Err(Errno(libc::EACCES));
            }
        }
        Err(errno) if refused(errno) => {}
        Err(errno) => return Err(errno),
    }
    // By the effective ids, as `execve` does (Linux 5.8), else by the real ones.
    let how = [
        here,
        path,
        libc::X_OK as usize,
        libc::AT_EACCESS as usize,
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated.
    let may = match unsafe { syscall(libc::SYS_faccessat2, how) } {
        // SAFETY: as above.
        Err(errno) if refused(errno) => unsafe { syscall(libc::SYS_faccessat, how) },
        may => may,
    };
    may.map(drop)
}

/// Whether a call is not there, or a sandbox around us thinks that it is not.
fn refused(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOSYS | libc::EPERM)
}

fn fail(words: &Words, stage: Stage, errno: Errno) -> ! {
    words.stage.store(stage as u32, Ordering::Relaxed);
    words.value.store(errno.0, Ordering::Relaxed);
    tell(words, FAILED);
    end()
}

/// Ends the child; by an illegal instruction when a supervisor does not let it exit.
fn end() -> ! {
    loop {
        // SAFETY: ends the process, or does nothing.
        let _ = unsafe { syscall(libc::SYS_exit_group, [127, 0, 0, 0, 0, 0]) };
        // SAFETY: raises SIGILL, whose action is the default here.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        unsafe {
            std::arch::asm!("ud2")
        };
        // SAFETY: raises SIGILL, whose action is the default here.
        #[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
        unsafe {
            std::arch::asm!("udf #0")
        };
        // SAFETY: raises SIGILL, whose action is the default here.
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        unsafe {
            std::arch::asm!("unimp")
        };
    }
}
