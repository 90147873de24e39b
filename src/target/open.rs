//! Opening what a target names, in the supervisor's hands.
//!
//! A path is resolved by `openat2(2)` below the target's root directory with `RESOLVE_IN_ROOT`, so
//! the kernel itself sees to it that neither `..` nor an absolute link leads out, whatever anybody
//! renames meanwhile. Walking the components here would be as exact but would have to win that
//! race by itself.
//!
//! A relative path is put behind the path from the root to the directory it starts from, which is
//! verified to lead there before and after (see [`place::locate`]). If the directory is renamed
//! away and back in between, the path that is followed is one that the target might as well have
//! named absolutely: it never leads to anything that the target could not have asked for.

use super::open_how::{checked, creates, open_again, Asked, OpenHow, PATH_FLAGS, TRIES};
use super::place;
use super::{beneath, permission, procfs, translate};
use crate::error::{Error, Result, Status};
use crate::kernel::memory::Scratch;
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub(super) const PATH_MAX: usize = libc::PATH_MAX as usize;

impl Notification {
    /// Opens the file whose path is at `path_addr` in the target's memory, as the target would:
    /// from its root, relative to its working directory (`AT_FDCWD`) or to its descriptor
    /// `dirfd`, in its mount namespace, following its links. The descriptor, close-on-exec, is
    /// the supervisor's: decide on *what it is* and hand that same file over with
    /// [`Notification::reply_fd`], and there is nothing left that the target could exchange.
    ///
    /// Nothing leads out of the target's root: not `..`, not an absolute link, not a magic link
    /// (`/proc/PID/root`, `/proc/PID/fd/N`: `ELOOP`), not a working directory or a `dirfd` that is
    /// outside (`EXDEV`).
    ///
    /// What differs from the target's own call:
    ///
    /// - **The supervisor's rights count**, its user, groups, capabilities and security
    ///   labels: check that the target may have the file. A file that is created comes out as
    ///   [`Notification::create`] says.
    /// - `O_CREAT` and `O_TRUNC` take effect at once, before anything can be decided on the file.
    ///   Open with `O_PATH` first where that matters, decide, and open it for good with
    ///   [`Notification::reopen`].
    /// - A FIFO does not block: opened for reading it is open at once, for writing it fails with
    ///   `ENXIO` while nobody reads; [`Notification::reply_open`] waits. A terminal does not become anybody's controlling terminal.
    ///   `/dev/tty` is the target's (as [`Notification::reopen`] finds it); with `O_PATH` it is the
    ///   device itself.
    /// - `/proc/self` and `/proc/thread-self` are the target, in the numbering of the `/proc` they
    ///   are in, and what is a link to there is too: `/dev/fd`, `/dev/stdin`, `/proc/mounts`. Links
    ///   that lead to a descriptor of the target (`/proc/self/fd/N`) are followed on this way only,
    ///   and open its file anew; other magic links are not. None of it with `resolve` flags.
    /// - **What belongs to the supervisor's own process in a `/proc` is refused** with `ELOOP`, by
    ///   whatever name, thread, link, mount or descriptor it is reached, and so is any part of a
    ///   `/proc` that is mounted by itself. Other processes' files are not: `/proc/PID/mem` of
    ///   whoever the supervisor has rights to is for the supervisor to refuse. **`/proc/sys` is of
    ///   the namespaces of who opens it**: do not hand out files in there.
    /// - **Opening can block** where the target decides how long: on a file system that it serves
    ///   itself (FUSE) or has mounted from elsewhere. One target stalls one thread of the supervisor
    ///   with it.
    ///
    /// # Errors
    /// [`Status::System`] with the error number that the path leads to, which is the one to answer
    /// the target with (`ENOENT`, `EACCES`, `ELOOP`, ...), and `EXDEV` when the directory the path
    /// starts from is not below the target's root. [`Status::Gone`]; [`Status::Fault`],
    /// [`Status::TooLong`] for the path itself; [`Status::Permission`] when the supervisor may not
    /// look into the target, or a filter keeps it from `openat2(2)`;
    /// [`Status::InvalidArgument`] for `how`, or with `EBADF` when the target has no descriptor `dirfd`; [`Status::Unsupported`] on a kernel
    /// before 5.6, or one that a filter makes look like it; [`Status::NotVisible`]; [`Status::Answered`].
    pub fn open(&mut self, dirfd: RawFd, path_addr: u64, how: OpenHow) -> Result<OwnedFd> {
        let mut scratch = Scratch::new();
        self.watched(|n| {
            let path = n.unchecked_string(&mut scratch, path_addr, PATH_MAX)?;
            if path.is_empty() {
                let tid = n.target()?;
                return n.open_empty(tid, dirfd, how);
            }
            n.as_maker_of(how, |n, asked| n.open_path(dirfd, path, &asked))
        })
    }

