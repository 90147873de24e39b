//! Opening what a target names, if it lies where the target may open things.
//!
//! **Where it is sound with one `openat2(2)`**, that is all: an absolute path whose text leads into an
//! allowed directory, of a target that has the supervisor's own root directory (the same directory on
//! the same mount, so also the same mount namespace), is opened from that directory with
//! `RESOLVE_BENEATH`. What comes out is there, whatever anybody renames, links or moves meanwhile.
//! With another root directory it would be as safe, but not the file that the target meant.
//!
//! **Everything else** (relative paths, links that lead elsewhere, targets in other roots, all that
//! fails there in a way that may depend on it) is opened as the target would open it, with `O_PATH`;
//! then it is decided on what is open ([`super::roots`]), and that is opened for good.

use super::open_how::{checked, creates, open_again, Asked, OpenHow, PATH_FLAGS, TRIES};
use super::proc_files::Entry;
use super::roots::{Rights, Roots};
use super::{fifo, open, place, translate};
use crate::error::{Error, Result, Status};
use crate::kernel::memory::Scratch;
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// For whom something is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Caller,
    /// Who is answered with it at once; and perhaps has to wait for it.
    Target {
        waits: bool,
    },
}

impl For {
    fn waits(self) -> bool {
        self == For::Target { waits: true }
    }
}

/// What was found to be allowed.
enum Found {
    Open(OwnedFd),
    /// With `O_PATH`, to be opened for good.
    ByPath(OwnedFd),
}

impl Notification {
    /// [`Notification::open`] for what lies in one of the directories of `roots` that allows it;
    /// everything else is refused with `EACCES`. What comes out, close-on-exec, is for
    /// [`Notification::reply_fd`], or with `O_PATH` for [`Notification::reopen`].
    ///
    /// What is decided on is the file itself, and nothing that a target or anybody else does leads
    /// around that: not links, not renaming, not mounts (in its own namespace or here), not another
    /// root or working directory, not `/proc`. **A hard link is a file of the directory that it lies
    /// in**: who may link a file into an allowed directory makes it allowed under that name. A file on a mount of the target's own namespace is allowed if the same file is found
    /// in an allowed directory here, under the name that it has there. A pipe that the target has
    /// open (`/dev/fd/N`) is allowed.
    ///
    /// A file is only created or truncated after it was decided. It cannot be created at the end of a
    /// link that leads nowhere (`EEXIST`). A working directory or a `dirfd` that is not below the
    /// target's root is followed as far as the path stays below it.
    ///
    /// Otherwise it is as [`Notification::open`] says; a `/proc` among the roots gives all that the supervisor may open there, but for its own.
    ///
    /// # Errors
    /// As [`Notification::open`]; [`Status::System`] with `EACCES` for what is not allowed.
    pub fn open_within(
        &mut self,
        roots: &Roots,
        dirfd: RawFd,
        path_addr: u64,
        how: OpenHow,
    ) -> Result<OwnedFd> {
        match self.find_within(roots, dirfd, path_addr, how, For::Caller)? {
            Found::Open(opened) | Found::ByPath(opened) => Ok(opened),
        }
    }

    /// Opens as [`Notification::open_within`] does, and answers the target with it as
    /// [`Notification::reply_fd`] does, close-on-exec if `how` says so. What has to wait for somebody,
    /// a FIFO for its other end, waits without the caller, as with [`Notification::reply_open`].
    ///
    /// # Errors
    /// As [`Notification::open_within`] and [`Notification::reply_open`], and the target goes on
    /// waiting unless it is gone; `EBADF` with `O_PATH`, as the kernel passes no such descriptor.
    pub fn reply_open_within(
        &mut self,
        roots: &Roots,
        dirfd: RawFd,
        path_addr: u64,
        how: OpenHow,
    ) -> Result<()> {
        let waits = fifo::may_wait(how.flags) && how.flags & libc::O_DIRECTORY == 0;
        match self.find_within(roots, dirfd, path_addr, how, For::Target { waits })? {
            Found::Open(opened) => {
                let cloexec = how.flags & libc::O_CLOEXEC != 0;
                self.reply_fd(opened.as_fd(), cloexec).map(drop)
            }
            Found::ByPath(found) => match self.reply_open(found.as_fd(), how.flags, how.mode) {
                Err(error) if leads_elsewhere(&error) => {
                    let opened = self.in_own_proc(&found, how).ok_or(error)?;
                    let cloexec = how.flags & libc::O_CLOEXEC != 0;
                    self.reply_fd(opened.as_fd(), cloexec).map(drop)
                }
                outcome => outcome,
            },
        }
    }

