//! What a container runtime does: it connects, and sends a container's state with a descriptor.

use crate::support::*;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use unotify::{Agent, AgentOptions, Container, Listener, Status};

/// A directory that is gone with this.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(format!("unotify-agent-{process}-{number}"));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("agent.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What an agent has said of those it refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn options(&self) -> AgentOptions {
        let sentences = Arc::clone(&self.0);
        AgentOptions::default().log(move |s| sentences.lock().unwrap().push(s.to_owned()))
    }

    /// What was said since the last time.
    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A connection to an agent.
#[derive(Debug)]
pub(crate) struct Runtime(pub(crate) UnixStream);

impl Runtime {
    pub(crate) fn connect(path: &Path) -> Self {
        Runtime(UnixStream::connect(path).unwrap())
    }

    /// Sends all of it, with the descriptors beside the first byte; whether somebody took it.
    pub(crate) fn send(&self, text: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let mut sent = send_part(&self.0, text, fds)?;
        while sent < text.len() {
            sent += send_part(&self.0, &text[sent..], &[])?;
        }
        Ok(())
    }

    /// Waits until the agent has closed the connection.
    pub(crate) fn until_closed(&self) {
        let _ = (&self.0).read(&mut [0]);
    }
}

/// One `sendmsg(2)`.
fn send_part(socket: &UnixStream, text: &[u8], fds: &[RawFd]) -> io::Result<usize> {
    let mut control = [0u64; 256];
    let mut part = libc::iovec {
        iov_base: text.as_ptr().cast_mut().cast(),
        iov_len: text.len(),
    };
    // SAFETY: zero is a value of every field; what it points to lives across the call, and the control
    // buffer has room for 253 descriptors.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        if !fds.is_empty() {
            let bytes = size_of_val(fds) as u32;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            let data = libc::CMSG_DATA(header);
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), data, bytes as usize);
        }
        libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(sent as usize)
}

/// What runc says of a container, as short as that.
pub(crate) fn state(id: &str) -> String {
    format!(
        r#"{{"ociVersion":"1.0.2","fds":["seccompFd"],"pid":4711,"metadata":"meta \u00fc","state":{{"ociVersion":"1.0.2-dev","id":"{id}","status":"creating","pid":4712,"bundle":"/bundles/{id}","annotations":{{"a":"1","b":"2"}}}}}}"#
    )
}

/// Sends a container's listener as runc does, and closes the connection at the end of `runtime`.
pub(crate) fn start(path: &Path, id: &str, listener: &Listener) -> Runtime {
    let runtime = Runtime::connect(path);
    let sent = runtime.send(state(id).as_bytes(), &[listener.as_raw_fd()]);
    sent.unwrap();
    runtime
}

/// The next container, which is about to come.
pub(crate) fn accept(agent: &Agent) -> Container {
    agent
        .accept_timeout(slowed(Duration::from_secs(20)))
        .unwrap()
}

/// Whether nothing has come, after a look at all that has.
pub(crate) fn nothing_comes(agent: &Agent) {
    for _ in 0..20 {
        let nothing = agent.accept_timeout(Duration::ZERO);
        assert_eq!(status(nothing), Status::Timeout);
    }
}

/// That a call of the container's gets to who has the listener.
pub(crate) fn check_served(target: &Target, listener: &Listener) {
    target.make_call(1);
    let mut call = listener
        .receive_timeout(slowed(Duration::from_secs(20)))
        .unwrap();
    call.reply_value(1234).unwrap();
    assert_eq!(target.result(), 1234);
}

pub(crate) fn raw(fd: &impl AsFd) -> RawFd {
    let fd: BorrowedFd<'_> = fd.as_fd();
    fd.as_raw_fd()
}
