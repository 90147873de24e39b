//! Connecting a target's socket for it.
//!
//! The supervisor connects a duplicate of the socket, which is the same open file, to an address of its
//! own: nothing the target does can change where it leads. Whether that waits is the socket's property
//! (`O_NONBLOCK`), which a duplicate shares, so that it cannot be changed for the supervisor alone. A
//! socket that does not wait is connected at once. **For one that waits a thread of its own does**
//! ([`super::waiting`]), and ends that with the target, or when a signal waits for it: exactly as the
//! target's own call, it leaves the connection to be made, and the call that comes again waits for it.

use super::open_how::{Asked, OpenHow};
use super::waiting::{Outcome, Waiting};
use crate::error::{Error, Result, Status};
use crate::kernel::{file, interrupt, socket, Errno};
use crate::notification::Notification;
use std::ffi::CString;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The longest address that the kernel takes.
const MAX_ADDRESS: usize = size_of::<libc::sockaddr_storage>();

/// Where the path begins in the address of a Unix socket.
const PATH: usize = offset_of!(libc::sockaddr_un, sun_path);

impl Notification {
    /// Opens the file of the Unix socket that `address` (a `struct sockaddr_un` in its bytes) names by a
    /// path, as [`Notification::open`] opens what a path names to the target, with `O_PATH`: to
    /// decide on the socket itself, and connect to that with [`Notification::reply_connect`].
    ///
    /// # Errors
    /// As [`Notification::open`]; [`Status::InvalidArgument`] when the address is not one with a path.
    pub fn open_socket(&mut self, address: &[u8]) -> Result<OwnedFd> {
        let Some(path) = path_of(address) else {
            return Err(Error::new(
                Status::InvalidArgument,
                "it is not the address of a Unix socket with a path",
            ));
        };
        let asked = Asked {
            how: OpenHow::new(libc::O_PATH),
            umask: 0,
        };
        self.watched(|n| n.open_path(libc::AT_FDCWD, &path, &asked))
    }

    /// Connects the target's socket `target_fd` to `address` (a `struct sockaddr` in its bytes), and
    /// answers with what came of it, be it an error number: for `connect(2)`. **Decide on the same
    /// bytes**, which were read of the target once.
    ///
    /// A socket with `O_NONBLOCK` is connected at once (`EINPROGRESS` is an answer too). One that waits
    /// does so without the caller: a thread of the library's connects it, and answers. That ends with
    /// the target, and with a signal that would end it in the target, 10 to 20 ms later
    /// ([`Notification::reply_interrupted`]): the call is made again then or fails with `EINTR`, as
    /// the handler was installed, and the connection goes on being made, as it does by itself.
    ///
    /// The socket keeps its network namespace, and `AF_UNSPEC` takes its connection away. **A path in
    /// `address` is the target's**, as [`Notification::open_socket`] resolves it, unless `file` is what
    /// that has opened. The supervisor's rights count: it is the supervisor that writes to the file of a
    /// Unix socket, and **the supervisor whom its peer sees** (`SO_PEERCRED`).
    ///
    /// On success the notification is answered, or is empty as after [`Notification::take`], and
    /// counts as deferred while the connection is waited for.
    ///
    /// # Errors
    /// Those of [`Notification::get_fd`] and [`Notification::open_socket`], and the target goes on
    /// waiting unless it is gone; [`Status::InvalidArgument`] for an address that is longer than any
    /// may be; [`Status::System`] with `EAGAIN` when 1,024 calls wait, or the system has no thread.
    pub fn reply_connect(
        &mut self,
        target_fd: RawFd,
        address: &[u8],
        file: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        if address.len() > MAX_ADDRESS {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("an address has {MAX_ADDRESS} bytes at most"),
            ));
        }
        let socket = self.get_fd(target_fd)?;
        let named = path_of(address).is_some();
        let file = match file {
            Some(file) if named => Some(file.try_clone_to_owned().map_err(|error| {
                Error::system(Errno(error.raw_os_error().unwrap_or(0)), "duplicate")
            })?),
            None if named => Some(self.open_socket(address)?),
            _ => None,
        };
        let connection = Connection {
            address: file.as_ref().map_or(address.into(), address_of),
            socket,
            _file: file,
        };
        if connection.waits() && interrupt::signal().is_some() {
            return self.wait_on_a_thread(move |notification, waiting| {
                connection.answer(notification, waiting);
            });
        }
        // The target can make it one that waits.
        let connected = self.watched(|_| connection.connect());
        // Before the target goes on, so that what it closes is closed.
        drop(connection);
        match connected {
            Ok(()) => self.reply_value(0),
            Err(errno) => self.reply_error(errno.0),
        }
    }
}

