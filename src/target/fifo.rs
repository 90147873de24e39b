//! Opening what has to wait for somebody: a FIFO for its other end.
//!
//! Nothing but an open that waits does what an open that waits does: to others, its FIFO has a reader
//! or a writer from the moment it begins, and no descriptor can be polled for the other end, as there
//! is none yet. So **a thread of its own opens it, as the target would**, and answers. One such open
//! takes one thread, which sleeps; it takes no worker of a supervisor.
//!
//! Another thread, the *attendant*, one for all such opens of the process, looks after the targets
//! meanwhile: one that is gone, or that a signal waits for (see [`super::interruption`]), ends its
//! open. It gets the thread out of there as a receiving thread is got out ([`interrupt`]). If what was
//! waited for came in the same moment, the open has succeeded, and the target has it.

use super::create::no_thread;
use super::interruption;
use super::open_how::{Asked, OpenHow};
use super::reopen::explain_reopen;
use crate::error::{Error, Result, Status};
use crate::kernel::fork::Process;
use crate::kernel::interrupt::{Mark, Receiver};
use crate::kernel::{file, interrupt, seccomp, signals, Errno};
use crate::lock::lock;
use crate::notification::Notification;
use crate::shared::Shared;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How many opens may wait at the same time in a process.
const MAX_WAITING: usize = 1024;

/// How often the attendant looks after the targets, and how long it may take it at most for each in
/// the long run: a look takes some microseconds.
const INTERVAL: Duration = Duration::from_millis(10);
const INTERVAL_EACH: Duration = Duration::from_micros(500);

const STACK: usize = 128 * 1024;

/// The target waits.
const WAITS: u8 = 0;
/// It does not any more.
const GONE: u8 = 1;
/// A signal waits for it.
const SIGNALLED: u8 = 2;

