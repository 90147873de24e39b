//! The C API of starting programs.

#![cfg(feature = "capi")]

#[path = "support/machine.rs"]
mod machine;

use machine::slowed;
use std::ffi::{c_char, c_void, CStr};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr::{null, null_mut};
use std::thread;
use std::time::Duration;
use unotify::{Status, Status as S};

#[repr(C)]
#[derive(Clone, Copy)]
struct FdMap {
    parent_fd: i32,
    child_fd: i32,
}

#[repr(C)]
struct SpawnOpts {
    size: usize,
    load_flags: u32,
    flags: u32,
    working_directory: *const c_char,
    fds: *const FdMap,
    n_fds: usize,
}

impl SpawnOpts {
    fn new() -> Self {
        SpawnOpts {
            size: size_of::<Self>(),
            load_flags: 0,
            flags: 0,
            working_directory: null(),
            fds: null(),
            n_fds: 0,
        }
    }
}

// SAFETY: as declared in the library.
unsafe extern "C" {
    fn unotify_last_error(buf: *mut c_char, len: usize) -> usize;
    fn unotify_filter_new(action: u32, out: *mut *mut c_void) -> Status;
    fn unotify_filter_free(filter: *mut c_void);
    fn unotify_listener_free(listener: *mut c_void);
    fn unotify_listener_receive(l: *mut c_void, timeout_ms: i32, n: *mut *mut c_void) -> Status;
    fn unotify_notification_reply_continue(n: *mut c_void) -> Status;
    fn unotify_notification_reply_error(n: *mut c_void, errnum: i32) -> Status;
    fn unotify_notification_free(n: *mut c_void);
    fn unotify_spawn(
        filter: *const c_void,
        file: *const c_char,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
        opts: *const SpawnOpts,
        out: *mut *mut c_void,
    ) -> Status;
    fn unotify_child_pid(child: *const c_void) -> libc::pid_t;
    fn unotify_child_pidfd(child: *const c_void) -> i32;
    fn unotify_child_take_listener(child: *const c_void, out: *mut *mut c_void) -> Status;
    fn unotify_child_wait(child: *const c_void, wstatus: *mut i32) -> Status;
    fn unotify_child_kill(child: *const c_void, sig: i32) -> Status;
    fn unotify_child_exec_error(child: *const c_void) -> i32;
    fn unotify_child_free(child: *mut c_void);
}

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TSYNC: u32 = 1;

/// The thread's last error.
fn said() -> String {
    let mut buf = [0_u8; 256];
    // SAFETY: the buffer is as long as told, and NUL-terminated by the call.
    unsafe {
        unotify_last_error(buf.as_mut_ptr().cast(), buf.len());
        CStr::from_ptr(buf.as_ptr().cast())
            .to_str()
            .unwrap()
            .to_owned()
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// A handle that is freed in the end.
struct Handle(*mut c_void, unsafe extern "C" fn(*mut c_void));

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: a live handle, not used again, and its own function.
        unsafe { self.1(self.0) }
    }
}

fn filter(action: u32) -> Handle {
    let mut filter = null_mut();
    // SAFETY: `filter` is ours.
    assert_eq!(unsafe { unotify_filter_new(action, &mut filter) }, S::Ok);
    Handle(filter, unotify_filter_free)
}

/// The strings as an array that ends with NULL.
fn array(strings: &[&CStr]) -> Vec<*mut c_char> {
    let ends = std::iter::once(null_mut());
    strings
        .iter()
        .map(|s| s.as_ptr().cast_mut())
        .chain(ends)
        .collect()
}

fn spawn(
    action: u32,
    argv: &[&CStr],
    envp: Option<&[&CStr]>,
    opts: *const SpawnOpts,
) -> Result<Handle, Status> {
    let filter = filter(action);
    let (argv, envp) = (array(argv), envp.map(array));
    let envp = envp.as_ref().map_or(null(), |e| e.as_ptr());
    let file = argv[0];
    let mut child = null_mut();
    // SAFETY: a live handle, strings, arrays that end with NULL, options as long as they say.
    match unsafe { unotify_spawn(filter.0, file, argv.as_ptr(), envp, opts, &mut child) } {
        S::Ok => Ok(Handle(child, unotify_child_free)),
        status => {
            assert!(child.is_null(), "touched on failure");
            Err(status)
        }
    }
}