    /// Opens the directory that the last component of the path at `path_addr` lies in, resolved as
    /// [`Notification::open`] does, with `O_PATH`, and gives that component: for calls that make,
    /// remove or rename what a path names (`mkdirat(2)`, `mknodat(2)`, `unlinkat(2)`,
    /// `renameat(2)`, ...), and for creating a file after deciding on the directory.
    ///
    /// The component has no slash, not at its end either, and is neither `.` nor `..`. What lies
    /// there may be a link, or something may be mounted there, at any time: use it only with calls
    /// that neither follow nor open it, such as `openat(2)` with `O_CREAT` and `O_EXCL`. To open what
    /// is there already is for [`Notification::open`].
    ///
    /// # Errors
    /// As [`Notification::open`]; [`Status::System`] with `EEXIST` for a path that ends in `.` or
    /// `..` or is the root directory.
    pub fn open_parent(&mut self, dirfd: RawFd, path_addr: u64) -> Result<(OwnedFd, CString)> {
        let mut scratch = Scratch::new();
        self.watched(|n| {
            let path = n.unchecked_string(&mut scratch, path_addr, PATH_MAX)?;
            let (parent, name) = match split(path.to_bytes()) {
                Ok(parts) => parts,
                Err(errno) => {
                    n.check_valid()?;
                    return Err(explain_open(errno, path));
                }
            };
            let how = OpenHow::new(libc::O_PATH | libc::O_DIRECTORY);
            let directory = n.open_path(dirfd, &parent, &Asked { how, umask: 0 })?;
            Ok((directory, name))
        })
    }

    /// Opens what `path`, not yet checked to be the target's, leads to.
    pub(super) fn open_path(
        &mut self,
        dirfd: RawFd,
        path: &CStr,
        asked: &Asked,
    ) -> Result<OwnedFd> {
        let tid = self.target()?;
        let root = self.proc().and_then(|proc| place::root(proc, tid));
        let start = match (&root, is_absolute(path)) {
            (Ok(_), false) => Some(self.proc().and_then(|proc| place::start(proc, tid, dirfd))),
            _ => None,
        };
        self.check_valid()?;
        // All that belongs to the target is in hand, and known to be its own. What is done with it
        // cannot come to be another's, so that need not be asked again.
        let root = root.map_err(|errno| self.explain_root(errno))?;
        let start = start.transpose();
        let start = start.map_err(|errno| self.explain_start(errno, dirfd))?;
        let opened = match &start {
            None => resolve_absolute(root.as_fd(), path, asked)
                .or_else(|errno| self.open_as_target(tid, root.as_fd(), path, asked, errno)),
            Some(start) => self.open_relative(tid, root.as_fd(), start.as_fd(), path, asked),
        };
        opened.or_else(|errno| {
            self.check_valid()?;
            Err(explain_open(errno, path))
        })
    }

    /// Opens a path that starts from `start`.
    fn open_relative(
        &mut self,
        tid: libc::pid_t,
        root: BorrowedFd<'_>,
        start: BorrowedFd<'_>,
        path: &CStr,
        asked: &Asked,
    ) -> kernel::Result<OwnedFd> {
        if asked.how.resolve == 0 {
            if let Some(outcome) = beneath::open(self.proc()?, root, start, path, asked) {
                return outcome;
            }
        }
        let mut whole = Cow::Borrowed(path);
        match resolve(root, start, &mut whole, asked) {
            Err(errno) if is_absolute(&whole) => {
                self.open_as_target(tid, root, &whole, asked, errno)
            }
            outcome => outcome,
        }
    }

    fn explain_root(&self, errno: Errno) -> Error {
        permission::explain(
            errno,
            "open the target's root directory",
            self.request().pid,
        )
    }

    /// Another try at what failed with `errno`, in case that it depends on who opens it.
    #[cold]
    fn open_as_target(
        &mut self,
        tid: libc::pid_t,
        root: BorrowedFd<'_>,
        path: &CStr,
        asked: &Asked,
        errno: Errno,
    ) -> kernel::Result<OwnedFd> {
        if errno.0 == libc::ENXIO && asked.how.flags & libc::O_PATH == 0 {
            let mut how = asked.kernel_how();
            how.flags = (asked.how.flags & PATH_FLAGS | libc::O_PATH | libc::O_CLOEXEC) as u64;
            how.mode = 0;
            return match open_again(root, path, how) {
                Ok(device) if file::stat(device.as_fd())?.is_controlling_terminal() => {
                    self.open_terminal(tid, root, asked)
                }
                _ => Err(errno),
            };
        }
        if !translate::may_help(errno, root, path, asked) {
            return Err(errno);
        }
        match self.open_translated(tid, root, path, asked)? {
            Some(opened) => Ok(opened),
            None => Err(errno),
        }
    }

