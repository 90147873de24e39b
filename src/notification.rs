//! The notification: one system call of a target, which must be answered.

use crate::error::{Error, Result, Status};
use crate::exits::Exits;
use crate::kernel::fork::Process;
use crate::kernel::seccomp::{self, RequestBuffer, Response};
use crate::kernel::{self, interrupt, Errno};
use crate::listener::Shared;
use crate::stall;
use crate::supervisor::Stats;
use crate::target::MemoryFile;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};
use std::sync::Arc;

pub use crate::kernel::seccomp::Request;

/// The largest error number that a system call can return.
const MAX_ERRNO: i32 = 4095;

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
    /// Who counts it if a handler keeps it.
    account: Option<Arc<Deferrals>>,
    deferred: bool,
    /// What became of it was counted.
    counted: bool,
    /// Who may free it; see [`Tenure`].
    tenure: AtomicU8,
    /// The target's memory file once it was needed.
    pub(crate) memory: Option<MemoryFile>,
}

/// Who may free a notification that a handler in C was shown. A worker and the thread that a
/// handler gave it to may meet here, so it is apart from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tenure {
    /// Its holder.
    Owned,
    /// The worker that shows it to a handler for one call.
    Lent,
    /// The worker too, and the handler has tried to.
    Returned,
}

impl Tenure {
    /// Passes a lent notification on; `false` when it is not lent (any more).
    pub(crate) fn pass(tenure: &AtomicU8, to: Tenure) -> bool {
        tenure
            .compare_exchange(
                Tenure::Lent as u8,
                to as u8,
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok()
    }

    /// Whether its holder may free it.
    pub(crate) fn is_owned(tenure: &AtomicU8) -> bool {
        tenure.load(Ordering::SeqCst) == Tenure::Owned as u8
    }
}

/// Counts the notifications that handlers have kept: those not yet dropped, and what became of the
/// others.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    /// The target processes whose ends handlers want to know.
    pub(crate) exits: Exits,
    outstanding: AtomicU64,
    answered: [AtomicU64; Reply::ALL.len()],
    gone: AtomicU64,
}

impl Deferrals {
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts what became of one.
    fn settled(&self, how: State) {
        let counter = match how {
            State::Answered(reply) => &self.answered[reply as usize],
            State::Gone => &self.gone,
            State::Empty | State::Pending => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.deferred_outstanding += self.outstanding();
        stats.gone += self.gone.load(Ordering::Relaxed);
        for (reply, count) in Reply::ALL.into_iter().zip(&self.answered) {
            stats.add(reply, count.load(Ordering::Relaxed));
        }
    }
}

/// How far a notification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was received into it.
    Empty,
    /// The target is waiting.
    Pending,
    /// The target was let go, in this way.
    Answered(Reply),
    /// The target does not wait for an answer any more.
    Gone,
}

/// The ways to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Value,
    Error,
    Continue,
    Fd,
    Fallback,
}

