//! The control socket: by it a new agent takes the containers over from the one that runs.

use std::fs::{remove_file, rename, symlink_metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// So long whoever connects may take to say what it wants.
const LIMIT: Duration = Duration::from_secs(5);

/// What a new agent says first, so that a connection by mistake stops nothing.
const ASK: &[u8; 8] = b"upgrade\n";

/// The socket on which the running agent can be asked.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Takes the place of the socket that is there, in one step: that is the last agent's. Anything else is
    /// left alone.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(io::Error::from_raw_os_error(libc::EEXIST));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut new = path.to_owned().into_os_string();
        new.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(new);
        let _ = remove_file(&new);
        // The umask has seen to it that nobody else comes in before.
        let listener = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        rename(&new, path)?;
        Ok(Control {
            listener,
            path: path.to_owned(),
        })
    }

    /// Waits for an agent that asks. Others are hung up on, with a reason to log.
    pub(crate) fn accept(&self, log: impl Fn(String)) -> UnixStream {
        loop {
            match self.listener.accept().and_then(|(socket, _)| asked(socket)) {
                Ok(socket) => return socket,
                Err(error) => {
                    log(format!("on the control socket: {error}"));
                    // Out of descriptors, it would be told again at once.
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    pub(crate) fn remove(&self) {
        let _ = remove_file(&self.path);
    }
}

/// Starts the program that this one was started as, which may be another file by now, with the same words,
/// to take over from this one: in its control group, as a service manager wants it.
pub(crate) fn start_successor() -> io::Result<Child> {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words.filter(|word| word != "--upgrade"));
    command.arg("--upgrade").stdin(Stdio::null()).spawn()
}

fn asked(mut socket: UnixStream) -> io::Result<UnixStream> {
    check_peer(&socket)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut said = [0; ASK.len()];
    socket.read_exact(&mut said)?;
    socket.set_read_timeout(None)?;
    if said != *ASK {
        return Err(io::Error::other("it is no agent that asks"));
    }
    Ok(socket)
}

/// Asks the agent that runs to hand over; `None` if none does.
pub(crate) fn ask(path: &Path) -> io::Result<Option<UnixStream>> {
    let mut socket = match UnixStream::connect(path) {
        Ok(socket) => socket,
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ECONNREFUSED) => return Ok(None),
            _ => return Err(error),
        },
    };
    check_peer(&socket)?;
    socket.write_all(ASK)?;
    Ok(Some(socket))
}

/// Only root and the agent's own user are listened to.
fn check_peer(socket: &UnixStream) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: 0,
    };
    let mut length = std::mem::size_of_val(&peer) as libc::socklen_t;
    // SAFETY: both places live, and the length is the place's.
    let (told, own) = unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let place = (&raw mut peer).cast();
        let told = libc::getsockopt(socket.as_raw_fd(), level, name, place, &mut length);
        (told, libc::geteuid())
    };
    if told != 0 {
        return Err(io::Error::last_os_error());
    }
    if peer.uid != 0 && peer.uid != own {
        let why = format!("user {} is not listened to", peer.uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_is_replaced() {
        let place = std::env::temp_dir().join(format!("unotify-control-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let path = place.join("control");
        std::fs::write(&path, "precious").unwrap();
        let refused = Control::bind(&path).map(|_| ()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EEXIST));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        remove_file(&path).unwrap();
        let old = Control::bind(&path).unwrap();
        let new = Control::bind(&path).unwrap();
        let mode = symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(old);
        new.remove();
        std::fs::remove_dir(&place).unwrap();
    }
}
