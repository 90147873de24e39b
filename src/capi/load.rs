//! Loading a filter: the mirror of `load.rs`.

use super::boundary::{call, invalid, options, shared, unotify_status, Options};
use super::filter::unotify_filter;
use super::listener::unotify_listener;
use crate::error::Result;
use crate::load::{LoadFlags, Want};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// For all threads (with a listener since 5.7).
pub const UNOTIFY_LOAD_TSYNC: u32 = 1 << 0;
/// Log every action but allow.
pub const UNOTIFY_LOAD_LOG: u32 = 1 << 1;
/// Leave Speculative Store Bypass unmitigated.
pub const UNOTIFY_LOAD_SPEC_ALLOW: u32 = 1 << 2;
/// Any signal may interrupt a received call.
pub const UNOTIFY_LOAD_NO_WAIT_KILLABLE: u32 = 1 << 3;
/// Leave synchronous wake-up off.
pub const UNOTIFY_LOAD_NO_SYNC_WAKE_UP: u32 = 1 << 4;
/// Leave no_new_privs as it is.
pub const UNOTIFY_LOAD_KEEP_PRIVS: u32 = 1 << 5;

const _: () = {
    assert!(UNOTIFY_LOAD_TSYNC == LoadFlags::TSYNC.bits());
    assert!(UNOTIFY_LOAD_LOG == LoadFlags::LOG.bits());
    assert!(UNOTIFY_LOAD_SPEC_ALLOW == LoadFlags::SPEC_ALLOW.bits());
    assert!(UNOTIFY_LOAD_NO_WAIT_KILLABLE == LoadFlags::NO_WAIT_KILLABLE.bits());
    assert!(UNOTIFY_LOAD_NO_SYNC_WAKE_UP == LoadFlags::NO_SYNC_WAKE_UP.bits());
    assert!(UNOTIFY_LOAD_KEEP_PRIVS == LoadFlags::KEEP_PRIVS.bits());
};

/// How to load a filter. By default no_new_privs is set first, only fatal signals interrupt a
/// received call, and wake-up is synchronous, where the kernel has these.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_load_opts {
    /// `sizeof(unotify_load_opts)`.
    pub size: usize,
    /// `UNOTIFY_LOAD_*`.
    pub flags: u32,
    /// Always 0.
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

/// Puts the filter on the calling thread, for good, and gives its listener. The thread is a target
/// from then on: another thread or process must answer it. Other threads may load the filter too;
/// each load gives a listener of its own. A filter that notifies nothing is loaded without one, and
/// `*out` becomes NULL; with NULL for `out` any filter is, and what it notifies fails with
/// `ENOSYS`. **Until the supervisor has the listener, the thread may only make calls that are not
/// notified**; free(), or its end, can be one: see "Loading a filter" in unotify(7).
///
/// Errors: `UNOTIFY_ERR_BUSY` when the thread's filters have a listener already;
/// `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither no_new_privs nor
/// `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` for more than 4096 instructions;
/// `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.0, or 5.7 with `UNOTIFY_LOAD_TSYNC`;
/// `UNOTIFY_ERR_SYSTEM` with `ESRCH` when another thread has filters of its own.
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
        // SAFETY: `filter` is NULL or a live handle, as promised.
        let filter = unsafe { shared(filter, "filter") }?;
        // SAFETY: `opts` is NULL or as long as its `size`, as promised.
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
            // SAFETY: not null, so valid for writing, as promised.
            unsafe { out.write(handle) };
        }
        Ok(())
    })
}

/// Checks the options of a load.
fn load_flags(opts: unotify_load_opts) -> Result<LoadFlags> {
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
