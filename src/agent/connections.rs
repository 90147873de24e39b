//! The connections of runtimes, each on its own: whoever sends nothing, or slowly, delays nobody.

use super::container::Container;
use super::endpoint::Endpoint;
use super::options::AgentOptions;
use super::state::Told;
use crate::error::{Error, Result};
use crate::kernel::epoll::{Epoll, Event, WakeFd};
use crate::kernel::fd;
use crate::kernel::timer::Timer;
use crate::kernel::unix_socket::{self, Peer};
use crate::kernel::Errno;
use crate::transport::message::{Message, Progress};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is reported with which key; connections have those from the last on.
const WAKE: u64 = 0;
const SOCKET: u64 = 1;
const TIMER: u64 = 2;
const FIRST: u64 = 3;

/// So many connections may be on their way at once. When there is one more, the oldest has to go:
/// what runtimes send is there at once.
const MOST: usize = 256;

/// So much is read at a time.
const PART: usize = 64 * 1024;

/// So long it takes to look again when there is no number for a descriptor.
const PAUSE: Duration = Duration::from_millis(10);

/// The connections on their way, and the containers that have come.
#[derive(Debug)]
pub(super) struct Connections {
    timer: Timer,
    /// In the order in which they came, which is that of their deadlines.
    open: BTreeMap<u64, Connection>,
    pub(super) ready: VecDeque<Container>,
    next_key: u64,
    part: Vec<u8>,
    events: Vec<Event>,
    /// The timer is set to this.
    armed: Option<Instant>,
    /// What is to be told when the lock is let go of.
    pub(super) refused: Vec<String>,
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    peer: Peer,
    deadline: Option<Instant>,
    message: Message,
}

impl Connections {
    /// None yet; watched by `epoll`, as is the socket, and what wakes.
    pub(super) fn new(epoll: &Epoll, endpoint: &Endpoint, wake: &WakeFd) -> Result<Self> {
        let timer = Timer::new().map_err(|e| Error::system(e, "make a timer"))?;
        [
            (wake.as_fd(), WAKE),
            (endpoint.as_fd(), SOCKET),
            (timer.as_fd(), TIMER),
        ]
        .into_iter()
        .try_for_each(|(fd, key)| epoll.add(fd, key))
        .map_err(|e| Error::system(e, "watch the socket"))?;
        Ok(Connections {
            timer,
            open: BTreeMap::new(),
            ready: VecDeque::new(),
            next_key: FIRST,
            part: vec![0; PART],
            events: Vec::new(),
            armed: None,
            refused: Vec::new(),
        })
    }

    /// Looks once at all that has news, without waiting.
    pub(super) fn look(
        &mut self,
        epoll: &Epoll,
        endpoint: &Endpoint,
        wake: &WakeFd,
        options: &AgentOptions,
    ) -> Result<()> {
        let mut events = std::mem::take(&mut self.events);
        let waited = epoll.wait(false, &mut events);
        waited.map_err(|e| Error::system(e, "wait for connections"))?;
        let mut accepted = Ok(());
        for event in &events {
            match event.key {
                // Whoever woke has said why before.
                WAKE => wake.clear(),
                SOCKET => accepted = self.accept(epoll, endpoint, options),
                TIMER => {}
                key => self.read(key, epoll, options),
            }
        }
        self.events = events;
        self.expire(epoll, options);
        self.arm().map_err(|e| Error::system(e, "set the timer"))?;
        accepted
    }

    /// Whether a connection is on its way.
    pub(super) fn is_any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Looks at the socket no more.
    pub(super) fn pause(&mut self, epoll: &Epoll, endpoint: &Endpoint) -> Result<()> {
        let removed = epoll.remove(endpoint.as_fd());
        removed.map_err(|e| Error::system(e, "leave the socket alone"))
    }

    /// Looks at it again.
    pub(super) fn resume(&mut self, epoll: &Epoll, endpoint: &Endpoint) -> Result<()> {
        let added = epoll.add(endpoint.as_fd(), SOCKET);
        added.map_err(|e| Error::system(e, "watch the socket"))
    }

    /// Refuses all that are on their way.
    pub(super) fn drop_all(&mut self, epoll: &Epoll, reason: &str) {
        while self.drop_oldest(epoll, reason) {}
    }

