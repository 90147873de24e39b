//! From one agent to the next, while containers wait.
//!
//! The old one sends its socket and then one container after the other over a Unix stream socket, each
//! as a message with descriptors, and after each it waits for one byte: what was sent has come. The
//! last message says how many there were, and with the byte after that the containers are the new
//! one's. Whatever goes wrong before, the old one still has them all, and the new one has nothing.

use super::container::Container;
use super::endpoint::{Endpoint, Name};
use super::state::Told;
use super::{Agent, AgentOptions};
use crate::error::{Error, Result, Status};
use crate::kernel::socket::{self, MOST_SENT};
use crate::kernel::{fd, unix_socket, Errno};
use crate::listener::Listener;
use crate::lock::lock;
use crate::supervisor::Supervisor;
use crate::transport::message::{Limits, Message, Progress};
use serde_json::{json, Value};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What agents of this version say to each other.
const PROTOCOL: u64 = 1;

/// So long a runtime that is in the middle of its message is waited for.
const FINISH: Duration = Duration::from_secs(1);

/// What a message between agents may take: the other one is trusted.
const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    fds: MOST_SENT,
};

/// The byte that says that a message has come.
const TAKEN: u8 = b'k';

impl Agent {
    /// Hands everything over to an agent in another process, which calls
    /// [`take_over`](Agent::take_over) at the other end of `socket`, a connected Unix stream socket:
    /// its own socket, so that no runtime is turned away, and all containers, those whose listeners
    /// `supervisor` serves and those that nobody has accepted. The containers wait meanwhile, and none of
    /// their calls fails.
    ///
    /// The supervisor may run; [`on_close`](Supervisor::on_close) tells of each listener that leaves
    /// it. What it has received it still answers: end this process when the supervisor has come to its
    /// end and what handlers have deferred is answered. Workers that were stuck when its run ended, in a
    /// call that a target makes last, are waited for here, after success, for
    /// [`AgentOptions::time_limit`] at most: a call that they have received and not answered would wait
    /// for ever. Containers that were accepted and are served by other means stay here, unless they were
    /// [put back](Agent::put_back).
    ///
    /// Nobody may accept or serve meanwhile. After success that fails with [`Status::Closed`]. After a
    /// failure all is still here: [`accept`](Agent::accept) and [`serve`](Agent::serve) get the
    /// containers anew.
    ///
    /// # Errors
    /// [`Status::Closed`] when the other side hangs up; [`Status::Timeout`] when it does not answer
    /// within [`AgentOptions::time_limit`]; [`Status::Permission`] when it is a user who is not listened
    /// to; [`Status::InvalidArgument`] when it is no such socket, or in a copy of the process.
    pub fn hand_over(&self, supervisor: Option<&Supervisor>, socket: BorrowedFd<'_>) -> Result<()> {
        self.check_process()?;
        self.check_here()?;
        check_peer(socket, &self.options)?;
        self.stop_accepting()?;
        let served = supervisor.map(|supervisor| {
            supervisor.take_all(|shared| shared.origin().is_some_and(Container::is_origin))
        });
        let served = served.into_iter().flatten();
        let mut containers: Vec<_> = served.filter_map(Container::of_listener).collect();
        containers.extend(lock(&self.connections).ready.drain(..));
        let sent = self.send_all(socket, &containers);
        match &sent {
            Ok(()) => {
                self.is_handed_over();
                if let Some(supervisor) = supervisor {
                    supervisor.await_stuck(self.options.time_limit);
                }
            }
            Err(_) => {
                lock(&self.connections).ready.extend(containers);
                self.accept_again()?;
            }
        }
        sent
    }

