//! The thread that starts the child.
//!
//! It has a descriptor table of its own. Before the child is cloned, the thread arranges in it
//! what the program is to have; then it shares the table with the child, which is how it comes by
//! the listener; when the listener is there, it sends it to the caller and takes it out of the table,
//! so that the child does not hold its own listener open while its `execve` waits. What the thread
//! opens is never seen by another thread of the process, so it never leaks into a child that somebody
//! else starts at the same time.
//!
//! Until the caller has the listener, it may be that the child alone holds it should this process
//! be killed. Its `execve` would then wait for ever. So until then, and until the caller knows what
//! became of the `execve`, the child is killed with this process, by a [`guard`].

use super::files::{self, Move};
use crate::error::{Error, Status};
use crate::install;
use crate::kernel::child::{self, Progress, Stage};
use crate::kernel::guard::{self, Keeper};
use crate::kernel::pid_namespace::{self, PidNamespace};
use crate::kernel::process::{self, Handle};
use crate::kernel::room::{Launch, Room};
use crate::kernel::{self, fd_table, signals, socket, Errno};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The stack of the thread, which does little.
const STACK: usize = 256 * 1024;

/// How long to sleep before looking whether a child that does not tell has died.
const PATIENCE: Duration = Duration::from_millis(10);

/// How often to look, at once, for a listener that is about to be there.
const LOOKS: u32 = 200;

/// What the thread is to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) launch: Arc<Launch>,
    pub(super) moves: Vec<Move>,
    /// Whether the child's `execve` may wait for somebody.
    pub(super) execve_waits: bool,
    /// Where the listener is sent.
    pub(super) socket: RawFd,
    /// The program, for messages.
    pub(super) name: String,
    /// Start it in a pid namespace of its own. It dies with its parent then.
    pub(super) pid_namespace: bool,
    /// Who follows what happens to it before its `execve`.
    pub(super) early: Option<Early>,
}

/// What somebody who stands in for a program does before that runs. It is called on another thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Early {
    /// The process is there: what the terminal sends to the group from now on, it gets.
    pub(crate) born: fn(),
    /// The process is stopped, by this signal. Whether it is to go on now.
    pub(crate) stopped: fn(i32, &Handle) -> bool,
}

/// Why there is no child.
#[derive(Debug)]
pub(super) enum Failure {
    Error(Error),
    /// A signal has killed it before its `execve`. It was reaped, with this wait status.
    Killed(i32),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// A child that waits in its `execve`, or is past it.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Handle,
    pub(super) listener: OwnedFd,
    pub(super) room: Room,
}

/// What the thread has to say of a child whose listener it has sent.
struct Launched {
    pid: libc::pid_t,
    room: Room,
    /// Of the guard, if there is one.
    keeper: Option<Keeper>,
}

/// Where the thread gets the child's room from.
type Rooms = Receiver<kernel::Result<Room>>;

/// Runs the job on a thread of its own, which sends the listener from one end of the pair of sockets
/// to the other. Of the thread nothing is left then but, if the child is to die with this process, the
/// thread itself.
pub(super) fn on_a_thread(job: Job, ours: OwnedFd, theirs: OwnedFd) -> Result<Started> {
    let (stays, name) = (job.launch.die_with_parent, job.name.clone());
    let (sender, receiver) = sync_channel(1);
    let (take, taken) = sync_channel(1);
    let (give, rooms) = sync_channel(1);
    let launch = Arc::clone(&job.launch);
    let thread = thread(move || work(&job, sender, &taken, &rooms))?;
    // While the thread gets ready.
    let _ = give.send(child::prepare(&launch));
    let launched = receiver.recv().unwrap_or_else(|_| {
        let panic = "the thread that starts programs panicked: please report this";
        Err(Error::new(Status::Panic, panic).into())
    });
    // Leaves numbers free for what is received.
    drop(theirs);
    let started = launched.and_then(|launched| take_over(&name, &ours, launched));
    let (started, keeper) = match started {
        Ok((started, keeper)) => (Ok(started), keeper),
        Err(error) => (Err(error), None),
    };
    if started.is_ok() {
        let _ = take.send(());
    }
    drop(take);
    if stays && started.is_ok() {
        // Hung up when the thread has nothing open any more.
        let _ = receiver.recv();
    } else {
        end_of(thread);
    }
    // Which has had time to end.
    drop(keeper);
    started
}

