//! Passing one descriptor over a Unix socket.

use super::{check, fd, retry, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Control message space for one descriptor, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Bytes of a control message that carries one descriptor.
const fn control_len() -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(size_of::<i32>() as u32) as usize }
}

const _: () = assert!(control_len() <= size_of::<Control>());

/// Sends `payload` with one descriptor (`SCM_RIGHTS`). Retries `EINTR`; never raises `SIGPIPE`.
/// Calls nothing but the one system call, so a child may use it between `fork` and `exec`.
pub(crate) fn send_fd(socket: BorrowedFd<'_>, payload: &[u8], raw_fd: i32) -> Result<()> {
    let mut control = Control([0; 64]);
    let mut iov = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: zero is a value of every field of `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_len() as _;
    // SAFETY: the control buffer has room for one header and one descriptor.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
        libc::CMSG_DATA(header)
            .cast::<i32>()
            .write_unaligned(raw_fd);
    }
    // The bare system call, because the C wrapper is a cancellation point.
    retry(|| {
        // SAFETY: `message` and everything it points to live across the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_sendmsg,
                socket.as_raw_fd(),
                &raw const message,
                libc::MSG_NOSIGNAL,
            )
        })
    })
    .map(drop)
}

/// A pair of sockets that are connected to each other, close-on-exec, whose messages stay whole.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for both numbers.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
    Ok((fd::own(ends[0].into()), fd::own(ends[1].into())))
}

/// What came over a socket: how many bytes, and a descriptor if there was one.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) fd: Option<OwnedFd>,
}

/// Receives a message with at most one descriptor, close-on-exec. Further descriptors are closed
/// by the kernel (`MSG_CTRUNC`, reported as `EMSGSIZE`). Retries `EINTR`; 0 bytes is the end.
pub(crate) fn recv_fd(socket: BorrowedFd<'_>, payload: &mut [u8]) -> Result<Received> {
    let mut control = Control([0; 64]);
    let mut iov = libc::iovec {
        iov_base: payload.as_mut_ptr().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: zero is a value of every field of `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_len() as _;
    let len = retry(|| {
        // SAFETY: `message` and everything it points to live across the call.
        check(unsafe {
            libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) as libc::c_long
        })
    })? as usize;
    let mut received = None;
    // SAFETY: the kernel filled in the control buffer and its length.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
        {
            let raw = libc::CMSG_DATA(header).cast::<i32>().read_unaligned();
            received = Some(fd::own(raw.into()));
        }
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(Errno(libc::EMSGSIZE));
    }
    Ok(Received { len, fd: received })
}
