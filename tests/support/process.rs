//! Processes, the test's own and its children.

use super::{kernel_before, soon, watch, Watch};
use std::io::{self, Write};
use std::panic::{self, catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Once;
use std::{fs, ptr, thread};

/// A child process that is killed when the test does not need it any more.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: libc::pid_t,
    ended: Option<i32>,
    reaper: Option<thread::JoinHandle<libc::c_int>>,
    _watch: Watch,
}

/// Whether this process waits for its children by itself, as targets do.
static WAITS_BY_ITSELF: AtomicBool = AtomicBool::new(false);

/// Whether this process is one that [`Process::fork`] made.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Says that the test is about zombies: from now on nobody waits for a child before the test does.
pub(crate) fn wait_by_oneself() {
    WAITS_BY_ITSELF.store(true, Ordering::Relaxed);
}

pub(crate) fn in_forked_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// A child that panics says so at once: in the output that the test runner captures, of which the
/// child has a copy, it would be lost.
fn hear_children_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if in_forked_child() {
                let _ = writeln!(io::stderr(), "{panic}");
            } else {
                usual(panic);
            }
        }));
    });
}

impl Process {
    /// Forks. What `body` returns is the exit status; a panic is 101.
    pub(crate) fn fork(body: impl FnOnce() -> i32) -> Process {
        let watch = watch();
        hear_children_panic();
        // SAFETY: the child goes on as the one thread of a copy of this process. The C library
        // puts its own locks right, and no other lock is held by code the tests call.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: integers only: no child outlives a test.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            IS_CHILD.store(true, Ordering::Relaxed);
            wait_by_oneself();
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: never returns.
            unsafe { libc::_exit(status) }
        }
        let alone = WAITS_BY_ITSELF.load(Ordering::Relaxed);
        Process {
            pid,
            ended: None,
            reaper: if alone { None } else { reaper(pid) },
            _watch: watch,
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        assert!(self.ended.is_none());
        // SAFETY: integers only; it is a child that was not waited for, or just now.
        let sent = unsafe { libc::kill(self.pid, signal) } == 0;
        assert!(sent || self.reaper.is_some());
    }

    /// Waits for the end. The exit status, or the signal made negative.
    pub(crate) fn wait(&mut self) -> i32 {
        if let Some(ended) = self.ended {
            return ended;
        }
        let status = match self.reaper.take() {
            Some(reaper) => reaper.join().unwrap(),
            None => wait_for(self.pid),
        };
        let how = if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            -libc::WTERMSIG(status)
        };
        *self.ended.insert(how)
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if self.ended.is_none() {
            self.signal(libc::SIGKILL);
            self.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a part of a test in a copy of this process, to which things are done that cannot be undone.
pub(crate) fn in_child(body: impl FnOnce()) {
    let status = Process::fork(|| {
        // As the test itself does.
        WAITS_BY_ITSELF.store(false, Ordering::Relaxed);
        body();
        0
    })
    .wait();
    assert_eq!(status, 0, "the child failed; it says why above");
}

/// Waits for the end of a child and gives its status.
pub(crate) fn wait_for(pid: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: `status` is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        let error = io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR));
    }
    status
}

/// Waits for a child's end beside the test where the kernel needs it: before Linux 6.11 a zombie
/// keeps its filter, so a listener does not hang up as long as nobody has waited for its target.
fn reaper(pid: libc::pid_t) -> Option<thread::JoinHandle<libc::c_int>> {
    // With a small stack: each target is a copy of this process, and of the page tables of all.
    let small = || thread::Builder::new().stack_size(64 << 10);
    // A process whose children are in another pid namespace can have no further thread.
    let start = || small().spawn(move || wait_for(pid)).ok();
    kernel_before(6, 11).then(start).flatten()
}

/// Whether there is no child, not even a zombie.
pub(crate) fn childless() -> bool {
    // SAFETY: no status is asked for.
    let found = unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
    found == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD)
}

/// Whether the process is there and no zombie.
pub(crate) fn runs(pid: libc::pid_t) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// Waits for a thread to be in this system call.
pub(crate) fn until_in_call(process: libc::pid_t, thread: libc::pid_t, nr: libc::c_long) {
    let path = format!("/proc/{process}/task/{thread}/syscall");
    let prefix = format!("{nr} ");
    soon(|| fs::read_to_string(&path).is_ok_and(|text| text.starts_with(&prefix)));
}

/// How many entries a folder of the process's own under /proc has.
pub(crate) fn entries(folder: &str) -> usize {
    fs::read_dir(format!("/proc/self/{folder}"))
        .unwrap()
        .count()
}

/// The calling thread's number.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// Makes the process an unprivileged user's, which the kernel takes to be undumpable then.
pub(crate) fn become_nobody() {
    // SAFETY: integers, and an empty list.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgroups(0, ptr::null()), 0);
            assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        }
    }
}

/// [`become_nobody`], as if a program of that user's had been started.
pub(crate) fn become_dumpable_nobody() {
    become_nobody();
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
}
