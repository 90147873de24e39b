//! The child between `clone` and `execve`.
//!
//! The child is a copy of a process with many threads, so locks may be held that nobody in it will
//! ever release: from `clone` on it makes bare system calls only, allocates nothing and never
//! panics. Everything it needs is made before.
//!
//! It shares the *descriptor table* of the thread that clones it. So the listener that
//! `seccomp(2)` gives the child is that thread's too, under the same number, and the child has
//! nothing to send: between its filter and its `execve` stands no system call at all. `execve`
//! then gives the child a table of its own.

use super::process::Handle;
use super::signals::{self, SignalMask};
use super::{check, fd, guard, seccomp, Errno, Result};
use std::ffi::{c_char, CStr, CString};
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

/// What the child is to do.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Where the program may be; the first that can be executed is.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    /// Where to go before the program is looked for.
    pub(crate) directory: Option<CString>,
    pub(crate) program: Vec<libc::sock_filter>,
    /// For `seccomp(2)`.
    pub(crate) filter_flags: libc::c_ulong,
    pub(crate) no_new_privs: bool,
    /// Die with the thread that clones.
    pub(crate) die_with_parent: bool,
    /// What else kills the child as long as it may hold its listener; see [`guard`].
    pub(crate) guard: Option<RawFd>,
    /// The signals the program is to have blocked.
    pub(crate) mask: SignalMask,
}

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

const STARTING: u32 = 0;
const INSTALLING: u32 = 1;
const LISTENING: u32 = 2;
const FAILED: u32 = 3;

#[derive(Debug)]
#[repr(C)]
struct Words {
    state: AtomicU32,
    stage: AtomicU32,
    value: AtomicI32,
    exec_errno: AtomicI32,
}

/// A page of memory that stays shared with the child when the rest of memory is copied.
#[derive(Debug)]
pub(crate) struct Page(NonNull<Words>);

// SAFETY: the page is atomics only.
unsafe impl Send for Page {}
// SAFETY: the page is atomics only.
unsafe impl Sync for Page {}

impl Page {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: a new mapping, wherever there is room.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Words>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(address.cast()) {
            Some(words) if address != libc::MAP_FAILED => Ok(Page(words)),
            _ => Err(Errno::last()),
        }
    }

    fn words(&self) -> &Words {
        // SAFETY: mapped until the drop, page-aligned, and all zeroes at first.
        unsafe { self.0.as_ref() }
    }

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
        let limit = super::fd::timespec(limit);
        // SAFETY: the word and the time limit live across the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.words().state.as_ptr(),
                libc::FUTEX_WAIT, // not private: the other side is another process
                STARTING,
                &raw const limit,
            );
        }
    }

    /// The error of the child's `execve`, once it has failed.
    pub(crate) fn exec_error(&self) -> Option<Errno> {
        match self.words().exec_errno.load(Ordering::Acquire) {
            0 => None,
            errno => Some(Errno(errno)),
        }
    }

    /// For the child, as long as it has no filter.
    fn tell(&self, state: u32) {
        self.words().state.store(state, Ordering::Release);
        // SAFETY: the kernel uses the address as a key only.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.words().state.as_ptr(),
                libc::FUTEX_WAKE,
                1,
            );
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, with this length, and used by nobody any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Words>()) };
    }
}

/// Pointers to each string, and the null that ends them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let ends = std::iter::once(std::ptr::null());
    strings.iter().map(|s| s.as_ptr()).chain(ends).collect()
}

/// What [`child`] needs besides the [`Launch`], made before the clone.
struct Prepared<'a> {
    launch: &'a Launch,
    page: &'a Page,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    filter: libc::sock_fprog,
    ignored: u64,
    parent: libc::pid_t,
}

/// Starts the child, which tells through `page` how it fares. The calling thread's descriptor
/// table must be its own, and its signals blocked.
///
/// The bare `clone` runs none of the C library's fork handlers, which may want locks.
pub(crate) fn start(launch: &Launch, page: &Page) -> Result<Handle> {
    let prepared = Prepared {
        launch,
        page,
        argv: pointers(&launch.argv),
        envp: pointers(&launch.envp),
        filter: seccomp::fprog(&launch.program)?,
        ignored: signals::ignored(),
        // SAFETY: no arguments.
        parent: unsafe { libc::getpid() },
    };
    let flags = (libc::CLONE_FILES | libc::SIGCHLD) as libc::c_ulong;
    let mut pidfd = -1;
    let mut pid = clone(flags | libc::CLONE_PIDFD as libc::c_ulong, &mut pidfd);
    // Before Linux 5.2 the flag means nothing; some sandboxes know flags that mean something only.
    if matches!(pid, Err(Errno(libc::EINVAL | libc::EPERM | libc::ENOSYS))) {
        pid = clone(flags, &mut pidfd);
    }
    let pid = pid? as libc::pid_t;
    if pid == 0 {
        child(&prepared);
    }
    let pidfd = (pidfd >= 0).then(|| fd::own(pidfd.into()));
    let pidfd = pidfd.or_else(|| super::pidfd::open(pid, 0).ok());
    Ok(Handle::new(pid, pidfd))
}

