//! What a path means to a target that leads to "whoever asks": `/proc/self`, `/proc/thread-self`, and
//! with them `/dev/fd`, `/dev/stdin`, `/proc/mounts` and the like.
//!
//! The kernel resolves a path as the one who opens it, so to it `self` is the supervisor. It is asked
//! first all the same, since nearly no path leads there, and what it finds in a directory of the
//! supervisor's is refused (see [`super::procfs`]). Then the path is walked here, component by
//! component, with the target's numbers in the place of these two links, and of the links in the
//! target's own `fd` directory what they lead to. What comes out is a path without links, which the
//! kernel is given instead, and whose outcome is checked like any other: somebody who exchanges
//! parts of the path meanwhile gets an error, or something that another path leads to as well.

use super::open_how::{self, Asked};
use super::place::{self, IN_ROOT};
use super::proc_files::proc_path;
use super::procfs::{Procfs, Thread};
use crate::kernel::file::{self, OpenHow};
use crate::kernel::{self, Errno};
use crate::notification::Notification;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY;

/// Whether a path that failed with this may have led to the supervisor in the place of the target.
pub(super) fn may_help(errno: Errno, root: BorrowedFd<'_>, path: &CStr, asked: &Asked) -> bool {
    if asked.how.resolve != 0 {
        return false;
    }
    match errno.0 {
        libc::ELOOP => true,
        // The supervisor may lack what the target has, or be nobody at all in this procfs. Most
        // paths that lead nowhere have nothing to do with that: those that do are told by what they
        // say, or by ending in a link.
        libc::ENOENT | libc::EACCES | libc::EPERM => {
            says_so(path) || (errno.0 == libc::ENOENT && is_link(root, path))
        }
        _ => false,
    }
}

fn says_so(path: &CStr) -> bool {
    path.to_bytes()
        .split(|&b| b == b'/')
        .any(|name| matches!(name, b"proc" | b"dev" | b"fd" | b"self" | b"thread-self"))
}

fn is_link(root: BorrowedFd<'_>, path: &CStr) -> bool {
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: IN_ROOT,
    };
    file::openat2(root, path, how).is_ok()
}

/// A path on its way.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// What was walked, below the root, without links.
    done: Vec<u8>,
    /// What is left, the next one at the end.
    rest: Vec<Vec<u8>>,
    links: usize,
    /// Whether the path led to "whoever asks".
    translated: bool,
    /// The target's `fd` directories met so far, as `done` is written, and whose they are.
    tables: Vec<(Vec<u8>, libc::pid_t)>,
}

impl Walk<'_> {
    fn push(&mut self, path: &[u8]) {
        // A slash at the end asks for a directory.
        if path.last() == Some(&b'/') {
            self.rest.push(b".".to_vec());
        }
        let components = path.split(|&b| b == b'/').rev();
        self.rest
            .extend(components.filter(|c| !c.is_empty()).map(<[u8]>::to_vec));
    }

    fn with(&self, component: &[u8]) -> Vec<u8> {
        let mut path = self.done.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
        path
    }

    fn open(&self, path: &[u8], flags: i32) -> kernel::Result<OwnedFd> {
        let how = OpenHow {
            flags: (flags | libc::O_CLOEXEC) as u64,
            mode: 0,
            resolve: IN_ROOT | libc::RESOLVE_NO_SYMLINKS,
        };
        open_how::open_again(self.root, &text(path)?, how)
    }
}

fn text(path: &[u8]) -> kernel::Result<CString> {
    match path {
        [] => Ok(c".".to_owned()),
        path => CString::new(path).map_err(|_| Errno(libc::ENOENT)),
    }
}

