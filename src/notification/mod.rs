//! The notification: one system call of a target, which must be answered.

mod lend;
mod reply;
mod state;

pub use crate::kernel::seccomp::Request;
pub(crate) use lend::Deferrals;
#[cfg(feature = "capi")]
pub(crate) use lend::OWNED;
pub(crate) use reply::check_errnum;
#[cfg(feature = "capi")]
pub(crate) use reply::{is_errnum, CONTINUE};
pub(crate) use state::{Reply, State};

use crate::error::{Error, Result, Status};
use crate::exits::Exits;
use crate::held::Proc;
use crate::kernel::fork::Process;
use crate::kernel::seccomp::{self, RequestBuffer};
use crate::kernel::{self, interrupt, Errno};
use crate::shared::Shared;
use crate::stall;
use crate::target::MemoryFile;
use lend::Lending;
use std::any::Any;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// A system call that a target has made and is waiting on.
///
/// It is answered once: by one of the `reply_` functions, or by being dropped, with the
/// listener's fallback error ([`Listener::set_fallback_error`](crate::Listener::set_fallback_error)).
/// It belongs to one thread at a time and may be sent to another.
///
/// A copy of the process that `fork` has made inherits a copy of it. Dropped or received into there,
/// that answers nobody: the answer is the parent's to give. What the copy is asked to answer, with a
/// `reply_` function, it does answer, and the parent's then fails with [`Status::Gone`].
#[derive(Debug)]
pub struct Notification {
    /// `None` while it holds nothing, so that it keeps no descriptor open.
    listener: Option<Arc<Shared>>,
    buffer: RequestBuffer,
    state: State,
    /// The process that received what it holds.
    received_in: Process,
    pub(crate) lending: Lending,
    /// The target's memory file once it was needed.
    pub(crate) memory: Option<MemoryFile>,
}

impl Notification {
    /// One to be received into.
    pub(crate) fn vacant() -> Result<Self> {
        let buffer = RequestBuffer::new().map_err(|errno| {
            Error::with_errno(
                Status::Unsupported,
                errno,
                "this kernel has no seccomp user notification (Linux 5.0)",
            )
        })?;
        Ok(Notification {
            listener: None,
            buffer,
            state: State::Empty,
            received_in: Process::NONE,
            lending: Lending::default(),
            memory: None,
        })
    }

    /// Lets `deferrals` count it should a handler keep it.
    pub(crate) fn count_by(&mut self, deferrals: &Arc<Deferrals>) {
        self.lending.count_by(deferrals);
    }

    /// Is counted by what counts `other`.
    pub(crate) fn count_by_same_as(&mut self, other: &Notification) {
        if let Some(deferrals) = other.lending.counted_by() {
            self.lending.count_by(deferrals);
        }
    }

    /// The processes that its supervisor watches, if it has come to one.
    pub(crate) fn exits(&self) -> Option<&Exits> {
        self.lending.counted_by().map(|counts| &counts.exits)
    }

    /// Moves the notification out of a handler's hands, to be answered later and from any thread.
    /// What remains here is empty: every function of it says so.
    ///
    /// # Errors
    /// [`Status::Unsupported`] never in practice: this kernel has given a notification before.
    pub fn take(&mut self) -> Result<Notification> {
        let mut taken = Notification::vacant()?;
        std::mem::swap(self, &mut taken);
        self.count_by_same_as(&taken);
        // One that is answered or gone as well: else nobody counts that.
        if taken.state != State::Empty {
            taken.lending.keep();
        }
        Ok(taken)
    }

    /// [`Notification::take`] for when this one may be lent to a handler in C: who owns it stays as it
    /// is.
    pub(crate) fn hand_over(&mut self) -> Result<Notification> {
        let mut taken = Notification::vacant()?;
        taken.listener.clone_from(&self.listener);
        taken.buffer.clone_from(&self.buffer);
        taken.state = std::mem::replace(&mut self.state, State::Empty);
        taken.received_in = self.received_in;
        taken.count_by_same_as(self);
        taken.lending.keep();
        Ok(taken)
    }

