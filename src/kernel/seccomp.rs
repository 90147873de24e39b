//! `seccomp(2)` and the listener's ioctls.

use super::known::Known;
use super::syscall::{self, syscall3};
use super::{check, fd, retry, signals, Errno, Result};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// One system call of a target, as it was when the target made it. The layout is that of the
/// kernel's `struct seccomp_notif`, in which `pid` is unsigned.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Request {
    /// The notification's number, unique on its listener.
    pub id: u64,
    /// The thread, 0 if outside the supervisor's pid namespace.
    pub pid: libc::pid_t,
    /// The kernel's flags, always 0 so far.
    pub flags: u32,
    /// Number of the system call on `arch`.
    pub syscall: c_int,
    /// The call's architecture, an `AUDIT_ARCH_*` value.
    pub arch: u32,
    /// The target's instruction pointer at the call.
    pub instruction_pointer: u64,
    /// What they point to can change at any time.
    pub args: [u64; 6],
}

/// The kernel's `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) id: u64,
    pub(crate) val: i64,
    pub(crate) error: i32,
    pub(crate) flags: u32,
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::seccomp_notif>());
const _: () = assert!(size_of::<Response>() == size_of::<libc::seccomp_notif_resp>());

/// `SYNC_WAKE_UP` of `SECCOMP_IOCTL_NOTIF_SET_FLAGS` (Linux 6.6).
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: usize = 1;

/// How large the running kernel's structures are, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    notif: usize,
    resp: usize,
}

/// Asks `SECCOMP_GET_NOTIF_SIZES` once. A kernel without it answers `EINVAL` or `ENOSYS`.
fn sizes() -> Result<Sizes> {
    // The one above the other: the kernel has them as 16 bits.
    static SIZES: Known = Known::nothing();
    let unpack = |both: u64| Sizes {
        notif: (both >> 32) as usize,
        resp: both as u32 as usize,
    };
    if let Some(both) = SIZES.get() {
        return Ok(unpack(both));
    }
    // SAFETY: three integers, for which zero is a value.
    let mut raw: libc::seccomp_notif_sizes = unsafe { std::mem::zeroed() };
    // SAFETY: the operation writes one `seccomp_notif_sizes`, which `raw` is.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            &mut raw,
        )
    })?;
    let notif = usize::from(raw.seccomp_notif).max(size_of::<Request>());
    let resp = usize::from(raw.seccomp_notif_resp).max(size_of::<Response>());
    // Every listener's first call comes by here.
    syscall::choose();
    // What need not be asked twice for each notification; see `RequestBuffer::is_usual`.
    let notif = if resp > size_of::<Response>() {
        notif.max(size_of::<Request>() + 8)
    } else {
        notif
    };
    Ok(unpack(
        SIZES.get_or_find(|| ((notif as u64) << 32) | resp as u64),
    ))
}

/// A buffer for one kernel structure: in place while the kernel's size is the one known today, on
/// the heap if a later kernel has grown beyond it.
#[derive(Debug, Clone)]
struct Buffer<const WORDS: usize> {
    here: [u64; WORDS],
    heap: Vec<u64>,
}

impl<const WORDS: usize> Buffer<WORDS> {
    fn new(bytes: usize) -> Self {
        let words = bytes.div_ceil(8);
        Buffer {
            here: [0; WORDS],
            heap: if words > WORDS {
                vec![0; words]
            } else {
                Vec::new()
            },
        }
    }

    #[inline]
    fn as_ptr(&self) -> *const u64 {
        if self.heap.is_empty() {
            self.here.as_ptr()
        } else {
            self.heap.as_ptr()
        }
    }

    #[inline]
    fn as_mut_ptr(&mut self) -> *mut u64 {
        if self.heap.is_empty() {
            self.here.as_mut_ptr()
        } else {
            self.heap.as_mut_ptr()
        }
    }

    #[inline]
    fn zero(&mut self) {
        if self.heap.is_empty() {
            self.here = [0; WORDS];
        } else {
            self.heap.fill(0);
        }
    }
}

/// The buffer a notification is received into, as large as the kernel wants it.
#[derive(Debug, Clone)]
pub(crate) struct RequestBuffer(Buffer<10>);

impl RequestBuffer {
    pub(crate) fn new() -> Result<Self> {
        Ok(RequestBuffer(Buffer::new(sizes()?.notif)))
    }

