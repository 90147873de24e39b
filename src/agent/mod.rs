//! The agent that container runtimes hand listeners to.

mod connections;
mod container;
mod endpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hand_over;
mod options;
mod serve;
mod state;

use crate::error::{Error, Result, Status};
use crate::kernel::epoll::{Epoll, WakeFd};
use crate::kernel::fd;
use crate::kernel::fork::Process;
use crate::lock::lock;
use connections::Connections;
use endpoint::{Endpoint, Name};
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use container::Container;
pub use options::{AgentLog, AgentOptions};

/// Takes the listeners of containers from their runtimes: runc, crun, youki, and what else goes by the
/// OCI runtime specification.
///
/// A container's profile names a Unix socket (`listenerPath`). The runtime connects to it, sends what
/// it knows of the container as JSON with the listener's descriptor beside it, and the container goes
/// on: its notified calls wait for whoever has the listener. [`accept`](Agent::accept) gives a
/// [`Container`] for each.
///
/// A message is taken when its last brace has come, not at the end of the connection, for runc and crun
/// keep that open while the container waits. Connections are read beside each other, without a
/// thread: one that sends nothing, or too much, or what it should not, delays nobody and is refused,
/// with a sentence for [`AgentOptions::log`]. At most 256 are on their way at once.
///
/// May be shared between threads. In a copy of the process that `fork` has made it accepts nothing,
/// and dropping it there leaves the socket to the parent.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    epoll: Epoll,
    wake: WakeFd,
    interrupted: AtomicBool,
    connections: Mutex<Connections>,
    endpoint: Endpoint,
    /// The socket's name, to be removed at the end.
    name: Mutex<Option<Name>>,
    handed_over: AtomicBool,
    made_in: Process,
}

impl Agent {
    /// An agent with a socket of its own at `path`, with the permissions of
    /// [`AgentOptions::mode`]. A socket that is there already is replaced if it is this user's and
    /// nobody listens on it. When the agent is dropped its socket is removed.
    ///
    /// # Errors
    /// With `EADDRINUSE`: [`Status::Busy`] when somebody listens there, [`Status::Permission`] when
    /// there is another user's socket, [`Status::System`] when it is no socket. [`Status::InvalidArgument`]
    /// for options out of range and a path of more than 107 bytes; otherwise as the kernel says why
    /// no socket can be there.
    pub fn bind(path: impl AsRef<Path>, options: AgentOptions) -> Result<Self> {
        options.check()?;
        let (endpoint, name) = Endpoint::bind(path.as_ref(), options.mode)?;
        let agent = Agent::new(endpoint, options);
        if agent.is_err() {
            name.remove();
        }
        let agent = agent?;
        agent.own_name(Some(name));
        Ok(agent)
    }

    /// An agent on a Unix stream socket that listens already, which is made not to block. Its name
    /// remains somebody else's.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it is another kind of descriptor, and for options out of
    /// range. It is closed then.
    pub fn from_socket(socket: OwnedFd, options: AgentOptions) -> Result<Self> {
        options.check()?;
        Agent::new(Endpoint::of(socket)?, options)
    }

    /// An agent on the socket that systemd, or who does as it does, has passed to this process
    /// (`LISTEN_FDS`, see `sd_listen_fds(3)`): a single one. It can be taken once.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when not one was passed, or it is another kind of descriptor.
    pub fn from_environment(options: AgentOptions) -> Result<Self> {
        options.check()?;
        Agent::new(Endpoint::passed()?, options)
    }

    fn new(endpoint: Endpoint, options: AgentOptions) -> Result<Self> {
        let epoll = Epoll::new().map_err(|e| Error::system(e, "make an epoll descriptor"))?;
        let wake = WakeFd::new().map_err(|e| Error::system(e, "make an event descriptor"))?;
        let connections = Connections::new(&epoll, &endpoint, &wake)?;
        Ok(Agent {
            options,
            epoll,
            wake,
            interrupted: AtomicBool::new(false),
            connections: Mutex::new(connections),
            endpoint,
            name: Mutex::default(),
            handed_over: AtomicBool::new(false),
            made_in: Process::current(),
        })
    }

    /// Waits for the next container.
    ///
    /// # Errors
    /// [`Status::Stopped`] after [`interrupt`](Agent::interrupt); [`Status::Closed`] after it was
    /// [handed over](Agent::hand_over); [`Status::System`] when the socket is broken;
    /// [`Status::InvalidArgument`] in a copy of the process. A connection that brings no
    /// container is no error.
    pub fn accept(&self) -> Result<Container> {
        self.accept_unless(None, || false)
    }

