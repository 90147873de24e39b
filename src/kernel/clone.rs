//! `clone(2)` and `clone3(2)` as they are: tasks that share this process's memory and are no threads
//! of the C library's.
//!
//! Whatever runs in one makes bare system calls only ([`syscall`](super::syscall)). The C library knows
//! nothing of it, and its thread pointer leads nowhere: no `errno`, no allocation, no panic, no
//! symbol that is bound when it is first called.

use super::{Errno, Result};

/// `CLONE_CLEAR_SIGHAND` of `clone3(2)` (Linux 5.5).
pub(super) const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;

/// Whether there are such tasks here. Not with code to instrument every function (`-Zsanitizer`), which
/// keeps what it knows where the thread pointer leads.
pub(super) const POSSIBLE: bool = cfg!(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(instrumented)
));

/// What a task begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    /// With `CLONE_VM`, `CLONE_SETTLS` and `CLONE_CHILD_CLEARTID`.
    pub(super) flags: u64,
    /// What the parent is sent at its end; 0 for a thread.
    pub(super) exit_signal: libc::c_int,
    /// Where its stack ends, 16-byte aligned.
    pub(super) stack_end: *mut u8,
    /// How long it is.
    pub(super) stack_size: usize,
    pub(super) thread_pointer: *mut usize,
    /// Cleared, and a futex woken there, when it uses this memory no longer.
    pub(super) present: *mut u32,
    pub(super) body: unsafe extern "C" fn(*mut u8) -> !,
    pub(super) argument: *mut u8,
}

/// The kernel's `struct clone_args` of Linux 5.3.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Starts a task by `clone3(2)` (Linux 5.3). Its id, and with `CLONE_PIDFD` its descriptor.
///
/// # Safety
/// Stack and thread pointer are the task's alone, and with all that the body uses they stay until
/// `present` is cleared. The body keeps to what is said above.
pub(super) unsafe fn clone3(task: &Task) -> Result<(libc::pid_t, libc::c_int)> {
    let mut pidfd = -1;
    let args = CloneArgs {
        flags: task.flags,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: task.present as u64,
        parent_tid: 0,
        exit_signal: task.exit_signal as u64,
        stack: task.stack_end as u64 - task.stack_size as u64,
        stack_size: task.stack_size as u64,
        tls: task.thread_pointer as u64,
    };
    let size = size_of::<CloneArgs>();
    let registers = [(&raw const args) as usize, size, 0, 0, 0];
    // SAFETY: the structure is as long as the kernel is told. The rest is the caller's promise.
    let id = unsafe { start(libc::SYS_clone3, registers, task) }?;
    Ok((id, pidfd))
}

/// [`clone3`] by `clone(2)`, for flags that it knows.
///
/// # Safety
/// As there.
pub(super) unsafe fn clone(task: &Task) -> Result<(libc::pid_t, libc::c_int)> {
    let mut pidfd = -1;
    let flags = task.flags as usize | task.exit_signal as usize;
    let (present, thread_pointer) = (task.present as usize, task.thread_pointer as usize);
    let (fourth, fifth) = if cfg!(target_arch = "x86_64") {
        (present, thread_pointer)
    } else {
        (thread_pointer, present)
    };
    let pidfd_at = (&raw mut pidfd) as usize;
    let registers = [flags, task.stack_end as usize, pidfd_at, fourth, fifth];
    // SAFETY: the caller's promise.
    let id = unsafe { start(libc::SYS_clone, registers, task) }?;
    Ok((id, pidfd))
}

/// Makes the call; in the new task runs the body, on its own stack.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
unsafe fn start(nr: libc::c_long, registers: [usize; 5], task: &Task) -> Result<libc::pid_t> {
    let ret: libc::c_long;
    // SAFETY: the kernel's calling convention. The new task has these registers and a stack of its
    // own, and never comes out of here.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp", // the outermost frame
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") nr => ret,
            in("rdi") registers[0],
            in("rsi") registers[1],
            in("rdx") registers[2],
            in("r10") registers[3],
            in("r8") registers[4],
            in("r12") task.body,
            in("r13") task.argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result(ret)
}

/// As on x86_64.
#[cfg(all(target_arch = "aarch64", target_pointer_width = "64"))]
unsafe fn start(nr: libc::c_long, registers: [usize; 5], task: &Task) -> Result<libc::pid_t> {
    let ret: libc::c_long;
    // SAFETY: the kernel's calling convention. The new task has these registers and a stack of its
    // own, and never comes out of here.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr", // the outermost frame
            "mov x30, xzr",
            "mov x0, x10",
            "blr x9",
            "udf #0",
            "2:",
            in("x8") nr,
            inlateout("x0") registers[0] as libc::c_long => ret,
            in("x1") registers[1],
            in("x2") registers[2],
            in("x3") registers[3],
            in("x4") registers[4],
            in("x9") task.body,
            in("x10") task.argument,
        );
    }
    result(ret)
}

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
unsafe fn start(_nr: libc::c_long, _registers: [usize; 5], _task: &Task) -> Result<libc::pid_t> {
    result(-libc::c_long::from(libc::ENOSYS))
}

fn result(ret: libc::c_long) -> Result<libc::pid_t> {
    if ret < 0 {
        Err(Errno(-ret as i32))
    } else {
        Ok(ret as libc::pid_t)
    }
}
