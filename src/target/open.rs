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

use super::place::{self, IN_ROOT};
use super::{check_proc, permission, proc_path, status_field};
use crate::error::{Error, Result, Status};
use crate::kernel::{self, file, Errno};
use crate::notification::Notification;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What `open(2)` takes notice of. It ignores the rest, `openat2(2)` would refuse it.
const KNOWN_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_TMPFILE;

/// What goes together with `O_PATH`.
const PATH_FLAGS: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;

/// What `F_SETFL` changes, but for `O_NONBLOCK`.
const CHANGEABLE_FLAGS: i32 = libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME;

/// How often a path is tried that somebody renames parts of.
const TRIES: usize = 128;

/// How to open what a target names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct OpenHow {
    /// `O_*` flags, as of `open(2)`, which ignores unknown ones.
    pub flags: i32,
    /// Permissions of a file that is created; looked at with `O_CREAT` and `O_TMPFILE` only.
    pub mode: u32,
    /// Further `RESOLVE_*` flags of `openat2(2)`. With `RESOLVE_BENEATH` or `RESOLVE_IN_ROOT` the
    /// directory that the path starts from takes the place of the target's root;
    /// `RESOLVE_NO_XDEV` implies `RESOLVE_BENEATH` for a relative path.
    pub resolve: u64,
    /// An empty path is the directory descriptor itself (`AT_EMPTY_PATH`): what comes out is a
    /// duplicate of the target's descriptor, to which flags and mode have no meaning, or for
    /// `AT_FDCWD` its working directory opened with `O_PATH`.
    pub empty_path: bool,
}

