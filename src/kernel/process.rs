//! Child processes: waiting for them, sending them signals; and what two threads share.

use super::{check, retry, signals, Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Waits until the kernel has let go of a thread of this process that was joined. A moment: the
/// C library wakes the joining thread a little before that.
pub(crate) fn await_thread_end(thread: libc::pid_t) {
    for look in 0..1000 {
        // SAFETY: integers only; signal 0 is not sent, only looked up.
        let gone = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) < 0 };
        if gone {
            return;
        }
        if look < 20 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(10));
        }
    }
}

/// A child of this process: its id and, where the kernel has them, a descriptor that stands for it
/// for ever, while the id is another's once the child was reaped.
#[derive(Debug)]
pub(crate) struct Handle {
    pid: libc::pid_t,
    pidfd: Option<OwnedFd>,
}

impl Handle {
    pub(crate) fn new(pid: libc::pid_t, pidfd: Option<OwnedFd>) -> Self {
        Handle { pid, pidfd }
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Waits for the child to end, and leaves it to be reaped. Retries `EINTR`; `ECHILD` when there
    /// is no such child (any more).
    pub(crate) fn await_end(&self) -> Result<()> {
        self.look(libc::WNOWAIT).map(drop)
    }

    /// Whether the child has ended. It is left to be reaped. `ECHILD` as in [`Handle::await_end`].
    pub(crate) fn has_ended(&self) -> Result<bool> {
        let found = self.look(libc::WNOWAIT | libc::WNOHANG)?;
        Ok(found.is_some())
    }

    /// Reaps a child that has ended and gives its wait status; `None` when it has not ended.
    pub(crate) fn reap(&self) -> Result<Option<i32>> {
        self.look(libc::WNOHANG)
    }

    /// Waits until the child stops, and by which signal; `None` when it has ended. That it has stopped is
    /// told to nobody else then; an end is left to be reaped.
    pub(crate) fn await_stop(&self) -> Result<Option<i32>> {
        loop {
            let seen = self.wait(libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT)?;
            if !matches!(seen, Some((libc::CLD_STOPPED | libc::CLD_TRAPPED, _))) {
                return Ok(None);
            }
            // Somebody else may have been told, or it goes on already.
            if let Some(signal) = self.has_stopped() {
                return Ok(Some(signal));
            }
        }
    }

    /// By which signal the child has stopped; told once.
    pub(crate) fn has_stopped(&self) -> Option<i32> {
        match self.wait(libc::WSTOPPED | libc::WNOHANG) {
            Ok(Some((libc::CLD_STOPPED, signal))) => Some(signal),
            _ => None,
        }
    }

    /// Whether a stop of the child is over: it was told to go on since, which is told once, or has ended.
    pub(crate) fn has_left_stop(&self) -> bool {
        let continued = matches!(self.wait(libc::WCONTINUED | libc::WNOHANG), Ok(Some(_)));
        continued || self.has_ended() != Ok(false)
    }

    fn look(&self, flags: i32) -> Result<Option<i32>> {
        let seen = self.wait(libc::WEXITED | flags)?;
        Ok(seen.map(wait_status))
    }

    fn wait(&self, flags: i32) -> Result<Option<Change>> {
        if let Some(pidfd) = &self.pidfd {
            match wait_for(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, flags) {
                // Before Linux 5.4.
                Err(Errno(libc::EINVAL)) => {}
                found => return found,
            }
        }
        wait_for(libc::P_PID, self.pid as libc::id_t, flags)
    }

    /// Sends a signal (`pidfd_send_signal(2)`, Linux 5.1, else `kill(2)`). By its id only a child
    /// that was not reaped can be meant.
    pub(crate) fn kill(&self, signal: i32) -> Result<()> {
        if let Some(pidfd) = &self.pidfd {
            match kill_by_pidfd(pidfd.as_fd(), signal) {
                Err(Errno(libc::ENOSYS)) => {}
                sent => return sent,
            }
        }
        kill(self.pid, signal)
    }

    /// Kills the child and reaps it. Nothing happens to a process that is not, or no longer, a
    /// child.
    pub(crate) fn put_down(&self) {
        if self.has_ended() == Ok(false) {
            let _ = self.kill(libc::SIGKILL);
        }
        if self.await_end().is_ok() {
            let _ = self.reap();
        }
    }
}

/// Whether the process that a pidfd stands for is a child of this process that has ended and waits
/// to be reaped (`waitid(2)`, Linux 5.4). `EBADF` when it is no pidfd, `ECHILD` when it is not, or
/// no longer, a child.
pub(crate) fn is_zombie(pidfd: BorrowedFd<'_>) -> Result<bool> {
    let flags = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    wait_for(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, flags).map(|found| found.is_some())
}

/// What has become of a child, as `waitid(2)` tells: `CLD_*`, and a signal or an exit status.
type Change = (i32, i32);

/// The end of a child in the form of `waitpid(2)`.
fn wait_status((code, status): Change) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }
}

