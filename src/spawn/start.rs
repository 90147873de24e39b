//! The thread that starts the child.
//!
//! It has a descriptor table of its own. Before the child is cloned, the thread arranges in it
//! what the program is to have; then it shares the table with the child, which is how it comes by
//! the listener; when the listener is there, it takes it out of the table, so that the child does
//! not hold its own listener open while its `execve` waits; then it takes a copy of the table and
//! leaves the other to the child. What it opens is never seen by another thread of the process, so it never leaks into
//! a child that somebody else starts at the same time.

use super::files::{self, Move};
use crate::error::{Error, Result, Status};
use crate::kernel::handover::{self, Launch, Page, Progress, Stage};
use crate::kernel::{self, process, socket, Errno};
use crate::load;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Room for the thread, which does little.
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
}

/// Runs the job on a thread of its own and gives the child's process id. The listener is waiting
/// in the socket then, and of the thread nothing is left but, if the child is to die with this
/// process, the thread itself.
pub(super) fn on_a_thread(job: Job) -> Result<libc::pid_t> {
    let stays = job.launch.die_with_parent;
    let (sender, receiver) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("unotify-spawn".into())
        .stack_size(STACK)
        .spawn(move || work(job, &sender))
        .map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(libc::EAGAIN));
            Error::system(errno, "start a thread")
        })?;
    let result = receiver.recv();
    if !stays || !matches!(result, Ok((_, Ok(_)))) {
        let _ = thread.join();
    }
    match result {
        Ok((id, result)) => {
            if !stays || result.is_err() {
                // Only then is its copy of the descriptor table gone.
                process::await_thread_end(id);
            }
            result
        }
        Err(_) => Err(Error::new(
            Status::Panic,
            "the thread that starts programs panicked: please report this",
        )),
    }
}

fn work(job: Job, sender: &SyncSender<(libc::pid_t, Result<libc::pid_t>)>) {
    let stays = job.launch.die_with_parent;
    let result = launch(&job);
    drop(job);
    let started = result.as_ref().ok().copied();
    if stays && started.is_some() {
        kernel::fd_table::close_all();
    }
    let _ = sender.send((process::thread_id(), result));
    if let (true, Some(pid)) = (stays, started) {
        // However that ends, the child does not need this thread any more.
        let _ = process::await_end(pid);
    }
}

fn launch(job: &Job) -> Result<libc::pid_t> {
    kernel::fd_table::unshare()
        .map_err(|e| Error::system(e, "get a descriptor table of one's own"))?;
    let socket = files::arrange(&job.moves, job.socket)?;
    let mail = socket::pair().map_err(|e| Error::system(e, "make a socket pair"))?;
    let (exec_ends, exec_pending) =
        kernel::fd_table::pipe().map_err(|e| Error::system(e, "make a pipe"))?;
    let pid =
        handover::start(&job.launch, &job.page).map_err(|e| Error::system(e, "start a process"))?;
    let result = hand_over(job, pid, &socket, &mail, &exec_ends, exec_pending);
    if result.is_err() {
        process::put_down(pid);
    }
    result.map(|()| pid)
}

/// Fetches the listener of the child, waits until the fate of its `execve` is known or lies with
/// the supervisor, and sends the listener.
fn hand_over(
    job: &Job,
    pid: libc::pid_t,
    socket: &OwnedFd,
    mail: &(OwnedFd, OwnedFd),
    exec_ends: &OwnedFd,
    exec_pending: OwnedFd,
) -> Result<()> {
    let (near, far) = mail;
    let number = await_listener(job, pid)?;
    // A message in flight is the one place that is in neither table.
    let mailed = socket::send_fd(far.as_fd(), b"L", number);
    kernel::fd_table::close(number);
    mailed.map_err(|e| Error::system(e, "take the listener"))?;
    kernel::fd_table::unshare().map_err(|e| Error::system(e, "copy the descriptor table"))?;
    let listener = socket::recv_fd(near.as_fd(), &mut [0])
        .and_then(|received| received.fd.ok_or(Errno(libc::EMFILE)))
        .map_err(|e| Error::system(e, "take the listener"))?;
    // The other copy is the child's, close-on-exec.
    drop(exec_pending);
    kernel::fd_table::wait_either([exec_ends.as_fd(), listener.as_fd()])
        .map_err(|e| Error::system(e, "wait for the program"))?;
    if let Some(errno) = job.page.exec_error() {
        return Err(not_executed(job, errno));
    }
    socket::send_fd(socket.as_fd(), b"L", listener.as_raw_fd())
        .map_err(|e| Error::system(e, "hand the listener over"))
}

/// Waits for the child to install the filter and gives the listener's number.
fn await_listener(job: &Job, pid: libc::pid_t) -> Result<RawFd> {
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
        let ended = process::has_ended(pid) != Ok(false);
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
        Stage::Filter => load::explain(errno, job.launch.filter_flags),
    }
}

fn not_executed(job: &Job, errno: Errno) -> Error {
    Error::system(errno, &format!("execute `{}`", job.name))
}
