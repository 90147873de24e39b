//! A container whose listener came to an agent.

use super::state::{State, Told, LISTENER};
use crate::error::{Error, Result, Status};
use crate::kernel::file;
use crate::listener::Listener;
use crate::lock::lock;
use crate::notification::Notification;
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

/// A container that a runtime has started, or a process that it has started in one: what it says of
/// it, and the listener of its filter.
///
/// Runtimes tell different things. What one leaves out is empty or 0 here. As tried with runc
/// 1.1.5, crun 1.8.1 and youki 0.7.0:
///
/// - For a process that is started *in* a container (`exec`) runc sends a second listener, with the
///   same id and another pid. crun sends one too, with 0 for both pids and "." for the bundle.
///   youki sends none: what it starts there has no filter.
/// - `status` is "creating" when a container is started, and "running" with `exec` in runc.
/// - `metadata` is the profile's `listenerMetadata`, empty if it has none.
///
/// Dropping it closes the listener, unless that was taken: the container's pending and later calls
/// fail with `ENOSYS`.
#[derive(Debug)]
pub struct Container {
    about: Arc<About>,
    listener: Mutex<Option<Listener>>,
}

/// All but the listener.
#[derive(Debug)]
pub(super) struct About {
    state: State,
    fds: Vec<(String, OwnedFd)>,
    handed_over: bool,
}

impl Container {
    /// What a message with these descriptors has brought, or why it is refused. Those that are not
    /// kept are closed.
    pub(super) fn new(told: Told, fds: Vec<OwnedFd>, handed_over: bool) -> Result<Self, String> {
        let Told { state, names } = told;
        if names.len() != fds.len() {
            return Err(format!(
                "its message names {} descriptors, and {} came",
                names.len(),
                fds.len()
            ));
        }
        let (listeners, fds): (Vec<_>, Vec<_>) = names
            .into_iter()
            .zip(fds)
            .partition(|(name, _)| name == LISTENER);
        let mut listeners = listeners.into_iter().map(|(_, fd)| fd);
        let (Some(listener), None) = (listeners.next(), listeners.next()) else {
            return Err(format!("not one descriptor of its is `{LISTENER}`"));
        };
        let listener = if may_be_listener(&listener) {
            Listener::from_fd(listener).ok()
        } else {
            None
        };
        let listener =
            listener.ok_or_else(|| format!("its `{LISTENER}` is no seccomp listener"))?;
        let about = Arc::new(About {
            state,
            fds,
            handed_over,
        });
        listener
            .shared()
            .set_origin(Arc::clone(&about) as Arc<dyn Any + Send + Sync>);
        Ok(Container {
            about,
            listener: Mutex::new(Some(listener)),
        })
    }

    /// The container that a listener came with, put together again.
    pub(super) fn of_listener(listener: Listener) -> Option<Self> {
        let about = about(listener.shared().origin()?)?;
        Some(Container {
            about,
            listener: Mutex::new(Some(listener)),
        })
    }

    /// The container whose listener a notification came from; `None` if that came from elsewhere. Its
    /// listener is where it was: it cannot be taken from this one.
    #[must_use]
    pub fn of(notification: &Notification) -> Option<Self> {
        Some(Container {
            about: about(notification.origin()?)?,
            listener: Mutex::new(None),
        })
    }

    /// The container's name among those of its runtime. Never left out, but a runtime's user chooses it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.about.state.id
    }

    /// The process that is under the filter, **as the runtime numbers it**: with runc the container's
    /// first process, or the one that `exec` starts. 0 if it was not told, as with crun's `exec`. It
    /// may have ended since; who makes a call says [`Notification::request`].
    #[must_use]
    pub fn pid(&self) -> libc::pid_t {
        self.about.state.pid
    }

    /// The container's first process, likewise.
    #[must_use]
    pub fn init_pid(&self) -> libc::pid_t {
        self.about.state.init_pid
    }

    /// The directory that the container was described in. crun says "." for `exec`.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.about.state.bundle
    }

    /// "creating", "created", "running" or "stopped", or what a runtime has beyond these.
    #[must_use]
    pub fn status(&self) -> &str {
        &self.about.state.status
    }

    /// What the profile says in `listenerMetadata`.
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.about.state.metadata
    }

    /// The version of the OCI runtime specification that the runtime goes by.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.about.state.version
    }

    /// The container's annotations.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.about.state.annotations
    }

    /// A descriptor that came with the listener, by its name. It is open as long as the container and its
    /// listener are. The runtimes of today send no other.
    #[must_use]
    pub fn fd(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let mut fds = self.about.fds.iter();
        let found = fds.find(|(called, _)| called == name);
        found.map(|(_, fd)| fd.as_fd())
    }

    /// Whether another agent has had it before, and handed it over.
    #[must_use]
    pub fn was_handed_over(&self) -> bool {
        self.about.handed_over
    }

    /// Hands out the listener. What comes from it knows the container: [`Container::of`].
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it was taken before, or is not here.
    pub fn take_listener(&self) -> Result<Listener> {
        lock(&self.listener).take().ok_or_else(|| {
            Error::new(
                Status::InvalidArgument,
                "the container's listener was taken before",
            )
        })
    }

    /// What is sent when it is handed over: what is told, and the descriptors in that order.
    pub(super) fn told(&self) -> Result<(Told, Vec<RawFd>)> {
        let listener = lock(&self.listener);
        let listener = listener.as_ref().map(|listener| listener.as_raw_fd());
        let listener = listener.ok_or_else(|| Error::plain(Status::InvalidArgument))?;
        let fds = self.about.fds.iter();
        let (names, fds) = fds
            .map(|(name, fd)| (name.clone(), fd.as_raw_fd()))
            .chain([(LISTENER.to_owned(), listener)])
            .unzip();
        let state = self.about.state.clone();
        Ok((Told { state, names }, fds))
    }

    /// Whether a listener that came with this is a container's.
    pub(super) fn is_origin(origin: &Arc<dyn Any + Send + Sync>) -> bool {
        origin.is::<About>()
    }
}

/// Asks the kernel what it calls the file, where there is a `/proc` to ask: a file of somebody's own file
/// system could make anything else that it is asked last.
fn may_be_listener(fd: &OwnedFd) -> bool {
    let path = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    match file::read_link(None, &path) {
        Ok(name) => name == b"anon_inode:seccomp notify",
        Err(_) => true,
    }
}

fn about(origin: &Arc<dyn Any + Send + Sync>) -> Option<Arc<About>> {
    Arc::clone(origin).downcast().ok()
}
