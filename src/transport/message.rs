//! A message that comes over a stream: one JSON object, with descriptors (`SCM_RIGHTS`).
//!
//! It comes in as many parts as the sender and the socket's buffer make of it, with the descriptors
//! beside any of them, and nothing says that it is whole but the object's last brace.

use super::framing::{is_space, Frame, Framing};
use crate::kernel::{fd_table, socket, Errno};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// What a message may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) fds: usize,
}

/// What has come of a message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    framing: Framing,
}

/// What came of a look at the socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is whole.
    Complete,
    /// There is nothing more at the moment.
    Waiting,
    /// Nothing came, and nothing will.
    Empty,
    /// No number is free for descriptors. What there is stays in the socket.
    NoRoom,
    /// It is none, for this reason.
    Refused(String),
}

impl Message {
    /// Takes what there is in the socket, without waiting, by way of `part`. For as long as there is
    /// more, but for a sender who is faster than this: what comes later waits for the next look.
    pub(crate) fn receive(
        &mut self,
        from: BorrowedFd<'_>,
        part: &mut [u8],
        limits: Limits,
    ) -> Progress {
        for _ in 0..8 {
            // A descriptor for which there is no number would be lost.
            if let Err(errno) = fd_table::duplicate_from(from.as_raw_fd(), 0) {
                return match errno.0 {
                    libc::EMFILE | libc::ENFILE => Progress::NoRoom,
                    _ => refused(errno),
                };
            }
            let fds = &mut self.fds;
            let mut too_many = false;
            let mut keep = |fd| {
                if fds.len() < limits.fds {
                    fds.push(fd);
                } else {
                    too_many = true;
                }
            };
            let (len, lost) = match socket::take_each(from, part, &mut keep) {
                Ok(taken) => taken,
                Err(Errno(libc::EAGAIN)) => return Progress::Waiting,
                Err(errno) => return refused(errno),
            };
            if too_many {
                return Progress::Refused(format!("it sent more than {} descriptors", limits.fds));
            }
            if lost {
                return Progress::Refused("a descriptor of its was lost on the way".into());
            }
            if len == 0 && self.bytes.is_empty() {
                return Progress::Empty;
            }
            if len == 0 {
                return Progress::Refused("it hung up before its message was complete".into());
            }
            if let Some(progress) = self.push(&part[..len], limits) {
                return progress;
            }
        }
        Progress::Waiting
    }

    /// Adds what came; what that makes of the message, if it ends here.
    pub(crate) fn push(&mut self, part: &[u8], limits: Limits) -> Option<Progress> {
        let end = match self.framing.push(part) {
            Frame::Incomplete => None,
            Frame::Complete(end) => Some(end),
            Frame::NoObject(why) => {
                let reason = format!("its message is no JSON object: {why}");
                return Some(Progress::Refused(reason));
            }
        };
        let (part, rest) = part.split_at(end.unwrap_or(part.len()));
        if self.bytes.len() + part.len() > limits.bytes {
            return Some(Progress::Refused(format!(
                "its message is longer than {} bytes",
                limits.bytes
            )));
        }
        self.bytes.extend_from_slice(part);
        end?;
        if rest.iter().all(|&byte| is_space(byte)) {
            return Some(Progress::Complete);
        }
        Some(Progress::Refused("more follows its message".into()))
    }
}

fn refused(errno: Errno) -> Progress {
    let reason = std::io::Error::from_raw_os_error(errno.0);
    Progress::Refused(format!("it cannot be read from: {reason}"))
}
