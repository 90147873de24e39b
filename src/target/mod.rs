//! What a supervisor may do to a target: its memory, strings, descriptors, paths, and who it is.
//!
//! Everything here is a method of [`Notification`] and follows one rule: **what is found is handed
//! out only after the notification was found to be pending still**
//! (`SECCOMP_IOCTL_NOTIF_ID_VALID`). A thread number is no proof of anything by itself, since a
//! dead target's number can be another thread's at once. But while a notification is pending its
//! thread sits in that very call and keeps its number, so everything that was asked about the number
//! before a successful check was about the target.
//!
//! The check also has the first word on errors: where the target is gone the answer is
//! [`Status::Gone`], not what its absence looked like.

mod beneath;
mod connect;
mod create;
mod descriptors;
mod exit;
mod fifo;
mod identity;
mod interruption;
mod maps;
mod memory;
mod memory_file;
mod open;
mod open_how;
mod permission;
mod place;
mod proc_files;
mod procfs;
mod reopen;
mod roots;
mod run_in;
mod terminal;
mod translate;
mod waiting;
mod within;

pub use identity::Identity;
pub(crate) use memory_file::MemoryFile;
pub use open_how::OpenHow;
pub use roots::{Rights, Roots};
pub use run_in::Namespaces;

use crate::error::{Error, Result, Status};
use crate::kernel;
use crate::notification::Notification;

impl Notification {
    /// The thread that waits, as this pid namespace numbers it.
    fn target(&self) -> Result<libc::pid_t> {
        self.pending_on()?;
        match self.request().pid {
            tid if tid > 0 => Ok(tid),
            _ => Err(Error::new(
                Status::NotVisible,
                "the target is outside the supervisor's pid namespace, so nothing names it here",
            )),
        }
    }

    /// Hands out what was found about the target if it waits still, and explains what was not.
    fn if_pending<T>(&mut self, found: kernel::Result<T>, what: &str) -> Result<T> {
        self.check_valid()?;
        found.map_err(|errno| permission::explain(errno, what, self.request().pid))
    }
}
