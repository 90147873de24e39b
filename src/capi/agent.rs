//! `unotify_agent`: the mirror of `agent/`.

use super::boundary::{
    c_str, call, infallible, invalid, options, reclaim, shared, slice, unotify_status, Options, Out,
};
use super::container::unotify_container;
use super::listener::{lent_fd, time_limit, unotify_listener};
use super::supervisor::unotify_supervisor;
use crate::agent::{Agent, AgentOptions};
use crate::error::{Error, Result};
use crate::for_c::Uncancelled;
use crate::kernel::{fd_table, Errno};
use std::ffi::{c_char, c_int, c_void, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

/// Takes the listeners of containers from their runtimes.
#[derive(Debug)]
pub struct unotify_agent(pub(super) Agent);

/// Is told, in a sentence, of a connection that an agent has refused, and why. It must return.
pub type unotify_agent_log =
    Option<unsafe extern "C" fn(sentence: *const c_char, data: *mut c_void)>;

/// How an agent is to work.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_agent_opts {
    /// `sizeof(unotify_agent_opts)`.
    pub size: usize,
    /// Permissions of its socket, whatever the umask. 0 is 0600.
    pub mode: u32,
    /// Descriptors that may come with a state, up to 253. 0 is 16.
    pub max_fds: u32,
    /// Bytes that a state may have. 0 is 1 MiB.
    pub max_message: usize,
    /// Milliseconds that a connection may take for it. 0 is 10,000.
    pub time_limit_ms: c_int,
    /// How many there are at `users`. 0: root and this process's user.
    pub n_users: u32,
    /// The users who are listened to (`SO_PEERCRED`).
    pub users: *const libc::uid_t,
    /// Is told of what is refused. NULL: nobody is.
    pub log: unotify_agent_log,
    /// For `log`.
    pub log_data: *mut c_void,
}

// SAFETY: `repr(C)`, begins with `size`, integers and pointers only, without padding.
unsafe impl Options for unotify_agent_opts {
    const NAME: &'static str = "unotify_agent_opts";

    fn zeroed() -> Self {
        unotify_agent_opts {
            size: size_of::<Self>(),
            mode: 0,
            max_fds: 0,
            max_message: 0,
            time_limit_ms: 0,
            n_users: 0,
            users: std::ptr::null(),
            log: None,
            log_data: std::ptr::null_mut(),
        }
    }
}

/// Whom to tell of what is refused.
struct Log {
    function: unsafe extern "C" fn(*const c_char, *mut c_void),
    data: *mut c_void,
}

// SAFETY: the documentation of `unotify_agent_new` says that it is called on any thread.
unsafe impl Send for Log {}
// SAFETY: likewise.
unsafe impl Sync for Log {}

impl Log {
    fn tell(&self, sentence: &str) {
        let sentence = CString::new(sentence.replace('\0', "?")).unwrap_or_default();
        // SAFETY: usable until the agent is freed, as `unotify_agent_new` asks.
        unsafe { (self.function)(sentence.as_ptr(), self.data) };
    }
}

impl unotify_agent_opts {
    /// # Safety
    /// `users` is valid for reading `n_users` numbers; `log` and `log_data` are usable until the agent
    /// is freed.
    unsafe fn check(self) -> Result<AgentOptions> {
        // SAFETY: as promised.
        let users = unsafe {
            slice(
                self.users,
                self.n_users as usize,
                "unotify_agent_opts.users",
            )
        }?;
        let mut options = AgentOptions::default().users(users);
        if self.mode != 0 {
            options.mode = self.mode;
        }
        if self.max_fds != 0 {
            options.max_fds = self.max_fds as usize;
        }
        if self.max_message != 0 {
            options.max_message = self.max_message;
        }
        if self.time_limit_ms != 0 {
            let ms = u64::try_from(self.time_limit_ms);
            let ms = ms.map_err(|_| invalid("`unotify_agent_opts.time_limit_ms` is negative"))?;
            options.time_limit = Duration::from_millis(ms);
        }
        if let Some(function) = self.log {
            let log = Log {
                function,
                data: self.log_data,
            };
            options.log = Some(Arc::new(move |sentence: &str| log.tell(sentence)));
        }
        Ok(options)
    }
}

