//! The thread that starts the child.
//!
//! It has a descriptor table of its own. Before the child is cloned, the thread arranges in it
//! what the program is to have; then it shares the table with the child, which is how it comes by
//! the listener; when the listener is there, it takes it out of the table, so that the child does
//! not hold its own listener open while its `execve` waits; then it takes a copy of the table and
//! leaves the other to the child. What it opens is never seen by another thread of the process, so
//! it never leaks into a child that somebody else starts at the same time.
//!
//! Until the caller has the listener, it may be that the child alone holds it should this process
//! be killed. Its `execve` would then wait for ever. So until then the child is killed with this
//! process: by [`guard`], when the table of a second thread goes. It must be a table that no one
//! else shares or copies: neither the child, nor a process that another thread forks.

use super::files::{self, Move};
use crate::error::{Error, Result, Status};
use crate::install;
use crate::kernel::child::{self, Launch, Page, Progress, Stage};
use crate::kernel::pid_namespace::{self, PidNamespace};
use crate::kernel::process::{self, Handle};
use crate::kernel::{fd_table, guard, signals, socket, Errno};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The stacks of the threads, which do little.
const STACK: usize = 256 * 1024;

/// How long to sleep before looking whether a child that does not tell has died.
const PATIENCE: Duration = Duration::from_millis(10);

/// How often to look, at once, for a listener that is about to be there.
const LOOKS: u32 = 200;

/// What the thread is to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) launch: Launch,
    pub(super) page: Arc<Page>,
    pub(super) moves: Vec<Move>,
    /// Where the listener is sent.
    pub(super) socket: RawFd,
    /// The program, for messages.
    pub(super) name: String,
    /// Start it in a pid namespace of its own. It dies with its parent then.
    pub(super) pid_namespace: bool,
}

/// A child that waits in its `execve`, or is past it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Handle,
    pub(super) listener: OwnedFd,
}

/// What the thread has to say, and what it then waits to hear: that the caller has what was sent.
struct Line {
    sender: SyncSender<Result<libc::pid_t>>,
    taken: Receiver<()>,
}

/// Runs the job on a thread of its own, which sends the listener, and the child's descriptor, from
/// one end of the pair of sockets to the other. Of the thread nothing is left then but, if the
/// child is to die with this process, the thread itself.
pub(super) fn on_a_thread(job: Job, ours: OwnedFd, theirs: OwnedFd) -> Result<Started> {
    let stays = job.launch.die_with_parent;
    let (sender, receiver) = sync_channel(1);
    let (take, taken) = sync_channel(1);
    let line = Line { sender, taken };
    let thread = thread("unotify-spawn", move || work(job, line))?;
    let result = receiver.recv().unwrap_or_else(|_| {
        Err(Error::new(
            Status::Panic,
            "the thread that starts programs panicked: please report this",
        ))
    });
    // Leaves numbers free for what is received.
    drop(theirs);
    let result = result.and_then(|pid| {
        let received = socket::recv_fds(ours.as_fd(), &mut [0]);
        let received = received.map_err(|e| Error::system(e, "take over the listener"))?;
        match received.fds {
            [Some(listener), pidfd] => Ok(Started {
                child: Handle::new(pid, pidfd),
                listener,
            }),
            _ => Err(Error::new(Status::System, "the listener was lost")),
        }
    });
    if result.is_ok() {
        let _ = take.send(());
    }
    drop(take);
    if stays && result.is_ok() {
        // Hung up when the thread has nothing open any more.
        let _ = receiver.recv();
    } else if let Some(Some(guard)) = end_of(thread) {
        end_of(guard);
    }
    result
}

/// A thread that tells its own number at its end.
type Thread<T> = JoinHandle<(libc::pid_t, T)>;

fn thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>> {
    let builder = thread::Builder::new().name(name.into()).stack_size(STACK);
    let thread = builder.spawn(move || {
        let result = body();
        (signals::thread_id(), result)
    });
    thread.map_err(|error| {
        let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
        Error::system(errno, "start a thread")
    })
}

/// Waits until nothing is left of a thread. `None` if it panicked.
fn end_of<T>(thread: Thread<T>) -> Option<T> {
    let (id, result) = thread.join().ok()?;
    // Only then is its copy of the descriptor table gone.
    process::await_thread_end(id);
    Some(result)
}

