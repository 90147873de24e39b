//! System calls made in place, for the path that every notification takes.
//!
//! On its way in and out, and when it switches to another task, the kernel fills the processor's
//! return predictor with addresses of its own. On AMD's processors the returns that follow are
//! predicted to go into the kernel, which costs far more than a misprediction usually does: a
//! supervised call took an eighth longer where this was found (Zen 3, Linux 6.18). Calls made right
//! behind the system call put harmless addresses there instead, for a hundredth of that. Intel's do
//! without: there such calls cost more than they save. So whether they are made is [chosen](choose)
//! by who made the processor.

use super::Result;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether calls are made behind a system call.
static CALLS_BEHIND: AtomicBool = AtomicBool::new(false);

/// Finds out whether calls are to be made behind a system call. Before that none are.
pub(super) fn choose() {
    CALLS_BEHIND.store(is_amd(), Relaxed);
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
fn is_amd() -> bool {
    #[allow(unused_unsafe)] // it is safe to call in later versions of Rust
    // SAFETY: every x86_64 has the instruction, and leaf 0.
    let vendor = unsafe { std::arch::x86_64::__cpuid(0) };
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    // Hygon's are Zen as well.
    matches!(name.as_flattened(), b"AuthenticAMD" | b"HygonGenuine")
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
fn is_amd() -> bool {
    false
}

/// Makes a system call. `nr` and the arguments are as in `syscall(2)`; the kernel's error number
/// comes back, and `errno` stays as it is.
///
/// # Safety
/// The arguments are what this call takes, and what they point to lives across it.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(super) unsafe fn syscall(nr: libc::c_long, args: [usize; 6]) -> Result<libc::c_long> {
    let ret: libc::c_long;
    // SAFETY: as `syscall3`.
    unsafe {
        std::arch::asm!(
            "syscall",
            "cmp byte ptr [rip + {behind}], 0",
            "je 3f",
            ".rept 8",
            "call 2f",
            "int3",
            "2:",
            ".endr",
            "add rsp, 64",
            "3:",
            behind = sym CALLS_BEHIND,
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result(ret)
}

/// [`syscall`] for one of at most three arguments: no others are set.
///
/// # Safety
/// As [`syscall`].
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(super) unsafe fn syscall3(nr: libc::c_long, args: [usize; 3]) -> Result<libc::c_long> {
    let ret: libc::c_long;
    // SAFETY: the kernel's calling convention: it changes rax, rcx, r11 and what the arguments
    // point to. The calls behind it leave the stack as it was.
    unsafe {
        std::arch::asm!(
            "syscall",
            "cmp byte ptr [rip + {behind}], 0",
            "je 3f",
            ".rept 8", // fewer were measured to be slower, also where one return follows
            "call 2f",
            "int3", // a call of the very next instruction is not taken for one by the predictor
            "2:",
            ".endr",
            "add rsp, 64",
            "3:",
            behind = sym CALLS_BEHIND,
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result(ret)
}

/// [`syscall`] for one of at most three arguments.
///
/// # Safety
/// As [`syscall`].
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
#[inline(always)]
pub(super) unsafe fn syscall3(nr: libc::c_long, args: [usize; 3]) -> Result<libc::c_long> {
    let [a, b, c] = args;
    // SAFETY: as the caller promises.
    unsafe { syscall(nr, [a, b, c, 0, 0, 0]) }
}

/// What the kernel has returned.
#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
))]
#[inline(always)]
fn result(ret: libc::c_long) -> Result<libc::c_long> {
    if ret < 0 {
        Err(super::Errno(-ret as i32))
    } else {
        Ok(ret)
    }
}

/// Makes a system call. As on x86_64, but for the calls behind it: what they are for is not known
/// of processors of this architecture.
///
/// # Safety
/// The arguments are what this call takes, and what they point to lives across it.
#[cfg(all(target_arch = "aarch64", target_pointer_width = "64"))]
#[inline(always)]
pub(super) unsafe fn syscall(nr: libc::c_long, args: [usize; 6]) -> Result<libc::c_long> {
    let ret: libc::c_long;
    // SAFETY: the kernel's calling convention: it changes x0 and what the arguments point to.
    unsafe {
        std::arch::asm!(
            "svc #0",
            in("x8") nr,
            inlateout("x0") args[0] as libc::c_long => ret,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack),
        );
    }
    result(ret)
}

/// Makes a system call, through the C library.
///
/// # Safety
/// The arguments are what this call takes, and what they point to lives across it.
#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
pub(super) unsafe fn syscall(nr: libc::c_long, args: [usize; 6]) -> Result<libc::c_long> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the arguments are what this call takes, and what they point to lives across it, as the
    // caller promises.
    super::check(unsafe { libc::syscall(nr, a, b, c, d, e, f) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Errno;

    #[test]
    fn a_value_comes_back() {
        // SAFETY: takes no arguments.
        let pid = unsafe { syscall(libc::SYS_getpid, [0; 6]) };
        assert_eq!(pid, Ok(std::process::id().into()));
    }

    #[test]
    fn an_error_comes_back_and_errno_stays() {
        // SAFETY: the calling thread's own variable.
        unsafe { *libc::__errno_location() = 7 };
        // SAFETY: integers only.
        let closed = unsafe { syscall(libc::SYS_close, [usize::MAX, 0, 0, 0, 0, 0]) };
        assert_eq!(closed, Err(Errno(libc::EBADF)));
        assert_eq!(Errno::last(), Errno(7));
    }
}