    /// The buffer of a kernel whose structures are as long as those known today. One that has another
    /// answer has another request too, or this is taken for one.
    #[inline(always)]
    pub(crate) fn usual(&self) -> Option<&[u64; 10]> {
        self.0.heap.is_empty().then_some(&self.0.here)
    }

    /// [`RequestBuffer::usual`], to be received into.
    #[inline(always)]
    pub(crate) fn usual_mut(&mut self) -> Option<&mut [u64; 10]> {
        self.0.heap.is_empty().then_some(&mut self.0.here)
    }

    pub(crate) fn request(&self) -> &Request {
        // SAFETY: the buffer is at least a `Request` long, 8-aligned, and always initialised:
        // by zeroes or by the kernel. Every bit pattern is a `Request`.
        unsafe { &*self.0.as_ptr().cast() }
    }

    /// Where the kernel will write the notification's id; see [`recv_raw`].
    pub(crate) fn id_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    /// The kernel refuses to receive into anything but zeroes.
    pub(crate) fn zero(&mut self) {
        self.0.zero();
    }
}

/// One of the listener's ioctls.
///
/// # Safety
/// `argument` is what this ioctl takes, and lives across the call.
#[inline(always)]
unsafe fn ioctl<T>(
    listener: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: *const T,
) -> Result<libc::c_long> {
    let fd = listener.as_raw_fd() as usize;
    // SAFETY: the argument is what this ioctl takes and lives across the call, as the caller promises.
    unsafe { syscall3(libc::SYS_ioctl, [fd, request as usize, argument as usize]) }
}

/// `SECCOMP_IOCTL_NOTIF_RECV` into a zeroed buffer: waits for the next notification. Does not
/// retry `EINTR`, after which the buffer is still zero; `ENOENT` when the target that it would
/// have received from is gone, or (since Linux 6.11) every target is.
#[inline(always)]
pub(crate) fn recv(listener: BorrowedFd<'_>, buffer: &mut RequestBuffer) -> Result<()> {
    let to = buffer.0.as_mut_ptr();
    // SAFETY: the buffer is as long as the kernel's `seccomp_notif`.
    unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, to) }.map(drop)
}

/// [`recv`] into a [`RequestBuffer::usual_mut`]; whether it worked.
///
/// # Safety
/// `buffer` is valid for writing as many words.
#[inline(always)]
pub(crate) unsafe fn recv_usual(listener: BorrowedFd<'_>, buffer: *mut u64) -> bool {
    // SAFETY: the buffer is as long as the kernel's `seccomp_notif`, as promised.
    unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, buffer) }.is_ok()
}

/// `SECCOMP_IOCTL_NOTIF_SEND` of a kernel whose structures are as long as those known today, without
/// another try; whether it worked.
#[inline(always)]
pub(crate) fn send_usual(listener: BorrowedFd<'_>, response: &Response) -> bool {
    // SAFETY: the structure is as long as the kernel's `seccomp_notif_resp`.
    unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, response) }.is_ok()
}

/// `SECCOMP_IOCTL_NOTIF_SEND`: answers a notification. Retries `EINTR`. `ENOENT` when it is no
/// longer pending, `EINPROGRESS` when it was answered already.
pub(crate) fn send(listener: BorrowedFd<'_>, response: Response) -> Result<()> {
    let known = sizes()?.resp;
    if known <= size_of::<Response>() {
        return send_raw(listener, (&raw const response).cast());
    }
    let mut buffer = Buffer::<3>::new(known);
    // SAFETY: the buffer is longer than a `Response` and aligned like a `u64`.
    unsafe { buffer.as_mut_ptr().cast::<Response>().write(response) };
    send_raw(listener, buffer.as_ptr())
}

fn send_raw(listener: BorrowedFd<'_>, response: *const u64) -> Result<()> {
    retry(|| {
        // SAFETY: the callers pass a structure as long as the kernel's `seccomp_notif_resp`.
        unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, response) }
    })
    .map(drop)
}

/// `SECCOMP_IOCTL_NOTIF_ID_VALID`: whether the notification is still pending (`ENOENT` if not).
/// Retries `EINTR`.
pub(crate) fn id_valid(listener: BorrowedFd<'_>, id: u64) -> Result<()> {
    retry(|| {
        // SAFETY: the ioctl reads one `u64`.
        unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) }
    })
    .map(drop)
}

