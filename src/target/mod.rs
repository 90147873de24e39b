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

mod descriptors;
mod exit;
mod identity;
mod maps;
mod memory;
mod memory_file;
mod open;
mod permission;
mod place;
mod procfs;
mod reopen;
mod terminal;
mod translate;

pub use identity::Identity;
pub(crate) use memory_file::MemoryFile;
pub use open::OpenHow;

use crate::error::{Error, Result, Status};
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::ffi::CString;

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
    fn settled<T>(&mut self, found: kernel::Result<T>, what: &str) -> Result<T> {
        self.check_valid()?;
        found.map_err(|errno| permission::explain(errno, what, self.request().pid))
    }
}

/// `/proc/TID/entry`.
fn proc_path(tid: libc::pid_t, entry: &str) -> CString {
    CString::new(format!("/proc/{tid}/{entry}")).unwrap_or_default()
}

/// Errors with `ENOENT` unless `/proc` numbers processes as this process does: after
/// `unshare(CLONE_NEWPID)` it may still be the `/proc` of the namespace above, where the target's
/// number is somebody else's.
fn check_proc() -> kernel::Result<()> {
    let own = file::read_link(None, c"/proc/self")?;
    if own == std::process::id().to_string().as_bytes() {
        Ok(())
    } else {
        Err(Errno(libc::ENOENT))
    }
}

/// The numbers behind `field` in the text of `/proc/TID/status`.
fn status_field(status: &[u8], field: &str, radix: u32) -> Option<Vec<u32>> {
    let line = status
        .split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(field.as_bytes())?.strip_prefix(b":"))?;
    std::str::from_utf8(line)
        .ok()?
        .split_ascii_whitespace()
        .map(|number| u32::from_str_radix(number, radix).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_status_are_found_by_their_whole_name() {
        let status = b"Name:\t\xff Uid:\nUmask:\t0022\nTgid:\t12\nUid:\t1\t2\t3\t4\n";
        assert_eq!(status_field(status, "Uid", 10), Some(vec![1, 2, 3, 4]));
        assert_eq!(status_field(status, "Tgid", 10), Some(vec![12]));
        assert_eq!(status_field(status, "Umask", 8), Some(vec![0o22]));
        assert_eq!(status_field(status, "id", 10), None);
    }

    #[test]
    fn the_test_runs_with_a_proc_of_its_own_namespace() {
        assert_eq!(check_proc(), Ok(()));
    }
}