    /// [`Agent::accept`] with a time limit; zero only looks, and never blocks: for event loops that
    /// watch [`AsFd`] of the agent for readability.
    ///
    /// # Errors
    /// As there; [`Status::Timeout`].
    pub fn accept_timeout(&self, limit: Duration) -> Result<Container> {
        // A limit that no clock reaches is none.
        self.accept_unless(Instant::now().checked_add(limit), || false)
    }

    /// One container after the other, each as [`accept`](Agent::accept) waits for it, until that is
    /// interrupted.
    pub fn containers(&self) -> Containers<'_> {
        Containers {
            agent: self,
            stopped: false,
        }
    }

    /// Waits for a container, until the deadline or until it is woken and something else is `over`.
    fn accept_unless(
        &self,
        deadline: Option<Instant>,
        over: impl Fn() -> bool,
    ) -> Result<Container> {
        self.check_process()?;
        loop {
            self.check_here()?;
            if over() || self.interrupted.swap(false, SeqCst) {
                return Err(Error::plain(Status::Stopped));
            }
            if let Some(container) = self.look()? {
                return Ok(container);
            }
            // Asked before the wait, which somebody who always has news would never let time out.
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::plain(Status::Timeout));
            }
            fd::poll(self.epoll.as_fd(), deadline)
                .map_err(|e| Error::system(e, "wait for connections"))?;
        }
    }

    /// Looks at what there is, and gives a container if one has come.
    fn look(&self) -> Result<Option<Container>> {
        let mut connections = lock(&self.connections);
        let looked = if connections.ready.is_empty() {
            connections.look(&self.epoll, &self.endpoint, &self.wake, &self.options)
        } else {
            Ok(())
        };
        let container = connections.ready.pop_front();
        if !connections.ready.is_empty() || self.interrupted.load(SeqCst) {
            // For the next, or another thread.
            self.wake.wake();
        }
        let refused = std::mem::take(&mut connections.refused);
        drop(connections);
        self.options.tell(&refused);
        match container {
            Some(container) => Ok(Some(container)),
            None => looked.map(|()| None),
        }
    }

    /// Ends the [`accept`](Agent::accept) that is under way, or else the next one at once. Of several
    /// threads that wait, one is told.
    ///
    /// From any thread and from a signal handler: it allocates nothing, takes no lock and calls
    /// async-signal-safe functions only.
    pub fn interrupt(&self) {
        if self.made_in.is_current() {
            self.interrupted.store(true, SeqCst);
            self.wake.wake();
        }
    }

    fn check_here(&self) -> Result<()> {
        if self.handed_over.load(SeqCst) {
            return Err(Error::new(Status::Closed, "the agent was handed over"));
        }
        Ok(())
    }

    /// From here on the socket's name is to be removed at the end, or not.
    fn own_name(&self, name: Option<Name>) {
        *lock(&self.name) = name;
    }

    /// Everything is another agent's now.
    fn is_handed_over(&self) {
        self.own_name(None);
        self.handed_over.store(true, SeqCst);
        self.wake.wake();
    }

    /// Refuses what a copy of the process must not do.
    fn check_process(&self) -> Result<()> {
        if self.made_in.is_current() {
            return Ok(());
        }
        Err(Error::new(
            Status::InvalidArgument,
            "the agent belongs to the process that this one was forked from",
        ))
    }
}

impl AsFd for Agent {
    /// Readable when [`Agent::accept_timeout`] has something to do, which may bring no container.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Agent {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Without the lock, which a thread may have held that a copy of the process does not have.
        let name = self.name.get_mut();
        let name = name.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(name) = name.filter(|_| self.made_in.is_current()) {
            name.remove();
        }
    }
}

/// What [`Agent::containers`] gives.
#[derive(Debug)]
#[must_use = "nobody accepts before it is iterated over"]
pub struct Containers<'a> {
    agent: &'a Agent,
    stopped: bool,
}

impl Iterator for Containers<'_> {
    type Item = Result<Container>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let accepted = self.agent.accept();
        self.stopped = matches!(&accepted, Err(error) if error.status() == Status::Stopped);
        (!self.stopped).then_some(accepted)
    }
}

impl FusedIterator for Containers<'_> {}
