//! A Unix socket that others connect to.

use super::{check, fd, retry, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Who connected, as this process's namespaces number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: libc::pid_t,
    pub(crate) uid: u32,
}

/// The address of a path; `ENAMETOOLONG` where it does not fit.
fn address(path: &[u8]) -> Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: plain integers, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if path.len() >= address.sun_path.len() {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    let len = std::mem::offset_of!(libc::sockaddr_un, sun_path) + path.len() + 1;
    Ok((address, len as libc::socklen_t))
}

/// A stream socket, close-on-exec, which does not block.
fn stream() -> Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: integers only.
    check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }.into()).map(fd::own)
}

/// Makes a socket at `path` that listens, with these permissions less the umask from its first
/// moment on, and that does not block. `EADDRINUSE` when there is something of that name.
pub(crate) fn listen_at(path: &[u8], mode: u32, backlog: i32) -> Result<OwnedFd> {
    let (address, len) = address(path)?;
    let socket = stream()?;
    let raw = socket.as_raw_fd();
    // SAFETY: integers only. The kernel makes the file with the permissions of the socket.
    check(unsafe { libc::fchmod(raw, mode) }.into())?;
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(raw, (&raw const address).cast(), len) }.into())?;
    // SAFETY: integers only.
    check(unsafe { libc::listen(raw, backlog) }.into())?;
    Ok(socket)
}

/// Whether somebody listens at `path`: one whose backlog is full does.
pub(crate) fn somebody_listens_at(path: &[u8]) -> Result<bool> {
    let (address, len) = address(path)?;
    let socket = stream()?;
    // SAFETY: the address is as long as said. It does not wait, as the socket does not block.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
    match check(connected.into()) {
        Ok(_) | Err(Errno(libc::EAGAIN | libc::EPROTOTYPE)) => Ok(true),
        Err(Errno(libc::ECONNREFUSED)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether it is a Unix stream socket.
pub(crate) fn is_stream(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(option(socket, libc::SO_DOMAIN)? == libc::AF_UNIX
        && option(socket, libc::SO_TYPE)? == libc::SOCK_STREAM)
}

/// Whether it is one that listens.
pub(crate) fn is_listening(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(is_stream(socket)? && option(socket, libc::SO_ACCEPTCONN)? != 0)
}

fn option(socket: BorrowedFd<'_>, name: libc::c_int) -> Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let (raw, level) = (socket.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: these options are one `int`.
    let got = unsafe { libc::getsockopt(raw, level, name, (&raw mut value).cast(), &mut len) };
    check(got.into())?;
    Ok(value)
}

/// The next connection, close-on-exec and without blocking; `EAGAIN` when there is none.
pub(crate) fn accept(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let (raw, none) = (socket.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: no address is asked for.
    retry(|| check(unsafe { libc::accept4(raw, none, std::ptr::null_mut(), flags) }.into()))
        .map(fd::own)
}

/// Who connected (`SO_PEERCRED`): as it was then.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> Result<Peer> {
    let mut who = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let (raw, level) = (socket.as_raw_fd(), libc::SOL_SOCKET);
    let value = (&raw mut who).cast();
    // SAFETY: the structure is as long as said.
    check(unsafe { libc::getsockopt(raw, level, libc::SO_PEERCRED, value, &mut len) }.into())?;
    Ok(Peer {
        pid: who.pid,
        uid: who.uid,
    })
}

/// Takes the lock of a file or directory that processes agree by (`flock(2)`), if nobody has it. It
/// is let go of with the descriptor.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }.into()).map(drop)
}

/// The effective user.
pub(crate) fn own_user() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() }
}
