//! The kernel's ABI, as it is: structures, ioctls and system calls, with errors as raw `errno`s.
//!
//! This is the only module that talks to the kernel. It decides nothing: what an error means is
//! said by the modules above. Every call that may be interrupted by a signal says whether it
//! retries.

pub(crate) mod cancel;
pub(crate) mod caught;
pub(crate) mod child;
mod clone;
pub(crate) mod epoll;
pub(crate) mod fd;
pub(crate) mod fd_table;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod guard;
pub(crate) mod helper;
pub(crate) mod interrupt;
mod known;
mod lasting;
pub(crate) mod making;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod pid_namespace;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod processors;
mod receive_signal;
pub(crate) mod reserved;
pub(crate) mod room;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod socket;
mod syscall;
pub(crate) mod timer;
pub(crate) mod trial;
pub(crate) mod unix_socket;
pub(crate) mod version;

/// An error number as the kernel returned it, positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// The calling thread's `errno`.
    pub(crate) fn last() -> Self {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// Turns the return value of a system call wrapper (-1 and `errno`) into a result.
pub(crate) fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret < 0 {
        Err(Errno::last())
    } else {
        Ok(ret)
    }
}

/// Calls again for as long as a signal interrupts.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
}
