//! Who a target is.

use super::proc_files::{check_proc, proc_path, status, status_field, status_set, Entry};
use crate::error::Result;
use crate::held::Proc;
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Who makes a call, as the supervisor's namespaces number it. Users and groups that the
/// supervisor's user namespace has no number for show as the overflow number (65534).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Identity {
    /// The thread group: what is commonly called the process's number.
    pub tgid: libc::pid_t,
    /// The real user.
    pub uid: u32,
    /// The effective user.
    pub euid: u32,
    /// The user that access to files is decided for.
    pub fsuid: u32,
    /// The real group.
    pub gid: u32,
    /// The effective group.
    pub egid: u32,
    /// The group that access to files is decided for.
    pub fsgid: u32,
    /// What is taken away from the permissions of files that it makes: `0o022`.
    pub umask: u32,
    /// Its effective capabilities, `1 << CAP_*` for each. They are those of its own user namespace:
    /// see [`Identity::same_user_namespace`].
    pub capabilities: u64,
    /// Whether its user namespace is the supervisor's. If not, its capabilities mean nothing here.
    /// `false` too when the supervisor may not look it up (it takes the rights that reading its
    /// memory takes).
    pub same_user_namespace: bool,
}

impl Notification {
    /// Thread group, users, groups, umask and capabilities of the target, read from
    /// `/proc/TID/status` in one go, so that they belong together.
    ///
    /// # Errors
    /// [`Status::Gone`](crate::Status::Gone), [`Status::NotVisible`](crate::Status::NotVisible),
    /// [`Status::Answered`](crate::Status::Answered); [`Status::System`](crate::Status::System)
    /// where `/proc` does not show the target.
    pub fn identity(&mut self) -> Result<Identity> {
        let tid = self.target()?;
        let found = self.proc().and_then(|proc| {
            let identity = read(proc, tid)?;
            Ok(Identity {
                same_user_namespace: same_user_namespace(proc, tid),
                ..identity
            })
        });
        self.if_pending(found, "read who the target is")
    }

    /// The target's supplementary groups, as the supervisor's user namespace numbers them: beside
    /// [`Identity::fsgid`], those that access to files is decided for. At most 65536, in the order of
    /// their numbers.
    ///
    /// # Errors
    /// As [`Notification::identity`].
    pub fn groups(&mut self) -> Result<Vec<u32>> {
        let tid = self.target()?;
        let found = self.proc().and_then(|proc| {
            status_field(&status(proc, tid)?, "Groups", 10).ok_or(Errno(libc::EIO))
        });
        self.if_pending(found, "read the target's groups")
    }

    /// The path of the program that the target executes (`/proc/TID/exe`), as the supervisor
    /// sees it; " (deleted)" is behind it when it has no name any more.
    ///
    /// # Errors
    /// As [`Notification::identity`], and [`Status::Permission`](crate::Status::Permission)
    /// when the supervisor may not look into the target.
    pub fn executable(&mut self) -> Result<PathBuf> {
        let tid = self.target()?;
        let found = check_proc().and_then(|()| file::read_link(None, &proc_path(tid, "exe")));
        let path = self.if_pending(found, "read which program the target executes")?;
        Ok(OsString::from_vec(path).into())
    }
}

/// Whether a thread has this thread's user namespace, as far as can be seen.
pub(super) fn same_user_namespace(proc: &Proc, tid: libc::pid_t) -> bool {
    let link = |path: &CStr| file::read_link(Some(proc.dir()), path);
    let theirs = link(Entry::of(tid, "ns/user").path());
    theirs.is_ok() && theirs == link(c"thread-self/ns/user")
}

/// Who the thread with this number is at the moment. Its user namespace is not looked up.
pub(super) fn read(proc: &Proc, tid: libc::pid_t) -> kernel::Result<Identity> {
    parse(&status(proc, tid)?).ok_or(Errno(libc::EIO))
}

pub(super) fn parse(status: &[u8]) -> Option<Identity> {
    let users = status_field(status, "Uid", 10)?;
    let groups = status_field(status, "Gid", 10)?;
    Some(Identity {
        tgid: (*status_field(status, "Tgid", 10)?.first()?)
            .try_into()
            .ok()?,
        uid: *users.first()?,
        euid: *users.get(1)?,
        fsuid: *users.get(3)?,
        gid: *groups.first()?,
        egid: *groups.get(1)?,
        fsgid: *groups.get(3)?,
        // Linux 4.7.
        umask: *status_field(status, "Umask", 8)?.first()?,
        capabilities: status_set(status, "CapEff")?,
        same_user_namespace: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::Held;

    #[test]
    fn identity_of_this_thread_is_the_one_the_kernel_gives() {
        let own = std::process::id() as libc::pid_t;
        let held = Held::default();
        let proc = held.proc().unwrap();
        let identity = read(proc, own).unwrap();
        assert_eq!(identity.tgid, own);
        let owner = file::owner(c"/proc/self/").unwrap();
        assert_eq!(identity.euid, owner);
        assert!(same_user_namespace(proc, own));
    }

    #[test]
    fn a_status_without_the_fields_is_not_an_identity() {
        assert_eq!(parse(b"Name:\tx\nTgid:\t1\n"), None);
    }
}