impl Reply {
    const ALL: [Reply; 5] = [
        Reply::Value,
        Reply::Error,
        Reply::Continue,
        Reply::Fd,
        Reply::Fallback,
    ];
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
            account: None,
            deferred: false,
            counted: false,
            tenure: AtomicU8::new(Tenure::Owned as u8),
            memory: None,
        })
    }

    /// Lets `account` count it should a handler keep it.
    pub(crate) fn account_to(&mut self, account: &Arc<Deferrals>) {
        if self.account.is_none() {
            self.account = Some(Arc::clone(account));
        }
    }

    /// Has the same account as `other`.
    pub(crate) fn share_account(&mut self, other: &Notification) {
        if let Some(account) = &other.account {
            self.account_to(account);
        }
    }

    /// The processes that its supervisor watches.
    pub(crate) fn exits(&self) -> Option<&Exits> {
        self.account.as_ref().map(|account| &account.exits)
    }

    /// Counts a deferral of a notification with the same account, or takes that back.
    pub(crate) fn count_deferral(&self, deferred: bool) {
        match &self.account {
            Some(account) if deferred => account.add(),
            Some(account) => account.sub(),
            None => {}
        }
    }

    /// Shows it to a handler in C for one call, after which it may be deferred.
    pub(crate) fn lend(&mut self) {
        self.deferred = self.account.is_some();
        *self.tenure.get_mut() = Tenure::Lent as u8;
    }

    /// The call is over and it was not deferred.
    pub(crate) fn take_back(&mut self) {
        self.deferred = false;
        *self.tenure.get_mut() = Tenure::Owned as u8;
    }

    /// For [`Tenure::pass`].
    pub(crate) fn tenure(&self) -> &AtomicU8 {
        &self.tenure
    }

    /// Moves the notification out of a handler's hands, to be answered later and from any thread.
    /// What remains here is empty: every function of it says so.
    ///
    /// # Errors
    /// [`Status::Unsupported`] never in practice: this kernel has given a notification before.
    pub fn take(&mut self) -> Result<Notification> {
        let mut taken = Notification::vacant()?;
        std::mem::swap(self, &mut taken);
        self.share_account(&taken);
        // One that was taken before is counted already.
        if let (State::Pending, false, Some(account)) =
            (taken.state, taken.deferred, &taken.account)
        {
            account.add();
            taken.deferred = true;
        }
        Ok(taken)
    }

    /// Holds nothing any more, no descriptor either. What it held is answered.
    pub(crate) fn vacate(&mut self) {
        self.settle();
        self.end_deferral();
        self.state = State::Empty;
        self.memory = None;
        self.listener = None;
    }

    /// Counts what became of it if a handler has kept it.
    fn end_deferral(&mut self) {
        if let (true, Some(account)) = (self.deferred, &self.account) {
            account.sub();
            if !self.counted {
                account.settled(self.state);
            }
        }
        self.deferred = false;
        self.counted = false;
    }

    /// Counts how it was answered, or that it is gone, if a handler has kept it.
    #[inline]
    fn count_outcome(&mut self) {
        // One that was only lent so far is counted when it turns out to be kept, or by its worker.
        if self.deferred && !self.counted && Tenure::is_owned(&self.tenure) {
            self.counted = true;
            if let Some(account) = &self.account {
                account.settled(self.state);
            }
        }
    }

    /// Runs what the target can make last as long as it likes; see [`stall`].
    #[inline]
    pub(crate) fn watched<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        stall::watched(self, call, Self::settle)
    }

    /// Makes it ready to be received into from `listener`: what it held is answered.
    #[inline]
    pub(crate) fn rebind(&mut self, listener: &Arc<Shared>) {
        self.settle();
        self.end_deferral();
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
        self.filled();
        Ok(())
    }

    /// [`Notification::fill`], which [`interrupt::Mark::interrupt`] ends with `EINTR`. `give_up` is
    /// asked when the buffer is ready, and receiving given up (`EINTR`) if it says so.
    #[inline]
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
        self.filled();
        Ok(())
    }

    #[inline]
    fn filled(&mut self) {
        self.state = State::Pending;
        self.received_in = Process::current();
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Answers with the fallback error if nobody has answered, and nobody else is to: what a
    /// parent received is the parent's to answer.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if let (State::Pending, Some(listener)) = (self.state, &self.listener) {
            if !self.received_in.is_current() {
                return;
            }
            let error = -listener.fallback();
            // Gone is as good as answered here, and there is nobody to tell of anything else.
            let _ = self.send(Reply::Fallback, 0, error, 0);
        }
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

    /// Lets the call return `value`. The kernel takes it as it is: -4095 to -1 are errors to the
    /// target's C library.
    ///
    /// # Errors
    /// [`Status::Gone`] when the target does not wait any more; [`Status::Answered`] when it was
    /// answered before. The notification is settled in both cases.
    pub fn reply_value(&mut self, value: i64) -> Result<()> {
        self.send(Reply::Value, value, 0, 0)
    }

    /// Lets the call fail with an error number, given positive.
    ///
    /// # Errors
    /// As [`Notification::reply_value`]; [`Status::InvalidArgument`] for a number outside 1 to
    /// 4095, and the target goes on waiting.
    pub fn reply_error(&mut self, errnum: i32) -> Result<()> {
        check_errnum(errnum)?;
        self.send(Reply::Error, 0, -errnum, 0)
    }

    /// Lets the kernel carry out the call as if there were no filter
    /// (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
    ///
    /// **Not a security decision**: the kernel reads the arguments' memory again, and the target
    /// may have changed it since you looked.
    ///
    /// # Errors
    /// As [`Notification::reply_value`]; [`Status::Unsupported`] on a kernel before 5.5, and the
    /// target goes on waiting.
    pub fn reply_continue(&mut self) -> Result<()> {
        self.send(
            Reply::Continue,
            0,
            0,
            libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        )
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
        self.count_outcome();
        Error::plain(Status::Gone)
    }

    /// Remembers that the target was let go in a way other than [`Notification::send`].
    pub(crate) fn mark_answered(&mut self, how: Reply) {
        self.state = State::Answered(how);
        self.count_outcome();
    }

    #[inline]
    pub(crate) fn send(&mut self, how: Reply, val: i64, error: i32, flags: u32) -> Result<()> {
        let (State::Pending, Some(listener)) = (self.state, &self.listener) else {
            return Err(self.not_pending());
        };
        let response = Response {
            id: self.request().id,
            val,
            error,
            flags,
        };
        match seccomp::send(listener.fd(), response) {
            Ok(()) => {
                self.mark_answered(how);
                Ok(())
            }
            Err(errno) => Err(self.send_failed(errno, how, flags)),
        }
    }

    #[cold]
    fn send_failed(&mut self, errno: Errno, how: Reply, flags: u32) -> Error {
        match errno.0 {
            libc::ENOENT => self.gone(),
            // Somebody answered it who holds another copy of the listener's descriptor.
            libc::EINPROGRESS => {
                self.mark_answered(how);
                Error::plain(Status::Answered)
            }
            libc::EINVAL if flags != 0 => Error::with_errno(
                Status::Unsupported,
                errno,
                "continuing a system call takes Linux 5.5",
            ),
            _ => Error::system(errno, "answer the notification"),
        }
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        self.settle();
        self.end_deferral();
    }
}

/// Errors unless the kernel would return this number from a system call.
pub(crate) fn check_errnum(errnum: i32) -> Result<()> {
    if (1..=MAX_ERRNO).contains(&errnum) {
        return Ok(());
    }
    Err(Error::new(
        Status::InvalidArgument,
        format!("error number {errnum} is outside 1 to {MAX_ERRNO}"),
    ))
}
