//! What the tests have in common.

#[path = "../support/machine.rs"]
mod machine;

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use unotify::*;

pub(crate) use machine::*;

/// No test takes nearly as long.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test and ends everything when it hangs.
pub(crate) fn watched<T>(test: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let (up, is_up) = channel();
    thread::spawn(move || {
        up.send(()).unwrap();
        if wait.recv_timeout(slowed(LIMIT)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs");
            std::process::abort();
        }
    });
    is_up.recv().unwrap();
    let result = test();
    drop(done);
    result
}

/// Tells a process that it is the one of [`in_a_process`].
const ALONE: &str = "UNOTIFY_TEST_ALONE";

/// Runs a test in a process of its own, where it is alone with its descriptors and children: this
/// program once more, with this test only. (A copy made by `fork` alone would have the locks that
/// other tests' threads hold at that moment.)
pub(crate) fn in_a_process(test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return watched(test);
    }
    let name = thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", &name])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{}: {text}", output.status);
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
    for _ in 0..1000 * slowness() {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come true");
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