fn listener(child: &Handle) -> Handle {
    let mut listener = null_mut();
    // SAFETY: a live handle, and a place of ours.
    let status = unsafe { unotify_child_take_listener(child.0, &mut listener) };
    assert_eq!(status, S::Ok);
    Handle(listener, unotify_listener_free)
}

/// Continues everything until the last target has exited, and counts it.
fn continue_all(listener: &Handle) -> u32 {
    let mut notification = null_mut();
    let mut count = 0;
    // SAFETY: live handles.
    unsafe {
        while unotify_listener_receive(listener.0, 20_000, &mut notification) == S::Ok {
            let _ = unotify_notification_reply_continue(notification);
            count += 1;
        }
        unotify_notification_free(notification);
    }
    count
}

fn wait(child: &Handle) -> i32 {
    let mut status = -1;
    // SAFETY: a live handle, and a place of ours.
    assert_eq!(unsafe { unotify_child_wait(child.0, &mut status) }, S::Ok);
    status
}

/// What `argv` writes, and its wait status.
fn output(argv: &[&CStr], envp: Option<&[&CStr]>, directory: Option<&CStr>) -> (String, i32) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(slowed(Duration::from_secs(20))))
        .unwrap();
    let map = FdMap {
        parent_fd: theirs.as_raw_fd(),
        child_fd: 1,
    };
    let mut opts = SpawnOpts::new();
    opts.fds = &map;
    opts.n_fds = 1;
    opts.working_directory = directory.map_or(null(), CStr::as_ptr);
    let child = spawn(NOTIFY, argv, envp, &opts).unwrap_or_else(|s| panic!("{s:?}: {}", said()));
    drop(theirs);
    assert!(continue_all(&listener(&child)) > 1);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    (text, wait(&child))
}

#[test]
fn a_program_runs_with_arguments_and_a_standard_output() {
    assert_eq!(
        output(&[c"echo", c"a b"], None, None),
        ("a b\n".to_owned(), 0)
    );
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let (text, status) = output(&[c"env"], Some(&[c"A=1", c"odd"]), None);
    assert_eq!(status, 0);
    assert_eq!(text, "A=1\nodd\n");
}

#[test]
fn the_working_directory_is_what_was_given() {
    assert_eq!(
        output(&[c"pwd"], None, Some(c"/usr")),
        ("/usr\n".to_owned(), 0)
    );
}

#[test]
fn the_wait_status_is_that_of_waitpid() {
    let child = spawn(ALLOW, &[c"sh", c"-c", c"exit 7"], None, null()).ok();
    let child = child.unwrap();
    assert_eq!(wait(&child), 7 << 8);
    assert_eq!(wait(&child), 7 << 8, "the second time");
    // SAFETY: a live handle; no status is asked for.
    assert_eq!(unsafe { unotify_child_wait(child.0, null_mut()) }, S::Ok);
}

#[test]
fn a_child_is_killed_and_its_pidfd_tells() {
    let child = spawn(ALLOW, &[c"sleep", c"1000"], None, null())
        .ok()
        .unwrap();
    // SAFETY: a live handle.
    let fd = unsafe { unotify_child_pidfd(child.0) };
    assert!(fd >= 0);
    // SAFETY: a live handle.
    assert_eq!(unsafe { unotify_child_kill(child.0, libc::SIGKILL) }, S::Ok);
    let mut entry = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry.
    assert_eq!(unsafe { libc::poll(&mut entry, 1, 10_000) }, 1);
    assert_eq!(wait(&child), libc::SIGKILL);
    // SAFETY: a live handle.
    assert_eq!(unsafe { unotify_child_kill(child.0, 0) }, S::System);
    assert_eq!(errno(), libc::ESRCH);
}

#[test]
fn one_thread_can_take_the_listener_while_another_waits() {
    let child = spawn(NOTIFY, &[c"true"], None, null()).ok().unwrap();
    let address = child.0 as usize;
    let waiter = thread::spawn(move || {
        let mut status = -1;
        // SAFETY: the handle lives until this thread was joined.
        let waited = unsafe { unotify_child_wait(address as *const c_void, &mut status) };
        assert_eq!(waited, S::Ok);
        status
    });
    continue_all(&listener(&child));
    assert_eq!(waiter.join().unwrap(), 0);
}

