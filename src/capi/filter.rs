//! `unotify_filter`: the mirror of `scmp/filter.rs` and `scmp/arg_compare.rs`.

use super::action::UNOTIFY_ACTION_NOTIFY;
use super::boundary::{
    call, exclusive, infallible, invalid, reclaim, shared, slice, unotify_status, utf8, Out,
};
use super::listener::lent_fd;
use crate::error::{Error, Result, Status};
use crate::kernel::Errno;
use crate::scmp::{Family, ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext};
use std::ffi::{c_char, c_int, c_void};

/// The argument differs from `value`.
pub const UNOTIFY_COMPARE_NOT_EQUAL: u32 = 1;
/// The argument is less than `value`.
pub const UNOTIFY_COMPARE_LESS: u32 = 2;
/// The argument is at most `value`.
pub const UNOTIFY_COMPARE_LESS_OR_EQUAL: u32 = 3;
/// The argument is `value`.
pub const UNOTIFY_COMPARE_EQUAL: u32 = 4;
/// The argument is at least `value`.
pub const UNOTIFY_COMPARE_GREATER_OR_EQUAL: u32 = 5;
/// The argument is greater than `value`.
pub const UNOTIFY_COMPARE_GREATER: u32 = 6;
/// The argument and-ed with `mask` is `value`.
pub const UNOTIFY_COMPARE_MASKED_EQUAL: u32 = 7;

/// A condition on an argument of a system call, an unsigned 64-bit number.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_arg_compare {
    /// The number of the argument, 0 to 5.
    pub arg: u32,
    /// `UNOTIFY_COMPARE_*`.
    pub op: u32,
    /// What it is compared with.
    pub value: u64,
    /// For `UNOTIFY_COMPARE_MASKED_EQUAL` the bits that count, otherwise 0.
    pub mask: u64,
}

/// A filter that is being built.
#[derive(Debug)]
pub struct unotify_filter {
    pub(super) context: ScmpFilterContext,
    has_rules: bool,
}

/// Makes a filter for the native architecture that does `default_action` for every call without a
/// rule. It kills a process that makes a call of any other: see unotify_filter_add_arch().
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_new(
    default_action: u32,
    out: *mut *mut unotify_filter,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        let mut context = ScmpFilterContext::new(ScmpAction::from_sys(default_action)?)?;
        // The other choice, killing the thread, leaves the rest of the process waiting for it.
        context.set_act_badarch(ScmpAction::KillProcess)?;
        // The real error number when the filter cannot be written out.
        context.set_api_sysrawrc(true)?;
        out.put_boxed(unotify_filter {
            context,
            has_rules: false,
        });
        Ok(())
    })
}

/// Makes the filter decide about calls of `arch` too; the native one is there already. Add all
/// before the first rule; only families may come before. Its byte order must be the native one's.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_UNSUPPORTED` if libseccomp lacks it;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` after a rule.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_add_arch(
    filter: *mut unotify_filter,
    arch: u32,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle that no other thread uses, as promised.
        let filter = unsafe { exclusive(filter, "filter") }?;
        let arch = ScmpArch::from_sys(arch)?;
        // The one thing that can be wrong with a known architecture here.
        let present = filter.context.is_arch_present(arch).map_err(|error| {
            Error::with_errno(Status::Unsupported, Errno(libc::ENOSYS), error.to_string())
        })?;
        if filter.has_rules && !present {
            return Err(invalid(format!(
                "`{arch}` comes after a rule: the rules so far would not hold for its calls"
            )));
        }
        filter.context.add_arch(arch)?;
        Ok(())
    })
}

/// Does `action` for the calls of this name whose arguments meet all `n` conditions at `cmp` (NULL
/// if `n` is 0), on every architecture of the filter that has it. A rule without conditions
/// replaces those with some for the same call, earlier and later; of two without, the first counts.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when no architecture has it;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` when an argument comes twice, `action` is the default one, or an
/// earlier rule with the same conditions has another.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `syscall` is NULL or a string;
/// `cmp` is valid for reading `n` conditions.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_add_rule(
    filter: *mut unotify_filter,
    action: u32,
    syscall: *const c_char,
    cmp: *const unotify_arg_compare,
    n: usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle that no other thread uses, as promised.
        let filter = unsafe { exclusive(filter, "filter") }?;
        // SAFETY: `syscall` is NULL or a string; `cmp` is valid for reading `n` conditions, as
        // promised.
        let (name, conditions) = unsafe { (utf8(syscall, "syscall")?, slice(cmp, n, "cmp")?) };
        add_rule(filter, action, name, conditions)
    })
}

/// unotify_filter_add_rule() with `UNOTIFY_ACTION_NOTIFY` and no condition.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `syscall` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_notify(
    filter: *mut unotify_filter,
    syscall: *const c_char,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle that no other thread uses, as promised.
        let filter = unsafe { exclusive(filter, "filter") }?;
        // SAFETY: `syscall` is NULL or a string, as promised.
        let name = unsafe { utf8(syscall, "syscall") }?;
        add_rule(filter, UNOTIFY_ACTION_NOTIFY, name, &[])
    })
}

