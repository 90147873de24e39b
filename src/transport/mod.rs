//! What goes over Unix sockets: a listener from one process to another, and messages with descriptors.

pub(crate) mod framing;
pub(crate) mod message;

use crate::error::{Error, Result, Status};
use crate::kernel::{socket, Errno};
use crate::listener::Listener;
use std::os::fd::{AsRawFd, BorrowedFd};

impl Listener {
    /// Sends a duplicate of the listener over a Unix socket (`SCM_RIGHTS`, with one byte).
    ///
    /// This is a `sendmsg(2)`: a thread that has loaded a filter which notifies that call, or all
    /// calls, waits here for ever, as nobody has the listener yet. Such a target is started with
    /// [`Spawn`](crate::Spawn), or its supervisor takes the listener with [`Listener::from_pid`].
    ///
    /// # Errors
    /// [`Status::Closed`] when the other side is closed; [`Status::InvalidArgument`] when it is
    /// not a socket or not open.
    pub fn to_socket(&self, unix_socket: BorrowedFd<'_>) -> Result<()> {
        socket::send_fds(unix_socket, b"L", &[self.as_raw_fd()]).map_err(|errno| match errno.0 {
            libc::EPIPE | libc::ECONNRESET => Error::with_errno(
                Status::Closed,
                errno,
                "the other side of the socket is closed",
            ),
            _ => socket_error(errno, "send the listener"),
        })
    }

    /// Receives a listener that [`Listener::to_socket`], or anybody with `SCM_RIGHTS`, has sent: the
    /// first descriptor of one message. Others that come with it are closed.
    ///
    /// # Errors
    /// [`Status::Closed`] when the other side is closed; [`Status::InvalidArgument`] when the
    /// message carries no listener (the descriptor that came is closed) or `unix_socket` is not one;
    /// [`Status::System`] with `EMFILE` when this process has no descriptor free: the message
    /// stays in the socket, to be received when there is one, unless another thread took the last
    /// one at that moment.
    pub fn from_socket(unix_socket: BorrowedFd<'_>) -> Result<Self> {
        let mut byte = [0];
        let received = socket::recv_fds(unix_socket, &mut byte)
            .map_err(|errno| socket_error(errno, "receive a listener"))?;
        match received.fds {
            [Some(fd)] => Self::from_fd(fd),
            [None] if received.len == 0 => Err(Error::plain(Status::Closed)),
            [None] => Err(Error::new(
                Status::InvalidArgument,
                "the message carries no descriptor",
            )),
        }
    }
}

fn socket_error(errno: Errno, what: &str) -> Error {
    match errno.0 {
        libc::ENOTSOCK | libc::EOPNOTSUPP => Error::with_errno(
            Status::InvalidArgument,
            errno,
            format!("cannot {what}: not a Unix socket"),
        ),
        _ => Error::system(errno, what),
    }
}
