//! `unotify_supervisor_opts`: the mirror of `supervisor/options.rs`.

use super::boundary::{invalid, Options};
use crate::error::Result;
use crate::supervisor::{SupervisorOptions, WakeUp};
use std::ffi::c_int;

/// Runs on without a listener.
pub const UNOTIFY_SUPERVISOR_KEEP_RUNNING: u32 = 1 << 0;
/// A stop answers what is pending.
pub const UNOTIFY_SUPERVISOR_DRAIN_ON_STOP: u32 = 1 << 1;
/// A signal ends the run.
pub const UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL: u32 = 1 << 2;

/// Switched by measuring; on for many listeners.
pub const UNOTIFY_WAKE_UP_AUTO: u32 = 0;
/// Waking hands over the processor: for one target (Linux 6.6).
pub const UNOTIFY_WAKE_UP_SYNC: u32 = 1;
/// It does not: can be better for several busy targets.
pub const UNOTIFY_WAKE_UP_ASYNC: u32 = 2;

/// How a supervisor is to work.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_supervisor_opts {
    /// `sizeof(unotify_supervisor_opts)`.
    pub size: usize,
    /// Handlers that may run at once, up to 1024. 0 is 1: never two.
    pub max_workers: u32,
    /// Positive, for notifications that nobody answers. 0 is `ENOSYS`.
    pub fallback_error: c_int,
    /// `UNOTIFY_SUPERVISOR_*`.
    pub flags: u32,
    /// `UNOTIFY_WAKE_UP_*`.
    pub wake_up: u32,
}

// SAFETY: `repr(C)`, begins with `size`, integers only, without padding.
unsafe impl Options for unotify_supervisor_opts {
    const NAME: &'static str = "unotify_supervisor_opts";

    fn zeroed() -> Self {
        unotify_supervisor_opts {
            size: size_of::<Self>(),
            max_workers: 0,
            fallback_error: 0,
            flags: 0,
            wake_up: UNOTIFY_WAKE_UP_AUTO,
        }
    }
}

impl unotify_supervisor_opts {
    pub(super) fn check(self) -> Result<SupervisorOptions> {
        const KNOWN: u32 = UNOTIFY_SUPERVISOR_KEEP_RUNNING
            | UNOTIFY_SUPERVISOR_DRAIN_ON_STOP
            | UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL;
        let wake_up = match self.wake_up {
            UNOTIFY_WAKE_UP_AUTO => WakeUp::Auto,
            UNOTIFY_WAKE_UP_SYNC => WakeUp::Sync,
            UNOTIFY_WAKE_UP_ASYNC => WakeUp::Async,
            other => {
                return Err(invalid(format!(
                    "`unotify_supervisor_opts.wake_up` is {other}, which is no UNOTIFY_WAKE_UP_*"
                )))
            }
        };
        if self.flags & !KNOWN != 0 {
            return Err(invalid(format!(
                "`unotify_supervisor_opts.flags` has unknown bits: {:#x}",
                self.flags & !KNOWN
            )));
        }
        let default = SupervisorOptions::default();
        Ok(SupervisorOptions {
            max_workers: match self.max_workers {
                0 => default.max_workers,
                n => n as usize,
            },
            fallback_error: match self.fallback_error {
                0 => default.fallback_error,
                n => n,
            },
            keep_running: self.flags & UNOTIFY_SUPERVISOR_KEEP_RUNNING != 0,
            wake_up,
            return_on_signal: self.flags & UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL != 0,
            drain_on_stop: self.flags & UNOTIFY_SUPERVISOR_DRAIN_ON_STOP != 0,
        })
    }
}