fn own_table() -> Result<()> {
    fd_table::unshare().map_err(|e| Error::system(e, "get a descriptor table of one's own"))
}

fn begin_namespace() -> Result<PidNamespace> {
    pid_namespace::begin().map_err(|errno| match errno.0 {
        libc::EPERM => Error::with_errno(
            Status::Permission,
            errno,
            "a pid namespace takes CAP_SYS_ADMIN: start this as root, or in a user namespace of its own \
             (unshare --map-root-user)",
        ),
        _ => Error::system(errno, "begin a pid namespace"),
    })
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    fd_table::pipe().map_err(|e| Error::system(e, "make a pipe"))
}

/// A thread whose table has nothing in it but the end of a pipe that keeps the child alive.
struct Guard {
    thread: Thread<()>,
    /// The other end, for the child: see [`guard`].
    end: OwnedFd,
    /// The thread ends when this is dropped.
    over: SyncSender<()>,
}

/// A [`Guard`] that is getting ready.
struct GuardToBe {
    guard: Guard,
    ready: Receiver<Result<()>>,
    held: OwnedFd,
}

impl GuardToBe {
    fn start() -> Result<Self> {
        let (end, held) = pipe()?;
        let number = held.as_raw_fd();
        let (over, is_over) = sync_channel(0);
        let (tell, ready) = sync_channel(1);
        let thread = thread("unotify-guard", move || {
            // A copy of the table that the child will share.
            let own = own_table();
            let is_ready = own.is_ok();
            if is_ready {
                fd_table::close_all_but(Some(number));
            }
            let _ = tell.send(own);
            if is_ready {
                // Hangs up when it is over.
                let _: std::result::Result<(), _> = is_over.recv();
            }
        })?;
        let guard = Guard { thread, end, over };
        Ok(GuardToBe { guard, ready, held })
    }

    /// From here on only the guard's table keeps the child alive.
    fn finish(self) -> Result<Guard> {
        let ready = self.ready.recv().unwrap_or_else(|_| {
            Err(Error::new(
                Status::Panic,
                "the thread that guards a child panicked: please report this",
            ))
        });
        drop(self.held);
        match ready {
            Ok(()) => Ok(self.guard),
            Err(error) => {
                self.guard.end();
                Err(error)
            }
        }
    }
}

impl Guard {
    /// Lets the thread end.
    fn release(self) -> Thread<()> {
        drop(self.over);
        self.thread
    }

    fn end(self) {
        end_of(self.release());
    }
}

/// Starts the child and sees to it until the caller has its listener. Gives the guard, which is
/// about to end.
fn work(job: Job, line: Line) -> Option<Thread<()>> {
    let stays = job.launch.die_with_parent;
    let Line { sender, taken } = line;
    let mut namespace = None;
    let (child, guard) = match launch(job, &mut namespace) {
        Ok(launched) => launched,
        Err(error) => {
            if let Some(namespace) = namespace {
                namespace.kill();
            }
            let _ = sender.send(Err(error));
            return None;
        }
    };
    let told = sender.send(Ok(child.pid())).is_ok() && taken.recv().is_ok();
    let disarmed = guard
        .as_ref()
        .is_none_or(|guard| guard::disarm(guard.end.as_fd()).is_ok());
    if !told || !disarmed {
        child.put_down();
        if let Some(namespace) = namespace {
            namespace.kill();
        }
    } else if stays {
        fd_table::close_all_but(child.pidfd().map(|fd| fd.as_raw_fd()));
        drop(sender);
        // However that ends, the child does not need this thread any more.
        let _ = child.await_end();
        if let Some(namespace) = namespace {
            namespace.finish();
        }
    }
    guard.map(Guard::release)
}

/// Starts the child and sends its listener. Gives what kills it, to be disarmed.
fn launch(mut job: Job, namespace: &mut Option<PidNamespace>) -> Result<(Handle, Option<Guard>)> {
    own_table()?;
    let socket = files::arrange(&job.moves, job.socket)?;
    if job.pid_namespace {
        *namespace = Some(begin_namespace()?);
    }
    let to_be = if job.launch.die_with_parent {
        None
    } else {
        Some(GuardToBe::start()?)
    };
    // While the guard gets ready.
    let pairs = socket::pair()
        .map_err(|e| Error::system(e, "make a socket pair"))
        .and_then(|mail| Ok((mail, pipe()?)));
    let guard = to_be.map(GuardToBe::finish).transpose()?;
    job.launch.guard = guard.as_ref().map(|guard| guard.end.as_raw_fd());
    let started = pairs.and_then(|(mail, exec)| start(&job, &socket, &mail, exec));
    match started {
        Ok(child) => Ok((child, guard)),
        Err(error) => {
            if let Some(guard) = guard {
                guard.end();
            }
            Err(error)
        }
    }
}