/// Makes an agent with a socket at `path`, which profiles name as `listenerPath` and which goes with
/// the agent. One that is there is replaced if it is this user's and nobody listens on it. `opts`
/// may be NULL; `log` may be called on any thread that uses the agent.
///
/// Errors: with `EADDRINUSE` `UNOTIFY_ERR_BUSY` when somebody listens there, `UNOTIFY_ERR_PERMISSION`
/// when it is another user's, `UNOTIFY_ERR_SYSTEM` when it is no socket; else with that of `bind(2)`;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` for more than 107 bytes.
///
/// # Safety
/// `path` is NULL or a string; `opts` is NULL or as long as its `size` says, and what it points to is
/// as it says; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_new(
    path: *const c_char,
    opts: *const unotify_agent_opts,
    out: *mut *mut unotify_agent,
) -> unotify_status {
    call(|| {
        // SAFETY: `path` is NULL or a string, `out` is NULL or valid for writing, as promised.
        let (path, out) = unsafe { (c_str(path, "path")?, Out::new(out, "out")?) };
        // SAFETY: `opts` is NULL or as long as its `size`, and as it says, as promised.
        let opts = unsafe { options(opts)?.check() }?;
        let path = OsStr::from_bytes(path.to_bytes());
        out.put_boxed(unotify_agent(Agent::bind(path, opts)?));
        Ok(())
    })
}

/// Makes an agent on a Unix stream socket that listens: on a duplicate, and it does not block from
/// then on. With -1 it is the one that a service manager passed (`LISTEN_FDS`), to be taken once.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it is no such socket, or not one was passed.
///
/// # Safety
/// As `unotify_agent_new`.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_from_socket(
    socket: c_int,
    opts: *const unotify_agent_opts,
    out: *mut *mut unotify_agent,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: `opts` is NULL or as long as its `size`, and as it says, as promised.
        let opts = unsafe { options(opts)?.check() }?;
        let agent = if socket == -1 {
            Agent::from_environment(opts)
        } else {
            // SAFETY: used for this call only.
            let socket = unsafe { lent_fd(socket, "socket") }?;
            let own = fd_table::duplicate_from(socket.as_raw_fd(), 0);
            let own = own.map_err(|e| Error::system(e, "duplicate the socket"))?;
            Agent::from_socket(own, opts)
        };
        out.put_boxed(unotify_agent(agent?));
        Ok(())
    })
}

/// A descriptor for an event loop, which remains the agent's; -1 for NULL. It polls readable when
/// unotify_agent_accept() has something to do, which may bring no container.
///
/// # Safety
/// `agent` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_fd(agent: *const unotify_agent) -> c_int {
    infallible(-1, || {
        // SAFETY: `agent` is NULL or a live handle, as promised.
        unsafe { agent.as_ref() }.map_or(-1, |a| a.0.as_fd().as_raw_fd())
    })
}

/// Waits for the next container. A connection that brings none is refused and logged, and delays
/// nobody.
///
/// Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_STOPPED` by unotify_agent_interrupt();
/// `UNOTIFY_ERR_SYSTEM` when the socket is broken; `UNOTIFY_ERR_CLOSED` when the agent was handed over.
///
/// # Safety
/// `agent` is NULL or a live handle; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_accept(
    agent: *mut unotify_agent,
    timeout_ms: c_int,
    out: *mut *mut unotify_container,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or a live handle, NULL or valid for writing, as promised.
        let (agent, out) = unsafe { (shared(agent, "agent")?, Out::new(out, "out")?) };
        let container = match time_limit(timeout_ms)? {
            Some(limit) => agent.0.accept_timeout(limit),
            None => agent.0.accept(),
        };
        out.put_boxed(unotify_container::new(container?));
        Ok(())
    })
}

/// Ends one unotify_agent_accept() or unotify_agent_serve() that is under way, or else the next at
/// once. May be called from any thread and from a signal handler.
///
/// # Safety
/// `agent` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_interrupt(agent: *mut unotify_agent) -> unotify_status {
    // SAFETY: `agent` is NULL or a live handle, as promised.
    let Some(agent) = (unsafe { agent.as_ref() }) else {
        return call(|| Err(invalid("`agent` is null")));
    };
    let errno = Errno::last();
    let _whole = Uncancelled::new();
    agent.0.interrupt();
    // A signal handler must leave it as it was.
    errno.set();
    unotify_status::Ok
}

/// Is given a container, to keep or free. Returns 0 to have it served, with `*listener_data`, which is
/// `container` at first, for unotify_notification_listener_data(); else its calls fail with `ENOSYS`.
/// It must return.
pub type unotify_container_handler = Option<
    unsafe extern "C" fn(
        container: *mut unotify_container,
        data: *mut c_void,
        listener_data: *mut *mut c_void,
    ) -> c_int,
