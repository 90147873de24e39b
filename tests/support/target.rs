//! Targets: processes under a filter that notifies, which do as they are told.

use super::{notifying, polled, until_in_call, Process};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use unotify::{Listener, LoadFlags, ScmpFilterContext};

/// The call that targets make unless a test says otherwise: its arguments mean nothing.
pub(crate) const CALL: libc::c_long = libc::SYS_getppid;

/// A system call: its value, or its error number made negative.
pub(crate) fn call(nr: libc::c_long, args: [u64; 3]) -> i64 {
    // SAFETY: the tests make calls that take integers, or memory of theirs.
    match unsafe { libc::syscall(nr, args[0], args[1], args[2]) } {
        -1 => -i64::from(io::Error::last_os_error().raw_os_error().unwrap()),
        value => value,
    }
}

/// Puts the calling process under a filter and sends its listener away.
pub(super) fn load_and_send(filter: &ScmpFilterContext, flags: LoadFlags, socket: &UnixStream) {
    let listener = filter.load_listener(flags).unwrap();
    listener.to_socket(socket.as_fd()).unwrap();
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
        polled(&self.0, Duration::ZERO) & libc::POLLIN != 0
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
            load_and_send(filter, flags, &channel.0);
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
