//! Which descriptors the program gets, and under which numbers.

use crate::error::{Error, Result, Status};
use crate::kernel::{fd_table, Errno};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// What `/proc` calls a listener.
const LISTENER: &str = "anon_inode:seccomp notify";

/// What a program gets as one of its descriptors.
///
/// Anything that owns or lends a descriptor turns into it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stdio<'a> {
    /// What the caller has under the same number, close-on-exec or not. For 0, 1 and 2, nothing
    /// where the caller has nothing.
    Inherit,
    /// `/dev/null`, for reading and writing.
    Null,
    /// This descriptor, which is closed with the [`Spawn`](crate::Spawn) it was given to.
    Owned(OwnedFd),
    /// This descriptor.
    Borrowed(BorrowedFd<'a>),
}

impl From<OwnedFd> for Stdio<'_> {
    fn from(fd: OwnedFd) -> Self {
        Stdio::Owned(fd)
    }
}

impl<'a> From<BorrowedFd<'a>> for Stdio<'a> {
    fn from(fd: BorrowedFd<'a>) -> Self {
        Stdio::Borrowed(fd)
    }
}

impl From<File> for Stdio<'_> {
    fn from(file: File) -> Self {
        Stdio::Owned(file.into())
    }
}

impl<'a> From<&'a File> for Stdio<'a> {
    fn from(file: &'a File) -> Self {
        Stdio::Borrowed(file.as_fd())
    }
}

impl<'a> From<&'a OwnedFd> for Stdio<'a> {
    fn from(fd: &'a OwnedFd) -> Self {
        Stdio::Borrowed(fd.as_fd())
    }
}

impl From<UnixStream> for Stdio<'_> {
    fn from(socket: UnixStream) -> Self {
        Stdio::Owned(socket.into())
    }
}

/// The program's descriptors, by their numbers there.
#[derive(Debug, Default)]
pub(super) struct Files<'a>(BTreeMap<RawFd, Stdio<'a>>);

/// One descriptor to be put into place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    target: RawFd,
    from: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Number(RawFd),
    Null,
    Here { must_be_open: bool },
}

impl<'a> Files<'a> {
    pub(super) fn set(&mut self, target: RawFd, from: Stdio<'a>) {
        self.0.insert(target, from);
    }

    /// What is to be done, for the thread that has a copy of this descriptor table.
    pub(super) fn moves(&self) -> Vec<Move> {
        let moves = self.0.iter().map(|(&target, from)| Move {
            target,
            from: match from {
                Stdio::Inherit => Source::Here {
                    must_be_open: target > 2,
                },
                Stdio::Null => Source::Null,
                Stdio::Owned(fd) => Source::Number(fd.as_raw_fd()),
                Stdio::Borrowed(fd) => Source::Number(fd.as_raw_fd()),
            },
        });
        moves.collect()
    }
}

/// Puts everything into place in the calling thread's own descriptor table, and keeps `spare`, a
/// descriptor of the thread's, out of the way. Gives it back under the number it has then.
pub(super) fn arrange(moves: &[Move], spare: RawFd) -> Result<OwnedFd> {
    let taken: Vec<RawFd> = moves.iter().map(|m| m.target).collect();
    let spare = lift(spare, &taken).map_err(|e| Error::system(e, "duplicate a socket"))?;
    // First everything goes to numbers that nobody wants, then to those that are wanted.
    let mut lifted = Vec::new();
    for &Move { target, from } in moves {
        if target < 0 {
            return Err(refused(
                Errno(libc::EBADF),
                target,
                "the program cannot have one",
            ));
        }
        match from {
            Source::Number(number) => {
                let source = lift(number, &taken).map_err(|errno| match errno.0 {
                    libc::EBADF => refused(errno, number, "it is not open"),
                    _ => Error::system(errno, &format!("duplicate descriptor {number}")),
                })?;
                lifted.push((target, source));
            }
            Source::Null => {
                let null = fd_table::open_null()
                    .and_then(|null| lift(null.as_raw_fd(), &taken))
                    .map_err(|e| Error::system(e, "open /dev/null"))?;
                lifted.push((target, null));
            }
            Source::Here { must_be_open } => {
                if let (Err(errno), true) = (fd_table::keep_on_exec(target), must_be_open) {
                    return Err(refused(errno, target, "it is not open"));
                }
            }
        }
    }
    for (target, source) in lifted {
        fd_table::put(source.as_fd(), target)
            .map_err(|errno| refused(errno, target, "the program cannot have one"))?;
    }
    Ok(spare)
}

/// The listeners in the calling thread's own descriptor table that are close-on-exec. A child that
/// has this table too and waits in `execve` would keep them open after the caller has closed them, and
/// their targets waiting. Where there is no `/proc` they are not found.
pub(super) fn listeners() -> Vec<RawFd> {
    let Ok(folder) = std::fs::read_dir("/proc/thread-self/fd") else {
        return Vec::new();
    };
    let numbers = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // What they are called takes longest to find out.
    let listeners = numbers
        .filter(|&number| fd_table::has_no_kind(number) && fd_table::closes_on_exec(number))
        .filter(|number| {
            std::fs::read_link(format!("/proc/thread-self/fd/{number}"))
                .is_ok_and(|what| what.as_os_str() == LISTENER)
        });
    listeners.collect()
}

/// Duplicates a descriptor to a number that is not in `taken`.
fn lift(number: RawFd, taken: &[RawFd]) -> crate::kernel::Result<OwnedFd> {
    let mut least = 3;
    loop {
        let copy = fd_table::duplicate_from(number, least)?;
        if !taken.contains(&copy.as_raw_fd()) {
            return Ok(copy);
        }
        least = copy.as_raw_fd() + 1;
    }
}

fn refused(errno: Errno, number: RawFd, why: &str) -> Error {
    Error::with_errno(
        Status::InvalidArgument,
        errno,
        format!("cannot use descriptor {number}: {why}"),
    )
}
