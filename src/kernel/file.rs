//! Opening by path, reading links, and telling whether two descriptors are the same thing.

use super::syscall::syscall;
use super::{check, fd, retry, Result};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The kernel's `struct open_how`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenHow {
    pub(crate) flags: u64,
    pub(crate) mode: u64,
    pub(crate) resolve: u64,
}

/// The numbers that tell a file, and the mount it was reached by, from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: (u32, u32),
    inode: u64,
    /// 0 on a kernel before 5.8, which does not tell; nobody else's ever since 6.8.
    mount: u64,
}

/// What is asked about a file at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) id: FileId,
    /// Kind and permissions.
    pub(crate) mode: u32,
    /// Which device it stands for.
    pub(crate) rdev: (u32, u32),
    /// How many names it has; 0 for a directory that was removed.
    pub(crate) links: u32,
    /// Whether it is the root of its mount (Linux 5.8).
    pub(crate) is_mount_root: bool,
    /// Whether the mount's number in `id` is one that no mount ever had before (Linux 6.8).
    is_mount_unique: bool,
}

impl Stat {
    #[inline]
    fn of(stat: &libc::statx) -> Self {
        let id = FileId {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mount: if stat.stx_mask & (libc::STATX_MNT_ID | libc::STATX_MNT_ID_UNIQUE) != 0 {
                stat.stx_mnt_id
            } else {
                0
            },
        };
        Stat {
            id,
            mode: stat.stx_mode.into(),
            rdev: (stat.stx_rdev_major, stat.stx_rdev_minor),
            links: stat.stx_nlink,
            is_mount_root: stat.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0,
            is_mount_unique: stat.stx_mask & libc::STATX_MNT_ID_UNIQUE != 0,
        }
    }

    pub(crate) fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// The number of its mount, if that is nobody else's ever.
    pub(crate) fn unique_mount(&self) -> Option<u64> {
        self.is_mount_unique.then_some(self.id.mount)
    }

    /// Whether this is `/dev/tty`, which is the terminal of whoever opens it.
    pub(crate) fn is_controlling_terminal(&self) -> bool {
        self.kind() == libc::S_IFCHR && self.rdev == (5, 0)
    }

    /// Whether its file system has no block device below it, as those that the kernel makes up.
    pub(crate) fn is_of_no_disk(&self) -> bool {
        self.id.device.0 == 0
    }
}

/// The descriptor paths start from; none is the caller's own working directory.
fn raw(dir: Option<BorrowedFd<'_>>) -> i32 {
    dir.map_or(libc::AT_FDCWD, |dir| dir.as_raw_fd())
}

/// `openat(2)`. Retries `EINTR`.
pub(crate) fn open(dir: Option<BorrowedFd<'_>>, path: &CStr, flags: i32) -> Result<OwnedFd> {
    create(dir, path, flags, 0)
}

/// `openat(2)` with the mode of a file that is made. Retries `EINTR`.
pub(crate) fn create(
    dir: Option<BorrowedFd<'_>>,
    path: &CStr,
    flags: i32,
    mode: u32,
) -> Result<OwnedFd> {
    let (dir, path) = (raw(dir) as usize, path.as_ptr() as usize);
    // SAFETY: the path is NUL-terminated.
    retry(|| unsafe {
        syscall(
            libc::SYS_openat,
            [dir, path, flags as usize, mode as usize, 0, 0],
        )
    })
    .map(fd::own)
}

/// `openat2(2)` (Linux 5.6). Retries `EINTR`; `EAGAIN` is the caller's.
pub(crate) fn openat2(dir: BorrowedFd<'_>, path: &CStr, how: OpenHow) -> Result<OwnedFd> {
    let (dir, path) = (dir.as_raw_fd() as usize, path.as_ptr() as usize);
    let (how, size) = (&raw const how as usize, size_of::<OpenHow>());
    // SAFETY: the path is NUL-terminated and the structure as long as said.
    retry(|| unsafe { syscall(libc::SYS_openat2, [dir, path, how, size, 0, 0]) }).map(fd::own)
}

/// Whether this process may call `openat2(2)` at all.
pub(crate) fn can_openat2() -> bool {
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        ..OpenHow::default()
    };
    open(None, c"/", libc::O_PATH | libc::O_CLOEXEC)
        .is_ok_and(|root| openat2(root.as_fd(), c".", how).is_ok())
}

/// `readlinkat(2)`: what a symbolic link says. `ENAMETOOLONG` beyond one path's length; an empty
/// `path` asks for `dir` itself.
pub(crate) fn read_link(dir: Option<BorrowedFd<'_>>, path: &CStr) -> Result<Vec<u8>> {
    let mut text = vec![0u8; libc::PATH_MAX as usize + 1];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let len = check(unsafe {
        libc::readlinkat(
            raw(dir),
            path.as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        ) as _
    })? as usize;
    if len == text.len() {
        return Err(super::Errno(libc::ENAMETOOLONG));
    }
    text.truncate(len);
    Ok(text)
}

