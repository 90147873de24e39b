//! `unotify_filter`: the mirror of `scmp/filter.rs` and `load.rs`.

use super::boundary::{
    call, exclusive, infallible, invalid, options, reclaim, shared, slice, unotify_status, utf8,
    Options, Out,
};
use super::listener::{lent_fd, unotify_listener};
use crate::error::{Error, Result, Status};
use crate::kernel::Errno;
use crate::load::{LoadFlags, Want};
use crate::scmp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext};
use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Kill the whole process (`SECCOMP_RET_KILL_PROCESS`).
pub const UNOTIFY_ACTION_KILL_PROCESS: u32 = 0x8000_0000;
/// Kill the calling thread (`SECCOMP_RET_KILL_THREAD`).
pub const UNOTIFY_ACTION_KILL_THREAD: u32 = 0x0000_0000;
/// Send the thread a `SIGSYS` (`SECCOMP_RET_TRAP`).
pub const UNOTIFY_ACTION_TRAP: u32 = 0x0003_0000;
/// Park the thread and notify the supervisor (`SECCOMP_RET_USER_NOTIF`).
pub const UNOTIFY_ACTION_NOTIFY: u32 = 0x7fc0_0000;
/// Make the call and log it (`SECCOMP_RET_LOG`).
pub const UNOTIFY_ACTION_LOG: u32 = 0x7ffc_0000;
/// Make the call (`SECCOMP_RET_ALLOW`).
pub const UNOTIFY_ACTION_ALLOW: u32 = 0x7fff_0000;

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
/// The argument, cut down to the bits of `mask`, is `value`.
pub const UNOTIFY_COMPARE_MASKED_EQUAL: u32 = 7;

/// All threads of the process get the filter (with a listener since Linux 5.7).
pub const UNOTIFY_LOAD_TSYNC: u32 = 1;
/// The kernel logs every action but allow.
pub const UNOTIFY_LOAD_LOG: u32 = 2;
/// Speculative Store Bypass mitigation is left off.
pub const UNOTIFY_LOAD_SPEC_ALLOW: u32 = 4;
/// Any signal may interrupt a received call, not only a fatal one.
pub const UNOTIFY_LOAD_NO_WAIT_KILLABLE: u32 = 8;
/// Synchronous wake-up is not switched on.
pub const UNOTIFY_LOAD_NO_SYNC_WAKE_UP: u32 = 16;
/// no_new_privs stays as it is; loading then takes `CAP_SYS_ADMIN`, unless it is set.
pub const UNOTIFY_LOAD_KEEP_PRIVS: u32 = 32;

// The header takes numbers only, so they stand above as numbers; these are what they have to be.
const _: () = {
    assert!(UNOTIFY_ACTION_KILL_PROCESS == libc::SECCOMP_RET_KILL_PROCESS);
    assert!(UNOTIFY_ACTION_KILL_THREAD == libc::SECCOMP_RET_KILL_THREAD);
    assert!(UNOTIFY_ACTION_TRAP == libc::SECCOMP_RET_TRAP);
    assert!(UNOTIFY_ACTION_NOTIFY == libc::SECCOMP_RET_USER_NOTIF);
    assert!(UNOTIFY_ACTION_LOG == libc::SECCOMP_RET_LOG);
    assert!(UNOTIFY_ACTION_ALLOW == libc::SECCOMP_RET_ALLOW);
    assert!(UNOTIFY_LOAD_TSYNC == LoadFlags::TSYNC.bits());
    assert!(UNOTIFY_LOAD_LOG == LoadFlags::LOG.bits());
    assert!(UNOTIFY_LOAD_SPEC_ALLOW == LoadFlags::SPEC_ALLOW.bits());
    assert!(UNOTIFY_LOAD_NO_WAIT_KILLABLE == LoadFlags::NO_WAIT_KILLABLE.bits());
    assert!(UNOTIFY_LOAD_NO_SYNC_WAKE_UP == LoadFlags::NO_SYNC_WAKE_UP.bits());
    assert!(UNOTIFY_LOAD_KEEP_PRIVS == LoadFlags::KEEP_PRIVS.bits());
};

