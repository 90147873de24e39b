//! Which handler a system call goes to.

use crate::error::{Error, Result, Status};
use crate::notification::{Notification, Request};
use crate::scmp::{ScmpArch, ScmpSyscall};
use bitflags::bitflags;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What a handler says it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It answered, or took the notification away ([`Notification::take`]) to answer it later. If
    /// it did neither, the target gets the fallback error.
    Handled,
    /// It did not want to. The next handler of the call is asked, then the default ones; when all
    /// refuse, the target gets the fallback error.
    NotHandled,
    /// It could not go on, and the supervisor is not to either: the target gets the fallback error
    /// unless it was answered, and the run ends with [`Status::Handler`]. For languages whose
    /// handlers raise, which the library hands no error of theirs.
    Failed,
}

bitflags! {
    /// What is known of a handler.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct HandlerFlags: u32 {
        /// It waits: for a disk, a lock, another process. With several workers another one goes
        /// on receiving before it is called, instead of after it was seen to be slow.
        const BLOCKING = 1 << 0;
    }
}

/// From this average on, handing over the receiving costs less than waiting for the handler.
const SLOW: Duration = Duration::from_micros(100);

/// A handler gets the worker's own box, and may keep it if it leaves another one.
pub(super) type Function = dyn Fn(&mut Box<Notification>) -> Verdict + Send + Sync;

/// Is told the tag of each listener that has left.
pub(super) type OnClose = dyn Fn(usize) + Send + Sync;

/// One handler and what is known of it.
pub(super) struct Handler {
    function: Box<Function>,
    flags: HandlerFlags,
    average_ns: AtomicU64,
    /// How many of its first calls were timed.
    timed: AtomicU32,
    /// So many calls are not timed before the next one is.
    untimed: AtomicU32,
}

/// So many of a handler's first calls are timed.
const TIME_FIRST: u32 = 16;

/// A fast handler is timed every so many calls after that: looking at the clock twice takes a
/// hundredth of the time that a notification does.
const TIME_EVERY: u32 = 64;

impl Handler {
    fn new(flags: HandlerFlags, function: Box<Function>) -> Arc<Self> {
        Arc::new(Handler {
            function,
            flags,
            average_ns: AtomicU64::new(0),
            timed: AtomicU32::new(0),
            untimed: AtomicU32::new(0),
        })
    }

    #[inline]
    pub(super) fn call(&self, notification: &mut Box<Notification>) -> Verdict {
        (self.function)(notification)
    }

    /// Whether it is better to let somebody else receive while it runs.
    #[inline]
    pub(super) fn blocks(&self) -> bool {
        self.flags.contains(HandlerFlags::BLOCKING)
            || self.average_ns.load(Ordering::Relaxed) > SLOW.as_nanos() as u64
    }

    /// Whether this call is to be timed: the first ones, samples, and all of a slow handler.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        match self.untimed.load(Ordering::Relaxed) {
            0 => true,
            // Two workers that count at once lose a call, which does no harm.
            left => {
                self.untimed.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Learns how long it took. Two workers that learn at once lose one lesson, which does no harm.
    pub(super) fn learn(&self, took: Duration) {
        // A fast handler that lost its processor for once is not a slow one.
        let took = took.min(SLOW * 7).as_nanos() as u64;
        let average = match self.average_ns.load(Ordering::Relaxed) {
            0 => took,
            average => average - average / 8 + took / 8,
        };
        self.average_ns.store(average, Ordering::Relaxed);
        let timed = self.timed.load(Ordering::Relaxed);
        let again_at_once = timed < TIME_FIRST || average > SLOW.as_nanos() as u64 / 4;
        self.timed.store(timed.saturating_add(1), Ordering::Relaxed);
        let untimed = if again_at_once { 0 } else { TIME_EVERY - 1 };
        self.untimed.store(untimed, Ordering::Relaxed);
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("flags", &self.flags)
            .field("average_ns", &self.average_ns)
            .finish_non_exhaustive()
    }
}

/// What is told of the end of a process.
pub(super) struct ExitFunction(Box<dyn Fn(libc::pid_t) + Send + Sync>);

impl ExitFunction {
    pub(super) fn call(&self, process: libc::pid_t) {
        (self.0)(process);
    }
}

impl fmt::Debug for ExitFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExitFunction")
    }
}

/// The handlers, by architecture and number.
#[derive(Clone, Default)]
pub(super) struct Table {
    by_call: HashMap<(u32, i32), Vec<Arc<Handler>>>,
    default: Vec<Arc<Handler>>,
    exit: Option<Arc<ExitFunction>>,
    on_close: Option<Arc<OnClose>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("by_call", &self.by_call)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Registers a handler for a system call on every architecture that has it.
    pub(super) fn on(
        &mut self,
        syscall: &str,
        flags: HandlerFlags,
        function: Box<Function>,
    ) -> Result<()> {
        let calls: Vec<_> = ScmpArch::ALL
            .iter()
            .filter_map(|&arch| {
                let nr = ScmpSyscall::number_on(syscall, arch)?;
                Some((audit_arch(arch), nr))
            })
            .collect();
        if calls.is_empty() {
            return Err(Error::new(
                Status::UnknownSyscall,
                format!("unknown system call `{syscall}`: no architecture has it"),
            ));
        }
        let handler = Handler::new(flags, function);
        for call in calls {
            let handlers = self.by_call.entry(call).or_default();
            handlers.push(Arc::clone(&handler));
        }
        Ok(())
    }

    pub(super) fn on_default(&mut self, flags: HandlerFlags, function: Box<Function>) {
        self.default.push(Handler::new(flags, function));
    }

    pub(super) fn on_close(&mut self, told: Arc<OnClose>) {
        self.on_close = Some(told);
    }

    /// Who is told of listeners that have left.
    pub(super) fn told_of_close(&self) -> Option<&Arc<OnClose>> {
        self.on_close.as_ref()
    }

    /// The handlers to be asked, in this order until one does not refuse.
    fn asked(&self, request: &Request) -> impl Iterator<Item = &Arc<Handler>> {
        let call = (request.arch, request.syscall);
        let of_call = self.by_call.get(&call).into_iter().flatten();
        of_call.chain(&self.default)
    }

    /// The first handler for a call.
    pub(super) fn find(&self, request: &Request) -> Option<Arc<Handler>> {
        self.asked(request).next().cloned()
    }

    /// The handler that is asked when this one has refused.
    pub(super) fn after(&self, request: &Request, refused: &Arc<Handler>) -> Option<&Arc<Handler>> {
        self.asked(request)
            .skip_while(|handler| !Arc::ptr_eq(handler, refused))
            .nth(1)
    }

    pub(super) fn on_exit(&mut self, function: Box<dyn Fn(libc::pid_t) + Send + Sync>) {
        self.exit = Some(Arc::new(ExitFunction(function)));
    }

    /// Who is told of the ends of processes, if anybody.
    #[inline]
    pub(super) fn exit_function(&self) -> Option<&ExitFunction> {
        self.exit.as_deref()
    }
}

/// The architecture as a notification tells it: x32 calls come as x86_64 ones with a bit set in
/// the number, which libseccomp's numbers have too.
fn audit_arch(arch: ScmpArch) -> u32 {
    match arch {
        ScmpArch::X32 => ScmpArch::X8664.to_sys(),
        other => other.to_sys(),
    }
}
