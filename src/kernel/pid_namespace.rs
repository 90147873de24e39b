//! A pid namespace for what the calling thread starts, whose first process does nothing but reap.
//!
//! When the first process of a pid namespace ends, the kernel kills all others in it, whatever they have
//! become and whoever their parents are. That first process is tied to the thread that starts it
//! (`PR_SET_PDEATHSIG`), and changes nothing about itself that would undo that. A program is not it, for
//! the kernel keeps from such a process all signals that it does not handle, `^C` among them: it is the
//! next one, and the child of this process all the same.

use super::{check, fd, fd_table, retry, Result};
use std::os::fd::{AsRawFd, RawFd};

/// The first process of a namespace. It ends with the thread that has begun it.
#[derive(Debug)]
pub(crate) struct PidNamespace {
    init: libc::pid_t,
}

/// Says that the first process is to end when all others have.
const FINISH: libc::c_int = libc::SIGUSR1;

/// Puts what the calling thread starts from here on into a new namespace. The thread's descriptor
/// table must be its own, and its signals blocked; it can start no further thread. `EPERM` without
/// `CAP_SYS_ADMIN`.
pub(crate) fn begin() -> Result<PidNamespace> {
    let (closed, open) = fd_table::pipe()?;
    // SAFETY: integers only.
    check(unsafe { libc::unshare(libc::CLONE_NEWPID) }.into())?;
    // No signal tells of its end, so that only who asks for such children finds it.
    // SAFETY: without CLONE_VM the child runs on in a copy of this memory, as after a fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0usize, 0usize, 0usize, 0usize, 0usize) };
    let pid = check(pid)?;
    if pid == 0 {
        live(open.as_raw_fd());
    }
    let init = pid as libc::pid_t;
    drop(open);
    // Until it holds none of the descriptors that its table was copied with.
    let mut byte = 0u8;
    let end = retry(|| {
        // SAFETY: the byte is ours.
        check(unsafe { libc::read(closed.as_raw_fd(), (&raw mut byte).cast(), 1) } as libc::c_long)
    });
    end.map(|_| PidNamespace { init })
}

impl PidNamespace {
    /// Waits until every process in it has ended. Those whose parents have are reaped.
    pub(crate) fn finish(self) {
        // SAFETY: integers only; it is a child of this process, reaped by nobody else.
        unsafe { libc::kill(self.init, FINISH) };
        self.reap();
    }

    /// Kills every process in it.
    pub(crate) fn kill(self) {
        // SAFETY: as above.
        unsafe { libc::kill(self.init, libc::SIGKILL) };
        self.reap();
    }

    fn reap(self) {
        let _ = retry(|| {
            // SAFETY: no status is asked for.
            check(unsafe { libc::waitpid(self.init, std::ptr::null_mut(), libc::__WALL) }.into())
        });
    }
}

/// The life of the first process: a copy of a process with many threads, so it makes bare system calls
/// only.
fn live(open: RawFd) -> ! {
    const ALL: [u64; 2] = [u64::MAX; 2];
    let set = super::signals::KERNEL_SET;
    let mut awaited = [0u64; 2];
    awaited[0] = (1 << (libc::SIGCHLD - 1)) | (1 << (FINISH - 1));
    fd_table::close_all_but(Some(open));
    // SAFETY: integers, strings, and sets that are as long as the kernel is told.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ALL.as_ptr(),
            0usize,
            set,
        );
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_PDEATHSIG,
            libc::SIGKILL,
            0,
            0,
            0,
        );
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_NAME,
            c"unotify-init".as_ptr(),
            0,
            0,
            0,
        );
        // Neither a terminal's job nor in anybody's directory.
        libc::syscall(libc::SYS_setsid);
        libc::syscall(libc::SYS_chdir, c"/".as_ptr());
    }
    let mut finishing = has_hung_up(open);
    fd_table::close(open);
    loop {
        // SAFETY: no status is asked for.
        let reaped = unsafe {
            libc::syscall(
                libc::SYS_wait4,
                -1,
                0usize,
                libc::WNOHANG | libc::__WALL,
                0usize,
            )
        };
        if reaped > 0 {
            continue;
        }
        if reaped < 0 && finishing {
            // SAFETY: ends the process.
            unsafe { libc::syscall(libc::SYS_exit_group, 0) };
        }
        // SAFETY: the set is as long as the kernel is told; nothing else is asked for.
        let signal = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                awaited.as_ptr(),
                0usize,
                0usize,
                set,
            )
        };
        finishing |= signal == libc::c_long::from(FINISH);
    }
}

/// Whether nobody reads from a pipe any more: who has started this process was killed before it was tied.
fn has_hung_up(end: RawFd) -> bool {
    let mut entry = libc::pollfd {
        fd: end,
        events: 0,
        revents: 0,
    };
    let now = fd::timespec(std::time::Duration::ZERO);
    // SAFETY: one entry, a time limit, no set of signals; all live across the call.
    unsafe {
        libc::syscall(
            libc::SYS_ppoll,
            &raw mut entry,
            1usize,
            &raw const now,
            0usize,
            0usize,
        ) > 0
    }
}
