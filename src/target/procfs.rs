//! What in a `/proc` must not be handed to a target: everything of the supervisor's own.
//!
//! `/proc/PID/mem` of the supervisor is the supervisor's memory, and who opens it for a target is
//! the supervisor, which has every right to it. So whatever lies in a procfs is refused unless it
//! is **proven to belong to nobody or to somebody else**. The proof is about the opened object, never
//! about the path that led to it, so neither links, nor mounts, nor renaming, nor descriptors help:
//!
//! 1. **A directory** is climbed up from, by `..` with `RESOLVE_NO_XDEV`. Inside of one mount a
//!    procfs cannot be rearranged, so the way up is the truth; the call fails where it would leave
//!    the mount, which is where a bind mount of some part of a procfs begins (and in a directory
//!    that something is mounted over). The climb has to end in the root of that procfs: inode 1
//!    with the link `self` in it, which nothing else has. A part of a procfs that is mounted by
//!    itself is therefore refused, whosever it is.
//! 2. The last directory below that root says whose it is by its name. A name that is not a number
//!    is nobody's (`/proc/sys`). A number is compared, in the numbering of *that* procfs, with this
//!    process (its `self`) and all of its threads (`PID/task/NUMBER` exists), since `/proc/TID` is
//!    there for each thread, though not listed. A child that still shares this process's memory
//!    (`vfork(2)`, `posix_spawn(3)`) counts as this process. A number that this procfs does not
//!    show is dead, and nothing can be opened in its directory.
//! 3. **Anything else** (files, links) has no `..`. It is looked for by the name that the kernel has
//!    for it, in a directory that was proven as above, with `RESOLVE_NO_XDEV` and without links, and
//!    has to be the same file on the same mount. What is then used is **opened anew from the proven
//!    directory**, so that nothing depends on the name or on the comparison but whether this is
//!    what was meant; and opened only now, since `mem` stands for the memory there was when it was
//!    opened. A file that is mounted by itself is not found like that, and refused.
//!
//! The numbers cannot turn into this process's between the proof and the use: a directory of a
//! procfs stays with the process that it was opened for, also when its number is used again.

use super::place;
use super::proc_files::{proc_path, status_field};
use crate::kernel::file::{self, OpenHow, Stat};
use crate::kernel::{self, process, signals, Errno};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The inode of every procfs's root directory.
const ROOT_INODE: u64 = 1;

/// No directory of a procfs lies deeper, by far.
const MAX_DEPTH: usize = 64;

/// On the same mount, through nothing but directories.
const STAY: u64 = libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;

/// A procfs that is mounted as a whole.
#[derive(Debug)]
pub(super) struct Procfs {
    root: OwnedFd,
    /// What its `self` leads to: this process's number in there, if it has one.
    own: Option<Vec<u8>>,
}

