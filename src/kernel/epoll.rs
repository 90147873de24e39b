//! Waiting for many descriptors, and the counter that wakes such a wait.

use super::syscall::syscall;
use super::{check, fd, retry, Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// One report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) readable: bool,
}

impl Event {
    /// `EPOLLERR` alone is no report.
    fn of(event: &libc::epoll_event) -> Option<Self> {
        (event.events != libc::EPOLLERR as u32).then_some(Event {
            key: event.u64,
            readable: event.events & libc::EPOLLIN as u32 != 0,
        })
    }
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// A buffer for the reports of one wait.
pub(crate) const BATCH: usize = 32;

impl Epoll {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: integers only.
        check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into()).map(|f| Epoll(fd::own(f)))
    }

    /// Watches `fd` for readability (and for hanging up, which is always reported).
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, key: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, key)
    }

    /// [`Epoll::add`] for a descriptor that several instances watch: just one of those that are
    /// waited on is woken.
    pub(crate) fn add_exclusive(&self, fd: BorrowedFd<'_>, key: u64) -> Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLEXCLUSIVE;
        self.control(libc::EPOLL_CTL_ADD, fd, events, key)
    }

    /// [`Epoll::add`] that reports each time that `fd` becomes readable anew, and that once.
    pub(crate) fn add_edge(&self, fd: BorrowedFd<'_>, key: u64) -> Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, fd, events, key)
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, events: i32, key: u64) -> Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: key,
        };
        // SAFETY: the call reads one event.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd.as_raw_fd(), &mut event) }.into())
            .map(drop)
    }

    /// Waits for reports, without limit or not at all. An interruption is an empty answer; whether
    /// there was one. `EPOLLERR` alone is no report: so a listener tells that a signal came while the
    /// kernel waited for its lock, to look at it. It is reported again when there is more to say.
    pub(crate) fn wait(&self, block: bool, out: &mut Vec<Event>) -> Result<bool> {
        out.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        match self.pwait(&mut events, if block { -1 } else { 0 }) {
            Ok(n) => {
                out.extend(events[..n].iter().filter_map(Event::of));
                Ok(n != 0 && out.is_empty())
            }
            Err(Errno(libc::EINTR)) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// [`Epoll::wait`] without limit for one report.
    pub(crate) fn wait_for_one(&self) -> Result<Option<Event>> {
        let mut event = [libc::epoll_event { events: 0, u64: 0 }];
        match self.pwait(&mut event, -1) {
            Ok(_) => Ok(Event::of(&event[0])),
            Err(Errno(libc::EINTR)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn pwait(&self, events: &mut [libc::epoll_event], timeout: isize) -> Result<usize> {
        // SAFETY: there is room for so many events; no set of signals is given.
        let got = unsafe {
            syscall(
                libc::SYS_epoll_pwait,
                [
                    self.0.as_raw_fd() as usize,
                    events.as_mut_ptr() as usize,
                    events.len(),
                    timeout as usize,
                    0,
                    0,
                ],
            )
        };
        got.map(|n| n as usize)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that is readable from [`WakeFd::wake`] until [`WakeFd::clear`].
#[derive(Debug)]
pub(crate) struct WakeFd(OwnedFd);

impl WakeFd {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: integers only.
        check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into())
            .map(|f| WakeFd(fd::own(f)))
    }

    /// Async-signal-safe.
    pub(crate) fn wake(&self) {
        let one: u64 = 1;
        // SAFETY: eight bytes are read. It fails only when it is as readable as can be.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    pub(crate) fn clear(&self) {
        let mut count: u64 = 0;
        // It fails only when there is nothing to clear.
        let _ = retry(|| {
            check(
                // SAFETY: eight bytes are written.
                unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) }
                    as libc::c_long,
            )
        });
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
