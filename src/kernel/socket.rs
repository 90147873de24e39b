//! Passing descriptors over a Unix socket.

use super::{check, fd, fd_table, retry, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A buffer for control messages, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control<const BYTES: usize>([u8; BYTES]);

/// The most descriptors that one message carries (`SCM_MAX_FD`).
pub(crate) const MOST_SENT: usize = 253;

/// Bytes of the control message that carries [`MOST_SENT`] descriptors.
const SENT: usize = {
    // SAFETY: arithmetic only.
    let bytes = unsafe { libc::CMSG_SPACE((MOST_SENT * size_of::<i32>()) as u32) };
    bytes as usize
};

/// A buffer for all that one message can bring: 253 descriptors (`SCM_MAX_FD`), credentials, a
/// security label. What did not fit would be cut off, and that must mean one thing only.
const RECEIVED: usize = 4096;

/// `connect(2)`, to an address in its bytes. Does not retry `EINTR`: the connection goes on being made.
pub(crate) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    // The bare system call, because the C wrapper is a cancellation point.
    // SAFETY: as many bytes as said.
    check(unsafe {
        libc::syscall(
            libc::SYS_connect,
            socket.as_raw_fd(),
            address.as_ptr(),
            address.len(),
        )
    })
    .map(drop)
}

/// Whether it is a socket whose connection is made at once, as for datagrams (`SO_TYPE`).
pub(crate) fn is_for_datagrams(socket: BorrowedFd<'_>) -> Result<bool> {
    let mut kind: libc::c_int = 0;
    option(socket, libc::SO_TYPE, &mut kind)?;
    Ok(kind == libc::SOCK_DGRAM)
}

/// Whether sending, and connecting, has a time limit (`SO_SNDTIMEO`).
pub(crate) fn has_time_limit(socket: BorrowedFd<'_>) -> Result<bool> {
    let mut limit = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    option(socket, libc::SO_SNDTIMEO, &mut limit)?;
    Ok(limit.tv_sec != 0 || limit.tv_usec != 0)
}

/// An option of the level `SOL_SOCKET`.
fn option<T: Copy>(socket: BorrowedFd<'_>, name: libc::c_int, value: &mut T) -> Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let fd = socket.as_raw_fd();
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: the value is as long as said; these options are plain integers.
    let got = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, value, &mut len) };
    check(got.into()).map(drop)
}

/// Sends `payload` with at least one descriptor (`SCM_RIGHTS`). Retries `EINTR`; never raises
/// `SIGPIPE`. Calls nothing but the one system call.
pub(crate) fn send_fds(socket: BorrowedFd<'_>, payload: &[u8], fds: &[i32]) -> Result<()> {
    send(socket, payload, fds, 0).map(drop)
}

/// [`send_fds`] on a socket that may have no room for all, which this does not wait for (`EAGAIN`):
/// how many bytes were sent. The descriptors go with the first.
pub(crate) fn send_some(socket: BorrowedFd<'_>, payload: &[u8], fds: &[i32]) -> Result<usize> {
    send(socket, payload, fds, libc::MSG_DONTWAIT)
}