    /// Opens what is allowed, or if it is to wait perhaps only finds it.
    fn find_within(
        &mut self,
        roots: &Roots,
        dirfd: RawFd,
        path_addr: u64,
        how: OpenHow,
        whom: For,
    ) -> Result<Found> {
        let mut scratch = Scratch::new();
        self.watched(|n| {
            let path = n.unchecked_string(&mut scratch, path_addr, open::PATH_MAX)?;
            n.as_maker_of(how, |n, asked| {
                match n.open_named(roots, path, &asked, whom.waits())? {
                    Some(Ok(opened)) => Ok(Found::Open(opened)),
                    Some(Err(errno)) => {
                        n.check_valid()?;
                        Err(open::explain_open(errno, path))
                    }
                    None => n.open_decided(roots, dirfd, path, &asked, whom),
                }
            })
        })
    }

    /// Opens below an allowed directory that the path, not yet checked to be the target's, leads into
    /// by its text. Nothing when that does not tell.
    #[inline]
    fn open_named(
        &mut self,
        roots: &Roots,
        path: &CStr,
        asked: &Asked,
        waits: bool,
    ) -> Result<Option<kernel::Result<OwnedFd>>> {
        let how = asked.how;
        if how.resolve != 0 {
            return Ok(None);
        }
        let Some((root, rest)) = roots.named(path, needed(how.flags)) else {
            return Ok(None);
        };
        let tid = self.target()?;
        let is_seen_so = roots.are_seen_by(|| {
            let proc = self.proc()?.dir();
            file::stat_at(proc, Entry::of(tid, "root").path())
        });
        if !is_seen_so {
            return Ok(None);
        }
        self.check_valid()?;
        // Opened for reading a FIFO would not wait, and who opens it for writing would not either. So
        // it is looked at before; should it become one in this moment, it does not wait.
        let reads = how.flags & libc::O_ACCMODE == libc::O_RDONLY;
        if waits && reads && is_fifo(root.fd(), rest) {
            return Ok(None);
        }
        let changes = creates(how.flags) || how.flags & libc::O_TRUNC != 0;
        let mut kernel_how = asked.kernel_how();
        kernel_how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        if changes {
            // What is on another mount is looked at first.
            kernel_how.resolve |= libc::RESOLVE_NO_XDEV;
        }
        let opened = match open_again(root.fd(), rest, kernel_how) {
            Ok(opened) => opened,
            Err(Errno(libc::EXDEV | libc::ELOOP | libc::EAGAIN | libc::ENXIO)) => return Ok(None),
            Err(errno) if translate::may_help(errno, root.fd(), rest, asked) => return Ok(None),
            Err(errno) => return Ok(Some(Err(errno))),
        };
        let Ok(stat) = file::stat(opened.as_fd()) else {
            return Ok(None);
        };
        let depends_on_who_asks = stat.is_controlling_terminal()
            || (stat.is_of_no_disk() && file::is_procfs(opened.as_fd()) != Ok(false));
        if depends_on_who_asks || !root.admits(&stat) {
            return Ok(None);
        }
        Ok(Some(asked.set_blocking(opened)))
    }

    /// Opens as the target would, decides, and opens for good.
    fn open_decided(
        &mut self,
        roots: &Roots,
        dirfd: RawFd,
        path: &CStr,
        asked: &Asked,
        whom: For,
    ) -> Result<Found> {
        let (how, waits) = (asked.how, whom.waits());
        let needed = needed(how.flags);
        let everywhere = roots.everywhere();
        if let Some(opened) = self.open_directory(dirfd, path, how)? {
            // An answer reaches this target or nobody.
            if whom == For::Caller {
                self.check_valid()?;
            }
            if let Err(error) = self.decide(roots, &opened, needed, path) {
                self.check_valid()?;
                return Err(error);
            }
            return Ok(Found::Open(opened));
        }
        let is_anything = !everywhere.is_empty() && everywhere.contains(needed);
        if is_anything && !waits && !path.is_empty() {
            return self.open_from(dirfd, path, asked).map(Found::Open);
        }
        let existing = needed - Rights::CREATE;
        let mut look = Asked {
            how: OpenHow {
                flags: how.flags & PATH_FLAGS | libc::O_PATH,
                ..how
            },
            umask: 0,
        };
        let creates = how.flags & libc::O_CREAT != 0 && how.flags & libc::O_PATH == 0;
        let exclusive = creates && how.flags & libc::O_EXCL != 0;
        if exclusive {
            look.how.flags |= libc::O_NOFOLLOW;
        }
        for _ in 0..TRIES {
            let found = match self.open_or_get(dirfd, path, &look) {
                Err(error) if creates && is_anything && error.errno() == libc::ENOENT => {
                    return self.open_from(dirfd, path, asked).map(Found::Open);
                }
                Err(error) if creates && error.errno() == libc::ENOENT => {
                    match self.create_decided(roots, dirfd, path, asked)? {
                        Some(created) => return Ok(Found::Open(created)),
                        None => continue,
                    }
                }
                other => other?,
            };
            let wanted = if how.flags & libc::O_TMPFILE == libc::O_TMPFILE {
                needed
            } else {
                existing
            };
            self.decide(roots, &found, wanted, path)?;
            if exclusive {
                return Err(open::explain_open(Errno(libc::EEXIST), path));
            }
            if how.flags & libc::O_PATH != 0 || path.is_empty() {
                return Ok(Found::Open(found));
            }
            if waits {
                return Ok(Found::ByPath(found));
            }
            return match self.reopen(found.as_fd(), how.flags, how.mode) {
                Err(error) if leads_elsewhere(&error) => {
                    let opened = self.in_own_proc(&found, how).ok_or(error)?;
                    Ok(Found::Open(opened))
                }
                outcome => outcome.map(Found::Open),
            };
        }
        Err(open::explain_open(Errno(libc::EEXIST), path))
    }