/// `SECCOMP_IOCTL_NOTIF_ADDFD` (Linux 5.9): gives the target a duplicate of `src` and returns
/// its number there. Retries `EINTR`: the kernel has taken back then what the target has not
/// taken up, so nothing is given twice.
///
/// **Not so with `SECCOMP_ADDFD_FLAG_SEND`**: the kernel marks the call as answered, and a signal
/// that comes before the target has woken takes the descriptor back but not the answer, which is 0,
/// the number of its standard input. So with that flag signals are kept away meanwhile, the few
/// microseconds that the target needs to wake up. What cannot be blocked still tears it apart.
pub(crate) fn addfd(
    listener: BorrowedFd<'_>,
    id: u64,
    flags: u32,
    src: BorrowedFd<'_>,
    target_fd: u32,
    target_flags: u32,
) -> Result<i32> {
    let request = libc::seccomp_notif_addfd {
        id,
        flags,
        srcfd: src.as_raw_fd() as u32,
        newfd: target_fd,
        newfd_flags: target_flags,
    };
    let call = || {
        // SAFETY: the ioctl reads one `seccomp_notif_addfd`.
        unsafe {
            ioctl(
                listener,
                libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                &raw const request,
            )
        }
    };
    let number = if flags & libc::SECCOMP_ADDFD_FLAG_SEND as u32 == 0 {
        retry(call)
    } else {
        signals::held(|| retry(call))
    };
    number.map(|fd| fd as i32)
}

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` (Linux 6.6): whether waking the other side up hands over the
/// processor. `EINVAL` on a kernel without it.
#[inline(never)] // memory checkers take the flags for a pointer: one place to tell them of
pub(crate) fn set_sync_wake_up(listener: BorrowedFd<'_>, on: bool) -> Result<()> {
    let flags = if on {
        SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
    } else {
        0
    };
    let fd = listener.as_raw_fd();
    // SAFETY: the ioctl takes its argument by value.
    check(unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags) }.into()).map(drop)
}

/// `SECCOMP_SET_MODE_FILTER`: installs `program` on the calling thread. With
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` the answer is the listener. After a success, nothing here
/// makes a system call: the filter may notify it. `ESRCH` when a thread cannot be synchronised.
pub(crate) fn set_mode_filter(
    program: &[libc::sock_filter],
    flags: libc::c_ulong,
) -> Result<Option<OwnedFd>> {
    match set_mode_filter_raw(&fprog(program)?, flags)? {
        raw if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 => Ok(Some(fd::own(raw))),
        0 => Ok(None),
        // The thread that has other filters: nothing was installed.
        _ => Err(Errno(libc::ESRCH)),
    }
}

/// The program as `seccomp(2)` takes it; `EINVAL` when it is too long to be counted.
pub(crate) fn fprog(program: &[libc::sock_filter]) -> Result<libc::sock_fprog> {
    Ok(libc::sock_fprog {
        len: program.len().try_into().map_err(|_| Errno(libc::EINVAL))?,
        filter: program.as_ptr().cast_mut(),
    })
}

/// [`set_mode_filter`] with the bare return value, for a child between `fork` and `exec`.
pub(crate) fn set_mode_filter_raw(
    program: &libc::sock_fprog,
    flags: libc::c_ulong,
) -> Result<libc::c_long> {
    let what = libc::SECCOMP_SET_MODE_FILTER as usize;
    let program = std::ptr::from_ref(program) as usize;
    // SAFETY: the operation reads the program, which lives as long as the borrow it came from.
    unsafe { syscall3(libc::SYS_seccomp, [what, flags as usize, program]) }
}

/// Whether the kernel knows these filter flags. Asked with a null program: a kernel that knows
/// them gets as far as reading it (`EFAULT`), the others say `EINVAL`.
pub(crate) fn knows_filter_flags(flags: libc::c_ulong) -> bool {
    // SAFETY: the null program is never installed.
    let answer = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong,
            flags,
            std::ptr::null::<libc::sock_fprog>(),
        )
    });
    answer == Err(Errno(libc::EFAULT))
}

/// `PR_SET_NO_NEW_PRIVS` for the calling thread, by a bare system call.
pub(crate) fn set_no_new_privs() -> Result<()> {
    let option = libc::PR_SET_NO_NEW_PRIVS as usize;
    // SAFETY: the option takes integers only.
    unsafe { syscall::syscall(libc::SYS_prctl, [option, 1, 0, 0, 0, 0]) }.map(drop)
}