    pub(super) fn open_empty(
        &mut self,
        tid: libc::pid_t,
        dirfd: RawFd,
        how: OpenHow,
    ) -> Result<OwnedFd> {
        if !how.empty_path {
            self.check_valid()?;
            return Err(explain_open(Errno(libc::ENOENT), c""));
        }
        if dirfd != libc::AT_FDCWD {
            return self.get_fd(dirfd);
        }
        let found = self.proc().and_then(|proc| place::start(proc, tid, dirfd));
        let found = self.if_pending(found, "open the target's working directory")?;
        if file::is_procfs(found.as_fd())
            .and_then(|is| Ok(is && !procfs::is_foreign(found.as_fd())?))
            != Ok(false)
        {
            return Err(explain_open(Errno(libc::ELOOP), c""));
        }
        Ok(found)
    }

    /// The absolute path of what is at `path_addr` in the target's memory, as the target sees it:
    /// behind its working directory, or its descriptor `dirfd`, if it is relative. For logs: links
    /// and `..` stay in it, and by the time it is read it may lead elsewhere.
    /// [`Notification::open`] is for deciding.
    ///
    /// A directory outside the target's root shows with "(unreachable)" in front, a removed one
    /// with " (deleted)" behind it.
    ///
    /// # Errors
    /// As [`Notification::open`], without those of opening.
    pub fn read_path(&mut self, dirfd: RawFd, path_addr: u64) -> Result<PathBuf> {
        self.with_path(dirfd, path_addr, |path| OsStr::from_bytes(path).into())
    }

    /// [`Notification::read_path`] for who needs it for a moment.
    pub(crate) fn with_path<T>(
        &mut self,
        dirfd: RawFd,
        path_addr: u64,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let mut scratch = Scratch::new();
        let path = self.watched(|n| n.unchecked_string(&mut scratch, path_addr, PATH_MAX))?;
        if is_absolute(path) {
            self.check_valid()?;
            return Ok(look(path.to_bytes()));
        }
        let tid = self.target()?;
        let proc = self.proc();
        let root = proc.and_then(|proc| place::root(proc, tid));
        let start = proc.and_then(|proc| place::start(proc, tid, dirfd));
        self.check_valid()?;
        let root = root.map_err(|errno| self.explain_root(errno))?;
        let start = start.map_err(|errno| self.explain_start(errno, dirfd))?;
        let whole = absolute(root.as_fd(), start.as_fd(), path.to_bytes())
            .map_err(|errno| Error::system(errno, "name the target's directory"))?;
        Ok(look(&whole))
    }

    pub(super) fn explain_start(&self, errno: Errno, dirfd: RawFd) -> Error {
        match errno.0 {
            libc::EBADF => Error::with_errno(
                Status::InvalidArgument,
                errno,
                format!("the target has no descriptor {dirfd}"),
            ),
            libc::ENOTDIR => Error::with_errno(
                Status::System,
                errno,
                format!("the target's descriptor {dirfd} is not a directory"),
            ),
            _ => {
                let what = "open the directory the target's path starts from";
                permission::explain(errno, what, self.request().pid)
            }
        }
    }
}

pub(super) fn is_absolute(path: &CStr) -> bool {
    path.to_bytes().first() == Some(&b'/')
}

/// The directory part of a path, and its last component without the slashes behind it.
pub(super) fn split(path: &[u8]) -> kernel::Result<(CString, CString)> {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    let start = path[..end]
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |at| at + 1);
    let parent = if start == 0 { b"." } else { &path[..start] };
    match &path[start..end] {
        b"" if path.is_empty() => Err(Errno(libc::ENOENT)),
        b"" | b"." | b".." => Err(Errno(libc::EEXIST)),
        name => match (CString::new(parent), CString::new(name)) {
            (Ok(parent), Ok(name)) => Ok((parent, name)),
            _ => Err(Errno(libc::ENOENT)),
        },
    }
}

/// Opens an absolute path below `root`.
fn resolve_absolute(root: BorrowedFd<'_>, path: &CStr, asked: &Asked) -> kernel::Result<OwnedFd> {
    if asked.how.resolve & libc::RESOLVE_BENEATH != 0 {
        return Err(Errno(libc::EXDEV));
    }
    checked(root, open_again(root, path, asked.kernel_how())?, asked)
}