/// The path in the address of a Unix socket, up to a NUL or its end.
fn path_of(address: &[u8]) -> Option<CString> {
    let family = address
        .first_chunk()
        .map(|&family| u16::from_ne_bytes(family));
    let path = address.get(PATH..).filter(|path| !path.is_empty())?;
    // A longer one is for the kernel to refuse, and what begins with a NUL is no path.
    if family != Some(libc::AF_UNIX as u16)
        || address.len() > size_of::<libc::sockaddr_un>()
        || path[0] == 0
    {
        return None;
    }
    CString::new(path.split(|&byte| byte == 0).next()?).ok()
}

/// An address that leads to an open file, whatever its path and however long that is.
fn address_of(file: &OwnedFd) -> Vec<u8> {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    let path = format!("/proc/thread-self/fd/{}\0", file.as_raw_fd());
    address.extend_from_slice(path.as_bytes());
    address
}

/// What is to be connected, and to what.
struct Connection {
    socket: OwnedFd,
    address: Vec<u8>,
    /// What the address leads to.
    _file: Option<OwnedFd>,
}

impl Connection {
    /// Whether it may have to wait.
    fn waits(&self) -> bool {
        let socket = self.socket.as_fd();
        let family = self.address.first_chunk().copied().map(u16::from_ne_bytes);
        let nonblocking = file::flags(socket).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0);
        // Other than a socket it is the kernel that says so, at once.
        family != Some(libc::AF_UNSPEC as u16)
            && !nonblocking
            && socket::is_for_datagrams(socket) == Ok(false)
    }

    fn connect(&self) -> crate::kernel::Result<()> {
        socket::connect(self.socket.as_fd(), &self.address)
    }

    /// Connects it, however long that takes, and answers.
    fn answer(self, mut notification: Notification, waiting: &Waiting) {
        let connected = waiting.make(|receiver, mark, is_over| {
            receiver.connect(mark, self.socket.as_fd(), &self.address, is_over)
        });
        let has_time_limit = socket::has_time_limit(self.socket.as_fd()) == Ok(true);
        // Before the target goes on, so that what it closes is closed.
        drop(self);
        // It fails if the target is gone, which is nobody's business.
        let _ = match connected {
            Outcome::Made(Ok(())) => notification.reply_value(0),
            Outcome::Made(Err(errno)) => notification.reply_error(errno.0),
            // As the kernel has it: such a call is not made again.
            Outcome::Signalled if has_time_limit => notification.reply_error(libc::EINTR),
            Outcome::Signalled => notification.interrupt(),
            Outcome::Gone => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    fn unix(rest: &[u8]) -> Vec<u8> {
        [&(libc::AF_UNIX as u16).to_ne_bytes(), rest].concat()
    }

    #[test]
    fn a_path_ends_with_a_nul_or_with_the_address() {
        assert_eq!(path_of(&unix(b"/a/b")).unwrap().as_bytes(), b"/a/b");
        assert_eq!(path_of(&unix(b"a\0b")).unwrap().as_bytes(), b"a");
        assert_eq!(
            path_of(&unix(&[b'a'; 108])).unwrap().as_bytes(),
            [b'a'; 108]
        );
    }

    #[test]
    fn an_address_without_a_path_has_none() {
        assert_eq!(path_of(&unix(b"")), None);
        assert_eq!(path_of(&unix(b"\0abstract")), None);
        assert_eq!(path_of(&unix(&[b'a'; 109])), None);
        assert_eq!(path_of(&[]), None);
        assert_eq!(path_of(&[libc::AF_INET as u8, 0, b'/', b'a']), None);
    }
}
