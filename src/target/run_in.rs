//! Doing something where a target is: in its namespaces.

use super::place;
use super::proc_files::Entry;
use crate::error::{Error, Result, Status};
use crate::held::Proc;
use crate::kernel::helper::{self, Given, Outcome, There};
use crate::kernel::{self, file};
use crate::notification::Notification;
use bitflags::bitflags;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

bitflags! {
    /// Namespaces of a target.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Namespaces: u32 {
        /// What is mounted, with the target's root and working directory.
        const MOUNT = 1 << 0;
        /// Users and capabilities: root there, if it has one, with all capabilities there and none elsewhere.
        const USER = 1 << 1;
        /// Network interfaces, addresses and ports.
        const NET = 1 << 2;
    }
}

impl Notification {
    /// The target's root directory, as an `O_PATH` descriptor, close-on-exec: for a container its own
    /// file system, with what is mounted there.
    ///
    /// # Errors
    /// As [`Notification::identity`], and [`Status::Permission`] when the supervisor may not look into
    /// the target.
    pub fn open_root(&mut self) -> Result<OwnedFd> {
        let tid = self.target()?;
        let root = self.proc().and_then(|proc| place::root(proc, tid));
        self.if_pending(root, "open the target's root directory")
    }

    /// Runs a function in namespaces of the target: to mount what it asks for, to open a socket on its
    /// network, to set what only its own root may set. Gives the function's value and descriptor.
    ///
    /// A helper does, a copy of this process with one thread, and ends with that: no thread of the
    /// supervisor ever leaves its own namespaces. It is killed after `limit`, and with the calling
    /// thread. It has all signals blocked, and no signal tells of its end. It makes a helper for each
    /// call, some tenths of a millisecond; flag a handler that does it as
    /// [blocking](crate::HandlerFlags::BLOCKING).
    ///
    /// The rights are the supervisor's (`setns(2)`): joining takes `CAP_SYS_ADMIN` over the namespace,
    /// for mounts also in its own user namespace. With [`Namespaces::USER`] they are the target's
    /// root's instead. What the function names is looked up where the target is, but by the helper:
    /// what a path leads to the target can change.
    ///
    /// # Errors
    /// [`Status::System`], or what else the number means, with the error number that the function
    /// gives; [`Status::Permission`] when the supervisor may not get there; [`Status::Timeout`];
    /// [`Status::Gone`] and others of [`Notification::identity`], and the function was not run.
    /// Whether the target still waits afterwards, the answer tells.
    ///
    /// # Safety
    /// The function runs in a copy of a process with threads, as after `fork(2)`: it may only do what is
    /// async-signal-safe. Other threads are not there, and what they held is held for ever: memory
    /// must not be allocated or freed. What it is to have is made before.
    pub unsafe fn run_in(
        &mut self,
        namespaces: Namespaces,
        limit: Duration,
        function: impl FnOnce() -> std::result::Result<(i64, Option<OwnedFd>), i32>,
    ) -> Result<(i64, Option<OwnedFd>)> {
        let mut function = Some(function);
        let mut once = || match function.take() {
            // The descriptor is closed with the helper.
            Some(function) => function().map(|(value, fd)| (value, fd.map(OwnedFd::into_raw_fd))),
            None => Err(libc::EINVAL),
        };
        // SAFETY: the function's, as promised.
        unsafe { self.run_there(namespaces, limit, &mut once) }
    }

    /// [`Notification::run_in`] for C.
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn run_there(
        &mut self,
        namespaces: Namespaces,
        limit: Duration,
        function: &mut dyn FnMut() -> Given,
    ) -> Result<(i64, Option<OwnedFd>)> {
        let tid = self.target()?;
        let there = self.proc().and_then(|proc| find(proc, tid, namespaces));
        let there = self.if_pending(there, "open the target's namespaces")?;
        // A limit that no clock reaches is none.
        let deadline = Instant::now().checked_add(limit);
        // What it does there a target can make last.
        // SAFETY: the function's, as promised.
        let ran = self.watched(|_| unsafe { helper::run(&there, deadline, function) });
        match ran.map_err(|errno| Error::system(errno, "start a helper"))? {
            Outcome::Given(value, fd) => Ok((value, fd)),
            Outcome::Failed(errno) => Err(Error::system(errno, "do that where the target is")),
            Outcome::NotThere(errno) => Err(Error::system(errno, "join the target's namespaces")),
            Outcome::TimeIsUp => Err(Error::new(
                Status::Timeout,
                "the helper was not done in time, and was killed",
            )),
            Outcome::Ended => Err(Error::new(
                Status::System,
                "the helper ended before it was done",
            )),
        }
    }
}

/// Opens what the target has of these namespaces and this thread has not.
fn find(proc: &Proc, tid: libc::pid_t, namespaces: Namespaces) -> kernel::Result<There> {
    // With the rights of its user namespace the others are joined.
    let kinds = [
        (
            Namespaces::USER,
            "ns/user",
            c"thread-self/ns/user",
            libc::CLONE_NEWUSER,
        ),
        (
            Namespaces::NET,
            "ns/net",
            c"thread-self/ns/net",
            libc::CLONE_NEWNET,
        ),
        (
            Namespaces::MOUNT,
            "ns/mnt",
            c"thread-self/ns/mnt",
            libc::CLONE_NEWNS,
        ),
    ];
    let mut found = Vec::new();
    for (flag, theirs, own, kind) in kinds {
        if !namespaces.contains(flag) {
            continue;
        }
        let path = Entry::of(tid, theirs);
        let link = |path: &std::ffi::CStr| file::read_link(Some(proc.dir()), path);
        if link(path.path())? != link(own)? {
            let flags = libc::O_RDONLY | libc::O_CLOEXEC;
            found.push((file::open(Some(proc.dir()), path.path(), flags)?, kind));
        }
    }
    let directories = if namespaces.contains(Namespaces::MOUNT) {
        let root = place::root(proc, tid)?;
        Some([root, place::start(proc, tid, libc::AT_FDCWD)?])
    } else {
        None
    };
    Ok(There {
        namespaces: found,
        directories,
    })
}