/// `waitid(2)`. Retries `EINTR`.
fn wait_for(what: libc::idtype_t, id: libc::id_t, flags: i32) -> Result<Option<Change>> {
    // SAFETY: plain bytes, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    retry(|| {
        // SAFETY: `info` is ours.
        check(unsafe { libc::waitid(what, id, &mut info, flags) }.into())
    })?;
    // SAFETY: `waitid` fills the fields in, or leaves their zeroes when there is nothing to tell.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 && info.si_signo == 0 {
        return Ok(None);
    }
    Ok(Some((info.si_code, status)))
}

/// Whether a process is in the process group of this one. Not for one that is gone.
pub(crate) fn is_in_own_group(pid: libc::pid_t) -> bool {
    // SAFETY: integers only.
    unsafe { libc::getpgid(pid) == libc::getpgrp() }
}

/// Whether this process is the leader of its session.
pub(crate) fn leads_session() -> bool {
    // SAFETY: integers only.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// Whether this process's group is the one that its terminal listens to.
pub(crate) fn is_in_foreground() -> bool {
    let flags = libc::O_RDONLY | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: a NUL-terminated string.
    let Ok(fd) = check(unsafe { libc::open(c"/dev/tty".as_ptr(), flags) }.into()) else {
        return false;
    };
    let terminal = super::fd::own(fd);
    // SAFETY: the descriptor is open.
    unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) == libc::getpgrp() }
}

/// Stops this process. Returns when it goes on: the signal is the calling thread's own, so that it
/// does not run on before that.
pub(crate) fn stop_self() {
    raise(libc::SIGSTOP);
}

/// Stops this process as `signal` does, from the terminal, unless that `is_over`. Whether it has done so.
/// The calling thread has all signals blocked.
///
/// The signal comes first, and waits: whoever continues this process before the answer is there takes
/// it back by that, so that none who has been continued stops. Where the process has another use for
/// the signal it is stopped all the same, by `SIGSTOP`, which does not wait.
pub(crate) fn stop_self_by(signal: i32, is_over: impl FnOnce() -> bool) -> bool {
    let waits = signal != libc::SIGSTOP && signals::disposition(signal) == libc::SIG_DFL;
    if waits {
        raise(signal);
    }
    let over = is_over();
    match (waits, over) {
        (true, true) => signals::take_pending(signal),
        (true, false) => signals::unblock(signal).restore(),
        (false, true) => {}
        (false, false) => stop_self(),
    }
    !over
}

/// Sends a signal to the calling thread.
fn raise(signal: i32) {
    // SAFETY: integers only.
    unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            libc::getpid(),
            signals::thread_id(),
            signal,
        )
    };
}

/// `kill(2)`.
pub(crate) fn kill(pid: libc::pid_t, signal: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// `pidfd_send_signal(2)` (Linux 5.1).
pub(crate) fn kill_by_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: without a `siginfo_t`, integers only.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// `KCMP_VM` and `KCMP_FILES` of `kcmp(2)`.
const KCMP_VM: libc::c_int = 1;
const KCMP_FILES: libc::c_int = 2;

/// Whether two threads have the same table of descriptors (`kcmp(2)`). `ENOSYS` on a kernel that
/// was built without it.
pub(crate) fn share_descriptors(a: libc::pid_t, b: libc::pid_t) -> Result<bool> {
    same(a, b, KCMP_FILES)
}

/// Whether two threads have the same memory (`kcmp(2)`); errors as [`share_descriptors`].
pub(crate) fn share_memory(a: libc::pid_t, b: libc::pid_t) -> Result<bool> {
    same(a, b, KCMP_VM)
}

fn same(a: libc::pid_t, b: libc::pid_t, what: libc::c_int) -> Result<bool> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_kcmp, a, b, what, 0, 0) }).map(|order| order == 0)
}
