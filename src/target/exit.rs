//! The end of a target's process.

use super::descriptors::process_pidfd;
use super::permission;
use crate::error::{Error, Result, Status};
use crate::kernel::Errno;
use crate::notification::Notification;

impl Notification {
    /// Asks for notice of the end of the target's process, which the function that
    /// [`Supervisor::on_exit`](crate::Supervisor::on_exit) was given gets, and returns the process's
    /// id. The process is the thread group, also when the call was made by a thread that does not
    /// lead it. Asking again for a process changes nothing.
    ///
    /// On success the notice comes for certain, even if the process is killed at this moment: what is
    /// kept for it is to be kept before, or right after, and will not be left behind.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when the notification is not a supervisor's, or that supervisor has
    /// nobody to tell; [`Status::Gone`]; [`Status::NotVisible`]; [`Status::Answered`];
    /// [`Status::Unsupported`] on a kernel before 5.3; [`Status::System`] where `/proc` does not show
    /// the target, and when this process has no descriptor left: each process takes one.
    pub fn watch_exit(&mut self) -> Result<libc::pid_t> {
        let tid = self.target()?;
        let found = process_pidfd(tid);
        let (pidfd, pid) = self.if_pending(found, "open a pidfd for the target")?;
        let exits = self.exits().ok_or(Errno(libc::EOPNOTSUPP));
        match exits.and_then(|exits| exits.watch(pid, pidfd)) {
            Ok(()) => Ok(pid),
            Err(Errno(libc::EOPNOTSUPP)) => Err(Error::new(
                Status::InvalidArgument,
                "nobody is to be told of the end of a process; see Supervisor::on_exit",
            )),
            Err(errno) => Err(permission::explain(
                errno,
                "watch the target's process",
                tid,
            )),
        }
    }
}
