//! Targets and supervisors to test with: real processes, which end when the test does.
#![allow(dead_code, unreachable_pub)] // each test uses some of it

#[path = "../support/machine.rs"]
mod machine;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Once;
use std::time::Duration;
use unotify::{
    Listener, LoadFlags, Notification, ScmpAction, ScmpArch, ScmpArgCompare, ScmpFilterContext,
    ScmpSyscall,
};

pub(crate) use machine::*;

/// Aborts the process if it runs on for so long: a test that hangs has failed.
const LIMIT: Duration = Duration::from_secs(180);

/// Sees to it that this process ends. To be called by every test.
pub fn watchdog() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // What a child says would stay in the captured output of the child.
        std::panic::set_hook(Box::new(|panic| {
            let _ = writeln!(std::io::stderr(), "{panic}");
        }));
        std::thread::spawn(|| {
            std::thread::sleep(slowed(LIMIT));
            let _ = writeln!(std::io::stderr(), "the test takes too long");
            std::process::abort();
        });
    });
}

/// A filter that notifies of these calls.
pub fn notifying(calls: &[&str]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for call in calls {
        let call = ScmpSyscall::from_name(call).unwrap();
        filter.add_rule(ScmpAction::Notify, call).unwrap();
    }
    filter
}

/// Makes the calling process look as if its kernel did not have this call.
pub fn refuse(call: &str, errno: i32, when: &[ScmpArgCompare]) {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    let call = ScmpSyscall::from_name(call).unwrap();
    filter
        .add_rule_conditional(ScmpAction::Errno(errno), call, when)
        .unwrap();
    filter.load().unwrap();
}

/// Forks. `body` runs in the child, which ends with what it returns, or with 101 if it panics.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    watchdog();
    // SAFETY: the child uses its own memory only, and the C library's locks survive the fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: integers only. The child of a test that died would wait for ever.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        IS_CHILD.store(true, Ordering::Relaxed);
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends without the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    let is_child = IS_CHILD.load(Ordering::Relaxed);
    Child(pid, if is_child { None } else { reaper(pid) })
}

/// Whether this process is a child, which waits for its own by itself.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// A child process, killed when dropped.
#[derive(Debug)]
pub struct Child(pub i32, Option<std::thread::JoinHandle<i32>>);

impl Child {
    pub fn kill(&self) {
        // SAFETY: integers only; it is not reaped yet, so the number is its own.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }

    /// Waits and gives the exit code; 128 and the signal if one ended it.
    pub fn wait(mut self) -> i32 {
        self.reap()
    }

    fn reap(&mut self) -> i32 {
        let status = match self.1.take() {
            Some(reaper) => reaper.join().unwrap(),
            None => wait_for(self.0),
        };
        self.0 = 0;
        if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            128 + libc::WTERMSIG(status)
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.0 > 0 {
            self.kill();
            self.reap();
        }
    }
}

/// Runs a supervisor in a process of its own, to which things are done that cannot be undone.
pub fn in_child(body: impl FnOnce()) {
    let child = fork(|| {
        IS_CHILD.store(false, Ordering::Relaxed);
        body();
        0
    });
    assert_eq!(child.wait(), 0, "the child failed; it says why above");
}

/// A child under a filter.
#[derive(Debug)]
pub struct Target {
    pub child: Child,
    pub listener: Listener,
}

impl Target {
    /// A target whose `getppid` is notified of: [`ask`] makes it.
    pub fn start(body: impl FnOnce() -> i32) -> Self {
        Self::under(&notifying(&["getppid"]), || {}, body)
    }

    /// A target under `filter`, `prepare`d before it is loaded.
    pub fn under(
        filter: &ScmpFilterContext,
        prepare: impl FnOnce(),
        body: impl FnOnce() -> i32,
    ) -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        let child = fork(|| {
            prepare();
            let listener = filter.load_listener(LoadFlags::empty()).unwrap();
            listener.to_socket(there.as_fd()).unwrap();
            drop((listener, there));
            body()
        });
        let listener = Listener::from_socket(here.as_fd()).unwrap();
        Target { child, listener }
    }

    /// The next notification.
    pub fn receive(&self) -> Notification {
        self.listener.receive_timeout(slowed(LIMIT)).unwrap()
    }

    /// Lets the pending call return and waits for the end, which must be a success.
    pub fn finish(self, mut notification: Notification) {
        notification.reply_value(0).unwrap();
        assert_eq!(self.child.wait(), 0);
    }
}

/// The notified call of a target: what is asked for goes along as its arguments.
pub fn ask(a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: the call takes no arguments; what is in the registers means nothing to the kernel.
    unsafe { libc::syscall(libc::SYS_getppid, a, b, c) }
}

/// [`ask`] about something in memory.
pub fn ask_about<T: ?Sized>(place: &T) -> i64 {
    ask((place as *const T).cast::<u8>() as u64, 0, 0)
}

/// Pages, with an unmapped one behind them.
pub fn pages(count: usize) -> &'static mut [u8] {
    let len = count * 4096;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, whose last page is unmapped again before anybody uses it.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), len + 4096, protection, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        libc::munmap(start.byte_add(len), 4096);
        std::slice::from_raw_parts_mut(start.cast(), len)
    }
}

/// A descriptor that is known to be open.
pub fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: the tests pass descriptors that stay open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A descriptor that nobody else closes.
pub fn own(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: new, and this is its only owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Whether this machine runs programs of the 32-bit architecture `arch` beside its own.
pub fn add_arch(filter: &mut ScmpFilterContext, arch: ScmpArch) {
    filter.add_arch(arch).unwrap();
}

pub fn is_root() -> bool {
    // SAFETY: takes nothing.
    unsafe { libc::geteuid() == 0 }
}

/// Whether this may be done here. A process of its own tries, so that nothing is started in vain.
pub fn can(attempt: impl FnOnce() -> bool) -> bool {
    fork(|| i32::from(!attempt())).wait() == 0
}

/// Says why a test does nothing here. To be decided before a target is started: one that nobody
/// answers would wait for ever.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