fn send(socket: BorrowedFd<'_>, payload: &[u8], fds: &[i32], flags: i32) -> Result<usize> {
    let fds = &fds[..fds.len().min(MOST_SENT)];
    let bytes = size_of_val(fds) as u32;
    let mut control = Control([0; SENT]);
    let mut iov = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: zero is a value of every field of `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: arithmetic only.
        let space = unsafe { libc::CMSG_SPACE(bytes) };
        message.msg_controllen = space as _;
        // SAFETY: the control buffer has room for one header and these descriptors.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            let data = libc::CMSG_DATA(header);
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), data, bytes as usize);
        }
    }
    // The bare system call, because the C wrapper is a cancellation point.
    retry(|| {
        // SAFETY: `message` and everything it points to live across the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_sendmsg,
                socket.as_raw_fd(),
                &raw const message,
                libc::MSG_NOSIGNAL | flags,
            )
        })
    })
    .map(|sent| sent as usize)
}

/// A pair of sockets that are connected to each other, close-on-exec, whose messages stay whole.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for both numbers.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
    Ok((fd::own(ends[0].into()), fd::own(ends[1].into())))
}

/// What came over a socket: how many bytes, and the first descriptors.
#[derive(Debug)]
pub(crate) struct Received<const N: usize> {
    pub(crate) len: usize,
    pub(crate) fds: [Option<OwnedFd>; N],
}

/// Receives a message and its first `N` descriptors, close-on-exec; whatever else comes with it is
/// closed. Retries `EINTR`; 0 bytes is the end.
///
/// A descriptor for which there is no number would be lost with its message. So the message is
/// waited for and left where it is while there is none free: `EMFILE`. (Unless another thread takes
/// the last one in between.) What can be told of the wait is the socket's own: whether it blocks,
/// and for how long.
pub(crate) fn recv_fds<const N: usize>(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
) -> Result<Received<N>> {
    loop {
        // Without room for descriptors: none is made.
        let len = receive(socket, payload, &mut [], libc::MSG_PEEK)?.0;
        if len > 0 {
            drop(fd_table::duplicate_from(socket.as_raw_fd(), 0)?);
        }
        match take(socket, payload) {
            // Another one has received it.
            Err(Errno(libc::EAGAIN)) => {}
            taken => return taken,
        }
    }
}

/// Receives what is there.
fn take<const N: usize>(socket: BorrowedFd<'_>, payload: &mut [u8]) -> Result<Received<N>> {
    let mut fds = [const { None }; N];
    let mut keep = |fd| {
        if let Some(free) = fds.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(fd);
        }
    };
    let (len, cut) = take_each(socket, payload, &mut keep)?;
    if cut && fds.iter().any(Option::is_none) {
        // There was no number left after all, or what was sent may not be had here.
        drop(fd_table::duplicate_from(socket.as_raw_fd(), 0)?);
        if fds.iter().all(Option::is_none) {
            return Err(Errno(libc::EACCES));
        }
    }
    Ok(Received { len, fds })
}

/// Receives what is there, without waiting (`EAGAIN`), and gives each descriptor that comes with it,
/// close-on-exec, to `keep`. How many bytes came, 0 at the end, and whether a descriptor was lost.
/// Retries `EINTR`.
pub(crate) fn take_each(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    keep: &mut dyn FnMut(OwnedFd),
) -> Result<(usize, bool)> {
    let mut control = Control([0; RECEIVED]);
    let (len, flags, control_len) = receive(socket, payload, &mut control.0, libc::MSG_DONTWAIT)?;
    // SAFETY: zero is a value of every field of `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_len as _;
    // SAFETY: only the control buffer is looked at, which the kernel filled in up to this length.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            let bytes = ((*header).cmsg_len as usize)
                .saturating_sub(data.offset_from(header.cast::<u8>()) as usize);
            let of = ((*header).cmsg_level, (*header).cmsg_type);
            if matches!(of, (libc::SOL_SOCKET, libc::SCM_RIGHTS | SCM_PIDFD)) {
                for at in 0..bytes / size_of::<i32>() {
                    let raw = data.cast::<i32>().add(at).read_unaligned();
                    if raw < 0 {
                        continue; // where the kernel could not make a pidfd
                    }
                    let fd = fd::own(raw.into());
                    if of.1 == libc::SCM_RIGHTS {
                        keep(fd);
                    }
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok((len, flags & libc::MSG_CTRUNC != 0))
}

/// `SCM_PIDFD` (Linux 6.5), which comes to a socket that asked for it (`SO_PASSPIDFD`).
const SCM_PIDFD: libc::c_int = 4;

/// `recvmsg(2)`: how many bytes came, the message's flags, how many bytes of `control` are used.
fn receive(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    control: &mut [u8],
    flags: libc::c_int,
) -> Result<(usize, libc::c_int, usize)> {
    let mut iov = libc::iovec {
        iov_base: payload.as_mut_ptr().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: zero is a value of every field of `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    if !control.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control.len() as _;
    }
    let len = retry(|| {
        // SAFETY: `message` and everything it points to live across the call.
        check(unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &mut message,
                libc::MSG_CMSG_CLOEXEC | flags,
            ) as libc::c_long
        })
    })?;
    Ok((len as usize, message.msg_flags, message.msg_controllen as _))
}
