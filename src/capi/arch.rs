//! Architectures and system calls by name and number: the mirror of `scmp/arch.rs` and
//! `scmp/syscall.rs`.

use super::boundary::{call, copy_text, infallible, invalid, unotify_status, utf8, Out};
use crate::error::{Error, Status};
use crate::kernel::Errno;
use crate::scmp::{ScmpArch, ScmpSyscall};
use std::ffi::{c_char, c_int};

/// The architecture the library was compiled for, as an `AUDIT_ARCH_*` value.
#[no_mangle]
pub extern "C" fn unotify_arch_native() -> u32 {
    infallible(0, || ScmpArch::native().to_sys())
}

/// The number of an architecture by libseccomp's name for it, short ("x86_64", "aarch64") or long
/// ("SCMP_ARCH_X86_64"); "native" is the one unotify_arch_native() gives. It is the kernel's
/// `AUDIT_ARCH_*` value, except for x32, which the kernel tells from x86_64 by the call's number.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`.
///
/// # Safety
/// `name` is NULL or a string; `arch` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_arch_from_name(
    name: *const c_char,
    arch: *mut u32,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (name, out) = unsafe { (utf8(name, "name")?, Out::new(arch, "arch")?) };
        let arch = match name.parse::<ScmpArch>() {
            Ok(arch) => arch,
            Err(_) => ScmpArch::from_name(name)?,
        };
        out.put(match arch {
            ScmpArch::Native => ScmpArch::native().to_sys(),
            arch => arch.to_sys(),
        });
        Ok(())
    })
}

/// libseccomp's short name of an architecture, such as "x86_64"; NULL for a number that is none.
/// 0 is the native one. Static.
#[no_mangle]
pub extern "C" fn unotify_arch_name(arch: u32) -> *const c_char {
    infallible(std::ptr::null(), || {
        ScmpArch::from_sys(arch).map_or(std::ptr::null(), |arch| arch.name_c().as_ptr())
    })
}

/// The number that a system call has on `arch` (0: the native architecture).
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when `arch` has no such call, be it that another has;
/// `UNOTIFY_ERR_UNKNOWN_ARCH`.
///
/// # Safety
/// `name` is NULL or a string; `nr` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_syscall_from_name(
    arch: u32,
    name: *const c_char,
    nr: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (name, out) = unsafe { (utf8(name, "name")?, Out::new(nr, "nr")?) };
        let arch = ScmpArch::from_sys(arch)?;
        let nr = ScmpSyscall::from_name_by_arch(name, arch)?.as_raw_syscall();
        // A negative number is libseccomp's stand-in for a call of another architecture.
        if nr < 0 {
            return Err(ScmpSyscall::unknown(name, arch).into());
        }
        out.put(nr);
        Ok(())
    })
}

/// Copies the name of the system call that has number `nr` on `arch` (0: the native architecture)
/// into `buf`, with its NUL. 64 bytes are room enough for every name.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`; `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_TOO_LONG` with
/// `ERANGE` when `len` is too small.
///
/// # Safety
/// `buf` is NULL or valid for writing `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_syscall_name(
    arch: u32,
    nr: c_int,
    buf: *mut c_char,
    len: usize,
) -> unotify_status {
    call(|| {
        if buf.is_null() {
            return Err(invalid("`buf` is null"));
        }
        let name = ScmpSyscall::from(nr).get_name_by_arch(ScmpArch::from_sys(arch)?)?;
        if len <= name.len() {
            return Err(Error::with_errno(
                Status::TooLong,
                Errno(libc::ERANGE),
                format!("`{name}` takes {} bytes, `len` is {len}", name.len() + 1),
            ));
        }
        // SAFETY: the caller's promise.
        unsafe { copy_text(&name, buf, len) };
        Ok(())
    })
}