impl Procfs {
    /// The procfs that a directory is the root of.
    pub(super) fn at(dir: BorrowedFd<'_>) -> kernel::Result<Option<Self>> {
        if file::id(dir)?.inode().1 != ROOT_INODE || !file::is_procfs(dir)? {
            return Ok(None);
        }
        let link = match below(dir, c"self", libc::O_PATH | libc::O_NOFOLLOW) {
            Ok(link) => link,
            Err(Errno(libc::ENOENT | libc::EXDEV)) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if file::stat(link.as_fd())?.kind() != libc::S_IFLNK {
            return Ok(None);
        }
        let own = match file::read_link(Some(link.as_fd()), c"") {
            Ok(own) => Some(own),
            Err(Errno(libc::ENOENT)) => None, // not in its pid namespace
            Err(errno) => return Err(errno),
        };
        Ok(Some(Procfs {
            root: below(dir, c".", DIRECTORY)?,
            own,
        }))
    }

    /// A file in here that nothing is mounted over.
    fn read(&self, path: &str) -> kernel::Result<Vec<u8>> {
        let path = CString::new(path).map_err(|_| Errno(libc::ENOENT))?;
        file::read_to_end(below(self.root.as_fd(), &path, libc::O_RDONLY)?.as_fd())
    }

    /// The numbers of a thread and its group in here, by the numbers they have in this process's
    /// own `/proc` and below. `ENOENT` when they have none, or none that can be found.
    pub(super) fn numbers_of(&self, thread: &Thread) -> kernel::Result<(u32, u32)> {
        // One of the namespaces that the thread is in is this procfs's. Namespace and number in
        // the innermost one are nobody else's.
        for (level, (tid, tgid)) in thread.tids.iter().zip(&thread.tgids).enumerate() {
            let path = format!("{tgid}/task/{tid}");
            let Ok(status) = self.read(&format!("{path}/status")) else {
                continue;
            };
            if status_field(&status, "NSpid", 10).as_deref() != Some(&thread.tids[level..]) {
                continue;
            }
            let link = CString::new(format!("{path}/ns/pid")).unwrap_or_default();
            if file::read_link(Some(self.root.as_fd()), &link)? == thread.namespace {
                return Ok((*tgid, *tid));
            }
        }
        Err(Errno(libc::ENOENT))
    }

    /// Whether what lies in the directory of this name is not this process's.
    fn is_foreign(&self, name: &[u8]) -> kernel::Result<bool> {
        if !name.first().is_some_and(u8::is_ascii_digit) {
            return Ok(true);
        }
        // Of a dead process if it is not a number: "(deleted)" is behind it.
        let Some(name) = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        else {
            return Ok(false);
        };
        let Some(own) = &self.own else {
            return Ok(true);
        };
        let own = std::str::from_utf8(own).map_err(|_| Errno(libc::ELOOP))?;
        if name == own {
            return Ok(false);
        }
        let path = CString::new(format!("{own}/task")).map_err(|_| Errno(libc::ELOOP))?;
        let threads = below(self.root.as_fd(), &path, DIRECTORY)?;
        let thread = CString::new(name).map_err(|_| Errno(libc::ELOOP))?;
        match below(threads.as_fd(), &thread, DIRECTORY) {
            Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(false),
        }
        self.shares_memory(own, name).map(|shares| !shares)
    }

    /// Whether another process has this one's memory. It can only have had it from its beginning.
    fn shares_memory(&self, own: &str, name: &str) -> kernel::Result<bool> {
        let numbers = |name: &str| {
            let status = self.read(&format!("{name}/status"))?;
            status_field(&status, "NSpid", 10).ok_or(Errno(libc::EIO))
        };
        let theirs = match numbers(name) {
            // Whose status is hidden (hidepid), its memory is as well.
            Err(Errno(libc::EACCES | libc::EPERM)) => return Ok(false),
            other => other?,
        };
        // The first of the numbers is the one in here, the last of our own the one we go by.
        let level = numbers(own)?.len().saturating_sub(1);
        let Some(number) = theirs.get(level).and_then(|n| (*n).try_into().ok()) else {
            return Ok(false);
        };
        match process::share_memory(signals::thread_id(), number) {
            // A kernel without kcmp(2); or no right to compare, which is the one to open its memory.
            Err(Errno(libc::ENOSYS | libc::EPERM | libc::EACCES)) => Ok(false),
            other => other,
        }
    }
}

/// A thread, by all the numbers it has from this process's pid namespace to its own.
#[derive(Debug)]
pub(super) struct Thread {
    tids: Vec<u32>,
    tgids: Vec<u32>,
    /// Its own pid namespace.
    namespace: Vec<u8>,
}

impl Thread {
    /// The one with this number, not yet checked to be the target.
    pub(super) fn of(tid: libc::pid_t) -> kernel::Result<Self> {
        let status = file::read_all(&proc_path(tid, "status"))?;
        let numbers = |field| status_field(&status, field, 10).ok_or(Errno(libc::EIO));
        Ok(Thread {
            tids: numbers("NSpid")?,
            tgids: numbers("NStgid")?,
            namespace: file::read_link(None, &proc_path(tid, "ns/pid"))?,
        })
    }