impl OpenHow {
    /// With these `O_*` flags and nothing else.
    #[must_use]
    pub fn new(flags: i32) -> Self {
        OpenHow {
            flags,
            ..OpenHow::default()
        }
    }
}

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
    ///   labels: check that the target may have the file. A file that is created belongs to the
    ///   supervisor; its permissions honour the target's umask, and the supervisor's as well.
    /// - `O_CREAT` and `O_TRUNC` take effect at once, before anything can be decided on the file.
    ///   Open with `O_PATH` first where that matters, decide, and open
    ///   `/proc/thread-self/fd/N` for good.
    /// - A FIFO does not block: opened for reading it is open at once, for writing it fails with
    ///   `ENXIO` while nobody reads. A terminal does not become anybody's controlling terminal.
    /// - `/proc/self` and `/proc/thread-self` would be the supervisor: what lies in there, and in
    ///   the supervisor's own directory by any name, is refused with `ELOOP`. So is `/dev/tty`,
    ///   with `ENXIO`, unless it is opened with `O_PATH`. **`/proc/sys` is of the namespaces of who
    ///   opens it**: do not hand out files in there.
    ///
    /// # Errors
    /// [`Status::System`] with the error number that the path leads to, which is the one to answer
    /// the target with (`ENOENT`, `EACCES`, `ELOOP`, ...), and `EXDEV` when the directory the path
    /// starts from is not below the target's root. [`Status::Gone`], and what was opened is closed
    /// again; [`Status::Fault`], [`Status::TooLong`] for the path itself; [`Status::Permission`]
    /// when the supervisor may not look into the target; [`Status::InvalidArgument`] for `how`, or
    /// with `EBADF` when the target has no descriptor `dirfd`; [`Status::Unsupported`] on a kernel
    /// before 5.6; [`Status::NotVisible`]; [`Status::Answered`].
    pub fn open(&mut self, dirfd: RawFd, path_addr: u64, how: OpenHow) -> Result<OwnedFd> {
        let mut buf = [0; libc::PATH_MAX as usize];
        let path = self.read_string(path_addr, &mut buf)?;
        let tid = self.target()?;
        if path.is_empty() {
            return self.open_empty(tid, dirfd, how);
        }
        let root = place::root(tid);
        let root = self.settled(root, "open the target's root directory")?;
        let start = if is_absolute(path) {
            None
        } else {
            let start = place::start(tid, dirfd);
            self.check_valid()?;
            Some(start.map_err(|errno| self.explain_start(errno, dirfd))?)
        };
        let umask = if creates(how.flags) {
            umask(tid)
        } else {
            Ok(0)
        };
        let umask = self.settled(umask, "read the target's umask")?;
        // All that belongs to the target is in hand, and known to be its own.
        let opened = resolve(
            root.as_fd(),
            start.as_ref().map(AsFd::as_fd),
            path,
            how,
            umask,
        );
        self.check_valid()?;
        opened.map_err(|errno| explain_open(errno, path))
    }

    fn open_empty(&mut self, tid: libc::pid_t, dirfd: RawFd, how: OpenHow) -> Result<OwnedFd> {
        if !how.empty_path {
            return Err(explain_open(Errno(libc::ENOENT), c""));
        }
        if dirfd != libc::AT_FDCWD {
            return self.get_fd(dirfd);
        }
        let found = check_proc().and_then(|()| place::start(tid, dirfd));
        self.settled(found, "open the target's working directory")
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
    pub fn path(&mut self, dirfd: RawFd, path_addr: u64) -> Result<PathBuf> {
        let mut buf = [0; libc::PATH_MAX as usize];
        let path = self.read_string(path_addr, &mut buf)?;
        if is_absolute(path) {
            return Ok(OsStr::from_bytes(path.to_bytes()).into());
        }
        let tid = self.target()?;
        let root = place::root(tid);
        let root = self.settled(root, "open the target's root directory")?;
        let start = place::start(tid, dirfd);
        self.check_valid()?;
        let start = start.map_err(|errno| self.explain_start(errno, dirfd))?;
        let whole = absolute(root.as_fd(), start.as_fd(), path.to_bytes())
            .map_err(|errno| Error::system(errno, "name the target's directory"))?;
        Ok(OsString::from_vec(whole).into())
    }

    fn explain_start(&self, errno: Errno, dirfd: RawFd) -> Error {
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

fn is_absolute(path: &CStr) -> bool {
    path.to_bytes().first() == Some(&b'/')
}

fn creates(flags: i32) -> bool {
    flags & libc::O_PATH == 0
        && (flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE)
}

/// The umask of a thread (in `/proc/TID/status` since Linux 4.7).
fn umask(tid: libc::pid_t) -> kernel::Result<u32> {
    let status = file::read_all(&proc_path(tid, "status"))?;
    status_field(&status, "Umask", 8)
        .and_then(|numbers| numbers.first().copied())
        .ok_or(Errno(libc::EIO))
}

/// Opens `path` below `root`, or below or relative to `start`.
fn resolve(
    root: BorrowedFd<'_>,
    start: Option<BorrowedFd<'_>>,
    path: &CStr,
    how: OpenHow,
    umask: u32,
) -> kernel::Result<OwnedFd> {
    const OWN_ROOT: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT;
    let kernel_how = kernel_how(how, umask);
    let Some(start) = start else {
        if how.resolve & libc::RESOLVE_BENEATH != 0 {
            return Err(Errno(libc::EXDEV));
        }
        return checked(root, open_again(root, path, kernel_how)?, how.flags);
    };
    let before = place::locate(root, start)?;
    if how.resolve & (OWN_ROOT | libc::RESOLVE_NO_XDEV) != 0 {
        let mut inner = kernel_how;
        inner.resolve = how.resolve | libc::RESOLVE_NO_MAGICLINKS;
        if how.resolve & OWN_ROOT == 0 {
            inner.resolve |= libc::RESOLVE_BENEATH;
        }
        return checked(root, open_again(start, path, inner)?, how.flags);
    }
    let mut from = before;
    for _ in 0..TRIES {
        let opened = open_again(root, &join(&from, path)?, kernel_how);
        let after = place::locate(root, start)?;
        // What was created cannot be taken back, and creating it again would find it there.
        if after == from || (opened.is_ok() && creates(how.flags)) {
            return checked(root, opened?, how.flags);
        }
        from = after;
    }
    Err(Errno(libc::EAGAIN))
}

fn kernel_how(how: OpenHow, umask: u32) -> file::OpenHow {
    let flags = if how.flags & libc::O_PATH != 0 {
        how.flags & PATH_FLAGS
    } else {
        how.flags & KNOWN_FLAGS | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_LARGEFILE
    };
    file::OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: if creates(how.flags) {
            (how.mode & 0o7777 & !umask).into()
        } else {
            0
        },
        resolve: how.resolve | IN_ROOT,
    }
}

/// `openat2`, again while renames keep the kernel from being sure of `..`.
fn open_again(dir: BorrowedFd<'_>, path: &CStr, how: file::OpenHow) -> kernel::Result<OwnedFd> {
    let mut outcome = Err(Errno(libc::EAGAIN));
    for _ in 0..TRIES {
        outcome = file::openat2(dir, path, how);
        if !matches!(outcome, Err(Errno(libc::EAGAIN))) || how.resolve & libc::RESOLVE_CACHED != 0 {
            break;
        }
    }
    outcome
}

fn join(start: &[u8], path: &CStr) -> kernel::Result<CString> {
    let mut whole = start.to_vec();
    if !whole.is_empty() {
        whole.push(b'/');
    }
    whole.extend_from_slice(path.to_bytes());
    if whole.len() >= libc::PATH_MAX as usize {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    CString::new(whole).map_err(|_| Errno(libc::ENOENT))
}

/// Lets through what does not depend on who opens it, and blocks as the target asked for.
fn checked(root: BorrowedFd<'_>, opened: OwnedFd, flags: i32) -> kernel::Result<OwnedFd> {
    if file::is_procfs(opened.as_fd())? && is_own(root, opened.as_fd())? {
        return Err(Errno(libc::ELOOP));
    }
    if flags & libc::O_PATH != 0 {
        return Ok(opened);
    }
    if file::is_controlling_terminal(opened.as_fd())? {
        return Err(Errno(libc::ENXIO));
    }
    if flags & libc::O_NONBLOCK == 0 {
        file::set_flags(opened.as_fd(), flags & CHANGEABLE_FLAGS)?;
    }
    Ok(opened)
}

/// Whether something in a `/proc` is in the supervisor's own directory there: one of the parents
/// of its name is a `/proc` whose `self` is the next one.
fn is_own(root: BorrowedFd<'_>, opened: BorrowedFd<'_>) -> kernel::Result<bool> {
    let Some(path) = place::below(&place::name(root)?, &place::name(opened)?) else {
        return Ok(true); // It cannot be told apart from one.
    };
    let components: Vec<_> = path.split(|&b| b == b'/').collect();
    for (index, component) in components.iter().enumerate() {
        let Ok(parent) = place::reach(root, &components[..index].join(&b'/')) else {
            return Ok(true);
        };
        if file::is_procfs(parent.as_fd())?
            && file::read_link(Some(parent.as_fd()), c"self").is_ok_and(|own| own == *component)
        {
            return Ok(true);
        }
    }
    Ok(false)
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
fn explain_open(errno: Errno, path: &CStr) -> Error {
    let path = path.to_string_lossy();
    match errno.0 {
        libc::ENOSYS => Error::with_errno(
            Status::Unsupported,
            errno,
            "opening on a target's behalf takes Linux 5.6 (openat2)",
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