/// A condition on an argument of a system call. Arguments are unsigned 64-bit numbers.
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

/// How to load a filter. NULL or all zero: no_new_privs is set first, only fatal signals
/// interrupt a received call and wake-up is synchronous where the kernel has them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_load_opts {
    /// `sizeof(unotify_load_opts)`.
    pub size: usize,
    /// `UNOTIFY_LOAD_*`, or-ed.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with the size, integers only, no padding at its end.
unsafe impl Options for unotify_load_opts {
    const NAME: &'static str = "unotify_load_opts";

    fn zeroed() -> Self {
        unotify_load_opts {
            size: size_of::<Self>(),
            flags: 0,
            reserved: 0,
        }
    }
}

/// A filter in the making. Belongs to one thread at a time and may be handed to another.
#[derive(Debug)]
pub struct unotify_filter {
    pub(super) context: ScmpFilterContext,
    has_rules: bool,
}

/// The action that makes a call fail with `errnum`, positive, without asking the supervisor
/// (`SECCOMP_RET_ERRNO`). 0 lets it return 0 without being made. Filters take up to 4094.
#[no_mangle]
pub extern "C" fn unotify_action_errno(errnum: u16) -> u32 {
    ScmpAction::Errno(errnum.into()).to_sys()
}

/// Makes a filter for the native architecture that does `default_action` (`UNOTIFY_ACTION_*` or
/// unotify_action_errno()) for every call no rule is for. A call of an architecture the filter
/// was not told of kills the process: see unotify_filter_add_arch().
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when the action is none.
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_new(
    default_action: u32,
    out: *mut *mut unotify_filter,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
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

/// Makes the filter decide about calls of `arch` too (a number from unotify_arch_from_name(); 0
/// is the native one, which is there already). All architectures come before the first rule, so
/// that every rule is for all of them.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_UNSUPPORTED` when the installed libseccomp
/// does not know it; `UNOTIFY_ERR_INVALID_ARGUMENT` when there are rules already, or when it has
/// another byte order than the native one.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_add_arch(
    filter: *mut unotify_filter,
    arch: u32,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
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

/// Does `action` for the calls of this name whose arguments meet all `n` conditions at `cmp`
/// (NULL if `n` is 0), on every architecture of the filter that has the call.
///
/// A rule without conditions swallows those with conditions for the same call, earlier and later,
/// and of two such rules the first counts; neither is an error.
///
/// Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when no architecture of the filter has the call;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` when the action or a condition is none, an argument comes
/// twice, the action is the filter's default action, or an earlier rule has the same conditions
/// and another action.
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
        // SAFETY: the caller's promise.
        let filter = unsafe { exclusive(filter, "filter") }?;
        // SAFETY: the caller's promise.
        let (name, conditions) = unsafe { (utf8(syscall, "syscall")?, slice(cmp, n, "cmp")?) };
        add_rule(filter, action, name, conditions)
    })
}

/// Notifies the supervisor of every call of this name: unotify_filter_add_rule() with
/// `UNOTIFY_ACTION_NOTIFY` and no condition.
///
/// Errors: as unotify_filter_add_rule().
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `syscall` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_notify(
    filter: *mut unotify_filter,
    syscall: *const c_char,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
        let filter = unsafe { exclusive(filter, "filter") }?;
        // SAFETY: the caller's promise.
        let name = unsafe { utf8(syscall, "syscall") }?;
        add_rule(filter, UNOTIFY_ACTION_NOTIFY, name, &[])
    })
}

