//! Loading a filter: onto the calling thread, so that every load yields a listener of its own.

use crate::error::{Error, Result, Status};
use crate::install::{install, Install};
use crate::listener::{Listener, ReservedListener};
use crate::scmp::{notifies, ScmpFilterContext};
use bitflags::bitflags;
use std::cell::Ref;

bitflags! {
    /// How to load a filter. None set: `no_new_privs` is set first, and the targets wait
    /// killably and wake up synchronously where the kernel has it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct LoadFlags: u32 {
        /// Every thread of the process gets the filter (`SECCOMP_FILTER_FLAG_TSYNC`; with a
        /// listener since Linux 5.7).
        const TSYNC = 1 << 0;
        /// Every action but allow is logged (`SECCOMP_FILTER_FLAG_LOG`, Linux 4.14).
        const LOG = 1 << 1;
        /// Speculative Store Bypass mitigation is left off (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`,
        /// Linux 4.17).
        const SPEC_ALLOW = 1 << 2;
        /// A received call can be interrupted by any signal, not only by a fatal one
        /// (no `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`).
        const NO_WAIT_KILLABLE = 1 << 3;
        /// Waking the other side up does not hand over the processor
        /// (no `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`).
        const NO_SYNC_WAKE_UP = 1 << 4;
        /// `no_new_privs` stays as it is. Loading then takes `CAP_SYS_ADMIN` in the caller's
        /// user namespace, or a caller that has set it before.
        const KEEP_PRIVS = 1 << 5;
    }
}

/// An installation that yields a listener.
impl From<LoadFlags> for Install {
    fn from(flags: LoadFlags) -> Self {
        Install {
            listener: true,
            tsync: flags.contains(LoadFlags::TSYNC),
            log: flags.contains(LoadFlags::LOG),
            spec_allow: flags.contains(LoadFlags::SPEC_ALLOW),
            wait_killable: !flags.contains(LoadFlags::NO_WAIT_KILLABLE),
            no_new_privs: !flags.contains(LoadFlags::KEEP_PRIVS),
        }
    }
}

/// Whether a load is to yield a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Always,
    IfItNotifies,
    Never,
}

/// A load with everything done that takes a system call, but for the installation itself.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    program: Ref<'a, [libc::sock_filter]>,
    how: Install,
    /// Made before the filter is there, if it will yield one.
    pub(crate) listener: Option<ReservedListener>,
}

impl Load<'_> {
    /// Installs the filter. When it is there, neither this nor the drop of what it leaves behind
    /// makes a system call or touches the heap: it may notify every call there is.
    pub(crate) fn install(self) -> Result<Option<Listener>> {
        match (install(&self.program, self.how)?, self.listener) {
            (Some(fd), Some(reserved)) => Ok(Some(reserved.fill(fd))),
            _ => Ok(None),
        }
    }
}

impl ScmpFilterContext {
    pub(crate) fn prepare(&self, flags: LoadFlags, want: Want) -> Result<Load<'_>> {
        let program = self.program_to_load()?;
        let listener = match want {
            Want::Always => true,
            Want::IfItNotifies => notifies(&program),
            Want::Never => false,
        };
        let sync_wake_up = !flags.contains(LoadFlags::NO_SYNC_WAKE_UP);
        Ok(Load {
            program,
            how: Install {
                listener,
                ..Install::from(flags)
            },
            listener: listener.then(|| ReservedListener::new(sync_wake_up)),
        })
    }

    /// Loads the filter into the calling thread and returns the listener for it.
    ///
    /// The program is installed with `seccomp(2)` directly, not through libseccomp, which keeps
    /// one notification descriptor per process: every call of this function yields a listener of
    /// its own, also for a filter that notifies nothing. `flags` decides alone; the context's
    /// `CTL_*` attributes are for [`ScmpFilterContext::load`].
    ///
    /// The calling thread is a target from here on: another thread or process must answer. Once the
    /// filter is installed this function makes no system call, so it returns whatever the filter
    /// notifies. (Synchronous wake-up is switched on by the first who receives.) But *every* call
    /// that this thread makes then counts: [`Listener::to_socket`] is a `sendmsg`, dropping the filter
    /// or anything else may be a `munmap`, and the end of the thread is one. When nobody receives
    /// yet, only calls that the filter does not notify may be made before the listener is with the
    /// supervisor: a thread of this process has it at once (through memory that it looks at without
    /// sleeping, or a call that is not notified), and another process can take it by itself
    /// ([`Listener::from_pid`]). [`Spawn`](crate::Spawn) works with every filter.
    ///
    /// # Errors
    /// [`Status::Busy`] when this thread's filters have a listener already;
    /// [`Status::Permission`] with [`LoadFlags::KEEP_PRIVS`] and neither `no_new_privs` nor
    /// `CAP_SYS_ADMIN`; [`Status::InvalidArgument`] for a filter that is too long;
    /// [`Status::Unsupported`] on a kernel before 5.0, or before 5.7 with [`LoadFlags::TSYNC`];
    /// [`Status::System`] when `TSYNC` meets a thread with other filters.
    pub fn load_listener(&self, flags: LoadFlags) -> Result<Listener> {
        let listener = self.prepare(flags, Want::Always)?.install()?;
        listener.ok_or_else(|| Error::new(Status::System, "the kernel gave no listener"))
    }

    /// [`ScmpFilterContext::load_listener`] with a listener only if the filter notifies something.
    ///
    /// The kernel allows one listener in all filters of a thread. A filter that only forbids can be
    /// put on top of the one that has it.
    ///
    /// # Errors
    /// As [`ScmpFilterContext::load_listener`].
    pub fn load_with(&self, flags: LoadFlags) -> Result<Option<Listener>> {
        self.prepare(flags, Want::IfItNotifies)?.install()
    }

    /// [`ScmpFilterContext::load_listener`] without a listener, whatever the filter says. The calls
    /// that it notifies fail with `ENOSYS`.
    ///
    /// # Errors
    /// As [`ScmpFilterContext::load_listener`], but for [`Status::Busy`].
    pub fn load_without_listener(&self, flags: LoadFlags) -> Result<()> {
        self.prepare(flags, Want::Never)?.install().map(drop)
    }
}
