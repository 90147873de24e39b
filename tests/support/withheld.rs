//! Targets with memory whose pages they provide themselves (`userfaultfd(2)`), and never do until the test
//! says so.

use super::*;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use unotify::*;

pub(crate) const PAGE: usize = 4096;

/// A page of the process's own that nobody can read before it is provided.
pub(crate) struct Withheld {
    userfaultfd: OwnedFd,
    pub(crate) page: u64,
}

#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioZeropage {
    start: u64,
    len: u64,
    mode: u64,
    zeropage: i64,
}

const UFFDIO_API: libc::Ioctl = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00;
const UFFDIO_ZEROPAGE: libc::Ioctl = 0xc020_aa04;

impl Withheld {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: a new mapping and a new descriptor; the structures are those of the ioctls.
        unsafe {
            let raw = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            let userfaultfd = OwnedFd::from_raw_fd(raw as i32);
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = libc::mmap(std::ptr::null_mut(), PAGE, protection, kind, -1, 0) as u64;
            let mut api = UffdioApi {
                api: 0xaa,
                features: 0,
                ioctls: 0,
            };
            let mut register = UffdioRegister {
                start: page,
                len: PAGE as u64,
                mode: 1, // missing pages
                ioctls: 0,
            };
            let fd = userfaultfd.as_raw_fd();
            if libc::ioctl(fd, UFFDIO_API, &mut api) < 0
                || libc::ioctl(fd, UFFDIO_REGISTER, &mut register) < 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(Withheld { userfaultfd, page })
        }
    }

    /// Lets those who wait for the page have it.
    pub(crate) fn provide(&self) {
        let mut zero = UffdioZeropage {
            start: self.page,
            len: PAGE as u64,
            mode: 0,
            zeropage: 0,
        };
        // SAFETY: the structure is that of the ioctl.
        while unsafe { libc::ioctl(self.userfaultfd.as_raw_fd(), UFFDIO_ZEROPAGE, &mut zero) } < 0 {
            let error = io::Error::last_os_error();
            // Its memory is being changed at the moment, by a thread that begins or ends.
            assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}");
            thread::yield_now();
        }
    }
}

/// Whether a process may withhold pages here; says so if not.
pub(crate) fn may_withhold() -> bool {
    match Withheld::new() {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: no userfaultfd for this user: {error}");
            false
        }
    }
}

/// A target that makes a call about a page it withholds. It provides the page when it hears
/// something, and tells what the call returned.
pub(crate) fn withholder() -> (Target, Listener) {
    Target::prepared(
        &notifying(&["getppid"]),
        LoadFlags::empty(),
        || Withheld::new().unwrap(),
        |withheld, channel| {
            thread::scope(|scope| {
                scope.spawn(|| channel.tell(call(CALL, [withheld.page, 0, 0])));
                channel.hear();
                withheld.provide();
            });
        },
    )
}
