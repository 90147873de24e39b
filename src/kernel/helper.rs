//! A process that does one thing in other namespaces, and says what came of it.
//!
//! A thread that joins a namespace would take what it shares with others along, and could not come back.
//! So a copy of the process does, which ends with that. It comes out of a process with many threads:
//! locks may be held in it that nobody will ever release.

use super::signals::SignalsBlocked;
use super::{check, fd, process, retry, socket, Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the helper is to be.
#[derive(Debug)]
pub(crate) struct There {
    /// Each with its kind (`CLONE_NEW*`), in the order in which they are joined.
    pub(crate) namespaces: Vec<(OwnedFd, libc::c_int)>,
    /// Root and working directory, in another mount namespace.
    pub(crate) directories: Option<[OwnedFd; 2]>,
}

/// What the function gives: a value and a descriptor, or an error number.
pub(crate) type Given = std::result::Result<(i64, Option<RawFd>), i32>;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Given(i64, Option<OwnedFd>),
    /// The function says this error number.
    Failed(Errno),
    /// It could not get there.
    NotThere(Errno),
    /// The time was up, and the helper was killed.
    TimeIsUp,
    /// It ended without a word.
    Ended,
}

/// What the helper says: how it went, and with what.
const GIVEN: u64 = 1;
const FAILED: u64 = 2;
const NOT_THERE: u64 = 3;

/// So long a helper that was killed is waited for: what the kernel does for it cannot always be
/// interrupted.
const LAST: Duration = Duration::from_secs(1);

/// Runs a function in a copy of this process, in these namespaces, with all signals blocked. The copy is
/// killed with the calling thread, and at the deadline. No signal tells of its end.
///
/// # Safety
/// The function does what may be done after a `fork` of a process with threads.
pub(crate) unsafe fn run(
    there: &There,
    deadline: Option<Instant>,
    body: &mut dyn FnMut() -> Given,
) -> Result<Outcome> {
    let (ours, theirs) = socket::pair()?;
    let blocked = SignalsBlocked::new();
    // SAFETY: no arguments.
    let parent = unsafe { libc::getpid() };
    // SAFETY: without CLONE_VM the child runs on in a copy of this memory, as after a fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0usize, 0usize, 0usize, 0usize, 0usize) };
    let pid = check(pid)?;
    if pid == 0 {
        live(there, parent, &theirs, body);
    }
    drop(blocked);
    drop(theirs);
    let pid = pid as libc::pid_t;
    let outcome = hear(ours.as_fd(), deadline);
    // It has nothing more to do.
    let _ = process::kill(pid, libc::SIGKILL);
    let until = Instant::now() + LAST;
    while !reaped(pid) && Instant::now() < until {
        sleep(Duration::from_micros(200));
    }
    outcome
}

fn reaped(pid: libc::pid_t) -> bool {
    let flags = libc::WNOHANG | libc::__WALL;
    // SAFETY: no status is asked for.
    let waited = retry(|| check(unsafe { libc::waitpid(pid, std::ptr::null_mut(), flags) }.into()));
    waited != Ok(0)
}

fn hear(socket: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<Outcome> {
    if fd::poll(socket, deadline)?.is_none() {
        return Ok(Outcome::TimeIsUp);
    }
    let mut said = [0; 16];
    let received = socket::recv_fds::<1>(socket, &mut said)?;
    let (how, what) = said.split_at(8);
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    let (how, what) = (word(how), word(what) as i64);
    let [fd] = received.fds;
    Ok(match how {
        _ if received.len != said.len() => Outcome::Ended,
        GIVEN => Outcome::Given(what, fd),
        FAILED => Outcome::Failed(Errno(what as i32)),
        _ => Outcome::NotThere(Errno(what as i32)),
    })
}

/// The helper's life.
fn live(
    there: &There,
    parent: libc::pid_t,
    socket: &OwnedFd,
    body: &mut dyn FnMut() -> Given,
) -> ! {
    let (how, what, given) = match go(there, parent) {
        Err(errno) => (NOT_THERE, i64::from(errno.0), None),
        Ok(()) => match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok((value, given))) => (GIVEN, value, given),
            Ok(Err(errno)) => (FAILED, i64::from(errno), None),
            Err(payload) => {
                std::mem::forget(payload);
                (FAILED, i64::from(libc::ECANCELED), None)
            }
        },
    };
    let mut said = [0; 16];
    said[..8].copy_from_slice(&how.to_ne_bytes());
    said[8..].copy_from_slice(&what.to_ne_bytes());
    let sent = match given {
        Some(fd) => socket::send_fds(socket.as_fd(), &said, &[fd]),
        None => socket::send_some(socket.as_fd(), &said, &[]).map(drop),
    };
    if let Err(errno) = sent {
        // What was given is no descriptor, or may not be passed on.
        said[..8].copy_from_slice(&FAILED.to_ne_bytes());
        said[8..].copy_from_slice(&i64::from(errno.0).to_ne_bytes());
        let _ = socket::send_some(socket.as_fd(), &said, &[]);
    }
    loop {
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    }
}

/// Goes there.
fn go(there: &There, parent: libc::pid_t) -> Result<()> {
    let mut another_user = false;
    for (namespace, kind) in &there.namespaces {
        // SAFETY: integers only.
        check(unsafe { libc::setns(namespace.as_raw_fd(), *kind) }.into())?;
        another_user |= *kind == libc::CLONE_NEWUSER;
    }
    if another_user {
        // Its root, if it has one: who comes from outside is nobody there. The bare calls, as the C
        // library's would be made by all threads.
        // SAFETY: integers, and an empty list.
        unsafe {
            libc::syscall(libc::SYS_setgroups, 0, 0usize);
            libc::syscall(libc::SYS_setresgid, 0, 0, 0);
            libc::syscall(libc::SYS_setresuid, 0, 0, 0);
        }
    }
    if let Some([root, working]) = &there.directories {
        // SAFETY: integers, and a constant string.
        unsafe {
            check(libc::fchdir(root.as_raw_fd()).into())?;
            check(libc::chroot(c".".as_ptr()).into())?;
            check(libc::fchdir(working.as_raw_fd()).into())?;
        }
    }
    // Last, as each of the others may have taken it back.
    // SAFETY: integers only.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into())?;
        if libc::getppid() != parent {
            return Err(Errno(libc::ESRCH));
        }
    }
    Ok(())
}
