//! The listener: the descriptor that notifications come from.

use crate::ending::{Life, Watch};
use crate::error::{Error, Result, Status};
use crate::kernel::fork::Process;
use crate::kernel::reserved::Reserved;
use crate::kernel::{self, fd, interrupt, pidfd, process, seccomp, version, Errno};
use crate::notification::Notification;
use crate::receive_lock::Denied;
use crate::shared::{Owned, Shared};
use bitflags::bitflags;
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

bitflags! {
    /// How to receive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct ReceiveFlags: u32 {
        /// A signal that is handled on the calling thread while it waits ends the call with
        /// [`Status::Interrupted`], whether its handler was installed with `SA_RESTART` or not: for
        /// languages whose own signal handlers run when the call has returned. It costs a `ppoll`
        /// for each notification. A signal that is handled just before the wait begins does not
        /// end it.
        const RETURN_ON_SIGNAL = 1 << 0;
    }
}

/// The supervising end of a filter that notifies.
///
/// Owns the descriptor. Any number of threads may share a listener by reference and receive from
/// it; each notification goes to one of them. The descriptor stays open for as long as the
/// listener or a notification received from it lives. When the last copy of the descriptor is
/// closed, the kernel answers every pending and every later call of the targets with `ENOSYS`.
///
/// A copy of the process that `fork` has made may receive from a listener that it inherited, and
/// gets notifications of its own then, which the parent does not get. It keeps the descriptor open
/// until it drops the listener, ends or executes another program.
#[derive(Debug)]
pub struct Listener {
    shared: Owned,
}

/// Memory for a listener that is made where no system call may be: under its own filter.
#[derive(Debug)]
pub(crate) struct ReservedListener {
    memory: Reserved<Shared>,
    sync_wake_up: bool,
}

impl ReservedListener {
    pub(crate) fn new(sync_wake_up: bool) -> Self {
        // Asked for the first time, this makes system calls.
        let _ = Process::current();
        ReservedListener {
            memory: Reserved::new(),
            sync_wake_up,
        }
    }

    /// Makes the listener of a descriptor known to be one. Makes no system call and does not touch
    /// the heap; synchronous wake-up is switched on by the first receive.
    pub(crate) fn fill(self, fd: OwnedFd) -> Listener {
        Listener {
            shared: Owned::new(self.memory.fill(Shared::new(fd, self.sync_wake_up))),
        }
    }
}

impl Listener {
    /// The listener that this is a part of, when the rest was dropped.
    pub(crate) fn from_shared(shared: Owned) -> Self {
        Listener { shared }
    }

    /// Wraps a descriptor known to be a listener, and switches synchronous wake-up on if asked
    /// to and the kernel has it.
    pub(crate) fn new(fd: OwnedFd, sync_wake_up: bool) -> Self {
        let listener = Listener {
            shared: Owned::new(Arc::new(Shared::new(fd, false))),
        };
        listener.shared.switch_sync_wake_up(sync_wake_up);
        listener
    }

    /// The listener of a program that this library has started.
    pub(crate) fn of_child(fd: OwnedFd, sync_wake_up: bool, life: &Arc<Life>) -> Self {
        let listener = Self::new(fd, sync_wake_up);
        if !version::recv_ends_with_last_target() {
            listener.shared.set_watch(Watch::Started(Arc::clone(life)));
        }
        listener
    }