/// Takes the listener, waits until the fate of the `execve` is known or lies with the supervisor, and
/// calls the guard off. What fails leaves no child.
fn take_over(name: &str, ours: &OwnedFd, launched: Launched) -> Result<(Started, Option<Keeper>)> {
    let Launched {
        pid,
        room,
        mut keeper,
    } = launched;
    let mut pidfd = None;
    let done = await_execve(ours, keeper.as_mut(), &mut pidfd);
    let child = Handle::new(pid, pidfd);
    let done = done.and_then(|listener| match room.exec_error() {
        Some(errno) => Err(not_executed(name, errno)),
        None => Ok(listener),
    });
    match done {
        Ok(listener) => {
            let started = Started {
                child,
                listener,
                room,
            };
            Ok((started, keeper))
        }
        Err(error) => {
            child.put_down();
            Err(error.into())
        }
    }
}

/// Gives the listener, and the child's descriptor as soon as that is there.
fn await_execve(
    ours: &OwnedFd,
    keeper: Option<&mut Keeper>,
    pidfd: &mut Option<OwnedFd>,
) -> Result<OwnedFd, Error> {
    let received = socket::recv_fds(ours.as_fd(), &mut [0])
        .map_err(|e| Error::system(e, "take over the listener"))?;
    let (listener, exec_ends, guard_end) = match (received.fds, &keeper) {
        ([Some(listener), Some(exec_ends), Some(guard_end), last], Some(_)) => {
            *pidfd = last;
            (listener, exec_ends, Some(guard_end))
        }
        ([Some(listener), Some(exec_ends), last, None], None) => {
            *pidfd = last;
            (listener, exec_ends, None)
        }
        _ => return Err(Error::new(Status::System, "the listener was lost")),
    };
    fd_table::wait_either([exec_ends.as_fd(), listener.as_fd()])
        .map_err(|e| Error::system(e, "wait for the program"))?;
    if let (Some(end), Some(keeper)) = (guard_end, keeper) {
        guard::disarm(end.as_fd()).map_err(|e| Error::system(e, "call the guard off"))?;
        keeper.release();
    }
    Ok(listener)
}

/// A thread that tells its own number at its end.
type Thread = JoinHandle<libc::pid_t>;

fn thread(body: impl FnOnce() + Send + 'static) -> Result<Thread, Error> {
    let builder = thread::Builder::new()
        .name("unotify-spawn".into())
        .stack_size(STACK);
    let thread = builder.spawn(move || {
        body();
        signals::thread_id()
    });
    thread.map_err(|error| {
        let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
        Error::system(errno, "start a thread")
    })
}

/// Waits until nothing is left of a thread.
fn end_of(thread: Thread) {
    if let Ok(id) = thread.join() {
        // Only then is its descriptor table gone.
        process::await_thread_end(id);
    }
}

fn own_table() -> Result<(), Error> {
    fd_table::unshare().map_err(|e| Error::system(e, "get a descriptor table of one's own"))
}

fn begin_namespace() -> Result<PidNamespace, Error> {
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

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    fd_table::pipe().map_err(|e| Error::system(e, "make a pipe"))
}

/// What kills the child with this process: who keeps one end of a pipe, and the other, for the child.
struct Guard {
    keeper: Keeper,
    end: OwnedFd,
}

impl Guard {
    fn start() -> Result<Self, Error> {
        // From here on, dropped, only the keeper's table has the other end.
        let (end, _kept) = pipe()?;
        let keeper = Keeper::start().map_err(|e| Error::system(e, "start a thread"))?;
        Ok(Guard { keeper, end })
    }
}

/// Starts the child and sends what the caller needs of it. If it is to die with this process, stays
/// with it once the caller has `taken` that.
fn work(job: &Job, sender: SyncSender<Result<Launched>>, taken: &Receiver<()>, rooms: &Rooms) {
    let mut namespace = None;
    let (child, launched) = match launch(job, rooms, &mut namespace) {
        Ok(launched) => launched,
        Err(error) => {
            if let Some(namespace) = namespace {
                namespace.kill();
            }
            let _ = sender.send(Err(error));
            return;
        }
    };
    let _ = sender.send(Ok(launched));
    if !job.launch.die_with_parent {
        return;
    }
    if taken.recv().is_err() {
        // The caller has put it down.
        if let Some(namespace) = namespace {
            namespace.kill();
        }
        return;
    }
    fd_table::close_all_but(child.pidfd().map(|fd| fd.as_raw_fd()));
    drop(sender);
    // However that ends, the child does not need this thread any more.
    let _ = child.await_end();
    if let Some(namespace) = namespace {
        namespace.finish();
    }
}