#[test]
fn the_listener_can_be_taken_once() {
    let child = spawn(ALLOW, &[c"true"], None, null()).ok().unwrap();
    drop(listener(&child));
    let mut again = null_mut();
    // SAFETY: a live handle, and a place of ours.
    let status = unsafe { unotify_child_take_listener(child.0, &mut again) };
    assert_eq!(status, S::InvalidArgument);
    assert!(again.is_null());
    wait(&child);
}

#[test]
fn a_refused_execve_is_told_by_its_error() {
    let child = spawn(NOTIFY, &[c"true"], None, null()).ok().unwrap();
    let listener = listener(&child);
    let mut notification = null_mut();
    // SAFETY: live handles.
    unsafe {
        assert_eq!(unotify_child_exec_error(child.0), 0);
        let received = unotify_listener_receive(listener.0, 20_000, &mut notification);
        assert_eq!(received, S::Ok);
        let replied = unotify_notification_reply_error(notification, libc::EXDEV);
        assert_eq!(replied, S::Ok);
        unotify_notification_free(notification);
    }
    continue_all(&listener);
    assert_eq!(wait(&child), 127 << 8);
    // SAFETY: a live handle.
    assert_eq!(unsafe { unotify_child_exec_error(child.0) }, libc::EXDEV);
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let refused = spawn(NOTIFY, &[c"no-such-program"], None, null());
    assert_eq!(refused.err(), Some(S::System));
    assert_eq!(errno(), libc::ENOENT);
    assert!(said().contains("no-such-program"), "{}", said());
}

#[test]
fn options_are_checked() {
    let bad = FdMap {
        parent_fd: -1,
        child_fd: 1,
    };
    type Change = fn(&mut SpawnOpts);
    let cases: [(Change, Status); 6] = [
        (|o| o.size = 1, S::InvalidArgument),
        (|o| o.load_flags = 1 << 31, S::InvalidArgument),
        (|o| o.load_flags = TSYNC, S::InvalidArgument),
        (|o| o.flags = 2, S::InvalidArgument),
        (|o| o.n_fds = 1, S::InvalidArgument),
        (|o| o.n_fds = usize::MAX, S::InvalidArgument),
    ];
    for (at, (change, status)) in cases.into_iter().enumerate() {
        let mut opts = SpawnOpts::new();
        change(&mut opts);
        let refused = spawn(NOTIFY, &[c"true"], None, &opts);
        assert_eq!(refused.err(), Some(status), "case {at}");
    }
    let mut opts = SpawnOpts::new();
    opts.fds = &bad;
    opts.n_fds = 1;
    let refused = spawn(NOTIFY, &[c"true"], None, &opts);
    assert_eq!(refused.err(), Some(S::InvalidArgument));
    assert_eq!(errno(), libc::EBADF);
}

#[test]
fn options_of_an_older_caller_are_taken() {
    let mut opts = SpawnOpts::new();
    opts.size = 16;
    opts.n_fds = 77; // not there, says the size
    let child = spawn(ALLOW, &[c"true"], None, &opts).ok().unwrap();
    assert_eq!(wait(&child), 0);
}

#[test]
fn null_is_refused_where_it_has_no_meaning() {
    let filter = filter(ALLOW);
    let argv = array(&[c"true"]);
    let empty = array(&[]);
    let name = c"true".as_ptr();
    let (f, a) = (filter.0.cast_const(), argv.as_ptr());
    let mut child = null_mut();
    // SAFETY: live handles, strings and arrays, or NULL.
    unsafe {
        let refused = [
            unotify_spawn(null(), name, a, null(), null(), &mut child),
            unotify_spawn(f, null(), a, null(), null(), &mut child),
            unotify_spawn(f, name, null(), null(), null(), &mut child),
            unotify_spawn(f, name, empty.as_ptr(), null(), null(), &mut child),
            unotify_spawn(f, name, a, null(), null(), null_mut()),
            unotify_child_take_listener(null(), &mut child),
            unotify_child_wait(null(), null_mut()),
            unotify_child_kill(null(), 0),
        ];
        assert_eq!(refused, [S::InvalidArgument; 8]);
        assert_eq!(unotify_child_pid(null()), -1);
        assert_eq!(unotify_child_pidfd(null()), -1);
        assert_eq!(unotify_child_exec_error(null()), 0);
        unotify_child_free(null_mut());
    }
    assert!(child.is_null());
}
