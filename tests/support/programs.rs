//! Programs that are started under a filter.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use unotify::{Listener, Spawn, Status};

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
    let mut writer = Command::new("sh");
    writer.arg("-c").arg("printf %s \"$1\" >\"$0\"");
    let status = writer.arg(&path).arg(content).stdin(Stdio::null()).status();
    assert!(status.unwrap().success());
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}
