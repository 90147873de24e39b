//! Directories that targets may open things in, and where an open thing lies.
//!
//! What counts is the thing that was opened, never the path that led to it. A thing lies in an allowed
//! directory if **the kernel finds that very file below that very directory**: by `openat2(2)` from
//! the directory's descriptor with `RESOLVE_BENEATH`, which neither `..` nor renaming leads out of, and
//! without links. The name that the kernel has for the thing only says where to look. So names may
//! be old, of another root or another mount namespace, and links and mounts a target's own: then
//! nothing is found there, or something else, and the answer is no.
//!
//! What is mounted below an allowed directory belongs to it if it was there when the directory was
//! added: that is seen by the mount that the file was found on. Otherwise who may mount there could
//! mount anything.

use super::place;
use crate::error::{Error, Result, Status};
use crate::kernel::file::{self, FileId, OpenHow, Stat};
use crate::kernel::{self, Errno};
use bitflags::bitflags;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How often a thing is looked for that somebody renames.
const TRIES: usize = 8;

/// Below a directory, through no link.
const BELOW: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

bitflags! {
    /// What may be done in a directory of [`Roots`]: what is decided when a file is opened.
    ///
    /// Executing is not among it: a file that can be read can be mapped and run.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Rights: u32 {
        /// Open files for reading, and directories.
        const READ = 1 << 0;
        /// Open files that are there for writing, and truncate them.
        const WRITE = 1 << 1;
        /// Make new files: `O_CREAT` where there is none, and `O_TMPFILE`. To have them open needs
        /// [`Rights::READ`] and [`Rights::WRITE`] as for others.
        const CREATE = 1 << 2;
    }
}

/// The directories that a target may open things in, for
/// [`Notification::open_within`](crate::Notification::open_within). Any number of threads may use it
/// at a time.
#[derive(Debug)]
pub struct Roots {
    /// Keeps the number of its mount from being another's.
    _own: OwnedFd,
    own: FileId,
    /// Those with the longest paths first.
    roots: Vec<Root>,
    same_paths: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    file: ((u32, u32), u64),
    is_directory: bool,
    /// As this process sees it, without a slash at its end; empty for its root directory.
    path: Vec<u8>,
    rights: Rights,
    /// Of what was mounted there when it was added, its own first.
    mounts: Vec<u64>,
    /// How something is looked for in it.
    resolve: u64,
}

impl Roots {
    /// None yet: everything is refused.
    ///
    /// # Errors
    /// [`Status::System`] when there is no descriptor left.
    pub fn new() -> Result<Self> {
        let own = open_directory(c"/").and_then(|fd| Ok((file::id(fd.as_fd())?, fd)));
        let (own, fd) = own.map_err(|errno| Error::system(errno, "open the root directory"))?;
        Ok(Roots {
            _own: fd,
            own,
            roots: Vec::new(),
            same_paths: false,
        })
    }

    /// Takes the caller's word that every target sees the paths that this process sees: that none
    /// changes its root directory or is in another mount namespace, as under a filter that refuses
    /// `chroot(2)`, `pivot_root(2)`, `setns(2)`, and namespaces. Then that is not asked each time, and
    /// opening takes one system call less, which is a fifth of the time. Where it is not true a target
    /// still gets nothing that is not allowed, but it may be another file than it named.
    #[must_use]
    pub fn same_paths(mut self) -> Self {
        self.same_paths = true;
        self
    }