/// Copies the filter into `buf` as the program the kernel takes, a `struct sock_filter[]`.
/// `*len` is the room in `buf` in bytes, and becomes the length of the program. With `buf` NULL
/// only the length is told.
///
/// Errors: `UNOTIFY_ERR_TOO_LONG` with `ERANGE` when the room is too small: `*len` is then, as
/// the one exception to results being left alone on failure, the room it takes.
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
        // SAFETY: the caller's promise.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: the caller's promise.
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
        // SAFETY: the caller's promise; bytes, because `buf` may be aligned anyhow.
        unsafe { std::ptr::copy_nonoverlapping(program.as_ptr().cast::<u8>(), buf.cast(), *len) };
        Ok(())
    })
}

/// Writes the filter to `fd` as text for people, in libseccomp's Pseudo Filter Code.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open for writing; `UNOTIFY_ERR_SYSTEM`
/// when it cannot be written.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_export_pfc(
    filter: *const unotify_filter,
    fd: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        filter.context.export_pfc(fd)?;
        Ok(())
    })
}

/// Puts the filter on the calling thread, for good, and yields its listener. The thread is a
/// target from then on: another thread or process must answer it. The filter may be loaded by
/// other threads too; each load yields a listener of its own.
///
/// A filter that notifies nothing is loaded without a listener: `*out` is NULL then. So it can be
/// put on top of one that has a listener, of which the kernel allows one in all filters of a thread.
/// A NULL `out` loads any filter without one; the calls that it notifies fail with `ENOSYS`.
///
/// Once the filter is installed this function makes no system call, so it returns whatever the
/// filter notifies. But every call that the thread makes after that counts:
/// unotify_listener_to_socket() is a `sendmsg(2)`, any free() may be a `munmap(2)`, and the thread's end
/// is a call too. Before the supervisor has the listener, only calls may be made that the filter
/// does not notify. A supervisor in another process can take the listener itself
/// (unotify_listener_from_pid(), by a number agreed on through memory that both see), and
/// unotify_spawn() works with every filter.
///
/// Errors: `UNOTIFY_ERR_BUSY` when the thread's filters have a listener already;
/// `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither no_new_privs nor
/// `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` when a flag is none, or the program is longer
/// than the 4096 instructions the kernel takes; `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.0,
/// or before 5.7 with `UNOTIFY_LOAD_TSYNC`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when another thread
/// has filters of its own.
///
/// # Safety
/// `filter` is NULL or a live handle that no other thread uses; `opts` is NULL or as long as it
/// says; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_load(
    filter: *const unotify_filter,
    opts: *const unotify_load_opts,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: the caller's promise.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: the caller's promise.
        let opts = unsafe { options(opts) }?;
        let want = if out.is_null() {
            Want::Never
        } else {
            Want::IfItNotifies
        };
        let load = filter.context.prepare(load_flags(opts)?, want)?;
        // Made before the filter is there, which may notify what an allocation takes.
        let mut room = load
            .has_listener()
            .then(|| Box::new(MaybeUninit::<unotify_listener>::uninit()));
        let listener = load.install()?;
        let handle = match (listener, room.take()) {
            (Some(listener), Some(mut room)) => {
                room.write(unotify_listener(listener));
                Box::into_raw(room).cast()
            }
            _ => null_mut(),
        };
        if !out.is_null() {
            // SAFETY: not null, so valid by the caller's promise.
            unsafe { out.write(handle) };
        }
        Ok(())
    })
}

/// Frees a filter; NULL is nothing. What was loaded stays loaded.
///
/// # Safety
/// `filter` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_filter_free(filter: *mut unotify_filter) {
    // SAFETY: the caller's promise.
    infallible((), || drop(unsafe { reclaim(filter) }));
}

/// Checks the options of a load.
pub(super) fn load_flags(opts: unotify_load_opts) -> Result<LoadFlags> {
    if opts.reserved != 0 {
        return Err(invalid("`unotify_load_opts.reserved` is not 0"));
    }
    LoadFlags::from_bits(opts.flags).ok_or_else(|| {
        let unknown = opts.flags & !LoadFlags::all().bits();
        invalid(format!(
            "`unotify_load_opts.flags` has unknown bits {unknown:#x}"
        ))
    })
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