/// Notifies all system calls that do the same job, on every architecture of the filter, added
/// before or after, and refuses those that would do it past the filter: `openat` alone lets `open`,
/// `openat2`, `creat` and io_uring by. `family` is one of unotify_family_name(), such as "open":
/// see docs/families.md. Earlier rules without conditions stay.
///
/// Errors, and nothing is added: `UNOTIFY_ERR_INVALID_ARGUMENT` when there is no such family, and
/// for "connect" after other rules where an architecture has `socketcall`;
/// `UNOTIFY_ERR_UNSUPPORTED` if
/// libseccomp lacks one of the calls.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `family` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_notify_family(
    filter: *mut unotify_filter,
    family: *const c_char,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle that no other thread uses, as promised.
        let filter = unsafe { exclusive(filter, "filter") }?;
        // SAFETY: `family` is NULL or a string, as promised.
        let name = unsafe { utf8(family, "family") }?;
        filter.context.notify_family(name)?;
        Ok(())
    })
}

/// The name of the family number `index`, from 0; NULL beyond the last.
#[no_mangle]
pub extern "C" fn unotify_family_name(index: usize) -> *const c_char {
    Family::ALL
        .get(index)
        .map_or(std::ptr::null(), |family| family.name_c().as_ptr())
}

/// Copies the filter into `buf` as the kernel takes it, a `struct sock_filter[]`. `*len` is the
/// size of `buf` in bytes, and becomes the program's, also on failure or if `buf` is NULL.
///
/// Errors: `UNOTIFY_ERR_TOO_LONG` with `ERANGE` when `buf` is too small.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `len` is NULL or valid for
/// reading and writing; `buf` is NULL or valid for writing `*len` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_export_bpf(
    filter: *const unotify_filter,
    buf: *mut c_void,
    len: *mut usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle, as promised.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: `len` is NULL or valid for reading and writing, as promised.
        let len = unsafe { exclusive(len, "len") }?;
        let program = filter.context.program()?;
        let room = std::mem::replace(len, size_of_val(&program[..]));
        if buf.is_null() {
            return Ok(());
        }
        if room < *len {
            return Err(Error::with_errno(
                Status::TooLong,
                Errno(libc::ERANGE),
                format!("the program takes {len} bytes, `*len` is {room}"),
            ));
        }
        // SAFETY: `buf` is valid for writing `*len` bytes, as promised; bytes, because it may be
        // aligned anyhow.
        unsafe { std::ptr::copy_nonoverlapping(program.as_ptr().cast::<u8>(), buf.cast(), *len) };
        Ok(())
    })
}

/// Writes the filter to `fd` as text for people, in libseccomp's Pseudo Filter Code.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open for writing; `UNOTIFY_ERR_SYSTEM`
/// when writing fails.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_export_pfc(
    filter: *const unotify_filter,
    fd: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `filter` is NULL or a live handle, as promised.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        filter.context.export_pfc(fd)?;
        Ok(())
    })
}

/// Frees a filter. What was loaded stays loaded.
///
/// # Safety
/// `filter` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_free(filter: *mut unotify_filter) {
    // SAFETY: `filter` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(filter) }));
}

fn add_rule(
    filter: &mut unotify_filter,
    action: u32,
    name: &str,
    conditions: &[unotify_arg_compare],
) -> Result<()> {
    let action = ScmpAction::from_sys(action)?;
    let conditions = conditions
        .iter()
        .enumerate()
        .map(|(at, given)| condition(at, given))
        .collect::<Result<Vec<_>>>()?;
    filter.context.add_rule_by_name(action, name, &conditions)?;
    filter.has_rules = true;
    Ok(())
}

/// The condition that C wrote as `cmp[at]`. Argument numbers are checked with the rule.
fn condition(at: usize, given: &unotify_arg_compare) -> Result<ScmpArgCompare> {
    let unotify_arg_compare {
        arg,
        op,
        value,
        mask,
    } = *given;
    let op = match op {
        UNOTIFY_COMPARE_NOT_EQUAL => ScmpCompareOp::NotEqual,
        UNOTIFY_COMPARE_LESS => ScmpCompareOp::Less,
        UNOTIFY_COMPARE_LESS_OR_EQUAL => ScmpCompareOp::LessOrEqual,
        UNOTIFY_COMPARE_EQUAL => ScmpCompareOp::Equal,
        UNOTIFY_COMPARE_GREATER_OR_EQUAL => ScmpCompareOp::GreaterEqual,
        UNOTIFY_COMPARE_GREATER => ScmpCompareOp::Greater,
        UNOTIFY_COMPARE_MASKED_EQUAL => ScmpCompareOp::MaskedEqual(mask),
        _ => {
            return Err(invalid(format!(
                "`cmp[{at}].op` is {op}, which is no comparison"
            )))
        }
    };
    match op {
        ScmpCompareOp::MaskedEqual(mask) if value & !mask != 0 => Err(invalid(format!(
            "`cmp[{at}].value` {value:#x} has bits outside its mask {mask:#x}, so it never holds"
        ))),
        ScmpCompareOp::MaskedEqual(_) => Ok(ScmpArgCompare::new(arg, op, value)),
        _ if mask != 0 => Err(invalid(format!(
            "`cmp[{at}].mask` is {mask:#x}, but only UNOTIFY_COMPARE_MASKED_EQUAL has a mask"
        ))),
        _ => Ok(ScmpArgCompare::new(arg, op, value)),
    }
}