    /// Opens for good what lies in a `/proc` that is not below the target's root.
    fn in_own_proc(&mut self, found: &OwnedFd, mut how: OpenHow) -> Option<OwnedFd> {
        how.flags &= !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW);
        let asked = Asked { how, umask: 0 };
        self.open_in_own_proc(found.as_fd(), &asked).ok()
    }

    /// Opens a directory by its name in the directory that the path starts from, for reading, which
    /// does nothing to anybody: so it may be opened **before it is known to be the target's**, which it is
    /// not yet, and decided on after that. Nothing if it is something else, or may be.
    fn open_directory(
        &mut self,
        dirfd: RawFd,
        name: &CStr,
        how: OpenHow,
    ) -> Result<Option<OwnedFd>> {
        const OTHERS: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH;
        const UNNAMED: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
        let is_name = !matches!(name.to_bytes(), b"" | b"..") && !name.to_bytes().contains(&b'/');
        if how.flags & (libc::O_DIRECTORY | OTHERS | UNNAMED) != libc::O_DIRECTORY
            || how.resolve != 0
            || !is_name
        {
            return Ok(None);
        }
        let tid = self.target()?;
        let asked = Asked { how, umask: 0 };
        let start = match dirfd {
            libc::AT_FDCWD => Entry::of(tid, "cwd"),
            0.. => Entry::of_fd(tid, dirfd),
            _ => return Ok(None),
        };
        let (Some(entry), Ok(proc)) = (start.then(name), self.proc()) else {
            return Ok(None);
        };
        // No link is followed but the one in /proc.
        let flags = asked.kernel_how().flags as i32 | libc::O_NOFOLLOW;
        let Ok(opened) = file::open(Some(proc.dir()), entry.path(), flags) else {
            return Ok(None);
        };
        let Ok(stat) = file::stat(opened.as_fd()) else {
            return Ok(None);
        };
        if stat.is_of_no_disk() && file::is_procfs(opened.as_fd()) != Ok(false) {
            return Ok(None);
        }
        Ok(asked.set_blocking(opened).ok())
    }

    fn open_or_get(&mut self, dirfd: RawFd, path: &CStr, asked: &Asked) -> Result<OwnedFd> {
        if path.is_empty() {
            let tid = self.target()?;
            return self.open_empty(tid, dirfd, asked.how);
        }
        self.open_from(dirfd, path, asked)
    }

    /// Opens what a path leads to, as the target would: also below a directory that is not below its
    /// root, as programs have that change their root or mounts and keep a descriptor.
    fn open_from(&mut self, dirfd: RawFd, path: &CStr, asked: &Asked) -> Result<OwnedFd> {
        if asked.how.resolve != 0 || open::is_absolute(path) {
            return self.open_path(dirfd, path, asked);
        }
        let tid = self.target()?;
        let start = self.proc().and_then(|proc| place::start(proc, tid, dirfd));
        self.check_valid()?;
        let start = start.map_err(|errno| self.explain_start(errno, dirfd))?;
        match self.open_below(tid, start.as_fd(), path, asked) {
            Ok(opened) => Ok(opened),
            // It leads up, or to whoever asks.
            Err(Errno(libc::EXDEV | libc::EAGAIN | libc::ENXIO | libc::ELOOP)) => {
                self.open_path(dirfd, path, asked)
            }
            Err(errno) => {
                self.check_valid()?;
                if translate::may_help(errno, start.as_fd(), path, asked) {
                    match self.open_path(dirfd, path, asked) {
                        Err(error) if error.errno() == libc::EXDEV => {}
                        outcome => return outcome,
                    }
                }
                Err(open::explain_open(errno, path))
            }
        }
    }

    /// Opens a path that stays below the directory it starts from.
    fn open_below(
        &mut self,
        tid: libc::pid_t,
        start: BorrowedFd<'_>,
        path: &CStr,
        asked: &Asked,
    ) -> kernel::Result<OwnedFd> {
        let mut how = asked.kernel_how();
        how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        let opened = open_again(start, path, how).and_then(|fd| checked(start, fd, asked));
        let Err(Errno(libc::ELOOP | libc::ENOENT | libc::EACCES | libc::EPERM)) = opened else {
            return opened;
        };
        let Some(path) = self.translate_below(tid, start, path)? else {
            return opened;
        };
        checked(start, open_again(start, &path, how)?, asked)
    }

    /// Creates a file in a directory that allows it. Nothing when there is one now.
    fn create_decided(
        &mut self,
        roots: &Roots,
        dirfd: RawFd,
        path: &CStr,
        asked: &Asked,
    ) -> Result<Option<OwnedFd>> {
        let how = asked.how;
        let error = |errno| open::explain_open(errno, path);
        if path.to_bytes().ends_with(b"/") {
            return Err(error(Errno(libc::EISDIR)));
        }
        let (parent, name) = open::split(path.to_bytes()).map_err(error)?;
        let look = Asked {
            how: OpenHow {
                flags: libc::O_PATH | libc::O_DIRECTORY,
                ..how
            },
            umask: 0,
        };
        let directory = self.open_from(dirfd, &parent, &look)?;
        self.decide(roots, &directory, needed(how.flags), path)?;
        let kernel_how = asked.kernel_how();
        let flags = kernel_how.flags as i32 | libc::O_EXCL | libc::O_NOFOLLOW;
        let mode = kernel_how.mode as u32;
        match file::create(Some(directory.as_fd()), &name, flags, mode) {
            Ok(created) => asked.set_blocking(created).map(Some).map_err(error),
            Err(Errno(libc::EEXIST)) if how.flags & libc::O_EXCL == 0 => Ok(None),
            Err(errno) => Err(error(errno)),
        }
    }

    /// Errors unless the rights to what is open are among those that are wanted.
    fn decide(&self, roots: &Roots, open: &OwnedFd, wanted: Rights, path: &CStr) -> Result<()> {
        let rights = self
            .proc()
            .and_then(|proc| roots.rights_to(proc.dir(), open.as_fd(), wanted))
            .map_err(|errno| Error::system(errno, "find where a file lies"))?;
        if rights.contains(wanted) && !rights.is_empty() {
            return Ok(());
        }
        let path = path.to_string_lossy();
        Err(Error::with_errno(
            Status::System,
            Errno(libc::EACCES),
            if rights.is_empty() {
                format!("`{path}` lies in no directory that the target may use")
            } else {
                format!("`{path}` lies where the target may not do that")
            },
        ))
    }
}