    /// Tells whose listener this is, so that it ends with that process on every kernel: with a
    /// child of the caller's, which loaded the filter. Duplicates `pidfd`
    /// (`pidfd_open(2)`), which remains the caller's.
    ///
    /// A listener ends when its last target is gone. Since Linux 6.11 a process is gone when it
    /// has exited, and this function only checks `pidfd`. Before that it is gone when it was
    /// *reaped*, so one who receives until the end and waits for the child after that waits for
    /// ever. On such a kernel, then, receiving also ends, with [`Status::Closed`], when the child is
    /// a zombie and no notification is pending. It is not reaped: its status is the caller's to
    /// wait for. Whether *other* targets are left, children of the child's that outlive it, cannot
    /// be known before it was; one who has such targets waits for the child and receives
    /// again. A supervisor that the listener was given to lets go of it at that moment.
    ///
    /// A later call takes the place of an earlier one. The listeners of programs that
    /// [`Spawn`](crate::Spawn) starts end by themselves, and for them this changes nothing.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when `pidfd` is not one; [`Status::Unsupported`] on a kernel before
    /// 5.4 (`waitid(2)` with `P_PIDFD`); [`Status::System`] when there is no descriptor left.
    pub fn watch_child(&self, pidfd: BorrowedFd<'_>) -> Result<()> {
        match process::is_zombie(pidfd) {
            // One that was reaped meanwhile is gone, too.
            Ok(_) | Err(Errno(libc::ECHILD)) => {}
            Err(errno @ Errno(libc::EBADF)) => {
                return Err(Error::with_errno(
                    Status::InvalidArgument,
                    errno,
                    format!(
                        "descriptor {} does not stand for a process",
                        pidfd.as_raw_fd()
                    ),
                ))
            }
            Err(Errno(libc::EINVAL)) => {
                return Err(Error::with_errno(
                    Status::Unsupported,
                    Errno(libc::ENOSYS),
                    "waiting for a process by its descriptor takes Linux 5.4",
                ))
            }
            Err(errno) => return Err(Error::system(errno, "look at the child")),
        }
        let started = self.shared.watch();
        let started = started.is_some_and(|watch| matches!(*watch, Watch::Started(_)));
        if started || version::recv_ends_with_last_target() {
            return Ok(());
        }
        let pidfd = kernel::fd_table::duplicate_from(pidfd.as_raw_fd(), 0)
            .map_err(|e| Error::system(e, "duplicate the descriptor of the child"))?;
        self.shared.set_watch(Watch::Own(pidfd));
        Ok(())
    }

