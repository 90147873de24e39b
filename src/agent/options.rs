//! How an agent is to work.

use crate::error::{Error, Result, Status};
use crate::kernel::socket::MOST_SENT;
use crate::transport::message::Limits;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Is told, in a sentence, of what an agent has refused, and why.
pub type AgentLog = Arc<dyn Fn(&str) + Send + Sync>;

/// How an [`Agent`](crate::Agent) is to work.
///
/// ```
/// use unotify::AgentOptions;
///
/// let options = AgentOptions::default().mode(0o660).log(|sentence| eprintln!("{sentence}"));
/// assert_eq!((options.mode, options.max_message), (0o660, 1 << 20));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct AgentOptions {
    /// The permissions of the socket, whatever the umask: 0600 by default. Who may connect is one
    /// thing, who is listened to another: see [`users`](field@AgentOptions::users).
    pub mode: u32,
    /// How long a container's state may be, in bytes; 1 MiB by default. With many annotations it is
    /// some hundred kilobytes.
    pub max_message: usize,
    /// How many descriptors may come with it, 1 to 253; 16 by default.
    pub max_fds: usize,
    /// How long a connection may take to bring its message; 10 s by default.
    pub time_limit: Duration,
    /// The users who are listened to, by the effective user id with which they connected
    /// (`SO_PEERCRED`). Empty, which is the default, means root and the agent's own user.
    pub users: Vec<u32>,
    /// Is told of every connection that is refused. It is called on a thread that accepts, serves, or
    /// hands over.
    pub log: Option<AgentLog>,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            mode: 0o600,
            max_message: 1 << 20,
            max_fds: 16,
            time_limit: Duration::from_secs(10),
            users: Vec::new(),
            log: None,
        }
    }
}

/// Each field by a function of its name, to be chained.
impl AgentOptions {
    /// Sets [`mode`](field@AgentOptions::mode).
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets [`max_message`](field@AgentOptions::max_message).
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets [`max_fds`](field@AgentOptions::max_fds).
    #[must_use]
    pub fn max_fds(mut self, count: usize) -> Self {
        self.max_fds = count;
        self
    }

    /// Sets [`time_limit`](field@AgentOptions::time_limit).
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets [`users`](field@AgentOptions::users).
    #[must_use]
    pub fn users(mut self, users: impl Into<Vec<u32>>) -> Self {
        self.users = users.into();
        self
    }

    /// Sets [`log`](field@AgentOptions::log).
    #[must_use]
    pub fn log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Refuses what is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::new(Status::InvalidArgument, what));
        if self.mode & !0o777 != 0 {
            return invalid(format!("mode is {:#o}, which is beyond 0777", self.mode));
        }
        if self.max_message == 0 {
            return invalid("max_message is 0".into());
        }
        if !(1..=MOST_SENT).contains(&self.max_fds) {
            return invalid(format!(
                "max_fds is {}, which is outside 1 to {MOST_SENT}",
                self.max_fds
            ));
        }
        if self.time_limit.is_zero() {
            return invalid("time_limit is 0".into());
        }
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            bytes: self.max_message,
            fds: self.max_fds,
        }
    }

    /// Whether that user is listened to.
    pub(super) fn listens_to(&self, user: u32, own: u32) -> bool {
        match &self.users[..] {
            [] => user == 0 || user == own,
            users => users.contains(&user),
        }
    }

    pub(super) fn tell(&self, sentences: &[String]) {
        if let Some(log) = &self.log {
            sentences.iter().for_each(|sentence| log(sentence));
        }
    }
}

impl fmt::Debug for AgentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentOptions")
            .field("mode", &self.mode)
            .field("max_message", &self.max_message)
            .field("max_fds", &self.max_fds)
            .field("time_limit", &self.time_limit)
            .field("users", &self.users)
            .field("log", &self.log.is_some())
            .finish()
    }
}