/// Which file, on which mount, a descriptor stands for (`statx(2)`, Linux 4.11).
pub(crate) fn id(file: BorrowedFd<'_>) -> Result<FileId> {
    stat(file).map(|stat| stat.id)
}

/// What a descriptor stands for (`statx(2)`, Linux 4.11).
#[inline]
pub(crate) fn stat(file: BorrowedFd<'_>) -> Result<Stat> {
    statx(file.as_raw_fd(), c"", libc::AT_EMPTY_PATH).map(|stat| Stat::of(&stat))
}

/// What a path from `dir`, links followed, leads to (`statx(2)`, Linux 4.11).
#[inline]
pub(crate) fn stat_at(dir: BorrowedFd<'_>, path: &CStr) -> Result<Stat> {
    statx(dir.as_raw_fd(), path, 0).map(|stat| Stat::of(&stat))
}

/// The owner of what `path`, from the caller's own working directory, leads to.
pub(crate) fn owner(path: &CStr) -> Result<u32> {
    statx(libc::AT_FDCWD, path, 0).map(|stat| stat.stx_uid)
}

/// Which file `path`, from the caller's own working directory, leads to, whatever its mount.
pub(crate) fn inode(path: &CStr) -> Result<((u32, u32), u64)> {
    let stat = statx(libc::AT_FDCWD, path, 0)?;
    Ok(((stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
}

impl FileId {
    /// The number of the mount; nothing on a kernel before 5.8, which does not tell.
    pub(crate) fn mount(&self) -> Option<u64> {
        (self.mount != 0).then_some(self.mount)
    }

    /// The file, whatever its mount.
    pub(crate) fn inode(&self) -> ((u32, u32), u64) {
        (self.device, self.inode)
    }
}

fn statx(dir: i32, path: &CStr, flags: i32) -> Result<libc::statx> {
    let mut stat = MaybeUninit::uninit();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID | libc::STATX_MNT_ID_UNIQUE;
    let (dir, name, to) = (
        dir as usize,
        path.as_ptr() as usize,
        stat.as_mut_ptr() as usize,
    );
    let args = [dir, name, flags as usize, mask as usize, to, 0];
    // SAFETY: the path is NUL-terminated, and the call fills one `statx`.
    unsafe { syscall(libc::SYS_statx, args) }?;
    // SAFETY: the kernel has filled all of it.
    Ok(unsafe { stat.assume_init() })
}

/// Whether a descriptor stands for something in a `/proc` (`fstatfs(2)`).
pub(crate) fn is_procfs(file: BorrowedFd<'_>) -> Result<bool> {
    Ok(file_system(file)? == libc::PROC_SUPER_MAGIC as u64)
}

/// Whether a descriptor stands for a pipe without a name (`fstatfs(2)`).
pub(crate) fn is_pipe(file: BorrowedFd<'_>) -> Result<bool> {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    Ok(file_system(file)? == PIPEFS_MAGIC)
}

fn file_system(file: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: integers only, for which zero is a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills one `statfs`.
    retry(|| check(unsafe { libc::fstatfs(file.as_raw_fd(), &mut stat) }.into()))?;
    Ok(stat.f_type as u64)
}

/// The flags a file was opened with (`F_GETFL`); `EBADF` when nothing is open there.
pub(crate) fn flags(file: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }.into()).map(|flags| flags as i32)
}

/// Sets the flags that can be changed while a file is open (`F_SETFL`).
pub(crate) fn set_flags(file: BorrowedFd<'_>, flags: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }.into()).map(drop)
}

/// A whole small file, such as those in `/proc`: read in one go, so that the kernel wrote it in
/// one go if it is shorter than a page.
pub(crate) fn read_all(path: &CStr) -> Result<Vec<u8>> {
    read_to_end(open(None, path, libc::O_RDONLY | libc::O_CLOEXEC)?.as_fd())
}

/// [`read_all`] for a file that the kernel makes up at once, where a read that gives less than it could
/// is the last one: one system call less.
pub(crate) fn read_made_up(dir: BorrowedFd<'_>, path: &CStr) -> Result<Vec<u8>> {
    let file = open(Some(dir), path, libc::O_RDONLY | libc::O_CLOEXEC)?;
    let mut text = Vec::new();
    loop {
        read_some(file.as_fd(), &mut text)?;
        if text.len() < text.capacity() {
            return Ok(text);
        }
    }
}

/// The rest of a file; see [`read_all`].
pub(crate) fn read_to_end(file: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while read_some(file, &mut text)? > 0 {}
    Ok(text)
}

/// Reads once, behind what is in `text`. 0 at the end.
pub(crate) fn read_some(file: BorrowedFd<'_>, text: &mut Vec<u8>) -> Result<usize> {
    text.reserve(16384);
    let spare = text.spare_capacity_mut();
    let count = retry(|| {
        // SAFETY: the kernel writes at most as many bytes as there are.
        check(unsafe { libc::read(file.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len()) as _ })
    })? as usize;
    // SAFETY: the kernel has written `count` bytes behind the `len` that were there.
    unsafe { text.set_len(text.len() + count) };
    Ok(count)
}