    /// Allows what lies in the directory `path`, or the single file `path`, links followed. Rights in
    /// directories within each other add up.
    ///
    /// It is that very directory or file from here on, whatever becomes of its name, and it is kept
    /// open. What is mounted below it belongs to it; what is mounted there later does not, and before
    /// Linux 6.8 nothing that is mounted below does. The root directory `/` is everything that a
    /// target can name, also on file systems that only the target has mounted.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for no rights, or unknown ones; [`Status::System`] with the error
    /// number of opening, `ENOENT` without a `/proc`, `EXDEV` when something is mounted over it.
    pub fn add(&mut self, path: impl AsRef<Path>, rights: Rights) -> Result<()> {
        let path = path.as_ref();
        if rights.is_empty() || !Rights::all().contains(rights) {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("{:#x} are no rights", rights.bits()),
            ));
        }
        let root = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Errno(libc::ENOENT))
            .and_then(|name| Root::open(&name, rights))
            .map_err(|errno| Error::system(errno, &format!("allow `{}`", path.display())))?;
        let at = self
            .roots
            .partition_point(|other| other.path.len() > root.path.len());
        self.roots.insert(at, root);
        Ok(())
    }

    /// Whether a target sees the paths that this process sees: it has this root directory, which is
    /// looked at if need be.
    #[inline]
    pub(super) fn are_seen_by(&self, root: impl FnOnce() -> kernel::Result<Stat>) -> bool {
        self.same_paths
            || (self.own.mount().is_some() && root().is_ok_and(|root| root.id == self.own))
    }

    /// The rights to everything.
    pub(super) fn everywhere(&self) -> Rights {
        let whole = self.roots.iter().filter(|root| root.path.is_empty());
        whole.fold(Rights::empty(), |all, root| all | root.rights)
    }

    /// The directory with these rights that the text of an absolute path leads into, and the rest
    /// of the path.
    #[inline]
    pub(super) fn named<'p>(&self, path: &'p CStr, rights: Rights) -> Option<(&Root, &'p CStr)> {
        let bytes = path.to_bytes_with_nul();
        self.roots.iter().find_map(|root| {
            let rest = bytes.strip_prefix(&root.path[..])?.strip_prefix(b"/")?;
            if rest.len() < 2 || !root.rights.contains(rights) || !root.is_directory {
                return None;
            }
            Some((root, CStr::from_bytes_with_nul(rest).ok()?))
        })
    }

    /// The rights to something that is open; to be found are those of `wanted`.
    pub(super) fn rights_to(
        &self,
        proc: BorrowedFd<'_>,
        open: BorrowedFd<'_>,
        wanted: Rights,
    ) -> kernel::Result<Rights> {
        let mut rights = self.everywhere();
        if rights.contains(wanted) && !rights.is_empty() {
            return Ok(rights);
        }
        let stat = file::stat(open)?;
        let file = stat.id.inode();
        for root in self.roots.iter().filter(|root| root.file == file) {
            rights |= root.rights;
        }
        for _ in 0..TRIES {
            if rights.contains(wanted) && !rights.is_empty() {
                break;
            }
            let name = place::name_in(proc, open)?;
            if stat.kind() == libc::S_IFIFO && name.starts_with(b"pipe:[") {
                // In no directory: it came from the target's own descriptors.
                return Ok(Rights::all());
            }
            for root in &self.roots {
                if !rights.contains(root.rights) && root.holds(&root.path, &name, file)? {
                    rights |= root.rights;
                }
            }
            if rights.contains(wanted) && !rights.is_empty() {
                break;
            }
            // Before it is refused: the directory may have another name by now.
            for root in &self.roots {
                if !rights.contains(root.rights) {
                    let path = place::name_in(proc, root.fd())?;
                    if path != root.path && root.holds(&path, &name, file)? {
                        rights |= root.rights;
                    }
                }
            }
            if place::name_in(proc, open)? == name {
                break;
            }
        }
        Ok(rights)
    }
}

