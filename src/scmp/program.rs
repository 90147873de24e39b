//! From a filter context to a filter in the kernel.
//!
//! libseccomp's own load keeps one notify descriptor for the whole process. Here the program is
//! taken from libseccomp and installed with `seccomp(2)`, so that every load has its own listener.

use super::error::{Result, SeccompError};
use super::{ensure_supported_api, ScmpFilterAttr, ScmpFilterContext, ScmpVersion};
use crate::load::{install, Install};
use libc::sock_filter;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// The listener of a context's last load.
#[derive(Debug, Default)]
pub(super) enum NotifyFd {
    /// No load yet that made one.
    #[default]
    None,
    /// Nobody has asked for it: the context closes it.
    Owned(OwnedFd),
    /// Somebody has: it is theirs to close.
    Given(RawFd),
}

impl ScmpFilterContext {
    /// Puts the filter on the calling thread, for good: it and the threads and processes it
    /// starts from now on are bound by it. With [`set_ctl_tsync`](Self::set_ctl_tsync) all
    /// threads of the process are.
    ///
    /// A filter with a [`Notify`](crate::ScmpAction::Notify) rule gets a listener; see
    /// [`get_notify_fd`](Self::get_notify_fd). Each load gets its own.
    ///
    /// Installs the program [`export_bpf`](Self::export_bpf) gives with `seccomp(2)`.
    ///
    /// # Errors
    ///
    /// With the kernel's own number, negated, in
    /// [`sysrawrc`](crate::error::SeccompError::sysrawrc): `EACCES` when no_new_privs is off and
    /// the caller has no `CAP_SYS_ADMIN`; `EBUSY` when the thread's filters have a listener
    /// already; `ESRCH` when another thread cannot be synchronized; `EINVAL` when the program is
    /// longer than 4096 instructions; `ENOMEM` when all filters of the thread together are too
    /// long.
    pub fn load(&self) -> Result<()> {
        let program = self.program()?;
        let how = Install {
            listener: notifies(&program),
            tsync: self.is_set(ScmpFilterAttr::CtlTsync),
            log: self.is_set(ScmpFilterAttr::CtlLog),
            spec_allow: self.is_set(ScmpFilterAttr::CtlSsb),
            wait_killable: self.is_set(ScmpFilterAttr::CtlWaitkill),
            no_new_privs: self.is_set(ScmpFilterAttr::CtlNnp),
        };
        let listener = install(&program, how)
            .map_err(|error| SeccompError::from_errno(-error.errno()).because(error))?;
        if let Some(listener) = listener {
            self.notify_fd.replace(NotifyFd::Owned(listener));
        }
        Ok(())
    }

    /// The listener of this context's last load that made one.
    ///
    /// Until it is asked for, the listener is the context's, and closed with it or by its next
    /// such load; from the first call on it is the caller's, who closes it. Further calls give
    /// the same number.
    ///
    /// Takes the place of `seccomp_notify_fd(3)`, which knows one listener per process.
    ///
    /// # Errors
    ///
    /// When libseccomp is older than 2.5.0 or the API level is below 6, and `EINVAL` when no
    /// load of this context made a listener.
    pub fn get_notify_fd(&self) -> Result<RawFd> {
        ensure_supported_api("get_notify_fd", 6, ScmpVersion::from((2, 5, 0)))?;
        let fd = match self.notify_fd.take() {
            NotifyFd::None => {
                return Err(SeccompError::invalid(
                    "no filter with a notify rule was loaded from this context",
                ))
            }
            NotifyFd::Owned(fd) => fd.into_raw_fd(),
            NotifyFd::Given(fd) => fd,
        };
        self.notify_fd.replace(NotifyFd::Given(fd));
        Ok(fd)
    }

    /// The filter as the program the kernel takes.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` when the system has no room to write it out.
    pub(crate) fn program(&self) -> Result<Vec<sock_filter>> {
        let mut file = memory_file()?;
        self.export_bpf(&file)?;
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes)) // goes on after EINTR
            .map_err(|error| {
                SeccompError::from_errno(-error.raw_os_error().unwrap_or(libc::EIO)).because(error)
            })?;
        Ok(bytes
            .chunks_exact(size_of::<sock_filter>())
            .map(instruction)
            .collect())
    }

    /// Whether a switch is on. One this libseccomp does not have is not.
    fn is_set(&self, attr: ScmpFilterAttr) -> bool {
        self.get_filter_attr(attr).is_ok_and(|value| value != 0)
    }
}

/// Whether some path through `program` ends in a notification.
pub(crate) fn notifies(program: &[sock_filter]) -> bool {
    const RETURN_CONSTANT: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    program.iter().any(|instruction| {
        instruction.code == RETURN_CONSTANT
            && instruction.k & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_USER_NOTIF
    })
}

/// One `struct sock_filter` from the bytes it is in memory.
fn instruction(bytes: &[u8]) -> sock_filter {
    sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

/// A file that is gone when it is closed: libseccomp before 2.6 writes programs to descriptors
/// only, and a pipe would block on a long one.
fn memory_file() -> Result<File> {
    loop {
        // SAFETY: the name is NUL-terminated; the call keeps nothing of it.
        let fd = unsafe { libc::memfd_create(c"seccomp-filter".as_ptr(), libc::MFD_CLOEXEC) };
        if fd >= 0 {
            // SAFETY: the descriptor is new, and nobody else's.
            return Ok(unsafe { File::from_raw_fd(fd) });
        }
        if std::io::Error::last_os_error().kind() != ErrorKind::Interrupted {
            return Err(SeccompError::last_os_error());
        }
    }
}
