//! `unotify_stats`: the mirror of `supervisor/stats.rs`.

use super::boundary::{call, report, shared, unotify_status, Report};
use super::supervisor::unotify_supervisor;

/// What a supervisor has done since it was made.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct unotify_stats {
    /// `sizeof(unotify_stats)`, set by the caller.
    pub size: usize,
    /// Notifications received.
    pub received: u64,
    /// Answered with a value.
    pub values: u64,
    /// Answered with an error by a handler.
    pub errors: u64,
    /// Continued.
    pub continued: u64,
    /// Answered with a descriptor.
    pub fds: u64,
    /// Answered with the fallback error: nobody else did.
    pub fallbacks: u64,
    /// Gone before they were answered.
    pub gone: u64,
    /// Deferred; counted once more when answered or freed.
    pub deferred: u64,
    /// Deferred and not freed so far.
    pub deferred_outstanding: u64,
    /// Handlers that threw (in C++) or panicked (in Rust).
    pub panics: u64,
    /// Handlers that returned `UNOTIFY_FAILED`.
    pub failed: u64,
    /// Listeners served now.
    pub listeners: u64,
    /// Worker threads now, also to receive and for stuck ones.
    pub workers: u64,
    /// The most workers there ever were.
    pub workers_max: u64,
    /// The longest time of one handler, of those sampled.
    pub slowest_handler_ns: u64,
    /// Workers now stuck in a call that the target prolongs.
    pub workers_stuck: u64,
}

// SAFETY: `repr(C)`, begins with the size, integers only, no padding.
unsafe impl Report for unotify_stats {
    const NAME: &'static str = "unotify_stats";
}

/// Fills in what it has done so far.
///
/// # Safety
/// `supervisor` is NULL or a live handle; `stats` is NULL or as long as its `size` says.
#[no_mangle]
pub unsafe extern "C" fn unotify_supervisor_stats(
    supervisor: *const unotify_supervisor,
    stats: *mut unotify_stats,
) -> unotify_status {
    call(|| {
        let find = || {
            // SAFETY: `supervisor` is NULL or a live handle, as promised.
            let now = unsafe { shared(supervisor, "supervisor") }?.0.stats();
            Ok(unotify_stats {
                size: size_of::<unotify_stats>(),
                received: now.received,
                values: now.values,
                errors: now.errors,
                continued: now.continued,
                fds: now.fds,
                fallbacks: now.fallbacks,
                gone: now.gone,
                deferred: now.deferred,
                deferred_outstanding: now.deferred_outstanding,
                panics: now.panics,
                failed: now.failed,
                listeners: now.listeners,
                workers: now.workers,
                workers_max: now.workers_max,
                slowest_handler_ns: now.slowest_handler.as_nanos() as u64,
                workers_stuck: now.workers_stuck,
            })
        };
        // SAFETY: `stats` is NULL or as long as its `size`, as promised.
        unsafe { report(stats, find) }
    })
}
