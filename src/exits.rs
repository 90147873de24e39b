//! The ends of target processes, for handlers that keep state by process.
//!
//! A process is watched by its pidfd, once a handler has asked for that. All pidfds are in one epoll
//! instance, which is watched by the supervisor's own: it tells of an end as it tells of a
//! notification. Nothing of this exists while nobody asks.

use crate::kernel::epoll::Epoll;
use crate::kernel::fork::Process;
use crate::kernel::{fd, futex, Errno, Result};
use crate::lock::lock;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// So long is waited for somebody who tells of an end: a function that does not return holds up no
/// more than its own worker.
const PATIENCE: Duration = Duration::from_millis(100);

const QUIET: u32 = 0;
const TELLING: u32 = 1;
const TELLING_AND_AWAITED: u32 = 2;

/// The processes that are watched.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    made: OnceLock<Instance>,
    watched: Mutex<Watched>,
    /// How many are watched, or have ended and are being told of.
    count: AtomicUsize,
    /// Whether somebody tells of ends. Nobody else goes on before that was done.
    telling: AtomicU32,
}

#[derive(Debug)]
struct Instance {
    epoll: Epoll,
    made_in: Process,
}

#[derive(Debug, Default)]
struct Watched {
    /// By a number of their own: a process id may be another process's before its end was told.
    processes: HashMap<u64, (libc::pid_t, OwnedFd)>,
    /// The last process that was watched under this id.
    by_pid: HashMap<libc::pid_t, u64>,
    last_key: u64,
}

impl Exits {
    /// Makes ready to watch. What is to be watched for ends, and whether that is new.
    pub(crate) fn prepare(&self) -> Result<(BorrowedFd<'_>, bool)> {
        let is_new = self.made.get().is_none();
        if is_new {
            let _ = self.made.set(Instance {
                epoll: Epoll::new()?,
                made_in: Process::current(),
            });
        }
        let instance = self.made.get().ok_or(Errno(libc::EINVAL))?;
        Ok((instance.epoll.as_fd(), is_new))
    }

    /// Watches a process, unless it is watched already. `EOPNOTSUPP` when nobody is to be told, and
    /// in a copy of the process.
    pub(crate) fn watch(&self, pid: libc::pid_t, pidfd: OwnedFd) -> Result<()> {
        let instance = self.made.get().filter(|made| made.made_in.is_current());
        let instance = instance.ok_or(Errno(libc::EOPNOTSUPP))?;
        let mut watched = lock(&self.watched);
        let before = watched.by_pid.get(&pid);
        if let Some((_, before)) = before.and_then(|key| watched.processes.get(key)) {
            if !has_ended(before.as_fd()) {
                return Ok(());
            }
            // The id was given to another one, and the end of the first is yet to be told.
        }
        watched.last_key += 1;
        let key = watched.last_key;
        instance.epoll.add(pidfd.as_fd(), key)?;
        watched.processes.insert(key, (pid, pidfd));
        watched.by_pid.insert(pid, key);
        self.count.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Whether there is no process whose end is to be told.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(SeqCst) == 0
    }

    /// Tells of each process that has ended since it was watched, and returns when that was done,
    /// be it by another thread; for one that takes long it does not wait for ever.
    pub(crate) fn tell(&self, mut tell: impl FnMut(libc::pid_t)) {
        if self.is_empty() {
            return;
        }
        let Some(_telling) = self.begin_telling() else {
            return;
        };
        let mut events = Vec::new();
        loop {
            let waited = self
                .made
                .get()
                .map(|made| made.epoll.wait(false, &mut events));
            if !matches!(waited, Some(Ok(_))) || events.is_empty() {
                return;
            }
            for event in &events {
                if let Some(pid) = self.forget(event.key) {
                    tell(pid);
                    self.count.fetch_sub(1, SeqCst);
                }
            }
        }
    }

    /// [`Exits::tell`] until none is watched any more, at most until `deadline`: for when all targets
    /// are about to have ended.
    pub(crate) fn tell_to_the_end(&self, deadline: Instant, mut tell: impl FnMut(libc::pid_t)) {
        loop {
            self.tell(&mut tell);
            if self.is_empty() || Instant::now() >= deadline {
                return;
            }
            let Some(made) = self.made.get() else { return };
            if fd::poll(made.epoll.as_fd(), Some(deadline)).is_err() {
                return;
            }
        }
    }

    fn begin_telling(&self) -> Option<Telling<'_>> {
        let begun = self
            .telling
            .compare_exchange(QUIET, TELLING, SeqCst, SeqCst);
        if begun.is_err() {
            let deadline = Instant::now() + PATIENCE;
            while self.telling.swap(TELLING_AND_AWAITED, SeqCst) != QUIET {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                futex::wait(&self.telling, TELLING_AND_AWAITED, Some(left));
            }
        }
        Some(Telling(&self.telling))
    }

    /// A process has ended: what was known of it is dropped. Its id.
    fn forget(&self, key: u64) -> Option<libc::pid_t> {
        let mut watched = lock(&self.watched);
        let (pid, pidfd) = watched.processes.remove(&key)?;
        if watched.by_pid.get(&pid) == Some(&key) {
            watched.by_pid.remove(&pid);
        }
        if let Some(made) = self.made.get() {
            // Somebody may have the same descriptor, so that closing it does not take it out.
            let _ = made.epoll.remove(pidfd.as_fd());
        }
        Some(pid)
    }
}

/// Somebody tells of ends, until this is dropped.
struct Telling<'a>(&'a AtomicU32);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if self.0.swap(QUIET, SeqCst) == TELLING_AND_AWAITED {
            futex::wake(self.0, i32::MAX);
        }
    }
}

/// Whether the process of a pidfd has ended.
fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    // It fails for want of memory at most.
    matches!(fd::poll(pidfd, Some(Instant::now())), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::pidfd;
    use std::process::{Child, Command};

    fn sleeper() -> (Child, OwnedFd) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pidfd = pidfd::open(child.id() as libc::pid_t, 0).unwrap();
        (child, pidfd)
    }

    fn told(exits: &Exits) -> Vec<libc::pid_t> {
        let mut told = Vec::new();
        exits.tell(|pid| told.push(pid));
        told
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_next_process_with_the_same_id_is_another_one() {
        let exits = Exits::default();
        exits.prepare().unwrap();
        // As if both had it.
        const PID: libc::pid_t = 1234;
        let ((first, first_fd), (second, second_fd)) = (sleeper(), sleeper());
        exits.watch(PID, first_fd.try_clone().unwrap()).unwrap();
        exits.watch(PID, first_fd).unwrap();
        end(first);
        exits.watch(PID, second_fd).unwrap();
        assert_eq!(told(&exits), [PID]);
        assert!(told(&exits).is_empty());
        end(second);
        assert_eq!(told(&exits), [PID]);
        assert!(exits.is_empty());
    }

    #[test]
    fn nothing_is_watched_when_nobody_is_to_be_told() {
        let (child, pidfd) = sleeper();
        assert_eq!(
            Exits::default().watch(1, pidfd),
            Err(Errno(libc::EOPNOTSUPP))
        );
        end(child);
    }
}