impl Notification {
    /// Opens `path` with what it means to the target. `Ok(None)` when it means the same to everybody.
    pub(super) fn open_translated(
        &mut self,
        tid: libc::pid_t,
        root: BorrowedFd<'_>,
        path: &CStr,
        asked: &Asked,
    ) -> kernel::Result<Option<OwnedFd>> {
        let flags = asked.how.flags;
        let follow = flags & libc::O_NOFOLLOW == 0
            && (!open_how::creates(flags) || flags & libc::O_EXCL == 0);
        let mut walk = Walk {
            root,
            done: Vec::new(),
            rest: Vec::new(),
            links: 0,
            translated: false,
            tables: Vec::new(),
        };
        walk.push(path.to_bytes());
        while let Some(component) = walk.rest.pop() {
            let path = walk.with(&component);
            let last = walk.rest.is_empty();
            if component == b"." || component == b".." {
                walk.done = path;
                continue;
            }
            let found = match walk.open(&path, libc::O_PATH | libc::O_NOFOLLOW) {
                Err(_) if !walk.translated => return Ok(None),
                other => other?,
            };
            if file::stat(found.as_fd())?.kind() != libc::S_IFLNK || (last && !follow) {
                walk.done = path;
                continue;
            }
            walk.links += 1;
            if walk.links > MAX_LINKS {
                return Err(Errno(libc::ELOOP));
            }
            if file::is_procfs(found.as_fd())? && self.translate(tid, &mut walk, &component)? {
                continue;
            }
            if let Some(table) = walk.tables.iter().find(|(table, _)| *table == walk.done) {
                let number = std::str::from_utf8(&component).map_err(|_| Errno(libc::ENOENT))?;
                let link = proc_path(table.1, &format!("fd/{number}"));
                let behind = file::open(None, &link, libc::O_PATH | libc::O_CLOEXEC);
                self.check_valid().map_err(|e| Errno(e.errno()))?;
                let behind = behind?;
                if last {
                    return self.open_for_good(tid, behind.as_fd(), asked).map(Some);
                }
                walk.done = place::locate(root, behind.as_fd())?;
                continue;
            }
            let to = file::read_link(Some(found.as_fd()), c"")?;
            if file::is_procfs(found.as_fd())? && is_magic(&to, &walk)? {
                return Err(Errno(libc::ELOOP));
            }
            if to.first() == Some(&b'/') {
                walk.done.clear();
            }
            walk.push(&to);
        }
        if !walk.translated {
            return Ok(None);
        }
        let mut how = asked.kernel_how();
        how.resolve |= libc::RESOLVE_NO_SYMLINKS;
        let opened = open_how::open_again(root, &text(&walk.done)?, how)?;
        open_how::checked(root, opened, asked).map(Some)
    }

    /// A path from a procfs's root directory with the target's number in the place of `self` or
    /// `thread-self`; nothing for another path or directory.
    pub(super) fn translate_below(
        &mut self,
        tid: libc::pid_t,
        start: BorrowedFd<'_>,
        path: &CStr,
    ) -> kernel::Result<Option<CString>> {
        let mut components = path.to_bytes().splitn(2, |&b| b == b'/');
        let of_thread = match components.next() {
            Some(b"self") => false,
            Some(b"thread-self") => true,
            _ => return Ok(None),
        };
        let Some(procfs) = Procfs::at(start)? else {
            return Ok(None);
        };
        let thread = Thread::of(tid);
        self.check_valid().map_err(|e| Errno(e.errno()))?;
        let (tgid, number) = procfs.numbers_of(&thread?)?;
        let mut path = if of_thread {
            format!("{tgid}/task/{number}").into_bytes()
        } else {
            tgid.to_string().into_bytes()
        };
        if let Some(rest) = components.next() {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
        text(&path).map(Some)
    }

    /// Puts the target's numbers where `self` or `thread-self` in a procfs's root was met.
    fn translate(
        &mut self,
        tid: libc::pid_t,
        walk: &mut Walk<'_>,
        component: &[u8],
    ) -> kernel::Result<bool> {
        let of_thread = component == b"thread-self";
        if !of_thread && component != b"self" {
            return Ok(false);
        }
        let Some(procfs) = Procfs::at(walk.open(&walk.done, DIRECTORY)?.as_fd())? else {
            return Ok(false);
        };
        let thread = Thread::of(tid);
        self.check_valid().map_err(|e| Errno(e.errno()))?;
        let thread = thread?;
        let (tgid, number) = procfs.numbers_of(&thread)?;
        let (directory, table) = if of_thread {
            (format!("{tgid}/task/{number}"), tid)
        } else {
            (tgid.to_string(), thread.tgid()?)
        };
        let fd = walk.with(format!("{directory}/fd").as_bytes());
        walk.tables.push((fd, table));
        walk.push(directory.as_bytes());
        walk.translated = true;
        Ok(true)
    }
}

/// Whether a link in a procfs leads to a file, not along a path: those are in the directories of
/// processes, all others are where everybody has the same.
fn is_magic(to: &[u8], walk: &Walk<'_>) -> kernel::Result<bool> {
    if to.is_empty() {
        return Ok(true);
    }
    let dir = walk.open(&walk.done, DIRECTORY)?;
    super::procfs::is_of_a_process(dir.as_fd())
}