>;

/// Serves all containers with the handlers of `supervisor`, until interrupted. `on_container` is told
/// of each first, on this thread; handlers run on the library's. What it gave comes back by
/// unotify_supervisor_on_close(). After the return the listeners are still the supervisor's.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` without `UNOTIFY_SUPERVISOR_KEEP_RUNNING`; those of
/// unotify_agent_accept(), but an interruption is none; those of unotify_supervisor_run().
///
/// # Safety
/// `agent` and `supervisor` are NULL or live handles; `on_container` and `data` are usable until this
/// returns.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_serve(
    agent: *mut unotify_agent,
    supervisor: *mut unotify_supervisor,
    on_container: unotify_container_handler,
    data: *mut c_void,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or live handles, as promised.
        let (agent, supervisor) =
            unsafe { (shared(agent, "agent")?, shared(supervisor, "supervisor")?) };
        let function = on_container.ok_or_else(|| invalid("`on_container` is null"))?;
        agent.0.serve(supervisor.core(), |container| {
            let container = Box::into_raw(Box::new(unotify_container::new(container)));
            let mut listener_data = container.cast();
            // SAFETY: usable until this returns, as promised; the container is live and now its own.
            let refused = unsafe { function(container, data, &mut listener_data) };
            (refused == 0).then_some(listener_data as usize)
        })
    })
}

/// Gives everything to another process, which calls unotify_agent_take_over() at the other end of
/// `socket`, a Unix stream socket: the agent's socket, and the containers that `supervisor` (NULL:
/// none) serves or nobody has accepted. They wait meanwhile, and none of their calls fails. After an
/// error all is here, and the containers come again. See "Replacing an agent" in unotify(7).
///
/// Errors: `UNOTIFY_ERR_CLOSED` when the other side hangs up; `UNOTIFY_ERR_TIMEOUT` without an answer in
/// `time_limit_ms`; `UNOTIFY_ERR_PERMISSION` for a user who is not listened to.
///
/// # Safety
/// `agent` and `supervisor` are NULL or live handles.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_hand_over(
    agent: *mut unotify_agent,
    supervisor: *mut unotify_supervisor,
    socket: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or live handles, as promised.
        let (agent, supervisor) = unsafe { (shared(agent, "agent")?, supervisor.as_ref()) };
        // SAFETY: used for this call only.
        let socket = unsafe { lent_fd(socket, "socket") }?;
        let supervisor = supervisor.map(unotify_supervisor::core);
        agent.0.hand_over(supervisor, socket)
    })
}

/// Makes an agent of that; the containers come again.
///
/// Errors: as there, and the old one goes on; `UNOTIFY_ERR_INVALID_ARGUMENT` for another version.
///
/// # Safety
/// As `unotify_agent_new`.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_take_over(
    socket: c_int,
    opts: *const unotify_agent_opts,
    out: *mut *mut unotify_agent,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: `opts` is NULL or as long as its `size`, and as it says, as promised.
        let opts = unsafe { options(opts)?.check() }?;
        // SAFETY: used for this call only.
        let socket = unsafe { lent_fd(socket, "socket") }?;
        out.put_boxed(unotify_agent(Agent::take_over(socket, opts)?));
        Ok(())
    })
}

/// Takes a container's listener back, as if that had just come. Takes ownership on success only.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it came from no agent; `UNOTIFY_ERR_CLOSED` when this one
/// was handed over.
///
/// # Safety
/// `agent` and `listener` are NULL or live handles; `listener` is not used again after success.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_put_back(
    agent: *mut unotify_agent,
    listener: *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: NULL or live handles, as promised.
        let (agent, lent) = unsafe { (shared(agent, "agent")?, shared(listener, "listener")?) };
        agent.0.check_puts_back(&lent.0)?;
        // SAFETY: a live handle that is not used again, as promised; `lent` was used for the last time.
        if let Some(listener) = unsafe { reclaim(listener) } {
            agent.0.take_back(listener.0);
        }
        Ok(())
    })
}

/// Frees an agent and removes its socket. Containers that were accepted stay as they are.
///
/// # Safety
/// `agent` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_agent_free(agent: *mut unotify_agent) {
    // SAFETY: `agent` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(agent) }));
}