    /// Takes over a descriptor that came from elsewhere, after checking that it is a seccomp
    /// listener, and switches synchronous wake-up on where the kernel has it.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it is not a listener. The descriptor is closed then; to
    /// keep it, ask [`Listener::check_fd`] first.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        Self::check_fd(fd.as_fd())?;
        Ok(Self::new(fd, true))
    }

    /// Whether a descriptor is a seccomp listener (`SECCOMP_IOCTL_NOTIF_ID_VALID`).
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it is something else or not open.
    pub fn check_fd(fd: BorrowedFd<'_>) -> Result<()> {
        match seccomp::id_valid(fd, 0) {
            Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
            Err(errno @ Errno(libc::EBADF)) => Err(Error::with_errno(
                Status::InvalidArgument,
                errno,
                format!("descriptor {} is not open", fd.as_raw_fd()),
            )),
            Err(errno) => Err(Error::with_errno(
                Status::InvalidArgument,
                errno,
                format!("descriptor {} is not a seccomp listener", fd.as_raw_fd()),
            )),
        }
    }

    /// Takes a duplicate of a listener that another process holds as `target_fd`
    /// (`pidfd_open(2)`, `pidfd_getfd(2)`; Linux 5.6).
    ///
    /// # Errors
    /// [`Status::Permission`] without the right to trace that process; [`Status::System`] with
    /// `ESRCH` when it does not exist; [`Status::InvalidArgument`] when it has no such descriptor
    /// or it is not a listener; [`Status::Unsupported`] on an older kernel.
    pub fn from_pid(pid: libc::pid_t, target_fd: RawFd) -> Result<Self> {
        let process = pidfd::open(pid, 0)
            .map_err(|e| Error::system(e, &format!("open a pidfd for process {pid}")))?;
        let fd = pidfd::getfd(process.as_fd(), target_fd).map_err(|e| {
            Error::system(e, &format!("get descriptor {target_fd} of process {pid}"))
        })?;
        Self::from_fd(fd)
    }

    /// Gives the descriptor back if no notification holds it, else a duplicate of it: in both
    /// cases one that is the caller's.
    ///
    /// # Errors
    /// [`Status::System`] when the process is out of descriptors.
    pub fn into_fd(self) -> Result<OwnedFd> {
        match Arc::try_unwrap(self.shared.into_shared()) {
            Ok(shared) => Ok(shared.into_fd()),
            Err(shared) => shared.duplicate_fd().map_err(|e| {
                Error::system(
                    Errno(e.raw_os_error().unwrap_or(libc::EIO)),
                    "duplicate the listener",
                )
            }),
        }
    }

    /// Waits for the next notification and allocates for it.
    ///
    /// # Errors
    /// See [`Listener::receive_into`].
    pub fn receive(&self) -> Result<Notification> {
        self.receive_new(None)
    }

    /// [`Listener::receive`] with a time limit; zero only looks.
    ///
    /// # Errors
    /// See [`Listener::receive_into`].
    pub fn receive_timeout(&self, limit: Duration) -> Result<Notification> {
        self.receive_new(Some(limit))
    }

    fn receive_new(&self, limit: Option<Duration>) -> Result<Notification> {
        let mut notification = Notification::vacant()?;
        self.receive_into(&mut notification, limit)?;
        Ok(notification)
    }

    /// One notification after the other, each as [`Listener::receive`] waits for it, until the last
    /// target has exited: where that says [`Status::Closed`], the iteration ends. Other errors are
    /// given, and the iteration goes on with the next call, which may succeed.
    ///
    /// ```
    /// use unotify::{ScmpAction, ScmpFilterContext, ScmpSyscall, Spawn};
    ///
    /// let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
    /// filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("getppid")?)?;
    /// let mut child = Spawn::new(&filter, "sh").args(["-c", "test $PPID = 1234"]).spawn()?;
    /// for call in child.take_listener().unwrap().incoming() {
    ///     call?.reply_value(1234)?;
    /// }
    /// assert!(child.wait()?.success());
    /// # Ok::<(), unotify::Error>(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            listener: self,
            closed: false,
        }
    }

    /// Waits for the next notification and puts it into an existing one, which costs no
    /// allocation. What that one held before gets the fallback error if nobody answered it.
    ///
    /// One thread at a time waits in the kernel (`SECCOMP_IOCTL_NOTIF_RECV`, which would wake
    /// every waiting thread for each notification); the others queue here. Interrupted calls are
    /// retried, targets that died while their call was fetched are passed over.
    ///
    /// `limit` of `None` waits without limit, zero only looks. Who receives through another descriptor of
    /// the same listener, here or in another process, may take what this call was told of. It then waits
    /// for one more, whatever its limit, and before Linux 6.11 also when the last target has ended.
    ///
    /// So that [`Listener::set_interrupted`] can end it, the first call in a process reserves `SIGSTKFLT`
    /// (unless the program handles it itself) and the first on a thread unblocks it there.
    ///
    /// # Errors
    /// [`Status::Timeout`] when the limit passed; [`Status::Closed`] when the last target has
    /// exited (told by kernels since 5.9); [`Status::Stopped`] while the listener is
    /// [interrupted](Listener::set_interrupted); [`Status::System`] for anything else the kernel says.
    pub fn receive_into(
        &self,
        notification: &mut Notification,
        limit: Option<Duration>,
    ) -> Result<()> {
        if limit.is_none() && self.receive_at_once(notification) {
            return Ok(());
        }
        self.receive_with(notification, limit, ReceiveFlags::empty())
    }

    /// Waits for the next notification without a limit, if nothing stands in the way of doing so at
    /// once; whether it came. If not, nothing has happened, and [`Listener::receive_with`] does all
    /// there is to do.
    #[inline(always)]
    pub(crate) fn receive_at_once(&self, notification: &mut Notification) -> bool {
        let shared = &**self.shared;
        if !notification.is_ready_for(&self.shared) {
            return false;
        }
        let process = Process::current_if_known();
        let thread = interrupt::Ready::of_thread(process);
        thread.is_some_and(|thread| notification.fill_at_once(shared, &thread, process))
    }

    /// [`Listener::receive_into`] with flags.
    ///
    /// # Errors
    /// As there; [`Status::Interrupted`] with [`ReceiveFlags::RETURN_ON_SIGNAL`].
    pub fn receive_with(
        &self,
        notification: &mut Notification,
        limit: Option<Duration>,
        flags: ReceiveFlags,
    ) -> Result<()> {
        let deadline = limit.and_then(|l| Instant::now().checked_add(l));
        let until_signal = flags.contains(ReceiveFlags::RETURN_ON_SIGNAL);
        let shared = &**self.shared;
        notification.rebind(&self.shared);
        shared.switch_what_is_due();
        let _held = shared
            .receive_lock()
            .lock(deadline, until_signal)
            .map_err(|denied| Error::plain(denied.into()))?;
        let receiver = interrupt::Receiver::of_thread();
        let poll_first = deadline.is_some()
            || until_signal
            || !version::recv_ends_with_last_target()
            || !receiver.can_be_interrupted();
        let interrupted = || shared.is_interrupted();
        loop {
            let polled = if poll_first {
                shared.poll(&receiver, deadline)
            } else {
                Ok(Some(fd::Ready::READABLE))
            };
            let errno = match polled {
                Ok(None) => return Err(Error::plain(Status::Timeout)),
                Ok(Some(ready)) if !ready.readable => return Err(Error::plain(Status::Closed)),
                Ok(Some(_)) => {
                    match notification.fill_interruptibly(&receiver, shared.mark(), interrupted) {
                        Ok(()) => return Ok(()),
                        Err(errno) => errno,
                    }
                }
                Err(errno @ Errno(libc::EINTR)) => errno,
                Err(errno) => return Err(Error::system(errno, "wait for the listener")),
            };
            if let Some(error) = shared.explain_recv(errno) {
                return Err(error);
            }
            if shared.is_interrupted() {
                return Err(Error::plain(Status::Stopped));
            }
            if until_signal && errno == Errno(libc::EINTR) {
                return Err(Error::plain(Status::Interrupted));
            }
        }
    }

    /// Interrupts receiving (`on`), or allows it again: receives that are under way on any thread,
    /// and later ones, end with [`Status::Stopped`] until it is switched off. No notification is
    /// lost: what is pending stays so, and one that was just received is returned.
    ///
    /// From any thread, and from a signal handler: it allocates nothing, takes no lock and calls
    /// async-signal-safe functions only. A supervisor that serves the listener takes no notice of
    /// it. It reaches the receives of this process through this listener; a copy of the descriptor
    /// in another one is not interrupted.
    ///
    /// A blocked thread is reached by `SIGSTKFLT`. Where the program handles that signal itself,
    /// receives look up every 20 ms instead. Do not block it on a thread that receives.
    pub fn set_interrupted(&self, on: bool) {
        self.shared.set_interrupted(on);
    }

    /// Switches synchronous wake-up on or off (`SECCOMP_IOCTL_NOTIF_SET_FLAGS`): on, the kernel
    /// runs the woken side at once on the same processor. It is on by default where there is one.
    ///
    /// # Errors
    /// [`Status::Unsupported`] on a kernel before 6.6.
    pub fn set_sync_wake_up(&self, on: bool) -> Result<()> {
        let set = self.shared.set_sync_wake_up(on);
        set.map_err(|errno| match errno.0 {
            libc::EINVAL | libc::ENOTTY => Error::with_errno(
                Status::Unsupported,
                Errno(libc::ENOSYS),
                "synchronous wake-up takes Linux 6.6",
            ),
            _ => Error::system(errno, "set the listener's flags"),
        })
    }

    /// Chooses the error number (positive) that a notification gets which is dropped unanswered;
    /// `ENOSYS` at first.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a number outside 1 to 4095.
    pub fn set_fallback_error(&self, errnum: i32) -> Result<()> {
        crate::notification::check_errnum(errnum)?;
        self.shared.set_fallback(errnum);
        Ok(())
    }

    /// Attaches a number to the listener that its notifications show as
    /// [`Notification::tag`]; 0 at first.
    pub fn set_tag(&self, tag: usize) {
        self.shared.set_tag(tag);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TimeIsUp => Status::Timeout,
            Denied::Barred => Status::Stopped,
            Denied::Interrupted => Status::Interrupted,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.fd().as_raw_fd()
    }
}

/// Takes over a descriptor that came from elsewhere: [`Listener::from_fd`].
impl TryFrom<OwnedFd> for Listener {
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Self> {
        Listener::from_fd(fd)
    }
}

/// Gives the descriptor back: [`Listener::into_fd`].
impl TryFrom<Listener> for OwnedFd {
    type Error = Error;

    fn try_from(listener: Listener) -> Result<Self> {
        listener.into_fd()
    }
}

/// What [`Listener::incoming`] gives.
#[derive(Debug)]
#[must_use = "nobody receives before it is iterated over"]
pub struct Incoming<'a> {
    listener: &'a Listener,
    closed: bool,
}

impl Iterator for Incoming<'_> {
    type Item = Result<Notification>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.closed {
            return None;
        }
        let received = self.listener.receive();
        self.closed = matches!(&received, Err(error) if error.status() == Status::Closed);
        if self.closed {
            None
        } else {
            Some(received)
        }
    }
}

impl FusedIterator for Incoming<'_> {}
