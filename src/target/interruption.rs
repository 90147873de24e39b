//! Signals that a target's call is not interrupted by, since it was received: a call that may wait
//! for long is to be ended here as the kernel would have ended it.
//!
//! With `WAIT_KILLABLE_RECV` the kernel leaves a received call alone, whatever signals come, but they
//! are pending then, which `/proc/TID/status` shows. Answered with `ERESTARTSYS`, the number that the
//! kernel's own calls give back when they are interrupted and that no program ever sees, the target
//! goes through all that a signal brings about: it runs the handler, and makes its call again or has
//! `EINTR`, as the handler was installed; or it stops, and makes its call again when it goes on.
//!
//! A program would see that number if no signal were pending for this very thread. One that was sent
//! to the process is for some thread of it: the kernel chooses the leader if that takes it, else any
//! other. So it counts if this is the leader, or no other thread takes it; and with several threads it
//! has to stay for a moment, which it does not if one of them is just taking it.

use super::proc_files::{status, status_field, status_set};
use crate::error::Result;
use crate::held::Proc;
use crate::kernel::{self, Errno};
use crate::notification::{Notification, Reply};
use std::time::Duration;

/// What the kernel's own calls return when a signal interrupts them. Not in any header of a program.
const ERESTARTSYS: i32 = 512;

/// How long a signal takes to be taken by a thread that does not wait for an answer.
const TAKEN_WITHIN: Duration = Duration::from_millis(3);

impl Notification {
    /// If a signal waits for the target, ends its call as the kernel ends one that a signal
    /// interrupts: the handler runs, and the call is made again, or fails with `EINTR`, as the handler
    /// was installed (`SA_RESTART`); a signal that stops the target does so. `Ok(false)`, and the
    /// target goes on waiting, if there is none.
    ///
    /// For who lets a target wait for long: once it is received, a call is interrupted by nothing but
    /// `SIGKILL` and what kills like it (unless [`LoadFlags::NO_WAIT_KILLABLE`]). Nothing tells of a
    /// signal, so ask every 10 ms or so. What was done for the call so far must be such that it can be
    /// done again.
    ///
    /// Not seen are a freezer (`cgroup.freeze`), a tracer that stops its target, and a signal to the
    /// whole process that another thread could take as well, unless this thread leads it.
    ///
    /// [`LoadFlags::NO_WAIT_KILLABLE`]: crate::LoadFlags::NO_WAIT_KILLABLE
    ///
    /// # Errors
    /// As [`Notification::identity`].
    pub fn reply_interrupted(&mut self) -> Result<bool> {
        let tid = self.target()?;
        let found = self.proc().and_then(|proc| is_signalled(proc, tid));
        let signalled = self.if_pending(found, "read which signals wait for the target")?;
        if signalled {
            self.interrupt()?;
        }
        Ok(signalled)
    }

    /// Ends a call for which a signal waits.
    pub(super) fn interrupt(&mut self) -> Result<()> {
        self.send(Reply::Error, 0, -ERESTARTSYS, 0)
    }
}

/// The signals of a thread and what it does with them.
struct Signals {
    /// For this thread.
    own: u64,
    /// For any thread of its process.
    shared: u64,
    blocked: u64,
    threads: u32,
    tgid: u32,
}

impl Signals {
    fn read(proc: &Proc, tid: libc::pid_t) -> kernel::Result<Self> {
        Signals::parse(&status(proc, tid)?).ok_or(Errno(libc::EIO))
    }

    fn parse(status: &[u8]) -> Option<Self> {
        let number = |field| status_field(status, field, 10)?.first().copied();
        Some(Signals {
            own: status_set(status, "SigPnd")?,
            shared: status_set(status, "ShdPnd")?,
            blocked: status_set(status, "SigBlk")?,
            threads: number("Threads")?,
            tgid: number("Tgid")?,
        })
    }

    /// Those to the process that this thread takes.
    fn taken(&self) -> u64 {
        self.shared & !self.blocked
    }
}

/// Whether a signal waits for a thread that waits for an answer. What is ignored does not wait.
pub(super) fn is_signalled(proc: &Proc, tid: libc::pid_t) -> kernel::Result<bool> {
    let now = Signals::read(proc, tid)?;
    if now.own & !now.blocked != 0 {
        return Ok(true);
    }
    if now.taken() == 0 {
        return Ok(false);
    }
    if now.threads == 1 {
        return Ok(true);
    }
    let leads = i64::from(now.tgid) == i64::from(tid);
    if !leads && others_take(proc, tid, now.taken()) {
        return Ok(false);
    }
    std::thread::sleep(TAKEN_WITHIN);
    let later = Signals::read(proc, tid)?;
    Ok(now.taken() & later.taken() != 0)
}

/// Whether another thread of the process takes one of these signals, as far as can be seen.
fn others_take(proc: &Proc, tid: libc::pid_t, signals: u64) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{tid}/task")) else {
        return true;
    };
    threads.flatten().any(|thread| {
        let name = thread.file_name();
        match name.to_str().and_then(|name| name.parse().ok()) {
            Some(other) if other != tid => {
                Signals::read(proc, other).is_ok_and(|other| signals & !other.blocked != 0)
            }
            Some(_) => false,
            None => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_blocked_is_not_taken() {
        let status = b"Tgid:\t7\nThreads:\t2\nSigPnd:\t0000000000000000\n\
            ShdPnd:\t0000000000006000\nSigBlk:\t0000000000002000\n";
        let signals = Signals::parse(status).unwrap();
        assert_eq!(signals.taken(), 0x4000);
        assert_eq!((signals.own, signals.threads, signals.tgid), (0, 2, 7));
    }
}
