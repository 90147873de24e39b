//! Architectures and system calls by name and number: the mirror of `scmp/arch.rs` and
//! `scmp/syscall.rs`.

use super::boundary::{call, copy_text, infallible, invalid, unotify_status, utf8, Out};
use crate::error::{Error, Status};
use crate::kernel::Errno;
use crate::scmp::{ScmpArch, ScmpSyscall};
use std::ffi::{c_char, c_int};

/// The architecture that the library was compiled for.
#[no_mangle]
pub extern "C" fn unotify_arch_native() -> u32 {
    infallible(0, || ScmpArch::native().to_sys())
}

/// That of 32-bit programs here: x86 on x86_64, arm on aarch64; else the native one.
#[no_mangle]
pub extern "C" fn unotify_arch_compat() -> u32 {
    infallible(0, || ScmpArch::compat().to_sys())
}

/// Gives an architecture's number by its name, "x86_64" or "SCMP_ARCH_X86_64", or "native".
///
/// # Safety
/// `name` is NULL or a string; `arch` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_arch_from_name(
    name: *const c_char,
    arch: *mut u32,
) -> unotify_status {
    call(|| {
        // SAFETY: `name` is NULL or a string; `arch` is NULL or valid for writing, as promised.
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

/// The short name of an architecture, such as "x86_64"; NULL for a number that is not one.
#[no_mangle]
pub extern "C" fn unotify_arch_name(arch: u32) -> *const c_char {
    infallible(std::ptr::null(), || {
        ScmpArch::from_sys(arch).map_or(std::ptr::null(), |arch| arch.name_c().as_ptr())
    })
}

/// Gives the number of a system call on an architecture.
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
        // SAFETY: `name` is NULL or a string; `nr` is NULL or valid for writing, as promised.
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

/// Copies the name of call `nr` into `buf`; 64 bytes hold any.
///
/// Errors: `UNOTIFY_ERR_TOO_LONG` with `ERANGE`.
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
        // SAFETY: `buf` is valid for writing `len` bytes, as promised.
        unsafe { copy_text(&name, buf, len) };
        Ok(())
    })
}