/// `clone(2)`: goes on in the parent, with the child's id and descriptor, and in the child, which
/// must do nothing but [`child`].
fn clone(flags: libc::c_ulong, pidfd: &mut libc::c_int) -> Result<libc::c_long> {
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

/// The child's life, up to the program's.
fn child(prepared: &Prepared<'_>) -> ! {
    let page = prepared.page;
    let path = match get_ready(prepared) {
        Ok(path) => path,
        Err((stage, errno)) => fail(page, stage, errno),
    };
    page.tell(INSTALLING);
    let listener =
        match seccomp::set_mode_filter_raw(&prepared.filter, prepared.launch.filter_flags) {
            Ok(listener) => listener,
            Err(errno) => fail(page, Stage::Filter, errno),
        };
    // From here on every system call may wait for the supervisor, who has no listener yet.
    page.words().value.store(listener as i32, Ordering::Relaxed);
    page.words().state.store(LISTENING, Ordering::Release);
    // SAFETY: the strings are NUL-terminated and the arrays end with null.
    let failed = check(unsafe {
        libc::syscall(
            libc::SYS_execve,
            path.as_ptr(),
            prepared.argv.as_ptr(),
            prepared.envp.as_ptr(),
        )
    });
    // A supervisor can also answer the call with a value, as if it had worked.
    let errno = failed.err().unwrap_or(Errno(libc::ENOEXEC));
    page.words().exec_errno.store(errno.0, Ordering::Release);
    end()
}

/// All that comes before the filter. Gives the program to execute.
fn get_ready<'a>(prepared: &Prepared<'a>) -> std::result::Result<&'a CStr, (Stage, Errno)> {
    let launch = prepared.launch;
    signals::reset(prepared.ignored);
    if launch.die_with_parent {
        die_with(prepared.parent).map_err(|errno| (Stage::Parent, errno))?;
    }
    if let Some(end) = launch.guard {
        guard::arm(end).map_err(|errno| (Stage::Parent, errno))?;
    }
    if let Some(directory) = &launch.directory {
        // SAFETY: a NUL-terminated string.
        check(unsafe { libc::syscall(libc::SYS_chdir, directory.as_ptr()) })
            .map_err(|errno| (Stage::Directory, errno))?;
    }
    let path = find(&launch.candidates).map_err(|errno| (Stage::Program, errno))?;
    if launch.no_new_privs {
        seccomp::set_no_new_privs().map_err(|errno| (Stage::NoNewPrivs, errno))?;
    }
    launch.mask.set_bare();
    Ok(path)
}

fn die_with(parent: libc::pid_t) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe {
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_PDEATHSIG,
            libc::SIGKILL,
            0,
            0,
            0,
        )
    })?;
    // SAFETY: no arguments.
    let now = unsafe { libc::syscall(libc::SYS_getppid) } as libc::pid_t;
    // 0 is a parent outside this pid namespace.
    if now != parent && now != 0 {
        end();
    }
    Ok(())
}

/// The first candidate that can be executed, by the rules of `execvp(3)`.
fn find(candidates: &[CString]) -> Result<&CStr> {
    let mut denied = Errno(libc::ENOENT);
    for path in candidates {
        match check_program(path) {
            Ok(()) => return Ok(path),
            Err(Errno(
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT,
            )) => {}
            Err(errno @ Errno(libc::EACCES)) => denied = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(denied)
}

/// What `execve` would say to this file, as far as can be told without doing it.
fn check_program(path: &CStr) -> Result<()> {
    // SAFETY: plain integers, for which zero is a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated and the structure ours.
    let looked = check(unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            libc::STATX_TYPE,
            &raw mut found,
        )
    });
    match looked {
        Ok(_) if u32::from(found.stx_mode) & libc::S_IFMT != libc::S_IFREG => {
            return Err(Errno(libc::EACCES))
        }
        Ok(_) => {}
        Err(errno) if refused(errno) => {}
        Err(errno) => return Err(errno),
    }
    // By the effective ids, as `execve` does (Linux 5.8), else by the real ones.
    // SAFETY: the path is NUL-terminated.
    let may = check(unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::X_OK,
            libc::AT_EACCESS,
        )
    });
    let may = match may {
        Err(errno) if refused(errno) => {
            // SAFETY: the path is NUL-terminated.
            check(unsafe {
                libc::syscall(
                    libc::SYS_faccessat,
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    libc::X_OK,
                )
            })
        }
        may => may,
    };
    may.map(drop)
}

/// Whether a call is not there, or a sandbox around us thinks that it is not.
fn refused(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOSYS | libc::EPERM)
}

fn fail(page: &Page, stage: Stage, errno: Errno) -> ! {
    page.words().stage.store(stage as u32, Ordering::Relaxed);
    page.words().value.store(errno.0, Ordering::Relaxed);
    page.tell(FAILED);
    end()
}

/// Ends the child; by an illegal instruction when a supervisor does not let it exit.
fn end() -> ! {
    loop {
        // SAFETY: ends the process, or does nothing.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
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
