//! Tests in a program of their own.

use super::watched;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::{env, io, thread};

/// Names the test that is to run in the program that [`alone`] starts.
const ALONE: &str = "UNOTIFY_TEST_ALONE";

/// Runs a test in a program of its own, which knows nothing yet of the kernel and has no other
/// threads, descriptors and children. `prepare` runs in that process before the program starts.
pub(crate) fn alone_after(
    prepare: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    test: impl FnOnce(),
) {
    if env::var_os(ALONE).is_some() {
        return watched(test);
    }
    let name = thread::current()
        .name()
        .expect("tests have names")
        .to_owned();
    let mut program = Command::new(env::current_exe().unwrap());
    program
        .args([&name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, &name)
        .stdin(Stdio::null());
    // SAFETY: what the tests do there is to change their own process. The C library's allocator
    // works after a fork.
    unsafe {
        program.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            prepare()
        })
    };
    let output = watched(|| program.output()).unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{}\n{out}\n{err}",
        output.status
    );
}

/// [`alone_after`] nothing.
pub(crate) fn alone(test: impl FnOnce()) {
    alone_after(|| Ok(()), test);
}

/// Makes the kernel tell the program a release of long ago.
pub(crate) fn look_old() -> io::Result<()> {
    const UNAME26: libc::c_ulong = 0x002_0000;
    // SAFETY: integers only.
    match unsafe { libc::personality(UNAME26) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
