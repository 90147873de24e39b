//! Targets that ask for something about themselves: their memory, descriptors and paths.

use super::target::load_and_send;
use super::{call, notifying, slowed, Process, CALL, LIMIT};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::{ptr, slice};
use unotify::{Listener, LoadFlags, Notification, ScmpFilterContext};

/// A target that runs code of the test's own with all that the test has, and asks by [`ask`].
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) process: Process,
    pub(crate) listener: Listener,
}

impl Asker {
    /// A target that notifies [`CALL`]. What `body` returns is the exit status.
    pub(crate) fn start(body: impl FnOnce() -> i32) -> Asker {
        Asker::under(&notifying(&["getppid"]), || {}, body)
    }

    /// A target under `filter`, `prepare`d before it is loaded.
    pub(crate) fn under(
        filter: &ScmpFilterContext,
        prepare: impl FnOnce(),
        body: impl FnOnce() -> i32,
    ) -> Asker {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = Process::fork(|| {
            prepare();
            load_and_send(filter, LoadFlags::empty(), &theirs);
            drop(theirs);
            body()
        });
        let listener = Listener::from_socket(ours.as_fd()).unwrap();
        Asker { process, listener }
    }

    /// The next notification.
    pub(crate) fn receive(&self) -> Notification {
        self.listener.receive_timeout(slowed(LIMIT)).unwrap()
    }

    /// Lets the pending call return and waits for the end, which must be a success.
    pub(crate) fn finish(self, mut notification: Notification) {
        notification.reply_value(0).unwrap();
        self.end();
    }

    /// Waits for the end, which must be a success.
    pub(crate) fn end(mut self) {
        assert_eq!(self.process.wait(), 0);
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.process.kill();
        assert_eq!(self.process.wait(), -libc::SIGKILL);
    }
}

/// The notified call of an [`Asker`]: what is asked for goes along as its arguments.
pub(crate) fn ask(a: u64, b: u64, c: u64) -> i64 {
    call(CALL, [a, b, c])
}

/// [`ask`] about something in memory.
pub(crate) fn ask_about<T: ?Sized>(place: &T) -> i64 {
    ask((place as *const T).cast::<u8>() as u64, 0, 0)
}

/// Pages, with an unmapped one behind them.
pub(crate) fn pages(count: usize) -> &'static mut [u8] {
    let len = count * 4096;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, whose last page is unmapped again before anybody uses it.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), len + 4096, protection, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        libc::munmap(start.byte_add(len), 4096);
        slice::from_raw_parts_mut(start.cast(), len)
    }
}