/// Starts the child and sends its listener.
fn launch(
    job: &Job,
    rooms: &Rooms,
    namespace: &mut Option<PidNamespace>,
) -> Result<(Handle, Launched)> {
    own_table()?;
    let socket = files::arrange(&job.moves, job.socket)?;
    if job.pid_namespace {
        *namespace = Some(begin_namespace()?);
    }
    let guard = if job.launch.die_with_parent {
        None
    } else {
        Some(Guard::start()?)
    };
    // After the guard's table was copied: there this would never be closed.
    let exec = pipe()?;
    let guard_end = guard.as_ref().map(|guard| guard.end.as_raw_fd());
    let room = rooms.recv().unwrap_or(Err(Errno(libc::ENOMEM)));
    let (child, room) = room
        .and_then(|room| child::start(&job.launch, room, guard_end))
        .map_err(|e| Error::system(e, "start a process"))?;
    if let Some(early) = &job.early {
        (early.born)();
    }
    match hand_over(job, &child, &room, &socket, exec, guard.as_ref()) {
        Ok(()) => {
            let launched = Launched {
                pid: child.pid(),
                room,
                keeper: guard.map(|guard| guard.keeper),
            };
            Ok((child, launched))
        }
        Err(failure) => {
            child.put_down();
            Err(failure)
        }
    }
}

/// Sends the child's listener to the caller, with what tells of its `execve`, what kills it, and its
/// descriptor.
fn hand_over(
    job: &Job,
    child: &Handle,
    room: &Room,
    socket: &OwnedFd,
    (exec_ends, exec_pending): (OwnedFd, OwnedFd),
    guard: Option<&Guard>,
) -> Result<()> {
    // While the child gets ready.
    let others = if job.execve_waits {
        files::listeners()
    } else {
        Vec::new()
    };
    let listener = await_listener(job, child, room)?;
    // Its own may have been there already.
    for other in others.into_iter().filter(|&other| other != listener) {
        fd_table::close(other);
    }
    let guard_end = guard.map(|guard| guard.end.as_raw_fd());
    let pidfd = child.pidfd().map(|fd| fd.as_raw_fd());
    let fds = [listener, exec_ends.as_raw_fd()].into_iter();
    let fds: Vec<RawFd> = fds.chain(guard_end).chain(pidfd).collect();
    let sent = socket::send_fds(socket.as_fd(), b"L", &fds);
    fd_table::close(listener);
    sent.map_err(|e| Error::system(e, "hand the listener over"))?;
    if job.launch.die_with_parent {
        // This thread stays, and must not keep open what the child's `execve` closes.
        own_table()?;
    } else {
        // The child's, close-on-exec, in the table that is the child's alone when this thread has ended.
        let _ = exec_pending.into_raw_fd();
    }
    Ok(())
}

/// Waits for the child to install the filter and gives the listener's number.
fn await_listener(job: &Job, child: &Handle, room: &Room) -> Result<RawFd> {
    let mut looks = 0;
    loop {
        match room.progress() {
            Progress::Listening(number) => return Ok(number),
            Progress::Failed(stage, errno) => return Err(explain(job, stage, errno).into()),
            Progress::Starting => room.sleep_while_starting(PATIENCE),
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
        if ended && matches!(room.progress(), Progress::Starting | Progress::Installing) {
            return Err(died_early(&job.name, child));
        }
        if let Some(early) = &job.early {
            follow_stop(child, early);
        }
    }
}

/// A child that is stopped as soon as its signals are unblocked: whoever stands in for it stops too.
fn follow_stop(child: &Handle, early: &Early) {
    let Some(signal) = child.has_stopped() else {
        return;
    };
    if (early.stopped)(signal, child) {
        let _ = child.kill(libc::SIGCONT);
    }
}

/// What is to be said of a child that has ended before it told anything. By `SIGSYS` nobody outside has
/// killed it, but a filter that it has from this process.
fn died_early(name: &str, child: &Handle) -> Failure {
    let how = match child.reap() {
        Ok(Some(status)) if libc::WIFSIGNALED(status) => match libc::WTERMSIG(status) {
            libc::SIGSYS => "was killed by a filter of this process's before it could execute it",
            _ => return Failure::Killed(status),
        },
        _ => "has ended before it could execute it",
    };
    let message = format!("the process for `{name}` {how}");
    Error::with_errno(Status::System, Errno(libc::ECANCELED), message).into()
}

/// The error for who cannot be told of a signal in another way.
pub(super) fn killed(name: &str, status: i32) -> Error {
    let signal = libc::WTERMSIG(status);
    let message = format!(
        "the process for `{name}` was killed by signal {signal} before it could execute it"
    );
    Error::with_errno(Status::System, Errno(libc::ECANCELED), message)
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
        Stage::Program => not_executed(&job.name, errno),
        Stage::NoNewPrivs => Error::system(errno, "set no_new_privs"),
        Stage::Filter => install::explain(errno, job.launch.filter_flags),
    }
}

fn not_executed(name: &str, errno: Errno) -> Error {
    Error::system(errno, &format!("execute `{name}`"))
}
