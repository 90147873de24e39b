//! How a listener learns that its targets have ended, where it does not tell by itself.
//!
//! A listener hangs up when the last task has let go of the filter. Since Linux 6.11 a task does so
//! when it exits, before that when it is *reaped*. So on an older kernel a child that nobody has
//! waited for yet keeps its listener, and whoever means to wait for the child once the listener has
//! ended waits for ever. There the child is watched beside the listener.

use crate::kernel::process::{self, Handle};
use crate::kernel::{self, fd, Errno};
use crate::lock::lock;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often to look for an end that no descriptor tells of.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// A child that this library has started, as its handle and its listener know it: whoever reaps it
/// leaves its status to the other.
#[derive(Debug)]
pub(crate) struct Life {
    child: Handle,
    fate: Mutex<Fate>,
}

/// What is known of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It runs, or is a zombie: its process id is its own.
    Ours,
    /// It was reaped here, with this wait status.
    Ended(i32),
    /// It was reaped by somebody else.
    Lost,
}

impl Life {
    pub(crate) fn new(child: Handle) -> Self {
        Life {
            child,
            fate: Mutex::new(Fate::Ours),
        }
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.child.pid()
    }

    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.pidfd()
    }

    /// Waits for the end, at most until `deadline` (`None`: without limit), without the lock, so
    /// that others can kill meanwhile. It may return before: the caller looks again.
    pub(crate) fn await_end(&self, deadline: Option<Instant>) {
        let Some(end) = deadline else {
            // Failure is told by the next look.
            let _ = self.child.await_end();
            return;
        };
        let slice = match self.pidfd().map(|pidfd| fd::poll(pidfd, deadline)) {
            Some(Ok(None)) => return,
            // The report may come a moment before there is something to reap; on Linux 5.2, which
            // has descriptors for processes that cannot be polled, long before.
            Some(Ok(Some(_))) if !matches!(self.child.has_ended(), Ok(false)) => return,
            Some(Ok(Some(_))) => Duration::from_millis(1),
            _ => SLICE,
        };
        std::thread::sleep(slice.min(end.saturating_duration_since(Instant::now())));
    }

    /// Whether the child has ended, or nobody can know.
    pub(crate) fn has_ended(&self) -> bool {
        // The lock keeps the id from being given to another process.
        let fate = self.fate();
        !matches!(*fate, Fate::Ours) || self.child.has_ended() != Ok(false)
    }

    /// Asks `goes_on` at each stop of the child, by a signal, whether it is to go on, until it has ended,
    /// or nobody can know.
    pub(crate) fn follow_stops(&self, goes_on: fn(i32, &Handle) -> bool) {
        while let Ok(Some(signal)) = self.child.await_stop() {
            if goes_on(signal, &self.child) {
                // It fails if the child has ended.
                let _ = self.kill(libc::SIGCONT);
            }
        }
    }

    /// Reaps the child if it has ended, and tells what is known of it.
    pub(crate) fn reap(&self) -> kernel::Result<Fate> {
        let mut fate = self.fate();
        if let Fate::Ours = *fate {
            match self.child.reap() {
                Ok(None) => {}
                Ok(Some(status)) => *fate = Fate::Ended(status),
                Err(Errno(libc::ECHILD)) => *fate = Fate::Lost,
                Err(errno) => return Err(errno),
            }
        }
        Ok(*fate)
    }

    /// Sends a signal to a child that was not reaped yet, else `ESRCH`.
    pub(crate) fn kill(&self, signal: i32) -> kernel::Result<()> {
        // The lock keeps the id from being given to another process.
        let fate = self.fate();
        match *fate {
            Fate::Ours => self.child.kill(signal),
            _ => Err(Errno(libc::ESRCH)),
        }
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        lock(&self.fate)
    }
}

/// Whose end is looked for beside a listener.
#[derive(Debug)]
pub(crate) enum Watch {
    /// That of a program which this library has started: it is reaped, and its status kept.
    Started(Arc<Life>),
    /// That of a child of the caller's, who reaps it.
    Own(OwnedFd),
}

/// What the end of the child that is watched means for the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is too early to tell.
    NotYet,
    /// The child was reaped. The listener tells the rest by itself.
    Reaped,
    /// The child is a zombie that its owner has yet to reap. Until then nobody can know of other
    /// targets, so what is not pending now does not count.
    Zombie,
}

impl Watch {
    /// What polls readable when the child has ended.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Watch::Started(life) => life.pidfd(),
            Watch::Own(pidfd) => Some(pidfd.as_fd()),
        }
    }

    /// Looks at the child, and reaps it if that is this library's to do.
    pub(crate) fn look(&self) -> Ending {
        match self {
            Watch::Started(life) => match life.reap() {
                // It has not ended, or somebody traces it, who is told of the end first.
                Ok(Fate::Ours) => Ending::NotYet,
                _ => Ending::Reaped,
            },
            Watch::Own(pidfd) => match process::is_zombie(pidfd.as_fd()) {
                Ok(false) => Ending::NotYet,
                Ok(true) => Ending::Zombie,
                // It was reaped, or never was this process's to reap.
                Err(_) => Ending::Reaped,
            },
        }
    }
}