    /// Takes everything over from the agent that [hands it over](Agent::hand_over) at the other end of
    /// `socket`. The containers come again, by [`accept`](Agent::accept) or [`serve`](Agent::serve):
    /// [`Container::was_handed_over`].
    ///
    /// # Errors
    /// As there, and the old agent goes on; [`Status::InvalidArgument`] also when the other side is no
    /// agent of this version.
    pub fn take_over(socket: BorrowedFd<'_>, options: AgentOptions) -> Result<Agent> {
        options.check()?;
        check_peer(socket, &options)?;
        let (said, mut fds) = receive(socket, &options)?;
        let name = name_of(&said["socket"])?;
        let (Some(own), None) = (fds.pop(), fds.pop()) else {
            return Err(strange("it did not begin with its socket"));
        };
        let agent = Agent::new(Endpoint::of(own)?, options)?;
        let mut containers = Vec::new();
        loop {
            acknowledge(socket)?;
            let (said, fds) = receive(socket, &agent.options)?;
            if said["end"].as_u64() == Some(containers.len() as u64) {
                break;
            }
            let container = Told::of(&said["container"])
                .and_then(|told| Container::new(told, fds, true))
                .map_err(|why| strange(&why))?;
            containers.push(container);
        }
        lock(&agent.connections).ready.extend(containers);
        agent.own_name(name);
        agent.wake.wake();
        let acknowledged = acknowledge(socket);
        if acknowledged.is_err() {
            // The old one has it still.
            agent.own_name(None);
        }
        acknowledged.map(|()| agent)
    }

    /// Takes the listener of a container back, as if that had just come: [`accept`](Agent::accept) and
    /// [`serve`](Agent::serve) give it again, and [`hand_over`](Agent::hand_over) takes it along, which
    /// is for who serves containers by other means than a supervisor. What was received from the
    /// listener is still to be answered here. Not while the agent is handed over.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it came from no agent, or in a copy of the process;
    /// [`Status::Closed`] when this one was handed over. It is closed then.
    pub fn put_back(&self, listener: Listener) -> Result<()> {
        self.check_puts_back(&listener)?;
        self.take_back(listener);
        Ok(())
    }

    /// The same after the check. That has to be the last that can fail where somebody keeps what is not taken.
    pub(crate) fn take_back(&self, listener: Listener) {
        let container = Container::of_listener(listener);
        lock(&self.connections).ready.extend(container);
        self.wake.wake();
    }

    /// Whether it would, while the listener is still somebody's.
    pub(crate) fn check_puts_back(&self, listener: &Listener) -> Result<()> {
        self.check_process()?;
        self.check_here()?;
        if listener.shared().origin().is_some_and(Container::is_origin) {
            return Ok(());
        }
        Err(Error::new(
            Status::InvalidArgument,
            "the listener is no container's: it did not come to an agent",
        ))
    }

    /// Lets runtimes wait from here on, and those that are in the middle of it finish.
    fn stop_accepting(&self) -> Result<()> {
        lock(&self.connections).pause(&self.epoll, &self.endpoint)?;
        let until = Instant::now() + FINISH;
        loop {
            let mut connections = lock(&self.connections);
            let looked = connections.look(&self.epoll, &self.endpoint, &self.wake, &self.options);
            if looked.is_err() || Instant::now() >= until {
                connections.drop_all(&self.epoll, "the agent was handed over to another one");
            }
            let is_any_open = connections.is_any_open();
            let refused = std::mem::take(&mut connections.refused);
            drop(connections);
            self.options.tell(&refused);
            if !is_any_open {
                return Ok(());
            }
            let _ = fd::poll(self.epoll.as_fd(), Some(until));
        }
    }

    fn accept_again(&self) -> Result<()> {
        self.wake.wake();
        lock(&self.connections).resume(&self.epoll, &self.endpoint)
    }

    fn send_all(&self, socket: BorrowedFd<'_>, containers: &[Container]) -> Result<()> {
        let name = lock(&self.name).clone();
        let name = name.map(|name| {
            json!({
                "path": name.path.as_os_str().as_bytes(),
                "device": name.device,
                "inode": name.inode,
            })
        });
        let own = self.endpoint.as_fd().as_raw_fd();
        self.send(socket, json!({ "socket": name }), &[own])?;
        for container in containers {
            let (told, fds) = container.told()?;
            self.send(socket, json!({ "container": told.to_value() }), &fds)?;
        }
        self.send(socket, json!({ "end": containers.len() }), &[])
    }

