//! The socket that runtimes connect to: where it comes from, and what becomes of its name.

use crate::error::{Error, Result, Status};
use crate::kernel::{fd_table, file, unix_socket, Errno};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;

/// As many as the kernel keeps (`net.core.somaxconn`): runc gives up when there is no room for it.
const BACKLOG: i32 = 4096;

/// The first descriptor that a service manager passes (`sd_listen_fds(3)`).
const FIRST_PASSED: i32 = 3;

/// The socket that runtimes connect to.
#[derive(Debug)]
pub(super) struct Endpoint {
    socket: OwnedFd,
}

/// The name of a socket in the file system, and which file it was when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Endpoint {
    /// Makes a socket of that name, in the place of one that its user's last agent has left.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<(Self, Name)> {
        // It is removed at the end, wherever this process is then.
        let path = std::path::absolute(path).map_err(|e| no_socket(path, &e))?;
        // Two agents that begin at the same time are not to replace each other's.
        let _held = hold_directory(&path);
        let listen = || unix_socket::listen_at(path.as_os_str().as_bytes(), mode, BACKLOG);
        let socket = match listen() {
            Err(Errno(libc::EADDRINUSE)) => {
                remove_stale(&path)?;
                listen()
            }
            listening => listening,
        };
        let socket = socket.map_err(|errno| match errno.0 {
            libc::ENAMETOOLONG => Error::with_errno(
                Status::InvalidArgument,
                errno,
                format!(
                    "`{}` is too long for the name of a socket: 107 bytes",
                    path.display()
                ),
            ),
            _ => Error::system(errno, &format!("make the socket `{}`", path.display())),
        })?;
        match name(&path, mode) {
            Ok(name) => Ok((Endpoint { socket }, name)),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(no_socket(&path, &error))
            }
        }
    }

    /// Takes a socket that listens, from elsewhere.
    pub(super) fn of(socket: OwnedFd) -> Result<Self> {
        let number = socket.as_raw_fd();
        match unix_socket::is_listening(socket.as_fd()) {
            Ok(true) => {}
            Ok(false) | Err(Errno(libc::ENOTSOCK)) => {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!("descriptor {number} is no Unix stream socket that listens"),
                ))
            }
            Err(errno) => return Err(Error::system(errno, "look at the socket")),
        }
        file::flags(socket.as_fd())
            .and_then(|flags| file::set_flags(socket.as_fd(), flags | libc::O_NONBLOCK))
            .map_err(|e| Error::system(e, "keep the socket from blocking"))?;
        Ok(Endpoint { socket })
    }

    /// Takes the socket that a service manager has passed to this process.
    pub(super) fn passed() -> Result<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let number = |name| {
            let text = std::env::var(name).unwrap_or_default();
            text.parse::<u32>().unwrap_or(0)
        };
        let none = |why: &str| Err(Error::new(Status::InvalidArgument, why.to_owned()));
        if number("LISTEN_PID") != std::process::id() {
            return none("no service manager has passed a socket to this process (LISTEN_PID)");
        }
        if number("LISTEN_FDS") != 1 {
            return none("not one descriptor was passed to this process (LISTEN_FDS): pass it on");
        }
        if !fd_table::is_open(FIRST_PASSED) || TAKEN.swap(true, SeqCst) {
            return none("the socket that was passed to this process was taken before");
        }
        // SAFETY: it is open, was passed to be taken, and nobody has taken it here.
        let socket = unsafe { OwnedFd::from_raw_fd(FIRST_PASSED) };
        // What is started from here on is not to have it.
        let own = fd_table::duplicate_from(socket.as_raw_fd(), 0)
            .map_err(|e| Error::system(e, "duplicate the socket that was passed"))?;
        Endpoint::of(own)
    }
}

impl Name {
    /// Removes it, if it is still that socket's.
    pub(super) fn remove(&self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|f| (f.dev(), f.ino()) == (self.device, self.inode)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn no_socket(path: &Path, error: &std::io::Error) -> Error {
    let errno = Errno(error.raw_os_error().unwrap_or(libc::EINVAL));
    Error::system(errno, &format!("make the socket `{}`", path.display()))
}

/// The lock of the directory that `path` is in, which agents hold while they make their sockets. It
/// is not waited for long: another program may lock directories for reasons of its own.
fn hold_directory(path: &Path) -> Option<OwnedFd> {
    let directory = CString::new(path.parent()?.as_os_str().as_bytes()).ok()?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let directory = file::open(None, &directory, flags).ok()?;
    for _ in 0..100 {
        match unix_socket::try_lock(directory.as_fd()) {
            Err(Errno(libc::EAGAIN)) => sleep(Duration::from_millis(10)),
            _ => break,
        }
    }
    Some(directory)
}

/// Removes a socket that nobody listens on and that is this user's. Nothing else.
fn remove_stale(path: &Path) -> Result<()> {
    let taken = |status, why: &str| {
        Err(Error::with_errno(
            status,
            Errno(libc::EADDRINUSE),
            format!("cannot make the socket `{}`: {why}", path.display()),
        ))
    };
    let found = fs::symlink_metadata(path).map_err(|e| no_socket(path, &e))?;
    if !found.file_type().is_socket() {
        return taken(
            Status::System,
            "there is a file of that name, which is no socket",
        );
    }
    if found.uid() != unix_socket::own_user() {
        return taken(
            Status::Permission,
            &format!("there is one of user {}", found.uid()),
        );
    }
    match unix_socket::somebody_listens_at(path.as_os_str().as_bytes()) {
        Ok(false) => fs::remove_file(path).map_err(|e| no_socket(path, &e)),
        Ok(true) => taken(Status::Busy, "somebody listens there"),
        Err(errno) => Err(Error::system(
            errno,
            &format!("look who listens at `{}`", path.display()),
        )),
    }
}

/// Gives the new socket the permissions that the umask took away, and says which file it is.
fn name(path: &Path, mode: u32) -> std::io::Result<Name> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    // Opened, so that it is the same file in all that follows.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let found = file.metadata()?;
    if !found.file_type().is_socket() {
        return Err(std::io::Error::from_raw_os_error(libc::ENOTSOCK));
    }
    if found.mode() & 0o7777 != mode {
        let by_number = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(by_number, fs::Permissions::from_mode(mode))?;
    }
    Ok(Name {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
    })
}