    /// What an answer takes, if it waits for one.
    pub(crate) fn waits_on(&self) -> Option<(Arc<Shared>, u64)> {
        let listener = self.listener.as_ref();
        let listener = listener.filter(|_| self.state == State::Pending);
        Some((Arc::clone(listener?), self.request().id))
    }

    /// Holds nothing any more, no descriptor either. What it held is answered.
    pub(crate) fn vacate(&mut self) {
        self.answer_with_fallback();
        self.lending.end(self.state);
        self.state = State::Empty;
        self.memory = None;
        self.listener = None;
    }

    /// The listener it was received from, or is to be received into from; null if it is vacant.
    /// Only to be compared.
    pub(crate) fn bound_to(&self) -> *const Shared {
        self.listener.as_ref().map_or(std::ptr::null(), Arc::as_ptr)
    }

    /// Runs what the target can make last as long as it likes; see [`stall`].
    #[inline]
    pub(crate) fn watched<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        stall::watched(self, call, Self::answer_with_fallback)
    }

    /// Makes it ready to be received into from `listener`: what it held is answered.
    #[inline]
    pub(crate) fn rebind(&mut self, listener: &Arc<Shared>) {
        self.answer_with_fallback();
        self.lending.end(self.state);
        self.state = State::Empty;
        self.memory = None;
        if !self
            .listener
            .as_ref()
            .is_some_and(|l| Arc::ptr_eq(l, listener))
        {
            self.listener = Some(Arc::clone(listener));
        }
    }

    /// One `RECV` into it, which must not hold a pending notification.
    #[inline]
    pub(crate) fn fill(&mut self) -> kernel::Result<()> {
        debug_assert_ne!(self.state, State::Pending);
        self.buffer.zero();
        self.state = State::Empty;
        let listener = self.listener.as_ref().ok_or(Errno(libc::EBADF))?;
        seccomp::recv(listener.fd(), &mut self.buffer)?;
        self.filled(Process::current());
        Ok(())
    }

    /// [`Notification::fill`], which [`interrupt::Mark::interrupt`] ends with `EINTR`. `give_up` is
    /// asked when the buffer is ready, and receiving given up (`EINTR`) if it says so.
    #[inline(always)]
    pub(crate) fn fill_interruptibly(
        &mut self,
        receiver: &interrupt::Receiver,
        mark: &interrupt::Mark,
        give_up: impl FnOnce() -> bool,
    ) -> kernel::Result<()> {
        debug_assert_ne!(self.state, State::Pending);
        self.buffer.zero();
        self.state = State::Empty;
        let listener = self.listener.as_ref().ok_or(Errno(libc::EBADF))?;
        let id = self.buffer.id_ptr();
        receiver.receive(mark, id, give_up, || {
            seccomp::recv(listener.fd(), &mut self.buffer)
        })?;
        self.filled(receiver.process());
        Ok(())
    }

    /// One `RECV` that is interrupted through `mark`, one of the receiver's own, into one that
    /// [is ready](Notification::is_ready_for) for the listener; otherwise as
    /// [`Notification::fill_at_once`].
    #[inline(always)]
    pub(crate) fn fill_marked_at_once(
        &mut self,
        listener: &Shared,
        receiver: &interrupt::Receiver,
        mark: &interrupt::Mark,
        give_up: impl FnOnce() -> bool,
    ) -> bool {
        let Some(buffer) = self.buffer.usual_mut() else {
            return false;
        };
        *buffer = [0; 10];
        let first = buffer.as_mut_ptr();
        let received = receiver.receive_marked(mark, first, give_up, || {
            // SAFETY: the buffer is one of those.
            unsafe { seccomp::recv_usual(listener.fd(), first) }
        });
        if received {
            self.filled(receiver.process());
        }
        received
    }

    /// Whether something counts it should a handler keep it.
    #[inline(always)]
    pub(crate) fn is_counted(&self) -> bool {
        self.lending.counted_by().is_some()
    }

    #[inline(always)]
    fn filled(&mut self, process: Process) {
        self.state = State::Pending;
        self.received_in = process;
    }

    /// Whether there is nothing to be done before it is received into from `listener`.
    #[inline(always)]
    pub(crate) fn is_ready_for(&self, listener: &Arc<Shared>) -> bool {
        self.bound_to() == Arc::as_ptr(listener)
            && self.state != State::Pending
            && self.memory.is_none()
            && !self.lending.is_deferred()
    }

    /// One `RECV`, under the listener's lock, into one that [is ready](Notification::is_ready_for) for
    /// it, without an explanation; whether it received. If not, it has to be received into again, or
    /// vacated.
    #[inline(always)]
    pub(crate) fn fill_at_once(
        &mut self,
        listener: &Shared,
        thread: &interrupt::Ready,
        process: Process,
    ) -> bool {
        let Some(buffer) = self.buffer.usual_mut() else {
            return false;
        };
        *buffer = [0; 10];
        let first = buffer.as_mut_ptr();
        let received = thread.exposing(first, || {
            let held = listener.lock_at_once(process, thread);
            // SAFETY: the buffer is one of those.
            held.is_some_and(|_held| unsafe { seccomp::recv_usual(listener.fd(), first) })
        });
        if received {
            self.filled(process);
        }
        received
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The system call: who made it and with what arguments.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.buffer.request()
    }

    /// The number that was attached to the listener with
    /// [`Listener::set_tag`](crate::Listener::set_tag).
    #[must_use]
    pub fn tag(&self) -> usize {
        self.listener.as_ref().map_or(0, |l| l.tag())
    }

    /// What its listener came with.
    pub(crate) fn origin(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.listener.as_ref()?.origin()
    }

    /// Whether the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`).
    ///
    /// What was read of a target before this succeeded belongs to that target.
    ///
    /// # Errors
    /// [`Status::Gone`] when it does not; [`Status::Answered`] when it was answered through here.
    pub fn check_valid(&mut self) -> Result<()> {
        match seccomp::id_valid(self.pending_on()?, self.request().id) {
            Ok(()) => Ok(()),
            Err(Errno(libc::ENOENT)) => Err(self.gone()),
            Err(errno) => Err(Error::system(errno, "check the notification")),
        }
    }

    /// The listener to speak to the kernel about it with. Errors unless it waits for an answer, as
    /// far as is known here.
    #[inline]
    pub(crate) fn pending_on(&self) -> Result<BorrowedFd<'_>> {
        match (self.state, &self.listener) {
            (State::Pending, Some(listener)) => Ok(listener.fd()),
            _ => Err(self.not_pending()),
        }
    }

    /// This process's `/proc`, held open with the listener.
    #[inline]
    pub(crate) fn proc(&self) -> kernel::Result<&Proc> {
        let listener = self.listener.as_ref().ok_or(Errno(libc::EBADF))?;
        listener.proc()
    }

    #[cold]
    fn not_pending(&self) -> Error {
        match self.state {
            State::Answered(_) => Error::plain(Status::Answered),
            State::Gone => Error::plain(Status::Gone),
            State::Empty | State::Pending => {
                Error::new(Status::InvalidArgument, "the handle holds no notification")
            }
        }
    }

    /// Remembers that the kernel says `ENOENT`.
    pub(crate) fn gone(&mut self) -> Error {
        self.state = State::Gone;
        self.lending.count_outcome(self.state);
        Error::plain(Status::Gone)
    }

    /// Remembers that the target was let go.
    #[inline(always)]
    pub(crate) fn mark_answered(&mut self, how: Reply) {
        self.state = State::Answered(how);
        self.lending.count_outcome(self.state);
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        self.answer_with_fallback();
        self.lending.end(self.state);
    }
}
