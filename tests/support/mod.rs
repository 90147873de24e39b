//! What the tests have in common: real targets under real filters, and guards against hanging.
#![allow(dead_code)] // no test program uses all of it

mod machine;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{abort, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};
use unotify::{
    HandlerFlags, Listener, LoadFlags, Notification, ScmpAction, ScmpFilterContext, ScmpSyscall,
    Status, Supervisor, SupervisorOptions, Verdict,
};

pub(crate) use machine::*;

/// No test takes nearly as long.
const LIMIT: Duration = Duration::from_secs(25);

/// The call that targets make unless a test says otherwise: its arguments mean nothing.
pub(crate) const CALL: libc::c_long = libc::SYS_getppid;

/// A moment, for what is about to happen in another process.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);

/// Runs a test and ends everything when it hangs.
pub(crate) fn watched<T>(test: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if wait.recv_timeout(slowed(LIMIT)) == Err(RecvTimeoutError::Timeout) {
            // Not with a macro, whose output the test runner captures.
            let _ = writeln!(io::stderr(), "{name} hangs");
            abort();
        }
    });
    let result = test();
    drop(done);
    result
}

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

/// A system call: its value, or its error number made negative.
pub(crate) fn call(nr: libc::c_long, args: [u64; 3]) -> i64 {
    // SAFETY: the tests make calls that take integers, or memory of theirs.
    match unsafe { libc::syscall(nr, args[0], args[1], args[2]) } {
        -1 => -i64::from(io::Error::last_os_error().raw_os_error().unwrap()),
        value => value,
    }
}

/// The calling thread's number.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// A filter that notifies these calls.
pub(crate) fn notifying(names: &[&str]) -> ScmpFilterContext {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).unwrap();
    for name in names {
        let call = ScmpSyscall::from_name(name).unwrap();
        filter.add_rule(ScmpAction::Notify, call).unwrap();
    }
    filter
}

/// A child process that is killed when the test does not need it any more.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: libc::pid_t,
    ended: Option<i32>,
    reaper: Option<thread::JoinHandle<libc::c_int>>,
}

/// Whether this process waits for its children by itself, as targets do.
static WAITS_BY_ITSELF: AtomicBool = AtomicBool::new(false);

/// Says that the test is about zombies: from now on nobody waits for a child before the test does.
pub(crate) fn wait_by_oneself() {
    WAITS_BY_ITSELF.store(true, Ordering::Relaxed);
}

impl Process {
    /// Forks. What `body` returns is the exit status; a panic is 101.
    pub(crate) fn fork(body: impl FnOnce() -> i32) -> Process {
        // SAFETY: the child goes on as the one thread of a copy of this process. The C library
        // puts its own locks right, and no other lock is held by code the tests call.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: integers only: no child outlives a test.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
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

/// Whether this may be done here; if not, says what it takes. A process of its own tries, before a
/// test starts a target in vain.
pub(crate) fn can(what: &str, attempt: impl FnOnce() -> bool) -> bool {
    let can = Process::fork(|| i32::from(!attempt())).wait() == 0;
    if !can {
        let _ = writeln!(io::stderr(), "skipped: takes {what}");
    }
    can
}

/// What a target and its test tell each other.
#[derive(Debug)]
pub(crate) struct Channel(UnixStream);

impl Channel {
    pub(crate) fn tell(&self, value: i64) {
        (&self.0).write_all(&value.to_ne_bytes()).unwrap();
    }

    pub(crate) fn hear(&self) -> i64 {
        let mut bytes = [0; 8];
        (&self.0).read_exact(&mut bytes).unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// Whether something was told that was not heard.
    pub(crate) fn said_something(&self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one entry, which is ours.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 && poll.revents & libc::POLLIN != 0 }
    }

    /// Waits until the other side is closed.
    pub(crate) fn until_closed(&self) {
        while (&self.0).read_exact(&mut [0]).is_ok() {}
    }

    /// Closes every other descriptor, so that none of another test is held open.
    fn alone(&self) {
        let fd = self.0.as_raw_fd() as libc::c_uint;
        // SAFETY: integers only; the process owns nothing but what it is left with.
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, fd - 1, 0);
            libc::syscall(libc::SYS_close_range, fd + 1, libc::c_uint::MAX, 0);
        }
    }
}

/// A process under a filter that notifies.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) channel: Channel,
}

impl Target {
    /// Starts a target of this filter and gives its listener. The exit status is 0 unless `body`
    /// panics.
    pub(crate) fn under(
        filter: &ScmpFilterContext,
        flags: LoadFlags,
        body: impl FnOnce(&Channel),
    ) -> (Target, Listener) {
        Target::prepared(filter, flags, || (), |(), channel| body(channel))
    }