impl Notification {
    /// Opens the file that `fd` stands for as [`Notification::reopen`] does, and answers the target
    /// with it as [`Notification::reply_fd`] does, close-on-exec if `flags` say so. **What has to wait
    /// for somebody waits, without the caller**: a FIFO for its other end, a file for a lease on it to
    /// be given up. A thread of the library's opens it then as the target would, and answers. The
    /// wait ends with the target, and with a signal that would end it in the target
    /// ([`Notification::reply_interrupted`]; 10 to 20 ms later).
    ///
    /// Nothing waits, and a FIFO is opened as [`Notification::reopen`] opens it, where the program has
    /// a handler of its own for `SIGSTKFLT`, which ends the wait.
    ///
    /// On success the notification is answered, or is empty as after [`Notification::take`], and
    /// counts as deferred while the open waits. `fd` remains the caller's.
    ///
    /// # Errors
    /// As [`Notification::reopen`] and [`Notification::reply_fd`], and the target goes on waiting
    /// unless it is gone; [`Status::System`] with `EAGAIN` when 1,024 opens wait, or the system has
    /// no thread.
    pub fn reply_open(&mut self, fd: BorrowedFd<'_>, flags: i32, mode: u32) -> Result<()> {
        let cloexec = flags & libc::O_CLOEXEC != 0;
        if self.begins_to_wait(fd, flags)? {
            return Ok(());
        }
        match self.reopen(fd, flags, mode) {
            Ok(opened) => self.reply_fd(opened.as_fd(), cloexec).map(drop),
            // A lease, or a FIFO that nobody reads.
            Err(error)
                if may_wait(flags) && matches!(error.errno(), libc::EAGAIN | libc::ENXIO) =>
            {
                let kind = file::stat(fd).map_err(explain_reopen)?.kind();
                let waits_for = match kind {
                    libc::S_IFIFO => libc::ENXIO,
                    libc::S_IFREG => libc::EAGAIN,
                    _ => return Err(error),
                };
                if error.errno() != waits_for || interrupt::signal().is_none() {
                    return Err(error);
                }
                self.wait_to_open(fd, flags)
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves it to a thread to open this, if an open without waiting would not tell that it is to
    /// wait.
    fn begins_to_wait(&mut self, fd: BorrowedFd<'_>, flags: i32) -> Result<bool> {
        let reads = flags & libc::O_ACCMODE == libc::O_RDONLY;
        if !reads || !may_wait(flags) {
            return Ok(false);
        }
        self.pending_on()?;
        // One without a name is some process's pipe, and opening it does not wait.
        let stat = file::stat(fd).map_err(explain_reopen)?;
        let waits = stat.kind() == libc::S_IFIFO
            && !file::is_pipe(fd).map_err(explain_reopen)?
            && interrupt::signal().is_some();
        if waits {
            self.wait_to_open(fd, flags)?;
        }
        Ok(waits)
    }

    fn wait_to_open(&mut self, fd: BorrowedFd<'_>, flags: i32) -> Result<()> {
        let tid = self.target()?;
        self.check_valid()?;
        let asked = Asked {
            how: OpenHow::new(flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW)),
            umask: 0,
        };
        let flags = asked.kernel_how().flags as i32 & !libc::O_NONBLOCK;
        let file = fd.try_clone_to_owned().map_err(|error| {
            Error::system(Errno(error.raw_os_error().unwrap_or(0)), "duplicate")
        })?;
        let open = Open {
            file,
            flags,
            cloexec: asked.how.flags & libc::O_CLOEXEC != 0,
        };
        let Some((listener, id)) = self.waits_on() else {
            return Err(Error::plain(Status::Answered));
        };
        let attended = Attendant::current().attend(Wait {
            listener,
            id,
            tid,
            mark: Mark::default(),
            state: AtomicU8::new(WAITS),
        })?;
        // It is given the notification once there is somebody to take it.
        let given = Arc::new(Mutex::new(None));
        let mut giving = lock(&given);
        let taking = Arc::clone(&given);
        let body = move || {
            let notification = lock(&taking).take();
            if let Some(notification) = notification {
                signals::block_all();
                open.answer(notification, &attended);
            }
        };
        thread::Builder::new()
            .name("unotify-open".into())
            .stack_size(STACK)
            .spawn(body)
            .map_err(|error| no_thread(&error))?;
        *giving = Some(self.hand_over()?);
        Ok(())
    }
}

/// Whether an open with these flags is one that waits.
pub(super) fn may_wait(flags: i32) -> bool {
    flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
}

/// What is to be opened, and how.
struct Open {
    file: OwnedFd,
    flags: i32,
    cloexec: bool,
}

impl Open {
    /// Opens it, however long that takes, and answers with it.
    fn answer(&self, mut notification: Notification, attended: &Attended) {
        let wait = &attended.0;
        let receiver = Receiver::of_thread();
        let opened = loop {
            let is_over = || wait.state.load(SeqCst) != WAITS;
            match receiver.open(&wait.mark, self.file.as_fd(), self.flags, is_over) {
                Err(Errno(libc::EINTR)) if !is_over() => {}
                other => break other,
            }
        };
        // An answer fails if the target is gone, which is nobody's business, or if it may not have
        // more descriptors, which it is to hear.
        let answered = match (opened, wait.state.load(SeqCst)) {
            (Ok(opened), _) => {
                let given = notification.reply_fd(opened.as_fd(), self.cloexec);
                given.map_err(|error| error.errno())
            }
            (Err(Errno(libc::EINTR)), SIGNALLED) => {
                let _ = notification.interrupt();
                Ok(0)
            }
            (Err(errno), _) => Err(errno.0),
        };
        if let Err(errno) = answered {
            let _ = notification.reply_error(errno);
        }
    }
}

/// An open that waits.
#[derive(Debug)]
struct Wait {
    listener: Arc<Shared>,
    id: u64,
    tid: libc::pid_t,
    mark: Mark,
    state: AtomicU8,
}

impl Wait {
    /// Looks after the target.
    fn look(&self) {
        // Whatever else it says: nobody can be answered through this listener.
        if seccomp::id_valid(self.listener.fd(), self.id).is_err() {
            self.end(GONE);
            return;
        }
        let signalled = interruption::is_signalled(self.tid).unwrap_or(false);
        // Of the target, if it waits still.
        if signalled && seccomp::id_valid(self.listener.fd(), self.id).is_ok() {
            self.end(SIGNALLED);
        }
    }

    /// Ends the open, if it has not ended by itself.
    fn end(&self, state: u8) {
        self.state.store(state, SeqCst);
        self.mark.interrupt();
    }
}

/// Who looks after those that wait.
#[derive(Debug)]
struct Attendant {
    /// In a copy of the process there is no such thread.
    made_in: Process,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    all: Vec<Arc<Wait>>,
    /// Whether there is a thread for them.
    attended: bool,
}

/// A wait that is looked after until this is dropped.
#[derive(Debug)]
struct Attended(Arc<Wait>);

impl Drop for Attended {
    fn drop(&mut self) {
        let mut waits = lock(&Attendant::current().waits);
        waits.all.retain(|wait| !Arc::ptr_eq(wait, &self.0));
    }
}

impl Attendant {
    /// This process's.
    fn current() -> &'static Attendant {
        static CURRENT: AtomicPtr<Attendant> = AtomicPtr::new(std::ptr::null_mut());
        let known = CURRENT.load(SeqCst);
        // SAFETY: null, or one that was leaked below.
        if let Some(attendant) = unsafe { known.as_ref() } {
            if attendant.made_in.is_current() {
                return attendant;
            }
        }
        let made = Box::into_raw(Box::new(Attendant {
            made_in: Process::current(),
            waits: Mutex::default(),
        }));
        match CURRENT.compare_exchange(known, made, SeqCst, SeqCst) {
            // SAFETY: nobody frees it.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: nobody else has seen ours, and nobody frees theirs.
                unsafe {
                    drop(Box::from_raw(made));
                    &*theirs
                }
            }
        }
    }

    fn attend(&'static self, wait: Wait) -> Result<Attended> {
        let mut waits = lock(&self.waits);
        if waits.all.len() >= MAX_WAITING {
            return Err(Error::with_errno(
                Status::System,
                Errno(libc::EAGAIN),
                format!("{MAX_WAITING} opens wait already"),
            ));
        }
        if !waits.attended {
            thread::Builder::new()
                .name("unotify-attend".into())
                .stack_size(STACK)
                .spawn(|| self.run())
                .map_err(|error| no_thread(&error))?;
            waits.attended = true;
        }
        let wait = Arc::new(wait);
        waits.all.push(Arc::clone(&wait));
        Ok(Attended(wait))
    }

    fn run(&self) {
        signals::block_all();
        loop {
            let all = {
                let mut waits = lock(&self.waits);
                if waits.all.is_empty() {
                    waits.attended = false;
                    return;
                }
                waits.all.clone()
            };
            for wait in &all {
                if wait.state.load(SeqCst) == WAITS {
                    wait.look();
                }
            }
            let each = INTERVAL_EACH * all.len() as u32;
            drop(all);
            thread::sleep(INTERVAL.max(each));
        }
    }
}