/// Opens a relative path, wherever below the root it starts. It becomes the one below the root that
/// it was opened by; with `resolve` flags of its own it stays as it is.
fn resolve(
    root: BorrowedFd<'_>,
    start: BorrowedFd<'_>,
    path: &mut Cow<'_, CStr>,
    asked: &Asked,
) -> kernel::Result<OwnedFd> {
    const OWN_ROOT: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT;
    let how = asked.how;
    let kernel_how = asked.kernel_how();
    let before = place::locate(root, start)?;
    if how.resolve & (OWN_ROOT | libc::RESOLVE_NO_XDEV) != 0 {
        let mut inner = kernel_how;
        inner.resolve = how.resolve | libc::RESOLVE_NO_MAGICLINKS;
        if how.resolve & OWN_ROOT == 0 {
            inner.resolve |= libc::RESOLVE_BENEATH;
        }
        return checked(root, open_again(start, path, inner)?, asked);
    }
    let relative = path.clone();
    let mut from = before;
    for _ in 0..TRIES {
        *path = Cow::Owned(join(&from, &relative)?);
        let opened = open_again(root, path, kernel_how);
        let after = place::locate(root, start)?;
        // What was created cannot be taken back, and creating it again would find it there.
        if after == from || (opened.is_ok() && creates(how.flags)) {
            return checked(root, opened?, asked);
        }
        from = after;
    }
    Err(Errno(libc::EAGAIN))
}

fn join(start: &[u8], path: &CStr) -> kernel::Result<CString> {
    let mut whole = vec![b'/'];
    if !start.is_empty() {
        whole.extend_from_slice(start);
        whole.push(b'/');
    }
    whole.extend_from_slice(path.to_bytes());
    if whole.len() >= PATH_MAX {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    CString::new(whole).map_err(|_| Errno(libc::ENOENT))
}

/// A relative path behind its directory's name below the root.
fn absolute(root: BorrowedFd<'_>, start: BorrowedFd<'_>, path: &[u8]) -> kernel::Result<Vec<u8>> {
    let directory = place::name(start)?;
    let mut whole = match place::below(&place::name(root)?, &directory) {
        Some(below) => [b"/", &below[..]].concat(),
        None => [b"(unreachable)", &directory[..]].concat(),
    };
    let path = path.strip_prefix(b"./").unwrap_or(path);
    if !path.is_empty() && path != b"." {
        if whole.last() != Some(&b'/') {
            whole.push(b'/');
        }
        whole.extend_from_slice(path);
    }
    Ok(whole)
}

/// What a path came to. Its own errors are the target's to hear.
pub(super) fn explain_open(errno: Errno, path: &CStr) -> Error {
    let path = path.to_string_lossy();
    match errno.0 {
        libc::ENOSYS => permission::unsupported("opening on a target's behalf (openat2)", (5, 6)),
        libc::EPERM if !file::can_openat2() => Error::with_errno(
            Status::Permission,
            errno,
            "a filter on this supervisor (a container's seccomp profile?) refuses openat2(2), which \
             it takes to open on a target's behalf",
        ),
        libc::EXDEV => Error::with_errno(
            Status::System,
            errno,
            format!("`{path}` starts from a directory that is not below the target's root, or leads out of where it must stay"),
        ),
        libc::ELOOP => Error::with_errno(
            Status::System,
            errno,
            format!("`{path}` leads through too many links, a magic one, or the supervisor's own /proc"),
        ),
        libc::EINVAL => Error::system(errno, &format!("open `{path}`")),
        _ => Error::with_errno(
            Status::System,
            errno,
            format!(
                "cannot open `{path}`: {}",
                std::io::Error::from_raw_os_error(errno.0)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &[u8]) -> kernel::Result<(String, String)> {
        split(path).map(|(parent, name)| {
            (
                parent.into_string().unwrap_or_default(),
                name.into_string().unwrap_or_default(),
            )
        })
    }

    #[test]
    fn a_path_is_split_before_its_last_component() {
        let expect = |path: &[u8], parent: &str, name: &str| {
            assert_eq!(parts(path), Ok((parent.into(), name.into())));
        };
        expect(b"a", ".", "a");
        expect(b"a//", ".", "a");
        expect(b"/a", "/", "a");
        expect(b"//a/b/", "//a/", "b");
        expect(b"a/../b", "a/../", "b");
        expect(b"...", ".", "...");
    }

    #[test]
    fn a_path_without_a_last_component_cannot_be_split() {
        assert_eq!(parts(b""), Err(Errno(libc::ENOENT)));
        for path in [&b"/"[..], b"//", b".", b"..", b"a/.", b"/a/../"] {
            assert_eq!(parts(path), Err(Errno(libc::EEXIST)));
        }
    }
}