    /// [`Target::under`], with something done in the target before the filter is there.
    pub(crate) fn prepared<T>(
        filter: &ScmpFilterContext,
        flags: LoadFlags,
        prepare: impl FnOnce() -> T,
        body: impl FnOnce(T, &Channel),
    ) -> (Target, Listener) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = Process::fork(|| {
            let channel = Channel(theirs);
            channel.alone();
            let prepared = prepare();
            let listener = filter.load_listener(flags).unwrap();
            listener.to_socket(channel.0.as_fd()).unwrap();
            drop(listener);
            body(prepared, &channel);
            0
        });
        let listener = Listener::from_socket(ours.as_fd()).unwrap();
        let channel = Channel(ours);
        (Target { process, channel }, listener)
    }

    /// A target that notifies [`CALL`].
    pub(crate) fn start(body: impl FnOnce(&Channel)) -> (Target, Listener) {
        Target::under(&notifying(&["getppid"]), LoadFlags::empty(), body)
    }

    /// A target that makes [`CALL`] once, with `arg`, and tells what it returned.
    pub(crate) fn calls_once(arg: u64) -> (Target, Listener) {
        Target::start(|channel| channel.tell(call(CALL, [arg, 0, 0])))
    }

    /// A target that makes [`CALL`] with each argument that it hears, and tells what it returned,
    /// until the test does not talk to it any more.
    pub(crate) fn serves() -> (Target, Listener) {
        Target::start(serve)
    }

    /// A target that makes [`CALL`] as often as it hears, checks that each returns its argument,
    /// and tells when it is done.
    pub(crate) fn repeats() -> (Target, Listener) {
        Target::start(|channel| {
            let mut bytes = [0; 8];
            while (&channel.0).read_exact(&mut bytes).is_ok() {
                let times = u64::from_ne_bytes(bytes);
                for arg in 0..times {
                    assert_eq!(call(CALL, [arg, 0, 0]), arg as i64);
                }
                channel.tell(times as i64);
            }
        })
    }

    /// Has a target of [`Target::repeats`] make that many calls, and waits until they are done.
    pub(crate) fn repeat(&self, times: i64) {
        self.channel.tell(times);
        assert_eq!(self.channel.hear(), times);
    }

    /// Waits for a target with one thread to be waiting in [`CALL`].
    pub(crate) fn until_waiting(&self) {
        until_in_call(self.process.pid, self.process.pid, CALL);
    }

    /// Has a target of [`Target::serves`] make a call.
    pub(crate) fn make_call(&self, arg: i64) {
        self.channel.tell(arg);
    }

    /// What a call of the target returned.
    pub(crate) fn result(&self) -> i64 {
        self.channel.hear()
    }

    /// Lets a target of [`Target::serves`] end by itself.
    pub(crate) fn end(mut self) {
        drop(self.channel);
        assert_eq!(self.process.wait(), 0);
    }
}

/// What a target of [`Target::serves`] does.
pub(crate) fn serve(channel: &Channel) {
    let mut bytes = [0; 8];
    while (&channel.0).read_exact(&mut bytes).is_ok() {
        let value = call(CALL, [u64::from_ne_bytes(bytes), 0, 0]);
        let _ = (&channel.0).write_all(&value.to_ne_bytes());
    }
}

/// Waits for a thread to be in this system call.
pub(crate) fn until_in_call(process: libc::pid_t, thread: libc::pid_t, nr: libc::c_long) {
    let path = format!("/proc/{process}/task/{thread}/syscall");
    let prefix = format!("{nr} ");
    soon(|| fs::read_to_string(&path).is_ok_and(|text| text.starts_with(&prefix)));
}

/// Waits for `condition`.
pub(crate) fn soon(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < slowed(Duration::from_secs(10)),
            "it did not come true"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many entries a folder of the process's own under /proc has.
pub(crate) fn entries(folder: &str) -> usize {
    fs::read_dir(format!("/proc/self/{folder}"))
        .unwrap()
        .count()
}

/// What a call that was to fail came to.
pub(crate) fn status<T>(result: unotify::Result<T>) -> Status {
    result.err().map_or(Status::Ok, |error| error.status())
}

/// A supervisor with these options and one handler for [`CALL`].
pub(crate) fn supervisor<F>(options: SupervisorOptions, handler: F) -> Supervisor
where
    F: Fn(&mut Notification) -> Verdict + Send + Sync + 'static,
{
    let supervisor = Supervisor::new(options).unwrap();
    supervisor
        .on("getppid", HandlerFlags::empty(), handler)
        .unwrap();
    supervisor
}

/// The handler that returns the call's first argument.
pub(crate) fn echo(notification: &mut Notification) -> Verdict {
    let _ = notification.reply_value(notification.request().args[0] as i64);
    Verdict::Handled
}