/// Starts the child and sends its listener.
fn start(
    job: &Job,
    socket: &OwnedFd,
    mail: &(OwnedFd, OwnedFd),
    exec: (OwnedFd, OwnedFd),
) -> Result<Handle> {
    let child =
        child::start(&job.launch, &job.page).map_err(|e| Error::system(e, "start a process"))?;
    match hand_over(job, &child, socket, mail, exec) {
        Ok(()) => Ok(child),
        Err(error) => {
            child.put_down();
            Err(error)
        }
    }
}

/// Fetches the listener of the child, waits until the fate of its `execve` is known or lies with
/// the supervisor, and sends the listener.
fn hand_over(
    job: &Job,
    child: &Handle,
    socket: &OwnedFd,
    mail: &(OwnedFd, OwnedFd),
    (exec_ends, exec_pending): (OwnedFd, OwnedFd),
) -> Result<()> {
    let (near, far) = mail;
    let number = await_listener(job, child)?;
    // A message in flight is the one place that is in neither table.
    let mailed = socket::send_fds(far.as_fd(), b"L", &[number]);
    fd_table::close(number);
    mailed.map_err(|e| Error::system(e, "take the listener"))?;
    fd_table::unshare().map_err(|e| Error::system(e, "copy the descriptor table"))?;
    let received = socket::recv_fds(near.as_fd(), &mut [0])
        .map_err(|e| Error::system(e, "take the listener"))?;
    let [Some(listener)] = received.fds else {
        return Err(Error::new(Status::System, "the listener was lost"));
    };
    // The other copy is the child's, close-on-exec.
    drop(exec_pending);
    fd_table::wait_either([exec_ends.as_fd(), listener.as_fd()])
        .map_err(|e| Error::system(e, "wait for the program"))?;
    if let Some(errno) = job.page.exec_error() {
        return Err(not_executed(job, errno));
    }
    let pidfd = child.pidfd().map(|fd| fd.as_raw_fd());
    let fds: Vec<RawFd> = std::iter::once(listener.as_raw_fd()).chain(pidfd).collect();
    socket::send_fds(socket.as_fd(), b"L", &fds)
        .map_err(|e| Error::system(e, "hand the listener over"))
}

/// Waits for the child to install the filter and gives the listener's number.
fn await_listener(job: &Job, child: &Handle) -> Result<RawFd> {
    let mut looks = 0;
    loop {
        match job.page.progress() {
            Progress::Listening(number) => return Ok(number),
            Progress::Failed(stage, errno) => return Err(explain(job, stage, errno)),
            Progress::Starting => job.page.sleep_while_starting(PATIENCE),
            Progress::Installing => {
                looks += 1;
                if looks < LOOKS {
                    thread::yield_now();
                    continue;
                }
                thread::sleep(Duration::from_micros(50));
            }
        }
        // It may have told and ended in between.
        let ended = child.has_ended() != Ok(false);
        if ended
            && matches!(
                job.page.progress(),
                Progress::Starting | Progress::Installing
            )
        {
            return Err(Error::with_errno(
                Status::System,
                Errno(libc::ECANCELED),
                format!(
                    "the process for `{}` was killed before it could execute it",
                    job.name
                ),
            ));
        }
    }
}

fn explain(job: &Job, stage: Stage, errno: Errno) -> Error {
    match stage {
        Stage::Parent => Error::system(errno, "tie the child's life to this process"),
        Stage::Directory => {
            let directory = job.launch.directory.as_deref().unwrap_or_default();
            Error::system(
                errno,
                &format!("enter directory `{}`", directory.to_string_lossy()),
            )
        }
        Stage::Program => not_executed(job, errno),
        Stage::NoNewPrivs => Error::system(errno, "set no_new_privs"),
        Stage::Filter => install::explain(errno, job.launch.filter_flags),
    }
}

fn not_executed(job: &Job, errno: Errno) -> Error {
    Error::system(errno, &format!("execute `{}`", job.name))
}