impl Root {
    fn open(name: &CStr, rights: Rights) -> kernel::Result<Self> {
        let fd = file::open(None, name, libc::O_PATH | libc::O_CLOEXEC)?;
        let stat = file::stat(fd.as_fd())?;
        let mut path = place::name(fd.as_fd())?;
        // Whether the name leads here.
        let again = CString::new(&path[..]).map_err(|_| Errno(libc::ENOENT))?;
        let again = file::open(
            None,
            &again,
            libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC,
        )?;
        if file::id(again.as_fd())? != stat.id {
            return Err(Errno(libc::EXDEV));
        }
        if path == b"/" {
            path.clear();
        }
        let mut root = Root {
            fd,
            file: stat.id.inode(),
            is_directory: stat.kind() == libc::S_IFDIR,
            path,
            rights,
            mounts: stat.id.mount().into_iter().collect(),
            resolve: BELOW,
        };
        if root.mounts.is_empty() {
            // Linux 5.6 and 5.7 do not tell where it is.
            root.resolve |= libc::RESOLVE_NO_XDEV;
        }
        // Numbers that are used again would let others in.
        if root.is_directory && stat.unique_mount().is_some() {
            root.find_mounts()?;
        }
        Ok(root)
    }

    /// Finds what is mounted below.
    fn find_mounts(&mut self) -> kernel::Result<()> {
        let list = file::read_all(c"/proc/thread-self/mountinfo")?;
        for line in list.split(|&b| b == b'\n') {
            let Some(point) = line.split(|&b| b == b' ').nth(4) else {
                continue;
            };
            let Some(rest) = place::below(&self.path, &unescaped(point)) else {
                continue;
            };
            // One that something is mounted over is not to be reached.
            let Some(Ok(found)) = self.find(&rest) else {
                continue;
            };
            if let Some(mount) = file::id(found.as_fd())?.mount() {
                self.mounts.push(mount);
            }
        }
        Ok(())
    }

    /// What lies below, through no link, on whatever mount; nothing for the directory itself.
    fn find(&self, rest: &[u8]) -> Option<kernel::Result<OwnedFd>> {
        let how = OpenHow {
            flags: (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64,
            mode: 0,
            resolve: self.resolve,
        };
        if rest.is_empty() || !self.is_directory {
            return None;
        }
        let rest = CString::new(rest).ok()?;
        let mut found = Err(Errno(libc::EAGAIN));
        for _ in 0..TRIES {
            found = file::openat2(self.fd.as_fd(), &rest, how);
            if found.as_ref().err() != Some(&Errno(libc::EAGAIN)) {
                break;
            }
        }
        Some(found)
    }

    /// Whether that file is found below, by its name and that of this directory.
    fn holds(&self, path: &[u8], name: &[u8], file: ((u32, u32), u64)) -> kernel::Result<bool> {
        let found = place::below(path, name).and_then(|rest| self.find(&rest));
        let Some(Ok(found)) = found else {
            return Ok(false);
        };
        let id = file::id(found.as_fd())?;
        Ok(id.inode() == file && self.has_mount(&id))
    }

    /// Whether what was found below is on a mount that was there from the beginning.
    fn has_mount(&self, id: &FileId) -> bool {
        id.mount().is_none_or(|mount| self.mounts.contains(&mount))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether what was opened below is allowed.
    #[inline]
    pub(super) fn admits(&self, stat: &Stat) -> bool {
        self.path.is_empty() || self.has_mount(&stat.id)
    }
}

fn open_directory(name: &CStr) -> kernel::Result<OwnedFd> {
    file::open(
        None,
        name,
        libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
    )
}

/// A path as `mountinfo` writes it: `\040` is a space.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let code = (first == b'\\').then(|| behind.get(..3)).flatten();
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &behind[3..];
            }
            None => {
                path.push(first);
                rest = behind;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mountinfo_are_read_as_they_are() {
        assert_eq!(unescaped(b"/a\\040b\\134\\012"), b"/a b\\\n");
        assert_eq!(unescaped(b"/plain\\9"), b"/plain\\9");
    }

    #[test]
    fn no_rights_and_unknown_rights_are_refused() {
        let mut roots = Roots::new().unwrap();
        for rights in [0, 8, u32::MAX] {
            let rights = Rights::from_bits_retain(rights);
            let error = roots.add("/", rights).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
        }
    }
}