    /// Takes the connections that wait, not all if there are very many.
    fn accept(&mut self, epoll: &Epoll, endpoint: &Endpoint, options: &AgentOptions) -> Result<()> {
        let own = unix_socket::own_user();
        for _ in 0..32 {
            match unix_socket::accept(endpoint.as_fd()) {
                Ok(socket) => self.greet(socket, epoll, own, options),
                Err(Errno(libc::EAGAIN)) => break,
                // It is gone already.
                Err(Errno(libc::ECONNABORTED)) => {}
                Err(Errno(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {
                    // The kernel says so before it looks whether anybody waits.
                    let waits =
                        !matches!(fd::poll(endpoint.as_fd(), Some(Instant::now())), Ok(None));
                    if waits && !self.drop_oldest(epoll, "there is no descriptor left for others") {
                        sleep(PAUSE);
                    }
                    break;
                }
                Err(errno) => return Err(Error::system(errno, "accept a connection")),
            }
        }
        Ok(())
    }

    fn greet(&mut self, socket: OwnedFd, epoll: &Epoll, own: u32, options: &AgentOptions) {
        let Ok(peer) = unix_socket::peer(socket.as_fd()) else {
            return;
        };
        if !options.listens_to(peer.uid, own) {
            return self.refuse(peer, "it is not listened to");
        }
        if self.open.len() >= MOST {
            self.drop_oldest(epoll, "so many came after it");
        }
        let key = self.next_key;
        self.next_key += 1;
        if let Err(errno) = epoll.add(socket.as_fd(), key) {
            let error = Error::system(errno, "watch it");
            return self.refuse(peer, &error.to_string());
        }
        let connection = Connection {
            socket,
            peer,
            // A limit that no clock reaches is none.
            deadline: Instant::now().checked_add(options.time_limit),
            message: Message::default(),
        };
        self.open.insert(key, connection);
        // What is there already is read at once.
        self.read(key, epoll, options);
    }

    fn read(&mut self, key: u64, epoll: &Epoll, options: &AgentOptions) {
        let Some(connection) = self.open.get_mut(&key) else {
            return;
        };
        let socket = connection.socket.as_fd();
        let progress = connection
            .message
            .receive(socket, &mut self.part, options.limits());
        match progress {
            Progress::Waiting => {}
            Progress::NoRoom => sleep(PAUSE),
            Progress::Empty => drop(self.take(key, epoll)), // as crun does when a start fails
            Progress::Refused(reason) => {
                if let Some(Connection { peer, .. }) = self.take(key, epoll) {
                    self.refuse(peer, &reason);
                }
            }
            Progress::Complete => {
                if let Some(Connection { peer, message, .. }) = self.take(key, epoll) {
                    let container = Told::read(&message.bytes)
                        .and_then(|told| Container::new(told, message.fds, false));
                    match container {
                        Ok(container) => self.ready.push_back(container),
                        Err(reason) => self.refuse(peer, &reason),
                    }
                }
            }
        }
    }

    /// Takes a connection out. It ends when it is dropped.
    fn take(&mut self, key: u64, epoll: &Epoll) -> Option<Connection> {
        let connection = self.open.remove(&key)?;
        // A copy of the process may have it open, and it would be reported for ever.
        let _ = epoll.remove(connection.socket.as_fd());
        Some(connection)
    }

    fn drop_oldest(&mut self, epoll: &Epoll, reason: &str) -> bool {
        let oldest = self.open.keys().next().copied();
        let oldest = oldest.and_then(|key| self.take(key, epoll));
        let Some(Connection { peer, .. }) = oldest else {
            return false;
        };
        self.refuse(peer, reason);
        true
    }

    /// Refuses those whose time is up.
    fn expire(&mut self, epoll: &Epoll, options: &AgentOptions) {
        let now = Instant::now();
        let reason = format!("its message took longer than {:?}", options.time_limit);
        while self.first_deadline().is_some_and(|first| first <= now) {
            self.drop_oldest(epoll, &reason);
        }
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.open.values().next()?.deadline
    }

    fn arm(&mut self) -> crate::kernel::Result<()> {
        let first = self.first_deadline();
        if self.armed != first {
            let now = Instant::now();
            self.timer
                .set(first.map(|first| first.saturating_duration_since(now)))?;
            self.armed = first;
        }
        Ok(())
    }

    fn refuse(&mut self, peer: Peer, reason: &str) {
        let Peer { pid, uid } = peer;
        self.refused.push(format!(
            "refused a connection of process {pid}, user {uid}: {reason}"
        ));
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