    /// Sends a message and waits until it has come.
    fn send(&self, socket: BorrowedFd<'_>, mut message: Value, fds: &[RawFd]) -> Result<()> {
        message["unotify"] = PROTOCOL.into();
        let text = message.to_string();
        let deadline = Instant::now().checked_add(self.options.time_limit);
        let (mut rest, mut fds) = (text.as_bytes(), fds);
        while !rest.is_empty() {
            match socket::send_some(socket, rest, fds) {
                Ok(sent) => (rest, fds) = (&rest[sent..], &[]),
                Err(Errno(libc::EAGAIN)) => {
                    let ready = fd::poll_writable(socket, deadline);
                    wait_failed(ready)?;
                }
                Err(errno) => return Err(hung_up(errno, "send to the other agent")),
            }
        }
        await_readable(socket, deadline)?;
        let mut byte = [0];
        match socket::take_each(socket, &mut byte, &mut drop) {
            Ok((1, _)) if byte[0] == TAKEN => Ok(()),
            Ok((0, _)) => Err(hung_up(Errno(libc::EPIPE), "")),
            Ok(_) => Err(strange("it did not say that it has taken a message")),
            Err(errno) => Err(hung_up(errno, "hear from the other agent")),
        }
    }
}

/// The next message, and the descriptors that came with it.
fn receive(socket: BorrowedFd<'_>, options: &AgentOptions) -> Result<(Value, Vec<OwnedFd>)> {
    let deadline = Instant::now().checked_add(options.time_limit);
    let mut message = Message::default();
    let mut part = vec![0; 64 * 1024];
    loop {
        match message.receive(socket, &mut part, LIMITS) {
            Progress::Complete => break,
            Progress::Waiting => await_readable(socket, deadline)?,
            Progress::Empty => return Err(hung_up(Errno(libc::EPIPE), "")),
            Progress::NoRoom if deadline.is_some_and(|d| d <= Instant::now()) => {
                return Err(Error::system(Errno(libc::EMFILE), "take over a descriptor"))
            }
            Progress::NoRoom => sleep(Duration::from_millis(10)),
            Progress::Refused(why) => return Err(strange(&why)),
        }
    }
    let value: Value =
        serde_json::from_slice(&message.bytes).map_err(|e| strange(&e.to_string()))?;
    if value["unotify"].as_u64() != Some(PROTOCOL) {
        return Err(strange("it speaks another version's protocol"));
    }
    Ok((value, message.fds))
}

fn acknowledge(socket: BorrowedFd<'_>) -> Result<()> {
    let sent = socket::send_some(socket, &[TAKEN], &[]);
    sent.map(drop)
        .map_err(|errno| hung_up(errno, "answer the other agent"))
}

fn await_readable(socket: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<()> {
    wait_failed(fd::poll(socket, deadline))
}

fn wait_failed(waited: crate::kernel::Result<Option<fd::Ready>>) -> Result<()> {
    match waited {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::new(
            Status::Timeout,
            "the other agent did not answer in time",
        )),
        Err(errno) => Err(Error::system(errno, "wait for the other agent")),
    }
}

fn check_peer(socket: BorrowedFd<'_>, options: &AgentOptions) -> Result<()> {
    let no_socket = |errno| {
        let number = socket.as_raw_fd();
        let what = format!("descriptor {number} is no connected Unix stream socket");
        Error::with_errno(Status::InvalidArgument, errno, what)
    };
    if !unix_socket::is_stream(socket).map_err(no_socket)? {
        return Err(no_socket(Errno(libc::EOPNOTSUPP)));
    }
    let peer = unix_socket::peer(socket).map_err(no_socket)?;
    if !options.listens_to(peer.uid, unix_socket::own_user()) {
        return Err(Error::new(
            Status::Permission,
            format!("the other agent is user {}'s", peer.uid),
        ));
    }
    Ok(())
}

fn name_of(said: &Value) -> Result<Option<Name>> {
    if said.is_null() {
        return Ok(None);
    }
    let bytes = said["path"].as_array().and_then(|bytes| {
        let byte = |byte: &Value| u8::try_from(byte.as_u64()?).ok();
        bytes.iter().map(byte).collect::<Option<Vec<u8>>>()
    });
    match (bytes, said["device"].as_u64(), said["inode"].as_u64()) {
        (Some(path), Some(device), Some(inode)) => Ok(Some(Name {
            path: std::ffi::OsString::from_vec(path).into(),
            device,
            inode,
        })),
        _ => Err(strange("its socket has no name")),
    }
}

fn strange(why: &str) -> Error {
    Error::new(
        Status::InvalidArgument,
        format!("the other side does not hand over as an agent does: {why}"),
    )
}

fn hung_up(errno: Errno, what: &str) -> Error {
    match errno.0 {
        libc::EPIPE | libc::ECONNRESET => Error::with_errno(
            Status::Closed,
            errno,
            "the other agent hung up before it had everything",
        ),
        _ => Error::system(errno, what),
    }
}
