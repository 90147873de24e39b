//! What the tests have in common.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use unotify::*;

/// No test takes nearly as long.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test and ends everything when it hangs.
pub(crate) fn watched<T>(test: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs");
            std::process::abort();
        }
    });
    let result = test();
    drop(done);
    result
}

/// Runs a test in a process of its own, where it is alone with its descriptors and children.
pub(crate) fn in_a_process(test: impl FnOnce()) {
    watched(|| {
        // SAFETY: the child goes on as the one thread of a copy of this process. The C library
        // puts its own locks right, and no other lock is held by code the tests call.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: integers only: no child outlives a test run that was ended.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let status = catch_unwind(AssertUnwindSafe(|| watched(test))).map_or(1, |()| 0);
            // SAFETY: never returns.
            unsafe { libc::_exit(status) }
        }
        let mut status = 0;
        // SAFETY: `status` is ours.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0, "the process failed");
    });
}

/// A filter that notifies these calls.
pub(crate) fn notifying(names: &[&str]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for name in names {
        filter
            .add_rule(ScmpAction::Notify, ScmpSyscall::from_name(name).unwrap())
            .unwrap();
    }
    filter
}

/// A filter that notifies every call there is.
pub(crate) fn everything() -> ScmpFilterContext {
    ScmpFilterContext::new(ScmpAction::Notify).unwrap()
}

/// Continues every call until the last target has exited, and gives their numbers.
pub(crate) fn continue_all(listener: &Listener) -> Vec<libc::c_long> {
    let mut calls = Vec::new();
    loop {
        match listener.receive() {
            Ok(mut notification) => {
                calls.push(notification.request().syscall.into());
                // It may be gone.
                let _ = notification.reply_continue();
            }
            Err(error) => {
                assert_eq!(error.status(), Status::Closed, "{error}");
                return calls;
            }
        }
    }
}

/// Runs the program to its end and gives what it wrote and how it ended.
pub(crate) fn output(spawn: &mut Spawn<'_>) -> (String, ExitStatus) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = spawn.stdout(OwnedFd::from(theirs)).spawn().unwrap();
    spawn.stdout(unotify::Stdio::Null);
    let listener = child.take_listener().unwrap();
    let supervisor = thread::spawn(move || continue_all(&listener));
    let mut text = String::new();
    (&ours).read_to_string(&mut text).unwrap();
    supervisor.join().unwrap();
    (text, child.wait().unwrap())
}

/// What the program writes, without the end of the line. It must succeed.
pub(crate) fn text(spawn: &mut Spawn<'_>) -> String {
    let (text, status) = output(spawn);
    assert!(status.success(), "{status}");
    text.trim_end().to_owned()
}

/// A file of this test's own.
pub(crate) fn file(name: &str, content: &str, mode: u32) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // By another process: one that a test starts meanwhile would hold a file that is open for
    // writing here, which cannot be executed then.
    let mut writer = std::process::Command::new("sh");
    writer.arg("-c").arg("printf %s \"$1\" >\"$0\"");
    let status = writer.arg(&path).arg(content).stdin(Stdio::null()).status();
    assert!(status.unwrap().success());
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// Whether the process is there and no zombie.
pub(crate) fn runs(pid: libc::pid_t) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// Waits for `condition`.
pub(crate) fn soon(condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come true within 10 seconds");
}

/// The entries of a folder of the process's own under /proc.
pub(crate) fn entries(folder: &str) -> usize {
    fs::read_dir(format!("/proc/self/{folder}"))
        .unwrap()
        .count()
}

/// Whether there is no child, not even a zombie.
pub(crate) fn childless() -> bool {
    // SAFETY: no status is asked for.
    let found = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
    found == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD)
}

/// Makes the process an unprivileged user's.
pub(crate) fn become_nobody() {
    // SAFETY: integers, and an empty list.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        }
    }
}