    /// Its group, as this process's `/proc` numbers it.
    pub(super) fn tgid(&self) -> kernel::Result<libc::pid_t> {
        let tgid = self.tgids.first().copied().unwrap_or(0);
        tgid.try_into().map_err(|_| Errno(libc::ESRCH))
    }
}

/// Opens anew, as `how` says, something in a procfs that was opened somehow; `ELOOP` unless it is
/// proven not to be of this process. Files are found below `root`.
pub(super) fn open_foreign(
    root: BorrowedFd<'_>,
    opened: BorrowedFd<'_>,
    stat: &Stat,
    mut how: OpenHow,
) -> kernel::Result<OwnedFd> {
    how.flags &= !((libc::O_CREAT | libc::O_EXCL) as u64);
    how.resolve = STAY;
    if stat.kind() == libc::S_IFDIR {
        if !is_foreign(opened)? {
            return Err(Errno(libc::ELOOP));
        }
        return file::openat2(opened, c".", how);
    }
    let (directory, name) = parent(root, opened)?;
    if !is_foreign(directory.as_fd())? {
        return Err(Errno(libc::ELOOP));
    }
    let found = below(
        directory.as_fd(),
        &name,
        libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC,
    );
    match found {
        Ok(found) if file::id(found.as_fd())? == stat.id => {}
        Err(errno @ Errno(libc::ENOENT | libc::ESRCH)) => return Err(errno),
        _ => return Err(Errno(libc::ELOOP)),
    }
    file::openat2(directory.as_fd(), &name, how)
}

/// Whether a directory in a procfs is proven not to be of this process.
pub(super) fn is_foreign(dir: BorrowedFd<'_>) -> kernel::Result<bool> {
    match top(dir)? {
        Some((_, None)) => Ok(true),
        Some((procfs, Some(name))) => procfs.is_foreign(&name),
        None => Ok(false),
    }
}

/// Whether a directory in a procfs is, or may be, of some process.
pub(super) fn is_of_a_process(dir: BorrowedFd<'_>) -> kernel::Result<bool> {
    Ok(match top(dir)? {
        Some((_, None)) => false,
        Some((_, Some(name))) => name.first().is_some_and(u8::is_ascii_digit),
        None => true,
    })
}

/// The procfs that a directory is in, and the name of the topmost directory in there that it is
/// in, or that it is; no name for the root. Nothing for a part that is mounted by itself.
fn top(dir: BorrowedFd<'_>) -> kernel::Result<Option<(Procfs, Option<Vec<u8>>)>> {
    let mut way: Vec<OwnedFd> = Vec::new();
    for _ in 0..MAX_DEPTH {
        let here = way.last().map_or(dir, AsFd::as_fd);
        if let Some(procfs) = Procfs::at(here)? {
            let topmost = match way.len() {
                0 => return Ok(Some((procfs, None))),
                1 => dir,
                depth => way[depth - 2].as_fd(),
            };
            let name = place::name(topmost)?;
            let name = last_component(&name).1.to_vec();
            return Ok(Some((procfs, Some(name))));
        }
        let up = match below(here, c"..", DIRECTORY) {
            Err(Errno(libc::EXDEV)) => return Ok(None),
            other => other?,
        };
        // The root of a mount that is mounted nowhere is above itself.
        if file::id(up.as_fd())? == file::id(here)? {
            return Ok(None);
        }
        way.push(up);
    }
    Ok(None)
}

/// The directory that a file's name lies in, and the last component of that name.
fn parent(root: BorrowedFd<'_>, opened: BorrowedFd<'_>) -> kernel::Result<(OwnedFd, CString)> {
    let path = place::below(&place::name(root)?, &place::name(opened)?);
    let path = path.ok_or(Errno(libc::ELOOP))?;
    let (directory, name) = last_component(&path);
    let directory = place::reach(root, directory).map_err(|errno| match errno.0 {
        // Its name leads elsewhere now, or nowhere.
        libc::ENOTDIR | libc::EXDEV | libc::EAGAIN => Errno(libc::ELOOP),
        _ => errno,
    })?;
    if !file::is_procfs(directory.as_fd())? {
        return Err(Errno(libc::ELOOP));
    }
    let name = CString::new(name).map_err(|_| Errno(libc::ELOOP))?;
    Ok((directory, name))
}

fn last_component(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// What lies below a directory, without leaving its mount.
fn below(dir: BorrowedFd<'_>, path: &CStr, flags: i32) -> kernel::Result<OwnedFd> {
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: STAY,
    };
    file::openat2(dir, path, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> OwnedFd {
        file::open(None, &CString::new(path).unwrap(), DIRECTORY).unwrap()
    }

    fn foreign(path: &str) -> bool {
        is_foreign(directory(path).as_fd()).unwrap()
    }

    #[test]
    fn nobodys_and_others_directories_are_foreign() {
        assert!(foreign("/proc"));
        assert!(foreign("/proc/sys/kernel"));
        assert!(foreign("/proc/1"));
        assert!(foreign("/proc/1/task/1/net"));
    }

    #[test]
    fn this_processs_directories_are_not_whatever_thread_they_go_by() {
        let tid = signals::thread_id();
        assert_ne!(tid as u32, std::process::id());
        assert!(!foreign("/proc/self"));
        assert!(!foreign("/proc/self/fd"));
        assert!(!foreign("/proc/thread-self/net"));
        assert!(!foreign(&format!("/proc/{tid}")));
        assert!(!foreign(&format!("/proc/{tid}/task/{tid}/attr")));
    }

    #[test]
    fn this_thread_has_its_own_numbers_in_its_own_proc() {
        let tid = signals::thread_id();
        let thread = Thread::of(tid).unwrap();
        let procfs = Procfs::at(directory("/proc").as_fd()).unwrap().unwrap();
        let numbers = procfs.numbers_of(&thread).unwrap();
        assert_eq!(numbers, (std::process::id(), tid as u32));
        assert_eq!(thread.tgid().unwrap() as u32, std::process::id());
        assert!(Procfs::at(directory("/proc/sys").as_fd())
            .unwrap()
            .is_none());
    }
}