/// Whether something was not found again by its name from the target's root.
fn leads_elsewhere(error: &Error) -> bool {
    matches!(error.errno(), libc::ELOOP | libc::ENOENT | libc::EXDEV)
}

/// Whether a path leads to a FIFO at the moment. Follows links wherever they lead: only a hint.
fn is_fifo(dir: BorrowedFd<'_>, path: &CStr) -> bool {
    file::stat_at(dir, path).is_ok_and(|stat| stat.kind() == libc::S_IFIFO)
}

/// The rights that opening like this takes.
fn needed(flags: i32) -> Rights {
    let mut rights = Rights::empty();
    if flags & libc::O_PATH != 0 {
        return rights;
    }
    let access = flags & libc::O_ACCMODE;
    if access != libc::O_WRONLY {
        rights |= Rights::READ;
    }
    if access != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
        rights |= Rights::WRITE;
    }
    if creates(flags) {
        rights |= Rights::CREATE;
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_are_those_that_the_flags_take() {
        let read = Rights::READ;
        assert_eq!(needed(libc::O_RDONLY), read);
        assert_eq!(needed(libc::O_WRONLY), Rights::WRITE);
        assert_eq!(needed(libc::O_RDWR), read | Rights::WRITE);
        assert_eq!(needed(libc::O_ACCMODE), read | Rights::WRITE);
        assert_eq!(needed(libc::O_TRUNC), read | Rights::WRITE);
        assert_eq!(needed(libc::O_CREAT), read | Rights::CREATE);
        assert_eq!(
            needed(libc::O_WRONLY | libc::O_TMPFILE),
            Rights::WRITE | Rights::CREATE
        );
        assert_eq!(
            needed(libc::O_PATH | libc::O_RDWR | libc::O_CREAT),
            Rights::empty()
        );
    }
}
